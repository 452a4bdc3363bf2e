/* SPDX-License-Identifier: Apache-2.0 */
/* sessions: the table to the byte, the requests of each change, a release and the waiting for it. */
#include "tests/unit/test_cli.h"

#define HOST "Host: 127.0.0.1:PORT\r\nConnection: close\r\n"
#define JSON_OK "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
#define DONE "HTTP/1.1 204 No Content\r\n\r\n"
#define LIST_REQUEST "GET /api/v1/admin/sessions HTTP/1.1\r\n" HOST "\r\n"

static const struct cli_config wide = {.terminal = true, .columns = 200}, narrow = {.terminal = true, .columns = 72},
			       tiny = {.terminal = true, .columns = 45}, quick = {.poll_ms = 1, .poll_limit_ms = 2};

static const char sessions[] = JSON_OK
	"[{\"address\":\"3ff:2::1\",\"publicKey\":\"aa\",\"state\":\"static\",\"mode\":\"opportunistic\",\"ownMode\":"
	"false,"
	"\"pinned\":false,\"pinnedUntil\":null,\"handshake\":false,\"since\":null,\"ageSeconds\":null,"
	"\"keyAgeSeconds\":null,"
	"\"renewals\":0,\"sealedPackets\":0,\"sealedBytes\":0,\"openedPackets\":0,\"openedBytes\":0,\"staticSealed\":7,"
	"\"staticOpened\":9,\"refusedStatic\":0,\"refusedSecondKeys\":0,\"releasing\":false},{},"
	"{\"address\":\"200:10::1\",\"state\":\"session\",\"mode\":\"require\",\"ownMode\":true,\"pinned\":true,"
	"\"pinnedUntil\":1796083200,\"handshake\":true,\"ageSeconds\":312,\"sealedPackets\":1000,\"openedPackets\":20,"
	"\"staticSealed\":5,\"staticOpened\":6,\"refusedStatic\":3,\"refusedSecondKeys\":2,\"releasing\":true},"
	"{\"address\":\"200:9::1\",\"state\":\"waiting\\u001b\",\"mode\":\"require\",\"pinned\":true,\"pinnedUntil\":"
	"1e300,"
	"\"sealedPackets\":1e300,\"openedPackets\":0,\"staticSealed\":0,\"staticOpened\":0}]";

static void check_out(const struct cli_config *how, const char *answer, const char *const *words, const char *out)
{
	struct result *r = run_with(how, ANSWERS({answer, 0, false}), words);

	assert_string_equal(r->err, "");
	assert_string_equal(r->out, out);
	assert_int_equal(r->exit_code, 0);
	assert_request(r, 0, LIST_REQUEST);
	result_free(r);
}

static void test_list(void **state)
{
	(void)state;
	check_out(&pipe_config, sessions, WORDS("sessions"),
		  "200:9::1\twaiting?\t-\t-\trequire\t-\t0\t0\t0\t-\t-\n"
		  "200:10::1\tsession\t312\t1796083200\trequire\t1000\t20\t5\t6\t3\t2\n"
		  "3ff:2::1\tstatic\t-\t-\topportunistic\t0\t0\t7\t9\t0\t0\n"
		  "-\t-\t-\t-\t-\t-\t-\t-\t-\t-\t-\n");
	check_out(&wide, sessions, WORDS("sessions", "list"),
		  "ADDRESS    STATE          PINNED            MODE           SENT  RECV  NOTE\n"
		  "200:9::1   waiting?       yes               require           -     0  -\n"
		  "200:10::1  session 5m12s  until 2026-12-01  require        1005    26  being released, mode of its "
		  "own, "
		  "handshake, 3 static refused, 2 other keys refused\n"
		  "3ff:2::1   static         -                 opportunistic     7     9  -\n"
		  "-          -              -                 -                 -     -  -\n");
	check_out(&narrow, sessions, WORDS("sessions", "list"),
		  "ADDRESS    STATE          PINNED            SENT  RECV  NOTE\n"
		  "200:9::1   waiting?       yes                  -     0  -\n"
		  "200:10::1  session 5m12s  until 2026-12-01  1005    26  being released,~\n"
		  "3ff:2::1   static         -                    7     9  -\n"
		  "-          -              -                    -     -  -\n");
	check_out(&tiny, sessions, WORDS("sessions", "list"),
		  "ADDRESS    STATE          SENT  RECV  NOTE\n"
		  "200:9::1   waiting?          -     0  -\n"
		  "200:10::1  session 5m12s  1005    26  being ~\n"
		  "3ff:2::1   static            7     9  -\n"
		  "-          -                 -     -  -\n");
	check_out(&pipe_config, JSON_OK "[]", WORDS("sessions"), "");
	check_out(&wide, JSON_OK "[]", WORDS("sessions"), "ADDRESS  STATE  PINNED  MODE  SENT  RECV  NOTE\n");
	check_out(&pipe_config, JSON_OK "[{\"address\":\"200::1\"}]", WORDS("sessions", "--json"),
		  "{\"schema\":1,\"sessions\":[{\"address\":\"200::1\"}]}\n");
}

