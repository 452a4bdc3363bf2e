/* SPDX-License-Identifier: Apache-2.0 */
/* Request bodies over real sockets: their limits, their forms, and the order in which they are refused. */
#include "tests/unit/test_http.h"

enum { MAX_BODY = 5000 };

static struct api_world *small_world(void)
{
	memset(&seen, 0, sizeof(seen));
	return api_world_new(&(const struct api_setup){.config = {.max_body = MAX_BODY}});
}

static void say_post(struct api_client *c, const char *path, const char *head)
{
	api_client_ask(c, &(const struct api_ask){.method = "POST", .path = path, .head = head});
}

/* A JSON string of len bytes, its quotes included. */
static char *json_string(size_t len)
{
	char *text = malloc(len + 1);

	assert_non_null(text);
	memset(text, 'x', len);
	text[0] = text[len - 1] = '"';
	text[len] = '\0';
	return text;
}

static void test_limit(void **state)
{
	struct api_world *w = small_world();
	char *exact = json_string(MAX_BODY), *over = json_string(MAX_BODY + 1);
	struct api_ask ask = {.method = "POST", .path = "/api/v1/messages", .type = "application/json", .body = exact};
	struct api_client *c = api_client_open(w);

	(void)state;
	api_client_ask(c, &ask);
	expect_answer(c, 201, exact);
	ask.body = over;
	api_client_ask(c, &ask);
	expect_answer(c, 413, "Failed to buffer the request body: more than 5000 bytes");
	api_client_until_ended(c);
	assert_int_equal(seen.called, 2);
	api_client_free(c);
	api_world_free(w);
	free(exact);
	free(over);
}

static void test_limit_in_chunks(void **state)
{
	struct api_world *w = small_world();
	char *exact = json_string(MAX_BODY);

	(void)state;
	for (unsigned more = 0; more < 2; more++) {
		struct api_client *c = api_client_open(w);

		say_post(c, "/api/v1/messages", "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n");
		for (size_t at = 0; at < MAX_BODY; at += 100) {
			api_client_say(c, "64\r\n");
			api_client_send(c, exact + at, 100);
			api_client_say(c, "\r\n");
		}
		api_client_say(c, more ? "1\r\n \r\n0\r\n\r\n" : "0\r\n\r\n");
		expect_answer(c, more ? 413 : 201, more ? NULL : exact);
		api_client_free(c);
	}
	api_world_free(w);
	free(exact);
}

/* What was announced is refused before it is sent; and what is sent all the same does not cost the answer. */
static void test_too_long_is_not_read(void **state)
{
	struct api_world *w = small_world();
	struct api_client *c = api_client_open(w);
	char *over = json_string(4 * 1024 * 1024);

	(void)state;
	say_post(c, "/api/v1/messages", "Content-Type: application/json\r\nContent-Length: 4194304\r\n");
	api_client_send(c, over, 4 * 1024 * 1024);
	expect_answer(c, 413, NULL);
	assert_int_equal(w->api->body_bytes, 0);
	api_client_free(c);
	api_world_free(w);
	free(over);
}

static void test_order_of_refusals(void **state)
{
	static const struct {
		const char *path, *type, *length, *body;
		int status;
		const char *text;
	} rows[] = {
		{"/api/v1/messages/reply/bad", "text/plain", "9999", "", 400, "Invalid URL: bad"},
		{"/api/v1/messages", "text/plain", "9999", "", 415,
		 "Expected request with `Content-Type: application/json`"},
		{"/api/v1/messages", "text/plain", "1", "{", 415,
		 "Expected request with `Content-Type: application/json`"},
		{"/api/v1/messages", "application/json", "9999", "", 413,
		 "Failed to buffer the request body: more than 5000 bytes"},
		{"/api/v1/messages", "application/json", "1", "{", 400, NULL},
		{"/api/v1/messages", "application/json", "0", "", 400, NULL},
		{"/api/v1/messages", "application/json", "13", "{\"a\":1,\"a\":2}", 422, NULL},
		{"/api/v1/messages", "application/x+json;y=z", "2", "{}", 201, "{}"},
		{"/api/v1/messages?peek=%", "text/plain", "9999", "", 400, NULL},
	};
	struct api_world *w = small_world();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct api_client *c = api_client_open(w);

		api_client_sayf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %s\r\n\r\n%s",
				rows[i].path, w->host, rows[i].type, rows[i].length, rows[i].body);
		expect_answer(c, rows[i].status, rows[i].text);
		api_client_free(c);
	}
	api_world_free(w);
}

