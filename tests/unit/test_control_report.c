/* SPDX-License-Identifier: Apache-2.0 */
/* What the control thread of fastpath tells of keys: what was used, what is confirmed, what ended by itself, and all of
 * it to the next controld. */
#include "tests/unit/control_session_world.h"

enum { SOON_MS = 700, LONG_MS = 20000 };

static const struct ctl_session_use *await_use(struct ctlpeer *c)
{
	return (const void *)ctlpeer_await(c, CTL_SESSION_USE)->body;
}

static const struct ctl_key_info *await_info(struct ctlpeer *c)
{
	return (const void *)ctlpeer_await(c, CTL_KEY_INFO)->body;
}

static void what_workers_say_goes_up(void **state)
{
	struct ctlchild *w = *state;
	const uint8_t *body;

	begin(w);
	ctlchild_put_tlv(&w->a, VIA, CTLCHILD_SAY, "", 0);
	ctlpeer_await(&w->a, CTL_TLV);
	body = ctlpeer_await(&w->a, CTL_SESSION_WANT)->body;
	assert_int_equal(((const struct ctl_session_want *)body)->net64, 1);
	body = ctlpeer_await(&w->a, CTL_SESSION_STRAY)->body;
	assert_int_equal(((const struct ctl_session_stray *)body)->index, 2);
	body = ctlpeer_await(&w->a, CTL_SESSION_REFUSED)->body;
	assert_int_equal(((const struct ctl_session_refused *)body)->bytes, 3);
	body = ctlpeer_await(&w->a, CTL_SESSION_CONFIRMED)->body;
	assert_int_equal(((const struct ctl_session_confirmed *)body)->index, 4);
	ctlchild_stop(w, &w->a);
}

static void the_use_of_sessions_is_told(void **state)
{
	struct ctlchild *w = *state;
	const struct ctl_session_use *u;

	begin(w);
	give_session(w, &w->a, 1, 10, CTL_SESSION_SEND);
	give_session(w, &w->a, 2, 11, CTL_SESSION_OLD);
	ctlchild_use_key(&w->a, VIA, 0, 10, 5);
	u = await_use(&w->a);
	assert_int_equal(u->index, 10);
	assert_int_equal(u->sealed_packets, 5);
	assert_int_equal(u->sealed_bytes, 500);
	assert_int_equal(u->opened_packets, 0);
	assert_int_equal(u->opened_bytes, 0);
	assert_int_equal(u->lane_end, 12);
	assert_int_equal(u->sealed_us, 0);
	assert_int_equal(u->opened_us, 4711);
	/* Only of the one that was used since. */
	ctlchild_use_key(&w->a, VIA, 0, 11, 2);
	u = await_use(&w->a);
	assert_int_equal(u->index, 11);
	assert_int_equal(u->sealed_packets, 2);
	ctlchild_use_key(&w->a, VIA_OTHER, 0, 11, 2);
	u = await_use(&w->a);
	assert_int_equal(u->index, 11);
	assert_int_equal(u->sealed_packets, 4);
	assert_false(ctlpeer_has_seen(&w->a, CTL_SESSION_USE));
	ctlchild_stop(w, &w->a);
}

static void the_use_of_static_keys_is_told(void **state)
{
	struct ctlchild *w = *state;
	struct ctl_key key = static_key(1);
	const struct ctl_key other = static_key(2);
	const struct ctl_key_info *i;

	begin(w);
	key.way = CTL_WAY_SESSION;
	key.refuse_static = 1;
	put_static(&w->a, &key);
	put_static(&w->a, &other);
	ctlchild_use_key(&w->a, VIA, NET64(1), 0, 3);
	i = await_info(&w->a);
	assert_int_equal(i->net64, NET64(1));
	assert_memory_equal(i->public_key, key.public_key, sizeof(key.public_key));
	assert_int_equal(i->way, CTL_WAY_SESSION);
	assert_int_equal(i->refuse_static, 1);
	assert_int_equal(i->sealed, 3);
	assert_int_equal(i->opened, 6);
	ctlchild_use_key(&w->a, VIA, NET64(2), 0, 1);
	assert_int_equal(await_info(&w->a)->net64, NET64(2));
	/* Another owner: it counts from the start, though it may lie where the first one lay. */
	key.public_key[0] = 7;
	put_static(&w->a, &key);
	ctlchild_use_key(&w->a, VIA, NET64(1), 0, 3);
	i = await_info(&w->a);
	assert_int_equal(i->public_key[0], 7);
	assert_int_equal(i->sealed, 3);
	assert_false(ctlpeer_has_seen(&w->a, CTL_KEY_INFO));
	ctlchild_stop(w, &w->a);
}

