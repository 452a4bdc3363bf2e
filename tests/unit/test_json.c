/* SPDX-License-Identifier: Apache-2.0 */
/* Strict JSON: what is taken, what is refused and as what, and that size and depth cost no more than linear time (a
 * quadratic judge would not end here). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/api/json.h"
#include "shared/limits.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Judges a copy without a zero byte at its end, so that a sanitizer sees a step too far. In place the same comes out.
 */
static enum json_verdict judge(const char *text, size_t len, cJSON **out)
{
	char error[JSON_ERROR_BYTES], other_error[JSON_ERROR_BYTES], *copy = malloc(len ? len : 1);
	enum json_verdict verdict, other_verdict;
	cJSON *other;

	assert_non_null(copy);
	memcpy(copy, text, len);
	*out = json_parse(copy, len, &verdict, error);
	other = json_parse_in_place(copy, len, &other_verdict, other_error);
	assert_int_equal(verdict, other_verdict);
	assert_string_equal(error, other_error);
	assert_true((other != NULL) == (verdict == JSON_OK));
	cJSON_Delete(other);
	free(copy);
	assert_true((*out != NULL) == (verdict == JSON_OK));
	assert_true((error[0] == '\0') == (verdict == JSON_OK));
	return verdict;
}

static enum json_verdict verdict_of(const char *text, size_t len)
{
	cJSON *j;
	const enum json_verdict v = judge(text, len, &j);

	cJSON_Delete(j);
	return v;
}

static void expect_all(const char *const *texts, size_t count, enum json_verdict wanted)
{
	for (size_t i = 0; i < count; i++)
		if (verdict_of(texts[i], strlen(texts[i])) != wanted)
			fail_msg("verdict %d on %s", verdict_of(texts[i], strlen(texts[i])), texts[i]);
}

static void test_good(void **state)
{
	static const char *const texts[] = {
		/* any value may stand alone, blanks around all */
		"null", "true", "false", "0", "\"\"", "[]", "{}", " \t\r\n[ \t\r\n] \t\r\n", " { } ", " 1 ", "[1]",
		"[ 1 , 2 ]", "{ \"a\" : 1 , \"b\" : [ ] }", "[[],{},[{}]]", "{\"\":0}",
		/* numbers */
		"-0", "-1", "10", "0.5", "-0.5", "1e5", "1E5", "1e+5", "1e-5", "1.25e10", "0e0", "0E+00", "1e-400",
		"1.7976931348623157e308", "18446744073709551616",
		"0.0000000000000000000000000000000000000000000000000000000000001",
		/* strings */
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u00e9\\uD834\\uDd1E\"", "\"\x7f\"", "\"\xc2\x80\"",
		"\"\xef\xbf\xbf\"", "\"\xf4\x8f\xbf\xbf\"", "\"\\uffff\"", "\"\\udbff\\udfff\"", "\"'\"", "\"\\u0001\"",
		"\"null\"",
		/* names that are not the same */
		"{\"a\":1,\"A\":2}", "{\"a\":{\"a\":{\"a\":1}}}", "[{\"a\":1},{\"a\":2}]",
		"{\"a\":{\"b\":1},\"b\":{\"a\":1}}", "{\"a\":1,\"a \":2}", "{\"a\":1,\"\\\\u0061\":2}",
		"{\"\xc3\xa9\":1,\"e\xcc\x81\":2}", "{\"\":1,\" \":2}", "{\"a\":[{\"a\":1}],\"b\":1}"};

	(void)state;
	expect_all(texts, COUNT(texts), JSON_OK);
}

