/* SPDX-License-Identifier: Apache-2.0 */
/* Session keys and policies in the control thread of fastpath, whole, in a child; the test is its controld: what
 * reaches the workers, what is refused, and when a key is told as gone. */
#include "tests/unit/control_session_world.h"

enum { MANY = 3000 };

static void a_key_is_given_moved_and_ended(void **state)
{
	struct ctlchild *w = *state;
	const struct ctl_key key = static_key(1);

	begin(w);
	put_static(&w->a, &key);
	expect_named(&w->a, 1, 0, 0);
	give_session(w, &w->a, 1, 10, CTL_SESSION_SEND);
	expect_look(&w->a, NET64(1));
	expect_named(&w->a, 1, 10, 0);
	give_session(w, &w->a, 1, 11, CTL_SESSION_NEXT);
	expect_named(&w->a, 1, 10, 0);
	put_move(&w->a, 11, CTL_SESSION_SEND);
	expect_look(&w->a, NET64(1));
	put_move(&w->a, 10, CTL_SESSION_OLD);
	expect_named(&w->a, 1, 11, 10);
	put_del(&w->a, 11);
	put_del(&w->a, 10);
	expect_gone(&w->a, 11, 0);
	expect_gone(&w->a, 10, 0);
	expect_named(&w->a, 1, 0, 0);
	/* They are not here any more: once is enough. */
	put_del(&w->a, 10);
	put_move(&w->a, 10, CTL_SESSION_SEND);
	expect_no_gone(&w->a);
	assert_false(ctlpeer_has_seen(&w->a, CTL_WANT_KEY));
	ctlchild_stop(w, &w->a);
}

/* Three keys one after the other: the last and the one before it are named. */
static void the_one_before_is_named(void **state)
{
	struct ctlchild *w = *state;
	const struct ctl_key key = static_key(1);

	begin(w);
	put_static(&w->a, &key);
	for (uint32_t index = 10; index < 13; index++) {
		give_session(w, &w->a, 1, index, CTL_SESSION_SEND);
		expect_look(&w->a, NET64(1));
	}
	expect_named(&w->a, 1, 12, 11);
	put_move(&w->a, 10, CTL_SESSION_OLDEST);
	put_del(&w->a, 11);
	expect_gone(&w->a, 11, 0);
	expect_named(&w->a, 1, 12, 0);
	put_move(&w->a, 12, CTL_SESSION_NEXT);
	put_move(&w->a, 12, 0);
	put_move(&w->a, 12, CTL_SESSION_OLDEST + 1);
	expect_named(&w->a, 1, 12, 0);
	ctlchild_stop(w, &w->a);
}

static void it_is_gone_when_no_worker_holds_it(void **state)
{
	struct ctlchild *w = *state;
	const struct ctlseen *s;

	begin(w);
	give_session(w, &w->a, 1, 10, CTL_SESSION_SEND);
	give_session(w, &w->a, 1, 11, CTL_SESSION_NEXT);
	ctlchild_put_tlv(&w->a, VIA, CTLCHILD_GATE_EPOCH, "", 0);
	ctlpeer_await(&w->a, CTL_TLV);
	put_del(&w->a, 10);
	expect_no_gone(&w->a);
	/* Its row is not free: the next controld finds it, and is told. */
	ctlpeer_hang_up(&w->a);
	ctlpeer_connect(&w->b, w->path);
	ctlpeer_hello(&w->b, CTL_VERSION);
	s = ctlpeer_await(&w->b, CTL_SESSION_INFO);
	assert_int_equal(((const struct ctl_session_info *)s->body)->index, 10);
	put_del(&w->b, 10);
	put_del(&w->b, 11);
	expect_no_gone(&w->b);
	ctlchild_open_gate(w);
	expect_gone(&w->b, 10, 0);
	expect_gone(&w->b, 11, 0);
	expect_no_gone(&w->b);
	ctlchild_stop(w, &w->b);
}

