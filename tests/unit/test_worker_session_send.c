/* SPDX-License-Identifier: Apache-2.0 */
/* One real worker, what leaves by policy: statically, in the session, or not before there is one; and what controld
 * sends to make one. */
#include "tests/unit/worker_sessions.h"

enum { INDEX = 0x1234, NEXT = 0x4321, INIT_BYTES = 136 };

static void await_stat(struct world *w, enum stat_id stat, uint64_t value)
{
	while (world_stat(w, stat) < value)
		poll(NULL, 0, 1);
	assert_int_equal(world_stat(w, stat), value);
}

static void host_sends(struct world *w, uint32_t number)
{
	static struct world_packet packet;

	world_udp("B", "A", number, 100, &packet);
	world_tun_send(w, NULL, packet.bytes, packet.len);
}

static void controld_sends(struct world *w, uint8_t type, uint32_t session, const void *bytes, size_t len)
{
	const struct ctl_user_down down = {.src = world_address("B"),
					   .dst = world_address("A"),
					   .session = session,
					   .type = type,
					   .hop_limit = 64};

	assert_true(mail_put(worker_user_in(w->f.workers[0]), CTL_USER_DOWN, &down, sizeof(down), bytes, len));
	mail_kick(worker_user_in(w->f.workers[0]));
}

/* The next frame is the host's packet with that number; in the session, or statically where that is NULL. Returns its
 * nonce. */
static struct session_nonce expect_number(int fd, const struct session *s, uint32_t number)
{
	static struct world_packet frame, plain;

	world_next_data(fd, &frame);
	assert_true(s ? session_open(s, &frame, &plain) : world_open("AB", &frame, &plain));
	assert_memory_equal(plain.bytes, ((const uint8_t[]){1, WIRE_USER_L3, 0, 0}), 4);
	assert_memory_equal(plain.bytes + 4 + 48, &number, sizeof(number));
	return session_nonce_of(&frame);
}

static void expect_user(int fd, const struct session *s, uint8_t type, const void *bytes, size_t len)
{
	static struct world_packet frame, plain;

	world_next_data(fd, &frame);
	assert_true(s ? session_open(s, &frame, &plain) : world_open("AB", &frame, &plain));
	assert_int_equal(plain.len, 4 + len);
	assert_memory_equal(plain.bytes, ((const uint8_t[]){1, type, 0, 0}), 4);
	assert_memory_equal(plain.bytes + 4, bytes, len);
}

static void expect_want(struct world *w)
{
	const struct pubkey pk = world_public("A");
	struct ctl_session_want want;

	world_event(w, 0, CTL_SESSION_WANT, &want, sizeof(want));
	assert_int_equal(want.net64, world_net64("A"));
	assert_memory_equal(want.public_key, pk.b, sizeof(pk.b));
}

/* At once, though a session is there: the policy decides. That one is wanted is told, once in a while. */
static void test_static(void **state)
{
	struct world *w = *state;
	const struct session s = session_add(w, "A", INDEX, SKEY_STATE_SEND);
	int a, c;

	world_neighbours(w, &a, &c);
	session_send(w, "A", &s);
	host_sends(w, 1);
	(void)expect_number(a, NULL, 1);
	expect_want(w);
	host_sends(w, 2);
	(void)expect_number(a, NULL, 2);
	world_settle_twice(a, c);
	assert_false(session_told(w, CTL_SESSION_WANT));
	/* A message says it too. */
	__atomic_store_n(&session_peer(w, "A")->wanted_s, 0, __ATOMIC_RELAXED);
	controld_sends(w, WIRE_USER_MESSAGE, 0, "abc", 3);
	expect_user(a, NULL, WIRE_USER_MESSAGE, "abc", 3);
	expect_want(w);
	assert_int_equal(world_stat(w, STAT_session_sealed), 0);
	close(a);
	close(c);
}

