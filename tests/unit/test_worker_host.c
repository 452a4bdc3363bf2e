/* SPDX-License-Identifier: Apache-2.0 */
/* One real worker, packets of the host: sealed, cut, held back, answered by ICMPv6, dropped. */
#include "tests/unit/worker_world.h"

static int setup(void **state)
{
	static struct world w;

	world_start(&w, "B", 1, NULL);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	world_stop(*state);
	return 0;
}

static void test_from_host(void **state)
{
	struct world *w = *state;
	static struct world_packet packet, frame, plain;
	const struct ip6 own = world_address("B"), to = world_address("A");
	int a, c;

	world_neighbours(w, &a, &c);
	world_udp("B", "A", 7, 100, &packet);
	packet.bytes[7] = 1; /* leaves with 1, so that the next node answers a traceroute */
	world_tun_send(w, NULL, packet.bytes, packet.len);
	world_next_data(a, &frame);
	assert_int_equal(frame.len, packet.len + WIRE_OVERHEAD_BYTES);
	assert_int_equal(frame.bytes[7], 1);
	assert_memory_equal(frame.bytes + 8, own.b, 16);
	assert_memory_equal(frame.bytes + 24, to.b, 16);
	assert_true(world_open("AB", &frame, &plain));
	assert_int_equal(plain.len, packet.len + 4);
	assert_memory_equal(plain.bytes, ((const uint8_t[]){1, 0, 0, 0}), 4);
	assert_memory_equal(plain.bytes + 4, packet.bytes, packet.len);
	assert_int_equal(world_stat(w, STAT_sealed), 1);
	assert_int_equal(world_stat(w, STAT_tun_rx_packets), 1);
	close(a);
	close(c);
}

/* A super-packet leaves as its packets, in order, the headers of the first. */
static void test_super_packet(void **state)
{
	struct world *w = *state;
	enum { SEGMENT = 1000, SEGMENTS = 40 };
	static struct world_packet packet, frame, plain;
	const struct gso_header header = {
		.flags = 1, .type = 5, .header_len = 48, .size = SEGMENT, .csum_start = 40, .csum_offset = 6};
	int a, c;

	world_neighbours(w, &a, &c);
	world_udp("B", "A", 0, SEGMENT * SEGMENTS, &packet);
	for (uint32_t i = 0; i < SEGMENTS; i++)
		memcpy(packet.bytes + 48 + SEGMENT * i, &i, sizeof(i));
	packet_set_partial_checksum(packet.bytes, packet.len);
	world_tun_send(w, &header, packet.bytes, packet.len);
	for (uint32_t i = 0; i < SEGMENTS; i++) {
		world_next_data(a, &frame);
		assert_true(world_open("AB", &frame, &plain));
		assert_int_equal(plain.len, 4 + 48 + SEGMENT);
		assert_memory_equal(plain.bytes + 4 + 48, &i, sizeof(i));
		assert_true(packet_checksum_is_true(plain.bytes + 4, plain.len - 4));
	}
	assert_int_equal(world_stat(w, STAT_sealed), SEGMENTS);
	close(a);
	close(c);
}

struct sender {
	const struct world *w;
	uint32_t count;
};

static void *send_supers(void *arg)
{
	enum { SEGMENT = 1300, SEGMENTS = 48 };
	const struct sender *s = arg;
	static struct world_packet packet;
	const struct gso_header header = {
		.flags = 1, .type = 5, .header_len = 48, .size = SEGMENT, .csum_start = 40, .csum_offset = 6};

	for (uint32_t i = 0; i < s->count; i += SEGMENTS) {
		world_udp("B", "A", 0, SEGMENT * SEGMENTS, &packet);
		for (uint32_t k = 0; k < SEGMENTS; k++) {
			const uint32_t number = i + k;

			memcpy(packet.bytes + 48 + SEGMENT * k, &number, sizeof(number));
		}
		packet_set_partial_checksum(packet.bytes, packet.len);
		world_tun_send(s->w, &header, packet.bytes, packet.len);
	}
	return NULL;
}

