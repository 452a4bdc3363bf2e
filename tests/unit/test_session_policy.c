/* SPDX-License-Identifier: Apache-2.0 */
/* How to talk with a peer: by which key, and whether static packets may come; pins, their lives and their cap; release
 * and unpinning; hints for what nobody opens. */
#include "tests/unit/test_session.h"
#include <errno.h>

enum { HOUR_S = 3600, DAY_S = 86400 };

static void assert_policy(struct world *w, const struct pubkey *pk, enum session_way way, bool refuse_static)
{
	const struct session_policy p = session_policy(w->c, pk, w->t);

	assert_int_equal(p.way, way);
	assert_int_equal(p.refuse_static, refuse_static);
}

/* Told when it changes, and as it is asked. */
static void test_policy(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);

	(void)state;
	assert_policy(w, &f.n.pk, SESSION_BY_STATIC, false);
	(void)far_session(w, &f);
	assert_policy(w, &f.n.pk, SESSION_BY_KEY, false); /* static packets may be under way */
	assert_int_equal(w->policy.way, SESSION_BY_KEY);
	assert_true(session_static(w->c, &f.n.pk, 100, w->t));
	pass_ms(w, 9999);
	assert_true(session_static(w->c, &f.n.pk, 100, w->t));
	pass_ms(w, 1);
	(void)session_tick(w->c, w->t);
	assert_policy(w, &f.n.pk, SESSION_BY_KEY, true);
	assert_true(w->policy.refuse_static);
	assert_false(session_static(w->c, &f.n.pk, 100, w->t));
	pass_ms(w, 291000);
	assert_policy(w, &f.n.pk, SESSION_BY_NONE, true);
	assert_int_equal(w->policy.way, SESSION_BY_NONE);
	/* An hour after the last packet, told within a minute. */
	w->t.real_ns = w->pin.last_ns + HOUR_S * NS_PER_S;
	assert_policy(w, &f.n.pk, SESSION_BY_NONE, true);
	w->t.real_ns++;
	assert_policy(w, &f.n.pk, SESSION_BY_STATIC, false);
	pass_ms(w, 60000);
	assert_int_equal(w->policy.way, SESSION_BY_STATIC);
	assert_false(w->policy.refuse_static);
	world_free(w);
}

/* A handshake that was renewed gives no new grace. */
static void test_grace_once(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);

	(void)state;
	(void)far_session(w, &f);
	pass_ms(w, 11000);
	stamp_at(&f, w->t.real_ns);
	(void)far_session(w, &f);
	assert_policy(w, &f.n.pk, SESSION_BY_KEY, true);
	world_free(w);
}

/* Refused static packets are counted, alarmed once a second, and answered by what sends. */
static void test_static(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);

	(void)state;
	(void)far_session(w, &f);
	pass_ms(w, 20000);
	w->said_count = 0;
	w->event_count = 0;
	for (int i = 0; i < 30; i++) {
		assert_false(session_static(w->c, &f.n.pk, 48, w->t));
		pass_ms(w, 100);
	}
	assert_int_equal(session_count(w->c, SESSION_STATIC_REFUSED), 30);
	assert_int_equal(w->event_count, 3);
	assert_true(was_told(w, SESSION_DOWNGRADE));
	assert_int_equal(w->said_count, 3);
	assert_int_equal(said_since(w, 0, SESSION_CONTROL), 3);
	/* A KEEPALIVE is never longer than what it answers. */
	pass_ms(w, 1000);
	assert_false(session_static(w->c, &f.n.pk, CARRIER_CONTROL_BYTES - 1, w->t));
	assert_int_equal(w->said_count, 3);
	/* Nothing live: an INIT, as its timers allow. */
	pass_ms(w, 300000);
	assert_false(session_static(w->c, &f.n.pk, 48, w->t));
	assert_false(session_static(w->c, &f.n.pk, 48, w->t));
	assert_int_equal(said_since(w, 0, SESSION_INIT), 1);
	assert_int_equal(said_since(w, 3, SESSION_CONTROL), 0);
	world_free(w);
}