/* One that waits to be wiped has its index until it is gone: its SESSION_GONE would free the row of another one. */
static void an_index_is_in_use_to_the_end(void **state)
{
	const struct ctl_session_key again = session_key(1, 10, CTL_SESSION_SEND);
	struct ctlchild *w = *state;

	begin(w);
	give_session(w, &w->a, 1, 10, CTL_SESSION_SEND);
	give_session(w, &w->a, 1, 11, CTL_SESSION_NEXT);
	ctlchild_put_tlv(&w->a, VIA, CTLCHILD_GATE_EPOCH, "", 0);
	ctlpeer_await(&w->a, CTL_TLV);
	put_del(&w->a, 11);
	put_del(&w->a, 10);
	put_session(&w->a, &again);
	expect_no_gone(&w->a);
	ctlchild_open_gate(w);
	expect_gone(&w->a, 11, 0);
	expect_gone(&w->a, 10, 0);
	ctlpeer_hang_up(&w->a);
	ctlpeer_connect(&w->b, w->path);
	ctlpeer_hello(&w->b, CTL_VERSION);
	ctlpeer_await(&w->b, CTL_READY);
	assert_false(ctlpeer_has_seen(&w->b, CTL_SESSION_INFO));
	ctlchild_stop(w, &w->b);
}

/* One thing is wrong with each. */
static struct ctl_session_key spoilt(int how)
{
	struct ctl_session_key key = session_key(1, 20 + (uint32_t)how, CTL_SESSION_SEND);
	struct ctl_session_info *i = &key.info;

	switch (how) {
	case 0:
		i->memory[15] ^= 1;
		break;
	case 1:
		i->generation = 1;
		break;
	case 2:
		i->row = 5;
		break;
	case 3:
		i->row = LIMIT_SESSION_ROWS;
		break;
	case 4:
		i->far_lanes = 0;
		break;
	case 5:
		i->far_lanes = LIMIT_SESSION_FAR_LANES + 1;
		break;
	case 6:
		i->our_lanes = 0;
		break;
	case 7:
		i->our_lanes = LIMIT_SESSION_LANES + 1;
		break;
	case 8:
		i->slot = 0;
		break;
	case 9:
		i->slot = CTL_SESSION_OLDEST + 1;
		break;
	case 10:
		i->made_us += 3600 * (int64_t)SECOND_US;
		break;
	case 11:
		i->made_us = INT64_MIN;
		break;
	default:
		i->made_us -= LIMIT_SESSION_AGE_S * (int64_t)SECOND_US;
		break;
	}
	return key;
}

static void what_does_not_fit_is_refused(void **state)
{
	static const int errors[] = {-ESTALE, -ESTALE, -ESTALE, -ESTALE, -EINVAL, -EINVAL, -EINVAL,
				     -EINVAL, -EINVAL, -EINVAL, -EINVAL, 0,	  0};
	const int count = sizeof(errors) / sizeof(errors[0]);
	struct ctlchild *w = *state;
	struct ctl_session_key zero = session_key(1, 0, CTL_SESSION_SEND);

	begin(w);
	for (int i = 0; i < count; i++) {
		const struct ctl_session_key key = spoilt(i);

		rows_begin(w->lanes, key.info.index, key.info.index);
		put_session(&w->a, &key);
		expect_gone(&w->a, key.info.index, errors[i]);
	}
	put_session(&w->a, &zero);
	expect_gone(&w->a, 0, -EINVAL);
	ctlpeer_hang_up(&w->a);
	ctlpeer_connect(&w->b, w->path);
	ctlpeer_hello(&w->b, CTL_VERSION);
	ctlpeer_await(&w->b, CTL_READY);
	assert_false(ctlpeer_has_seen(&w->b, CTL_SESSION_INFO));
	ctlchild_stop(w, &w->b);
}

