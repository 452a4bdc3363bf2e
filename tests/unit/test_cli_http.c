/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client: answers in whatever pieces, hostile ones, early ones, and what it sends. */
#include "tests/unit/test_cli.h"

#include "controld/cli/http_client.h"

enum { MAX_BODY = 1000 };

struct row {
	const char *in;
	int status; /* 0: refused */
	const char *body; /* or what the error says */
};

/* One table for all that is whole when the connection ends. */
static const struct row rows[] = {
	{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
	{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello more", 200, "hello"},
	{"HTTP/1.1 200\r\ncontent-length:  0 \r\n\r\n", 200, ""},
	{"HTTP/1.0 404 Not Found\r\n\r\nold", 404, "old"},
	{"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", 200, "hi"},
	{"HTTP/1.1 200 OK\r\n\r\nto the end", 200, "to the end"},
	{"HTTP/1.1 200 OK\r\n\r\n", 200, ""},
	{"HTTP/1.1 204 No Content\r\n\r\nignored", 204, ""},
	{"HTTP/1.1 304 X\r\nContent-Length: 7\r\n\r\n", 304, ""},
	{"HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 102 X\r\n\r\nHTTP/1.1 201 X\r\nContent-Length: 1\r\n\r\na", 201,
	 "a"},
	{"HTTP/1.1 200 X\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", 200, "a"},
	{"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0A;x=y\r\n0123456789\r\n0\r\n\r\n", 200,
	 "abc0123456789"},
	{"HTTP/1.1 200 X\r\ntransfer-encoding: CHUNKED\r\n\r\n2 \r\nab\r\n000\r\nTrailer: x\r\n\r\n", 200, "ab"},
	{"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, ""},
	{"", 0, "without an answer"},
	{"\r\n", 0, "does not speak"},
	{"HTTP/2 200 OK\r\n\r\n", 0, "does not speak"},
	{"HTTP/1.12 200 OK\r\n\r\n", 0, "does not speak"},
	{"HTTP/1.1\r\n\r\n", 0, "does not speak"},
	{"HTTP/1.1 20 OK\r\n\r\n", 0, "three digits"},
	{"HTTP/1.1 2000 OK\r\n\r\n", 0, "three digits"},
	{"HTTP/1.1 099 OK\r\n\r\n", 0, "no sense"},
	{"HTTP/1.1 600 OK\r\n\r\n", 0, "no sense"},
	{"HTTP/1.1 101 X\r\n\r\n", 0, "no sense"},
	{"HTTP/1.1 200 X\r\nContent-Length: 5\r\n\r\nhell", 0, "breaks off"},
	{"HTTP/1.1 200 X\r\nContent-Length: 5\r\n", 0, "breaks off"},
	{"HTTP/1.1 200 X\r\nContent-Length: -5\r\n\r\n", 0, "not a number"},
	{"HTTP/1.1 200 X\r\nContent-Length: 5, 5\r\n\r\nhello", 0, "not a number"},
	{"HTTP/1.1 200 X\r\nContent-Length:\r\n\r\n", 0, "not a number"},
	{"HTTP/1.1 200 X\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 0, "twice"},
	{"HTTP/1.1 200 X\r\nContent-Length: 1001\r\n\r\n", 0, "too long"},
	{"HTTP/1.1 200 X\r\nContent-Length: 99999999999999999999999999\r\n\r\n", 0, "too long"},
	{"HTTP/1.1 200 X\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 0, "Transfer-Encoding"},
	{"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 0, "Transfer-Encoding"},
	{"HTTP/1.0 200 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, "Transfer-Encoding"},
	{"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 0, "both"},
	{"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n", 0, "breaks off"},
	{"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", 0, "breaks off"},
	{"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 0, "size of a chunk"},
	{"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 0, "size of a chunk"},
	{"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\n", 0, "size of a chunk"},
	{"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n", 0, "too long"},
	{"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", 0, "too long"},
	{"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", 0, "longer than it says"},
	{"HTTP/1.1 200 X\r\nNo colon\r\n\r\n", 0, "header line"},
	{"HTTP/1.1 200 X\r\nName : x\r\n\r\n", 0, "header line"},
	{"HTTP/1.1 200 X\r\n: x\r\n\r\n", 0, "header line"},
	{"HTTP/1.1 200 X\r\nA: b\r\n folded\r\n\r\n", 0, "header line"},
	{"HTTP/1.1 200 X\r\nA: b\x01\r\n\r\n", 0, "control character"},
	{"HTTP/1.1 200 X\r\nA: b\rc\r\n\r\n", 0, "control character"},
};

/* In pieces of so many bytes. */
static enum cli_answer_verdict feed(struct cli_answer *a, const char *in, size_t len, size_t piece)
{
	enum cli_answer_verdict v = CLI_ANSWER_MORE;

	cli_answer_init(a, MAX_BODY);
	for (size_t at = 0; at < len; at += piece)
		v = cli_answer_feed(a, in + at, at + piece < len ? piece : len - at);
	return v == CLI_ANSWER_MORE ? cli_answer_end(a) : v;
}

static void test_answers(void **state)
{
	static struct cli_answer a;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t piece = 1; piece <= 64; piece += piece < 4 ? 1 : 15) {
			const enum cli_answer_verdict v = feed(&a, rows[i].in, strlen(rows[i].in), piece);

			if ((v == CLI_ANSWER_DONE) != (rows[i].status != 0))
				fail_msg("row %zu: %s", i, a.error ? a.error : "accepted");
			if (rows[i].status) {
				assert_int_equal(a.status, rows[i].status);
				assert_string_equal(a.body, rows[i].body);
				assert_int_equal(a.len, strlen(rows[i].body));
			} else if (!strstr(a.error, rows[i].body)) {
				fail_msg("row %zu: %s", i, a.error);
			}
			cli_answer_fini(&a);
		}
	}
}

/* Cut anywhere: an answer of stated length is whole or nothing. */
static void test_truncations(void **state)
{
	static struct cli_answer a;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t len = 0; len < strlen(rows[i].in); len++) {
			const enum cli_answer_verdict v = feed(&a, rows[i].in, len, 7);

			if (v == CLI_ANSWER_DONE && rows[i].status)
				assert_memory_equal(a.body, rows[i].body, a.len);
			if (v == CLI_ANSWER_DONE && strstr(rows[i].in, "chunked"))
				assert_string_equal(a.body, rows[i].body);
			cli_answer_fini(&a);
		}
	}
}

/* count times text after start; what the error says. */
static void refuse_endless(const char *start, const char *text, size_t count, const char *error)
{
	static struct cli_answer a;
	enum cli_answer_verdict v;

	cli_answer_init(&a, MAX_BODY);
	v = cli_answer_feed(&a, start, strlen(start));
	for (size_t i = 0; i < count && v == CLI_ANSWER_MORE; i++)
		v = cli_answer_feed(&a, text, strlen(text));
	assert_int_equal(v, CLI_ANSWER_BAD);
	if (!strstr(a.error, error))
		fail_msg("%s", a.error);
	cli_answer_fini(&a);
}

static void test_endless(void **state)
{
	(void)state;
	refuse_endless("", "HTTP/1.1 100 Continue\r\n\r\n", 100000, "head is too long");
	refuse_endless("HTTP/1.1 200 X\r\n", "A: b\r\n", 100000, "head is too long");
	refuse_endless("HTTP/1.1 200 X\r\nA: ", "bbbbbbbb", 100000, "line that is too long");
	refuse_endless("HTTP/1.1 ", "200 ", 100000, "line that is too long");
	refuse_endless("HTTP/1.1 200 X\r\n\r\n", "body", 100000, "body is too long");
	refuse_endless("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", 100000,
		       "body is too long");
	refuse_endless("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n1;", "aaaa", 100000,
		       "line that is too long");
	refuse_endless("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n", 100000,
		       "head is too long");
}

static void test_a_zero_byte(void **state)
{
	static const char in_head[] = "HTTP/1.1 200 X\r\nA: \0\r\n\r\n", in_body[] = "HTTP/1.1 200 X\r\n\r\na\0b";
	static struct cli_answer a;

	(void)state;
	assert_int_equal(feed(&a, in_head, sizeof(in_head) - 1, 100), CLI_ANSWER_BAD);
	cli_answer_fini(&a);
	assert_int_equal(feed(&a, in_body, sizeof(in_body) - 1, 100), CLI_ANSWER_DONE);
	assert_int_equal(a.len, 3);
	assert_memory_equal(a.body, "a\0b", 4);
	cli_answer_fini(&a);
}

/* A refusal that comes before the request is there is heard. */
static void test_early_answer(void **state)
{
	enum { BODY_BYTES = 32 * 1024 * 1024 };
	static struct cli_answer a;
	const struct answer answers[] = {{"HTTP/1.1 413 X\r\nContent-Length: 8\r\n\r\ntoo much", 0, true}, {0}};
	struct http_client_request r = {.method = "POST", .target = "/x", .body_len = BODY_BYTES};
	char error[HTTP_CLIENT_ERROR_BYTES] = "", *body = malloc(BODY_BYTES);
	struct server s;

	(void)state;
	memset(body, 'x', BODY_BYTES);
	r.body = body;
	server_start(&s, "127.0.0.1:0", answers);
	r.to = &s.at;
	assert_int_equal(http_client_fetch(&r, &a, error), 0);
	server_stop(&s);
	assert_int_equal(a.status, 413);
	assert_string_equal(a.body, "too much");
	cli_answer_fini(&a);
	free(s.requests[0]);
	free(body);
}

static void test_large_both_ways(void **state)
{
	enum { BODY_BYTES = 5 * 1024 * 1024 };
	static const char head[] = "HTTP/1.1 200 X\r\n\r\n";
	static struct cli_answer a;
	char *bytes = malloc(BODY_BYTES + sizeof(head)), error[HTTP_CLIENT_ERROR_BYTES];
	const struct answer answers[] = {{bytes, BODY_BYTES + sizeof(head) - 1, false}, {0}};
	struct http_client_request r = {.method = "POST", .target = "/x", .body_len = BODY_BYTES};
	struct server s;

	(void)state;
	memcpy(bytes, head, sizeof(head));
	randombytes_buf(bytes + sizeof(head) - 1, BODY_BYTES);
	r.body = bytes + sizeof(head) - 1;
	server_start(&s, "[::1]:0", answers);
	r.to = &s.at;
	assert_int_equal(http_client_fetch(&r, &a, error), 0);
	server_stop(&s);
	assert_int_equal(a.len, BODY_BYTES);
	assert_memory_equal(a.body, r.body, BODY_BYTES);
	assert_memory_equal(s.requests[0] + s.request_lens[0] - BODY_BYTES, r.body, BODY_BYTES);
	assert_non_null(strstr(s.requests[0], "\r\nHost: [::1]:"));
	cli_answer_fini(&a);
	free(s.requests[0]);
	free(bytes);
}

static void test_too_long_request(void **state)
{
	static char target[20000];
	static struct cli_answer a;
	char error[HTTP_CLIENT_ERROR_BYTES];
	struct endpoint e;
	const struct http_client_request r = {.method = "GET", .target = target, .to = &e};

	(void)state;
	memset(target, 'a', sizeof(target) - 1);
	assert_int_equal(endpoint_parse("127.0.0.1:1", &e), 0);
	assert_int_equal(http_client_fetch(&r, &a, error), -EMSGSIZE);
	assert_string_equal(error, "the request is too long");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),		 cmocka_unit_test(test_truncations),
		cmocka_unit_test(test_endless),		 cmocka_unit_test(test_a_zero_byte),
		cmocka_unit_test(test_early_answer),	 cmocka_unit_test(test_large_both_ways),
		cmocka_unit_test(test_too_long_request),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
