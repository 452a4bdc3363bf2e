/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as JSON. What passes has no repeated name and no bytes that are not UTF-8, is no deeper than allowed,
 * prints to what reads the same, and is ungrammatical when cut or prolonged; what is only misshapen is what cJSON
 * reads. */
#include "controld/api/json.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/limits.h"

enum { LONG_STRINGS = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

/* In place comes out what came out of a copy. */
static void check_in_place(char *text, size_t len, const cJSON *j, enum json_verdict wanted, const char *wanted_error)
{
	char error[JSON_ERROR_BYTES];
	enum json_verdict verdict;
	cJSON *other = json_parse_in_place(text, len, &verdict, error);

	must(verdict == wanted && strcmp(error, wanted_error) == 0, "the same verdict in place");
	must((other != NULL) == (j != NULL) && (!j || cJSON_Compare(j, other, true)), "the same value in place");
	cJSON_Delete(other);
}

/* A copy of exactly that size. */
static enum json_verdict judge(const void *text, size_t len, cJSON **out)
{
	char error[JSON_ERROR_BYTES], *copy = malloc(len ? len : 1);
	enum json_verdict verdict;
	cJSON *j;

	must(copy, "memory");
	memcpy(copy, text, len);
	j = json_parse(copy, len, &verdict, error);
	check_in_place(copy, len, j, verdict, error);
	free(copy);
	must((j != NULL) == (verdict == JSON_OK), "a value exactly where it is good");
	must((error[0] == '\0') == (verdict == JSON_OK), "a sentence exactly where it is not");
	must(!strstr(error, "memory"), "cJSON reads what has passed");
	for (const char *c = error; *c; c++)
		must(*c >= 0x20 && *c < 0x7f, "printable");
	if (out)
		*out = j;
	else
		cJSON_Delete(j);
	return verdict;
}

static bool has_repeated(const cJSON *j)
{
	for (const cJSON *a = j->child; a; a = a->next) {
		for (const cJSON *b = a->next; cJSON_IsObject(j) && b; b = b->next)
			if (strcmp(a->string, b->string) == 0)
				return true;
		if (has_repeated(a))
			return true;
	}
	return false;
}

static unsigned depth_of(const cJSON *j)
{
	unsigned deepest = 0;

	for (const cJSON *a = j->child; a; a = a->next) {
		const unsigned depth = depth_of(a);

		deepest = depth > deepest ? depth : deepest;
	}
	return deepest + (cJSON_IsObject(j) || cJSON_IsArray(j));
}

/* Every character of UTF-8 begins at a byte that does not continue one; of those, as many follow as the first says. */
static bool is_utf8(const char *text)
{
	const uint8_t *p = (const uint8_t *)text;

	while (*p) {
		const uint8_t first = *p++;
		const unsigned more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;

		if (first >= 0x80 && (first < 0xc2 || first > 0xf4))
			return false;
		for (unsigned i = 0; i < more; i++)
			if (*p++ >> 6 != 2)
				return false;
	}
	return true;
}

static void check_strings(const cJSON *j)
{
	must(!j->string || is_utf8(j->string), "a name is UTF-8");
	must(!j->valuestring || is_utf8(j->valuestring), "a string is UTF-8");
	for (const cJSON *a = j->child; a; a = a->next)
		check_strings(a);
}

static void check_print(const cJSON *j, bool pretty)
{
	char *text = pretty ? cJSON_Print(j) : cJSON_PrintUnformatted(j);
	cJSON *again;

	must(text, "it prints");
	must(judge(text, strlen(text), &again) == JSON_OK, "its print is good");
	must(cJSON_Compare(j, again, true), "its print is the same");
	cJSON_Delete(again);
	free(text);
}

static void check_good(const cJSON *j, const uint8_t *data, size_t size)
{
	char *longer = malloc(size + 1);
	const size_t cut = size / 2;

	must(longer, "memory");
	must(!has_repeated(j), "no name twice");
	must(depth_of(j) <= LIMIT_API_JSON_DEPTH, "not too deep");
	check_strings(j);
	check_print(j, true);
	check_print(j, false);
	memcpy(longer, data, size);
	longer[size] = ',';
	must(judge(longer, size + 1, NULL) == JSON_BAD, "nothing may follow");
	longer[size] = '\0';
	if (!cJSON_IsNumber(j) && strspn(longer + cut, " \t\r\n") < size - cut)
		must(judge(longer, cut, NULL) == JSON_BAD, "a part is no whole");
	free(longer);
}

static void check_misshapen(const uint8_t *data, size_t size)
{
	cJSON *j = cJSON_ParseWithLengthOpts((const char *)data, size, NULL, 0);

	must(j, "cJSON reads what is misshapen");
	must(has_repeated(j) || memmem(data, size, "\\u0000", 6), "there is a reason");
	cJSON_Delete(j);
}

static void check(const uint8_t *data, size_t size)
{
	cJSON *j;
	const enum json_verdict verdict = judge(data, size, &j);

	if (verdict == JSON_OK)
		check_good(j, data, size);
	else if (verdict == JSON_SHAPE)
		check_misshapen(data, size);
	cJSON_Delete(j);
}

/* A byte that no text has, 0x01, stands for as many letters as make a string long; for few of them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *text = malloc(size + LONG_STRINGS * JSON_LONG_BYTES + 1);
	size_t len = 0;
	unsigned count = 0;

	must(text, "memory");
	for (size_t i = 0; i < size && size <= 4096; i++) {
		if (data[i] == 1 && count < LONG_STRINGS) {
			memset(text + len, 'a' + (int)count++, JSON_LONG_BYTES);
			len += JSON_LONG_BYTES;
		} else {
			text[len++] = data[i];
		}
	}
	check(text, len);
	free(text);
	return 0;
}