static void confirmations_are_said_until_it_moves(void **state)
{
	struct ctlchild *w = *state;

	begin(w);
	give_session(w, &w->a, 1, 10, CTL_SESSION_NEXT);
	ctlchild_use_key(&w->a, VIA, 0, 10, 1);
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			((const struct ctl_session_confirmed *)ctlpeer_await(&w->a, CTL_SESSION_CONFIRMED)->body)
				->index,
			10);
	put_move(&w->a, 10, CTL_SESSION_SEND);
	ctlpeer_sync(&w->a);
	while (ctlpeer_has_seen(&w->a, CTL_SESSION_CONFIRMED))
		ctlpeer_await(&w->a, CTL_SESSION_CONFIRMED);
	while (ctlpeer_has_seen(&w->a, CTL_SESSION_USE))
		await_use(&w->a);
	/* After the next look. */
	ctlchild_use_key(&w->a, VIA, 0, 10, 1);
	assert_int_equal(await_use(&w->a)->sealed_packets, 2);
	assert_false(ctlpeer_has_seen(&w->a, CTL_SESSION_CONFIRMED));
	ctlchild_stop(w, &w->a);
}

/* One that ends soon. */
static void give_aged(struct ctlchild *w, uint32_t index)
{
	struct ctl_session_key key = session_key(1, index, CTL_SESSION_SEND);

	key.info.made_us -= (LIMIT_SESSION_AGE_S * 1000 - SOON_MS) * (int64_t)1000;
	rows_begin(w->lanes, index, index);
	put_session(&w->a, &key);
}

static void old_ones_end(void **state)
{
	struct ctlchild *w = *state;
	const struct ctl_key key = static_key(1);

	begin(w);
	put_static(&w->a, &key);
	give_session(w, &w->a, 2, 11, CTL_SESSION_SEND);
	give_aged(w, 10);
	expect_look(&w->a, NET64(1));
	expect_gone(&w->a, 10, 0);
	expect_named(&w->a, 1, 0, 0);
	expect_no_gone(&w->a);
	ctlchild_stop(w, &w->a);
}

static bool finds_a_session(struct ctlchild *w)
{
	bool found;

	ctlpeer_connect(&w->b, w->path);
	ctlpeer_hello(&w->b, CTL_VERSION);
	ctlpeer_await(&w->b, CTL_READY);
	found = ctlpeer_has_seen(&w->b, CTL_SESSION_INFO);
	ctlpeer_hang_up(&w->b);
	return found;
}

static void they_end_without_controld_too(void **state)
{
	struct ctlchild *w = *state;
	struct mono end;

	begin(w);
	give_aged(w, 10);
	ctlpeer_sync(&w->a);
	ctlpeer_hang_up(&w->a);
	end = mono_add_ms(mono_now(), LONG_MS);
	while (finds_a_session(w))
		assert_false(mono_is_due(end, mono_now()));
	ctlpeer_connect(&w->b, w->path);
	ctlpeer_hello(&w->b, CTL_VERSION);
	ctlpeer_await(&w->b, CTL_READY);
	expect_no_gone(&w->b);
	ctlchild_stop(w, &w->b);
}

static void another_generation_ends_all(void **state)
{
	struct ctlchild *w = *state;
	struct ctl_session_key key;

	begin(w);
	for (uint32_t i = 10; i < 20; i++)
		give_session(w, &w->a, 1, i, CTL_SESSION_OLD);
	ctlpeer_sync(&w->a);
	__atomic_add_fetch(&w->lanes->header.generation, 1, __ATOMIC_SEQ_CST);
	ctlpeer_sync(&w->a);
	for (uint32_t i = 10; i < 20; i++)
		expect_gone(&w->a, i, -ESTALE);
	give_session(w, &w->a, 1, 20, CTL_SESSION_SEND);
	expect_gone(&w->a, 20, -ESTALE);
	key = session_key(1, 21, CTL_SESSION_SEND);
	key.info.generation = 1;
	rows_begin(w->lanes, 21, 21);
	put_session(&w->a, &key);
	expect_no_gone(&w->a);
	put_del(&w->a, 21);
	expect_gone(&w->a, 21, 0);
	ctlchild_stop(w, &w->a);
}

