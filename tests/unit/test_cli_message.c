/* SPDX-License-Identifier: Apache-2.0 */
/* message send, receive, status: every row of wire-200 8.3 to 8.5, to the byte of the request, of what is printed, and
 * the exit code. */
#include "tests/unit/test_cli.h"

#include <sys/stat.h>

#define HOST "Host: 127.0.0.1:PORT\r\nConnection: close\r\n"
#define POST(target, body) \
	"POST " target " HTTP/1.1\r\n" HOST "Content-Type: application/json\r\nContent-Length: LENGTH\r\n\r\n" body
#define GET_HEAD(target) "GET " target " HTTP/1.1\r\n" HOST "\r\n"
#define JSON_HEAD(status) "HTTP/1.1 " status " X\r\nContent-Type: application/json\r\n\r\n"
#define NO_CONTENT "HTTP/1.1 204 No Content\r\n\r\n"
#define ID "{\"id\":\"0123456789abcdef\"}"
#define KEY_A "0c4e3d2b1a0f9e8d7c6b5a4938271605f4e3d2c1b0a99887766554433221100f"
#define KEY_B "1c4e3d2b1a0f9e8d7c6b5a4938271605f4e3d2c1b0a99887766554433221100f"
#define ENVELOPE "\"srcIp\":\"400::1\",\"srcPk\":\"" KEY_A "\",\"dstIp\":\"200::2\",\"dstPk\":\"" KEY_B "\""
#define MESSAGE(rest) "{\"id\":\"0123456789abcdef\"," ENVELOPE rest "}"

/* One command, one answer, one request, what it prints. */
struct row {
	const char *const *words;
	const char *answer; /* NULL: nothing may be asked */
	const char *request; /* NULL: any */
	const char *out;
	int exit_code;
	const char *err; /* in the line on err; NULL: none */
};

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct row *w = &rows[i];
		struct result *r = run(w->answer, w->words);

		if (r->exit_code != w->exit_code)
			fail_msg("row %zu: exit code %d: %s", i, r->exit_code, r->err);
		assert_string_equal(r->out, w->out);
		if (w->err)
			assert_one_line(r, w->exit_code == CLI_EXIT_USAGE ? "mycelium: " : "Error: ", w->err);
		else
			assert_string_equal(r->err, "");
		assert_int_equal(r->server.request_count, w->answer != NULL);
		if (w->request)
			assert_request(r, 0, w->request);
		result_free(r);
	}
}
#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof((rows)[0]))