/* Counters: one each, no more than there are packets for a super-packet. */
static void test_session(void **state)
{
	enum { SEGMENT = 1000, SEGMENTS = 40 };
	struct world *w = *state;
	static struct world_packet packet;
	const struct gso_header header = {
		.flags = 1, .type = 5, .header_len = 48, .size = SEGMENT, .csum_start = 40, .csum_offset = 6};
	const struct session s = session_add(w, "A", INDEX, SKEY_STATE_SEND);
	struct session_nonce n;
	int a, c;

	world_neighbours(w, &a, &c);
	session_send(w, "A", &s);
	session_policy(w, "A", CTL_WAY_SESSION, true);
	for (uint32_t i = 0; i < 5; i++) {
		host_sends(w, i);
		n = expect_number(a, &s, i);
		assert_int_equal(n.lane, 0);
		assert_int_equal(n.counter, i);
	}
	world_udp("B", "A", 0, SEGMENT * SEGMENTS, &packet);
	for (uint32_t i = 0; i < SEGMENTS; i++)
		memcpy(packet.bytes + 48 + SEGMENT * i, &i, sizeof(i));
	packet_set_partial_checksum(packet.bytes, packet.len);
	world_tun_send(w, &header, packet.bytes, packet.len);
	for (uint32_t i = 0; i < SEGMENTS; i++) {
		n = expect_number(a, &s, i);
		assert_int_equal(n.counter, 5 + i);
	}
	controld_sends(w, WIRE_USER_MESSAGE, 0, "abc", 3);
	expect_user(a, &s, WIRE_USER_MESSAGE, "abc", 3);
	world_settle_twice(a, c);
	assert_int_equal(w->f.lanes->row[s.row].send[0].next, 5 + SEGMENTS + 1);
	assert_int_equal(world_stat(w, STAT_sealed), 5 + SEGMENTS + 1);
	assert_int_equal(world_stat(w, STAT_session_sealed), 5 + SEGMENTS + 1);
	assert_int_equal(__atomic_load_n(&s.key->sealed.packets, __ATOMIC_RELAXED), 5 + SEGMENTS + 1);
	assert_false(session_told(w, CTL_SESSION_WANT));
	close(a);
	close(c);
}

/* Many single packets in one batch: all leave, and few counters are lost. */
static void test_singles(void **state)
{
	enum { COUNT = 100 };
	struct world *w = *state;
	const struct session s = session_add(w, "A", INDEX, SKEY_STATE_SEND);
	uint64_t last = 0;
	int a, c;

	world_neighbours(w, &a, &c);
	session_send(w, "A", &s);
	session_policy(w, "A", CTL_WAY_SESSION, true);
	for (uint32_t i = 0; i < COUNT; i++)
		host_sends(w, i);
	for (uint32_t i = 0; i < COUNT; i++) {
		const struct session_nonce n = expect_number(a, &s, i);

		assert_true(!i || n.counter > last);
		last = n.counter;
	}
	world_settle_twice(a, c);
	/* A batch of n loses less than n, or 16. */
	assert_in_range(w->f.lanes->row[s.row].send[0].next, COUNT, 2 * COUNT);
	close(a);
	close(c);
}

/* To two peers by turns, in one batch: each under its own key, and all of it counted. */
static void test_by_turns(void **state)
{
	enum { COUNT = 50 };
	struct world *w = *state;
	const struct session to_a = session_add(w, "A", INDEX, SKEY_STATE_SEND),
			     to_c = session_add(w, "C", NEXT, SKEY_STATE_SEND);
	struct ctl_user_down down = {.src = world_address("B"), .type = WIRE_USER_MESSAGE, .hop_limit = 64};
	int a, c;

	world_neighbours(w, &a, &c);
	session_send(w, "A", &to_a);
	session_send(w, "C", &to_c);
	session_policy(w, "A", CTL_WAY_SESSION, true);
	session_policy(w, "C", CTL_WAY_SESSION, true);
	for (uint32_t i = 0; i < 3 * COUNT; i++) {
		down.dst = world_address(i % 3 ? "A" : "C");
		assert_true(
			mail_put(worker_user_in(w->f.workers[0]), CTL_USER_DOWN, &down, sizeof(down), &i, sizeof(i)));
	}
	mail_kick(worker_user_in(w->f.workers[0]));
	for (uint32_t i = 0; i < 3 * COUNT; i++)
		expect_user(i % 3 ? a : c, i % 3 ? &to_a : &to_c, WIRE_USER_MESSAGE, &i, sizeof(i));
	world_settle_twice(a, c);
	assert_int_equal(__atomic_load_n(&to_a.key->sealed.packets, __ATOMIC_RELAXED), 2 * COUNT);
	assert_int_equal(__atomic_load_n(&to_c.key->sealed.packets, __ATOMIC_RELAXED), COUNT);
	close(a);
	close(c);
}

