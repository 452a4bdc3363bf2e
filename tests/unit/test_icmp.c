/* SPDX-License-Identifier: Apache-2.0 */
/* ICMPv6 made and judged: known answers out of band, every truncation, what no error may be about, how many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "fastpath/icmp.h"
#include "tests/support/lanes_memory.h"
#include "tests/support/packet.h"
#include "tests/support/vectors.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { ORIGINAL_BYTES = 56, FRAME_BYTES = 128, BODY_BYTES = 64 + 88, REBUILT_BYTES = 48 + ORIGINAL_BYTES };

static const struct icmp_error time_exceeded = {ICMP_TIME_EXCEEDED, 0, 0},
			       no_route = {ICMP_UNREACHABLE, ICMP_NO_ROUTE, 0};
static struct ip6 a_address, b_address, c_base;
static uint8_t original[ORIGINAL_BYTES], frame[FRAME_BYTES];

static int setup(void **state)
{
	(void)state;
	vectors_hex(original, sizeof(original), "data_packet_l3/inputs/ipv6_packet");
	vectors_hex(frame, sizeof(frame), "data_packet_l3/packet_as_sent_by_A");
	memcpy(&a_address, original + 8, 16);
	memcpy(&b_address, original + 24, 16);
	return ip6_parse("3a2:6783:e3f4:9c78::", &c_base);
}

/* Body of a known report. */
static void known_body(const char *which, uint8_t *body)
{
	uint8_t plain[4 + BODY_BYTES];

	assert_int_equal(vectors_hex(plain, sizeof(plain), "%s/plaintext", which), sizeof(plain));
	memcpy(body, plain + 4, BODY_BYTES);
}

static void reports_are_built_as_known(void **state)
{
	uint8_t expected[BODY_BYTES], out[ICMP_OOB_MAX_BYTES];

	(void)state;
	known_body("oob_icmp_time_exceeded", expected);
	assert_int_equal(icmp_oob_build(&time_exceeded, &c_base, frame, sizeof(frame), out), BODY_BYTES);
	assert_memory_equal(out, expected, BODY_BYTES);
	known_body("oob_icmp_no_route", expected);
	assert_int_equal(icmp_oob_build(&no_route, &c_base, frame, sizeof(frame), out), BODY_BYTES);
	assert_memory_equal(out, expected, BODY_BYTES);
}

/* From the plaintext to the whole frame, and back at A. */
static void a_report_travels(void **state)
{
	uint8_t plain[4 + BODY_BYTES], sent[300], expected[300], nonce[12];
	struct lanes *lanes = lanes_memory_new();
	const struct encap_packet p = {.plain = plain + 4,
				       .len = BODY_BYTES,
				       .type = WIRE_USER_ICMP,
				       .hop_limit = 64,
				       .src = &c_base,
				       .dst = &a_address};
	const size_t len = vectors_hex(expected, sizeof(expected), "oob_icmp_time_exceeded/packet_as_sent_by_C");
	const struct pubkey any = {{0}};
	struct encap_opened o;
	struct nonce_lane l;
	struct aead_key secret;
	const char *why;
	const struct aead *aead = aead_choose(&why);
	struct keys *k = keys_new(aead, &any, 4);
	struct key_slot *s;

	(void)state;
	vectors_hex(secret.b, sizeof(secret.b), "shared_secrets/AC");
	vectors_hex(nonce, sizeof(nonce), "oob_icmp_time_exceeded/inputs/nonce");
	s = keys_slot(k, keys_add(k, 1, &any, &secret));
	nonce_lane_init(&l, lanes);
	l.prefix = UINT64_C(0xb0b1b2b3b4b5b6b7);
	l.next = 0xb8b9babb;
	icmp_oob_build(&time_exceeded, &c_base, frame, sizeof(frame), plain + 4);
	assert_int_equal(encap_seal(aead, &l, s, &p, sent), len);
	assert_memory_equal(sent, expected, len);
	assert_int_equal(encap_open(aead, s, sent, len, &o), 0);
	assert_int_equal(o.type, WIRE_USER_ICMP);
	assert_memory_equal(o.body, plain + 4, BODY_BYTES);
	keys_free(k);
	lanes_memory_free(lanes);
}

