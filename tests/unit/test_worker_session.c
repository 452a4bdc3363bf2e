/* SPDX-License-Identifier: Apache-2.0 */
/* One real worker, frames that come in sessions: opened once, given to whom they are for; what is not believed, and
 * what of it control is told. */
#include "tests/unit/worker_sessions.h"
/* worker_sessions.h knows in which order. */
#include "fastpath/worker_state.h"
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { INDEX = 0x1234, OTHER = 0x4321, INIT_BYTES = 136 };

static const struct worker *watched; /* NULL: nobody looks */
static unsigned calls, calls_with_flag; /* atomic: of sendmsg() by that worker, and while it held a window's flag */

/* In the place of libc's. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	const struct worker *const w = __atomic_load_n(&watched, __ATOMIC_ACQUIRE);

	if (w && pthread_equal(w->thread, pthread_self())) {
		__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&calls_with_flag, w->opener.held != NULL, __ATOMIC_RELAXED);
	}
	return syscall(SYS_sendmsg, fd, message, flags);
}

static struct world_frame frame_of(uint8_t type, const uint8_t *body, size_t len)
{
	return (struct world_frame){
		.from = "A", .to = "B", .pair = "AB", .type = type, .hop_limit = 64, .body = body, .len = len};
}

static void write_frame(int fd, const struct world_packet *frame)
{
	world_write(fd, frame->bytes, frame->len);
}

/* Others wait for the flag of a window in a short loop: it is not held over a call, whatever comes between the packets
 * of the session. */
static void test_flag_is_let_go(void **state)
{
	enum { PAIRS = 2 * LINK_RUN_IOVS };
	struct world *w = *state;
	static struct world_packet mine, through;
	static uint8_t bytes[PAIRS * 2 * 200];
	const struct session s = session_add(w, "A", INDEX, SKEY_STATE_SEND);
	const uint8_t body[4] = {0};
	struct world_frame f = frame_of(WIRE_USER_CONTROL, body, sizeof(body));
	size_t len = 0;
	int a, c;

	world_neighbours(w, &a, &c);
	world_settle_twice(a, c);
	world_seal(&(struct world_frame){.from = "A", .to = "C", .pair = "AC", .hop_limit = 64, .body = body, .len = 4},
		   &through);
	for (uint64_t i = 0; i < PAIRS; i++) {
		session_seal(&s, 0, i, &f, &mine);
		memcpy(bytes + len, mine.bytes, mine.len);
		len += mine.len;
		memcpy(bytes + len, through.bytes, through.len);
		len += through.len;
	}
	__atomic_store_n(&watched, w->f.workers[0], __ATOMIC_RELEASE);
	world_write(a, bytes, len);
	for (unsigned i = 0; i < PAIRS; i++)
		world_next_data(c, &mine);
	world_settle_twice(a, c);
	__atomic_store_n(&watched, NULL, __ATOMIC_RELEASE);
	assert_int_equal(world_stat(w, STAT_session_opened), PAIRS);
	assert_int_not_equal(__atomic_load_n(&calls, __ATOMIC_RELAXED), 0);
	assert_int_equal(__atomic_load_n(&calls_with_flag, __ATOMIC_RELAXED), 0);
	close(a);
	close(c);
}

/* Neither the static key nor a route is needed. */
static void test_opened(void **state)
{
	struct world *w = *state;
	static struct world_packet packet, frame, seen;
	const struct session s = session_add(w, "A", INDEX, SKEY_STATE_NEXT);
	const struct pubkey pk = world_public("A");
	struct world_frame f = frame_of(WIRE_USER_L3, packet.bytes, 0);
	struct ctl_user_up want = {.src = world_address("A"), .dst = world_address("B"), .session = INDEX, .link = 1},
			   up;
	struct ctl_session_confirmed confirmed;
	const int a = world_link(w, 1), c = world_link(w, 2);

	memcpy(want.public_key, pk.b, sizeof(want.public_key));
	world_udp("A", "B", 7, 100, &packet);
	f.len = packet.len;
	f.hop_limit = 9;
	session_seal(&s, 0, 5, &f, &frame);
	write_frame(a, &frame);
	world_tun_read(w, NULL, &seen);
	assert_int_equal(seen.len, packet.len);
	assert_int_equal(seen.bytes[7], 8);
	assert_memory_equal(seen.bytes + 8, packet.bytes + 8, packet.len - 8);
	world_event(w, 0, CTL_SESSION_CONFIRMED, &confirmed, sizeof(confirmed));
	assert_int_equal(confirmed.index, INDEX);
	for (size_t i = 0; i < 2; i++) {
		static const uint8_t types[] = {WIRE_USER_MESSAGE, WIRE_USER_CONTROL};

		f = frame_of(types[i], (const uint8_t *)"\0\0\0\0abc", 7);
		session_seal(&s, OUR_LANES - 1, i, &f, &frame);
		write_frame(a, &frame);
		assert_int_equal(session_up(w, &up, &seen), 7);
		want.type = types[i];
		assert_memory_equal(&up, &want, sizeof(want));
		assert_memory_equal(seen.bytes, f.body, 7);
	}
	assert_int_equal(world_stat(w, STAT_opened), 3);
	assert_int_equal(world_stat(w, STAT_session_opened), 3);
	assert_int_equal(world_stat(w, STAT_waited), 0);
	/* Said once; and all of the batch is counted when it ends. */
	world_route(w, "C", 2);
	world_settle_twice(a, c);
	assert_false(session_told(w, CTL_SESSION_CONFIRMED));
	assert_int_equal(__atomic_load_n(&s.key->opened.packets, __ATOMIC_RELAXED), 3);
	close(a);
	close(c);
}

