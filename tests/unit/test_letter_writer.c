/* SPDX-License-Identifier: Apache-2.0 */
/* Messages printed as JSON: to the byte as wire-200 7.6 and 7.4, in pieces of every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "controld/api/letter.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const uint8_t own_key[32] = {0xff, 0xee, [31] = 0x01};

static struct post_message message(size_t len, uint8_t topic_len)
{
	struct post_message m = {.row = 7,
				 .id = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef},
				 .public_key = {0xAB, [31] = 0xCD},
				 .topic_len = topic_len,
				 .len = len};

	assert_int_equal(ip6_parse("0200:0:0:0:0:0:0:1", &m.src), 0);
	assert_int_equal(ip6_parse("3ff:FFFF::", &m.dst), 0);
	randombytes_buf_deterministic(m.topic, topic_len, (const uint8_t[randombytes_SEEDBYTES]){2});
	m.payload = len ? malloc(len) : NULL;
	if (len)
		randombytes_buf_deterministic(m.payload, len, (const uint8_t[randombytes_SEEDBYTES]){3});
	return m;
}

static char *base64_text(const uint8_t *bytes, size_t len)
{
	const size_t cap = sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
	char *text = malloc(cap);

	assert_non_null(text);
	return sodium_bin2base64(text, cap, bytes, len, sodium_base64_VARIANT_ORIGINAL);
}

/* The whole text at once. */
static char *print_naively(const struct post_message *m, const char *before)
{
	char *topic = base64_text(m->topic, m->topic_len), *payload = base64_text(m->payload, m->len), *text;

	assert_true(asprintf(&text,
			     "{%s\"id\":\"0123456789abcdef\",\"srcIp\":\"200::1\",\"srcPk\":\"ab%060dcd\","
			     "\"dstIp\":\"3ff:ffff::\",\"dstPk\":\"ffee%058d01\",%s%s%s\"payload\":\"%s\"}",
			     before, 0, 0, m->topic_len ? "\"topic\":\"" : "", topic, m->topic_len ? "\"," : "",
			     payload) > 0);
	free(topic);
	free(payload);
	return text;
}

/* Pieces of at most cap bytes, each into memory of exactly that size. */
static void write_in_pieces(struct letter_writer *w, size_t cap, const char *wanted)
{
	const size_t len = strlen(wanted);
	char *piece = malloc(cap);
	size_t at = 0, n;

	assert_int_equal(letter_writer_length(w), len);
	while ((n = letter_writer_next(w, piece, cap)) > 0) {
		assert_true(n <= len - at);
		assert_true(n == cap || at + n == len);
		assert_memory_equal(piece, wanted + at, n);
		at += n;
	}
	assert_int_equal(at, len);
	assert_int_equal(letter_writer_next(w, piece, cap), 0);
	free(piece);
}

static void check_writer(size_t len, uint8_t topic_len, const char *before, size_t cap)
{
	struct post_message m = message(len, topic_len);
	char *wanted = print_naively(&m, before);
	struct letter_writer *w = letter_writer_new(&m, own_key, before);

	assert_true(m.row == 0 && !m.payload);
	write_in_pieces(w, cap, wanted);
	letter_writer_free(w);
	free(wanted);
}

static void test_writer_sizes(void **state)
{
	(void)state;
	for (size_t len = 0; len <= 5000; len += len < 600 ? 1 : 7)
		check_writer(len, (uint8_t)(len % 256), "", 512);
	check_writer(1 << 20, 255, "", 4096);
	check_writer(1 << 20, 0, "", 4 << 20);
}

static void test_writer_pieces(void **state)
{
	(void)state;
	for (size_t cap = 1; cap <= 700; cap++)
		for (size_t len = 0; len <= 100; len += cap < 20 ? 1 : 33)
			check_writer(len, (uint8_t)(cap % 4), "", cap);
}

static void test_writer_before(void **state)
{
	char before[LETTER_BEFORE_BYTES + 1];

	(void)state;
	check_writer(10, 3, "\"type\":\"msg\",\"offset\":42,", 512);
	memset(before, 'x', LETTER_BEFORE_BYTES);
	before[LETTER_BEFORE_BYTES] = '\0';
	check_writer(10, 255, before, 512);
	letter_writer_free(NULL);
}

/* The longest head: addresses that print long. */
static void test_writer_longest(void **state)
{
	char before[LETTER_BEFORE_BYTES + 1], out[4096];
	struct post_message m = message(0, 255);
	struct letter_writer *w;
	size_t len;

	(void)state;
	memset(&m.src, 0x22, sizeof(m.src));
	memset(&m.dst, 0x33, sizeof(m.dst));
	memset(before, 'x', LETTER_BEFORE_BYTES);
	before[LETTER_BEFORE_BYTES] = '\0';
	w = letter_writer_new(&m, own_key, before);
	len = letter_writer_next(w, out, sizeof(out));
	assert_int_equal(len, letter_writer_length(w));
	assert_memory_equal(out + len - 13, "\"payload\":\"\"}", 13);
	letter_writer_free(w);
}

static struct message_status status_of(enum message_state state)
{
	struct message_status s = {.state = state,
				   .len = 1073741824,
				   .created_s = 1700000000,
				   .deadline_s = 4102444800,
				   .pending = 1,
				   .sent = 2048,
				   .acked = 4294967295u};

	assert_int_equal(ip6_parse("400::a", &s.dst), 0);
	return s;
}

static void test_status(void **state)
{
	static const struct {
		enum message_state state;
		const char *text;
	} rows[] = {
		{MESSAGE_PENDING, "\"pending\""},
		{MESSAGE_SENDING, "{\"sending\":{\"pending\":1,\"sent\":2048,\"acked\":4294967295}}"},
		{MESSAGE_RECEIVED, "\"received\""},
		{MESSAGE_READ, "\"read\""},
		{MESSAGE_ABORTED, "\"aborted\""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct message_status s = status_of(rows[i].state);
		cJSON *j = letter_state(&s);
		char *text = cJSON_PrintUnformatted(j), wanted[256];

		assert_string_equal(text, rows[i].text);
		free(text);
		cJSON_Delete(j);
		j = letter_status(&s);
		text = cJSON_PrintUnformatted(j);
		snprintf(wanted, sizeof(wanted),
			 "{\"dst\":\"400::a\",\"state\":%s,\"created\":1700000000,\"deadline\":4102444800,"
			 "\"msgLen\":1073741824}",
			 rows[i].text);
		assert_string_equal(text, wanted);
		free(text);
		cJSON_Delete(j);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writer_sizes),  cmocka_unit_test(test_writer_pieces),
		cmocka_unit_test(test_writer_before), cmocka_unit_test(test_writer_longest),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
