/* SPDX-License-Identifier: Apache-2.0 */
/* The readers of an HTTP request, without a socket: heads, bodies, routes, queries. */
#include "controld/api/http_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LINE "GET / HTTP/1.1\r\n"
#define HOST "Host: h\r\n"

static int read_head(struct http_head *h, char *bytes, size_t len)
{
	size_t seen = 0;
	bool bad;
	const char *why = "";
	const size_t end = http_head_end(bytes, len, &seen, &bad);

	if (bad)
		return -1;
	assert_int_equal(end, len);
	return http_head_read(h, bytes, len, &why);
}

static const struct {
	const char *head;
	int status; /* -1: a bad line end */
} heads[] = {
	{LINE HOST "\r\n", 0},
	{"GET / HTTP/1.0\r\n\r\n", 0},
	{"GET / HTTP/1.2\r\n\r\n", 0}, /* spoken as 1.1 */
	{"FROB / HTTP/1.1\r\n\r\n", 0}, /* the routes say 405 */
	{"M-SEARCH / HTTP/1.1\r\n\r\n", 0},
	{"GET /a?b=c HTTP/1.1\r\n\r\n", 0},
	{LINE "A:\r\n\r\n", 0},
	{LINE "A: b:c\r\n\r\n", 0},
	{LINE "A: \x80\xff\t!\r\n\r\n", 0},
	{"GET / HTTP/2.0\r\n\r\n", 505},
	{"PRI * HTTP/2.0\r\n\r\n", 400},
	{"GET / HTTP/0.9\r\n\r\n", 505},
	{"GET / HTTP/1.\r\n\r\n", 400},
	{"GET / HTTP/1.1x\r\n\r\n", 400},
	{"GET / HTTP/11\r\n\r\n", 400},
	{"GET / http/1.1\r\n\r\n", 400},
	{"GET / \r\n\r\n", 400},
	{"GET /\r\n\r\n", 400}, /* HTTP/0.9 */
	{"GET\r\n\r\n", 400},
	{" GET / HTTP/1.1\r\n\r\n", 400},
	{"GET  / HTTP/1.1\r\n\r\n", 400},
	{"GET / HTTP/1.1 \r\n\r\n", 400},
	{"GET /a b HTTP/1.1\r\n\r\n", 400},
	{"G@T / HTTP/1.1\r\n\r\n", 400},
	{"GET a HTTP/1.1\r\n\r\n", 400},
	{"GET * HTTP/1.1\r\n\r\n", 400},
	{"GET http://localhost/ HTTP/1.1\r\n\r\n", 400},
	{"CONNECT localhost:80 HTTP/1.1\r\n\r\n", 400},
	{"GET /a#b HTTP/1.1\r\n\r\n", 400},
	{"GET /\x80 HTTP/1.1\r\n\r\n", 400},
	{"GET /\x7f HTTP/1.1\r\n\r\n", 400},
	{LINE "A\r\n\r\n", 400},
	{LINE ": b\r\n\r\n", 400},
	{LINE "A : b\r\n\r\n", 400},
	{LINE " A: b\r\n\r\n", 400},
	{LINE "A: b\r\n c\r\n\r\n", 400}, /* folded */
	{LINE "A: b\rc\r\n\r\n", 400},
	{LINE "A: b\x01\r\n\r\n", 400},
	{LINE "A(: b\r\n\r\n", 400},
	{LINE "A: b\n\r\n", -1},
	{"GET / HTTP/1.1\n\r\n", -1},
	{"\n", -1},
	{LINE "Content-Length: 5\r\n\r\n", 0},
	{LINE "Content-Length: 000000000000000005\r\n\r\n", 0},
	{LINE "Content-Length: 999999999999999999\r\n\r\n", 0},
	{LINE "Content-Length: 1000000000000000000\r\n\r\n", 400},
	{LINE "Content-Length: 18446744073709551621\r\n\r\n", 400},
	{LINE "Content-Length: \r\n\r\n", 400},
	{LINE "Content-Length: -1\r\n\r\n", 400},
	{LINE "Content-Length: +1\r\n\r\n", 400},
	{LINE "Content-Length: 1x\r\n\r\n", 400},
	{LINE "Content-Length: 0x1\r\n\r\n", 400},
	{LINE "Content-Length: 5, 5\r\n\r\n", 400},
	{LINE "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400},
	{LINE "Content-Length: 5\r\ncontent-length: 6\r\n\r\n", 400},
	{LINE "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{LINE "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400},
	{LINE "Transfer-Encoding: chunked\r\n\r\n", 0},
	{LINE "Transfer-Encoding: CHUNKED\r\n\r\n", 0},
	{LINE "Transfer-Encoding: gzip\r\n\r\n", 501},
	{LINE "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
	{LINE "Transfer-Encoding: xchunked\r\n\r\n", 501},
	{LINE "Transfer-Encoding: \r\n\r\n", 501},
	{LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{LINE "Content-Type: a\r\nContent-Type: a\r\n\r\n", 400},
	{LINE "Expect: 100-Continue\r\n\r\n", 0},
	{LINE "Expect: a miracle\r\n\r\n", 417},
};

static void test_head_status(void **state)
{

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		char *bytes = strdup(heads[i].head);
		struct http_head h;
		const int status = read_head(&h, bytes, strlen(heads[i].head));

		if (status != heads[i].status)
			fail_msg("row %zu: %d instead of %d: %s", i, status, heads[i].status, heads[i].head);
		free(bytes);
	}
}

static void test_head_zero_byte(void **state)
{
	char line[] = "GET /a\0b HTTP/1.1\r\n\r\n", field[] = LINE "A: b\0c\r\n\r\n", name[] = LINE "A\0: b\r\n\r\n";
	struct http_head h;

	(void)state;
	assert_int_equal(read_head(&h, line, sizeof(line) - 1), 400);
	assert_int_equal(read_head(&h, field, sizeof(field) - 1), 400);
	assert_int_equal(read_head(&h, name, sizeof(name) - 1), 400);
}

static void test_head_values(void **state)
{
	char bytes[] = "POST /p%20q?x=1&y HTTP/1.1\r\nhOST:\t localhost:1 \t\r\nOrigin:o\r\nSec-Fetch-Site: none\r\n"
		       "Authorization: Bearer x y\r\nSec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Key: k\r\n"
		       "Sec-WebSocket-Version: 13\r\nContent-Type: t\r\nContent-Length: 7\r\nExpect: 100-continue\r\n"
		       "Upgrade: websocket\r\nConnection: foo, KEEP-alive ,Upgrade\r\nConnection: Close\r\n\r\n";
	struct http_head h;

	(void)state;
	assert_int_equal(read_head(&h, bytes, sizeof(bytes) - 1), 0);
	assert_int_equal(h.method, HTTP_POST);
	assert_string_equal(h.path, "/p%20q");
	assert_string_equal(h.query, "x=1&y");
	assert_string_equal(h.host, "localhost:1");
	assert_string_equal(h.origin, "o");
	assert_string_equal(h.fetch_site, "none");
	assert_string_equal(h.authorization, "Bearer x y");
	assert_string_equal(h.subprotocols, "a, b");
	assert_string_equal(h.key, "k");
	assert_string_equal(h.version, "13");
	assert_string_equal(h.type, "t");
	assert_string_equal(h.upgrade, "websocket");
	assert_int_equal(h.body_bytes, 7);
	assert_true(h.has_body && h.wants_continue && h.close && h.keep_alive && h.wants_upgrade);
	assert_false(h.old || h.chunked || h.guarded_twice || h.framed_twice);
}

static void test_head_repeated(void **state)
{
	static const char *const names[] = {"Host", "Origin", "Sec-Fetch-Site", "Authorization",
					    "Sec-WebSocket-Protocol"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct http_head h;
		char *bytes;
		const int len =
			asprintf(&bytes, LINE "%s: a\r\nOther: x\r\nother: x\r\n%s: a\r\n\r\n", names[i], names[i]);

		assert_int_equal(read_head(&h, bytes, (size_t)len), 0);
		assert_true(h.guarded_twice);
		free(bytes);
	}
}

/* In whatever pieces a head comes, its end is found at the same place, and never looked for twice. */
static void test_head_end_in_pieces(void **state)
{
	static const char bytes[] = LINE HOST "A: b\r\n\r\nrest\r\n\r\n";
	const size_t end = strlen(LINE HOST "A: b\r\n\r\n");
	size_t seen = 0;
	bool bad;

	(void)state;
	for (size_t len = 0; len < end; len++) {
		assert_int_equal(http_head_end(bytes, len, &seen, &bad), 0);
		assert_true(!bad && seen <= len);
	}
	assert_int_equal(http_head_end(bytes, end, &seen, &bad), end);
	seen = 0;
	assert_int_equal(http_head_end(bytes, sizeof(bytes) - 1, &seen, &bad), end);
}

struct fed {
	enum http_body_state state;
	size_t used, len;
	char bytes[64];
};

static struct fed feed(const struct http_head *h, const char *bytes, size_t len, size_t piece)
{
	size_t in_use = 0;
	struct http_body b = {.max = 20, .in_use = &in_use, .in_use_max = 8192};
	struct fed f = {0};

	http_body_init(&b, h);
	while (f.used < len && b.state == HTTP_BODY_MORE) {
		const size_t n = len - f.used < piece ? len - f.used : piece;
		const size_t used = http_body_feed(&b, bytes + f.used, n);

		f.used += used;
		assert_true(used == n || b.state != HTTP_BODY_MORE);
	}
	f.state = b.state;
	f.len = b.len;
	if (b.len)
		memcpy(f.bytes, b.bytes, b.len);
	assert_true(in_use <= 8192);
	http_body_fini(&b);
	assert_int_equal(in_use, 0);
	return f;
}

static void test_chunks(void **state)
{
	static const struct {
		const char *in, *out;
		enum http_body_state state;
		unsigned rest; /* bytes behind it */
	} rows[] = {
		{"0\r\n\r\n", "", HTTP_BODY_WHOLE, 0},
		{"3\r\nabc\r\n0\r\n\r\n", "abc", HTTP_BODY_WHOLE, 0},
		{"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET", "abcde", HTTP_BODY_WHOLE, 3},
		{"00003\r\nabc\r\n000\r\n\r\n", "abc", HTTP_BODY_WHOLE, 0},
		{"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", HTTP_BODY_WHOLE, 0},
		{"3;x=y\r\nabc\r\n0;\"\r\n\r\n", "abc", HTTP_BODY_WHOLE, 0},
		{"3 \r\nabc\r\n0\r\n\r\n", "abc", HTTP_BODY_WHOLE, 0},
		{"0\r\nA: b\r\nC: d\r\n\r\nX", "", HTTP_BODY_WHOLE, 1},
		{"15\r\n", "", HTTP_BODY_LONG, 0},
		{"14\r\n01234567890123456789\r\n1\r\n", "01234567890123456789", HTTP_BODY_LONG, 0},
		{"7fffffffffffffe\r\n", "", HTTP_BODY_LONG, 0},
		{"7ffffffffffffffe\r\n", "", HTTP_BODY_BAD, 2},
		{"0000000000000003\r\n", "", HTTP_BODY_BAD, 2},
		{"\r\n", "", HTTP_BODY_BAD, 1},
		{";\r\n", "", HTTP_BODY_BAD, 2},
		{"-1\r\n", "", HTTP_BODY_BAD, 3},
		{"0x3\r\n", "", HTTP_BODY_BAD, 3},
		{"3\nabc", "", HTTP_BODY_BAD, 3},
		{"3\rabc", "", HTTP_BODY_BAD, 2},
		{"3;x\nabc", "", HTTP_BODY_BAD, 3},
		{"3\r\nabcd", "abc", HTTP_BODY_BAD, 0},
		{"3\r\nabc\n", "abc", HTTP_BODY_BAD, 0},
		{"3\r\nabc\rX", "abc", HTTP_BODY_BAD, 0},
		{"0\r\nA: b\n", "", HTTP_BODY_BAD, 0},
		{"0\r\n\rX", "", HTTP_BODY_BAD, 0},
		{"0\r\n\n", "", HTTP_BODY_BAD, 0},
		{"3\r\nab", "ab", HTTP_BODY_MORE, 0},
		{"", "", HTTP_BODY_MORE, 0},
	};
	const struct http_head h = {.has_body = true, .chunked = true};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const size_t len = strlen(rows[i].in);

		for (size_t piece = 1; piece <= len + 1; piece++) {
			const struct fed f = feed(&h, rows[i].in, len, piece);

			if (f.state != rows[i].state || strcmp(f.bytes, rows[i].out) != 0 ||
			    f.used != len - rows[i].rest)
				fail_msg("row %zu in pieces of %zu: state %d used %zu %s", i, piece, f.state, f.used,
					 f.bytes);
		}
	}
}

/* Lines between chunks that do not end. */
static void test_chunk_lines_have_an_end(void **state)
{
	static const char *const starts[] = {"3;", "0\r\nA: "};
	static const size_t limits[] = {HTTP_CHUNK_LINE_BYTES + 1, HTTP_TRAILER_BYTES + 3 + 1};
	const struct http_head h = {.has_body = true, .chunked = true};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		char bytes[2 * HTTP_TRAILER_BYTES];
		struct fed f;

		memset(bytes, 'x', sizeof(bytes));
		memcpy(bytes, starts[i], strlen(starts[i]));
		f = feed(&h, bytes, sizeof(bytes), 100);
		assert_int_equal(f.state, HTTP_BODY_BAD);
		assert_int_equal(f.used, limits[i]);
	}
}

