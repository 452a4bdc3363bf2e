/* SPDX-License-Identifier: Apache-2.0 */
/* One real worker, frames in: delivery, transit, reports out of band both ways, what waits for a key. */
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

/* The packet of the vectors, and a run that reaches the host as one. */
static void test_to_host(void **state)
{
	struct world *w = *state;
	enum { COUNT = 20, PAYLOAD = 500 };
	static struct world_packet frame, packet, all, seen;
	struct gso_header header;
	int a, c;

	world_neighbours(w, &a, &c);
	frame.len = vectors_hex(frame.bytes, sizeof(frame.bytes), "data_packet_l3/packet_as_sent_by_A");
	packet.len = vectors_hex(packet.bytes, sizeof(packet.bytes),
				 "data_packet_l3/delivered_to_tun_at_B_when_directly_connected");
	world_write(a, frame.bytes, frame.len);
	world_tun_read(w, &header, &seen);
	assert_int_equal(header.type, 0);
	assert_int_equal(seen.len, packet.len);
	assert_memory_equal(seen.bytes, packet.bytes, packet.len);

	for (uint32_t i = 0; i < COUNT; i++) {
		world_udp("A", "B", i, PAYLOAD, &packet);
		world_seal(&(struct world_frame){.from = "A",
						 .to = "B",
						 .pair = "AB",
						 .hop_limit = 64,
						 .body = packet.bytes,
						 .len = packet.len},
			   &frame);
		memcpy(all.bytes + all.len, frame.bytes, frame.len);
		all.len += frame.len;
	}
	world_write(a, all.bytes, all.len);
	for (uint32_t i = 0; i < COUNT;) {
		world_tun_read(w, &header, &seen);
		assert_true(header.type == 5 || i == COUNT - 1);
		for (size_t at = 48; at < seen.len; at += PAYLOAD, i++)
			assert_memory_equal(seen.bytes + at, &i, sizeof(i));
	}
	world_settle(a, c, "C");
	assert_int_equal(world_stat(w, STAT_opened), COUNT + 1);
	assert_int_equal(world_stat(w, STAT_tun_tx_packets), COUNT + 1);
	all.len = 0;
	close(a);
	close(c);
}

/* Two links, frames for both mixed in one write: bytes unchanged but for the hop limit, in order. */
static void test_transit(void **state)
{
	struct world *w = *state;
	enum { COUNT = 150 };
	static struct world_packet sent[COUNT], seen;
	uint8_t body[300] = {0};
	int a, c;

	world_neighbours(w, &a, &c);
	for (unsigned i = 0; i < COUNT; i++) {
		const bool back = i % 7 == 3;

		memcpy(body, &i, sizeof(i));
		world_seal(&(struct world_frame){.from = back ? "C" : "A",
						 .to = back ? "A" : "C",
						 .pair = "AC",
						 .hop_limit = 9,
						 .body = body,
						 .len = 40 + i},
			   &sent[i]);
		world_write(a, sent[i].bytes, sent[i].len);
	}
	for (unsigned i = 0; i < COUNT; i++) {
		world_next_data(i % 7 == 3 ? a : c, &seen);
		assert_int_equal(seen.len, sent[i].len);
		assert_int_equal(seen.bytes[7], 8);
		seen.bytes[7] = 9;
		assert_memory_equal(seen.bytes, sent[i].bytes, seen.len);
	}
	assert_int_equal(world_stat(w, STAT_transit_frames), COUNT);
	assert_int_equal(world_stat(w, STAT_link_rx_frames), COUNT);
	close(a);
	close(c);
}

/* The frame of the vectors with hop limit 1, and one without a route: reported to A. */
static void test_out_of_band(void **state)
{
	static const struct {
		uint8_t hop_limit, type;
		bool route;
		enum stat_id drop;
	} cases[] = {{1, 3, true, STAT_drop_hop_limit},
		     {0, 3, true, STAT_drop_hop_limit},
		     {64, 1, false, STAT_drop_no_route}};
	struct world *w = *state;
	static struct world_packet frame, report, plain;
	const struct ip6 base = ip6_from_net64(world_net64("B")), to = world_address("A"), lost = world_address("C");
	int a, c;

	world_neighbours(w, &a, &c);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint64_t before = world_stat(w, cases[i].drop);
		uint8_t body[60] = {1, 2, 3};

		if (!cases[i].route)
			world_route(w, "C", 0);
		world_seal(&(struct world_frame){.from = "A",
						 .to = "C",
						 .pair = "AC",
						 .hop_limit = cases[i].hop_limit,
						 .body = body,
						 .len = sizeof(body)},
			   &frame);
		world_write(a, frame.bytes, frame.len);
		world_next_data(a, &report);
		assert_memory_equal(report.bytes + 8, base.b, 16);
		assert_memory_equal(report.bytes + 24, to.b, 16);
		assert_int_equal(report.bytes[7], 64);
		assert_true(world_open("AB", &report, &plain));
		assert_int_equal(plain.bytes[1], WIRE_USER_ICMP);
		assert_memory_equal(plain.bytes + 4, lost.b, 16);
		assert_int_equal(plain.bytes[60], cases[i].type);
		assert_int_equal(plain.bytes[61], 0);
		assert_int_equal(plain.len, 68 + frame.len - WIRE_DATA_HEADER_BYTES);
		assert_memory_equal(plain.bytes + 68, frame.bytes + WIRE_DATA_HEADER_BYTES, plain.len - 68);
		assert_int_equal(world_stat(w, cases[i].drop), before + 1);
	}
	assert_int_equal(world_stat(w, STAT_icmp_sent), 3);
	close(a);
	close(c);
}

