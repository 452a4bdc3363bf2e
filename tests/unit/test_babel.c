/* SPDX-License-Identifier: Apache-2.0 */
/* Routing core: what an Update does, selection, keys (wire-200 4.5, 4.6). */
#include "tests/unit/test_babel.h"

/* What the filters of 4.5 step 1 let pass, one departure a row. */
static void test_filters(void **state)
{
	struct tlv ok = make_update(1, 0, 5, 20), ae[3], longer = ok, full = ok, host = ok, shorter = ok, foreign = ok,
		   outside = ok;
	const struct {
		const struct tlv *t;
		uint8_t len; /* of the route that appears; 0: ignored */
	} table[] = {{&ok, 64},	    {&longer, 72}, {&full, 128}, {&host, 64}, {&shorter, 0},
		     {&foreign, 0}, {&outside, 0}, {&ae[0], 0},	 {&ae[1], 0}, {&ae[2], 0}};
	static const uint8_t others[] = {WIRE_AE_WILDCARD, WIRE_AE_IPV4, WIRE_AE_LINK_LOCAL};

	(void)state;
	longer.update.prefix_len = 72;
	longer.update.address = node_prefix_len(1, 72).ip;
	full.update.prefix_len = 128;
	full.update.address = node_address(1);
	host.update.address.b[15] = 1; /* host bits are masked */
	shorter.update.prefix_len = 63;
	foreign.update.router_id = node_id(2, 0);
	outside.update.address.b[0] = 0x04;
	for (size_t i = 0; i < 3; i++) {
		ae[i] = ok;
		ae[i].update.ae = others[i];
		ae[i].update.prefix_len = 0;
	}
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct world *w = world_with_links(1);

		world_deliver(w, 1, table[i].t);
		assert_int_equal(babel_count(w->b, BABEL_UPDATE_IGNORED), table[i].len == 0);
		assert_int_equal(w->keys, table[i].len != 0);
		assert_int_equal(world_routes(w), table[i].len != 0);
		if (table[i].len) {
			const struct prefix want = node_prefix_len(1, table[i].len);
			const struct babel_route r = world_route(w, 1);

			assert_true(prefix_eq(&r.prefix, &want));
			assert_int_equal(r.seqno, 5);
			assert_int_equal(r.metric, 20);
			assert_int_equal(r.cost, 80);
			assert_int_equal(r.link, 1);
		}
		world_free(w);
	}
}

static void test_bad_packet_changes_nothing(void **state)
{
	struct world *w = world_with_links(1);
	const struct tlv t = make_update(1, 0, 0, 0);
	uint8_t bytes[TLV_UPDATE_BYTES + 4];
	struct wr wr = wr_init(bytes, sizeof(bytes));

	(void)state;
	tlv_write(&wr, &t);
	wr_be16(&wr, 0x0801); /* an Update that leaves the packet */
	babel_tlvs(w->b, 1, bytes, wr_len(&wr), w->now);
	assert_int_equal(babel_count(w->b, BABEL_TLV_MALFORMED), 1);
	assert_false(world_has_route(w, 1));
	bytes[TLV_UPDATE_BYTES] = 9; /* an unknown one is stepped over */
	bytes[TLV_UPDATE_BYTES + 1] = 0;
	babel_tlvs(w->b, 2, bytes, wr_len(&wr), w->now); /* no such link */
	assert_false(world_has_route(w, 1));
	babel_tlvs(w->b, 1, bytes, wr_len(&wr), w->now);
	assert_int_equal(babel_count(w->b, BABEL_TLV_UNKNOWN), 1);
	assert_true(world_has_route(w, 1));
	world_free(w);
}

