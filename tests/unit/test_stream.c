/* SPDX-License-Identifier: Apache-2.0 */
/* The stream decoder, case by case: every truncation of every packet, the reference's own packets, what is hopeless and
 * what it is called, TLVs inside their body. */
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

static size_t control(const char *name, uint8_t *out)
{
	return vectors_hex(out, 256, "control_packets/%s/bytes", name);
}

static void test_packets(void **state)
{
	uint8_t bytes[1000];
	size_t len = 0, hello, data;
	struct stream_batch b;
	struct stream s;

	(void)state;
	hello = control("hello_seqno_0", bytes);
	len += hello;
	data = vectors_hex(bytes + len, 500, "data_packet_l3/packet_as_sent_by_A");
	len += data;
	len += control("ihu", bytes + len);
	s = (struct stream){.at = bytes, .end = bytes + len};
	assert_int_equal(stream_read(&s, &b), STREAM_MORE);
	assert_int_equal(b.count, 3);
	assert_true(b.packet[0].control && !b.packet[1].control && b.packet[2].control);
	assert_ptr_equal(b.packet[1].bytes, bytes + hello);
	assert_int_equal(b.packet[1].len, data);
	assert_ptr_equal(s.at, s.end);
}

/* Whatever part of a packet is there: nothing is judged, and nothing consumed. */
static void test_truncation(void **state)
{
	static const char *const names[] = {"hello_seqno_0", "ihu", "update_static_A", "seqno_request_A"};
	uint8_t whole[1000];

	(void)state;
	for (size_t i = 0; i <= sizeof(names) / sizeof(names[0]); i++) {
		const size_t len = i < sizeof(names) / sizeof(names[0])
					   ? control(names[i], whole)
					   : vectors_hex(whole, sizeof(whole), "data_packet_l3/packet_as_sent_by_A");

		for (size_t part = 0; part < len; part++) {
			/* A block of its own, so that a read past its end is seen. */
			uint8_t *bytes = malloc(part + 1);
			struct stream s = {.at = bytes + 1, .end = bytes + 1 + part};
			struct stream_batch b;

			assert_non_null(bytes);
			memcpy(bytes + 1, whole, part);
			assert_int_equal(stream_read(&s, &b), STREAM_MORE);
			assert_int_equal(b.count, 0);
			assert_ptr_equal(s.at, bytes + 1);
			free(bytes);
		}
	}
}

static void test_sizes(void **state)
{
	static const uint8_t longest[8] = {1, 0, 0, 0, 0xff, 0xff, 0, 64},
			     control_longest[8] = {1, 1, 0, 0, 42, 2, 0xff, 0xff};
	static uint8_t bytes[STREAM_PACKET_MAX_BYTES];
	struct stream s = {.at = bytes, .end = bytes + sizeof(bytes)};
	struct stream_batch b;

	(void)state;
	memcpy(bytes, longest, sizeof(longest));
	assert_int_equal(stream_packet_size(bytes), WIRE_FRAME_MAX_BYTES);
	assert_int_equal(stream_read(&s, &b), STREAM_MORE);
	assert_int_equal(b.count, 1);
	memcpy(bytes, control_longest, sizeof(control_longest));
	assert_true(stream_packet_size(bytes) <= STREAM_PACKET_MAX_BYTES);
	/* Nothing sealed is legal framing, and so is an empty control body. */
	memset(bytes, 0, 100);
	bytes[0] = bytes[40] = bytes[41] = 1;
	s = (struct stream){.at = bytes, .end = bytes + 48};
	assert_int_equal(stream_read(&s, &b), STREAM_MORE);
	assert_int_equal(b.count, 2);
	assert_int_equal(b.packet[0].len, 40);
	assert_int_equal(b.packet[1].len, 8);
}

static void test_batches(void **state)
{
	static uint8_t bytes[130 * 48];
	struct stream s = {.at = bytes, .end = bytes + sizeof(bytes)};
	struct stream_batch b;

	(void)state;
	for (size_t i = 0; i < 130; i++) {
		const uint8_t head[8] = {1, 0, 0, 0, 0, 8, 0, (uint8_t)i};

		memcpy(bytes + 48 * i, head, sizeof(head));
	}
	assert_int_equal(stream_read(&s, &b), STREAM_FULL);
	assert_int_equal(b.count, 64);
	assert_int_equal(stream_read(&s, &b), STREAM_FULL);
	assert_int_equal(b.packet[63].bytes[7], 127);
	assert_int_equal(stream_read(&s, &b), STREAM_MORE);
	assert_int_equal(b.count, 2);
}

/* As soon as it can be known, and not before; what came earlier stays good. */
static void test_bad(void **state)
{
	static const struct {
		uint8_t bytes[2];
		size_t len;
		enum stream_verdict verdict;
	} cases[] = {{{1, 0}, 1, STREAM_MORE}, {{1, 0}, 2, STREAM_MORE}, {{1, 1}, 2, STREAM_MORE},
		     {{0, 0}, 1, STREAM_BAD},  {{2, 0}, 1, STREAM_BAD},	 {{1, 2}, 2, STREAM_BAD},
		     {{1, 2}, 1, STREAM_MORE}, {{1, 255}, 2, STREAM_BAD}};
	uint8_t bytes[300];
	const size_t len = control("hello_seqno_0", bytes);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stream s = {.at = bytes, .end = bytes + len + cases[i].len};
		struct stream_batch b;

		memcpy(bytes + len, cases[i].bytes, 2);
		assert_int_equal(stream_read(&s, &b), cases[i].verdict);
		assert_int_equal(b.count, 1);
		assert_ptr_equal(s.at, bytes + len);
	}
}

