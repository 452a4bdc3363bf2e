/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: the head, and a body that is there whole or fetched in pieces as the client takes it. Nothing is written
 * from here while a handler runs; http.c does that when it has returned. */
#include "controld/api/http_private.h"

#include "controld/api/json.h"
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

enum {
	HEAD_BYTES = 512, /* of an answer, without what handlers add */
	PIECE_BYTES = 64 * 1024,
	CHUNK_FRONT = 10, /* size in hex, CR LF */
	CHUNK_BACK = 7, /* CR LF, and at the end 0 CR LF CR LF */
	KEPT_BYTES = 80 * 1024, /* of an output buffer, between requests */
	TURN_BYTES = 512 * 1024, /* sent in one go; then others have their turn */
};

static const char *reason_of(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{204, "No Content"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{413, "Content Too Large"},
		{415, "Unsupported Media Type"},
		{417, "Expectation Failed"},
		{422, "Unprocessable Content"},
		{426, "Upgrade Required"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{503, "Service Unavailable"},
		{505, "HTTP Version Not Supported"},
		{507, "Insufficient Storage"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].status == status)
			return reasons[i].reason;
	}
	return "";
}

/* Room for len more bytes of output. */
static char *room(struct http_out *o, size_t len)
{
	if (o->cap - o->len < len) {
		o->cap = o->len + len;
		o->bytes = realloc(o->bytes, o->cap);
		if (!o->bytes)
			abort();
	}
	return o->bytes + o->len;
}

static void put(struct http_out *o, const char *text, size_t len)
{
	memcpy(room(o, len), text, len);
	o->len += len;
}

static void put_text(struct http_out *o, const char *text)
{
	put(o, text, strlen(text));
}

static void put_head(struct http_request *r, int status, const char *type, size_t length)
{
	struct http_conn *c = r->conn;
	struct http_out *o = &c->out;
	char *text = room(o, HEAD_BYTES);
	int n = snprintf(text, HEAD_BYTES, "HTTP/1.1 %d %s\r\n", status, reason_of(status));

	if (type)
		n += snprintf(text + n, HEAD_BYTES - n, "Content-Type: %s\r\n", type);
	if (length == HTTP_CHUNKED && !r->head.old)
		n += snprintf(text + n, HEAD_BYTES - n, "Transfer-Encoding: chunked\r\n");
	else if (length != HTTP_CHUNKED && status != 204)
		n += snprintf(text + n, HEAD_BYTES - n, "Content-Length: %zu\r\n", length);
	n += snprintf(text + n, HEAD_BYTES - n, "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n");
	if (c->close)
		n += snprintf(text + n, HEAD_BYTES - n, "Connection: close\r\n");
	else if (r->head.old)
		n += snprintf(text + n, HEAD_BYTES - n, "Connection: keep-alive\r\n");
	assert(n < HEAD_BYTES);
	o->len += (size_t)n;
	put(o, r->extra, r->extra_len);
	put_text(o, "\r\n");
}

/* The answer is known. Exactly one is given. */
static void begin(struct http_request *r, int status, const char *type, size_t length)
{
	struct http_conn *c = r->conn;

	assert((c->step == STEP_HANDLED || c->step == STEP_WAIT) && !c->dead);
	/* What was not read of it would be taken for the next request. */
	c->close |= r->body.state != HTTP_BODY_WHOLE;
	c->close |= r->head.close || (r->head.old && !r->head.keep_alive) || c->api->stopping;
	/* Without a frame only the end of the connection ends the body. */
	c->close |= length == HTTP_CHUNKED && r->head.old;
	r->no_body = r->head.method == HTTP_HEAD || status == 204;
	c->api->requests++;
	put_head(r, status, type, length);
	r->gone = NULL;
	c->step = STEP_SEND;
	if (!c->busy)
		loop_fd_want(c->watch, LOOP_WRITE);
}

void http_header(struct http_request *r, const char *name, const char *value)
{
	const size_t cap = sizeof(r->extra) - r->extra_len;
	const int n = snprintf(r->extra + r->extra_len, cap, "%s: %s\r\n", name, value);

	assert(n > 0 && (size_t)n < cap && !strpbrk(value, "\r\n"));
	r->extra_len += (size_t)n;
}

void http_wait(struct http_request *r, void (*gone)(void *ctx), void *ctx)
{
	assert(r->conn->step == STEP_HANDLED);
	r->conn->step = STEP_WAIT;
	r->gone = gone;
	r->gone_ctx = ctx;
}

void http_wait_brief(struct http_request *r, void (*gone)(void *ctx), void *ctx)
{
	http_wait(r, gone, ctx);
	r->brief = true;
}

void http_reply(struct http_request *r, int status, const char *type, const void *body, size_t len)
{
	begin(r, status, type, len);
	if (!r->no_body && len)
		put(&r->conn->out, body, len);
}

void http_reply_empty(struct http_request *r, int status)
{
	http_reply(r, status, NULL, NULL, 0);
}

