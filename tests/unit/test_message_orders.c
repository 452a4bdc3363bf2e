/* SPDX-License-Identifier: Apache-2.0 */
/* Orders as a whole: READ, replies, caps, deliveries to ourselves, and orders of a former life. */
#include "tests/unit/test_message.h"
#include <errno.h>

static void give_read(struct world *w, uint8_t node, const uint8_t id[FRAME_ID_BYTES])
{
	const struct ip6 src = node_ip(node, 1);
	struct frame f = {.type = FRAME_READ};

	memcpy(f.id, id, sizeof(f.id));
	give(w, &src, &f);
}

static void test_read(void **state)
{
	struct world *w = world_new(0);
	struct message_order o = send_len(w, 1, 10);

	(void)state;
	give_read(w, 2, o.id); /* before anything was sent but INIT */
	assert_int_equal(state_of(w, 1), MESSAGE_PENDING);
	ack(w, 0);
	give_read(w, 2, o.id);
	assert_int_equal(state_of(w, 1), MESSAGE_SENDING);
	ack(w, 1);
	ack(w, 2);
	assert_int_equal(state_of(w, 1), MESSAGE_RECEIVED);
	give_read(w, 3, o.id);
	assert_int_equal(state_of(w, 1), MESSAGE_RECEIVED);
	give_read(w, 2, o.id);
	assert_int_equal(state_of(w, 1), MESSAGE_READ);
	assert_int_equal(last_status(w)->state, MESSAGE_READ);
	/* One that overtakes the DONE ACK. */
	o = send_len(w, 2, 10);
	ack(w, 3);
	ack(w, 4);
	assert_int_equal(state_of(w, 2), MESSAGE_SENDING);
	give_read(w, 2, o.id);
	assert_int_equal(state_of(w, 2), MESSAGE_READ);
	world_free(w);
}

static struct message_order reply_to(uint64_t handle, const uint8_t *id, size_t len)
{
	struct message_order o = {.handle = handle, .has_id = true, .reply = true, .dst = node_ip(2, 1), .len = len};

	memcpy(o.id, id, sizeof(o.id));
	return o;
}

/* Two replies to one message: one after the other, each with a status of its own; by id the newest is meant. */
static void test_replies(void **state)
{
	static const uint8_t id[FRAME_ID_BYTES] = "12345678";
	struct world *w = world_new(0);
	struct message_order first = reply_to(1, id, 10), second = reply_to(2, id, 20);
	struct message_status s;

	(void)state;
	order(w, &first, 0);
	order(w, &second, 0);
	assert_int_equal(w->sent_count, 1);
	assert_true(w->sent[0].frame.reply);
	assert_int_equal(w->sent[0].len, 21);
	assert_int_equal(w->sent[0].bytes[8], 0x84);
	pass_ms(w, 500);
	assert_int_equal(w->sent_count, 1);
	assert_true(message_find_id(w->m, id, &s));
	assert_int_equal(s.handle, 2);
	assert_true(s.reply);
	for (size_t i = 0; i < 3; i++)
		ack(w, i);
	assert_false(w->sent[1].frame.reply);
	assert_false(w->sent[2].frame.reply);
	assert_int_equal(state_of(w, 1), MESSAGE_RECEIVED);
	assert_int_equal(state_of(w, 2), MESSAGE_PENDING);
	assert_int_equal(w->sent_count, 4);
	assert_int_equal(w->sent[3].frame.init.length, 20);
	ack_all(w, 3);
	assert_int_equal(state_of(w, 2), MESSAGE_RECEIVED);
	world_free(w);
}

/* Same length, other topic: a late ACK of the first must not be taken for one of the second. */
static void test_confusable(void **state)
{
	static const uint8_t id[FRAME_ID_BYTES] = "12345678";
	struct world *w = world_new(0);
	struct message_order first = reply_to(1, id, 10), second = reply_to(2, id, 10), third = reply_to(3, id, 10);

	(void)state;
	order(w, &first, 0);
	ack_all(w, 0);
	assert_int_equal(w->sent_count, 3);
	second.topic = (const uint8_t *)"t";
	second.topic_len = 1;
	order(w, &second, 0);
	pass_ms(w, 9999);
	assert_int_equal(w->sent_count, 3);
	pass_ms(w, 1);
	assert_int_equal(w->sent_count, 4);
	ack_all(w, 3);
	third.topic = second.topic;
	third.topic_len = 1;
	order(w, &third, 0);
	assert_int_equal(w->sent_count, 7);
	world_free(w);
}