static void expect_era(const char *bytes, size_t len, const char *says)
{
	const char *text = stream_era((const uint8_t *)bytes, len, true);

	if (!strstr(text, says))
		fail_msg("\"%s\" does not say \"%s\"", text, says);
}

static void test_era(void **state)
{
	(void)state;
	expect_era("\0\x0a\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0", 17, "v0.1.3");
	expect_era("\1\x20\1", 3, "v0.1.3");
	expect_era("\0\x0a\0\0\1\0\0\0\0\0\0\0\0\0\0\0\x09", 17, "not this protocol");
	expect_era("\0", 1, "v0.1.3");
	expect_era("\x16\3\1", 3, "TLS");
	expect_era("SSH-2.0", 7, "SSH");
	expect_era("SSH", 3, "not this protocol");
	expect_era("GET / HTTP/1.1", 14, "HTTP");
	expect_era("PRI * HTTP/2.0", 14, "HTTP");
	expect_era("", 0, "not this protocol");
	assert_non_null(strstr(stream_era((const uint8_t *)"GET / ", 6, false), "out of step"));
}

static struct rd open_tlvs(const uint8_t *body, size_t len, uint8_t *packet, struct stream_packet *p)
{
	const uint8_t head[8] = {1, 1, 0, 0, 42, 2, (uint8_t)(len >> 8), (uint8_t)len};

	memcpy(packet, head, sizeof(head));
	memcpy(packet + 8, body, len);
	*p = (struct stream_packet){.bytes = packet, .len = (uint32_t)(8 + len), .control = true};
	return stream_tlvs(p);
}

static void test_tlvs(void **state)
{
	static const uint8_t body[] = {0, 4, 6, 1, 2, 3, 4, 5, 6, 1, 2, 0, 0, 9, 0, 5, 1, 7};
	uint8_t packet[100];
	struct stream_packet p;
	struct stream_tlv t;
	struct rd r = open_tlvs(body, sizeof(body), packet, &p);

	(void)state;
	assert_true(stream_tlv_next(&r, &t));
	assert_int_equal(t.type, STREAM_TLV_HELLO);
	assert_int_equal(t.len, 8);
	assert_ptr_equal(t.bytes, packet + 9);
	assert_true(stream_tlv_next(&r, &t));
	assert_int_equal(t.type, 9);
	assert_int_equal(t.len, 2);
	assert_true(stream_tlv_next(&r, &t));
	assert_int_equal(t.type, STREAM_TLV_IHU);
	assert_false(stream_tlv_next(&r, &t));
	assert_false(r.bad);
	/* Cut anywhere inside the last TLV: those before it stand, and the cursor says so. */
	for (size_t len = 16; len < sizeof(body); len++) {
		r = open_tlvs(body, len, packet, &p);
		assert_true(stream_tlv_next(&r, &t));
		assert_true(stream_tlv_next(&r, &t));
		assert_false(stream_tlv_next(&r, &t));
		assert_true(r.bad);
	}
	packet[4] = 43;
	assert_true(stream_tlvs(&p).bad);
	packet[4] = 42;
	packet[5] = 3;
	assert_true(stream_tlvs(&p).bad);
}

static void test_newer(void **state)
{
	uint8_t bytes[300];
	struct stream_tlv t = {.bytes = bytes, .type = STREAM_TLV_UPDATE};

	(void)state;
	for (unsigned ae = 0; ae < 4; ae++)
		for (unsigned plen = 0; plen < 256; plen++)
			for (size_t len = 0; len < 80; len++) {
				const bool newer = ae == 2 && plen <= 120 && len == 50 + (plen + 7) / 8;

				memcpy(bytes, (const uint8_t[]){8, (uint8_t)len, (uint8_t)ae, 0, (uint8_t)plen}, 5);
				t.len = 2 + len;
				assert_int_equal(stream_tlv_is_newer(&t), newer);
			}
	t.type = 10;
	t.len = 60;
	memcpy(bytes, (const uint8_t[]){10, 58, 2, 0, 64}, 5);
	assert_false(stream_tlv_is_newer(&t));
}

/* The inputs that the reference program stumbles over: in step to the end, or closed. */
static void test_reference(void **state)
{
	static const char *const lists[] = {"reference_stream_behaviour", "reference_verdicts"};
	static const char *const parts[] = {"reads", "pieces"};
	static uint8_t bytes[300000];

	(void)state;
	for (size_t list = 0; list < 2; list++) {
		assert_int_equal(vectors_count("%s", lists[list]), list ? 41 : 14);
		for (size_t i = 0; i < vectors_count("%s", lists[list]); i++) {
			struct stream s = {.at = bytes};
			enum stream_verdict verdict;
			struct stream_batch b;
			size_t len = 0;

			for (size_t k = 0; k < vectors_count("%s/%zu/%s", lists[list], i, parts[list]); k++)
				len += vectors_hex(bytes + len, sizeof(bytes) - len, "%s/%zu/%s/%zu", lists[list], i,
						   parts[list], k);
			/* Enough Hellos to end whatever body has begun. */
			for (int k = 0; k < 4200; k++)
				len += control("hello_seqno_1", bytes + len);
			s.end = bytes + len;
			do
				verdict = stream_read(&s, &b);
			while (verdict == STREAM_FULL);
			if (verdict == STREAM_MORE)
				assert_ptr_equal(s.at, s.end);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets), cmocka_unit_test(test_truncation), cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_batches), cmocka_unit_test(test_bad),	   cmocka_unit_test(test_era),
		cmocka_unit_test(test_tlvs),	cmocka_unit_test(test_newer),	   cmocka_unit_test(test_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