static void test_texts_of_json_errors(void **state)
{
	struct api_world *w = small_world();
	struct api_ask ask = {.method = "POST", .path = "/api/v1/messages", .type = "application/json", .body = "{]"};
	static const char bad[] = "Failed to parse the request body as JSON: ",
			  shape[] = "Failed to deserialize the JSON body into the target type: ";
	struct api_answer a = api_world_ask(w, &ask);

	(void)state;
	assert_int_equal(a.status, 400);
	assert_memory_equal(a.body, bad, sizeof(bad) - 1);
	assert_string_equal(api_answer_header(&a, "Content-Type"), "text/plain; charset=utf-8");
	api_answer_fini(&a);
	ask.body = "{\"a\":1,\"a\":2}";
	a = api_world_ask(w, &ask);
	assert_int_equal(a.status, 422);
	assert_memory_equal(a.body, shape, sizeof(shape) - 1);
	api_answer_fini(&a);
	ask.type = NULL;
	a = api_world_ask(w, &ask);
	assert_int_equal(a.status, 415);
	api_answer_fini(&a);
	api_world_free(w);
}

/* The connection goes on where the body was read, whatever became of it. */
static void test_connection_survives_bad_bodies(void **state)
{
	struct api_world *w = small_world();
	struct api_client *c = api_client_open(w);
	struct api_ask ask = {.method = "POST", .path = "/api/v1/messages", .type = "text/plain", .body = "hello"};

	(void)state;
	api_client_ask(c, &ask);
	expect_answer(c, 415, NULL);
	ask.type = "application/json";
	api_client_ask(c, &ask);
	expect_answer(c, 400, NULL);
	ask.body = "[1]";
	api_client_ask(c, &ask);
	expect_answer(c, 201, "[1]");
	api_client_free(c);
	api_world_free(w);
}

/* Where none is wanted it is read and thrown away. */
static void test_body_of_a_get(void **state)
{
	struct api_world *w = small_world();
	struct api_client *c = api_client_open(w);

	(void)state;
	api_client_ask(c,
		       &(const struct api_ask){.method = "GET", .path = "/livez", .body = "GET /x HTTP/1.1\r\n\r\n"});
	expect_answer(c, 200, "ok");
	api_client_ask(c, &(const struct api_ask){
				  .method = "GET", .path = "/livez", .head = "Transfer-Encoding: chunked\r\n"});
	api_client_say(c, "3\r\nabc\r\n0\r\n\r\n");
	expect_answer(c, 200, "ok");
	say_get(c, "/livez");
	expect_answer(c, 200, "ok");
	api_client_free(c);
	api_world_free(w);
}

static void test_bad_chunks(void **state)
{
	static const char *const bodies[] = {"x\r\n", "3\r\nabcX", "3\nabc\n", "\r\n"};
	struct api_world *w = small_world();

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct api_client *c = api_client_open(w);

		say_post(c, "/api/v1/messages", "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n");
		api_client_say(c, bodies[i]);
		expect_answer(c, 400, NULL);
		api_client_until_ended(c);
		api_client_free(c);
	}
	assert_int_equal(seen.called, 0);
	api_world_free(w);
}

static void test_ambiguous_framing(void **state)
{
	static const struct {
		const char *head;
		int status;
	} rows[] = {
		{"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400},
		{"Content-Length: 3\r\nContent-Length: 4\r\n", 400},
		{"Content-Length: 3, 3\r\n", 400},
		{"Transfer-Encoding: gzip, chunked\r\n", 501},
		{"Transfer-Encoding: identity\r\n", 501},
		{"Content-Length : 3\r\n", 400},
		{"X: a\r\n b\r\n", 400},
		{"Expect: 200-ok\r\n", 417},
	};
	struct api_world *w = small_world();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct api_client *c = api_client_open(w);

		say_post(c, "/api/v1/messages", rows[i].head);
		say_get(c, "/livez"); /* must not be taken for a request */
		expect_answer(c, rows[i].status, NULL);
		api_client_until_ended(c);
		assert_int_equal(c->len, 0);
		api_client_free(c);
	}
	assert_int_equal(seen.called, 0);
	api_world_free(w);
}

