/* SPDX-License-Identifier: Apache-2.0 */
/* How much the inbox holds: its caps, and the part of one sender. */
#include "tests/unit/test_post_catch.h"

/* The oldest is taken and consumed. */
static void take_one(struct office *o)
{
	struct catch c = {.o = o};

	(void)take(&c, NULL, false, 0);
	run_ms(o->w, 10);
	assert_int_equal(c.count, 1);
	consume(o, c.rows[0]);
}

static void test_caps(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0], *b = &w->offices[1];
	const struct ip6 dst = office_ip(1), self = office_ip(1);

	(void)state;
	b->config.inbox_count = 3;
	b->config.max_length = 1000;
	b->config.inbox_bytes = 10;
	office_crash(b);
	assert_int_equal(post_load(b->post).inbox_cap, 3);
	assert_int_equal(post_load(b->post).inbox_cap_bytes, 1000); /* at least one longest message */
	(void)send_to(b, &self, "", 1001, NULL, NULL); /* never fits */
	(void)inject(b, "", 700);
	(void)send_to(a, &dst, "", 400, NULL, NULL);
	run_ms(w, 3000);
	assert_int_equal(inbox_of(b), 1);
	assert_true(post_load(b->post).refused_full > 1);
	assert_int_equal(a->orders->order.state, MESSAGE_PENDING);
	(void)inject(b, "", 0);
	(void)send_to(a, &dst, "", 0, NULL, NULL);
	(void)send_to(b, &self, "", 0, NULL, NULL);
	run_ms(w, 3000);
	assert_int_equal(inbox_of(b), 3);
	assert_int_equal(post_load(b->post).inbox_bytes, 700);
	/* Room again, but the last place is for one who has none. */
	take_one(b);
	run_ms(w, 10 * 1000);
	assert_int_equal(inbox_of(b), 2);
	take_one(b);
	run_ms(w, 10 * 1000);
	assert_int_equal(inbox_of(b), 2);
	take_one(b);
	run_ms(w, 10 * 1000);
	assert_int_equal(inbox_of(b), 2);
	assert_int_equal(a->orders->order.state, MESSAGE_RECEIVED);
	take_one(b);
	take_one(b);
	assert_true(inbox_of(b) == 0 && post_load(b->post).inbox_bytes == 0);
	world_free(w);
}

/* One that sends without end fills its part, and keeps nobody out; also over a restart. */
static void test_share(void **state)
{
	static const struct {
		uint32_t count;
		uint64_t bytes;
		size_t len;
		unsigned part;
	} rows[] = {{20, 100 * 1000, 0, 16}, {100, 10 * 1000, 1000, 8}};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world *w = world_new(1);
		struct office *a = &w->offices[0], *b = &w->offices[1];
		const struct ip6 dst = office_ip(1);

		b->config.inbox_count = rows[i].count;
		b->config.inbox_bytes = rows[i].bytes;
		b->config.max_length = 1000;
		office_crash(b);
		for (unsigned k = 0; k < rows[i].part; k++)
			(void)send_to(a, &dst, "", rows[i].len, NULL, NULL);
		run_ms(w, 5000);
		assert_int_equal(inbox_of(b), rows[i].part);
		office_crash(b);
		for (unsigned k = 0; k < 5; k++)
			(void)send_to(a, &dst, "", rows[i].len, NULL, NULL);
		run_ms(w, 5000);
		assert_int_equal(inbox_of(b), rows[i].part);
		(void)inject(b, "", rows[i].len);
		assert_int_equal(inbox_of(b), rows[i].part + 1);
		for (unsigned k = 0; k < rows[i].part + 6; k++) {
			take_one(b);
			run_ms(w, 10 * 1000);
		}
		assert_true(inbox_of(b) == 0 && post_load(b->post).inbox_bytes == 0);
		assert_int_equal(post_count(a->post, MESSAGE_SENT), rows[i].part + 5);
		world_free(w);
	}
}

/* What somebody waits for does not stay: it may come though its sender has its part. */
static void test_share_awaited(void **state)
{
	const uint8_t id[RECORD_ID_BYTES] = "awaited";
	struct world *w = world_new(1);
	struct office *b = &w->offices[1];
	struct catch c = {.o = b};

	(void)state;
	b->config.inbox_count = 10;
	office_crash(b);
	for (unsigned i = 0; i < 9; i++)
		(void)send_to(b, &b->config.self, "", 0, NULL, NULL);
	run_ms(w, 1000);
	assert_int_equal(inbox_of(b), 8);
	(void)inject_reply(b, id, 5);
	assert_int_equal(inbox_of(b), 8);
	assert_non_null(take_reply(&c, id, &b->config.self, false));
	run_ms(w, 2000);
	assert_int_equal(c.count, 1);
	assert_int_equal(c.last.len, 5);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_share_awaited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
