/* SPDX-License-Identifier: Apache-2.0 */
/* Streams while they are open: window, offsets, acknowledgement, pause, turns. What comes after a cut is in
 * test_post_resume.c. */
#include "tests/unit/test_post_catch.h"

static void test_window(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a};
	struct post_stream_opened opened;
	struct post_stream *s = stream_open(&c, 2, &opened);

	(void)state;
	assert_int_equal(opened.offset, 0);
	assert_false(opened.recovered);
	assert_int_equal(post_load(a->post).streams, 1);
	for (size_t i = 1; i <= 5; i++)
		(void)inject(a, "t", i);
	assert_int_equal(c.count, 2);
	assert_int_equal(c.offsets[0], 1);
	assert_int_equal(c.offsets[1], 2);
	assert_false(post_stream_ack(a->post, s, 3, now_of(w)));
	assert_true(post_stream_ack(a->post, s, 0, now_of(w)));
	run_ms(w, 10);
	assert_int_equal(c.count, 2);
	assert_int_equal(a->statuses[a->status_count - 1].state, MESSAGE_RECEIVED);
	assert_true(post_stream_ack(a->post, s, 1, now_of(w)));
	run_ms(w, 10);
	assert_int_equal(c.count, 3);
	assert_int_equal(inbox_of(a), 4);
	assert_int_equal(a->dels, 1);
	assert_int_equal(a->statuses[a->status_count - 1].state, MESSAGE_READ);
	assert_true(post_stream_ack(a->post, s, 1, now_of(w))); /* again */
	assert_int_equal(a->dels, 1);
	assert_true(post_stream_ack(a->post, s, 3, now_of(w))); /* cumulative */
	run_ms(w, 10);
	assert_int_equal(c.count, 5);
	assert_int_equal(a->dels, 3);
	assert_int_equal(c.lens[4], 5);
	assert_int_equal(a->loads, 0);
	world_free(w);
}

/* Two streams and a poller share: nobody is starved, offsets rise on each. */
static void test_turns(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch x = {.o = a}, y = {.o = a}, poll = {.o = a};
	struct post_stream *sx, *sy;

	(void)state;
	a->held = true;
	sx = stream_open(&x, LIMIT_STREAM_WINDOW, NULL);
	sy = stream_open(&y, LIMIT_STREAM_WINDOW, NULL);
	for (size_t i = 0; i < 9; i++) {
		(void)take(&poll, NULL, false, i < 3 ? 1000 : 0);
		a->held = false;
		(void)inject(a, "t", i);
	}
	assert_int_equal(poll.count + x.count + y.count, 9);
	assert_in_range(poll.count, 3, 4);
	assert_in_range(x.count, 2, 4);
	assert_in_range(y.count, 2, 4);
	for (unsigned i = 1; i < x.count; i++)
		assert_true(x.offsets[i] > x.offsets[i - 1]);
	assert_true(y.offsets[0] != x.offsets[0]);
	assert_true(post_stream_ack(a->post, sx, x.offsets[x.count - 1], now_of(w)));
	assert_int_equal(a->dels, x.count);
	assert_true(post_stream_ack(a->post, sy, y.offsets[y.count - 1], now_of(w)));
	assert_int_equal(a->dels, x.count + y.count);
	world_free(w);
}

static void test_filter(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a};
	struct post_stream_opened out;
	const struct post_stream_open o = {
		.filter = filter_of("yes"), .window = 5000, .message = catch_stream, .ctx = &c};

	(void)state;
	(void)inject(a, "no", 1);
	(void)inject(a, "yes", 2);
	assert_non_null(post_stream_open(a->post, &o, &out, now_of(w)));
	run_ms(w, 0);
	(void)inject(a, "yes", 3);
	(void)inject(a, "yess", 4);
	assert_int_equal(c.count, 2);
	assert_int_equal(c.lens[0], 2);
	assert_int_equal(c.lens[1], 3);
	world_free(w);
}