/* A reply arrives whole, so what it answers did. */
static void test_reply_is_ack(void **state)
{
	struct world *w = world_new(0);
	const struct message_order o = send_len(w, 1, 10);
	const struct ip6 src = node_ip(2, 1);
	struct frame f = init_frame(0, 3, true, "");

	(void)state;
	ack(w, 0);
	ack(w, 1);
	assert_true(last_is(w, FRAME_DONE));
	memcpy(f.id, o.id, sizeof(f.id));
	give(w, &src, &f);
	f = chunk_frame(0, 0, 0, (const uint8_t *)"abc", 3);
	memcpy(f.id, o.id, sizeof(f.id));
	give(w, &src, &f);
	assert_int_equal(state_of(w, 1), MESSAGE_SENDING);
	f = done_frame(0, 1, (const uint8_t *)"abc", 3);
	memcpy(f.id, o.id, sizeof(f.id));
	give(w, &src, &f);
	assert_int_equal(w->in_count, 1);
	assert_int_equal(state_of(w, 1), MESSAGE_RECEIVED);
	world_free(w);
}

/* Only so many INITs wait for an answer; the others take their turns. */
static void test_offline(void **state)
{
	struct world *w = world_new(0);
	size_t here;

	(void)state;
	for (uint64_t i = 1; i <= 200; i++)
		(void)send_len(w, i, 1);
	assert_int_equal(w->sent_count, LIMIT_MESSAGE_OPENING);
	pass_ms(w, 100 * 1000);
	assert_true(w->sent_count < (size_t)LIMIT_MESSAGE_OPENING * 100);
	here = w->sent_count;
	pass_ms(w, 10 * 1000);
	ack_all(w, here);
	for (int i = 0; i < 20; i++) {
		here = w->sent_count;
		pass_ms(w, 8000);
		ack_all(w, here);
	}
	for (uint64_t i = 1; i <= 200; i++)
		assert_int_equal(state_of(w, i), MESSAGE_RECEIVED);
	assert_int_equal(message_load(w->m).out_count, 0);
	assert_int_equal(message_load(w->m).out_bytes, 0);
	world_free(w);
}

static void test_caps(void **state)
{
	struct world *w = world_new(0);
	struct message_order o = {.handle = 1, .dst = node_ip(2, 1), .len = 1, .deadline_s = 86401};

	(void)state;
	order(w, &o, -EINVAL);
	o.deadline_s = 0;
	o.len = ((size_t)1 << 30) + 1;
	assert_int_equal(message_send(w->m, &o, w->now, NOW_S, NULL), -EINVAL);
	o.len = 1;
	for (o.handle = 1; o.handle <= LIMIT_MESSAGE_OUT_PER_NET64; o.handle++)
		order(w, &o, 0);
	order(w, &o, -ENOSPC);
	o.handle = 7;
	order(w, &o, -EEXIST);
	o.handle = 1000000;
	o.dst = node_ip(3, 1);
	order(w, &o, 0);
	pass_ms(w, 300 * 1000);
	o.handle++;
	o.dst = node_ip(2, 1);
	order(w, &o, 0);
	assert_int_equal(message_count(w->m, MESSAGE_GIVEN_UP), LIMIT_MESSAGE_OUT_PER_NET64 + 1);
	world_free(w);
}

