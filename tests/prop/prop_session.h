/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes whose fastpath is a model: it keeps slots as it is told, seals by name instead of by cipher, and opens what is
 * sealed under a key it holds, once per counter. The network between loses, repeats, delays; an attacker records what
 * passes and sends it again, or back. What it never does is to make a sealed packet of its own. */
#ifndef TESTS_PROP_PROP_SESSION_H
#define TESTS_PROP_PROP_SESSION_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "controld/session/carrier.h"
#include "controld/session/session.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum {
	NODES = 3,
	KEYS = 32, /* of one node at a time */
	FLYING = 2048,
	TAPE = 64, /* what the attacker has recorded */
	SECRETS = 8192,
	COUNTERS = 4096, /* of one key */
	BODY = CARRIER_INIT_BYTES,
	DATA_BYTES = 100,
	SECOND = 1000 * 1000,
};
#define NS_PER_S INT64_C(1000000000)

/* As the sealed packet is seen by who can open it. */
struct packet {
	uint8_t src, dst; /* nodes, as the outer addresses say */
	uint8_t pair[2]; /* whose static pair sealed it; or, in a session: */
	bool keyed, data;
	uint32_t index, counter;
	struct aead_key key;
	uint8_t type, body[BODY];
	size_t len;
	struct mono due;
};

struct slot {
	bool used;
	struct session_key key;
	struct session_secrets secrets;
	struct mono moved;
	uint32_t counter;
	bool seen[COUNTERS];
	struct session_use use;
	bool traffic;
};

struct node {
	struct world *world;
	uint8_t number;
	struct session_core *c;
	struct privkey sk;
	struct pubkey pk;
	struct ip6 address;
	int64_t real_offset_ns;
	struct slot slots[KEYS];
	struct session_pin pins[NODES]; /* the store; first_ns 0: none */
	bool talks[NODES], told[NODES];
	struct session_policy policy[NODES];
	uint32_t got[NODES]; /* data that came from there */
	bool losing; /* all keys go, and that is right */
	uint64_t inits;
};

struct world {
	struct node nodes[NODES];
	int count;
	struct mono now, report;
	unsigned loss, repeat, attack; /* of a hundred */
	struct packet flying[FLYING], tape[TAPE];
	size_t flying_count, taped;
	struct aead_key secrets[SECRETS]; /* all that ever sealed */
	size_t secret_count;
	size_t answered_bytes; /* by what is being delivered, without INITs */
};

extern uint64_t random_state;

static inline uint64_t rnd(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static inline bool chance(unsigned percent)
{
	return rnd() % 100 < percent;
}

static inline struct session_time time_of(const struct node *n)
{
	return (struct session_time){.now = n->world->now, .real_ns = n->world->now.us * 1000 + n->real_offset_ns};
}

static inline struct node *node_with(struct world *w, const struct pubkey *pk)
{
	for (int i = 0; i < w->count; i++)
		if (pubkey_eq(&w->nodes[i].pk, pk))
			return &w->nodes[i];
	fail_msg("a key of nobody");
	return NULL;
}

static inline struct slot *slot_find(struct node *n, uint32_t index)
{
	for (int i = 0; i < KEYS; i++)
		if (n->slots[i].used && n->slots[i].key.index == index)
			return &n->slots[i];
	return NULL;
}

static inline struct slot *slot_at(struct node *n, const struct pubkey *pk, enum session_slot slot)
{
	for (int i = 0; i < KEYS; i++)
		if (n->slots[i].used && n->slots[i].key.slot == slot && pubkey_eq(&n->slots[i].key.pk, pk))
			return &n->slots[i];
	return NULL;
}

/* Into the network, after some delay, perhaps. */
static inline void fly(struct world *w, const struct packet *p)
{
	if (chance(w->loss) || w->flying_count == FLYING)
		return;
	w->flying[w->flying_count] = *p;
	w->flying[w->flying_count++].due =
		mono_add_us(w->now, 1000 + (int64_t)(rnd() % (chance(w->loss) ? 3000000 : 50000)));
}

static inline void launch(struct world *w, const struct packet *p)
{
	w->tape[w->taped++ % TAPE] = *p;
	fly(w, p);
	if (chance(w->repeat))
		fly(w, p);
}

/* Something recorded comes again, or comes back to where it came from. */
static inline void strike(struct world *w)
{
	struct packet p;

	if (!w->taped)
		return;
	p = w->tape[rnd() % (w->taped < TAPE ? w->taped : TAPE)];
	if (chance(30)) {
		const uint8_t src = p.src;

		p.src = p.dst;
		p.dst = src;
	}
	fly(w, &p);
}

/* Seals by the key in `send`; counts. */
static inline void seal_keyed(struct node *n, struct packet *p)
{
	struct slot *s = slot_at(n, &n->world->nodes[p->dst].pk, SESSION_SEND);

	assert_non_null(s);
	assert_true(mono_since_us(n->world->now, s->key.made) <= 300 * (int64_t)SECOND);
	p->keyed = true;
	p->index = s->key.far_index;
	p->counter = s->counter++;
	p->key = s->secrets.send;
	assert_true(s->counter < COUNTERS);
	if (p->data) {
		s->use.sealed = n->world->now;
		s->traffic = true;
	}
}

static inline void on_send(void *ctx, const struct session_out *out)
{
	struct node *n = ctx, *to = node_with(n->world, &out->pk);
	struct packet p = {.src = n->number, .dst = to->number, .pair = {n->number, to->number}, .type = out->type};

	assert_true(out->len <= BODY);
	assert_true(ip6_eq(&out->dst, &to->address));
	assert_int_equal(out->index != 0, out->type == SESSION_CONTROL);
	p.len = out->len;
	memcpy(p.body, out->bytes, out->len);
	if (out->index) {
		assert_int_equal(slot_at(n, &out->pk, SESSION_SEND)->key.index, out->index);
		seal_keyed(n, &p);
	}
	if (out->type == SESSION_INIT)
		n->inits++;
	else
		n->world->answered_bytes += out->len + WIRE_SEALED_MIN_BYTES;
	launch(n->world, &p);
}

static inline void on_random(void *ctx, void *out, size_t len)
{
	(void)ctx;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)out)[i] = (uint8_t)(rnd() >> 32);
}

