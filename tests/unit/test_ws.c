/* SPDX-License-Identifier: Apache-2.0 */
/* WebSocket sessions: limits, time, what is queued, and every way in which one is closed but bad frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "tests/unit/ws_world.h"
#include <cmocka.h>

#define INIT "{\"type\":\"init\"}"
#define PING "{\"type\":\"ping\"}"
#define PONG "{\"type\":\"pong\"}"

static bool is_closed(const struct ws_client *c, enum ws_close code)
{
	return c->session->closing && c->session->code == code && c->session->reason && c->woken > 0;
}

static struct ws_client *client_begun(struct ws_world *w)
{
	struct ws_client *c = ws_client_new(w, WS_KIND_MESSAGES, 1);

	ws_client_say(w, c, INIT);
	assert_non_null(strstr(ws_client_next(c), "\"type\":\"ack\""));
	assert_null(ws_client_next(c));
	return c;
}

static void test_who_is_let_in(void **state)
{
	struct ws_world *w = ws_world_new();
	struct ws_client *c[LIMIT_WS_CLIENTS + 1], *more;

	(void)state;
	more = ws_client_new(w, WS_KIND_NONE, 1);
	assert_true(is_closed(more, WS_CLOSE_SUBPROTOCOL));
	for (int i = 0; i < LIMIT_WS_CLIENTS_PER_ADDRESS; i++) {
		c[i] = ws_client_new(w, i & 1 ? WS_KIND_EVENTS : WS_KIND_MESSAGES, 1); /* `more` does not count */
		assert_false(c[i]->session->closing);
	}
	ws_client_free(w, more);
	more = ws_client_new(w, WS_KIND_EVENTS, 1);
	assert_true(is_closed(more, WS_CLOSE_LIMIT));
	ws_client_free(w, more);
	for (unsigned i = LIMIT_WS_CLIENTS_PER_ADDRESS; i < LIMIT_WS_CLIENTS; i++) {
		c[i] = ws_client_new(w, WS_KIND_MESSAGES, i);
		assert_false(c[i]->session->closing);
	}
	more = ws_client_new(w, WS_KIND_MESSAGES, 1000);
	assert_true(is_closed(more, WS_CLOSE_LIMIT));
	ws_client_free(w, more);
	ws_client_free(w, c[0]);
	c[0] = ws_client_new(w, WS_KIND_MESSAGES, 1);
	assert_false(c[0]->session->closing);
	ws_close_all(&w->api);
	for (int i = 0; i < LIMIT_WS_CLIENTS; i++) {
		assert_true(is_closed(c[i], WS_CLOSE_AWAY));
		ws_client_free(w, c[i]);
	}
	w->api.stopping = true;
	more = ws_client_new(w, WS_KIND_EVENTS, 1);
	assert_true(is_closed(more, WS_CLOSE_AWAY));
	ws_client_free(w, more);
	ws_world_free(w);
}

static void tick(struct ws_world *w, struct ws_client *c, int64_t ms)
{
	ws_world_pass_ms(w, ms);
	ws_session_tick(c->session, w->now);
}

static void test_init_in_time(void **state)
{
	struct ws_world *w = ws_world_new();
	struct ws_client *late = ws_client_new(w, WS_KIND_MESSAGES, 1), *events = ws_client_new(w, WS_KIND_EVENTS, 1);
	struct ws_client *good = client_begun(w);

	(void)state;
	tick(w, late, LIMIT_WS_INIT_MS - 1);
	assert_false(late->session->closing);
	tick(w, late, 1);
	assert_true(is_closed(late, WS_CLOSE_INIT));
	tick(w, good, 0);
	tick(w, events, 0);
	assert_false(good->session->closing || events->session->closing);
	ws_client_say(w, late, INIT); /* too late */
	assert_null(late->session->stream);
	assert_null(ws_client_next(late));
	ws_client_free(w, late);
	ws_client_free(w, events);
	ws_client_free(w, good);
	ws_world_free(w);
}

static void test_pings(void **state)
{
	struct ws_world *w = ws_world_new();
	struct ws_client *c = client_begun(w), *deaf = client_begun(w);

	(void)state;
	c->woken = 0;
	tick(w, c, LIMIT_WS_PING_MS - 1);
	assert_false(c->session->ping_due);
	for (int i = 0; i < 4; i++) {
		tick(w, c, i == 0 ? 1 : LIMIT_WS_PING_MS);
		assert_true(c->session->ping_due && c->woken > 0);
		c->session->ping_due = false;
		ws_session_writable(c->session);
		ws_session_heard(c->session, w->now);
		if (i < 2) {
			ws_session_writable(deaf->session);
			ws_session_tick(deaf->session, w->now);
			assert_false(deaf->session->closing);
		}
	}
	ws_session_writable(deaf->session);
	ws_session_tick(deaf->session, w->now);
	assert_true(deaf->session->closing && deaf->session->hang_up);
	assert_false(c->session->closing);
	ws_client_free(w, c);
	ws_client_free(w, deaf);
	ws_world_free(w);
}

