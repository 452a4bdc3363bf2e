/* SPDX-License-Identifier: Apache-2.0 */
/* What is sent for an order and when, and which answers count. Runs from the root of the tree. */
#include "tests/support/vectors.h"
#include "tests/unit/test_message.h"

/* The packets of one message are the known ones. */
enum { CROWD = 100 };

static void test_bytes(void **state)
{
	static const char *const names[] = {"init", "chunk", "done"};
	struct world *w = world_new(0);
	struct message_order o = {.handle = 1,
				  .has_id = true,
				  .dst = node_ip(2, 1),
				  .topic = (const uint8_t *)"example.topic",
				  .topic_len = 13,
				  .len = 17};

	(void)state;
	(void)vectors_hex(o.id, sizeof(o.id), "messages/inputs/id");
	o.payload = malloc(17);
	assert_non_null(o.payload);
	memcpy(o.payload, "this is a message", 17);
	assert_int_equal(message_send(w->m, &o, w->now, NOW_S, NULL), 0);
	ack_all(w, 0);
	assert_int_equal(w->sent_count, 3);
	for (size_t i = 0; i < 3; i++) {
		uint8_t want[FRAME_MAX_BYTES];
		const size_t len =
			vectors_hex(want, sizeof(want), "messages/message_bytes_without_user_data_header/%s", names[i]);

		assert_int_equal(w->sent[i].len, len);
		assert_memory_equal(w->sent[i].bytes, want, len);
		assert_true(ip6_eq(&w->sent[i].src, &(struct ip6){{4, 1, [15] = 1}}));
		assert_true(ip6_eq(&w->sent[i].dst, &o.dst));
	}
	assert_int_equal(state_of(w, 1), MESSAGE_RECEIVED);
	world_free(w);
}

/* Chunks of one message: an even split that tiles it, none too short. */
static void check_split(size_t len, int64_t last)
{
	struct world *w = world_new(0);
	const size_t count = (len + 1299) / 1300;
	size_t at = 0, i = 0;

	(void)send_len(w, 1, len);
	ack_all(w, 0);
	assert_int_equal(state_of(w, 1), MESSAGE_RECEIVED);
	assert_int_equal(sent_of(w, FRAME_CHUNK), count);
	assert_int_equal(w->sent_count, count + 2);
	for (; i < count; i++) {
		const struct frame_chunk *c = &w->sent[i + 1].frame.chunk;

		assert_int_equal(c->index, i);
		assert_int_equal(c->offset, at);
		assert_int_equal(c->size, c->data_len);
		assert_true(c->size <= 1300 && (count == 1 || c->size >= 250));
		for (size_t j = 0; j < c->data_len; j++)
			assert_int_equal(c->data[j], (at + j) % 251);
		at += c->data_len;
	}
	assert_int_equal(at, len);
	if (count > 0)
		assert_int_equal(w->sent[count].frame.chunk.size, last);
	assert_int_equal(w->sent[count + 1].frame.done.count, count);
	world_free(w);
}

static void test_chunking(void **state)
{
	(void)state;
	for (size_t i = 0; i < vectors_count("chunking"); i++)
		check_split((size_t)vectors_number("chunking/%zu/length", i),
			    vectors_number("chunking/%zu/even_split_last", i));
	check_split((size_t)4 * 1024 * 1024, 1299);
}

/* INIT again and again, never after its ACK; chunks then, DONE with the last ACK, each repeated alone. */
static void test_retransmission(void **state)
{
	struct world *w = world_new(0);
	struct message_status s;
	size_t before;

	(void)state;
	(void)send_len(w, 1, 5000);
	assert_int_equal(state_of(w, 1), MESSAGE_PENDING);
	pass_ms(w, 999);
	assert_int_equal(w->sent_count, 1);
	pass_ms(w, 1 + 2000 + 4000);
	assert_int_equal(sent_of(w, FRAME_INIT), 4);
	assert_int_equal(w->sent_count, 4);
	ack(w, 3);
	assert_int_equal(last_status(w)->state, MESSAGE_SENDING);
	assert_int_equal(sent_of(w, FRAME_CHUNK), 4);
	ack(w, 4);
	ack(w, 6);
	ack(w, 7);
	assert_true(message_find(w->m, 1, &s));
	assert_int_equal(s.pending, 0);
	assert_int_equal(s.sent, 1);
	assert_int_equal(s.acked, 3);
	before = w->sent_count;
	pass_ms(w, 10000);
	assert_true(w->sent_count > before);
	for (size_t i = before; i < w->sent_count; i++) {
		assert_int_equal(w->sent[i].frame.type, FRAME_CHUNK);
		assert_int_equal(w->sent[i].frame.chunk.index, 1);
	}
	assert_int_equal(sent_of(w, FRAME_DONE), 0);
	ack(w, before);
	assert_true(last_is(w, FRAME_DONE));
	before = sent_of(w, FRAME_DONE);
	pass_ms(w, 2000);
	assert_true(sent_of(w, FRAME_DONE) > before);
	assert_int_equal(sent_of(w, FRAME_INIT), 4);
	ack(w, w->sent_count - 1);
	assert_int_equal(state_of(w, 1), MESSAGE_RECEIVED);
	before = w->sent_count;
	pass_ms(w, 500 * 1000);
	assert_int_equal(w->sent_count, before);
	world_free(w);
}

