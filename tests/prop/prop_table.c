/* SPDX-License-Identifier: Apache-2.0 */
/* The lookup table against a naive list: random routes, longer prefixes, keys and deletions; 100,000 routes; and
 * readers that look up while it changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "fastpath/table.h"
#include <cmocka.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { NETS = 48, STEPS = 20000, PER_NET = 40, MANY = 100000, READERS = 2, ROUNDS = 30000 };

static uint64_t random_state;

static uint64_t rnd(void)
{
	uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static int seed(void **state)
{
	const char *text = getenv("SEED");

	(void)state;
	random_state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	printf("SEED=%llu\n", (unsigned long long)random_state);
	return 0;
}

/* The list that is surely right. */
struct naive {
	struct {
		struct prefix prefix;
		uint32_t link;
	} route[NETS * PER_NET];
	size_t routes;
	uint32_t key[NETS];
	uint64_t net[NETS];
};

static uint32_t naive_link(const struct naive *n, const struct ip6 *dst)
{
	int best = -1;

	for (size_t i = 0; i < n->routes; i++)
		if (prefix_has(&n->route[i].prefix, dst) &&
		    (best < 0 || n->route[i].prefix.len > n->route[best].prefix.len))
			best = (int)i;
	return best < 0 ? 0 : n->route[best].link;
}

/* What table_set_route() has to return. */
static int naive_set(struct naive *n, const struct prefix *p, uint32_t link)
{
	size_t longer = 0;

	for (size_t i = 0; i < n->routes; i++) {
		const struct prefix *q = &n->route[i].prefix;

		if (prefix_eq(q, p)) {
			n->route[i].link = link;
			if (!link)
				n->route[i] = n->route[--n->routes];
			return 0;
		}
		longer += q->len > 64 && ip6_net64(&q->ip) == ip6_net64(&p->ip);
	}
	if (!link)
		return 0;
	if (p->len > 64 && longer == LIMIT_PREFIXES_PER_NET64)
		return -ENOSPC;
	n->route[n->routes].prefix = *p;
	n->route[n->routes++].link = link;
	return 0;
}

/* An address of one of the nets, with host parts that share their beginnings. */
static struct ip6 some_ip(const struct naive *n)
{
	struct ip6 ip = ip6_from_net64(n->net[rnd() % NETS]);

	for (int i = 8; i < 16; i++)
		ip.b[i] = (uint8_t)(rnd() % 4 ? 0 : 1U << rnd() % 8);
	return ip;
}

static void step(struct naive *n, struct table *t)
{
	const uint8_t lens[] = {64, 64, 64, 65, 72, 96, 100, 127, 128};
	const struct ip6 ip = some_ip(n), dst = some_ip(n);
	const struct prefix p = prefix_make(&ip, lens[rnd() % sizeof(lens)]);
	const uint32_t link = rnd() % 5 ? 1 + (uint32_t)(rnd() % 1000) : 0;
	const size_t net = rnd() % NETS;
	const struct table_entry *e;

	assert_int_equal(table_set_route(t, &p, link), naive_set(n, &p, link));
	if (rnd() % 4 == 0) {
		const uint32_t slot = (uint32_t)(rnd() % 6);

		assert_int_equal(table_set_key(t, n->net[net], slot), n->key[net]);
		n->key[net] = slot;
	}
	assert_int_equal(table_link(table_find(t, ip6_net64(&ip)), &ip), naive_link(n, &ip));
	assert_int_equal(table_link(table_find(t, ip6_net64(&dst)), &dst), naive_link(n, &dst));
	e = table_find(t, n->net[net]);
	assert_int_equal(e ? e->key : 0, n->key[net]);
	assert_int_equal(table_count(t), n->routes);
}

