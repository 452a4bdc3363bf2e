/* SPDX-License-Identifier: Apache-2.0 */
/* Pins where clocks and stores cannot be trusted: a clock that is not set yet, one that jumps while a session lives, a
 * store that is lost; and that a pin begins anew after it ended. */
#include "tests/unit/test_session.h"

#define DAY_NS (86400 * NS_PER_S)
#define YEAR_NS (365 * DAY_NS)

static const struct session_pin *pin_of(const struct world *w, const struct far *f)
{
	const struct session_pin *pin = session_find_pin(w->c, ip6_net64(&f->n.address));

	assert_non_null(pin);
	return pin;
}

static void assert_policy(struct world *w, const struct far *f, enum session_way way, bool refuse_static)
{
	const struct session_policy p = session_policy(w->c, &f->n.pk, w->t);

	assert_int_equal(p.way, way);
	assert_int_equal(p.refuse_static, refuse_static);
}

/* A machine without a clock that lasts: what the store tells is not lost before the clock is set. */
static void test_clock_not_set(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	const struct session_pin stored = {.pk = f.n.pk,
					   .net64 = ip6_net64(&f.n.address),
					   .first_ns = REAL_NS - YEAR_NS,
					   .last_ns = REAL_NS - DAY_NS};
	uint32_t index;

	(void)state;
	w->t.real_ns = 20 * NS_PER_S;
	assert_true(session_found_pin(w->c, &stored, w->t));
	index = far_session(w, &f);
	pass_ms(w, 20000);
	report(w, index, false, true);
	pass_ms(w, 400000); /* it ends */
	assert_policy(w, &f, SESSION_BY_NONE, true);
	assert_memory_equal(pin_of(w, &f), &stored, sizeof(stored));
	assert_int_equal(w->pin_sets, 0);
	/* Now the clock is set. */
	w->t.real_ns = REAL_NS;
	assert_policy(w, &f, SESSION_BY_NONE, true);
	stamp_at(&f, w->t.real_ns + 1);
	(void)far_session(w, &f);
	assert_int_equal(pin_of(w, &f)->first_ns, stored.first_ns);
	assert_int_equal(pin_of(w, &f)->last_ns, REAL_NS);
	assert_int_equal(w->pin_sets, 1);
	world_free(w);
}

/* The clock goes back in our own life: the pin goes with it and has lived as long as before. */
static void test_clock_back(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	const struct session_pin stored = {.pk = f.n.pk,
					   .net64 = ip6_net64(&f.n.address),
					   .first_ns = REAL_NS - 10 * DAY_NS,
					   .last_ns = REAL_NS - DAY_NS};
	uint32_t index;

	(void)state;
	assert_true(session_found_pin(w->c, &stored, w->t));
	index = far_session(w, &f);
	w->t.real_ns -= YEAR_NS;
	pass_ms(w, 1000);
	report(w, index, false, true);
	assert_int_equal(pin_of(w, &f)->last_ns, w->t.real_ns);
	assert_int_equal(pin_of(w, &f)->first_ns, w->t.real_ns - 10 * DAY_NS);
	assert_int_equal(w->pin.last_ns, w->t.real_ns); /* the store knows */
	/* To where there was no time before. */
	w->t.real_ns = DAY_NS;
	pass_ms(w, 1000);
	report(w, index, false, true);
	assert_int_equal(pin_of(w, &f)->first_ns, 0);
	world_free(w);
}

/* It goes forth by more than a pin lives, between two packets of a session. */
static void test_clock_forth(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);

	(void)state;
	(void)far_session(w, &f);
	pass_ms(w, 11000);
	w->t.real_ns += YEAR_NS;
	assert_policy(w, &f, SESSION_BY_KEY, true);
	assert_false(session_static(w->c, &f.n.pk, 100, w->t));
	world_free(w);
}

/* A pin that ended is not continued by the next one: a day's trial costs a day. */
static void test_new_trial(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	int64_t first;

	(void)state;
	(void)far_session(w, &f);
	pass_ms(w, 400000);
	w->t.real_ns += 100 * DAY_NS;
	assert_policy(w, &f, SESSION_BY_STATIC, false);
	first = w->t.real_ns;
	stamp_at(&f, first);
	(void)far_session(w, &f);
	assert_int_equal(pin_of(w, &f)->first_ns, first);
	pass_ms(w, 1000);
	give_control(w, &f.n, f.choice.sender, CARRIER_KEEPALIVE);
	assert_int_equal(pin_of(w, &f)->first_ns, first);
	assert_int_equal(pin_of(w, &f)->last_ns, first + NS_PER_S);
	world_free(w);
}

/* The store lost its pins: a session that is found was confirmed, so its peer is pinned. One that is not yet is not. */
static void test_adopted_without_pin(void **state)
{
	for (int slot = SESSION_SEND; slot < SESSION_SLOTS; slot++) {
		struct world *w = world_default();
		struct far f = far_of(w, 2);
		struct session_key key = held_find(w, far_session(w, &f))->key;

		key.slot = (enum session_slot)slot;
		pass_ms(w, 12000);
		world_start(w);
		w->pin_sets = 0;
		w->keys[0].live = true;
		w->keys[0].key.slot = key.slot;
		assert_true(session_found_key(w->c, &key, w->t));
		assert_int_equal(w->pin_sets, slot != SESSION_NEXT);
		assert_policy(w, &f,
			      slot == SESSION_SEND   ? SESSION_BY_KEY
			      : slot == SESSION_NEXT ? SESSION_BY_STATIC
						     : SESSION_BY_NONE,
			      slot != SESSION_NEXT);
		world_free(w);
	}
	(void)state;
}

/* But not where there are to be no sessions, and not again where the store knew it. */
static void test_adopted_off(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct world *w = world_default();
		struct far f = far_of(w, 2);
		const struct session_key key = held_find(w, far_session(w, &f))->key;
		const struct session_pin pin = w->pin;

		pass_ms(w, 12000);
		w->config.mode = i ? SESSION_OFF : SESSION_OPPORTUNISTIC;
		world_start(w);
		w->pin_sets = 0;
		w->keys[0].live = true;
		if (!i)
			assert_true(session_found_pin(w->c, &pin, w->t));
		assert_true(session_found_key(w->c, &key, w->t));
		assert_int_equal(w->pin_sets, 0);
		assert_policy(w, &f, SESSION_BY_KEY, !i);
		world_free(w);
	}
	(void)state;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock_not_set),	    cmocka_unit_test(test_clock_back),
		cmocka_unit_test(test_clock_forth),	    cmocka_unit_test(test_new_trial),
		cmocka_unit_test(test_adopted_without_pin), cmocka_unit_test(test_adopted_off),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
