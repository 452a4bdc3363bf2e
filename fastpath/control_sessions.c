/* SPDX-License-Identifier: Apache-2.0 */
/* Session keys: given, moved and ended by controld; linked to the static key of the same peer, which names the session
 * that sends. Secrets are used where the record lies (ctlsock wipes its buffer) and on a stack that is wiped. */
#include "fastpath/control_sessions.h"

#include "shared/base/rows.h"
#include "shared/base/secret.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { FIRST_LOOK_MS = 1000, AGE_US = LIMIT_SESSION_AGE_S * 1000000 };

int control_sessions_init(struct control *c, const struct aead *aead, uint32_t cap)
{
	struct control_sessions *s = calloc(1, sizeof(*s));

	c->sessions = s;
	if (!s)
		return -ENOMEM;
	s->held = calloc((size_t)cap + 1, sizeof(s->held[0]));
	s->told = calloc((size_t)LIMIT_KEY_SLOTS + 1, sizeof(s->told[0]));
	if (!s->held || !s->told)
		return -ENOMEM;
	s->generation = __atomic_load_n(&c->f.lanes->header.generation, __ATOMIC_ACQUIRE);
	s->looked = c->now;
	s->next_look = MONO_NEVER;
	rows_clear_owner(c->f.lanes, c->f.number);
	c->f.skeys = skeys_new(aead, c->f.lanes, cap);
	return c->f.skeys ? 0 : -errno;
}

void control_sessions_fini(struct control *c)
{
	skeys_free(c->f.skeys);
	c->f.skeys = NULL;
	if (c->sessions) {
		free(c->sessions->held);
		free(c->sessions->told);
	}
	free(c->sessions);
	c->sessions = NULL;
}

/* The static key that packets of the /64 find, if it is the one of this owner. */
static struct key_slot *static_of(const struct control *c, uint64_t net64, const struct pubkey *pk)
{
	const struct table_entry *e = table_find(c->f.table, net64);
	struct key_slot *s = e && e->key ? keys_slot(c->f.keys, e->key) : NULL;

	return s && pubkey_eq(&s->pk, pk) ? s : NULL;
}

/* What waits for a key, a session or a policy of the /64 is looked at again. */
static void look_again(struct control *c, uint64_t net64)
{
	const struct ctl_no_key again = {.net64 = net64};

	control_mail_put_all(c, CTL_NO_KEY, &again, sizeof(again));
}

/* slot 0: none sends. Who finds the number finds the key complete. */
static void set_session(struct key_slot *s, uint32_t slot)
{
	const uint32_t had = __atomic_load_n(&s->session, __ATOMIC_RELAXED);

	if (slot == had)
		return;
	if (had)
		__atomic_store_n(&s->session_before, had, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->session, slot, __ATOMIC_SEQ_CST);
}

static void set_policy(struct key_slot *s, uint8_t way, uint8_t refuse_static)
{
	__atomic_store_n(&s->way, way, __ATOMIC_RELAXED);
	__atomic_store_n(&s->refuse_static, refuse_static != 0, __ATOMIC_RELAXED);
	__atomic_store_n(&s->wanted_s, 0, __ATOMIC_RELAXED);
}

static void look_soon(const struct control *c)
{
	c->sessions->next_look = mono_min(c->sessions->next_look, mono_add_ms(c->now, FIRST_LOOK_MS));
}

static void tell_gone(struct control *c, uint32_t index, int error)
{
	const struct ctl_session_gone gone = {.index = index, .error = error};

	control_send(c, CTL_SESSION_GONE, &gone, sizeof(gone));
}

static enum skey_state state_of(unsigned slot)
{
	switch (slot) {
	case CTL_SESSION_SEND:
		return SKEY_STATE_SEND;
	case CTL_SESSION_NEXT:
		return SKEY_STATE_NEXT;
	case CTL_SESSION_OLD:
	case CTL_SESSION_OLDEST:
		return SKEY_STATE_OLD;
	default:
		return SKEY_STATE_NONE;
	}
}

/* One with this index waits to be wiped. Its SESSION_GONE would free the row of a second one, which would then use
 * nonces again. */
