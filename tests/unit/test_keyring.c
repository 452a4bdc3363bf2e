/* SPDX-License-Identifier: Apache-2.0 */
/* The life of sessions through the keyring: made, renewed, released, unpinned; across a restart of controld, the loss
 * of a fastpath, and another generation of the machine. */
#include "tests/unit/test_keyring.h"
#include <errno.h>

static struct ctl_user_up message_of(const struct side *from, uint32_t index)
{
	struct ctl_user_up u = {.src = from->self.address, .session = index};

	memcpy(u.public_key, from->self.pk.b, sizeof(u.public_key));
	return u;
}

/* One RESP, one KEEPALIVE, and both seal. */
static void test_made(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	const struct held *x, *y;

	(void)state;
	log_begin(w);
	world_begin(w);
	assert_int_equal(keyring_totals(a->k, w->t).rows, 0);
	want(a, &b->self);
	x = held_at(a, CTL_SESSION_SEND);
	y = held_at(b, CTL_SESSION_SEND);
	assert_non_null(x);
	assert_non_null(y);
	assert_memory_equal(x->key.send, y->key.receive, sizeof(x->key.send));
	assert_memory_equal(x->key.receive, y->key.send, sizeof(x->key.send));
	assert_int_equal(x->key.info.far_index, y->key.info.index);
	assert_int_equal(x->key.info.far_lanes, LIMIT_SESSION_LANES);
	assert_int_equal(x->key.info.made_us, w->t.now.us);
	assert_int_equal(x->key.info.net64, b->self.net64);
	assert_true(x->key.info.initiator && !y->key.info.initiator);
	assert_int_equal(a->policy.way, CTL_WAY_SESSION);
	assert_int_equal(a->policy.net64, b->self.net64);
	assert_memory_equal(a->policy.public_key, b->self.pk.b, sizeof(b->self.pk));
	assert_false(a->policy.refuse_static);
	assert_int_equal(b->policy.way, CTL_WAY_SESSION);
	assert_non_null(pin_at(a, b->self.net64));
	assert_int_equal(pin_at(b, a->self.net64)->first_ns, w->t.real_ns);
	assert_memory_equal(pin_at(b, a->self.net64)->public_key, a->self.pk.b, sizeof(a->self.pk));
	assert_int_equal(a->kinds[SESSION_ESTABLISHED], 1);
	assert_int_equal(b->kinds[SESSION_ESTABLISHED], 1);
	assert_int_equal(logged(w, " established pk="), 2);
	pass_ms(w, 10000);
	assert_true(a->policy.refuse_static);
	assert_int_equal(keyring_totals(a->k, w->t).rows, 1);
	assert_int_equal(keyring_count(a->k, SESSION_KEYS_MADE), 1);
	world_free(w);
}

static void test_renewed(void **state)
{
	struct world *w = world_with_session();
	struct side *a = &w->side[0], *b = &w->side[1];
	struct keyring_view v = view(a);

	(void)state;
	assert_int_equal(v.since.us, w->t.now.us);
	for (int s = 0; s < 700; s++) {
		pass_ms(w, SECOND_MS);
		talk(a, 10);
		talk(b, 1);
	}
	v = view(a);
	assert_in_range(v.renewals, 5, 8);
	assert_int_equal(a->kinds[SESSION_ESTABLISHED], 1);
	assert_int_equal(a->kinds[SESSION_RENEWED], v.renewals);
	assert_int_equal(a->kinds[SESSION_ENDED], 0);
	assert_int_equal(v.since.us, START_S * INT64_C(1000000));
	assert_int_equal(v.sealed_packets, 7000);
	assert_int_equal(v.sealed_bytes, 700000);
	assert_int_equal(v.opened_packets, 700);
	assert_int_equal(v.opened_bytes, 70000);
	v = view(b);
	assert_int_equal(v.sealed_packets, 700);
	assert_int_equal(v.opened_packets, 7000);
	assert_true(keyring_totals(a->k, w->t).rows <= 3);
	/* Nothing more passes: it ends by age, its row comes back, the count begins anew. */
	pass_ms(w, 301 * SECOND_MS);
	assert_int_equal(a->kinds[SESSION_ENDED], 1);
	assert_int_equal(view(a).since.us, MONO_NEVER.us);
	assert_int_equal(view(a).sealed_packets, 0);
	assert_int_equal(keyring_totals(a->k, w->t).rows, 0);
	assert_true(is_zero(a->lanes->row_index, sizeof(a->lanes->row_index)));
	assert_int_equal(a->policy.way, CTL_WAY_HOLD);
	assert_int_equal(keyring_totals(a->k, w->t).held, 1);
	want(a, &b->self);
	assert_int_equal(a->kinds[SESSION_ESTABLISHED], 2);
	assert_int_equal(view(a).renewals, 0);
	world_free(w);
}