/* Its row is that of the one that lives: not to be told as gone. */
static void a_second_with_the_index_changes_nothing(void **state)
{
	struct ctlchild *w = *state;
	const struct ctl_session_key again = session_key(2, 10, CTL_SESSION_SEND);
	const struct ctl_key key = static_key(1);

	begin(w);
	put_static(&w->a, &key);
	give_session(w, &w->a, 1, 10, CTL_SESSION_SEND);
	expect_look(&w->a, NET64(1));
	put_session(&w->a, &again);
	expect_no_gone(&w->a);
	expect_named(&w->a, 1, 10, 0);
	put_del(&w->a, 10);
	expect_gone(&w->a, 10, 0);
	expect_no_gone(&w->a);
	ctlchild_stop(w, &w->a);
}

static void before_start_there_are_none(void **state)
{
	struct ctlchild *w = *state;

	ctlpeer_connect(&w->a, w->path);
	ctlchild_greet(&w->a);
	give_session(w, &w->a, 1, 10, CTL_SESSION_SEND);
	put_move(&w->a, 10, CTL_SESSION_SEND);
	put_del(&w->a, 10);
	put_policy(&w->a, 1, 1, CTL_WAY_HOLD, 1);
	expect_gone(&w->a, 10, -ENODEV);
	expect_no_gone(&w->a);
	ctlchild_stop(w, &w->a);
}

static void expect_policy(struct ctlpeer *c, enum ctl_way way, bool refuse, bool wanted)
{
	const struct ctlchild_key k = ctlchild_look_key(c, VIA_OTHER, NET64(1));

	assert_int_equal(k.way, way);
	assert_int_equal(k.refuse_static, refuse);
	assert_int_equal(k.wanted, wanted);
}

static void policies_come_with_the_key_and_after_it(void **state)
{
	struct ctlchild *w = *state;
	struct ctl_key key = static_key(1);

	begin(w);
	/* Before it there is nothing to set. */
	put_policy(&w->a, 1, 1, CTL_WAY_SESSION, 1);
	ctlpeer_sync(&w->a);
	key.way = CTL_WAY_HOLD;
	put_static(&w->a, &key);
	expect_policy(&w->a, CTL_WAY_HOLD, false, false);
	ctlchild_use_key(&w->a, VIA, NET64(1), 0, 1);
	expect_policy(&w->a, CTL_WAY_HOLD, false, true);
	/* Not of this owner. */
	put_policy(&w->a, 1, 2, CTL_WAY_STATIC, 1);
	put_policy(&w->a, 1, 1, CTL_WAY_HOLD + 1, 1);
	expect_policy(&w->a, CTL_WAY_HOLD, false, true);
	put_policy(&w->a, 1, 1, CTL_WAY_SESSION, 7);
	expect_look(&w->a, NET64(1));
	expect_policy(&w->a, CTL_WAY_SESSION, true, false);
	/* With the key once more. */
	key.way = CTL_WAY_STATIC;
	put_static(&w->a, &key);
	expect_policy(&w->a, CTL_WAY_STATIC, false, false);
	key.way = CTL_WAY_HOLD + 1;
	ctlpeer_put(&w->a, CTL_KEY, &key, sizeof(key));
	expect_policy(&w->a, CTL_WAY_STATIC, false, false);
	assert_false(ctlpeer_has_seen(&w->a, CTL_WANT_KEY));
	ctlchild_stop(w, &w->a);
}

static void put_naming(struct ctlpeer *c, uint8_t peer, uint32_t session)
{
	struct ctl_key key = static_key(peer);

	key.session = session;
	put_static(c, &key);
}

