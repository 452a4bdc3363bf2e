/* SPDX-License-Identifier: Apache-2.0 */
/* Two nodes with one session key between them, each with a shared memory of its own: A made the handshake, B answered.
 * For the test_skey programs. */
#ifndef TESTS_UNIT_SKEY_WORLD_H
#define TESTS_UNIT_SKEY_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "fastpath/skey.h"
#include "shared/base/rows.h"
#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>

enum {
	CAP = 40,
	A_INDEX = 0x11223344,
	B_INDEX = 0x55667788,
	A_ROW = 3,
	B_ROW = LIMIT_SESSION_ROWS - 1,
	OWNER = 1,
	LANES = LIMIT_SESSION_LANES,
	FRAME_ROOM = WIRE_FRAME_MAX_BYTES,
};

static const struct mono made = {.us = INT64_C(5000) * 1000000};

struct side {
	struct ip6 address;
	struct lanes *lanes;
	struct skeys *keys;
	struct skey *key;
};

struct world {
	struct side a, b;
	struct aead_key a_to_b, b_to_a;
	struct mono now;
};

static inline struct lanes *world_lanes(uint8_t id)
{
	struct lanes *l = mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(l != MAP_FAILED);
	l->header.id[0] = id;
	return l;
}

/* What B's controld says of the key; A's is its mirror. */
static inline struct skey_given world_given_b(const struct world *w)
{
	return (struct skey_given){
		.memory = {2},
		.row = B_ROW,
		.net64 = ip6_net64(&w->a.address),
		.pk = {{0xa}},
		.index = B_INDEX,
		.far_index = A_INDEX,
		.far_lanes = LIMIT_SESSION_FAR_LANES,
		.our_lanes = LANES,
		.state = SKEY_STATE_SEND,
		.made = made,
		.send = w->b_to_a,
		.receive = w->a_to_b,
	};
}

static inline struct skey_given world_given_a(const struct world *w)
{
	struct skey_given g = world_given_b(w);

	g.memory[0] = 1;
	g.row = A_ROW;
	g.net64 = ip6_net64(&w->b.address);
	g.pk.b[0] = 0xb;
	g.index = A_INDEX;
	g.far_index = B_INDEX;
	g.send = w->a_to_b;
	g.receive = w->b_to_a;
	return g;
}

static inline void side_init(struct side *s, const struct aead *aead, const struct skey_given *g)
{
	uint32_t slot;

	s->lanes = world_lanes(g->memory[0]);
	s->keys = skeys_new(aead, s->lanes, CAP);
	assert_non_null(s->keys);
	rows_begin(s->lanes, g->row, g->index);
	assert_int_equal(skeys_add(s->keys, g, &slot), 0);
	s->key = skeys_slot(s->keys, slot);
}

/* With these keys and addresses, or any. */
static inline void world_init_as(struct world *w, const struct aead *aead)
{
	const struct skey_given a = world_given_a(w), b = world_given_b(w);

	w->now = made;
	side_init(&w->a, aead, &a);
	side_init(&w->b, aead, &b);
}

static inline void world_init(struct world *w, const struct aead *aead)
{
	*w = (struct world){.a.address = {{2, 0xa, 1, 2, 3, 4, 5, 6, 7}},
			    .b.address = {{2, 0xb, 1, 2, 3, 4, 5, 6, 7}},
			    .a_to_b = {{1, 2, 3}},
			    .b_to_a = {{4, 5, 6}}};
	world_init_as(w, aead);
}

static inline void world_fini(struct world *w)
{
	skeys_free(w->a.keys);
	skeys_free(w->b.keys);
	munmap(w->a.lanes, sizeof(*w->a.lanes));
	munmap(w->b.lanes, sizeof(*w->b.lanes));
}

/* Seals one packet as A for B; plain has 4 bytes of room before it. */
static inline size_t world_seal(struct world *w, unsigned lane, uint8_t type, uint8_t *plain, size_t len, uint8_t *out)
{
	const struct encap_packet p = {
		.plain = plain, .len = len, .type = type, .hop_limit = 64, .src = &w->a.address, .dst = &w->b.address};
	struct skey_run run;
	size_t size;

	assert_int_equal(skey_seal_begin(&run, w->a.keys, w->a.key, lane, 1, w->now), SKEY_OK);
	size = skey_seal(&run, &p, out);
	skey_seal_end(&run);
	return size;
}

/* A packet of a few bytes. */
static inline size_t world_seal_any(struct world *w, unsigned lane, uint8_t *out)
{
	uint8_t plain[4 + 8] = {0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};

	return world_seal(w, lane, WIRE_USER_L3, plain + 4, 8, out);
}

/* B opens it. */
static inline enum skey_verdict world_open(struct world *w, uint8_t *frame, size_t len, struct skey_opened *out)
{
	enum skey_verdict verdict;
	struct skey_opener o;

	skey_open_begin(&o, w->b.keys, OWNER, w->now);
	verdict = skey_open(&o, frame, len, out);
	skey_open_end(&o);
	return verdict;
}

#endif
