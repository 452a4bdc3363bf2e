/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting of super-packets, case by case; that coalescing is its inverse is in prop_gso.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "fastpath/gso.h"
#include "tests/support/packet.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 70000, HEADROOM = 4, NEEDS_CSUM = 1, TCPV6 = 4, UDP_L4 = 5, ECN = 0x80 };

static uint8_t payload[ROOM], buffer[HEADROOM + ROOM], expected[ROOM];
static uint8_t *const room = buffer + HEADROOM;

static struct packet flow(void)
{
	return (struct packet){.src = {{2, 1}},
			       .dst = {{3, 9}},
			       .class_and_label = 0x12345,
			       .hop_limit = 64,
			       .flags = PACKET_ACK,
			       .sport = 4000,
			       .dport = 5001,
			       .window = 700,
			       .seq = 1000,
			       .ack = 77,
			       .payload = payload};
}

static struct gso_header tcp_header(uint16_t size)
{
	return (struct gso_header){.flags = NEEDS_CSUM,
				   .type = TCPV6,
				   .header_len = 60,
				   .size = size,
				   .csum_start = 40,
				   .csum_offset = 16};
}

static struct gso_header udp_header(uint16_t size)
{
	return (struct gso_header){.flags = NEEDS_CSUM,
				   .type = UDP_L4,
				   .header_len = 48,
				   .size = size,
				   .csum_start = 40,
				   .csum_offset = 6};
}

static int fill(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 + (i >> 8));
	return 0;
}

/* A super-packet of TCP in room; its length. */
static size_t super_tcp(struct packet *p, size_t payload_len)
{
	size_t len;

	p->payload_len = payload_len;
	len = packet_tcp(p, room);
	packet_set_partial_checksum(room, len);
	return len;
}

static void cut_marks_only_the_last(void **state)
{
	const struct gso_header h = {
		.flags = NEEDS_CSUM, .type = TCPV6 | ECN, .size = 1000, .csum_start = 40, .csum_offset = 16};
	struct packet p = flow();
	struct gso_cut c;
	size_t len;

	(void)state;
	p.flags = PACKET_ACK | PACKET_PSH | PACKET_FIN | PACKET_CWR;
	len = super_tcp(&p, 2500);
	assert_true(gso_cut_init(&c, &h, room, len));
	for (unsigned i = 0; i < 3; i++) {
		uint8_t *segment = gso_cut_next(&c, &len);

		p.payload = payload + i * 1000;
		p.payload_len = i < 2 ? 1000 : 500;
		p.seq = 1000 + i * 1000;
		p.flags = (uint8_t)(PACKET_ACK | (i == 0 ? PACKET_CWR : 0) | (i == 2 ? PACKET_PSH | PACKET_FIN : 0));
		assert_non_null(segment);
		assert_int_equal(len, packet_tcp(&p, expected));
		assert_memory_equal(segment, expected, len);
		memset(segment - HEADROOM, 0xee, HEADROOM);
	}
	assert_null(gso_cut_next(&c, &len));
	assert_null(gso_cut_next(&c, &len));
}

/* Many segments, smaller than the headers that are laid over them, and no length in the IPv6 header. */
static void cut_takes_any_count(void **state)
{
	const struct gso_header h = tcp_header(3);
	const size_t total = 65535 + 20;
	struct packet p = flow();
	struct gso_cut c;
	size_t len, at = 0;

	(void)state;
	p.seq = UINT32_MAX - 500;
	len = super_tcp(&p, total);
	assert_int_equal(room[4] | room[5], 0);
	assert_true(gso_cut_init(&c, &h, room, len));
	for (uint8_t *segment; (segment = gso_cut_next(&c, &len)); at += 3) {
		p.payload = payload + at;
		p.payload_len = total - at < 3 ? total - at : 3;
		p.seq = UINT32_MAX - 500 + (uint32_t)at;
		assert_int_equal(len, packet_tcp(&p, expected));
		assert_memory_equal(segment, expected, len);
		memset(segment - HEADROOM, 0xee, HEADROOM);
	}
	assert_true(at >= total && at < total + 3);
}

static void cut_completes_checksums(void **state)
{
	struct gso_header h = {.flags = NEEDS_CSUM, .csum_start = 40, .csum_offset = 16};
	struct packet p = flow();
	struct gso_cut c;
	size_t len, got;

	(void)state;
	for (size_t size = 0; size < 300; size++) {
		p.payload_len = size;
		len = packet_tcp(&p, expected);
		memcpy(room, expected, len);
		packet_set_partial_checksum(room, len);
		h.csum_offset = 16;
		assert_true(gso_cut_init(&c, &h, room, len));
		assert_ptr_equal(gso_cut_next(&c, &got), room);
		assert_int_equal(got, len);
		assert_memory_equal(room, expected, len);
		assert_null(gso_cut_next(&c, &got));

		len = packet_udp(&p, expected);
		memcpy(room, expected, len);
		packet_set_partial_checksum(room, len);
		h.csum_offset = 6;
		assert_true(gso_cut_init(&c, &h, room, len));
		assert_ptr_equal(gso_cut_next(&c, &got), room);
		assert_memory_equal(room, expected, len);
	}
}

/* A sum of zero says "no checksum" in UDP and is sent as its other form. */
static void cut_never_sends_udp_without_checksum(void **state)
{
	struct gso_header h = udp_header(2);
	struct packet p = flow();
	uint8_t data[6] = {0};
	struct gso_cut c;
	size_t len;
	uint8_t *segment;

	(void)state;
	p.payload = data;
	p.payload_len = 2;
	len = packet_udp(&p, room);
	memcpy(data, room + 46, 2); /* the payload now is what the checksum lacked to zero */
	p.payload_len = sizeof(data);
	memcpy(data + 2, data, 2);
	len = packet_udp(&p, room);
	packet_set_partial_checksum(room, len);
	assert_true(gso_cut_init(&c, &h, room, len));
	segment = gso_cut_next(&c, &len);
	assert_non_null(segment);
	assert_int_equal(len, 50);
	assert_memory_equal(segment + 46, "\xff\xff", 2);
	assert_true(packet_checksum_is_true(segment, len));
}

