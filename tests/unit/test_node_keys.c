/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that the fastpath asks the node for: answered, bounded per second, own traffic first. */
#include "controld/node_private.h"
#include "tests/support/node_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_key_is_answered(void **state)
{
	struct node_world *w = node_world_started();
	const uint32_t link = node_world_link_out(w, "192.0.2.2:9651");
	struct aead_key secret;
	struct pubkey pk;
	struct node_other b;

	(void)state;
	node_world_other(&b, 0x21);
	node_on_want_key(w->n, ip6_net64(&b.id.own.ip), true, w->now);
	assert_int_equal(w->no_key_count, 1);
	assert_int_equal(w->no_keys[0], ip6_net64(&b.id.own.ip));
	node_world_update(w, link, &b, 0, 0);
	assert_true(node_key_of(w->n, ip6_net64(&b.id.own.ip), &pk));
	assert_true(pubkey_eq(&pk, &b.id.pk));
	assert_int_equal(w->key_count, 0);
	node_on_want_key(w->n, ip6_net64(&b.id.own.ip), false, w->now);
	assert_int_equal(w->key_count, 1);
	assert_int_equal(identity_shared_secret(&w->id, &b.id.pk, &secret), 0);
	assert_memory_equal(w->keys[0].secret, secret.b, 32);
	assert_memory_equal(w->keys[0].public_key, b.id.pk.b, 32);
	assert_int_equal(w->keys[0].net64, ip6_net64(&b.id.own.ip));
	identity_fini(&b.id);
	node_world_free(w);
}

/* Makes count keys known; the net64 of each. */
static void keys_make(struct node_world *w, uint32_t link, uint64_t *net64s, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct node_other o;
		uint8_t sk[32] = {0, (uint8_t)i, (uint8_t)(i >> 8), 0x77};

		assert_int_equal(identity_from_bytes(&o.id, &network200, sk), 0);
		memset(&o.rid, 0, sizeof(o.rid));
		memcpy(o.rid.public_key, o.id.pk.b, 32);
		net64s[i] = ip6_net64(&o.id.own.ip);
		node_world_update(w, link, &o, 0, 0);
		identity_fini(&o.id);
	}
}

static void test_keys_per_second(void **state)
{
	enum { COUNT = 300, OWN = 250 };
	struct node_world *w = node_world_started();
	const uint32_t link = node_world_link_out(w, "192.0.2.2:9651");
	uint64_t net64s[COUNT];
	struct mono begin, next;

	(void)state;
	keys_make(w, link, net64s, COUNT);
	w->now = mono_add_ms(w->now, 100);
	begin = w->now;
	for (unsigned i = 0; i < COUNT; i++)
		node_on_want_key(w->n, net64s[i], i == OWN, w->now);
	assert_true(w->key_count < COUNT);
	assert_true(w->key_count > 0);
	/* Asked twice, answered once. */
	node_on_want_key(w->n, net64s[COUNT - 1], false, w->now);
	next = node_tick(w->n, w->now);
	while (w->key_count < COUNT) {
		assert_true(next.us > w->now.us);
		assert_true(mono_since_ms(next, begin) < 1000);
		w->now = next;
		next = node_tick(w->n, w->now);
	}
	assert_int_equal(w->key_count, COUNT);
	assert_true(mono_since_ms(w->now, begin) >= 280);
	assert_true(mono_since_ms(w->now, begin) <= 310);
	/* Own traffic went before the strangers that had asked earlier, but for the first slot of time. */
	for (unsigned i = 0; i < COUNT; i++) {
		if (w->keys[i].net64 == net64s[OWN])
			assert_true(i <= 10);
	}
	node_world_free(w);
}

/* Full: one without a route goes, and all others are found still. The one with a route stays. */
static void test_known_keys_are_capped(void **state)
{
	enum { MORE = 20000 };
	struct node_world *w = node_world_started();
	const uint32_t link = node_world_link_out(w, "192.0.2.2:9651");
	unsigned found = 0, right = 0;
	struct node_other b;
	struct pubkey pk = {{0}};

	(void)state;
	node_world_other(&b, 0x21);
	node_world_update(w, link, &b, 0, 0);
	for (uint64_t i = 1; i < LIMIT_KNOWN_KEYS + MORE; i++) {
		memcpy(pk.b, &i, sizeof(i));
		node_keys_learn(w->n, i, pk.b);
	}
	for (uint64_t i = 1; i < LIMIT_KNOWN_KEYS + MORE; i++) {
		if (!node_key_of(w->n, i, &pk))
			continue;
		found++;
		right += memcmp(pk.b, &i, sizeof(i)) == 0;
	}
	assert_int_equal(found, LIMIT_KNOWN_KEYS - 1);
	assert_int_equal(right, found);
	assert_true(node_key_of(w->n, ip6_net64(&b.id.own.ip), &pk));
	assert_true(pubkey_eq(&pk, &b.id.pk));
	identity_fini(&b.id);
	node_world_free(w);
}

