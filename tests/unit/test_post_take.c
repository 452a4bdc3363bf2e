/* SPDX-License-Identifier: Apache-2.0 */
/* Takers: turns, topics, replies, peeks, time, and those that go away. */
#include "tests/unit/test_post_catch.h"

static const uint8_t id[RECORD_ID_BYTES] = "12345678";

/* Who came first is served first, the oldest message first; a topic is compared whole. */
static void test_order(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch first = {.o = a}, second = {.o = a}, topic = {.o = a}, none = {.o = a};

	(void)state;
	(void)take(&topic, "topic", false, 60 * 1000);
	(void)take(&none, "", false, 60 * 1000);
	(void)take(&first, NULL, false, 60 * 1000);
	(void)take(&second, NULL, false, 60 * 1000);
	assert_int_equal(post_load(a->post).takers, 4);
	(void)inject(a, "topi", 1);
	(void)inject(a, "topicc", 2);
	(void)inject(a, "topic", 3);
	(void)inject(a, "", 4);
	assert_int_equal(first.lens[0], 1);
	assert_int_equal(second.lens[0], 2);
	assert_int_equal(topic.lens[0], 3);
	assert_int_equal(none.lens[0], 4);
	assert_int_equal(post_load(a->post).takers, 0);
	(void)inject(a, "b", 5);
	(void)inject(a, "a", 6);
	(void)inject(a, "b", 7);
	(void)take(&topic, "a", false, 0);
	(void)take(&first, NULL, false, 0);
	(void)take(&topic, "b", false, 0);
	(void)take(&first, NULL, false, 0);
	run_ms(w, 1);
	assert_int_equal(topic.lens[1], 6);
	assert_int_equal(first.lens[1], 5);
	assert_int_equal(topic.lens[2], 7);
	assert_int_equal(first.nulls, 1);
	assert_int_equal(a->loads, 0);
	world_free(w);
}

static void test_time(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a};

	(void)state;
	(void)take(&c, NULL, false, 0);
	assert_int_equal(c.nulls, 0); /* never from inside */
	run_ms(w, 0);
	assert_int_equal(c.nulls, 1);
	(void)take(&c, NULL, true, 1000);
	(void)take(&c, "x", false, 2000);
	(void)take_reply(&c, id, &a->config.self, false);
	run_ms(w, 999);
	assert_int_equal(c.nulls, 1);
	run_ms(w, 1);
	assert_int_equal(c.nulls, 2);
	run_ms(w, 1000);
	assert_int_equal(c.nulls, 3);
	run_ms(w, 60 * 1000);
	assert_int_equal(c.nulls, 4);
	(void)inject(a, "x", 1);
	assert_int_equal(c.count, 0);
	world_free(w);
}

/* A match that has to be loaded is waited for, though the time is over. */
static void test_time_and_load(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a};

	(void)state;
	(void)inject(a, "x", 100);
	office_crash(a);
	a->held = true;
	(void)take(&c, NULL, true, 0);
	(void)take(&c, NULL, false, 10);
	run_ms(w, 1000);
	assert_int_equal(c.count + c.nulls, 0);
	a->held = false;
	run_ms(w, 0);
	assert_int_equal(c.count, 2);
	assert_int_equal(a->loads, 1);
	world_free(w);
}

static void test_peek(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch peek = {.o = a}, c = {.o = a};
	const uint64_t row = inject(a, "t", 10);

	(void)state;
	(void)take(&peek, NULL, true, 0);
	(void)take(&peek, "t", true, 0);
	(void)take(&c, NULL, false, 0);
	run_ms(w, 0);
	assert_int_equal(peek.count, 2);
	assert_int_equal(c.count, 1);
	post_consumed(a->post, peek.rows[0] + 1, now_of(w)); /* unknown */
	(void)take(&peek, NULL, true, 0);
	run_ms(w, 0);
	assert_int_equal(peek.nulls, 1);
	assert_int_equal(a->statuses[a->status_count - 1].state, MESSAGE_RECEIVED);
	consume(a, row);
	assert_int_equal(a->statuses[a->status_count - 1].state, MESSAGE_READ);
	assert_int_equal(inbox_of(a), 0);
	/* One that waits gets the next, and leaves it to the one behind it. */
	(void)take(&peek, NULL, true, 1000);
	(void)take(&c, NULL, false, 1000);
	(void)inject(a, "t", 11);
	assert_int_equal(peek.lens[2], 11);
	assert_int_equal(c.lens[1], 11);
	world_free(w);
}

