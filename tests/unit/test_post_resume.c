/* SPDX-License-Identifier: Apache-2.0 */
/* Streams after a cut: what waits for them and how long, what they get again, and what is lost to others. */
#include "tests/unit/test_post_catch.h"

/* A stream of that window that was given count messages, rows 1 to count. */
static struct post_stream *stream_with(struct catch *c, uint32_t window, size_t count, struct post_stream_opened *out)
{
	struct post_stream *s = stream_open(c, window, out);

	for (size_t i = 1; i <= count; i++)
		(void)inject(c->o, "t", i);
	assert_int_equal(c->count, count < window ? count : window);
	return s;
}

static void close_stream(struct office *o, struct post_stream *s)
{
	post_stream_close(o->post, s, now_of(o->w));
	run_ms(o->w, 0);
}

/* In time: up to the offset consumed, the rest again under new offsets, and in order. */
static void test_recovered(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a}, other = {.o = a};
	struct post_stream_opened out, again;
	struct post_stream *s = stream_with(&c, 10, 4, &out);

	(void)state;
	assert_true(post_stream_ack(a->post, s, 1, now_of(w)));
	close_stream(a, s);
	assert_int_equal(post_load(a->post).streams, 0);
	(void)take(&other, NULL, false, 60 * 1000);
	run_ms(w, LIMIT_STREAM_RESERVED_MS - 1);
	assert_int_equal(other.count, 0);
	s = stream_resume(&c, 10, &out.id, 2, &again);
	assert_true(again.recovered);
	assert_int_equal(again.offset, 2);
	assert_memory_equal(&again.id, &out.id, sizeof(out.id));
	assert_int_equal(a->dels, 2);
	run_ms(w, 10);
	assert_int_equal(c.count, 6);
	assert_int_equal(c.rows[4], 3);
	assert_int_equal(c.rows[5], 4);
	assert_int_equal(c.offsets[4], 5);
	assert_int_equal(c.offsets[5], 6);
	assert_true(post_stream_ack(a->post, s, 4, now_of(w))); /* an old offset: no longer any message's */
	assert_int_equal(inbox_of(a), 2);
	assert_true(post_stream_ack(a->post, s, 5, now_of(w)));
	assert_int_equal(inbox_of(a), 1);
	(void)inject(a, "t", 9);
	assert_int_equal(other.lens[0], 9);
	world_free(w);
}

/* Too late, but nobody else took them: nothing is lost. */
static void test_late_but_untouched(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a}, peek = {.o = a};
	struct post_stream_opened out, again;
	struct post_stream *s = stream_with(&c, 10, 3, &out);

	(void)state;
	close_stream(a, s);
	run_ms(w, LIMIT_STREAM_MEMORY_MS - 10);
	(void)take(&peek, NULL, true, 0);
	run_ms(w, 5);
	assert_int_equal(peek.count, 1); /* a peek is no taking */
	(void)stream_resume(&c, 10, &out.id, 1, &again);
	assert_true(again.recovered);
	run_ms(w, 1);
	assert_int_equal(inbox_of(a), 2);
	assert_int_equal(c.count, 5);
	assert_int_equal(c.rows[3], 2);
	world_free(w);
}

/* Others got some of them. What another has is not acknowledged by the old stream. */
static void test_went_elsewhere(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a}, other = {.o = a};
	struct post_stream_opened out, again;
	struct post_stream *s = stream_with(&c, 10, 4, &out);

	(void)state;
	close_stream(a, s);
	(void)take(&other, NULL, false, 60 * 1000);
	(void)take(&other, NULL, false, 60 * 1000);
	(void)take(&other, NULL, false, 60 * 1000);
	run_ms(w, LIMIT_STREAM_RESERVED_MS + 5);
	assert_int_equal(other.count, 3);
	consume(a, 1);
	post_give_back(a->post, 2); /* it was another's: given under a new generation */
	(void)take(&other, NULL, false, 60 * 1000);
	run_ms(w, 5);
	assert_int_equal(other.rows[3], 2);
	post_give_back(a->post, 2);
	s = stream_resume(&c, 10, &out.id, 2, &again);
	assert_false(again.recovered); /* 3 is elsewhere */
	assert_memory_equal(again.id.stream, out.id.stream, sizeof(out.id.stream));
	assert_int_equal(a->dels, 1);
	run_ms(w, 5);
	assert_int_equal(c.count, 6);
	assert_int_equal(c.rows[4], 4);
	assert_int_equal(c.rows[5], 2);
	consume(a, 3); /* the other consumer's */
	assert_true(post_stream_ack(a->post, s, c.offsets[5], now_of(w)));
	assert_int_equal(inbox_of(a), 0);
	world_free(w);
}

