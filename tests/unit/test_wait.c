/* SPDX-License-Identifier: Apache-2.0 */
/* The waiting room: order, caps in bytes and rooms, time, and who displaces whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the four above first. */
#include "fastpath/stats.h"
#include "fastpath/wait.h"
#include "shared/wire.h"
#include <cmocka.h>

enum { CHUNKS = 400 };

struct room {
	struct pool *pool;
	struct lanes_stats stats;
	struct wait wait;
};

static const struct mono start = {.us = 5000000};

static int setup(void **state)
{
	static struct room r;

	r = (struct room){.pool = pool_new(CHUNKS, 0)};
	wait_init(&r.wait, r.pool, &r.stats);
	*state = &r;
	return r.pool ? 0 : -1;
}

static int teardown(void **state)
{
	struct room *r = *state;

	wait_fini(&r->wait);
	assert_int_equal(pool_used(r->pool), 0);
	pool_free(r->pool);
	return 0;
}

static void add_at(struct room *r, uint64_t net64, enum wait_kind kind, uint32_t number, size_t len, struct mono now)
{
	static uint8_t bytes[WIRE_FRAME_MAX_BYTES];
	const struct wait_packet p = {.kind = kind, .bytes = bytes, .len = len};

	memcpy(bytes, &number, sizeof(number));
	wait_add(&r->wait, net64, &p, now);
}

static void add(struct room *r, uint64_t net64, enum wait_kind kind, uint32_t number, size_t len)
{
	add_at(r, net64, kind, number, len, start);
}

/* What waits for the /64: numbers from first on, count of them. */
static void expect(struct room *r, uint64_t net64, uint32_t first, uint32_t count)
{
	struct wait_list list = {0};
	uint32_t seen = 0;

	assert_int_equal(wait_take(&r->wait, net64, WAIT_KEY, &list), count > 0);
	while (list.head) {
		struct chunk *c = list.head;
		struct wait_record *record;

		while ((record = wait_record_next(c))) {
			const uint32_t number = first + seen++;

			assert_memory_equal(record->bytes, &number, sizeof(number));
		}
		list.head = c->next;
		pool_give(r->pool, c);
	}
	assert_int_equal(seen, count);
	assert_false(wait_take(&r->wait, net64, WAIT_KEY, &list));
}

static void test_order(void **state)
{
	struct room *r = *state;

	for (uint32_t i = 0; i < 100; i++) {
		add(r, 7, i % 2 ? WAIT_OPEN : WAIT_SEAL, i, 40 + i * 13);
		add(r, 8, WAIT_SEAL, 1000 + i, 50);
	}
	expect(r, 7, 0, 100);
	expect(r, 8, 1000, 100);
	expect(r, 9, 0, 0);
	assert_int_equal(stat_get(&r->stats, STAT_waited), 200);
}

/* What has to survive the wait besides the bytes. */
static void test_kinds(void **state)
{
	struct room *r = *state;
	static const struct wait_packet packets[] = {
		{.kind = WAIT_USER, .bytes = (const uint8_t *)"user", .len = 4},
		{.kind = WAIT_OPEN, .bytes = (const uint8_t *)"frame", .len = 5, .link = UINT32_MAX},
		{.kind = WAIT_SEAL, .bytes = (const uint8_t *)"", .len = 0}};
	struct wait_list list;

	for (size_t i = 0; i < 3; i++)
		wait_add(&r->wait, 7, &packets[i], start);
	assert_true(wait_take(&r->wait, 7, WAIT_KEY, &list));
	for (size_t i = 0; i < 3; i++) {
		const struct wait_record *record = wait_record_next(list.head);

		assert_int_equal(record->kind, packets[i].kind);
		assert_int_equal(record->len, packets[i].len);
		assert_int_equal(record->link, packets[i].link);
		assert_memory_equal(record->bytes, packets[i].bytes, packets[i].len);
	}
	pool_give(r->pool, list.head);
}

static void test_bytes(void **state)
{
	struct room *r = *state;

	for (uint32_t i = 0; i < 300; i++)
		add(r, 7, WAIT_SEAL, i, 1400);
	/* 1,416 bytes each. */
	assert_int_equal(stat_get(&r->stats, STAT_drop_wait_full), 300 - LIMIT_WAIT_BYTES_PER_NET64 / 1416);
	expect(r, 7, 300 - LIMIT_WAIT_BYTES_PER_NET64 / 1416, LIMIT_WAIT_BYTES_PER_NET64 / 1416);
	for (uint32_t i = 0; i < 10; i++)
		add(r, 7, WAIT_OPEN, i, WIRE_FRAME_MAX_BYTES);
	expect(r, 7, 7, 3);
}

