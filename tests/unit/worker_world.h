/* SPDX-License-Identifier: Apache-2.0 */
/* Real workers in a world of socket pairs: one node of the test vectors, its TUN a SOCK_SEQPACKET pair, its links
 * stream pairs. The test is the control thread. Every wait is for something to be readable, for at most
 * WORLD_PATIENCE_MS. */
#ifndef TESTS_UNIT_WORKER_WORLD_H
#define TESTS_UNIT_WORKER_WORLD_H

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
/* cmocka wants some of the above first. */
#include "fastpath/gso.h"
#include "fastpath/icmp.h"
#include "fastpath/stats.h"
#include "fastpath/stream.h"
#include "fastpath/worker.h"
#include "tests/support/packet.h"
#include "tests/support/vectors.h"
#include <cmocka.h>

enum {
	WORLD_PATIENCE_MS = 10000,
	WORLD_PACKET_BYTES = 70000,
	WORLD_KEY_CAP = 64,
	WORLD_SESSION_CAP = 16,
	WORLD_NUMBER = 1, /* of the fastpath */
};

struct world {
	struct fastpath f;
	int tun; /* the host's end */
};

struct world_packet {
	uint8_t bytes[WORLD_PACKET_BYTES];
	size_t len;
};

static inline struct ip6 world_address(const char *node)
{
	struct ip6 ip;

	assert_int_equal(vectors_hex(ip.b, sizeof(ip.b), "nodes/%s/address_bytes", node), sizeof(ip.b));
	return ip;
}

static inline uint64_t world_net64(const char *node)
{
	const struct ip6 ip = world_address(node);

	return ip6_net64(&ip);
}

static inline struct aead_key world_secret(const char *pair)
{
	struct aead_key k;

	assert_int_equal(vectors_hex(k.b, sizeof(k.b), "shared_secrets/%s", pair), sizeof(k.b));
	return k;
}

static inline struct pubkey world_public(const char *node)
{
	struct pubkey k;

	assert_int_equal(vectors_hex(k.b, sizeof(k.b), "nodes/%s/public_key", node), sizeof(k.b));
	return k;
}

static inline void world_mail(struct world *w, unsigned worker, enum ctl_type type, const void *body, size_t len)
{
	assert_true(mail_put(worker_in(w->f.workers[worker]), (uint16_t)type, body, len, NULL, 0));
	mail_kick(worker_in(w->f.workers[worker]));
}

/* network: NULL for the usual one. */
static inline void world_start(struct world *w, const char *node, unsigned workers, const struct network *network)
{
	const struct pubkey own = world_public(node);
	const char *why = NULL;

	assert_true(sodium_init() >= 0);
	*w = (struct world){.f = {.network = network ? network : &network200,
				  .config = {.tun_mtu = 1400, .pool_chunks = 256, .workers = workers},
				  .own_address = world_address(node),
				  .own_net64 = world_net64(node),
				  .epoch = {.now = 1},
				  .number = WORLD_NUMBER,
				  .worker_count = workers}};
	w->f.lanes = mmap(NULL, sizeof(struct lanes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(w->f.lanes, MAP_FAILED);
	w->f.table = table_new(&w->f.epoch, workers);
	w->f.keys = keys_new(aead_choose(&why), &own, WORLD_KEY_CAP);
	w->f.skeys = skeys_new(aead_choose(&why), w->f.lanes, WORLD_SESSION_CAP);
	w->f.links = calloc(LIMIT_LINK_SLOTS, sizeof(w->f.links[0]));
	assert_true(w->f.table && w->f.keys && w->f.skeys && w->f.links);
	for (unsigned i = 0; i < workers; i++) {
		int tun[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, tun), 0);
		if (i == 0)
			w->tun = tun[1];
		else
			close(tun[1]);
		/* Only the first one has a host; a queue that is closed at the other end is one whose interface is
		 * gone. */
		w->f.workers[i] = worker_new(&w->f, i, tun[0]);
		assert_non_null(w->f.workers[i]);
	}
	for (unsigned i = 0; i < workers; i++)
		assert_int_equal(worker_start(w->f.workers[i]), 0);
}

static inline void world_stop(struct world *w)
{
	const struct ctl_stop stop = {0};

	for (unsigned i = 0; i < w->f.worker_count; i++)
		world_mail(w, i, CTL_STOP, &stop, sizeof(stop));
	for (unsigned i = 0; i < w->f.worker_count; i++)
		worker_join_free(w->f.workers[i]);
	table_free(w->f.table);
	keys_free(w->f.keys);
	skeys_free(w->f.skeys);
	free(w->f.links);
	munmap(w->f.lanes, sizeof(struct lanes));
	close(w->tun);
}

static inline uint64_t world_stat(const struct world *w, enum stat_id stat)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < w->f.worker_count; i++)
		sum += stat_get(&w->f.lanes->stats[i + 1], stat);
	return sum;
}

