/* SPDX-License-Identifier: Apache-2.0 */
/* The clients of api_world.h: raw sockets, and answers cut out of what comes back. */
#include "tests/support/api_world.h"
#include "tests/support/until.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>

enum { READ_BYTES = 64 * 1024, HEAD_BYTES = 8 * 1024 };

static struct api_client *client_open(struct api_world *w, const struct endpoint *to)
{
	struct api_client *c = calloc(1, sizeof(*c));
	const int on = 1;

	assert_non_null(c);
	c->w = w;
	c->fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	assert_int_equal(connect(c->fd, &to->sa, endpoint_len(to)), 0);
	/* What is said in pieces shall leave in pieces, at once. */
	assert_int_equal(setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
	assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
	return c;
}

struct api_client *api_client_open(struct api_world *w)
{
	return client_open(w, &w->at);
}

struct api_client *api_client_open6(struct api_world *w)
{
	struct endpoint e = {.v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}};

	endpoint_set_port(&e, endpoint_port(&w->at));
	return client_open(w, &e);
}

void api_client_free(struct api_client *c)
{
	close(c->fd);
	free(c->in);
	free(c);
}

static void fill(struct api_client *c)
{
	ssize_t n;

	if (c->cap - c->len <= READ_BYTES) {
		c->cap = 2 * c->cap + 2 * READ_BYTES;
		c->in = realloc(c->in, c->cap);
		assert_non_null(c->in);
	}
	n = recv(c->fd, c->in + c->len, READ_BYTES, 0);
	if (n > 0)
		c->len += (size_t)n;
	else if (n == 0 || errno != EAGAIN)
		c->ended = true;
	c->in[c->len] = '\0';
}

/* Runs the loop until ready(), which is asked again whenever the client's socket has events. */
struct io_wait {
	struct loop *loop;
	bool (*ready)(void *ctx);
	void *ctx;
	bool reached;
};

static void on_io(void *ctx, unsigned events)
{
	struct io_wait *i = ctx;

	(void)events;
	i->reached = i->ready(i->ctx);
	if (i->reached)
		loop_stop(i->loop);
}

static void on_too_late(void *ctx, struct mono now)
{
	struct io_wait *i = ctx;

	(void)now;
	loop_stop(i->loop);
}

static void client_until(struct api_client *c, unsigned events, bool (*ready)(void *ctx), void *ctx)
{
	struct io_wait i = {.loop = c->w->loop, .ready = ready, .ctx = ctx};
	struct loop_fd *watch;
	struct loop_timer *late;

	if (ready(ctx))
		return;
	watch = loop_fd_new(c->w->loop, c->fd, events, on_io, &i);
	late = loop_timer_new(c->w->loop, on_too_late, &i);
	loop_timer_at(late, mono_add_ms(mono_now(), UNTIL_MAX_MS));
	loop_run(c->w->loop);
	loop_timer_free(late);
	loop_fd_free(watch);
	assert_true(i.reached);
}

struct sending {
	struct api_client *c;
	const char *bytes;
	size_t len;
};

static bool is_sent(void *ctx)
{
	struct sending *s = ctx;
	ssize_t n;

	while (s->len > 0) {
		n = send(s->c->fd, s->bytes, s->len, MSG_NOSIGNAL);
		if (n < 0)
			return errno != EAGAIN;
		s->bytes += n;
		s->len -= (size_t)n;
	}
	return true;
}

void api_client_send(struct api_client *c, const void *bytes, size_t len)
{
	struct sending s = {.c = c, .bytes = bytes, .len = len};

	client_until(c, LOOP_WRITE, is_sent, &s);
}

void api_client_say(struct api_client *c, const char *text)
{
	api_client_send(c, text, strlen(text));
}

void api_client_sayf(struct api_client *c, const char *format, ...)
{
	char *text;
	va_list args;

	va_start(args, format);
	assert_true(vasprintf(&text, format, args) >= 0);
	va_end(args);
	api_client_say(c, text);
	free(text);
}

void api_client_ask(struct api_client *c, const struct api_ask *ask)
{
	api_client_sayf(c, "%s %s HTTP/1.1\r\nHost: %s\r\n%s", ask->method, ask->path, c->w->host,
			ask->head ? ask->head : "");
	if (ask->type)
		api_client_sayf(c, "Content-Type: %s\r\n", ask->type);
	if (ask->body)
		api_client_sayf(c, "Content-Length: %zu\r\n", strlen(ask->body));
	api_client_say(c, "\r\n");
	if (ask->body)
		api_client_say(c, ask->body);
}

struct reading {
	struct api_client *c;
	size_t len;
};

static bool is_read(void *ctx)
{
	const struct reading *r = ctx;

	if (r->c->len < r->len && !r->c->ended)
		fill(r->c);
	return r->c->ended || r->c->len >= r->len;
}

