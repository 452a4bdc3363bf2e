/* SPDX-License-Identifier: Apache-2.0 */
/* How peers are talked to, as store, user and network want it: pins and modes, network keys, second keys, what a KEY
 * record is filled with, and what was refused. */
#include "tests/unit/test_keyring.h"
#include <errno.h>

static struct record_pin pin_of(const struct node *n)
{
	struct record_pin p = {.net64 = n->net64, .first_ns = REAL_NS, .last_ns = REAL_NS};

	memcpy(p.public_key, n->pk.b, sizeof(p.public_key));
	return p;
}

static struct record_mode mode_of(const struct node *n, enum session_mode mode)
{
	struct record_mode m = {.net64 = n->net64, .mode = (uint8_t)mode};

	memcpy(m.public_key, n->pk.b, sizeof(m.public_key));
	return m;
}

static struct ctl_key filled(struct side *s, const struct node *n)
{
	struct ctl_key k = {.net64 = n->net64, .session = 5, .way = 9, .refuse_static = 9};

	memcpy(k.public_key, n->pk.b, sizeof(k.public_key));
	keyring_fill(s->k, &k, s->world->t);
	return k;
}

static void assert_filled(struct side *s, const struct node *n, uint8_t way, uint8_t refuse_static)
{
	const struct ctl_key k = filled(s, n);

	assert_int_equal(k.way, way);
	assert_int_equal(k.refuse_static, refuse_static);
	assert_int_equal(k.session != 0, way == CTL_WAY_SESSION);
}

static void test_fill(void **state)
{
	struct world *w = world_default();
	struct side *a = &w->side[0], *b = &w->side[1];
	const struct node other_key = node_of(50);
	struct node second = b->self;

	(void)state;
	assert_filled(a, &b->self, CTL_WAY_STATIC, 0);
	want(a, &b->self);
	assert_filled(a, &b->self, CTL_WAY_SESSION, 0);
	assert_int_equal(filled(a, &b->self).session, held_at(a, CTL_SESSION_SEND)->key.info.index);
	pass_ms(w, 10 * SECOND_MS);
	assert_filled(a, &b->self, CTL_WAY_SESSION, 1);
	/* Another key that claims the /64 gets nothing of it. */
	second.pk = other_key.pk;
	assert_int_equal(filled(a, &second).session, 0);
	pass_ms(w, 300 * SECOND_MS);
	assert_filled(a, &b->self, CTL_WAY_HOLD, 1);
	world_free(w);
}

/* From the store: held at once, before any packet; what is not right goes out of it. */
static void test_pins_found(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	const struct node third = node_of(9), fourth = node_of(10);
	struct keyring_view v;

	(void)state;
	a->pins[0] = pin_of(&b->self);
	a->pins[1] = pin_of(&third);
	a->pins[1].public_key[0] ^= 1;
	a->pins[2] = pin_of(&fourth);
	a->pins[2].first_ns++;
	world_begin(w);
	assert_int_equal(a->pin_dels, 2);
	assert_null(pin_at(a, third.net64));
	assert_null(pin_at(a, fourth.net64));
	assert_filled(a, &b->self, CTL_WAY_HOLD, 1);
	assert_filled(a, &third, CTL_WAY_STATIC, 0);
	v = view(a);
	assert_true(v.known && v.session.pinned);
	assert_int_equal(v.pin_end_s, REAL_NS / NS_PER_S + 3600);
	assert_int_equal(v.since.us, MONO_NEVER.us);
	assert_int_equal(v.session.policy.way, SESSION_BY_NONE);
	assert_true(ip6_eq(&v.session.address, &b->self.address));
	assert_int_equal(keyring_totals(a->k, w->t).pins, 1);
	assert_int_equal(keyring_totals(a->k, w->t).peers, 1);
	/* It ends, though it stays in the table. */
	pass_ms(w, 0);
	w->t.real_ns += 3601 * NS_PER_S;
	assert_int_equal(keyring_totals(a->k, w->t).pins, 0);
	assert_false(keyring_find(a->k, b->self.net64, w->t, keep, &v));
	world_free(w);
}

