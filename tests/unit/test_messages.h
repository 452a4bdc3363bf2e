/* SPDX-License-Identifier: Apache-2.0 */
/* The world of the message routes, faked: a request that remembers its one answer, and a post that remembers what it
 * was asked and answers when the test says so. */
#ifndef TESTS_UNIT_TEST_MESSAGES_H
#define TESTS_UNIT_TEST_MESSAGES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "controld/api/http.h"
#include "controld/api/json.h"
#include "controld/api/letter.h"
#include "controld/api/private.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { QUERIES = 4, NOW_S = 1000 };

struct http_request {
	bool head;
	const char *param; /* of the path */
	const char *query[QUERIES][2]; /* key, value; as decoded */
	const char *body;
	cJSON *json;
	/* The answer. */
	unsigned answers;
	int status;
	const char *type; /* NULL: none */
	char *text;
	size_t length; /* as told beforehand */
	bool body_looked_at, retry_after;
	struct http_source source; /* next: NULL if none */
	void (*gone)(void *ctx); /* NULL: does not wait */
	void *gone_ctx;
};

struct post_taker {
	struct post_take take;
	bool is_reply;
	uint8_t id[RECORD_ID_BYTES];
	struct ip6 dst;
};

struct post {
	/* The last letter: copies. */
	unsigned sent;
	struct post_letter letter;
	uint8_t topic[256];
	post_sent *fn;
	void *ctx;
	uint64_t forgotten;
	/* Who waits for a message. */
	bool full;
	unsigned takes, cancels;
	struct post_taker taker;
	/* What became of the message. */
	uint64_t consumed, given_back;
	bool known;
	struct message_status status;
};

static struct post post;
static unsigned settled_count;
static struct api api;

static inline void settled(void *ctx)
{
	(void)ctx;
	settled_count++;
}

static const struct api_ops api_ops = {.settled = settled};

struct post_time api_now(void)
{
	return (struct post_time){.mono = {.us = NOW_S * 1000000LL}, .real_s = 1700000000};
}

/* http.h */

bool http_is_head(const struct http_request *r)
{
	return r->head;
}

const char *http_param(const struct http_request *r, unsigned i)
{
	assert_int_equal(i, 0);
	assert_non_null(r->param);
	return r->param;
}

const char *http_query(const struct http_request *r, const char *key)
{
	assert_int_equal(r->answers, 0);
	for (size_t i = 0; i < QUERIES && r->query[i][0]; i++)
		if (strcmp(r->query[i][0], key) == 0)
			return r->query[i][1];
	return NULL;
}

void http_header(struct http_request *r, const char *name, const char *value)
{
	assert_int_equal(r->answers, 0);
	assert_string_equal(name, "Retry-After");
	assert_true(atoi(value) > 0);
	r->retry_after = true;
}

void http_reply(struct http_request *r, int status, const char *type, const void *body, size_t len)
{
	assert_int_equal(r->answers++, 0);
	r->status = status;
	r->type = type;
	r->length = len;
	r->text = strndup(len ? body : "", len);
	r->gone = NULL;
}

void http_reply_empty(struct http_request *r, int status)
{
	http_reply(r, status, NULL, NULL, 0);
}

void http_reply_text(struct http_request *r, int status, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	http_reply(r, status, HTTP_TEXT, text, strlen(text));
}

void http_reply_json(struct http_request *r, int status, cJSON *j)
{
	char *text = cJSON_PrintUnformatted(j);

	http_reply(r, status, HTTP_JSON, text, strlen(text));
	free(text);
	cJSON_Delete(j);
}

const cJSON *http_json(struct http_request *r)
{
	char error[JSON_ERROR_BYTES];
	enum json_verdict verdict;

	r->body_looked_at = true;
	r->json = json_parse(r->body, strlen(r->body), &verdict, error);
	if (verdict == JSON_BAD)
		http_reply_text(r, 400, LETTER_400 "%s", error);
	else if (verdict == JSON_SHAPE)
		http_reply_text(r, 422, LETTER_422 "%s", error);
	return r->json;
}

void http_json_done(struct http_request *r)
{
	cJSON_Delete(r->json);
	r->json = NULL;
}

void http_stream(struct http_request *r, int status, const char *type, size_t length, const struct http_source *s)
{
	http_reply(r, status, type, NULL, 0);
	r->length = length;
	r->source = *s;
}

void http_wait(struct http_request *r, void (*gone)(void *ctx), void *ctx)
{
	assert_null(r->json); /* no body is held while it waits */
	assert_int_equal(r->answers, 0);
	assert_null(r->gone);
	r->gone = gone;
	r->gone_ctx = ctx;
}

void http_wait_brief(struct http_request *r, void (*gone)(void *ctx), void *ctx)
{
	http_wait(r, gone, ctx);
}

/* post.h */