static void it_agrees_with_a_list(void **state)
{
	static struct naive n;
	struct epoch epoch = {.now = 1};
	struct table *t = table_new(&epoch, 1);

	(void)state;
	assert_non_null(t);
	for (size_t i = 0; i < NETS; i++)
		n.net[i] = UINT64_C(0x0200000000000000) + (i % 2 ? i : rnd() >> 8);
	for (int i = 0; i < STEPS; i++) {
		if (rnd() % 8 == 0)
			epoch_leave(&epoch, 0);
		if (rnd() % 8 == 0)
			epoch_enter(&epoch, 0);
		step(&n, t);
		if (rnd() % 16 == 0)
			table_reclaim(t);
	}
	table_free(t);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t set_many(struct table *t, const uint64_t *net, uint32_t link_add)
{
	const uint64_t start = now_ns();

	for (uint32_t i = 0; i < MANY; i++) {
		const struct prefix p = {.ip = ip6_from_net64(net[i]), .len = 64};

		if (table_set_route(t, &p, i + link_add) != 0)
			fail_msg("route %u was refused", i);
	}
	return (now_ns() - start) / 1000;
}

static uint64_t find_many(const struct table *t, const uint64_t *net, uint32_t link_add)
{
	const uint64_t start = now_ns();

	for (uint32_t i = 0, at = 0; i < MANY; i++, at = (at + 7919) % MANY) {
		const struct table_entry *e = table_find(t, net[at]);

		if (!e || e->link != at + link_add || e->net64 != net[at])
			fail_msg("wrong answer for route %u", at);
	}
	return (now_ns() - start) / MANY;
}

static size_t heap_bytes(void)
{
	const struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static void a_hundred_thousand_routes(void **state)
{
	static uint64_t net[MANY];
	struct epoch epoch = {.now = 1};
	struct table *t = table_new(&epoch, 1);
	const size_t before = heap_bytes();
	uint64_t set_us, change_us, find_ns;

	(void)state;
	assert_non_null(t);
	for (size_t i = 0; i < MANY; i++)
		net[i] = rnd() >> 7 | UINT64_C(0x0200000000000000);
	set_us = set_many(t, net, 1);
	assert_false(table_reclaim(t));
	find_ns = find_many(t, net, 1);
	printf("# %d routes: %llu us to set, %llu ns a lookup, %zu bytes a route\n", MANY, (unsigned long long)set_us,
	       (unsigned long long)find_ns, (heap_bytes() - before) / MANY);
	change_us = set_many(t, net, 2);
	find_many(t, net, 2);
	printf("# %llu us to change them\n", (unsigned long long)change_us);
	assert_int_equal(table_count(t), MANY);
	for (size_t i = 0; i < MANY; i++) {
		const struct prefix p = {.ip = ip6_from_net64(net[i]), .len = 64};

		assert_int_equal(table_set_route(t, &p, 0), 0);
	}
	assert_int_equal(table_count(t), 0);
	assert_null(table_find(t, net[0]));
	table_free(t);
}

/* Readers beside the writer: whatever they find must be whole. The link of a route says which /64 it belongs to. */
struct shared {
	struct epoch epoch;
	struct table *table;
	bool done; /* atomic */
	uint64_t looked, wrong; /* atomic */
};

struct reader {
	struct shared *shared;
	unsigned index;
	pthread_t thread;
};

static bool entry_is_whole(const struct table_entry *e, uint64_t net64)
{
	struct ip6 host = ip6_from_net64(net64);
	const uint32_t link = table_link(e, &host);
	uint32_t longer;

	host.b[15] = 1;
	longer = table_link(e, &host);
	return e->net64 == net64 && (!link || link % NETS == net64 % NETS) &&
	       (!longer || longer % NETS == net64 % NETS);
}

static void *read_along(void *arg)
{
	const struct reader *r = arg;
	struct shared *s = r->shared;
	uint64_t looked = 0, wrong = 0;

	while (!__atomic_load_n(&s->done, __ATOMIC_ACQUIRE)) {
		epoch_enter(&s->epoch, r->index);
		for (uint64_t net = 0; net < (uint64_t)NETS * 8; net++) {
			const struct table_entry *e = table_find(s->table, net);

			looked++;
			wrong += e && !entry_is_whole(e, net);
		}
		epoch_leave(&s->epoch, r->index);
		__atomic_store_n(&s->looked, looked, __ATOMIC_RELAXED);
	}
	__atomic_add_fetch(&s->wrong, wrong, __ATOMIC_RELAXED);
	return NULL;
}

static void readers_see_whole_entries(void **state)
{
	static struct shared s = {.epoch.now = 1};
	struct reader readers[READERS];

	(void)state;
	s.table = table_new(&s.epoch, READERS);
	assert_non_null(s.table);
	for (unsigned i = 0; i < READERS; i++) {
		readers[i] = (struct reader){.shared = &s, .index = i};
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_along, &readers[i]), 0);
	}
	for (int i = 0; i < ROUNDS || !__atomic_load_n(&s.looked, __ATOMIC_RELAXED); i++) {
		const uint64_t net = rnd() % (NETS * 8);
		struct ip6 ip = ip6_from_net64(net);

		ip.b[15] = (uint8_t)(rnd() % 2);
		const struct prefix p = {.ip = ip, .len = ip.b[15] ? 128 : 64};

		assert_int_equal(table_set_route(s.table, &p, rnd() % 3 ? (uint32_t)(net % NETS + NETS) : 0), 0);
		table_set_key(s.table, net, (uint32_t)(rnd() % 3));
	}
	__atomic_store_n(&s.done, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(readers[i].thread, NULL);
	assert_int_equal(s.wrong, 0);
	assert_false(table_reclaim(s.table));
	table_free(s.table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_agrees_with_a_list),
		cmocka_unit_test(a_hundred_thousand_routes),
		cmocka_unit_test(readers_see_whole_entries),
	};

	return cmocka_run_group_tests_name("table against a list", tests, seed, NULL);
}
