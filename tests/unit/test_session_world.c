/* SPDX-License-Identifier: Apache-2.0 */
/* What the world tells a session core about its keys: lost ones, no room for more, a second key that is announced, an
 * index that is known; and what it may look up. */
#include "tests/unit/test_session.h"

/* A key of the responder that is lost before it is confirmed: nothing else moves. */
static void test_next_lost(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	const uint32_t index = far_session(w, &f);
	uint32_t next;

	(void)state;
	stamp_at(&f, w->t.real_ns + 1);
	far_give_init(w, &f);
	next = held_at(w, &f.n.pk, SESSION_NEXT)->key.index;
	w->event_count = 0;
	session_key_lost(w->c, next, w->t);
	assert_null(held_find(w, next));
	assert_int_equal(session_load(w->c).unconfirmed, 0);
	assert_int_equal(held_at(w, &f.n.pk, SESSION_SEND)->key.index, index);
	assert_int_equal(w->event_count, 0);
	session_key_lost(w->c, next, w->t);
	session_key_lost(w->c, 0, w->t);
	world_free(w);
}

/* The key that seals is lost: it ended. Soon after it was made the next one waits. */
static void test_send_lost(void **state)
{
	static const struct {
		int64_t age_ms;
		int64_t waits_ms;
	} cases[] = {{0, 30000}, {29999, 1}, {30000, 0}, {200000, 0}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_default();
		struct far f = far_of(w, 2);
		const uint32_t index = far_session(w, &f);

		pass_ms(w, cases[i].age_ms);
		w->said_count = 0;
		session_key_lost(w->c, index, w->t);
		assert_null(held_find(w, index));
		assert_true(was_told(w, SESSION_ENDED));
		assert_int_equal(w->policy.way, SESSION_BY_NONE);
		session_want(w->c, &f.n.pk, w->t);
		if (cases[i].waits_ms) {
			pass_ms(w, cases[i].waits_ms - 1);
			session_want(w->c, &f.n.pk, w->t);
			assert_int_equal(w->said_count, 0);
			pass_ms(w, 1);
			(void)session_tick(w->c, w->t);
		}
		assert_int_equal(w->said_count, 1);
		assert_int_equal(said_since(w, 0, SESSION_INIT), 1);
		world_free(w);
	}
	(void)state;
}

/* The index of an INIT that waits names no key. */
static void test_pending_is_no_key(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	uint32_t index;

	(void)state;
	session_want(w->c, &f.n.pk, w->t);
	memcpy(&index, said_last(w, SESSION_INIT)->bytes, sizeof(index));
	session_key_lost(w->c, __builtin_bswap32(index), w->t);
	assert_int_equal(session_load(w->c).pending, 1);
	world_free(w);
}

/* All keys end, because the machine was cloned: its twin waits with the same ephemeral, so that what is pending is not
 * to become a key, which both would seal with. */
static void test_pending_lost(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	const uint32_t index = far_session(w, &f);

	(void)state;
	pass_ms(w, 170000); /* a session that is to be renewed: nobody asked for it lately */
	report(w, index, true, true);
	pass_ms(w, 10000);
	(void)session_tick(w->c, w->t);
	far_write_resp(w, &f, &w->said[w->said_count - 1]);
	session_keys_lost(w->c, w->t);
	assert_int_equal(session_load(w->c).pending, 0);
	far_give_resp(w, &f);
	assert_int_equal(w->key_count, 1);
	assert_int_equal(session_count(w->c, SESSION_RESP_UNASKED), 1);
	(void)far_wanted_session(w, &f); /* one that is begun afterwards */
	world_free(w);
}

