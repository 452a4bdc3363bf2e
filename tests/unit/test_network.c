/* SPDX-License-Identifier: Apache-2.0 */
/* The 200::/7 network: addresses and the smoothing of round trips, against the known answers. */
#include "shared/base/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/vectors.h"

static void test_addresses(void **state)
{
	const size_t count = vectors_count("address");

	(void)state;
	assert_true(count >= 3);
	for (size_t i = 0; i < count; i++) {
		char text[PREFIX_TEXT_BYTES];
		struct prefix own;
		struct pubkey pk;
		struct ip6 ip;

		assert_int_equal(vectors_hex(pk.b, sizeof(pk.b), "address/%zu/public_key", i), sizeof(pk.b));
		network200.address(&pk, &ip);
		assert_string_equal(ip6_print(&ip, text), vectors_text("address/%zu/address", i));
		own = network_own_prefix(&network200, &pk);
		assert_string_equal(prefix_print(&own, text), vectors_text("address/%zu/subnet", i));
		assert_string_equal(ip6_print(&own.ip, text), vectors_text("address/%zu/icmp_source", i));
		assert_true(prefix_covers(&network200.overlay, &own));
	}
}

static void test_smooth(void **state)
{
	static const struct {
		const char *name;
		uint32_t rtt_us;
	} table[] = {
		{"twelve_samples_of_0ms", 0},
		{"twelve_samples_of_0ms", 999},
		{"twelve_samples_of_100ms", 100000},
		{"twelve_samples_of_100ms", 100999},
	};

	(void)state;
	for (size_t t = 0; t < sizeof(table) / sizeof(table[0]); t++) {
		const size_t count = vectors_count("link_cost/%s/smoothed", table[t].name);
		uint16_t smoothed = network200.link_cost_initial;

		assert_true(count > 10);
		for (size_t i = 0; i < count; i++) {
			assert_int_equal(smoothed, vectors_number("link_cost/%s/smoothed/%zu", table[t].name, i));
			assert_int_equal(smoothed + network200.link_cost_add,
					 vectors_number("link_cost/%s/reported/%zu", table[t].name, i));
			smoothed = network_smooth(smoothed, table[t].rtt_us);
		}
	}
}

static void test_smooth_ends(void **state)
{
	(void)state;
	assert_int_equal(network_smooth(0, 0), 0);
	assert_int_equal(network_smooth(65535, UINT32_MAX), 65535);
	assert_int_equal(network_smooth(0, UINT32_MAX), 6553);
}

static void test_find(void **state)
{
	(void)state;
	assert_ptr_equal(network_find(200), &network200);
	assert_null(network_find(0));
	assert_null(network_find(400));
}

/* What one number promises, another must not break. */
static void test_numbers_fit(void **state)
{
	const struct network *n = &network200;
	struct prefix overlay;

	(void)state;
	assert_int_equal(prefix_parse("200::/7", &overlay), 0);
	assert_true(prefix_eq(&n->overlay, &overlay));
	assert_true(n->hello_ms < n->ihu_dead_ms && n->hello_ms * 3 <= n->hello_dead_ms);
	assert_true(n->own_update_ms * 3 < n->route_hold_ms && n->table_update_ms * 3 < n->route_hold_ms);
	assert_true(n->route_hold_ms + n->retracted_hold_ms <= n->source_hold_ms);
	assert_int_equal(n->data_header_bytes, sizeof(struct wire_data));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),   cmocka_unit_test(test_smooth),
		cmocka_unit_test(test_smooth_ends), cmocka_unit_test(test_find),
		cmocka_unit_test(test_numbers_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
