/* SPDX-License-Identifier: Apache-2.0 */
/* Long strings: which one stays in the text, that the value is the same as of a copy, and that no byte escapes where
 * many are looked at together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/api/json.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { LONG = JSON_LONG_BYTES };

/* Of a pattern: L becomes LONG letters, S one fewer, G one more, U as many bytes of UTF-8; the rest stands for itself.
 */
static char *text_of(const char *pattern, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	assert_non_null(f);
	for (; *pattern; pattern++) {
		const int more = *pattern == 'S' ? -1 : *pattern == 'G' ? 1 : 0;

		if (!strchr("LSGU", *pattern)) {
			fputc(*pattern, f);
			continue;
		}
		for (int i = 0; i < LONG + more; i++)
			fputc(*pattern != 'U' ? 'a' + i % 26 : i % 2 ? 0xa9 : 0xc3, f);
	}
	fclose(f);
	return text;
}

/* How many strings lie in the text. */
static unsigned count_inside(const cJSON *j, const char *text, size_t len)
{
	unsigned count = 0;

	if (j->valuestring && j->valuestring >= text && j->valuestring < text + len) {
		const char *end = j->valuestring + strlen(j->valuestring);

		assert_true(j->valuestring[-1] == '"' && end < text + len);
		assert_true(strlen(j->valuestring) >= LONG);
		count++;
	}
	for (const cJSON *child = j->child; child; child = child->next)
		count += count_inside(child, text, len);
	return count;
}

/* Both ways; the member of that name (NULL: none) is the one in the text. */
static void expect_inside(const char *pattern, const char *name)
{
	char error[JSON_ERROR_BYTES];
	enum json_verdict verdict;
	size_t len;
	char *text = text_of(pattern, &len), *place = malloc(len);
	cJSON *j = json_parse(text, len, &verdict, error), *other;
	const char *string;

	assert_non_null(place);
	assert_int_equal(verdict, JSON_OK);
	memcpy(place, text, len);
	other = json_parse_in_place(place, len, &verdict, error);
	assert_int_equal(verdict, JSON_OK);
	assert_true(cJSON_Compare(j, other, true));
	assert_int_equal(count_inside(j, text, len), 0);
	if (count_inside(other, place, len) != (name ? 1 : 0))
		fail_msg("%s: %u are in the text", pattern, count_inside(other, place, len));
	string = name ? json_get(other, name)->valuestring : NULL;
	assert_true(!name || (string > place && string < place + len));
	cJSON_Delete(j);
	cJSON_Delete(other);
	free(text);
	free(place);
}

static void test_which_one(void **state)
{
	static const struct {
		const char *pattern, *name;
	} rows[] = {
		{"{\"p\":\"L\"}", "p"},
		{"{\"p\":\"S\"}", NULL},
		{"{\"p\":\"U\"}", "p"},
		{" { \"p\" : \"L\" } ", "p"},
		{"{\"dst\":{\"pk\":\"0\"},\"t\":[1,2,{}],\"p\":\"L\"}", "p"},
		{"{\"p\":\"L\",\"dst\":{\"pk\":\"0\"},\"t\":[1,[2],\"x\"]}", "p"},
		{"{\"a\":\"\",\"p\":\"L\",\"c\":\"\\n\",\"d\":null}", "p"},
		/* the longest, the first of equals */
		{"{\"a\":\"L\",\"p\":\"G\",\"c\":\"L\"}", "p"},
		{"{\"p\":\"L\",\"a\":\"L\"}", "p"},
		{"{\"a\":\"G\\n\",\"p\":\"L\"}", "p"},
		/* the name of a member is no value, however long; and an empty or odd one is as good */
		{"{\"L\":\"x\"}", NULL},
		{"{\"L\":1,\"p\":\"L\"}", "p"},
		{"{\"\":\"L\"}", ""},
		{"{\"\\u0070\":\"L\"}", "p"},
		/* elsewhere, or with escapes: copied */
		{"\"L\"", NULL},
		{"[\"L\"]", NULL},
		{"{\"a\":{\"p\":\"L\"}}", NULL},
		{"{\"a\":[\"L\"]}", NULL},
		{"[{\"p\":\"L\"}]", NULL},
		{"{\"p\":\"L\\n\"}", NULL},
		{"{\"p\":\"\\u0041L\"}", NULL},
		{"{\"p\":\"L\\\\\"}", NULL},
		{"{\"a\":[{\"b\":\"G\"}],\"p\":\"L\",\"c\":[\"G\"]}", "p"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		expect_inside(rows[i].pattern, rows[i].name);
}

/* A text that is refused is not changed; the sentence is the same. */
static void test_refused(void **state)
{
	static const char *const patterns[] = {
		"{\"p\":\"L\"",
		"{\"p\":\"L\"} x",
		"{\"p\":\"L",
		"{\"p\":\"L\",}",
		"{\"p\":\"L\xff\"}",
		"{\"p\":\"L\n\"}",
		"{\"p\":\"L\",\"p\":\"L\"}",
		"{\"p\":\"L\",\"a\":\"\\u0000\"}",
		"{\"p\":\"L\\u0000\"}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(patterns); i++) {
		char error[JSON_ERROR_BYTES], other_error[JSON_ERROR_BYTES];
		enum json_verdict verdict, other_verdict;
		size_t len;
		char *text = text_of(patterns[i], &len), *place = malloc(len);

		assert_non_null(place);
		memcpy(place, text, len);
		assert_null(json_parse(text, len, &verdict, error));
		assert_null(json_parse_in_place(place, len, &other_verdict, other_error));
		assert_int_equal(verdict, other_verdict);
		assert_int_equal(verdict, i < 6 ? JSON_BAD : JSON_SHAPE);
		assert_string_equal(error, other_error);
		assert_memory_equal(text, place, len);
		free(text);
		free(place);
	}
}

/* Every byte at every place of a string. */
static void test_every_byte(void **state)
{
	enum { BYTES = 80 };
	char *text = malloc(BYTES + 2), error[JSON_ERROR_BYTES];

	(void)state;
	assert_non_null(text);
	for (unsigned at = 1; at <= BYTES; at++) {
		memset(text, '~', BYTES + 2);
		text[0] = text[BYTES + 1] = '"';
		for (unsigned byte = 0; byte < 256; byte++) {
			const bool good = byte >= 0x20 && byte < 0x80 && byte != '\\' && byte != '"';
			enum json_verdict verdict;
			cJSON *j;

			text[at] = (char)byte;
			j = json_parse(text, BYTES + 2, &verdict, error);
			if ((verdict == JSON_OK) != good)
				fail_msg("byte %u at %u: %d, %s", byte, at, verdict, error);
			assert_true(!good || strncmp(j->valuestring, text + 1, BYTES) == 0);
			cJSON_Delete(j);
		}
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which_one),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