static void test_bad(void **state)
{
	static const char *const texts[] = {
		/* no value, or more than one */
		"", " ", "\n", "1 2", "{}{}", "[] x", "nullnull", "\"\"\"\"", "{},", "]", "}", ",", ":", "x",
		/* a byte order mark */
		"\xef\xbb\xbf{}", "\xff\xfe[", "\xfe\xff",
		/* words */
		"nul", "nulll", "Null", "TRUE", "tru", "fals", "NaN", "Infinity", "-Infinity", "undefined", "[nan]",
		"n", "t", "f",
		/* numbers */
		"+1", "-", "01", "-01", "00", "1.", ".5", "-.5", "1.e5", "1e", "1e+", "1e-", "1E", "0x10", "1_000",
		"1 000", "--1", "1e1.5", "0e", "1.2.3", "1,5", "1e400", "-1e400", "1e99999999999999999999", "[1.]",
		"12345678901234567890123456789012345678901234567890123456789012345",
		/* strings */
		"\"", "\"a", "'a'", "\"\\\"", "\"\\x41\"", "\"\\'\"", "\"\\", "\"\\u\"", "\"\\u12\"", "\"\\u12g4\"",
		"\"\\U0041\"", "\"\\u+041\"", "\"\\u 041\"", "\"\\u-041\"", "\"\\a\"", "\"\\0\"", "\"\n\"", "\"\t\"",
		"\"\r\"", "\"\x01\"", "\"\x1f\"", "\"\\\n\"",
		/* surrogates alone or the wrong way round */
		"\"\\ud800\"", "\"\\udbff\"", "\"\\udc00\"", "\"\\udfff\"", "\"\\ud800x\"", "\"\\ud800\\n\"",
		"\"\\ud800\\u0041\"", "\"\\ud800\\ud800\"", "\"\\udc00\\ud800\"", "\"\\ud800\\ue000\"",
		"\"\\ud800\\udc0\"", "\"\\ud800\\", "\"\\ud800\\u", "\"\\ud800udc00\"", "{\"\\ud800\":1}",
		/* arrays and objects */
		"[", "[1", "[1,", "[1,]", "[,1]", "[,]", "[1 2]", "[1:2]", "[}", "[1}", "{", "{\"a\"",
		"{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,}", "{,\"a\":1}", "{\"a\"}", "{\"a\",1}",
		"{\"a\" 1}", "{\"a\"::1}", "{\"a\":1 \"b\":2}", "{\"a\":1:2}", "{a:1}", "{'a':1}", "{1:1}", "{null:1}",
		"{[]:1}", "{]", "{\"a\":1]", "[]]", "{}}", "{\"a\":}", "{:1}", "[\"a\":1]",
		/* comments and other blanks */
		"/**/1", "1//", "[1,/*2*/3]", "\v1", "\f1",
		"\xc2\xa0"
		"1",
		"\xe2\x80\xa8"
		"1",
		"#1"};

	(void)state;
	expect_all(texts, COUNT(texts), JSON_BAD);
}

static void test_shape(void **state)
{
	static const char *const texts[] = {"{\"a\":1,\"a\":1}",
					    "{\"a\":1,\"b\":2,\"a\":3}",
					    "{\"\":1,\"\":1}",
					    "{\"a\":1,\"\\u0061\":1}",
					    "{\"\\u0061\":1,\"a\":1}",
					    "{\"\xc3\xa9\":1,\"\\u00E9\":1}",
					    "{\"\\/\":1,\"/\":1}",
					    "{\"\xf0\x9d\x84\x9e\":1,\"\\ud834\\udd1e\":1}",
					    "{\"\\n\":1,\"\\u000a\":1}",
					    "{\"\\u07ff\":1,\"\xdf\xbf\":2}",
					    "{\"\\u20ac\":1,\"\xe2\x82\xac\":2}",
					    "[{\"a\":{},\"a\":[]}]",
					    "{\"a\":{\"a\":1},\"a\":2}",
					    "{\"b\":{\"c\":1,\"c\":1},\"a\":2}",
					    "[{\"a\":1},{\"a\":1,\"a\":2}]",
					    "\"\\u0000\"",
					    "{\"\\u0000\":1}",
					    "[\"a\\u0000b\"]",
					    "{\"a\":1,\"a\\u0000\":2}"};

	(void)state;
	expect_all(texts, COUNT(texts), JSON_SHAPE);
}

/* Syntax goes before shape, wherever it stands. */
static void test_syntax_first(void **state)
{
	static const char *const texts[] = {
		"{\"a\":1,\"a\":1", "{\"a\":1,\"a\":1}x", "{\"a\":1,\"a\":1,}",	     "\"\\u0000",
		"[\"\\u0000\",]",   "{\"a\":1,\"a\":01}", "{\"a\":1,\"a\":\"\xff\"}"};

	(void)state;
	expect_all(texts, COUNT(texts), JSON_BAD);
}

/* Zero bytes in the text itself are no end and no blank. */
static void test_zero_bytes(void **state)
{
	(void)state;
	assert_int_equal(verdict_of("{}\0", 3), JSON_BAD);
	assert_int_equal(verdict_of("\0{}", 3), JSON_BAD);
	assert_int_equal(verdict_of("\"\0\"", 3), JSON_BAD);
	assert_int_equal(verdict_of("[\0]", 3), JSON_BAD);
	assert_int_equal(verdict_of("\"\\\0\"", 4), JSON_BAD);
	assert_int_equal(verdict_of("\"\\u000\0\"", 8), JSON_BAD);
	assert_int_equal(verdict_of("{}\0{}", 2), JSON_OK);
}