static inline void world_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, WORLD_PATIENCE_MS), 1);
}

/* The link with that id; returns the neighbour's end. */
static inline int world_link(struct world *w, uint32_t id)
{
	struct {
		struct ctl_adopt adopt;
		int fd;
	} letter = {.adopt = {.link = id}};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	letter.fd = pair[0];
	world_mail(w, id % LIMIT_LINK_SLOTS % w->f.worker_count, CTL_ADOPT, &letter,
		   offsetof(typeof(letter), fd) + sizeof(int));
	return pair[1];
}

static inline void world_route(struct world *w, const char *node, uint32_t link)
{
	const struct ip6 ip = world_address(node);
	const struct prefix p = prefix_make(&ip, 64);

	assert_int_equal(table_set_route(w->f.table, &p, link), 0);
}

/* pair: as in the vectors, of the node and ours. Tells all workers. */
static inline void world_key(struct world *w, const char *node, const char *pair)
{
	const struct pubkey pk = world_public(node);
	const struct aead_key secret = world_secret(pair);
	const struct ctl_no_key look = {.net64 = world_net64(node)};
	const uint32_t slot = keys_add(w->f.keys, world_net64(node), &pk, &secret);

	assert_true(slot > 0);
	table_set_key(w->f.table, world_net64(node), slot);
	for (unsigned i = 0; i < w->f.worker_count; i++)
		world_mail(w, i, CTL_NO_KEY, &look, sizeof(look));
}

/* Links 1 to A and 2 to C, with routes and keys. */
static inline void world_neighbours(struct world *w, int *a, int *c)
{
	*a = world_link(w, 1);
	*c = world_link(w, 2);
	world_route(w, "A", 1);
	world_route(w, "C", 2);
	world_key(w, "A", "AB");
	world_key(w, "C", "BC");
}

static inline void world_read(int fd, uint8_t *out, size_t len)
{
	while (len) {
		ssize_t n;

		world_readable(fd);
		n = read(fd, out, len);
		assert_true(n > 0);
		out += n;
		len -= (size_t)n;
	}
}

/* The next packet of the stream. */
static inline void world_next(int fd, struct world_packet *p)
{
	world_read(fd, p->bytes, 8);
	assert_int_equal(p->bytes[0], WIRE_VERSION);
	assert_true(p->bytes[1] <= WIRE_CONTROL);
	p->len = stream_packet_size(p->bytes);
	world_read(fd, p->bytes + 8, p->len - 8);
}

/* The next data frame, control packets stepped over. */
static inline void world_next_data(int fd, struct world_packet *p)
{
	do
		world_next(fd, p);
	while (p->bytes[1] != WIRE_DATA);
}

/* The next control packet with a TLV of that type, others and data stepped over. */
static inline void world_next_tlv(int fd, uint8_t type, struct world_packet *p)
{
	do
		world_next(fd, p);
	while (p->bytes[1] != WIRE_CONTROL || p->bytes[8] != type);
}

static inline void world_write(int fd, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	while (len) {
		const ssize_t n = write(fd, p, len);

		assert_true(n > 0);
		p += n;
		len -= (size_t)n;
	}
}

/* Opens a frame by libsodium: the plaintext with its user-data header. False: not authentic. */
static inline bool world_open(const char *pair, const struct world_packet *frame, struct world_packet *out)
{
	const struct aead_key k = world_secret(pair);
	const uint8_t *body = frame->bytes + WIRE_DATA_HEADER_BYTES;
	const size_t sealed = frame->len - WIRE_DATA_HEADER_BYTES - WIRE_NONCE_BYTES;
	unsigned long long len = 0;

	if (crypto_aead_aes256gcm_decrypt(out->bytes, &len, NULL, body, sealed, NULL, 0, body + sealed, k.b) != 0)
		return false;
	out->len = (size_t)len;
	return true;
}

struct world_frame {
	const char *from, *to, *pair;
	uint8_t type, hop_limit;
	const uint8_t *body;
	size_t len;
};

