/* SPDX-License-Identifier: Apache-2.0 */
/* The inbox: caps, what is acknowledged and when, the cache, loads and their failures, and what a restart finds. */
#include "tests/unit/test_post_catch.h"

enum { BIG = 3 * 1024 * 1024 };

/* Nothing is acknowledged or available before it is stored. */
enum { CROWD = 500 };

static void test_stored_first(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0], *b = &w->offices[1];
	const struct ip6 dst = office_ip(1);
	struct catch c = {.o = b};

	(void)state;
	assert_non_null(take(&c, NULL, false, 60 * 1000));
	b->held = true;
	(void)send_to(a, &dst, "topic", 1000, NULL, NULL);
	run_ms(w, 1000);
	assert_int_equal(c.count, 0);
	assert_int_equal(a->orders->order.state, MESSAGE_PENDING);
	assert_int_equal(post_load(b->post).inbox_count, 1);
	assert_int_equal(post_load(b->post).inbox_bytes, 1000);
	b->held = false;
	run_ms(w, 0);
	assert_int_equal(c.count, 1);
	assert_int_equal(b->loads, 0);
	assert_int_equal(c.last.topic_len, 5);
	assert_memory_equal(c.last.topic, "topic", 5);
	run_ms(w, 1000);
	assert_int_equal(a->orders->order.state, MESSAGE_RECEIVED);
	world_free(w);
}

/* What could not be stored is not acknowledged; the sender tries again. */
static void test_store_fails(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0], *b = &w->offices[1];
	const struct ip6 dst = office_ip(1);

	(void)state;
	b->add_error = -ENOSPC;
	(void)send_to(a, &dst, "", 10, NULL, NULL);
	run_ms(w, 3000);
	assert_int_equal(inbox_of(b), 0);
	assert_int_equal(a->orders->order.state, MESSAGE_PENDING);
	assert_true(post_count(b->post, MESSAGE_UNSTORED) > 1);
	b->add_error = 0;
	run_ms(w, 10 * 1000);
	assert_int_equal(inbox_of(b), 1);
	assert_int_equal(a->orders->order.state, MESSAGE_RECEIVED);
	world_free(w);
}

/* Payloads stay in memory while there is room, and are loaded otherwise. */
static void test_cache(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a};

	(void)state;
	(void)inject(a, "1", BIG);
	(void)inject(a, "2", BIG); /* does not fit */
	(void)inject(a, "3", 1000);
	(void)take(&c, "3", false, 0);
	(void)take(&c, "1", false, 0);
	run_ms(w, 0);
	assert_int_equal(c.count, 2);
	assert_int_equal(a->loads, 0);
	(void)take(&c, "2", true, 0);
	run_ms(w, 0);
	assert_int_equal(c.count, 2);
	assert_int_equal(a->loads, 1);
	run_ms(w, 1);
	assert_int_equal(c.count, 3);
	(void)take(&c, "2", false, 0); /* its load filled the cache */
	run_ms(w, 0);
	assert_int_equal(c.count, 4);
	assert_int_equal(a->loads, 1);
	post_give_back(a->post, c.rows[1]); /* its payload was the consumer's */
	(void)take(&c, NULL, false, 0);
	run_ms(w, 1);
	assert_int_equal(c.count, 5);
	assert_int_equal(c.rows[4], c.rows[1]);
	assert_int_equal(a->loads, 2);
	(void)inject(a, "5", BIG);
	(void)inject(a, "6", BIG);
	for (int i = 0; i < 2; i++) {
		(void)take(&c, "6", i == 0, 0); /* finds the cache full */
		run_ms(w, 1);
	}
	assert_int_equal(c.count, 7);
	assert_int_equal(a->loads, 4);
	assert_int_equal(c.nulls, 0);
	world_free(w);
}

/* A restart: all that was there is available, in its order, and nothing of it is in memory. */
static void fill_and_restart(struct office *o, unsigned count, size_t len)
{
	for (unsigned i = 0; i < count; i++)
		(void)inject(o, i % 2 ? "odd" : "even", len + i);
	run_ms(o->w, 10);
	office_crash(o);
	run_ms(o->w, 0);
}

static void test_shared_load(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a}, peeks = {.o = a};

	(void)state;
	fill_and_restart(a, 2, 100);
	assert_int_equal(inbox_of(a), 2);
	(void)take(&peeks, NULL, true, 0);
	(void)take(&peeks, NULL, true, 0);
	(void)take(&c, NULL, false, 0);
	(void)take(&peeks, "odd", true, 0);
	run_ms(w, 0);
	assert_int_equal(a->loads, 2);
	run_ms(w, 1);
	assert_int_equal(a->loads, 2);
	assert_int_equal(peeks.count, 3);
	assert_int_equal(c.count, 1);
	assert_int_equal(peeks.rows[0], c.rows[0]);
	assert_int_equal(peeks.rows[1], c.rows[0]);
	assert_int_equal(peeks.rows[2], c.rows[0] + 1);
	assert_int_equal(a->dels, 0);
	(void)take(&peeks, NULL, true, 0); /* what is reserved is not looked at */
	run_ms(w, 1);
	assert_int_equal(peeks.rows[3], c.rows[0] + 1);
	world_free(w);
}