/* UTF-8, by the book: the number, its shortest form, its range. */
static bool is_code_naively(const uint8_t *b, size_t len)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const size_t wanted = b[0] < 0xc0 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : b[0] < 0xf8 ? 4 : 0;
	uint32_t code;

	if (len != wanted)
		return false;
	code = b[0] & (0xffu >> (wanted + 1));
	for (size_t i = 1; i < len; i++) {
		if (b[i] >> 6 != 2)
			return false;
		code = code << 6 | (b[i] & 0x3f);
	}
	return code >= least[wanted] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

static void test_utf8(void **state)
{
	static const uint8_t edges[] = {0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
	enum { EDGES = sizeof(edges) };

	(void)state;
	for (unsigned first = 0x80; first <= 0xff; first++) {
		for (unsigned i = 0; i < EDGES * EDGES * EDGES * 4; i++) {
			const size_t len = 1 + i % 4;
			char text[6] = {'"',
					(char)first,
					(char)edges[i / 4 % EDGES],
					(char)edges[i / 4 / EDGES % EDGES],
					(char)edges[i / 4 / EDGES / EDGES],
					0};
			bool ascii_tail = false;

			/* What ends with a letter is a shorter sequence and a letter: not this question. */
			for (size_t k = 1; k < len; k++)
				ascii_tail |= (uint8_t)text[1 + k] < 0x80;
			if (ascii_tail || (len == 4 && i / 4 % EDGES > 7))
				continue;
			text[1 + len] = '"';
			if ((verdict_of(text, len + 2) == JSON_OK) != is_code_naively((uint8_t *)text + 1, len))
				fail_msg("%zu bytes from %02x", len, first);
		}
	}
}

/* Cut anywhere it is ungrammatical; whole, it says what it says. */
static void test_truncations(void **state)
{
	static const char text[] =
		"{ \"dst\" : {\"pk\":\"\\u00E9\\ud834\\uDD1e\xf0\x9d\x84\x9e\xe2\x82\xac\xc3\xa9\"},\n"
		"\t\"n\":[-0.25e+2, 12, 0, true ,false,null,[[{}]],\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"],\r\n"
		" \"\\u0061b\": \"\", \"\":{\"x\":[],\"y\":{\"x\":1E3}}}";
	const size_t len = sizeof(text) - 1;
	cJSON *j;

	(void)state;
	for (size_t i = 0; i < len; i++)
		if (verdict_of(text, i) != JSON_BAD)
			fail_msg("cut at %zu", i);
	assert_int_equal(judge(text, len, &j), JSON_OK);
	assert_string_equal(json_get(json_get(j, "dst"), "pk")->valuestring,
			    "\xc3\xa9\xf0\x9d\x84\x9e\xf0\x9d\x84\x9e\xe2\x82\xac\xc3\xa9");
	assert_true(cJSON_GetArrayItem(json_get(j, "n"), 0)->valuedouble == -25);
	assert_string_equal(cJSON_GetArrayItem(json_get(j, "n"), 7)->valuestring, "\"\\/\b\f\n\r\t");
	assert_non_null(json_get(j, "ab"));
	assert_true(json_get(json_get(json_get(j, ""), "y"), "x")->valuedouble == 1000);
	cJSON_Delete(j);
}

static void test_get(void **state)
{
	static const char text[] = "{\"a\":null,\"B\":[{\"c\":1}],\"d\":\"x\"}";
	cJSON *j;

	(void)state;
	assert_int_equal(judge(text, sizeof(text) - 1, &j), JSON_OK);
	assert_true(cJSON_IsNull(json_get(j, "a")));
	assert_false(json_has(j, "a"));
	assert_true(json_has(j, "B"));
	assert_null(json_get(j, "b"));
	assert_false(json_has(j, "b"));
	assert_null(json_get(json_get(j, "B"), "c"));
	assert_null(json_get(json_get(j, "d"), "x"));
	assert_null(json_get(NULL, "x"));
	assert_false(json_has(NULL, "x"));
	cJSON_Delete(j);
}

static void test_error_texts(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{"", "a value is expected at byte 0"},
		{"[1,]", "a value is expected at byte 3"},
		{"{} x", "nothing is expected after the value at byte 3"},
		{"{\"a\":1,\"a\":2}", "a member comes twice at byte 7"},
		{"[\"\xff\"]", "the text is not UTF-8 at byte 2"},
		{"\"abc", "a string does not end at byte 4"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char error[JSON_ERROR_BYTES];
		enum json_verdict verdict;

		assert_null(json_parse(rows[i].text, strlen(rows[i].text), &verdict, error));
		assert_string_equal(error, rows[i].error);
	}
}

/* A text that grows. */
struct text {
	char *bytes;
	size_t len;
	FILE *f;
};

static void text_open(struct text *t)
{
	t->f = open_memstream(&t->bytes, &t->len);
	assert_non_null(t->f);
}