/* Chunks overtaken by acknowledged ones go again on the measured round trip, long before any timeout. */
static void test_fast_retransmission(void **state)
{
	struct world *w = world_new(0);
	size_t chunks;

	(void)state;
	(void)send_len(w, 1, (size_t)20 * 1300);
	pass_ms(w, 20);
	ack(w, 0);
	assert_int_equal(sent_of(w, FRAME_CHUNK), 20);
	pass_ms(w, 20);
	for (size_t i = 2; i < 21; i++)
		ack(w, i); /* all but the first */
	assert_int_equal(sent_of(w, FRAME_CHUNK), 20);
	pass_ms(w, 15);
	chunks = sent_of(w, FRAME_CHUNK);
	assert_int_equal(chunks, 21);
	assert_int_equal(w->sent[w->sent_count - 1].frame.chunk.index, 0);
	assert_int_equal(message_count(w->m, MESSAGE_RETRANSMITTED), 1);
	world_free(w);
}

/* The window bounds what is under way, and two messages share it in turn. */
static void test_window(void **state)
{
	struct world *w = world_new(0);
	size_t first = 0;

	(void)state;
	(void)send_len(w, 1, (size_t)200 * 1300);
	(void)send_len(w, 2, (size_t)200 * 1300);
	ack(w, 0);
	assert_int_equal(sent_of(w, FRAME_CHUNK), 32);
	ack(w, 1);
	ack_all(w, 2); /* as long as it lasts: all are sent */
	assert_int_equal(state_of(w, 1), MESSAGE_RECEIVED);
	assert_int_equal(state_of(w, 2), MESSAGE_RECEIVED);
	for (size_t i = 40; i < 240; i++)
		first += w->sent[i].frame.id[0] == w->sent[0].frame.id[0];
	assert_true(first > 60 && first < 140);
	world_free(w);
}

static void test_deadline(void **state)
{
	struct world *w = world_new(0);
	struct message_order o = {.handle = 2, .dst = node_ip(3, 1), .len = 5, .deadline_s = 10};
	struct message_status s;
	size_t before;

	(void)state;
	order(w, &o, 0);
	assert_true(message_find_id(w->m, o.id, &s));
	assert_int_equal(s.created_s, NOW_S);
	assert_int_equal(s.deadline_s, NOW_S + 10);
	pass_ms(w, 9999);
	assert_int_equal(state_of(w, 2), MESSAGE_PENDING);
	assert_int_equal(sent_of(w, FRAME_ABORTED), 0);
	pass_ms(w, 1);
	assert_int_equal(state_of(w, 2), MESSAGE_ABORTED);
	assert_int_equal(last_status(w)->state, MESSAGE_ABORTED);
	assert_true(last_is(w, FRAME_ABORTED));
	before = w->sent_count;
	ack(w, 0); /* too late */
	pass_ms(w, 299 * 1000);
	assert_int_equal(w->sent_count, before);
	assert_int_equal(state_of(w, 2), MESSAGE_ABORTED);
	pass_ms(w, 1000);
	assert_false(message_find(w->m, 2, &s));
	assert_false(message_find_id(w->m, o.id, &s));
	(void)send_len(w, 3, 1);
	assert_true(message_find(w->m, 3, &s));
	assert_int_equal(s.deadline_s, NOW_S + 300);
	world_free(w);
}