static void reports_reach_the_host_as_known(void **state)
{
	uint8_t body[BODY_BYTES], expected[REBUILT_BYTES], out[ICMP_LOCAL_MAX_BYTES];
	const struct icmp_report r = {&c_base, &a_address, 63, original, sizeof(original)};
	struct icmp_oob icmp;

	(void)state;
	known_body("oob_icmp_time_exceeded", body);
	vectors_hex(expected, sizeof(expected), "oob_icmp_time_exceeded/rebuilt_on_tun_at_A_when_directly_connected");
	assert_int_equal(icmp_oob_parse(body, sizeof(body), &icmp), 0);
	assert_true(ip6_eq(&icmp.about, &b_address));
	assert_true(ip6_eq(&icmp.origin, &a_address));
	assert_int_equal(icmp.type, ICMP_TIME_EXCEEDED);
	assert_int_equal(icmp.code | icmp.parameter, 0);
	assert_int_equal(icmp.quote_len, FRAME_BYTES - 40);
	assert_memory_equal(icmp.quote, frame + 40, icmp.quote_len);
	assert_int_equal(icmp_oob_deliver(&icmp, &r, out), REBUILT_BYTES);
	assert_memory_equal(out, expected, REBUILT_BYTES);
}

static void parameters_travel(void **state)
{
	const struct icmp_error too_big = {ICMP_TOO_BIG, 0, 1400};
	const struct icmp_report r = {&c_base, &a_address, 63, original, sizeof(original)};
	uint8_t body[ICMP_OOB_MAX_BYTES], out[ICMP_LOCAL_MAX_BYTES];
	struct icmp_oob icmp;
	size_t len = icmp_oob_build(&too_big, &c_base, frame, sizeof(frame), body);

	(void)state;
	assert_int_equal(icmp_oob_parse(body, len, &icmp), 0);
	assert_int_equal(icmp.parameter, 1400);
	len = icmp_oob_deliver(&icmp, &r, out);
	assert_int_equal(out[40], ICMP_TOO_BIG);
	assert_memory_equal(out + 44, "\0\0\x05\x78", 4);
	assert_true(packet_checksum_is_true(out, len));
}

/* What is too long to be quoted is left out, and such a report is of no use. */
static void long_frames_are_not_quoted(void **state)
{
	static uint8_t big[40 + 1300];
	uint8_t body[ICMP_OOB_MAX_BYTES];
	struct icmp_oob icmp;

	(void)state;
	memcpy(big, frame, sizeof(frame));
	for (size_t sealed = 0; sealed <= 1300; sealed++) {
		const size_t quoted = sealed <= 1232 ? sealed : 0,
			     len = icmp_oob_build(&no_route, &c_base, big, 40 + sealed, body);

		assert_int_equal(len, 64 + quoted);
		assert_memory_equal(body + 64, big + 40, quoted);
		assert_true(packet_checksum_is_true(body + 16, len - 16));
		assert_int_equal(icmp_oob_parse(body, len, &icmp), quoted < 32 ? STAT_drop_icmp_quote : 0);
	}
}

static void bad_reports_are_refused(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} table[] = {
		{16, 0x40}, {16, 0x70}, {20, 1},   {21, 0x5f}, {21, 0x61}, {22, 17},  {22, 0},	 {22, 44},
		{56, 0},    {56, 5},	{56, 100}, {56, 128},  {56, 129},  {56, 134}, {56, 137}, {56, 255},
	};
	struct icmp_oob icmp;
	uint8_t body[BODY_BYTES];

	(void)state;
	for (size_t len = 0; len < BODY_BYTES; len++) {
		uint8_t *exact = malloc(len + 1);

		known_body("oob_icmp_no_route", body);
		memcpy(exact + 1, body, len);
		assert_int_equal(icmp_oob_parse(exact + 1, len, &icmp), STAT_drop_icmp_malformed);
		free(exact);
	}
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		known_body("oob_icmp_no_route", body);
		body[table[i].at] = table[i].value;
		assert_int_equal(icmp_oob_parse(body, sizeof(body), &icmp), STAT_drop_icmp_malformed);
	}
	for (uint8_t type = 1; type <= 4; type++) {
		known_body("oob_icmp_no_route", body);
		body[56] = type;
		assert_int_equal(icmp_oob_parse(body, sizeof(body), &icmp), 0);
	}
}

static void longer_than_any_report(void **state)
{
	uint8_t body[ICMP_OOB_MAX_BYTES + 1] = {0};
	struct icmp_oob icmp;

	(void)state;
	body[16] = 0x60;
	body[22] = 58;
	body[56] = ICMP_UNREACHABLE;
	body[20] = (ICMP_OOB_MAX_BYTES - 56) >> 8;
	body[21] = (ICMP_OOB_MAX_BYTES - 56) & 0xff;
	assert_int_equal(icmp_oob_parse(body, ICMP_OOB_MAX_BYTES, &icmp), 0);
	body[21]++;
	assert_int_equal(icmp_oob_parse(body, ICMP_OOB_MAX_BYTES + 1, &icmp), STAT_drop_icmp_malformed);
}

