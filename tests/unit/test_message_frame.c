/* SPDX-License-Identifier: Apache-2.0 */
/* Message packets against the known answers, every truncation of each, and flags in any combination. Runs from the root
 * of the tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "controld/message/frame.h"
#include "tests/support/vectors.h"
#include <cmocka.h>
#include <stdlib.h>

#define BYTES_OF "messages/message_bytes_without_user_data_header/%s"

static const struct known {
	const char *name;
	enum frame_type type;
	bool reply;
	size_t min; /* shorter is bad */
	size_t whole; /* shorter is cut; 0: never */
} known[] = {
	{"init", FRAME_INIT, false, 34, 0},
	{"init_no_topic", FRAME_INIT, false, 21, 0},
	{"init_ack", FRAME_INIT_ACK, false, 12, 21},
	{"init_of_reply", FRAME_INIT, true, 21, 0},
	{"init_of_reply_ack", FRAME_INIT_ACK, true, 12, 21},
	{"chunk", FRAME_CHUNK, false, 36, 0},
	{"chunk_ack", FRAME_CHUNK_ACK, false, 20, 36},
	{"done", FRAME_DONE, false, 52, 0},
	{"done_ack", FRAME_DONE_ACK, false, 12, 52},
	{"read", FRAME_READ, false, 12, 0},
	{"aborted", FRAME_ABORTED, false, 12, 0},
};

enum { KNOWN = sizeof(known) / sizeof(known[0]) };

static size_t load(const char *name, uint8_t out[FRAME_MAX_BYTES])
{
	return vectors_hex(out, FRAME_MAX_BYTES, BYTES_OF, name);
}

/* Reads from a copy of just that size, so that reading too far is seen. */
static enum frame_verdict read_exact(const uint8_t *bytes, size_t len, struct frame *f, uint8_t **copy)
{
	*copy = malloc(len ? len : 1);
	assert_non_null(*copy);
	memcpy(*copy, bytes, len);
	return frame_read(*copy, len, f);
}

static void test_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < KNOWN; i++) {
		uint8_t bytes[FRAME_MAX_BYTES], again[FRAME_MAX_BYTES];
		const size_t len = load(known[i].name, bytes);
		struct wr w = wr_init(again, sizeof(again));
		struct frame f;

		assert_int_equal(frame_read(bytes, len, &f), FRAME_OK);
		assert_int_equal(f.type, known[i].type);
		assert_int_equal(f.reply, known[i].reply);
		assert_false(f.cut);
		frame_write(&w, &f);
		assert_false(w.bad);
		assert_int_equal(wr_len(&w), len);
		assert_memory_equal(again, bytes, len);
	}
}

static void test_fields(void **state)
{
	uint8_t bytes[FRAME_MAX_BYTES];
	struct frame f;

	(void)state;
	assert_int_equal(frame_read(bytes, load("init", bytes), &f), FRAME_OK);
	assert_memory_equal(f.id, "\x01\x23\x45\x67\x89\xab\xcd\xef", 8);
	assert_int_equal(f.init.length, 17);
	assert_int_equal(f.init.topic_len, 13);
	assert_memory_equal(f.init.topic, "example.topic", 13);
	assert_int_equal(frame_read(bytes, load("init_ack", bytes), &f), FRAME_OK);
	assert_int_equal(f.init.length, 17);
	assert_int_equal(f.init.topic_len, 13);
	assert_int_equal(frame_read(bytes, load("chunk", bytes), &f), FRAME_OK);
	assert_int_equal(f.chunk.index, 0);
	assert_int_equal(f.chunk.offset, 0);
	assert_int_equal(f.chunk.size, 17);
	assert_int_equal(f.chunk.data_len, 17);
	assert_memory_equal(f.chunk.data, "this is a message", 17);
	assert_int_equal(frame_read(bytes, load("done", bytes), &f), FRAME_OK);
	assert_int_equal(f.done.count, 1);
	assert_int_equal(f.done.checksum[31], 0x1b);
	assert_int_equal(frame_read(bytes, vectors_hex(bytes, sizeof(bytes), "messages/empty_message_done"), &f),
			 FRAME_OK);
	assert_int_equal(f.type, FRAME_DONE);
	assert_int_equal(f.done.count, 0);
}

