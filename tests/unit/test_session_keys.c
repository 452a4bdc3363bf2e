/* SPDX-License-Identifier: Apache-2.0 */
/* Slots of a peer and how keys move through them; crossing handshakes; the table of peers and its cap; a second key for
 * a /64; adoption after a restart, and the loss of all keys. */
#include "tests/unit/test_session.h"
#include <errno.h>

static void assert_slot(const struct world *w, uint32_t index, enum session_slot slot)
{
	assert_non_null(held_find(w, index));
	assert_int_equal(held_find(w, index)->key.slot, slot);
}

/* The next handshake from the far side. */
static uint32_t next_session(struct world *w, struct far *f)
{
	pass_ms(w, 1000);
	f->init.sender++;
	stamp_at(f, w->t.real_ns);
	return far_session(w, f);
}

static void test_slots(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	uint32_t keys[5];

	(void)state;
	keys[0] = far_session(w, &f);
	for (int i = 1; i < 5; i++) {
		keys[i] = next_session(w, &f);
		assert_slot(w, keys[i], SESSION_SEND);
		assert_slot(w, keys[i - 1], SESSION_OLD);
		if (i > 1)
			assert_slot(w, keys[i - 2], SESSION_OLDEST);
		if (i > 2)
			assert_null(held_find(w, keys[i - 3]));
	}
	/* Each goes 30 s after it stopped sending. */
	pass_ms(w, 28999);
	assert_non_null(held_find(w, keys[2]));
	pass_ms(w, 1);
	(void)session_tick(w->c, w->t);
	assert_null(held_find(w, keys[2]));
	assert_slot(w, keys[3], SESSION_OLD);
	pass_ms(w, 1001);
	assert_null(held_find(w, keys[3]));
	assert_slot(w, keys[4], SESSION_SEND);
	world_free(w);
}

/* Everything ends at 300 s, also what is confirmed late or moved late. */
static void test_end(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	uint32_t first, second;

	(void)state;
	first = far_shake(w, &f);
	pass_ms(w, 20000);
	session_confirmed(w->c, first, w->t);
	pass_ms(w, 269000);
	second = next_session(w, &f);
	assert_slot(w, first, SESSION_OLD);
	pass_ms(w, 9999);
	assert_slot(w, first, SESSION_OLD);
	pass_ms(w, 2);
	assert_null(held_find(w, first));
	pass_ms(w, 289998);
	assert_slot(w, second, SESSION_SEND);
	pass_ms(w, 2);
	assert_null(held_find(w, second));
	assert_true(was_told(w, SESSION_ENDED));
	world_free(w);
}

/* A packet in the session is as good as fastpath's word, and fastpath's report of an unconfirmed key is not. */
static void test_confirm(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	const uint32_t index = far_shake(w, &f);
	uint32_t next;

	(void)state;
	report(w, index, true, true);
	assert_slot(w, index, SESSION_NEXT);
	assert_int_equal(w->pin_sets, 0);
	session_confirmed(w->c, index ^ 1, w->t);
	give_control(w, &f.n, index, CARRIER_KEEPALIVE);
	assert_slot(w, index, SESSION_SEND);
	assert_int_equal(w->pin_sets, 1);
	stamp_at(&f, w->t.real_ns + 1);
	next = far_shake(w, &f);
	session_confirmed(w->c, index, w->t); /* not the one that waits */
	assert_slot(w, next, SESSION_NEXT);
	world_free(w);
}

/* Both sides begin: both handshakes complete, in either order, and each seals with what it confirmed last. */
static void test_crossing(void **state)
{
	(void)state;
	for (int order = 0; order < 2; order++) {
		struct world *w = world_default();
		struct far ours = far_of(w, 2), theirs = far_of(w, 2);
		uint32_t a, b;

		session_want(w->c, &ours.n.pk, w->t);
		far_write_resp(w, &ours, said_last(w, SESSION_INIT));
		theirs.init.sender = 0x77;
		b = far_shake(w, &theirs);
		a = ours.init.sender;
		if (order) {
			far_give_resp(w, &ours);
			session_confirmed(w->c, b, w->t);
			assert_slot(w, b, SESSION_SEND);
			assert_slot(w, a, SESSION_OLD);
		} else {
			session_confirmed(w->c, b, w->t);
			far_give_resp(w, &ours);
			assert_slot(w, a, SESSION_SEND);
			assert_slot(w, b, SESSION_OLD);
		}
		assert_int_equal(session_load(w->c).pending, 0);
		world_free(w);
	}
}