/* Slow is who takes nothing, not who takes little. */
static void test_stall(void **state)
{
	struct ws_world *w = ws_world_new();
	struct ws_client *c = client_begun(w), *idle = client_begun(w), *little = client_begun(w);

	(void)state;
	ws_client_say(w, c, PING);
	ws_client_say(w, little, PING);
	tick(w, c, 0);
	ws_session_tick(little->session, w->now);
	tick(w, c, LIMIT_WS_STALL_MS - 1);
	assert_false(c->session->closing);
	little->session->progress++;
	ws_session_tick(little->session, w->now);
	tick(w, c, 1);
	assert_true(is_closed(c, WS_CLOSE_SLOW));
	ws_session_tick(little->session, w->now);
	ws_session_tick(idle->session, w->now);
	assert_false(little->session->closing || idle->session->closing);
	tick(w, little, LIMIT_WS_STALL_MS - 1);
	assert_true(is_closed(little, WS_CLOSE_SLOW));
	ws_client_free(w, c);
	ws_client_free(w, idle);
	ws_client_free(w, little);
	ws_world_free(w);
}

static void test_queue_of_answers(void **state)
{
	struct ws_world *w = ws_world_new();
	struct ws_client *c = client_begun(w);
	const size_t count = LIMIT_WS_QUEUE_BYTES / strlen(PONG);

	(void)state;
	for (size_t i = 0; i < count; i++)
		ws_client_say(w, c, PING);
	assert_false(c->session->closing);
	assert_string_equal(ws_client_next(c), PONG);
	ws_client_say(w, c, PING);
	assert_false(c->session->closing);
	ws_client_say(w, c, PING);
	assert_true(is_closed(c, WS_CLOSE_SLOW));
	assert_null(ws_client_next(c)); /* nothing but the close leaves any more */
	ws_session_end(c->session, w->now);
	assert_int_equal(c->session->text_bytes, 0);
	ws_client_free(w, c);
	ws_world_free(w);
}

/* Pieces of one frame, and the largest. */
static void test_pieces(void **state)
{
	struct ws_world *w = ws_world_new();
	struct ws_client *c = client_begun(w);
	const char *ping = "{\"type\": \"ping\"}";
	char *large = malloc(LIMIT_WS_FRAME_BYTES + 1);

	(void)state;
	for (size_t i = 0; i <= strlen(ping); i++) {
		const struct ws_piece a = {.bytes = ping, .len = i, .first = true, .remaining = strlen(ping) - i};
		const struct ws_piece b = {.bytes = ping + i, .len = strlen(ping) - i, .final = true};

		ws_session_piece(c->session, &a, w->now);
		assert_null(ws_client_next(c));
		ws_session_piece(c->session, &b, w->now);
		assert_string_equal(ws_client_next(c), PONG);
		assert_null(c->session->in);
	}
	assert_non_null(large);
	memset(large, ' ', LIMIT_WS_FRAME_BYTES + 1);
	memcpy(large, ping, strlen(ping));
	for (size_t step = 100000; step <= LIMIT_WS_FRAME_BYTES; step += LIMIT_WS_FRAME_BYTES - 100000) {
		for (size_t at = 0; at < LIMIT_WS_FRAME_BYTES; at += step) {
			const size_t left = LIMIT_WS_FRAME_BYTES - at, len = left < step ? left : step;
			const struct ws_piece p = {
				.bytes = large + at, .len = len, .first = at == 0, .final = len == left};

			ws_session_piece(c->session, &p, w->now);
		}
		assert_string_equal(ws_client_next(c), PONG);
	}
	ws_client_say_bytes(w, c, large, LIMIT_WS_FRAME_BYTES + 1);
	assert_true(is_closed(c, WS_CLOSE_TOO_LARGE));
	free(large);
	ws_client_free(w, c);
	ws_world_free(w);
}

