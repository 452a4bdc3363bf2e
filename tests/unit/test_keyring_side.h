/* SPDX-License-Identifier: Apache-2.0 */
/* What a keyring meets in its tests: a fastpath that is a table, which keeps the keys it is given and looks at their
 * rows, a store, a network that announces one key, and a record of all that was told. */
#ifndef TESTS_UNIT_TEST_KEYRING_SIDE_H
#define TESTS_UNIT_TEST_KEYRING_SIDE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "controld/keyring.h"
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIDES = 2, HELD = 64, FLYING = 256, BYTES = 256, PINS = 8, SECOND_MS = 1000, START_S = 1000 };
#define NS_PER_S INT64_C(1000000000)
#define REAL_NS (1700000000 * NS_PER_S)

struct node {
	struct privkey sk;
	struct pubkey pk;
	struct ip6 address;
	uint64_t net64;
};

/* A key in the fastpath. */
struct held {
	struct ctl_session_key key;
	struct ctl_session_use use;
	bool live;
};

struct flying {
	struct ctl_user_down u;
	uint8_t bytes[BYTES];
	size_t len;
	struct aead_key key; /* that sealed it, in a session */
	uint32_t far_index;
	uint8_t from;
};

struct side {
	struct world *world;
	uint8_t number;
	struct node self;
	struct keyring *k;
	struct keyring_config config;
	struct lanes *lanes;
	struct mono due;
	struct held held[HELD];
	uint32_t gone[HELD]; /* wiped, not yet told */
	size_t gone_count;
	bool holds_back; /* GONE */
	int32_t refuses; /* the next keys, with this error; 0: takes them */
	struct ctl_policy policy; /* told last */
	struct record_pin pins[PINS]; /* the store; net64 0: none */
	struct record_mode modes[PINS];
	struct node announced; /* by the network; net64 0: none */
	size_t keys_told, moves, dels, policies, users, events, pin_sets, pin_dels;
	struct session_event event; /* told last */
	size_t kinds[SESSION_MISMATCH + 1];
	bool deaf; /* what comes is lost */
};

struct world {
	struct side side[SIDES];
	struct session_time t;
	struct flying flying[FLYING];
	size_t count;
	uint64_t dice;
	int log_fd, stderr_fd;
};

static inline struct node node_of(uint32_t n)
{
	struct node out = {0};

	memcpy(out.sk.b + 1, &n, sizeof(n)); /* the lowest bits do not count */
	out.sk.b[31] = 64;
	assert_int_equal(crypto_scalarmult_base(out.pk.b, out.sk.b), 0);
	network200.address(&out.pk, &out.address);
	out.net64 = ip6_net64(&out.address);
	return out;
}

static inline struct held *held_find(struct side *s, uint32_t index)
{
	for (int i = 0; i < HELD; i++)
		if (s->held[i].live && s->held[i].key.info.index == index)
			return &s->held[i];
	return NULL;
}

static inline struct held *held_at(struct side *s, enum ctl_session_slot slot)
{
	for (int i = 0; i < HELD; i++)
		if (s->held[i].live && s->held[i].key.info.slot == slot)
			return &s->held[i];
	return NULL;
}

static inline size_t held_count(const struct side *s)
{
	size_t n = 0;

	for (int i = 0; i < HELD; i++)
		n += s->held[i].live;
	return n;
}

static inline bool is_zero(const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (((const uint8_t *)bytes)[i])
			return false;
	return true;
}

static inline void told_key(void *ctx, const struct ctl_session_key *key)
{
	struct side *s = ctx;
	struct held *h = s->held;

	s->keys_told++;
	assert_memory_equal(key->info.memory, s->lanes->header.id, sizeof(key->info.memory));
	assert_int_equal(key->info.generation, s->lanes->header.generation);
	assert_int_equal(s->lanes->row_index[key->info.row], key->info.index);
	assert_true(is_zero(&s->lanes->row[key->info.row], sizeof(s->lanes->row[0])));
	assert_int_equal(key->info.our_lanes, LIMIT_SESSION_LANES);
	assert_null(held_find(s, key->info.index));
	if (s->refuses) {
		const struct ctl_session_gone gone = {.index = key->info.index, .error = s->refuses};

		assert_true(s->gone_count < HELD);
		s->gone[s->gone_count++] = gone.index;
		return;
	}
	while (h->live)
		assert_true(++h < s->held + HELD);
	*h = (struct held){.key = *key, .use.index = key->info.index, .live = true};
	s->lanes->row[key->info.row].send[0].next = 1; /* used from now on */
}