struct bad {
	const char *name;
	enum stat_id drop;
	uint8_t lane;
	uint64_t counter;
	uint8_t type;
	size_t len;
	int flip; /* byte of the frame; 0: none */
};

/* In this order, on a lane that has seen the counter 20000. */
static void test_refused(void **state)
{
	static const struct bad cases[] = {
		{"again", STAT_drop_replay_seen, 0, 20000, WIRE_USER_MESSAGE, 4, 0},
		{"late", STAT_drop_replay_late, 0, 20000 - LIMIT_SESSION_WINDOW, WIRE_USER_MESSAGE, 4, 0},
		{"lane", STAT_drop_session_lane, OUR_LANES, 1, WIRE_USER_MESSAGE, 4, 0},
		{"worn out", STAT_drop_session_expired, 1, SKEY_COUNTER_END, WIRE_USER_MESSAGE, 4, 0},
		{"changed", STAT_drop_open_failed, 1, 1, WIRE_USER_MESSAGE, 4, 45},
		{"other source", STAT_drop_open_failed, 1, 1, WIRE_USER_MESSAGE, 4, 23},
		{"INIT", STAT_drop_user_type, 1, 2, WIRE_USER_INIT, INIT_BYTES, 0},
		{"HINT", STAT_drop_user_type, 1, 3, WIRE_USER_HINT, 4, 0},
		{"type", STAT_drop_user_type, 1, 4, 3, 4, 0},
		{"short CONTROL", STAT_drop_inner_malformed, 1, 5, WIRE_USER_CONTROL, 3, 0},
		{"busy", STAT_drop_replay_busy, 2, 0, WIRE_USER_MESSAGE, 4, 0},
	};
	struct world *w = *state;
	static struct world_packet frame, body;
	const struct session s = session_add(w, "A", INDEX, SKEY_STATE_SEND);
	struct world_frame f = frame_of(WIRE_USER_MESSAGE, body.bytes, 4);
	struct ctl_user_up up;
	int a, c;

	world_neighbours(w, &a, &c);
	session_seal(&s, 0, 20000, &f, &frame);
	write_frame(a, &frame);
	assert_int_equal(session_up(w, &up, &body), 4);
	w->f.lanes->row[s.row].receive[2].flag = WORLD_NUMBER + 1;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct bad *b = &cases[i];
		const uint64_t before = world_stat(w, b->drop);

		f = frame_of(b->type, body.bytes, b->len);
		session_seal(&s, b->lane, b->counter, &f, &frame);
		if (b->flip)
			frame.bytes[b->flip] ^= 1;
		write_frame(a, &frame);
		world_settle_twice(a, c);
		if (world_stat(w, b->drop) != before + 1)
			fail_msg("%s", b->name);
	}
	assert_int_equal(world_stat(w, STAT_session_opened), 5);
	assert_false(session_told(w, CTL_SESSION_STRAY));
	close(a);
	close(c);
}