/* Paused: nothing comes, and nothing is kept from others. */
static void test_pause(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a}, other = {.o = a};
	struct post_stream *s;

	(void)state;
	for (size_t i = 1; i <= 3; i++)
		(void)inject(a, "t", i);
	run_ms(w, 10);
	office_crash(a);
	a->held = true;
	s = stream_open(&c, 10, NULL);
	run_ms(w, 0);
	assert_int_equal(a->loads, 3);
	post_stream_pause(a->post, s, true);
	post_stream_pause(a->post, s, true);
	(void)take(&other, NULL, false, 0);
	run_ms(w, 0);
	a->held = false;
	run_ms(w, 10);
	assert_int_equal(c.count, 0);
	assert_int_equal(other.count, 1);
	assert_int_equal(other.rows[0], 1);
	post_stream_pause(a->post, s, false);
	assert_int_equal(c.count, 0); /* never from inside */
	run_ms(w, 0);
	assert_int_equal(c.count, 2);
	assert_int_equal(c.rows[0], 2);
	assert_int_equal(a->loads, 3);
	world_free(w);
}

/* Only so many are loaded ahead, and they are given in their order, though later ones are here earlier. */
static void test_ahead(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a};
	struct post_stream *s;

	(void)state;
	for (size_t i = 0; i < 50; i++)
		(void)inject(a, "t", i % 2 ? i : 0); /* those without payload need no load */
	run_ms(w, 10);
	office_crash(a);
	a->held = true;
	s = stream_open(&c, 40, NULL);
	run_ms(w, 100);
	assert_int_equal(c.count, 1);
	assert_int_equal(a->loads, LIMIT_STREAM_AHEAD / 2);
	a->held = false;
	run_ms(w, 100);
	assert_int_equal(c.count, 40);
	assert_true(post_stream_ack(a->post, s, 40, now_of(w)));
	run_ms(w, 100);
	assert_int_equal(c.count, 50);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(c.rows[i], i + 1);
	assert_int_equal(a->loads, 25);
	world_free(w);
}

static void test_unreadable(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a};

	(void)state;
	for (size_t i = 1; i <= 3; i++)
		(void)inject(a, "t", i);
	run_ms(w, 10);
	office_crash(a);
	a->load_error = -EIO;
	(void)stream_open(&c, 10, NULL);
	run_ms(w, 0);
	store_step(a);
	a->load_error = 0;
	run_ms(w, 100);
	assert_int_equal(c.count, 2);
	assert_int_equal(c.rows[0], 2);
	run_ms(w, 1000);
	assert_int_equal(c.count, 3);
	assert_int_equal(c.rows[2], 1);
	world_free(w);
}

static void test_caps(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a};
	struct post_stream *s = NULL;

	(void)state;
	for (int i = 0; i < LIMIT_WS_CLIENTS; i++) {
		s = stream_open(&c, 1, NULL);
		assert_non_null(s);
	}
	assert_null(stream_open(&c, 1, NULL));
	post_stream_close(a->post, s, now_of(w));
	assert_non_null(stream_open(&c, 1, NULL));
	world_free(w);
}

/* A client that acknowledges from inside, and one that closes from inside. */
struct chain {
	struct catch c;
	struct post_stream *s;
	bool closes;
};

static void on_message(void *ctx, uint64_t offset, struct post_message *m)
{
	struct chain *c = ctx;

	catch_stream(&c->c, offset, m);
	if (c->closes)
		post_stream_close(c->c.o->post, c->s, now_of(c->c.o->w));
	else
		assert_true(post_stream_ack(c->c.o->post, c->s, offset, now_of(c->c.o->w)));
}

static void test_from_callback(void **state)
{
	struct world *w = world_new(1);
	struct chain x = {.c = {.o = &w->offices[0]}}, y = {.c = {.o = &w->offices[0]}, .closes = true};
	struct post_stream_open o = {.window = 1, .message = on_message, .ctx = &y};
	struct post_stream_opened out;

	(void)state;
	for (size_t i = 0; i < 200; i++)
		(void)inject(x.c.o, "t", i);
	y.s = post_stream_open(x.c.o->post, &o, &out, now_of(w));
	o.ctx = &x;
	x.s = post_stream_open(x.c.o->post, &o, &out, now_of(w));
	run_ms(w, 0);
	assert_int_equal(y.c.count, 1);
	assert_int_equal(x.c.count, 199);
	assert_int_equal(inbox_of(x.c.o), 1);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window), cmocka_unit_test(test_turns),	     cmocka_unit_test(test_filter),
		cmocka_unit_test(test_pause),  cmocka_unit_test(test_ahead),	     cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_caps),   cmocka_unit_test(test_from_callback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
