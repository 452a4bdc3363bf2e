/* SPDX-License-Identifier: Apache-2.0 */
/* Lines are gathered in a buffer of their own and judged whole; bodies are copied as they come. */
#include "controld/cli/cli_answer.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	FIRST_CAP_BYTES = 4096,
	NUMBER_DIGITS = 15, /* of a length: fits a double, and any size_t sum */
};

void cli_answer_init(struct cli_answer *a, size_t max)
{
	*a = (struct cli_answer){.max = max};
	a->body = calloc(1, 1);
	assert(a->body);
}

void cli_answer_fini(struct cli_answer *a)
{
	free(a->body);
	a->body = NULL;
}

static bool fail(struct cli_answer *a, const char *why)
{
	a->error = why;
	a->state = CLI_ANSWER_BROKEN;
	return false;
}

/* Room for len more bytes and a zero. The server chose the size, so that there may be none. */
static bool reserve(struct cli_answer *a, size_t len)
{
	size_t cap = a->cap ? a->cap : FIRST_CAP_BYTES;
	char *body;

	if (len > a->max - a->len)
		return fail(a, "the body is too long");
	while (cap < a->len + len + 1)
		cap *= 2;
	if (cap == a->cap)
		return true;
	body = realloc(a->body, cap);
	if (!body)
		return fail(a, "no memory for the body");
	a->body = body;
	a->cap = cap;
	return true;
}