static void only_our_packets_are_reported(void **state)
{
	uint8_t changed[ORIGINAL_BYTES], out[ICMP_LOCAL_MAX_BYTES], body[BODY_BYTES];
	struct icmp_report r = {&c_base, &a_address, 63, changed, ORIGINAL_BYTES};
	struct icmp_oob icmp;

	(void)state;
	known_body("oob_icmp_no_route", body);
	assert_int_equal(icmp_oob_parse(body, sizeof(body), &icmp), 0);
	memcpy(changed, original, sizeof(changed));
	assert_int_equal(icmp_oob_deliver(&icmp, &r, out), REBUILT_BYTES);
	for (size_t i = 8; i < 40; i++) { /* not from where the report goes, or not to where it is about */
		changed[i] ^= 1;
		assert_int_equal(icmp_oob_deliver(&icmp, &r, out), 0);
		changed[i] ^= 1;
	}
	changed[0] = 0x45;
	assert_int_equal(icmp_oob_deliver(&icmp, &r, out), 0);
	changed[0] = 0x60;
	changed[40] = 1; /* an ICMPv6 error */
	assert_int_equal(icmp_oob_deliver(&icmp, &r, out), 0);
	changed[40] = 128;
	for (size_t len = 0; len < ORIGINAL_BYTES; len++) {
		uint8_t *exact = malloc(len + 1);

		memcpy(exact + 1, changed, len);
		r.original = exact + 1;
		r.original_len = len;
		assert_int_equal(icmp_oob_deliver(&icmp, &r, out), len <= 40 ? 0 : 48 + len);
		free(exact);
	}
}

static void local_errors(void **state)
{
	static uint8_t packet[1400];
	const struct icmp_error too_big = {ICMP_TOO_BIG, 0, 1280};
	uint8_t out[ICMP_LOCAL_MAX_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(packet); i++)
		packet[i] = (uint8_t)(i * 3);
	memcpy(packet, original, sizeof(original));
	for (size_t len = 40; len <= sizeof(packet); len++) {
		const size_t quoted = len < 1232 ? len : 1232;

		assert_int_equal(icmp_local(&too_big, &b_address, packet, len, out), 48 + quoted);
		assert_memory_equal(out, "\x60\0\0\0", 4);
		assert_int_equal(out[4] << 8 | out[5], 8 + quoted);
		assert_int_equal(out[6], 58);
		assert_int_equal(out[7], 64);
		assert_memory_equal(out + 8, &b_address, 16);
		assert_memory_equal(out + 24, &a_address, 16);
		assert_memory_equal(out + 44, "\0\0\x05\0", 4);
		assert_memory_equal(out + 48, packet, quoted);
		assert_true(packet_checksum_is_true(out, 48 + quoted));
	}
}

/* An IPv6 header, then bytes as given; judged in memory that ends with the packet. */
static bool forbidden(uint8_t next, const char *bytes, size_t len)
{
	uint8_t *exact = malloc(40 + len);
	bool result;

	assert_non_null(exact);
	memcpy(exact, original, 40);
	exact[6] = next;
	memcpy(exact + 40, bytes, len);
	result = icmp_is_forbidden_about(exact, 40 + len);
	free(exact);
	return result;
}
#define FORBIDDEN(next, bytes) forbidden(next, bytes, sizeof(bytes) - 1)