static void test_send(void **state)
{
	const struct row rows[] = {
		{WORDS("message", "send", "200::1", "hello"), JSON_HEAD("201") ID,
		 POST("/api/v1/messages", "{\"dst\":{\"ip\":\"200::1\"},\"payload\":\"aGVsbG8=\"}"), ID "\n", 0, NULL},
		{WORDS("message", "send", "0200:0:0::0001", ""), JSON_HEAD("201") ID,
		 POST("/api/v1/messages", "{\"dst\":{\"ip\":\"200::1\"},\"payload\":\"\"}"), ID "\n", 0, NULL},
		{WORDS("message", "send", "--topic", "a>?~", KEY_A, "-"), JSON_HEAD("201") ID,
		 POST("/api/v1/messages",
		      "{\"dst\":{\"pk\":\"" KEY_A "\"},\"topic\":\"YT4/fg==\",\"payload\":\"LQ==\"}"),
		 ID "\n", 0, NULL},
		{WORDS("message", "send", "-t", "", "200::1", "--", "-x"), JSON_HEAD("201") ID,
		 POST("/api/v1/messages", "{\"dst\":{\"ip\":\"200::1\"},\"topic\":\"\",\"payload\":\"LXg=\"}"), ID "\n",
		 0, NULL},
		{WORDS("message", "send", "--timeout", "5", "--deadline=60", "200::1", "x"), JSON_HEAD("201") ID,
		 POST("/api/v1/messages", "{\"dst\":{\"ip\":\"200::1\"},\"payload\":\"eA==\",\"deadline\":60}"),
		 ID "\n", 0, NULL},
		{WORDS("message", "send", "-w", "200::1", "x"), JSON_HEAD("200") MESSAGE(",\"payload\":\"aGk=\""),
		 POST("/api/v1/messages?reply_timeout=31536000", "{\"dst\":{\"ip\":\"200::1\"},\"payload\":\"eA==\"}"),
		 MESSAGE(",\"payload\":\"hi\"") "\n", 0, NULL},
		{WORDS("message", "send", "200::1", "x", "--wait", "--timeout=7"), JSON_HEAD("408") ID,
		 POST("/api/v1/messages?reply_timeout=7", "{\"dst\":{\"ip\":\"200::1\"},\"payload\":\"eA==\"}"),
		 ID "\n", 0, NULL},
		{WORDS("message", "send", "--reply-to", "0123456789ABCDEF", "200::1", "x"), NO_CONTENT,
		 POST("/api/v1/messages/reply/0123456789ABCDEF", "{\"dst\":{\"ip\":\"200::1\"},\"payload\":\"eA==\"}"),
		 "", 0, NULL},
		{WORDS("message", "send", "--reply-to", "a/b\r\nX: y", "200::1", "x"), NO_CONTENT,
		 POST("/api/v1/messages/reply/a%2Fb%0D%0AX%3A%20y",
		      "{\"dst\":{\"ip\":\"200::1\"},\"payload\":\"eA==\"}"),
		 "", 0, NULL},
		/* The body counts, not the status. */
		{WORDS("message", "send", "200::1", "x"),
		 JSON_HEAD("500") " {\"more\":[1], \"id\":\"ABCDEF0123456789\"} ", NULL,
		 "{\"id\":\"abcdef0123456789\"}\n", 0, NULL},
	};

	(void)state;
	CHECK_ROWS(rows);
}

static void test_send_refused_by_the_node(void **state)
{
	static const char *const words[] = {"message", "send", "200::1", "x", NULL};
	const struct row rows[] = {
		{words, "HTTP/1.1 400 Bad Request\r\n\r\n", NULL, "", 1, "(400)"},
		{words, "HTTP/1.1 415 X\r\n\r\nwhy\n\x1b[31m\xff\xc2\x9b!", NULL, "", 1, "(415): why ?[31m?\?!"},
		{words, "HTTP/1.1 413 X\r\n\r\n", NULL, "", 1, "--api-max-body"},
		{words, "HTTP/1.1 401 X\r\n\r\n", NULL, "", 1, "--api-token-file"},
		{words, "HTTP/1.1 403 X\r\n\r\nthis Host is not ours", NULL, "", 1, "this Host is not ours"},
		{words, JSON_HEAD("201") "{}", NULL, "", 1, "of no use (201): {}"},
		{words, JSON_HEAD("201") "{\"id\":\"0123\"}", NULL, "", 1, "of no use"},
		{words, JSON_HEAD("201") "{\"id\":5}", NULL, "", 1, "of no use"},
		{words, JSON_HEAD("201") ID "x", NULL, "", 1, "of no use"},
		{words, JSON_HEAD("201"), NULL, "", 1, "of no use"},
		{words, JSON_HEAD("200") MESSAGE(",\"payload\":\"a\""), NULL, "", 1, "of no use"},
		{words, JSON_HEAD("200") MESSAGE(",\"payload\":7"), NULL, "", 1, "of no use"},
		{words, JSON_HEAD("200") MESSAGE(",\"payload\":\"\",\"topic\":\"a\""), NULL, "", 1, "of no use"},
		{words, JSON_HEAD("200") "{\"id\":\"0123456789abcdef\",\"payload\":\"\"}", NULL, "", 1, "of no use"},
		{words, "", NULL, "", 1, "closed without an answer"},
		{words, "HTTP/1.1 201 X\r\nContent-Le", NULL, "", 1, "breaks off"},
		{words, "SSH-2.0-x\r\n", NULL, "", 1, "does not speak HTTP"},
	};

	(void)state;
	CHECK_ROWS(rows);
}

