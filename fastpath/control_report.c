/* SPDX-License-Identifier: Apache-2.0 */
/* The look at all keys: what was used is told, what is too old or of another generation ends.
 *
 * When: with the first turn of the loop that comes a second after the last look. It is woken for that each second as
 * long as the look before had something to tell; else after five seconds while session keys live (and when the oldest
 * of them ends), and not at all without them: then the next event will do, and links that are up bring some every few
 * seconds. A raised generation is seen by every turn. */
#define LOG_MODULE "control"
#include "fastpath/control_sessions.h"

#include <errno.h>

enum { LOOK_MS = 1000, QUIET_MS = 5000, AGE_US = LIMIT_SESSION_AGE_S * 1000000 };

static uint64_t load(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static struct ctl_session_use use_of(const struct skey *s)
{
	return (struct ctl_session_use){
		.index = s->index,
		.sealed_packets = load(&s->sealed.packets),
		.sealed_bytes = load(&s->sealed.bytes),
		.opened_packets = load(&s->opened.packets),
		.opened_bytes = load(&s->opened.bytes),
		.lane_end = load(&s->sealed.lane_end),
		.sealed_us = __atomic_load_n(&s->sealed.data_us, __ATOMIC_RELAXED),
		.opened_us = __atomic_load_n(&s->opened.data_us, __ATOMIC_RELAXED),
	};
}

/* All of it only grows, but not at once: while workers count, a sum of some would miss the rest. */
static uint64_t sum_of(const struct ctl_session_use *u)
{
	return u->sealed_packets + u->sealed_bytes + u->opened_packets + u->opened_bytes + u->lane_end +
	       (uint64_t)u->sealed_us + (uint64_t)u->opened_us;
}

/* True if there was something to tell, and somebody to be told. */
static bool tell_use(struct control *c, uint32_t slot, const struct skey *s)
{
	const struct ctl_session_use use = use_of(s);
	const uint64_t sum = sum_of(&use);
	uint64_t *told = &c->sessions->held[slot].told;

	if (sum == *told || !c->greeted)
		return false;
	if (control_send(c, CTL_SESSION_USE, &use, sizeof(use)))
		*told = sum;
	return true;
}

static bool tell_confirmed(struct control *c, const struct skey *s)
{
	const struct ctl_session_confirmed confirmed = {.index = s->index};

	if (s->state != SKEY_STATE_NEXT || !__atomic_load_n(&s->confirmed, __ATOMIC_RELAXED) || !c->greeted)
		return false;
	/* One who does not read need not hear it again. */
	if (!ctlsock_is_full(c->ctl))
		control_send(c, CTL_SESSION_CONFIRMED, &confirmed, sizeof(confirmed));
	return true;
}

/* Where the slot is the one that packets find. */
static bool info_of(const struct control *c, uint32_t slot, struct ctl_key_info *out)
{
	const struct key_slot *s = keys_slot(c->f.keys, slot);
	const struct table_entry *e = table_find(c->f.table, s->net64);

	*out = (struct ctl_key_info){
		.net64 = s->net64,
		.way = s->way,
		.refuse_static = s->refuse_static,
		.sealed = load(&s->sealed),
		.opened = load(&s->opened),
	};
	memcpy(out->public_key, s->pk.b, sizeof(out->public_key));
	return e && e->key == slot;
}

static bool tell_key(struct control *c, uint32_t slot)
{
	const struct key_slot *s = keys_slot(c->f.keys, slot);
	uint64_t *told = &c->sessions->told[slot];
	struct ctl_key_info info;

	if (load(&s->sealed) + load(&s->opened) == *told || !c->greeted || !info_of(c, slot, &info))
		return false;
	if (!ctlsock_is_full(c->ctl) && control_send(c, CTL_KEY_INFO, &info, sizeof(info)))
		*told = info.sealed + info.opened;
	return true;
}

void control_report_each_key(struct control *c, void (*give)(void *ctx, const struct ctl_key_info *info), void *ctx)
{
	struct ctl_key_info info;

	for (uint32_t slot = keys_next(c->f.keys, 0); slot; slot = keys_next(c->f.keys, slot)) {
		if (!info_of(c, slot, &info))
			continue;
		give(ctx, &info);
		c->sessions->told[slot] = info.sealed + info.opened;
	}
}

/* One session key that lives: it ends, or is told. *end: when the oldest of them ends. */
static bool look_at(struct control *c, uint32_t slot, struct mono *end)
{
	const struct skey *s = skeys_slot(c->f.skeys, slot);
	const struct mono its_end = mono_add_us(s->made, AGE_US);
	bool told;

	if (s->generation != c->sessions->generation || mono_is_due(its_end, c->now)) {
		control_sessions_bury(c, slot, s->generation != c->sessions->generation ? -ESTALE : 0);
		return false;
	}
	*end = mono_min(*end, its_end);
	told = tell_use(c, slot, s);
	return tell_confirmed(c, s) || told;
}

static void look(struct control *c)
{
	struct control_sessions *all = c->sessions;
	struct mono end = MONO_NEVER;
	bool told = false;

	for (uint32_t slot = skeys_next(c->f.skeys, 0); slot; slot = skeys_next(c->f.skeys, slot))
		if (!all->held[slot].dying)
			told |= look_at(c, slot, &end);
	for (uint32_t slot = keys_next(c->f.keys, 0); slot; slot = keys_next(c->f.keys, slot))
		told |= tell_key(c, slot);
	all->looked = c->now;
	all->next_look = end;
	if (told)
		all->next_look = mono_min(end, mono_add_ms(c->now, LOOK_MS));
	else if (end.us != MONO_NEVER.us)
		all->next_look = mono_min(end, mono_add_ms(c->now, QUIET_MS));
}

struct mono control_report_run(struct control *c)
{
	struct control_sessions *all = c->sessions;
	const uint64_t generation = __atomic_load_n(&c->f.lanes->header.generation, __ATOMIC_ACQUIRE);
	const bool raised = generation != all->generation;
	struct mono due;

	if (raised && skeys_count(c->f.skeys))
		log_info("another generation of the shared memory: session keys are wiped count=%u",
			 skeys_count(c->f.skeys));
	all->generation = generation;
	if (raised || mono_is_due(all->next_look, c->now) || mono_since_ms(c->now, all->looked) >= LOOK_MS)
		look(c);
	due = all->next_look;
	if (control_sessions_reap(c))
		due = mono_min(due, mono_add_ms(c->now, CONTROL_RECLAIM_MS));
	return due;
}