/* Many bytes, or a lane that nears its end, renew before the time. */
static void test_worn(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct world *w = world_with_session();
		struct side *a = &w->side[0];
		struct held *x = held_at(a, CTL_SESSION_SEND);

		pass_ms(w, 11 * SECOND_MS);
		if (i)
			x->use.lane_end = (UINT64_C(1) << 55) + 1;
		else
			x->use.opened_bytes = (UINT64_C(1) << 36) - 100;
		talk(a, 1);
		assert_int_equal(view(a).renewals, 1);
		world_free(w);
	}
	(void)state;
}

static void test_released(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];

	(void)state;
	log_begin(w);
	world_begin(w);
	assert_int_equal(keyring_release(a->k, b->self.net64, w->t), -ENOENT);
	assert_int_equal(keyring_unpin(a->k, b->self.net64, w->t), -ENOENT);
	want(a, &b->self);
	a->users = 0;
	assert_int_equal(keyring_release(a->k, b->self.net64, w->t), 0);
	pump(w);
	assert_true(view(a).releasing);
	assert_int_equal(mode_at(a, b->self.net64)->mode, SESSION_OFF);
	/* The far side forgets at once; here the key stays until the third one has surely left. */
	assert_int_equal(b->kinds[SESSION_RELEASED], 1);
	assert_null(pin_at(b, a->self.net64));
	pass_ms(w, 2000);
	assert_int_equal(a->users, 3);
	assert_non_null(held_at(a, CTL_SESSION_SEND));
	pass_ms(w, 999);
	assert_non_null(held_at(a, CTL_SESSION_SEND));
	pass_ms(w, 1);
	assert_int_equal(held_count(a), 0);
	assert_int_equal(a->users, 3);
	assert_null(pin_at(a, b->self.net64));
	assert_int_equal(a->kinds[SESSION_RELEASED], 1);
	assert_int_equal(logged(w, " released: "), 2);
	assert_int_equal(a->policy.way, CTL_WAY_STATIC);
	assert_false(a->policy.refuse_static);
	/* The mode is off: no INIT. */
	want(a, &b->self);
	want(b, &a->self);
	assert_int_equal(held_count(a), 0);
	assert_int_equal(keyring_count(a->k, SESSION_INIT_OFF), 1);
	world_free(w);
}

static void test_release_all(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	const struct node asleep = node_of(9);
	const struct record_pin pin = {.net64 = asleep.net64, .first_ns = REAL_NS, .last_ns = REAL_NS};
	const enum session_mode require = SESSION_REQUIRE;

	(void)state;
	log_begin(w);
	told_pin_set(a, &pin);
	memcpy(a->pins[0].public_key, asleep.pk.b, sizeof(asleep.pk));
	world_begin(w);
	want(a, &b->self);
	assert_int_equal(keyring_set_mode(a->k, b->self.net64, &require, w->t), 0);
	assert_int_equal(keyring_mode(a->k), SESSION_OPPORTUNISTIC);
	assert_int_equal(keyring_release_all(a->k, w->t), 2);
	assert_int_equal(keyring_mode(a->k), SESSION_OFF);
	pass_ms(w, 91 * SECOND_MS);
	assert_int_equal(a->kinds[SESSION_RELEASED], 1);
	assert_int_equal(b->kinds[SESSION_RELEASED], 1);
	assert_int_equal(a->kinds[SESSION_UNRELEASED], 1);
	assert_int_equal(logged(w, "did not answer"), 1);
	assert_int_equal(logged(w, "sessions unpin"), 1);
	assert_null(pin_at(a, b->self.net64));
	assert_int_equal(a->policy.way, CTL_WAY_STATIC);
	/* For the day when we are back. */
	assert_int_equal(mode_at(a, b->self.net64)->mode, SESSION_REQUIRE);
	world_free(w);
}

