/* SPDX-License-Identifier: Apache-2.0 */
/* The lookup table, case by case: routes, longer prefixes, keys, caps, and when memory may go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "fastpath/table.h"
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

struct world {
	struct epoch epoch;
	struct table *table;
};

static int setup(void **state)
{
	static struct world w;

	w = (struct world){.epoch.now = 1};
	w.table = table_new(&w.epoch, 2);
	*state = &w;
	return w.table ? 0 : -1;
}

static int teardown(void **state)
{
	const struct world *w = *state;

	table_free(w->table);
	return 0;
}

static struct prefix prefix(const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

static uint64_t net64(const char *text)
{
	struct ip6 ip;

	assert_int_equal(ip6_parse(text, &ip), 0);
	return ip6_net64(&ip);
}

static int set(const struct world *w, const char *text, uint32_t link)
{
	const struct prefix p = prefix(text);

	return table_set_route(w->table, &p, link);
}

static uint32_t link_to(const struct world *w, const char *text)
{
	struct ip6 dst;

	assert_int_equal(ip6_parse(text, &dst), 0);
	return table_link(table_find(w->table, ip6_net64(&dst)), &dst);
}

static void an_empty_table_knows_nothing(void **state)
{
	const struct world *w = *state;

	assert_null(table_find(w->table, net64("200:1::")));
	assert_int_equal(link_to(w, "200:1::1"), 0);
	assert_int_equal(table_count(w->table), 0);
	assert_int_equal(set(w, "200:1::/64", 0), 0);
	assert_int_equal(table_set_key(w->table, net64("200:1::"), 0), 0);
	assert_null(table_find(w->table, net64("200:1::")));
	assert_false(table_reclaim(w->table));
}

static void a_route_is_set_changed_and_deleted(void **state)
{
	const struct world *w = *state;

	assert_int_equal(set(w, "200:1::/64", 7), 0);
	assert_int_equal(link_to(w, "200:1::1"), 7);
	assert_int_equal(link_to(w, "200:1:0:1::1"), 0);
	assert_int_equal(set(w, "200:1::/64", 8), 0);
	assert_int_equal(link_to(w, "200:1::ffff"), 8);
	assert_int_equal(table_count(w->table), 1);
	assert_int_equal(set(w, "200:1::/64", 0), 0);
	assert_null(table_find(w->table, net64("200:1::")));
	assert_int_equal(table_count(w->table), 0);
}

static void the_longest_prefix_wins(void **state)
{
	const struct world *w = *state;

	assert_int_equal(set(w, "200:1::8000:0:0:0/65", 2), 0);
	assert_int_equal(link_to(w, "200:1::1"), 0);
	assert_int_equal(set(w, "200:1::/64", 1), 0);
	assert_int_equal(set(w, "200:1::8000:0:0:1/128", 4), 0);
	assert_int_equal(set(w, "200:1::8000:0:0:0/112", 3), 0);
	assert_int_equal(table_count(w->table), 4);
	assert_int_equal(link_to(w, "200:1::1"), 1);
	assert_int_equal(link_to(w, "200:1::8001:0:0:1"), 2);
	assert_int_equal(link_to(w, "200:1::8000:0:0:2"), 3);
	assert_int_equal(link_to(w, "200:1::8000:0:0:1"), 4);
	assert_int_equal(set(w, "200:1::8000:0:0:1/128", 5), 0);
	assert_int_equal(link_to(w, "200:1::8000:0:0:1"), 5);
	assert_int_equal(set(w, "200:1::/64", 0), 0);
	assert_int_equal(link_to(w, "200:1::1"), 0);
	assert_int_equal(set(w, "200:1::8000:0:0:1/128", 0), 0);
	assert_int_equal(link_to(w, "200:1::8000:0:0:1"), 3);
	assert_int_equal(set(w, "200:1::8000:0:0:0/112", 0), 0);
	assert_int_equal(set(w, "200:1::8000:0:0:0/65", 0), 0);
	assert_null(table_find(w->table, net64("200:1::")));
	assert_int_equal(table_count(w->table), 0);
}

static void a_key_lives_apart_from_the_route(void **state)
{
	const struct world *w = *state;
	const uint64_t n = net64("200:2::");

	assert_int_equal(table_set_key(w->table, n, 5), 0);
	assert_int_equal(table_find(w->table, n)->key, 5);
	assert_int_equal(link_to(w, "200:2::1"), 0);
	assert_int_equal(set(w, "200:2::/64", 9), 0);
	assert_int_equal(table_set_key(w->table, n, 6), 5);
	assert_int_equal(table_find(w->table, n)->link, 9);
	assert_int_equal(set(w, "200:2::/64", 0), 0);
	assert_int_equal(table_find(w->table, n)->key, 6);
	assert_int_equal(table_set_key(w->table, n, 0), 6);
	assert_null(table_find(w->table, n));
}

static void prefixes_out_of_range_are_refused(void **state)
{
	const struct world *w = *state;

	assert_int_equal(set(w, "200::/63", 1), -EINVAL);
	assert_int_equal(set(w, "::/0", 1), -EINVAL);
	assert_int_equal(set(w, "200::/64", 1), 0);
	assert_int_equal(set(w, "200::/128", 1), 0);
}

static void a_net64_has_so_many_longer_prefixes(void **state)
{
	const struct world *w = *state;
	char text[PREFIX_TEXT_BYTES];

	for (uint32_t i = 0; i < LIMIT_PREFIXES_PER_NET64; i++) {
		snprintf(text, sizeof(text), "200:3::%x/128", i);
		assert_int_equal(set(w, text, i + 1), 0);
	}
	assert_int_equal(set(w, "200:3::ffff/128", 1), -ENOSPC);
	assert_int_equal(set(w, "200:3::/64", 100), 0);
	assert_int_equal(link_to(w, "200:3::ffff"), 100);
	assert_int_equal(set(w, "200:3::5/128", 50), 0);
	assert_int_equal(link_to(w, "200:3::5"), 50);
	assert_int_equal(set(w, "200:3::5/128", 0), 0);
	assert_int_equal(set(w, "200:3::ffff/128", 1), 0);
	assert_int_equal(table_count(w->table), LIMIT_PREFIXES_PER_NET64 + 1);
}

static void the_table_has_a_cap(void **state)
{
	const struct world *w = *state;
	struct prefix p = prefix("200::/64");

	for (uint32_t i = 0; i < LIMIT_PREFIXES; i++) {
		const struct ip6 ip = ip6_from_net64(UINT64_C(0x0200000000000000) + i);

		p = prefix_make(&ip, 64);
		if (table_set_route(w->table, &p, i + 1) != 0)
			fail_msg("route %u was refused", i);
	}
	assert_int_equal(set(w, "300::/64", 1), -ENOSPC);
	assert_int_equal(set(w, "200::1/128", 1), -ENOSPC);
	assert_int_equal(table_set_route(w->table, &p, 3), 0);
	assert_int_equal(table_set_route(w->table, &p, 0), 0);
	assert_int_equal(set(w, "300::/64", 1), 0);
	assert_int_equal(table_count(w->table), LIMIT_PREFIXES);
}

static void memory_waits_for_the_readers(void **state)
{
	struct world *w = *state;
	const struct table_entry *e;
	uint64_t mark;

	assert_int_equal(set(w, "200:4::/64", 1), 0);
	assert_false(table_reclaim(w->table));
	epoch_enter(&w->epoch, 1);
	e = table_find(w->table, net64("200:4::"));
	assert_int_equal(set(w, "200:4::/64", 2), 0);
	assert_int_equal(set(w, "200:4::1/128", 3), 0);
	assert_int_equal(set(w, "200:4::1/128", 0), 0);
	mark = table_mark(w->table);
	assert_true(table_reclaim(w->table));
	assert_false(table_is_quiet(w->table, mark));
	assert_int_equal(e->link, 1);
	epoch_enter(&w->epoch, 1);
	assert_true(table_is_quiet(w->table, mark));
	assert_false(table_reclaim(w->table));
	assert_int_equal(set(w, "200:4::/64", 4), 0);
	assert_true(table_reclaim(w->table));
	epoch_leave(&w->epoch, 1);
	assert_false(table_reclaim(w->table));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_empty_table_knows_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_route_is_set_changed_and_deleted, setup, teardown),
		cmocka_unit_test_setup_teardown(the_longest_prefix_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(a_key_lives_apart_from_the_route, setup, teardown),
		cmocka_unit_test_setup_teardown(prefixes_out_of_range_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_net64_has_so_many_longer_prefixes, setup, teardown),
		cmocka_unit_test_setup_teardown(the_table_has_a_cap, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_waits_for_the_readers, setup, teardown),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
