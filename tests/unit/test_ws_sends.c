/* SPDX-License-Identifier: Apache-2.0 */
/* Messages sent on a WebSocket: the one answer to each, errors that keep the connection, states and how they coalesce,
 * and the bound of what is remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "controld/api/letter.h"
#include "tests/unit/ws_world.h"
#include <cmocka.h>

#define SENT "{\"type\":\"sent\",\"ref\":\""
#define TO_OTHER "\"dst\":{\"ip\":\"402::1\"},\"payload\":\"AAAA\""

static struct ws_client *client_begun(struct ws_world *w)
{
	struct ws_client *c = ws_client_new(w, WS_KIND_MESSAGES, 1);

	ws_client_say(w, c, "{\"type\":\"init\",\"topic\":\"bm9uZQ==\"}");
	assert_non_null(ws_client_next(c));
	return c;
}

/* Sends a message to another node; its order's handle, and its id in text. */
static uint64_t send_to_other(struct ws_world *w, struct ws_client *c, char id_text[LETTER_ID_TEXT_BYTES])
{
	struct message_status status;
	uint8_t id[RECORD_ID_BYTES];
	const char *text;

	ws_client_say(w, c, "{\"type\":\"send\",\"ref\":\"r\"," TO_OTHER "}");
	text = ws_client_next(c);
	assert_non_null(text);
	assert_memory_equal(text, SENT "r\",\"id\":\"", strlen(SENT "r\",\"id\":\""));
	memcpy(id_text, text + strlen(SENT "r\",\"id\":\""), 16);
	id_text[16] = '\0';
	assert_true(letter_id_read(id_text, id));
	assert_true(post_status(w->api.post, id, &status));
	return status.handle;
}

static void change(struct ws_world *w, uint64_t handle, enum message_state state)
{
	const struct message_status s = {.handle = handle, .state = state};

	api_on_status(&w->api, &s);
}

static void expect_status(struct ws_client *c, const char *id, const char *state)
{
	char want[100];

	snprintf(want, sizeof(want), "{\"type\":\"status\",\"id\":\"%s\",\"state\":\"%s\"}", id, state);
	assert_string_equal(ws_client_next(c), want);
}

static void test_states(void **state)
{
	struct ws_world *w = ws_world_new();
	struct ws_client *c = client_begun(w), *other = client_begun(w);
	char a_id[LETTER_ID_TEXT_BYTES], b_id[LETTER_ID_TEXT_BYTES];
	uint64_t a, b;

	(void)state;
	a = send_to_other(w, c, a_id);
	b = send_to_other(w, c, b_id);
	assert_null(ws_client_next(c)); /* pending is not told: `sent` says it */
	change(w, a, MESSAGE_SENDING);
	expect_status(c, a_id, "sending");
	change(w, a, MESSAGE_SENDING);
	assert_null(ws_client_next(c));
	change(w, b, MESSAGE_SENDING);
	change(w, a, MESSAGE_RECEIVED);
	change(w, b, MESSAGE_RECEIVED); /* two changes, one frame */
	expect_status(c, b_id, "received");
	expect_status(c, a_id, "received");
	change(w, a, MESSAGE_READ);
	expect_status(c, a_id, "read");
	change(w, a, MESSAGE_ABORTED); /* it has ended, and is forgotten */
	change(w, 12345, MESSAGE_READ);
	assert_null(ws_client_next(c));
	change(w, b, MESSAGE_ABORTED);
	expect_status(c, b_id, "aborted");
	assert_int_equal(c->session->answered_count, 0);
	assert_null(ws_client_next(other));
	ws_client_free(w, other);
	ws_client_free(w, c);
	ws_world_free(w);
}

/* A message to ourselves has arrived before `sent` is said. */
static void test_to_ourselves(void **state)
{
	struct ws_world *w = ws_world_new();
	struct ws_client *c = client_begun(w);
	const char *text;

	(void)state;
	ws_client_say(w, c,
		      "{\"type\":\"send\",\"ref\":\"\\\"\\u00e4\",\"dst\":{\"ip\":\"401::1\"},\"topic\":\"bm9uZQ==\","
		      "\"payload\":\"AAAA\",\"deadline\":10}");
	text = ws_client_next(c);
	assert_memory_equal(text, SENT "\\\"\xc3\xa4\"", strlen(SENT "\\\"\xc3\xa4\""));
	assert_non_null(strstr(ws_client_next(c), "\"state\":\"received\""));
	assert_non_null(strstr(ws_client_next(c), "\"type\":\"msg\",\"offset\":"));
	ws_client_say(w, c, "{\"type\":\"ack\",\"offset\":1}");
	assert_non_null(strstr(ws_client_next(c), "\"state\":\"read\""));
	assert_null(ws_client_next(c));
	ws_client_free(w, c);
	ws_world_free(w);
}

