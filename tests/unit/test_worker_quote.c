/* SPDX-License-Identifier: Apache-2.0 */
/* Real workers: reports out of band in sessions and about packets of sessions; and two workers that share a key. */
#include "tests/unit/worker_sessions.h"

enum { INDEX = 0x1234, OTHER = 0x4321, C_INDEX = 0x55 };

/* A's frame to C, which goes no further, is reported to A: under that key, or statically where it is NULL. */
static void expect_report(int a, const struct session *s)
{
	static struct world_packet frame, report, plain;
	const struct ip6 base = ip6_from_net64(world_net64("B"));
	const uint8_t body[60] = {1, 2, 3};

	world_seal(
		&(struct world_frame){
			.from = "A", .to = "C", .pair = "AC", .hop_limit = 1, .body = body, .len = sizeof(body)},
		&frame);
	world_write(a, frame.bytes, frame.len);
	world_next_data(a, &report);
	assert_memory_equal(report.bytes + 8, base.b, 16);
	assert_true(s ? session_open(s, &report, &plain) : world_open("AB", &report, &plain));
	assert_int_equal(plain.bytes[1], WIRE_USER_ICMP);
	assert_int_equal(plain.len, 68 + frame.len - WIRE_DATA_HEADER_BYTES);
	assert_memory_equal(plain.bytes + 68, frame.bytes + WIRE_DATA_HEADER_BYTES, plain.len - 68);
}

/* In the session where one is usable, else statically, whatever the policy. */
static void test_reports_leave(void **state)
{
	struct world *w = *state;
	const struct mono long_ago = {.us = mono_now().us - INT64_C(1000000) * LIMIT_SESSION_AGE_S};
	const struct session s = session_add(w, "A", INDEX, SKEY_STATE_SEND),
			     old = session_add_made(w, "A", OTHER, SKEY_STATE_SEND, long_ago);
	int a, c;

	world_neighbours(w, &a, &c);
	expect_report(a, NULL);
	session_policy(w, "A", CTL_WAY_HOLD, true);
	world_settle_twice(a, c);
	expect_report(a, NULL);
	session_send(w, "A", &old);
	world_settle_twice(a, c);
	expect_report(a, NULL);
	session_send(w, "A", &s);
	world_settle_twice(a, c);
	expect_report(a, &s);
	session_policy(w, "A", CTL_WAY_STATIC, false);
	world_settle_twice(a, c);
	expect_report(a, &s);
	assert_int_equal(world_stat(w, STAT_icmp_sent), 5);
	assert_int_equal(world_stat(w, STAT_session_sealed), 2);
	assert_false(session_told(w, CTL_SESSION_WANT));
	close(a);
	close(c);
}

/* A packet of the host to C, as it left. */
static void sent_to_c(struct world *w, int c, struct world_packet *packet, struct world_packet *ours)
{
	world_udp("B", "C", 3, 200, packet);
	world_tun_send(w, NULL, packet->bytes, packet->len);
	world_next_data(c, ours);
}

/* A reports on it: in the session, or statically where that is NULL. */
static void report(int a, const struct session *s, uint64_t counter, const struct world_packet *ours)
{
	static const struct icmp_error exceeded = {.type = ICMP_TIME_EXCEEDED};
	const struct ip6 base = ip6_from_net64(world_net64("A"));
	static struct world_packet frame;
	uint8_t body[ICMP_OOB_MAX_BYTES];
	const struct world_frame f = {.from = "A",
				      .to = "B",
				      .pair = "AB",
				      .type = WIRE_USER_ICMP,
				      .hop_limit = 64,
				      .body = body,
				      .len = icmp_oob_build(&exceeded, &base, ours->bytes, ours->len, body)};

	if (s)
		session_seal(s, 0, counter, &f, &frame);
	else
		world_seal(&f, &frame);
	world_write(a, frame.bytes, frame.len);
}

static void expect_told(struct world *w, const struct world_packet *packet)
{
	static struct world_packet seen;

	world_tun_read(w, NULL, &seen);
	assert_int_equal(seen.bytes[40], ICMP_TIME_EXCEEDED);
	assert_int_equal(seen.len, 48 + packet->len);
	assert_memory_equal(seen.bytes + 48, packet->bytes, packet->len);
	assert_true(packet_checksum_is_true(seen.bytes, seen.len));
}

