/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting and coalescing are inverses: what random flows become on their way through both, and what super-packets do,
 * is the same bytes in the same order. Checksums are compared with those of a slow implementation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "fastpath/gso.h"
#include "tests/support/packet.h"
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	ROUNDS = 400,
	PACKETS = 150,
	PACKET_ROOM = 2048,
	SUPER_ROOM = 66000,
	HEADROOM = 4,
	NEEDS_CSUM = 1,
	TCPV6 = 4,
	UDP_L4 = 5
};

static uint64_t random_state;

static uint64_t rnd(void)
{
	uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static size_t between(size_t low, size_t high)
{
	return low + rnd() % (high - low + 1);
}

static bool percent(unsigned p)
{
	return rnd() % 100 < p;
}

static uint8_t noise[SUPER_ROOM];

static int seed(void **state)
{
	const char *text = getenv("SEED");

	(void)state;
	random_state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	print_message("# SEED=%llu\n", (unsigned long long)random_state);
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)rnd();
	return 0;
}

/* A flow of either kind, near the end of the sequence numbers one time in three. */
static struct packet random_flow(void)
{
	static const size_t options[] = {0, 0, 12, 12, 20, 40};
	struct packet p = {.class_and_label = (uint32_t)rnd() & 0xfffffff,
			   .hop_limit = (uint8_t)between(1, 255),
			   .flags = PACKET_ACK,
			   .sport = (uint16_t)rnd(),
			   .dport = (uint16_t)rnd(),
			   .window = (uint16_t)rnd(),
			   .seq = percent(33) ? UINT32_MAX - (uint32_t)between(0, 60000) : (uint32_t)rnd(),
			   .ack = (uint32_t)rnd(),
			   .options = noise + between(0, 1000),
			   .options_len = options[rnd() % 6],
			   .payload = noise + between(0, 200)};

	for (size_t i = 0; i < sizeof(p.src); i++) {
		p.src.b[i] = (uint8_t)rnd();
		p.dst.b[i] = (uint8_t)rnd();
	}
	return p;
}

/* What came in: whole packets, kept as they were. */
struct stream {
	uint8_t bytes[PACKETS][PACKET_ROOM], kept[PACKETS][PACKET_ROOM];
	size_t len[PACKETS];
	size_t count;
	size_t seen; /* packets that came back so far */
	size_t supers; /* super-packets among what was written */
	uint8_t super[HEADROOM + SUPER_ROOM];
};

static void stream_add(struct stream *s, const struct packet *p, bool udp)
{
	uint8_t *bytes = s->bytes[s->count];

	s->len[s->count] = udp ? packet_udp(p, bytes) : packet_tcp(p, bytes);
	assert_true(s->len[s->count] <= PACKET_ROOM);
	if (percent(2))
		bytes[between(40, s->len[s->count] - 1)] ^= (uint8_t)between(1, 255);
	memcpy(s->kept[s->count], bytes, PACKET_ROOM);
	s->count++;
}

/* Something of the next packet differs from what the run wants. */
static void disturb(struct packet *p)
{
	switch (rnd() % 8) {
	case 0:
		p->ack += (uint32_t)between(1, 5000);
		break;
	case 1:
		p->window ^= (uint16_t)between(1, 0xffff);
		break;
	case 2:
		p->hop_limit ^= 1;
		break;
	case 3:
		p->seq += (uint32_t)between(1, 3000);
		break;
	case 4:
		p->flags ^= (uint8_t)(1u << rnd() % 8);
		break;
	case 5:
		p->options++;
		break;
	case 6:
		p->class_and_label ^= 1u << rnd() % 28;
		break;
	default:
		p->dport ^= 1;
	}
}

