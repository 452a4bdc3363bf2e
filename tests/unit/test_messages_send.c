/* SPDX-License-Identifier: Apache-2.0 */
/* Sending messages and replies: every row of wire-200 7.3, the reply route of 7.4, and what of 7.7 is about bodies.
 * Content-Type and the size of a body are http.c's. */
#include "tests/unit/test_messages.h"

#include <errno.h>

#define BODY "{\"dst\":{\"ip\":\"300::2\"},\"topic\":\"dG9w\",\"payload\":\"aGk=\",\"deadline\":9}"
#define KEY_BODY \
	"{\"dst\":{\"pk\":\"a47c1d6f2a15b2c670d3a88fbe0aeb301ced12f7bcb4c8e3aa877b20f8559c02\"},\"payload\":" \
	"\"\"}"
#define TOPIC_84 \
	"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB" \
	"QUFB"
#define LONG_TOPIC_BODY \
	"{\"dst\":{\"ip\":\"300::2\"},\"topic\":\"" TOPIC_84 TOPIC_84 TOPIC_84 TOPIC_84 "\",\"payload\":\"aGk=\"}"

static void test_post_accepted(void **state)
{
	struct http_request r = {.body = BODY};
	char ip[IP6_TEXT_BYTES];

	(void)state;
	world_init();
	messages_post(&api, &r);
	assert_int_equal(r.answers, 0);
	assert_int_equal(post.sent, 1);
	assert_int_equal(settled_count, 1);
	assert_string_equal(ip6_print(&post.letter.dst, ip), "300::2");
	assert_int_equal(post.letter.topic_len, 3);
	assert_memory_equal(post.topic, "top", 3);
	assert_int_equal(post.letter.len, 2);
	assert_memory_equal(post.letter.payload, "hi", 2);
	assert_int_equal(post.letter.deadline_s, 9);
	assert_false(post.letter.reply);
	post.fn(post.ctx, 0, test_id);
	expect(&r, 201, HTTP_JSON, "{\"id\":\"" TEST_ID "\"}");
	assert_string_equal(r.text, "{\"id\":\"" TEST_ID "\"}");
	assert_int_equal(post.takes, 0);
	request_fini(&r);
}

/* Accepted whatever the destination. */
static void test_post_destinations(void **state)
{
	static const char *const bodies[] = {
		"{\"dst\":{\"ip\":\"10.0.0.1\"},\"payload\":\"\"}",
		"{\"dst\":{\"ip\":\"2001:db8::1\"},\"payload\":\"\"}",
		"{\"dst\":{\"ip\":\"::\"},\"payload\":\"\",\"topic\":null}",
		KEY_BODY,
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bodies); i++) {
		struct http_request r = {.body = bodies[i]};

		world_init();
		messages_post(&api, &r);
		assert_int_equal(post.letter.topic_len + post.letter.len, 0);
		post.fn(post.ctx, 0, test_id);
		expect(&r, 201, HTTP_JSON, "{\"id\":\"");
		request_fini(&r);
	}
}

static const struct {
	int error, status;
	const char *text;
} store_errors[] = {
	{-ENOSPC, 507, "the message was not accepted: the disk is full"},
	{-EAGAIN, 503, "the message was not accepted: too many are on their way"},
	{-EIO, 500, "the message was not accepted: it could not be stored"},
};

static void test_post_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(store_errors) * 3; i++) {
		struct http_request r = {.param = TEST_ID, .body = BODY};
		const size_t row = i / 3;

		world_init();
		r.query[0][0] = i % 3 == 1 ? "reply_timeout" : NULL;
		r.query[0][1] = "5";
		if (i % 3 == 2)
			messages_reply(&api, &r);
		else
			messages_post(&api, &r);
		post.fn(post.ctx, store_errors[row].error, (const uint8_t[RECORD_ID_BYTES]){0});
		expect(&r, store_errors[row].status, HTTP_TEXT, store_errors[row].text);
		assert_int_equal(post.takes, 0);
		request_fini(&r);
	}
}