/* Static packet or of a session, in a static report or in one of a session; also of the session before. */
static void test_quotes(void **state)
{
	struct world *w = *state;
	static struct world_packet packet, plain, first, second;
	const struct session s = session_add(w, "A", INDEX, SKEY_STATE_SEND),
			     one = session_add(w, "C", C_INDEX, SKEY_STATE_SEND),
			     two = session_add(w, "C", C_INDEX + 1, SKEY_STATE_SEND);
	int a, c;

	world_neighbours(w, &a, &c);
	sent_to_c(w, c, &packet, &first);
	assert_true(world_open("BC", &first, &plain));
	report(a, &s, 0, &first);
	expect_told(w, &packet);
	session_send(w, "C", &one);
	session_policy(w, "C", CTL_WAY_SESSION, true);
	world_settle_twice(a, c);
	sent_to_c(w, c, &packet, &first);
	assert_true(session_open(&one, &first, &plain));
	report(a, &s, 1, &first);
	expect_told(w, &packet);
	report(a, NULL, 0, &first);
	expect_told(w, &packet);
	session_send(w, "C", &two);
	world_settle_twice(a, c);
	sent_to_c(w, c, &packet, &second);
	assert_true(session_open(&two, &second, &plain));
	report(a, &s, 2, &second);
	expect_told(w, &packet);
	report(a, &s, 3, &first);
	expect_told(w, &packet);
	assert_int_equal(world_stat(w, STAT_icmp_delivered), 5);
	/* C sent none of them. */
	assert_int_equal(__atomic_load_n(&session_peer(w, "C")->opened, __ATOMIC_RELAXED), 0);
	/* None of all that touched a window. */
	assert_int_equal(w->f.lanes->row[two.row].receive[0].greatest, 0);
	/* The one before the one before. */
	session_send(w, "C", NULL);
	report(a, &s, 4, &first);
	world_settle_twice(a, c);
	assert_int_equal(world_stat(w, STAT_drop_icmp_quote), 1);
	close(a);
	close(c);
}

static void expect_not_told(struct world *w, int a, int c, const struct world_packet *ours)
{
	const uint64_t before = world_stat(w, STAT_drop_icmp_quote);

	report(a, NULL, 0, ours);
	world_settle_twice(a, c);
	assert_int_equal(world_stat(w, STAT_drop_icmp_quote), before + 1);
}

/* What we did not send, or not lately, or what is no packet of the host. */
static void test_bad_quotes(void **state)
{
	struct world *w = *state;
	static struct world_packet packet, ours, bad;
	const uint8_t body[60] = {1, 2, 3};
	const struct session s = session_add(w, "C", C_INDEX, SKEY_STATE_SEND);
	struct session_nonce n;
	struct world_frame f = {.from = "B", .to = "C", .pair = "BC", .hop_limit = 64, .body = packet.bytes};
	uint64_t *next = (uint64_t *)&w->f.lanes->row[s.row].send[0].next;
	int a, c;

	world_neighbours(w, &a, &c);
	session_send(w, "C", &s);
	session_policy(w, "C", CTL_WAY_SESSION, true);
	world_settle_twice(a, c);
	sent_to_c(w, c, &packet, &ours);
	n = session_nonce_of(&ours);
	f.len = packet.len;
	/* Sealed by whoever has the key, but with a nonce that was not used yet; in a lane that is not, or does not
	 * exist; for another index; by the other direction's key. */
	session_seal_as(&s.send, true, &(struct session_nonce){n.index, n.lane, n.counter + 1}, &f, &bad);
	expect_not_told(w, a, c, &bad);
	session_seal_as(&s.send, true, &(struct session_nonce){n.index, 1, n.counter}, &f, &bad);
	expect_not_told(w, a, c, &bad);
	session_seal_as(&s.send, true, &(struct session_nonce){n.index, FAR_LANES, n.counter}, &f, &bad);
	expect_not_told(w, a, c, &bad);
	session_seal_as(&s.send, true, &(struct session_nonce){n.index ^ 1, n.lane, n.counter}, &f, &bad);
	expect_not_told(w, a, c, &bad);
	session_seal_as(&s.receive, true, &n, &f, &bad);
	expect_not_told(w, a, c, &bad);
	session_seal_as(&s.send, false, &n, &f, &bad);
	expect_not_told(w, a, c, &bad);
	/* A message, and a report. */
	f.type = WIRE_USER_MESSAGE;
	session_seal_as(&s.send, true, &n, &f, &bad);
	expect_not_told(w, a, c, &bad);
	world_seal(
		&(struct world_frame){
			.from = "C", .to = "A", .pair = "AC", .hop_limit = 1, .body = body, .len = sizeof(body)},
		&bad);
	world_write(a, bad.bytes, bad.len);
	world_next_data(c, &bad);
	assert_int_equal(session_nonce_of(&bad).index, s.far_index);
	expect_not_told(w, a, c, &bad);
	/* As far back as it may be, and one more. */
	__atomic_store_n(next, n.counter + LIMIT_NONCE_QUOTE_WINDOW, __ATOMIC_RELAXED);
	report(a, NULL, 0, &ours);
	expect_told(w, &packet);
	__atomic_store_n(next, n.counter + LIMIT_NONCE_QUOTE_WINDOW + 1, __ATOMIC_RELAXED);
	expect_not_told(w, a, c, &ours);
	__atomic_store_n(next, n.counter + 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&w->f.lanes->header.generation, 1, __ATOMIC_SEQ_CST);
	expect_not_told(w, a, c, &ours);
	assert_int_equal(world_stat(w, STAT_icmp_delivered), 1);
	close(a);
	close(c);
}

