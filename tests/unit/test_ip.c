/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, prefixes and endpoints: tables of texts, and the bits of every prefix length. */
#include "shared/base/ip.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_ip6_text(void **state)
{
	static const struct {
		const char *in, *out; /* out NULL: no address */
	} table[] = {
		{"::", "::"},
		{"::1", "::1"},
		{"0200:0:0:0:0:0:0:1", "200::1"},
		{"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
		{"2f8:66e2:b504:c1c9:2f34:38ee:464c:916d", "2f8:66e2:b504:c1c9:2f34:38ee:464c:916d"},
		{"", NULL},
		{"1.2.3.4", NULL},
		{"200::1 ", NULL},
		{"200::1%3", NULL},
		{"200:::1", NULL},
		{"1::2::3", NULL},
		{"12345::", NULL},
		{"[::1]", NULL},
		{"::/64", NULL},
		{"1:2:3:4:5:6:7:8:9", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char text[IP6_TEXT_BYTES];
		struct ip6 ip;

		assert_int_equal(ip6_parse(table[i].in, &ip), table[i].out ? 0 : -EINVAL);
		if (table[i].out)
			assert_string_equal(ip6_print(&ip, text), table[i].out);
	}
}

static void test_net64(void **state)
{
	char text[IP6_TEXT_BYTES];
	struct ip6 ip, base;

	(void)state;
	assert_int_equal(ip6_parse("2f8:66e2:b504:c1c9:2f34:38ee:464c:916d", &ip), 0);
	assert_true(ip6_net64(&ip) == 0x02f866e2b504c1c9ULL);
	base = ip6_from_net64(ip6_net64(&ip));
	assert_string_equal(ip6_print(&base, text), "2f8:66e2:b504:c1c9::");
}

static bool bit(const struct ip6 *ip, unsigned int n)
{
	return ip->b[n / 8] >> (7 - n % 8) & 1;
}

static void test_mask_every_length(void **state)
{
	struct ip6 ones;

	(void)state;
	memset(&ones, 0xff, sizeof(ones));
	for (unsigned int len = 0; len <= 128; len++) {
		const struct prefix p = prefix_make(&ones, (uint8_t)len);

		assert_int_equal(p.len, len);
		for (unsigned int n = 0; n < 128; n++)
			assert_int_equal(bit(&p.ip, n), n < len);
	}
	assert_int_equal(prefix_make(&ones, 255).len, 128);
}

static void test_has_every_length(void **state)
{
	struct ip6 ip = {{0}};

	(void)state;
	for (unsigned int len = 1; len <= 128; len++) {
		const struct prefix p = prefix_make(&ip, (uint8_t)len);
		struct ip6 near = ip;

		near.b[(len - 1) / 8] ^= (uint8_t)(0x80 >> (len - 1) % 8);
		assert_false(prefix_has(&p, &near));
		if (len == 128)
			continue;
		near = ip;
		near.b[len / 8] ^= (uint8_t)(0x80 >> len % 8);
		assert_true(prefix_has(&p, &near));
	}
}

static void test_prefix_text(void **state)
{
	static const struct {
		const char *in, *out;
	} table[] = {
		{"200::/7", "200::/7"},
		{"3ff:ffff::1/7", "200::/7"},
		{"::/0", "::/0"},
		{"ffff::1/0", "::/0"},
		{"2f8:66e2:b504:c1c9:2f34:38ee:464c:916d/64", "2f8:66e2:b504:c1c9::/64"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"},
		{"200::", NULL},
		{"200::/", NULL},
		{"200::/129", NULL},
		{"200::/-1", NULL},
		{"200::/+7", NULL},
		{"200::/ 7", NULL},
		{"200::/7x", NULL},
		{"/7", NULL},
		{"200::/18446744073709551623", NULL},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char text[PREFIX_TEXT_BYTES];
		struct prefix p;

		assert_int_equal(prefix_parse(table[i].in, &p), table[i].out ? 0 : -EINVAL);
		if (table[i].out)
			assert_string_equal(prefix_print(&p, text), table[i].out);
	}
}

static struct prefix prefix(const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

static void test_prefix_order(void **state)
{
	static const char *const sorted[] = {"::/0", "200::/7", "200::/64", "200::1/128", "200:0:0:1::/64", "400::/7"};
	const size_t count = sizeof(sorted) / sizeof(sorted[0]);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < count; j++) {
			const struct prefix a = prefix(sorted[i]), b = prefix(sorted[j]);
			const int order = prefix_cmp(&a, &b);

			assert_int_equal(order < 0, i < j);
			assert_int_equal(order > 0, i > j);
			assert_int_equal(prefix_eq(&a, &b), i == j);
		}
	}
}

static void test_prefix_covers(void **state)
{
	const struct prefix overlay = prefix("200::/7"), net = prefix("3fe:4879:ce71:723a::/64"),
			    host = prefix("3fe:4879:ce71:723a::1/128"), other = prefix("400::/64");

	(void)state;
	assert_true(prefix_covers(&overlay, &net));
	assert_true(prefix_covers(&net, &host));
	assert_true(prefix_covers(&net, &net));
	assert_false(prefix_covers(&net, &overlay));
	assert_false(prefix_covers(&host, &net));
	assert_false(prefix_covers(&overlay, &other));
}

static void test_endpoint_text(void **state)
{
	static const struct {
		const char *in, *out;
	} table[] = {
		{"203.0.113.5:9651", "203.0.113.5:9651"},
		{"0.0.0.0:0", "0.0.0.0:0"},
		{"[2001:db8::1]:9651", "[2001:db8::1]:9651"},
		{"[::]:65535", "[::]:65535"},
		{"[fe80::1%3]:9651", "[fe80::1%3]:9651"},
		{"[fe80::1%lo]:1", "[fe80::1%1]:1"},
		{"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535",
		 "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535"},
		{"[::ffff:192.0.2.1]:80", "[::ffff:192.0.2.1]:80"},
		{"", NULL},
		{":", NULL},
		{":1", NULL},
		{"[:1", NULL},
		{"[]:1", NULL},
		{"]:1", NULL},
		{"203.0.113.5", NULL},
		{"203.0.113.5:", NULL},
		{"203.0.113.5:65536", NULL},
		{"203.0.113.5:-1", NULL},
		{"203.0.113.5:1 ", NULL},
		{"203.0.113.256:1", NULL},
		{"2001:db8::1:9651", NULL},
		{"[2001:db8::1]", NULL},
		{"[2001:db8::1]9651", NULL},
		{"[203.0.113.5]:1", NULL},
		{"[fe80::1%]:1", NULL},
		{"[fe80::1%0]:1", NULL},
		{"[fe80::1%4294967296]:1", NULL},
		{"[fe80::1%nosuchinterface]:1", NULL},
		{"host:1", NULL},
		{"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295%4294967295%4294967295]:1", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char text[ENDPOINT_TEXT_BYTES];
		struct endpoint e;

		assert_int_equal(endpoint_parse(table[i].in, &e), table[i].out ? 0 : -EINVAL);
		if (table[i].out)
			assert_string_equal(endpoint_print(&e, text), table[i].out);
	}
}

static struct endpoint endpoint(const char *text)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse(text, &e), 0);
	return e;
}

static void test_endpoint_parts(void **state)
{
	struct endpoint v4 = endpoint("203.0.113.5:9651"), v6 = endpoint("[2001:db8::1]:9651");
	const struct endpoint scoped = endpoint("[2001:db8::1%2]:9651");
	struct ip6 ip = endpoint_ip6(&v4);
	char text[ENDPOINT_TEXT_BYTES];

	(void)state;
	assert_int_equal(endpoint_len(&v4), sizeof(struct sockaddr_in));
	assert_int_equal(endpoint_len(&v6), sizeof(struct sockaddr_in6));
	assert_string_equal(ip6_print(&ip, text), "::ffff:203.0.113.5");
	ip = endpoint_ip6(&v6);
	assert_string_equal(ip6_print(&ip, text), "2001:db8::1");
	assert_true(endpoint_eq(&v4, &v4) && endpoint_eq(&v6, &v6));
	assert_false(endpoint_eq(&v4, &v6) || endpoint_eq(&v6, &scoped));
	endpoint_set_port(&v4, 80);
	endpoint_set_port(&v6, 80);
	assert_int_equal(endpoint_port(&v4), 80);
	assert_string_equal(endpoint_print(&v4, text), "203.0.113.5:80");
	assert_string_equal(endpoint_print(&v6, text), "[2001:db8::1]:80");
	v6.v6.sin6_flowinfo = 1;
	assert_true(endpoint_eq(&v6, &(struct endpoint){.v6 = {.sin6_family = AF_INET6,
							       .sin6_port = v6.v6.sin6_port,
							       .sin6_addr = v6.v6.sin6_addr}}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ip6_text),	  cmocka_unit_test(test_net64),
		cmocka_unit_test(test_mask_every_length), cmocka_unit_test(test_has_every_length),
		cmocka_unit_test(test_prefix_text),	  cmocka_unit_test(test_prefix_order),
		cmocka_unit_test(test_prefix_covers),	  cmocka_unit_test(test_endpoint_text),
		cmocka_unit_test(test_endpoint_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
