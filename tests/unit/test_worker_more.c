/* SPDX-License-Identifier: Apache-2.0 */
/* Real workers, what is checked of every packet whichever key it has: the inner addresses in a session too, new nonces
 * in a new generation, a lane that the far side has, and what is not reported. */
#include "tests/unit/worker_sessions.h"

enum { INDEX = 0x1234, FRAMES = 100 };

/* A peer with a session is still no other. */
static void test_inner_addresses(void **state)
{
	struct world *w = *state;
	static struct world_packet packet, frame;
	const struct session s = session_add(w, "A", INDEX, SKEY_STATE_SEND);
	struct world_frame f = {.from = "A", .to = "B", .pair = "AB", .hop_limit = 64, .body = packet.bytes};
	int a, c;

	world_neighbours(w, &a, &c);
	world_udp("C", "B", 1, 100, &packet);
	f.len = packet.len;
	session_seal(&s, 0, 0, &f, &frame);
	world_write(a, frame.bytes, frame.len);
	world_udp("A", "C", 2, 100, &packet);
	session_seal(&s, 0, 1, &f, &frame);
	world_write(a, frame.bytes, frame.len);
	world_settle_twice(a, c);
	assert_int_equal(world_stat(w, STAT_session_opened), 2);
	assert_int_equal(world_stat(w, STAT_drop_inner_source), 1);
	assert_int_equal(world_stat(w, STAT_drop_inner_destination), 1);
	assert_int_equal(world_stat(w, STAT_tun_tx_packets), 0);
	close(a);
	close(c);
}

/* The prefix of the nonce that the host's next packet to A has. */
static uint64_t sent_prefix(struct world *w, int a)
{
	static struct world_packet packet, frame;
	struct rd r;

	world_udp("B", "A", 3, 100, &packet);
	world_tun_send(w, NULL, packet.bytes, packet.len);
	world_next_data(a, &frame);
	r = rd_init(frame.bytes + frame.len - WIRE_NONCE_BYTES, sizeof(uint64_t));
	return rd_be64(&r);
}

/* The machine may have been cloned: the clone draws another prefix too, under the same static key. */
static void test_generation(void **state)
{
	struct world *w = *state;
	uint64_t before, after;
	int a, c;

	world_neighbours(w, &a, &c);
	before = sent_prefix(w, a);
	assert_true(sent_prefix(w, a) == before);
	__atomic_add_fetch(&w->f.lanes->header.generation, 1, __ATOMIC_SEQ_CST);
	after = sent_prefix(w, a);
	assert_true(after != before);
	assert_true(sent_prefix(w, a) == after);
	close(a);
	close(c);
}

/* The far side receives one lane; the worker of the link is the second. */
static void test_one_lane(void **state)
{
	struct world *w = *state;
	static struct world_packet frame, plain;
	const struct session s = session_add(w, "A", INDEX, SKEY_STATE_SEND);
	const struct ctl_user_down down = {
		.src = world_address("B"), .dst = world_address("A"), .type = WIRE_USER_MESSAGE, .hop_limit = 64};
	const uint8_t body[4] = {0};
	const int link = world_link(w, 1);

	s.key->far_lanes = 1;
	world_route(w, "A", 1);
	world_key(w, "A", "AB");
	session_send(w, "A", &s);
	session_policy(w, "A", CTL_WAY_SESSION, true);
	for (unsigned worker = 0; worker < 2; worker++) {
		assert_true(mail_put(worker_user_in(w->f.workers[worker]), CTL_USER_DOWN, &down, sizeof(down), body,
				     sizeof(body)));
		mail_kick(worker_user_in(w->f.workers[worker]));
		world_next_data(link, &frame);
		assert_true(session_open(&s, &frame, &plain));
		assert_int_equal(session_nonce_of(&frame).lane, 0);
	}
	close(link);
}

/* A frame to C that goes no further. */
static void worn_out(struct world_packet *out)
{
	static const uint8_t body[60];

	world_seal(
		&(struct world_frame){
			.from = "A", .to = "C", .pair = "AC", .hop_limit = 1, .body = body, .len = sizeof(body)},
		out);
}

/* From the base address of a /64 come reports. */
static void test_report_about_report(void **state)
{
	struct world *w = *state;
	static struct world_packet frame;
	const struct ip6 base = ip6_from_net64(world_net64("A"));
	int a, c;

	world_neighbours(w, &a, &c);
	worn_out(&frame);
	memcpy(frame.bytes + 8, base.b, sizeof(base.b));
	world_write(a, frame.bytes, frame.len);
	world_settle_twice(a, c);
	assert_int_equal(world_stat(w, STAT_icmp_suppressed), 1);
	assert_int_equal(world_stat(w, STAT_icmp_sent), 0);
	close(a);
	close(c);
}

static void test_report_rate(void **state)
{
	struct world *w = *state;
	static struct world_packet frame, many;
	int a, c;

	world_neighbours(w, &a, &c);
	worn_out(&frame);
	for (int i = 0; i < FRAMES; i++) {
		memcpy(many.bytes + many.len, frame.bytes, frame.len);
		many.len += frame.len;
	}
	world_write(a, many.bytes, many.len);
	world_settle_twice(a, c);
	assert_int_equal(world_stat(w, STAT_icmp_sent) + world_stat(w, STAT_icmp_suppressed), FRAMES);
	assert_true(world_stat(w, STAT_icmp_sent) >= LIMIT_ICMP_PER_PEER_PER_SECOND);
	assert_true(world_stat(w, STAT_icmp_suppressed) > 0);
	close(a);
	close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_inner_addresses, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_generation, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_one_lane, world_setup_two, world_teardown),
		cmocka_unit_test_setup_teardown(test_report_about_report, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_report_rate, world_setup, world_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
