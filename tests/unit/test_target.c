/* SPDX-License-Identifier: Apache-2.0 */
/* Peers as the user may write them, and as he may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After the four above, as it wants. */
#include "controld/links/peers.h"
#include "controld/links/target.h"
#include <cmocka.h>
#include <errno.h>

static const char *const good[] = {
	"203.0.113.5:9651",	"[2001:db8::1]:9651",	"[::ffff:1.2.3.4]:1",
	"[fe80::1%3]:9651",	"[fe80::1%eth0]:65535", "tcp://203.0.113.5:9651",
	"tcp://host.example:1", "host.example:9651",	"a:1",
	"host.example.:1",	"tcp://host",		"tcp://[2001:db8::1]",
	"x-1_2.example:80",	"1.example:80",
};
static const struct {
	const char *text, *why;
} bad[] = {
	{"", "neither"},
	{":1", "neither"},
	{"203.0.113.5", "port is missing"},
	{"host.example", "port is missing"},
	{"[2001:db8::1]", "port is missing"},
	{"203.0.113.5:0", "65535"},
	{"203.0.113.5:65536", "65535"},
	{"203.0.113.5:", "65535"},
	{"203.0.113.5:1x", "65535"},
	{"203.0.113.5:000001", "65535"},
	{"203.0.113.5:+1", "65535"},
	{"[2001:db8::1]9651", "65535"},
	{"[2001:db8::1:9651", "bracket"},
	{"2001:db8::1:9651", "brackets"},
	{"[]:1", "IPv6"},
	{"[1.2.3.4]:1", "IPv6"},
	{"[fe80::1]:1", "interface"},
	{"[fe80::1%]:1", "interface"},
	{"[fe80::1%a-name-too-long-by-far]:1", "interface"},
	{"[fe80::1%a/b]:1", "interface"},
	{"10.1:1", "neither"},
	{"300.1.1.1:1", "neither"},
	{"a..b:1", "neither"},
	{".a:1", "neither"},
	{"-a:1", "neither"},
	{"a b:1", "neither"},
	{"udp://a:1", "brackets"},
	{"tcp://:1", "neither"},
	{"[200::1]:9651", "inside the overlay"},
	{"tcp://[3ff:ffff::1]", "inside the overlay"},
	{"[300::1%3]:9651", "inside the overlay"},
};

static void test_check(void **state)
{
	struct prefix overlay;
	const char *why;

	(void)state;
	assert_int_equal(prefix_parse("200::/7", &overlay), 0);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		why = NULL;
		if (!peers_check(good[i], &overlay, &why))
			fail_msg("%s: %s", good[i], why);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why = "";
		if (peers_check(bad[i].text, &overlay, &why) || !strstr(why, bad[i].why))
			fail_msg("%s: %s", bad[i].text, why);
	}
	assert_true(peers_check("[200::1]:9651", NULL, &why));
}

static void test_long_names(void **state)
{
	char longest[400];
	const char *why;

	(void)state;
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	memcpy(longest + 395, ":12", 4);
	assert_false(peers_check(longest, NULL, &why));
	for (int i = 60; i < 395; i += 60)
		longest[i] = '.';
	assert_false(peers_check(longest, NULL, &why));
}

static void test_parts(void **state)
{
	const char *why;
	struct endpoint e;
	struct target t;

	(void)state;
	assert_true(target_parse("tcp://[fe80::1%lo]:77", NULL, &t, &why));
	assert_string_equal(t.host, "fe80::1");
	assert_string_equal(t.scope, "lo");
	assert_int_equal(t.port, 77);
	assert_true(t.literal);
	assert_int_equal(target_endpoint(&t, &e), 0);
	assert_int_equal(e.v6.sin6_scope_id, 1);
	assert_true(target_parse("[fe80::1%3x]:77", NULL, &t, &why));
	assert_int_equal(target_endpoint(&t, &e), -ENODEV);
	assert_true(target_parse("[fe80::1%4242]:77", NULL, &t, &why));
	assert_int_equal(target_endpoint(&t, &e), 0);
	assert_int_equal(e.v6.sin6_scope_id, 4242);
	assert_true(target_parse("tcp://host.example", NULL, &t, &why));
	assert_string_equal(t.host, "host.example");
	assert_false(t.literal);
	assert_int_equal(t.port, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