static void test_plain_body(void **state)
{
	const struct http_head h = {.has_body = true, .body_bytes = 20}, none = {0},
			       over = {.has_body = true, .body_bytes = 21};
	static const char text[] = "01234567890123456789GET";

	(void)state;
	for (size_t piece = 1; piece <= sizeof(text); piece++) {
		const struct fed f = feed(&h, text, sizeof(text) - 1, piece);

		assert_int_equal(f.state, HTTP_BODY_WHOLE);
		assert_int_equal(f.used, 20);
		assert_memory_equal(f.bytes, text, 20);
	}
	assert_int_equal(feed(&h, text, 19, 7).state, HTTP_BODY_MORE);
	assert_int_equal(feed(&none, text, 3, 3).state, HTTP_BODY_WHOLE);
	assert_int_equal(feed(&none, text, 3, 3).used, 0);
	assert_int_equal(feed(&over, text, 3, 3).state, HTTP_BODY_LONG);
}

static void test_bodies_together_have_a_limit(void **state)
{
	const struct http_head h = {.has_body = true, .body_bytes = 9000};
	static char text[9000];
	size_t in_use = 0;
	struct http_body a = {.max = 10000, .in_use = &in_use, .in_use_max = 17999}, b = a;

	(void)state;
	http_body_init(&a, &h);
	http_body_init(&b, &h);
	assert_int_equal(http_body_feed(&a, text, sizeof(text)), sizeof(text));
	assert_int_equal(a.state, HTTP_BODY_WHOLE);
	http_body_feed(&b, text, sizeof(text));
	assert_int_equal(b.state, HTTP_BODY_FULL);
	http_body_fini(&a);
	http_body_fini(&b);
	assert_int_equal(in_use, 0);
}

