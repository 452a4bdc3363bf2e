/* SPDX-License-Identifier: Apache-2.0 */
/* Coalescing, case by case; that it is the inverse of cutting is in prop_gso.c. */
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

enum { MAX_PACKETS = 80, MAX_BYTES = 4000, NEEDS_CSUM = 1, TCPV6 = 4, UDP_L4 = 5 };

static uint8_t payload[MAX_BYTES];

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

static int fill(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 + (i >> 8));
	return 0;
}

struct written {
	struct gso_header header[MAX_PACKETS];
	uint8_t *bytes[MAX_PACKETS]; /* the first part only */
	size_t len[MAX_PACKETS];
	uint32_t packets[MAX_PACKETS];
	unsigned count;
};

static void write_packet(void *ctx, const struct iovec *iov, int iov_count, uint32_t packets)
{
	struct written *w = ctx;

	assert_true(w->count < MAX_PACKETS);
	assert_int_equal(iov[0].iov_len, sizeof(struct gso_header));
	assert_int_equal(iov_count, packets + 1);
	memcpy(&w->header[w->count], iov[0].iov_base, sizeof(struct gso_header));
	w->bytes[w->count] = iov[1].iov_base;
	for (int i = 1; i < iov_count; i++)
		w->len[w->count] += iov[i].iov_len;
	w->packets[w->count++] = packets;
}

/* Two packets of one run, of which a case changes one or both, as values or as bytes. */
struct pair {
	bool udp;
	struct packet p[2];
	uint8_t bytes[2][MAX_BYTES], before[2][MAX_BYTES];
	size_t len[2];
	struct written w;
};

static void pair_init(struct pair *t, bool udp)
{
	memset(t, 0, sizeof(*t));
	t->udp = udp;
	t->p[0] = t->p[1] = flow();
	t->p[0].payload_len = t->p[1].payload_len = 500;
	t->p[1].payload += 500;
	t->p[1].seq += 500;
}

static void pair_make(struct pair *t)
{
	for (int i = 0; i < 2; i++)
		t->len[i] = t->udp ? packet_udp(&t->p[i], t->bytes[i]) : packet_tcp(&t->p[i], t->bytes[i]);
}

static void pair_join(struct pair *t)
{
	struct gso_join j;

	memcpy(t->before, t->bytes, sizeof(t->before));
	gso_join_init(&j, write_packet, &t->w);
	j.udp = true;
	gso_join_add(&j, t->bytes[0], t->len[0]);
	gso_join_add(&j, t->bytes[1], t->len[1]);
	gso_join_flush(&j);
	gso_join_flush(&j);
}

/* The pair does not join and both stay as they were. */
static void stays_apart(struct pair *t)
{
	static const struct gso_header none;

	pair_join(t);
	assert_int_equal(t->w.count, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(t->w.packets[i], 1);
		assert_memory_equal(&t->w.header[i], &none, sizeof(none));
		assert_ptr_equal(t->w.bytes[i], t->bytes[i]);
		assert_int_equal(t->w.len[i], t->len[i]);
		assert_memory_equal(t->bytes[i], t->before[i], t->len[i]);
	}
}

/* One super-packet of that header, whose first part begins with the headers that all would have as one packet. */
static void becomes_one(struct pair *t, const struct gso_header *h, const struct packet *all)
{
	uint8_t expected[MAX_BYTES];
	const size_t len = t->udp ? packet_udp(all, expected) : packet_tcp(all, expected);

	packet_set_partial_checksum(expected, len);
	pair_join(t);
	assert_int_equal(t->w.count, 1);
	assert_int_equal(t->w.packets[0], 2);
	assert_int_equal(t->w.len[0], len);
	assert_memory_equal(&t->w.header[0], h, sizeof(*h));
	assert_memory_equal(t->bytes[0], expected, t->len[0]);
}

static void tcp_becomes_one(void **state)
{
	static const uint8_t ends[] = {0, PACKET_PSH, PACKET_FIN, PACKET_PSH | PACKET_FIN};
	const struct gso_header h = {
		.flags = NEEDS_CSUM, .type = TCPV6, .header_len = 72, .size = 500, .csum_start = 40, .csum_offset = 16};
	struct pair t;

	(void)state;
	for (size_t i = 0; i < sizeof(ends); i++) {
		struct packet all;

		pair_init(&t, false);
		for (int k = 0; k < 2; k++) {
			t.p[k].options = payload + 100;
			t.p[k].options_len = 12;
		}
		t.p[1].flags |= ends[i];
		all = t.p[0];
		all.payload_len = 1000;
		all.flags = t.p[1].flags;
		pair_make(&t);
		becomes_one(&t, &h, &all);
	}
}