static void test_require(void **state)
{
	const struct session_setting lax = {.has_mode = true, .mode = SESSION_OPPORTUNISTIC},
				     off = {.has_mode = true, .mode = SESSION_OFF};
	static const struct session_psk network = {{7}};
	struct world *w = world_new();
	struct far f = far_of(w, 2);

	(void)state;
	w->config.mode = SESSION_REQUIRE;
	world_start(w);
	assert_policy(w, &f.n.pk, SESSION_BY_NONE, true);
	assert_false(session_static(w->c, &f.n.pk, 48, w->t));
	(void)far_answer(w, &f);
	assert_policy(w, &f.n.pk, SESSION_BY_KEY, true); /* no grace */
	f = far_of(w, 3);
	assert_int_equal(session_set_peer(w->c, &f.n.pk, &lax, w->t), 0);
	assert_policy(w, &f.n.pk, SESSION_BY_STATIC, false);
	assert_int_equal(session_set_peer(w->c, &f.n.pk, &off, w->t), 0);
	assert_policy(w, &f.n.pk, SESSION_BY_STATIC, false);
	assert_int_equal(session_set_peer(w->c, &f.n.pk, NULL, w->t), 0);
	assert_policy(w, &f.n.pk, SESSION_BY_NONE, true);
	assert_int_equal(w->policy.way, SESSION_BY_NONE);
	/* A network key means require, whatever is said. */
	for (int mode = SESSION_OFF; mode <= SESSION_REQUIRE; mode++) {
		w->config.mode = (enum session_mode)mode;
		w->config.network_keys = &network;
		w->config.network_key_count = 1;
		world_start(w);
		assert_policy(w, &f.n.pk, SESSION_BY_NONE, true);
		assert_int_equal(session_set_peer(w->c, &f.n.pk, &lax, w->t), 0);
		assert_policy(w, &f.n.pk, SESSION_BY_NONE, true);
	}
	world_free(w);
}

static void take_pin(void *ctx, const struct session_pin *pin)
{
	*(struct session_pin *)ctx = *pin;
}

/* Mode off: whatever is pinned, the static key is used again; and no packet prolongs a pin. */
static void test_off(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	struct session_pin pin;

	(void)state;
	(void)far_session(w, &f);
	pass_ms(w, 20000);
	session_set_mode(w->c, SESSION_OFF, w->t);
	assert_policy(w, &f.n.pk, SESSION_BY_KEY, false);
	report(w, f.choice.sender, false, true);
	session_each_pin(w->c, take_pin, &pin);
	assert_int_equal(pin.last_ns, REAL_NS);
	pass_ms(w, 300000);
	assert_policy(w, &f.n.pk, SESSION_BY_STATIC, false);
	assert_int_equal(w->policy.way, SESSION_BY_STATIC);
	session_set_mode(w->c, SESSION_OPPORTUNISTIC, w->t);
	assert_policy(w, &f.n.pk, SESSION_BY_NONE, true);
	world_free(w);
}

/* A pin holds as long again as it lived, between an hour and thirty days; the store hears of it every five minutes. */
static void test_pin_life(void **state)
{
	static const struct {
		int64_t lived_s, holds_s;
	} cases[] = {
		{0, HOUR_S},
		{HOUR_S - 1, HOUR_S},
		{HOUR_S + 1, HOUR_S + 1},
		{2 * DAY_S, 2 * DAY_S},
		{30 * DAY_S, 30 * DAY_S},
		{31 * DAY_S, 30 * DAY_S},
		{900 * DAY_S, 30 * DAY_S},
	};
	struct world *w = world_default();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct node n = node_of(50 + (uint32_t)i);
		const struct session_pin pin = {.pk = n.pk,
						.net64 = ip6_net64(&n.address),
						.first_ns = REAL_NS,
						.last_ns = REAL_NS + cases[i].lived_s * NS_PER_S};

		w->t.real_ns = pin.last_ns;
		assert_true(session_found_pin(w->c, &pin, w->t));
		w->t.real_ns += cases[i].holds_s * NS_PER_S;
		assert_policy(w, &n.pk, SESSION_BY_NONE, true);
		w->t.real_ns++;
		assert_policy(w, &n.pk, SESSION_BY_STATIC, false);
		w->t.real_ns -= 2000 * DAY_S * NS_PER_S; /* the clock was wrong */
		assert_policy(w, &n.pk, SESSION_BY_NONE, true);
	}
	world_free(w);
}

static void test_pin_touch(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	const uint32_t index = far_session(w, &f);

	(void)state;
	assert_int_equal(w->pin.first_ns, REAL_NS);
	assert_int_equal(w->pin.last_ns, REAL_NS);
	pass_ms(w, 299000);
	report(w, index, true, false);
	assert_int_equal(w->pin_sets, 1);
	stamp_at(&f, w->t.real_ns);
	(void)far_session(w, &f);
	pass_ms(w, 1000);
	give_control(w, &f.n, f.choice.sender, CARRIER_KEEPALIVE);
	assert_int_equal(w->pin_sets, 2);
	assert_int_equal(w->pin.first_ns, REAL_NS);
	assert_int_equal(w->pin.last_ns, w->t.real_ns);
	/* The clock goes back by years, and forth by more: a session keeps its pin. */
	for (int i = 0; i < 2; i++) {
		w->t.real_ns += i ? 9000 * DAY_S * NS_PER_S : -3000 * DAY_S * NS_PER_S;
		pass_ms(w, 1000);
		report(w, f.choice.sender, false, true);
		assert_policy(w, &f.n.pk, SESSION_BY_KEY, true);
		assert_int_equal(w->pin.last_ns, w->t.real_ns);
		assert_true(w->pin.first_ns <= w->pin.last_ns);
	}
	world_free(w);
}

