/* SPDX-License-Identifier: Apache-2.0 */
/* The judge walks the text once, with what is open on a stack of LIMIT_API_JSON_DEPTH places and no recursion. The
 * first thing that is wrong ends it (`why`); what is only of the wrong shape is noted, for syntax goes before. cJSON
 * then reads what has passed: its laxities (control characters, bytes that are not UTF-8, numbers like 1., a BOM) never
 * meet a text that has them. Where a long string may stay in the text, cJSON reads the text without it. */
#include "controld/api/json.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "controld/api/json_names.h"
#include "shared/limits.h"

enum expect { FIRST_VALUE, VALUE, FIRST_NAME, NAME, NEXT };

/* A string without escapes, and whose it is. */
struct span {
	size_t at, len;
	unsigned member; /* of the outermost object, from 0 */
};

struct judge {
	const char *text, *p, *end;
	const char *why, *shape; /* NULL: nothing */
	size_t why_at, shape_at;
	enum expect expect;
	unsigned depth;
	uint32_t open[LIMIT_API_JSON_DEPTH]; /* the object's number; 0: an array */
	uint32_t objects, values; /* so far */
	unsigned members; /* so far, of the outermost object */
	struct span longest; /* of the strings that are its members */
	struct json_names names;
};

static void fail(struct judge *j, const char *why)
{
	if (j->why)
		return;
	j->why = why;
	j->why_at = (size_t)(j->p - j->text);
}

static void misshapen(struct judge *j, const char *shape, const char *at)
{
	if (j->shape)
		return;
	j->shape = shape;
	j->shape_at = (size_t)(at - j->text);
}

/* The next byte, -1 at the end. */
static int peek(const struct judge *j)
{
	return j->p < j->end ? (unsigned char)*j->p : -1;
}

static bool accept(struct judge *j, int c)
{
	if (peek(j) != c)
		return false;
	j->p++;
	return true;
}

static void skip_blanks(struct judge *j)
{
	while (j->p < j->end && (*j->p == ' ' || *j->p == '\n' || *j->p == '\r' || *j->p == '\t'))
		j->p++;
}

static void skip_word(struct judge *j, const char *word)
{
	const size_t len = strlen(word);

	if ((size_t)(j->end - j->p) < len || memcmp(j->p, word, len) != 0)
		fail(j, "a value is expected");
	else
		j->p += len;
}

/* At least one. */
static void skip_digits(struct judge *j)
{
	if (peek(j) < '0' || peek(j) > '9')
		fail(j, "a digit is expected");
	while (peek(j) >= '0' && peek(j) <= '9')
		j->p++;
}

static void check_range(struct judge *j, const char *number, size_t len)
{
	char copy[JSON_NUMBER_CHARS + 1];

	if (len > JSON_NUMBER_CHARS) {
		fail(j, "the number is too long");
		return;
	}
	memcpy(copy, number, len);
	copy[len] = '\0';
	if (isinf(strtod(copy, NULL)))
		fail(j, "the number is out of range");
}

static void skip_number(struct judge *j)
{
	const char *number = j->p;

	accept(j, '-');
	if (!accept(j, '0'))
		skip_digits(j);
	if (accept(j, '.'))
		skip_digits(j);
	if (accept(j, 'e') || accept(j, 'E')) {
		if (!accept(j, '+'))
			accept(j, '-');
		skip_digits(j);
	}
	if (!j->why)
		check_range(j, number, (size_t)(j->p - number));
}

/* Bytes of a string, decoded; of names they are kept. */
static void put(struct judge *j, bool is_name, const void *bytes, size_t len)
{
	if (is_name)
		json_names_put(&j->names, bytes, len);
}

static void put_code(struct judge *j, bool is_name, uint32_t code)
{
	uint8_t b[4];
	size_t len = 0;

	if (code < 0x80) {
		b[len++] = (uint8_t)code;
	} else if (code < 0x800) {
		b[len++] = (uint8_t)(0xc0 | code >> 6);
	} else if (code < 0x10000) {
		b[len++] = (uint8_t)(0xe0 | code >> 12);
		b[len++] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
	} else {
		b[len++] = (uint8_t)(0xf0 | code >> 18);
		b[len++] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
		b[len++] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
	}
	if (code >= 0x80)
		b[len++] = (uint8_t)(0x80 | (code & 0x3f));
	put(j, is_name, b, len);
}

/* Four hex digits. */
static uint32_t take_unit(struct judge *j)
{
	uint32_t unit = 0;

	for (int i = 0; i < 4; i++) {
		const int c = peek(j), letter = c | 0x20;

		if (c >= '0' && c <= '9')
			unit = unit << 4 | (uint32_t)(c - '0');
		else if (letter >= 'a' && letter <= 'f' && c > 0)
			unit = unit << 4 | (uint32_t)(letter - 'a' + 10);
		else
			fail(j, "four hex digits are expected");
		if (j->why)
			return 0;
		j->p++;
	}
	return unit;
}