static void test_send_refused_here(void **state)
{
	static char long_topic[257];
	const struct row rows[] = {
		{WORDS("message", "send", "--reply-to", "0", "-w", "200::1", "x"), NULL, NULL, "", 1, "--wait"},
		{WORDS("message", "send", "200::1"), NULL, NULL, "", 1, "nothing to send"},
		{WORDS("message", "send", "2001:db8::1", "x"), NULL, NULL, "", 1, "DESTINATION"},
		{WORDS("message", "send", "10.0.0.1", "x"), NULL, NULL, "", 1, "DESTINATION"},
		{WORDS("message", "send", "g" KEY_A, "x"), NULL, NULL, "", 1, "DESTINATION"},
		{WORDS("message", "send", KEY_A "0", "x"), NULL, NULL, "", 1, "DESTINATION"},
		{WORDS("message", "send", "gc4e3d2b1a0f9e8d7c6b5a4938271605f4e3d2c1b0a99887766554433221100f", "x"),
		 NULL, NULL, "", 1, "not a public key"},
		{WORDS("message", "send", "-t", long_topic, "200::1", "x"), NULL, NULL, "", 1, "255"},
		{WORDS("message", "send", "--msg-path", "/nonexistent/x", "200::1"), NULL, NULL, "", 1, "No such file"},
		{WORDS("message", "send", "--msg-path", "/", "200::1"), NULL, NULL, "", 1, "Is a directory"},
		{WORDS("message", "send"), NULL, NULL, "", 2, "DESTINATION"},
		{WORDS("message", "send", "200::1", "x", "y"), NULL, NULL, "", 2, "y: one word too many"},
		{WORDS("message", "send", "--timeout", "x", "200::1", "x"), NULL, NULL, "", 2, "number of seconds"},
		{WORDS("message", "send", "--timeout=", "200::1", "x"), NULL, NULL, "", 2, "number of seconds"},
		{WORDS("message", "send", "--deadline", "1s", "200::1", "x"), NULL, NULL, "", 2, "number of seconds"},
		{WORDS("message", "send", "-t", "a", "--topic=b", "200::1", "x"), NULL, NULL, "", 2, "given twice"},
		{WORDS("message", "send", "-t"), NULL, NULL, "", 2, "needs a value"},
		{WORDS("message", "send", "-t", "-w"), NULL, NULL, "", 2, "needs a value"},
		{WORDS("message", "send", "--wait=yes"), NULL, NULL, "", 2, "takes no value"},
		{WORDS("message", "send", "-x", "200::1"), NULL, NULL, "", 2, "no such option"},
		{WORDS("message", "send", "--api-addr", "200::1"), NULL, NULL, "", 2, "before the command"},
		{WORDS("message", "s\x1b[m"), NULL, NULL, "", 2, "s?[m: none of"},
		{WORDS("message", "status"), NULL, NULL, "", 2, "ID"},
		{WORDS("message", "receive", "x"), NULL, NULL, "", 2, "one word too many"},
		{WORDS("message", "receive", "-t", long_topic), NULL, NULL, "", 1, "255"},
		{WORDS("message", "receive", "--timeout", "-1"), NULL, NULL, "", 2, "needs a value"},
	};

	(void)state;
	memset(long_topic, 'a', sizeof(long_topic) - 1);
	CHECK_ROWS(rows);
}

