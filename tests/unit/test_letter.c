/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as JSON: every row of wire-200 7.5 and 7.7 that is about the body; the writer against a naive one; base64
 * against libsodium's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "controld/api/base64.h"
#include "controld/api/json.h"
#include "controld/api/letter.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define IP "\"dst\":{\"ip\":\"400::1\"}"
#define KEY "a47c1d6f2a15b2c670d3a88fbe0aeb301ced12f7bcb4c8e3aa877b20f8559c02"
#define KEY_UPPER "A47C1D6F2A15B2C670D3A88FBE0AEB301CED12F7BCB4C8E3AA877B20F8559C02"
#define KEY_ADDRESS "27f:b2c5:a944:4dad:9cb1:da4:8bf7:7e65"

static cJSON *parse(const char *text)
{
	char error[JSON_ERROR_BYTES];
	enum json_verdict verdict;
	cJSON *j = json_parse(text, strlen(text), &verdict, error);

	if (!j)
		fail_msg("%s: %s", text, error);
	return j;
}

static int read_text(const char *text, struct post_letter *out, char error[LETTER_ERROR_BYTES])
{
	cJSON *j = parse(text);
	const int status = letter_read(j, &network200, out, error);

	cJSON_Delete(j);
	return status;
}

static void test_read_good(void **state)
{
	static const struct {
		const char *text, *dst, *topic, *payload;
		uint32_t deadline_s;
	} rows[] = {
		{"{" IP ",\"payload\":\"\"}", "400::1", "", "", 0},
		{"{" IP ",\"payload\":\"aGk=\"}", "400::1", "", "hi", 0},
		{"{" IP ",\"topic\":null,\"payload\":\"aGk=\"}", "400::1", "", "hi", 0},
		{"{" IP ",\"topic\":\"\",\"payload\":\"aGk=\"}", "400::1", "", "hi", 0},
		{"{" IP ",\"topic\":\"dG9waWM=\",\"payload\":\"aGk=\"}", "400::1", "topic", "hi", 0},
		{"{\"payload\":\"aGkh\",\"topic\":\"dA==\"," IP "}", "400::1", "t", "hi!", 0},
		{"{\"dst\":{\"pk\":\"" KEY "\"},\"payload\":\"\"}", KEY_ADDRESS, "", "", 0},
		{"{\"dst\":{\"pk\":\"" KEY_UPPER "\"},\"payload\":\"\"}", KEY_ADDRESS, "", "", 0},
		{"{\"dst\":{\"ip\":\"10.1.2.3\"},\"payload\":\"\"}", "::ffff:10.1.2.3", "", "", 0},
		{"{\"dst\":{\"ip\":\"2001:DB8::a\"},\"payload\":\"\"}", "2001:db8::a", "", "", 0},
		{"{\"dst\":{\"ip\":\"::\"},\"payload\":\"\"}", "::", "", "", 0},
		{"{" IP ",\"payload\":\"\",\"x\":[1,{}],\"DST\":3,\"Topic\":4}", "400::1", "", "", 0},
		{"{" IP ",\"payload\":\"\",\"deadline\":1}", "400::1", "", "", 1},
		{"{" IP ",\"payload\":\"\",\"deadline\":86400}", "400::1", "", "", 86400},
		{"{" IP ",\"payload\":\"\",\"deadline\":3e2}", "400::1", "", "", 300},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char error[LETTER_ERROR_BYTES], ip[IP6_TEXT_BYTES];
		struct post_letter l;

		if (read_text(rows[i].text, &l, error))
			fail_msg("%s: %s", rows[i].text, error);
		assert_string_equal(error, "");
		assert_string_equal(ip6_print(&l.dst, ip), rows[i].dst);
		assert_int_equal(l.topic_len, strlen(rows[i].topic));
		assert_int_equal(l.len, strlen(rows[i].payload));
		assert_true((l.payload == NULL) == (l.len == 0));
		assert_memory_equal(l.topic_len ? (const char *)l.topic : "", rows[i].topic, l.topic_len);
		assert_memory_equal(l.len ? (const char *)l.payload : "", rows[i].payload, l.len);
		assert_int_equal(l.deadline_s, rows[i].deadline_s);
		assert_false(l.reply);
		letter_fini(&l);
		assert_null(l.payload);
		letter_fini(&l);
	}
}