static void test_loads_bounded(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a};

	(void)state;
	fill_and_restart(a, LIMIT_INBOX_LOADS + 10, 10);
	a->held = true;
	for (int i = 0; i < LIMIT_INBOX_LOADS + 10; i++)
		(void)take(&c, NULL, false, 0);
	run_ms(w, 1000);
	assert_int_equal(a->loads, LIMIT_INBOX_LOADS);
	store_step(a);
	run_ms(w, 0);
	assert_int_equal(a->loads, LIMIT_INBOX_LOADS + 1);
	a->held = false;
	run_ms(w, 10);
	assert_int_equal(c.count, LIMIT_INBOX_LOADS + 10);
	for (unsigned i = 0; i < c.count; i++)
		assert_int_equal(c.rows[i], i + 1);
	world_free(w);
}

static void test_load_bytes_bounded(void **state)
{
	enum { LONG = LIMIT_INBOX_LOAD_BYTES / 2 + 1 };
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a};

	(void)state;
	fill_and_restart(a, 3, LONG);
	a->held = true;
	for (int i = 0; i < 3; i++)
		(void)take(&c, NULL, false, 0);
	for (unsigned i = 1; i <= 3; i++) {
		run_ms(w, 10);
		assert_int_equal(a->loads, i);
		store_step(a);
	}
	run_ms(w, 0);
	assert_int_equal(c.count, 3);
	world_free(w);
}

/* A bad place on the disk: it is tried again after a second, and does not stand in the way of others. */
static void test_unreadable(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a}, poll = {.o = a};

	(void)state;
	fill_and_restart(a, 2, 10);
	a->load_error = -EIO;
	(void)take(&c, "even", false, 60 * 1000);
	(void)take(&poll, "even", true, 0);
	run_ms(w, 10);
	assert_int_equal(c.count, 0);
	assert_int_equal(poll.nulls, 1);
	assert_int_equal(post_load(a->post).unreadable, 1);
	assert_int_equal(inbox_of(a), 2);
	a->load_error = 0;
	(void)take(&poll, NULL, false, 0);
	run_ms(w, 900);
	assert_int_equal(poll.count, 1);
	assert_int_equal(poll.rows[0], 2);
	assert_int_equal(c.count, 0);
	run_ms(w, 200);
	assert_int_equal(c.count, 1);
	assert_int_equal(c.rows[0], 1);
	/* A length that is not the message's is no better. */
	post_give_back(a->post, 1);
	a->messages->message.len--;
	(void)take(&poll, "even", false, 0);
	run_ms(w, 10);
	assert_int_equal(poll.nulls, 2);
	assert_int_equal(post_load(a->post).unreadable, 2);
	world_free(w);
}

/* The store has it no more: it leaves the inbox, who waited for it gets another. */
static void test_lost(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a}, s = {.o = a};

	(void)state;
	fill_and_restart(a, 4, 10);
	a->messages->is_there = false;
	a->messages->next->is_there = false;
	(void)take(&c, NULL, true, 0);
	(void)take(&c, "even", false, 0);
	(void)stream_open(&s, 1, NULL);
	run_ms(w, 10);
	assert_int_equal(c.count, 2);
	assert_int_equal(c.rows[0], 3);
	assert_int_equal(c.rows[1], 3);
	assert_int_equal(s.count, 1);
	assert_int_equal(s.rows[0], 4);
	assert_int_equal(inbox_of(a), 2);
	assert_int_equal(post_load(a->post).lost, 2);
	world_free(w);
}

/* Completed in a former life: its repetition is acknowledged, not delivered again. */
static void test_past(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0], *b = &w->offices[1];
	const struct ip6 dst = office_ip(1);
	struct catch c = {.o = b};

	(void)state;
	(void)take(&c, NULL, false, 60 * 1000);
	(void)send_to(a, &dst, "t", 4000, NULL, NULL);
	b->held = true;
	while (!b->requests)
		run_ms(w, 1);
	w->loss = 100; /* the DONE ACK is */
	b->held = false;
	run_ms(w, 1);
	assert_int_equal(c.count, 1);
	consume(b, c.rows[0]);
	run_ms(w, 10);
	office_crash(b);
	w->loss = 0;
	assert_int_equal(a->orders->order.state, MESSAGE_PENDING);
	run_ms(w, 10 * 1000);
	assert_int_equal(a->orders->order.state, MESSAGE_RECEIVED);
	assert_int_equal(inbox_of(b), 0);
	world_free(w);
}

static void give(struct office *o, struct frame *f)
{
	const struct ip6 src = office_ip(8);
	uint8_t bytes[FRAME_MAX_BYTES];
	struct wr wr = wr_init(bytes, sizeof(bytes));

	memset(f->id, 7, sizeof(f->id));
	frame_write(&wr, f);
	post_packet(o->post, &src, &o->config.self, bytes, wr_len(&wr), now_of(o->w));
	run_ms(o->w, 1);
}

