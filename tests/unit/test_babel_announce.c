/* SPDX-License-Identifier: Apache-2.0 */
/* Routing core: what is sent, to whom and when (wire-200 4.7, 4.9). */
#include "tests/unit/test_babel.h"
#include <time.h>

enum {
	MANY = 10000,
};

static void test_own_prefix_periodically(void **state)
{
	struct world *w = world_new(17);
	const struct tlv *t;
	int64_t longest = 0;
	struct mono before;

	(void)state;
	assert_int_equal(babel_tick(w->b, w->now).us, MONO_NEVER.us);
	assert_true(babel_link_up(w->b, 1, UINT32_MAX, w->now));
	(void)babel_tick(w->b, w->now);
	assert_int_equal(world_count_updates(w, 1, SELF, true), 1); /* at once */
	t = world_last(w, 1, TLV_UPDATE);
	assert_int_equal(t->update.seqno, 17);
	assert_int_equal(t->update.metric, 0);
	assert_int_equal(t->update.interval, 16);
	assert_int_equal(t->update.prefix_len, 64);
	assert_int_equal(t->update.router_id.tail[7], ME_TAIL);
	before = w->now;
	world_forget(w);
	w->ticks = 0;
	world_run(w, 300000);
	for (size_t i = 0; i < w->sent_count; i++) {
		longest =
			mono_since_ms(w->sent[i].at, before) > longest ? mono_since_ms(w->sent[i].at, before) : longest;
		before = w->sent[i].at;
	}
	assert_in_range(longest, 2900, 3200);
	assert_in_range(w->sent_count, 95, 105);
	assert_true(w->ticks < 220); /* it wants to be called for its two announcements only */
	world_free(w);
}

static void test_split_horizon(void **state)
{
	struct world *w = world_with_links(3);

	(void)state;
	world_update(w, 1, 1, 5, 20);
	assert_int_equal(world_count_updates(w, 1, 1, true), 0);
	assert_int_equal(world_count_updates(w, 2, 1, true), 1);
	assert_int_equal(world_count_updates(w, 3, 1, true), 1);
	assert_int_equal(world_last(w, 2, TLV_UPDATE)->update.metric, 80);
	world_run(w, 30000);
	assert_int_equal(world_count_updates(w, 1, 1, true), 0);
	assert_in_range(world_count_updates(w, 2, 1, true), 9, 12);
	world_free(w);
}

/* Link 2 was told of the originator's first life; when it becomes the next hop in its second, that is taken back. */
static void test_new_next_hop_is_told_to_forget(void **state)
{
	struct world *w = world_with_links(3);
	const struct tlv second_life = make_update(1, 9, 0, 0);

	(void)state;
	world_update(w, 1, 1, 5, 20);
	assert_int_equal(world_count_updates(w, 2, 1, true), 1);
	world_forget(w);
	world_deliver(w, 2, &second_life);
	assert_int_equal(world_route(w, 1).link, 2);
	assert_int_equal(world_count_updates(w, 2, 1, true), 0);
	assert_int_equal(world_count_updates(w, 2, 1, false), 1);
	assert_int_equal(world_count_updates(w, 1, 1, true), 1);
	assert_int_equal(world_count_updates(w, 3, 1, true), 1);
	world_forget(w);
	world_deliver(w, 2, &second_life); /* once is enough */
	world_run(w, 10000);
	assert_int_equal(world_count_updates(w, 2, 1, false), 0);
	world_free(w);
}

/* What makes a triggered Update to link 3 when link 1 has announced (seqno 5, metric 100). */
static void test_triggers(void **state)
{
	static const struct {
		uint8_t tail;
		uint16_t seqno, metric;
		size_t finite, retractions;
	} table[] = {{0, 5, 100, 0, 0}, {0, 5, 105, 0, 0}, {0, 5, 110, 0, 0},
		     {0, 5, 111, 1, 0}, {0, 5, 90, 0, 0},  {0, 5, 89, 1, 0},
		     {0, 6, 100, 1, 0}, {9, 0, 100, 1, 0}, {0, 5, WIRE_INFINITE, 0, 1}};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct world *w = world_with_links(3);
		const struct tlv t = make_update(1, table[i].tail, table[i].seqno, table[i].metric);

		world_update(w, 1, 1, 5, 100);
		assert_int_equal(world_count_updates(w, 3, 1, true), 1);
		world_forget(w);
		world_deliver(w, 1, &t);
		assert_int_equal(world_count_updates(w, 3, 1, true), table[i].finite);
		assert_int_equal(world_count_updates(w, 3, 1, false), table[i].retractions);
		assert_int_equal(world_count_updates(w, 1, 1, true), 0);
		assert_int_equal(world_count_updates(w, 1, 1, false), table[i].retractions);
		world_free(w);
	}
}