/* Its order has come far before the client is told that there is one. */
static void test_state_before_the_answer(void **state)
{
	static const char text[] = "{\"type\":\"send\",\"ref\":\"1\"," TO_OTHER ",\"replyTo\":\"0707070707070707\"}";
	const struct frame ack = {
		.type = FRAME_INIT_ACK, .id = {7, 7, 7, 7, 7, 7, 7, 7}, .reply = true, .init = {.length = 3}};
	const struct ws_piece p = {.bytes = text, .len = strlen(text), .first = true, .final = true};
	struct ws_world *w = ws_world_new();
	struct ws_client *c = client_begun(w);
	uint8_t bytes[FRAME_MAX_BYTES];
	struct wr wr = wr_init(bytes, sizeof(bytes));
	struct ip6 other;

	(void)state;
	ws_session_piece(c->session, &p, w->now);
	assert_int_equal(w->work_count, 1);
	ws_world_do(w, &w->work[--w->work_count]);
	frame_write(&wr, &ack);
	assert_int_equal(ip6_parse("402::1", &other), 0);
	post_packet(w->api.post, &other, &w->api.address, bytes, wr_len(&wr), w->now);
	assert_null(ws_client_next(c));
	ws_world_settle(w);
	assert_string_equal(ws_client_next(c), SENT "1\",\"id\":\"0707070707070707\"}");
	expect_status(c, "0707070707070707", "sending");
	ws_client_free(w, c);
	ws_world_free(w);
}

static void test_errors(void **state)
{
	static const struct {
		const char *members, *part;
	} table[] = {
		{"\"payload\":\"\"", "dst"},
		{"\"dst\":{\"ip\":\"402::1\"}", "payload"},
		{"\"dst\":{\"ip\":\"x\"},\"payload\":\"\"", "dst"},
		{"\"dst\":{\"ip\":\"402::1\"},\"payload\":\"?\"", "payload"},
		{TO_OTHER ",\"topic\":1", "topic"},
		{TO_OTHER ",\"deadline\":0", "deadline"},
		{TO_OTHER ",\"replyTo\":1", "replyTo"},
		{TO_OTHER ",\"replyTo\":\"0123\"", "replyTo"},
		{"\"payload\":\"\",\"replyTo\":\"0123456789abcdef\"", "dst"},
	};
	struct ws_world *w = ws_world_new();
	struct ws_client *c = client_begun(w);
	static const char error[] = "{\"type\":\"error\",\"ref\":\"7\",\"text\":\"";
	char text[1024], topic[345];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		snprintf(text, sizeof(text), "{\"type\":\"send\",\"ref\":\"7\",%s}", table[i].members);
		ws_client_say(w, c, text);
		assert_memory_equal(ws_client_next(c), error, strlen(error));
		assert_non_null(strstr(c->text, table[i].part));
		assert_null(ws_client_next(c));
	}
	memset(topic, 'A', 344);
	topic[344] = '\0';
	snprintf(text, sizeof(text), "{\"type\":\"send\",\"ref\":\"7\"," TO_OTHER ",\"topic\":\"%s\"}", topic);
	ws_client_say(w, c, text);
	assert_non_null(strstr(ws_client_next(c), "255"));
	w->order_error = -ENOSPC;
	ws_client_say(w, c, "{\"type\":\"send\",\"ref\":\"8\"," TO_OTHER "}");
	assert_string_equal(ws_client_next(c), "{\"type\":\"error\",\"ref\":\"8\",\"text\":\"the disk is full\"}");
	w->order_error = -EIO;
	ws_client_say(w, c, "{\"type\":\"send\",\"ref\":\"8\"," TO_OTHER "}");
	assert_non_null(strstr(ws_client_next(c), "could not be stored"));
	w->order_error = 0;
	ws_client_say(w, c, "{\"type\":\"send\",\"ref\":\"9\"," TO_OTHER ",\"replyTo\":\"0123456789abcdef\"}");
	assert_string_equal(ws_client_next(c), SENT "9\",\"id\":\"0123456789abcdef\"}");
	assert_false(c->session->closing);
	ws_client_free(w, c);
	ws_world_free(w);
}

