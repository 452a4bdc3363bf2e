/* SPDX-License-Identifier: Apache-2.0 */
/* Routing core: expiry (wire-200 4.10), caps and their policies, memory, and adoption of held routes. */
#include "tests/unit/test_babel.h"
#include <malloc.h>

static void test_expiry(void **state)
{
	struct world *w = world_with_links(2);

	(void)state;
	world_update(w, 1, 1, 5, 20);
	world_run(w, 59999);
	world_update(w, 1, 1, 5, 20);
	world_run(w, 59999);
	assert_true(world_has_route(w, 1));
	world_forget(w);
	world_run(w, 1);
	assert_false(world_has_route(w, 1));
	assert_int_equal(w->unselected, 1);
	assert_int_equal(world_count_updates(w, 1, 1, false), 1);
	assert_int_equal(world_count_updates(w, 2, 1, false), 1);
	world_run(w, 59999);
	assert_int_equal(world_routes(w), 1);
	world_run(w, 1);
	assert_int_equal(world_routes(w), 0);
	/* The source stays 300 s from its last confirmation. */
	assert_int_equal(world_fd(w, 1, 0).metric, 80);
	world_run(w, 180000 - 1);
	assert_int_equal(world_fd(w, 1, 0).metric, 80);
	world_run(w, 1);
	assert_int_equal(world_fd(w, 1, 0).metric, WIRE_INFINITE);
	world_free(w);
}

/* In a quiet network the distance lives as long as the route is confirmed. */
static void test_source_is_renewed(void **state)
{
	struct world *w = world_with_links(2);

	(void)state;
	for (int i = 0; i < 30; i++) {
		world_update(w, 1, 1, 5, 20);
		assert_int_equal(world_fd(w, 1, 0).metric, 80);
		world_run(w, 30000);
	}
	assert_int_equal(w->selected, 2); /* with its distance; then nothing changed and nothing was told */
	world_free(w);
}

static void test_link_cap(void **state)
{
	struct world *w = world_new(0);

	(void)state;
	assert_true(babel_link_up(w->b, 5, UINT32_MAX, w->now));
	assert_true(babel_link_up(w->b, 5, UINT32_MAX, w->now)); /* is up */
	assert_false(babel_link_up(w->b, 5 + LIMIT_LINK_SLOTS, UINT32_MAX, w->now)); /* another in its slot */
	babel_link_down(w->b, 5, w->now);
	for (uint32_t link = 0; link < LIMIT_LINKS; link++)
		assert_true(babel_link_up(w->b, link, UINT32_MAX, w->now));
	assert_false(babel_link_up(w->b, LIMIT_LINKS, UINT32_MAX, w->now));
	world_run(w, 3300); /* each link twice, in the order of its own clock */
	for (uint32_t link = 0; link < LIMIT_LINKS; link++)
		assert_int_equal(world_count_updates(w, link ? link : 1, SELF, true), 2);
	for (uint32_t link = 0; link < LIMIT_LINKS; link += 2)
		babel_link_down(w->b, link, w->now);
	world_forget(w);
	world_run(w, 3300);
	for (size_t i = 0; i < w->sent_count; i++)
		assert_int_equal(w->sent[i].link % 2, 1);
	assert_true(babel_link_up(w->b, LIMIT_LINKS, UINT32_MAX, w->now));
	world_free(w);
}

/* One neighbour cannot fill the table: it has its share, and leaves no trace of what it says beyond that. */
static void test_link_share(void **state)
{
	struct world *w = world_with_links(2);

	(void)state;
	for (uint32_t i = 0; i < LIMIT_ROUTES_PER_LINK; i++)
		world_update(w, 1, 2000 + i, 0, 20);
	assert_int_equal(babel_count(w->b, BABEL_UPDATE_FULL), 0);
	for (uint32_t i = 0; i < LIMIT_PREFIXES - LIMIT_ROUTES_PER_LINK; i++)
		world_update(w, 1, 2000 + LIMIT_ROUTES_PER_LINK + i, 0, 20);
	assert_int_equal(babel_count(w->b, BABEL_UPDATE_FULL), LIMIT_PREFIXES - LIMIT_ROUTES_PER_LINK);
	assert_int_equal(world_routes(w), LIMIT_ROUTES_PER_LINK);
	assert_int_equal(w->keys, LIMIT_ROUTES_PER_LINK);
	world_update(w, 2, 1, 0, 20); /* others have room */
	assert_true(world_has_route(w, 1));
	world_update(w, 1, 2000, 1, 30); /* and what it has goes on */
	assert_int_equal(world_route(w, 2000).seqno, 1);
	world_update(w, 1, 2000, 1, WIRE_INFINITE);
	world_run(w, 61000); /* one of them gone: one more */
	assert_int_equal(babel_count(w->b, BABEL_UPDATE_FULL), LIMIT_PREFIXES - LIMIT_ROUTES_PER_LINK);
	world_update(w, 1, 3, 0, 20);
	assert_true(world_has_route(w, 3));
	world_free(w);
}