/* No INIT and no RESP that would make a key which nobody can take; what waits is not given up. */
static void test_no_room(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2), g = far_of(w, 3);

	(void)state;
	w->full = true;
	session_want(w->c, &f.n.pk, w->t);
	assert_int_equal(w->said_count, 0);
	assert_false(w->asked_known);
	assert_int_equal(session_count(w->c, SESSION_PENDING_FULL), 1);
	stamp_at(&g, w->t.real_ns + 1);
	far_give_init(w, &g);
	assert_int_equal(w->said_count, 0);
	assert_int_equal(session_count(w->c, SESSION_INIT_FULL), 1);
	/* It is tried again in a second. */
	w->full = false;
	pass_ms(w, 1000);
	(void)session_tick(w->c, w->t);
	assert_int_equal(said_since(w, 0, SESSION_INIT), 1);
	w->full = true;
	pass_ms(w, 1000);
	(void)session_tick(w->c, w->t);
	assert_int_equal(session_load(w->c).pending, 1);
	w->full = false;
	(void)far_session(w, &g);
	pass_ms(w, 100000);
	stamp_at(&g, w->t.real_ns);
	w->full = true;
	far_give_init(w, &g);
	assert_true(w->asked_known);
	assert_int_equal(session_count(w->c, SESSION_INIT_FULL), 2);
	assert_null(held_at(w, &g.n.pk, SESSION_NEXT));
	world_free(w);
}

/* HINT is for an index that is not ours. */
static void test_stray_known(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2), g = far_of(w, 3);
	const uint32_t index = far_session(w, &f);

	(void)state;
	w->said_count = 0;
	session_stray(w->c, &f.n.pk, index, 100, w->t);
	assert_int_equal(w->said_count, 0);
	session_stray(w->c, &g.n.pk, index, 100, w->t);
	assert_int_equal(said_since(w, 0, SESSION_HINT), 1);
	session_stray(w->c, &f.n.pk, index + 1, 100, w->t);
	assert_int_equal(said_since(w, 0, SESSION_HINT), 2);
	world_free(w);
}

static void use_at(struct world *w, uint32_t index, int64_t sealed_ms, int64_t opened_ms)
{
	const struct session_use use = {.index = index,
					.sealed = {sealed_ms ? w->t.now.us + sealed_ms * 1000 : 0},
					.opened = {opened_ms ? w->t.now.us + opened_ms * 1000 : 0}};

	session_use(w->c, &use, w->t);
}

/* Of what one report tells only the last counts, in whatever order it was with what the report before told. */
static void test_owed(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	const uint32_t index = far_session(w, &f);

	(void)state;
	pass_ms(w, 2000);
	w->said_count = 0;
	use_at(w, index, 0, -1);
	pass_ms(w, 1000);
	use_at(w, index, -600, -100); /* the first was answered, the last was not */
	pass_ms(w, 9899);
	assert_int_equal(w->said_count, 0);
	pass_ms(w, 1);
	(void)session_tick(w->c, w->t);
	assert_int_equal(said_since(w, 0, SESSION_CONTROL), 1);
	world_free(w);
}

static void test_unanswered(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	const uint32_t index = far_session(w, &f);

	(void)state;
	pass_ms(w, 2000);
	w->said_count = 0;
	use_at(w, index, -1, 0);
	pass_ms(w, 1000);
	use_at(w, index, -100, -600);
	pass_ms(w, 14899);
	assert_int_equal(w->said_count, 0);
	pass_ms(w, 1);
	(void)session_tick(w->c, w->t);
	assert_int_equal(said_since(w, 0, SESSION_INIT), 1);
	world_free(w);
}

static void test_find(void **state)
{
	const struct session_setting off = {.has_mode = true, .mode = SESSION_OFF};
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	const uint64_t net64 = ip6_net64(&f.n.address);
	struct session_view v;
	uint32_t index;

	(void)state;
	assert_false(session_find(w->c, net64, w->t, &v));
	assert_null(session_find_pin(w->c, net64));
	index = far_session(w, &f);
	assert_true(session_find(w->c, net64, w->t, &v));
	assert_int_equal(v.index[SESSION_SEND], index);
	assert_true(pubkey_eq(&v.pk, &f.n.pk));
	assert_true(v.pinned);
	assert_false(v.has_mode || v.releasing);
	assert_int_equal(session_find_pin(w->c, net64)->last_ns, w->t.real_ns);
	assert_int_equal(session_pin_end_ns(&v.pin), w->t.real_ns + 3600 * NS_PER_S);
	assert_int_equal(session_set_peer(w->c, &f.n.pk, &off, w->t), 0);
	assert_int_equal(session_release(w->c, &f.n.pk, w->t), 0);
	assert_true(session_find(w->c, net64, w->t, &v));
	assert_true(v.has_mode && v.releasing);
	assert_false(session_find(w->c, net64 + 1, w->t, &v));
	world_free(w);
}