static void test_link_death_retracts_at_once(void **state)
{
	struct world *w = world_with_links(3);
	const struct tlv *t;

	(void)state;
	world_update(w, 1, 1, 5, 20); /* no other way */
	world_update(w, 1, 2, 5, 20); /* another way, not better */
	world_update(w, 2, 2, 5, 25);
	world_forget(w);
	babel_link_down(w->b, 1, w->now);
	assert_int_equal(world_count_updates(w, 1, 1, false), 0); /* it is dead */
	assert_int_equal(world_count_updates(w, 2, 1, false), 1);
	assert_int_equal(world_count_updates(w, 3, 1, false), 1);
	assert_int_equal(world_count_updates(w, 3, 2, true), 1); /* the next hop is new */
	assert_int_equal(world_count_updates(w, 2, 2, true), 0);
	assert_false(world_has_route(w, 1));
	assert_int_equal(world_route(w, 2).link, 2);
	assert_int_equal(w->unselected, 1);
	t = &w->sent[0].tlv;
	assert_int_equal(t->update.seqno, 5);
	assert_int_equal(t->update.router_id.public_key[0], 1);
	babel_link_down(w->b, 1, w->now);
	babel_link_down(w->b, 77, w->now);
	world_free(w);
}

/* A route is lost, and before that was told there is one of another source: its next hop is told that the old one is
 * gone, for nothing else would tell it. */
static void test_replaced_before_retraction(void **state)
{
	enum { ROUTES = 300, LAST = 2000 + ROUTES - 1 };
	struct world *w = world_with_links(3);
	const struct tlv t = make_update(LAST, 1, 0, 20);

	(void)state;
	for (uint32_t i = 0; i < ROUTES; i++)
		world_update(w, 1, 2000 + i, 0, 20);
	world_run(w, 100);
	world_forget(w);
	babel_link_down(w->b, 1, w->now);
	assert_int_equal(world_count_updates(w, 2, LAST, false), 0); /* its turn comes later */
	world_deliver(w, 2, &t);
	world_run(w, 10);
	assert_int_equal(world_route(w, LAST).link, 2);
	assert_int_equal(world_count_updates(w, 2, LAST, false), 1);
	assert_int_equal(world_count_updates(w, 3, LAST, true), 1);
	world_free(w);
}

/* A retraction is repeated twice, then there is silence; one who retracts again gets no answer. */
static void test_no_retraction_storm(void **state)
{
	struct world *w = world_with_links(3);

	(void)state;
	world_update(w, 1, 1, 5, 20);
	world_forget(w);
	for (int i = 0; i < 100; i++) {
		world_update(w, 1, 1, 5, WIRE_INFINITE);
		world_update(w, 2, 1, 5, WIRE_INFINITE);
		world_update(w, 3, 99, 5, WIRE_INFINITE); /* never heard of */
		world_run(w, 1000);
	}
	for (uint32_t link = 1; link <= 3; link++) {
		assert_int_equal(world_count_updates(w, link, 1, false), 3);
		assert_int_equal(world_count_updates(w, link, 99, false), 0);
	}
	assert_int_equal(w->unselected, 1);
	world_free(w);
}

/* The repeats end when the route is back. */
static void test_retraction_is_overtaken(void **state)
{
	struct world *w = world_with_links(2);

	(void)state;
	world_update(w, 1, 1, 5, 20);
	world_update(w, 1, 1, 5, WIRE_INFINITE);
	world_forget(w);
	world_update(w, 1, 1, 5, 20);
	world_run(w, 20000);
	assert_int_equal(world_count_updates(w, 0, 1, false), 0);
	assert_true(world_count_updates(w, 2, 1, true) >= 6);
	world_free(w);
}

/* A neighbour may retract its route under a router id that is not the prefix's. */
static void test_retraction_by_another(void **state)
{
	struct world *w = world_with_links(2);
	struct tlv t = make_update(1, 0, 900, WIRE_INFINITE);

	(void)state;
	t.update.router_id = node_id(2, 0);
	world_update(w, 1, 1, 5, 20);
	world_deliver(w, 2, &t); /* not its own */
	assert_true(world_has_route(w, 1));
	world_deliver(w, 1, &t);
	assert_false(world_has_route(w, 1));
	assert_int_equal(w->keys, 1);
	world_free(w);
}

static void learn_many(struct world *w, uint32_t link)
{
	for (uint32_t i = 0; i < MANY; i++)
		world_update(w, link, 2000 + i, 0, 20);
}

/* A new link hears of everything within 0.4 s, in slices, the own prefix first. */
static void test_first_table_in_slices(void **state)
{
	struct world *w = world_with_links(1);
	const struct prefix own = node_prefix(SELF);
	struct mono start;

	(void)state;
	learn_many(w, 1);
	world_run(w, 100);
	world_forget(w);
	start = w->now;
	assert_true(babel_link_up(w->b, 2, UINT32_MAX, w->now));
	assert_int_equal(w->sent_count, 0);
	(void)babel_tick(w->b, w->now);
	assert_true(ip6_eq(&w->sent[0].tlv.update.address, &own.ip));
	assert_true(w->sent_count <= 257);
	world_run(w, 400);
	assert_int_equal(w->sent_count, MANY + 1);
	for (size_t i = 257; i < w->sent_count; i++)
		assert_true(w->sent[i].at.us > w->sent[i - 257].at.us);
	assert_true(mono_since_ms(w->sent[MANY].at, start) < 200);
	assert_int_equal(world_fd(w, 2000, 0).metric, 80);
	world_free(w);
}