static const struct refused {
	int status;
	const char *text, *error;
} refusals[] = {
	{400, "{\"dst\":null,\"payload\":\"\"}", "dst is null"},
	{400, "{\"dst\":{},\"payload\":\"\"}", "dst does not have exactly one member"},
	{400, "{\"dst\":{\"ip\":\"::1\",\"pk\":\"" KEY "\"},\"payload\":\"\"}", "dst does not have exactly one member"},
	{400, "{\"dst\":{\"ip\":\"::1\",\"x\":1},\"payload\":\"\"}", "dst does not have exactly one member"},
	{422, "{\"payload\":\"\"}", "dst is missing"},
	{422, "{}", "dst is missing"},
	{422, "[]", "an object is expected"},
	{422, "null", "an object is expected"},
	{422, "\"x\"", "an object is expected"},
	{422, "{\"dst\":\"::1\",\"payload\":\"\"}", "dst is not an object"},
	{422, "{\"dst\":[\"::1\"],\"payload\":\"\"}", "dst is not an object"},
	{422, "{\"dst\":7,\"payload\":\"\"}", "dst is not an object"},
	{422, "{\"dst\":{\"name\":\"x\"},\"payload\":\"\"}", "dst has a member other than pk and ip"},
	{422, "{\"dst\":{\"IP\":\"::1\"},\"payload\":\"\"}", "dst has a member other than pk and ip"},
	{422, "{\"dst\":{\"ip\":7},\"payload\":\"\"}", "dst.ip is not a string"},
	{422, "{\"dst\":{\"pk\":null},\"payload\":\"\"}", "dst.pk is not a string"},
	{422, "{\"dst\":{\"ip\":\"\"},\"payload\":\"\"}", "dst.ip is not an address"},
	{422, "{\"dst\":{\"ip\":\"::1%lo\"},\"payload\":\"\"}", "dst.ip is not an address"},
	{422, "{\"dst\":{\"ip\":\" ::1\"},\"payload\":\"\"}", "dst.ip is not an address"},
	{422, "{\"dst\":{\"ip\":\"[::1]\"},\"payload\":\"\"}", "dst.ip is not an address"},
	{422, "{\"dst\":{\"ip\":\"10.1.2\"},\"payload\":\"\"}", "dst.ip is not an address"},
	{422, "{\"dst\":{\"ip\":\"10.1.2.03\"},\"payload\":\"\"}", "dst.ip is not an address"},
	{422, "{\"dst\":{\"ip\":\"10.1.2.256\"},\"payload\":\"\"}", "dst.ip is not an address"},
	{422, "{\"dst\":{\"ip\":\"localhost\"},\"payload\":\"\"}", "dst.ip is not an address"},
	{422, "{\"dst\":{\"pk\":\"\"},\"payload\":\"\"}", "dst.pk is not a key of 64 hex digits"},
	{422, "{\"dst\":{\"pk\":\"" KEY "00\"},\"payload\":\"\"}", "dst.pk is not a key of 64 hex digits"},
	{422, "{\"dst\":{\"pk\":\"47c1d6f2a15b2c670d3a88fbe0aeb301ced12f7bcb4c8e3aa877b20f8559c02\"},\"payload\":\"\"}",
	 "dst.pk is not a key of 64 hex digits"},
	{422,
	 "{\"dst\":{\"pk\":\"g47c1d6f2a15b2c670d3a88fbe0aeb301ced12f7bcb4c8e3aa877b20f8559c02\"},\"payload\":\"\"}",
	 "dst.pk is not a key of 64 hex digits"},
	{422, "{" IP "}", "payload is missing"},
	{422, "{" IP ",\"Payload\":\"\"}", "payload is missing"},
	{422, "{" IP ",\"payload\":null}", "payload is not a string"},
	{422, "{" IP ",\"payload\":1}", "payload is not a string"},
	{422, "{" IP ",\"payload\":\"aGk\"}", "payload is not base64 with padding"},
	{422, "{" IP ",\"payload\":\"aGl=\"}", "payload is not base64 with padding"},
	{422, "{" IP ",\"payload\":\"aG k=\"}", "payload is not base64 with padding"},
	{422, "{" IP ",\"payload\":\"aGk=\\n\"}", "payload is not base64 with padding"},
	{422, "{" IP ",\"payload\":\"_-_-\"}", "payload is not base64 with padding"},
	{422, "{" IP ",\"topic\":1,\"payload\":\"\"}", "topic is not a string"},
	{422, "{" IP ",\"topic\":\"aGk\",\"payload\":\"\"}", "topic is not base64 with padding"},
	{422, "{" IP ",\"payload\":\"\",\"deadline\":0}", "deadline is not a number of seconds from 1 to 86400"},
	{422, "{" IP ",\"payload\":\"\",\"deadline\":86401}", "deadline is not a number of seconds from 1 to 86400"},
	{422, "{" IP ",\"payload\":\"\",\"deadline\":-1}", "deadline is not a number of seconds from 1 to 86400"},
	{422, "{" IP ",\"payload\":\"\",\"deadline\":1.5}", "deadline is not a number of seconds from 1 to 86400"},
	{422, "{" IP ",\"payload\":\"\",\"deadline\":1e300}", "deadline is not a number of seconds from 1 to 86400"},
	{422, "{" IP ",\"payload\":\"\",\"deadline\":\"5\"}", "deadline is not a number of seconds from 1 to 86400"},
	{422, "{" IP ",\"payload\":\"\",\"deadline\":null}", "deadline is not a number of seconds from 1 to 86400"},
	/* dst is judged first; what was read before is not left behind */
	{400, "{\"dst\":null,\"topic\":1}", "dst is null"},
	{422, "{" IP ",\"topic\":\"dA==\",\"payload\":\"!\"}", "payload is not base64 with padding"},
	{422, "{" IP ",\"topic\":\"dA==\",\"payload\":\"aGk=\",\"deadline\":0}",
	 "deadline is not a number of seconds from 1 to 86400"},
};