static void test_unpinned(void **state)
{
	struct world *w = world_with_session();
	struct side *a = &w->side[0], *b = &w->side[1];

	(void)state;
	pass_ms(w, 20 * SECOND_MS);
	assert_int_equal(keyring_unpin(a->k, b->self.net64, w->t), 0);
	pump(w);
	assert_null(pin_at(a, b->self.net64));
	assert_int_equal(held_count(a), 0);
	assert_int_equal(a->policy.way, CTL_WAY_STATIC);
	assert_false(view(a).session.pinned);
	/* The far side, which is told of nothing, finds out by a HINT. */
	assert_int_equal(held_count(b), 1);
	world_free(w);
}

/* controld dies; its successor finds the keys in the fastpath. */
static void test_restarted(void **state)
{
	struct world *w = world_with_session();
	struct side *a = &w->side[0], *b = &w->side[1];
	const uint32_t index = held_at(a, CTL_SESSION_SEND)->key.info.index;
	const uint32_t row = held_at(a, CTL_SESSION_SEND)->key.info.row;
	size_t dels;

	(void)state;
	pass_ms(w, 20 * SECOND_MS);
	dels = a->dels;
	keyring_free(a->k);
	assert_int_equal(a->dels, dels);
	a->lanes->row_index[row + 1] = 99; /* of a key that never left */
	begin(a);
	ready(a);
	pump(w);
	assert_int_equal(held_at(a, CTL_SESSION_SEND)->key.info.index, index);
	assert_int_equal(a->lanes->row_index[row], index);
	assert_int_equal(a->lanes->row_index[row + 1], 0);
	assert_int_equal(a->lanes->row[row].send[0].next, 1);
	assert_int_equal(view(a).session.index[SESSION_SEND], index);
	assert_int_equal(view(a).since.us, START_S * INT64_C(1000000));
	assert_true(view(a).session.pinned);
	assert_int_equal(a->policy.way, CTL_WAY_SESSION);
	assert_true(a->policy.refuse_static);
	talk(a, 5);
	assert_int_equal(view(a).sealed_packets, 5);
	/* It is renewed as if nothing had been, under a row of its own. */
	for (int s = 0; s < 120; s++) {
		pass_ms(w, SECOND_MS);
		talk(a, 1);
		talk(b, 1);
	}
	assert_int_equal(view(a).renewals, 1);
	assert_int_not_equal(held_at(a, CTL_SESSION_SEND)->key.info.row, row);
	assert_int_equal(a->kinds[SESSION_ENDED], 0);
	world_free(w);
}

/* The packet that confirmed came while controld was away. */
static void test_restarted_unconfirmed(void **state)
{
	struct world *w = world_default();
	struct side *a = &w->side[0], *b = &w->side[1];
	struct ctl_session_want wanted = {.net64 = b->self.net64};

	(void)state;
	memcpy(wanted.public_key, b->self.pk.b, sizeof(wanted.public_key));
	record(a, CTL_SESSION_WANT, &wanted);
	while (!held_at(b, CTL_SESSION_NEXT)) {
		const struct flying f = w->flying[0];

		assert_int_equal(w->count, 1);
		w->count = 0;
		deliver(w, &f);
	}
	held_at(b, CTL_SESSION_NEXT)->key.info.confirmed = 1;
	keyring_free(b->k);
	begin(b);
	ready(b);
	pump(w);
	assert_non_null(held_at(b, CTL_SESSION_SEND));
	assert_int_equal(b->kinds[SESSION_ESTABLISHED], 1);
	assert_non_null(pin_at(b, a->self.net64));
	assert_int_equal(b->policy.way, CTL_WAY_SESSION);
	world_free(w);
}