/* The periodic table is spread over its period: no 100 ms see more than a tenth of it. */
static void test_periodic_table_is_spread(void **state)
{
	struct world *w = world_with_links(2);
	size_t in_slot[60] = {0}, total = 0;
	struct mono start;

	(void)state;
	learn_many(w, 1);
	world_run(w, 10000);
	world_forget(w);
	start = w->now;
	for (int second = 0; second < 6; second++) {
		learn_many(w, 1); /* so that nothing expires; nothing in it is news */
		world_run(w, 1000);
	}
	for (size_t i = 0; i < w->sent_count; i++) {
		const int64_t slot = mono_since_ms(w->sent[i].at, start) / 100;

		assert_in_range(slot, 0, 59 + 1);
		in_slot[slot < 60 ? slot : 59]++;
		total++;
	}
	for (size_t i = 0; i < 60; i++)
		assert_in_range(in_slot[i], 0, MANY / 10);
	assert_in_range(total, MANY * 17 / 10, MANY * 23 / 10);
	world_free(w);
}

/* Ten thousand routes lost at once: slices again, and every neighbour hears of each. */
static void test_mass_loss_in_slices(void **state)
{
	struct world *w = world_with_links(2);

	(void)state;
	learn_many(w, 1);
	world_run(w, 5000);
	world_forget(w);
	babel_link_down(w->b, 1, w->now);
	assert_int_equal(w->sent_count, 256);
	assert_int_equal(w->unselected, MANY);
	world_run(w, 300);
	assert_in_range(w->sent_count, MANY, MANY + 1);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(world_count_updates(w, 2, 2000 + i, false), 1);
	world_run(w, 60000);
	assert_int_equal(world_count_updates(w, 2, 2000, false), 3);
	world_run(w, 600000);
	assert_int_equal(world_routes(w), 0);
	world_free(w);
}

/* A prefix that goes while a walk stands at it does not stop the walk. */
static void test_walk_survives_removal(void **state)
{
	struct world *w = world_with_links(2);

	(void)state;
	for (uint32_t i = 0; i < 600; i++)
		world_update(w, 1 + i % 2, 2000 + i, 0, 20);
	world_run(w, 298000); /* all long expired; the sources go at 300 s */
	assert_int_equal(world_routes(w), 0);
	for (uint32_t i = 0; i < 600; i++)
		world_update(w, 1, 5000 + i, 0, 20);
	assert_true(babel_link_up(w->b, 3, UINT32_MAX, w->now));
	world_forget(w);
	w->now = mono_add_ms(w->now, 1999); /* the walk begins with the old ones */
	(void)babel_tick(w->b, w->now);
	world_run(w, 100);
	for (uint32_t i = 0; i < 600; i++)
		assert_int_equal(world_count_updates(w, 3, 5000 + i, true), 1);
	world_free(w);
}

/* CPU of a second with 1,000 routes and two links: loose, so that no busy machine fails it. */
static void test_cost_of_steady_state(void **state)
{
	struct world *w = world_with_links(2);
	struct tlv u;
	uint8_t bytes[1000][TLV_UPDATE_BYTES];
	clock_t start;

	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		struct wr wr = wr_init(bytes[i], sizeof(bytes[i]));

		u = make_update(2000 + i, 0, 0, 20);
		tlv_write(&wr, &u);
		babel_tlvs(w->b, 1, bytes[i], sizeof(bytes[i]), w->now);
	}
	start = clock();
	for (int period = 0; period < 20; period++) {
		world_run(w, 3000);
		for (uint32_t i = 0; i < 1000; i++) {
			babel_tlvs(w->b, 1, bytes[i], sizeof(bytes[i]), w->now);
			babel_tlvs(w->b, 2, bytes[i], sizeof(bytes[i]), w->now);
		}
		world_forget(w);
	}
	print_message("steady state, 1000 routes, 2 links: %.3f ms of CPU per second\n",
		      (double)(clock() - start) * 1000 / CLOCKS_PER_SEC / 60);
	assert_true((double)(clock() - start) * 1000 / CLOCKS_PER_SEC / 60 < 20);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_prefix_periodically),
		cmocka_unit_test(test_split_horizon),
		cmocka_unit_test(test_new_next_hop_is_told_to_forget),
		cmocka_unit_test(test_triggers),
		cmocka_unit_test(test_link_death_retracts_at_once),
		cmocka_unit_test(test_replaced_before_retraction),
		cmocka_unit_test(test_no_retraction_storm),
		cmocka_unit_test(test_retraction_is_overtaken),
		cmocka_unit_test(test_retraction_by_another),
		cmocka_unit_test(test_first_table_in_slices),
		cmocka_unit_test(test_periodic_table_is_spread),
		cmocka_unit_test(test_mass_loss_in_slices),
		cmocka_unit_test(test_walk_survives_removal),
		cmocka_unit_test(test_cost_of_steady_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