static void load_pins(struct world *w, uint32_t first, uint32_t count, int64_t lived_s)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct node n = node_of(first + i);
		const struct session_pin pin = {.pk = n.pk,
						.net64 = ip6_net64(&n.address),
						.first_ns = REAL_NS - (lived_s + i) * NS_PER_S,
						.last_ns = REAL_NS};

		assert_true(session_found_pin(w->c, &pin, w->t));
	}
}

/* Full: what ended goes first, then the shortest-lived; new ones push out no older one. */
static void test_pins_full(void **state)
{
	const struct node shortest = node_of(100), second = node_of(101);
	struct world *w = world_new();
	struct far f;
	uint32_t index;

	(void)state;
	w->config.limits.pins = 8;
	world_start(w);
	load_pins(w, 100, 8, 100);
	f = far_of(w, 2);
	index = far_session(w, &f);
	assert_int_equal(w->pin_sets, 0);
	assert_int_equal(session_count(w->c, SESSION_PINS_FULL), 1);
	assert_policy(w, &f.n.pk, SESSION_BY_KEY, false);
	/* With the time of its session it comes to its place, at the cost of the shortest. */
	pass_ms(w, 99000);
	report(w, index, false, true);
	assert_int_equal(w->pin_sets, 0);
	pass_ms(w, 1000);
	report(w, index, false, true);
	assert_int_equal(w->pin_sets, 1);
	assert_int_equal(w->pin_dels, 1);
	assert_int_equal(session_load(w->c).pins, 8);
	assert_policy(w, &shortest.pk, SESSION_BY_STATIC, false);
	assert_policy(w, &second.pk, SESSION_BY_NONE, true);
	/* After an hour without packets all have ended. */
	w->t.real_ns += 2 * HOUR_S * NS_PER_S;
	f = far_of(w, 3);
	(void)far_session(w, &f);
	assert_int_equal(w->pin_sets, 2);
	assert_int_equal(session_load(w->c).pins, 8);
	world_free(w);
}

static void test_pins_refused(void **state)
{
	struct world *w = world_default();
	const struct node n = node_of(2);
	const struct session_pin good = {.pk = n.pk, .net64 = ip6_net64(&n.address), .first_ns = 1, .last_ns = 2};
	struct session_pin bad[4] = {good, good, good, good};

	(void)state;
	bad[0].net64++;
	bad[1].first_ns = 3;
	bad[2].first_ns = -1;
	bad[3].last_ns = INT64_MAX;
	for (int i = 0; i < 4; i++)
		assert_false(session_found_pin(w->c, &bad[i], w->t));
	assert_true(session_found_pin(w->c, &good, w->t));
	world_free(w);
}

static void test_unpin(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2), g = far_of(w, 3);
	const uint32_t index = far_session(w, &f);
	const uint64_t net64 = ip6_net64(&f.n.address);
	struct session_pin pin = w->pin;

	(void)state;
	assert_false(session_unpin(w->c, ip6_net64(&g.n.address), w->t));
	assert_true(session_unpin(w->c, net64, w->t));
	assert_null(held_find(w, index));
	assert_int_equal(w->pin_dels, 1);
	assert_int_equal(w->policy.way, SESSION_BY_STATIC);
	assert_policy(w, &f.n.pk, SESSION_BY_STATIC, false);
	assert_false(session_unpin(w->c, net64, w->t));
	/* Without an entry fastpath is told all the same. */
	world_start(w);
	assert_true(session_found_pin(w->c, &pin, w->t));
	w->policy_count = 0;
	assert_true(session_unpin(w->c, net64, w->t));
	assert_int_equal(w->policy_count, 1);
	assert_true(pubkey_eq(&w->policy_pk, &f.n.pk));
	assert_int_equal(w->policy.way, SESSION_BY_STATIC);
	world_free(w);
}