static inline bool side_lost(const struct side *s, uint32_t index)
{
	for (size_t i = 0; i < s->gone_count; i++)
		if (s->gone[i] == index)
			return true;
	return false;
}

static inline void told_move(void *ctx, const struct ctl_session_move *m)
{
	struct side *s = ctx;
	struct held *h = held_find(s, m->index);

	s->moves++;
	if (!h) { /* it was refused, which is not heard yet */
		assert_true(side_lost(s, m->index));
		return;
	}
	h->key.info.slot = m->slot;
	h->key.info.confirmed = 0;
}

static inline void told_del(void *ctx, const struct ctl_session_del *d)
{
	struct side *s = ctx;
	struct held *h = held_find(s, d->index);

	s->dels++;
	if (!h)
		return;
	h->live = false;
	assert_true(s->gone_count < HELD);
	s->gone[s->gone_count++] = d->index;
}

static inline void told_policy(void *ctx, const struct ctl_policy *p)
{
	struct side *s = ctx;

	s->policies++;
	s->policy = *p;
}

static inline void told_user(void *ctx, const struct ctl_user_down *u, const uint8_t *bytes, size_t len)
{
	struct side *s = ctx;
	struct world *w = s->world;
	struct flying *f = &w->flying[w->count++];
	const struct held *h = u->session ? held_find(s, u->session) : NULL;

	s->users++;
	assert_true(w->count < FLYING && len <= BYTES);
	assert_int_equal(u->hop_limit, 64);
	assert_true(ip6_eq(&u->src, &s->self.address));
	assert_int_equal(u->session != 0, u->type == SESSION_CONTROL);
	*f = (struct flying){.u = *u, .len = len, .from = s->number};
	memcpy(f->bytes, bytes, len);
	if (!u->session)
		return;
	if (!h) {
		w->count--; /* the key was refused */
		return;
	}
	assert_int_equal(h->key.info.slot, CTL_SESSION_SEND);
	memcpy(f->key.b, h->key.send, sizeof(f->key.b));
	f->far_index = h->key.info.far_index;
}

static inline bool told_key_of(void *ctx, uint64_t net64, struct pubkey *out)
{
	const struct side *s = ctx;

	*out = s->announced.pk;
	return s->announced.net64 == net64;
}

static inline void told_random(void *ctx, void *out, size_t len)
{
	struct side *s = ctx;

	for (size_t i = 0; i < len; i++) {
		s->world->dice = s->world->dice * UINT64_C(6364136223846793005) + 1442695040888963407;
		((uint8_t *)out)[i] = (uint8_t)(s->world->dice >> 56);
	}
}

static inline struct record_pin *pin_at(struct side *s, uint64_t net64)
{
	for (int i = 0; i < PINS; i++)
		if (s->pins[i].net64 == net64)
			return &s->pins[i];
	return NULL;
}

static inline struct record_mode *mode_at(struct side *s, uint64_t net64)
{
	for (int i = 0; i < PINS; i++)
		if (s->modes[i].net64 == net64)
			return &s->modes[i];
	return NULL;
}

static inline void told_pin_set(void *ctx, const struct record_pin *p)
{
	struct side *s = ctx;
	struct record_pin *at = pin_at(s, p->net64);

	s->pin_sets++;
	at = at ? at : pin_at(s, 0);
	if (at) /* of a crowd only the first are kept */
		*at = *p;
}

static inline void told_pin_del(void *ctx, uint64_t net64)
{
	struct side *s = ctx;
	struct record_pin *at = pin_at(s, net64);

	s->pin_dels++;
	if (at)
		*at = (struct record_pin){0};
}

static inline void told_mode_set(void *ctx, const struct record_mode *m)
{
	struct side *s = ctx;
	struct record_mode *at = mode_at(s, m->net64);

	at = at ? at : mode_at(s, 0);
	assert_non_null(at);
	*at = *m;
}

static inline void told_mode_del(void *ctx, uint64_t net64)
{
	struct record_mode *at = mode_at(ctx, net64);

	if (at)
		*at = (struct record_mode){0};
}

static inline void told_event(void *ctx, const struct session_event *e)
{
	struct side *s = ctx;

	s->events++;
	s->event = *e;
	s->kinds[e->kind]++;
}

static const struct keyring_ops ops = {
	.session_key = told_key,
	.session_move = told_move,
	.session_del = told_del,
	.policy = told_policy,
	.user = told_user,
	.key_of = told_key_of,
	.random = told_random,
	.pin_set = told_pin_set,
	.pin_del = told_pin_del,
	.mode_set = told_mode_set,
	.mode_del = told_mode_del,
	.event = told_event,
};

#endif