static void cut_leaves_other_packets_alone(void **state)
{
	const struct gso_header none = {0};
	struct packet p = flow();
	struct gso_cut c;
	size_t len, got;

	(void)state;
	p.payload_len = 100;
	len = packet_udp(&p, room);
	room[46] ^= 0x55; /* a false checksum is not ours to mend */
	memcpy(expected, room, len);
	memset(room + len, 0xaa, 9);
	assert_true(gso_cut_init(&c, &none, room, len + 9));
	assert_ptr_equal(gso_cut_next(&c, &got), room);
	assert_int_equal(got, len);
	assert_memory_equal(room, expected, len);
	assert_null(gso_cut_next(&c, &got));
	assert_false(gso_cut_init(&c, &none, room, len - 1));
}

/* Surplus bytes after a super-packet are no payload. */
static void cut_ends_where_the_length_says(void **state)
{
	const struct gso_header h = tcp_header(100);
	struct packet p = flow();
	const size_t super_len = super_tcp(&p, 150);
	struct gso_cut c;
	size_t len;

	(void)state;
	assert_true(gso_cut_init(&c, &h, room, super_len + 200));
	assert_non_null(gso_cut_next(&c, &len));
	assert_int_equal(len, 160);
	assert_non_null(gso_cut_next(&c, &len));
	assert_int_equal(len, 110);
	assert_null(gso_cut_next(&c, &len));
}

static bool takes(const struct gso_header *h, size_t len)
{
	struct gso_cut c;

	return gso_cut_init(&c, h, room, len);
}

static void cut_refuses_nonsense(void **state)
{
	struct gso_header h = tcp_header(1000);
	struct packet p = flow();
	const size_t len = super_tcp(&p, 3000);

	(void)state;
	assert_true(takes(&h, len));
	h.size = 0;
	assert_false(takes(&h, len));
	h = tcp_header(1000);
	for (unsigned type = 1; type < 256; type++) {
		h.type = (uint8_t)type;
		assert_int_equal(takes(&h, len), type == TCPV6 || type == (TCPV6 | ECN));
	}
	h = tcp_header(1000);
	h.csum_start = 41;
	assert_false(takes(&h, len));
	h = tcp_header(1000);
	h.csum_offset = 6;
	assert_false(takes(&h, len));
	h = tcp_header(1000);
	room[0] = 0x45;
	assert_false(takes(&h, len));
	room[0] = 0x60;
	room[6] = 0; /* hop-by-hop options before TCP */
	assert_false(takes(&h, len));
	room[6] = 6;
	room[52] = 0x40; /* TCP header of 16 bytes */
	assert_false(takes(&h, len));
	room[52] = 0xf0;
	assert_true(takes(&h, len));
	assert_false(takes(&h, len - 1)); /* the payload length does not fit */
	room[4] = room[5] = 0;
	assert_true(takes(&h, len - 1));
	assert_true(takes(&h, 101));
	assert_false(takes(&h, 100)); /* no payload */
	assert_false(takes(&h, 59));
}

static void cut_refuses_sums_outside(void **state)
{
	struct gso_header h = {.flags = NEEDS_CSUM, .csum_start = 40, .csum_offset = 6};
	struct packet p = flow();
	size_t len;

	(void)state;
	p.payload_len = 10;
	len = packet_udp(&p, room);
	assert_true(takes(&h, len));
	h.csum_start = 39;
	assert_false(takes(&h, len));
	h.csum_start = 40;
	h.csum_offset = (uint16_t)(len - 42);
	assert_true(takes(&h, len));
	h.csum_offset++;
	assert_false(takes(&h, len));
	h.csum_offset = UINT16_MAX;
	h.csum_start = UINT16_MAX;
	assert_false(takes(&h, len));
}

/* Every truncation, in memory that ends where the packet does. */
static void cut_survives_truncation(void **state)
{
	static const struct gso_header none = {0};
	const struct gso_header tcp = tcp_header(7), udp = udp_header(7), *const headers[] = {&none, &tcp, &udp};
	struct packet p = flow();
	const size_t whole = super_tcp(&p, 60);

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		for (size_t len = 0; len <= whole; len++) {
			uint8_t *exact = malloc(HEADROOM + len);
			struct gso_cut c;
			size_t got;

			assert_non_null(exact);
			memcpy(exact + HEADROOM, room, len);
			if (len >= 6)
				memset(exact + HEADROOM + 4, 0, 2);
			if (len >= 40 && headers[i] == &udp)
				exact[HEADROOM + 6] = 17;
			if (gso_cut_init(&c, headers[i], exact + HEADROOM, len))
				while (gso_cut_next(&c, &got))
					assert_true(got >= 40 && got <= len);
			free(exact);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_marks_only_the_last),
		cmocka_unit_test(cut_takes_any_count),
		cmocka_unit_test(cut_completes_checksums),
		cmocka_unit_test(cut_never_sends_udp_without_checksum),
		cmocka_unit_test(cut_leaves_other_packets_alone),
		cmocka_unit_test(cut_ends_where_the_length_says),
		cmocka_unit_test(cut_refuses_nonsense),
		cmocka_unit_test(cut_refuses_sums_outside),
		cmocka_unit_test(cut_survives_truncation),
	};

	return cmocka_run_group_tests_name("cutting of super-packets", tests, fill, NULL);
}
