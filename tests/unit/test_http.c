/* SPDX-License-Identifier: Apache-2.0 */
/* The server over real sockets: whole requests and pieces of them, one after the other and together, and every form of
 * answer. */
#include "tests/unit/test_http.h"

#define CRLF "\r\n"

static void test_one_byte_pieces(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);
	char text[300];
	const int len = snprintf(text, sizeof(text),
				 "POST /api/v1/messages HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
				 "Content-Length: 7\r\n\r\n{\"a\":1}",
				 w->host);

	(void)state;
	for (int i = 0; i < len; i++) {
		assert_int_equal(seen.called, 0);
		api_client_send(c, text + i, 1);
		if (i % 16 == 0)
			api_world_turn(w);
	}
	expect_answer(c, 201, "{\"a\":1}");
	say_get(c, "/livez");
	expect_answer(c, 200, "ok");
	api_client_free(c);
	api_world_free(w);
}

static void test_keep_alive(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		say_get(c, "/livez");
		expect_answer(c, 200, "ok");
	}
	assert_int_equal(w->api->requests, 1000);
	assert_true(w->settled >= 1000);
	api_client_free(c);
	api_world_free(w);
}

static void test_pipelining(void **state)
{
	enum { COUNT = 700 };
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);

	(void)state;
	for (unsigned i = 0; i < COUNT; i++)
		api_client_sayf(c,
				"GET /api/v1/messages/status/%u HTTP/1.1\r\nHost: %s\r\n\r\n"
				"POST /api/v1/messages HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
				"Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n5\r\n%04u]\r\n0\r\n\r\n",
				i, w->host, w->host, i % 9 + 1000);
	for (unsigned i = 0; i < COUNT; i++) {
		char text[16];

		snprintf(text, sizeof(text), "%u", i);
		expect_answer(c, 200, text);
		snprintf(text, sizeof(text), "[%04u]", i % 9 + 1000);
		expect_answer(c, 201, text);
	}
	api_client_free(c);
	api_world_free(w);
}

/* What waits keeps its place; those behind it wait too. */
static void test_pipelining_behind_a_wait(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);

	(void)state;
	say_get(c, "/api/v1/messages?topic=wait");
	for (unsigned i = 0; i < 1000; i++)
		say_get(c, "/livez");
	api_world_until(w, is_waiting, NULL);
	api_world_turn(w);
	assert_int_equal(seen.called, 1);
	http_reply_text(seen.waiting, 200, "late");
	assert_int_equal(seen.gone, 0);
	expect_answer(c, 200, "late");
	for (unsigned i = 0; i < 1000; i++)
		expect_answer(c, 200, "ok");
	api_client_free(c);
	api_world_free(w);
	assert_int_equal(seen.gone, 0);
}

static void test_empty_line_between_requests(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);

	(void)state;
	api_client_say(c, CRLF CRLF);
	say_get(c, "/livez");
	expect_answer(c, 200, "ok");
	api_client_say(c, "\r");
	api_world_turn(w);
	api_client_say(c, "\n");
	say_get(c, "/livez");
	expect_answer(c, 200, "ok");
	api_client_free(c);
	api_world_free(w);
}

static void test_connection_header(void **state)
{
	static const struct {
		const char *version, *head;
		bool stays;
	} rows[] = {
		{"1.1", "", true},
		{"1.1", "Connection: keep-alive\r\n", true},
		{"1.1", "Connection: close\r\n", false},
		{"1.1", "Connection: x, Close\r\n", false},
		{"1.0", "", false},
		{"1.0", "Connection: Keep-Alive\r\n", true},
		{"1.0", "Connection: close, keep-alive\r\n", false},
	};
	struct api_world *w = world_new();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct api_client *c = api_client_open(w);
		struct api_answer a;
		const char *says;

		api_client_sayf(c, "GET /livez HTTP/%s\r\nHost: %s\r\n%s\r\n", rows[i].version, w->host, rows[i].head);
		a = api_client_answer(c, false);
		assert_int_equal(a.status, 200);
		says = api_answer_header(&a, "Connection");
		if (rows[i].stays) {
			assert_true(rows[i].version[2] == '1' ? !says : says && strcmp(says, "keep-alive") == 0);
			say_get(c, "/livez");
			expect_answer(c, 200, "ok");
		} else {
			assert_string_equal(says, "close");
			api_client_until_ended(c);
		}
		api_answer_fini(&a);
		api_client_free(c);
	}
	api_world_free(w);
}