/* After that each side may seal with what is old at the other: such a key stays while packets open under it. */
static void test_linger(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	const uint32_t old = far_session(w, &f), new = next_session(w, &f);

	(void)state;
	for (int i = 0; i < 20; i++) {
		pass_ms(w, 10000);
		assert_slot(w, old, SESSION_OLD);
		if (i % 2)
			report(w, old, false, true);
		else
			give_control(w, &f.n, old, CARRIER_KEEPALIVE);
	}
	report(w, new, true, true);
	pass_ms(w, 29999);
	report(w, old, true, false); /* what we sealed with it does not count */
	assert_slot(w, old, SESSION_OLD);
	pass_ms(w, 2);
	assert_null(held_find(w, old));
	assert_slot(w, new, SESSION_SEND);
	world_free(w);
}

static void test_linger_end(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	const uint32_t old = far_session(w, &f);

	(void)state;
	(void)next_session(w, &f);
	for (int i = 0; i < 298; i++) {
		report(w, old, false, true);
		pass_ms(w, 1000);
	}
	assert_slot(w, old, SESSION_OLD);
	pass_ms(w, 1001);
	assert_null(held_find(w, old));
	world_free(w);
}

static struct node thief, victim;

/* As if the thief had searched for a key with the victim's /64. */
static void clash_address(const struct pubkey *pk, struct ip6 *out)
{
	network200.address(pk, out);
	if (pubkey_eq(pk, &thief.pk))
		memcpy(out->b, victim.address.b, 8);
}

static struct world *world_of_clash(struct far *f)
{
	static struct network network;
	struct world *w = world_new();

	victim = node_of(2);
	thief = node_of(3);
	network = network200;
	network.address = clash_address;
	w->config.network = &network;
	world_start(w);
	*f = far_of(w, 3);
	network.address(&f->n.pk, &f->n.address);
	f->initiator = f->n.address;
	return w;
}

static void assert_thief_refused(struct world *w, struct far *t, enum session_way way)
{
	const size_t said = w->said_count;
	const struct session_setting s = {.has_mode = true, .mode = SESSION_OPPORTUNISTIC};

	far_give_init(w, t);
	session_want(w->c, &t->n.pk, w->t);
	assert_int_equal(w->said_count, said);
	assert_true(was_told(w, SESSION_SECOND_KEY));
	assert_int_equal(session_count(w->c, SESSION_SECOND_KEYS), 2);
	assert_false(session_may_have(w->c, &t->n.pk, w->t));
	assert_int_equal(session_count(w->c, SESSION_SECOND_KEYS), 3);
	assert_int_equal(session_policy(w->c, &t->n.pk, w->t).way, way);
	assert_int_equal(session_set_peer(w->c, &t->n.pk, &s, w->t), -EEXIST);
}

static void test_second_key(void **state)
{
	struct far t, f;
	struct world *w = world_of_clash(&t);
	const struct session_setting s = {.has_mode = true, .mode = SESSION_OPPORTUNISTIC};
	struct session_pin pin;

	(void)state;
	f = far_of(w, 2);
	(void)far_session(w, &f);
	pin = w->pin;
	assert_thief_refused(w, &t, SESSION_BY_NONE); /* live */
	assert_false(session_static(w->c, &t.n.pk, 100, w->t));
	world_start(w);
	assert_true(session_found_pin(w->c, &pin, w->t));
	assert_thief_refused(w, &t, SESSION_BY_NONE); /* pinned */
	world_start(w);
	assert_int_equal(session_set_peer(w->c, &victim.pk, &s, w->t), 0);
	assert_thief_refused(w, &t, SESSION_BY_NONE); /* the user's */
	/* Where none of these is, the last one counts. */
	world_start(w);
	assert_true(session_may_have(w->c, &t.n.pk, w->t));
	session_want(w->c, &victim.pk, w->t);
	(void)far_session(w, &t);
	assert_int_equal(session_load(w->c).peers, 1);
	assert_int_equal(session_load(w->c).pending, 0);
	assert_false(session_found_pin(w->c, &pin, w->t));
	/* And after the pin's end. */
	pin = w->pin;
	world_start(w);
	assert_true(session_found_pin(w->c, &pin, w->t));
	w->t.real_ns += 3601 * NS_PER_S;
	f = far_of(w, 2);
	(void)far_session(w, &f);
	world_free(w);
}

