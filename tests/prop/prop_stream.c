/* SPDX-License-Identifier: Apache-2.0 */
/* Random packets, cut into reads in every way: the decoder finds the same packets whatever the cuts. Random bytes: it
 * goes on, waits or gives up, and never looks past the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants some of the above first. */
#include "fastpath/stream.h"
#include "tests/support/vectors.h"
#include <cmocka.h>
#include <time.h>

enum { PACKETS = 300, BYTES = PACKETS * 3000 };

static uint32_t rnd(uint32_t below)
{
	return (uint32_t)random() % below;
}

static int seed(void **state)
{
	const char *text = getenv("SEED");
	const unsigned value = text ? (unsigned)strtoul(text, NULL, 0) : (unsigned)time(NULL);

	(void)state;
	print_message("SEED=%u\n", value);
	srandom(value);
	return 0;
}

/* One packet of random type, size and contents; its size. */
static size_t packet(uint8_t *p)
{
	const bool control = rnd(3) == 0;
	const uint32_t len = rnd(5) ? rnd(200) : rnd(2900);
	const size_t head = control ? WIRE_CONTROL_HEADER_BYTES : WIRE_DATA_HEADER_BYTES;

	for (size_t i = 0; i < head + len; i++)
		p[i] = (uint8_t)rnd(256);
	p[0] = WIRE_VERSION;
	p[1] = control ? WIRE_CONTROL : WIRE_DATA;
	p[control ? 6 : 4] = (uint8_t)(len >> 8);
	p[control ? 7 : 5] = (uint8_t)len;
	return head + len;
}

/* As a link reads: what is left lies before what comes next, in a block of exactly that size. */
struct reader {
	uint8_t *left;
	size_t left_len, packets;
	const size_t *sizes;
	const uint8_t *expected;
	bool bad;
};

static void reader_feed(struct reader *r, const uint8_t *bytes, size_t len)
{
	uint8_t *block = malloc(r->left_len + len + 1);
	struct stream s = {.at = block + 1, .end = block + 1 + r->left_len + len};
	enum stream_verdict verdict;
	struct stream_batch b;

	assert_non_null(block);
	if (r->left_len)
		memcpy(s.at, r->left, r->left_len);
	if (len)
		memcpy(s.at + r->left_len, bytes, len);
	do {
		verdict = stream_read(&s, &b);
		for (unsigned i = 0; i < b.count; i++) {
			assert_int_equal(b.packet[i].len, stream_packet_size(b.packet[i].bytes));
			if (!r->sizes)
				continue;
			assert_int_equal(b.packet[i].len, r->sizes[r->packets++]);
			assert_memory_equal(b.packet[i].bytes, r->expected, b.packet[i].len);
			r->expected += b.packet[i].len;
		}
	} while (verdict == STREAM_FULL);
	r->bad = verdict == STREAM_BAD;
	free(r->left);
	r->left_len = (size_t)(s.end - s.at);
	r->left = malloc(r->left_len + 1);
	assert_non_null(r->left);
	memcpy(r->left, s.at, r->left_len);
	free(block);
}

static void test_splits(void **state)
{
	static uint8_t bytes[BYTES];
	static size_t sizes[PACKETS];

	(void)state;
	for (int round = 0; round < 40; round++) {
		const uint32_t most = 1U << rnd(13);
		struct reader r = {.sizes = sizes, .expected = bytes};
		size_t len = 0;

		for (size_t i = 0; i < PACKETS; i++) {
			sizes[i] = packet(bytes + len);
			len += sizes[i];
		}
		for (size_t at = 0, n; at < len; at += n) {
			n = 1 + rnd(most);
			if (n > len - at)
				n = len - at;
			reader_feed(&r, bytes + at, n);
			assert_false(r.bad);
		}
		assert_int_equal(r.packets, PACKETS);
		assert_int_equal(r.left_len, 0);
		free(r.left);
	}
}

/* Two reads, cut at every single place. */
static void test_every_split(void **state)
{
	uint8_t bytes[1000];
	size_t sizes[4], len = 0;

	(void)state;
	sizes[0] = vectors_hex(bytes, 200, "control_packets/hello_seqno_0/bytes");
	len += sizes[0];
	sizes[1] = vectors_hex(bytes + len, 300, "data_packet_l3/packet_as_sent_by_A");
	len += sizes[1];
	sizes[2] = vectors_hex(bytes + len, 200, "control_packets/update_static_A/bytes");
	len += sizes[2];
	sizes[3] = vectors_hex(bytes + len, 200, "control_packets/ihu/bytes");
	len += sizes[3];
	for (size_t cut = 0; cut <= len; cut++) {
		struct reader r = {.sizes = sizes, .expected = bytes};

		reader_feed(&r, bytes, cut);
		reader_feed(&r, bytes + cut, len - cut);
		assert_int_equal(r.packets, 4);
		assert_int_equal(r.left_len, 0);
		free(r.left);
	}
}

static void walk(uint8_t *bytes, size_t len)
{
	const struct stream_packet p = {.bytes = bytes, .len = (uint32_t)len, .control = true};
	struct rd r = stream_tlvs(&p);
	const uint8_t *at = bytes + WIRE_CONTROL_HEADER_BYTES;
	struct stream_tlv t;

	while (stream_tlv_next(&r, &t)) {
		assert_true(t.bytes >= at && t.bytes + t.len <= bytes + len);
		assert_int_equal(t.len, 2 + t.bytes[1]);
		assert_true(!stream_tlv_is_newer(&t) || t.type == STREAM_TLV_UPDATE);
		at = t.bytes + t.len;
	}
	assert_true(r.bad || r.p == bytes + len);
}

static void test_noise(void **state)
{
	(void)state;
	for (int round = 0; round < 3000; round++) {
		const size_t len = WIRE_CONTROL_HEADER_BYTES + rnd(120);
		uint8_t *bytes = malloc(len);
		struct reader r = {0};

		assert_non_null(bytes);
		for (size_t i = 0; i < len; i++)
			bytes[i] = (uint8_t)(rnd(3) ? rnd(3) : rnd(256));
		bytes[4] = WIRE_BABEL_MAGIC;
		bytes[5] = WIRE_BABEL_VERSION;
		walk(bytes, len);
		for (size_t at = 0, n; at < len && !r.bad; at += n) {
			n = 1 + rnd((uint32_t)(len - at));
			reader_feed(&r, bytes + at, n);
		}
		assert_non_null(stream_era(bytes, len, rnd(2)));
		free(r.left);
		free(bytes);
	}
}

/* What the reference stumbles over, in every split: the verdict does not depend on it. */
static void test_reference(void **state)
{
	static uint8_t bytes[300000];

	(void)state;
	for (size_t i = 0; i < vectors_count("reference_verdicts"); i++) {
		struct reader whole = {0};
		size_t len = 0;

		for (size_t k = 0; k < vectors_count("reference_verdicts/%zu/pieces", i); k++)
			len += vectors_hex(bytes + len, sizeof(bytes) - len, "reference_verdicts/%zu/pieces/%zu", i, k);
		reader_feed(&whole, bytes, len);
		for (size_t cut = 0; cut <= len; cut++) {
			struct reader r = {0};

			reader_feed(&r, bytes, cut);
			if (!r.bad)
				reader_feed(&r, bytes + cut, len - cut);
			assert_int_equal(r.bad, whole.bad);
			if (!r.bad)
				assert_int_equal(r.left_len, whole.left_len);
			free(r.left);
		}
		free(whole.left);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_splits),
		cmocka_unit_test(test_every_split),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_reference),
	};

	return cmocka_run_group_tests(tests, seed, NULL);
}