/* Every cut of a packet with one of each TLV is bad or has fewer TLVs, and never more than that. */
static void test_packet_truncations(void **state)
{
	const struct tlv u = make_update(1, 0, 0, 0), q = make_request(2, 0, 1, 64);
	uint8_t bytes[256];
	struct wr wr = wr_init(bytes, sizeof(bytes));
	size_t first;

	(void)state;
	tlv_write(&wr, &u);
	first = wr_len(&wr);
	tlv_write(&wr, &q);
	for (size_t cut = 0; cut <= wr_len(&wr); cut++) {
		struct world *w = world_with_links(1);
		const bool whole = cut == 0 || cut == first || cut == wr_len(&wr);

		babel_tlvs(w->b, 1, bytes, cut, w->now);
		assert_int_equal(babel_count(w->b, BABEL_TLV_MALFORMED), !whole);
		assert_int_equal(world_has_route(w, 1), whole && cut > 0);
		world_free(w);
	}
}

static void test_feasibility(void **state)
{
	/* After an announcement of (seqno 5, metric 20 + 60): what a second neighbour may offer. */
	static const struct {
		uint16_t seqno, metric;
		bool feasible;
	} table[] = {{5, 79, true},
		     {5, 80, false},
		     {5, 81, false},
		     {4, 0, false},
		     {6, 500, true},
		     {5 + 32767, 500, true},
		     {(uint16_t)(5 + 32768), 0, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct world *w = world_with_links(2);

		world_update(w, 1, 1, 5, 20);
		assert_int_equal(world_fd(w, 1, 0).metric, 80);
		assert_int_equal(world_fd(w, 1, 0).seqno, 5);
		babel_link_down(w->b, 1, w->now);
		world_update(w, 2, 1, table[i].seqno, table[i].metric);
		assert_int_equal(world_has_route(w, 1), table[i].feasible);
		assert_int_equal(babel_count(w->b, BABEL_UPDATE_UNFEASIBLE), !table[i].feasible);
		world_free(w);
	}
}

/* The distance falls with the metric sent, never rises at an equal seqno, and starts anew with a newer one. */
static void test_distance_never_rises(void **state)
{
	struct world *w = world_with_links(2);

	(void)state;
	world_update(w, 1, 1, 5, 100);
	assert_int_equal(world_fd(w, 1, 0).metric, 160);
	world_update(w, 1, 1, 5, 40);
	assert_int_equal(world_fd(w, 1, 0).metric, 100);
	world_update(w, 1, 1, 5, 95); /* feasible, so taken, and announced as 155 */
	assert_int_equal(world_route(w, 1).metric, 95);
	assert_int_equal(world_last(w, 2, TLV_UPDATE)->update.metric, 155);
	assert_int_equal(world_fd(w, 1, 0).metric, 100);
	world_run(w, 4000);
	assert_int_equal(world_fd(w, 1, 0).metric, 100);
	world_update(w, 1, 1, 6, 500);
	assert_int_equal(world_fd(w, 1, 0).metric, 560);
	assert_int_equal(world_fd(w, 1, 0).seqno, 6);
	world_free(w);
}

/* A leaf, whose only link is the next hop, has said nothing to anyone and believes everything. */
static void test_leaf_has_no_distance(void **state)
{
	struct world *w = world_with_links(1);

	(void)state;
	world_update(w, 1, 1, 5, 100);
	world_run(w, 4000);
	assert_int_equal(world_fd(w, 1, 0).metric, WIRE_INFINITE);
	world_update(w, 1, 1, 5, 900);
	assert_int_equal(world_route(w, 1).metric, 900);
	assert_true(babel_link_up(w->b, 2, UINT32_MAX, w->now));
	world_run(w, 1);
	assert_int_equal(world_fd(w, 1, 0).metric, 960);
	world_free(w);
}

static void test_unfeasible_does_not_refresh(void **state)
{
	struct world *w = world_with_links(2);

	(void)state;
	world_update(w, 1, 1, 5, 20);
	for (int i = 0; i < 19; i++) {
		world_run(w, 3000);
		world_update(w, 1, 1, 5, 300);
		assert_int_equal(world_route(w, 1).metric, 20);
	}
	world_run(w, 2999);
	assert_true(world_has_route(w, 1));
	world_run(w, 1);
	assert_false(world_has_route(w, 1));
	/* The distance was confirmed last at the start: it goes 300 s later, and then the route is feasible again. */
	for (int i = 0; i < 79; i++) {
		world_run(w, 3000);
		world_update(w, 1, 1, 5, 300);
		assert_false(world_has_route(w, 1));
	}
	world_run(w, 3000);
	assert_int_equal(world_route(w, 1).metric, 300);
	world_free(w);
}

/* The current route has metric 100 and cost 160. */
static void test_hysteresis(void **state)
{
	static const struct {
		uint16_t metric;
		bool direct, switches;
	} table[] = {{95, false, false}, {90, false, false}, {89, false, true}, {0, true, true}, {0, false, true}};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct world *w = world_with_links(2);

		if (table[i].direct) /* so far that only the metric 0 speaks for it: cost 155 */
			babel_link_rtt(w->b, 2, 1000000, w->now);
		world_update(w, 1, 1, 5, 100);
		world_update(w, 2, 1, 5, table[i].metric);
		assert_int_equal(world_route(w, 1).link, table[i].switches ? 2 : 1);
		world_free(w);
	}
}

