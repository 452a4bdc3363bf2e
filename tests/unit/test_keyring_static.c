/* SPDX-License-Identifier: Apache-2.0 */
/* Packets under static keys: summed over the lives of the fastpath, warned of at 2^32 and each doubling; policies of
 * keys that a running fastpath has; and the list of all that is known, each /64 once. */
#include "tests/unit/test_keyring.h"

#define MANY (UINT64_C(1) << 32)

static struct ctl_key_info info_of(const struct node *n, uint64_t sealed, uint64_t opened)
{
	struct ctl_key_info i = {.net64 = n->net64, .sealed = sealed, .opened = opened};

	memcpy(i.public_key, n->pk.b, sizeof(i.public_key));
	return i;
}

static void tell(struct side *s, const struct node *n, uint64_t sealed, uint64_t opened)
{
	const struct ctl_key_info i = info_of(n, sealed, opened);

	record(s, CTL_KEY_INFO, &i);
}

static void assert_counts(struct side *s, uint64_t sealed, uint64_t opened)
{
	const struct keyring_view v = view(s);

	assert_int_equal(v.static_sealed, sealed);
	assert_int_equal(v.static_opened, opened);
}

static void test_counts(void **state)
{
	struct world *w = world_default();
	struct side *a = &w->side[0], *b = &w->side[1];
	struct keyring_view v;
	struct node wrong = b->self;

	(void)state;
	assert_false(keyring_find(a->k, b->self.net64, w->t, keep, &v));
	tell(a, &b->self, 10, 5);
	tell(a, &b->self, 12, 5);
	assert_counts(a, 12, 5);
	v = view(a);
	assert_false(v.known);
	assert_int_equal(v.session.mode, SESSION_OPPORTUNISTIC);
	assert_true(ip6_eq(&v.session.address, &b->self.address));
	assert_int_equal(keyring_totals(a->k, w->t).static_only, 1);
	assert_int_equal(keyring_totals(a->k, w->t).peers, 0);
	/* The key fell out of the fastpath and came again. */
	tell(a, &b->self, 3, 9);
	assert_counts(a, 15, 9);
	/* The fastpath is a new one: it counts from zero, however much that is by now. */
	keyring_fastpath_lost(a->k, w->t);
	tell(a, &b->self, 100, 100);
	assert_counts(a, 15, 9);
	ready(a);
	tell(a, &b->self, 100, 100);
	assert_counts(a, 115, 109);
	wrong.net64++;
	tell(a, &wrong, 1, 1);
	assert_false(keyring_find(a->k, wrong.net64, w->t, keep, &v));
	want(a, &b->self);
	assert_counts(a, 115, 109);
	assert_int_equal(keyring_totals(a->k, w->t).static_only, 0);
	world_free(w);
}

/* Full: the one told of longest ago goes. */
static void test_cap(void **state)
{
	struct world *w = world_default();
	struct side *a = &w->side[0], *b = &w->side[1];
	struct keyring_view v;
	struct node n = {0};

	(void)state;
	tell(a, &b->self, 1, 1);
	for (int i = 0; i < LIMIT_KEY_SLOTS; i++) {
		struct node first = {.pk = {{0, 0, 1}}};

		memcpy(n.pk.b, &i, sizeof(i));
		n.pk.b[2] = 1;
		network200.address(&n.pk, &n.address);
		n.net64 = ip6_net64(&n.address);
		tell(a, &n, 1, 1);
		network200.address(&first.pk, &first.address);
		first.net64 = ip6_net64(&first.address);
		if (i == LIMIT_KEY_SLOTS - 2)
			tell(a, &first, 2, 2);
	}
	assert_false(keyring_find(a->k, b->self.net64, w->t, keep, &v));
	assert_int_equal(keyring_totals(a->k, w->t).static_only, LIMIT_KEY_SLOTS);
	tell(a, &b->self, 1, 1);
	n.pk = (struct pubkey){{0, 0, 1}};
	network200.address(&n.pk, &n.address);
	assert_true(keyring_find(a->k, ip6_net64(&n.address), w->t, keep, &v));
	assert_int_equal(v.static_sealed, 2);
	assert_int_equal(keyring_totals(a->k, w->t).static_only, LIMIT_KEY_SLOTS);
	world_free(w);
}

