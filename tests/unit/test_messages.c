/* SPDX-License-Identifier: Apache-2.0 */
/* Reading messages and their statuses: every row of wire-200 7.2, the status route of 7.4, and what of 7.7 is about
 * queries and ids. A repeated key and a malformed query are http.c's. */
#include "tests/unit/test_messages.h"

#define BAD_QUERY "Failed to deserialize query string: "

static void test_get_bad_query(void **state)
{
	static const char *const rows[][2] = {
		{"peek", ""},
		{"peek", "1"},
		{"peek", "True"},
		{"peek", "true "},
		{"peek", "no"},
		{"timeout", ""},
		{"timeout", "-1"},
		{"timeout", "+1"},
		{"timeout", " 1"},
		{"timeout", "1 "},
		{"timeout", "1.5"},
		{"timeout", "0x10"},
		{"timeout", "1s"},
		{"timeout", "18446744073709551616"},
		{"timeout", "99999999999999999999999999999999999999"},
		{"topic", "Q"},
		{"topic", "QQ"},
		{"topic", "QR=="},
		{"topic", "a b="}, /* what a + becomes */
		{"topic", "-_=="},
		{"topic", "="},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct http_request r = {.query = {{rows[i][0], rows[i][1]}}};

		world_init();
		messages_get(&api, &r);
		expect(&r, 400, HTTP_TEXT, BAD_QUERY);
		assert_non_null(strstr(r.text, rows[i][0]));
		assert_int_equal(post.takes, 0);
		request_fini(&r);
	}
}

