/* SPDX-License-Identifier: Apache-2.0 */
/* The node between babel, the fastpath and the adapters: what it passes on, what it refuses, and adoption. */
#include "shared/base/log.h"
#include "shared/limits.h"
#include "tests/support/node_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void test_start_draws_router_id(void **state)
{
	struct node_world *w = node_world_started();
	const uint8_t tail[8] = {0, 0, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a};

	(void)state;
	assert_int_equal(w->self_count, 1);
	assert_memory_equal(w->self.router_id.public_key, w->id.pk.b, 32);
	assert_memory_equal(w->self.router_id.tail, tail, 8);
	assert_int_equal(w->self.seqno, 0);
	assert_memory_equal(node_router_id(w->n), &w->self.router_id, sizeof(struct router_id));
	node_world_free(w);
}

static void test_socket_gets_own_prefix_at_once(void **state)
{
	struct node_world *w = node_world_started();
	const uint32_t link = node_world_link_out(w, "192.0.2.2:9651");
	const struct sent_tlv *t = &w->tlvs[0];

	(void)state;
	assert_int_not_equal(link, 0);
	assert_int_equal(w->adopts[0].peer, 77);
	assert_int_equal(w->tlv_count, 1);
	assert_int_equal(t->link, link);
	assert_int_equal(t->len, 2 + NODE_WORLD_UPDATE_LEN);
	assert_int_equal(t->bytes[0], NODE_WORLD_UPDATE);
	assert_memory_equal(t->bytes + 2 + 10, w->id.own.ip.b, 16);
	assert_memory_equal(t->bytes + 2 + 26, &w->self.router_id, sizeof(struct router_id));
	node_world_free(w);
}

static void test_refused_sockets(void **state)
{
	struct node_world *w = node_world_new();
	const struct ctl_adopt a = node_world_adopt("192.0.2.1:1", "192.0.2.2:2", CTL_LINK_STATIC, 5);
	const int fd = node_world_fd();
	const char *why = NULL;
	struct endpoint e;

	(void)state;
	/* Before the fastpath is ready. */
	memcpy(&e, a.remote, sizeof(e));
	assert_false(node_has_room(w->n, &why));
	assert_string_equal(why, "the forwarder is not ready");
	assert_false(node_may_accept(w->n, &e, &why));
	assert_string_equal(why, "the forwarder is not ready");
	node_on_socket(w->n, &a, fd, w->now);
	assert_int_equal(w->adopt_count, 0);
	assert_int_equal(w->gone_count, 1);
	assert_int_equal(w->gone_peer, 5);
	assert_string_equal(w->gone_reason, "the forwarder is not ready");
	assert_int_equal(close(fd), -1);
	node_start(w->n, w->now);
	assert_true(node_may_accept(w->n, &e, &why));
	w->refuse_adopt = true;
	node_on_socket(w->n, &a, node_world_fd(), w->now);
	assert_int_equal(w->gone_count, 2);
	w->refuse_adopt = false;
	assert_true(node_has_room(w->n, &why));
	node_world_free(w);
}

static void test_update_becomes_route(void **state)
{
	struct node_world *w = node_world_started();
	const uint32_t link = node_world_link_out(w, "192.0.2.2:9651");
	struct node_other b;

	(void)state;
	node_world_other(&b, 0x21);
	node_world_update(w, link, &b, 7, 3);
	assert_int_equal(w->route_count, 1);
	assert_true(ip6_eq(&node_world_last_route(w)->prefix, &b.id.own.ip));
	assert_int_equal(node_world_last_route(w)->prefix_len, 64);
	assert_int_equal(node_world_last_route(w)->link, link);
	assert_int_equal(node_world_last_route(w)->seqno, 7);
	assert_int_equal(node_world_last_route(w)->metric, 3);
	assert_memory_equal(&node_world_last_route(w)->router_id, &b.rid, sizeof(b.rid));
	node_world_update(w, link, &b, 7, WIRE_INFINITE);
	assert_int_equal(w->del_count, 1);
	assert_true(prefix_eq(&w->dels[0], &b.id.own));
	identity_fini(&b.id);
	node_world_free(w);
}