/* For orders and replies alike. */
static void test_bad_bodies(void **state)
{
	static const struct {
		const char *body;
		int status;
		const char *begins;
	} rows[] = {
		{"", 400, LETTER_400},
		{"{", 400, LETTER_400},
		{BODY "x", 400, LETTER_400},
		{"{\"dst\":null,\"payload\":\"\"}", 400, LETTER_400 "dst is null"},
		{"{\"dst\":{},\"payload\":\"\"}", 400, LETTER_400 "dst "},
		{"{\"dst\":{\"ip\":\"::1\",\"pk\":\"\"},\"payload\":\"\"}", 400, LETTER_400 "dst "},
		{"{\"dst\":{\"ip\":\"::1\"},\"dst\":{\"ip\":\"::1\"},\"payload\":\"\"}", 422, LETTER_422},
		{"{\"dst\":\"::1\",\"payload\":\"\"}", 422, LETTER_422 "dst is not an object"},
		{"{\"dst\":{\"host\":\"::1\"},\"payload\":\"\"}", 422, LETTER_422 "dst "},
		{"{\"dst\":{\"pk\":\"00\"},\"payload\":\"\"}", 422, LETTER_422 "dst.pk "},
		{"{\"payload\":\"\"}", 422, LETTER_422 "dst is missing"},
		{"{\"dst\":{\"ip\":\"::1\"}}", 422, LETTER_422 "payload is missing"},
		{"{\"dst\":{\"ip\":\"::1\"},\"payload\":\"QQ\"}", 422, LETTER_422 "payload "},
		{"{\"dst\":{\"ip\":\"::1\"},\"topic\":\"QQ\",\"payload\":\"\"}", 422, LETTER_422 "topic "},
		{"{\"dst\":{\"ip\":\"::1\"},\"deadline\":0,\"payload\":\"\"}", 422, LETTER_422 "deadline "},
		{"[]", 422, LETTER_422},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows) * 2; i++) {
		struct http_request r = {.param = TEST_ID, .body = rows[i / 2].body};

		world_init();
		if (i % 2)
			messages_reply(&api, &r);
		else
			messages_post(&api, &r);
		expect(&r, rows[i / 2].status, HTTP_TEXT, rows[i / 2].begins);
		assert_int_equal(post.sent, 0);
		request_fini(&r);
	}
}

static void test_long_topic(void **state)
{
	struct http_request r = {.body = LONG_TOPIC_BODY}, reply = {.body = LONG_TOPIC_BODY, .param = TEST_ID};

	(void)state;
	world_init();
	messages_post(&api, &r);
	expect(&r, 400, NULL, "");
	assert_int_equal(post.sent, 0);
	request_fini(&r);
	messages_reply(&api, &reply);
	assert_int_equal(post.sent, 1);
	post.fn(post.ctx, 0, test_id);
	expect(&reply, 204, NULL, "");
	request_fini(&reply);
}

static void test_bad_reply_timeout(void **state)
{
	static const char *const values[] = {"", "-1", "x", "1.0", "18446744073709551616"};

	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		struct http_request r = {.query = {{"reply_timeout", values[i]}}, .body = "not JSON"};

		world_init();
		messages_post(&api, &r);
		expect(&r, 400, HTTP_TEXT, "Failed to deserialize query string: ");
		assert_false(r.body_looked_at);
		request_fini(&r);
	}
}

/* Asks for a reply, and is stored: now it waits, or was answered. */
static void post_and_wait(struct http_request *r, const char *timeout, bool full)
{
	*r = (struct http_request){.query = {{"reply_timeout", timeout}}, .body = BODY};
	world_init();
	post.full = full;
	messages_post(&api, r);
	assert_int_equal(r->answers + post.takes, 0);
	post.fn(post.ctx, 0, test_id);
}