/* A run of one flow, disturbed now and then. */
static void stream_run(struct stream *s)
{
	const bool udp = percent(40);
	const size_t size = between(1, percent(50) ? 60 : 1400), count = between(1, 80);
	struct packet p = random_flow();

	for (size_t i = 0; i < count && s->count < PACKETS; i++) {
		p.payload_len = percent(90) ? size : between(0, size);
		p.flags = PACKET_ACK | (percent(8) ? PACKET_PSH : 0) | (percent(2) ? PACKET_FIN : 0);
		if (percent(8))
			disturb(&p);
		stream_add(s, &p, udp);
		p.seq += (uint32_t)p.payload_len;
	}
}

/* The headers that the host will trust. */
static void check_super(const struct gso_header *h, uint8_t *packet, size_t len, uint32_t packets)
{
	const bool tcp = packet[6] == 6;
	uint8_t *field = packet + 40 + h->csum_offset, before[2];

	assert_int_equal(h->flags, NEEDS_CSUM);
	assert_int_equal(h->type, tcp ? TCPV6 : UDP_L4);
	assert_int_equal(h->header_len, tcp ? 40 + (packet[52] >> 4) * 4 : 48);
	assert_int_equal(h->csum_start, 40);
	assert_int_equal(h->csum_offset, tcp ? 16 : 6);
	assert_in_range(len, 0, GSO_SUPER_MAX_BYTES);
	assert_in_range(packets, 2, GSO_MAX_SEGMENTS);
	assert_int_equal((len - h->header_len + h->size - 1) / h->size, packets);
	assert_int_equal(packet[4] << 8 | packet[5], len - 40);
	memcpy(before, field, 2);
	packet_set_partial_checksum(packet, len);
	assert_memory_equal(field, before, 2);
}