static void test_100_continue(void **state)
{
	struct api_world *w = small_world();
	struct api_client *c = api_client_open(w);
	struct api_answer a;

	(void)state;
	say_post(c, "/api/v1/messages",
		 "Content-Type: application/json\r\nContent-Length: 4\r\nExpect: 100-continue\r\n");
	a = api_client_answer(c, false);
	assert_int_equal(a.status, 100);
	api_answer_fini(&a);
	api_client_say(c, "[42]");
	expect_answer(c, 201, "[42]");
	/* It is not told to go on where that would be in vain, nor where it has. */
	api_client_sayf(c,
			"POST /api/v1/messages HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
			"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n[43]",
			w->host);
	expect_answer(c, 201, "[43]");
	say_post(c, "/api/v1/messages",
		 "Content-Type: application/json\r\nContent-Length: 9999\r\nExpect: 100-continue\r\n");
	expect_answer(c, 413, NULL);
	api_client_until_ended(c);
	api_client_free(c);
	api_world_free(w);
}

/* All bodies together. */
static void test_too_much_at_once(void **state)
{
	struct api_world *w = small_world();
	struct api_client *c[3];
	char *text = json_string(MAX_BODY);

	(void)state;
	w->api->limits.bodies_bytes = 2 * MAX_BODY;
	for (unsigned i = 0; i < 3; i++) {
		c[i] = api_client_open(w);
		say_post(c[i], "/api/v1/messages", "Content-Type: application/json\r\nContent-Length: 5000\r\n");
		api_client_send(c[i], text, MAX_BODY - 1);
		api_world_turn(w);
	}
	assert_int_equal(w->api->body_bytes, 2 * MAX_BODY);
	expect_answer(c[2], 503, NULL);
	for (unsigned i = 0; i < 2; i++) {
		api_client_send(c[i], text + MAX_BODY - 1, 1);
		expect_answer(c[i], 201, text);
	}
	for (unsigned i = 0; i < 3; i++)
		api_client_free(c[i]);
	api_world_turn(w);
	assert_int_equal(w->api->body_bytes, 0);
	api_world_free(w);
	free(text);
}

/* What waits for its answer needs not hold the body. */
static void test_done_before_the_answer(void **state)
{
	struct api_world *w = small_world();
	struct api_client *c = api_client_open(w);
	char *text = json_string(MAX_BODY);
	struct api_ask ask = {
		.method = "POST", .path = "/api/v1/messages/reply/later", .type = "application/json", .body = text};

	(void)state;
	api_client_ask(c, &ask);
	api_world_until(w, is_waiting, NULL);
	assert_int_equal(w->api->body_bytes, 0);
	http_reply_text(seen.waiting, 200, "late");
	expect_answer(c, 200, "late");
	ask.path = "/api/v1/messages";
	api_client_ask(c, &ask);
	expect_answer(c, 201, text);
	api_client_free(c);
	api_world_free(w);
	free(text);
}

/* A long string in it stays where it is until the answer. */
static void test_long_string(void **state)
{
	struct api_world *w = small_world();
	struct api_client *c = api_client_open(w);
	char *text = json_string(MAX_BODY - 14), body[MAX_BODY + 1];

	(void)state;
	snprintf(body, sizeof(body), "{\"a\":%s,\"b\":[1]}", text);
	assert_int_equal(strlen(body), MAX_BODY);
	for (unsigned i = 0; i < 2; i++) {
		api_client_ask(c, &(const struct api_ask){.method = "POST",
							  .path = "/api/v1/messages",
							  .type = "application/json",
							  .body = body});
		expect_answer(c, 201, body);
	}
	api_client_free(c);
	api_world_free(w);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_limit_in_chunks),
		cmocka_unit_test(test_too_long_is_not_read),
		cmocka_unit_test(test_order_of_refusals),
		cmocka_unit_test(test_texts_of_json_errors),
		cmocka_unit_test(test_connection_survives_bad_bodies),
		cmocka_unit_test(test_body_of_a_get),
		cmocka_unit_test(test_bad_chunks),
		cmocka_unit_test(test_ambiguous_framing),
		cmocka_unit_test(test_100_continue),
		cmocka_unit_test(test_too_much_at_once),
		cmocka_unit_test(test_done_before_the_answer),
		cmocka_unit_test(test_long_string),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