static void test_prefix_cap(void **state)
{
	struct world *w = world_with_links(3);

	(void)state;
	for (uint32_t i = 0; i < LIMIT_PREFIXES; i++)
		world_update(w, 1 + i / LIMIT_ROUTES_PER_LINK, 2000 + i, 0, 20);
	assert_int_equal(babel_count(w->b, BABEL_UPDATE_FULL), 0);
	world_update(w, 1, 1, 0, 20);
	world_update(w, 3, 1, 0, 20);
	assert_int_equal(babel_count(w->b, BABEL_UPDATE_FULL), 2);
	assert_false(world_has_route(w, 1));
	world_update(w, 3, 2000, 0, 20); /* what is known goes on */
	world_update(w, 1, 2001, 1, 20);
	assert_int_equal(babel_count(w->b, BABEL_UPDATE_FULL), 2);
	world_run(w, 500000); /* room again when all have expired */
	world_update(w, 1, 1, 0, 20);
	assert_true(world_has_route(w, 1));
	world_free(w);
}

/* Prefixes that were only named, by retractions, do not keep out routes. */
static void test_prefix_cap_of_remembered(void **state)
{
	struct world *w = world_with_links(2);

	(void)state;
	for (uint32_t i = 0; i < LIMIT_PREFIXES; i++)
		world_update(w, 1, 2000 + i, 0, WIRE_INFINITE);
	world_update(w, 2, 1, 0, 20);
	assert_int_equal(babel_count(w->b, BABEL_UPDATE_FULL), 0);
	assert_true(world_has_route(w, 1));
	for (uint8_t len = 65; len < 70; len++) { /* below a /64 that is itself only remembered, and the oldest */
		struct tlv t = make_update(2001, 0, 0, 20);

		t.update.prefix_len = len;
		t.update.address = node_prefix_len(2001, len).ip;
		world_deliver(w, 2, &t);
	}
	assert_int_equal(babel_count(w->b, BABEL_UPDATE_FULL), 0);
	assert_int_equal(world_routes(w), 6);
	world_free(w);
}

static void test_longer_prefix_cap(void **state)
{
	struct world *w = world_with_links(1);

	(void)state;
	for (uint8_t len = 65; len < 65 + LIMIT_PREFIXES_PER_NET64 + 1; len++) {
		struct tlv t = make_update(1, 0, 0, 20);

		t.update.prefix_len = len;
		t.update.address = node_prefix_len(1, len).ip;
		world_deliver(w, 1, &t);
	}
	assert_int_equal(babel_count(w->b, BABEL_UPDATE_FULL), 1);
	assert_int_equal(world_routes(w), LIMIT_PREFIXES_PER_NET64);
	world_update(w, 1, 1, 0, 20); /* the /64 itself is not one of them */
	assert_int_equal(world_routes(w), LIMIT_PREFIXES_PER_NET64 + 1);
	world_run(w, 500000);
	assert_int_equal(world_routes(w), 0);
	world_free(w);
}

static void test_source_cap(void **state)
{
	struct world *w = world_with_links(2);
	struct babel_source oldest = {.prefix = node_prefix(1), .fd = {.metric = WIRE_INFINITE}};
	struct tlv t = make_update(1, 0, 0, 20);

	(void)state;
	for (uint32_t i = 0; i < LIMIT_SOURCES; i++) {
		memcpy(t.update.router_id.tail + 2, &i, 4);
		world_deliver(w, 1, &t);
		world_forget(w);
	}
	/* One neighbour with ever new router ids does not keep out others: its oldest go. */
	world_update(w, 2, 2, 0, 20);
	assert_true(world_has_route(w, 2));
	assert_int_equal(world_fd(w, 2, 0).metric, 80);
	world_update(w, 1, 1, 0, 20);
	assert_int_equal(babel_count(w->b, BABEL_UPDATE_FULL), 0);
	memset(t.update.router_id.tail + 2, 0, 4);
	oldest.router_id = t.update.router_id;
	babel_each_source(w->b, world_keep_source, &oldest);
	assert_int_equal(oldest.fd.metric, WIRE_INFINITE);
	assert_true(world_has_route(w, 1));
	world_free(w);
}

static void nothing_sent(void *ctx, uint32_t link, const uint8_t *bytes, size_t len)
{
	(void)ctx;
	(void)link;
	(void)bytes;
	(void)len;
}