/* Evicted while its owner had no route, a key is known again when the route is back. */
static void test_evicted_key_comes_back(void **state)
{
	struct node_world *w = node_world_started();
	const uint32_t link = node_world_link_out(w, "192.0.2.2:9651");
	struct node_other b;
	struct pubkey pk = {{0}};

	(void)state;
	node_world_other(&b, 0x21);
	node_world_update(w, link, &b, 0, 0);
	node_world_update(w, link, &b, 0, WIRE_INFINITE);
	for (uint64_t i = 1; node_key_of(w->n, ip6_net64(&b.id.own.ip), &pk); i++) {
		assert_true(i < 4 * (uint64_t)LIMIT_KNOWN_KEYS);
		memcpy(pk.b, &i, sizeof(i));
		node_keys_learn(w->n, i, pk.b);
	}
	node_world_update(w, link, &b, 0, 0);
	assert_true(node_key_of(w->n, ip6_net64(&b.id.own.ip), &pk));
	assert_true(pubkey_eq(&pk, &b.id.pk));
	identity_fini(&b.id);
	node_world_free(w);
}

/* The fastpath may hold the key that was known before. */
static void test_changed_key_is_sent(void **state)
{
	struct node_world *w = node_world_started();
	const uint8_t first[32] = {9}, second[32] = {10};

	(void)state;
	node_keys_learn(w->n, 5, first);
	node_tick(w->n, w->now);
	node_keys_learn(w->n, 5, first);
	node_tick(w->n, w->now);
	assert_int_equal(w->key_count, 0);
	node_keys_learn(w->n, 5, second);
	node_tick(w->n, w->now);
	assert_int_equal(w->key_count, 1);
	assert_memory_equal(w->keys[0].public_key, second, 32);
	node_world_free(w);
}

/* A key in the place of another, or of none, is asked about each time; refused, what was known stays. */
static void test_refused_key_is_not_learned(void **state)
{
	struct node_world *w = node_world_started();
	const uint8_t first[32] = {9}, second[32] = {10};
	struct pubkey pk;

	(void)state;
	w->refuse_keys = true;
	node_keys_learn(w->n, 5, first);
	assert_int_equal(w->learn_asked, 1);
	assert_false(node_key_of(w->n, 5, &pk));
	w->refuse_keys = false;
	node_keys_learn(w->n, 5, first);
	assert_int_equal(w->learn_asked, 2);
	assert_true(node_key_of(w->n, 5, &pk));
	w->refuse_keys = true;
	/* The one that is known is no question. */
	node_keys_learn(w->n, 5, first);
	assert_int_equal(w->learn_asked, 2);
	node_keys_learn(w->n, 5, second);
	node_tick(w->n, w->now);
	assert_int_equal(w->learn_asked, 3);
	assert_true(node_key_of(w->n, 5, &pk));
	assert_memory_equal(pk.b, first, 32);
	assert_int_equal(w->key_count, 0);
	w->refuse_keys = false;
	node_keys_learn(w->n, 5, second);
	node_tick(w->n, w->now);
	assert_int_equal(w->key_count, 1);
	assert_memory_equal(w->keys[0].public_key, second, 32);
	node_world_free(w);
}

/* A route of a node whose key is refused is taken all the same; who asks gets the key that was known. */
static void test_refused_key_of_a_route(void **state)
{
	struct node_world *w = node_world_started();
	const uint32_t link = node_world_link_out(w, "192.0.2.2:9651");
	struct node_other b;
	uint64_t net64;

	(void)state;
	node_world_other(&b, 0x21);
	net64 = ip6_net64(&b.id.own.ip);
	node_keys_learn(w->n, net64, (const uint8_t[32]){9});
	w->refuse_keys = true;
	node_world_update(w, link, &b, 0, 0);
	assert_int_equal(w->route_count, 1);
	assert_true(w->learn_asked > 1);
	node_on_want_key(w->n, net64, true, w->now);
	assert_int_equal(w->key_count, 1);
	assert_int_equal(w->keys[0].public_key[0], 9);
	identity_fini(&b.id);
	node_world_free(w);
}

static void test_low_order_key_is_none(void **state)
{
	struct node_world *w = node_world_started();
	const uint8_t low[32] = {0};

	(void)state;
	node_keys_learn(w->n, 5, low);
	node_on_want_key(w->n, 5, true, w->now);
	assert_int_equal(w->key_count, 0);
	assert_int_equal(w->no_key_count, 1);
	assert_int_equal(w->no_keys[0], 5);
	node_world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_is_answered),
		cmocka_unit_test(test_keys_per_second),
		cmocka_unit_test(test_known_keys_are_capped),
		cmocka_unit_test(test_changed_key_is_sent),
		cmocka_unit_test(test_low_order_key_is_none),
		cmocka_unit_test(test_evicted_key_comes_back),
		cmocka_unit_test(test_refused_key_is_not_learned),
		cmocka_unit_test(test_refused_key_of_a_route),
	};

	log_level = LOG_ERR;
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