void api_client_read(struct api_client *c, size_t len)
{
	struct reading r = {.c = c, .len = len};

	client_until(c, LOOP_READ, is_read, &r);
}

void api_client_take(struct api_client *c, size_t len)
{
	assert_true(len <= c->len);
	memmove(c->in, c->in + len, c->len - len + 1);
	c->len -= len;
}

void api_client_until_ended(struct api_client *c)
{
	api_client_read(c, SIZE_MAX);
}

/* Answers */

static const char *find_header(const char *head, const char *name)
{
	const size_t len = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, len) == 0 && line[len] == ':')
			return line + len + 1 + strspn(line + len + 1, " ");
	}
	return NULL;
}

/* Takes the chunks at from out of their frame; length of them with it, 0: not whole yet. */
static size_t unchunk(const char *from, const char *end, struct api_answer *a)
{
	const char *p = from;
	char *body = malloc((size_t)(end - from) + 1);
	size_t len = 0;

	assert_non_null(body);
	for (;;) {
		char *after;
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		const size_t size = lf ? strtoul(p, &after, 16) : 0;

		if (!lf || (size_t)(end - lf - 1) < size + 2) {
			free(body);
			return 0;
		}
		assert_true(after != p && after[0] == '\r' && after + 1 == lf);
		memcpy(body + len, lf + 1, size);
		len += size;
		p = lf + 1 + size;
		assert_memory_equal(p, "\r\n", 2);
		p += 2;
		if (size == 0)
			break;
	}
	body[len] = '\0';
	a->body = body;
	a->len = len;
	return (size_t)(p - from);
}

struct answering {
	struct api_client *c;
	bool is_head;
	struct api_answer *out;
	size_t used;
};

static size_t take_body(const struct answering *g, const char *from)
{
	const struct api_client *c = g->c;
	const size_t have = (size_t)(c->in + c->len - from);
	const char *length = find_header(g->out->head, "Content-Length");
	const char *coding = find_header(g->out->head, "Transfer-Encoding");
	size_t len = length ? strtoul(length, NULL, 10) : have;

	if (g->is_head || g->out->status == 204 || g->out->status < 200)
		len = 0;
	else if (coding)
		return unchunk(from, c->in + c->len, g->out);
	else if (!length && !c->ended)
		return SIZE_MAX;
	if (len > have)
		return SIZE_MAX;
	g->out->body = strndup(from, len);
	if (len) {
		g->out->body = realloc(g->out->body, len + 1);
		memcpy(g->out->body, from, len);
		g->out->body[len] = '\0';
	}
	g->out->len = len;
	return len;
}

/* True: a whole answer is at the front. */
static bool look(struct answering *g)
{
	const struct api_client *c = g->c;
	/* Not the whole of a long body, again and again. */
	const char *end = c->len ? memmem(c->in, c->len < HEAD_BYTES ? c->len : HEAD_BYTES, "\r\n\r\n", 4) : NULL;
	size_t body;

	if (!end)
		return false;
	g->out->head = strndup(c->in, (size_t)(end - c->in));
	assert_memory_equal(c->in, "HTTP/1.1 ", 9);
	g->out->status = atoi(c->in + 9);
	body = take_body(g, end + 4);
	if (g->out->body) {
		g->used = (size_t)(end + 4 - c->in) + body;
		return true;
	}
	free(g->out->head);
	*g->out = (struct api_answer){0};
	return false;
}

static bool is_answered(void *ctx)
{
	struct answering *g = ctx;

	if (look(g))
		return true;
	if (g->c->ended)
		return true;
	fill(g->c);
	return look(g);
}

struct api_answer api_client_answer(struct api_client *c, bool is_head)
{
	struct api_answer a = {0};
	struct answering g = {.c = c, .is_head = is_head, .out = &a};

	client_until(c, LOOP_READ, is_answered, &g);
	if (a.head)
		api_client_take(c, g.used);
	return a;
}

void api_answer_fini(struct api_answer *a)
{
	free(a->head);
	free(a->body);
	*a = (struct api_answer){0};
}

const char *api_answer_header(const struct api_answer *a, const char *name)
{
	static char value[1024];
	const char *found = a->head ? find_header(a->head, name) : NULL;
	size_t len;

	if (!found)
		return NULL;
	len = strcspn(found, "\r\n");
	assert_true(len < sizeof(value));
	memcpy(value, found, len);
	value[len] = '\0';
	return value;
}

struct api_answer api_world_ask(struct api_world *w, const struct api_ask *ask)
{
	struct api_client *c = api_client_open(w);
	struct api_answer a;

	api_client_ask(c, ask);
	a = api_client_answer(c, strcmp(ask->method, "HEAD") == 0);
	api_client_free(c);
	return a;
}

struct api_answer api_world_get(struct api_world *w, const char *path)
{
	return api_world_ask(w, &(const struct api_ask){.method = "GET", .path = path});
}