static void check_info(struct ctlpeer *c, const struct ctl_session_info *want)
{
	const struct ctl_session_info *i = (const void *)ctlpeer_next(c, CTL_SESSION_INFO)->body;

	assert_memory_equal(i, want, sizeof(*want));
}

static void await_dump(struct ctlpeer *c)
{
	static const enum ctl_type before[] = {CTL_CONFIG,    CTL_MEMORY,    CTL_TUN,  CTL_TUN,
					       CTL_LINK_INFO, CTL_LINK_INFO, CTL_ROUTE};

	ctlpeer_hello(c, CTL_VERSION);
	ctlpeer_next(c, CTL_HELLO);
	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++)
		ctlpeer_next(c, before[i]);
}

static void check_statics(struct ctlpeer *c)
{
	const struct ctl_key_info *i;
	unsigned seen = 0;

	for (int n = 0; n < 2; n++) {
		i = (const void *)ctlpeer_next(c, CTL_KEY_INFO)->body;
		assert_in_range(i->net64, NET64(1), NET64(2));
		assert_int_equal(i->sealed, i->net64 == NET64(1) ? 3 : 0);
		assert_int_equal(i->way, i->net64 == NET64(1) ? CTL_WAY_HOLD : CTL_WAY_STATIC);
		assert_int_equal(i->refuse_static, i->net64 == NET64(1));
		seen |= 1U << (i->net64 - NET64(1));
	}
	assert_int_equal(seen, 3);
}

/* Each key without its secrets, as it is now; then its use from the start; and it can be ended. */
static void a_second_controld_adopts(void **state)
{
	struct ctlchild *w = *state;
	struct ctl_session_key one = session_key(1, 10, CTL_SESSION_SEND), two = session_key(2, 11, CTL_SESSION_NEXT);
	const struct ctl_key first = static_key(1), second = static_key(2);

	begin(w);
	ctlchild_put_route(&w->a, "200:9::/64", VIA);
	put_static(&w->a, &first);
	put_static(&w->a, &second);
	one.info.confirmed = two.info.confirmed = 9; /* means nothing downwards */
	rows_begin(w->lanes, 10, 10);
	rows_begin(w->lanes, 11, 11);
	put_session(&w->a, &one);
	put_session(&w->a, &two);
	put_move(&w->a, 10, CTL_SESSION_OLD);
	put_policy(&w->a, 1, 1, CTL_WAY_HOLD, 1);
	ctlchild_use_key(&w->a, VIA, NET64(1), 0, 3);
	ctlchild_use_key(&w->a, VIA, 0, 11, 1);
	assert_int_equal(await_use(&w->a)->index, 11);
	ctlpeer_hang_up(&w->a);
	ctlpeer_connect(&w->b, w->path);
	await_dump(&w->b);
	one.info.slot = CTL_SESSION_OLD;
	one.info.confirmed = 0;
	two.info.confirmed = 1;
	check_info(&w->b, &one.info);
	check_info(&w->b, &two.info);
	check_statics(&w->b);
	ctlpeer_next(&w->b, CTL_READY);
	assert_int_equal(await_use(&w->b)->index, 11);
	put_del(&w->b, 10);
	expect_gone(&w->b, 10, 0);
	ctlchild_stop(w, &w->b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_workers_say_goes_up),
		CASE(the_use_of_sessions_is_told),
		CASE(the_use_of_static_keys_is_told),
		CASE(confirmations_are_said_until_it_moves),
		CASE(old_ones_end),
		CASE(they_end_without_controld_too),
		CASE(another_generation_ends_all),
		CASE(a_second_controld_adopts),
	};

	if (sodium_init() < 0)
		return 1;
	siphash_init();
	return cmocka_run_group_tests_name("control, reports of keys", tests, NULL, NULL);
}