/* At its place, not at the end; only by who has it. */
static void test_give_back(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a};

	(void)state;
	for (size_t i = 1; i <= 4; i++)
		(void)inject(a, "t", i);
	for (size_t i = 1; i <= 3; i++)
		(void)take(&c, NULL, false, 0);
	run_ms(w, 0);
	post_give_back(a->post, 4); /* nobody has it */
	consume(a, 4);
	assert_int_equal(inbox_of(a), 4);
	post_give_back(a->post, 3);
	post_give_back(a->post, 1);
	post_give_back(a->post, 1);
	post_give_back(a->post, 99);
	for (size_t i = 1; i <= 4; i++)
		(void)take(&c, i % 2 ? "t" : NULL, false, 0);
	run_ms(w, 10);
	assert_int_equal(c.count, 6);
	assert_int_equal(c.rows[3], 4); /* in memory; the others are loaded */
	assert_int_equal(c.rows[4], 1);
	assert_int_equal(c.rows[5], 3);
	assert_int_equal(c.nulls, 1);
	assert_int_equal(inbox_of(a), 4);
	consume(a, 4);
	post_give_back(a->post, 4);
	assert_int_equal(inbox_of(a), 3);
	world_free(w);
}

/* The reply to an id goes to who waits for it, though others came before; from that /64 only. */
static void test_reply(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	const struct ip6 other = office_ip(1), host = {{4, 1, [15] = 99}};
	struct catch any = {.o = a}, reply = {.o = a}, wrong = {.o = a}, peek = {.o = a};

	(void)state;
	(void)take(&any, NULL, false, 60 * 1000);
	(void)take_reply(&wrong, id, &other, false);
	(void)take_reply(&wrong, (const uint8_t *)"12345679", &host, false);
	(void)take_reply(&peek, id, &host, true);
	(void)take_reply(&reply, id, &host, false);
	(void)take_reply(&reply, id, &host, false);
	(void)inject_reply(a, id, 10);
	assert_int_equal(reply.count, 1);
	assert_int_equal(peek.count, 1);
	assert_int_equal(any.count, 0);
	assert_int_equal(wrong.count, 0);
	assert_int_equal(a->loads, 0);
	(void)inject_reply(a, id, 11);
	assert_int_equal(reply.lens[1], 11);
	(void)inject_reply(a, id, 12);
	assert_int_equal(any.lens[0], 12);
	/* One that is there already; and one that is given back. */
	(void)inject_reply(a, id, 13);
	(void)take(&any, NULL, true, 60 * 1000);
	(void)take_reply(&reply, id, &host, false);
	run_ms(w, 0);
	assert_int_equal(reply.lens[2], 13);
	assert_int_equal(any.count, 1);
	(void)take_reply(&wrong, id, &host, false);
	post_give_back(a->post, reply.rows[2]);
	run_ms(w, 10);
	assert_int_equal(wrong.lens[0], 13);
	assert_int_equal(any.count, 1);
	world_free(w);
}

/* Sent to ourselves, a question comes back under the id that its reply is awaited by, and is not that reply. */
static void ask_oneself(void *ctx, int error, const uint8_t own_id[RECORD_ID_BYTES])
{
	struct catch *c = ctx;

	assert_int_equal(error, 0);
	(void)take_reply(c, own_id, &c->o->config.self, false);
	memcpy(c->last.id, own_id, RECORD_ID_BYTES);
}

static void test_own_question(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch asks = {.o = a}, any = {.o = a};
	uint8_t own_id[RECORD_ID_BYTES];

	(void)state;
	(void)send_to(a, &a->config.self, "", 10, ask_oneself, &asks);
	run_ms(w, 10);
	memcpy(own_id, asks.last.id, sizeof(own_id));
	assert_int_equal(asks.count, 0);
	(void)take(&any, NULL, false, 0);
	run_ms(w, 10);
	assert_int_equal(any.lens[0], 10);
	(void)inject_reply(a, own_id, 11);
	run_ms(w, 20 * 1000);
	assert_int_equal(asks.lens[0], 11);
	world_free(w);
}

static void test_reply_of_topic(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a};
	const struct post_take t = {
		.filter = filter_of("x"), .until = mono_add_ms(w->now, 1000), .fn = catch_take, .ctx = &c};

	(void)state;
	(void)post_take_reply(a->post, id, &a->config.self, &t);
	(void)inject_reply(a, id, 10);
	assert_int_equal(c.count, 0);
	run_ms(w, 1000);
	assert_int_equal(c.nulls, 1);
	world_free(w);
}