static void test_too_large(void **state)
{
	const struct {
		size_t first, remaining, second;
		bool ok;
	} table[] = {
		{1000, LIMIT_WS_FRAME_BYTES - 1000, 1, true},
		{1000, LIMIT_WS_FRAME_BYTES - 999, 0, false}, /* known at once */
		{1, SIZE_MAX, 0, false},
		{1000, 0, LIMIT_WS_FRAME_BYTES - 1000, true},
		{1000, 0, LIMIT_WS_FRAME_BYTES - 999, false},
	};
	char *bytes = calloc(1, LIMIT_WS_FRAME_BYTES);

	(void)state;
	assert_non_null(bytes);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct ws_world *w = ws_world_new();
		struct ws_client *c = client_begun(w);
		const struct ws_piece a = {
			.bytes = bytes, .len = table[i].first, .remaining = table[i].remaining, .first = true};
		const struct ws_piece b = {.bytes = bytes, .len = table[i].second};

		ws_session_piece(c->session, &a, w->now);
		ws_session_piece(c->session, &b, w->now);
		assert_int_equal(!c->session->closing, table[i].ok);
		if (!table[i].ok)
			assert_true(is_closed(c, WS_CLOSE_TOO_LARGE) && c->session->in_cap <= LIMIT_WS_FRAME_BYTES);
		ws_client_free(w, c);
		ws_world_free(w);
	}
	free(bytes);
}

static void test_binary(void **state)
{
	struct ws_world *w = ws_world_new();
	struct ws_client *c = client_begun(w);
	const struct ws_piece p = {.bytes = PING, .len = strlen(PING), .first = true, .final = true, .binary = true};

	(void)state;
	ws_session_piece(c->session, &p, w->now);
	assert_true(is_closed(c, WS_CLOSE_FRAME));
	ws_session_close(c->session, WS_CLOSE_AWAY, "later"); /* the first reason counts */
	assert_true(is_closed(c, WS_CLOSE_FRAME));
	ws_client_free(w, c);
	ws_world_free(w);
}

static void test_events(void **state)
{
	const struct api_event_field fields[] = {
		{.name = "endpoint", .text = "a\"b"}, {.name = "bytes", .number = UINT64_MAX}, {.name = NULL}};
	const struct api_event_field none[] = {{.name = NULL}};
	struct ws_world *w = ws_world_new();
	struct ws_client *messages = client_begun(w), *c, *other;

	(void)state;
	assert_false(api_has_listeners(&w->api));
	api_event(&w->api, API_EVENT_PEER, API_EVENT_ADD, fields);
	assert_null(ws_client_next(messages));
	c = ws_client_new(w, WS_KIND_EVENTS, 2);
	other = ws_client_new(w, WS_KIND_EVENTS, 2);
	assert_true(api_has_listeners(&w->api));
	api_event(&w->api, API_EVENT_PEER, API_EVENT_ADD, fields);
	api_event(&w->api, API_EVENT_ROUTE, API_EVENT_CHANGE, none);
	api_event(&w->api, API_EVENT_SESSION, API_EVENT_FLUSH, none);
	api_event(&w->api, API_EVENT_LINK, API_EVENT_FLUSH, none);
	assert_string_equal(
		ws_client_next(other),
		"{\"type\":\"peer\",\"change\":\"add\",\"endpoint\":\"a\\\"b\",\"bytes\":18446744073709551615}");
	assert_string_equal(ws_client_next(other), "{\"type\":\"route\",\"change\":\"change\"}");
	assert_string_equal(ws_client_next(other), "{\"type\":\"session\",\"change\":\"flush\"}");
	assert_string_equal(ws_client_next(other), "{\"type\":\"link\",\"change\":\"flush\"}");
	ws_client_say(w, other, PING);
	assert_string_equal(ws_client_next(other), PONG);
	ws_client_say(w, other, INIT);
	assert_true(is_closed(other, WS_CLOSE_FRAME));
	for (int i = 0; i < LIMIT_WS_QUEUE_BYTES / 64 && !c->session->closing; i++)
		api_event(&w->api, API_EVENT_PEER, API_EVENT_ADD, fields);
	assert_true(is_closed(c, WS_CLOSE_SLOW));
	assert_false(api_has_listeners(&w->api));
	assert_null(ws_client_next(messages));
	ws_client_free(w, c);
	ws_client_free(w, other);
	ws_client_free(w, messages);
	ws_world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_is_let_in),
		cmocka_unit_test(test_init_in_time),
		cmocka_unit_test(test_pings),
		cmocka_unit_test(test_stall),
		cmocka_unit_test(test_queue_of_answers),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_binary),
		cmocka_unit_test(test_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