static void test_changes(void **state)
{
	static const char *const modes[] = {"off", "opportunistic", "require", "default"};
	struct result *r = run(DONE, WORDS("sessions", "unpin", "200:1::1"));

	(void)state;
	assert_int_equal(r->exit_code, 0);
	assert_string_equal(r->out, "");
	assert_string_equal(r->err, "");
	assert_request(r, 0, "POST /api/v1/admin/sessions/200%3A1%3A%3A1/unpin HTTP/1.1\r\n" HOST "\r\n");
	result_free(r);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		char want[512];

		r = run(DONE, WORDS("sessions", "mode", "200:1::1", modes[i]));
		assert_int_equal(r->exit_code, 0);
		assert_string_equal(r->err, "");
		snprintf(want, sizeof(want),
			 "POST /api/v1/admin/sessions/200%%3A1%%3A%%3A1/mode HTTP/1.1\r\n" HOST
			 "Content-Type: application/json\r\nContent-Length: LENGTH\r\n\r\n{\"mode\":\"%s\"}",
			 modes[i]);
		assert_request(r, 0, want);
		result_free(r);
	}
}

static void test_refused(void **state)
{
	static char long_name[2000];
	const struct {
		const char *const *words;
		const char *answer, *err;
		int exit_code;
	} rows[] = {
		{WORDS("sessions"), "HTTP/1.1 200 X\r\n\r\n{\"a\":1}", "of no use", 1},
		{WORDS("sessions"), "HTTP/1.1 503 X\r\n\r\n", "(503)", 1},
		{WORDS("sessions", "unpin", "200::1"), "HTTP/1.1 404 X\r\n\r\nthere is no pin for this address",
		 "(404): there is no pin", 1},
		{WORDS("sessions", "unpin", "2001:db8::1"), "HTTP/1.1 400 X\r\n\r\nthis address lies outside",
		 "(400): this address", 1},
		{WORDS("sessions", "unpin", "x"), NULL, "ADDRESS is not an IPv6 address", 1},
		{WORDS("sessions", "mode", "200::1/64", "off"), NULL, "ADDRESS is not an IPv6 address", 1},
		{WORDS("sessions", "mode", "200::1", "off"), "HTTP/1.1 409 X\r\n\r\nthis is a private network",
		 "refuses (409): this is a private network", 1},
		{WORDS("sessions", "release"), "HTTP/1.1 503 X\r\n\r\nthis machine cannot", "(503): this machine", 1},
		{WORDS("sessions", "release"), "HTTP/1.1 202 X\r\n\r\n{}", "of no use", 1},
		{WORDS("sessions", "release"), "HTTP/1.1 202 X\r\n\r\n{\"count\":-1}", "of no use", 1},
		{WORDS("sessions", "release"), "HTTP/1.1 200 X\r\n\r\n{\"count\":1}", "of no use", 1},
		{WORDS("sessions", "release", "200::1"), "HTTP/1.1 404 X\r\n\r\nneither", "(404): neither", 1},
		{WORDS("sessions", "release", "x"), NULL, "ADDRESS is not an IPv6 address", 1},
		{WORDS("sessions", "release", long_name), NULL, "ADDRESS is too long", 1},
		{WORDS("sessions", "unpin", long_name), NULL, "ADDRESS is too long", 1},
		{WORDS("sessions", "mode", long_name, "off"), NULL, "ADDRESS is too long", 1},
		{WORDS("sessions", "unpin"), NULL, "needs an ADDRESS", 2},
		{WORDS("sessions", "mode"), NULL, "needs an ADDRESS", 2},
		{WORDS("sessions", "mode", "200::1"), NULL, "off, opportunistic, require or default", 2},
		{WORDS("sessions", "mode", "200::1", "on"), NULL, "off, opportunistic, require or default", 2},
		{WORDS("sessions", "mode", "200::1", "off", "x"), NULL, "one word too many", 2},
		{WORDS("sessions", "list", "x"), NULL, "one word too many", 2},
		{WORDS("sessions", "release", "200::1", "x"), NULL, "one word too many", 2},
		{WORDS("sessions", "unpin", "200::1", "x"), NULL, "one word too many", 2},
		{WORDS("sessions", "lsit"), NULL, "none of list, release, unpin and mode", 2},
		{WORDS("sessions", "release", "--json"), NULL, "for the list only", 2},
	};

	(void)state;
	memset(long_name, 'a', sizeof(long_name) - 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct result *r = run(rows[i].answer, rows[i].words);

		assert_int_equal(r->exit_code, rows[i].exit_code);
		assert_string_equal(r->out, "");
		assert_one_line(r, rows[i].exit_code == 1 ? "Error: " : "mycelium: sessions: ", rows[i].err);
		assert_int_equal(r->server.request_count, rows[i].answer != NULL);
		result_free(r);
	}
}

#define ENTRY(address, pinned, releasing) \
	"{\"address\":\"" address "\",\"pinned\":" #pinned ",\"releasing\":" #releasing "}"
#define COUNT(n) "HTTP/1.1 202 X\r\nContent-Type: application/json\r\n\r\n{\"count\":" #n "}"