/* The host sends faster than the link takes: in order, and what does not arrive is counted; the last one does. */
static void test_host_is_faster(void **state)
{
	struct world *w = *state;
	static struct world_packet frame, plain;
	struct sender s = {.w = w, .count = 9600};
	uint32_t number = 0, last = 0, got = 0;
	pthread_t thread;
	int a, c;

	world_neighbours(w, &a, &c);
	assert_int_equal(pthread_create(&thread, NULL, send_supers, &s), 0);
	while (number != s.count - 1) {
		world_next_data(a, &frame);
		assert_true(world_open("AB", &frame, &plain));
		memcpy(&number, plain.bytes + 4 + 48, sizeof(number));
		assert_true(!got || number > last);
		last = number;
		got++;
	}
	pthread_join(thread, NULL);
	assert_int_equal(got + world_stat(w, STAT_drop_queue_full), s.count);
	print_message("%u of %u dropped\n", s.count - got, s.count);
	close(a);
	close(c);
}

/* What the host sends and cannot go is answered. */
static void test_local_errors(void **state)
{
	static const struct {
		const char *from, *to;
		size_t payload;
		uint8_t hop_limit, type, code;
		enum stat_id drop;
	} cases[] = {
		{"B", "C", 100, 64, 1, 0, STAT_drop_no_route},	 {"B", "B", 100, 64, 1, 3, STAT_drop_tun_own},
		{"A", "A", 100, 64, 1, 5, STAT_drop_tun_source}, {"B", "A", 100, 0, 3, 0, STAT_drop_hop_limit},
		{"B", "A", 1353, 64, 2, 0, STAT_drop_tun_size},
	};
	struct world *w = *state;
	static struct world_packet packet, seen;
	const int a = world_link(w, 1);

	world_route(w, "A", 1);
	world_key(w, "A", "AB");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct ip6 own = world_address("B");
		size_t quoted;

		world_udp(cases[i].from, cases[i].to, 1, cases[i].payload, &packet);
		packet.bytes[7] = cases[i].hop_limit;
		world_tun_send(w, NULL, packet.bytes, packet.len);
		world_tun_read(w, NULL, &seen);
		quoted = seen.len - 48;
		assert_memory_equal(seen.bytes + 8, own.b, 16);
		assert_memory_equal(seen.bytes + 24, packet.bytes + 8, 16);
		assert_int_equal(seen.bytes[40], cases[i].type);
		assert_int_equal(seen.bytes[41], cases[i].code);
		assert_memory_equal(seen.bytes + 48, packet.bytes, quoted);
		assert_true(packet_checksum_is_true(seen.bytes, seen.len));
		assert_int_equal(world_stat(w, cases[i].drop), 1);
	}
	assert_int_equal(seen.bytes[46] << 8 | seen.bytes[47], 1400);
	assert_int_equal(world_stat(w, STAT_icmp_local), sizeof(cases) / sizeof(cases[0]));
	close(a);
}

/* Dropped without an answer: other networks, multicast, no IPv6, nonsense. */
static void test_host_nonsense(void **state)
{
	struct world *w = *state;
	static struct world_packet packet, frame;
	const int a = world_link(w, 1);

	world_route(w, "A", 1);
	world_key(w, "A", "AB");
	world_udp("B", "A", 1, 100, &packet);
	packet.bytes[24] = 0x20;
	world_tun_send(w, NULL, packet.bytes, packet.len);
	packet.bytes[24] = 0xff;
	world_tun_send(w, NULL, packet.bytes, packet.len);
	packet.bytes[0] = 0x45;
	world_tun_send(w, NULL, packet.bytes, packet.len);
	world_tun_send(w, NULL, packet.bytes, 5);
	world_tun_send(w, &(struct gso_header){.type = 3, .size = 10}, packet.bytes, packet.len);
	world_udp("B", "A", 1, 100, &packet);
	world_tun_send(w, NULL, packet.bytes, packet.len);
	world_next_data(a, &frame);
	assert_int_equal(world_stat(w, STAT_drop_tun_outside), 2);
	assert_int_equal(world_stat(w, STAT_drop_tun_malformed), 2);
	assert_int_equal(world_stat(w, STAT_drop_tun_gso), 1);
	assert_int_equal(world_stat(w, STAT_icmp_local), 0);
	close(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_from_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_super_packet, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_is_faster, setup, teardown),
		cmocka_unit_test_setup_teardown(test_local_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_nonsense, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