static void test_read_refused(void **state)
{
	static const uint8_t id[RECORD_ID_BYTES] = {1};

	(void)state;
	for (size_t i = 0; i < COUNT(refusals); i++) {
		char error[LETTER_ERROR_BYTES];
		struct post_letter l;
		cJSON *j = parse(refusals[i].text);

		if (letter_read(j, &network200, &l, error) != refusals[i].status)
			fail_msg("%s", refusals[i].text);
		assert_string_equal(error, refusals[i].error);
		assert_true(!l.topic && !l.payload && !l.len);
		assert_int_equal(letter_read_reply(j, &network200, id, &l, error), refusals[i].status);
		assert_string_equal(error, refusals[i].error);
		assert_true(!l.topic && !l.payload && !l.len);
		cJSON_Delete(j);
	}
}

/* A body with a topic of that many bytes. */
static void topic_body(size_t len, const char *payload, char *out, size_t cap)
{
	uint8_t topic[512];
	char text[1024] = "";

	memset(topic, 'x', sizeof(topic));
	base64_encode(topic, len, text);
	snprintf(out, cap, "{" IP ",\"topic\":\"%s\",\"payload\":\"%s\"}", text, payload);
}

/* Too long a topic is an empty 400, and only where nothing else is wrong. A reply drops it. */
static void test_topic_length(void **state)
{
	static const uint8_t id[RECORD_ID_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8};
	char error[LETTER_ERROR_BYTES], body[2048];
	struct post_letter l;
	cJSON *j;

	(void)state;
	topic_body(255, "aGk=", body, sizeof(body));
	assert_int_equal(read_text(body, &l, error), 0);
	assert_int_equal(l.topic_len, 255);
	assert_int_equal(l.topic[254], 'x');
	letter_fini(&l);
	topic_body(256, "aGk=", body, sizeof(body));
	assert_int_equal(read_text(body, &l, error), 400);
	assert_string_equal(error, "");
	assert_null(l.payload);
	j = parse(body);
	assert_int_equal(letter_read_reply(j, &network200, id, &l, error), 0);
	assert_true(l.reply && !l.topic && l.topic_len == 0 && l.len == 2);
	assert_memory_equal(l.id, id, sizeof(id));
	letter_fini(&l);
	cJSON_Delete(j);
	topic_body(256, "aGk", body, sizeof(body));
	assert_int_equal(read_text(body, &l, error), 422);
	assert_string_equal(error, "payload is not base64 with padding");
}

static void test_id(void **state)
{
	static const uint8_t bytes[RECORD_ID_BYTES] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
	static const char *const bad[] = {"",
					  "0",
					  "0123456789abcde",
					  "0123456789abcdef0",
					  "0123456789abcdeg",
					  " 123456789abcdef",
					  "0x23456789abcdef",
					  "01:23:45:67:89:a"};
	char text[LETTER_ID_TEXT_BYTES];
	uint8_t id[RECORD_ID_BYTES];

	(void)state;
	assert_true(letter_id_read("0123456789abcdef", id));
	assert_memory_equal(id, bytes, sizeof(bytes));
	assert_true(letter_id_read("0123456789ABCdef", id));
	assert_memory_equal(id, bytes, sizeof(bytes));
	letter_id_print(bytes, text);
	assert_string_equal(text, "0123456789abcdef");
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(letter_id_read(bad[i], id));
}

/* All texts of four characters over those that matter, and all lengths: as strict as libsodium's, which (1.0.18) takes
 * the byte 255 for a character and is asked about ASCII only. */
