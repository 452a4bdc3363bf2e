/* SPDX-License-Identifier: Apache-2.0 */
/* Session keys in the control thread of fastpath: those of another /64 are not named, those that sealed are not
 * unconfirmed again, those that end are told so and leave nothing, and a former life's flags do not last. */
#include "tests/unit/control_session_world.h"

/* The next controld's first look at the only key. */
static struct ctl_session_info look_of_next(struct ctlchild *w)
{
	ctlpeer_hang_up(&w->a);
	ctlpeer_connect(&w->b, w->path);
	ctlpeer_hello(&w->b, CTL_VERSION);
	return *(const struct ctl_session_info *)(const void *)ctlpeer_await(&w->b, CTL_SESSION_INFO)->body;
}

/* One owner, two /64s. */
static void another_net64_is_not_named(void **state)
{
	struct ctlchild *w = *state;
	struct ctl_key key = static_key(1);

	begin(w);
	give_session(w, &w->a, 1, 10, CTL_SESSION_SEND);
	key.session = 10;
	put_static(&w->a, &key);
	expect_named(&w->a, 1, 10, 0);
	key.net64 = NET64(2);
	put_static(&w->a, &key);
	expect_named(&w->a, 2, 0, 0);
	ctlchild_stop(w, &w->a);
}

static void it_is_not_unconfirmed_again(void **state)
{
	struct ctlchild *w = *state;

	begin(w);
	give_session(w, &w->a, 1, 10, CTL_SESSION_SEND);
	put_move(&w->a, 10, CTL_SESSION_NEXT);
	ctlpeer_sync(&w->a);
	assert_int_equal(look_of_next(w).slot, CTL_SESSION_SEND);
	ctlchild_stop(w, &w->b);
}

/* Its slot goes to the session of another peer: under that nothing of the first one may leave, nor a quote be opened.
 */
static void a_slot_used_again_is_the_others(void **state)
{
	struct ctlchild *w = *state;
	const struct ctl_key first = static_key(1), second = static_key(2);

	begin(w);
	put_static(&w->a, &first);
	put_static(&w->a, &second);
	give_session(w, &w->a, 1, 10, CTL_SESSION_SEND);
	expect_look(&w->a, NET64(1));
	put_del(&w->a, 10);
	expect_gone(&w->a, 10, 0);
	give_session(w, &w->a, 2, 20, CTL_SESSION_SEND);
	expect_look(&w->a, NET64(2));
	expect_named(&w->a, 1, 0, 0);
	expect_named(&w->a, 2, 20, 0);
	give_session(w, &w->a, 2, 21, CTL_SESSION_SEND);
	expect_look(&w->a, NET64(2));
	expect_named(&w->a, 2, 21, 20);
	put_del(&w->a, 20);
	expect_gone(&w->a, 20, 0);
	give_session(w, &w->a, 1, 11, CTL_SESSION_SEND);
	expect_look(&w->a, NET64(1));
	expect_named(&w->a, 2, 21, 0);
	expect_named(&w->a, 1, 11, 0);
	ctlchild_stop(w, &w->a);
}

/* A worker holds it still: the next controld has its row, but not the key. */
static void one_that_ends_is_told_so(void **state)
{
	struct ctlchild *w = *state;
	struct ctl_session_info i;

	begin(w);
	give_session(w, &w->a, 1, 10, CTL_SESSION_SEND);
	ctlchild_put_tlv(&w->a, VIA, CTLCHILD_GATE_EPOCH, "", 0);
	ctlpeer_await(&w->a, CTL_TLV);
	put_del(&w->a, 10);
	ctlpeer_sync(&w->a);
	i = look_of_next(w);
	assert_int_equal(i.index, 10);
	assert_int_equal(i.row, 10);
	assert_int_equal(i.slot, 0);
	ctlchild_open_gate(w);
	expect_gone(&w->b, 10, 0);
	ctlchild_stop(w, &w->b);
}

/* The one before us with our number died in a window. Others' flags are theirs. */
static void flags_of_the_one_before_are_cleared(void **state)
{
	enum { OURS = 1, ANOTHERS = 2, ROW = 3 };
	struct ctlchild *w = *state;
	struct lanes_row *row = &w->lanes->row[ROW];

	w->lanes->row_index[ROW] = 10;
	row->receive[0].flag = OURS;
	row->receive[1].flag = ANOTHERS;
	begin(w);
	ctlpeer_sync(&w->a);
	assert_int_equal(__atomic_load_n(&row->receive[0].flag, __ATOMIC_ACQUIRE), 0);
	assert_int_equal(__atomic_load_n(&row->receive[1].flag, __ATOMIC_ACQUIRE), ANOTHERS);
	ctlchild_stop(w, &w->a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(another_net64_is_not_named),	   CASE(it_is_not_unconfirmed_again),
		CASE(a_slot_used_again_is_the_others),	   CASE(one_that_ends_is_told_so),
		CASE(flags_of_the_one_before_are_cleared),
	};

	if (sodium_init() < 0)
		return 1;
	siphash_init();
	log_level = LOG_ERR;
	return cmocka_run_group_tests_name("control, more of sessions", tests, NULL, NULL);
}