/* Ten reports a second to one origin, whatever comes. */
static void test_out_of_band_rate(void **state)
{
	struct world *w = *state;
	enum { COUNT = 200 };
	static struct world_packet frame;
	uint8_t body[60] = {0};
	int a, c;

	world_neighbours(w, &a, &c);
	world_seal(
		&(struct world_frame){
			.from = "A", .to = "C", .pair = "AC", .hop_limit = 1, .body = body, .len = sizeof(body)},
		&frame);
	for (int i = 0; i < COUNT; i++)
		world_write(a, frame.bytes, frame.len);
	world_settle(a, c, "C");
	assert_int_equal(world_stat(w, STAT_drop_hop_limit), COUNT);
	assert_int_equal(world_stat(w, STAT_icmp_suppressed) + world_stat(w, STAT_icmp_sent), COUNT);
	/* The second may have ended in between. */
	assert_in_range(world_stat(w, STAT_icmp_sent), LIMIT_ICMP_PER_PEER_PER_SECOND,
			3 * LIMIT_ICMP_PER_PEER_PER_SECOND);
	close(a);
	close(c);
}

/* A report that goes no further is not reported: it comes from a base address. */
static void test_no_report_about_report(void **state)
{
	struct world *w = *state;
	static struct world_packet frame;
	uint8_t body[60] = {0};
	int a, c;

	world_neighbours(w, &a, &c);
	world_seal(
		&(struct world_frame){
			.from = "A", .to = "C", .pair = "AC", .hop_limit = 1, .body = body, .len = sizeof(body)},
		&frame);
	memset(frame.bytes + 16, 0, 8);
	world_write(a, frame.bytes, frame.len);
	world_settle(a, c, "C");
	assert_int_equal(world_stat(w, STAT_drop_hop_limit), 1);
	assert_int_equal(world_stat(w, STAT_icmp_suppressed), 1);
	assert_int_equal(world_stat(w, STAT_icmp_sent), 0);
	close(a);
	close(c);
}

/* A report about a packet of ours reaches the host; about one that we did not send it does not. */
static void test_report_received(void **state)
{
	struct world *w = *state;
	static const struct icmp_error exceeded = {.type = ICMP_TIME_EXCEEDED};
	const struct ip6 base = ip6_from_net64(world_net64("A")), own = world_address("B");
	static struct world_packet packet, ours, report, seen;
	uint8_t body[ICMP_OOB_MAX_BYTES];
	struct world_frame f = {
		.from = "A", .to = "B", .pair = "AB", .type = WIRE_USER_ICMP, .hop_limit = 64, .body = body};
	int a, c;

	world_neighbours(w, &a, &c);
	world_udp("B", "C", 3, 200, &packet);
	world_tun_send(w, NULL, packet.bytes, packet.len);
	world_next_data(c, &ours);
	f.len = icmp_oob_build(&exceeded, &base, ours.bytes, ours.len, body);
	world_seal(&f, &report);
	world_write(a, report.bytes, report.len);
	world_tun_read(w, NULL, &seen);
	assert_int_equal(seen.bytes[6], 58);
	assert_int_equal(seen.bytes[40], ICMP_TIME_EXCEEDED);
	assert_memory_equal(seen.bytes + 24, own.b, 16);
	assert_int_equal(seen.len, 48 + packet.len);
	assert_memory_equal(seen.bytes + 48, packet.bytes, packet.len);
	assert_true(packet_checksum_is_true(seen.bytes, seen.len));

	/* Authentic, but its nonce is not one of ours. */
	world_seal(
		&(struct world_frame){
			.from = "B", .to = "C", .pair = "BC", .hop_limit = 64, .body = packet.bytes, .len = packet.len},
		&ours);
	f.len = icmp_oob_build(&exceeded, &base, ours.bytes, ours.len, body);
	world_seal(&f, &report);
	world_write(a, report.bytes, report.len);
	world_settle(a, c, "C");
	assert_int_equal(world_stat(w, STAT_drop_icmp_quote), 1);
	assert_int_equal(world_stat(w, STAT_icmp_delivered), 1);
	close(a);
	close(c);
}

