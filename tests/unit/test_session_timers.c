/* SPDX-License-Identifier: Apache-2.0 */
/* When INITs go out: first contact, known peers, rekeying, silence; when they do not; how many are pending. */
#include "tests/unit/test_session.h"

enum { TIMES_MAX = 512, STRANGER = 2 };

struct times {
	int64_t ms[TIMES_MAX]; /* since the first */
	size_t count;
};

/* When INITs were said, since place. */
static struct times inits_since(const struct world *w, size_t place)
{
	struct times out = {0};
	struct mono first = MONO_NEVER;

	for (size_t i = place; i < w->said_count; i++) {
		if (w->said[i].out.type != SESSION_INIT)
			continue;
		first = mono_min(first, w->said[i].at);
		assert_true(out.count < TIMES_MAX);
		out.ms[out.count++] = mono_since_ms(w->said[i].at, first);
	}
	return out;
}

/* Data without a session, every second. */
static void want_for(struct world *w, const struct pubkey *pk, int seconds)
{
	for (int i = 0; i < seconds; i++) {
		session_want(w->c, pk, w->t);
		pass_ms(w, 1000);
	}
}

/* Data in the session, every second. */
static void use_for(struct world *w, uint32_t index, int seconds, bool sealed, bool opened)
{
	for (int i = 0; i < seconds; i++) {
		report(w, index, sealed, opened);
		pass_ms(w, 1000);
	}
}

static void test_first_contact(void **state)
{
	static const int64_t first[] = {0, 1000, 5000, 30000};
	struct world *w = world_default();
	const struct node n = node_of(STRANGER);
	struct times t;
	bool differ = false;

	(void)state;
	want_for(w, &n.pk, 8000);
	t = inits_since(w, 0);
	assert_in_range(t.count, 4 + 8000 / 720 - 1, 4 + 8000 / 480);
	for (int i = 0; i < 4; i++)
		assert_int_equal(t.ms[i], first[i]);
	for (size_t i = 4; i < t.count; i++) {
		assert_in_range(t.ms[i] - t.ms[i - 1], 480000, 720000);
		differ |= t.ms[i] - t.ms[i - 1] != t.ms[4] - t.ms[3];
	}
	assert_true(differ);
	assert_int_equal(session_policy(w->c, &n.pk, w->t).way, SESSION_BY_STATIC);
	world_free(w);
}

/* One packet is worth 30 s of trying; and what comes later does not begin anew with an old node. */
static void test_no_data(void **state)
{
	struct world *w = world_default();
	const struct node n = node_of(STRANGER);
	struct times t;

	(void)state;
	session_want(w->c, &n.pk, w->t);
	pass_ms(w, 100000);
	assert_int_equal(inits_since(w, 0).count, 4);
	session_want(w->c, &n.pk, w->t);
	pass_ms(w, 5000000);
	assert_int_equal(inits_since(w, 0).count, 4);
	assert_int_equal(w->due.us, MONO_NEVER.us);
	session_want(w->c, &n.pk, w->t);
	session_want(w->c, &n.pk, w->t);
	t = inits_since(w, 0);
	assert_int_equal(t.count, 5);
	assert_int_equal(t.ms[4], 5100000);
	pass_ms(w, 1000000);
	assert_int_equal(inits_since(w, 0).count, 5);
	world_free(w);
}

static void test_known(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	struct times t;

	(void)state;
	(void)far_session(w, &f);
	pass_ms(w, 301000);
	assert_true(was_told(w, SESSION_ENDED));
	w->said_count = 0;
	want_for(w, &f.n.pk, 300);
	t = inits_since(w, 0);
	assert_int_equal(t.ms[1], 1000);
	assert_int_equal(t.ms[2], 5000);
	for (size_t i = 3; i < t.count; i++) {
		const int64_t gap = t.ms[i] - t.ms[i - 1];

		if (t.ms[i - 1] < 90000)
			assert_in_range(gap, 5000, 6000);
		else
			assert_int_equal(gap, 30000);
	}
	assert_in_range(t.count, 3 + 14 + 6, 3 + 18 + 8);
	/* Without data no more; with it, a new series. */
	w->said_count = 0;
	pass_ms(w, 100000);
	assert_in_range(w->said_count, 0, 2);
	w->said_count = 0;
	want_for(w, &f.n.pk, 6);
	t = inits_since(w, 0);
	assert_int_equal(t.count, 3);
	assert_int_equal(t.ms[1], 1000);
	assert_int_equal(t.ms[2], 5000);
	world_free(w);
}

/* A live session is renewed in haste though there was no room for its pin. */
static void test_known_unpinned(void **state)
{
	const struct node old = node_of(9);
	const struct session_pin pin = {
		.pk = old.pk, .net64 = ip6_net64(&old.address), .first_ns = 0, .last_ns = REAL_NS};
	struct world *w = world_new();
	struct far f = far_of(w, 2);
	struct times t;
	uint32_t index;

	(void)state;
	w->config.limits.pins = 1;
	world_start(w);
	assert_true(session_found_pin(w->c, &pin, w->t));
	index = far_session(w, &f);
	pass_ms(w, 1000);
	use_for(w, index, 40, true, false);
	assert_int_equal(w->pin_sets, 0);
	t = inits_since(w, 0);
	assert_in_range(t.count, 6, 8);
	assert_in_range(t.ms[3], 10000, 11000);
	world_free(w);
}