static void test_rtt_tells_cost(void **state)
{
	struct node_world *w = node_world_started();
	const uint32_t link = node_world_link_out(w, "192.0.2.2:9651");

	(void)state;
	node_world_rtt(w, link, 0);
	assert_int_equal(w->cost_count, 1);
	assert_int_equal(w->costs[0].link, link);
	assert_int_equal(w->costs[0].smoothed_cost, 45);
	/* Where it settles it is not told again. */
	for (int i = 0; i < 40; i++)
		node_world_rtt(w, link, 0);
	assert_int_equal(w->costs[(w->cost_count - 1) % NODE_WORLD_NOTES].smoothed_cost, 0);
	assert_true(w->cost_count < 40);
	node_world_rtt(w, link + 1, 0);
	node_world_free(w);
}

static void test_link_down_redials_and_retracts(void **state)
{
	struct node_world *w = node_world_started();
	const uint32_t link = node_world_link_out(w, "192.0.2.2:9651");
	const struct ctl_link_down down = {.link = link, .reason = CTL_DOWN_IHU, .lived_us = 1234567};
	struct node_other b;

	(void)state;
	node_world_other(&b, 0x21);
	node_world_update(w, link, &b, 0, 0);
	node_on_link_down(w->n, &down, w->now);
	assert_int_equal(w->gone_count, 1);
	assert_int_equal(w->gone_peer, 77);
	assert_int_equal(w->gone_lived_us, 1234567);
	assert_non_null(strstr(w->gone_reason, "Hello"));
	assert_int_equal(w->del_count, 1);
	/* Neither a second end nor what it still said counts. */
	node_on_link_down(w->n, &down, w->now);
	assert_int_equal(w->gone_count, 1);
	node_world_update(w, link, &b, 1, 0);
	assert_int_equal(w->route_count, 1);
	identity_fini(&b.id);
	node_world_free(w);
}

static void test_address_lost(void **state)
{
	struct node_world *w = node_world_started();
	const uint32_t v4 = node_world_link(w, "[::ffff:192.0.2.1]:9651", "[::ffff:192.0.2.9]:5", CTL_LINK_INBOUND, 0);
	const uint32_t eth3 = node_world_link(w, "[fe80::1%3]:6", "[fe80::2%3]:9651", CTL_LINK_DISCOVERED, 8);
	const uint32_t eth4 = node_world_link(w, "[fe80::1%4]:6", "[fe80::2%4]:9651", CTL_LINK_DISCOVERED, 9);
	struct ip6 ip;

	(void)state;
	assert_int_equal(ip6_parse("::ffff:192.0.2.1", &ip), 0);
	w->now = mono_add_ms(w->now, 1500);
	node_on_address_lost(w->n, &ip, 2, "carrier lost on eth0", w->now);
	assert_int_equal(w->close_count, 1);
	assert_int_equal(w->closes[0].link, v4);
	assert_string_equal(w->closes[0].reason, "carrier lost on eth0");
	assert_int_equal(w->gone_lived_us, 1500 * 1000);
	assert_int_equal(ip6_parse("fe80::1", &ip), 0);
	node_on_address_lost(w->n, &ip, 4, "gone", w->now);
	assert_int_equal(w->close_count, 2);
	assert_int_equal(w->closes[1].link, eth4);
	assert_int_equal(w->gone_peer, 9);
	node_on_address_lost(w->n, &ip, 4, "gone", w->now);
	assert_int_equal(w->close_count, 2);
	node_close_link(w->n, eth3, "enough", w->now);
	assert_int_equal(w->gone_peer, 8);
	node_world_free(w);
}

