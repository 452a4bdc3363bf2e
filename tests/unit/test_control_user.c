/* SPDX-License-Identifier: Apache-2.0 */
/* Messages, and what makes sessions, through the control thread of fastpath, whole, in a child; the test is its
 * controld. The stand-in workers send every one back, as if it had come from where it went. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "shared/base/siphash.h"
#include "tests/support/ctlchild.h"
#include "tests/unit/control_worker.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MANY = 2000, MANY_BYTES = 1300 };

static int setup(void **state)
{
	static struct ctlchild w;

	ctlchild_begin(&w, 60000, 60000);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	return ctlchild_end(*state);
}

static uint64_t stat_of(const struct ctlchild *w, enum stat_id stat)
{
	return __atomic_load_n(&w->lanes->stats[0].value[stat], __ATOMIC_RELAXED);
}

static struct ctl_user_down down_to(const char *text)
{
	struct ctl_user_down down = {
		.src = ctlchild_config().address, .type = WIRE_USER_MESSAGE, .hop_limit = 64, .reserved = {0}};

	assert_int_equal(ip6_parse(text, &down.dst), 0);
	return down;
}

static bool put(struct ctlpeer *c, const struct ctl_user_down *down, const void *bytes, size_t len)
{
	return ctlsock_put(c->s, CTL_USER_DOWN, down, sizeof(*down), bytes, len);
}

/* Started, with a link of each worker and a route over each. */
static void begin(struct ctlchild *w)
{
	ctlpeer_connect(&w->a, w->path);
	ctlchild_start(w, &w->a);
	close(ctlchild_adopt(&w->a, 2));
	close(ctlchild_adopt(&w->a, 3));
	ctlchild_put_route(&w->a, "200:2::/64", 2);
	ctlchild_put_route(&w->a, "200:3::/64", 3);
	ctlchild_put_route(&w->a, "200:2::8/125", 3);
}

static void expect_up(struct ctlpeer *c, const struct ctl_user_down *down, uint32_t link, const void *bytes, size_t len)
{
	const struct ctl_user_up want = {
		.src = down->dst, .dst = down->src, .session = down->session, .link = link, .type = down->type};
	const struct ctlseen *s = ctlpeer_await(c, CTL_USER_UP);

	assert_int_equal(s->len, sizeof(want) + len);
	assert_memory_equal(s->body, &want, sizeof(want));
	assert_memory_equal(s->body + sizeof(want), bytes, len);
}

/* To the worker that has the link of the route, and back, to the byte. */
static void the_worker_of_the_route_gets_it(void **state)
{
	static const struct {
		const char *to;
		uint32_t answer;
	} cases[] = {{"200:2::1", 1}, {"200:3::1", 2}, {"200:2::9", 2}, {"200:2::10", 1}, {"200:4::1", 1}};
	struct ctlchild *w = *state;
	uint8_t bytes[600];

	memset(bytes, 0x77, sizeof(bytes));
	begin(w);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct ctl_user_down down = down_to(cases[i].to);

		assert_true(put(&w->a, &down, bytes, i * 150));
		expect_up(&w->a, &down, cases[i].answer, bytes, i * 150);
	}
	assert_int_equal(stat_of(w, STAT_user_received), sizeof(cases) / sizeof(cases[0]));
	ctlchild_stop(w, &w->a);
}

static void what_makes_sessions_goes_the_same_way(void **state)
{
	struct ctlchild *w = *state;

	begin(w);
	for (uint8_t type = WIRE_USER_INIT; type <= WIRE_USER_CONTROL; type++) {
		struct ctl_user_down down = down_to("200:3::1");

		down.type = type;
		down.session = type == WIRE_USER_CONTROL ? 4711 : 0;
		assert_true(put(&w->a, &down, &type, 1));
		expect_up(&w->a, &down, 2, &type, 1);
	}
	ctlchild_stop(w, &w->a);
}