/* What names a session in which it is not, is tried with the static key: it opens, or the session's reason counts. */
static void test_static_after_all(void **state)
{
	const struct session_nonce nonces[] = {
		{INDEX, OUR_LANES, 1}, {INDEX, 0, SKEY_COUNTER_END}, {INDEX, 0, 1}, {OTHER, 0, 1}, {INDEX + 1, 0, 1}};
	static const enum stat_id drops[] = {STAT_drop_session_lane, STAT_drop_session_expired, STAT_drop_replay_late,
					     STAT_drop_open_failed, STAT_drop_open_failed};
	struct world *w = *state;
	static struct world_packet frame, body;
	const struct session s = session_add(w, "A", INDEX, SKEY_STATE_SEND);
	const struct world_frame f = frame_of(WIRE_USER_MESSAGE, body.bytes, 4);
	const struct aead_key secret = world_secret("AB"), wrong = {{9}};
	struct ctl_user_up up;
	int a, c;

	(void)session_add(w, "C", OTHER, SKEY_STATE_SEND);
	world_neighbours(w, &a, &c);
	session_seal(&s, 0, 20000, &f, &frame);
	write_frame(a, &frame);
	session_up(w, &up, &body);
	for (size_t i = 0; i < sizeof(nonces) / sizeof(nonces[0]); i++) {
		const uint64_t before = world_stat(w, drops[i]);

		session_seal_as(&secret, false, &nonces[i], &f, &frame);
		write_frame(a, &frame);
		assert_int_equal(session_up(w, &up, &body), 4);
		assert_int_equal(up.session, 0);
		session_seal_as(&wrong, false, &nonces[i], &f, &frame);
		write_frame(a, &frame);
		world_settle_twice(a, c);
		assert_int_equal(world_stat(w, drops[i]), before + 1);
	}
	assert_int_equal(world_stat(w, STAT_session_opened), 1);
	close(a);
	close(c);
}

/* Of another generation, or too old: neither opens any more. */
static void test_expired(void **state)
{
	struct world *w = *state;
	static struct world_packet frame, body;
	const struct mono long_ago = {.us = mono_now().us - INT64_C(1000000) * LIMIT_SESSION_AGE_S};
	const struct session s = session_add(w, "A", INDEX, SKEY_STATE_SEND),
			     old = session_add_made(w, "A", OTHER, SKEY_STATE_OLD, long_ago);
	const struct world_frame f = frame_of(WIRE_USER_MESSAGE, body.bytes, 4);
	int a, c;

	world_neighbours(w, &a, &c);
	session_seal(&old, 0, 0, &f, &frame);
	write_frame(a, &frame);
	world_settle_twice(a, c);
	assert_int_equal(world_stat(w, STAT_drop_session_expired), 1);
	__atomic_add_fetch(&w->f.lanes->header.generation, 1, __ATOMIC_SEQ_CST);
	session_seal(&s, 0, 0, &f, &frame);
	write_frame(a, &frame);
	world_settle_twice(a, c);
	assert_int_equal(world_stat(w, STAT_drop_session_expired), 2);
	assert_int_equal(world_stat(w, STAT_session_opened), 0);
	close(a);
	close(c);
}

/* Told what the far side may still believe in; also where there is no session at all. */
static void test_stray(void **state)
{
	struct world *w = *state;
	static struct world_packet frame, body;
	const struct pubkey pk = world_public("A");
	struct ctl_session_stray want = {.net64 = world_net64("A"), .index = OTHER, .sealed_bytes = 36}, stray;
	const struct aead_key any = {{7}};
	const struct session_nonce n = {.index = OTHER, .counter = 3};
	struct world_frame f = frame_of(WIRE_USER_CONTROL, body.bytes, 4);
	struct key_slot *key;
	int a, c;

	memcpy(want.public_key, pk.b, sizeof(want.public_key));
	world_neighbours(w, &a, &c);
	key = session_peer(w, "A");
	for (int i = 0; i < 2; i++) {
		session_seal_as(&any, true, &n, &f, &frame);
		write_frame(a, &frame);
		world_event(w, 0, CTL_SESSION_STRAY, &stray, sizeof(stray));
		assert_memory_equal(&stray, &want, sizeof(want));
		__atomic_store_n(&key->stray_s, 0, __ATOMIC_RELAXED);
		(void)session_add(w, "A", INDEX + (uint32_t)i, SKEY_STATE_SEND);
	}
	/* It is here, but another peer's. */
	__atomic_store_n(&key->stray_s, 0, __ATOMIC_RELAXED);
	(void)session_add(w, "C", OTHER, SKEY_STATE_SEND);
	write_frame(a, &frame);
	world_event(w, 0, CTL_SESSION_STRAY, &stray, sizeof(stray));
	assert_memory_equal(&stray, &want, sizeof(want));
	/* Not so soon again. */
	__atomic_store_n(&key->stray_s, (uint32_t)(mono_now().us / 1000000) + NEVER_S, __ATOMIC_RELAXED);
	write_frame(a, &frame);
	world_settle_twice(a, c);
	assert_false(session_told(w, CTL_SESSION_STRAY));
	/* The answer would be longer. */
	__atomic_store_n(&key->stray_s, 0, __ATOMIC_RELAXED);
	f.len = 3;
	session_seal_as(&any, true, &n, &f, &frame);
	write_frame(a, &frame);
	world_settle_twice(a, c);
	assert_false(session_told(w, CTL_SESSION_STRAY));
	assert_int_equal(world_stat(w, STAT_drop_open_failed), 5);
	close(a);
	close(c);
}

