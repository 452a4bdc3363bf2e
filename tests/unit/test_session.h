/* SPDX-License-Identifier: Apache-2.0 */
/* One session core in a world of its own: clocks that are set, everything it says and every key it makes recorded; and
 * far nodes that write each message field by field, rightly or wrongly. For the test_session programs. */
#ifndef TESTS_UNIT_TEST_SESSION_H
#define TESTS_UNIT_TEST_SESSION_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "controld/session/carrier.h"
#include "controld/session/handshake.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { SAID_MAX = 8192, KEYS_MAX = 8192, TOLD_MAX = 64, MS = 1000, SECOND = 1000 * MS, START_S = 1000 };
#define NS_PER_S INT64_C(1000000000)
#define REAL_NS (1700000000 * NS_PER_S)

struct node {
	struct privkey sk;
	struct pubkey pk;
	struct ip6 address;
};

struct said {
	struct session_out out; /* borrows from bytes */
	uint8_t bytes[CARRIER_INIT_BYTES];
	struct mono at;
};

struct held {
	struct session_key key;
	struct session_secrets secrets;
	bool live;
};

struct world {
	struct session_core *c;
	struct session_config config;
	struct session_time t;
	struct mono due; /* as the last tick said */
	struct node self;
	struct said *said;
	size_t said_count;
	struct held *keys;
	size_t key_count;
	struct session_event events[TOLD_MAX]; /* modulo */
	size_t event_count;
	struct session_policy policy; /* told last, of policy_pk */
	struct pubkey policy_pk;
	size_t policy_count;
	struct session_pin pin; /* set last */
	size_t pin_sets, pin_dels;
	bool full, asked_known; /* room for keys: is there none, and for whom was it asked last */
	uint64_t dice;
	uint32_t fixed[4]; /* the next 32-bit numbers to be drawn, last first */
	size_t fixed_count;
};

static inline struct node node_of(uint32_t n)
{
	struct node out = {0};

	memcpy(out.sk.b + 1, &n, sizeof(n)); /* the lowest bits do not count */
	out.sk.b[31] = 64;
	assert_int_equal(crypto_scalarmult_base(out.pk.b, out.sk.b), 0);
	network200.address(&out.pk, &out.address);
	return out;
}

static inline void world_send(void *ctx, const struct session_out *out)
{
	struct world *w = ctx;
	struct said *s;

	assert_true(w->said_count < SAID_MAX);
	assert_true(out->len <= sizeof(s->bytes));
	s = &w->said[w->said_count++];
	s->out = *out;
	s->at = w->t.now;
	memcpy(s->bytes, out->bytes, out->len);
	s->out.bytes = s->bytes;
}

static inline void world_random(void *ctx, void *out, size_t len)
{
	struct world *w = ctx;

	if (len == sizeof(w->fixed[0]) && w->fixed_count) {
		memcpy(out, &w->fixed[--w->fixed_count], len);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		w->dice = w->dice * UINT64_C(6364136223846793005) + 1442695040888963407;
		((uint8_t *)out)[i] = (uint8_t)(w->dice >> 56);
	}
}

/* The live key with this index, or in this slot of a peer; NULL: none. */
static inline struct held *held_at(const struct world *w, const struct pubkey *pk, enum session_slot slot)
{
	for (size_t i = 0; i < w->key_count; i++)
		if (w->keys[i].live && w->keys[i].key.slot == slot && pubkey_eq(&w->keys[i].key.pk, pk))
			return &w->keys[i];
	return NULL;
}

static inline struct held *held_find(const struct world *w, uint32_t index)
{
	for (size_t i = 0; i < w->key_count; i++)
		if (w->keys[i].live && w->keys[i].key.index == index)
			return &w->keys[i];
	return NULL;
}

static inline void world_key_add(void *ctx, const struct session_key *key, const struct session_secrets *secrets)
{
	struct world *w = ctx;

	assert_true(w->key_count < KEYS_MAX);
	assert_true(key->index != 0);
	assert_null(held_find(w, key->index));
	assert_null(held_at(w, &key->pk, key->slot));
	w->keys[w->key_count++] = (struct held){.key = *key, .secrets = *secrets, .live = true};
}

static inline void world_key_move(void *ctx, uint32_t index, enum session_slot slot)
{
	struct held *h = held_find(ctx, index);

	assert_non_null(h);
	assert_null(held_at(ctx, &h->key.pk, slot));
	h->key.slot = slot;
}