void http_reply_text(struct http_request *r, int status, const char *format, ...)
{
	char *text;
	va_list args;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	if (len < 0)
		abort();
	http_reply(r, status, HTTP_TEXT, text, (size_t)len);
	free(text);
}

void http_refuse(struct http_request *r, int status, const char *text)
{
	r->conn->close = true;
	http_reply(r, status, HTTP_TEXT, text, strlen(text));
}

void http_reply_json(struct http_request *r, int status, cJSON *j)
{
	char *text = cJSON_PrintUnformatted(j);

	if (!text)
		abort();
	cJSON_Delete(j);
	http_reply(r, status, HTTP_JSON, text, strlen(text));
	cJSON_free(text);
}

void http_stream(struct http_request *r, int status, const char *type, size_t length, const struct http_source *s)
{
	begin(r, status, type, length);
	r->source = *s;
	r->streams = true;
	r->chunked = length == HTTP_CHUNKED && !r->head.old;
	r->left = length;
}

/* The next piece into the empty buffer; the stream ends with one of 0 bytes. */
static void fetch(struct http_conn *c)
{
	struct http_request *r = &c->request;
	struct http_out *o = &c->out;
	char *text, front[CHUNK_FRONT + 1];
	size_t n;

	o->at = o->len = 0;
	text = room(o, CHUNK_FRONT + PIECE_BYTES + CHUNK_BACK) + CHUNK_FRONT;
	n = r->source.next(r->source.ctx, text, PIECE_BYTES);
	assert(n <= PIECE_BYTES && (r->left == HTTP_CHUNKED || n <= r->left));
	if (r->left != HTTP_CHUNKED) {
		r->left -= n;
		assert(n > 0 || r->left == 0);
	}
	r->streams = n > 0 && r->left > 0;
	o->at = CHUNK_FRONT;
	o->len = CHUNK_FRONT + n;
	if (!r->chunked)
		return;
	if (n > 0) {
		const size_t len = (size_t)snprintf(front, sizeof(front), "%zx\r\n", n);

		o->at -= len;
		memcpy(o->bytes + o->at, front, len);
		put_text(o, "\r\n");
	} else {
		put_text(o, "0\r\n\r\n");
	}
}

/* False: no more can be written now, or ever. */
static bool flush(struct http_conn *c)
{
	struct http_out *o = &c->out;

	while (o->at < o->len) {
		const ssize_t n = send(c->fd, o->bytes + o->at, o->len - o->at, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			c->dead |= errno != EAGAIN;
			return false;
		}
		o->at += (size_t)n;
		c->clock_again = true;
	}
	return true;
}

bool http_answer_pump(struct http_conn *c)
{
	struct http_request *r = &c->request;

	for (size_t sent = 0; sent < TURN_BYTES; sent += PIECE_BYTES) {
		if (!flush(c))
			return false;
		if (!r->streams || r->no_body) {
			c->out.at = c->out.len = 0;
			if (c->out.cap > KEPT_BYTES) {
				free(c->out.bytes);
				c->out = (struct http_out){0};
			}
			return true;
		}
		fetch(c);
	}
	return false;
}

bool http_is_json(const char *type)
{
	static const char application[] = "application/";
	size_t len;

	if (!type || strncasecmp(type, application, sizeof(application) - 1) != 0)
		return false;
	type += sizeof(application) - 1;
	len = strcspn(type, "; \t");
	if (type[len + strspn(type + len, " \t")] != '\0' && type[len + strspn(type + len, " \t")] != ';')
		return false;
	return (len == 4 && strncasecmp(type, "json", 4) == 0) ||
	       (len > 5 && strncasecmp(type + len - 5, "+json", 5) == 0);
}

/* Answers if there is no body to be read. */
static bool have_body(struct http_request *r)
{
	if (!http_is_json(r->head.type)) {
		http_reply_text(r, 415, "Expected request with `Content-Type: application/json`");
		return false;
	}
	if (r->body.state == HTTP_BODY_LONG) {
		http_reply_text(r, 413, "Failed to buffer the request body: more than %zu bytes", r->body.max);
		return false;
	}
	if (r->body.state == HTTP_BODY_FULL) {
		http_header(r, "Retry-After", "1");
		http_reply_text(r, 503, "Too many large requests at once: try again later.");
		return false;
	}
	return true;
}

const cJSON *http_json(struct http_request *r)
{
	char error[JSON_ERROR_BYTES], nothing[1] = "";
	enum json_verdict verdict = JSON_OK;

	if (r->json)
		return r->json;
	if (!have_body(r))
		return NULL;
	r->json = json_parse_in_place(r->body.bytes ? r->body.bytes : nothing, r->body.len, &verdict, error);
	if (!r->json) {
		http_reply_text(r, verdict == JSON_SHAPE ? 422 : 400, "%s: %s",
				verdict == JSON_SHAPE ? "Failed to deserialize the JSON body into the target type"
						      : "Failed to parse the request body as JSON",
				error);
		return NULL;
	}
	return r->json;
}

void http_json_done(struct http_request *r)
{
	cJSON_Delete(r->json);
	r->json = NULL;
	http_body_fini(&r->body);
}
