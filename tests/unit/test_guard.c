/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask: every way a stranger's page may try, one row each. */
#include "controld/api/guard.h"
#include "shared/base/secret.h"
#include "shared/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { PORT = 8989 };

static const char *const hosts[] = {"node.example", "vpn.example:8443", "tls.example:443", "plain.example:80",
				    "[2001:db8::5]"};
static const char *const origins[] = {"https://panel.example", "http://panel.example:3000", "null"};

#define TOKEN "0123456789abcdef~!"
/* Of that token, as Python's base64.urlsafe_b64encode() has it, without the padding. */
#define TOKEN_BASE64 "MDEyMzQ1Njc4OWFiY2RlZn4h"

static struct guard_config config(bool with_token)
{
	return (struct guard_config){
		.port = PORT,
		.hosts = hosts,
		.host_count = sizeof(hosts) / sizeof(hosts[0]),
		.origins = origins,
		.origin_count = sizeof(origins) / sizeof(origins[0]),
		.token = with_token ? TOKEN : NULL,
	};
}

static void expect(const struct guard_config *c, const struct guard_head *h, enum guard_verdict want, size_t row)
{
	const enum guard_verdict got = guard_check(c, h);

	if (got != want)
		fail_msg("row %zu: host=%s origin=%s site=%s: %d instead of %d", row, h->host ? h->host : "-",
			 h->origin ? h->origin : "-", h->sec_fetch_site ? h->sec_fetch_site : "-", got, want);
}

static const struct {
	const char *host;
	bool good;
} host_rows[] = {
	{"localhost:8989", true},
	{"LOCALHOST:8989", true},
	{"LocalHost:8989", true},
	{"127.0.0.1:8989", true},
	{"[::1]:8989", true},
	{"node.example:8989", true},
	{"NODE.example:8989", true},
	{"vpn.example:8443", true},
	{"tls.example:443", true},
	{"tls.example", true}, /* the default port of https */
	{"plain.example", true},
	{"plain.example:80", true},
	{"[2001:db8::5]:8989", true},
	{"[2001:DB8::5]:8989", true},
	{NULL, false},
	{"", false},
	{" ", false},
	{":8989", false},
	{"localhost", false}, /* port 80 */
	{"localhost:", false},
	{"localhost:80", false},
	{"localhost:8988", false},
	{"localhost:08989", true}, /* the same number */
	{"localhost:0", false},
	{"localhost:74525", false}, /* 8989 + 65536 */
	{"localhost:898989", false},
	{"localhost:+8989", false},
	{"localhost:-8989", false},
	{"localhost:8989 ", false},
	{"localhost:8989/", false},
	{"localhost: 8989", false},
	{"localhost:8989,evil.example", false},
	{"localhost:8989:8989", false},
	{"localhost.:8989", false},
	{"localhost.evil.example:8989", false},
	{"evil.localhost:8989", false},
	{"xlocalhost:8989", false},
	{"localhos:8989", false},
	{"user@localhost:8989", false},
	{"localhost:8989@evil.example", false},
	{"localhost:pass@evil.example:8989", false},
	{"http://localhost:8989", false},
	{"127.0.0.1.evil.example:8989", false},
	{"127.1:8989", false},
	{"127.0.0.2:8989", false},
	{"2130706433:8989", false},
	{"0x7f000001:8989", false},
	{"0.0.0.0:8989", false},
	{"::1:8989", false},
	{"[::1]", false},
	{"[::1]8989", false},
	{"[::1:8989", false},
	{"[::]:8989", false},
	{"[]:8989", false},
	{"[::1].evil.example:8989", false},
	{"[::ffff:127.0.0.1]:8989", false},
	{"[0:0:0:0:0:0:0:1]:8989", false},
	{"[::1%25lo]:8989", false},
	{"node.example", false}, /* named without port: ours */
	{"node.example:80", false},
	{"vpn.example:8989", false}, /* named with another */
	{"vpn.example", false},
	{"tls.example:8989", false},
	{"plain.example:443", false},
	{"evil.example:8989", false},
	{"node.example.:8989", false},
	{"localhost\t:8989", false},
	{"localhost%00:8989", false},
};