/* Frames for us that are not to be believed: each counted, none delivered. */
static void test_inbound_nonsense(void **state)
{
	struct world *w = *state;
	static struct world_packet packet, frame;
	struct world_frame f = {.from = "A", .to = "B", .pair = "AB", .hop_limit = 64, .body = packet.bytes};
	int a, c;

	world_neighbours(w, &a, &c);
	world_udp("A", "B", 1, 100, &packet);
	f.len = packet.len;
	world_seal(&f, &frame);
	frame.bytes[50] ^= 1;
	world_write(a, frame.bytes, frame.len);
	f.type = 77;
	world_seal(&f, &frame);
	world_write(a, frame.bytes, frame.len);
	f.type = 2;
	f.len = 10;
	world_seal(&f, &frame);
	world_write(a, frame.bytes, frame.len);
	world_udp("C", "B", 1, 100, &packet);
	f.type = 0;
	f.len = packet.len;
	world_seal(&f, &frame);
	world_write(a, frame.bytes, frame.len);
	/* Said to come from ourselves, and from outside: no key is asked for. */
	memcpy(frame.bytes + 8, frame.bytes + 24, 16);
	world_write(a, frame.bytes, frame.len);
	frame.bytes[8] = 0x20;
	world_write(a, frame.bytes, frame.len);
	world_seal(&f, &frame);
	memcpy(frame.bytes + 4, (const uint8_t[]){0, 0}, 2);
	world_write(a, frame.bytes, WIRE_DATA_HEADER_BYTES);
	world_settle(a, c, "C");
	assert_int_equal(world_stat(w, STAT_drop_open_failed), 1);
	assert_int_equal(world_stat(w, STAT_drop_open_short), 1);
	assert_int_equal(world_stat(w, STAT_drop_user_type), 1);
	assert_int_equal(world_stat(w, STAT_drop_icmp_malformed), 1);
	assert_int_equal(world_stat(w, STAT_drop_inner_source), 1);
	assert_int_equal(world_stat(w, STAT_drop_no_key), 2);
	assert_int_equal(world_stat(w, STAT_waited), 0);
	assert_int_equal(world_stat(w, STAT_tun_tx_packets), 0);
	close(a);
	close(c);
}

/* Own traffic and a stranger's frame wait until the key comes; asked for once. */
static void test_key_comes(void **state)
{
	struct world *w = *state;
	static struct world_packet packet, frame, plain, seen;
	struct ctl_want_key want;
	const int a = world_link(w, 1);

	world_route(w, "A", 1);
	for (uint32_t i = 0; i < 3; i++) {
		world_udp("B", "A", i, 100, &packet);
		world_tun_send(w, NULL, packet.bytes, packet.len);
	}
	world_event(w, 0, CTL_WANT_KEY, &want, sizeof(want));
	assert_int_equal(want.net64, world_net64("A"));
	assert_int_equal(want.own, 1);
	world_udp("A", "B", 9, 100, &packet);
	world_seal(
		&(struct world_frame){
			.from = "A", .to = "B", .pair = "AB", .hop_limit = 64, .body = packet.bytes, .len = packet.len},
		&frame);
	world_write(a, frame.bytes, frame.len);
	while (world_stat(w, STAT_waited) < 4)
		poll(NULL, 0, 1);
	world_key(w, "A", "AB");
	for (uint32_t i = 0; i < 3; i++) {
		world_next_data(a, &frame);
		assert_true(world_open("AB", &frame, &plain));
		assert_memory_equal(plain.bytes + 4 + 48, &i, sizeof(i));
	}
	world_tun_read(w, NULL, &seen);
	assert_int_equal(seen.len, packet.len);
	assert_memory_equal(seen.bytes + 40, packet.bytes + 40, packet.len - 40);
	close(a);
}

static void test_key_does_not_come(void **state)
{
	struct world *w = *state;
	static struct world_packet packet;
	const struct ctl_no_key none = {.net64 = world_net64("A")};
	struct ctl_want_key want;
	int a, c;

	a = world_link(w, 1);
	c = world_link(w, 2);
	world_route(w, "A", 1);
	world_route(w, "C", 2);
	world_udp("B", "A", 1, 100, &packet);
	world_tun_send(w, NULL, packet.bytes, packet.len);
	world_event(w, 0, CTL_WANT_KEY, &want, sizeof(want));
	world_mail(w, 0, CTL_NO_KEY, &none, sizeof(none));
	world_settle(a, c, "C");
	assert_int_equal(world_stat(w, STAT_drop_no_key), 1);
	/* Nor in time: nobody answers at all. */
	world_udp("B", "C", 1, 100, &packet);
	world_tun_send(w, NULL, packet.bytes, packet.len);
	world_event(w, 0, CTL_WANT_KEY, &want, sizeof(want));
	assert_int_equal(want.net64, world_net64("C"));
	while (world_stat(w, STAT_drop_no_key) < 2)
		poll(NULL, 0, 10);
	close(a);
	close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_to_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_transit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_of_band, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_of_band_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_report_about_report, setup, teardown),
		cmocka_unit_test_setup_teardown(test_report_received, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inbound_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(test_key_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_key_does_not_come, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
