/* SPDX-License-Identifier: Apache-2.0 */
/* A server whose message routes are the test's own: these handlers stand in the place of controld/api/messages.c, which
 * the linker then leaves in the archive. GET /api/v1/messages?topic=WHAT does WHAT, POST gives its JSON back. */
#ifndef TESTS_UNIT_TEST_HTTP_H
#define TESTS_UNIT_TEST_HTTP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controld/api/http.h"
#include "controld/api/private.h"
#include "tests/support/api_world.h"

enum { STREAM_BYTES = 3 * 1024 * 1024, HUGE_BYTES = 32 * 1024 * 1024 /* no socket buffer holds so much */ };

static struct {
	unsigned called, gone, ended, whole, next_calls;
	struct http_request *waiting; /* the last one */
	size_t streamed, stream_bytes;
} seen;

static size_t stream_next(void *ctx, char *out, size_t cap)
{
	size_t n = cap < seen.stream_bytes - seen.streamed ? cap : seen.stream_bytes - seen.streamed;

	(void)ctx;
	assert_true(cap >= 4096);
	seen.next_calls++;
	/* Pieces of odd sizes. */
	if (n > 1000 && seen.next_calls % 3 == 0)
		n = 1000 - seen.next_calls % 7;
	for (size_t i = 0; i < n; i++)
		out[i] = (char)('a' + (seen.streamed + i) % 26);
	seen.streamed += n;
	return n;
}

static void stream_end(void *ctx, bool whole)
{
	(void)ctx;
	seen.ended++;
	seen.whole += whole;
}

static void stream(struct http_request *r, size_t bytes, size_t length)
{
	seen.streamed = seen.next_calls = 0;
	seen.stream_bytes = bytes;
	http_stream(r, 200, HTTP_TEXT, length, &(const struct http_source){.next = stream_next, .end = stream_end});
}

static void waiting_gone(void *ctx)
{
	assert_ptr_equal(ctx, &seen);
	seen.gone++;
}

void messages_get(struct api *a, struct http_request *r)
{
	const char *what = http_query(r, "topic");

	assert_ptr_equal(http_api(r), a);
	seen.called++;
	if (!what)
		http_reply_empty(r, 204);
	else if (strcmp(what, "wait") == 0) {
		http_wait(r, waiting_gone, &seen);
		seen.waiting = r;
	} else if (strcmp(what, "stream") == 0)
		stream(r, STREAM_BYTES, STREAM_BYTES);
	else if (strcmp(what, "huge") == 0)
		stream(r, HUGE_BYTES, HUGE_BYTES);
	else if (strcmp(what, "chunks") == 0)
		stream(r, STREAM_BYTES, HTTP_CHUNKED);
	else if (strcmp(what, "no chunks") == 0)
		stream(r, 0, HTTP_CHUNKED);
	else if (strcmp(what, "nothing") == 0)
		stream(r, 0, 0);
	else
		http_reply_text(r, 200, "%s%s", what, http_is_head(r) ? " (HEAD)" : "");
}

void messages_post(struct api *a, struct http_request *r)
{
	const cJSON *j = http_json(r);

	(void)a;
	seen.called++;
	if (!j)
		return;
	assert_ptr_equal(http_json(r), j);
	http_header(r, "X-Test", "yes");
	http_reply_json(r, 201, cJSON_Duplicate(j, true));
}

/* Answers a parameter before it looks at the body; "later" waits without it, "soon" for a moment. */
void messages_reply(struct api *a, struct http_request *r)
{
	(void)a;
	seen.called++;
	if (strcmp(http_param(r, 0), "bad") == 0)
		http_reply_text(r, 400, "Invalid URL: bad");
	else if (http_json(r) && strcmp(http_param(r, 0), "soon") == 0) {
		http_wait_brief(r, waiting_gone, &seen);
		seen.waiting = r;
	} else if (http_json(r) && strcmp(http_param(r, 0), "later") == 0) {
		http_json_done(r);
		http_wait(r, waiting_gone, &seen);
		seen.waiting = r;
	} else if (http_json(r))
		http_reply_empty(r, 204);
}

void messages_reply_typo(struct api *a, struct http_request *r)
{
	messages_reply(a, r);
}

void messages_status(struct api *a, struct http_request *r)
{
	(void)a;
	seen.called++;
	http_reply(r, 200, HTTP_TEXT, http_param(r, 0), strlen(http_param(r, 0)));
}

static inline struct api_world *world_new(void)
{
	memset(&seen, 0, sizeof(seen));
	return api_world_new(&(const struct api_setup){0});
}

/* An answer with this status and, where text is given, this body. */
static inline void expect_answer(struct api_client *c, int status, const char *text)
{
	struct api_answer a = api_client_answer(c, false);

	if (a.status != status || (text && strcmp(a.body, text) != 0))
		fail_msg("%d instead of %d: %s", a.status, status, a.body ? a.body : "-");
	api_answer_fini(&a);
}

/* So many bytes of what stream_next() gives. */
static inline void expect_stream(const struct api_answer *a, size_t bytes)
{
	assert_int_equal(a->status, 200);
	assert_int_equal(a->len, bytes);
	for (size_t i = 0; i < bytes; i++) {
		if (a->body[i] != (char)('a' + i % 26))
			fail_msg("byte %zu is wrong", i);
	}
}

static inline void say_get(struct api_client *c, const char *path)
{
	api_client_ask(c, &(const struct api_ask){.method = "GET", .path = path});
}

static inline bool is_waiting(void *ctx)
{
	(void)ctx;
	return seen.waiting != NULL;
}

static inline bool is_gone(void *ctx)
{
	const unsigned *count = ctx;

	return seen.gone == *count;
}

static inline bool is_ended(void *ctx)
{
	const unsigned *count = ctx;

	return seen.ended == *count;
}

#endif