static enum json_verdict text_judge(struct text *t)
{
	enum json_verdict v;

	fclose(t->f);
	v = verdict_of(t->bytes, t->len);
	free(t->bytes);
	return v;
}

static void put_times(struct text *t, const char *part, size_t times)
{
	for (size_t i = 0; i < times; i++)
		fputs(part, t->f);
}

static enum json_verdict nested(size_t depth, const char *open, const char *close)
{
	struct text t;

	text_open(&t);
	put_times(&t, open, depth);
	put_times(&t, "1", *open == '{' || *close == ']');
	put_times(&t, close, depth);
	return text_judge(&t);
}

static void test_depth(void **state)
{
	(void)state;
	assert_int_equal(nested(LIMIT_API_JSON_DEPTH, "[", "]"), JSON_OK);
	assert_int_equal(nested(LIMIT_API_JSON_DEPTH + 1, "[", "]"), JSON_BAD);
	assert_int_equal(nested(LIMIT_API_JSON_DEPTH, "{\"a\":", "}"), JSON_OK);
	assert_int_equal(nested(LIMIT_API_JSON_DEPTH + 1, "{\"a\":", "}"), JSON_BAD);
	assert_int_equal(nested(10000, "[", "]"), JSON_BAD);
	assert_int_equal(nested(10000, "{\"a\":", "}"), JSON_BAD);
	assert_int_equal(nested(2 * 1024 * 1024, "[", ""), JSON_BAD);
}

/* Closed again, a level is free again. */
static void test_wide(void **state)
{
	struct text t;

	(void)state;
	text_open(&t);
	put_times(&t, "[", 1);
	put_times(&t, "[{\"a\":[[]]}],", 10000);
	put_times(&t, "0]", 1);
	assert_int_equal(text_judge(&t), JSON_OK);
}

static enum json_verdict many_members(unsigned count, const char *end)
{
	struct text t;

	text_open(&t);
	for (unsigned i = 0; i < count; i++)
		fprintf(t.f, "%c\"%x\":0", i ? ',' : '{', i);
	fputs(end, t.f);
	return text_judge(&t);
}

static void test_many_members(void **state)
{
	(void)state;
	assert_int_equal(many_members(65000, "}"), JSON_OK);
	assert_int_equal(many_members(65000, ",\"7a\\u0031\":0}"), JSON_SHAPE);
	assert_int_equal(many_members(1000000, "}"), JSON_BAD);
}

static enum json_verdict many_values(size_t count)
{
	struct text t;

	text_open(&t);
	put_times(&t, "[", 1);
	put_times(&t, "1,", count - 2);
	put_times(&t, "1]", 1);
	return text_judge(&t);
}

/* The array counts too. */
static void test_many_values(void **state)
{
	(void)state;
	assert_int_equal(many_values(JSON_VALUES), JSON_OK);
	assert_int_equal(many_values(JSON_VALUES + 1), JSON_BAD);
}

/* One name in many objects, and one that comes very often. */
static void test_many_objects(void **state)
{
	struct text t;

	(void)state;
	text_open(&t);
	put_times(&t, "[", 1);
	put_times(&t, "{\"a\":1},", 30000);
	put_times(&t, "1]", 1);
	assert_int_equal(text_judge(&t), JSON_OK);
	text_open(&t);
	put_times(&t, "{", 1);
	put_times(&t, "\"a\":1,", 65000);
	put_times(&t, "\"a\":1}", 1);
	assert_int_equal(text_judge(&t), JSON_SHAPE);
}

/* Long strings and names, with and without escapes. */
static void test_long_strings(void **state)
{
	struct text t;

	(void)state;
	text_open(&t);
	put_times(&t, "[\"", 1);
	put_times(&t, "0123456789abcdef", 500000);
	put_times(&t, "\",\"", 1);
	put_times(&t, "\\u00e9\xc3\xa9\\n", 200000);
	put_times(&t, "\",{\"", 1);
	put_times(&t, "a\\u00e9", 200000);
	put_times(&t, "\":1,\"", 1);
	put_times(&t, "a\xc3\xa9", 200000);
	put_times(&t, "b\":1}]", 1);
	assert_int_equal(text_judge(&t), JSON_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	     cmocka_unit_test(test_bad),
		cmocka_unit_test(test_shape),	     cmocka_unit_test(test_syntax_first),
		cmocka_unit_test(test_zero_bytes),   cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_truncations),  cmocka_unit_test(test_get),
		cmocka_unit_test(test_error_texts),  cmocka_unit_test(test_depth),
		cmocka_unit_test(test_wide),	     cmocka_unit_test(test_many_members),
		cmocka_unit_test(test_many_values),  cmocka_unit_test(test_many_objects),
		cmocka_unit_test(test_long_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