static void test_warning(void **state)
{
	static const struct {
		uint64_t sealed, opened;
		size_t lines;
	} cases[] = {
		{MANY / 2, MANY / 2 - 1, 0},
		{MANY / 2, MANY / 2, 1},
		{MANY / 2 + 7, MANY / 2, 1},
		{MANY, MANY - 1, 1},
		{MANY, MANY, 2},
		{MANY, MANY + 1, 2},
		{16 * MANY, 15 * MANY, 3}, /* over several at once */
		{16 * MANY, 16 * MANY - 1, 3},
		{16 * MANY, 16 * MANY, 4},
		{UINT64_MAX / 2 - 1, UINT64_MAX / 2 - 1, 5},
		{UINT64_MAX / 2, UINT64_MAX / 2, 5},
	};
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];

	(void)state;
	log_begin(w);
	world_begin(w);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		tell(a, &b->self, cases[i].sealed, cases[i].opened);
		assert_int_equal(logged(w, "packets under the static key"), cases[i].lines);
		tell(a, &b->self, cases[i].sealed, cases[i].opened);
		assert_int_equal(logged(w, "--session require"), cases[i].lines);
	}
	world_free(w);
}

/* Where the policy of a found key is not that of now, it is told; else it is not. */
static void test_found_policies(void **state)
{
	static const struct {
		bool pinned;
		uint8_t way, refuse_static;
		bool told;
	} cases[] = {
		{false, CTL_WAY_STATIC, 0, false}, {false, CTL_WAY_HOLD, 1, true}, {false, CTL_WAY_STATIC, 1, true},
		{false, CTL_WAY_SESSION, 0, true}, {true, CTL_WAY_HOLD, 1, false}, {true, CTL_WAY_SESSION, 1, true},
		{true, CTL_WAY_STATIC, 0, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new();
		struct side *a = &w->side[0], *b = &w->side[1];
		struct ctl_key_info found = info_of(&b->self, 40, 2);
		struct record_pin pin = {.net64 = b->self.net64, .first_ns = REAL_NS, .last_ns = REAL_NS};

		memcpy(pin.public_key, b->self.pk.b, sizeof(pin.public_key));
		if (cases[i].pinned)
			told_pin_set(a, &pin);
		begin(a);
		begin(b);
		found.way = cases[i].way;
		found.refuse_static = cases[i].refuse_static;
		keyring_found_key(a->k, &found, w->t);
		ready(a);
		assert_int_equal(a->policies, cases[i].told);
		if (cases[i].told)
			assert_int_equal(a->policy.way, cases[i].pinned ? CTL_WAY_HOLD : CTL_WAY_STATIC);
		assert_counts(a, 40, 2);
		tell(a, &b->self, 41, 2);
		assert_counts(a, 41, 2);
		/* Once. */
		keyring_start(a->k, w->t);
		assert_int_equal(a->policies, cases[i].told);
		world_free(w);
	}
	(void)state;
}

struct seen {
	uint64_t net64[8];
	bool known[8], pinned[8];
	size_t count;
};

static void take(void *ctx, const struct keyring_view *v)
{
	struct seen *s = ctx;

	assert_true(s->count < 8);
	s->net64[s->count] = ip6_net64(&v->session.address);
	s->known[s->count] = v->known;
	s->pinned[s->count++] = v->session.pinned;
}

static void test_each(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	const struct node pinned = node_of(9), both = node_of(10), old = node_of(11);
	const struct node *const pins[] = {&pinned, &both, &b->self};
	struct seen seen = {0};
	size_t found = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		a->pins[i] = (struct record_pin){.net64 = pins[i]->net64, .first_ns = REAL_NS, .last_ns = REAL_NS};
		memcpy(a->pins[i].public_key, pins[i]->pk.b, sizeof(a->pins[i].public_key));
	}
	world_begin(w);
	tell(a, &both, 1, 1);
	tell(a, &old, 1, 1);
	tell(a, &b->self, 1, 1);
	want(a, &b->self);
	keyring_each(a->k, w->t, take, &seen);
	assert_int_equal(seen.count, 4);
	for (size_t i = 0; i < seen.count; i++) {
		const bool is_old = seen.net64[i] == old.net64;

		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(seen.net64[i], seen.net64[j]);
		assert_int_equal(seen.known[i], !is_old);
		assert_int_equal(seen.pinned[i], !is_old);
		found += is_old;
	}
	assert_int_equal(found, 1);
	assert_int_equal(keyring_totals(a->k, w->t).peers, 3);
	assert_int_equal(keyring_totals(a->k, w->t).live, 1);
	assert_int_equal(keyring_totals(a->k, w->t).pins, 3);
	assert_int_equal(keyring_totals(a->k, w->t).held, 2);
	assert_int_equal(keyring_totals(a->k, w->t).static_only, 1);
	/* The pins end: who used the static key beside is still there. */
	w->t.real_ns += 7200 * NS_PER_S;
	seen.count = 0;
	keyring_each(a->k, w->t, take, &seen);
	assert_int_equal(seen.count, 3);
	world_free(w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),	       cmocka_unit_test(test_cap),  cmocka_unit_test(test_warning),
		cmocka_unit_test(test_found_policies), cmocka_unit_test(test_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