/* The initiator of a key renews it at 0.8 to 1 times 120 s, the other side at 0.9 to 1 times 180 s. */
static void test_rekey(void **state)
{
	int64_t least[2] = {INT64_MAX, INT64_MAX}, most[2] = {0};

	(void)state;
	for (uint32_t round = 0; round < 40; round++) {
		struct world *w = world_default();
		const bool initiator = round % 2;
		struct far f = far_of(w, 2 + round);
		int64_t age = -w->t.now.us;
		uint32_t index;

		w->dice = round;
		index = initiator ? far_wanted_session(w, &f) : far_session(w, &f);
		w->said_count = 0;
		use_for(w, index, 95, true, true);
		assert_int_equal(said_since(w, 0, SESSION_INIT), 0);
		while (said_since(w, 0, SESSION_INIT) == 0)
			use_for(w, index, 1, true, true);
		age += w->said[w->said_count - 1].at.us;
		least[initiator] = age < least[initiator] ? age : least[initiator];
		most[initiator] = age > most[initiator] ? age : most[initiator];
		/* Answered, it moves on, and the old key stays until it is not needed. */
		(void)far_answer(w, &f);
		assert_int_equal(held_find(w, index)->key.slot, SESSION_OLD);
		pass_ms(w, 29999);
		assert_non_null(held_find(w, index));
		pass_ms(w, 2);
		assert_null(held_find(w, index));
		world_free(w);
	}
	assert_true(least[1] >= 96 * SECOND && least[1] < 104 * SECOND);
	assert_true(most[1] <= 120 * SECOND && most[1] > 112 * SECOND);
	assert_true(least[0] >= 162 * SECOND && least[0] < 168 * SECOND);
	assert_true(most[0] <= 180 * SECOND && most[0] > 174 * SECOND);
}

/* Without data in the last 30 s a key is not renewed, and ends. */
static void test_rekey_without_data(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	const uint32_t index = far_wanted_session(w, &f);

	(void)state;
	w->said_count = 0;
	use_for(w, index, 60, true, true);
	pass_ms(w, 200000);
	assert_int_equal(said_since(w, 0, SESSION_INIT), 0);
	/* Data again: at once, then in haste while there is data. */
	report(w, index, false, true);
	assert_int_equal(said_since(w, 0, SESSION_INIT), 1);
	pass_ms(w, 39000);
	assert_in_range(said_since(w, 0, SESSION_INIT), 7, 9);
	w->said_count = 0;
	pass_ms(w, 1000);
	assert_true(was_told(w, SESSION_ENDED));
	assert_int_equal(w->policy.way, SESSION_BY_NONE);
	pass_ms(w, 100000);
	assert_int_equal(said_since(w, 0, SESSION_INIT), 0);
	world_free(w);
}

static void test_rekey_worn(void **state)
{
	static const struct {
		bool initiator, worn;
		uint64_t bytes, lane_top;
	} cases[] = {
		{true, false, (UINT64_C(1) << 36) - 1, 0}, {true, true, UINT64_C(1) << 36, 0},
		{false, false, UINT64_C(1) << 36, 0},	   {false, false, (UINT64_C(1) << 37) - 1, 0},
		{false, true, UINT64_C(1) << 37, 0},	   {true, false, 0, (UINT64_C(1) << 55) - 1},
		{true, true, 0, UINT64_C(1) << 55},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_default();
		struct far f = far_of(w, 2);
		struct session_use use = {.bytes = cases[i].bytes, .lane_top = cases[i].lane_top};

		use.index = cases[i].initiator ? far_wanted_session(w, &f) : far_session(w, &f);
		w->said_count = 0;
		use.sealed = use.opened = w->t.now;
		session_use(w->c, &use, w->t);
		assert_int_equal(said_since(w, 0, SESSION_INIT), cases[i].worn);
		world_free(w);
	}
}

/* Data sent, and nothing heard in the session for 15 s. */
static void test_unanswered(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	const uint32_t index = far_session(w, &f);

	(void)state;
	pass_ms(w, 1000);
	w->said_count = 0;
	report(w, index, true, false);
	pass_ms(w, 14000);
	give_control(w, &f.n, index, CARRIER_KEEPALIVE);
	pass_ms(w, 16000);
	assert_int_equal(w->said_count, 0);
	use_for(w, index, 14, true, false);
	report(w, index, true, false);
	pass_ms(w, 999);
	assert_int_equal(w->said_count, 0);
	pass_ms(w, 1);
	(void)session_tick(w->c, w->t);
	assert_int_equal(said_since(w, 0, SESSION_INIT), 1);
	assert_int_equal(held_find(w, index)->key.slot, SESSION_SEND);
	report(w, index, true, true); /* heard again: no more */
	pass_ms(w, 10000);
	assert_int_equal(said_since(w, 0, SESSION_INIT), 1);
	world_free(w);
}