static void test_headers_of_every_answer(void **state)
{
	static const char *const paths[] = {"/livez", "/nothing", "/api/v1/messages", "/api/v1/messages/status/%00"};
	struct api_world *w = world_new();

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct api_answer a = api_world_get(w, paths[i]);

		assert_string_equal(api_answer_header(&a, "X-Content-Type-Options"), "nosniff");
		assert_string_equal(api_answer_header(&a, "Cache-Control"), "no-store");
		assert_null(api_answer_header(&a, "Server"));
		assert_null(strcasestr(a.head, "access-control"));
		assert_true((a.len > 0) == (api_answer_header(&a, "Content-Type") != NULL));
		assert_true((a.status == 204) == (api_answer_header(&a, "Content-Length") == NULL));
		api_answer_fini(&a);
	}
	api_world_free(w);
}

static void test_handlers_headers(void **state)
{
	struct api_world *w = world_new();
	struct api_answer a = api_world_ask(
		w, &(const struct api_ask){
			   .method = "POST", .path = "/api/v1/messages", .type = "application/json", .body = "{}"});

	(void)state;
	assert_int_equal(a.status, 201);
	assert_string_equal(api_answer_header(&a, "X-Test"), "yes");
	assert_string_equal(api_answer_header(&a, "Content-Type"), "application/json");
	api_answer_fini(&a);
	/* It belongs to one answer only. */
	a = api_world_get(w, "/livez");
	assert_null(api_answer_header(&a, "X-Test"));
	api_answer_fini(&a);
	api_world_free(w);
}

static void test_paths_and_methods(void **state)
{
	static const struct {
		const char *method, *path;
		int status;
		const char *allow;
	} rows[] = {
		{"GET", "/livez/", 404, NULL},
		{"GET", "//livez", 404, NULL},
		{"OPTIONS", "/nothing", 404, NULL},
		{"OPTIONS", "/livez", 405, "GET,HEAD"},
		{"PUT", "/api/v1/messages", 405, "GET,HEAD,POST"},
		{"DELETE", "/api/v1/messages/reply/00", 405, "POST"},
		{"get", "/livez", 405, "GET,HEAD"},
		{"TRACE", "/", 405, "GET,HEAD"},
	};
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct api_answer a;
		const char *allow;

		api_client_ask(c, &(const struct api_ask){.method = rows[i].method, .path = rows[i].path});
		a = api_client_answer(c, false);
		assert_int_equal(a.status, rows[i].status);
		assert_int_equal(a.len, 0);
		assert_string_equal(api_answer_header(&a, "Content-Length"), "0");
		allow = api_answer_header(&a, "Allow");
		assert_true(rows[i].allow ? allow && strcmp(allow, rows[i].allow) == 0 : !allow);
		api_answer_fini(&a);
	}
	api_client_free(c);
	api_world_free(w);
}

static void test_percent(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);

	(void)state;
	say_get(c, "/api/v1/messages/status/a%2fb%20+");
	expect_answer(c, 200, "a/b +");
	say_get(c, "/api/v1/mess%61ges?topic=x+y%2B&other");
	expect_answer(c, 200, "x y+");
	say_get(c, "/api/v1/messages/status/%f");
	expect_answer(c, 400, NULL);
	say_get(c, "/api/v1/messages?topic=a&topic=b");
	expect_answer(c, 400, "Failed to deserialize query string: duplicate field `topic`");
	say_get(c, "/livez?timeout=1&timeout=1");
	expect_answer(c, 400, "Failed to deserialize query string: duplicate field `timeout`");
	say_get(c, "/livez?peek=%ff");
	expect_answer(c, 400, NULL);
	/* The path comes before the query. */
	say_get(c, "/nothing?peek=%ff");
	expect_answer(c, 404, "");
	api_client_free(c);
	api_world_free(w);
}

static void test_head(void **state)
{
	static const struct {
		const char *what, *length;
	} rows[] = {{"hello", "12"}, {"stream", "3145728"}, {"chunks", NULL}, {"nothing", "0"}};
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char path[80];
		struct api_answer a;
		const char *length;

		snprintf(path, sizeof(path), "/api/v1/messages?topic=%s", rows[i].what);
		api_client_ask(c, &(const struct api_ask){.method = "HEAD", .path = path});
		a = api_client_answer(c, true);
		assert_int_equal(a.status, 200);
		length = api_answer_header(&a, "Content-Length");
		assert_true(rows[i].length ? length && strcmp(length, rows[i].length) == 0 : !length);
		assert_true(rows[i].length || strcmp(api_answer_header(&a, "Transfer-Encoding"), "chunked") == 0);
		api_answer_fini(&a);
	}
	/* Had a body come, this would not be an answer. */
	say_get(c, "/livez");
	expect_answer(c, 200, "ok");
	assert_int_equal(seen.next_calls, 0);
	assert_int_equal(seen.ended, 3);
	assert_int_equal(seen.whole, 3);
	api_client_free(c);
	api_world_free(w);
}