static void what_does_not_fit_is_refused(void **state)
{
	struct ctlchild *w = *state;
	const struct ctl_user_down good = down_to("200:2::1");
	const struct ctl_user_up up = {.type = WIRE_USER_MESSAGE};
	struct ctl_user_down bad[12];

	for (size_t i = 0; i < 12; i++)
		bad[i] = good;
	bad[0].type = WIRE_USER_L3;
	bad[1].type = WIRE_USER_ICMP;
	bad[2].type = WIRE_USER_CONTROL + 1;
	bad[3].src.b[7] ^= 1;
	bad[4].dst = ctlchild_config().address;
	bad[5].dst = ctlchild_config().address;
	bad[5].dst.b[15] ^= 1;
	bad[6].dst.b[0] = 0x04;
	bad[7].dst.b[0] = 0xff;
	/* CONTROL alone names a session. */
	bad[8].type = WIRE_USER_CONTROL;
	bad[9].session = 1;
	bad[10].type = WIRE_USER_HINT;
	bad[10].session = 1;
	bad[11].type = WIRE_USER_INIT - 1;
	ctlpeer_connect(&w->a, w->path);
	ctlchild_greet(&w->a);
	assert_true(put(&w->a, &good, "early", 5));
	ctlpeer_sync(&w->a);
	ctlpeer_hang_up(&w->a);
	begin(w);
	for (size_t i = 0; i < 12; i++)
		assert_true(put(&w->a, &bad[i], "bad", 3));
	ctlpeer_put(&w->a, CTL_USER_UP, &up, sizeof(up));
	/* Both workers have dealt with all before these. */
	for (uint8_t i = 2; i <= 3; i++) {
		const struct ctl_user_down last = down_to(i == 2 ? "200:2::1" : "200:3::1");

		assert_true(put(&w->a, &last, "good", 4));
		expect_up(&w->a, &last, i - 1U, "good", 4);
	}
	assert_false(ctlpeer_has_seen(&w->a, CTL_USER_UP));
	assert_int_equal(stat_of(w, STAT_user_received), 2);
	ctlchild_stop(w, &w->a);
}

/* More than a mailbox of the workers holds, in one go: in order, all of it, each way. */
static void many_at_once_arrive(void **state)
{
	struct ctlchild *w = *state;
	const struct ctl_user_down down[] = {down_to("200:2::1"), down_to("200:3::1")};
	uint8_t bytes[MANY_BYTES] = {0};
	uint32_t next[2] = {0, 1};

	begin(w);
	for (uint32_t i = 0; i < MANY; i++) {
		memcpy(bytes, &i, sizeof(i));
		assert_true(put(&w->a, &down[i % 2], bytes, sizeof(bytes)));
	}
	for (uint32_t i = 0; i < MANY; i++) {
		const struct ctlseen *s = ctlpeer_await(&w->a, CTL_USER_UP);
		struct ctl_user_up up;
		uint32_t number;

		memcpy(&up, s->body, sizeof(up));
		memcpy(&number, s->body + sizeof(up), sizeof(number));
		assert_int_equal(s->len, sizeof(up) + MANY_BYTES);
		assert_int_equal(number, next[up.link - 1]);
		next[up.link - 1] += 2;
	}
	assert_int_equal(stat_of(w, STAT_user_received), MANY);
	assert_int_equal(stat_of(w, STAT_drop_ctl_full), 0);
	ctlchild_stop(w, &w->a);
}

/* Sends what is queued, and reads nothing. */
static void flush_all(struct ctlpeer *c)
{
	struct pollfd p = {.fd = ctlsock_fd(c->s), .events = POLLOUT};

	while (ctlsock_flush(c->s) == 0 && ctlsock_wants_write(c->s))
		assert_int_equal(poll(&p, 1, 20000), 1);
}