/* Answers that are not for what was sent change nothing. */
static void test_foreign_acks(void **state)
{
	struct world *w = world_new(0);
	const struct ip6 stranger = node_ip(3, 1), same_net = node_ip(2, 77);
	struct frame f;

	(void)state;
	(void)send_len(w, 1, 2000);
	f = w->sent[0].frame;
	f.type = FRAME_INIT_ACK;
	give(w, &stranger, &f);
	f.init.length = 1999;
	give(w, &same_net, &f);
	f.init.length = 2000;
	f.reply = true;
	give(w, &same_net, &f);
	assert_int_equal(state_of(w, 1), MESSAGE_PENDING);
	f.reply = false;
	give(w, &same_net, &f);
	assert_int_equal(state_of(w, 1), MESSAGE_SENDING);
	give(w, &same_net, &f);
	assert_int_equal(sent_of(w, FRAME_CHUNK), 2);
	f = w->sent[1].frame;
	f.type = FRAME_CHUNK_ACK;
	for (uint64_t index = 2; index < 70; index += 67) {
		f.chunk.index = index == 2 ? 2 : UINT64_MAX;
		give(w, &same_net, &f);
	}
	f.chunk.index = 1; /* with the offset of 0 */
	give(w, &same_net, &f);
	assert_int_equal(sent_of(w, FRAME_DONE), 0);
	ack(w, 1);
	ack(w, 1);
	assert_int_equal(sent_of(w, FRAME_DONE), 0);
	f = w->sent[2].frame;
	f.type = FRAME_DONE_ACK;
	memset(&f.done, 0, sizeof(f.done));
	give(w, &same_net, &f);
	ack(w, 2);
	assert_int_equal(sent_of(w, FRAME_DONE), 1);
	give(w, &same_net, &f); /* another checksum */
	assert_int_equal(state_of(w, 1), MESSAGE_SENDING);
	ack(w, 3);
	assert_int_equal(state_of(w, 1), MESSAGE_RECEIVED);
	world_free(w);
}

/* ACKs with nothing but the index, as the protocol allows. */
static void test_cut_acks(void **state)
{
	static const size_t cut[] = {12, 20, 12};
	struct world *w = world_new(0);
	const struct ip6 self = node_ip(1, 1), dst = node_ip(2, 1);

	(void)state;
	(void)send_len(w, 1, 100);
	for (size_t i = 0; i < 3; i++) {
		uint8_t bytes[FRAME_MAX_BYTES];

		assert_int_equal(w->sent_count, i + 1);
		memcpy(bytes, w->sent[i].bytes, w->sent[i].len);
		bytes[8] |= 1;
		message_packet(w->m, &dst, &self, bytes, cut[i], w->now);
	}
	assert_int_equal(state_of(w, 1), MESSAGE_RECEIVED);
	world_free(w);
}

/* Acknowledges all that was sent from the i-th packet on, until a DONE, which is left; its number. */
static size_t ack_to_done(struct world *w, size_t i)
{
	while (i < w->sent_count && w->sent[i].frame.type != FRAME_DONE)
		ack(w, i++);
	assert_true(i < w->sent_count);
	return i;
}

/* DONEs of the message of that order. */
static size_t dones_of(const struct world *w, uint64_t handle)
{
	struct message_status s;
	size_t n = 0;

	assert_true(message_find(w->m, handle, &s));
	for (size_t i = 0; i < w->sent_count; i++)
		n += w->sent[i].frame.type == FRAME_DONE && memcmp(w->sent[i].frame.id, s.id, sizeof(s.id)) == 0;
	return n;
}

/* Nothing is answered any more: an earlier message's DONE is asked about, again and again. */
static size_t wait_for_question(struct world *w)
{
	const size_t had = dones_of(w, 9);

	pass_ms(w, 10 * 1000);
	assert_int_equal(dones_of(w, 9), had);
	while (dones_of(w, 9) == had)
		pass_ms(w, 100);
	for (size_t i = w->sent_count - 1;; i--)
		if (w->sent[i].frame.type == FRAME_DONE && w->sent[i].frame.done.count == 1)
			return i;
}

/* The receiver has forgotten the message, and vouches for itself by an earlier one: announced and sent again, whether
 * or not a DONE had been sent. */
static void test_start_over(void **state)
{
	struct world *w = world_new(0);
	size_t question, init, done;

	(void)state;
	(void)send_len(w, 9, 1);
	ack(w, ack_to_done(w, 0));
	assert_int_equal(state_of(w, 9), MESSAGE_RECEIVED);
	init = w->sent_count;
	(void)send_len(w, 1, (size_t)40 * 1300);
	ack(w, init);
	ack(w, init + 1);
	for (int round = 0; round < 2; round++) {
		question = wait_for_question(w);
		assert_int_equal(sent_of(w, FRAME_INIT), 2 + round);
		ack(w, question);
		init = w->sent_count;
		pass_ms(w, 10 * 1000);
		assert_int_equal(state_of(w, 1), MESSAGE_PENDING);
		while (w->sent[init].frame.type != FRAME_INIT)
			init++;
		w->sent_count = init + 1; /* the first of its INITs */
		done = ack_to_done(w, init);
	}
	ack(w, done);
	assert_int_equal(state_of(w, 1), MESSAGE_RECEIVED);
	assert_true(message_load(w->m).out_count == 0 && message_load(w->m).out_bytes == 0);
	world_free(w);
}