/* Both workers have something to seal and something to open, at one time. */
static void give_both(struct world *w, const struct session *s, const int link[2], uint32_t i)
{
	static struct world_packet frame;
	const struct ctl_user_down down = {
		.src = world_address("B"), .dst = world_address("A"), .type = WIRE_USER_MESSAGE, .hop_limit = 64};
	const uint8_t body[4] = {0};
	const struct world_frame f = {.from = "A",
				      .to = "B",
				      .pair = "AB",
				      .type = WIRE_USER_MESSAGE,
				      .hop_limit = 64,
				      .body = body,
				      .len = sizeof(body)};

	session_seal(s, (uint8_t)(i % 2), i / 2, &f, &frame);
	for (unsigned worker = 0; worker < 2; worker++) {
		world_write(link[worker], frame.bytes, frame.len);
		assert_true(mail_put(worker_user_in(w->f.workers[worker]), CTL_USER_DOWN, &down, sizeof(down), body,
				     sizeof(body)));
		mail_kick(worker_user_in(w->f.workers[worker]));
	}
}

/* The neighbour sends every frame over the links of both workers: it is delivered once. What both seal under the one
 * key never shares a nonce. */
static void test_two_workers(void **state)
{
	enum { ROUNDS = 60, BURST = 8, COUNT = ROUNDS * BURST, COUNTERS = 2 * COUNT * LIMIT_SESSION_RUN };
	struct world *w = *state;
	static struct world_packet frame, plain;
	static bool seen[FAR_LANES][COUNTERS];
	const struct session s = session_add(w, "A", INDEX, SKEY_STATE_SEND);
	const int link[] = {world_link(w, 2), world_link(w, 1)};
	struct session_nonce n;

	world_route(w, "A", 1);
	world_key(w, "A", "AB");
	session_send(w, "A", &s);
	session_policy(w, "A", CTL_WAY_SESSION, true);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		for (uint32_t i = 0; i < BURST; i++)
			give_both(w, &s, link, round * BURST + i);
		/* Those of the second worker, and those that the first one hands over. */
		for (uint32_t i = 0; i < 2 * BURST; i++) {
			world_next_data(link[1], &frame);
			assert_true(session_open(&s, &frame, &plain));
			n = session_nonce_of(&frame);
			assert_true(n.lane < FAR_LANES && n.counter < COUNTERS && !seen[n.lane][n.counter]);
			seen[n.lane][n.counter] = true;
		}
	}
	while (world_stat(w, STAT_opened) + world_stat(w, STAT_drop_replay_seen) +
		       world_stat(w, STAT_drop_replay_busy) <
	       2 * COUNT)
		poll(NULL, 0, 1);
	assert_in_range(world_stat(w, STAT_session_opened), COUNT - world_stat(w, STAT_drop_replay_busy), COUNT);
	close(link[0]);
	close(link[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reports_leave, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_quotes, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_bad_quotes, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_two_workers, world_setup_two, world_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
