/* SPDX-License-Identifier: Apache-2.0 */
/* The listening sockets, and who may be connected at the same time. No error of one connection ends the listening. */
#define LOG_MODULE "api"
#include "controld/api/server_private.h"

#include "shared/base/log.h"
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 128, BURST = 32, PAUSE_MS = 100 };

static struct log_limit limited = {.period_ms = 10000, .burst = 5};

bool server_is_loopback(const struct endpoint *e)
{
	if (e->sa.sa_family == AF_INET)
		return ntohl(e->v4.sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&e->v6.sin6_addr);
}

/* IPv6: the /64. IPv4 addresses stand where no IPv6 network is (0000:0001::/32). */
static uint64_t client_of(const struct endpoint *e)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	const struct ip6 ip = endpoint_ip6(e);
	uint32_t v4;

	if (memcmp(ip.b, mapped, sizeof(mapped)) != 0)
		return ip6_net64(&ip);
	memcpy(&v4, ip.b + sizeof(mapped), sizeof(v4));
	return 1ULL << 32 | ntohl(v4);
}

static unsigned count_of(const struct server *s, uint64_t client)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LIMIT_API_CONNECTIONS; i++)
		n += s->slots[i].taken && s->slots[i].client == client;
	return n;
}

static bool enter(struct api *a, uint64_t client, unsigned *slot)
{
	struct server *s = a->server;

	if (s->slots_taken >= a->limits.connections || count_of(s, client) >= a->limits.per_address)
		return false;
	for (unsigned i = 0; i < LIMIT_API_CONNECTIONS; i++) {
		if (s->slots[i].taken)
			continue;
		s->slots[i].taken = true;
		s->slots[i].client = client;
		s->slots_taken++;
		*slot = i;
		return true;
	}
	return false;
}

void server_leave(struct api *a, unsigned slot)
{
	struct server *s = a->server;

	assert(slot < LIMIT_API_CONNECTIONS && s->slots[slot].taken);
	s->slots[slot].taken = false;
	s->slots_taken--;
	if (s->phase == SERVER_DRAINS && s->slots_taken == 0)
		server_wake(a, mono_now());
}

/* A socket that was just accepted takes so few bytes at once; if not, the client has only the end of it. */
static void refuse(struct api *a, int fd)
{
	static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: " HTTP_TEXT
				   "\r\nContent-Length: 46\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
				   "Too many connections to the API at one time.\r\n";
	char thrown[LIMIT_API_HEADER_BYTES];

	a->refused++;
	if (send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL) > 0 && shutdown(fd, SHUT_WR) == 0 &&
	    recv(fd, thrown, sizeof(thrown), 0) < 0 && errno != EAGAIN)
		log_limited(&limited, LOG_DEBUG, "a refused client has gone: %s", strerror(errno));
	close(fd);
}

static void take(struct api *a, int fd, const struct endpoint *remote)
{
	const int on = 1;
	unsigned slot;

	if (!enter(a, client_of(remote), &slot)) {
		log_limited(&limited, LOG_WARN, "refused a connection to the API: too many at one time");
		refuse(a, fd);
		return;
	}
	/* Fails only where the connection is gone already, which its first read says. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	http_accept(a, fd, slot);
}

/* The connection the error belongs to is gone from the queue. False: it is still there, so wait. */
static bool is_of_one_connection(int error)
{
	static const int errors[] = {EINTR,	   ECONNABORTED, ENETDOWN,    EPROTO,	 ENOPROTOOPT, EHOSTDOWN,
				     EHOSTUNREACH, EOPNOTSUPP,	 ENETUNREACH, ETIMEDOUT, EPERM};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (errors[i] == error)
			return true;
	}
	return false;
}

static void want_all(struct server *s, unsigned events)
{
	for (unsigned i = 0; i < s->listener_count; i++)
		loop_fd_want(s->listeners[i].watch, events);
}

static void on_pause_over(void *ctx, struct mono now)
{
	struct api *a = ctx;

	(void)now;
	want_all(a->server, LOOP_READ);
}

static void on_readable(void *ctx, unsigned events)
{
	struct server_listener *l = ctx;
	struct api *a = l->api;

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
		if (is_of_one_connection(errno))
			continue;
		log_limited(&limited, LOG_WARN, "the API cannot take new connections for the moment: %s",
			    strerror(errno));
		want_all(a->server, 0);
		loop_timer_at(a->server->pause, mono_add_ms(mono_now(), PAUSE_MS));
		return;
	}
}

static int listen_socket(const struct endpoint *e)
{
	const int on = 1;
	const int fd = socket(e->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const bool any6 = e->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&e->v6.sin6_addr);
	const int only6 = any6 ? 0 : 1;
	int error;

	if (fd < 0)
		return -errno;
	/* Without REUSEADDR connections that linger from the last run would keep the port. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (e->sa.sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof(only6)) < 0) ||
	    bind(fd, &e->sa, endpoint_len(e)) < 0 || listen(fd, BACKLOG) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

static int listen_one(struct api *a, const struct endpoint *e, char error[API_ERROR_BYTES])
{
	struct server *s = a->server;
	struct server_listener *l = &s->listeners[s->listener_count];
	char text[ENDPOINT_TEXT_BYTES];
	const int fd = listen_socket(e);

	if (fd < 0) {
		snprintf(error, API_ERROR_BYTES, "the API cannot listen on %s: %s%s", endpoint_print(e, text),
			 strerror(-fd), fd == -EADDRINUSE ? "; choose another address or port with --api-addr" : "");
		return fd;
	}
	*l = (struct server_listener){.api = a, .fd = fd};
	l->watch = loop_fd_new(a->loop, fd, LOOP_READ, on_readable, l);
	s->listener_count++;
	return 0;
}

/* 127.0.0.1 for ::1 and the other way round; false: at is neither. */
static bool twin_of(const struct endpoint *at, struct endpoint *twin)
{
	if (at->sa.sa_family == AF_INET && at->v4.sin_addr.s_addr == htonl(INADDR_LOOPBACK)) {
		*twin = (struct endpoint){.v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}};
	} else if (at->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&at->v6.sin6_addr)) {
		*twin = (struct endpoint){.v4 = {.sin_family = AF_INET}};
		twin->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else {
		return false;
	}
	endpoint_set_port(twin, endpoint_port(at));
	return true;
}

int server_listen(struct api *a, const struct endpoint *at, char error[API_ERROR_BYTES])
{
	struct endpoint twin;
	int result;

	a->server->pause = loop_timer_new(a->loop, on_pause_over, a);
	result = listen_one(a, at, error);
	if (result == 0 && twin_of(at, &twin)) {
		result = listen_one(a, &twin, error);
		/* A machine without one of the two is all right. */
		if (result == -EADDRNOTAVAIL || result == -EAFNOSUPPORT)
			result = 0;
	}
	return result;
}

void server_listen_end(struct api *a)
{
	struct server *s = a->server;

	for (unsigned i = 0; i < s->listener_count; i++) {
		loop_fd_free(s->listeners[i].watch);
		close(s->listeners[i].fd);
	}
	s->listener_count = 0;
	loop_timer_free(s->pause);
	s->pause = NULL;
}