/* Many messages that the receiver has forgotten do not hold up one that it knows. */
static void test_feelers(void **state)
{
	struct world *w = world_new(0);
	struct message_status known;
	size_t done = 0;

	(void)state;
	for (uint64_t handle = 1; handle <= CROWD; handle++)
		(void)send_len(w, handle, 1300);
	for (size_t i = 0; i < w->sent_count; i++)
		if (w->sent[i].frame.type == FRAME_INIT)
			ack(w, i);
	assert_true(message_find(w->m, CROWD, &known));
	assert_int_equal(known.state, MESSAGE_SENDING);
	for (int s = 0; s < 30 && state_of(w, CROWD) != MESSAGE_RECEIVED; s++) {
		pass_ms(w, 1000);
		for (; done < w->sent_count; done++)
			if (memcmp(w->sent[done].frame.id, known.id, sizeof(known.id)) == 0 &&
			    w->sent[done].frame.type != FRAME_INIT)
				ack(w, done);
	}
	assert_int_equal(state_of(w, CROWD), MESSAGE_RECEIVED);
	assert_int_equal(state_of(w, 1), MESSAGE_SENDING);
	world_free(w);
}

/* Nobody vouches for it: no INIT after the INIT ACK, ever (wire-200 6.5). */
static void test_never_over(void **state)
{
	for (int witness = 0; witness < 2; witness++) {
		for (int concluded = 0; concluded < 2; concluded++) {
			struct world *w = world_new(0);
			size_t first = 0, inits;

			(void)state;
			if (witness) {
				(void)send_len(w, 9, 1);
				ack(w, ack_to_done(w, 0));
				first = w->sent_count;
			}
			(void)send_len(w, 1, (size_t)40 * 1300);
			ack(w, first);
			if (concluded)
				(void)ack_to_done(w, first + 1);
			inits = sent_of(w, FRAME_INIT);
			pass_ms(w, 301 * 1000);
			assert_int_equal(sent_of(w, FRAME_INIT), inits);
			assert_int_equal(state_of(w, 1), MESSAGE_ABORTED);
			assert_true(witness ? dones_of(w, 9) > 2 : dones_of(w, 1) == 0 || concluded);
			world_free(w);
		}
	}
}

/* DONE without an answer: a chunk is sent beside it, and if that is taken all go again. */
static void test_probe(void **state)
{
	struct world *w = world_new(0);
	size_t probe;

	(void)state;
	(void)send_len(w, 1, 3000);
	for (size_t i = 0; i < 4; i++)
		ack(w, i);
	assert_int_equal(sent_of(w, FRAME_CHUNK), 3);
	for (int i = 0; i < 100 && sent_of(w, FRAME_CHUNK) == 3; i++)
		pass_ms(w, 100);
	assert_int_equal(sent_of(w, FRAME_DONE), 5);
	probe = w->sent_count - 1;
	assert_int_equal(w->sent[probe].frame.chunk.index, 0);
	assert_int_equal(sent_of(w, FRAME_CHUNK), 4);
	ack(w, probe);
	assert_int_equal(sent_of(w, FRAME_CHUNK), 6);
	assert_int_equal(w->sent[probe + 1].frame.chunk.index, 1);
	assert_int_equal(w->sent[probe + 2].frame.chunk.index, 2);
	ack(w, probe + 1);
	ack(w, probe + 2);
	assert_true(last_is(w, FRAME_DONE));
	assert_int_equal(sent_of(w, FRAME_INIT), 1);
	ack(w, w->sent_count - 1);
	assert_int_equal(state_of(w, 1), MESSAGE_RECEIVED);
	world_free(w);
}

/* Every state has a world that ends in it without a leak. */
static void test_end_at_any_time(void **state)
{
	(void)state;
	for (size_t acks = 0; acks <= 40; acks++) {
		struct world *w = world_new(0);

		(void)send_len(w, 1, (size_t)30 * 1300);
		(void)send_len(w, 2, 1);
		for (size_t i = 0; i < acks && i < w->sent_count; i++)
			ack(w, i);
		pass_ms(w, 3000);
		world_free(w);
	}
	message_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),		cmocka_unit_test(test_chunking),
		cmocka_unit_test(test_retransmission),	cmocka_unit_test(test_fast_retransmission),
		cmocka_unit_test(test_window),		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_foreign_acks),	cmocka_unit_test(test_cut_acks),
		cmocka_unit_test(test_probe),		cmocka_unit_test(test_start_over),
		cmocka_unit_test(test_never_over),	cmocka_unit_test(test_feelers),
		cmocka_unit_test(test_end_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
