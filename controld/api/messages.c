/* SPDX-License-Identifier: Apache-2.0 */
/* The message routes (wire-200 chapter 7). A request that cannot be answered at once is an exchange: it waits for the
 * store, then perhaps for a message, then for the client to take that. It is in exactly one of these at a time and ends
 * with the answer or when the client goes; what it was given then goes back, what it sent goes its way.
 *
 * Differences from the reference: HEAD is a peek; a peek never removes, with a topic neither; an order is answered when
 * it is stored, and refused (503, 507, 500) when it could not be. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "controld/api/http.h"
#include "controld/api/letter.h"
#include "controld/api/private.h"

#define BAD_QUERY "Failed to deserialize query string: "
#define RETRY_AFTER_S "5"

struct exchange {
	struct api *api;
	struct http_request *request;
	uint64_t ticket; /* of the order, while it is not stored; else 0 */
	struct post_taker *taker; /* while it waits for a message; else NULL */
	struct letter_writer *writer; /* while the client takes the message; else NULL */
	uint64_t row; /* of that message; 0: it is not consumed */
	bool peek;
	/* Of an order that waits for its reply: */
	bool awaits_reply;
	uint64_t reply_timeout_s;
	uint8_t id[RECORD_ID_BYTES];
	struct ip6 dst;
};

static struct exchange *exchange_new(struct api *a, struct http_request *r)
{
	struct exchange *x = calloc(1, sizeof(*x));

	if (!x)
		abort();
	x->api = a;
	x->request = r;
	return x;
}

/* The client has gone before it was answered. */
static void gone(void *ctx)
{
	struct exchange *x = ctx;
	struct api *a = x->api;

	if (x->taker)
		post_take_cancel(a->post, x->taker);
	else
		post_send_forget(a->post, x->ticket);
	free(x);
	api_settled(a);
}

static void reply_id(struct exchange *x, int status)
{
	char id[LETTER_ID_TEXT_BYTES], text[LETTER_ID_TEXT_BYTES + 16];
	int len;

	letter_id_print(x->id, id);
	len = snprintf(text, sizeof(text), "{\"id\":\"%s\"}", id);
	http_reply(x->request, status, HTTP_JSON, text, (size_t)len);
}

/* Giving a message. */

static size_t next_piece(void *ctx, char *out, size_t cap)
{
	struct exchange *x = ctx;

	return letter_writer_next(x->writer, out, cap);
}

static void given(void *ctx, bool whole)
{
	struct exchange *x = ctx;
	struct api *a = x->api;

	if (x->row && whole)
		post_consumed(a->post, x->row, api_now());
	else if (x->row)
		post_give_back(a->post, x->row);
	letter_writer_free(x->writer);
	free(x);
	api_settled(a);
}

/* The answer to one who waited for a message. */
static void taken(void *ctx, struct post_message *m)
{
	struct exchange *x = ctx;
	const struct http_source source = {.next = next_piece, .end = given, .ctx = x};

	x->taker = NULL;
	if (m) {
		x->row = x->peek ? 0 : m->row;
		x->writer = letter_writer_new(m, x->api->pk.b, "");
		http_stream(x->request, 200, HTTP_JSON, letter_writer_length(x->writer), &source);
		return;
	}
	if (x->awaits_reply)
		reply_id(x, 408);
	else
		http_reply_empty(x->request, 204);
	free(x);
}

/* Queries. False: it was answered. */

static bool query_peek(struct http_request *r, bool *peek)
{
	const char *text = http_query(r, "peek");

	*peek = text && strcmp(text, "true") == 0;
	if (!text || *peek || strcmp(text, "false") == 0)
		return true;
	http_reply_text(r, 400, BAD_QUERY "peek is neither true nor false");
	return false;
}

static bool read_u64(const char *text, uint64_t *out)
{
	uint64_t v = 0;

	if (!*text)
		return false;
	for (; *text; text++)
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*text - '0'), &v))
			return false;
	*out = v;
	return true;
}

/* Not given: 0. */
static bool query_seconds(struct http_request *r, const char *key, uint64_t *seconds)
{
	const char *text = http_query(r, key);

	*seconds = 0;
	if (!text || read_u64(text, seconds))
		return true;
	http_reply_text(r, 400, BAD_QUERY "%s is not a number of seconds", key);
	return false;
}

/* Cut at the end of time. */
static struct mono after_seconds(struct mono now, uint64_t seconds)
{
	if (seconds >= (uint64_t)(MONO_NEVER.us - now.us) / 1000000)
		return MONO_NEVER;
	return mono_add_us(now, (int64_t)seconds * 1000000);
}

static bool query_topic(struct http_request *r, struct post_filter *filter)
{
	const char *text = http_query(r, "topic");
	uint8_t *topic;
	size_t len;

	*filter = (struct post_filter){.by_topic = text != NULL};
	if (!text)
		return true;
	if (!letter_base64(text, &topic, &len)) {
		http_reply_text(r, 400, BAD_QUERY "topic is not base64 with padding");
		return false;
	}
	if (len > sizeof(filter->topic)) {
		/* No message has such a topic, so it would wait in vain. */
		http_reply_empty(r, 204);
		free(topic);
		return false;
	}
	filter->topic_len = (uint8_t)len;
	if (len)
		memcpy(filter->topic, topic, len);
	free(topic);
	return true;
}