static bool is_dying(const struct control *c, uint32_t index)
{
	const struct control_sessions *all = c->sessions;

	for (uint32_t slot = all->dying_first; slot; slot = all->held[slot].next)
		if (all->held[slot].info.index == index)
			return true;
	return false;
}

/* 0 and the slot, or -errno: as skeys_add(), and -ETIME for one whose time is over. */
static int add(struct control *c, const struct ctl_session_key *key, uint32_t *slot)
{
	const struct ctl_session_info *i = &key->info;
	struct skey_given given = {
		.generation = i->generation,
		.row = i->row,
		.net64 = i->net64,
		.index = i->index,
		.far_index = i->far_index,
		.far_lanes = i->far_lanes,
		.our_lanes = i->our_lanes,
		.state = state_of(i->slot),
		.made = {.us = i->made_us},
	};
	/* Not c->now: the record may have been written after the turn began. */
	const struct mono now = mono_now();
	int r;

	if (i->made_us > now.us)
		return -EINVAL;
	if (i->made_us <= now.us - AGE_US)
		return -ETIME;
	if (is_dying(c, i->index))
		return -EEXIST;
	memcpy(given.memory, i->memory, sizeof(given.memory));
	memcpy(given.pk.b, i->public_key, sizeof(given.pk.b));
	memcpy(given.send.b, key->send, sizeof(given.send.b));
	memcpy(given.receive.b, key->receive, sizeof(given.receive.b));
	r = skeys_add(c->f.skeys, &given, slot);
	secret_wipe(&given, sizeof(given));
	return r;
}

static const char *add_sentence(int error)
{
	switch (error) {
	case -ENODEV:
		return "SESSION_KEY before START";
	case -ESTALE:
		return "SESSION_KEY: of another memory or generation, or not the owner of its row";
	case -EEXIST:
		return "SESSION_KEY: the index is in use";
	case -ENOSPC:
		return "SESSION_KEY: no slot free";
	default:
		return "SESSION_KEY: index, lanes, slot or time";
	}
}

static void refuse_key(struct control *c, uint32_t index, int error)
{
	if (error == -ETIME) {
		tell_gone(c, index, 0);
		return;
	}
	control_refuse(c, add_sentence(error));
	/* Where the index is in use, that would free the row of the key that lives. */
	if (error != -EEXIST)
		tell_gone(c, index, error);
}

/* The key in the slot seals from now on. */
static void publish(struct control *c, uint32_t slot)
{
	const struct skey *s = skeys_slot(c->f.skeys, slot);
	struct key_slot *peer = static_of(c, s->net64, &s->pk);

	if (!peer)
		return;
	set_session(peer, slot);
	look_again(c, s->net64);
}

void control_sessions_add(struct control *c, const struct ctl_session_key *key)
{
	uint32_t slot = 0;
	const int r = c->running ? add(c, key, &slot) : -ENODEV;

	if (r) {
		refuse_key(c, key->info.index, r);
		return;
	}
	c->sessions->held[slot] = (struct control_session){.info = key->info};
	look_soon(c);
	if (key->info.slot == CTL_SESSION_SEND)
		publish(c, slot);
}

/* A record for a key that has just gone crosses its SESSION_GONE: nothing to complain about. */
static uint32_t find(const struct control *c, uint32_t index)
{
	const struct skey *s = skeys_find(c->f.skeys, index);

	return s ? skeys_number(c->f.skeys, s) : 0;
}

void control_sessions_move(struct control *c, const struct ctl_session_move *move)
{
	const enum skey_state state = state_of(move->slot);
	uint32_t slot;

	/* A key that sealed is never unconfirmed again. */
	if (!c->running || state == SKEY_STATE_NONE || state == SKEY_STATE_NEXT) {
		control_refuse(c, c->running ? "SESSION_MOVE: slot" : "SESSION_MOVE before START");
		return;
	}
	slot = find(c, move->index);
	if (!slot)
		return;
	c->sessions->held[slot].info.slot = move->slot;
	skeys_move(c->f.skeys, slot, state);
	if (state == SKEY_STATE_SEND)
		publish(c, slot);
}

