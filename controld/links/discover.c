/* SPDX-License-Identifier: Apache-2.0 */
/* Beacons, sent and heard on a socket per interface; see discover.h. An interface that cannot send yet (its address is
 * still being checked, IPv6 is off) is tried again, ever more rarely. */
#define LOG_MODULE "discover"
#include "controld/links/discover.h"

#include "controld/links/beacon.h"
#include "shared/base/log.h"
#include "shared/base/mono.h"
#include "shared/limits.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>
#include <utlist.h>

#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif

enum {
	INTERFACES = 256, /* each is a descriptor. Full: refuse, one log line */
	BURST = 64,
	HEARD_PER_SECOND = 100,
	RETRY_FIRST_MS = 200,
	/* What is lost while a switch or a neighbour wakes up is made good soon. Who waits whether we dial (5 s from
	 * the first on) hears the third. */
	BEACON_SECOND_MS = 1000,
	BEACON_THIRD_MS = 5000,
};

struct socket {
	struct discover *owner;
	unsigned ifindex;
	char name[16];
	int fd; /* -1: not made yet */
	struct loop_fd *watch;
	struct loop_timer *timer;
	unsigned sent;
	uint32_t retry_ms;
	struct mono second; /* start of the second that heard counts in */
	unsigned heard;
	struct socket *prev, *next;
};

struct discover {
	struct loop *loop;
	struct discover_config config;
	struct discover_ops ops;
	void *ctx;
	struct socket *sockets;
	unsigned count;
	bool full_said;
};

static struct endpoint group(const struct socket *s)
{
	static const struct in6_addr cafe = {.s6_addr = {0xff, 0x02, [14] = 0xca, [15] = 0xfe}};
	struct endpoint e = {.v6 = {.sin6_family = AF_INET6, .sin6_addr = cafe, .sin6_scope_id = s->ifindex}};

	endpoint_set_port(&e, s->owner->config.port);
	return e;
}

/* A bound on what a flood of beacons costs, whatever it says. */
static bool may_hear(struct socket *s)
{
	const struct mono now = mono_now();

	if (mono_since_ms(now, s->second) >= 1000) {
		s->second = now;
		s->heard = 0;
	}
	return s->heard++ < HEARD_PER_SECOND;
}

static void on_readable(void *ctx, unsigned events)
{
	struct socket *s = ctx;
	const struct discover *d = s->owner;

	(void)events;
	for (int n = 0; n < BURST; n++) {
		struct sockaddr_in6 from = {0};
		socklen_t from_len = sizeof(from);
		uint8_t bytes[WIRE_BEACON_BYTES];
		struct endpoint e;
		struct pubkey pk;
		const ssize_t len = recvfrom(s->fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &from_len);

		if (len < 0)
			return;
		if (discover_read(&d->config.self, &from, bytes, (size_t)len, &e, &pk) && may_hear(s))
			d->ops.found(d->ctx, &e, &pk);
	}
}

static bool set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

static bool configure(const struct socket *s, int fd)
{
	const struct endpoint e = group(s);
	const struct ipv6_mreq join = {.ipv6mr_multiaddr = e.v6.sin6_addr, .ipv6mr_interface = s->ifindex};

	return set(fd, SOL_SOCKET, SO_REUSEADDR, 1) && set(fd, SOL_SOCKET, SO_REUSEPORT, 1) &&
	       set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) && set(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0) &&
	       set(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1) &&
	       set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)s->ifindex) &&
	       setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &join, sizeof(join)) == 0 &&
	       bind(fd, &e.sa, endpoint_len(&e)) == 0;
}

static int socket_open(struct socket *s)
{
	const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	if (!configure(s, fd)) {
		error = -errno;
		close(fd);
		return error;
	}
	s->fd = fd;
	s->watch = loop_fd_new(s->owner->loop, fd, LOOP_READ, on_readable, s);
	return 0;
}

static int beacon_send(struct socket *s)
{
	const struct discover_config *c = &s->owner->config;
	const struct endpoint to = group(s);
	struct wire_beacon beacon;

	beacon_write(&c->self, c->tcp_port, &beacon);
	return sendto(s->fd, &beacon, sizeof(beacon), 0, &to.sa, endpoint_len(&to)) < 0 ? -errno : 0;
}

/* The period, a tenth shorter or longer: nodes that were started together do not stay in step. */
static uint32_t period_ms(void)
{
	uint32_t random = 0;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		return LIMIT_BEACON_MS;
	return LIMIT_BEACON_MS / 10 * 9 + random % (LIMIT_BEACON_MS / 5);
}

static uint32_t next_ms(struct socket *s)
{
	s->retry_ms = 0;
	s->sent++;
	if (s->sent <= 2)
		return s->sent == 1 ? BEACON_SECOND_MS : BEACON_THIRD_MS;
	return period_ms();
}

static uint32_t retry_ms(struct socket *s, int error)
{
	if (!s->retry_ms)
		log_debug("discovery on %s has to wait: %s", s->name, strerror(-error));
	s->retry_ms = s->retry_ms ? 2 * s->retry_ms : RETRY_FIRST_MS;
	if (s->retry_ms > LIMIT_BEACON_MS)
		s->retry_ms = LIMIT_BEACON_MS;
	return s->retry_ms;
}

static void on_timer(void *ctx, struct mono now)
{
	struct socket *s = ctx;
	int error = s->fd < 0 ? socket_open(s) : 0;

	if (error == 0)
		error = beacon_send(s);
	loop_timer_at(s->timer, mono_add_ms(now, error ? retry_ms(s, error) : next_ms(s)));
}

struct discover *discover_new(struct loop *l, const struct discover_config *c, const struct discover_ops *ops,
			      void *ctx)
{
	struct discover *d = calloc(1, sizeof(*d));

	if (!d)
		abort();
	*d = (struct discover){.loop = l, .config = *c, .ops = *ops, .ctx = ctx};
	return d;
}

static void socket_free(struct socket *s)
{
	DL_DELETE(s->owner->sockets, s);
	s->owner->count--;
	loop_timer_free(s->timer);
	loop_fd_free(s->watch);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

void discover_free(struct discover *d)
{
	struct socket *s, *next;

	if (!d)
		return;
	DL_FOREACH_SAFE (d->sockets, s, next)
		socket_free(s);
	free(d);
}

static struct socket *find(const struct discover *d, unsigned ifindex)
{
	struct socket *s;

	DL_FOREACH (d->sockets, s) {
		if (s->ifindex == ifindex)
			return s;
	}
	return NULL;
}

void discover_add(struct discover *d, unsigned ifindex, const char *name)
{
	struct socket *s = find(d, ifindex);

	if (s) {
		/* What waited for an address may have it now. */
		if (s->retry_ms) {
			s->retry_ms = 0;
			loop_timer_at(s->timer, mono_now());
		}
		return;
	}
	if (d->count >= INTERFACES) {
		if (!d->full_said)
			log_warn("discovery leaves out %s and further interfaces: it serves %d", name, INTERFACES);
		d->full_said = true;
		return;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	s->owner = d;
	s->ifindex = ifindex;
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->fd = -1;
	s->timer = loop_timer_new(d->loop, on_timer, s);
	DL_APPEND(d->sockets, s);
	d->count++;
	loop_timer_at(s->timer, mono_now());
}

void discover_del(struct discover *d, unsigned ifindex)
{
	struct socket *s = find(d, ifindex);

	if (s)
		socket_free(s);
}