static void test_get_asks(void **state)
{
	static const struct {
		const char *query[QUERIES][2];
		bool head, peek, by_topic;
		const char *topic;
		int64_t until_us;
	} rows[] = {
		{.until_us = NOW_S * 1000000LL},
		{.head = true, .peek = true, .until_us = NOW_S * 1000000LL},
		{.query = {{"peek", "true"}}, .peek = true, .until_us = NOW_S * 1000000LL},
		{.query = {{"peek", "false"}}, .until_us = NOW_S * 1000000LL},
		{.query = {{"peek", "false"}}, .head = true, .peek = true, .until_us = NOW_S * 1000000LL},
		{.query = {{"timeout", "0"}}, .until_us = NOW_S * 1000000LL},
		{.query = {{"timeout", "0060"}}, .until_us = (NOW_S + 60) * 1000000LL},
		{.query = {{"timeout", "9223372036854"}}, .until_us = INT64_MAX},
		{.query = {{"timeout", "9223372036853"}}, .until_us = INT64_MAX},
		{.query = {{"timeout", "9223372035853"}}, .until_us = 9223372036853000000},
		{.query = {{"timeout", "18446744073709551615"}}, .until_us = INT64_MAX},
		{.query = {{"topic", ""}}, .by_topic = true, .topic = "", .until_us = NOW_S * 1000000LL},
		{.query = {{"topic", "YQ=="}}, .by_topic = true, .topic = "a", .until_us = NOW_S * 1000000LL},
		{.query = {{"topic", "YWJjZA=="}, {"peek", "true"}, {"timeout", "1"}, {"x", "y"}},
		 .peek = true,
		 .by_topic = true,
		 .topic = "abcd",
		 .until_us = (NOW_S + 1) * 1000000LL},
		{.query = {{"Peek", "x"}, {"wait", "1"}}, .until_us = NOW_S * 1000000LL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct http_request r = {.head = rows[i].head};
		const struct post_take *t = &post.taker.take;

		memcpy(r.query, rows[i].query, sizeof(r.query));
		world_init();
		messages_get(&api, &r);
		assert_int_equal(r.answers, 0);
		assert_int_equal(post.takes, 1);
		assert_int_equal(settled_count, 1);
		assert_int_equal(t->peek, rows[i].peek);
		assert_int_equal(t->filter.by_topic, rows[i].by_topic);
		assert_int_equal(t->filter.topic_len, rows[i].topic ? strlen(rows[i].topic) : 0);
		assert_memory_equal(t->filter.topic, rows[i].topic ? rows[i].topic : "", t->filter.topic_len);
		assert_int_equal(t->until.us, rows[i].until_us);
		assert_false(post.taker.is_reply);
		deliver_none();
		expect(&r, 204, NULL, "");
		request_fini(&r);
	}
}

/* A topic of 255 bytes may exist; one of 256 cannot. */
static void test_get_long_topic(void **state)
{
	char text[345] = "";
	struct http_request r = {.query = {{"topic", text}, {"timeout", "60"}}};

	(void)state;
	memset(text, 'A', 340);
	world_init();
	messages_get(&api, &r);
	assert_int_equal(post.taker.take.filter.topic_len, 255);
	client_goes(&r);
	memcpy(text + 340, "AA==", 4);
	r = (struct http_request){.query = {{"topic", text}, {"timeout", "60"}}};
	world_init();
	messages_get(&api, &r);
	assert_int_equal(post.takes, 0);
	expect(&r, 204, NULL, "");
	request_fini(&r);
}

/* Consumed when the client has it, given back when it could not be given; a peek is neither. */
static void test_get_message(void **state)
{
	static const struct {
		const char *query[QUERIES][2];
		bool head, consumes;
	} rows[] = {
		{.consumes = true},
		{.query = {{"topic", "dG9w"}}, .consumes = true},
		{.query = {{"peek", "false"}, {"timeout", "5"}}, .consumes = true},
		{.query = {{"peek", "true"}}},
		{.query = {{"peek", "true"}, {"topic", "dG9w"}}},
		{.head = true},
		{.head = true, .query = {{"topic", "dG9w"}}},
	};

	(void)state;
	for (size_t i = 0; i < 2 * COUNT(rows); i++) {
		struct http_request r = {.head = rows[i / 2].head};
		const bool reads = i % 2 == 0, consumes = rows[i / 2].consumes;

		memcpy(r.query, rows[i / 2].query, sizeof(r.query));
		world_init();
		messages_get(&api, &r);
		deliver(42);
		assert_int_equal(r.length, strlen(TEST_MESSAGE));
		assert_int_equal(post.consumed + post.given_back, 0);
		if (reads)
			client_reads(&r);
		else
			client_goes(&r);
		expect(&r, 200, HTTP_JSON, reads && !r.head ? TEST_MESSAGE : "");
		assert_int_equal(post.consumed, reads && consumes ? 42 : 0);
		assert_int_equal(post.given_back, !reads && consumes ? 42 : 0);
		assert_int_equal(settled_count, 2);
		assert_int_equal(post.cancels, 0);
		request_fini(&r);
	}
}

static void test_get_gone(void **state)
{
	struct http_request r = {.query = {{"timeout", "60"}}};

	(void)state;
	world_init();
	messages_get(&api, &r);
	client_goes(&r);
	assert_int_equal(post.cancels, 1);
	assert_int_equal(r.answers, 0);
	assert_int_equal(settled_count, 2);
}

static void test_get_too_many(void **state)
{
	struct http_request r = {0};

	(void)state;
	world_init();
	post.full = true;
	messages_get(&api, &r);
	expect(&r, 503, HTTP_TEXT, "too many clients wait for messages");
	assert_null(r.gone);
	request_fini(&r);
}

static void test_bad_ids(void **state)
{
	static const char *const rows[][2] = {
		{"", "Invalid URL: Message ID is 16 characters long"},
		{"0", "Invalid URL: Message ID is 16 characters long"},
		{"0123456789abcde", "Invalid URL: Message ID is 16 characters long"},
		{"0123456789abcdef0", "Invalid URL: Message ID is 16 characters long"},
		{"xyz", "Invalid URL: Message ID is 16 characters long"},
		{"0123456789abcdeg", "Invalid URL: MessageID is not valid hex"},
		{"0x23456789abcdef", "Invalid URL: MessageID is not valid hex"},
		{" 123456789abcdef", "Invalid URL: MessageID is not valid hex"},
		{"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9",
		 "Invalid URL: MessageID is not valid hex"},
	};
	static http_handler *const handlers[] = {messages_status, messages_reply, messages_reply_typo};

	(void)state;
	for (size_t i = 0; i < COUNT(rows) * COUNT(handlers); i++) {
		const char *const *row = rows[i / COUNT(handlers)];
		struct http_request r = {.param = row[0], .body = "not JSON"};

		world_init();
		handlers[i % COUNT(handlers)](&api, &r);
		expect(&r, 400, HTTP_TEXT, row[1]);
		assert_false(r.body_looked_at);
		assert_int_equal(post.sent, 0);
		request_fini(&r);
	}
}

static void test_status_unknown(void **state)
{
	struct http_request r = {.param = TEST_ID};

	(void)state;
	world_init();
	messages_status(&api, &r);
	expect(&r, 404, NULL, "");
	request_fini(&r);
}

static void test_status_known(void **state)
{
	static const struct {
		enum message_state state;
		const char *text;
	} rows[] = {
		{MESSAGE_PENDING, "\"pending\""},
		{MESSAGE_SENDING, "{\"sending\":{\"pending\":5,\"sent\":6,\"acked\":7}}"},
		{MESSAGE_RECEIVED, "\"received\""},
		{MESSAGE_READ, "\"read\""},
		{MESSAGE_ABORTED, "\"aborted\""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct http_request r = {.param = "0123456789ABCDEF"};
		char wanted[256];

		world_init();
		post.known = true;
		post.status = (struct message_status){.state = rows[i].state,
						      .len = 12,
						      .created_s = 1700000000,
						      .deadline_s = 1700000300,
						      .pending = 5,
						      .sent = 6,
						      .acked = 7};
		memcpy(post.status.id, test_id, sizeof(test_id));
		messages_status(&api, &r);
		snprintf(wanted, sizeof(wanted),
			 "{\"dst\":\"::\",\"state\":%s,\"created\":1700000000,\"deadline\":1700000300,\"msgLen\":12}",
			 rows[i].text);
		expect(&r, 200, HTTP_JSON, wanted);
		assert_string_equal(r.text, wanted);
		request_fini(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get_bad_query),  cmocka_unit_test(test_get_asks),
		cmocka_unit_test(test_get_long_topic), cmocka_unit_test(test_get_message),
		cmocka_unit_test(test_get_gone),       cmocka_unit_test(test_get_too_many),
		cmocka_unit_test(test_bad_ids),	       cmocka_unit_test(test_status_unknown),
		cmocka_unit_test(test_status_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