/* controld sends and does not read: what comes up is dropped beyond its bound, and counted; the rest arrives. */
static void a_deaf_controld_loses_some(void **state)
{
	enum { COUNT = 3 * MANY };
	struct ctlchild *w = *state;
	const struct ctl_user_down down = down_to("200:2::1");
	uint8_t bytes[MANY_BYTES] = {0};
	uint64_t received;

	begin(w);
	ctlpeer_sync(&w->a);
	for (uint32_t i = 0; i < COUNT; i++) {
		if (i % 1000 == 0)
			flush_all(&w->a);
		assert_true(put(&w->a, &down, bytes, sizeof(bytes)));
	}
	flush_all(&w->a);
	while (stat_of(w, STAT_user_received) + stat_of(w, STAT_drop_ctl_full) < COUNT)
		poll(NULL, 0, 1);
	received = stat_of(w, STAT_user_received);
	assert_in_range(received, LIMIT_CTL_USER_BYTES / (MANY_BYTES + 100), COUNT - 1);
	for (uint64_t i = 0; i < received; i++)
		ctlpeer_await(&w->a, CTL_USER_UP);
	ctlpeer_sync(&w->a);
	assert_false(ctlpeer_has_seen(&w->a, CTL_USER_UP));
	ctlchild_stop(w, &w->a);
}

static void flood(struct ctlpeer *c, uint32_t count, const void *bytes, size_t len)
{
	const struct ctl_user_down down = down_to("200:2::1");

	for (uint32_t i = 0; i < count; i++) {
		if (i % 1000 == 0)
			flush_all(c);
		assert_true(put(c, &down, bytes, len));
	}
	flush_all(c);
}

static void await_all(const struct ctlchild *w, uint64_t count)
{
	while (stat_of(w, STAT_user_received) + stat_of(w, STAT_drop_ctl_full) < count)
		poll(NULL, 0, 1);
}

/* Messages leave room for handshakes. */
static void a_deaf_controld_hears_of_handshakes(void **state)
{
	enum { LONG = 3 * MANY, SHORT = 1000 };
	static const uint8_t bytes[MANY_BYTES], init[136];
	struct ctlchild *w = *state;
	struct ctl_user_down down = down_to("200:2::1");
	uint64_t received;

	begin(w);
	ctlpeer_sync(&w->a);
	flood(&w->a, LONG, bytes, sizeof(bytes));
	flood(&w->a, SHORT, bytes, 1);
	await_all(w, LONG + SHORT);
	received = stat_of(w, STAT_user_received);
	assert_in_range(received, 1, LONG + SHORT - 1);
	down.type = WIRE_USER_INIT;
	assert_true(put(&w->a, &down, init, sizeof(init)));
	flush_all(&w->a);
	await_all(w, LONG + SHORT + 1);
	assert_int_equal(stat_of(w, STAT_user_received), received + 1);
	for (uint64_t i = 0; i < received; i++)
		ctlpeer_await(&w->a, CTL_USER_UP);
	expect_up(&w->a, &down, 1, init, sizeof(init));
	ctlchild_stop(w, &w->a);
}

static void without_controld_it_is_counted(void **state)
{
	struct ctlchild *w = *state;
	const struct ctl_user_down down = down_to("200:2::1");

	begin(w);
	assert_true(put(&w->a, &down, (const uint8_t[]){CTLCHILD_GATE}, 1));
	ctlpeer_sync(&w->a);
	/* The PONG may have overtaken what was put before the PING. */
	ctlpeer_sync(&w->a);
	ctlpeer_hang_up(&w->a);
	ctlpeer_connect(&w->b, w->path);
	ctlpeer_sync(&w->b);
	assert_int_equal(stat_of(w, STAT_drop_ctl_full), 0);
	ctlchild_open_gate(w);
	while (stat_of(w, STAT_drop_ctl_full) < 1)
		ctlpeer_sync(&w->b);
	assert_int_equal(stat_of(w, STAT_user_received), 0);
	ctlchild_stop(w, &w->b);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_worker_of_the_route_gets_it), CASE(what_makes_sessions_goes_the_same_way),
		CASE(what_does_not_fit_is_refused),    CASE(many_at_once_arrive),
		CASE(a_deaf_controld_loses_some),      CASE(a_deaf_controld_hears_of_handshakes),
		CASE(without_controld_it_is_counted),
	};

	if (sodium_init() < 0)
		return 1;
	siphash_init();
	return cmocka_run_group_tests_name("control, user data", tests, NULL, NULL);
}