static void test_receive(void **state)
{
	static const char *const words[] = {"message", "receive", NULL};
	const struct row rows[] = {
		{words, NO_CONTENT, GET_HEAD("/api/v1/messages?timeout=31536000"), "", 0, NULL},
		{WORDS("message", "receive", "--timeout", "0"), NO_CONTENT, GET_HEAD("/api/v1/messages?timeout=0"), "",
		 0, NULL},
		{WORDS("message", "receive", "--timeout=9", "-t", "example.topic"), NO_CONTENT,
		 GET_HEAD("/api/v1/messages?timeout=9&topic=ZXhhbXBsZS50b3BpYw=="), "", 0, NULL},
		{WORDS("message", "receive", "-t~?>", "--timeout", "1"), NO_CONTENT,
		 GET_HEAD("/api/v1/messages?timeout=1&topic=fj8%2B"), "", 0, NULL},
		{WORDS("message", "receive", "-t=", "--timeout", "1"), NO_CONTENT,
		 GET_HEAD("/api/v1/messages?timeout=1&topic="), "", 0, NULL},
		{words, JSON_HEAD("200") MESSAGE(",\"payload\":\"aGVsbG8=\""), NULL,
		 MESSAGE(",\"payload\":\"hello\"") "\n", 0, NULL},
		{words, JSON_HEAD("200") MESSAGE(",\"topic\":\"dG9w\",\"payload\":\"\""), NULL,
		 MESSAGE(",\"topic\":\"top\",\"payload\":\"\"") "\n", 0, NULL},
		/* Members in any order come out in ours. */
		{words,
		 JSON_HEAD("200") "{\"payload\":\"/w==\",\"topic\":\"wIA=\"," ENVELOPE ",\"id\":\"0123456789abcdef\"}",
		 NULL, MESSAGE(",\"topic\":\"wIA=\",\"payload\":\"/w==\"") "\n", 0, NULL},
		/* What JSON escapes, and nothing else: a quote, a backslash, controls; not DEL, not a letter. */
		{words, JSON_HEAD("200") MESSAGE(",\"payload\":\"IlwvCAwKDQkAGx9/w6nwn5iA\""), NULL,
		 MESSAGE(",\"payload\":\"\\\"\\\\/"
			 "\\b\\f\\n\\r\\t\\u0000\\u001b\\u001f\x7f\xc3\xa9\xf0\x9f\x98\x80\"") "\n",
		 0, NULL},
		{WORDS("message", "receive", "--raw"), JSON_HEAD("200") MESSAGE(",\"payload\":\"G1szMW0=\""), NULL,
		 "\x1b[31m\n", 0, NULL},
		{words, JSON_HEAD("200") ID, NULL, "", 1, "of no use"},
		{words, "HTTP/1.1 400 X\r\n\r\nFailed to deserialize query string: x", NULL, "", 1, "query string: x"},
	};

	(void)state;
	CHECK_ROWS(rows);
}

static void test_receive_on_a_terminal(void **state)
{
	static const struct cli_config terminal = {.terminal = true};
	struct result *r =
		run_with(&terminal, ANSWERS({JSON_HEAD("200") MESSAGE(",\"payload\":\"f8Kb4oCu\""), 0, false}),
			 WORDS("message", "receive"));

	(void)state;
	assert_string_equal(r->out, MESSAGE(",\"payload\":\"\\u007f\\u009b\\u202e\"") "\n");
	result_free(r);
}

static char path[] = "/tmp/test_cli.XXXXXX";

static void assert_file(const char *text)
{
	char got[256] = "";
	FILE *f = fopen(path, "re");

	assert_non_null(f);
	(void)!fread(got, 1, sizeof(got) - 1, f);
	fclose(f);
	assert_string_equal(got, text);
}