/* What follows \u; a code outside of the first 65,536 takes two. */
static void take_code(struct judge *j, bool is_name)
{
	const char *at = j->p;
	uint32_t code = take_unit(j), low = 0;

	if (code >= 0xd800 && code < 0xdc00) {
		if (accept(j, '\\') && accept(j, 'u'))
			low = take_unit(j);
		if (low < 0xdc00 || low > 0xdfff)
			fail(j, "a surrogate is alone");
		code = 0x10000 + ((code & 0x3ff) << 10 | (low & 0x3ff));
	} else if (code >= 0xdc00 && code < 0xe000) {
		fail(j, "a surrogate is alone");
	}
	if (j->why)
		return;
	if (code == 0)
		misshapen(j, "a string has a zero byte", at);
	put_code(j, is_name, code);
}

static void take_escape(struct judge *j, bool is_name)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const int c = (j->p++, peek(j));
	const char *found = c > 0 ? strchr(from, c) : NULL;

	if (found) {
		j->p++;
		put(j, is_name, &to[found - from], 1);
	} else if (accept(j, 'u')) {
		take_code(j, is_name);
	} else {
		fail(j, "an escape is expected");
	}
}

/* Length of the UTF-8 sequence at p (RFC 3629, chapter 4), 0 if it is none: the second byte's range excludes overlong
 * forms, surrogates and what is above U+10FFFF. */
