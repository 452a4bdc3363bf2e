/* SPDX-License-Identifier: Apache-2.0 */
/* The judge of beacons, byte by byte; and two nodes that find each other on one interface, where the test may make one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After the four above, as it wants. */
#include "controld/links/beacon.h"
#include "controld/links/discover.h"
#include "shared/base/log.h"
#include "tests/support/netns.h"
#include "tests/support/until.h"
#include <cmocka.h>
#include <net/if.h>
#include <stdlib.h>

static const struct router_id self = {.public_key = {1, 2, 3}, .tail = {0, 0, 9, 9, 9, 9, 9, 9}};
static const struct router_id other = {.public_key = {1, 2, 3}, .tail = {0, 0, 9, 9, 9, 9, 9, 8}};

static struct sockaddr_in6 sender(const char *address, uint32_t scope)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(4242), .sin6_scope_id = scope};
	struct ip6 ip;

	assert_int_equal(ip6_parse(address, &ip), 0);
	memcpy(&a.sin6_addr, &ip, sizeof(ip));
	return a;
}

static void test_written_and_read(void **state)
{
	static const uint8_t start[] = {0x6d, 0x79, 0x63, 0x65, 0x6c, 0x69, 0x75, 0x6d, 0x25, 0xb3, 1, 2, 3};
	const struct sockaddr_in6 from = sender("fe80::1234", 7);
	char text[ENDPOINT_TEXT_BYTES];
	struct wire_beacon beacon;
	struct endpoint e;
	struct pubkey pk;

	(void)state;
	beacon_write(&other, 9651, &beacon);
	assert_memory_equal(&beacon, start, sizeof(start));
	assert_memory_equal((uint8_t *)&beacon + 10, &other, sizeof(other));
	assert_true(discover_read(&self, &from, (uint8_t *)&beacon, sizeof(beacon), &e, &pk));
	assert_string_equal(endpoint_print(&e, text), "[fe80::1234%7]:9651");
	assert_memory_equal(pk.b, other.public_key, sizeof(pk.b));
	/* Our own comes back. */
	assert_false(discover_read(&other, &from, (uint8_t *)&beacon, sizeof(beacon), &e, &pk));
}

/* Every truncation, in memory of exactly that size. */
static void test_lengths(void **state)
{
	const struct sockaddr_in6 from = sender("fe80::1", 1);
	struct wire_beacon beacon;
	struct endpoint e;
	struct pubkey pk;

	(void)state;
	beacon_write(&other, 1, &beacon);
	for (size_t len = 0; len <= sizeof(beacon) + 3; len++) {
		uint8_t *copy = calloc(1, len ? len : 1);

		memcpy(copy, &beacon, len < sizeof(beacon) ? len : sizeof(beacon));
		assert_int_equal(discover_read(&self, &from, copy, len, &e, &pk), len >= sizeof(beacon));
		free(copy);
	}
}

static void test_every_wrong_byte(void **state)
{
	const struct sockaddr_in6 from = sender("fe80::1", 1);
	struct wire_beacon beacon;
	struct endpoint e;
	struct pubkey pk;

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		beacon_write(&other, 1, &beacon);
		beacon.magic[i] ^= 0x20;
		assert_false(discover_read(&self, &from, (uint8_t *)&beacon, sizeof(beacon), &e, &pk));
	}
	/* Ours but for one byte is another's. */
	for (size_t i = 0; i < sizeof(self); i++) {
		beacon_write(&self, 1, &beacon);
		((uint8_t *)&beacon.router_id)[i] ^= 1;
		assert_true(discover_read(&self, &from, (uint8_t *)&beacon, sizeof(beacon), &e, &pk));
	}
	beacon_write(&other, 0, &beacon);
	assert_false(discover_read(&self, &from, (uint8_t *)&beacon, sizeof(beacon), &e, &pk));
}

static void test_sources(void **state)
{
	static const struct {
		const char *address;
		uint32_t scope;
		bool good;
	} table[] = {
		{"fe80::1", 1, true},	   {"fe80::ffff:ffff:ffff:ffff", 9, true},
		{"fe80::1", 0, false},	   {"fe80:0:0:1::1", 1, false},
		{"fe81::1", 1, false},	   {"fe80:8000::1", 1, false},
		{"2001:db8::1", 1, false}, {"::ffff:192.0.2.1", 1, false},
		{"::1", 1, false},
	};
	struct wire_beacon beacon;
	struct endpoint e;
	struct pubkey pk;

	(void)state;
	beacon_write(&other, 1, &beacon);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct sockaddr_in6 from = sender(table[i].address, table[i].scope);

		if (discover_read(&self, &from, (uint8_t *)&beacon, sizeof(beacon), &e, &pk) != table[i].good)
			fail_msg("%s scope %u", table[i].address, table[i].scope);
	}
}

struct node {
	struct discover *discover;
	struct endpoint found;
	struct pubkey pk;
	unsigned count;
};

static void on_found(void *ctx, const struct endpoint *e, const struct pubkey *pk)
{
	struct node *n = ctx;

	n->found = *e;
	n->pk = *pk;
	n->count++;
}

static bool both_found(void *ctx)
{
	const struct node *n = ctx;

	return n[0].count > 0 && n[1].count > 0;
}

static bool is_third(void *ctx)
{
	return endpoint_port(&((struct node *)ctx)->found) == 1003;
}

/* The link-local address is made only after the sockets are there, so this also proves that they try again. */
static void test_two_nodes_on_one_interface(void **state)
{
	static const struct discover_ops ops = {.found = on_found};
	const struct discover_config config[3] = {{.port = 9651, .tcp_port = 1001, .self = self},
						  {.port = 9651, .tcp_port = 1002, .self = other},
						  {.port = 9651, .tcp_port = 1003, .self = {.tail = {1}}}};
	struct node n[3] = {{.count = 0}, {.count = 0}, {.count = 0}};
	struct loop *l;
	unsigned ifindex;

	(void)state;
	if (!netns_enter())
		skip();
	assert_int_equal(system("ip link add v0 type veth peer name v1 && ip link set v1 up && ip link set v0 up"), 0);
	ifindex = if_nametoindex("v0");
	l = loop_new();
	for (int i = 0; i < 2; i++) {
		n[i].discover = discover_new(l, &config[i], &ops, &n[i]);
		discover_add(n[i].discover, ifindex, "v0");
		discover_add(n[i].discover, ifindex, "v0");
		discover_add(n[i].discover, 4242, "nosuchif0");
	}
	assert_true(until(l, both_found, n));
	assert_int_equal(endpoint_port(&n[0].found), 1002);
	assert_int_equal(endpoint_port(&n[1].found), 1001);
	assert_int_equal(n[0].found.v6.sin6_scope_id, ifindex);
	assert_memory_equal(n[0].pk.b, other.public_key, sizeof(n[0].pk.b));

	/* Across the wire; and who has left the interface hears nothing more. */
	n[1].count = 0;
	discover_del(n[1].discover, ifindex);
	discover_del(n[1].discover, ifindex);
	n[2].discover = discover_new(l, &config[2], &ops, &n[2]);
	discover_add(n[2].discover, if_nametoindex("v1"), "v1");
	assert_true(until(l, is_third, &n[0]));
	assert_int_equal(n[1].count, 0);
	for (int i = 0; i < 3; i++)
		discover_free(n[i].discover);
	discover_free(NULL);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written_and_read),	   cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_every_wrong_byte),	   cmocka_unit_test(test_sources),
		cmocka_unit_test(test_two_nodes_on_one_interface),
	};

	log_level = LOG_WARN;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
