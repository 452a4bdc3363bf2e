/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt to connect; see dial.h. A look-up cannot be interrupted: when its dial is freed it goes on without an
 * owner. */
#include "controld/links/dial.h"

#include "shared/base/mono.h"
#include "shared/limits.h"
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ADDRESSES = 16 };

struct lookup {
	struct dial *dial; /* NULL: given up; of the loop's thread */
	struct loop_work *work; /* dies after its done */
	char host[TARGET_HOST_BYTES];
	int error; /* of getaddrinfo */
	unsigned count;
	struct endpoint address[ADDRESSES];
};

struct dial {
	struct loop *loop;
	struct target target;
	const struct prefix *overlay; /* borrowed */
	unsigned turn;
	void (*done)(void *ctx, const struct dial_result *r);
	void *ctx;

	struct lookup *lookup; /* NULL: none runs */
	struct loop_timer *timer;
	struct loop_fd *watch;
	int fd;
	struct endpoint remote;
	char error[DIAL_ERROR_BYTES]; /* of what failed before the loop could be told */
};

static void finish(struct dial *d, int fd, const struct endpoint *local, const char *error)
{
	const struct dial_result r = {.fd = fd, .local = *local, .remote = d->remote, .error = error};

	d->done(d->ctx, &r);
}

static void fail(struct dial *d, const char *error)
{
	const struct endpoint none = {.v6 = {0}};

	finish(d, -1, &none, error);
}

/* Takes the socket out of the dial's hands. */
static int unwatch(struct dial *d)
{
	const int fd = d->fd;

	loop_fd_free(d->watch);
	d->watch = NULL;
	d->fd = -1;
	return fd;
}

static int socket_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

static void on_connected(void *ctx, unsigned events)
{
	struct dial *d = ctx;
	struct endpoint local = {.v6 = {0}};
	socklen_t len = sizeof(local);
	const int fd = unwatch(d);
	int error = socket_error(fd);

	(void)events;
	if (error == 0 && getsockname(fd, &local.sa, &len) < 0)
		error = errno;
	/* A port of ours that nobody listens on, met by chance as our own source port: TCP connects a socket to itself.
	 */
	if (error == 0 && endpoint_eq(&local, &d->remote))
		error = ECONNREFUSED;
	if (error == 0) {
		finish(d, fd, &local, "");
		return;
	}
	close(fd);
	fail(d, strerror(error));
}

/* The time is up, or an error waited to be told from the loop. */
static void on_timer(void *ctx, struct mono now)
{
	struct dial *d = ctx;

	(void)now;
	if (d->watch)
		close(unwatch(d));
	fail(d, d->error[0] ? d->error : "it did not answer in time");
}

static void fail_soon(struct dial *d, const char *error)
{
	snprintf(d->error, sizeof(d->error), "%s", error);
	loop_timer_at(d->timer, mono_now());
}

static void dial_connect(struct dial *d)
{
	const int on = 1;

	d->fd = socket(d->remote.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd < 0) {
		fail_soon(d, strerror(errno));
		return;
	}
	if (setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    (connect(d->fd, &d->remote.sa, endpoint_len(&d->remote)) < 0 && errno != EINPROGRESS)) {
		fail_soon(d, strerror(errno));
		close(d->fd);
		d->fd = -1;
		return;
	}
	d->watch = loop_fd_new(d->loop, d->fd, LOOP_WRITE, on_connected, d);
	loop_timer_at(d->timer, mono_add_ms(mono_now(), LIMIT_DIAL_TIMEOUT_MS));
}

/* In the background: touches nothing but the host, the addresses and the error. */
static void lookup_work(void *ctx)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct lookup *l = ctx;
	struct addrinfo *list = NULL;

	l->error = getaddrinfo(l->host, NULL, &hints, &list);
	if (l->error)
		return;
	for (const struct addrinfo *i = list; i && l->count < ADDRESSES; i = i->ai_next) {
		struct endpoint e = {.v6 = {0}};

		if (i->ai_addrlen > sizeof(e) || (i->ai_family != AF_INET && i->ai_family != AF_INET6))
			continue;
		memcpy(&e, i->ai_addr, i->ai_addrlen);
		l->address[l->count++] = e;
	}
	freeaddrinfo(list);
}

static unsigned drop_overlay(struct lookup *l, const struct prefix *overlay)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < l->count; i++) {
		if (!target_in_overlay(&l->address[i], overlay))
			l->address[kept++] = l->address[i];
	}
	return kept;
}

static void lookup_judge(struct dial *d, struct lookup *l, bool cancelled)
{
	const unsigned found = l->count;
	char error[DIAL_ERROR_BYTES];

	l->count = drop_overlay(l, d->overlay);
	if (l->count > 0) {
		d->remote = l->address[d->turn % l->count];
		endpoint_set_port(&d->remote, d->target.port);
		dial_connect(d);
		return;
	}
	if (cancelled)
		snprintf(error, sizeof(error), "there are no means to resolve its name now");
	else if (l->error)
		snprintf(error, sizeof(error), "its name cannot be resolved: %s", gai_strerror(l->error));
	else
		snprintf(error, sizeof(error), "%s", found ? target_why_overlay : "its name has no address");
	fail(d, error);
}

static void lookup_done(void *ctx, bool cancelled)
{
	struct lookup *l = ctx;
	struct dial *d = l->dial;

	if (d) {
		d->lookup = NULL;
		lookup_judge(d, l, cancelled);
	}
	free(l);
}

static void lookup_start(struct dial *d)
{
	struct lookup *l = calloc(1, sizeof(*l));

	if (!l)
		abort();
	l->dial = d;
	memcpy(l->host, d->target.host, sizeof(l->host));
	d->lookup = l;
	l->work = loop_work_new(d->loop, lookup_work, lookup_done, l);
}

struct dial *dial_new(struct loop *l, const struct target *t, const struct prefix *overlay, unsigned turn,
		      void (*done)(void *ctx, const struct dial_result *r), void *ctx)
{
	struct dial *d = calloc(1, sizeof(*d));

	if (!d)
		abort();
	*d = (struct dial){
		.loop = l, .target = *t, .overlay = overlay, .turn = turn, .done = done, .ctx = ctx, .fd = -1};
	d->timer = loop_timer_new(l, on_timer, d);
	if (!t->literal)
		lookup_start(d);
	else if (target_endpoint(t, &d->remote) < 0)
		fail_soon(d, "its interface does not exist now");
	else if (target_in_overlay(&d->remote, overlay))
		fail_soon(d, target_why_overlay);
	else
		dial_connect(d);
	return d;
}

void dial_free(struct dial *d)
{
	if (!d)
		return;
	if (d->lookup) {
		d->lookup->dial = NULL;
		loop_work_cancel(d->lookup->work);
	}
	loop_timer_free(d->timer);
	if (d->watch)
		close(unwatch(d));
	free(d);
}
