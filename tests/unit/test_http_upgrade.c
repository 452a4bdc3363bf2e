/* SPDX-License-Identifier: Apache-2.0 */
/* From HTTP to WebSocket: what is refused, and that what is let through is a WebSocket until its end, and is counted.
 */
#include "tests/unit/test_http.h"

#include "shared/limits.h"
#include <unistd.h>

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
/* Of that key (RFC 6455, 1.3). */
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define VERSION_13 "Sec-WebSocket-Version: 13\r\n"
#define UPGRADE "Connection: Upgrade\r\nUpgrade: websocket\r\n"
#define PROTOCOL "Sec-WebSocket-Protocol: "
#define EVENTS "mycelium.events.v1+json"
#define MESSAGES "mycelium.msg.v1+json"

#define TOKEN "0123456789abcdef"
#define TOKEN_BASE64 "MDEyMzQ1Njc4OWFiY2RlZg"

static struct api_client *ask(struct api_world *w, const char *method, const char *path, const char *head)
{
	struct api_client *c = api_client_open(w);

	api_client_ask(c, &(const struct api_ask){.method = method, .path = path, .head = head});
	return c;
}

static void test_refusals(void **state)
{
	static const struct {
		const char *method, *path, *head;
		int status;
	} rows[] = {
		{"GET", "/api/v1/events", "", 426},
		{"GET", "/api/v1/events", KEY VERSION_13, 426},
		{"GET", "/api/v1/events", "Connection: Upgrade\r\n" KEY VERSION_13, 426},
		{"GET", "/api/v1/events", "Upgrade: websocket\r\n" KEY VERSION_13, 426},
		{"GET", "/api/v1/events", "Connection: Upgrade\r\nUpgrade: h2c\r\n" KEY VERSION_13, 426},
		{"GET", "/api/v1/events", UPGRADE KEY, 426},
		{"GET", "/api/v1/events", UPGRADE KEY "Sec-WebSocket-Version: 8\r\n", 426},
		{"GET", "/api/v1/events", UPGRADE VERSION_13, 400},
		{"GET", "/api/v1/events", UPGRADE VERSION_13 "Sec-WebSocket-Key: short\r\n", 400},
		{"GET", "/api/v1/events", UPGRADE VERSION_13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==\r\n", 400},
		{"GET", "/api/v1/events", UPGRADE VERSION_13 KEY KEY, 400},
		{"GET", "/api/v1/events", UPGRADE VERSION_13 KEY "Content-Length: 3\r\n", 400},
		{"GET", "/api/v1/events", UPGRADE VERSION_13 KEY PROTOCOL "chat\r\n", 400},
		{"GET", "/api/v1/events", UPGRADE VERSION_13 KEY PROTOCOL MESSAGES "\r\n", 400},
		{"GET", "/api/v1/events", UPGRADE VERSION_13 KEY PROTOCOL "MYCELIUM.EVENTS.V1+JSON\r\n", 400},
		{"GET", "/api/v1/messages/stream", UPGRADE VERSION_13 KEY PROTOCOL EVENTS "\r\n", 400},
		{"GET", "/api/v1/messages/stream/", UPGRADE VERSION_13 KEY PROTOCOL MESSAGES "\r\n", 404},
		{"POST", "/api/v1/events", UPGRADE VERSION_13 KEY PROTOCOL EVENTS "\r\n", 405},
		{"HEAD", "/api/v1/events", UPGRADE VERSION_13 KEY PROTOCOL EVENTS "\r\n", 405},
		{"GET", "/api/v1/events", UPGRADE VERSION_13 KEY PROTOCOL EVENTS "\r\nOrigin: http://evil.example\r\n",
		 403},
		{"GET", "/api/v1/events", UPGRADE VERSION_13 KEY PROTOCOL EVENTS "\r\nSec-Fetch-Site: cross-site\r\n",
		 403},
		{"GET", "/api/v1/events", UPGRADE VERSION_13 KEY PROTOCOL EVENTS "\r\nHost: x\r\n", 400},
		/* Elsewhere the wish for another protocol is not heard (RFC 9110, 7.8). */
		{"GET", "/livez", UPGRADE VERSION_13 KEY, 200},
	};
	struct api_world *w = world_new();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct api_client *c = ask(w, rows[i].method, rows[i].path, rows[i].head);
		struct api_answer a = api_client_answer(c, strcmp(rows[i].method, "HEAD") == 0);

		if (a.status != rows[i].status)
			fail_msg("row %zu: %d instead of %d", i, a.status, rows[i].status);
		assert_true(a.status != 426 || strcmp(api_answer_header(&a, "Upgrade"), "websocket") == 0);
		assert_true(a.status == 405 || a.status == 404 || a.len > 0);
		api_answer_fini(&a);
		api_client_free(c);
	}
	api_world_free(w);
}