static size_t utf8_len(const uint8_t *p, size_t left)
{
	const uint8_t first = p[0];
	const size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	const uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	const uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

	if (first < 0xc2 || first > 0xf4 || left < len || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

static void take_utf8(struct judge *j, bool is_name)
{
	const size_t len = utf8_len((const uint8_t *)j->p, (size_t)(j->end - j->p));

	if (!len) {
		fail(j, "the text is not UTF-8");
		return;
	}
	put(j, is_name, j->p, len);
	j->p += len;
}

/* Signed, so that what is not ASCII is less than a blank. */
typedef int8_t lanes __attribute__((vector_size(16)));

static bool is_plain(char c)
{
	return (signed char)c >= 0x20 && c != '"' && c != '\\';
}

/* Whether not all of them are plain. */
static bool has_special(const char bytes[2 * sizeof(lanes)])
{
	uint64_t special[sizeof(lanes) / sizeof(uint64_t)];
	lanes a, b;

	memcpy(&a, bytes, sizeof(a));
	memcpy(&b, bytes + sizeof(a), sizeof(b));
	a = (a < 0x20) | (a == '"') | (a == '\\') | (b < 0x20) | (b == '"') | (b == '\\');
	memcpy(special, &a, sizeof(special));
	return (special[0] | special[1]) != 0;
}

static void skip_plain(struct judge *j)
{
	while (j->end - j->p >= (ptrdiff_t)(2 * sizeof(lanes)) && !has_special(j->p))
		j->p += 2 * sizeof(lanes);
	while (j->p < j->end && is_plain(*j->p))
		j->p++;
}

/* A string, from behind its first quote. True: it has ended, and had no escapes. */
static bool take_string(struct judge *j, bool is_name)
{
	bool as_is = true;

	while (!j->why) {
		const char *run = j->p;

		skip_plain(j);
		put(j, is_name, run, (size_t)(j->p - run));
		if (accept(j, '"'))
			return as_is;
		if (peek(j) == '\\') {
			as_is = false;
			take_escape(j, is_name);
		} else if (peek(j) >= 0x80) {
			take_utf8(j, is_name);
		} else {
			fail(j, peek(j) < 0 ? "a string does not end" : "a control character in a string");
		}
	}
	return false;
}

/* A string that is a value. */
static void take_text(struct judge *j)
{
	const char *text = ++j->p;
	size_t len;

	if (!take_string(j, false) || j->depth != 1 || !j->open[0])
		return;
	len = (size_t)(j->p - 1 - text);
	if (len > j->longest.len)
		j->longest = (struct span){.at = (size_t)(text - j->text), .len = len, .member = j->members - 1};
}

static void open_container(struct judge *j, uint32_t object, enum expect then)
{
	if (j->depth == LIMIT_API_JSON_DEPTH) {
		fail(j, "nested too deep");
		return;
	}
	j->p++;
	j->open[j->depth++] = object;
	j->expect = then;
}

static void take_value(struct judge *j)
{
	if (++j->values > JSON_VALUES) {
		fail(j, "too many values");
		return;
	}
	j->expect = NEXT;
	switch (peek(j)) {
	case '{':
		open_container(j, ++j->objects, FIRST_NAME);
		break;
	case '[':
		open_container(j, 0, FIRST_VALUE);
		break;
	case '"':
		take_text(j);
		break;
	case 't':
		skip_word(j, "true");
		break;
	case 'f':
		skip_word(j, "false");
		break;
	case '-':
	case '0' ... '9':
		skip_number(j);
		break;
	default:
		skip_word(j, "null");
	}
}

/* A member's name and its colon. */
static void take_name(struct judge *j)
{
	const char *at = j->p;

	if (!accept(j, '"')) {
		fail(j, "a member's name is expected");
		return;
	}
	j->members += j->depth == 1;
	json_names_begin(&j->names, j->open[j->depth - 1]);
	(void)take_string(j, true);
	if (j->why)
		return;
	if (!json_names_end(&j->names))
		misshapen(j, "a member comes twice", at);
	skip_blanks(j);
	if (!accept(j, ':'))
		fail(j, "a colon is expected");
	j->expect = VALUE;
}

/* After a value inside of an array or object. */
static void take_next(struct judge *j)
{
	const bool in_object = j->open[j->depth - 1] != 0;

	if (accept(j, ',')) {
		j->expect = in_object ? NAME : VALUE;
		return;
	}
	if (!accept(j, in_object ? '}' : ']'))
		fail(j,
		     in_object ? "a comma or the object's end is expected" : "a comma or the array's end is expected");
	j->depth--;
}

static void take_step(struct judge *j)
{
	if (j->expect == NEXT || (j->expect == FIRST_VALUE && peek(j) == ']') ||
	    (j->expect == FIRST_NAME && peek(j) == '}')) {
		j->expect = NEXT;
		take_next(j);
	} else if (j->expect == NAME || j->expect == FIRST_NAME) {
		take_name(j);
	} else {
		take_value(j);
	}
}

static void judge_text(struct judge *j)
{
	do {
		skip_blanks(j);
		take_step(j);
		if (j->names.full)
			fail(j, "there is no memory for so many names");
	} while (!j->why && (j->depth || j->expect != NEXT));
	skip_blanks(j);
	if (j->p < j->end)
		fail(j, "nothing is expected after the value");
}

static enum json_verdict judge(const char *text, size_t len, struct span *longest, char error[JSON_ERROR_BYTES])
{
	struct judge j = {.text = text, .p = text, .end = text + len, .expect = VALUE};

	assert(len <= LIMIT_API_BODY_BYTES_MAX);
	judge_text(&j);
	json_names_fini(&j.names);
	*longest = j.longest;
	error[0] = '\0';
	if (j.why)
		snprintf(error, JSON_ERROR_BYTES, "%s at byte %zu", j.why, j.why_at);
	else if (j.shape)
		snprintf(error, JSON_ERROR_BYTES, "%s at byte %zu", j.shape, j.shape_at);
	return j.why ? JSON_BAD : j.shape ? JSON_SHAPE : JSON_OK;
}

/* The text has passed: so if there is no value, there was no memory for it. */
static cJSON *must_have_read(cJSON *value, enum json_verdict *verdict, char error[JSON_ERROR_BYTES])
{
	if (!value) {
		*verdict = JSON_BAD;
		snprintf(error, JSON_ERROR_BYTES, "there is no memory for the value");
	}
	return value;
}

/* The value of the text, with an empty string in place of that one. */
static cJSON *read_without(const char *text, size_t len, const struct span *s)
{
	char *rest = malloc(len - s->len);
	cJSON *value;

	if (!rest)
		return NULL;
	memcpy(rest, text, s->at);
	memcpy(rest + s->at, text + s->at + s->len, len - s->at - s->len);
	value = cJSON_ParseWithLengthOpts(rest, len - s->len, NULL, 0);
	free(rest);
	return value;
}

cJSON *json_parse(const char *text, size_t len, enum json_verdict *verdict, char error[JSON_ERROR_BYTES])
{
	struct span longest;

	*verdict = judge(text, len, &longest, error);
	if (*verdict != JSON_OK)
		return NULL;
	return must_have_read(cJSON_ParseWithLengthOpts(text, len, NULL, 0), verdict, error);
}

cJSON *json_parse_in_place(char *text, size_t len, enum json_verdict *verdict, char error[JSON_ERROR_BYTES])
{
	struct span s;
	cJSON *value, *string;

	*verdict = judge(text, len, &s, error);
	if (*verdict != JSON_OK)
		return NULL;
	if (s.len < JSON_LONG_BYTES)
		return must_have_read(cJSON_ParseWithLengthOpts(text, len, NULL, 0), verdict, error);
	value = must_have_read(read_without(text, len, &s), verdict, error);
	if (!value)
		return NULL;
	string = cJSON_GetArrayItem(value, (int)s.member);
	assert(cJSON_IsString(string) && string->valuestring[0] == '\0');
	cJSON_free(string->valuestring);
	string->valuestring = text + s.at;
	string->type |= cJSON_IsReference; /* which cJSON does not free */
	text[s.at + s.len] = '\0';
	return value;
}

const cJSON *json_get(const cJSON *j, const char *name)
{
	return cJSON_IsObject(j) ? cJSON_GetObjectItemCaseSensitive(j, name) : NULL;
}

bool json_has(const cJSON *j, const char *name)
{
	const cJSON *member = json_get(j, name);

	return member && !cJSON_IsNull(member);
}