/* To ourselves: given at once, received when stored, tried again when it could not be. */
static void test_local(void **state)
{
	struct world *w = world_new(0);
	const struct ip6 self = node_ip(1, 1);
	struct message_order o = {
		.handle = 1, .dst = node_ip(1, 9), .len = 5000, .topic = (const uint8_t *)"t", .topic_len = 1};

	(void)state;
	order(w, &o, 0);
	assert_int_equal(w->in_count, 1);
	assert_int_equal(w->in.len, 5000);
	assert_int_equal(w->payload[4999], 4999 % 251);
	assert_int_equal(w->in.topic_len, 1);
	assert_memory_equal(w->in.id, o.id, sizeof(o.id));
	assert_true(ip6_eq(&w->in.src, &self) && ip6_eq(&w->in.dst, &o.dst));
	pass_ms(w, 400 * 1000); /* the disk is slow: the deadline waits for it */
	assert_int_equal(state_of(w, 1), MESSAGE_PENDING);
	message_stored(w->m, w->in.token, true, w->now);
	assert_int_equal(state_of(w, 1), MESSAGE_RECEIVED);
	message_read(w->m, &w->in.src, &w->in.dst, w->in.id, w->now);
	assert_int_equal(state_of(w, 1), MESSAGE_READ);

	o.handle = 2;
	order(w, &o, 0);
	message_stored(w->m, w->in.token, false, w->now);
	assert_int_equal(w->in_count, 2);
	pass_ms(w, 1000);
	assert_int_equal(w->in_count, 3);
	message_stored(w->m, w->in.token, false, w->now);
	pass_ms(w, 1000);
	message_stored(w->m, w->in.token, true, w->now);
	assert_int_equal(state_of(w, 2), MESSAGE_RECEIVED);

	o.handle = 3;
	order(w, &o, 0);
	assert_int_equal(w->sent_count, 0);
	world_free(w); /* while it is being stored */
}

/* Orders of a former life: some to go on with, some only to tell about, one whose time is over. */
static void test_former_life(void **state)
{
	struct world *w = world_new(0);
	struct message_order o = {
		.handle = 1, .has_id = true, .dst = node_ip(2, 1), .len = 9, .created_s = NOW_S - 100};
	struct message_status s;

	(void)state;
	memset(o.id, 1, sizeof(o.id));
	order(w, &o, 0);
	assert_true(message_find(w->m, 1, &s));
	assert_int_equal(s.created_s, NOW_S - 100);
	assert_int_equal(s.deadline_s, NOW_S + 200);
	pass_ms(w, 200 * 1000);
	assert_int_equal(state_of(w, 1), MESSAGE_ABORTED);

	o.handle = 2;
	memset(o.id, 2, sizeof(o.id));
	o.state = MESSAGE_RECEIVED;
	order(w, &o, 0);
	assert_int_equal(state_of(w, 2), MESSAGE_RECEIVED);
	give_read(w, 2, o.id);
	assert_int_equal(state_of(w, 2), MESSAGE_READ);
	pass_ms(w, 500 * 1000);
	assert_false(message_find(w->m, 2, &s));

	o.handle = 3;
	memset(o.id, 3, sizeof(o.id));
	o.state = MESSAGE_PENDING;
	o.created_s = NOW_S - 301;
	w->sent_count = 0;
	order(w, &o, 0);
	assert_int_equal(state_of(w, 3), MESSAGE_ABORTED);
	assert_int_equal(w->sent_count, 0);
	world_free(w);
}

/* The clock was set back, or forward, while it was down: an order lasts no longer than it was meant to, and what was
 * told is told on. */
static void test_clock_set(void **state)
{
	const int64_t year_s = 365 * 86400, clocks_s[] = {NOW_S - 30 * year_s, NOW_S - 301, NOW_S, NOW_S + 30 * year_s};
	struct message_order o = {.handle = 1, .has_id = true, .dst = node_ip(2, 1), .created_s = NOW_S};

	(void)state;
	for (unsigned i = 0; i < sizeof(clocks_s) / sizeof(clocks_s[0]); i++) {
		struct world *w = world_new(0);

		assert_int_equal(message_send(w->m, &o, w->now, clocks_s[i], NULL), 0);
		pass_ms(w, 0);
		assert_int_equal(state_of(w, 1), i < 3 ? MESSAGE_PENDING : MESSAGE_ABORTED);
		pass_ms(w, 299 * 1000);
		assert_int_equal(state_of(w, 1), i < 3 ? MESSAGE_PENDING : MESSAGE_ABORTED);
		pass_ms(w, 1000);
		assert_int_equal(message_load(w->m).out_count, 0);
		assert_int_equal(message_load(w->m).status_count, i < 3);
		pass_ms(w, LIMIT_MESSAGE_STATUS_S * 1000);
		assert_int_equal(message_load(w->m).status_count, 0);
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),	   cmocka_unit_test(test_replies),
		cmocka_unit_test(test_confusable), cmocka_unit_test(test_reply_is_ack),
		cmocka_unit_test(test_offline),	   cmocka_unit_test(test_caps),
		cmocka_unit_test(test_local),	   cmocka_unit_test(test_former_life),
		cmocka_unit_test(test_clock_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