/* Strangers make room, oldest first; pinned ones only then; live ones never. */
static void test_peers_full(void **state)
{
	struct world *w = world_new();
	struct far pinned, live[3], f;
	const struct node a = node_of(10), b = node_of(11);
	struct session_pin pin;

	(void)state;
	w->config.limits.peers = 4;
	world_start(w);
	pinned = far_of(w, 2);
	(void)far_session(w, &pinned);
	pin = w->pin;
	world_start(w);
	assert_true(session_found_pin(w->c, &pin, w->t));
	session_want(w->c, &pinned.n.pk, w->t);
	session_want(w->c, &a.pk, w->t);
	session_want(w->c, &b.pk, w->t);
	session_want(w->c, &a.pk, w->t);
	live[0] = far_of(w, 3);
	(void)far_session(w, &live[0]);
	assert_int_equal(session_load(w->c).pending, 3);
	live[1] = far_of(w, 4);
	(void)far_session(w, &live[1]); /* b goes */
	assert_int_equal(session_load(w->c).pending, 2);
	live[2] = far_of(w, 5);
	(void)far_session(w, &live[2]); /* a goes */
	assert_int_equal(session_load(w->c).pending, 1);
	f = far_of(w, 6);
	(void)far_session(w, &f); /* the pinned one goes, its pin stays */
	assert_int_equal(session_load(w->c).pending, 0);
	assert_int_equal(session_policy(w->c, &pinned.n.pk, w->t).way, SESSION_BY_NONE);
	f = far_of(w, 7);
	far_give_init(w, &f);
	assert_int_equal(session_count(w->c, SESSION_PEERS_FULL), 1);
	assert_int_equal(session_load(w->c).peers, 4);
	world_free(w);
}

/* Whatever comes, no more than 16,384 peers and 256 pending INITs. */
static void test_peers_default(void **state)
{
	struct world *w = world_default();

	(void)state;
	for (int i = 0; i < 17000; i++) {
		struct pubkey pk;

		world_random(w, &pk, sizeof(pk));
		session_want(w->c, &pk, w->t);
	}
	assert_int_equal(session_load(w->c).peers, 16384);
	assert_int_equal(session_load(w->c).pending, 256);
	world_free(w);
}

/* A restarted controld goes on with what fastpath holds. */
static void test_adoption(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	struct session_key keys[3];
	struct session_pin pin;
	uint32_t next;

	(void)state;
	keys[0] = held_find(w, far_session(w, &f))->key;
	pass_ms(w, 1000);
	keys[1] = held_find(w, next_session(w, &f))->key;
	keys[0].slot = SESSION_OLD;
	stamp_at(&f, w->t.real_ns + 1);
	next = far_shake(w, &f);
	keys[2] = held_find(w, next)->key;
	pin = w->pin;
	pass_ms(w, 10000);
	session_free(w->c);
	w->c = NULL;
	world_start(w);
	assert_true(session_found_pin(w->c, &pin, w->t));
	assert_false(session_found_pin(w->c, &pin, w->t));
	for (int i = 0; i < 3; i++) {
		w->keys[i].live = true;
		assert_true(session_found_key(w->c, &keys[i], w->t));
		assert_false(session_found_key(w->c, &keys[i], w->t));
	}
	assert_int_equal(session_policy(w->c, &f.n.pk, w->t).way, SESSION_BY_KEY);
	assert_true(session_policy(w->c, &f.n.pk, w->t).refuse_static);
	assert_int_equal(session_load(w->c).unconfirmed, 1);
	session_confirmed(w->c, next, w->t);
	assert_slot(w, keys[1].index, SESSION_OLD);
	pass_ms(w, 30001);
	assert_null(held_find(w, keys[1].index));
	for (int64_t age = 40; age < 162; age++) {
		report(w, next, true, true);
		assert_int_equal(said_since(w, 0, SESSION_INIT), 0);
		pass_ms(w, 1000);
	}
	for (int i = 0; i < 20; i++, pass_ms(w, 1000))
		report(w, next, true, true);
	assert_true(said_since(w, 0, SESSION_INIT) > 0);
	world_free(w);
}

