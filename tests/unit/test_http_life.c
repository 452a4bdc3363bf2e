/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that end badly: slow ones, those that vanish at every stage, too many of them, and the end of the API
 * while clients wait. */
#include "tests/unit/test_http.h"

#include "shared/limits.h"
#include <sys/socket.h>
#include <unistd.h>

enum { UNTIL_LONG_MS = 60000 };

static bool has_no_connection(void *ctx)
{
	const struct api_world *w = ctx;

	return !w->api->conns;
}

/* Slow clients. The limits are made short; what is waited for is the state. */

static void test_slow_head(void **state)
{
	struct api_world *w = world_new();
	struct api_client *silent, *slow;

	(void)state;
	w->api->limits.header_ms = 30;
	silent = api_client_open(w);
	slow = api_client_open(w);
	api_client_say(slow, "GET /livez HTTP/1.1\r\nHost:");
	api_client_until_ended(silent);
	assert_int_equal(silent->len, 0);
	expect_answer(slow, 408, NULL);
	api_client_until_ended(slow);
	api_client_free(silent);
	api_client_free(slow);
	api_world_free(w);
}

struct trickle {
	struct api_client *c;
	const char *text;
};

/* A byte at each look, until the server has had enough. */
static bool trickle(void *ctx)
{
	struct trickle *t = ctx;
	char byte;

	if (send(t->c->fd, t->text, 1, MSG_NOSIGNAL) < 0)
		return true;
	return recv(t->c->fd, &byte, 1, MSG_PEEK) >= 0;
}

/* Bytes that go on coming do not make the time longer. */
static void test_slow_loris(void **state)
{
	struct api_world *w = world_new();
	struct trickle t = {.text = "x"};

	(void)state;
	w->api->limits.header_ms = 50;
	w->api->limits.linger_ms = 50;
	t.c = api_client_open(w);
	api_client_say(t.c, "GET /livez HTTP/1.1\r\nX: ");
	api_world_until(w, trickle, &t);
	expect_answer(t.c, 408, NULL);
	api_world_until(w, has_no_connection, w);
	api_client_free(t.c);
	api_world_free(w);
}

static void test_slow_body(void **state)
{
	struct api_world *w = world_new();
	struct trickle t = {.text = " "};

	(void)state;
	w->api->limits.body_ms = 50;
	w->api->limits.linger_ms = 50;
	t.c = api_client_open(w);
	api_client_ask(t.c, &(const struct api_ask){.method = "POST",
						    .path = "/api/v1/messages",
						    .head = "Content-Length: 1000000\r\n",
						    .type = "application/json"});
	api_world_until(w, trickle, &t);
	expect_answer(t.c, 408, NULL);
	api_world_until(w, has_no_connection, w);
	assert_int_equal(w->api->body_bytes, 0);
	assert_int_equal(seen.called, 0);
	api_client_free(t.c);
	api_world_free(w);
}

static void test_idle(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w), *waits = api_client_open(w);

	(void)state;
	w->api->limits.idle_ms = 30;
	say_get(waits, "/api/v1/messages?topic=wait");
	api_world_until(w, is_waiting, NULL);
	say_get(c, "/livez");
	expect_answer(c, 200, "ok");
	api_client_until_ended(c);
	assert_int_equal(c->len, 0);
	/* Who waits for its answer is not idle. */
	assert_non_null(w->api->conns);
	assert_int_equal(seen.gone, 0);
	http_reply_text(seen.waiting, 200, "late");
	expect_answer(waits, 200, "late");
	api_client_until_ended(waits);
	api_client_free(c);
	api_client_free(waits);
	api_world_free(w);
}

/* One that takes no more of its answer. */
static void test_stuck_reader(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);
	unsigned one = 1;

	(void)state;
	w->api->limits.idle_ms = 50;
	say_get(c, "/api/v1/messages?topic=huge");
	api_world_until(w, is_ended, &one);
	assert_int_equal(seen.whole, 0);
	api_world_until(w, has_no_connection, w);
	api_client_free(c);
	api_world_free(w);
}

static void test_long_head(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);
	char *filler = malloc(LIMIT_API_HEADER_BYTES + 2);
	size_t rest;

	(void)state;
	memset(filler, 'x', LIMIT_API_HEADER_BYTES + 1);
	rest = LIMIT_API_HEADER_BYTES - strlen("GET /livez HTTP/1.1\r\nHost: \r\nX: \r\n\r\n") - strlen(w->host);
	filler[rest] = '\0';
	api_client_sayf(c, "GET /livez HTTP/1.1\r\nHost: %s\r\nX: %s\r\n\r\n", w->host, filler);
	expect_answer(c, 200, "ok");
	filler[rest] = 'x';
	filler[rest + 1] = '\0';
	api_client_sayf(c, "GET /livez HTTP/1.1\r\nHost: %s\r\nX: %s\r\n\r\n", w->host, filler);
	expect_answer(c, 431, NULL);
	api_client_until_ended(c);
	api_client_free(c);
	/* One that does not end. */
	c = api_client_open(w);
	api_client_sayf(c, "GET /livez HTTP/1.1\r\nHost: %s\r\nX: %s%s", w->host, filler, filler);
	expect_answer(c, 431, NULL);
	api_client_free(c);
	api_world_free(w);
	free(filler);
}