static void test_rooms(void **state)
{
	struct room *r = *state;

	/* Strangers fill all rooms; one more displaces one of them. */
	for (uint32_t i = 0; i < LIMIT_WAIT_NET64S + 1; i++)
		add(r, 100 + i, WAIT_OPEN, i, 100);
	assert_int_equal(stat_get(&r->stats, STAT_drop_wait_full), 1);
	/* Own traffic displaces strangers, one by one, and is not displaced by them. */
	for (uint32_t i = 0; i < LIMIT_WAIT_NET64S; i++)
		add(r, 300 + i, i % 2 ? WAIT_SEAL : WAIT_USER, i, 100);
	assert_int_equal(stat_get(&r->stats, STAT_drop_wait_full), 1 + LIMIT_WAIT_NET64S);
	add(r, 500, WAIT_OPEN, 0, 100);
	assert_int_equal(stat_get(&r->stats, STAT_drop_wait_full), 2 + LIMIT_WAIT_NET64S);
	for (uint32_t i = 0; i < LIMIT_WAIT_NET64S; i++)
		expect(r, 300 + i, i, 1);
	/* A room that was left is free. */
	add(r, 500, WAIT_OPEN, 0, 100);
	expect(r, 500, 0, 1);
}

/* A stranger's frames for a /64 that own traffic waits for as well do not push that out. */
static void test_shared_room(void **state)
{
	struct room *r = *state;

	add(r, 7, WAIT_SEAL, 0, 1400);
	for (uint32_t i = 1; i < 300; i++)
		add(r, 7, WAIT_OPEN, i, 1400);
	assert_int_equal(stat_get(&r->stats, STAT_drop_wait_full), 300 - LIMIT_WAIT_BYTES_PER_NET64 / 1416);
	expect(r, 7, 0, LIMIT_WAIT_BYTES_PER_NET64 / 1416);
}

/* All rooms together hold so much: the oldest packet goes, strangers' before own ones. */
static void test_all_bytes(void **state)
{
	struct room *r = *state;
	enum { EACH = 100, ROOMS = 40, ALL = LIMIT_WAIT_BYTES / 1416 };

	for (uint32_t i = 0; i < EACH * ROOMS; i++)
		add_at(r, 100 + i / EACH, WAIT_OPEN, i, 1400, mono_add_us(start, i));
	assert_int_equal(stat_get(&r->stats, STAT_drop_wait_full), EACH * ROOMS - ALL);
	assert_in_range(r->wait.bytes, LIMIT_WAIT_BYTES - 1416, LIMIT_WAIT_BYTES);
	assert_in_range(pool_used(r->pool), 1, LIMIT_WAIT_BYTES / CHUNK_DATA_BYTES + LIMIT_WAIT_NET64S);
	for (uint32_t i = 0; i < EACH * 22; i++)
		add(r, 300 + i / EACH, WAIT_SEAL, i, 1400);
	assert_int_equal(stat_get(&r->stats, STAT_drop_wait_full), EACH * (ROOMS + 22) - ALL);
	for (uint32_t i = 0; i < 22; i++)
		expect(r, 300 + i, i * EACH, EACH);
	expect(r, 100 + ROOMS - 1, EACH * (ROOMS - 1), EACH);
}

static void test_time(void **state)
{
	struct room *r = *state;
	const struct mono end = mono_add_ms(start, LIMIT_WAIT_MS);

	assert_int_equal(wait_due(&r->wait).us, MONO_NEVER.us);
	add(r, 7, WAIT_SEAL, 0, 100);
	add(r, 7, WAIT_USER, 1, 100);
	assert_int_equal(wait_due(&r->wait).us, end.us);
	wait_expire(&r->wait, mono_add_us(end, -1), NULL, NULL);
	assert_int_equal(stat_get(&r->stats, STAT_drop_no_key), 0);
	wait_expire(&r->wait, end, NULL, NULL);
	assert_int_equal(stat_get(&r->stats, STAT_drop_no_key), 2);
	assert_int_equal(wait_due(&r->wait).us, MONO_NEVER.us);
	expect(r, 7, 0, 0);
}

static void test_asking(void **state)
{
	struct room *r = *state;
	unsigned asked = 0;

	assert_true(wait_may_ask(&r->wait, 7, true, start));
	assert_false(wait_may_ask(&r->wait, 7, true, mono_add_ms(start, LIMIT_WANT_KEY_MS - 1)));
	assert_true(wait_may_ask(&r->wait, 7, true, mono_add_ms(start, LIMIT_WANT_KEY_MS)));
	/* Strangers of any number of /64s: so many a second; own traffic is not held up. */
	for (uint64_t i = 0; i < 5000; i++)
		asked += wait_may_ask(&r->wait, 1000000 + i, false, mono_add_ms(start, 2000));
	assert_int_equal(asked, LIMIT_KEYS_PER_SECOND);
	assert_true(wait_may_ask(&r->wait, 8, true, mono_add_ms(start, 2000)));
	assert_true(wait_may_ask(&r->wait, 1, false, mono_add_ms(start, 3000)));
	/* Asked for a stranger: asked once more for own traffic. */
	assert_true(wait_may_ask(&r->wait, 1, true, mono_add_ms(start, 3001)));
	assert_false(wait_may_ask(&r->wait, 1, true, mono_add_ms(start, 3002)));
	assert_false(wait_may_ask(&r->wait, 1, false, mono_add_ms(start, 3002)));
}