/* Acknowledged by the resume alone, it does not matter where the rest of what it had went. */
static void test_all_acknowledged(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a}, other = {.o = a};
	struct post_stream_opened out, again;
	struct post_stream *s = stream_with(&c, 10, 2, &out);

	(void)state;
	close_stream(a, s);
	run_ms(w, LIMIT_STREAM_RESERVED_MS);
	(void)take(&other, NULL, false, 0);
	run_ms(w, 5);
	assert_int_equal(other.rows[0], 1);
	(void)stream_resume(&c, 10, &out.id, 99, &again); /* more than it was given */
	assert_true(again.recovered);
	assert_int_equal(again.offset, 2);
	assert_int_equal(a->dels, 1);
	run_ms(w, 5);
	assert_int_equal(inbox_of(a), 1);
	assert_int_equal(c.count, 2);
	world_free(w);
}

static void test_unknown(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a};
	struct post_stream_opened out, again;
	struct post_stream *s = stream_with(&c, 10, 3, &out);
	struct post_stream_id id = out.id;

	(void)state;
	id.epoch[0]++;
	(void)stream_resume(&c, 10, &id, 1, &again);
	assert_false(again.recovered);
	assert_int_equal(again.offset, 3);
	assert_memory_equal(again.id.epoch, out.id.epoch, sizeof(out.id.epoch));
	assert_memory_not_equal(again.id.stream, out.id.stream, sizeof(out.id.stream));
	id = out.id;
	id.stream[0]++;
	(void)stream_resume(&c, 10, &id, 1, &again);
	assert_false(again.recovered);
	assert_int_equal(a->dels, 0);
	/* Forgotten after its time. */
	close_stream(a, s);
	run_ms(w, LIMIT_STREAM_MEMORY_MS);
	(void)stream_resume(&c, 10, &out.id, 1, &again);
	assert_false(again.recovered);
	assert_memory_not_equal(again.id.stream, out.id.stream, sizeof(out.id.stream));
	/* Of a former life. */
	office_crash(a);
	(void)stream_resume(&c, 10, &again.id, 1, &out);
	assert_false(out.recovered);
	world_free(w);
}

/* The old connection still stands: it is told, and what it had goes over. */
static void test_taken_over(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a}, next = {.o = a}, third = {.o = a};
	struct post_stream_opened out, again;
	struct post_stream *old = stream_with(&c, 3, 5, &out), *s;

	(void)state;
	s = stream_resume(&next, 10, &out.id, 1, &again);
	assert_true(again.recovered);
	assert_int_equal(c.taken_over, 0); /* never from inside */
	assert_true(post_stream_ack(a->post, old, 3, now_of(w))); /* means nothing */
	post_stream_pause(a->post, old, true);
	run_ms(w, 5);
	assert_int_equal(c.taken_over, 1);
	assert_int_equal(c.count, 3);
	assert_int_equal(next.count, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(next.rows[i], i + 2);
	assert_int_equal(post_load(a->post).streams, 1);
	/* Closed before it was told. */
	(void)stream_resume(&third, 10, &out.id, again.offset, &again);
	post_stream_close(a->post, s, now_of(w));
	run_ms(w, 5);
	assert_int_equal(next.taken_over, 0);
	assert_int_equal(third.count, 4);
	world_free(w);
}

/* Cut again before all was given again; a smaller window; a pause. */
static void test_twice(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a}, other = {.o = a};
	struct post_stream_opened out, again;
	struct post_stream *s = stream_with(&c, 50, 40, &out);

	(void)state;
	close_stream(a, s);
	s = stream_resume(&c, 2, &out.id, 10, &again);
	run_ms(w, 5);
	assert_int_equal(c.count, 42);
	post_stream_pause(a->post, s, true);
	(void)take(&other, NULL, false, 0);
	run_ms(w, 5);
	assert_int_equal(other.nulls, 1); /* they stay reserved */
	close_stream(a, s);
	s = stream_resume(&c, 50, &out.id, 40, &again); /* not one that was given again */
	assert_true(again.recovered);
	assert_int_equal(inbox_of(a), 30);
	run_ms(w, 50);
	assert_int_equal(c.count, 72);
	for (unsigned i = 0; i < 30; i++)
		assert_int_equal(c.rows[42 + i], 11 + i);
	assert_true(post_stream_ack(a->post, s, c.offsets[71], now_of(w)));
	assert_int_equal(inbox_of(a), 0);
	world_free(w);
}

