/* SPDX-License-Identifier: Apache-2.0 */
/* The message stream: bad frames, init, messages, window, acknowledgements, resuming, fragments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "controld/api/json.h"
#include "tests/unit/ws_world.h"
#include <cmocka.h>

#define INIT "{\"type\":\"init\"}"
#define EPOCH "e0000000000000000000000000000000"

/* The ack of an init. */
struct opened {
	char stream[40];
	double offset;
	bool recovered;
};

static cJSON *next_json(struct ws_client *c)
{
	const char *text = ws_client_next(c);
	char error[JSON_ERROR_BYTES];
	enum json_verdict verdict;

	return text ? json_parse(text, strlen(text), &verdict, error) : NULL;
}

static struct opened open_stream(struct ws_world *w, struct ws_client *c, const char *init)
{
	struct opened o;
	cJSON *j;

	ws_client_say(w, c, init);
	assert_false(c->session->closing);
	j = next_json(c);
	assert_string_equal(json_get(j, "type")->valuestring, "ack");
	assert_string_equal(json_get(j, "epoch")->valuestring, EPOCH);
	assert_int_equal(strlen(json_get(j, "stream")->valuestring), 32);
	strcpy(o.stream, json_get(j, "stream")->valuestring);
	o.offset = json_get(j, "offset")->valuedouble;
	o.recovered = cJSON_IsTrue(json_get(j, "recovered"));
	cJSON_Delete(j);
	return o;
}

static struct ws_client *client_begun(struct ws_world *w, const char *init)
{
	struct ws_client *c = ws_client_new(w, WS_KIND_MESSAGES, 1);

	(void)open_stream(w, c, init);
	return c;
}

/* The offset of the next message, whose payload has len bytes; -1: there is none. */
static double next_message(struct ws_client *c, size_t len)
{
	cJSON *j = next_json(c);
	double offset;

	if (!j)
		return -1;
	assert_string_equal(json_get(j, "type")->valuestring, "msg");
	assert_int_equal(strlen(json_get(j, "id")->valuestring), 16);
	assert_int_equal(strlen(json_get(j, "payload")->valuestring), (len + 2) / 3 * 4);
	offset = json_get(j, "offset")->valuedouble;
	cJSON_Delete(j);
	return offset;
}

static void ack(struct ws_world *w, struct ws_client *c, double offset)
{
	char text[64];

	snprintf(text, sizeof(text), "{\"type\":\"ack\",\"offset\":%.0f}", offset);
	ws_client_say(w, c, text);
}

static uint32_t inbox_count(const struct ws_world *w)
{
	return post_load(w->api.post).inbox_count;
}