/* Those that go away leave nothing behind and keep nothing. */
static void test_cancel(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a}, gone = {.o = a};
	struct post_taker *t[5];

	(void)state;
	t[0] = take(&gone, NULL, false, 1000);
	t[1] = take(&gone, "x", true, 1000);
	t[2] = take_reply(&gone, id, &a->config.self, false);
	for (int i = 0; i < 3; i++)
		post_take_cancel(a->post, t[i]);
	(void)inject(a, "x", 50);
	office_crash(a);
	a->held = true;
	t[0] = take(&gone, NULL, true, 1000);
	run_ms(w, 0);
	t[1] = take(&gone, NULL, false, 1000);
	t[2] = take(&gone, "x", false, 1000);
	run_ms(w, 0);
	for (int i = 0; i < 3; i++)
		post_take_cancel(a->post, t[i]);
	run_ms(w, 0);
	(void)take(&c, NULL, false, 0); /* joins the load in flight */
	run_ms(w, 0);
	a->held = false;
	run_ms(w, 10);
	assert_int_equal(c.count, 1);
	assert_int_equal(a->loads, 1);
	post_give_back(a->post, c.rows[0]);
	/* Its payload has come, but it is not told yet. */
	t[0] = take(&gone, NULL, false, 1000);
	t[1] = take(&gone, NULL, true, 1000);
	run_ms(w, 0);
	store_step(a);
	post_take_cancel(a->post, t[0]);
	post_take_cancel(a->post, t[1]);
	(void)take(&c, NULL, false, 0);
	run_ms(w, 0);
	assert_int_equal(c.count, 2);
	assert_int_equal(a->loads, 2);
	assert_int_equal(gone.count + gone.nulls, 0);
	assert_int_equal(post_load(a->post).takers, 0);
	world_free(w);
}

/* What could not be loaded puts nobody behind those who came later. */
static void test_turn_is_kept(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c[3] = {{.o = a}, {.o = a}, {.o = a}};

	(void)state;
	(void)inject(a, "x", 1);
	(void)inject(a, "x", 2);
	run_ms(w, 10);
	office_crash(a);
	a->load_error = -EIO;
	for (int i = 0; i < 3; i++)
		(void)take(&c[i], NULL, false, 60 * 1000);
	run_ms(w, 10);
	assert_int_equal(post_load(a->post).unreadable, 2);
	for (size_t i = 3; i <= 5; i++)
		(void)inject(a, "x", i);
	for (int i = 0; i < 3; i++)
		assert_int_equal(c[i].lens[0], 3 + i);
	world_free(w);
}

static void test_cap(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a};
	struct post_taker *last = NULL;

	(void)state;
	for (int i = 0; i < LIMIT_TAKERS; i++) {
		last = i % 2 ? take(&c, "x", false, 1000) : take_reply(&c, id, &a->config.self, false);
		assert_non_null(last);
	}
	assert_null(take(&c, NULL, false, 1000));
	assert_null(take_reply(&c, id, &a->config.self, true));
	post_take_cancel(a->post, last);
	assert_non_null(take(&c, NULL, false, 1000));
	run_ms(w, 60 * 1000);
	assert_int_equal(c.nulls, LIMIT_TAKERS);
	world_free(w);
}

/* Callbacks may do all. */
struct chain {
	struct catch c;
	struct post_taker *victim;
	unsigned left;
};

static void take_more(void *ctx, struct post_message *m)
{
	struct chain *c = ctx;
	struct office *o = c->c.o;
	const struct post_take t = {.fn = take_more, .ctx = c};

	catch_take(&c->c, m);
	if (!m)
		return;
	if (c->victim)
		post_take_cancel(o->post, c->victim);
	c->victim = NULL;
	post_consumed(o->post, c->c.last.row, now_of(o->w));
	(void)send_to(o, &o->config.self, "", 1, NULL, NULL);
	if (c->left-- > 0)
		(void)post_take(o->post, &t);
}

static void test_from_callback(void **state)
{
	struct world *w = world_new(1);
	struct chain c = {.c = {.o = &w->offices[0]}, .left = 100};
	struct catch gone = {.o = &w->offices[0]};
	const struct post_take t = {.fn = take_more, .ctx = &c};

	(void)state;
	for (size_t i = 0; i < 10; i++)
		(void)inject(c.c.o, "x", i);
	(void)post_take(c.c.o->post, &t);
	c.victim = take(&gone, NULL, false, 1000); /* has got its message, but is not told yet */
	run_ms(w, 0);
	assert_int_equal(c.c.count, 10);
	assert_int_equal(c.c.nulls, 1);
	assert_int_equal(gone.count, 0);
	run_ms(w, 10);
	assert_int_equal(inbox_of(c.c.o), 10);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),	      cmocka_unit_test(test_time),
		cmocka_unit_test(test_time_and_load), cmocka_unit_test(test_peek),
		cmocka_unit_test(test_give_back),     cmocka_unit_test(test_reply),
		cmocka_unit_test(test_cancel),	      cmocka_unit_test(test_cap),
		cmocka_unit_test(test_own_question),  cmocka_unit_test(test_reply_of_topic),
		cmocka_unit_test(test_turn_is_kept),  cmocka_unit_test(test_from_callback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