/* Cuts what was coalesced at once, and compares with what came in. */
static void write_and_cut(void *ctx, const struct iovec *iov, int iov_count, uint32_t packets)
{
	struct stream *s = ctx;
	uint8_t *packet = s->super + HEADROOM, *segment;
	size_t len = 0;
	uint32_t count = 0;
	struct gso_header h;
	struct gso_cut c;

	memcpy(&h, iov[0].iov_base, sizeof(h));
	for (int i = 1; i < iov_count; i++) {
		assert_true(len + iov[i].iov_len <= SUPER_ROOM);
		memcpy(packet + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	if (packets > 1) {
		check_super(&h, packet, len, packets);
		s->supers++;
	}
	assert_true(gso_cut_init(&c, &h, packet, len));
	for (; (segment = gso_cut_next(&c, &len)); count++) {
		assert_true(s->seen < s->count);
		assert_int_equal(len, s->len[s->seen]);
		assert_memory_equal(segment, s->kept[s->seen], len);
		s->seen++;
		memset(segment - HEADROOM, 0xee, HEADROOM);
	}
	assert_int_equal(count, packets);
}

static void cut_undoes_join(void **state)
{
	struct stream *s = malloc(sizeof(*s));
	size_t packets = 0, supers = 0;

	(void)state;
	assert_non_null(s);
	for (int round = 0; round < ROUNDS; round++) {
		struct gso_join j;

		s->count = s->seen = s->supers = 0;
		while (s->count < PACKETS)
			stream_run(s);
		gso_join_init(&j, write_and_cut, s);
		j.udp = percent(90);
		j.enabled = percent(95);
		for (size_t i = 0; i < s->count; i++) {
			gso_join_add(&j, s->bytes[i], s->len[i]);
			if (percent(3))
				gso_join_flush(&j);
		}
		gso_join_flush(&j);
		assert_int_equal(s->seen, s->count);
		packets += s->count;
		supers += s->supers;
	}
	print_message("# %zu packets, %zu super-packets\n", packets, supers);
	assert_true(supers > ROUNDS);
	free(s);
}

/* A super-packet as the host makes it, in two copies: one to be cut, one to compare with. */
struct super {
	struct packet p;
	bool udp;
	struct gso_header h;
	uint8_t bytes[HEADROOM + SUPER_ROOM], kept[SUPER_ROOM];
	size_t len;
	uint8_t segment[GSO_MAX_SEGMENTS][SUPER_ROOM];
	unsigned written;
};

static void super_init(struct super *s)
{
	const size_t count = between(2, GSO_MAX_SEGMENTS);
	size_t header_len, size;

	s->p = random_flow();
	s->udp = percent(40);
	header_len = s->udp ? 48 : 60 + s->p.options_len;
	size = between(1, percent(70) ? 1400 : 20000);
	if (size * count + header_len > GSO_SUPER_MAX_BYTES)
		size = (GSO_SUPER_MAX_BYTES - header_len) / count;
	s->p.payload = noise + between(0, 100);
	s->p.payload_len = size * (count - 1) + between(1, size);
	s->p.flags = PACKET_ACK | (percent(50) ? PACKET_PSH : 0) | (percent(10) ? PACKET_FIN : 0);
	s->len = s->udp ? packet_udp(&s->p, s->kept) : packet_tcp(&s->p, s->kept);
	packet_set_partial_checksum(s->kept, s->len);
	memcpy(s->bytes + HEADROOM, s->kept, s->len);
	s->h = (struct gso_header){.flags = NEEDS_CSUM,
				   .type = s->udp ? UDP_L4 : TCPV6,
				   .header_len = (uint16_t)header_len,
				   .size = (uint16_t)size,
				   .csum_start = 40,
				   .csum_offset = s->udp ? 6 : 16};
	s->written = 0;
}

/* The segment numbered i as an ordinary packet, made from scratch. */
static size_t make_segment(const struct super *s, size_t i, uint8_t *out)
{
	const size_t at = i * s->h.size, rest = s->p.payload_len - at;
	struct packet p = s->p;

	p.payload += at;
	p.seq += (uint32_t)at;
	p.payload_len = rest < s->h.size ? rest : s->h.size;
	if (rest > s->h.size)
		p.flags = PACKET_ACK;
	return s->udp ? packet_udp(&p, out) : packet_tcp(&p, out);
}

static void write_and_compare(void *ctx, const struct iovec *iov, int iov_count, uint32_t packets)
{
	struct super *s = ctx;
	size_t at = 0;

	s->written++;
	assert_int_equal(packets, (s->p.payload_len + s->h.size - 1) / s->h.size);
	assert_memory_equal(iov[0].iov_base, &s->h, sizeof(s->h));
	for (int i = 1; i < iov_count; at += iov[i++].iov_len) {
		assert_true(at + iov[i].iov_len <= s->len);
		assert_memory_equal(iov[i].iov_base, s->kept + at, iov[i].iov_len);
	}
	assert_int_equal(at, s->len);
}

static void join_undoes_cut(void **state)
{
	struct super *s = malloc(sizeof(*s));
	uint8_t *expected = malloc(SUPER_ROOM);

	(void)state;
	assert_non_null(s);
	assert_non_null(expected);
	for (int round = 0; round < ROUNDS; round++) {
		struct gso_join j;
		struct gso_cut c;
		uint8_t *segment;
		size_t len, count = 0;

		super_init(s);
		gso_join_init(&j, write_and_compare, s);
		j.udp = true;
		assert_true(gso_cut_init(&c, &s->h, s->bytes + HEADROOM, s->len));
		for (; (segment = gso_cut_next(&c, &len)); count++) {
			assert_true(count < GSO_MAX_SEGMENTS);
			assert_int_equal(len, make_segment(s, count, expected));
			assert_memory_equal(segment, expected, len);
			assert_true(packet_checksum_is_true(segment, len));
			memcpy(s->segment[count], segment, len);
			gso_join_add(&j, s->segment[count], len);
		}
		gso_join_flush(&j);
		assert_int_equal(s->written, 1);
	}
	free(expected);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_undoes_join),
		cmocka_unit_test(join_undoes_cut),
	};

	return cmocka_run_group_tests_name("cutting and coalescing are inverses", tests, seed, NULL);
}