static void test_ref_length(void **state)
{
	struct ws_world *w = ws_world_new();
	struct ws_client *c = client_begun(w);
	char text[400], ref[WS_REF_BYTES + 2] = {0};

	(void)state;
	memset(ref, 'r', WS_REF_BYTES);
	snprintf(text, sizeof(text), "{\"type\":\"send\",\"ref\":\"%s\"," TO_OTHER "}", ref);
	ws_client_say(w, c, text);
	assert_non_null(strstr(ws_client_next(c), ref));
	ref[WS_REF_BYTES] = 'r';
	snprintf(text, sizeof(text), "{\"type\":\"send\",\"ref\":\"%s\"," TO_OTHER "}", ref);
	ws_client_say(w, c, text);
	assert_true(c->session->closing && c->session->code == WS_CLOSE_FRAME);
	ws_client_free(w, c);
	ws_world_free(w);
}

/* What the post has not answered yet goes its way when the client is gone. */
static void test_gone_before_the_answer(void **state)
{
	struct ws_world *w = ws_world_new();
	struct ws_client *c = client_begun(w);
	const char *text = "{\"type\":\"send\",\"ref\":\"1\"," TO_OTHER "}";
	const struct ws_piece p = {.bytes = text, .len = strlen(text), .first = true, .final = true};

	(void)state;
	ws_session_piece(c->session, &p, w->now);
	assert_int_equal(c->session->unanswered_count, 1);
	ws_session_end(c->session, w->now);
	assert_int_equal(c->session->unanswered_count, 0);
	ws_client_free(w, c);
	assert_int_equal(post_load(w->api.post).message.out_count, 1);
	ws_world_free(w);
}

static void send_many(struct ws_world *w, struct ws_client *c, const char *text, unsigned count)
{
	const struct ws_piece p = {.bytes = text, .len = strlen(text), .first = true, .final = true};

	for (unsigned i = 0; i < count; i++)
		ws_session_piece(c->session, &p, w->now);
}

static void test_bound(void **state)
{
	struct ws_world *w = ws_world_new();
	struct ws_client *c = client_begun(w);
	char id[LETTER_ID_TEXT_BYTES], last_id[LETTER_ID_TEXT_BYTES];
	uint64_t first, second, last;

	(void)state;
	first = send_to_other(w, c, id);
	second = send_to_other(w, c, id);
	change(w, first, MESSAGE_SENDING);
	for (unsigned i = 2; i < WS_SENDS; i += 254) { /* few at a time: the answers must be read */
		send_many(w, c, "{\"type\":\"send\",\"ref\":\"1\",\"dst\":{\"ip\":\"403::1\"},\"payload\":\"\"}",
			  WS_SENDS - i < 254 ? WS_SENDS - i : 254);
		ws_world_settle(w);
		while (ws_client_next(c))
			;
	}
	assert_int_equal(c->session->answered_count, WS_SENDS);
	change(w, first, MESSAGE_RECEIVED); /* the oldest is not told any more after the next one */
	last = send_to_other(w, c, last_id);
	assert_int_equal(c->session->answered_count, WS_SENDS);
	assert_null(ws_client_next(c));
	change(w, first, MESSAGE_READ);
	change(w, second, MESSAGE_READ);
	change(w, last, MESSAGE_READ);
	expect_status(c, id, "read");
	expect_status(c, last_id, "read");
	assert_null(ws_client_next(c));
	ws_client_free(w, c);
	ws_world_free(w);
}

static void test_too_many_unanswered(void **state)
{
	struct ws_world *w = ws_world_new();
	struct ws_client *c = client_begun(w);
	const char *send = "{\"type\":\"send\",\"ref\":\"1\",\"dst\":{\"ip\":\"402::1\"},\"payload\":\"\"}";

	(void)state;
	send_many(w, c, send, WS_SENDS);
	assert_null(ws_client_next(c));
	assert_int_equal(c->session->unanswered_count, WS_SENDS);
	send_many(w, c, send, 1);
	assert_string_equal(ws_client_next(c), "{\"type\":\"error\",\"ref\":\"1\",\"text\":\"too many messages are on "
					       "their way\"}");
	assert_false(c->session->closing);
	ws_client_free(w, c);
	ws_world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_to_ourselves),
		cmocka_unit_test(test_state_before_the_answer),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_ref_length),
		cmocka_unit_test(test_gone_before_the_answer),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_too_many_unanswered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