/* L3 packets and messages only; told once in a while. */
static void test_static_refused(void **state)
{
	struct world *w = *state;
	static struct world_packet packet, frame, body;
	const struct pubkey pk = world_public("A");
	struct ctl_session_refused want = {.net64 = world_net64("A")}, refused;
	struct world_frame f = frame_of(WIRE_USER_L3, packet.bytes, 0);
	struct ctl_user_up up;
	int a, c;

	memcpy(want.public_key, pk.b, sizeof(want.public_key));
	world_neighbours(w, &a, &c);
	session_policy(w, "A", CTL_WAY_HOLD, true);
	world_udp("A", "B", 7, 100, &packet);
	f.len = packet.len;
	world_seal(&f, &frame);
	write_frame(a, &frame);
	world_event(w, 0, CTL_SESSION_REFUSED, &refused, sizeof(refused));
	want.bytes = (uint32_t)packet.len;
	assert_memory_equal(&refused, &want, sizeof(want));
	__atomic_store_n(&session_peer(w, "A")->refused_s, (uint32_t)(mono_now().us / 1000000) + NEVER_S,
			 __ATOMIC_RELAXED);
	f = frame_of(WIRE_USER_MESSAGE, packet.bytes, 50);
	world_seal(&f, &frame);
	write_frame(a, &frame);
	f.type = WIRE_USER_ICMP;
	world_seal(&f, &frame);
	write_frame(a, &frame);
	world_settle_twice(a, c);
	assert_int_equal(world_stat(w, STAT_drop_static_refused), 2);
	assert_int_equal(world_stat(w, STAT_drop_icmp_malformed), 1);
	assert_false(session_told(w, CTL_SESSION_REFUSED));
	assert_int_equal(world_stat(w, STAT_tun_tx_packets), 0);
	f = frame_of(WIRE_USER_INIT, packet.bytes, INIT_BYTES);
	world_seal(&f, &frame);
	write_frame(a, &frame);
	assert_int_equal(session_up(w, &up, &body), INIT_BYTES);
	assert_int_equal(up.type, WIRE_USER_INIT);
	assert_int_equal(up.session, 0);
	assert_memory_equal(up.public_key, pk.b, sizeof(pk.b));
	close(a);
	close(c);
}

/* What makes sessions: lengths, and how much of it goes up. */
static void test_handshakes(void **state)
{
	static const struct {
		uint8_t type;
		size_t len;
		enum stat_id drop;
	} cases[] = {
		{WIRE_USER_INIT, 135, STAT_drop_inner_malformed},
		{WIRE_USER_INIT, 136, 0},
		{WIRE_USER_INIT, 1000, 0},
		{WIRE_USER_INIT, 1001, STAT_drop_inner_malformed},
		{WIRE_USER_RESP, 63, STAT_drop_inner_malformed},
		{WIRE_USER_RESP, 64, 0},
		{WIRE_USER_COOKIE, 19, STAT_drop_inner_malformed},
		{WIRE_USER_COOKIE, 20, 0},
		{WIRE_USER_HINT, 3, STAT_drop_inner_malformed},
		{WIRE_USER_HINT, 4, 0},
		{WIRE_USER_CONTROL, 4, STAT_drop_user_type},
		{WIRE_USER_CONTROL + 1, 200, STAT_drop_user_type},
	};
	struct world *w = *state;
	static struct world_packet frame, bytes, body;
	struct world_frame f;
	struct ctl_user_up up;
	int a, c;

	world_neighbours(w, &a, &c);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint64_t before = cases[i].drop ? world_stat(w, cases[i].drop) : 0;

		f = frame_of(cases[i].type, bytes.bytes, cases[i].len);
		world_seal(&f, &frame);
		write_frame(a, &frame);
		if (!cases[i].drop) {
			assert_int_equal(session_up(w, &up, &body), cases[i].len);
			assert_int_equal(up.type, cases[i].type);
			continue;
		}
		world_settle_twice(a, c);
		assert_int_equal(world_stat(w, cases[i].drop), before + 1);
	}
	/* No second begins any more. */
	__atomic_store_n(&session_peer(w, "A")->carrier_s, (uint32_t)(mono_now().us / 1000000) + NEVER_S,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&session_peer(w, "A")->carrier_answers, LIMIT_HANDSHAKE_ANSWERS, __ATOMIC_RELAXED);
	f = frame_of(WIRE_USER_HINT, bytes.bytes, 4);
	world_seal(&f, &frame);
	write_frame(a, &frame);
	world_settle_twice(a, c);
	assert_int_equal(world_stat(w, STAT_drop_handshake_rate), 1);
	close(a);
	close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_flag_is_let_go, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_opened, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_refused, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_static_after_all, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_expired, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_stray, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_static_refused, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_handshakes, world_setup, world_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
