/* SPDX-License-Identifier: Apache-2.0 */
/* Session keys in a control thread of fastpath that runs in a child: what the test, as its controld, gives it and asks
 * it. Static keys and sessions of a peer named by a small number. */
#ifndef TESTS_UNIT_CONTROL_SESSION_WORLD_H
#define TESTS_UNIT_CONTROL_SESSION_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "shared/base/rows.h"
#include "shared/base/siphash.h"
#include "tests/support/ctlchild.h"
#include "tests/unit/control_worker.h"
#include <cmocka.h>
#include <errno.h>

enum { VIA = 2, VIA_OTHER = 3, SECOND_US = 1000000, LOCKED_BYTES = 16 << 20 };

#define NET64(peer) (UINT64_C(0x0200000000000000) + (peer))

static inline int setup(void **state)
{
	static struct ctlchild w;

	ctlchild_locked_bytes = LOCKED_BYTES;
	ctlchild_begin(&w, 60000, 60000);
	*state = &w;
	return 0;
}

static inline int teardown(void **state)
{
	return ctlchild_end(*state);
}

/* Started, with a link of each worker. */
static inline void begin(struct ctlchild *w)
{
	ctlpeer_connect(&w->a, w->path);
	ctlchild_start(w, &w->a);
	close(ctlchild_adopt(&w->a, VIA));
	close(ctlchild_adopt(&w->a, VIA_OTHER));
}

/* Both workers were told to look at the /64 again. */
static inline void expect_look(struct ctlpeer *c, uint64_t net64)
{
	for (int i = 0; i < CTLCHILD_WORKERS; i++)
		assert_int_equal(((const struct ctl_want_key *)ctlpeer_await(c, CTL_WANT_KEY)->body)->net64, net64);
}

static inline struct ctl_key static_key(uint8_t peer)
{
	return (struct ctl_key){.net64 = NET64(peer), .public_key = {peer}, .secret = {peer, 2}};
}

static inline void put_static(struct ctlpeer *c, const struct ctl_key *key)
{
	ctlpeer_put(c, CTL_KEY, key, sizeof(*key));
	expect_look(c, key->net64);
}

static inline struct ctl_session_key session_key(uint8_t peer, uint32_t index, enum ctl_session_slot slot)
{
	return (struct ctl_session_key){
		.info = {.memory = {1, 2, 3},
			 .net64 = NET64(peer),
			 .public_key = {peer},
			 .made_us = mono_now().us,
			 .row = index,
			 .index = index,
			 .far_index = index + 1000,
			 .capabilities = 1,
			 .far_lanes = 2,
			 .our_lanes = LIMIT_SESSION_LANES,
			 .slot = (uint8_t)slot,
			 .initiator = 1},
		.send = {peer, 3},
		.receive = {peer, 4},
	};
}

static inline void put_session(struct ctlpeer *c, const struct ctl_session_key *key)
{
	ctlpeer_put(c, CTL_SESSION_KEY, key, sizeof(*key));
}

/* A good one, in the row with the number of its index. */
static inline void give_session(struct ctlchild *w, struct ctlpeer *c, uint8_t peer, uint32_t index,
				enum ctl_session_slot slot)
{
	const struct ctl_session_key key = session_key(peer, index, slot);

	rows_begin(w->lanes, index, index);
	put_session(c, &key);
}

static inline void put_move(struct ctlpeer *c, uint32_t index, unsigned slot)
{
	const struct ctl_session_move move = {.index = index, .slot = (uint8_t)slot};

	ctlpeer_put(c, CTL_SESSION_MOVE, &move, sizeof(move));
}

static inline void put_del(struct ctlpeer *c, uint32_t index)
{
	const struct ctl_session_del del = {.index = index};

	ctlpeer_put(c, CTL_SESSION_DEL, &del, sizeof(del));
}

static inline void put_policy(struct ctlpeer *c, uint8_t peer, uint8_t owner, uint8_t way, uint8_t refuse)
{
	const struct ctl_policy policy = {
		.net64 = NET64(peer), .public_key = {owner}, .way = way, .refuse_static = refuse};

	ctlpeer_put(c, CTL_POLICY, &policy, sizeof(policy));
}

static inline void expect_gone(struct ctlpeer *c, uint32_t index, int error)
{
	const struct ctl_session_gone *gone = (const void *)ctlpeer_await(c, CTL_SESSION_GONE)->body;

	assert_int_equal(gone->index, index);
	assert_int_equal(gone->error, error);
}

static inline void expect_no_gone(struct ctlpeer *c)
{
	ctlpeer_sync(c);
	assert_false(ctlpeer_has_seen(c, CTL_SESSION_GONE));
}

static inline void expect_named(struct ctlpeer *c, uint8_t peer, uint32_t session, uint32_t before)
{
	const struct ctlchild_key k = ctlchild_look_key(c, VIA, NET64(peer));

	assert_int_not_equal(k.slot, 0);
	assert_int_equal(k.session, session);
	assert_int_equal(k.session_before, before);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