/* While its messages are being loaded. */
static void test_close_while_loading(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a}, other = {.o = a};
	struct post_stream_opened out;
	struct post_stream *s;

	(void)state;
	for (size_t i = 1; i <= 3; i++)
		(void)inject(a, "t", i);
	run_ms(w, 10);
	office_crash(a);
	a->held = true;
	s = stream_open(&c, 10, &out);
	run_ms(w, 0);
	close_stream(a, s);
	(void)take(&other, NULL, false, 0); /* it never had them */
	run_ms(w, 0);
	a->held = false;
	run_ms(w, 5);
	assert_int_equal(other.count, 1);
	assert_int_equal(a->loads, 3);
	/* Given again, and cut while that is loaded; consumed by a third resume while the load flies. */
	s = stream_resume(&c, 10, &out.id, 0, NULL);
	run_ms(w, 5);
	assert_int_equal(c.count, 2);
	close_stream(a, s);
	run_ms(w, LIMIT_STREAM_RESERVED_MS);
	a->held = true;
	(void)take(&other, NULL, true, 0);
	run_ms(w, 0);
	assert_int_equal(a->loads, 4);
	(void)stream_resume(&c, 10, &out.id, c.offsets[1], NULL);
	assert_int_equal(inbox_of(a), 1);
	run_ms(w, 0);
	assert_int_equal(other.nulls, 1);
	a->held = false;
	run_ms(w, 5);
	assert_int_equal(c.count, 2);
	world_free(w);
}

/* Given again: only so many are loaded ahead. */
static void test_loads_ahead(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a};
	struct post_stream_opened out;

	(void)state;
	close_stream(a, stream_with(&c, 50, 40, &out));
	a->held = true;
	(void)stream_resume(&c, 50, &out.id, 0, NULL);
	run_ms(w, 1);
	assert_int_equal(a->loads, LIMIT_STREAM_AHEAD);
	a->held = false;
	run_ms(w, 50);
	assert_int_equal(c.count, 80);
	world_free(w);
}

/* Reserved for another, who has not got it yet: the stream may still say that it has it, but does not get it again. */
static void test_reserved_for_another(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a}, other = {.o = a};
	struct post_stream_opened out, again;

	(void)state;
	close_stream(a, stream_with(&c, 10, 3, &out));
	a->held = true;
	for (int i = 0; i < 3; i++)
		(void)take(&other, NULL, false, 60 * 1000);
	run_ms(w, LIMIT_STREAM_RESERVED_MS);
	assert_int_equal(a->loads, 3);
	(void)stream_resume(&c, 10, &out.id, 1, &again);
	assert_false(again.recovered);
	assert_int_equal(inbox_of(a), 2);
	a->held = false;
	run_ms(w, 5);
	assert_int_equal(other.count, 2);
	assert_int_equal(other.rows[0], 2);
	assert_int_equal(c.count, 3);
	(void)inject(a, "t", 9); /* the third goes on waiting, and came before */
	assert_int_equal(other.lens[2], 9);
	world_free(w);
}

/* What could not be loaded meanwhile is still the stream's. */
static void test_asleep(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a}, other = {.o = a};
	struct post_stream_opened out, again;

	(void)state;
	close_stream(a, stream_with(&c, 10, 2, &out));
	run_ms(w, LIMIT_STREAM_RESERVED_MS);
	a->load_error = -EIO;
	(void)take(&other, NULL, false, 0);
	(void)take(&other, NULL, false, 0);
	run_ms(w, 10);
	assert_int_equal(other.nulls, 2);
	a->load_error = 0;
	(void)stream_resume(&c, 10, &out.id, 1, &again);
	assert_true(again.recovered);
	run_ms(w, 5);
	assert_int_equal(inbox_of(a), 1);
	assert_int_equal(c.count, 3);
	assert_int_equal(c.rows[2], 2);
	run_ms(w, LIMIT_INBOX_RETRY_MS);
	(void)take(&other, NULL, false, 0);
	run_ms(w, 5);
	assert_int_equal(other.nulls, 3);
	world_free(w);
}

/* Full: the one cut first is forgotten, and what it had goes to others. */
static void test_remembered(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a}, other = {.o = a};
	struct post_stream_opened first, second, out;

	(void)state;
	close_stream(a, stream_with(&c, 10, 1, &first));
	close_stream(a, stream_open(&c, 10, &second));
	for (int i = 2; i < LIMIT_STREAMS_REMEMBERED; i++)
		post_stream_close(a->post, stream_open(&c, 1, NULL), now_of(w));
	(void)take(&other, NULL, false, 60 * 1000);
	run_ms(w, 0);
	assert_int_equal(other.count, 0);
	post_stream_close(a->post, stream_open(&c, 1, NULL), now_of(w));
	run_ms(w, 1);
	assert_int_equal(other.count, 1);
	(void)stream_resume(&c, 10, &first.id, 0, &out);
	assert_false(out.recovered);
	(void)stream_resume(&c, 10, &second.id, 0, &out);
	assert_true(out.recovered);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recovered),
		cmocka_unit_test(test_late_but_untouched),
		cmocka_unit_test(test_went_elsewhere),
		cmocka_unit_test(test_all_acknowledged),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_taken_over),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_close_while_loading),
		cmocka_unit_test(test_remembered),
		cmocka_unit_test(test_loads_ahead),
		cmocka_unit_test(test_reserved_for_another),
		cmocka_unit_test(test_asleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