static inline void world_key_del(void *ctx, uint32_t index)
{
	struct held *h = held_find(ctx, index);

	assert_non_null(h);
	h->live = false;
}

static inline bool world_has_room(void *ctx, bool known)
{
	struct world *w = ctx;

	w->asked_known = known;
	return !w->full;
}

static inline void world_policy(void *ctx, const struct pubkey *pk, uint64_t net64, struct session_policy policy)
{
	struct world *w = ctx;

	(void)net64;
	w->policy = policy;
	w->policy_pk = *pk;
	w->policy_count++;
}

static inline void world_pin_set(void *ctx, const struct session_pin *pin)
{
	struct world *w = ctx;

	w->pin = *pin;
	w->pin_sets++;
}

static inline void world_pin_del(void *ctx, uint64_t net64)
{
	(void)net64;
	((struct world *)ctx)->pin_dels++;
}

static inline void world_event(void *ctx, const struct session_event *event)
{
	struct world *w = ctx;

	w->events[w->event_count++ % TOLD_MAX] = *event;
}

static inline struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->said = calloc(SAID_MAX, sizeof(*w->said));
	w->keys = calloc(KEYS_MAX, sizeof(*w->keys));
	assert_true(w->said && w->keys);
	w->t = (struct session_time){.now = {.us = (int64_t)START_S * SECOND}, .real_ns = REAL_NS};
	w->self = node_of(1);
	w->dice = 1;
	w->config = (struct session_config){.network = &network200,
					    .pk = w->self.pk,
					    .sk = &w->self.sk,
					    .mode = SESSION_OPPORTUNISTIC,
					    .lanes = 16,
					    .capabilities = 1};
	return w;
}

/* Begins a life of the core with w->config; what fastpath holds is forgotten. */
static inline void world_start(struct world *w)
{
	static const struct session_ops ops = {
		.send = world_send,
		.random = world_random,
		.key_add = world_key_add,
		.key_move = world_key_move,
		.key_del = world_key_del,
		.has_room = world_has_room,
		.policy = world_policy,
		.pin_set = world_pin_set,
		.pin_del = world_pin_del,
		.event = world_event,
	};

	session_free(w->c);
	for (size_t i = 0; i < w->key_count; i++)
		w->keys[i].live = false;
	w->c = session_new(&w->config, &ops, w, w->t);
}

static inline struct world *world_default(void)
{
	struct world *w = world_new();

	world_start(w);
	return w;
}

static inline void world_free(struct world *w)
{
	session_free(w->c);
	free(w->said);
	free(w->keys);
	free(w);
}

/* Lets time pass, with a tick whenever the core wants one. */
static inline void pass_ms(struct world *w, int64_t ms)
{
	const struct mono end = mono_add_ms(w->t.now, ms);

	for (w->due = session_tick(w->c, w->t); mono_is_due(w->due, end); w->due = session_tick(w->c, w->t)) {
		assert_true(w->due.us > w->t.now.us);
		w->t.real_ns += mono_since_us(w->due, w->t.now) * 1000;
		w->t.now = w->due;
	}
	w->t.real_ns += mono_since_us(end, w->t.now) * 1000;
	w->t.now = end;
}

/* How often this was said to a node since place. */
static inline size_t said_since(const struct world *w, size_t place, enum session_type type)
{
	size_t count = 0;

	for (size_t i = place; i < w->said_count; i++)
		count += w->said[i].out.type == type;
	return count;
}

static inline const struct said *said_last(const struct world *w, enum session_type type)
{
	assert_true(w->said_count > 0);
	assert_int_equal(w->said[w->said_count - 1].out.type, type);
	return &w->said[w->said_count - 1];
}

static inline bool was_told(const struct world *w, enum session_event_kind kind)
{
	return w->event_count && w->events[(w->event_count - 1) % TOLD_MAX].kind == kind;
}

/* A body from a node, as opened by its static key, or by the session key with an index of ours. */
static inline struct session_packet packet_of(const struct world *w, const struct node *n, enum session_type type,
					      const void *bytes, size_t len)
{
	return (struct session_packet){.type = (uint8_t)type,
				       .src = n->address,
				       .dst = w->self.address,
				       .pk = n->pk,
				       .bytes = bytes,
				       .len = len};
}

