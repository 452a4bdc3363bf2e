/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that arrive: what is taken in, when it is acknowledged, what is remembered, and the caps. */
#include "tests/unit/test_message.h"

enum { ID = 7 };

static uint8_t data[8000];

static int fill(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	return 0;
}

static struct frame part(uint64_t index, size_t offset, size_t len)
{
	return chunk_frame(ID, index, offset, data + offset, len);
}

static bool is_ack(struct world *w, struct frame f)
{
	return is_acked(w, 2, &f);
}

static void store(struct world *w, bool ok)
{
	message_stored(w->m, w->in.token, ok, w->now);
}

/* A message of one chunk from node 2, up to DONE. */
static bool short_message(struct world *w, uint8_t id, bool reply, const char *topic, const char *text)
{
	const uint8_t *bytes = (const uint8_t *)text;
	const size_t len = strlen(text);
	const size_t before = w->in_count;

	assert_true(is_ack(w, init_frame(id, len, reply, topic)));
	assert_true(is_ack(w, chunk_frame(id, 0, 0, bytes, len)));
	(void)is_ack(w, done_frame(id, 1, bytes, len));
	return w->in_count > before;
}

/* DONE is acknowledged when stored, not before; then everything is acknowledged again, and given no second time. */
static void test_life(void **state)
{
	struct world *w = world_new(0);
	const struct ip6 src = node_ip(2, 1), dst = node_ip(1, 1);

	(void)state;
	assert_false(is_ack(w, part(0, 0, 1300)));
	assert_true(is_ack(w, init_frame(ID, 3000, false, "topic")));
	assert_true(is_ack(w, part(2, 2600, 400)));
	assert_false(is_ack(w, done_frame(ID, 3, data, 3000)));
	assert_true(is_ack(w, part(0, 0, 1300)));
	assert_true(is_ack(w, init_frame(ID, 3000, false, "topic")));
	assert_true(is_ack(w, part(1, 1300, 1300)));
	assert_false(is_ack(w, done_frame(ID, 2, data, 3000)));
	assert_false(is_ack(w, done_frame(ID, 3, data, 2999)));
	assert_int_equal(w->in_count, 0);
	assert_false(is_ack(w, done_frame(ID, 3, data, 3000)));
	assert_int_equal(w->in_count, 1);
	assert_int_equal(w->in.len, 3000);
	assert_memory_equal(w->payload, data, 3000);
	assert_int_equal(w->in.topic_len, 5);
	assert_memory_equal(w->topic, "topic", 5);
	assert_true(ip6_eq(&w->in.src, &src) && ip6_eq(&w->in.dst, &dst));
	assert_int_equal(w->in.public_key[0], 2);
	assert_false(is_ack(w, done_frame(ID, 3, data, 3000)));
	assert_int_equal(w->in_count, 1);
	w->sent_count = 0;
	store(w, true);
	assert_int_equal(w->sent_count, 1);
	assert_int_equal(w->sent[0].frame.type, FRAME_DONE_ACK);
	assert_true(ip6_eq(&w->sent[0].src, &dst) && ip6_eq(&w->sent[0].dst, &src));
	store(w, true); /* an unknown token by now */
	assert_int_equal(w->sent_count, 1);
	assert_int_equal(message_load(w->m).in_bytes, 0);
	assert_true(is_ack(w, part(1, 1300, 1300)));
	assert_false(is_ack(w, part(3, 0, 1300))); /* no such index */
	assert_true(is_ack(w, done_frame(ID, 3, data, 3000)));
	assert_int_equal(w->in_count, 1);
	assert_int_equal(message_count(w->m, MESSAGE_DELIVERED), 1);
	pass_ms(w, LIMIT_MESSAGE_DONE_MS);
	assert_false(is_ack(w, done_frame(ID, 3, data, 3000)));
	assert_int_equal(message_load(w->m).remembered_count, 0);
	world_free(w);
}