/* Clients that vanish */

/* Closes, or with a reset. */
static void vanish(struct api_client *c, bool reset)
{
	const struct linger hard = {.l_onoff = 1};

	if (reset)
		assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
	api_client_free(c);
}

static void test_vanish_before_the_answer(void **state)
{
	static const char *const sent[] = {
		"",
		"GET",
		"GET /livez HTTP/1.1\r\n",
		"POST /api/v1/messages HTTP/1.1\r\nHost: localhost:%u\r\nContent-Type: application/json\r\n"
		"Content-Length: 10\r\n\r\n",
		"POST /api/v1/messages HTTP/1.1\r\nHost: localhost:%u\r\nContent-Type: application/json\r\n"
		"Content-Length: 10\r\n\r\n{\"a\"",
		"POST /api/v1/messages HTTP/1.1\r\nHost: localhost:%u\r\nContent-Type: application/json\r\n"
		"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
	};
	struct api_world *w = world_new();

	(void)state;
	for (unsigned i = 0; i < 2 * sizeof(sent) / sizeof(sent[0]); i++) {
		struct api_client *c = api_client_open(w);
		char text[300];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(text, sizeof(text), sent[i / 2], endpoint_port(&w->at));
#pragma GCC diagnostic pop
		api_client_say(c, text);
		api_world_turn(w);
		assert_non_null(w->api->conns);
		vanish(c, i % 2);
		api_world_until(w, has_no_connection, w);
		assert_int_equal(w->api->body_bytes, 0);
	}
	assert_int_equal(seen.called, 0);
	api_world_free(w);
}

static void test_vanish_while_waiting(void **state)
{
	struct api_world *w = world_new();

	(void)state;
	for (unsigned i = 1; i <= 4; i++) {
		struct api_client *c = api_client_open(w);

		seen.waiting = NULL;
		say_get(c, "/api/v1/messages?topic=wait");
		if (i > 2)
			say_get(c, "/livez"); /* comes too late */
		api_world_until(w, is_waiting, NULL);
		vanish(c, i % 2);
		api_world_until(w, is_gone, &i);
		api_world_until(w, has_no_connection, w);
	}
	api_world_free(w);
	assert_int_equal(seen.gone, 4);
}

/* Whoever has only ended its sending side is answered, where that takes a moment only. */
static void test_half_closed(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);
	struct api_ask ask = {
		.method = "POST", .path = "/api/v1/messages/reply/soon", .type = "application/json", .body = "{}"};

	(void)state;
	api_client_ask(c, &ask);
	assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
	api_world_until(w, is_waiting, NULL);
	api_world_turn(w);
	assert_int_equal(seen.gone, 0);
	http_reply_empty(seen.waiting, 204);
	expect_answer(c, 204, NULL);
	api_client_until_ended(c);
	api_client_free(c);
	api_world_free(w);
	assert_int_equal(seen.gone, 0);
}

static void test_vanish_during_the_answer(void **state)
{
	static const char *const paths[] = {"/api/v1/messages?topic=huge", "/api/v1/messages?topic=wait"};
	struct api_world *w = world_new();

	(void)state;
	for (unsigned i = 1; i <= 4; i++) {
		struct api_client *c = api_client_open(w);

		seen.waiting = NULL;
		say_get(c, paths[i / 3]);
		if (i / 3) {
			api_world_until(w, is_waiting, NULL);
			stream(seen.waiting, HUGE_BYTES, HTTP_CHUNKED);
		}
		api_client_read(c, 100000);
		vanish(c, i % 2);
		api_world_until(w, is_ended, &i);
		api_world_until(w, has_no_connection, w);
	}
	assert_int_equal(seen.whole, 0);
	assert_int_equal(seen.gone, 0);
	api_world_free(w);
}

/* The answer was given, and the client has gone before it could leave. */
static void test_vanish_at_the_answer(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);

	(void)state;
	say_get(c, "/api/v1/messages?topic=wait");
	api_world_until(w, is_waiting, NULL);
	vanish(c, true);
	http_reply_text(seen.waiting, 200, "late");
	api_world_until(w, has_no_connection, w);
	assert_int_equal(seen.gone, 0);
	api_world_free(w);
}

/* A client that ends its side when it has asked gets its answers all the same. */
static void test_half_close(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);
	struct api_answer a;

	(void)state;
	say_get(c, "/livez");
	say_get(c, "/api/v1/messages?topic=stream");
	assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
	expect_answer(c, 200, "ok");
	a = api_client_answer(c, false);
	expect_stream(&a, STREAM_BYTES);
	api_answer_fini(&a);
	api_client_until_ended(c);
	api_client_free(c);
	api_world_free(w);
}

/* Too many */

static void expect_refusal(struct api_client *c)
{
	expect_answer(c, 503, NULL);
	api_client_until_ended(c);
	api_client_free(c);
}