static void a_static_key_names_its_session(void **state)
{
	struct ctlchild *w = *state;

	begin(w);
	give_session(w, &w->a, 1, 10, CTL_SESSION_SEND);
	give_session(w, &w->a, 1, 11, CTL_SESSION_NEXT);
	give_session(w, &w->a, 2, 12, CTL_SESSION_SEND);
	ctlpeer_sync(&w->a);
	assert_false(ctlpeer_has_seen(&w->a, CTL_WANT_KEY));
	put_naming(&w->a, 1, 10);
	expect_named(&w->a, 1, 10, 0);
	/* Neither unconfirmed ones, nor those of others, nor what is not here. */
	put_naming(&w->a, 1, 11);
	expect_named(&w->a, 1, 0, 10);
	put_naming(&w->a, 1, 10);
	put_naming(&w->a, 1, 12);
	expect_named(&w->a, 1, 0, 10);
	put_naming(&w->a, 1, 4711);
	expect_named(&w->a, 1, 0, 10);
	put_naming(&w->a, 2, 12);
	expect_named(&w->a, 2, 12, 0);
	ctlchild_stop(w, &w->a);
}

/* The same /64, another key: neither finds the other. */
static void the_owner_must_be_the_same(void **state)
{
	struct ctlchild *w = *state;
	struct ctl_key other = static_key(1), own = static_key(1);

	other.public_key[0] = 9;
	begin(w);
	put_static(&w->a, &other);
	give_session(w, &w->a, 1, 10, CTL_SESSION_SEND);
	expect_named(&w->a, 1, 0, 0);
	other.session = 10;
	put_static(&w->a, &other);
	expect_named(&w->a, 1, 0, 0);
	own.session = 10;
	put_static(&w->a, &own);
	expect_named(&w->a, 1, 10, 0);
	put_static(&w->a, &other);
	expect_named(&w->a, 1, 0, 0);
	put_del(&w->a, 10);
	expect_gone(&w->a, 10, 0);
	ctlchild_stop(w, &w->a);
}

/* Returns how many there was room for; the others are refused. */
static uint32_t give_many(struct ctlchild *w, uint32_t first)
{
	uint32_t full = 0;

	for (uint32_t i = 0; i < MANY; i++)
		give_session(w, &w->a, (uint8_t)i, first + i, CTL_SESSION_SEND);
	ctlpeer_sync(&w->a);
	while (ctlpeer_has_seen(&w->a, CTL_SESSION_GONE)) {
		const struct ctl_session_gone *g = (const void *)ctlpeer_await(&w->a, CTL_SESSION_GONE)->body;

		assert_int_equal(g->error, -ENOSPC);
		full++;
	}
	return MANY - full;
}

static void thousands_end_at_once(void **state)
{
	struct ctlchild *w = *state;
	uint32_t count;

	begin(w);
	count = give_many(w, 1);
	print_message("# room for %u of %u keys\n", count, MANY);
	ctlchild_put_tlv(&w->a, VIA, CTLCHILD_GATE_EPOCH, "", 0);
	ctlpeer_await(&w->a, CTL_TLV);
	for (uint32_t i = 1; i <= count; i++)
		put_del(&w->a, i);
	expect_no_gone(&w->a);
	ctlchild_open_gate(w);
	for (uint32_t i = 1; i <= count; i++)
		expect_gone(&w->a, i, 0);
	expect_no_gone(&w->a);
	/* Their slots are free. */
	assert_int_equal(give_many(w, MANY + 1), count);
	ctlchild_stop(w, &w->a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_key_is_given_moved_and_ended),
		CASE(the_one_before_is_named),
		CASE(it_is_gone_when_no_worker_holds_it),
		CASE(an_index_is_in_use_to_the_end),
		CASE(what_does_not_fit_is_refused),
		CASE(a_second_with_the_index_changes_nothing),
		CASE(before_start_there_are_none),
		CASE(policies_come_with_the_key_and_after_it),
		CASE(a_static_key_names_its_session),
		CASE(the_owner_must_be_the_same),
		CASE(thousands_end_at_once),
	};

	if (sodium_init() < 0)
		return 1;
	siphash_init();
	return cmocka_run_group_tests_name("control, sessions", tests, NULL, NULL);
}
