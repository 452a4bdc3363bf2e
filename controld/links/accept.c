/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners of TCP links. No error of one connection ends the listening; where descriptors have run out, the one in
 * reserve is given up for a moment to take a connection and close it, so that it does not wait in vain and the loop
 * does not spin. */
#define LOG_MODULE "accept"
#include "controld/links/accept.h"

#include "shared/base/log.h"
#include "shared/base/mono.h"
#include "shared/ctl.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

enum { BACKLOG = 1024, BURST = 64, PAUSE_MS = 100 };

struct listener {
	struct acceptor *owner;
	struct loop_fd *watch;
	int fd;
	struct listener *next;
};

struct acceptor {
	struct loop *loop;
	struct acceptor_ops ops;
	void *ctx;
	struct listener *listeners;
	struct loop_timer *pause;
	int reserve; /* -1: could not be had back yet */
	struct log_limit refused, failed;
};

static void reserve_open(struct acceptor *a)
{
	if (a->reserve < 0)
		a->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void want_all(struct acceptor *a, unsigned events)
{
	struct listener *i;

	LL_FOREACH (a->listeners, i)
		loop_fd_want(i->watch, events);
}

static void on_pause_over(void *ctx, struct mono now)
{
	struct acceptor *a = ctx;

	(void)now;
	reserve_open(a);
	want_all(a, LOOP_READ);
}

struct acceptor *acceptor_new(struct loop *l, const struct acceptor_ops *ops, void *ctx)
{
	struct acceptor *a = calloc(1, sizeof(*a));

	if (!a)
		abort();
	*a = (struct acceptor){.loop = l, .ops = *ops, .ctx = ctx, .reserve = -1};
	a->refused = LOG_LIMIT(10000, 5);
	a->failed = LOG_LIMIT(10000, 5);
	a->pause = loop_timer_new(l, on_pause_over, a);
	reserve_open(a);
	return a;
}

void acceptor_free(struct acceptor *a)
{
	struct listener *i, *next;

	if (!a)
		return;
	LL_FOREACH_SAFE (a->listeners, i, next) {
		loop_fd_free(i->watch);
		close(i->fd);
		free(i);
	}
	loop_timer_free(a->pause);
	if (a->reserve >= 0)
		close(a->reserve);
	free(a);
}

static void take(struct acceptor *a, int fd, const struct endpoint *remote)
{
	struct links_socket s = {.fd = fd, .remote = *remote, .flags = CTL_LINK_INBOUND};
	socklen_t len = sizeof(s.local);
	char text[ENDPOINT_TEXT_BYTES];
	const char *why = "";
	const int on = 1;

	if (!a->ops.may(a->ctx, remote, &why)) {
		log_limited(&a->refused, LOG_WARN, "closed a connection from %s: %s", endpoint_print(remote, text),
			    why);
		close(fd);
		return;
	}
	/* Fails only where the connection is gone already. */
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 || getsockname(fd, &s.local.sa, &len) < 0) {
		close(fd);
		return;
	}
	a->ops.accepted(a->ctx, &s);
}

/* One connection is taken and closed with the descriptor in reserve. False: not even that is possible now. */
static bool shed(struct acceptor *a, int listener)
{
	int fd;

	if (a->reserve < 0)
		return false;
	close(a->reserve);
	a->reserve = -1;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	reserve_open(a);
	return a->reserve >= 0;
}

/* The connection the error belongs to is gone from the queue. False: it is still there, so wait. */
static bool survive(struct acceptor *a, int listener, int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case ENETDOWN:
	case EPROTO:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
	case ETIMEDOUT:
	case EPERM:
		return true;
	case EMFILE:
	case ENFILE:
		log_limited(
			&a->failed, LOG_WARN,
			"closed a new connection, because descriptors have run out: %s (raise the limit, ulimit -n)",
			strerror(error));
		return shed(a, listener);
	default:
		log_limited(&a->failed, LOG_WARN, "cannot take new connections for the moment: %s", strerror(error));
		return false;
	}
}

static void on_readable(void *ctx, unsigned events)
{
	struct listener *l = ctx;
	struct acceptor *a = l->owner;

	(void)events;
	for (int n = 0; n < BURST; n++) {
		struct endpoint remote = {.v6 = {0}};
		socklen_t len = sizeof(remote);
		const int fd = accept4(l->fd, &remote.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			take(a, fd, &remote);
			continue;
		}
		if (errno == EAGAIN)
			return;
		if (!survive(a, l->fd, errno)) {
			want_all(a, 0);
			loop_timer_at(a->pause, mono_add_ms(mono_now(), PAUSE_MS));
			return;
		}
	}
}

static int listen_socket(const struct endpoint *e)
{
	const int on = 1, off = 0;
	const int fd = socket(e->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	/* Without REUSEADDR connections that linger from the last run would keep the port. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (e->sa.sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0) ||
	    bind(fd, &e->sa, endpoint_len(e)) < 0 || listen(fd, BACKLOG) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

int acceptor_listen(struct acceptor *a, const struct endpoint *e)
{
	const int fd = listen_socket(e);
	struct listener *l;

	if (fd < 0)
		return fd;
	l = calloc(1, sizeof(*l));
	if (!l)
		abort();
	l->owner = a;
	l->fd = fd;
	l->watch = loop_fd_new(a->loop, fd, LOOP_READ, on_readable, l);
	LL_PREPEND(a->listeners, l);
	return 0;
}
