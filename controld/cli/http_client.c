/* SPDX-License-Identifier: Apache-2.0 */
/* Sending and reading go on together: a server that refuses a request before it has it all is heard. */
#include "controld/cli/http_client.h"

#include "shared/base/mono.h"
#include "shared/base/secret.h"
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	HEAD_BYTES = 16 * 1024,
	READ_BYTES = 64 * 1024,
	MS_PER_S = 1000,
	POLL_MAX_MS = 60000,
};
static const uint64_t wait_max_s = 366UL * 24 * 3600;

/* One exchange. */
struct exchange {
	const struct http_client_request *r;
	struct cli_answer *a;
	char *error;
	int fd;
	char *head;
	size_t head_len;
	size_t sent; /* of head and body together */
	bool deaf; /* the server takes no more */
	struct mono limit;
};

static int fail(struct exchange *x, int code, const char *why)
{
	snprintf(x->error, HTTP_CLIENT_ERROR_BYTES, "%s", why);
	return code;
}

/* The Host of a request: the address, without a scope, and the port. */
static void print_host(const struct endpoint *e, char out[ENDPOINT_TEXT_BYTES])
{
	struct endpoint plain = *e;

	if (plain.sa.sa_family == AF_INET6)
		plain.v6.sin6_scope_id = 0;
	endpoint_print(&plain, out);
}

static int make_head(struct exchange *x)
{
	const struct http_client_request *r = x->r;
	char host[ENDPOINT_TEXT_BYTES], length[80] = "";
	int n;

	print_host(r->to, host);
	if (r->body)
		snprintf(length, sizeof(length), "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			 r->body_len);
	n = snprintf(x->head, HEAD_BYTES, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s%s%s\r\n", r->method,
		     r->target, host, r->token ? "Authorization: Bearer " : "", r->token ? r->token : "",
		     r->token ? "\r\n" : "", length);
	if (n >= HEAD_BYTES)
		return fail(x, -EMSGSIZE, "the request is too long");
	x->head_len = (size_t)n;
	return 0;
}

/* Waits for events until the limit; 0 with what is there, or -ETIMEDOUT. */
static int await(struct exchange *x, short events, short *got)
{
	for (;;) {
		const int64_t left_ms = mono_since_ms(x->limit, mono_now()) + 1;
		struct pollfd p = {.fd = x->fd, .events = events};
		const int wait_ms = left_ms > POLL_MAX_MS ? POLL_MAX_MS : (int)left_ms;
		int n;

		if (mono_is_due(x->limit, mono_now()))
			return -ETIMEDOUT;
		n = poll(&p, 1, wait_ms);
		assert(n >= 0 || errno == EINTR);
		*got = p.revents;
		if (n > 0)
			return 0;
	}
}

static int dial(struct exchange *x)
{
	const struct endpoint *to = x->r->to;
	const int on = 1;
	int code = 0;
	socklen_t len = sizeof(code);
	short got;

	x->fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (x->fd < 0)
		return fail(x, -ENOTCONN, strerror(errno));
	/* A host that vanishes while it is waited for is noticed in the end; without this it is only later. */
	(void)setsockopt(x->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	x->limit = mono_add_ms(mono_now(), HTTP_CLIENT_CONNECT_MS);
	if (connect(x->fd, &to->sa, endpoint_len(to)) == 0)
		return 0;
	if (errno != EINPROGRESS && errno != EINTR)
		return fail(x, -ENOTCONN, strerror(errno));
	if (await(x, POLLOUT, &got) < 0)
		return fail(x, -ENOTCONN, strerror(ETIMEDOUT));
	if (getsockopt(x->fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
		code = errno;
	return code ? fail(x, -ENOTCONN, strerror(code)) : 0;
}

static bool has_more(const struct exchange *x)
{
	return !x->deaf && !cli_answer_has_head(x->a) && x->sent < x->head_len + x->r->body_len;
}

/* The head takes as long as was agreed, however it drips; then each piece is a sign of life. */
static void set_limit(struct exchange *x)
{
	const uint64_t wait_s = x->r->wait_s < wait_max_s ? x->r->wait_s : wait_max_s;
	const int64_t wait_ms = has_more(x) || cli_answer_has_head(x->a) ? 0 : (int64_t)wait_s * MS_PER_S;

	x->limit = mono_add_ms(mono_now(), wait_ms + HTTP_CLIENT_GRACE_MS);
}

/* What the socket takes now. A server that has hung up may have said why: that is read next. */
static void send_some(struct exchange *x)
{
	const size_t head_left = x->sent < x->head_len ? x->head_len - x->sent : 0;
	const size_t body_sent = x->sent - (x->head_len - head_left);
	struct iovec iov[2] = {
		{.iov_base = x->head + x->head_len - head_left, .iov_len = head_left},
		/* sendmsg() only reads, whatever its types say. */
		{.iov_base = (void *)((uintptr_t)x->r->body + body_sent), .iov_len = x->r->body_len - body_sent},
	};
	const struct msghdr m = {.msg_iov = iov, .msg_iovlen = x->r->body ? 2 : 1};
	const ssize_t n = sendmsg(x->fd, &m, MSG_NOSIGNAL);

	if (n > 0) {
		x->sent += (size_t)n;
		set_limit(x);
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		x->deaf = true;
		set_limit(x);
	}
}

/* 0: goes on; 1: the answer is whole. */
static int read_some(struct exchange *x)
{
	static char buf[READ_BYTES];
	const ssize_t n = recv(x->fd, buf, sizeof(buf), 0);
	enum cli_answer_verdict v;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return fail(x, -ECONNRESET, strerror(errno));
	v = n ? cli_answer_feed(x->a, buf, (size_t)n) : cli_answer_end(x->a);
	if (v == CLI_ANSWER_BAD)
		return fail(x, -EBADMSG, x->a->error);
	if (cli_answer_has_head(x->a))
		set_limit(x);
	return v == CLI_ANSWER_DONE;
}

static int talk(struct exchange *x)
{
	int r = 0;

	set_limit(x);
	while (!r) {
		short got;

		if (await(x, has_more(x) ? POLLIN | POLLOUT : POLLIN, &got) < 0)
			return fail(x, -ETIMEDOUT, "no answer in time");
		if (got & (POLLIN | POLLHUP | POLLERR))
			r = read_some(x);
		if (!r && (got & POLLOUT) && has_more(x))
			send_some(x);
	}
	return r < 0 ? r : 0;
}

int http_client_fetch(const struct http_client_request *r, struct cli_answer *a, char error[HTTP_CLIENT_ERROR_BYTES])
{
	struct exchange x = {.r = r, .a = a, .error = error, .fd = -1, .head = malloc(HEAD_BYTES)};
	int code;

	assert(x.head);
	cli_answer_init(a, r->max_body ? r->max_body : HTTP_CLIENT_BODY_BYTES_MAX);
	code = make_head(&x);
	if (!code)
		code = dial(&x);
	if (!code)
		code = talk(&x);
	if (x.fd >= 0)
		close(x.fd);
	secret_wipe(x.head, HEAD_BYTES);
	free(x.head);
	if (code < 0)
		cli_answer_fini(a);
	return code;
}