/* Data received, and nothing sent for 10 s: a KEEPALIVE, which asks for none in turn. */
static void test_keepalive(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	const uint32_t index = far_session(w, &f);

	(void)state;
	pass_ms(w, 1000);
	w->said_count = 0;
	use_for(w, index, 10, false, true);
	assert_int_equal(w->said_count, 1);
	assert_int_equal(said_last(w, SESSION_CONTROL)->bytes[0], CARRIER_KEEPALIVE);
	pass_ms(w, 50000);
	assert_int_equal(w->said_count, 1);
	report(w, index, false, true);
	pass_ms(w, 9000);
	report(w, index, true, false);
	give_control(w, &f.n, index, CARRIER_KEEPALIVE);
	pass_ms(w, 14000);
	assert_int_equal(w->said_count, 1);
	report(w, index, false, true);
	pass_ms(w, 9999);
	assert_int_equal(w->said_count, 1);
	pass_ms(w, 1);
	(void)session_tick(w->c, w->t);
	assert_int_equal(w->said_count, 2);
	assert_int_equal(session_count(w->c, SESSION_KEEPALIVES_SENT), 2);
	world_free(w);
}

static void test_pending(void **state)
{
	struct world *w = world_new();
	struct far known[2];
	struct node n[6];

	(void)state;
	w->config.limits.pending = 3;
	world_start(w);
	for (uint32_t i = 0; i < 2; i++) {
		known[i] = far_of(w, 100 + i);
		(void)far_session(w, &known[i]);
	}
	pass_ms(w, 301000);
	w->said_count = 0;
	for (uint32_t i = 0; i < 6; i++) {
		n[i] = node_of(10 + i);
		session_want(w->c, &n[i].pk, w->t);
	}
	assert_int_equal(session_load(w->c).pending, 3);
	assert_int_equal(w->said_count, 3);
	assert_int_equal(session_count(w->c, SESSION_PENDING_FULL), 3);
	/* Who was there before makes room, at the cost of the oldest stranger. */
	session_want(w->c, &known[0].n.pk, w->t);
	assert_int_equal(session_load(w->c).pending, 3);
	(void)far_answer(w, &known[0]);
	session_want(w->c, &n[0].pk, w->t); /* but not of its own accord before its time */
	assert_int_equal(said_since(w, 0, SESSION_INIT), 4);
	for (int s = 0; s < 30; s++) {
		for (uint32_t i = 0; i < 6; i++)
			session_want(w->c, &n[i].pk, w->t);
		pass_ms(w, 1000);
		assert_true(session_load(w->c).pending <= 3);
	}
	for (uint32_t i = 3; i < 6; i++) { /* all had their turn */
		bool seen = false;

		for (size_t k = 0; k < w->said_count; k++)
			seen |= pubkey_eq(&w->said[k].out.pk, &n[i].pk);
		assert_true(seen);
	}
	pass_ms(w, 700000);
	assert_int_equal(session_load(w->c).pending, 0);
	world_free(w);
}

/* No more than 256. */
static void test_pending_default(void **state)
{
	struct world *w = world_default();

	(void)state;
	for (uint32_t i = 0; i < 300; i++) {
		const struct node n = node_of(10 + i);

		session_want(w->c, &n.pk, w->t);
	}
	assert_int_equal(session_load(w->c).pending, 256);
	assert_int_equal(w->said_count, 256);
	world_free(w);
}

/* Off: nothing is begun, and what is pending is dropped; a live session runs out. */
static void test_off(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2), g = far_of(w, 3);
	const uint32_t index = far_session(w, &f);

	(void)state;
	session_want(w->c, &g.n.pk, w->t);
	far_write_resp(w, &g, said_last(w, SESSION_INIT));
	session_set_mode(w->c, SESSION_OFF, w->t);
	far_give_resp(w, &g);
	assert_int_equal(session_count(w->c, SESSION_RESP_UNASKED), 1);
	w->said_count = 0;
	use_for(w, index, 290, true, true);
	assert_int_equal(said_since(w, 0, SESSION_INIT), 0);
	assert_int_equal(session_policy(w->c, &f.n.pk, w->t).way, SESSION_BY_KEY);
	pass_ms(w, 11000);
	assert_int_equal(session_policy(w->c, &f.n.pk, w->t).way, SESSION_BY_STATIC);
	want_for(w, &f.n.pk, 50);
	assert_int_equal(said_since(w, 0, SESSION_INIT), 0);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_contact),	cmocka_unit_test(test_no_data),
		cmocka_unit_test(test_known),		cmocka_unit_test(test_known_unpinned),
		cmocka_unit_test(test_rekey),		cmocka_unit_test(test_rekey_without_data),
		cmocka_unit_test(test_rekey_worn),	cmocka_unit_test(test_unanswered),
		cmocka_unit_test(test_keepalive),	cmocka_unit_test(test_pending),
		cmocka_unit_test(test_pending_default), cmocka_unit_test(test_off),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