static void test_adoption_refused(void **state)
{
	struct world *w = world_default();
	const struct node n = node_of(2);
	const struct session_key good = {
		.pk = n.pk, .address = n.address, .index = 5, .far_index = 6, .far_lanes = 1, .made = w->t.now};
	struct session_key bad[8];

	(void)state;
	for (int i = 0; i < 8; i++)
		bad[i] = good;
	bad[0].index = 0;
	bad[1].far_index = 0;
	bad[2].far_lanes = 0;
	bad[3].far_lanes = SESSION_LANES_MAX + 1;
	bad[4].slot = SESSION_SLOTS;
	bad[5].made.us++;
	bad[6].made.us -= 300 * SECOND;
	bad[7].pk = w->self.pk;
	for (int i = 0; i < 8; i++)
		assert_false(session_found_key(w->c, &bad[i], w->t));
	assert_true(session_found_key(w->c, &good, w->t));
	bad[0].index = 7; /* the slot is taken */
	assert_false(session_found_key(w->c, &bad[0], w->t));
	assert_int_equal(session_load(w->c).live, 1);
	world_free(w);
}

static void test_keys_lost(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2), g = far_of(w, 3);

	(void)state;
	(void)far_session(w, &f);
	(void)far_shake(w, &g);
	session_keys_lost(w->c, w->t);
	assert_int_equal(session_load(w->c).live, 0);
	assert_int_equal(session_load(w->c).unconfirmed, 0);
	assert_true(was_told(w, SESSION_ENDED));
	assert_int_equal(session_policy(w->c, &f.n.pk, w->t).way, SESSION_BY_NONE);
	assert_int_equal(session_policy(w->c, &g.n.pk, w->t).way, SESSION_BY_STATIC);
	(void)far_wanted_session(w, &f);
	world_free(w);
}

static void view(void *ctx, const struct session_view *v)
{
	*(struct session_view *)ctx = *v;
}

static void test_view(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	const uint32_t first = far_session(w, &f), second = next_session(w, &f);
	struct session_view v;

	(void)state;
	session_each(w->c, w->t, view, &v);
	assert_true(pubkey_eq(&v.pk, &f.n.pk) && ip6_eq(&v.address, &f.n.address));
	assert_int_equal(v.index[SESSION_SEND], second);
	assert_int_equal(v.index[SESSION_OLD], first);
	assert_int_equal(v.index[SESSION_NEXT], 0);
	assert_int_equal(v.made[SESSION_SEND].us, w->t.now.us);
	assert_true(v.pinned && !v.waiting && v.capabilities == 1);
	assert_int_equal(v.pin.last_ns, w->t.real_ns);
	assert_int_equal(v.policy.way, SESSION_BY_KEY);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_confirm),
		cmocka_unit_test(test_crossing),
		cmocka_unit_test(test_linger),
		cmocka_unit_test(test_linger_end),
		cmocka_unit_test(test_second_key),
		cmocka_unit_test(test_peers_full),
		cmocka_unit_test(test_peers_default),
		cmocka_unit_test(test_adoption),
		cmocka_unit_test(test_adoption_refused),
		cmocka_unit_test(test_keys_lost),
		cmocka_unit_test(test_view),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