/* Held in order, of the host and of controld; never static. */
static void test_hold_then_session(void **state)
{
	struct world *w = *state;
	const struct session s = session_add(w, "A", INDEX, SKEY_STATE_SEND);
	int a, c;

	world_neighbours(w, &a, &c);
	session_policy(w, "A", CTL_WAY_HOLD, true);
	host_sends(w, 0);
	await_stat(w, STAT_waited, 1);
	expect_want(w);
	controld_sends(w, WIRE_USER_MESSAGE, 0, "abc", 3);
	await_stat(w, STAT_waited, 2);
	host_sends(w, 1);
	await_stat(w, STAT_waited, 3);
	/* Still: nothing leaves, nothing is lost, and it is not counted again. */
	session_look_again(w, "A");
	session_policy(w, "A", CTL_WAY_SESSION, true);
	world_settle_twice(a, c);
	assert_int_equal(world_stat(w, STAT_sealed), 0);
	assert_int_equal(world_stat(w, STAT_waited), 3);
	session_send(w, "A", &s);
	(void)expect_number(a, &s, 0);
	expect_user(a, &s, WIRE_USER_MESSAGE, "abc", 3);
	(void)expect_number(a, &s, 1);
	assert_int_equal(world_stat(w, STAT_drop_no_session), 0);
	close(a);
	close(c);
}

/* Nothing comes: the host is told, about its packets only. A key that is worn out, or not confirmed, is none. */
static void test_hold_then_nothing(void **state)
{
	struct world *w = *state;
	static struct world_packet packet, seen;
	const struct mono long_ago = {.us = mono_now().us - INT64_C(1000000) * LIMIT_SESSION_AGE_S};
	const struct session old = session_add_made(w, "A", INDEX, SKEY_STATE_SEND, long_ago),
			     next = session_add(w, "A", NEXT, SKEY_STATE_NEXT);
	const struct ip6 own = world_address("B");
	int a, c;

	world_neighbours(w, &a, &c);
	session_policy(w, "A", CTL_WAY_SESSION, true);
	session_send(w, "A", &old);
	world_settle_twice(a, c);
	host_sends(w, 0);
	await_stat(w, STAT_waited, 1);
	session_send(w, "A", &next);
	world_settle_twice(a, c);
	controld_sends(w, WIRE_USER_MESSAGE, 0, "abc", 3);
	await_stat(w, STAT_waited, 2);
	world_tun_read(w, NULL, &seen);
	world_udp("B", "A", 0, 100, &packet);
	assert_memory_equal(seen.bytes + 8, own.b, 16);
	assert_int_equal(seen.bytes[40], ICMP_UNREACHABLE);
	assert_int_equal(seen.bytes[41], ICMP_NO_ROUTE);
	assert_int_equal(seen.len, 48 + packet.len);
	assert_memory_equal(seen.bytes + 48, packet.bytes, packet.len);
	assert_true(packet_checksum_is_true(seen.bytes, seen.len));
	await_stat(w, STAT_drop_no_session, 2);
	assert_int_equal(world_stat(w, STAT_icmp_local), 1);
	assert_int_equal(world_stat(w, STAT_icmp_suppressed), 0);
	assert_int_equal(world_stat(w, STAT_sealed), 0);
	close(a);
	close(c);
}