/* In a copy of exactly its length, so that reading too far is seen. */
static inline void give_packet(struct world *w, const struct session_packet *p)
{
	struct session_packet copy = *p;
	uint8_t *bytes = malloc(p->len ? p->len : 1);

	assert_non_null(bytes);
	if (p->len)
		memcpy(bytes, p->bytes, p->len);
	copy.bytes = bytes;
	session_packet(w->c, &copy, w->t);
	free(bytes);
}

static inline void give(struct world *w, const struct node *n, enum session_type type, const void *bytes, size_t len)
{
	const struct session_packet p = packet_of(w, n, type, bytes, len);

	give_packet(w, &p);
}

static inline void give_control(struct world *w, const struct node *n, uint32_t index, enum carrier_control kind)
{
	const uint8_t body[CARRIER_CONTROL_BYTES] = {(uint8_t)kind};
	struct session_packet p = packet_of(w, n, SESSION_CONTROL, body, sizeof(body));

	p.index = index;
	give_packet(w, &p);
}

/* A far node's side of one handshake. What is zero is filled in rightly. */
struct far {
	struct node n;
	struct carrier_init init;
	struct ip6 initiator, responder; /* for the prologue */
	const struct node *claim; /* whose static key goes into INIT */
	size_t len; /* of INIT, with extension */
	struct session_psk psk;
	struct handshake hs;
	struct carrier_choice choice; /* ours, or theirs */
	struct session_secrets secrets;
	uint8_t body[CARRIER_INIT_MAX_BYTES + 1];
};

static inline void stamp_at(struct far *f, int64_t ns)
{
	struct wr w = wr_init(f->init.stamp, sizeof(f->init.stamp));

	carrier_write_stamp(&w, ns);
}

static inline struct far far_of(const struct world *w, uint32_t n)
{
	struct far f = {.n = node_of(n),
			.init = {.sender = 0x1000 + n, .lowest = 1, .highest = 1, .lanes = 8, .capabilities = 3},
			.responder = w->self.address,
			.len = CARRIER_INIT_BYTES,
			.choice = {.sender = 0x2000 + n, .version = 1, .lanes = 8, .capabilities = 3}};

	f.initiator = f.n.address;
	stamp_at(&f, w->t.real_ns);
	return f;
}

static inline void far_begin(struct far *f, const struct pubkey *responder)
{
	uint8_t prologue[CARRIER_PROLOGUE_MAX_BYTES + 8];
	struct wr w = wr_init(prologue, sizeof(prologue));

	carrier_write_prologue(&w, &f->initiator, &f->responder, f->body, f->len);
	handshake_begin(&f->hs, prologue, wr_len(&w), responder);
}

/* INIT into f->body. */
static inline void far_write_init(struct world *w, struct far *f)
{
	const struct node *s = f->claim ? f->claim : &f->n;
	const struct handshake_self self = {.sk = &s->sk, .pk = s->pk};
	struct wr head = wr_init(f->body, CARRIER_INIT_HEAD_BYTES);

	carrier_write_init(&head, &f->init);
	memset(f->body + CARRIER_INIT_BYTES, 0x5a, sizeof(f->body) - CARRIER_INIT_BYTES);
	world_random(w, f->hs.e.b, sizeof(f->hs.e.b));
	f->hs.rs = w->self.pk;
	far_begin(f, &w->self.pk);
	assert_int_equal(handshake_write_init(&f->hs, &self, NULL, 0, f->body + CARRIER_INIT_HEAD_BYTES), 0);
}

static inline void far_give_init(struct world *w, struct far *f)
{
	far_write_init(w, f);
	give(w, &f->n, SESSION_INIT, f->body, f->len);
}

/* Reads the RESP said last; false if it does not open. */
static inline bool far_read_resp(struct world *w, struct far *f)
{
	const struct said *s = said_last(w, SESSION_RESP);
	const struct handshake_self self = {.sk = &f->n.sk, .pk = f->n.pk};
	const struct handshake_psks psks = {.psk = {&f->psk}, .count = 1};
	struct rd r = rd_init(s->bytes, s->out.len);
	uint8_t payload[CARRIER_CHOICE_BYTES];

	assert_int_equal(s->out.len, CARRIER_RESP_BYTES);
	assert_int_equal(s->out.index, 0);
	assert_true(ip6_eq(&s->out.dst, &f->n.address));
	assert_int_equal(rd_be32(&r), f->init.sender);
	if (handshake_read_resp(&f->hs, &self, &psks, r, payload) != 0)
		return false;
	carrier_read_choice(payload, &f->choice);
	noise_split(&f->hs.noise, &f->secrets.send, &f->secrets.receive);
	return true;
}