static bool append(struct cli_answer *a, const char *bytes, size_t len)
{
	if (!reserve(a, len))
		return false;
	memcpy(a->body + a->len, bytes, len);
	a->len += len;
	a->body[a->len] = '\0';
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* HTTP/1.x NNN reason */
static bool on_status(struct cli_answer *a)
{
	static const char start[] = "HTTP/1.";
	const size_t digits = sizeof(start) - 1 + 2;
	const char *l = a->line;

	if (strncmp(l, start, sizeof(start) - 1) != 0 || !is_digit(l[digits - 2]) || l[digits - 1] != ' ')
		return fail(a, "it does not speak HTTP/1.1");
	if (!is_digit(l[digits]) || !is_digit(l[digits + 1]) || !is_digit(l[digits + 2]) ||
	    (l[digits + 3] != ' ' && l[digits + 3] != '\0'))
		return fail(a, "the status is not a number of three digits");
	a->status = (l[digits] - '0') * 100 + (l[digits + 1] - '0') * 10 + l[digits + 2] - '0';
	a->old = l[digits - 2] == '0';
	if (a->status < 100 || a->status > 599 || a->status == 101)
		return fail(a, "a status that makes no sense here");
	a->sized = a->chunked = false;
	a->state = CLI_ANSWER_HEADERS;
	return true;
}

static bool on_length(struct cli_answer *a, const char *value)
{
	const size_t digits = strspn(value, "0123456789");
	unsigned long long length;

	if (!digits || value[digits])
		return fail(a, "Content-Length is not a number");
	if (digits > NUMBER_DIGITS)
		return fail(a, "the body is too long");
	length = strtoull(value, NULL, 10);
	if (a->sized && length != a->left)
		return fail(a, "Content-Length twice");
	a->sized = true;
	a->left = length;
	return true;
}

/* The value without blanks around it, or NULL if this is another header. */
static const char *value_of(char *line, const char *name)
{
	const size_t len = strlen(name);
	char *value = line + len, *end;

	if (strncasecmp(line, name, len) != 0 || *value++ != ':')
		return NULL;
	value += strspn(value, " \t");
	end = value + strlen(value);
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	return value;
}

static bool on_header(struct cli_answer *a)
{
	static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	const size_t name = strspn(a->line, token);
	const char *value;

	if (!name || a->line[name] != ':')
		return fail(a, "a header line that is none");
	value = value_of(a->line, "content-length");
	if (value)
		return on_length(a, value);
	value = value_of(a->line, "transfer-encoding");
	if (!value)
		return true;
	if (a->chunked || a->old || strcasecmp(value, "chunked") != 0)
		return fail(a, "a Transfer-Encoding that is not known");
	a->chunked = true;
	return true;
}

static bool on_head_end(struct cli_answer *a)
{
	if (a->sized && a->chunked)
		return fail(a, "both Content-Length and Transfer-Encoding");
	if (a->status < 200) {
		a->status = 0;
		a->state = CLI_ANSWER_STATUS;
		return true;
	}
	if (a->sized && a->left > a->max)
		return fail(a, "the body is too long");
	if (a->status == 204 || a->status == 304 || (a->sized && a->left == 0))
		a->state = CLI_ANSWER_ENDED;
	else if (a->chunked)
		a->state = CLI_ANSWER_CHUNK_SIZE;
	else
		a->state = a->sized ? CLI_ANSWER_SIZED : CLI_ANSWER_UNSIZED;
	return true;
}

static bool on_chunk_size(struct cli_answer *a)
{
	const size_t digits = strspn(a->line, "0123456789abcdefABCDEF");

	if (!digits || (a->line[digits] && !strchr("; \t", a->line[digits])))
		return fail(a, "the size of a chunk is not a number");
	if (digits > NUMBER_DIGITS)
		return fail(a, "the body is too long");
	a->left = strtoull(a->line, NULL, 16);
	a->state = a->left ? CLI_ANSWER_CHUNK : CLI_ANSWER_TRAILER;
	return a->left <= a->max - a->len || fail(a, "the body is too long");
}

static bool on_line(struct cli_answer *a)
{
	const bool empty = a->line_len == 0;

	switch (a->state) {
	case CLI_ANSWER_STATUS:
		return on_status(a);
	case CLI_ANSWER_HEADERS:
		return empty ? on_head_end(a) : on_header(a);
	case CLI_ANSWER_CHUNK_SIZE:
		return on_chunk_size(a);
	case CLI_ANSWER_CHUNK_END:
		a->state = CLI_ANSWER_CHUNK_SIZE;
		return empty || fail(a, "a chunk that is longer than it says");
	default:
		assert(a->state == CLI_ANSWER_TRAILER);
		if (empty)
			a->state = CLI_ANSWER_ENDED;
		return true;
	}
}

/* One byte of a line. Lines of heads count together; those between chunks are bounded each. */
static bool on_line_byte(struct cli_answer *a, char c)
{
	const bool chunk = a->state == CLI_ANSWER_CHUNK_SIZE || a->state == CLI_ANSWER_CHUNK_END;

	if (!chunk && ++a->head_len > CLI_ANSWER_HEAD_BYTES)
		return fail(a, "the head is too long");
	if (c == '\n') {
		bool ok;

		if (a->line_len && a->line[a->line_len - 1] == '\r')
			a->line_len--;
		a->line[a->line_len] = '\0';
		ok = !strchr(a->line, '\r') || fail(a, "a control character in a line");
		ok = ok && on_line(a);
		a->line_len = 0;
		return ok;
	}
	if ((unsigned char)c < ' ' && c != '\t' && c != '\r')
		return fail(a, "a control character in a line");
	if (a->line_len + 1 == sizeof(a->line))
		return fail(a, "a line that is too long");
	a->line[a->line_len++] = c;
	return true;
}

/* Bytes of a body; returns how many were used. */
static size_t on_body(struct cli_answer *a, const char *bytes, size_t len)
{
	if (a->state == CLI_ANSWER_UNSIZED) {
		(void)append(a, bytes, len);
		return len;
	}
	if (len > a->left)
		len = a->left;
	if (!append(a, bytes, len))
		return len;
	a->left -= len;
	if (a->left == 0)
		a->state = a->state == CLI_ANSWER_CHUNK ? CLI_ANSWER_CHUNK_END : CLI_ANSWER_ENDED;
	return len;
}

static enum cli_answer_verdict verdict(const struct cli_answer *a)
{
	if (a->state == CLI_ANSWER_BROKEN)
		return CLI_ANSWER_BAD;
	return a->state == CLI_ANSWER_ENDED ? CLI_ANSWER_DONE : CLI_ANSWER_MORE;
}

enum cli_answer_verdict cli_answer_feed(struct cli_answer *a, const void *bytes, size_t len)
{
	const char *p = bytes, *end = p + len;

	while (p < end && verdict(a) == CLI_ANSWER_MORE) {
		if (a->state == CLI_ANSWER_SIZED || a->state == CLI_ANSWER_UNSIZED || a->state == CLI_ANSWER_CHUNK)
			p += on_body(a, p, (size_t)(end - p));
		else
			(void)on_line_byte(a, *p++);
	}
	return verdict(a);
}

enum cli_answer_verdict cli_answer_end(struct cli_answer *a)
{
	if (a->state == CLI_ANSWER_UNSIZED)
		a->state = CLI_ANSWER_ENDED;
	else if (verdict(a) == CLI_ANSWER_MORE)
		(void)fail(a, a->status || a->head_len ? "the answer breaks off"
						       : "the connection was closed without an answer");
	return verdict(a);
}