static void test_modes_found(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	const struct node third = node_of(9), fourth = node_of(10);

	(void)state;
	log_begin(w);
	a->modes[0] = mode_of(&b->self, SESSION_REQUIRE);
	a->modes[1] = mode_of(&third, SESSION_OFF);
	a->modes[1].public_key[0] ^= 1;
	a->modes[2] = mode_of(&fourth, SESSION_REQUIRE + 1);
	world_begin(w);
	assert_non_null(mode_at(a, b->self.net64));
	assert_null(mode_at(a, third.net64));
	assert_null(mode_at(a, fourth.net64));
	assert_int_equal(logged(w, "does not fit any more"), 2);
	assert_filled(a, &b->self, CTL_WAY_HOLD, 1);
	assert_true(view(a).has_mode);
	assert_int_equal(view(a).session.mode, SESSION_REQUIRE);
	world_free(w);
}

/* With a network key nothing but require is left of them. */
static void test_modes_found_network_key(void **state)
{
	static const struct session_psk network = {{7}};
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	const struct node third = node_of(9);

	(void)state;
	a->modes[0] = mode_of(&b->self, SESSION_REQUIRE);
	a->modes[1] = mode_of(&third, SESSION_OFF);
	a->config.network_keys = &network;
	a->config.network_key_count = 1;
	world_begin(w);
	assert_non_null(mode_at(a, b->self.net64));
	assert_null(mode_at(a, third.net64));
	assert_int_equal(keyring_mode(a->k), SESSION_REQUIRE);
	assert_true(keyring_has_network_key(a->k));
	assert_false(keyring_has_network_key(b->k));
	world_free(w);
}

static void test_set_mode(void **state)
{
	const enum session_mode off = SESSION_OFF, require = SESSION_REQUIRE;
	struct world *w = world_default();
	struct side *a = &w->side[0], *b = &w->side[1];
	const uint64_t net64 = b->self.net64;

	(void)state;
	assert_int_equal(keyring_set_mode(a->k, net64, &require, w->t), -ENOENT);
	assert_int_equal(keyring_set_mode(a->k, net64, NULL, w->t), -ENOENT);
	a->announced = b->self;
	assert_int_equal(keyring_set_mode(a->k, net64, NULL, w->t), 0);
	assert_int_equal(keyring_set_mode(a->k, net64, &require, w->t), 0);
	assert_int_equal(mode_at(a, net64)->mode, SESSION_REQUIRE);
	assert_memory_equal(mode_at(a, net64)->public_key, b->self.pk.b, sizeof(b->self.pk));
	assert_int_equal(a->policy.way, CTL_WAY_HOLD);
	assert_int_equal(a->policy.refuse_static, 1);
	/* Known by now, whatever is announced. */
	a->announced = (struct node){0};
	assert_int_equal(keyring_set_mode(a->k, net64, &off, w->t), 0);
	assert_int_equal(mode_at(a, net64)->mode, SESSION_OFF);
	assert_int_equal(a->policy.way, CTL_WAY_STATIC);
	want(a, &b->self);
	assert_int_equal(held_count(a), 0);
	assert_int_equal(keyring_set_mode(a->k, net64, NULL, w->t), 0);
	assert_null(mode_at(a, net64));
	assert_false(view(a).has_mode);
	assert_int_equal(keyring_set_mode(a->k, net64, NULL, w->t), 0);
	want(a, &b->self);
	assert_int_equal(held_count(a), 1);
	world_free(w);
}

/* A key with the same /64: the address function is a stand-in, for real ones take long to find. */
static void address_of_last_bytes(const struct pubkey *pk, struct ip6 *out)
{
	network200.address(pk, out);
	if (pk->b[30] == 0x5a && pk->b[31] == 0x5a)
		memset(out->b, 2, 8);
}