static void udp_becomes_one(void **state)
{
	const struct gso_header h = {
		.flags = NEEDS_CSUM, .type = UDP_L4, .header_len = 48, .size = 500, .csum_start = 40, .csum_offset = 6};
	struct packet all = flow();
	struct pair t;

	(void)state;
	pair_init(&t, true);
	t.p[1].payload_len = 3;
	all.payload_len = 503;
	pair_make(&t);
	becomes_one(&t, &h, &all);
}

enum { TCP = 1, UDP = 2, FIRST = 1, SECOND = 2, BOTH = 3 };

/* Bits of a byte of a member that are flipped in one or both packets. */
static const struct change {
	const char *what;
	int kinds, which;
	size_t offset;
	uint8_t flip;
} changes[] = {
	{"flow label", TCP | UDP, SECOND, offsetof(struct packet, class_and_label), 1},
	{"traffic class (ECN)", TCP | UDP, SECOND, offsetof(struct packet, class_and_label) + 2, 0x30},
	{"hop limit", TCP | UDP, SECOND, offsetof(struct packet, hop_limit), 1},
	{"source", TCP | UDP, SECOND, offsetof(struct packet, src) + 15, 1},
	{"destination", TCP | UDP, SECOND, offsetof(struct packet, dst), 1},
	{"source port", TCP | UDP, SECOND, offsetof(struct packet, sport), 1},
	{"destination port", TCP | UDP, SECOND, offsetof(struct packet, dport), 1},
	{"second is larger (501)", TCP | UDP, SECOND, offsetof(struct packet, payload_len), 1},
	{"gap", TCP, SECOND, offsetof(struct packet, seq), 1},
	{"overlap", TCP, FIRST, offsetof(struct packet, seq), 1},
	{"ack", TCP, SECOND, offsetof(struct packet, ack), 1},
	{"window", TCP, SECOND, offsetof(struct packet, window), 1},
	{"urgent pointer", TCP, SECOND, offsetof(struct packet, urgent), 1},
	{"no ACK", TCP, BOTH, offsetof(struct packet, flags), PACKET_ACK},
	{"SYN", TCP, BOTH, offsetof(struct packet, flags), PACKET_SYN},
	{"RST", TCP, BOTH, offsetof(struct packet, flags), PACKET_RST},
	{"URG", TCP, BOTH, offsetof(struct packet, flags), PACKET_URG},
	{"CWR", TCP, BOTH, offsetof(struct packet, flags), PACKET_CWR},
	{"ECE in the second", TCP, SECOND, offsetof(struct packet, flags), 0x40},
	{"PSH in the first", TCP, FIRST, offsetof(struct packet, flags), PACKET_PSH},
	{"FIN in the first", TCP, FIRST, offsetof(struct packet, flags), PACKET_FIN},
	{"more options", TCP, SECOND, offsetof(struct packet, options_len), 4},
};

static void what_differs_stays_apart(void **state)
{
	struct pair t;

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		for (int udp = 0; udp < 2; udp++) {
			if (!(changes[i].kinds & (udp ? UDP : TCP)))
				continue;
			print_message("# %s, %s\n", changes[i].what, udp ? "UDP" : "TCP");
			pair_init(&t, udp);
			for (int k = 0; k < 2; k++) {
				t.p[k].options = payload;
				if (changes[i].which & (FIRST << k))
					((uint8_t *)&t.p[k])[changes[i].offset] ^= changes[i].flip;
			}
			pair_make(&t);
			stays_apart(&t);
		}
	}
	pair_init(&t, false);
	for (int k = 0; k < 2; k++) {
		t.p[k].options = payload + k;
		t.p[k].options_len = 12;
	}
	pair_make(&t);
	stays_apart(&t);
}

/* Empty packets, false checksums, no checksum, a false length, a shorter first: as bytes, of either kind. */
static void what_is_odd_stays_apart(void **state)
{
	struct pair t;

	(void)state;
	for (int i = 0; i < 4; i++) {
		pair_init(&t, i % 2);
		t.p[i / 2].payload_len = 0;
		t.p[1].seq -= i / 2 ? 0 : 500;
		pair_make(&t);
		stays_apart(&t);

		pair_init(&t, i % 2);
		pair_make(&t);
		t.bytes[i / 2][80] ^= 1;
		stays_apart(&t);

		pair_init(&t, i % 2);
		pair_make(&t);
		t.bytes[i / 2][5] ^= 1;
		stays_apart(&t);
	}
	pair_init(&t, true);
	pair_make(&t);
	memset(t.bytes[1] + 46, 0, 2);
	stays_apart(&t);
	pair_init(&t, true);
	pair_make(&t);
	t.bytes[1][45] ^= 1; /* the length of UDP */
	stays_apart(&t);
	pair_init(&t, false);
	pair_make(&t);
	t.bytes[0][52] = t.bytes[1][52] = 0x40; /* a TCP header of 16 bytes */
	stays_apart(&t);
}

