/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a connection: a head, its body, the answer, and again. Each event reads once and then does whatever the
 * bytes at hand allow, so requests that come together are answered in order, and one that comes byte by byte costs its
 * own connection only. A connection is freed at the end of its event or from the timer, never under a caller. */
#define LOG_MODULE "api"
#include "controld/api/http_private.h"

#include "shared/base/log.h"
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

enum { LINGER_READ_BYTES = 16 * 1024, WHY_BYTES = 80 };

struct api *http_api(const struct http_request *r)
{
	return r->conn->api;
}

bool http_is_head(const struct http_request *r)
{
	return r->head.method == HTTP_HEAD;
}

/* Tells the owner of the answer, once, and frees what the request holds. */
static void request_end(struct http_request *r, bool whole)
{
	void (*const gone)(void *ctx) = r->gone;
	void (*const end)(void *ctx, bool whole) = r->source.end;

	r->gone = NULL;
	r->brief = false;
	r->source.end = NULL;
	if (gone)
		gone(r->gone_ctx);
	if (end)
		end(r->source.ctx, whole);
	http_body_fini(&r->body);
	cJSON_Delete(r->json);
	r->json = NULL;
}

static void conn_free(struct http_conn *c)
{
	struct api *a = c->api;

	DL_DELETE(a->conns, c);
	request_end(&c->request, false);
	loop_fd_free(c->watch);
	if (c->fd >= 0) {
		close(c->fd);
		server_leave(a, c->slot);
	}
	free(c->out.bytes);
	free(c);
}

/* Reading */

static size_t unread(const struct http_conn *c)
{
	return c->len - c->at;
}

static size_t in_room(const struct http_conn *c)
{
	return sizeof(c->in) - c->len;
}

/* What was read moves to the front, behind the head of the request under way. */
static void make_room(struct http_conn *c)
{
	if (c->at == c->head_len)
		return;
	memmove(c->in + c->head_len, c->in + c->at, unread(c));
	c->len = c->head_len + unread(c);
	c->seen = c->seen > c->at - c->head_len ? c->seen - (c->at - c->head_len) : 0;
	c->at = c->head_len;
}

static void fill(struct http_conn *c)
{
	char thrown[LINGER_READ_BYTES];
	const bool lingers = c->step == STEP_LINGER;
	ssize_t n;

	if (!lingers && unread(c) == 0)
		make_room(c);
	if (!lingers && in_room(c) == 0)
		return;
	n = recv(c->fd, lingers ? thrown : c->in + c->len, lingers ? sizeof(thrown) : in_room(c), 0);
	if (n > 0 && !lingers)
		c->len += (size_t)n;
	else if (n == 0)
		c->ended = true;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		c->dead = true;
}

/* The head */

static enum guard_verdict judge(const struct http_request *r)
{
	const struct http_head *h = &r->head;
	const struct guard_head g = {
		.host = h->host,
		.origin = h->origin,
		.sec_fetch_site = h->fetch_site,
		.authorization = h->authorization,
		.subprotocols = h->subprotocols,
		.upgrade = h->wants_upgrade && h->upgrade,
		.repeated = h->guarded_twice,
		.public_page = http_is_page(h->path),
	};

	return guard_check(&r->conn->api->guard, &g);
}

static void refuse_stranger(struct http_request *r, enum guard_verdict v)
{
	r->conn->api->refused++;
	if (v == GUARD_TOKEN)
		http_header(r, "WWW-Authenticate", "Bearer");
	http_reply_text(r, guard_status(v), "%s", guard_sentence(v));
}

/* Whose it is. False: it was answered. */
static bool find_route(struct http_request *r)
{
	const int status = http_route_find(&r->target, r->head.method, r->head.path);
	char why[WHY_BYTES];

	if (status == 400) {
		http_reply_text(r, 400, "Invalid URL: the path is not percent-encoded UTF-8 without zero bytes");
		return false;
	}
	if (status == 405)
		http_header(r, "Allow", r->target.allow);
	if (status) {
		http_reply_empty(r, status);
		return false;
	}
	if (!http_query_read(&r->target, r->head.query, why, sizeof(why))) {
		http_reply_text(r, 400, "Failed to deserialize query string: %s", why);
		return false;
	}
	return true;
}

static void wipe(char *text)
{
	if (text)
		secret_wipe(text, strlen(text));
}

/* The head came alone. Many clients send it so, and their kernel keeps back the body until ours has acknowledged the
 * head, which may take 40 ms unless it is asked to do so at once. */