static void test_second_key(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0];
	struct network network = network200;
	struct node owner = {.pk = {{1, [30] = 0x5a, 0x5a}}}, second = {.pk = {{2, [30] = 0x5a, 0x5a}}};
	const enum session_mode require = SESSION_REQUIRE;
	struct record_pin pin;

	(void)state;
	log_begin(w);
	world_begin(w);
	network.address = address_of_last_bytes;
	keyring_free(a->k);
	a->config.network = &network;
	network.address(&owner.pk, &owner.address);
	network.address(&second.pk, &second.address);
	owner.net64 = second.net64 = ip6_net64(&owner.address);
	a->k = keyring_new(&a->config, &ops, a, w->t);
	ready(a);
	assert_true(keyring_may_learn(a->k, second.net64, &second.pk, w->t));
	pin = pin_of(&owner);
	keyring_found_pin(a->k, &pin, w->t);
	assert_false(keyring_may_learn(a->k, second.net64, &second.pk, w->t));
	assert_true(keyring_may_learn(a->k, owner.net64, &owner.pk, w->t));
	assert_false(keyring_may_learn(a->k, owner.net64 + 1, &owner.pk, w->t));
	/* Counted each time, told once a minute. */
	for (int s = 0; s < 59; s++) {
		w->t.now = mono_add_ms(w->t.now, SECOND_MS);
		assert_false(keyring_may_learn(a->k, second.net64, &second.pk, w->t));
	}
	assert_int_equal(keyring_totals(a->k, w->t).second_keys, 60);
	assert_int_equal(a->kinds[SESSION_SECOND_KEY], 1);
	assert_int_equal(logged(w, "a second key"), 1);
	w->t.now = mono_add_ms(w->t.now, SECOND_MS);
	assert_false(keyring_may_learn(a->k, second.net64, &second.pk, w->t));
	assert_int_equal(a->kinds[SESSION_SECOND_KEY], 2);
	assert_int_equal(logged(w, "a second key"), 2);
	/* Its static packets are treated as the owner's would be; a mode is for the owner. */
	assert_filled(a, &second, CTL_WAY_HOLD, 1);
	a->announced = second;
	assert_int_equal(keyring_set_mode(a->k, second.net64, &require, w->t), -EEXIST);
	a->announced = owner;
	assert_int_equal(keyring_set_mode(a->k, second.net64, &require, w->t), 0);
	world_free(w);
}

/* Our own /64 is nobody else's. */
static void test_own_net64(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0];
	struct network network = network200;
	struct node second = {.pk = {{2, [30] = 0x5a, 0x5a}}};

	(void)state;
	network.address = address_of_last_bytes;
	a->self.pk.b[30] = a->self.pk.b[31] = 0x5a;
	network.address(&a->self.pk, &a->self.address);
	network.address(&second.pk, &second.address);
	begin(&w->side[1]);
	a->config = (struct keyring_config){
		.network = &network, .pk = a->self.pk, .sk = &a->self.sk, .mode = SESSION_OPPORTUNISTIC};
	a->k = keyring_new(&a->config, &ops, a, w->t);
	assert_false(keyring_may_learn(a->k, ip6_net64(&second.address), &second.pk, w->t));
	assert_true(keyring_may_learn(a->k, ip6_net64(&a->self.address), &a->self.pk, w->t));
	world_free(w);
}

static void test_require(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];

	(void)state;
	a->config.mode = SESSION_REQUIRE;
	world_begin(w);
	assert_filled(a, &b->self, CTL_WAY_HOLD, 1);
	b->deaf = true; /* as an old node is */
	want(a, &b->self);
	assert_int_equal(keyring_totals(a->k, w->t).idle, 0);
	pass_ms(w, 100 * SECOND_MS);
	assert_int_equal(keyring_totals(a->k, w->t).held, 1);
	/* Nothing waits any more. */
	assert_int_equal(keyring_totals(a->k, w->t).idle, 1);
	assert_filled(a, &b->self, CTL_WAY_HOLD, 1);
	b->deaf = false;
	pass_ms(w, 600 * SECOND_MS);
	want(a, &b->self);
	assert_filled(a, &b->self, CTL_WAY_SESSION, 1);
	world_free(w);
}

