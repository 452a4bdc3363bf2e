/* SPDX-License-Identifier: Apache-2.0 */
/* Two neighbours of one node in one process: one announces a made-up route, the other sends data frames for it in bulk,
 * as fast as TCP takes them. What the node spends on a frame in transit can then be read off its CPU time.
 *
 *   blast HOST PORT SIZE SECONDS      SIZE: bytes of the L3 packet that a frame would hold
 *
 *   blast relay PORT                  in the node's place: passes the bytes of two connections on to each other,
 * unread. The least that TCP in and TCP out costs on this machine
 *
 * Prints one JSON line: {"frames": received, "seconds": s}; the relay {"bytes": passed on, "cpu_ns": n}. */
#include "shared/wire.h"

#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1 << 18, UPDATE_BYTES = 76, HELLO = 4, UPDATE = 8 };

struct side {
	int fd;
	uint8_t in[BUFFER_BYTES];
	size_t held;
	unsigned owed; /* IHUs to be sent */
	uint64_t frames;
	bool update; /* an Update of the made-up route came in */
};

static uint8_t prefix[16], update[UPDATE_BYTES];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int dial(const char *host, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	const int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (inet_pton(AF_INET, host, &a.sin_addr) != 1 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		perror(host);
		exit(1);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

/* A route of a random key: its address is the first 16 bytes of BLAKE2b, in 200::/7. */
static void make_route(void)
{
	static const uint8_t head[] = {1, 1, 0, 0, 42, 2, 0, 68, UPDATE, 66, 2, 0, 64, 0, 0, 16, 0, 0, 0, 0};
	uint8_t key[32];

	randombytes_buf(key, sizeof(key));
	crypto_generichash(prefix, 16, key, 32, NULL, 0);
	prefix[0] = 2 | (prefix[0] & 1);
	memset(prefix + 8, 0, 8);
	memcpy(update, head, sizeof(head));
	memcpy(update + 20, prefix, 16);
	memcpy(update + 36, key, 32);
}

static void packet_in(struct side *s, const uint8_t *p)
{
	s->frames += p[1] == WIRE_DATA;
	if (p[1] != WIRE_CONTROL)
		return;
	s->owed += p[8] == HELLO;
	s->update |= p[8] == UPDATE && memcmp(p + 20, prefix, 8) == 0;
}

static void receive(struct side *s)
{
	const ssize_t n = recv(s->fd, s->in + s->held, sizeof(s->in) - s->held, MSG_DONTWAIT);
	size_t at = 0, size;

	if (n <= 0)
		return;
	s->held += (size_t)n;
	for (; s->held - at >= WIRE_CONTROL_HEADER_BYTES; at += size) {
		const uint8_t *p = s->in + at;

		size = p[1] == WIRE_DATA ? WIRE_DATA_HEADER_BYTES + (size_t)(p[4] << 8 | p[5])
					 : WIRE_CONTROL_HEADER_BYTES + (size_t)(p[6] << 8 | p[7]);
		if (s->held - at < size)
			break;
		packet_in(s, p);
	}
	s->held -= at;
	memmove(s->in, s->in + at, s->held);
}

static void say(struct side *s, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	while (len) {
		const ssize_t n = send(s->fd, p, len, MSG_NOSIGNAL);

		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else {
			poll(&(struct pollfd){.fd = s->fd, .events = POLLOUT}, 1, 100);
		}
	}
}

static void answer(struct side *s)
{
	static const uint8_t ihu[] = {1, 1, 0, 0, 42, 2, 0, 8, 5, 6, 0, 0, 0, 0, 0, 12};

	for (; s->owed; s->owed--)
		say(s, ihu, sizeof(ihu));
}

/* A buffer of whole frames; returns its length. */
static size_t make_frames(uint8_t *out, size_t l3)
{
	const size_t sealed = l3 + WIRE_SEALED_MIN_BYTES, size = WIRE_DATA_HEADER_BYTES + sealed;
	size_t len = 0;

	for (; len + size <= BUFFER_BYTES; len += size) {
		struct wire_data d = {.version = WIRE_VERSION, .length = htons((uint16_t)sealed), .hop_limit = 64};

		memcpy(d.src.b, prefix, 16);
		d.src.b[7] ^= 1;
		memcpy(d.dst.b, prefix, 16);
		memcpy(out + len, &d, sizeof(d));
	}
	return len;
}

static int relay(const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	const int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, lowat = 128 * 1024;
	static uint8_t buffer[BUFFER_BYTES];
	unsigned long long bytes = 0;
	struct timespec t;
	int fd[2];

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 2) < 0) {
		perror("relay");
		return 1;
	}
	for (int i = 0; i < 2; i++) {
		fd[i] = accept(listener, NULL, NULL);
		setsockopt(fd[i], IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
	}
	for (ssize_t n = 1; n > 0;) {
		struct pollfd p[2] = {{.fd = fd[0], .events = POLLIN}, {.fd = fd[1], .events = POLLIN}};

		poll(p, 2, -1);
		for (int i = 0; i < 2 && n > 0; i++) {
			if (!p[i].revents)
				continue;
			n = recv(fd[i], buffer, sizeof(buffer), 0);
			/* A blocking socket takes all. */
			if (n > 0 && send(fd[!i], buffer, (size_t)n, MSG_NOSIGNAL) != n)
				n = 0;
			bytes += n > 0 ? (unsigned long long)n : 0;
		}
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	printf("{\"bytes\": %llu, \"cpu_ns\": %llu}\n", bytes,
	       t.tv_sec * 1000000000ULL + (unsigned long long)t.tv_nsec);
	return 0;
}

int main(int argc, char **argv)
{
	static struct side from, to;
	static uint8_t frames[BUFFER_BYTES];
	double end, first = 0, last = 0;
	size_t len, at = 0;

	if (argc == 3 && strcmp(argv[1], "relay") == 0)
		return relay(argv[2]);
	if (argc != 5 || sodium_init() < 0) {
		fprintf(stderr, "usage: blast HOST PORT SIZE SECONDS\n");
		return 2;
	}
	make_route();
	len = make_frames(frames, (size_t)atoi(argv[3]));
	from.fd = dial(argv[1], argv[2]);
	to.fd = dial(argv[1], argv[2]);
	say(&to, update, sizeof(update));
	end = now() + atof(argv[4]) + 10;
	while (now() < end) {
		struct pollfd p[2] = {{.fd = from.fd, .events = (short)(POLLIN | (from.update ? POLLOUT : 0))},
				      {.fd = to.fd, .events = POLLIN}};

		poll(p, 2, 100);
		receive(&from);
		receive(&to);
		answer(&to);
		if (!at)
			answer(&from);
		if (!from.update)
			continue;
		if (first == 0) {
			first = now();
			end = first + atof(argv[4]);
		}
		if (p[0].revents & POLLOUT) {
			const ssize_t n = send(from.fd, frames + at, len - at, MSG_NOSIGNAL);

			at = n > 0 ? (at + (size_t)n) % len : at;
		}
		last = now();
	}
	printf("{\"frames\": %llu, \"seconds\": %.3f}\n", (unsigned long long)to.frames, last - first);
	return to.frames == 0;
}