static void no_errors_about_errors(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		const char icmp[8] = {(char)type};
		char behind[24] = {58, 1};

		behind[16] = (char)type;
		assert_int_equal(forbidden(58, icmp, sizeof(icmp)), type < 128 || type == 137);
		assert_int_equal(forbidden(60, behind, sizeof(behind)), type < 128 || type == 137);
	}
	assert_true(FORBIDDEN(58, ""));
	assert_false(FORBIDDEN(58, "\x80"));
	assert_false(FORBIDDEN(6, "\1\1\1\1"));
	assert_false(FORBIDDEN(17, ""));
	assert_false(FORBIDDEN(59, ""));
	assert_false(FORBIDDEN(50, "\1"));
	/* Behind hop-by-hop, destination, routing, mobility, authentication headers. */
	assert_true(FORBIDDEN(0, "\x3c\0\0\0\0\0\0\0"
				 "\x2b\0\0\0\0\0\0\0"
				 "\x3a\0\0\0\0\0\0\0"
				 "\1"));
	assert_false(FORBIDDEN(0, "\x3c\0\0\0\0\0\0\0"
				  "\x2b\0\0\0\0\0\0\0"
				  "\x3a\0\0\0\0\0\0\0"
				  "\x81"));
	assert_true(FORBIDDEN(51, "\x87\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				  "\x3a\0\0\0\0\0\0\0"
				  "\3"));
	assert_false(FORBIDDEN(51, "\x3a\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				   "\x80"));
	/* First and later fragments. */
	assert_false(FORBIDDEN(44, "\x11\0\0\1\0\0\0\7"
				   "abcdefgh"));
	assert_true(FORBIDDEN(44, "\x3a\0\0\1\0\0\0\7"
				  "\1"));
	assert_true(FORBIDDEN(44, "\x11\0\0\x08\0\0\0\7"
				  "abcdefgh"));
	assert_true(FORBIDDEN(44, "\x11\0\1\1\0\0\0\7"
				  "abcdefgh"));
	/* Headers cut off. */
	assert_true(FORBIDDEN(0, "\x11\0\0\0\0\0\0"));
	assert_true(FORBIDDEN(0, "\x3a\x05\0\0\0\0\0\0\x80"));
	assert_true(FORBIDDEN(0, "\x3c\x05\0\0\0\0\0\0\x80"));
}

static void no_errors_to_nobody(void **state)
{
	uint8_t packet[ORIGINAL_BYTES];

	(void)state;
	memcpy(packet, original, sizeof(packet));
	assert_false(icmp_is_forbidden_about(packet, sizeof(packet)));
	for (size_t len = 0; len <= 40; len++)
		assert_true(icmp_is_forbidden_about(packet, len));
	packet[8] = 0xff;
	assert_true(icmp_is_forbidden_about(packet, sizeof(packet)));
	memset(packet + 8, 0, 16);
	assert_true(icmp_is_forbidden_about(packet, sizeof(packet)));
	packet[23] = 1;
	assert_false(icmp_is_forbidden_about(packet, sizeof(packet)));
	packet[0] = 0x45;
	assert_true(icmp_is_forbidden_about(packet, sizeof(packet)));
}

static void rates_are_limited(void **state)
{
	static struct icmp_rate r;
	const struct mono start = {.us = 5000000};
	unsigned passed = 0;

	(void)state;
	for (unsigned i = 0; i < 50; i++)
		passed += icmp_rate_pass(&r, 77, start);
	assert_int_equal(passed, LIMIT_ICMP_PER_PEER_PER_SECOND);
	passed = 0;
	for (uint64_t net = 1000; net < 1200; net++) /* those refused do not count against all */
		for (unsigned i = 0; i < 20; i++)
			passed += icmp_rate_pass(&r, net, mono_add_ms(start, 999));
	assert_int_equal(passed, LIMIT_ICMP_PER_SECOND - LIMIT_ICMP_PER_PEER_PER_SECOND);
	assert_false(icmp_rate_pass(&r, 5, mono_add_ms(start, 999)));
	assert_true(icmp_rate_pass(&r, 77, mono_add_ms(start, 1000)));
	assert_true(icmp_rate_pass(&r, 5, mono_add_ms(start, 1000)));
	/* A clock that went back does not close it for ever. */
	for (unsigned i = 0; i < 20; i++)
		(void)icmp_rate_pass(&r, 77, mono_add_ms(start, 1000));
	assert_false(icmp_rate_pass(&r, 77, mono_add_ms(start, 1000)));
	assert_true(icmp_rate_pass(&r, 77, start));
}

static void checksums_agree(void **state)
{
	static uint8_t payload[300], out[400];
	struct packet p = {.src = a_address, .dst = b_address, .sport = 1, .payload = payload};

	(void)state;
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(255 - i);
	for (p.payload_len = 0; p.payload_len <= sizeof(payload); p.payload_len++) {
		const size_t len = packet_udp(&p, out);
		uint16_t want, got;

		memcpy(&want, out + 46, 2);
		memset(out + 46, 0, 2);
		got = icmp_checksum(&p.src, &p.dst, 17, out + 40, len - 40);
		assert_int_equal(got, want);
	}
	/* What adds up to nothing: stored as its other form in UDP only. */
	memset(out, 0, 8);
	memcpy(out, "\xff\xee", 2);
	memset(&p.src, 0, sizeof(p.src));
	memset(&p.dst, 0, sizeof(p.dst));
	out[1] = (uint8_t)(0xff - 17 - 8);
	assert_int_equal(icmp_checksum(&p.src, &p.dst, 17, out, 8), 0xffff);
	out[1] = (uint8_t)(0xff - 58 - 8);
	assert_int_equal(icmp_checksum(&p.src, &p.dst, 58, out, 8), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reports_are_built_as_known),
		cmocka_unit_test(a_report_travels),
		cmocka_unit_test(reports_reach_the_host_as_known),
		cmocka_unit_test(parameters_travel),
		cmocka_unit_test(long_frames_are_not_quoted),
		cmocka_unit_test(bad_reports_are_refused),
		cmocka_unit_test(longer_than_any_report),
		cmocka_unit_test(only_our_packets_are_reported),
		cmocka_unit_test(local_errors),
		cmocka_unit_test(no_errors_about_errors),
		cmocka_unit_test(no_errors_to_nobody),
		cmocka_unit_test(rates_are_limited),
		cmocka_unit_test(checksums_agree),
	};

	return cmocka_run_group_tests_name("ICMP", tests, setup, NULL);
}