/* A frame sealed by libsodium. */
static inline void world_seal(const struct world_frame *f, struct world_packet *out)
{
	const struct aead_key k = world_secret(f->pair);
	const struct ip6 src = world_address(f->from), dst = world_address(f->to);
	const size_t sealed = WIRE_SEALED_MIN_BYTES + f->len;
	const uint8_t head[8] = {WIRE_VERSION,		 WIRE_DATA,	  0, 0,
				 (uint8_t)(sealed >> 8), (uint8_t)sealed, 0, f->hop_limit};
	uint8_t *body = out->bytes + WIRE_DATA_HEADER_BYTES, *nonce = out->bytes + 40 + sealed - WIRE_NONCE_BYTES;
	uint8_t *plain = malloc(4 + f->len);

	assert_non_null(plain);
	memcpy(out->bytes, head, sizeof(head));
	memcpy(out->bytes + 8, src.b, 16);
	memcpy(out->bytes + 24, dst.b, 16);
	memcpy(plain, (const uint8_t[]){WIRE_USER_VERSION, f->type, 0, 0}, 4);
	memcpy(plain + 4, f->body, f->len);
	randombytes_buf(nonce, WIRE_NONCE_BYTES);
	assert_int_equal(crypto_aead_aes256gcm_encrypt(body, NULL, plain, 4 + f->len, NULL, 0, NULL, nonce, k.b), 0);
	out->len = WIRE_DATA_HEADER_BYTES + sealed;
	free(plain);
}

/* A UDP packet between two nodes; its payload begins with the number. */
static inline void world_udp(const char *from, const char *to, uint32_t number, size_t payload,
			     struct world_packet *out)
{
	uint8_t bytes[WORLD_PACKET_BYTES] = {0};
	const struct packet p = {.src = world_address(from),
				 .dst = world_address(to),
				 .hop_limit = 64,
				 .sport = 1000,
				 .dport = 2000,
				 .payload = bytes,
				 .payload_len = payload};

	memcpy(bytes, &number, sizeof(number));
	out->len = packet_udp(&p, out->bytes);
}

static inline void world_tun_send(const struct world *w, const struct gso_header *header, const uint8_t *packet,
				  size_t len)
{
	struct gso_header h = header ? *header : (struct gso_header){0};
	const struct iovec iov[] = {{.iov_base = &h, .iov_len = sizeof(h)},
				    {.iov_base = (void *)(uintptr_t)packet, .iov_len = len}};

	assert_int_equal(writev(w->tun, iov, 2), sizeof(h) + len);
}

static inline void world_tun_read(const struct world *w, struct gso_header *header, struct world_packet *out)
{
	struct gso_header h;
	const struct iovec iov[] = {{.iov_base = &h, .iov_len = sizeof(h)},
				    {.iov_base = out->bytes, .iov_len = sizeof(out->bytes)}};
	ssize_t n;

	world_readable(w->tun);
	n = readv(w->tun, iov, 2);
	assert_true(n > (ssize_t)sizeof(h));
	out->len = (size_t)n - sizeof(h);
	if (header)
		*header = h;
}

/* Waits for a record of the type, others stepped over; its body is copied to out[cap]. Returns its length. */
static inline size_t world_event(const struct world *w, unsigned worker, enum ctl_type wanted, void *out, size_t cap)
{
	struct mail *m = worker_out(w->f.workers[worker]);
	uint8_t *body;
	uint16_t type;
	size_t len;

	for (;;) {
		while (mail_next(m, &type, &body, &len)) {
			if (type != wanted)
				continue;
			assert_true(len <= cap);
			memcpy(out, body, len);
			return len;
		}
		mail_doze(m);
		if (mail_next(m, &type, &body, &len)) {
			if (type != wanted)
				continue;
			assert_true(len <= cap);
			memcpy(out, body, len);
			return len;
		}
		world_readable(mail_fd(m));
	}
}

/* Sends a frame from link end in through the node to another one's end out: when it is there, the worker has dealt with
 * everything that was written to `in` before. */
static inline void world_settle(int in, int out, const char *to)
{
	static uint32_t number = 1000000;
	static struct world_packet frame, seen;
	uint8_t body[4];

	number++;
	memcpy(body, &number, sizeof(body));
	world_seal(&(struct world_frame){.from = "A", .to = to, .pair = "AC", .hop_limit = 64, .body = body, .len = 4},
		   &frame);
	world_write(in, frame.bytes, frame.len);
	do
		world_next_data(out, &seen);
	while (seen.len != frame.len || memcmp(seen.bytes + 8, frame.bytes + 8, frame.len - 8) != 0);
}

#endif