static void expect_switch(struct api_client *c, const char *protocol)
{
	struct api_answer a = api_client_answer(c, false);
	const char *named;

	assert_int_equal(a.status, 101);
	assert_string_equal(api_answer_header(&a, "Sec-WebSocket-Accept"), ACCEPT);
	named = api_answer_header(&a, "Sec-WebSocket-Protocol");
	assert_true(protocol ? named && strcmp(named, protocol) == 0 : !named);
	assert_null(api_answer_header(&a, "Sec-WebSocket-Extensions"));
	api_answer_fini(&a);
}

/* The server's next frame is a close with this code. */
static void expect_close(struct api_client *c, unsigned code)
{
	api_client_read(c, 4);
	assert_true(c->len >= 4);
	assert_int_equal((uint8_t)c->in[0], 0x88);
	assert_int_equal((uint8_t)c->in[2] << 8 | (uint8_t)c->in[3], code);
}

static bool has_no_socket(void *ctx)
{
	const struct api_world *w = ctx;

	return !w->api->sessions;
}

static void test_switches(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = ask(w, "GET", "/api/v1/events",
				   "Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n" KEY VERSION_13
				   "Sec-WebSocket-Extensions: permessage-deflate\r\n" PROTOCOL "x, " EVENTS " ,y\r\n");

	(void)state;
	expect_switch(c, EVENTS);
	api_client_free(c);
	c = ask(w, "GET", "/api/v1/messages/stream", UPGRADE KEY VERSION_13 PROTOCOL MESSAGES "\r\n");
	expect_switch(c, MESSAGES);
	api_client_free(c);
	api_world_until(w, has_no_socket, w);
	api_world_free(w);
}

/* A frame that comes together with the request is not lost. */
static void test_frame_behind_the_head(void **state)
{
	static const uint8_t ping[] = {0x89, 0x82, 1, 2, 3, 4, 'h' ^ 1, 'i' ^ 2}; /* masked */
	static const uint8_t pong[] = {0x8a, 2, 'h', 'i'};
	struct api_world *w = world_new();
	struct api_client *c = api_client_open(w);
	char text[400];
	const int len = snprintf(text, sizeof(text),
				 "GET /api/v1/events HTTP/1.1\r\nHost: %s\r\n" UPGRADE KEY VERSION_13 PROTOCOL EVENTS
				 "\r\n\r\n",
				 w->host);

	(void)state;
	memcpy(text + len, ping, sizeof(ping));
	api_client_send(c, text, (size_t)len + sizeof(ping));
	expect_switch(c, EVENTS);
	api_client_read(c, sizeof(pong));
	assert_int_equal(c->len, sizeof(pong));
	assert_memory_equal(c->in, pong, sizeof(pong));
	api_client_free(c);
	api_world_free(w);
}

static void test_no_subprotocol(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = ask(w, "GET", "/api/v1/events", UPGRADE KEY VERSION_13);

	(void)state;
	expect_switch(c, NULL);
	expect_close(c, 4406);
	api_client_free(c);
	api_world_free(w);
}