void messages_get(struct api *a, struct http_request *r)
{
	struct post_take take = {.fn = taken};
	uint64_t seconds;
	struct exchange *x;

	if (!query_peek(r, &take.peek) || !query_seconds(r, "timeout", &seconds) || !query_topic(r, &take.filter))
		return;
	take.peek |= http_is_head(r);
	take.until = after_seconds(api_now().mono, seconds);
	x = exchange_new(a, r);
	x->peek = take.peek;
	take.ctx = x;
	x->taker = post_take(a->post, &take);
	if (!x->taker) {
		http_header(r, "Retry-After", RETRY_AFTER_S);
		http_reply_text(r, 503, "too many clients wait for messages already: try again later");
		free(x);
		return;
	}
	http_wait(r, gone, x);
	api_settled(a);
}

/* Sending. */

static void refuse_order(struct http_request *r, int error)
{
	switch (error) {
	case -ENOSPC:
		http_reply_text(r, 507, "the message was not accepted: the disk is full");
		break;
	case -EAGAIN:
		http_header(r, "Retry-After", RETRY_AFTER_S);
		http_reply_text(r, 503, "the message was not accepted: too many are on their way, try again later");
		break;
	default:
		http_reply_text(r, 500, "the message was not accepted: it could not be stored");
	}
}

/* Before the post does anything else, so that no reply can come earlier. */
static void await_reply(struct exchange *x)
{
	const struct post_take take = {
		.until = after_seconds(api_now().mono, x->reply_timeout_s), .fn = taken, .ctx = x};

	x->taker = post_take_reply(x->api->post, x->id, &x->dst, &take);
	if (x->taker)
		return;
	/* Too many wait. The message is on its way, and its id must not be lost: the reply goes to the inbox. */
	reply_id(x, 408);
	free(x);
}

static void order_sent(void *ctx, int error, const uint8_t id[RECORD_ID_BYTES])
{
	struct exchange *x = ctx;

	x->ticket = 0;
	if (!error)
		memcpy(x->id, id, sizeof(x->id));
	if (!error && x->awaits_reply) {
		await_reply(x);
		return;
	}
	if (error)
		refuse_order(x->request, error);
	else
		reply_id(x, 201);
	free(x);
}

static void reply_sent(void *ctx, int error, const uint8_t id[RECORD_ID_BYTES])
{
	struct exchange *x = ctx;

	(void)id;
	if (error)
		refuse_order(x->request, error);
	else
		http_reply_empty(x->request, 204);
	free(x);
}

/* Takes the letter. */
static void send_letter(struct exchange *x, struct post_letter *l, post_sent *fn)
{
	struct api *a = x->api;

	x->ticket = post_send(a->post, l, fn, x, api_now());
	l->payload = NULL;
	letter_fini(l);
	/* In vain would a reply be waited for that the client cannot be seen to wait for. */
	if (x->awaits_reply)
		http_wait(x->request, gone, x);
	else
		http_wait_brief(x->request, gone, x);
	api_settled(a);
}

static void refuse_letter(struct http_request *r, int status, const char *error)
{
	if (!*error)
		http_reply_empty(r, status);
	else if (status == 400)
		http_reply_text(r, status, LETTER_400 "%s", error);
	else
		http_reply_text(r, status, LETTER_422 "%s", error);
}

void messages_post(struct api *a, struct http_request *r)
{
	char error[LETTER_ERROR_BYTES];
	struct post_letter l;
	struct exchange *x;
	uint64_t seconds;
	const cJSON *body;
	int status;

	if (!query_seconds(r, "reply_timeout", &seconds))
		return;
	body = http_json(r);
	if (!body)
		return;
	status = letter_read(body, a->network, &l, error);
	http_json_done(r);
	if (status) {
		refuse_letter(r, status, error);
		return;
	}
	x = exchange_new(a, r);
	x->awaits_reply = http_query(r, "reply_timeout") != NULL;
	x->reply_timeout_s = seconds;
	x->dst = l.dst;
	send_letter(x, &l, order_sent);
}

/* The id of the path. False: it was answered. */
static bool param_id(struct http_request *r, uint8_t id[RECORD_ID_BYTES])
{
	const char *text = http_param(r, 0);

	if (strlen(text) != 2 * RECORD_ID_BYTES)
		http_reply_text(r, 400, "Invalid URL: Message ID is 16 characters long");
	else if (!letter_id_read(text, id))
		http_reply_text(r, 400, "Invalid URL: MessageID is not valid hex");
	else
		return true;
	return false;
}

void messages_reply(struct api *a, struct http_request *r)
{
	char error[LETTER_ERROR_BYTES];
	uint8_t id[RECORD_ID_BYTES];
	struct post_letter l;
	const cJSON *body;
	int status;

	if (!param_id(r, id))
		return;
	body = http_json(r);
	if (!body)
		return;
	status = letter_read_reply(body, a->network, id, &l, error);
	http_json_done(r);
	if (status) {
		refuse_letter(r, status, error);
		return;
	}
	send_letter(exchange_new(a, r), &l, reply_sent);
}

void messages_reply_typo(struct api *a, struct http_request *r)
{
	messages_reply(a, r);
}

void messages_status(struct api *a, struct http_request *r)
{
	struct message_status status;
	uint8_t id[RECORD_ID_BYTES];

	if (!param_id(r, id))
		return;
	if (post_status(a->post, id, &status))
		http_reply_json(r, 200, letter_status(&status));
	else
		http_reply_empty(r, 404);
}
