/* SPDX-License-Identifier: Apache-2.0 */
/* A request body of known length or in chunks (RFC 9112, 7.1), in whatever pieces it comes. Memory grows with what has
 * arrived, never with what was announced (which is only where it ends), and all bodies together have a limit. */
#include "controld/api/http_private.h"

#include "controld/api/pages.h"
#include <assert.h>
#include <stdlib.h>

enum { FIRST_BYTES = 4096, STEP_BYTES = 64 * 1024, SIZE_DIGITS = 15 };

void http_body_init(struct http_body *b, const struct http_head *h)
{
	b->state = h->has_body ? HTTP_BODY_MORE : HTTP_BODY_WHOLE;
	b->chunked = h->chunked;
	b->left = h->chunked ? 0 : h->body_bytes;
	b->chunk = CHUNK_SIZE;
	if (b->left > b->max)
		b->state = HTTP_BODY_LONG;
}

static bool grow(struct http_body *b, size_t need)
{
	size_t cap = b->cap ? b->cap : FIRST_BYTES;

	while (cap < need)
		cap *= 2;
	if (!b->chunked && cap > b->len + b->left)
		cap = b->len + (size_t)b->left;
	if (cap <= b->cap)
		return true;
	if (cap - b->cap > b->in_use_max - *b->in_use)
		return false;
	b->bytes = realloc(b->bytes, cap);
	if (!b->bytes)
		abort();
	*b->in_use += cap - b->cap;
	b->cap = cap;
	return true;
}

/* Of the steps that begin before `end`, each once. */
static void want_pages(struct http_body *b, size_t end)
{
	const size_t from = (b->len + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
	const size_t to = (end + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;

	if (from < to)
		pages_want(b->bytes + from, (to < b->cap ? to : b->cap) - from);
}

static void append(struct http_body *b, const char *bytes, size_t len)
{
	if (len > b->max - b->len) {
		b->state = HTTP_BODY_LONG;
		return;
	}
	if (!b->discard) {
		if (!grow(b, b->len + len)) {
			b->state = HTTP_BODY_FULL;
			return;
		}
		want_pages(b, b->len + len);
		memcpy(b->bytes + b->len, bytes, len);
	}
	b->len += len;
}

static size_t take(struct http_body *b, const char *bytes, size_t len)
{
	const size_t n = len < b->left ? len : (size_t)b->left;

	append(b, bytes, n);
	b->left -= n;
	return n;
}

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void on_size(struct http_body *b, char c)
{
	const int digit = hex_of(c);

	if (digit >= 0 && b->digits < SIZE_DIGITS) {
		b->left = b->left << 4 | (uint64_t)digit;
		b->digits++;
	} else if (b->digits == 0 || digit >= 0) {
		b->state = HTTP_BODY_BAD;
	} else if (c == ';' || c == ' ' || c == '\t') {
		b->chunk = CHUNK_EXTENSION;
	} else if (c == '\r') {
		b->chunk = CHUNK_SIZE_LF;
	} else {
		b->state = HTTP_BODY_BAD;
	}
}

static void on_size_end(struct http_body *b, char c)
{
	if (c != '\n') {
		b->state = HTTP_BODY_BAD;
		return;
	}
	b->chunk = b->left ? CHUNK_DATA : TRAILER;
	b->digits = b->line = 0;
	if (b->left > b->max - b->len)
		b->state = HTTP_BODY_LONG;
}

/* Trailers are skipped: an empty line ends them. */
static void on_trailer(struct http_body *b, char c)
{
	const bool lf = c == '\n';

	if (lf != (b->last == '\r') || ++b->trailer > HTTP_TRAILER_BYTES)
		b->state = HTTP_BODY_BAD;
	else if (lf && b->trailer_line == 1)
		b->state = HTTP_BODY_WHOLE;
	b->trailer_line = lf ? 0 : b->trailer_line + 1;
	b->last = c;
}

/* A byte between the chunks. */
static void on_chunk_byte(struct http_body *b, char c)
{
	if (b->chunk <= CHUNK_SIZE_LF && ++b->line > HTTP_CHUNK_LINE_BYTES) {
		b->state = HTTP_BODY_BAD;
		return;
	}
	switch (b->chunk) {
	case CHUNK_SIZE:
		on_size(b, c);
		break;
	case CHUNK_EXTENSION:
		if (c == '\r')
			b->chunk = CHUNK_SIZE_LF;
		else if (c == '\n')
			b->state = HTTP_BODY_BAD;
		break;
	case CHUNK_SIZE_LF:
		on_size_end(b, c);
		break;
	case CHUNK_DATA_CR:
	case CHUNK_DATA_LF:
		if (c != (b->chunk == CHUNK_DATA_CR ? '\r' : '\n'))
			b->state = HTTP_BODY_BAD;
		b->chunk = b->chunk == CHUNK_DATA_CR ? CHUNK_DATA_LF : CHUNK_SIZE;
		break;
	case TRAILER:
		on_trailer(b, c);
		break;
	case CHUNK_DATA:
		assert(false);
	}
}

size_t http_body_feed(struct http_body *b, const char *bytes, size_t len)
{
	size_t used = 0;

	while (used < len && b->state == HTTP_BODY_MORE) {
		if (b->chunked && b->chunk != CHUNK_DATA) {
			on_chunk_byte(b, bytes[used++]);
			continue;
		}
		used += take(b, bytes + used, len - used);
		if (b->left == 0 && b->state == HTTP_BODY_MORE) {
			b->chunk = CHUNK_DATA_CR;
			if (!b->chunked)
				b->state = HTTP_BODY_WHOLE;
		}
	}
	return used;
}

void http_body_fini(struct http_body *b)
{
	if (b->cap)
		*b->in_use -= b->cap;
	free(b->bytes);
	b->bytes = NULL;
	b->cap = 0;
}