static void test_host(void **state)
{
	const struct guard_config c = config(false);

	(void)state;
	for (size_t i = 0; i < sizeof(host_rows) / sizeof(host_rows[0]); i++)
		expect(&c, &(struct guard_head){.host = host_rows[i].host}, host_rows[i].good ? GUARD_OK : GUARD_HOST,
		       i);
}

static void test_any_host(void **state)
{
	struct guard_config c = config(false);

	(void)state;
	c.any_host = true;
	expect(&c, &(struct guard_head){.host = "whatever.example"}, GUARD_OK, 0);
	expect(&c, &(struct guard_head){.host = "192.0.2.1:8989"}, GUARD_OK, 1);
	expect(&c, &(struct guard_head){.host = NULL}, GUARD_HOST, 2);
	expect(&c, &(struct guard_head){.host = ""}, GUARD_HOST, 3);
	expect(&c, &(struct guard_head){.host = "a:b"}, GUARD_HOST, 4);
	expect(&c, &(struct guard_head){.host = "a.example", .origin = "http://b.example"}, GUARD_ORIGIN, 5);
	expect(&c, &(struct guard_head){.host = "a.example", .origin = "http://a.example"}, GUARD_OK, 6);
}

static void test_port_80(void **state)
{
	struct guard_config c = config(false);

	(void)state;
	c.port = 80;
	expect(&c, &(struct guard_head){.host = "localhost"}, GUARD_OK, 0);
	expect(&c, &(struct guard_head){.host = "localhost:80", .origin = "http://localhost:80"}, GUARD_OK, 1);
	expect(&c, &(struct guard_head){.host = "localhost", .origin = "http://localhost"}, GUARD_OK, 2);
	expect(&c, &(struct guard_head){.host = "localhost:8989"}, GUARD_HOST, 3);
}