static const struct {
	bool begun;
	const char *text;
} bad_frames[] = {
	{false, ""},
	{false, "{"},
	{false, "null"},
	{false, "[]"},
	{false, "\"init\""},
	{false, "{}"},
	{false, "{\"type\":1}"},
	{false, "{\"type\":\"Init\"}"},
	{false, "{\"Type\":\"init\"}"},
	{false, "{\"type\":\"init\"} {}"},
	{false, "{\"type\":\"init\",\"type\":\"init\"}"},
	{false, "{\"type\":\"init\",\"topic\":\"\xff\"}"},
	{false, "{\"type\":\"ping\"}"},
	{false, "{\"type\":\"ack\",\"offset\":0}"},
	{false, "{\"type\":\"send\",\"ref\":\"1\",\"dst\":{\"ip\":\"402::1\"},\"payload\":\"\"}"},
	{false, "{\"type\":\"init\",\"topic\":1}"},
	{false, "{\"type\":\"init\",\"topic\":\"?\"}"},
	{false, "{\"type\":\"init\",\"window\":0}"},
	{false, "{\"type\":\"init\",\"window\":1025}"},
	{false, "{\"type\":\"init\",\"window\":1.5}"},
	{false, "{\"type\":\"init\",\"window\":-1}"},
	{false, "{\"type\":\"init\",\"window\":\"64\"}"},
	{false, "{\"type\":\"init\",\"resume\":true}"},
	{false, "{\"type\":\"init\",\"resume\":{}}"},
	{false, "{\"type\":\"init\",\"resume\":{\"epoch\":\"" EPOCH "\",\"stream\":\"" EPOCH "\"}}"},
	{false, "{\"type\":\"init\",\"resume\":{\"epoch\":\"" EPOCH "\",\"stream\":\"00\",\"offset\":1}}"},
	{false, "{\"type\":\"init\",\"resume\":{\"epoch\":\"" EPOCH "0\",\"stream\":\"" EPOCH "\",\"offset\":1}}"},
	{false, "{\"type\":\"init\",\"resume\":{\"epoch\":\"" EPOCH "\",\"stream\":\"" EPOCH "\",\"offset\":-1}}"},
	{false, "{\"type\":\"init\",\"resume\":{\"epoch\":\"" EPOCH "\",\"stream\":\"" EPOCH "\",\"offset\":1e300}}"},
	{false, "{\"type\":\"init\",\"resume\":{\"epoch\":1,\"stream\":\"" EPOCH "\",\"offset\":1}}"},
	{true, INIT},
	{true, "{\"type\":\"ack\"}"},
	{true, "{\"type\":\"ack\",\"offset\":\"0\"}"},
	{true, "{\"type\":\"ack\",\"offset\":0.5}"},
	{true, "{\"type\":\"ack\",\"offset\":1}"}, /* never given */
	{true, "{\"type\":\"ack\",\"offset\":9007199254740992}"},
	{true, "{\"type\":\"msg\"}"},
	{true, "{\"type\":\"send\"}"},
	{true, "{\"type\":\"send\",\"ref\":1}"},
	{true, "{\"type\":\"send\",\"ref\":\"\"}"},
};

static void test_bad_frames(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_frames) / sizeof(bad_frames[0]); i++) {
		struct ws_world *w = ws_world_new();
		struct ws_client *c = ws_client_new(w, WS_KIND_MESSAGES, 1);

		if (bad_frames[i].begun)
			(void)open_stream(w, c, INIT);
		ws_client_say(w, c, bad_frames[i].text);
		if (!c->session->closing || c->session->code != WS_CLOSE_FRAME)
			fail_msg("%s: not closed by 4400", bad_frames[i].text);
		assert_true(strlen(c->session->reason) > 0 && strlen(c->session->reason) <= 123);
		assert_null(ws_client_next(c));
		ws_client_free(w, c);
		ws_world_free(w);
	}
}

static void test_good_inits(void **state)
{
	static const char *const table[] = {
		INIT,
		" { \"window\" : 1024 , \"type\" : \"init\" } ",
		"{\"type\":\"init\",\"topic\":null,\"window\":null,\"resume\":null}",
		"{\"type\":\"init\",\"topic\":\"\",\"window\":1,\"unknown\":[]}",
		"{\"type\":\"init\",\"resume\":{\"epoch\":\"" EPOCH "\",\"stream\":\"" EPOCH "\",\"offset\":7}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct ws_world *w = ws_world_new();
		struct ws_client *c = ws_client_new(w, WS_KIND_MESSAGES, 1);

		assert_false(open_stream(w, c, table[i]).recovered);
		assert_null(ws_client_next(c));
		ws_client_free(w, c);
		ws_world_free(w);
	}
}