/* Told thrice, a second apart; a second later pin and session are gone. No INIT is answered meanwhile. */
static void test_release(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2), g = far_of(w, 3);
	const uint32_t index = far_session(w, &f);

	(void)state;
	assert_int_equal(session_release(w->c, &g.n.pk, w->t), -ENOENT);
	w->said_count = 0;
	assert_int_equal(session_release(w->c, &f.n.pk, w->t), 0);
	assert_int_equal(session_release(w->c, &f.n.pk, w->t), 0);
	stamp_at(&f, w->t.real_ns + 1);
	far_give_init(w, &f);
	assert_int_equal(session_count(w->c, SESSION_INIT_OFF), 1);
	pass_ms(w, 1999);
	assert_int_equal(w->said_count, 2);
	assert_non_null(held_find(w, index));
	pass_ms(w, 1);
	(void)session_tick(w->c, w->t);
	assert_int_equal(w->said_count, 3);
	assert_non_null(held_find(w, index)); /* what was said last is surely sealed */
	pass_ms(w, 999);
	assert_non_null(held_find(w, index));
	pass_ms(w, 1);
	(void)session_tick(w->c, w->t);
	assert_int_equal(w->said_count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(w->said[i].out.index, index);
		assert_int_equal(w->said[i].bytes[0], CARRIER_RELEASE);
		assert_int_equal(mono_since_ms(w->said[i].at, w->said[0].at), 1000 * i);
	}
	assert_null(held_find(w, index));
	assert_int_equal(w->pin_dels, 1);
	assert_true(was_told(w, SESSION_RELEASED));
	assert_policy(w, &f.n.pk, SESSION_BY_STATIC, false);
	(void)far_session(w, &f); /* the mode is not off: it may begin anew */
	pass_ms(w, 20000);
	assert_policy(w, &f.n.pk, SESSION_BY_KEY, true);
	world_free(w);
}

/* Where no session lives one is made for it, though the mode is off; or it is given up. */
static void test_release_asleep(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);

	(void)state;
	(void)far_session(w, &f);
	pass_ms(w, 301000);
	session_set_mode(w->c, SESSION_OFF, w->t);
	w->said_count = 0;
	assert_int_equal(session_release(w->c, &f.n.pk, w->t), 0);
	pass_ms(w, 91000);
	assert_true(was_told(w, SESSION_UNRELEASED));
	assert_int_equal(session_load(w->c).pins, 1);
	assert_in_range(w->said_count, 15, 20);
	w->said_count = 0;
	pass_ms(w, 100000);
	assert_int_equal(w->said_count, 0);
	assert_int_equal(session_release(w->c, &f.n.pk, w->t), 0);
	(void)far_answer(w, &f);
	pass_ms(w, 2999);
	assert_false(was_told(w, SESSION_RELEASED));
	pass_ms(w, 1);
	(void)session_tick(w->c, w->t);
	assert_true(was_told(w, SESSION_RELEASED));
	assert_int_equal(session_load(w->c).pins, 0);
	assert_int_equal(said_since(w, 0, SESSION_CONTROL), 4);
	world_free(w);
}

static void test_released_by_far(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	const uint32_t index = far_session(w, &f);

	(void)state;
	pass_ms(w, 20000);
	give_control(w, &f.n, index, CARRIER_RELEASE);
	assert_null(held_find(w, index));
	assert_true(was_told(w, SESSION_RELEASED));
	assert_int_equal(session_load(w->c).pins, 0);
	assert_true(session_static(w->c, &f.n.pk, 48, w->t));
	assert_int_equal(w->policy.way, SESSION_BY_STATIC);
	world_free(w);
}

/* One HINT a second per peer, a thousand in all, none longer than what it answers, none where the mode is off. */
static void test_stray(void **state)
{
	struct world *w = world_default();
	const struct node n = node_of(2);

	(void)state;
	session_stray(w->c, &n.pk, 77, 35, w->t);
	assert_int_equal(w->said_count, 0);
	for (int i = 0; i < 20; i++) {
		session_stray(w->c, &n.pk, 77, 36, w->t);
		pass_ms(w, 100);
	}
	assert_int_equal(w->said_count, 2);
	assert_int_equal(said_last(w, SESSION_HINT)->out.len, CARRIER_HINT_BYTES);
	assert_int_equal(said_last(w, SESSION_HINT)->out.index, 0);
	assert_int_equal(said_last(w, SESSION_HINT)->bytes[3], 77);
	w->said_count = 0;
	for (uint32_t i = 0; i < 1100; i++) {
		const struct node other = node_of(100 + i);

		session_stray(w->c, &other.pk, 77, 1000, w->t);
	}
	assert_int_equal(w->said_count, 1000);
	assert_int_equal(session_count(w->c, SESSION_HINTS_SENT), 1002);
	pass_ms(w, 2000);
	session_set_mode(w->c, SESSION_OFF, w->t);
	session_stray(w->c, &n.pk, 77, 36, w->t);
	assert_int_equal(w->said_count, 1000);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policy),
		cmocka_unit_test(test_grace_once),
		cmocka_unit_test(test_static),
		cmocka_unit_test(test_require),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_pin_life),
		cmocka_unit_test(test_pin_touch),
		cmocka_unit_test(test_pins_full),
		cmocka_unit_test(test_pins_refused),
		cmocka_unit_test(test_unpin),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_release_asleep),
		cmocka_unit_test(test_released_by_far),
		cmocka_unit_test(test_stray),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