static void test_fastpath_lost(void **state)
{
	struct world *w = world_with_session();
	struct side *a = &w->side[0], *b = &w->side[1];
	const struct ctl_user_up plain = message_of(b, 0), keyed = message_of(b, 5);
	size_t policies, users;

	(void)state;
	pass_ms(w, 20 * SECOND_MS);
	memset(a->held, 0, sizeof(a->held));
	a->dels = 0;
	policies = a->policies;
	users = a->users;
	keyring_fastpath_lost(a->k, w->t);
	assert_int_equal(a->kinds[SESSION_ENDED], 1);
	assert_true(is_zero(a->lanes->row_index, sizeof(a->lanes->row_index)));
	assert_int_equal(keyring_totals(a->k, w->t).rows, 0);
	/* Nobody listens. */
	want(a, &b->self);
	pass_ms(w, 5 * SECOND_MS);
	assert_int_equal(keyring_tick(a->k, w->t).us, MONO_NEVER.us);
	assert_int_equal(a->dels, 0);
	assert_int_equal(a->policies, policies);
	assert_int_equal(a->users, users);
	/* What was under way is judged all the same. */
	assert_false(keyring_may_take(a->k, &plain, 100, w->t));
	assert_true(keyring_may_take(a->k, &keyed, 100, w->t));
	ready(a);
	pass_ms(w, SECOND_MS);
	want(a, &b->self);
	assert_non_null(held_at(a, CTL_SESSION_SEND));
	talk(b, 1);
	world_free(w);
}

/* Raised here, or seen to be raised: every key ends, and a new one is of the new generation. */
static void test_generation(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct world *w = world_with_session();
		struct side *a = &w->side[0], *b = &w->side[1];

		pass_ms(w, 40 * SECOND_MS); /* nothing is wanted any more */
		a->dels = 0;
		if (i)
			keyring_raise_generation(a->k, w->t);
		else
			a->lanes->header.generation++;
		assert_int_equal(a->lanes->header.generation, 8);
		pump(w);
		pump(w);
		assert_int_equal(a->dels, 1);
		assert_int_equal(held_count(a), 0);
		assert_int_equal(a->kinds[SESSION_ENDED], 1);
		assert_int_equal(keyring_totals(a->k, w->t).rows, 0);
		assert_int_equal(a->policy.way, CTL_WAY_HOLD);
		want(a, &b->self);
		assert_int_equal(held_at(a, CTL_SESSION_SEND)->key.info.generation, 8);
		world_free(w);
	}
	(void)state;
}

/* Cloned before the memory of a running fastpath came: what is in it is of the time before. */
static void test_generation_early(void **state)
{
	struct world *w = world_with_session();
	struct side *a = &w->side[0], *b = &w->side[1];

	(void)state;
	keyring_free(a->k);
	begin(a);
	keyring_raise_generation(a->k, w->t);
	ready(a);
	pump(w);
	assert_int_equal(a->lanes->header.generation, 8);
	assert_int_equal(held_count(a), 0);
	want(a, &b->self);
	assert_int_equal(held_at(a, CTL_SESSION_SEND)->key.info.generation, 8);
	world_free(w);
}

/* Handshakes are made by packets: what is logged of them has a rate, whatever their number. */
static void test_log_rate(void **state)
{
	enum { TIMES = 200 };
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];

	(void)state;
	log_begin(w);
	world_begin(w);
	for (int i = 0; i < TIMES; i++) {
		/* The far side begins, says that it goes, and begins anew. */
		want(b, &a->self);
		assert_int_equal(keyring_unpin(b->k, a->self.net64, w->t), 0);
		pump(w);
		assert_int_equal(keyring_unpin(a->k, b->self.net64, w->t), 0);
		pump(w);
		w->t.now = mono_add_ms(w->t.now, SECOND_MS);
	}
	assert_int_equal(a->kinds[SESSION_ESTABLISHED], TIMES);
	assert_int_equal(a->kinds[SESSION_RELEASED], TIMES);
	assert_true(logged(w, " established pk=") > 0);
	assert_true(logged(w, " established pk=") < TIMES);
	world_free(w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_made),
		cmocka_unit_test(test_renewed),
		cmocka_unit_test(test_worn),
		cmocka_unit_test(test_released),
		cmocka_unit_test(test_release_all),
		cmocka_unit_test(test_unpinned),
		cmocka_unit_test(test_restarted),
		cmocka_unit_test(test_restarted_unconfirmed),
		cmocka_unit_test(test_fastpath_lost),
		cmocka_unit_test(test_generation),
		cmocka_unit_test(test_generation_early),
		cmocka_unit_test(test_log_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
