/* SPDX-License-Identifier: Apache-2.0 */
/* The responder: what INITs may cost, which slots they touch, and which presharedkey is mixed. And what RESPs may cost
 * the initiator. */
#include "tests/unit/test_session.h"

/* One a second per peer, five at once; bad ones cost too, for they cost us. */
static void test_peer_rate(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	int64_t ns = w->t.real_ns;

	(void)state;
	for (int i = 0; i < 5; i++) {
		stamp_at(&f, ++ns);
		far_write_init(w, &f);
		f.body[100] ^= i == 2;
		give(w, &f.n, SESSION_INIT, f.body, f.len);
	}
	assert_int_equal(session_count(w->c, SESSION_RESPS_SENT), 4);
	stamp_at(&f, ++ns);
	far_give_init(w, &f);
	assert_int_equal(session_count(w->c, SESSION_INIT_PEER_RATE), 1);
	pass_ms(w, 1000);
	(void)far_shake(w, &f); /* the refused one was not remembered */
	stamp_at(&f, ++ns);
	far_give_init(w, &f);
	assert_int_equal(session_count(w->c, SESSION_INIT_PEER_RATE), 2);
	world_free(w);
}

/* 500 a second for strangers together; pinned peers have their own. */
static void test_class_rate(void **state)
{
	struct world *w = world_default();
	struct far pinned = far_of(w, 2), f = pinned;
	uint32_t n;

	(void)state;
	(void)far_session(w, &pinned);
	for (n = 10; session_count(w->c, SESSION_INIT_RATE) == 0; n++) {
		f = far_of(w, n);
		far_give_init(w, &f);
	}
	assert_in_range(n, 10 + 500, 10 + 501);
	stamp_at(&pinned, w->t.real_ns + 1);
	(void)far_shake(w, &pinned);
	pass_ms(w, 2);
	(void)far_shake(w, &f); /* its own token was not taken */
	world_free(w);
}

/* Unconfirmed keys have a cap, of which strangers get three quarters; and go after 30 s. */
static void test_unconfirmed(void **state)
{
	struct world *w = world_new();
	struct far pinned[4], f;

	(void)state;
	w->config.limits.unconfirmed = 12;
	world_start(w);
	for (uint32_t i = 0; i < 4; i++) {
		pinned[i] = far_of(w, 100 + i);
		(void)far_session(w, &pinned[i]);
		stamp_at(&pinned[i], w->t.real_ns + 1);
	}
	for (uint32_t i = 0; i < 9; i++) {
		f = far_of(w, 2 + i);
		(void)far_shake(w, &f);
	}
	stamp_at(&f, w->t.real_ns + 1);
	(void)far_shake(w, &f); /* replaces its own */
	f = far_of(w, 50);
	far_give_init(w, &f);
	assert_int_equal(session_count(w->c, SESSION_INIT_FULL), 1);
	for (int i = 0; i < 3; i++)
		(void)far_shake(w, &pinned[i]);
	far_give_init(w, &pinned[3]);
	assert_int_equal(session_count(w->c, SESSION_INIT_FULL), 2);
	assert_int_equal(session_load(w->c).unconfirmed, 12);
	pass_ms(w, 29999);
	assert_int_equal(session_load(w->c).unconfirmed, 12);
	pass_ms(w, 1);
	(void)session_tick(w->c, w->t);
	assert_int_equal(session_load(w->c).unconfirmed, 0);
	(void)far_shake(w, &f);
	world_free(w);
}

/* A new INIT replaces the unconfirmed key and touches no other slot. */
static void test_slots(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	const uint32_t first = far_session(w, &f);
	uint32_t second, third;

	(void)state;
	stamp_at(&f, w->t.real_ns + 1);
	second = far_shake(w, &f);
	stamp_at(&f, w->t.real_ns + 2);
	third = far_shake(w, &f);
	assert_null(held_find(w, second));
	assert_int_equal(held_find(w, third)->key.slot, SESSION_NEXT);
	assert_int_equal(held_find(w, first)->key.slot, SESSION_SEND);
	session_confirmed(w->c, second, w->t); /* gone: means nothing */
	assert_int_equal(held_find(w, first)->key.slot, SESSION_SEND);
	session_confirmed(w->c, third, w->t);
	session_confirmed(w->c, third, w->t);
	assert_int_equal(held_find(w, first)->key.slot, SESSION_OLD);
	assert_true(was_told(w, SESSION_RENEWED));
	world_free(w);
}

/* A presharedkey of the peer, or of the network, is mixed; with the wrong one the far side cannot read RESP. */
static void test_psk(void **state)
{
	static const struct session_psk network[2] = {{{11}}, {{12}}};
	struct session_setting own = {.has_psk = true, .psk = {{13}}};
	struct world *w = world_new();
	struct far f;

	(void)state;
	w->config.network_keys = network;
	w->config.network_key_count = 2;
	world_start(w);
	f = far_of(w, 2);
	far_give_init(w, &f);
	assert_false(far_read_resp(w, &f));
	f = far_of(w, 3);
	f.psk = network[1]; /* the responder mixes the first */
	far_give_init(w, &f);
	assert_false(far_read_resp(w, &f));
	f = far_of(w, 4);
	f.psk = network[0];
	(void)far_shake(w, &f);
	f = far_of(w, 5);
	f.psk = own.psk;
	assert_int_equal(session_set_peer(w->c, &f.n.pk, &own, w->t), 0);
	(void)far_shake(w, &f);
	assert_int_equal(session_set_peer(w->c, &f.n.pk, NULL, w->t), 0);
	stamp_at(&f, w->t.real_ns + 1);
	far_give_init(w, &f);
	assert_false(far_read_resp(w, &f));
	world_free(w);
}

/* RESPs that fail cost DHs, and only INITs of ours are bounded: so each INIT pays for a few of them. */
static void test_bad_resps(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);

	(void)state;
	session_want(w->c, &f.n.pk, w->t);
	far_write_resp(w, &f, said_last(w, SESSION_INIT));
	f.body[CARRIER_RESP_BYTES - 1] ^= 1;
	for (int i = 0; i < 4; i++)
		far_give_resp(w, &f);
	f.body[CARRIER_RESP_BYTES - 1] ^= 1;
	far_give_resp(w, &f); /* a right one, too late: nobody looks */
	assert_int_equal(session_count(w->c, SESSION_RESP_BAD), 5);
	assert_int_equal(w->key_count, 0);
	/* The next INIT begins anew. */
	pass_ms(w, 1000);
	(void)session_tick(w->c, w->t);
	(void)far_answer(w, &f);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_peer_rate), cmocka_unit_test(test_class_rate), cmocka_unit_test(test_unconfirmed),
		cmocka_unit_test(test_slots),	  cmocka_unit_test(test_psk),	     cmocka_unit_test(test_bad_resps),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