static void test_window_and_ack(void **state)
{
	struct ws_world *w = ws_world_new();
	struct ws_client *c = client_begun(w, "{\"type\":\"init\",\"window\":2}");
	double a, b;

	(void)state;
	for (size_t i = 1; i <= 4; i++)
		ws_world_message(w, "", i);
	a = next_message(c, 1);
	b = next_message(c, 2);
	assert_true(b > a && a > 0);
	assert_null(ws_client_next(c));
	assert_int_equal(inbox_count(w), 4);
	ack(w, c, a);
	assert_int_equal(inbox_count(w), 3);
	a = next_message(c, 3);
	assert_true(a > b);
	assert_null(ws_client_next(c));
	ack(w, c, a); /* both */
	assert_int_equal(inbox_count(w), 1);
	b = next_message(c, 4);
	ack(w, c, a); /* again is fine */
	assert_false(c->session->closing);
	ack(w, c, b + 1);
	assert_true(c->session->closing);
	assert_int_equal(c->session->code, WS_CLOSE_FRAME);
	assert_int_equal(inbox_count(w), 1);
	ws_client_free(w, c);
	ws_world_free(w);
}

static void test_topics(void **state)
{
	struct ws_world *w = ws_world_new();
	struct ws_client *one = client_begun(w, "{\"type\":\"init\",\"topic\":\"b25l\"}");
	struct ws_client *none = client_begun(w, "{\"type\":\"init\",\"topic\":\"\"}");

	(void)state;
	ws_world_message(w, "two", 2);
	ws_world_message(w, "", 3);
	ws_world_message(w, "one", 4);
	assert_true(next_message(one, 4) > 0);
	assert_true(next_message(none, 3) > 0);
	assert_null(ws_client_next(one));
	assert_null(ws_client_next(none));
	assert_int_equal(inbox_count(w), 3);
	ws_client_free(w, one);
	ws_client_free(w, none);
	ws_world_free(w);
}

static void resume_text(char out[200], const struct opened *o, double offset)
{
	snprintf(out, 200, "{\"type\":\"init\",\"resume\":{\"epoch\":\"%s\",\"stream\":\"%s\",\"offset\":%.0f}}", EPOCH,
		 o->stream, offset);
}

static void test_resume(void **state)
{
	struct ws_world *w = ws_world_new();
	struct ws_client *c = ws_client_new(w, WS_KIND_MESSAGES, 1);
	struct opened o = open_stream(w, c, INIT), again;
	double a, b;
	char text[200];

	(void)state;
	ws_world_message(w, "", 1);
	ws_world_message(w, "", 2);
	a = next_message(c, 1);
	b = next_message(c, 2);
	ws_client_free(w, c);
	ws_world_pass_ms(w, LIMIT_STREAM_RESERVED_MS - 1);
	c = ws_client_new(w, WS_KIND_MESSAGES, 1);
	resume_text(text, &o, a);
	again = open_stream(w, c, text);
	assert_true(again.recovered);
	assert_string_equal(again.stream, o.stream);
	assert_int_equal(inbox_count(w), 1);
	a = next_message(c, 2); /* it is given again */
	assert_true(a >= b);
	ws_client_free(w, c);
	ws_world_pass_ms(w, LIMIT_STREAM_RESERVED_MS + 1);
	ws_world_settle(w);
	c = client_begun(w, INIT);
	assert_true(next_message(c, 2) > 0); /* now it went to another */
	resume_text(text, &again, again.offset);
	ws_client_free(w, c);
	ws_world_free(w);
}

static void test_taken_over(void **state)
{
	struct ws_world *w = ws_world_new();
	struct ws_client *old = ws_client_new(w, WS_KIND_MESSAGES, 1), *new;
	struct opened o = open_stream(w, old, INIT);
	char text[200];

	(void)state;
	ws_world_message(w, "", 5);
	assert_true(next_message(old, 5) > 0);
	new = ws_client_new(w, WS_KIND_MESSAGES, 1);
	resume_text(text, &o, o.offset);
	assert_true(open_stream(w, new, text).recovered);
	assert_true(old->session->closing);
	assert_int_equal(old->session->code, WS_CLOSE_TAKEN_OVER);
	assert_null(old->session->stream);
	assert_true(next_message(new, 5) > 0);
	ws_client_free(w, old);
	ws_client_free(w, new);
	ws_world_free(w);
}