/* A run of count packets of payload_len each, the last one of last_len; how it was written. */
static void run_of(unsigned count, size_t payload_len, size_t last_len, const struct gso_join *how, struct written *w)
{
	static uint8_t packets[MAX_PACKETS][MAX_BYTES];
	struct gso_join j = *how;
	struct packet p = flow();

	memset(w, 0, sizeof(*w));
	j.ctx = w;
	for (unsigned i = 0; i < count; i++) {
		p.payload_len = i == count - 1 ? last_len : payload_len;
		gso_join_add(&j, packets[i], packet_udp(&p, packets[i]));
	}
	gso_join_flush(&j);
}

static void a_run_has_limits(void **state)
{
	struct gso_join how;
	struct written w;

	(void)state;
	gso_join_init(&how, write_packet, NULL);
	how.udp = true;
	run_of(70, 100, 100, &how, &w);
	assert_int_equal(w.count, 2);
	assert_int_equal(w.packets[0], GSO_MAX_SEGMENTS);
	assert_int_equal(w.packets[1], 6);
	run_of(30, 3000, 3000, &how, &w);
	assert_int_equal(w.count, 2);
	assert_int_equal(w.packets[0], 21);
	assert_int_equal(w.len[0], 48 + 21 * 3000);
	/* 48 + 21 * 3000 + 2487 = 65535 */
	run_of(22, 3000, 2487, &how, &w);
	assert_int_equal(w.count, 1);
	assert_int_equal(w.len[0], GSO_SUPER_MAX_BYTES);
	run_of(22, 3000, 2488, &how, &w);
	assert_int_equal(w.count, 2);
	run_of(5, 100, 99, &how, &w);
	assert_int_equal(w.count, 1);
	run_of(5, 100, 101, &how, &w);
	assert_int_equal(w.count, 2);
}

static void a_shorter_one_ends_a_run(void **state)
{
	uint8_t packets[4][MAX_BYTES];
	struct packet p = flow();
	struct written w = {0};
	struct gso_join j;

	(void)state;
	gso_join_init(&j, write_packet, &w);
	for (int i = 0; i < 4; i++) {
		p.payload_len = i == 1 ? 99 : 100;
		gso_join_add(&j, packets[i], packet_tcp(&p, packets[i]));
		p.seq += (uint32_t)p.payload_len;
	}
	gso_join_flush(&j);
	assert_int_equal(w.count, 2);
	assert_int_equal(w.packets[0], 2);
	assert_int_equal(w.packets[1], 2);
}

static void switches_switch(void **state)
{
	struct gso_join how;
	struct written w;

	(void)state;
	gso_join_init(&how, write_packet, NULL);
	run_of(3, 100, 100, &how, &w);
	assert_int_equal(w.count, 3);
	how.udp = true;
	run_of(3, 100, 100, &how, &w);
	assert_int_equal(w.count, 1);
	how.enabled = false;
	run_of(3, 100, 100, &how, &w);
	assert_int_equal(w.count, 3);
}

/* Every next header, and packets too short for what theirs says, in memory that ends where the packet does. */
static void join_survives_anything(void **state)
{
	(void)state;
	for (size_t len = 40; len < 90; len++) {
		for (unsigned next = 0; next < 256; next++) {
			uint8_t *exact = calloc(1, len);
			struct written w = {0};
			struct gso_join j;

			assert_non_null(exact);
			exact[0] = 0x60;
			exact[5] = (uint8_t)(len - 40);
			exact[6] = (uint8_t)next;
			if (len > 53)
				exact[52] = (uint8_t)((len - 40) / 4 << 4);
			gso_join_init(&j, write_packet, &w);
			j.udp = true;
			gso_join_add(&j, exact, len);
			gso_join_add(&j, exact, len);
			gso_join_flush(&j);
			assert_int_equal(w.count, 2);
			assert_int_equal(w.len[0], len);
			free(exact);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_becomes_one),	    cmocka_unit_test(udp_becomes_one),
		cmocka_unit_test(what_differs_stays_apart), cmocka_unit_test(what_is_odd_stays_apart),
		cmocka_unit_test(a_run_has_limits),	    cmocka_unit_test(a_shorter_one_ends_a_run),
		cmocka_unit_test(switches_switch),	    cmocka_unit_test(join_survives_anything),
	};

	return cmocka_run_group_tests_name("coalescing", tests, fill, NULL);
}