static void test_streams(void **state)
{
	static const struct {
		const char *path;
		size_t bytes;
	} rows[] = {
		{"/api/v1/messages?topic=stream", STREAM_BYTES},
		{"/api/v1/messages?topic=chunks", STREAM_BYTES},
		{"/api/v1/messages?topic=nothing", 0},
		{"/api/v1/messages?topic=no+chunks", 0},
	};
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct api_answer a;

		say_get(c, rows[i].path);
		a = api_client_answer(c, false);
		expect_stream(&a, rows[i].bytes);
		assert_true((i % 2 == 1) == (api_answer_header(&a, "Transfer-Encoding") != NULL) || i == 2);
		api_answer_fini(&a);
		assert_int_equal(seen.ended, i + 1);
		assert_int_equal(seen.whole, i + 1);
	}
	api_client_free(c);
	api_world_free(w);
}

/* HTTP/1.0 knows no chunks: the end of the connection ends the body. */
static void test_stream_for_http_1_0(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);
	struct api_answer a;

	(void)state;
	api_client_sayf(c, "GET /api/v1/messages?topic=chunks HTTP/1.0\r\nHost: %s\r\nConnection: keep-alive\r\n\r\n",
			w->host);
	api_client_until_ended(c);
	a = api_client_answer(c, false);
	assert_null(api_answer_header(&a, "Transfer-Encoding"));
	assert_string_equal(api_answer_header(&a, "Connection"), "close");
	expect_stream(&a, STREAM_BYTES);
	api_answer_fini(&a);
	assert_int_equal(seen.whole, 1);
	api_client_free(c);
	api_world_free(w);
}

/* Never more is fetched than the client takes. */
static void test_stream_waits_for_its_client(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);
	struct api_answer a;

	(void)state;
	say_get(c, "/api/v1/messages?topic=huge");
	api_world_turn(w);
	api_world_turn(w);
	assert_true(seen.streamed > 0 && seen.streamed < HUGE_BYTES);
	assert_int_equal(seen.ended, 0);
	/* Others are served meanwhile. */
	a = api_world_get(w, "/livez");
	assert_int_equal(a.status, 200);
	api_answer_fini(&a);
	a = api_client_answer(c, false);
	expect_stream(&a, HUGE_BYTES);
	api_answer_fini(&a);
	api_client_free(c);
	api_world_free(w);
}

static void test_stream_after_a_wait(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);
	struct api_answer a;

	(void)state;
	say_get(c, "/api/v1/messages?topic=wait");
	api_world_until(w, is_waiting, NULL);
	stream(seen.waiting, STREAM_BYTES, HTTP_CHUNKED);
	assert_int_equal(seen.next_calls, 0); /* not from inside */
	a = api_client_answer(c, false);
	expect_stream(&a, STREAM_BYTES);
	api_answer_fini(&a);
	assert_int_equal(seen.whole, 1);
	assert_int_equal(seen.gone, 0);
	api_client_free(c);
	api_world_free(w);
}

static void test_both_families(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = api_client_open6(w);

	(void)state;
	api_client_sayf(c, "GET /livez HTTP/1.1\r\nHost: [::1]:%u\r\n\r\n", endpoint_port(&w->at));
	expect_answer(c, 200, "ok");
	api_client_free(c);
	api_world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_byte_pieces),
		cmocka_unit_test(test_keep_alive),
		cmocka_unit_test(test_pipelining),
		cmocka_unit_test(test_pipelining_behind_a_wait),
		cmocka_unit_test(test_empty_line_between_requests),
		cmocka_unit_test(test_connection_header),
		cmocka_unit_test(test_headers_of_every_answer),
		cmocka_unit_test(test_handlers_headers),
		cmocka_unit_test(test_paths_and_methods),
		cmocka_unit_test(test_percent),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_stream_for_http_1_0),
		cmocka_unit_test(test_stream_waits_for_its_client),
		cmocka_unit_test(test_stream_after_a_wait),
		cmocka_unit_test(test_both_families),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