static void test_connections_per_address(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c[LIMIT_API_CONNECTIONS_PER_ADDRESS], *six;

	(void)state;
	for (unsigned i = 0; i < LIMIT_API_CONNECTIONS_PER_ADDRESS; i++) {
		c[i] = api_client_open(w);
		say_get(c[i], "/livez");
		expect_answer(c[i], 200, "ok");
	}
	expect_refusal(api_client_open(w));
	/* Another address is not concerned. */
	six = api_client_open6(w);
	say_get(six, "/livez");
	expect_answer(six, 200, "ok");
	api_client_free(six);
	/* A place that is left is free again. */
	api_client_free(c[0]);
	api_world_turn(w);
	c[0] = api_client_open(w);
	say_get(c[0], "/livez");
	expect_answer(c[0], 200, "ok");
	assert_int_equal(w->api->refused, 1);
	for (unsigned i = 0; i < LIMIT_API_CONNECTIONS_PER_ADDRESS; i++)
		api_client_free(c[i]);
	api_world_free(w);
}

static void test_connections_in_all(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c[LIMIT_API_CONNECTIONS];

	(void)state;
	w->api->limits.per_address = LIMIT_API_CONNECTIONS + 1;
	for (unsigned i = 0; i < LIMIT_API_CONNECTIONS; i++) {
		c[i] = api_client_open(w);
		say_get(c[i], "/livez");
		expect_answer(c[i], 200, "ok");
	}
	expect_refusal(api_client_open(w));
	expect_refusal(api_client_open6(w));
	for (unsigned i = 0; i < LIMIT_API_CONNECTIONS; i++)
		api_client_free(c[i]);
	api_world_until(w, has_no_connection, w);
	api_world_free(w);
}

/* The end */

static bool api_is_stopped(void *ctx)
{
	const bool *stopped = ctx;

	return *stopped;
}

static void on_stopped(void *ctx)
{
	bool *stopped = ctx;

	*stopped = true;
}

static void test_stop_while_clients_wait(void **state)
{
	struct api_world *w = world_new();
	struct api_client *waits = api_client_open(w), *idle = api_client_open(w), *sends = api_client_open(w),
			  *reads = api_client_open(w), *half = api_client_open(w);
	struct api_answer a;

	(void)state;
	w->api->limits.stop_ms = UNTIL_LONG_MS;
	say_get(idle, "/livez");
	expect_answer(idle, 200, "ok");
	say_get(reads, "/api/v1/messages?topic=huge");
	api_client_say(half, "GET /");
	api_client_ask(sends, &(const struct api_ask){
				      .method = "POST", .path = "/api/v1/messages", .head = "Content-Length: 5\r\n"});
	say_get(waits, "/api/v1/messages?topic=wait");
	api_world_until(w, is_waiting, NULL);
	api_world_turn(w);
	api_stop(w->api, on_stopped, &w->stopped);
	assert_int_equal(seen.gone, 1);
	expect_answer(waits, 503, NULL);
	expect_answer(sends, 503, NULL);
	api_client_until_ended(idle);
	api_client_until_ended(half);
	assert_false(w->stopped);
	a = api_client_answer(reads, false); /* what was begun may end */
	expect_stream(&a, HUGE_BYTES);
	api_answer_fini(&a);
	api_client_free(waits);
	api_client_free(idle);
	api_client_free(sends);
	api_client_free(half);
	api_world_until(w, api_is_stopped, &w->stopped);
	assert_int_equal(seen.whole, 1);
	api_client_until_ended(reads);
	api_client_free(reads);
	api_world_free(w);
}

static void test_stop_does_not_wait_for_ever(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);
	unsigned one = 1;

	(void)state;
	w->api->limits.stop_ms = 30;
	say_get(c, "/api/v1/messages?topic=huge");
	api_client_read(c, 1000);
	api_world_stop(w);
	assert_true(is_ended(&one));
	assert_int_equal(seen.whole, 0);
	api_client_free(c);
	api_world_free(w);
}

static void test_nobody_new_after_stop(void **state)
{
	struct api_world *w = world_new();
	const int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	api_stop(w->api, on_stopped, &w->stopped);
	assert_true(connect(fd, &w->at.sa, endpoint_len(&w->at)) < 0);
	close(fd);
	api_world_until(w, api_is_stopped, &w->stopped);
	api_world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_head),
		cmocka_unit_test(test_slow_loris),
		cmocka_unit_test(test_slow_body),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_stuck_reader),
		cmocka_unit_test(test_long_head),
		cmocka_unit_test(test_vanish_before_the_answer),
		cmocka_unit_test(test_vanish_while_waiting),
		cmocka_unit_test(test_half_closed),
		cmocka_unit_test(test_vanish_during_the_answer),
		cmocka_unit_test(test_vanish_at_the_answer),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_connections_per_address),
		cmocka_unit_test(test_connections_in_all),
		cmocka_unit_test(test_stop_while_clients_wait),
		cmocka_unit_test(test_stop_does_not_wait_for_ever),
		cmocka_unit_test(test_nobody_new_after_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