/* Messages come behind answers, but one in fragments is finished first. */
static void test_fragments(void **state)
{
	struct ws_world *w = ws_world_new();
	struct ws_client *c = client_begun(w, INIT);
	size_t frame, payload;
	bool last;

	(void)state;
	ws_world_message(w, "", 0);
	assert_true(next_message(c, 0) > 0);
	frame = c->len; /* all that is not payload */
	payload = (LIMIT_WS_FRAME_BYTES - frame) / 4 * 3;
	ws_world_message(w, "", payload);
	assert_true(next_message(c, payload) > 0);
	assert_true(c->fragments == 1 && c->longest <= LIMIT_WS_FRAME_BYTES && c->longest + 4 > LIMIT_WS_FRAME_BYTES);
	ws_world_message(w, "", payload + 3);
	assert_true(next_message(c, payload + 3) > 0);
	assert_int_equal(c->fragments, (c->len + WS_FRAGMENT_BYTES - 1) / WS_FRAGMENT_BYTES);
	assert_int_equal(c->longest, WS_FRAGMENT_BYTES);
	ws_world_message(w, "", payload + 3);
	c->len = 0;
	c->fragments = 0;
	assert_true(ws_client_read(c, &last));
	assert_false(last);
	ws_client_say(w, c, "{\"type\":\"ping\"}");
	while (!last)
		assert_true(ws_client_read(c, &last));
	assert_non_null(strstr(c->text, "\"type\":\"msg\""));
	ws_world_message(w, "", 1);
	assert_string_equal(ws_client_next(c), "{\"type\":\"pong\"}");
	assert_true(next_message(c, 1) > 0);
	ws_client_free(w, c);
	ws_world_free(w);
}

/* Who does not read gets no more messages, and is not closed for it. */
static void test_pause(void **state)
{
	enum { COUNT = 64, LEN = 16 * 1024 };
	struct ws_world *w = ws_world_new();
	struct ws_client *c = client_begun(w, "{\"type\":\"init\",\"window\":1024}");
	int got = 0;

	(void)state;
	for (int i = 0; i < COUNT; i++)
		ws_world_message(w, "", LEN);
	assert_true(c->session->paused && !c->session->closing);
	assert_true(c->session->letter_bytes < WS_PAUSE_BYTES + 2 * LEN);
	while (next_message(c, LEN) > 0) {
		got++;
		ws_world_settle(w);
		assert_true(c->session->letter_bytes < WS_PAUSE_BYTES + 2 * LEN);
	}
	assert_int_equal(got, COUNT);
	assert_false(c->session->paused);
	ws_world_message(w, "", 1024 * 1024);
	assert_true(c->session->paused);
	ws_session_close(c->session, WS_CLOSE_AWAY, "test");
	ws_session_end(c->session, w->now);
	assert_true(c->session->letter_bytes == 0 && !c->session->letters && !c->session->stream);
	ws_client_free(w, c);
	assert_int_equal(inbox_count(w), COUNT + 1);
	ws_world_free(w);
}

/* What comes between the decision to close and the end is not lost. */
static void test_message_while_closing(void **state)
{
	struct ws_world *w = ws_world_new();
	struct ws_client *c = client_begun(w, INIT);

	(void)state;
	ws_session_close(c->session, WS_CLOSE_AWAY, "test");
	ws_world_message(w, "", 9);
	assert_null(ws_client_next(c));
	ws_client_free(w, c);
	ws_world_pass_ms(w, LIMIT_STREAM_RESERVED_MS + 1);
	ws_world_settle(w);
	c = client_begun(w, INIT);
	assert_true(next_message(c, 9) > 0);
	ws_client_free(w, c);
	ws_world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_frames),
		cmocka_unit_test(test_good_inits),
		cmocka_unit_test(test_window_and_ack),
		cmocka_unit_test(test_topics),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_taken_over),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_message_while_closing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