/* The same key, the next one while it is rolled, and another one. */
static void test_network_keys(void **state)
{
	static const struct session_psk old = {{1}}, rolling[] = {{{1}}, {{2}}}, rolled[] = {{{2}}, {{1}}}, new = {{2}};
	static const struct {
		const struct session_psk *a, *b;
		uint8_t a_count, b_count;
		bool meets;
	} cases[] = {
		{&old, &old, 1, 1, true},      {&old, rolling, 1, 2, true},   {rolling, &old, 2, 1, true},
		{rolling, rolled, 2, 2, true}, {rolled, rolling, 2, 2, true}, {rolled, &new, 2, 1, true},
		{&old, &new, 1, 1, false},     {&old, NULL, 1, 0, false},     {NULL, &old, 0, 1, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new();
		struct side *a = &w->side[0], *b = &w->side[1];
		const enum session_mode off = SESSION_OFF, lax = SESSION_OPPORTUNISTIC, require = SESSION_REQUIRE;

		a->config.network_keys = cases[i].a;
		a->config.network_key_count = cases[i].a_count;
		b->config.network_keys = cases[i].b;
		b->config.network_key_count = cases[i].b_count;
		world_begin(w);
		want(a, &b->self);
		assert_int_equal(held_at(b, CTL_SESSION_SEND) != NULL, cases[i].meets);
		assert_int_equal(held_at(a, CTL_SESSION_SEND) != NULL, cases[i].meets);
		assert_int_equal(a->kinds[SESSION_MISMATCH], cases[i].meets ? 0 : 1);
		if (cases[i].a) {
			a->announced = b->self;
			assert_int_equal(keyring_set_mode(a->k, b->self.net64, &off, w->t), -EPERM);
			assert_int_equal(keyring_set_mode(a->k, b->self.net64, &lax, w->t), -EPERM);
			assert_int_equal(keyring_set_mode(a->k, b->self.net64, &require, w->t), 0);
		}
		world_free(w);
	}
	(void)state;
}

/* Static packets of a pinned peer: counted, alarmed once a second, logged once a minute. */
static void test_downgrade(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	struct ctl_session_refused refused = {.net64 = b->self.net64, .bytes = 100};
	const struct ctl_user_up u = {.src = b->self.address};
	struct ctl_user_up plain = u;

	(void)state;
	log_begin(w);
	world_begin(w);
	memcpy(refused.public_key, b->self.pk.b, sizeof(refused.public_key));
	memcpy(plain.public_key, b->self.pk.b, sizeof(plain.public_key));
	assert_true(keyring_may_take(a->k, &plain, 100, w->t));
	/* By a policy of before: it is told again. */
	record(a, CTL_SESSION_REFUSED, &refused);
	assert_int_equal(a->policies, 1);
	assert_int_equal(a->policy.way, CTL_WAY_STATIC);
	assert_false(a->policy.refuse_static);
	want(a, &b->self);
	assert_true(keyring_may_take(a->k, &plain, 100, w->t)); /* under way since before */
	pass_ms(w, 20 * SECOND_MS);
	a->users = 0;
	for (int s = 0; s < 60; s++) {
		record(a, CTL_SESSION_REFUSED, &refused);
		assert_false(keyring_may_take(a->k, &plain, 100, w->t));
		pass_ms(w, SECOND_MS);
	}
	assert_int_equal(a->kinds[SESSION_DOWNGRADE], 60);
	assert_int_equal(view(a).refused_static, 60);
	assert_int_equal(keyring_totals(a->k, w->t).refused_static, 120);
	assert_int_equal(a->users, 60); /* KEEPALIVE */
	assert_int_equal(logged(w, "comes without session"), 1);
	record(a, CTL_SESSION_REFUSED, &refused);
	assert_int_equal(logged(w, "comes without session"), 2);
	/* Of a key that has not this /64. */
	refused.net64++;
	pass_ms(w, SECOND_MS);
	record(a, CTL_SESSION_REFUSED, &refused);
	assert_int_equal(keyring_totals(a->k, w->t).refused_static, 121);
	world_free(w);
}

/* Strangers by the thousand: what is remembered of them makes room, what is remembered of sessions stays. */
static void test_strangers(void **state)
{
	enum { STRANGERS = 40000 };
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	struct ctl_user_up u = {0};

	(void)state;
	log_begin(w);
	a->config.mode = SESSION_REQUIRE;
	world_begin(w);
	want(a, &b->self);
	talk(a, 3);
	for (int i = 0; i < STRANGERS; i++) {
		memcpy(u.public_key, &i, sizeof(i));
		u.public_key[8] = 1;
		assert_false(keyring_may_take(a->k, &u, 100, w->t));
		w->count = 0; /* some are asked for a session */
	}
	assert_int_equal(a->kinds[SESSION_DOWNGRADE], STRANGERS);
	assert_int_equal(view(a).sealed_packets, 3);
	assert_int_equal(keyring_totals(a->k, w->t).live, 1);
	assert_true(keyring_totals(a->k, w->t).peers <= SESSION_LIMIT_PEERS);
	world_free(w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fill),	     cmocka_unit_test(test_pins_found),
		cmocka_unit_test(test_modes_found),  cmocka_unit_test(test_modes_found_network_key),
		cmocka_unit_test(test_set_mode),     cmocka_unit_test(test_second_key),
		cmocka_unit_test(test_own_net64),    cmocka_unit_test(test_require),
		cmocka_unit_test(test_network_keys), cmocka_unit_test(test_downgrade),
		cmocka_unit_test(test_strangers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