/* All three were told, then the key went by itself: that is a release as well. */
static void test_released_without_key(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	const uint32_t index = far_session(w, &f);

	(void)state;
	assert_int_equal(session_release(w->c, &f.n.pk, w->t), 0);
	pass_ms(w, 2500);
	session_key_lost(w->c, index, w->t);
	pass_ms(w, 500);
	(void)session_tick(w->c, w->t);
	assert_true(was_told(w, SESSION_RELEASED));
	assert_null(session_find_pin(w->c, ip6_net64(&f.n.address)));
	world_free(w);
}

/* The key goes after the first was told: hands are shaken again, and all three are told in the new session. */
static void test_release_anew(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);

	(void)state;
	(void)far_session(w, &f);
	session_set_mode(w->c, SESSION_OFF, w->t);
	assert_int_equal(session_release(w->c, &f.n.pk, w->t), 0);
	pass_ms(w, 500);
	w->said_count = 0;
	session_keys_lost(w->c, w->t);
	assert_int_equal(said_since(w, 0, SESSION_INIT), 1);
	pass_ms(w, 700);
	(void)far_answer(w, &f);
	assert_false(was_told(w, SESSION_RELEASED));
	pass_ms(w, 3000);
	(void)session_tick(w->c, w->t);
	assert_true(was_told(w, SESSION_RELEASED));
	assert_int_equal(said_since(w, 0, SESSION_CONTROL), 4); /* and KEEPALIVE */
	assert_int_equal(session_load(w->c).pins, 0);
	world_free(w);
}

/* Under `require` static packets of strangers make INITs: they keep nobody out whom we send to. */
static void test_pending_strangers(void **state)
{
	struct world *w = world_new();
	const struct node n = node_of(2), other = node_of(3);

	(void)state;
	w->config.mode = SESSION_REQUIRE;
	w->config.limits.pending = 2;
	world_start(w);
	for (uint32_t i = 0; i < 8; i++) {
		const struct node stranger = node_of(10 + i);

		assert_false(session_static(w->c, &stranger.pk, 100, w->t));
	}
	assert_int_equal(w->said_count, 2);
	session_want(w->c, &n.pk, w->t);
	assert_true(pubkey_eq(&said_last(w, SESSION_INIT)->out.pk, &n.pk));
	session_want(w->c, &other.pk, w->t);
	assert_true(pubkey_eq(&said_last(w, SESSION_INIT)->out.pk, &other.pk));
	assert_int_equal(w->said_count, 4);
	assert_int_equal(session_load(w->c).pending, 2);
	/* Among their like nobody is displaced, nor by strangers. */
	for (uint32_t i = 0; i < 8; i++) {
		const struct node more = node_of(20 + i);

		if (i % 2)
			session_want(w->c, &more.pk, w->t);
		else
			assert_false(session_static(w->c, &more.pk, 100, w->t));
	}
	assert_int_equal(w->said_count, 4);
	world_free(w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next_lost),
		cmocka_unit_test(test_send_lost),
		cmocka_unit_test(test_pending_is_no_key),
		cmocka_unit_test(test_pending_lost),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_stray_known),
		cmocka_unit_test(test_owed),
		cmocka_unit_test(test_unanswered),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_released_without_key),
		cmocka_unit_test(test_release_anew),
		cmocka_unit_test(test_pending_strangers),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