static void test_origin(void **state)
{
	static const struct {
		const char *host, *origin, *site;
		enum guard_verdict want;
	} rows[] = {
		{"localhost:8989", NULL, "none", GUARD_OK},
		{"localhost:8989", NULL, "same-origin", GUARD_OK},
		{"localhost:8989", "http://localhost:8989", NULL, GUARD_OK},
		{"localhost:8989", "http://LOCALHOST:8989", NULL, GUARD_OK},
		{"localhost:8989", "http://localhost:8989", "same-origin", GUARD_OK},
		{"127.0.0.1:8989", "http://127.0.0.1:8989", NULL, GUARD_OK},
		{"[::1]:8989", "http://[::1]:8989", NULL, GUARD_OK},
		{"localhost:8989", "https://panel.example", "cross-site", GUARD_OK},
		{"localhost:8989", "https://panel.example", "same-site", GUARD_OK},
		{"localhost:8989", "http://panel.example:3000", NULL, GUARD_OK},
		{"localhost:8989", "", NULL, GUARD_ORIGIN},
		{"localhost:8989", "null", NULL, GUARD_ORIGIN}, /* even where it is named */
		{"localhost:8989", "null", "none", GUARD_ORIGIN},
		{"localhost:8989", "https://localhost:8989", NULL, GUARD_ORIGIN},
		{"localhost:8989", "HTTP://localhost:8989", NULL, GUARD_ORIGIN},
		{"localhost:8989", "http://localhost", NULL, GUARD_ORIGIN},
		{"localhost:8989", "http://localhost:3000", NULL, GUARD_ORIGIN},
		{"localhost:8989", "http://localhost:8989/", NULL, GUARD_ORIGIN},
		{"localhost:8989", "http://localhost:8989.evil.example", NULL, GUARD_ORIGIN},
		{"localhost:8989", "http://127.0.0.1:8989", NULL, GUARD_ORIGIN}, /* another origin than the Host */
		{"localhost:8989", "http://[::1]:8989", NULL, GUARD_ORIGIN},
		{"localhost:8989", "http://evil.example", NULL, GUARD_ORIGIN},
		{"localhost:8989", "http://user@localhost:8989", NULL, GUARD_ORIGIN},
		{"localhost:8989", "http://localhost:8989, http://evil.example", NULL, GUARD_ORIGIN},
		{"localhost:8989", "http://localhost:8989 http://evil.example", NULL, GUARD_ORIGIN},
		{"localhost:8989", "file://", NULL, GUARD_ORIGIN},
		{"localhost:8989", "http://panel.example", NULL, GUARD_ORIGIN},
		{"localhost:8989", "https://panel.example:443", NULL, GUARD_ORIGIN},
		{"localhost:8989", "https://PANEL.example", NULL, GUARD_ORIGIN}, /* browsers write small letters */
		{"localhost:8989", "https://panel.example.evil.example", NULL, GUARD_ORIGIN},
		{"localhost:8989", NULL, "cross-site", GUARD_FETCH_SITE},
		{"localhost:8989", NULL, "same-site", GUARD_FETCH_SITE},
		{"localhost:8989", NULL, "", GUARD_FETCH_SITE},
		{"localhost:8989", NULL, "NONE", GUARD_FETCH_SITE},
		{"localhost:8989", NULL, "none, cross-site", GUARD_FETCH_SITE},
		{"localhost:8989", NULL, "something-new", GUARD_FETCH_SITE},
		{"localhost:8989", "http://localhost:8989", "cross-site", GUARD_FETCH_SITE},
		{"evil.example:8989", "http://evil.example:8989", "same-origin", GUARD_HOST}, /* rebinding */
		{"evil.example:8989", "https://panel.example", "cross-site", GUARD_HOST},
	};
	const struct guard_config c = config(false);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect(&c,
		       &(struct guard_head){
			       .host = rows[i].host, .origin = rows[i].origin, .sec_fetch_site = rows[i].site},
		       rows[i].want, i);
}

static void test_token(void **state)
{
	static const struct {
		const char *authorization, *subprotocols;
		bool upgrade, page, good;
	} rows[] = {
		{"Bearer " TOKEN, NULL, false, false, true},
		{"bearer " TOKEN, NULL, false, false, true},
		{"BEARER " TOKEN, NULL, false, false, true},
		{"Bearer   " TOKEN, NULL, false, false, true},
		{"Bearer " TOKEN, NULL, true, false, true},
		{NULL, NULL, false, true, true}, /* the page asks for the token */
		{"Bearer wrong", NULL, false, true, true},
		{NULL, "bearer." TOKEN_BASE64, true, false, true},
		{NULL, "mycelium.msg.v1+json, bearer." TOKEN_BASE64, true, false, true},
		{NULL, "bearer." TOKEN_BASE64 " ,mycelium.msg.v1+json", true, false, true},
		{"Bearer wrong", "bearer." TOKEN_BASE64, true, false, true},
		{NULL, NULL, false, false, false},
		{"", NULL, false, false, false},
		{"Bearer", NULL, false, false, false},
		{"Bearer ", NULL, false, false, false},
		{"Bearer" TOKEN, NULL, false, false, false},
		{"Bearer\t" TOKEN, NULL, false, false, false},
		{TOKEN, NULL, false, false, false},
		{"Basic " TOKEN, NULL, false, false, false},
		{"Bearer " TOKEN "x", NULL, false, false, false},
		{"Bearer " TOKEN " ", NULL, false, false, false},
		{"Bearer 0123456789abcdef~", NULL, false, false, false},
		{"Bearer 0123456789ABCDEF~!", NULL, false, false, false},
		{"Bearer " TOKEN ", Bearer " TOKEN, NULL, false, false, false},
		{"Bearer " TOKEN_BASE64, NULL, false, false, false},
		{NULL, "bearer." TOKEN_BASE64, false, false, false}, /* for upgrades only */
		{NULL, "bearer." TOKEN_BASE64 "=", true, false, false},
		{NULL, "bearer." TOKEN_BASE64 "A", true, false, false},
		{NULL, "Bearer." TOKEN_BASE64, true, false, false},
		{NULL, "bearer." TOKEN, true, false, false},
		{NULL, "bearer.", true, false, false},
		{NULL, "bearer", true, false, false},
		{NULL, "", true, false, false},
		{NULL, ", ,", true, false, false},
		{NULL, "xbearer." TOKEN_BASE64, true, false, false},
		{NULL, NULL, true, false, false},
	};
	const struct guard_config with = config(true), without = config(false);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct guard_head h = {
			.host = "localhost:8989",
			.authorization = rows[i].authorization,
			.subprotocols = rows[i].subprotocols,
			.upgrade = rows[i].upgrade,
			.public_page = rows[i].page,
		};

		expect(&with, &h, rows[i].good ? GUARD_OK : GUARD_TOKEN, i);
		expect(&without, &h, GUARD_OK, i);
	}
}