static const struct {
	unsigned method;
	const char *path;
	int status;
	const char *text; /* of the parameter, or Allow */
} paths[] = {
	{HTTP_GET, "/livez", 0, NULL},
	{HTTP_HEAD, "/livez", 0, NULL},
	{HTTP_GET, "/live%7A", 0, NULL},
	{HTTP_GET, "/", 0, NULL},
	{HTTP_GET, "/api/v1/messages", 0, NULL},
	{HTTP_POST, "/api/v1/messages", 0, NULL},
	{HTTP_POST, "/api/v1/messages/reply/0011", 0, "0011"},
	{HTTP_POST, "/api/v1/messsages/reply/0011", 0, "0011"},
	{HTTP_GET, "/api/v1/messages/status/a%2Fb", 0, "a/b"},
	{HTTP_DELETE, "/api/v1/admin/peers/tcp%3A%2F%2F%5B%3A%3A1%5D:1", 0, "tcp://[::1]:1"},
	{HTTP_DELETE, "/api/v1/admin/peers/a+b", 0, "a+b"},
	{HTTP_GET, "/api/v1/messages/status/%C3%A4", 0, "\xc3\xa4"},
	{HTTP_GET, "/livez/", 404, NULL},
	{HTTP_GET, "//livez", 404, NULL},
	{HTTP_GET, "/./livez", 404, NULL},
	{HTTP_GET, "/x/../livez", 404, NULL},
	{HTTP_GET, "/LIVEZ", 404, NULL},
	{HTTP_GET, "/livezz", 404, NULL},
	{HTTP_GET, "/live", 404, NULL},
	{HTTP_GET, "/api%2Fv1/messages", 404, NULL},
	{HTTP_GET, "/api/v1/messages/status/", 404, NULL},
	{HTTP_GET, "/api/v1/messages/status", 404, NULL},
	{HTTP_GET, "/api/v1/messages/status/a/b", 404, NULL},
	{HTTP_GET, "/a/b/c/d/e/f/g/h/i", 404, NULL},
	{HTTP_OTHER, "/nothing", 404, NULL},
	{HTTP_POST, "/livez", 405, "GET,HEAD"},
	{HTTP_DELETE, "/api/v1/messages", 405, "GET,HEAD,POST"},
	{HTTP_OTHER, "/api/v1/messages", 405, "GET,HEAD,POST"},
	{HTTP_HEAD, "/api/v1/messages/reply/1", 405, "POST"},
	{HTTP_GET, "/api/v1/admin/peers/x", 405, "DELETE"},
	{HTTP_GET, "/live%7", 400, NULL},
	{HTTP_GET, "/live%7g", 400, NULL},
	{HTTP_GET, "/%", 400, NULL},
	{HTTP_GET, "/livez%00", 400, NULL},
	{HTTP_GET, "/api/v1/messages/status/%00", 400, NULL},
	{HTTP_GET, "/api/v1/messages/status/%ff", 400, NULL},
	{HTTP_GET, "/api/v1/messages/status/%C3", 400, NULL},
	{HTTP_GET, "/api/v1/messages/status/%ED%A0%80", 400, NULL},
	{HTTP_GET, "/api/v1/messages/status/%C0%80", 400, NULL},
	{HTTP_GET, "/api/v1/messages/status/%F4%90%80%80", 400, NULL},
};