static void write_token(char path[64])
{
	int fd;

	strcpy(path, "/tmp/test_http_upgrade-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, TOKEN "\n", sizeof(TOKEN)), sizeof(TOKEN));
	close(fd);
}

static void test_token_as_subprotocol(void **state)
{
	struct api_setup s = {0};
	struct api_world *w;
	struct api_client *c;
	char path[64];

	(void)state;
	write_token(path);
	s.config.token_file = path;
	w = api_world_new(&s);
	c = ask(w, "GET", "/api/v1/events", UPGRADE KEY VERSION_13 PROTOCOL EVENTS ", bearer." TOKEN_BASE64 "\r\n");
	expect_switch(c, EVENTS);
	api_client_free(c);
	c = ask(w, "GET", "/api/v1/events",
		UPGRADE KEY VERSION_13 PROTOCOL EVENTS "\r\nAuthorization: Bearer " TOKEN "\r\n");
	expect_switch(c, EVENTS);
	api_client_free(c);
	/* The token is no subprotocol. */
	c = ask(w, "GET", "/api/v1/events", UPGRADE KEY VERSION_13 PROTOCOL "bearer." TOKEN_BASE64 "\r\n");
	expect_switch(c, NULL);
	expect_close(c, 4406);
	api_client_free(c);
	c = ask(w, "GET", "/api/v1/events", UPGRADE KEY VERSION_13 PROTOCOL EVENTS ", bearer.AAAA\r\n");
	expect_answer(c, 401, NULL);
	api_client_free(c);
	api_world_free(w);
	unlink(path);
}

static unsigned free_slots(struct api_world *w, unsigned want)
{
	struct api_client *c[LIMIT_API_CONNECTIONS_PER_ADDRESS + 1];
	unsigned good = 0;

	for (unsigned i = 0; i < want; i++) {
		struct api_answer a;

		c[i] = api_client_open(w);
		say_get(c[i], "/livez");
		a = api_client_answer(c[i], false);
		good += a.status == 200;
		api_answer_fini(&a);
	}
	for (unsigned i = 0; i < want; i++)
		api_client_free(c[i]);
	api_world_turn(w);
	return good;
}

/* A WebSocket is a connection like any other, until it is closed. */
static void test_sockets_count(void **state)
{
	struct api_world *w = world_new();
	struct api_client *c = ask(w, "GET", "/api/v1/events", UPGRADE KEY VERSION_13 PROTOCOL EVENTS "\r\n");

	(void)state;
	expect_switch(c, EVENTS);
	assert_int_equal(free_slots(w, LIMIT_API_CONNECTIONS_PER_ADDRESS), LIMIT_API_CONNECTIONS_PER_ADDRESS - 1);
	api_client_free(c);
	api_world_until(w, has_no_socket, w);
	api_world_turn(w);
	assert_int_equal(free_slots(w, LIMIT_API_CONNECTIONS_PER_ADDRESS), LIMIT_API_CONNECTIONS_PER_ADDRESS);
	api_world_free(w);
}

/* One that does not answer the close does not hold up the end. */
static void test_stop_with_sockets(void **state)
{
	struct api_world *w = world_new();
	struct api_client *deaf = ask(w, "GET", "/api/v1/events", UPGRADE KEY VERSION_13 PROTOCOL EVENTS "\r\n"),
			  *gone = ask(w, "GET", "/api/v1/events", UPGRADE KEY VERSION_13 PROTOCOL EVENTS "\r\n");

	(void)state;
	w->api->limits.stop_ms = 100;
	expect_switch(deaf, EVENTS);
	expect_switch(gone, EVENTS);
	api_client_free(gone);
	api_world_stop(w);
	expect_close(deaf, 1001);
	api_client_until_ended(deaf);
	api_client_free(deaf);
	api_world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_switches),
		cmocka_unit_test(test_frame_behind_the_head),
		cmocka_unit_test(test_no_subprotocol),
		cmocka_unit_test(test_token_as_subprotocol),
		cmocka_unit_test(test_sockets_count),
		cmocka_unit_test(test_stop_with_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