/* The distance that goes to the next controld is that of the last Update, not that of the selection. */
static void test_distance_is_told(void **state)
{
	struct world *w = world_with_links(2);

	(void)state;
	world_update(w, 1, 1, 0, 20);
	world_run(w, 100);
	assert_int_equal(w->last.fd.metric, 80);
	for (int i = 0; i < 20; i++)
		babel_link_rtt(w->b, 1, 0, w->now);
	for (int i = 0; i < 3; i++) {
		world_update(w, 1, 1, 0, 20);
		world_run(w, 2000);
	}
	assert_int_equal(w->last.fd.metric, world_fd(w, 1, 0).metric);
	assert_in_range(w->last.fd.metric, 30, 40);
	world_free(w);
}

/* 10,000 routes from one link cost at most 4 MB. */
static void test_memory(void **state)
{
	const struct babel_ops ops = {.send = nothing_sent,
				      .selected = world_selected,
				      .key = world_key,
				      .key_elsewhere = world_elsewhere,
				      .seqno = world_seqno,
				      .swept = world_swept,
				      .random = world_random};
	struct world *w = world_new(0);
	const struct babel_config config = {.network = &network200, .self = node_id(SELF, 0), .own = node_prefix(SELF)};
	struct mallinfo2 before, after;

	(void)state;
	babel_free(w->b);
	before = mallinfo2();
	w->b = babel_new(&config, &ops, w, w->now);
	assert_true(babel_link_up(w->b, 1, UINT32_MAX, w->now));
	assert_true(babel_link_up(w->b, 2, UINT32_MAX, w->now));
	for (uint32_t i = 0; i < 10000; i++) {
		world_update(w, 1, 2000 + i, 0, 20);
		if (i % 200 == 0)
			world_run(w, 4);
	}
	world_run(w, 4000);
	assert_int_equal(world_routes(w), 10000);
	after = mallinfo2();
	print_message("10000 routes: %zu bytes\n", after.uordblks - before.uordblks);
	assert_in_range(after.uordblks - before.uordblks, 0, 4000000);
	world_free(w);
}

static struct babel_route held_route(uint32_t node, uint32_t link, uint16_t metric, uint16_t distance)
{
	return (struct babel_route){.prefix = node_prefix(node),
				    .router_id = node_id(node, 0),
				    .link = link,
				    .seqno = 5,
				    .metric = metric,
				    .selected = true,
				    .fd = {.seqno = 5, .metric = distance}};
}

static void test_held_is_announced_unchanged(void **state)
{
	struct world *w = world_new(3);
	const struct babel_route h = held_route(1, 1, 20, 45);
	const struct tlv *t;

	(void)state;
	assert_true(babel_link_up(w->b, 1, 40, w->now));
	assert_true(babel_link_up(w->b, 2, 40, w->now));
	world_run(w, 100); /* even where the first tables went out before */
	world_forget(w);
	babel_hold(w->b, &h, w->now);
	assert_int_equal(w->selected, 1);
	assert_true(w->last.held);
	assert_int_equal(w->keys, 1);
	assert_int_equal(world_route(w, 1).cost, 70);
	assert_int_equal(world_fd(w, 1, 0).metric, 45);
	world_run(w, 1);
	assert_int_equal(world_count_updates(w, 1, 1, true), 0);
	t = world_last(w, 2, TLV_UPDATE);
	assert_int_equal(t->update.seqno, 5);
	assert_int_equal(t->update.metric, 70);
	assert_int_equal(t->update.router_id.public_key[0], 1);
	assert_int_equal(world_fd(w, 1, 0).metric, 45);
	/* The distance of before judges. */
	world_update(w, 2, 1, 5, 45);
	assert_int_equal(babel_count(w->b, BABEL_UPDATE_UNFEASIBLE), 1);
	assert_int_equal(world_route(w, 1).link, 1);
	world_free(w);
}

/* Confirmed: as any other route. Not confirmed: swept after LIMIT_HELD_MS, and retracted. */
static void test_held_is_confirmed_or_swept(void **state)
{
	struct world *w = world_with_links(2);
	const struct babel_route a = held_route(1, 1, 20, 80), b = held_route(2, 1, 20, 80);

	(void)state;
	babel_hold(w->b, &a, w->now);
	babel_hold(w->b, &b, w->now);
	world_run(w, 10000);
	world_update(w, 1, 1, 5, 20);
	assert_false(world_route(w, 1).held);
	assert_true(world_route(w, 2).held);
	world_forget(w);
	world_run(w, LIMIT_HELD_MS - 10000 - 1);
	assert_true(world_has_route(w, 2));
	assert_int_equal(world_count_updates(w, 0, 2, false), 0);
	assert_int_equal(w->swept, 0);
	world_run(w, 1);
	assert_false(world_has_route(w, 2));
	assert_true(world_has_route(w, 1));
	assert_int_equal(world_count_updates(w, 2, 2, false), 1);
	assert_int_equal(w->swept, 1);
	world_free(w);
}