/* Also of a sender that cuts otherwise than we do. */
static void test_past_cut(void **state)
{
	enum { CHUNKS = 4, LEN = CHUNKS * FRAME_CHUNK_MIN_BYTES };
	static const uint8_t data[LEN];
	struct world *w = world_new(1);
	struct office *b = &w->offices[1];
	struct frame init = {.type = FRAME_INIT, .init = {.length = LEN}}, done = {.type = FRAME_DONE}, chunk;
	size_t before;

	(void)state;
	done.done.count = CHUNKS;
	blake3_hash(data, LEN, done.done.checksum);
	give(b, &init);
	for (unsigned i = 0; i < CHUNKS; i++) {
		chunk = (struct frame){.type = FRAME_CHUNK,
				       .chunk = {.index = i,
						 .offset = i * FRAME_CHUNK_MIN_BYTES,
						 .size = FRAME_CHUNK_MIN_BYTES,
						 .data = data,
						 .data_len = FRAME_CHUNK_MIN_BYTES}};
		give(b, &chunk);
	}
	give(b, &done);
	assert_int_equal(inbox_of(b), 1);
	office_crash(b);
	before = w->packets_sent;
	give(b, &chunk);
	give(b, &done);
	assert_int_equal(w->packets_sent, before + 2);
	assert_int_equal(inbox_of(b), 1);
	world_free(w);
}

/* Of the stored order of that length. */
static uint8_t message_state_of(const struct office *o, size_t len)
{
	const struct row *r;

	DL_FOREACH (o->orders, r) {
		if (r->order.len == len)
			return r->order.state;
	}
	fail();
	return 0;
}

/* The receiver is restarted in the midst of a transfer: it is begun again, and arrives within its time. */
static void test_receiver_restarts(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0], *b = &w->offices[1];
	const struct ip6 dst = office_ip(1);
	struct catch c = {.o = b};

	(void)state;
	(void)send_to(a, &dst, "t", 10, NULL, NULL);
	(void)take(&c, NULL, false, 60 * 1000);
	run_ms(w, 1000);
	assert_int_equal(c.count, 1);
	consume(b, c.last.row);
	(void)take(&c, NULL, false, 60 * 1000);
	(void)send_to(a, &dst, "t", 500 * 1000, NULL, NULL);
	while (w->packets_sent < 200)
		run_ms(w, 1);
	office_crash(b);
	(void)take(&c, NULL, false, 120 * 1000);
	run_ms(w, 60 * 1000);
	assert_int_equal(c.count, 2);
	assert_int_equal(c.last.len, 500 * 1000);
	assert_int_equal(message_state_of(a, 500 * 1000), MESSAGE_RECEIVED);
	world_free(w);
}

/* The same with many messages on their way: those that the receiver has forgotten do not hold up those that it knows.
 */
static void test_receiver_restarts_in_a_crowd(void **state)
{
	struct world *w = world_new(2);
	struct office *a = &w->offices[0], *b = &w->offices[1];
	const struct ip6 dst = office_ip(1);
	const struct row *r;
	unsigned received = 0;

	(void)state;
	(void)send_to(a, &dst, "t", 10, NULL, NULL);
	run_ms(w, 1000);
	for (int i = 0; i < CROWD; i++)
		(void)send_to(a, &dst, "t", 20 * 1000, NULL, NULL);
	while (w->packets_sent < 3000)
		run_ms(w, 1);
	office_crash(b);
	run_ms(w, 120 * 1000);
	DL_FOREACH (a->orders, r)
		received += r->order.state == MESSAGE_RECEIVED;
	assert_int_equal(received, CROWD + 1);
	world_free(w);
}

/* The end in the midst of everything. */
static void test_end(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct catch c = {.o = a};

	(void)state;
	fill_and_restart(a, 40, 10);
	a->held = true;
	(void)stream_open(&c, 4, NULL);
	(void)take(&c, NULL, false, 1000);
	(void)take(&c, NULL, true, 1000);
	(void)take(&c, "none", true, 1000);
	(void)take_reply(&c, (const uint8_t *)"12345678", &a->config.self, false);
	(void)send_to(a, &a->config.self, "", 10, NULL, NULL);
	run_ms(w, 0);
	(void)send_to(a, &a->config.self, "", 10, NULL, NULL);
	assert_true(a->loads > 0);
	world_free(w);
	post_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stored_first),
		cmocka_unit_test(test_store_fails),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_shared_load),
		cmocka_unit_test(test_loads_bounded),
		cmocka_unit_test(test_load_bytes_bounded),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_past),
		cmocka_unit_test(test_past_cut),
		cmocka_unit_test(test_receiver_restarts),
		cmocka_unit_test(test_receiver_restarts_in_a_crowd),
		cmocka_unit_test(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