static inline void on_key_add(void *ctx, const struct session_key *key, const struct session_secrets *secrets)
{
	struct node *n = ctx;
	struct world *w = n->world;
	struct slot *s = n->slots;

	assert_true(key->slot == SESSION_SEND ? key->initiator : key->slot == SESSION_NEXT);
	assert_null(slot_find(n, key->index));
	assert_null(slot_at(n, &key->pk, key->slot));
	while (s->used)
		assert_true(++s < n->slots + KEYS);
	for (size_t i = 0; i < w->secret_count; i++)
		assert_memory_not_equal(&w->secrets[i], &secrets->send, sizeof(secrets->send));
	assert_true(w->secret_count < SECRETS);
	w->secrets[w->secret_count++] = secrets->send;
	*s = (struct slot){.used = true, .key = *key, .secrets = *secrets, .moved = w->now};
	s->use.index = key->index;
}

static inline void on_key_move(void *ctx, uint32_t index, enum session_slot slot)
{
	struct node *n = ctx;
	struct slot *s = slot_find(n, index);

	assert_non_null(s);
	assert_null(slot_at(n, &s->key.pk, slot));
	assert_true((s->key.slot == SESSION_NEXT && slot == SESSION_SEND) ||
		    (s->key.slot == SESSION_SEND && slot == SESSION_OLD) ||
		    (s->key.slot == SESSION_OLD && slot == SESSION_OLDEST));
	if (slot != SESSION_OLDEST)
		s->moved = n->world->now;
	s->key.slot = slot;
}

/* Nothing that was confirmed goes before its time, but for the oldest of three. */
static inline void on_key_del(void *ctx, uint32_t index)
{
	struct node *n = ctx;
	struct slot *s = slot_find(n, index);
	const struct mono now = n->world->now;

	assert_non_null(s);
	if (s->key.slot == SESSION_SEND && !n->losing)
		assert_true(mono_since_us(now, s->key.made) >= 300 * (int64_t)SECOND);
	if (s->key.slot == SESSION_OLD && !n->losing)
		assert_true(mono_since_us(now, s->moved) >= 30 * (int64_t)SECOND ||
			    mono_since_us(now, s->key.made) >= 300 * (int64_t)SECOND);
	s->used = false;
}

static inline void on_policy(void *ctx, const struct pubkey *pk, uint64_t net64, struct session_policy policy)
{
	struct node *n = ctx;
	const struct node *peer = node_with(n->world, pk);

	assert_int_equal(net64, ip6_net64(&peer->address));
	assert_int_equal(policy.way == SESSION_BY_KEY, slot_at(n, pk, SESSION_SEND) != NULL);
	n->policy[peer->number] = policy;
	n->told[peer->number] = true;
}

static inline void on_pin_set(void *ctx, const struct session_pin *pin)
{
	struct node *n = ctx;

	n->pins[node_with(n->world, &pin->pk)->number] = *pin;
}

static inline void on_pin_del(void *ctx, uint64_t net64)
{
	struct node *n = ctx;

	for (int i = 0; i < NODES; i++)
		if (n->pins[i].net64 == net64)
			n->pins[i] = (struct session_pin){0};
}

static inline void on_event(void *ctx, const struct session_event *event)
{
	(void)ctx;
	(void)event;
}

#endif
