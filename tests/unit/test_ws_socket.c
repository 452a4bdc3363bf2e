/* SPDX-License-Identifier: Apache-2.0 */
/* WebSockets over real sockets, by a client made by hand: upgrades and their refusal, frames in both directions, cut
 * and resumed, and that each close leaves with its code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "tests/support/api_world.h"
#include "tests/unit/ws_world.h"
#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#define STREAM "/api/v1/messages/stream"
#define INIT "{\"type\":\"init\"}"

enum { TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10, FIN = 0x80 };

struct world {
	struct ws_world *ws; /* the post */
	struct api_world *api;
};

static void on_settled(void *ctx)
{
	struct ws_world *w = ctx;

	w->now = api_now();
	ws_world_settle(w);
}

static struct world world_new(const char *token_file)
{
	static const struct api_ops ops = {.settled = on_settled};
	struct world w = {.ws = ws_world_new()};
	const struct api_setup s = {
		.config = {.token_file = token_file}, .post = w.ws->api.post, .ops = &ops, .ctx = w.ws};

	w.ws->now = api_now();
	w.api = api_world_new(&s);
	w.ws->watched = w.api->api;
	w.api->api->limits.ws_tick_ms = 5;
	return w;
}

static void world_free(struct world *w)
{
	api_world_free(w->api);
	ws_world_free(w->ws);
}

static void upgrade(struct world *w, struct api_client *c, const char *path, const char *head)
{
	api_client_sayf(c,
			"GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
			path, w->api->host, head);
}