static void test_base64(void **state)
{
	static const char chars[] = "AQRgBwz09+/=-_ \n.";
	enum { CHARS = sizeof(chars) - 1 };
	uint8_t in[300], ours[300], theirs[300];
	char text[404], again[404];
	size_t len, their_len;

	(void)state;
	for (unsigned i = 0; i < CHARS * CHARS * CHARS * CHARS * 5; i++) {
		const unsigned n = i / 5;
		const size_t text_len = i % 5;
		const char four[] = {chars[n % CHARS], chars[n / CHARS % CHARS], chars[n / CHARS / CHARS % CHARS],
				     chars[n / CHARS / CHARS / CHARS], 0};
		const bool good = sodium_base642bin(theirs, sizeof(theirs), four, text_len, NULL, &their_len, NULL,
						    sodium_base64_VARIANT_ORIGINAL) == 0;

		if (base64_decode(four, text_len, ours, &len) != good)
			fail_msg("%.*s, libsodium says %d", (int)text_len, four, good);
		assert_true(!good || (len == their_len && memcmp(ours, theirs, len) == 0));
	}
	randombytes_buf_deterministic(in, sizeof(in), (const uint8_t[randombytes_SEEDBYTES]){1});
	for (size_t n = 0; n <= sizeof(in); n++) {
		base64_encode(in, n, text);
		sodium_bin2base64(again, sizeof(again), in, n, sodium_base64_VARIANT_ORIGINAL);
		assert_int_equal(base64_length(n), strlen(again));
		assert_memory_equal(text, again, base64_length(n));
		assert_true(base64_decode(text, base64_length(n), ours, &len));
		assert_int_equal(len, n);
		assert_memory_equal(ours, in, n);
	}
}

static void test_base64_texts(void **state)
{
	static const char *const bad[] = {"QQ",
					  "QQ=",
					  "QQ===",
					  "====",
					  "=",
					  "QUJDQQ=",
					  "QR==",
					  "QUJ=",
					  "QQ==QQ==",
					  "Q===",
					  "QUI=\n",
					  "QUJD=",
					  "QU=D",
					  "QUJD QUJD",
					  "QUJ%44",
					  "QUJDQ===",
					  "\xff\xff\xff\xff",
					  "QQ\xc3\xa9",
					  "\x80QUJ"};
	uint8_t *out;
	size_t len;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (letter_base64(bad[i], &out, &len))
			fail_msg("%s", bad[i]);
		assert_true(!out && !len);
	}
	assert_true(letter_base64("", &out, &len) && !out && !len);
	assert_true(letter_base64("AA==", &out, &len) && len == 1 && out[0] == 0);
	free(out);
}

/* Every byte at every place of a text that is long enough for wide loops, in memory of exactly that size. */
static void test_base64_bytes(void **state)
{
	enum { TEXT = 140, BYTES = TEXT / 4 * 3 };
	char *text = malloc(TEXT);
	uint8_t *out = malloc(BYTES), theirs[BYTES];
	size_t len, their_len;

	(void)state;
	assert_true(text && out);
	for (unsigned at = 0; at < TEXT; at++) {
		memset(text, 'z', TEXT);
		for (unsigned byte = 0; byte < 256; byte++) {
			bool good;

			text[at] = (char)byte;
			good = byte < 0x80 && sodium_base642bin(theirs, sizeof(theirs), text, TEXT, NULL, &their_len,
								NULL, sodium_base64_VARIANT_ORIGINAL) == 0;
			if (base64_decode(text, TEXT, out, &len) != good)
				fail_msg("byte %u at %u is good: %d", byte, at, good);
			assert_true(!good || (len == their_len && memcmp(out, theirs, len) == 0));
		}
	}
	free(text);
	free(out);
}

/* Neither reads nor writes a byte too many. */
static void test_base64_edges(void **state)
{
	(void)state;
	for (size_t n = 1; n < 130; n++) {
		const size_t text_len = base64_length(n);
		uint8_t *in = malloc(n), *out = malloc(text_len / 4 * 3);
		char *text = malloc(text_len);
		size_t len;

		assert_true(in && out && text);
		for (size_t i = 0; i < n; i++)
			in[i] = (uint8_t)(n + i * i * 7);
		base64_encode(in, n, text);
		assert_true(base64_decode(text, text_len, out, &len));
		assert_int_equal(len, n);
		assert_memory_equal(in, out, n);
		free(in);
		free(out);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_good),    cmocka_unit_test(test_read_refused),
		cmocka_unit_test(test_topic_length), cmocka_unit_test(test_id),
		cmocka_unit_test(test_base64),	     cmocka_unit_test(test_base64_texts),
		cmocka_unit_test(test_base64_bytes), cmocka_unit_test(test_base64_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