static void test_drop(void **state)
{
	struct room *r = *state;
	struct wait_list list;

	for (uint32_t i = 0; i < 100; i++)
		add(r, 7, WAIT_SEAL, i, 1400);
	assert_true(wait_take(&r->wait, 7, WAIT_KEY, &list));
	wait_drop(&r->wait, &list);
	assert_int_equal(stat_get(&r->stats, STAT_drop_no_key), 100);
	assert_int_equal(pool_used(r->pool), 0);
}

static void hold(struct room *r, uint64_t net64, enum wait_kind kind, uint32_t number, struct mono now)
{
	const struct wait_packet p = {
		.kind = kind, .reason = WAIT_SESSION, .bytes = (const uint8_t *)&number, .len = sizeof(number)};

	wait_add(&r->wait, net64, &p, now);
}

static uint32_t next_number(struct chunk *c)
{
	const struct wait_record *record = wait_record_next(c);
	uint32_t number;

	assert_non_null(record);
	memcpy(&number, record->bytes, sizeof(number));
	return number;
}

/* Beside what waits for the key of the same /64; of too many the oldest go. */
static void test_held(void **state)
{
	struct room *r = *state;
	struct wait_list list;

	add(r, 7, WAIT_OPEN, 99, 50);
	assert_false(wait_has(&r->wait, 7, WAIT_SESSION));
	for (uint32_t i = 0; i < LIMIT_HOLD_PACKETS_PER_NET64 + 3; i++)
		hold(r, 7, i % 2 ? WAIT_USER : WAIT_SEAL, i, start);
	hold(r, 8, WAIT_SEAL, 0, start);
	assert_int_equal(stat_get(&r->stats, STAT_drop_wait_full), 3);
	expect(r, 7, 99, 1);
	assert_true(wait_has(&r->wait, 7, WAIT_SESSION));
	assert_true(wait_take(&r->wait, 7, WAIT_SESSION, &list));
	for (uint32_t i = 3; i < LIMIT_HOLD_PACKETS_PER_NET64 + 3; i++)
		assert_int_equal(next_number(list.head), i);
	assert_null(wait_record_next(list.head));
	pool_give(r->pool, list.head);
	assert_false(wait_has(&r->wait, 7, WAIT_SESSION));
	assert_true(wait_has(&r->wait, 8, WAIT_SESSION));
	/* Taken ones do not count. */
	for (uint32_t i = 0; i < LIMIT_HOLD_PACKETS_PER_NET64; i++)
		hold(r, 7, WAIT_SEAL, i, start);
	assert_int_equal(stat_get(&r->stats, STAT_drop_wait_full), 3);
}

static void on_held(void *ctx, struct wait_record *r)
{
	uint32_t number;

	memcpy(&number, r->bytes, sizeof(number));
	*(uint32_t *)ctx = *(uint32_t *)ctx * 10 + number;
}

static void test_held_too_long(void **state)
{
	struct room *r = *state;
	const struct mono key_end = mono_add_ms(start, LIMIT_WAIT_MS), end = mono_add_ms(start, LIMIT_HOLD_MS);
	uint32_t lost = 0;

	hold(r, 7, WAIT_SEAL, 1, start);
	hold(r, 7, WAIT_USER, 2, start);
	hold(r, 7, WAIT_SEAL, 3, mono_add_us(start, 1));
	assert_int_equal(wait_due(&r->wait).us, end.us);
	add(r, 7, WAIT_SEAL, 9, 50);
	assert_int_equal(wait_due(&r->wait).us, key_end.us);
	wait_expire(&r->wait, mono_add_us(end, -1), on_held, &lost);
	assert_int_equal(stat_get(&r->stats, STAT_drop_no_key), 1);
	assert_int_equal(lost, 0);
	wait_expire(&r->wait, end, on_held, &lost);
	assert_int_equal(lost, 12);
	assert_int_equal(stat_get(&r->stats, STAT_drop_no_session), 2);
	wait_expire(&r->wait, mono_add_us(end, 1), on_held, &lost);
	assert_int_equal(lost, 123);
	assert_int_equal(wait_due(&r->wait).us, MONO_NEVER.us);
	assert_int_equal(r->wait.bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rooms, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_asking, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held_too_long, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