static void test_caps(void **state)
{
	struct node_world *w = node_world_started();
	struct endpoint stranger, friend;
	char remote[ENDPOINT_TEXT_BYTES];
	const char *why = NULL;
	uint32_t first = 0;

	(void)state;
	for (int i = 0; i < LIMIT_UNPROVEN_PER_ADDRESS; i++) {
		snprintf(remote, sizeof(remote), "[::ffff:198.51.100.7]:%d", 1000 + i);
		assert_int_equal(endpoint_parse(remote, &stranger), 0);
		assert_true(node_may_accept(w->n, &stranger, &why));
		first = node_world_link(w, "[::ffff:192.0.2.1]:9651", remote, CTL_LINK_INBOUND, 0);
	}
	assert_false(node_may_accept(w->n, &stranger, &why));
	assert_int_equal(endpoint_parse("[::ffff:198.51.100.8]:5", &friend), 0);
	assert_true(node_may_accept(w->n, &friend, &why));
	/* One that proves itself makes room for another. */
	node_world_rtt(w, first, 100);
	assert_true(node_may_accept(w->n, &stranger, &why));
	for (int i = LIMIT_UNPROVEN_PER_ADDRESS; i < LIMIT_LINKS; i++) {
		snprintf(remote, sizeof(remote), "192.0.2.2:%d", 1 + i);
		node_world_link_out(w, remote);
	}
	assert_false(node_has_room(w->n, &why));
	assert_false(node_may_accept(w->n, &friend, &why));
	node_world_free(w);
}

/* However many strangers connect, what is configured can be dialled. */
static void test_strangers_leave_places(void **state)
{
	struct node_world *w = node_world_started();
	char remote[ENDPOINT_TEXT_BYTES];
	struct endpoint stranger;
	const char *why = NULL;

	(void)state;
	assert_int_equal(endpoint_parse("[2001:db8::7]:5", &stranger), 0);
	for (int i = 0; i < LIMIT_LINKS_INBOUND; i++) {
		snprintf(remote, sizeof(remote), "[2001:db8::1:%x]:5", i);
		assert_true(node_may_accept(w->n, &stranger, &why));
		node_world_rtt(w, node_world_link(w, "[2001:db8::1]:9651", remote, CTL_LINK_INBOUND, 0), 100);
	}
	assert_false(node_may_accept(w->n, &stranger, &why));
	assert_non_null(strstr(why, "all places"));
	assert_true(node_has_room(w->n, &why));
	node_world_free(w);
}

static void test_garbage_does_not_prove(void **state)
{
	struct node_world *w = node_world_started();
	const uint8_t garbage[] = {NODE_WORLD_UPDATE, 4, 1, 2, 3, 4};
	uint32_t link = 0;
	struct endpoint e;
	const char *why = NULL;

	(void)state;
	assert_int_equal(endpoint_parse("[::ffff:198.51.100.7]:5", &e), 0);
	for (int i = 0; i < LIMIT_UNPROVEN_PER_ADDRESS; i++)
		link = node_world_link(w, "[::ffff:192.0.2.1]:9651", "[::ffff:198.51.100.7]:5", CTL_LINK_INBOUND, 0);
	node_on_tlvs(w->n, link, garbage, sizeof(garbage), w->now);
	assert_false(node_may_accept(w->n, &e, &why));
	node_world_free(w);
}

static struct ctl_route found_route(const struct node_other *o, uint32_t link)
{
	return (struct ctl_route){.prefix = o->id.own.ip,
				  .prefix_len = 64,
				  .metric = 20,
				  .link = link,
				  .seqno = 3,
				  .fd_seqno = 3,
				  .fd_metric = 80,
				  .router_id = o->rid};
}

/* Of the TLVs sent to that link, one is an Update of that node. */
static bool was_announced(const struct node_world *w, uint32_t link, const struct node_other *o)
{
	for (unsigned i = 0; i < w->tlv_count && i < NODE_WORLD_TLVS; i++) {
		const struct sent_tlv *t = &w->tlvs[i];

		if (t->link == link && t->bytes[0] == NODE_WORLD_UPDATE &&
		    memcmp(t->bytes + 28, &o->rid, sizeof(o->rid)) == 0)
			return true;
	}
	return false;
}