static void test_parallel_direct_links_do_not_flap(void **state)
{
	struct world *w = world_with_links(2);

	(void)state;
	world_update(w, 1, 1, 5, 0);
	world_update(w, 2, 1, 5, 0);
	babel_link_rtt(w->b, 2, 40000, w->now); /* 59 against 60 */
	world_update(w, 2, 1, 5, 0);
	assert_int_equal(world_route(w, 1).link, 1);
	babel_link_rtt(w->b, 2, 0, w->now);
	babel_link_rtt(w->b, 2, 0, w->now);
	world_update(w, 2, 1, 5, 0);
	assert_int_equal(world_route(w, 1).link, 2);
	world_free(w);
}

/* The selected route worsens, and the other one is better than what it is now, not than what it was. */
static void test_selection_on_fresh_state(void **state)
{
	struct world *w = world_with_links(2);

	(void)state;
	world_update(w, 1, 1, 5, 20);
	world_update(w, 2, 1, 5, 30);
	assert_int_equal(world_route(w, 1).link, 1);
	world_update(w, 1, 1, 5, 60); /* feasible: 80 was announced */
	assert_int_equal(world_route(w, 1).link, 2);
	world_update(w, 2, 1, 5, WIRE_INFINITE);
	assert_int_equal(world_route(w, 1).link, 1);
	world_update(w, 1, 1, 5, WIRE_INFINITE);
	assert_false(world_has_route(w, 1));
	assert_int_equal(w->unselected, 1);
	world_free(w);
}

/* An unfeasible Update under another router id takes the route away. */
static void test_unfeasible_other_router_id(void **state)
{
	struct world *w = world_with_links(3);
	const struct tlv near = make_update(1, 9, 5, 10), far = make_update(1, 9, 5, 300);

	(void)state;
	world_deliver(w, 1, &near);
	world_update(w, 2, 1, 5, 0);
	babel_link_down(w->b, 1, w->now);
	assert_int_equal(world_route(w, 1).link, 2);
	world_forget(w);
	world_deliver(w, 2, &far);
	assert_false(world_has_route(w, 1));
	assert_int_equal(world_count_updates(w, 3, 1, false), 1);
	assert_int_equal(world_last(w, 2, TLV_SEQNO_REQUEST)->seqno_request.seqno, 6);
	world_free(w);
}

/* A restarted originator: same key, other router id, a source of its own. */
static void test_restarted_originator(void **state)
{
	struct world *w = world_with_links(2);
	const struct tlv again = make_update(1, 9, 0, 20);

	(void)state;
	world_update(w, 1, 1, 700, 0);
	world_forget(w);
	world_deliver(w, 1, &again);
	assert_int_equal(world_route(w, 1).metric, 20);
	assert_int_equal(world_route(w, 1).router_id.tail[7], 9);
	assert_int_equal(world_last(w, 2, TLV_UPDATE)->update.router_id.tail[7], 9);
	assert_int_equal(w->keys, 1);
	world_free(w);
}