static void test_reply_in_time(void **state)
{
	struct http_request r;

	(void)state;
	post_and_wait(&r, "30", false);
	assert_int_equal(r.answers, 0);
	assert_true(post.taker.is_reply && !post.taker.take.peek && !post.taker.take.filter.by_topic);
	assert_memory_equal(post.taker.id, test_id, sizeof(test_id));
	assert_true(ip6_eq(&post.taker.dst, &post.letter.dst));
	assert_int_equal(post.taker.take.until.us, (NOW_S + 30) * 1000000LL);
	deliver(43);
	client_reads(&r);
	expect(&r, 200, HTTP_JSON, TEST_MESSAGE);
	assert_int_equal(post.consumed, 43);
	request_fini(&r);
}

static void test_reply_too_late(void **state)
{
	static const char *const timeouts[] = {"0", "30", "18446744073709551615"};

	(void)state;
	for (size_t i = 0; i < COUNT(timeouts); i++) {
		struct http_request r;

		post_and_wait(&r, timeouts[i], false);
		deliver_none();
		expect(&r, 408, HTTP_JSON, "{\"id\":\"" TEST_ID "\"}");
		request_fini(&r);
	}
	assert_int_equal(post.taker.take.until.us, MONO_NEVER.us);
}

/* The message is on its way: its id is told. */
static void test_reply_too_many_wait(void **state)
{
	struct http_request r;

	(void)state;
	post_and_wait(&r, "30", true);
	expect(&r, 408, HTTP_JSON, "{\"id\":\"" TEST_ID "\"}");
	request_fini(&r);
}

static void test_gone_before_stored(void **state)
{
	struct http_request r = {.body = BODY, .param = TEST_ID};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		world_init();
		r.gone = NULL;
		r.query[0][0] = i == 1 ? "reply_timeout" : NULL;
		r.query[0][1] = "60";
		if (i == 2)
			messages_reply(&api, &r);
		else
			messages_post(&api, &r);
		client_goes(&r);
		assert_int_equal(post.forgotten, 71);
		assert_int_equal(r.answers + post.cancels, 0);
		assert_int_equal(settled_count, 2);
		request_fini(&r);
	}
}

static void test_gone_before_reply(void **state)
{
	struct http_request r;

	(void)state;
	post_and_wait(&r, "30", false);
	client_goes(&r);
	assert_int_equal(post.cancels, 1);
	assert_int_equal(post.forgotten + r.answers, 0);
	request_fini(&r);
	post_and_wait(&r, "30", false);
	deliver(44);
	client_goes(&r);
	assert_int_equal(post.given_back, 44);
	assert_int_equal(post.consumed + post.cancels, 0);
	request_fini(&r);
}

static void test_reply_route(void **state)
{
	static http_handler *const handlers[] = {messages_reply, messages_reply_typo};

	(void)state;
	for (size_t i = 0; i < COUNT(handlers); i++) {
		struct http_request r = {.param = "0123456789ABCDEF", .body = BODY};

		world_init();
		handlers[i](&api, &r);
		assert_int_equal(post.sent, 1);
		assert_true(post.letter.reply);
		assert_memory_equal(post.letter.id, test_id, sizeof(test_id));
		assert_int_equal(post.letter.topic_len, 0);
		assert_int_equal(post.letter.len, 2);
		assert_int_equal(post.letter.deadline_s, 9);
		assert_int_equal(settled_count, 1);
		post.fn(post.ctx, 0, test_id);
		expect(&r, 204, NULL, "");
		assert_int_equal(post.takes, 0);
		request_fini(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_post_accepted),	    cmocka_unit_test(test_post_destinations),
		cmocka_unit_test(test_post_refused),	    cmocka_unit_test(test_bad_bodies),
		cmocka_unit_test(test_long_topic),	    cmocka_unit_test(test_bad_reply_timeout),
		cmocka_unit_test(test_reply_in_time),	    cmocka_unit_test(test_reply_too_late),
		cmocka_unit_test(test_reply_too_many_wait), cmocka_unit_test(test_gone_before_stored),
		cmocka_unit_test(test_gone_before_reply),   cmocka_unit_test(test_reply_route),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