static void test_adoption(void **state)
{
	struct node_world *w = node_world_new();
	struct ctl_node self = {.seqno = 9};
	struct ctl_link_info info = {.up_since_us = 5000000, .rtt_us = 2000, .smoothed_cost = 12};
	struct ctl_route r;
	struct node_other b, c;
	uint32_t next;

	(void)state;
	node_world_other(&b, 0x21);
	node_world_other(&c, 0x41);
	memcpy(self.router_id.public_key, w->id.pk.b, 32);
	memset(self.router_id.tail, 0xab, 8);
	node_found_self(w->n, &self);
	info.adopt = node_world_adopt("192.0.2.1:4", "192.0.2.2:9651", CTL_LINK_STATIC, 77);
	info.adopt.link = 4711;
	node_found_link(w->n, &info, w->now);
	r = found_route(&b, 4711);
	node_found_route(w->n, &r, w->now);
	/* Its link is not there: it is to be taken back. */
	r = found_route(&c, 4710);
	node_found_route(w->n, &r, w->now);
	assert_int_equal(w->self_count + w->del_count + w->tlv_count + w->route_count, 0);
	node_start(w->n, w->now);
	assert_int_equal(w->self_count, 1);
	assert_memory_equal(&w->self, &self, sizeof(self));
	assert_int_equal(w->del_count, 1);
	assert_true(prefix_eq(&w->dels[0], &c.id.own));
	node_tick(w->n, w->now);

	next = node_world_link(w, "192.0.2.1:5", "192.0.2.3:9651", CTL_LINK_STATIC, 78);
	assert_int_equal(next, 4712);
	assert_true(was_announced(w, next, &b));
	assert_false(was_announced(w, 4711, &b));
	node_on_want_key(w->n, ip6_net64(&b.id.own.ip), true, w->now);
	assert_int_equal(w->key_count, 1);
	assert_int_equal(w->del_count, 1);

	/* Never confirmed: swept, and not before its time. */
	while (w->del_count == 1) {
		const struct mono due = node_tick(w->n, w->now);

		assert_true(mono_since_ms(due, (struct mono){.us = 1000 * 1000000LL}) <= LIMIT_HELD_MS + 1000);
		w->now = due;
		node_tick(w->n, w->now);
	}
	assert_true(mono_since_ms(w->now, (struct mono){.us = 1000 * 1000000LL}) >= LIMIT_HELD_MS);
	assert_true(prefix_eq(&w->dels[1], &b.id.own));
	identity_fini(&b.id);
	identity_fini(&c.id);
	node_world_free(w);
}

static void test_foreign_self_is_not_adopted(void **state)
{
	struct node_world *w = node_world_new();
	struct ctl_node self = {.seqno = 9};

	(void)state;
	memset(&self.router_id, 0x11, sizeof(self.router_id));
	node_found_self(w->n, &self);
	node_start(w->n, w->now);
	assert_memory_equal(w->self.router_id.public_key, w->id.pk.b, 32);
	assert_int_equal(w->self.seqno, 0);
	node_world_free(w);
}

static void test_fastpath_lost_and_back(void **state)
{
	struct node_world *w = node_world_started();
	const uint32_t link = node_world_link_out(w, "192.0.2.2:9651");
	const struct router_id before = w->self.router_id;
	const char *why;
	struct node_other b;
	unsigned tlvs;

	(void)state;
	node_world_other(&b, 0x21);
	node_world_update(w, link, &b, 0, 0);
	node_fastpath_lost(w->n, w->now);
	assert_int_equal(w->gone_count, 1);
	assert_int_equal(w->gone_peer, 77);
	assert_false(node_has_room(w->n, &why));
	/* Nobody is there to be told. */
	tlvs = w->tlv_count;
	w->now = mono_add_ms(w->now, 10000);
	node_tick(w->n, w->now);
	assert_int_equal(w->tlv_count, tlvs);
	assert_int_equal(w->del_count, 0);
	node_restart(w->n, w->now);
	assert_int_equal(w->self_count, 2);
	assert_memory_equal(&w->self.router_id, &before, sizeof(before));
	assert_int_equal(w->route_count, 1);
	assert_true(node_world_link_out(w, "192.0.2.2:9651") > link);
	identity_fini(&b.id);
	node_world_free(w);
}