/* Takes the head of the answer; its status. */
static int take_head(struct api_client *c)
{
	const char *end;
	int status;

	while (!(end = c->len ? strstr(c->in, "\r\n\r\n") : NULL) && !c->ended)
		api_client_read(c, c->len + 1);
	assert_non_null(end);
	status = (int)strtol(c->in + strlen("HTTP/1.1 "), NULL, 10);
	if (status == 101)
		assert_non_null(strstr(c->in, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
	api_client_take(c, (size_t)(end + 4 - c->in));
	return status;
}

static struct api_client *client_open(struct world *w, const char *path, const char *subprotocol)
{
	struct api_client *c = api_client_open(w->api);
	char head[100] = "";

	if (subprotocol)
		snprintf(head, sizeof(head), "Sec-WebSocket-Protocol: %s\r\n", subprotocol);
	upgrade(w, c, path, head);
	assert_int_equal(take_head(c), 101);
	return c;
}

/* A masked frame. */
static void say_bytes(struct api_client *c, int first, const char *bytes, size_t len)
{
	static const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
	uint8_t *out = malloc(len + 14), *p = out;

	assert_non_null(out);
	*p++ = (uint8_t)first;
	*p++ = (uint8_t)(0x80 | (len < 126 ? len : len < 65536 ? 126 : 127));
	if (len >= 126) {
		for (int i = len < 65536 ? 8 : 56; i >= 0; i -= 8)
			*p++ = (uint8_t)(len >> i);
	}
	memcpy(p, mask, 4);
	p += 4;
	for (size_t i = 0; i < len; i++)
		*p++ = (uint8_t)bytes[i] ^ mask[i & 3];
	api_client_send(c, out, (size_t)(p - out));
	free(out);
}

static void say(struct api_client *c, const char *text)
{
	say_bytes(c, FIN | TEXT, text, strlen(text));
}

/* The first byte of the next frame, and its payload, which is at c->in then; 0: the connection has ended. */
static int read_frame(struct api_client *c, size_t *len)
{
	size_t head = 2;
	int first;

	api_client_read(c, 2);
	if (c->len < 2)
		return 0;
	*len = (uint8_t)c->in[1];
	assert_true(*len < 128); /* no mask from a server */
	if (*len >= 126) {
		head = *len == 126 ? 4 : 10;
		api_client_read(c, head);
		*len = 0;
		for (size_t i = 2; i < head; i++)
			*len = *len << 8 | (uint8_t)c->in[i];
	}
	first = (uint8_t)c->in[0];
	api_client_take(c, head);
	api_client_read(c, *len);
	assert_true(c->len >= *len);
	return first;
}

static void expect_part(struct api_client *c, const char *part)
{
	size_t len;

	assert_int_equal(read_frame(c, &len), FIN | TEXT);
	assert_true(len < c->len + 1 && memmem(c->in, len, part, strlen(part)));
	api_client_take(c, len);
}

/* A close frame with that code, and then the end. */
static void expect_close(struct api_client *c, int code)
{
	size_t len;
	char echo[2];

	assert_int_equal(read_frame(c, &len), FIN | CLOSE);
	assert_true(len > 2 && len <= 125);
	assert_int_equal((uint8_t)c->in[0] << 8 | (uint8_t)c->in[1], code);
	memcpy(echo, c->in, 2);
	api_client_take(c, len);
	say_bytes(c, FIN | CLOSE, echo, 2);
	api_client_until_ended(c);
	assert_int_equal(c->len, 0);
	api_client_free(c);
}

static void test_refused(void **state)
{
	static const struct {
		const char *path, *head;
		int status;
	} table[] = {
		{STREAM, "Origin: http://evil.example\r\n", 403},
		{STREAM, "Sec-Fetch-Site: cross-site\r\n", 403},
		{STREAM, "Sec-WebSocket-Protocol: unknown\r\n", 400},
		{"/api/v1/nothing", "Sec-WebSocket-Protocol: " WS_MESSAGES "\r\n", 404},
	};
	struct world w = world_new(NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct api_client *c = api_client_open(w.api);

		upgrade(&w, c, table[i].path, table[i].head);
		assert_int_equal(take_head(c), table[i].status);
		api_client_free(c);
	}
	assert_null(w.api->api->sessions);
	world_free(&w);
}

static void test_token(void **state)
{
	char path[] = "/tmp/test-ws-socket-XXXXXX";
	const int fd = mkstemp(path);
	struct api_client *c;
	struct world w;

	(void)state;
	assert_true(fd >= 0 && write(fd, "correct-horse-battery\n", 22) == 22 && fchmod(fd, 0600) == 0);
	close(fd);
	w = world_new(path);
	c = api_client_open(w.api);
	upgrade(&w, c, STREAM, "Sec-WebSocket-Protocol: " WS_MESSAGES "\r\n");
	assert_int_equal(take_head(c), 401);
	api_client_free(c);
	c = api_client_open(w.api);
	upgrade(&w, c, STREAM, "Sec-WebSocket-Protocol: " WS_MESSAGES ", bearer.Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5\r\n");
	assert_int_equal(take_head(c), 101);
	say(c, INIT);
	expect_part(c, "\"type\":\"ack\"");
	api_client_free(c);
	world_free(&w);
	unlink(path);
}

static void test_no_subprotocol(void **state)
{
	struct world w = world_new(NULL);

	(void)state;
	expect_close(client_open(&w, STREAM, NULL), WS_CLOSE_SUBPROTOCOL);
	expect_close(client_open(&w, "/api/v1/events", NULL), WS_CLOSE_SUBPROTOCOL);
	assert_null(w.api->api->sessions);
	world_free(&w);
}

static bool has_no_sessions(void *ctx)
{
	return !((struct api *)ctx)->sessions;
}

static void test_cut_and_resume(void **state)
{
	struct world w = world_new(NULL);
	struct api_client *c = client_open(&w, STREAM, WS_MESSAGES);
	char stream[33] = "", text[200];
	const char *at;
	size_t len;

	(void)state;
	say(c, INIT);
	assert_int_equal(read_frame(c, &len), FIN | TEXT);
	at = strstr(c->in, "\"stream\":\"");
	assert_non_null(at);
	memcpy(stream, at + strlen("\"stream\":\""), 32);
	api_client_take(c, len);
	ws_world_message(w.ws, "", 1);
	ws_world_message(w.ws, "", 2);
	expect_part(c, "\"offset\":1,");
	expect_part(c, "\"offset\":2,");
	say(c, "{\"type\":\"ack\",\"offset\":1}");
	say(c, "{\"type\":\"ping\"}");
	expect_part(c, "pong");
	assert_int_equal(post_load(w.ws->api.post).inbox_count, 1);
	api_client_free(c);
	api_world_until(w.api, has_no_sessions, w.api->api);
	c = client_open(&w, STREAM, WS_MESSAGES);
	snprintf(text, sizeof(text),
		 "{\"type\":\"init\",\"resume\":{\"epoch\":\"e0000000000000000000000000000000\",\"stream\":\"%s\","
		 "\"offset\":1}}",
		 stream);
	say(c, text);
	expect_part(c, "\"recovered\":true");
	expect_part(c, "\"payload\":\"eHg=\"");
	say(c, "{\"type\":\"send\",\"ref\":\"1\",\"dst\":{\"ip\":\"402::1\"},\"payload\":\"\"}");
	expect_part(c, "\"type\":\"sent\",\"ref\":\"1\"");
	say_bytes(c, FIN | CLOSE, "\x03\xe8", 2);
	assert_int_equal(read_frame(c, &len), FIN | CLOSE);
	api_client_take(c, len);
	api_client_until_ended(c);
	api_client_free(c);
	world_free(&w);
}

static void test_close_codes(void **state)
{
	struct world w = world_new(NULL);
	struct api_client *c = client_open(&w, STREAM, WS_MESSAGES), *events;
	char *large = calloc(1, LIMIT_WS_FRAME_BYTES + 1);

	(void)state;
	say(c, "{");
	expect_close(c, WS_CLOSE_FRAME);
	c = client_open(&w, STREAM, WS_MESSAGES);
	say_bytes(c, FIN | BINARY, INIT, strlen(INIT));
	expect_close(c, WS_CLOSE_FRAME);
	assert_non_null(large);
	c = client_open(&w, STREAM, WS_MESSAGES);
	say_bytes(c, FIN | TEXT, large, LIMIT_WS_FRAME_BYTES + 1);
	expect_close(c, WS_CLOSE_TOO_LARGE);
	free(large);
	c = client_open(&w, STREAM, WS_MESSAGES);
	say(c, INIT);
	expect_part(c, "\"type\":\"ack\"");
	w.api->api->sessions->opened.us -= 60 * 1000000LL; /* what is begun is not hurried */
	events = client_open(&w, "/api/v1/events", WS_EVENTS);
	api_event(w.api->api, API_EVENT_LINK, API_EVENT_ADD, &(struct api_event_field){.name = NULL});
	expect_part(events, "\"type\":\"link\"");
	ws_close_all(w.api->api);
	expect_close(c, WS_CLOSE_AWAY);
	expect_close(events, WS_CLOSE_AWAY);
	c = client_open(&w, STREAM, WS_MESSAGES);
	w.api->api->sessions->opened.us -= 60 * 1000000LL;
	expect_close(c, WS_CLOSE_INIT);
	world_free(&w);
}

static void test_too_many(void **state)
{
	struct world w = world_new(NULL);
	struct api_client *c[LIMIT_WS_CLIENTS_PER_ADDRESS];

	(void)state;
	for (int i = 0; i < LIMIT_WS_CLIENTS_PER_ADDRESS; i++)
		c[i] = client_open(&w, STREAM, WS_MESSAGES);
	expect_close(client_open(&w, STREAM, WS_MESSAGES), WS_CLOSE_LIMIT);
	for (int i = 0; i < LIMIT_WS_CLIENTS_PER_ADDRESS; i++)
		api_client_free(c[i]);
	world_free(&w);
}

/* Frames of the client in fragments, with control frames between them. */
static void test_fragments_in(void **state)
{
	struct world w = world_new(NULL);
	struct api_client *c = client_open(&w, STREAM, WS_MESSAGES);
	char *large = malloc(LIMIT_WS_FRAME_BYTES);
	const char *ping = "{\"type\":\"ping\"}";
	size_t len;

	(void)state;
	say_bytes(c, TEXT, "{\"type\":", 8);
	say_bytes(c, FIN | PING, "abc", 3);
	say_bytes(c, 0, "", 0);
	say_bytes(c, FIN | PONG, "x", 1);
	say_bytes(c, FIN, "\"init\"}", 7);
	assert_int_equal(read_frame(c, &len), FIN | PONG);
	assert_true(len == 3 && memcmp(c->in, "abc", 3) == 0);
	api_client_take(c, len);
	expect_part(c, "\"type\":\"ack\"");
	assert_non_null(large);
	memset(large, ' ', LIMIT_WS_FRAME_BYTES);
	memcpy(large, ping, strlen(ping));
	say_bytes(c, FIN | TEXT, large, LIMIT_WS_FRAME_BYTES);
	expect_part(c, "pong");
	say_bytes(c, TEXT, large, 500000);
	say_bytes(c, FIN, large + 500000, LIMIT_WS_FRAME_BYTES - 500000);
	expect_part(c, "pong");
	free(large);
	api_client_free(c);
	world_free(&w);
}

/* Reads a message of many fragments; returns its length. */
static size_t read_fragments(struct api_client *c)
{
	size_t all = 0, len;
	int first;

	do {
		first = read_frame(c, &len);
		assert_int_equal(first & 0x7f, all == 0 ? TEXT : 0);
		all += len;
		api_client_take(c, len);
	} while (!(first & FIN));
	return all;
}

/* As if it was long ago that the client took anything. */
static bool is_given_up(void *ctx)
{
	struct ws_session *s = ((struct api *)ctx)->sessions;

	s->progress_at.us -= LIMIT_WS_STALL_MS * 1000LL;
	return s->closing;
}

/* Who does not read is closed; and if it then reads, it learns why. */
static void test_large_and_slow(void **state)
{
	struct world w = world_new(NULL);
	struct api_client *c = client_open(&w, STREAM, WS_MESSAGES);
	size_t len;
	int first;

	(void)state;
	say(c, INIT);
	expect_part(c, "\"type\":\"ack\"");
	ws_world_message(w.ws, "", 3 * 1000 * 1000);
	len = read_fragments(c);
	assert_true(len > 4 * 1000 * 1000 && len < 4 * 1000 * 1000 + 1000);
	ws_world_message(w.ws, "", 15 * 1000 * 1000);
	api_world_until(w.api, is_given_up, w.api->api);
	while ((first = read_frame(c, &len) & 0x0f) != CLOSE) {
		assert_true(first == TEXT || first == 0);
		api_client_take(c, len);
	}
	assert_int_equal((uint8_t)c->in[0] << 8 | (uint8_t)c->in[1], WS_CLOSE_SLOW);
	api_client_free(c);
	world_free(&w);
}

/* As many events in one turn of the loop as the queue holds. */
static void test_burst(void **state)
{
	enum { COUNT = 2000 };
	struct world w = world_new(NULL);
	struct api_client *c = client_open(&w, "/api/v1/events", WS_EVENTS);
	struct api_event_field fields[] = {
		{.name = "n"}, {.name = "rest", .text = "0123456789012345678901234567890123456789"}, {.name = NULL}};
	char part[32];

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		fields[0].number = (uint64_t)i;
		api_event(w.api->api, API_EVENT_ROUTE, API_EVENT_CHANGE, fields);
	}
	for (int i = 0; i < COUNT; i++) {
		snprintf(part, sizeof(part), "\"n\":%d,", i);
		expect_part(c, part);
	}
	api_client_free(c);
	world_free(&w);
}

static void test_pings(void **state)
{
	struct world w = world_new(NULL);
	struct api_client *c = client_open(&w, "/api/v1/events", WS_EVENTS);
	struct ws_session *s = w.api->api->sessions;
	struct mono before;
	size_t len;

	(void)state;
	s->ping_at = mono_now();
	assert_int_equal(read_frame(c, &len), FIN | PING);
	assert_true(len > 0);
	before = s->heard;
	say_bytes(c, FIN | PONG, c->in, len);
	api_client_take(c, len);
	say(c, "{\"type\":\"ping\"}");
	expect_part(c, "pong");
	assert_true(s->heard.us > before.us);
	s->heard.us -= LIMIT_WS_DEAD_MS * 1000LL;
	api_client_until_ended(c);
	assert_int_equal(c->len, 0);
	api_client_free(c);
	world_free(&w);
}

static void test_stop(void **state)
{
	struct world w = world_new(NULL);
	struct api_client *c = client_open(&w, STREAM, WS_MESSAGES), *deaf = client_open(&w, STREAM, WS_MESSAGES);
	size_t len;

	(void)state;
	say(c, INIT);
	expect_part(c, "\"type\":\"ack\"");
	ws_close_all(w.api->api);
	assert_int_equal(read_frame(c, &len), FIN | CLOSE); /* neither of them answers */
	assert_int_equal((uint8_t)c->in[0] << 8 | (uint8_t)c->in[1], WS_CLOSE_AWAY);
	w.api->api->limits.stop_ms = 50;
	api_world_stop(w.api);
	assert_null(w.api->api->sessions);
	api_client_take(c, len);
	api_client_until_ended(c);
	api_client_free(c);
	api_client_free(deaf);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),	       cmocka_unit_test(test_token),
		cmocka_unit_test(test_no_subprotocol), cmocka_unit_test(test_cut_and_resume),
		cmocka_unit_test(test_close_codes),    cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_fragments_in),   cmocka_unit_test(test_large_and_slow),
		cmocka_unit_test(test_burst),	       cmocka_unit_test(test_pings),
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