static void test_keys(void **state)
{
	struct world *w = world_with_links(2);
	struct tlv longer = make_update(1, 0, 0, 0);

	(void)state;
	longer.update.prefix_len = 128;
	longer.update.address = node_address(1);
	world_update(w, 1, 1, 0, 0);
	assert_int_equal(w->keys, 1);
	assert_memory_equal(w->last_key, node_id(1, 0).public_key, 32);
	world_update(w, 1, 1, 0, 0);
	world_update(w, 2, 1, 0, 500); /* unfeasible */
	world_update(w, 2, 1, 0, WIRE_INFINITE);
	world_deliver(w, 1, &longer); /* the same /64 */
	assert_int_equal(w->keys, 1);
	world_update(w, 1, 2, 0, WIRE_INFINITE); /* a retraction names a key too, once */
	world_update(w, 1, 2, 0, WIRE_INFINITE);
	assert_int_equal(w->keys, 2);
	world_run(w, 1);
	world_free(w);
}

/* Stands for a network in which two keys can meet in one /64: the lower half of a key makes the address. */
static void halved_address(const struct pubkey *pk, struct ip6 *out)
{
	*out = (struct ip6){{2}};
	memcpy(out->b + 4, pk->b, 4);
	memcpy(out->b + 8, pk->b + 28, 4);
}

static struct tlv halved_update(uint8_t key, uint8_t len, uint16_t seqno, uint16_t metric)
{
	struct tlv t = {.type = TLV_UPDATE,
			.update = {.ae = WIRE_AE_IPV6, .prefix_len = len, .seqno = seqno, .metric = metric}};
	struct pubkey pk = {{0}};

	pk.b[31] = key;
	memcpy(t.update.router_id.public_key, pk.b, 32);
	halved_address(&pk, &t.update.address);
	t.update.address = prefix_make(&t.update.address, len).ip;
	return t;
}

static void test_second_key(void **state)
{
	struct world *w = world_with_links(2);
	struct network halved = network200;
	const struct tlv first = halved_update(1, 128, 0, 50), second = halved_update(2, 64, 0, 0),
			 second_longer = halved_update(2, 128, 0, 0),
			 second_retracts = halved_update(2, 128, 0, WIRE_INFINITE),
			 retract = halved_update(1, 128, 0, WIRE_INFINITE);
	const struct babel_ops ops = {.send = world_send,
				      .selected = world_selected,
				      .key = world_key,
				      .key_elsewhere = world_elsewhere,
				      .seqno = world_seqno,
				      .swept = world_swept,
				      .random = world_random};
	const struct babel_config config = {.network = &halved, .self = node_id(SELF, 0), .own = node_prefix(SELF)};

	(void)state;
	halved.address = halved_address;
	babel_free(w->b);
	w->b = babel_new(&config, &ops, w, w->now);
	assert_true(babel_link_up(w->b, 1, UINT32_MAX, w->now));
	assert_true(babel_link_up(w->b, 2, UINT32_MAX, w->now));
	world_deliver(w, 1, &first);
	world_deliver(w, 2, &second);
	world_deliver(w, 2, &second_longer);
	world_deliver(w, 2, &second_retracts);
	assert_int_equal(babel_count(w->b, BABEL_UPDATE_SECOND_KEY), 3);
	assert_int_equal(world_routes(w), 1);
	assert_int_equal(w->keys, 1);
	world_deliver(w, 1, &retract);
	world_deliver(w, 2, &second);
	assert_int_equal(babel_count(w->b, BABEL_UPDATE_SECOND_KEY), 3);
	assert_int_equal(w->keys, 2);
	assert_int_equal(w->last_key[31], 2);
	world_free(w);
}