static void test_dump(void **state)
{
	static const char golden[] =
		"----------- Current selected routes -----------\n\n"
		"3a2:6783:e3f4:9c78::/64 next-hop [2001:db8::2]:9651 metric: 40 (seqno 2)\n"
		"3fe:4879:ce71:723a::/64 next-hop 192.0.2.2:9651 metric: 0 (seqno 1)\n"
		"----------- Current fallback routes -----------\n\n"
		"3fe:4879:ce71:723a::/64 next-hop [2001:db8::2]:9651 metric: 50 (seqno 1)\n"
		"----------- Current source table -----------\n\n"
		"Source key: 3a2:6783:e3f4:9c78::/64 advertised by "
		"64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466-0000-414141414141\n"
		"Source entry: FeasibilityDistance { metric: Metric(100), seqno: SeqNo(2) }\n\n\n"
		"Source key: 3fe:4879:ce71:723a::/64 advertised by "
		"5869aff450549732cbaaed5e5df9b30a6da31cb0e5742bad5ad4a1a768f1a67b-0000-212121212121\n"
		"Source entry: FeasibilityDistance { metric: Metric(60), seqno: SeqNo(1) }\n\n\n"
		"----------- Subnet origins -----------\n\n"
		"3a2:6783:e3f4:9c78::/64 origin 3a2:6783:e3f4:9c78:40e8:207e:2c3b:1fae\n"
		"3fe:4879:ce71:723a::/64 origin 3fe:4879:ce71:723a:32bf:403c:a985:62ba\n"
		"\n----------- Current peers: -----------\n"
		"Peer: 192.0.2.2:9651, with link cost: 60\n"
		"Peer: [2001:db8::2]:9651, with link cost: 60\n"
		"\n\n\n";
	struct node_world *w = node_world_started();
	const uint32_t one = node_world_link_out(w, "192.0.2.2:9651");
	const uint32_t two = node_world_link_out(w, "[2001:db8::2]:9651");
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct node_other b, c;

	(void)state;
	assert_non_null(out);
	node_world_other(&b, 0x21);
	node_world_other(&c, 0x41);
	node_world_update(w, two, &c, 2, 40);
	node_world_update(w, one, &b, 1, 0);
	node_world_update(w, two, &b, 1, 50);
	node_dump(w->n, out);
	fclose(out);
	assert_string_equal(text, golden);
	free(text);
	identity_fini(&b.id);
	identity_fini(&c.id);
	node_world_free(w);
}

static void test_dump_of_retraction(void **state)
{
	struct node_world *w = node_world_started();
	const uint32_t link = node_world_link_out(w, "192.0.2.2:9651");
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct node_other b;

	(void)state;
	assert_non_null(out);
	node_world_other(&b, 0x21);
	node_world_update(w, link, &b, 1, 0);
	node_world_update(w, link, &b, 1, WIRE_INFINITE);
	node_dump(w->n, out);
	fclose(out);
	assert_non_null(strstr(text, "3fe:4879:ce71:723a::/64 next-hop 192.0.2.2:9651 metric: Infinite (seqno 1)\n"));
	free(text);
	identity_fini(&b.id);
	node_world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start_draws_router_id),
		cmocka_unit_test(test_socket_gets_own_prefix_at_once),
		cmocka_unit_test(test_refused_sockets),
		cmocka_unit_test(test_update_becomes_route),
		cmocka_unit_test(test_rtt_tells_cost),
		cmocka_unit_test(test_link_down_redials_and_retracts),
		cmocka_unit_test(test_address_lost),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_strangers_leave_places),
		cmocka_unit_test(test_garbage_does_not_prove),
		cmocka_unit_test(test_adoption),
		cmocka_unit_test(test_foreign_self_is_not_adopted),
		cmocka_unit_test(test_fastpath_lost_and_back),
		cmocka_unit_test(test_dump),
		cmocka_unit_test(test_dump_of_retraction),
	};

	if (sodium_init() < 0)
		return 1;
	log_level = LOG_ERR;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
