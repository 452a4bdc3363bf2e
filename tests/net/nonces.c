/* SPDX-License-Identifier: Apache-2.0 */
/* What audit.sh needs and a script is too slow for.
 *
 *   nonces blast ADDRESS PORT RATE     small datagrams, so many a second, until it is killed; errors do not matter
 *   nonces relay PORT HOST PORT WIRE   listens, connects each caller on to HOST, passes all bytes on, and writes the
 *                                      nonce of every data frame into the file WIRE, as long as there is room
 *   nonces check LOG WIRE              judges both; prints a JSON object. Exit 1: a fault
 *
 * WIRE is made by the caller, of zeros: a u64 that counts, eight bytes, then struct nonce_seen. */
#include "fastpath/stream.h"
#include "tests/support/nonce_check.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	BLAST_BATCH = 64,
	BLAST_BYTES = 16,
	BUFFER_BYTES = 4 * STREAM_PACKET_MAX_BYTES,
	BACKLOG = 16,
	SENDER_AT = 4, /* of a source address: random bits */
};

struct wire {
	uint64_t count, reserved;
	struct nonce_seen seen[];
};

static void die(const char *what)
{
	fprintf(stderr, "nonces: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void *map_file(const char *path, size_t *bytes)
{
	const int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat s;
	void *p;

	if (fd < 0 || fstat(fd, &s) < 0)
		die(path);
	*bytes = (size_t)s.st_size;
	p = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die(path);
	close(fd);
	return p;
}

static size_t wire_room(size_t bytes)
{
	return (bytes - sizeof(struct wire)) / sizeof(struct nonce_seen);
}

static struct addrinfo *resolve(const char *host, const char *port, int type)
{
	const struct addrinfo want = {.ai_socktype = type, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	struct addrinfo *found;

	if (getaddrinfo(host, port, &want, &found) != 0) {
		errno = EADDRNOTAVAIL;
		die(host);
	}
	return found;
}

static _Noreturn void blast(const char *address, const char *port, unsigned long rate)
{
	static char bytes[BLAST_BYTES];
	const struct timespec pause = {.tv_nsec = (long)(BLAST_BATCH * 1000000000UL / (rate ? rate : 1))};
	const struct addrinfo *to = resolve(address, port, SOCK_DGRAM);
	const int fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct iovec iov = {bytes, sizeof(bytes)};
	struct mmsghdr m[BLAST_BATCH];

	for (unsigned i = 0; i < BLAST_BATCH; i++)
		m[i] = (struct mmsghdr){.msg_hdr = {.msg_name = to->ai_addr,
						    .msg_namelen = to->ai_addrlen,
						    .msg_iov = &iov,
						    .msg_iovlen = 1}};
	for (;;) {
		(void)sendmmsg(fd, m, BLAST_BATCH, MSG_DONTWAIT);
		nanosleep(&pause, NULL);
	}
}

/* Both directions of a caller; freed by the one that ends last. */
struct pair {
	struct wire *wire; /* borrowed */
	size_t room;
	int fd[2]; /* owned */
	unsigned users; /* atomic */
};

struct direction {
	struct pair *pair;
	int from, to;
	struct stream stream;
	uint8_t buffer[BUFFER_BYTES];
};

static void note(const struct pair *p, const struct stream_packet *packet)
{
	struct nonce_seen seen;
	uint64_t n;

	if (packet->control || packet->len < WIRE_DATA_HEADER_BYTES + WIRE_SEALED_MIN_BYTES)
		return;
	memcpy(&seen.sender, packet->bytes + offsetof(struct wire_data, src) + SENDER_AT, sizeof(seen.sender));
	memcpy(seen.nonce, packet->bytes + packet->len - WIRE_NONCE_BYTES, sizeof(seen.nonce));
	n = __atomic_fetch_add(&p->wire->count, 1, __ATOMIC_RELAXED);
	if (n < p->room)
		p->wire->seen[n] = seen;
}

/* All whole packets that have come; what is left begins the buffer anew. */
static bool read_packets(struct direction *d)
{
	struct stream_batch batch;
	enum stream_verdict verdict;
	size_t left;

	do {
		verdict = stream_read(&d->stream, &batch);
		for (unsigned i = 0; i < batch.count; i++)
			note(d->pair, &batch.packet[i]);
	} while (verdict == STREAM_FULL);
	left = (size_t)(d->stream.end - d->stream.at);
	memmove(d->buffer, d->stream.at, left);
	d->stream = (struct stream){.at = d->buffer, .end = d->buffer + left};
	return verdict == STREAM_MORE;
}

static bool send_all(int fd, const uint8_t *bytes, size_t len)
{
	while (len) {
		const ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

static void pump(struct direction *d)
{
	for (;;) {
		uint8_t *const end = d->stream.end;
		const ssize_t n = recv(d->from, end, (size_t)(d->buffer + sizeof(d->buffer) - end), 0);

		if (n <= 0 || !send_all(d->to, end, (size_t)n))
			return;
		d->stream.end += n;
		if (!read_packets(d)) {
			fprintf(stderr, "nonces: a stream that cannot be read\n");
			return;
		}
	}
}

static void *run_direction(void *arg)
{
	struct direction *d = arg;
	struct pair *p = d->pair;

	pump(d);
	free(d);
	shutdown(p->fd[0], SHUT_RDWR);
	shutdown(p->fd[1], SHUT_RDWR);
	if (__atomic_sub_fetch(&p->users, 1, __ATOMIC_ACQ_REL) == 0) {
		close(p->fd[0]);
		close(p->fd[1]);
		free(p);
	}
	return NULL;
}

static void start_direction(struct pair *p, unsigned from)
{
	struct direction *d = calloc(1, sizeof(*d));
	pthread_t thread;

	if (!d)
		die("memory");
	d->pair = p;
	d->from = p->fd[from];
	d->to = p->fd[!from];
	d->stream = (struct stream){.at = d->buffer, .end = d->buffer};
	if (pthread_create(&thread, NULL, run_direction, d))
		die("thread");
	pthread_detach(thread);
}

static void serve(int caller, const struct addrinfo *on, struct wire *wire, size_t room)
{
	const int one = 1, fd = socket(on->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pair *p;

	if (fd < 0 || connect(fd, on->ai_addr, on->ai_addrlen) < 0) {
		close(fd);
		close(caller);
		return;
	}
	p = malloc(sizeof(*p));
	if (!p)
		die("memory");
	*p = (struct pair){.wire = wire, .room = room, .fd = {caller, fd}, .users = 2};
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(caller, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	start_direction(p, 0);
	start_direction(p, 1);
}

static _Noreturn void relay(const char *port, const char *host, const char *host_port, const char *path)
{
	const struct addrinfo *own = resolve("0.0.0.0", port, SOCK_STREAM);
	const struct addrinfo *on = resolve(host, host_port, SOCK_STREAM);
	const int one = 1, fd = socket(own->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t bytes;
	struct wire *wire = map_file(path, &bytes);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, own->ai_addr, own->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		die("listen");
	for (;;) {
		const int caller = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (caller >= 0)
			serve(caller, on, wire, wire_room(bytes));
	}
}

static int check(const char *log_path, const char *wire_path)
{
	size_t log_bytes, wire_bytes, seen;
	struct nonce_log *log = map_file(log_path, &log_bytes);
	struct wire *w = map_file(wire_path, &wire_bytes);
	struct nonce_found f;
	struct nonce_wire n;

	seen = w->count < wire_room(wire_bytes) ? w->count : wire_room(wire_bytes);
	f = nonce_check(log, log_bytes);
	n = nonce_check_wire(log, log_bytes, w->seen, seen);
	printf("{\"ranges\": %llu, \"packets\": %llu, \"keys\": %llu, \"lanes\": %llu, \"shared\": %llu, "
	       "\"prefixes\": %llu, \"unfinished\": %llu, \"lost\": %llu, \"overlaps\": %llu, \"repeated\": %llu, "
	       "\"wire_session\": %llu, \"wire_static\": %llu, \"wire_repeated\": %llu, \"wire_unrecorded\": %llu}\n",
	       (unsigned long long)f.ranges, (unsigned long long)f.packets, (unsigned long long)f.keys,
	       (unsigned long long)f.lanes, (unsigned long long)f.shared, (unsigned long long)f.prefixes,
	       (unsigned long long)f.unfinished, (unsigned long long)f.lost, (unsigned long long)f.overlaps,
	       (unsigned long long)f.repeated, (unsigned long long)n.session, (unsigned long long)n.fixed,
	       (unsigned long long)n.repeated, (unsigned long long)n.unrecorded);
	return f.overlaps || f.repeated || f.lost || n.repeated || n.unrecorded ? 1 : 0;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 5 && strcmp(argv[1], "blast") == 0)
		blast(argv[2], argv[3], strtoul(argv[4], NULL, 10));
	if (argc == 6 && strcmp(argv[1], "relay") == 0)
		relay(argv[2], argv[3], argv[4], argv[5]);
	if (argc == 4 && strcmp(argv[1], "check") == 0)
		return check(argv[2], argv[3]);
	fprintf(stderr, "usage: see the head of tests/net/nonces.c\n");
	return 2;
}