static void test_own_prefix(void **state)
{
	struct world *w = world_with_links(2);
	const struct tlv own = make_update(SELF, ME_TAIL, 0, 60), former = make_update(SELF, 9, 3, 60),
			 direct = make_update(SELF, 9, 3, 0), retract = make_update(SELF, 9, 3, WIRE_INFINITE);
	struct tlv longer = former;

	(void)state;
	longer.update.prefix_len = 128;
	longer.update.address = node_address(SELF);
	world_deliver(w, 1, &own);
	assert_int_equal(w->keys, 1);
	assert_memory_equal(w->last_key, node_id(SELF, 0).public_key, 32);
	world_deliver(w, 1, &former);
	world_deliver(w, 1, &longer);
	assert_int_equal(w->elsewhere, 0);
	world_deliver(w, 1, &direct); /* an originator, not an echo */
	assert_int_equal(w->elsewhere, 1);
	assert_int_equal(w->other.tail[7], 9);
	world_run(w, 120000);
	world_deliver(w, 1, &retract);
	world_deliver(w, 1, &own);
	assert_int_equal(w->elsewhere, 1);
	world_deliver(w, 1, &former); /* whatever lives that long is no echo */
	assert_int_equal(w->elsewhere, 2);
	assert_int_equal(world_routes(w), 0);
	assert_int_equal(w->keys, 1);
	world_free(w);
}

static void keep_order(void *ctx, const struct babel_route *r)
{
	struct babel_route *previous = ctx;
	const int order = prefix_cmp(&previous->prefix, &r->prefix);

	assert_true(order < 0 || (order == 0 && !r->selected));
	*previous = *r;
}

static void test_find_and_order(void **state)
{
	struct world *w = world_with_links(2);
	struct babel_route previous = {.prefix = {.len = 0}}, r;
	struct tlv longer = make_update(3, 0, 0, 70);
	struct ip6 ip = node_address(3);

	(void)state;
	for (uint32_t node = 1; node < 50; node++) {
		world_update(w, 1, node, 0, 50);
		world_update(w, 2, node, 0, 20);
	}
	longer.update.prefix_len = 80;
	longer.update.address = node_prefix_len(3, 80).ip;
	world_deliver(w, 1, &longer);
	assert_true(babel_find(w->b, &ip, &r));
	assert_int_equal(r.prefix.len, 80);
	ip.b[8] ^= 1;
	assert_true(babel_find(w->b, &ip, &r));
	assert_int_equal(r.prefix.len, 64);
	assert_int_equal(r.metric, 20);
	ip.b[7] ^= 1;
	assert_false(babel_find(w->b, &ip, &r));
	babel_each_route(w->b, keep_order, &previous);
	assert_int_equal(world_routes(w), 99);
	world_free(w);
}

static void test_link_cost(void **state)
{
	static const uint16_t falling[] = {60, 55, 50, 46, 42, 38, 35, 32, 29, 27, 25, 23, 21};
	struct world *w = world_with_links(1);

	(void)state;
	for (size_t i = 0; i < sizeof(falling) / sizeof(falling[0]); i++) {
		assert_int_equal(babel_link_cost(w->b, 1), falling[i]);
		assert_int_equal(babel_link_smoothed(w->b, 1), falling[i] - 10);
		babel_link_rtt(w->b, 1, 999, w->now);
	}
	assert_int_equal(babel_link_cost(w->b, 2), WIRE_INFINITE);
	assert_int_equal(babel_link_smoothed(w->b, 2), UINT32_MAX);
	assert_true(babel_link_up(w->b, 2, 33, w->now));
	assert_int_equal(babel_link_cost(w->b, 2), 43);
	assert_true(babel_link_up(w->b, 3, 1000000, w->now)); /* saturates, never infinite */
	assert_int_equal(babel_link_cost(w->b, 3), WIRE_INFINITE - 1);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_bad_packet_changes_nothing),
		cmocka_unit_test(test_packet_truncations),
		cmocka_unit_test(test_feasibility),
		cmocka_unit_test(test_distance_never_rises),
		cmocka_unit_test(test_leaf_has_no_distance),
		cmocka_unit_test(test_unfeasible_does_not_refresh),

		cmocka_unit_test(test_hysteresis),
		cmocka_unit_test(test_parallel_direct_links_do_not_flap),
		cmocka_unit_test(test_selection_on_fresh_state),
		cmocka_unit_test(test_unfeasible_other_router_id),
		cmocka_unit_test(test_restarted_originator),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_second_key),
		cmocka_unit_test(test_own_prefix),
		cmocka_unit_test(test_find_and_order),
		cmocka_unit_test(test_link_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
