/* SPDX-License-Identifier: Apache-2.0 */
/* How much of what makes sessions goes up in a second: of one peer, of all; a replay does not keep out what is new. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "fastpath/worker_state.h"
#include <cmocka.h>
#include <stdlib.h>

enum { INIT_BYTES = 136 };

static struct worker *w;
static struct key_slot key;

static int setup(void **state)
{
	(void)state;
	w = calloc(1, sizeof(*w));
	key = (struct key_slot){.net64 = 1};
	if (w)
		w->now.us = 5000000;
	return w ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(w);
	return 0;
}

static enum stat_id init_of(struct key_slot *k, uint64_t s, uint32_t ns)
{
	uint8_t body[INIT_BYTES] = {0};
	const struct encap_opened o = {.body = body, .len = sizeof(body), .type = WIRE_USER_INIT};
	struct wr stamp = wr_init(body + 12, 12);

	wr_be64(&stamp, s);
	wr_be32(&stamp, ns);
	return carrier_judge(w, k, &o);
}

static enum stat_id answer(uint8_t type)
{
	uint8_t body[64] = {0};
	const struct encap_opened o = {.body = body, .len = sizeof(body), .type = type};

	return carrier_judge(w, &key, &o);
}

static void next_second(void)
{
	w->now.us += 1000000;
}

static void later_ones(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= LIMIT_HANDSHAKE_INITS; i++)
		assert_int_equal(init_of(&key, 100, i), 0);
	assert_int_equal(init_of(&key, 101, 0), STAT_drop_handshake_rate);
	/* It was not let through, so it is still later than all that was. */
	next_second();
	for (uint32_t i = 0; i < LIMIT_HANDSHAKE_INITS; i++)
		assert_int_equal(init_of(&key, 101 + i, 0), 0);
	assert_int_equal(init_of(&key, 1000, 0), STAT_drop_handshake_rate);
}

static void stale_ones(void **state)
{
	(void)state;
	assert_int_equal(init_of(&key, 100, 7), 0);
	for (uint32_t i = 0; i < LIMIT_HANDSHAKE_STALE_INITS; i++)
		assert_int_equal(init_of(&key, 100 - i, i ? UINT32_MAX : 7), 0);
	for (uint32_t i = 0; i < 100000; i++)
		assert_int_equal(init_of(&key, i % 101, 7), STAT_drop_handshake_rate);
	/* The peer's new one passes all the same. */
	assert_int_equal(init_of(&key, 100, 8), 0);
	next_second();
	assert_int_equal(init_of(&key, 1, 1), 0);
}

static void answers(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < LIMIT_HANDSHAKE_ANSWERS; i++)
		assert_int_equal(answer((uint8_t)(WIRE_USER_RESP + i % 3)), 0);
	for (uint8_t type = WIRE_USER_RESP; type <= WIRE_USER_HINT; type++)
		assert_int_equal(answer(type), STAT_drop_handshake_rate);
	assert_int_equal(init_of(&key, 1, 1), 0);
	next_second();
	assert_int_equal(answer(WIRE_USER_RESP), 0);
	/* The clock of another worker is ahead: its second counts. */
	key.carrier_s += 10;
	for (uint32_t i = 1; i < LIMIT_HANDSHAKE_ANSWERS; i++)
		assert_int_equal(answer(WIRE_USER_RESP), 0);
	assert_int_equal(answer(WIRE_USER_RESP), STAT_drop_handshake_rate);
	assert_int_equal(key.carrier_s, worker_now_s(w) + 10);
}

/* Uses up what all peers have together in this second. */
static void crowd(void)
{
	struct key_slot peer = {0};
	uint32_t passed = 0;

	for (uint32_t i = 0; passed < LIMIT_HANDSHAKES; i++) {
		if (i % 50 == 0)
			peer = (struct key_slot){.net64 = i};
		passed += !init_of(&peer, i + 1, 0);
		assert_int_equal(passed, i + 1);
	}
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(init_of(&peer, 1000000 + i, 0), STAT_drop_handshake_rate);
}

static void of_all_peers(void **state)
{
	(void)state;
	assert_int_equal(init_of(&key, 1, 0), 0);
	next_second();
	crowd();
	next_second();
	assert_int_equal(init_of(&key, 2, 0), 0);
}

/* A crowd of strangers, of whom each keeps within its own rate, does not silence a peer: its first ones pass. A replay
 * does not. */
static void a_peer_in_a_crowd(void **state)
{
	(void)state;
	assert_int_equal(init_of(&key, 100, 0), 0);
	next_second();
	crowd();
	assert_int_equal(init_of(&key, 100, 0), STAT_drop_handshake_rate);
	for (uint32_t i = 1; i <= LIMIT_HANDSHAKE_SURE; i++) {
		assert_int_equal(init_of(&key, 100, i), 0);
		assert_int_equal(answer(WIRE_USER_RESP), 0);
	}
	assert_int_equal(init_of(&key, 101, 0), STAT_drop_handshake_rate);
	assert_int_equal(answer(WIRE_USER_RESP), STAT_drop_handshake_rate);
	next_second();
	assert_int_equal(init_of(&key, 101, 0), 0);
}

/* What comes in a session cannot be replayed. */
static void control_is_not_bounded(void **state)
{
	uint8_t body[4] = {0};
	struct encap_opened o = {.body = body, .len = sizeof(body), .type = WIRE_USER_CONTROL};

	(void)state;
	for (uint32_t i = 0; i < 2 * LIMIT_HANDSHAKES; i++)
		assert_int_equal(carrier_judge(w, NULL, &o), 0);
	o.len = 3;
	assert_int_equal(carrier_judge(w, NULL, &o), STAT_drop_inner_malformed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(later_ones, setup, teardown),
		cmocka_unit_test_setup_teardown(stale_ones, setup, teardown),
		cmocka_unit_test_setup_teardown(answers, setup, teardown),
		cmocka_unit_test_setup_teardown(of_all_peers, setup, teardown),
		cmocka_unit_test_setup_teardown(a_peer_in_a_crowd, setup, teardown),
		cmocka_unit_test_setup_teardown(control_is_not_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