static void test_longest_token(void **state)
{
	char token[LIMIT_API_TOKEN_BYTES + 1], base64[2 * LIMIT_API_TOKEN_BYTES], list[3 * LIMIT_API_TOKEN_BYTES];
	struct guard_config c = config(false);

	(void)state;
	memset(token, '~', LIMIT_API_TOKEN_BYTES);
	token[LIMIT_API_TOKEN_BYTES] = '\0';
	c.token = token;
	sodium_bin2base64(base64, sizeof(base64), (const unsigned char *)token, LIMIT_API_TOKEN_BYTES,
			  sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	snprintf(list, sizeof(list), "bearer.%s", base64);
	expect(&c, &(struct guard_head){.host = "localhost:8989", .upgrade = true, .subprotocols = list}, GUARD_OK, 0);
	list[strlen(list) - 1] ^= 1;
	expect(&c, &(struct guard_head){.host = "localhost:8989", .upgrade = true, .subprotocols = list}, GUARD_TOKEN,
	       1);
}

/* The page is open to those without a token, to other sites it is not. */
static void test_page_is_guarded(void **state)
{
	const struct guard_config c = config(true);

	(void)state;
	expect(&c, &(struct guard_head){.host = "evil.example:8989", .public_page = true}, GUARD_HOST, 0);
	expect(&c, &(struct guard_head){.host = "localhost:8989", .origin = "http://evil.example", .public_page = true},
	       GUARD_ORIGIN, 1);
	expect(&c, &(struct guard_head){.host = "localhost:8989", .sec_fetch_site = "cross-site", .public_page = true},
	       GUARD_FETCH_SITE, 2);
}

static void test_repeated(void **state)
{
	const struct guard_config c = config(false);

	(void)state;
	expect(&c, &(struct guard_head){.host = "localhost:8989", .repeated = true}, GUARD_REPEATED, 0);
	expect(&c, &(struct guard_head){.host = "localhost:8989", .repeated = true, .public_page = true},
	       GUARD_REPEATED, 1);
}

static void test_answers(void **state)
{
	static const int want[] = {[GUARD_OK] = 200,	     [GUARD_HOST] = 403,  [GUARD_ORIGIN] = 403,
				   [GUARD_FETCH_SITE] = 403, [GUARD_TOKEN] = 401, [GUARD_REPEATED] = 400};

	(void)state;
	for (unsigned v = GUARD_OK; v <= GUARD_REPEATED; v++) {
		assert_int_equal(guard_status((enum guard_verdict)v), want[v]);
		assert_true(v == GUARD_OK || strlen(guard_sentence((enum guard_verdict)v)) > 20);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_any_host),
		cmocka_unit_test(test_port_80),
		cmocka_unit_test(test_origin),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_longest_token),
		cmocka_unit_test(test_page_is_guarded),
		cmocka_unit_test(test_repeated),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