/* Told once, when the last one has been decided on; nothing where all were confirmed or went with their link. */
static void test_sweep_is_told_once(void **state)
{
	struct world *w = world_with_links(3);

	(void)state;
	for (uint32_t node = 1; node <= 6; node++) {
		const struct babel_route r = held_route(node, 1 + node / 5, 20, 80);

		babel_hold(w->b, &r, w->now);
		w->now = mono_add_ms(w->now, 100);
	}
	world_update(w, 1, 3, 5, 20);
	world_update(w, 1, 4, 5, WIRE_INFINITE);
	world_run(w, LIMIT_HELD_MS - 300); /* 1 to 4 are due */
	assert_false(world_has_route(w, 2));
	assert_int_equal(w->swept, 0);
	babel_link_down(w->b, 2, w->now);
	world_run(w, 1000);
	assert_int_equal(w->swept, 2);
	world_free(w);
	w = world_with_links(2);
	babel_hold(w->b,
		   &(const struct babel_route){.prefix = node_prefix(1),
					       .router_id = node_id(1, 0),
					       .link = 1,
					       .seqno = 5,
					       .selected = true,
					       .fd = {.metric = WIRE_INFINITE}},
		   w->now);
	world_update(w, 1, 1, 5, 0);
	world_run(w, LIMIT_HELD_MS + 60000);
	assert_int_equal(w->swept, 0);
	world_free(w);
}

/* Only who announces its own prefix itself, over a link that is up. */
static void test_neighbours(void **state)
{
	const struct prefix one = node_prefix(1), two = node_prefix(2);
	struct world *w = world_with_links(2);

	(void)state;
	assert_false(babel_is_neighbour(w->b, &one, 1));
	world_update(w, 1, 1, 5, 0);
	world_update(w, 1, 2, 5, 60);
	assert_true(babel_is_neighbour(w->b, &one, 1));
	assert_false(babel_is_neighbour(w->b, &two, 1));
	world_update(w, 2, 1, 5, 60);
	babel_link_down(w->b, 1, w->now);
	assert_false(babel_is_neighbour(w->b, &one, 1));
	world_update(w, 2, 1, 6, 0);
	assert_true(babel_is_neighbour(w->b, &one, 2));
	assert_false(babel_is_neighbour(w->b, &one, 1));
	world_update(w, 2, 1, 6, WIRE_INFINITE);
	assert_false(babel_is_neighbour(w->b, &one, 2));
	world_free(w);
}

static void test_better_than_held(void **state)
{
	struct world *w = world_with_links(2);
	const struct babel_route h = held_route(1, 1, 50, 110);

	(void)state;
	babel_hold(w->b, &h, w->now);
	world_update(w, 2, 1, 5, 45); /* not by enough */
	assert_int_equal(world_route(w, 1).link, 1);
	world_update(w, 2, 1, 5, 10);
	assert_int_equal(world_route(w, 1).link, 2);
	assert_int_equal(w->unselected, 0);
	world_free(w);
}

static void test_what_is_not_held(void **state)
{
	struct babel_route table[] = {held_route(1, 9, 20, 80), held_route(SELF, 1, 20, 80),
				      held_route(1, 1, WIRE_INFINITE, 80), held_route(1, 1, 20, 80),
				      held_route(1, 1, 20, 80)};
	struct world *w = world_with_links(2);

	(void)state;
	table[3].router_id = node_id(2, 0);
	table[4].prefix = node_prefix_len(1, 63);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		babel_hold(w->b, &table[i], w->now);
	assert_int_equal(world_routes(w), 0);
	world_update(w, 1, 1, 5, 20); /* an Update came first: it is fresher */
	table[0] = held_route(1, 1, 10, 80);
	babel_hold(w->b, &table[0], w->now);
	assert_int_equal(world_route(w, 1).metric, 20);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_source_is_renewed),
		cmocka_unit_test(test_link_cap),
		cmocka_unit_test(test_link_share),
		cmocka_unit_test(test_prefix_cap),
		cmocka_unit_test(test_prefix_cap_of_remembered),
		cmocka_unit_test(test_longer_prefix_cap),
		cmocka_unit_test(test_source_cap),
		cmocka_unit_test(test_distance_is_told),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_held_is_announced_unchanged),
		cmocka_unit_test(test_held_is_confirmed_or_swept),
		cmocka_unit_test(test_sweep_is_told_once),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_better_than_held),
		cmocka_unit_test(test_what_is_not_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