static void test_routes(void **state)
{

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		char *path = strdup(paths[i].path);
		struct http_target t = {0};
		const int status = http_route_find(&t, paths[i].method, path);

		if (status != paths[i].status)
			fail_msg("row %zu: %s: %d instead of %d", i, paths[i].path, status, paths[i].status);
		assert_true((status == 0) == (t.route != NULL));
		if (paths[i].text)
			assert_string_equal(status == 405 ? t.allow : t.params[0], paths[i].text);
		free(path);
	}
}

static void test_queries(void **state)
{
	static const struct {
		const char *query;
		bool good;
		const char *topic; /* of a good one */
	} rows[] = {
		{"", true, NULL},
		{"topic=abc", true, "abc"},
		{"topic=", true, ""},
		{"topic", true, ""},
		{"topic=a=b", true, "a=b"},
		{"topic=a+b", true, "a b"},
		{"topic=a%2Bb", true, "a+b"},
		{"topic=a%26b&peek=true", true, "a&b"},
		{"&&topic=a&", true, "a"},
		{"top%69c=a", true, "a"},
		{"Topic=a", true, NULL},
		{"other=1&other=2&topic=a", true, "a"},
		{"=x&topic=a", true, "a"},
		{"topic=%C3%A4", true, "\xc3\xa4"},
		{"topic=a;peek=b", true, "a;peek=b"},
		{"topic=a&topic=b", false, NULL},
		{"topic=a&topic", false, NULL},
		{"topic=a&%74opic=a", false, NULL},
		{"topic=%", false, NULL},
		{"topic=%4", false, NULL},
		{"topic=%4x", false, NULL},
		{"topic=%00", false, NULL},
		{"topic=%FF", false, NULL},
		{"%zz=1", false, NULL},
		{"other=%zz", false, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *query = strdup(rows[i].query), why[80] = "";
		struct http_request r = {0};
		const bool good = http_query_read(&r.target, query, why, sizeof(why));
		const char *topic = http_query(&r, "topic");

		if (good != rows[i].good ||
		    (good && (topic ? !rows[i].topic || strcmp(topic, rows[i].topic) != 0 : rows[i].topic != NULL)))
			fail_msg("row %zu: %s: %d %s", i, rows[i].query, good, topic ? topic : "-");
		assert_true(good == (why[0] == '\0'));
		free(query);
	}
}

static void test_json_types(void **state)
{
	static const struct {
		const char *type;
		bool good;
	} rows[] = {
		{"application/json", true},
		{"Application/JSON", true},
		{"application/json; charset=utf-8", true},
		{"application/json;charset=utf-8", true},
		{"application/json ;x", true},
		{"application/cloudevents+json", true},
		{"application/a+b+JSON; x=y", true},
		{NULL, false},
		{"", false},
		{"application/", false},
		{"application/+json", false},
		{"application/jsonx", false},
		{"application/json x", false},
		{"application/json, text/plain", false},
		{"application/xjson", false},
		{"text/json", false},
		{"text/plain", false},
		{" application/json", false},
		{"application/x-www-form-urlencoded", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (http_is_json(rows[i].type) != rows[i].good)
			fail_msg("row %zu: %s", i, rows[i].type ? rows[i].type : "-");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_head_status),
		cmocka_unit_test(test_head_zero_byte),
		cmocka_unit_test(test_head_values),
		cmocka_unit_test(test_head_repeated),
		cmocka_unit_test(test_head_end_in_pieces),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_chunk_lines_have_an_end),
		cmocka_unit_test(test_plain_body),
		cmocka_unit_test(test_bodies_together_have_a_limit),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_queries),
		cmocka_unit_test(test_json_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