uint64_t post_send(struct post *p, const struct post_letter *l, post_sent *fn, void *ctx, struct post_time now)
{
	assert_int_equal(now.mono.us, api_now().mono.us);
	p->letter = *l;
	if (l->topic_len)
		memcpy(p->topic, l->topic, l->topic_len);
	p->fn = fn;
	p->ctx = ctx;
	return 70 + ++p->sent;
}

void post_send_forget(struct post *p, uint64_t ticket)
{
	p->forgotten = ticket;
}

bool post_status(const struct post *p, const uint8_t id[RECORD_ID_BYTES], struct message_status *out)
{
	if (p->known && memcmp(p->status.id, id, RECORD_ID_BYTES) == 0) {
		*out = p->status;
		return true;
	}
	return false;
}

struct post_taker *post_take(struct post *p, const struct post_take *t)
{
	p->takes++;
	p->taker = (struct post_taker){.take = *t};
	return p->full ? NULL : &p->taker;
}

struct post_taker *post_take_reply(struct post *p, const uint8_t id[RECORD_ID_BYTES], const struct ip6 *dst,
				   const struct post_take *t)
{
	post_take(p, t);
	p->taker.is_reply = true;
	p->taker.dst = *dst;
	memcpy(p->taker.id, id, RECORD_ID_BYTES);
	return p->full ? NULL : &p->taker;
}

void post_take_cancel(struct post *p, struct post_taker *t)
{
	assert_ptr_equal(t, &p->taker);
	p->cancels++;
}

void post_consumed(struct post *p, uint64_t row, struct post_time now)
{
	assert_int_equal(now.mono.us, api_now().mono.us);
	assert_int_equal(p->consumed + p->given_back, 0);
	p->consumed = row;
}

void post_give_back(struct post *p, uint64_t row)
{
	assert_int_equal(p->consumed + p->given_back, 0);
	p->given_back = row;
}

void post_message_fini(struct post_message *m)
{
	free(m->payload);
	*m = (struct post_message){0};
}

/* The test's side */

static const uint8_t test_id[RECORD_ID_BYTES] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
#define TEST_ID "0123456789abcdef"
#define ZEROS_62 "00000000000000000000000000000000000000000000000000000000000000"
#define TEST_MESSAGE \
	"{\"id\":\"" TEST_ID "\",\"srcIp\":\"200::1\",\"srcPk\":\"ab" ZEROS_62 "\",\"dstIp\":\"300::2\",\"dstPk\":" \
	"\"cd" ZEROS_62 "\",\"topic\":\"dG9w\",\"payload\":\"aGk=\"}"

static inline void world_init(void)
{
	post = (struct post){0};
	api = (struct api){.post = &post, .ops = &api_ops, .network = &network200, .pk.b = {0xcd}};
	settled_count = 0;
}

/* Frees what the fakes own. */
static inline void request_fini(struct http_request *r)
{
	free(r->text);
	cJSON_Delete(r->json);
	free(post.letter.payload);
	post.letter.payload = NULL;
}

/* One message comes for who waits. */
static inline void deliver(uint64_t row)
{
	struct post_message m = {.row = row, .public_key = {0xab}, .topic_len = 3, .topic = {'t', 'o', 'p'}, .len = 2};

	m.src.b[0] = 2;
	m.src.b[15] = 1;
	m.dst.b[0] = 3;
	m.dst.b[15] = 2;
	memcpy(m.id, test_id, sizeof(m.id));
	m.payload = malloc(2);
	assert_non_null(m.payload);
	memcpy(m.payload, "hi", 2);
	post.taker.take.fn(post.taker.take.ctx, &m);
	post_message_fini(&m);
}

static inline void deliver_none(void)
{
	post.taker.take.fn(post.taker.take.ctx, NULL);
}

/* The client takes all of the body, in pieces of four KiB at most; then it is told. */
static inline void client_reads(struct http_request *r)
{
	char text[8192];
	size_t len = 0, n;

	while (!r->head && (n = r->source.next(r->source.ctx, text + len, 4096)) > 0)
		len += n;
	assert_true(r->head || len == r->length);
	free(r->text);
	r->text = strndup(text, len);
	r->source.end(r->source.ctx, true);
}

static inline void client_goes(struct http_request *r)
{
	if (r->gone)
		r->gone(r->gone_ctx);
	else
		r->source.end(r->source.ctx, false);
}

/* Exactly one answer: status, content type (NULL: none), and how the text begins (empty: nothing). A 503 says when to
 * try again. */
static inline void expect(struct http_request *r, int status, const char *type, const char *begins)
{
	if (r->answers != 1 || r->status != status)
		fail_msg("%u answers, status %d: %s", r->answers, r->status, r->text);
	assert_int_equal(r->retry_after, status == 503);
	assert_true((r->type == NULL) == (type == NULL) && (!type || strcmp(r->type, type) == 0));
	if (strncmp(r->text, begins, strlen(begins)) != 0 || (!*begins && *r->text))
		fail_msg("%s", r->text);
}

#endif