static void test_files(void **state)
{
	const struct row save[] = {
		{WORDS("message", "receive", "--msg-path", path), JSON_HEAD("200") MESSAGE(",\"payload\":\"aGVsbG8=\""),
		 NULL, MESSAGE("") "\n", 0, NULL},
	};
	const struct row quiet[] = {
		{WORDS("message", "receive", "--raw", "--msg-path", path),
		 JSON_HEAD("200") MESSAGE(",\"payload\":\"aGk=\""), NULL, "", 0, NULL},
	};
	const struct row send[] = {
		{WORDS("message", "send", "--msg-path", path, "200::1", "not this"), JSON_HEAD("201") ID,
		 POST("/api/v1/messages", "{\"dst\":{\"ip\":\"200::1\"},\"payload\":\"aGk=\"}"), ID "\n", 0, NULL},
		/* What was taken and cannot be saved is not lost. */
		{WORDS("message", "receive", "--raw", "--msg-path", "/nonexistent/x"),
		 JSON_HEAD("200") MESSAGE(",\"payload\":\"aGk=\""), NULL, MESSAGE(",\"payload\":\"hi\"") "\n", 1,
		 "No such file"},
		{WORDS("message", "receive", "--msg-path", "/dev/full"),
		 JSON_HEAD("200") MESSAGE(",\"payload\":\"aGk=\""), NULL, MESSAGE(",\"payload\":\"hi\"") "\n", 1,
		 "No space"},
	};
	const int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	CHECK_ROWS(save);
	assert_file("hello");
	CHECK_ROWS(quiet);
	assert_file("hi");
	CHECK_ROWS(send);
	unlink(path);
}

static void test_status(void **state)
{
	static const char *const words[] = {"message", "status", "0123456789abcdef", NULL};
	const struct row rows[] = {
		{words, JSON_HEAD("200") "{\"dst\":\"200::1\",\"state\":\"received\"}",
		 GET_HEAD("/api/v1/messages/status/0123456789abcdef"), "received\n", 0, NULL},
		{words, JSON_HEAD("200") "{\"state\":{\"sending\":{\"pending\":1,\"sent\":2,\"acked\":30}}}", NULL,
		 "sending pending=1 sent=2 acked=30\n", 0, NULL},
		{words, JSON_HEAD("200") "{\"state\":{\"sending\":{}}}", NULL, "sending\n", 0, NULL},
		{words, JSON_HEAD("200") "{\"state\":\"\\u001b[31m\"}", NULL, "?[31m\n", 0, NULL},
		{words, JSON_HEAD("200") "{\"state\":5}", NULL, "", 1, "of no use"},
		{words, JSON_HEAD("200") "[]", NULL, "", 1, "of no use"},
		{words, "HTTP/1.1 404 X\r\n\r\n", NULL, "", 1, "knows nothing of it (404)"},
		{WORDS("message", "status", "--json", "a"),
		 JSON_HEAD("200") "{\"state\":\"read\",\n\"x\":\"\x7f\xc2\x9b\\\"\x01\"}", NULL,
		 "{\"state\":\"read\", \"x\":\"\\u007f\\u009b\\\"\\u0001\"}\n", 0, NULL},
	};

	(void)state;
	CHECK_ROWS(rows);
}

static void test_help(void **state)
{
	const char *const *const words[] = {
		WORDS("message", "-h"),
		WORDS("message", "--help"),
		WORDS("message", "send", "--help"),
		WORDS("message", "receive", "-h"),
		WORDS("message", "status", "--help"),
		WORDS("peers", "--help"),
		WORDS("routes", "--help"),
		WORDS("status", "-h"),
	};
	struct result *r = run(NULL, WORDS("message"));

	(void)state;
	assert_int_equal(r->exit_code, 2);
	assert_string_equal(r->out, "");
	assert_memory_equal(r->err, "Usage: mycelium", 15);
	result_free(r);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		r = run(NULL, words[i]);
		assert_int_equal(r->exit_code, 0);
		assert_string_equal(r->err, "");
		assert_memory_equal(r->out, "Usage: mycelium", 15);
		for (const char *line = r->out, *end; (end = strchr(line, '\n')); line = end + 1)
			assert_true(end - line <= 120);
		result_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_send),
		cmocka_unit_test(test_send_refused_by_the_node),
		cmocka_unit_test(test_send_refused_here),
		cmocka_unit_test(test_receive),
		cmocka_unit_test(test_receive_on_a_terminal),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_help),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