/* The whole handshake from the far side, up to RESP; the core's key is unconfirmed. Returns its index. */
static inline uint32_t far_shake(struct world *w, struct far *f)
{
	const struct held *h;

	far_give_init(w, f);
	assert_true(far_read_resp(w, f));
	h = held_find(w, f->choice.sender);
	assert_non_null(h);
	assert_memory_equal(&h->secrets.send, &f->secrets.receive, sizeof(struct aead_key));
	assert_memory_equal(&h->secrets.receive, &f->secrets.send, sizeof(struct aead_key));
	assert_int_equal(h->key.far_index, f->init.sender);
	assert_int_equal(h->key.slot, SESSION_NEXT);
	return f->choice.sender;
}

/* The same, and confirmed: a session. */
static inline uint32_t far_session(struct world *w, struct far *f)
{
	const uint32_t index = far_shake(w, f);

	session_confirmed(w->c, index, w->t);
	assert_int_equal(held_find(w, index)->key.slot, SESSION_SEND);
	return index;
}

/* Reads an INIT of the core's and writes RESP into f->body. */
static inline void far_write_resp(struct world *w, struct far *f, const struct said *s)
{
	const struct handshake_self self = {.sk = &f->n.sk, .pk = f->n.pk};
	uint8_t payload[CARRIER_CHOICE_BYTES], none[1];
	struct wr cw = wr_init(payload, sizeof(payload));

	assert_int_equal(s->out.type, SESSION_INIT);
	assert_int_equal(s->out.len, CARRIER_INIT_BYTES);
	assert_int_equal(s->out.index, 0);
	assert_true(ip6_eq(&s->out.dst, &f->n.address));
	memcpy(f->body, s->bytes, s->out.len);
	carrier_read_init(f->body, &f->init);
	f->len = CARRIER_INIT_BYTES;
	f->initiator = w->self.address;
	f->responder = f->n.address;
	far_begin(f, &f->n.pk);
	assert_int_equal(handshake_read_init(&f->hs, &self, rd_init(f->body + CARRIER_INIT_HEAD_BYTES, 96), none), 0);
	assert_true(pubkey_eq(&f->hs.rs, &w->self.pk));
	world_random(w, f->hs.e.b, sizeof(f->hs.e.b));
	carrier_write_choice(&cw, &f->choice);
	assert_int_equal(handshake_write_resp(&f->hs, &f->psk, payload, sizeof(payload), f->body + 4), 0);
	noise_split(&f->hs.noise, &f->secrets.receive, &f->secrets.send);
}

static inline void far_give_resp(struct world *w, struct far *f)
{
	give(w, &f->n, SESSION_RESP, f->body, CARRIER_RESP_BYTES);
}

/* The core wants a session and gets it. Returns its index. */
static inline uint32_t far_answer(struct world *w, struct far *f)
{
	const struct held *h;

	far_write_resp(w, f, said_last(w, SESSION_INIT));
	far_give_resp(w, f);
	h = held_at(w, &f->n.pk, SESSION_SEND);
	assert_non_null(h);
	assert_int_equal(h->key.index, f->init.sender);
	assert_int_equal(h->key.far_index, f->choice.sender);
	assert_memory_equal(&h->secrets.send, &f->secrets.receive, sizeof(struct aead_key));
	assert_memory_equal(&h->secrets.receive, &f->secrets.send, sizeof(struct aead_key));
	return h->key.index;
}

/* Both, beginning with data. */
static inline uint32_t far_wanted_session(struct world *w, struct far *f)
{
	session_want(w->c, &f->n.pk, w->t);
	return far_answer(w, f);
}

/* Traffic in the session, now. */
static inline void report(struct world *w, uint32_t index, bool sealed, bool opened)
{
	const struct session_use use = {
		.index = index, .sealed = {.us = sealed ? w->t.now.us : 0}, .opened = {.us = opened ? w->t.now.us : 0}};

	session_use(w->c, &use, w->t);
}

#endif