/* All of it again: taken in, dropped because the checksum agrees; delivered where it does not. */
static void test_again(void **state)
{
	struct world *w = world_new(0);

	(void)state;
	assert_true(short_message(w, ID, true, "", "first"));
	store(w, true);
	assert_false(short_message(w, ID, true, "", "first"));
	assert_true(last_is(w, FRAME_DONE_ACK) && message_load(w->m).in_count == 0);
	assert_int_equal(message_count(w->m, MESSAGE_REPEATED), 1);
	assert_true(short_message(w, ID, true, "", "other")); /* same length */
	store(w, true);
	assert_true(short_message(w, ID, true, "", "longer text"));
	store(w, true);
	assert_true(short_message(w, ID, false, "", "first")); /* no REPLY */
	store(w, true);
	assert_true(short_message(w, ID, true, "topic", "first"));
	store(w, true);
	for (char text[] = "0 many"; text[0] < '9'; text[0]++) {
		assert_true(short_message(w, ID, true, "", text));
		store(w, true);
	}
	assert_int_equal(message_load(w->m).remembered_count, LIMIT_MESSAGE_DONE_PER_ID);
	/* Two senders with one id have nothing to do with one another. */
	assert_true(is_acked(w, 3, &(struct frame){.type = FRAME_INIT, .id = {ID, ID, ID, ID, ID, ID, ID, ID}}));
	assert_int_equal(message_load(w->m).in_count, 1);
	world_free(w);
}

/* A second message whose INIT was taken for a repetition of the first, or was never seen: it comes through. */
static void test_reopened_by_done(void **state)
{
	struct world *w = world_new(0);

	(void)state;
	assert_true(short_message(w, ID, true, "", "first"));
	store(w, true);
	assert_true(is_ack(w, chunk_frame(ID, 0, 0, (const uint8_t *)"other", 5)));
	assert_false(is_ack(w, done_frame(ID, 1, (const uint8_t *)"other", 5)));
	assert_int_equal(w->in_count, 1);
	assert_true(is_ack(w, chunk_frame(ID, 0, 0, (const uint8_t *)"other", 5)));
	(void)is_ack(w, done_frame(ID, 1, (const uint8_t *)"other", 5));
	assert_int_equal(w->in_count, 2);
	store(w, true);
	world_free(w);
}

/* A repeated INIT alone holds nothing; with a chunk it is open, for a while. */
static void test_reopened_expires(void **state)
{
	struct world *w = world_new(0);

	(void)state;
	assert_true(short_message(w, ID, false, "", "first"));
	store(w, true);
	assert_true(is_ack(w, init_frame(ID, 5, false, "")));
	assert_int_equal(message_load(w->m).in_count, 0);
	assert_true(is_ack(w, chunk_frame(ID, 0, 0, (const uint8_t *)"first", 5)));
	assert_int_equal(message_load(w->m).in_count, 1);
	pass_ms(w, 61 * 1000);
	assert_int_equal(message_load(w->m).in_count, 0);
	assert_true(is_ack(w, init_frame(ID, 5, false, "")));
	assert_true(is_ack(w, done_frame(ID, 1, (const uint8_t *)"first", 5)));
	assert_int_equal(w->in_count, 1);
	world_free(w);
}

/* A late INIT and a late chunk of the first reopen it; that hinders neither the second's DONE nor a third message. */
static void test_late_packets(void **state)
{
	const uint8_t *third = (const uint8_t *)"the third";
	struct world *w = world_new(0);

	(void)state;
	assert_true(short_message(w, ID, true, "", "the first one"));
	store(w, true);
	assert_true(short_message(w, ID, true, "", "the second"));
	assert_true(is_ack(w, init_frame(ID, 13, true, "")));
	assert_true(is_ack(w, chunk_frame(ID, 0, 0, (const uint8_t *)"the first", 9)));
	assert_int_equal(message_load(w->m).in_count, 1); /* the second, being stored */
	store(w, false);
	(void)is_ack(w, done_frame(ID, 1, (const uint8_t *)"the second", 10));
	assert_int_equal(w->in_count, 3);
	store(w, true);
	assert_true(is_ack(w, init_frame(ID, 13, true, "")));
	assert_true(is_ack(w, chunk_frame(ID, 0, 0, (const uint8_t *)"the first one", 13)));
	assert_int_equal(message_load(w->m).in_count, 1);
	assert_true(is_ack(w, done_frame(ID, 1, (const uint8_t *)"the second", 10)));
	assert_true(is_ack(w, init_frame(ID, 9, true, "")));
	assert_true(is_ack(w, chunk_frame(ID, 0, 0, third, 9)));
	(void)is_ack(w, done_frame(ID, 1, third, 9));
	assert_int_equal(w->in_count, 4);
	assert_memory_equal(w->payload, third, 9);
	world_free(w);
}

