/* SPDX-License-Identifier: Apache-2.0 */
/* Text of strangers: what is UTF-8, what is harmless, and how numbers read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controld/cli/cli_text.h"
#include <string.h>

static void test_utf8(void **state)
{
	static const char *const good[] = {
		"",
		"plain",
		"\x7f",
		"\xc2\x80",
		"\xdf\xbf",
		"\xe0\xa0\x80",
		"\xed\x9f\xbf",
		"\xee\x80\x80",
		"\xef\xbf\xbf",
		"\xf0\x90\x80\x80",
		"\xf4\x8f\xbf\xbf",
	};
	static const char *const bad[] = {
		"\x80",
		"\xbf",
		"\xc0\x80",
		"\xc1\xbf",
		"\xc2",
		"\xc2 ",
		"\xe0\x9f\xbf",
		"\xe0\xa0",
		"\xed\xa0\x80",
		"\xed\xbf\xbf",
		"\xe2\x28\xa1",
		"\xf0\x8f\xbf\xbf",
		"\xf0\x90\x80",
		"\xf4\x90\x80\x80",
		"\xf8\x88\x80\x80\x80",
		"\xff",
		"ok\xe2\x82ok",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(cli_utf8_is_valid(good[i], strlen(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (cli_utf8_is_valid(bad[i], strlen(bad[i])))
			fail_msg("row %zu", i);
	}
	assert_true(cli_utf8_is_valid("a\0b", 3));
}

static char *text;
static size_t text_len;

static FILE *open_text(void)
{
	free(text);
	text = NULL;
	return open_memstream(&text, &text_len);
}

static void test_safe(void **state)
{
	static const struct {
		const char *in;
		size_t max;
		const char *out;
	} rows[] = {
		{"", 5, ""},
		{"abcde", 5, "abcde"},
		{"abcdef", 5, "abcde..."},
		{"\xc3\xa9\xc3\xa9\xc3\xa9", 2, "\xc3\xa9\xc3\xa9..."},
		{"a\nb\tc\rd", 9, "a b c d"},
		{"\x1b[2J\x07\x7f", 9, "?[2J??"},
		{"\xc2\x9b\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8\xe2\x80\x8f\xd8\x9c", 9, "\?\?\?\?\?\?"},
		{"\xc3(\xff", 9, "?(?"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		FILE *f = open_text();

		cli_put_safe(f, rows[i].in, rows[i].max);
		fclose(f);
		assert_string_equal(text, rows[i].out);
	}
}

static void test_json_string(void **state)
{
	static const char in[] = "a\"\\/\b\f\n\r\t\0\x1f\x7f\xc2\x85\xe2\x80\xae\xf0\x9f\x98\x80\xff";

	(void)state;
	for (int strict = 0; strict < 2; strict++) {
		FILE *f = open_text();

		cli_put_json_string(f, in, sizeof(in) - 1, strict);
		fclose(f);
		assert_string_equal(text, strict ? "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\\u007f\\u0085\\u202e"
						   "\xf0\x9f\x98\x80\\ufffd\""
						 : "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\xc2\x85\xe2\x80\xae"
						   "\xf0\x9f\x98\x80\\ufffd\"");
	}
}

static void test_json_text(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"{\"a\" :\n[1,\t2.5e3]}", "{\"a\" : [1, 2.5e3]}"},
		{"[\"\\\"\x1b\\\\\",\"\x1b\"]", "[\"\\\"\\u001b\\\\\",\"\\u001b\"]"},
		{"[\"\\u001b\\n\xc3\xa9\"]", "[\"\\u001b\\n\xc3\xa9\"]"},
		{"[\"\xc2\x9b\xff\"]", "[\"\\u009b\\ufffd\"]"},
		{"\xc2\x9b\xff", "  "},
		{"[\"\\u12\"]", "[\"\\ufffdu12\"]"},
		{"[\"\\", "[\"\\ufffd"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		FILE *f = open_text();

		cli_put_json_text(f, rows[i].in, strlen(rows[i].in));
		fclose(f);
		assert_string_equal(text, rows[i].out);
	}
	free(text);
	text = NULL;
}

static void test_numbers(void **state)
{
	static const struct {
		double n;
		const char *duration, *size;
	} rows[] = {
		{0, "0s", "0B"},
		{59.9, "59s", "60B"},
		{60, "1m0s", "60B"},
		{192, "3m12s", "192B"},
		{3599, "59m59s", "3.5KiB"},
		{3600, "1h0m", "3.5KiB"},
		{90061, "1d1h", "88.0KiB"},
		{1e9, "11574d1h", "953.7MiB"},
		{-1, "0s", "0B"},
		{1e300, "0s", "0B"},
	};
	char duration[CLI_DURATION_BYTES], size[CLI_SIZE_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_string_equal(cli_duration(rows[i].n, duration), rows[i].duration);
		assert_string_equal(cli_size(rows[i].n, size), rows[i].size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8),	  cmocka_unit_test(test_safe),	  cmocka_unit_test(test_json_string),
		cmocka_unit_test(test_json_text), cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