static void ask_for_body(struct http_conn *c)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const int one = 1;

	if (!c->request.head.wants_continue) {
		(void)setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));
		return;
	}
	/* The buffer of the socket is empty, as all before was sent; a client that does not get it waits for no more
	 * than its patience. */
	if (send(c->fd, go_on, sizeof(go_on) - 1, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
		c->dead = true;
}

/* What comes before the body. */
static void consider(struct http_conn *c)
{
	struct http_request *r = &c->request;
	const enum guard_verdict v = judge(r);
	bool done = true;

	if (v != GUARD_OK)
		refuse_stranger(r, v);
	else
		done = http_upgrade(r);
	/* Either may hold the token. */
	wipe(r->head.authorization);
	wipe(r->head.subprotocols);
	if (done || !find_route(r))
		return;
	r->body.discard = !r->target.route->body || !http_is_json(r->head.type);
	c->step = STEP_BODY;
	if (r->body.state == HTTP_BODY_MORE && unread(c) == 0)
		ask_for_body(c);
}

static void request_begin(struct http_conn *c, size_t head_len)
{
	struct http_request *r = &c->request;
	struct http_body body = {
		.max = c->api->max_body, .in_use = &c->api->body_bytes, .in_use_max = c->api->limits.bodies_bytes};
	const char *why = "";
	int status;

	r->conn = c;
	r->json = NULL;
	r->extra_len = 0;
	r->gone = NULL;
	r->source = (struct http_source){0};
	r->streams = r->chunked = r->no_body = r->brief = false;
	r->target = (struct http_target){0};
	r->body = body;
	c->head_len = c->at = head_len;
	c->step = STEP_HANDLED;
	c->fresh = false;
	c->clock_again = true;
	status = http_head_read(&r->head, c->in, head_len, &why);
	if (status) {
		http_refuse(r, status, why);
		return;
	}
	http_body_init(&r->body, &r->head);
	consider(c);
}

/* There is no request that could be read; an answer there is. */
static void refuse_head(struct http_conn *c, int status, const char *text)
{
	c->request.conn = c;
	c->request.head = (struct http_head){.method = HTTP_OTHER};
	c->request.extra_len = 0;
	c->step = STEP_HANDLED;
	http_refuse(&c->request, status, text);
}

static bool step_head(struct http_conn *c)
{
	size_t head_len;
	bool bad;

	make_room(c);
	/* An empty line too much after a body is an old habit. */
	while (unread(c) >= 2 && memcmp(c->in + c->at, "\r\n", 2) == 0) {
		c->at += 2;
		make_room(c);
	}
	head_len = http_head_end(c->in, c->len, &c->seen, &bad);
	if (bad) {
		refuse_head(c, 400, "Lines of a request end with CR LF.");
		return true;
	}
	if (head_len > c->api->limits.header_bytes || (head_len == 0 && c->len > c->api->limits.header_bytes)) {
		refuse_head(c, 431, "The head of a request may have 8 KiB at most.");
		return true;
	}
	if (head_len == 0) {
		c->dead |= c->ended;
		return false;
	}
	request_begin(c, head_len);
	return true;
}

/* The body */

static bool step_body(struct http_conn *c)
{
	struct http_request *r = &c->request;

	c->at += http_body_feed(&r->body, c->in + c->at, unread(c));
	if (r->body.state == HTTP_BODY_MORE) {
		make_room(c);
		c->dead |= c->ended;
		return false;
	}
	c->step = STEP_HANDLED;
	if (r->body.state == HTTP_BODY_BAD) {
		http_refuse(r, 400, "Failed to buffer the request body: its chunks are not those of HTTP/1.1");
		return true;
	}
	r->target.route->handler(c->api, r);
	assert(c->step != STEP_HANDLED); /* it has answered, or waits */
	return true;
}

/* The answer */

static bool step_send(struct http_conn *c)
{
	if (!http_answer_pump(c))
		return false;
	request_end(&c->request, true);
	c->head_len = 0;
	c->seen = 0;
	c->clock_again = true;
	if (!c->close) {
		make_room(c);
		c->step = STEP_HEAD;
		return true;
	}
	/* Where the client still sends, closing at once would cost it the answer. */
	c->step = STEP_LINGER;
	c->dead = c->ended || c->api->stopping || shutdown(c->fd, SHUT_WR) < 0;
	return false;
}

static bool step(struct http_conn *c)
{
	switch (c->step) {
	case STEP_HEAD:
		return step_head(c);
	case STEP_BODY:
		return step_body(c);
	case STEP_SEND:
		return step_send(c);
	case STEP_WAIT:
	case STEP_LINGER:
		c->dead |= c->ended && !c->request.brief;
		return false;
	case STEP_HANDLED:
		break;
	}
	assert(false);
	return false;
}

static enum http_clock clock_of(const struct http_conn *c)
{
	switch (c->step) {
	case STEP_HEAD:
		return c->len || c->fresh ? CLOCK_HEADER : CLOCK_IDLE;
	case STEP_BODY:
		return CLOCK_BODY;
	case STEP_SEND:
		return CLOCK_SEND;
	case STEP_LINGER:
		return CLOCK_LINGER;
	default:
		return CLOCK_NONE;
	}
}

static unsigned clock_ms(const struct http_conn *c)
{
	const struct api_limits *l = &c->api->limits;

	switch (c->clock) {
	case CLOCK_HEADER:
		return l->header_ms;
	case CLOCK_BODY:
		return l->body_ms;
	case CLOCK_LINGER:
		return l->linger_ms;
	default:
		return l->idle_ms;
	}
}

static void set_clock(struct http_conn *c)
{
	const enum http_clock clock = clock_of(c);

	if (clock == c->clock && !c->clock_again)
		return;
	c->clock = clock;
	c->clock_again = false;
	c->deadline = clock == CLOCK_NONE ? MONO_NEVER : mono_add_ms(mono_now(), clock_ms(c));
	server_wake(c->api, c->deadline);
}

static unsigned wanted(const struct http_conn *c)
{
	if (c->step == STEP_SEND)
		return LOOP_WRITE;
	if (c->ended || (c->step != STEP_LINGER && in_room(c) == 0))
		return 0;
	return LOOP_READ;
}

static void run(struct http_conn *c)
{
	c->busy = true;
	while (!c->dead && step(c))
		;
	c->busy = false;
	if (c->dead) {
		conn_free(c);
		return;
	}
	set_clock(c);
	loop_fd_want(c->watch, wanted(c));
}

static void on_event(void *ctx, unsigned events)
{
	struct http_conn *c = ctx;
	struct api *a = c->api;

	if (events & LOOP_READ)
		fill(c);
	run(c);
	api_settled(a);
}

void http_accept(struct api *a, int fd, unsigned slot)
{
	struct http_conn *c = malloc(sizeof(*c));

	if (!c)
		abort();
	/* All but the buffer. */
	memset(c, 0, offsetof(struct http_conn, in));
	c->api = a;
	c->fd = fd;
	c->slot = slot;
	c->watch = loop_fd_new(a->loop, fd, LOOP_READ, on_event, c);
	c->fresh = c->clock_again = true;
	DL_APPEND(a->conns, c);
	set_clock(c);
}

/* Time is over for it. */
static void on_deadline(struct http_conn *c)
{
	switch (c->clock) {
	case CLOCK_HEADER:
		c->dead = c->len == 0;
		if (!c->dead)
			refuse_head(c, 408, "The head of the request did not arrive in time.");
		break;
	case CLOCK_BODY:
		c->step = STEP_HANDLED;
		http_refuse(&c->request, 408, "The body of the request did not arrive in time.");
		break;
	default:
		c->dead = true;
	}
	run(c);
}

struct mono http_tick(struct api *a, struct mono now)
{
	struct mono next = MONO_NEVER;
	struct http_conn *c, *after;

	DL_FOREACH_SAFE (a->conns, c, after) {
		if (mono_is_due(c->deadline, now))
			on_deadline(c);
	}
	DL_FOREACH (a->conns, c)
		next = mono_min(next, c->deadline);
	return next;
}

static void stop_one(struct http_conn *c)
{
	switch (c->step) {
	case STEP_HEAD:
	case STEP_LINGER:
		c->dead = true;
		break;
	case STEP_WAIT:
		request_end(&c->request, false);
		http_refuse(&c->request, 503, "The node is shutting down.");
		break;
	case STEP_BODY:
		c->step = STEP_HANDLED;
		http_refuse(&c->request, 503, "The node is shutting down.");
		break;
	default:
		c->close = true;
	}
	run(c);
}

void http_stop(struct api *a)
{
	struct http_conn *c, *after;

	DL_FOREACH_SAFE (a->conns, c, after)
		stop_one(c);
}

void http_end_all(struct api *a)
{
	struct http_conn *c, *after;

	DL_FOREACH_SAFE (a->conns, c, after)
		conn_free(c);
}