static void unlink_static(struct key_slot *s, uint32_t slot)
{
	if (__atomic_load_n(&s->session, __ATOMIC_RELAXED) == slot)
		__atomic_store_n(&s->session, 0, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&s->session_before, __ATOMIC_RELAXED) == slot)
		__atomic_store_n(&s->session_before, 0, __ATOMIC_SEQ_CST);
}

void control_sessions_bury(struct control *c, uint32_t slot, int error)
{
	const struct skey *s = skeys_slot(c->f.skeys, slot);
	struct key_slot *peer = static_of(c, s->net64, &s->pk);
	struct control_sessions *all = c->sessions;
	struct control_session *h = &all->held[slot];

	assert(!h->dying);
	if (peer)
		unlink_static(peer, slot);
	skeys_hide(c->f.skeys, slot);
	h->dying = true;
	h->error = error;
	h->next = 0;
	h->mark = table_mark(c->f.table);
	if (all->dying_last)
		all->held[all->dying_last].next = slot;
	else
		all->dying_first = slot;
	all->dying_last = slot;
}

bool control_sessions_reap(struct control *c)
{
	struct control_sessions *all = c->sessions;

	while (all->dying_first) {
		const uint32_t slot = all->dying_first;
		const struct control_session *h = &all->held[slot];

		if (!table_is_quiet(c->f.table, h->mark))
			return true;
		skeys_wipe(c->f.skeys, slot);
		tell_gone(c, h->info.index, h->error);
		all->dying_first = h->next;
	}
	all->dying_last = 0;
	return false;
}

void control_sessions_del(struct control *c, const struct ctl_session_del *del)
{
	uint32_t slot;

	if (!c->running) {
		control_refuse(c, "SESSION_DEL before START");
		return;
	}
	slot = find(c, del->index);
	if (slot)
		control_sessions_bury(c, slot, 0);
}

void control_sessions_policy(struct control *c, const struct ctl_policy *policy)
{
	const struct pubkey *pk = (const struct pubkey *)policy->public_key;
	struct key_slot *s;

	if (!c->running || policy->way > CTL_WAY_HOLD) {
		control_refuse(c, c->running ? "POLICY: way" : "POLICY before START");
		return;
	}
	s = static_of(c, policy->net64, pk);
	if (!s)
		return;
	set_policy(s, policy->way, policy->refuse_static);
	look_again(c, policy->net64);
}

/* The slot of the session that the record names, if it is one of this peer that may seal. */
static uint32_t named_by(const struct control *c, const struct ctl_key *key)
{
	const struct pubkey *pk = (const struct pubkey *)key->public_key;
	const struct skey *s = key->session ? skeys_find(c->f.skeys, key->session) : NULL;

	if (!s || s->net64 != key->net64 || !pubkey_eq(&s->pk, pk) || s->state == SKEY_STATE_NEXT)
		return 0;
	return skeys_number(c->f.skeys, s);
}

void control_sessions_link(struct control *c, uint32_t slot, const struct ctl_key *key)
{
	struct key_slot *s = keys_slot(c->f.keys, slot);

	/* Of a new one nothing is told yet, whatever was told of the one before in its slot. */
	if (!__atomic_load_n(&s->sealed, __ATOMIC_RELAXED) && !__atomic_load_n(&s->opened, __ATOMIC_RELAXED))
		c->sessions->told[slot] = 0;
	set_policy(s, key->way, key->refuse_static);
	set_session(s, named_by(c, key));
	look_soon(c);
}

void control_sessions_each(struct control *c, void (*give)(void *ctx, const struct ctl_session_info *info), void *ctx)
{
	for (uint32_t slot = skeys_next(c->f.skeys, 0); slot; slot = skeys_next(c->f.skeys, slot)) {
		const struct skey *s = skeys_slot(c->f.skeys, slot);
		struct control_session *h = &c->sessions->held[slot];
		struct ctl_session_info info = h->info;

		info.confirmed = __atomic_load_n(&s->confirmed, __ATOMIC_RELAXED);
		/* Its row is still held; SESSION_GONE follows. */
		if (h->dying)
			info.slot = 0;
		give(ctx, &info);
		h->told = 0;
	}
	look_soon(c);
}