static void test_hold_is_full(void **state)
{
	struct world *w = *state;
	const struct session s = session_add(w, "A", INDEX, SKEY_STATE_SEND);
	int a, c;

	world_neighbours(w, &a, &c);
	session_policy(w, "A", CTL_WAY_HOLD, false);
	world_settle_twice(a, c);
	for (uint32_t i = 0; i < LIMIT_HOLD_PACKETS_PER_NET64 + 2; i++)
		host_sends(w, i);
	await_stat(w, STAT_waited, LIMIT_HOLD_PACKETS_PER_NET64 + 2);
	assert_int_equal(world_stat(w, STAT_drop_wait_full), 2);
	session_send(w, "A", &s);
	session_policy(w, "A", CTL_WAY_SESSION, false);
	for (uint32_t i = 2; i < LIMIT_HOLD_PACKETS_PER_NET64 + 2; i++)
		(void)expect_number(a, &s, i);
	close(a);
	close(c);
}

/* From one wait to the other, and out statically when the policy says so in the end. */
static void test_key_then_hold(void **state)
{
	const struct pubkey pk = world_public("A");
	const struct aead_key secret = world_secret("AB");
	struct world *w = *state;
	const int a = world_link(w, 1), c = world_link(w, 2);
	uint32_t slot;

	world_route(w, "A", 1);
	world_route(w, "C", 2);
	host_sends(w, 0);
	controld_sends(w, WIRE_USER_MESSAGE, 0, "abc", 3);
	await_stat(w, STAT_waited, 2);
	slot = keys_add(w->f.keys, world_net64("A"), &pk, &secret);
	keys_slot(w->f.keys, slot)->way = CTL_WAY_HOLD;
	table_set_key(w->f.table, world_net64("A"), slot);
	session_look_again(w, "A");
	await_stat(w, STAT_waited, 4);
	expect_want(w);
	world_settle_twice(a, c);
	assert_int_equal(world_stat(w, STAT_sealed), 0);
	session_policy(w, "A", CTL_WAY_STATIC, false);
	for (unsigned i = 0; i < 2; i++) {
		static struct world_packet frame, plain;

		world_next_data(a, &frame);
		assert_true(world_open("AB", &frame, &plain));
	}
	assert_int_equal(world_stat(w, STAT_sealed), 2);
	close(a);
	close(c);
}

/* The host sends while the key changes, in the middle of what it sends: all arrives, in order, from one key to the
 * next. */
static void test_rekey(void **state)
{
	enum { KEYS = 12, BURST = 30 };
	struct world *w = *state;
	struct session s[KEYS];
	static struct world_packet frame, plain;
	uint32_t number = 0, key = 0;
	int a, c;

	world_neighbours(w, &a, &c);
	for (uint32_t i = 0; i < KEYS; i++)
		s[i] = session_add(w, "A", INDEX + i, SKEY_STATE_SEND);
	session_send(w, "A", &s[0]);
	session_policy(w, "A", CTL_WAY_SESSION, true);
	for (uint32_t i = 1; i <= KEYS; i++) {
		for (uint32_t k = 0; k < BURST; k++) {
			if (i < KEYS && k == BURST / 2) {
				session_send(w, "A", &s[i]);
				skeys_move(w->f.skeys, s[i - 1].slot, SKEY_STATE_OLD);
			}
			host_sends(w, (i - 1) * BURST + k);
		}
		for (uint32_t k = 0; k < BURST; k++, number++) {
			world_next_data(a, &frame);
			if (!session_open(&s[key], &frame, &plain))
				assert_true(++key < KEYS && session_open(&s[key], &frame, &plain));
			assert_memory_equal(plain.bytes + 4 + 48, &number, sizeof(number));
		}
		if (i < KEYS)
			assert_in_range(key, i - 1, i);
	}
	assert_int_equal(key, KEYS - 1);
	assert_int_equal(world_stat(w, STAT_session_sealed), KEYS * BURST);
	close(a);
	close(c);
}