static void test_release(void **state)
{
	struct result *r = run_with(
		&quick,
		ANSWERS({COUNT(2), 0, false},
			{JSON_OK "[" ENTRY("200:1::1", true, true) "," ENTRY("200:2::1", true, true) "]", 0, false},
			{JSON_OK "[" ENTRY("200:1::1", false, false) "," ENTRY("200:3::1", false, false) "]", 0,
			 false}),
		WORDS("sessions", "release"));

	(void)state;
	assert_int_equal(r->exit_code, 0);
	assert_string_equal(r->err, "");
	assert_string_equal(r->out, "told: 2 of 2\n");
	assert_int_equal(r->server.request_count, 3);
	assert_request(r, 0, "POST /api/v1/admin/sessions/release HTTP/1.1\r\n" HOST "\r\n");
	assert_request(r, 1, LIST_REQUEST);
	result_free(r);
	r = run_with(&quick, ANSWERS({COUNT(0), 0, false}, {JSON_OK "[]", 0, false}), WORDS("sessions", "release"));
	assert_int_equal(r->exit_code, 0);
	assert_string_equal(r->out, "told: 0 of 0\n");
	result_free(r);
}

/* Those that are given up keep their pins. */
static void test_release_silent(void **state)
{
	struct result *r = run_with(
		&quick,
		ANSWERS({COUNT(3), 0, false}, {JSON_OK "[" ENTRY("200:1::1", true, true) "]", 0, false},
			{JSON_OK "[" ENTRY("200:1::1", true, false) "," ENTRY("200:2::1", true, false) "]", 0, false}),
		WORDS("sessions", "release"));

	(void)state;
	assert_int_equal(r->exit_code, 1);
	assert_string_equal(r->out, "no answer: 200:1::1\nno answer: 200:2::1\ntold: 1 of 3\n");
	assert_one_line(r, "Error: 2 did not answer: ", "mycelium sessions unpin");
	result_free(r);
	/* Whoever is still being told when the time is over has not answered either. */
#define STILL {JSON_OK "[" ENTRY("200:1::1", false, true) ",{},{\"address\":\"x\",\"releasing\":true}]", 0, false}
	r = run_with(&quick, ANSWERS({COUNT(1), 0, false}, STILL, STILL, STILL), WORDS("sessions", "release"));
	assert_int_equal(r->server.request_count, 4);
	assert_int_equal(r->exit_code, 1);
	assert_string_equal(r->out, "no answer: 200:1::1\ntold: 0 of 1\n");
	result_free(r);
	/* The node goes meanwhile. */
	r = run_with(&quick, ANSWERS({COUNT(1), 0, false}, STILL, {"garbage\n", 0, false}),
		     WORDS("sessions", "release"));
	assert_int_equal(r->exit_code, 1);
	assert_string_equal(r->out, "");
	assert_one_line(r, "Error: ", "of no use");
	result_free(r);
}

/* The others of the list do not count, in whatever spelling the one is named. */
static void test_release_one(void **state)
{
	struct result *r = run_with(
		&quick,
		ANSWERS({"HTTP/1.1 202 X\r\nContent-Length: 0\r\n\r\n", 0, false},
			{JSON_OK "[" ENTRY("200:1::9", true, true) "," ENTRY("200:2::1", true, true) "]", 0, false},
			{JSON_OK "[" ENTRY("200:1::9", false, false) "," ENTRY("200:2::1", true, true) "]", 0, false}),
		WORDS("sessions", "release", "0200:0001:0:0::A"));

	(void)state;
	assert_int_equal(r->exit_code, 0);
	assert_string_equal(r->err, "");
	assert_string_equal(r->out, "told: 1 of 1\n");
	assert_request(r, 0, "POST /api/v1/admin/sessions/0200%3A0001%3A0%3A0%3A%3AA/release HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(r->server.request_count, 3);
	result_free(r);
	r = run_with(&quick,
		     ANSWERS({"HTTP/1.1 202 X\r\nContent-Length: 0\r\n\r\n", 0, false},
			     {JSON_OK "[" ENTRY("200:1::9", true, false) "]", 0, false}),
		     WORDS("sessions", "release", "200:1::1"));
	assert_int_equal(r->exit_code, 1);
	assert_string_equal(r->out, "no answer: 200:1::9\ntold: 0 of 1\n");
	assert_one_line(r, "Error: 1 did not answer: ", "unpin");
	result_free(r);
}

static void test_help(void **state)
{
	struct result *r = run(NULL, WORDS("sessions", "--help"));

	(void)state;
	assert_int_equal(r->exit_code, 0);
	assert_string_equal(r->err, "");
	assert_non_null(strstr(r->out, "Usage: mycelium [OPTIONS] sessions [list] [--json]\n"));
	for (const char *line = r->out, *end; (end = strchr(line, '\n')); line = end + 1)
		assert_true(end - line <= 110);
	result_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),	       cmocka_unit_test(test_changes),
		cmocka_unit_test(test_refused),	       cmocka_unit_test(test_release),
		cmocka_unit_test(test_release_silent), cmocka_unit_test(test_release_one),
		cmocka_unit_test(test_help),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