static enum frame_verdict expected(const struct known *k, size_t len)
{
	return len >= k->min ? FRAME_OK : FRAME_BAD;
}

static void test_truncations(void **state)
{
	(void)state;
	for (size_t i = 0; i < KNOWN; i++) {
		uint8_t bytes[FRAME_MAX_BYTES];
		const size_t whole = load(known[i].name, bytes);

		for (size_t len = 0; len < whole; len++) {
			struct frame f = {0};
			uint8_t *copy;

			assert_int_equal(read_exact(bytes, len, &f, &copy), expected(&known[i], len));
			if (len >= known[i].min)
				assert_int_equal(f.cut, len < known[i].whole);
			free(copy);
		}
	}
}

/* A chunk that says more than it has; one that has more than it says. */
static void test_chunk_size(void **state)
{
	uint8_t bytes[FRAME_MAX_BYTES];
	const size_t len = load("chunk", bytes);
	struct frame f;

	(void)state;
	assert_int_equal(frame_read(bytes, len - 4, &f), FRAME_OK);
	assert_int_equal(f.chunk.size, 17);
	assert_int_equal(f.chunk.data_len, 13);
	memset(bytes + 28, 0xff, 8);
	assert_int_equal(frame_read(bytes, len, &f), FRAME_OK);
	assert_true(f.chunk.size == UINT64_MAX);
	assert_int_equal(f.chunk.data_len, 17);
	memset(bytes + 28, 0, 8);
	bytes[35] = 3;
	assert_int_equal(frame_read(bytes, len, &f), FRAME_OK);
	assert_int_equal(f.chunk.data_len, 3);
}

/* The order in which the reference looks at flags; a body long enough for each type. */
static int type_wanted(unsigned flags)
{
	static const unsigned order[] = {0x8000, 0x1000, 0x4000, 0x0800, 0x2000};

	for (size_t i = 0; i < 5; i++) {
		if (!(flags & order[i]))
			continue;
		if ((flags & FRAME_FLAG_ACK) && i >= 3)
			return 0;
		return (int)(order[i] | (flags & FRAME_FLAG_ACK));
	}
	return 0;
}

static void test_flags(void **state)
{
	uint8_t bytes[FRAME_DONE_BYTES] = {0};

	(void)state;
	for (unsigned flags = 0; flags <= UINT16_MAX; flags++) {
		struct frame f = {0};
		enum frame_verdict v;

		bytes[8] = (uint8_t)(flags >> 8);
		bytes[9] = (uint8_t)flags;
		bytes[10] = bytes[11] = 0x5a; /* ignored */
		v = frame_read(bytes, sizeof(bytes), &f);
		assert_int_equal(v, type_wanted(flags) ? FRAME_OK : FRAME_UNKNOWN);
		if (v == FRAME_OK) {
			assert_int_equal(f.type, type_wanted(flags));
			assert_int_equal(f.reply, (flags & FRAME_FLAG_REPLY) != 0);
		}
	}
}

static void test_no_room(void **state)
{
	(void)state;
	for (size_t i = 0; i < KNOWN; i++) {
		uint8_t bytes[FRAME_MAX_BYTES], out[FRAME_MAX_BYTES];
		const size_t len = load(known[i].name, bytes);
		struct frame f;

		assert_int_equal(frame_read(bytes, len, &f), FRAME_OK);
		for (size_t room = 0; room < len; room++) {
			struct wr w = wr_init(out, room);

			frame_write(&w, &f);
			assert_true(w.bad);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_fields), cmocka_unit_test(test_truncations),
		cmocka_unit_test(test_chunk_size), cmocka_unit_test(test_flags),  cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