/* Whatever the policy: what makes a session is static and waits for the key only. */
static void test_handshakes(void **state)
{
	static const uint8_t types[] = {WIRE_USER_INIT, WIRE_USER_RESP, WIRE_USER_COOKIE, WIRE_USER_HINT};
	static const uint8_t bytes[INIT_BYTES] = {1, 2, 3};
	struct world *w = *state;
	const int a = world_link(w, 1), c = world_link(w, 2);
	struct ctl_want_key want;
	struct session s;

	world_route(w, "A", 1);
	world_route(w, "C", 2);
	controld_sends(w, WIRE_USER_INIT, 0, bytes, sizeof(bytes));
	world_event(w, 0, CTL_WANT_KEY, &want, sizeof(want));
	assert_int_equal(want.own, 1);
	world_key(w, "A", "AB");
	expect_user(a, NULL, WIRE_USER_INIT, bytes, sizeof(bytes));
	s = session_add(w, "A", INDEX, SKEY_STATE_SEND);
	session_send(w, "A", &s);
	for (int way = CTL_WAY_STATIC; way <= CTL_WAY_HOLD; way++) {
		session_policy(w, "A", (enum ctl_way)way, true);
		for (size_t i = 0; i < sizeof(types); i++) {
			controld_sends(w, types[i], 0, bytes, sizeof(bytes) - i);
			expect_user(a, NULL, types[i], bytes, sizeof(bytes) - i);
		}
	}
	world_settle_twice(a, c);
	assert_false(session_told(w, CTL_SESSION_WANT));
	close(a);
	close(c);
}

/* In the session that it names, old or new, whatever the policy; else it is dropped. */
static void test_control(void **state)
{
	struct world *w = *state;
	const struct mono long_ago = {.us = mono_now().us - INT64_C(1000000) * LIMIT_SESSION_AGE_S};
	const struct session old = session_add(w, "A", INDEX, SKEY_STATE_OLD),
			     send = session_add(w, "A", NEXT, SKEY_STATE_SEND);
	const int a = world_link(w, 1), c = world_link(w, 2);

	(void)session_add(w, "A", 3, SKEY_STATE_NEXT);
	(void)session_add(w, "C", 4, SKEY_STATE_SEND);
	(void)session_add_made(w, "A", 5, SKEY_STATE_SEND, long_ago);
	world_route(w, "A", 1);
	world_route(w, "C", 2);
	/* Without the static key. */
	controld_sends(w, WIRE_USER_CONTROL, INDEX, "\0\0\0\0", 4);
	expect_user(a, &old, WIRE_USER_CONTROL, "\0\0\0\0", 4);
	controld_sends(w, WIRE_USER_CONTROL, NEXT, "\0\0\0\0", 4);
	expect_user(a, &send, WIRE_USER_CONTROL, "\0\0\0\0", 4);
	for (uint32_t index = 2; index <= 5; index++) {
		controld_sends(w, WIRE_USER_CONTROL, index, "\0\0\0\0", 4);
		await_stat(w, STAT_drop_session_gone, index - 1);
	}
	world_settle_twice(a, c);
	assert_int_equal(world_stat(w, STAT_session_sealed), 2);
	assert_int_equal(world_stat(w, STAT_user_sent), 2);
	/* Not data: no key was in use for it. */
	assert_int_equal(__atomic_load_n(&old.key->sealed.packets, __ATOMIC_RELAXED), 1);
	assert_int_equal(__atomic_load_n(&old.key->sealed.data_us, __ATOMIC_RELAXED), 0);
	close(a);
	close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_static, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_session, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_singles, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_by_turns, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_hold_then_session, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_hold_then_nothing, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_hold_is_full, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_key_then_hold, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_rekey, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_handshakes, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_control, world_setup, world_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