static void test_empty(void **state)
{
	struct world *w = world_new(0);

	(void)state;
	assert_true(is_ack(w, init_frame(ID, 0, false, "")));
	assert_false(is_ack(w, chunk_frame(ID, 0, 0, data, 0)));
	assert_false(is_ack(w, done_frame(ID, 1, data, 0)));
	assert_false(is_ack(w, done_frame(ID, 0, data, 0)));
	assert_int_equal(w->in_count, 1);
	assert_int_equal(w->in.len, 0);
	store(w, true);
	assert_true(is_ack(w, done_frame(ID, 0, data, 0)));
	world_free(w);
}

/* Which chunks of a message of 3000 bytes are taken. */
static void test_chunk_bounds(void **state)
{
	static const struct {
		uint64_t index, offset, size;
		bool taken;
	} cases[] = {
		{0, 0, 1300, true},	      {0, 0, 250, true},
		{0, 0, 249, false},	      {2, 2999, 1, true}, /* a short last one */
		{2, 2751, 249, true},	      {2, 2750, 249, false},
		{12, 2000, 1000, true},	      {13, 2000, 1000, false}, /* there cannot be so many */
		{UINT64_MAX, 0, 1300, false}, {0, 1701, 1300, false},
		{0, UINT64_MAX, 1300, false}, {0, UINT64_MAX - 1299, 1300, false},
		{0, 3000, 0, false},	      {0, 0, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new(0);

		assert_true(is_ack(w, init_frame(ID, 3000, false, "")));
		assert_int_equal(is_ack(w, chunk_frame(ID, cases[i].index, cases[i].offset, data, cases[i].size)),
				 cases[i].taken);
		assert_int_equal(message_count(w->m, MESSAGE_CHUNK_REFUSED), !cases[i].taken);
		world_free(w);
	}
}

/* A size field beyond the packet: what is there counts, and the ACK repeats the field. */
static void test_cut_chunk(void **state)
{
	struct world *w = world_new(0);
	const struct ip6 src = node_ip(2, 1), self = node_ip(1, 1);
	uint8_t bytes[FRAME_MAX_BYTES];
	struct wr wr = wr_init(bytes, sizeof(bytes));
	const struct frame f = part(0, 0, 300);

	(void)state;
	assert_true(is_ack(w, init_frame(ID, 290, false, "")));
	frame_write(&wr, &f);
	message_packet(w->m, &src, &self, bytes, wr_len(&wr) - 10, w->now);
	assert_true(last_is(w, FRAME_CHUNK_ACK));
	assert_int_equal(w->sent[w->sent_count - 1].frame.chunk.size, 300);
	(void)is_ack(w, done_frame(ID, 1, data, 290));
	assert_int_equal(w->in_count, 1);
	world_free(w);
}

/* Chunks that overlap, in any order and with wrong bytes first: only the right whole is given. */
static void test_overlap(void **state)
{
	struct world *w = world_new(0);
	uint8_t wrong[1300];

	(void)state;
	memset(wrong, 0x55, sizeof(wrong));
	assert_true(is_ack(w, init_frame(ID, 2600, false, "")));
	assert_true(is_ack(w, chunk_frame(ID, 0, 0, wrong, 1300)));
	assert_true(is_ack(w, part(1, 1300, 1300)));
	assert_false(is_ack(w, done_frame(ID, 2, data, 2600)));
	assert_true(is_ack(w, part(0, 0, 1300))); /* replaces */
	assert_true(is_ack(w, part(1, 1200, 1400 - 100))); /* overlaps: no tiling */
	assert_false(is_ack(w, done_frame(ID, 2, data, 2600)));
	assert_int_equal(w->in_count, 0);
	assert_true(is_ack(w, part(1, 1300, 1300)));
	(void)is_ack(w, done_frame(ID, 2, data, 2600));
	assert_int_equal(w->in_count, 1);
	assert_memory_equal(w->payload, data, 2600);
	world_free(w);
}

/* Another INIT with the same id: the sender has given up the former. ABORTED says so too. */
static void test_replaced(void **state)
{
	struct world *w = world_new(0);
	struct frame aborted = {.type = FRAME_ABORTED};
	const struct ip6 src = node_ip(2, 1), stranger = node_ip(3, 1);

	(void)state;
	memset(aborted.id, ID, sizeof(aborted.id));
	assert_true(is_ack(w, init_frame(ID, 2600, false, "")));
	assert_true(is_ack(w, part(0, 0, 1300)));
	assert_true(is_ack(w, init_frame(ID, 1300, true, "")));
	assert_int_equal(message_load(w->m).in_count, 1);
	assert_false(is_ack(w, part(1, 1300, 1300)));
	give(w, &stranger, &aborted);
	assert_int_equal(message_load(w->m).in_count, 1);
	give(w, &src, &aborted);
	assert_true(message_load(w->m).in_count == 0 && message_load(w->m).in_bytes == 0);
	assert_false(is_ack(w, part(0, 0, 1300)));
	world_free(w);
}

static void test_no_key(void **state)
{
	struct world *w = world_new(0);

	(void)state;
	w->no_key = true;
	assert_false(short_message(w, ID, false, "", "first"));
	w->no_key = false;
	assert_false(is_ack(w, done_frame(ID, 1, (const uint8_t *)"first", 5)));
	assert_int_equal(w->in_count, 1);
	world_free(w);
}

/* What could not be stored is offered again with the next DONE. */
static void test_unstored(void **state)
{
	struct world *w = world_new(0);

	(void)state;
	assert_true(short_message(w, ID, false, "", "first"));
	store(w, false);
	assert_false(last_is(w, FRAME_DONE_ACK));
	assert_int_equal(message_count(w->m, MESSAGE_UNSTORED), 1);
	assert_false(is_ack(w, done_frame(ID, 1, (const uint8_t *)"first", 5)));
	assert_int_equal(w->in_count, 2);
	store(w, true);
	assert_true(last_is(w, FRAME_DONE_ACK));
	/* Another message has taken its place meanwhile. */
	assert_true(short_message(w, ID, true, "", "reply"));
	assert_true(is_ack(w, init_frame(ID, 77, true, "")));
	store(w, false);
	assert_int_equal(message_load(w->m).in_count, 1);
	world_free(w);
}

static void test_idle(void **state)
{
	struct world *w = world_new(0);

	(void)state;
	assert_true(is_ack(w, init_frame(ID, 2600, false, "")));
	pass_ms(w, LIMIT_MESSAGE_IDLE_MS - 1);
	assert_true(is_ack(w, part(0, 0, 1300)));
	pass_ms(w, LIMIT_MESSAGE_IDLE_MS - 1);
	assert_int_equal(message_load(w->m).in_count, 1);
	pass_ms(w, 1);
	assert_int_equal(message_load(w->m).in_count, 0);
	assert_int_equal(message_count(w->m, MESSAGE_EXPIRED), 1);
	world_free(w);
}

/* One sender may open so much; others are not kept out, until all together are too many. */
static void test_caps(void **state)
{
	struct world *w = world_new(0);
	const uint64_t longest = LIMIT_MESSAGE_LENGTH_DEFAULT;
	struct message_load load;
	size_t open = 0;

	(void)state;
	assert_false(is_ack(w, init_frame(1, longest + 1, false, "")));
	assert_false(is_ack(w, init_frame(1, UINT64_MAX, false, "")));
	assert_int_equal(message_count(w->m, MESSAGE_REFUSED_LENGTH), 2);
	assert_int_equal(message_load(w->m).in_bytes, 0);
	assert_true(is_ack(w, init_frame(1, longest, false, "")));
	assert_true(is_ack(w, init_frame(2, longest, false, "")));
	assert_false(is_ack(w, init_frame(3, longest, false, "")));
	for (uint8_t id = 3; id < 255; id++)
		open += is_ack(w, init_frame(id, 1, false, ""));
	assert_int_equal(open, LIMIT_MESSAGE_OPEN_PER_SENDER - 2);
	assert_int_equal(message_count(w->m, MESSAGE_REFUSED_SENDER), 1 + 252 - open);
	for (uint8_t node = 3; node < 255; node++) {
		struct frame f = init_frame(ID, longest, false, "");

		open += is_acked(w, node, &f);
	}
	load = message_load(w->m);
	assert_true(load.in_bytes <= LIMIT_MESSAGE_BYTES);
	assert_true(load.in_bytes > LIMIT_MESSAGE_BYTES - 2 * longest);
	assert_true(message_count(w->m, MESSAGE_REFUSED_FULL) > 200);
	pass_ms(w, LIMIT_MESSAGE_IDLE_MS);
	assert_int_equal(message_load(w->m).in_bytes, 0);
	assert_int_equal(message_load(w->m).in_count, 0);
	world_free(w);
}

static void test_open_in_all(void **state)
{
	struct world *w = world_new(1000);
	size_t open = 0;

	(void)state;
	for (uint8_t node = 2; node < 255; node++)
		for (uint8_t id = 0; id < 20; id++) {
			struct frame f = init_frame(id, 1000, false, "");

			open += is_acked(w, node, &f);
			w->sent_count = 0;
		}
	assert_int_equal(open, LIMIT_MESSAGE_OPEN);
	assert_false(is_ack(w, init_frame(99, 1001, false, "")));
	assert_int_equal(message_count(w->m, MESSAGE_REFUSED_LENGTH), 1);
	world_free(w);
}

/* What a former life completed is not delivered again, as long as it would have been remembered. */
static void test_remember(void **state)
{
	struct world *w = world_new(0);
	struct message_in past = {.src = node_ip(2, 1), .dst = node_ip(1, 1), .len = 5, .count = 1};

	(void)state;
	memset(past.id, ID, sizeof(past.id));
	blake3_hash("first", 5, past.checksum);
	message_remember(w->m, &past, LIMIT_MESSAGE_DONE_MS, w->now);
	assert_int_equal(message_load(w->m).remembered_count, 0);
	message_remember(w->m, &past, LIMIT_MESSAGE_DONE_MS - 1000, w->now);
	assert_true(is_ack(w, done_frame(ID, 1, (const uint8_t *)"first", 5)));
	assert_false(short_message(w, ID, false, "", "first"));
	assert_true(last_is(w, FRAME_DONE_ACK));
	pass_ms(w, 1000);
	assert_int_equal(message_load(w->m).remembered_count, 0);
	world_free(w);
}

static void test_read(void **state)
{
	struct world *w = world_new(0);

	(void)state;
	assert_true(short_message(w, ID, false, "", "first"));
	store(w, true);
	w->sent_count = 0;
	message_read(w->m, &w->in.src, &w->in.dst, w->in.id, w->now);
	assert_int_equal(w->sent_count, 1);
	assert_int_equal(w->sent[0].len, FRAME_HEADER_BYTES);
	assert_int_equal(w->sent[0].frame.type, FRAME_READ);
	assert_true(ip6_eq(&w->sent[0].dst, &w->in.src) && ip6_eq(&w->sent[0].src, &w->in.dst));
	world_free(w);
}

static void test_bad_packets(void **state)
{
	struct world *w = world_new(0);
	const struct ip6 src = node_ip(2, 1), self = node_ip(1, 1);
	static const uint8_t nothing[FRAME_HEADER_BYTES];

	(void)state;
	message_packet(w->m, &src, &self, nothing, FRAME_HEADER_BYTES - 1, w->now);
	assert_int_equal(message_count(w->m, MESSAGE_PACKET_BAD), 1);
	message_packet(w->m, &src, &self, nothing, FRAME_HEADER_BYTES, w->now);
	assert_int_equal(message_count(w->m, MESSAGE_PACKET_IGNORED), 1);
	assert_int_equal(w->sent_count, 0);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_reopened_by_done),
		cmocka_unit_test(test_reopened_expires),
		cmocka_unit_test(test_late_packets),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_chunk_bounds),
		cmocka_unit_test(test_cut_chunk),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_no_key),
		cmocka_unit_test(test_unstored),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_open_in_all),
		cmocka_unit_test(test_remember),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_bad_packets),
	};

	return cmocka_run_group_tests(tests, fill, NULL);
}
