/* SPDX-License-Identifier: Apache-2.0 */
/* What the pure parts of the packet path cost: one JSON line per figure, the best of several rounds on one core. */
#include "fastpath/encap.h"
#include "fastpath/gso.h"
#include "tests/support/lanes_memory.h"
#include "tests/support/packet.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	ROUNDS = 15,
	PACKETS = 2000,
	SEGMENTS = 44,
	SEGMENT_BYTES = 1400,
	HEADERS_BYTES = 60 + 12,
	PAYLOAD_BYTES = SEGMENT_BYTES - HEADERS_BYTES,
	SUPER_BYTES = HEADERS_BYTES + SEGMENTS * PAYLOAD_BYTES,
	HEADROOM = 64,
	SUPERS = 50,
};

static uint8_t plain[HEADROOM + SUPER_BYTES], segments[SEGMENTS][SEGMENT_BYTES];

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void print_figure(const char *figure, double ns)
{
	printf("{\"figure\": \"%s\", \"value\": %.1f, \"unit\": \"ns\"}\n", figure, ns);
}

/* Two nodes that share a secret. */
struct pair {
	const struct aead *aead;
	struct keys *keys;
	struct key_slot *key;
	struct lanes *lanes;
	struct nonce_lane lane;
};

static void pair_init(struct pair *n, const struct aead *a)
{
	const struct pubkey own = {{1}}, peer = {{2}};
	const struct aead_key secret = {{3}};

	n->aead = a;
	n->keys = keys_new(a, &own, 16);
	n->lanes = lanes_memory_new();
	if (!n->keys)
		abort();
	n->key = keys_slot(n->keys, keys_add(n->keys, 0, &peer, &secret));
	nonce_lane_init(&n->lane, n->lanes);
}

static void seal_and_open(struct pair *n, size_t len)
{
	const struct ip6 any = {{2}};
	const struct encap_packet p = {
		.plain = plain + HEADROOM, .len = len, .type = WIRE_USER_L3, .hop_limit = 64, .src = &any, .dst = &any};
	double seal = 1e9, open = 1e9;
	char figure[64];

	for (int round = 0; round < ROUNDS; round++) {
		double sealed = 0, opened = 0;

		for (int i = 0; i < PACKETS; i += SEGMENTS) {
			static uint8_t frames[SEGMENTS][SEGMENT_BYTES + WIRE_OVERHEAD_BYTES];
			const double start = now_ns();
			double middle;
			size_t size = 0;

			for (int k = 0; k < SEGMENTS; k++)
				size = encap_seal(n->aead, &n->lane, n->key, &p, frames[k]);
			middle = now_ns();
			for (int k = 0; k < SEGMENTS; k++) {
				struct encap_opened o;

				if (encap_open(n->aead, n->key, frames[k], size, &o))
					abort();
			}
			sealed += middle - start;
			opened += now_ns() - middle;
		}
		seal = sealed < seal ? sealed : seal;
		open = opened < open ? opened : open;
	}
	snprintf(figure, sizeof(figure), "seal %zu %s", len, n->aead->name);
	print_figure(figure, seal / ((PACKETS + SEGMENTS - 1) / SEGMENTS * SEGMENTS));
	snprintf(figure, sizeof(figure), "open %zu %s", len, n->aead->name);
	print_figure(figure, open / ((PACKETS + SEGMENTS - 1) / SEGMENTS * SEGMENTS));
}

static void bench_aead(const char *name)
{
	static const size_t sizes[] = {64, 576, 1400};
	const struct aead *a = aead_find(name);
	struct pair n;

	if (!a)
		return;
	pair_init(&n, a);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		seal_and_open(&n, sizes[i]);
	keys_free(n.keys);
	free(n.lanes);
}

/* A super-packet of 64 KiB into plain; its length. */
static size_t make_super(void)
{
	static const uint8_t options[12] = {1, 1, 8, 10}, payload[SUPER_BYTES];
	const struct packet p = {.src = {{2}},
				 .dst = {{3}},
				 .hop_limit = 64,
				 .flags = PACKET_ACK,
				 .options = options,
				 .options_len = sizeof(options),
				 .payload = payload,
				 .payload_len = (size_t)SEGMENTS * PAYLOAD_BYTES};

	return packet_tcp(&p, plain + HEADROOM);
}

static double cut_once(struct gso_cut *c, size_t super_len, bool keep)
{
	const struct gso_header h = {.flags = 1, .type = 4, .size = PAYLOAD_BYTES, .csum_start = 40, .csum_offset = 16};
	const double start = now_ns();
	size_t len, count = 0;

	if (!gso_cut_init(c, &h, plain + HEADROOM, super_len))
		abort();
	for (uint8_t *p; (p = gso_cut_next(c, &len)); count++)
		if (keep)
			memcpy(segments[count], p, len);
	if (count != SEGMENTS)
		abort();
	return now_ns() - start;
}

static void count_written(void *ctx, const struct iovec *iov, int iov_count, uint32_t packets)
{
	uint32_t *count = ctx;

	(void)iov;
	(void)iov_count;
	*count += packets == SEGMENTS;
}

static void bench_gso(void)
{
	double cut = 1e9, join = 1e9;
	uint32_t written = 0;
	struct gso_join j;
	struct gso_cut c;

	gso_join_init(&j, count_written, &written);
	for (int round = 0; round < ROUNDS * SUPERS; round++) {
		const size_t len = make_super();
		const double once = cut_once(&c, len, false);
		double start;

		cut = once < cut ? once : cut;
		cut_once(&c, make_super(), true);
		start = now_ns();
		for (int i = 0; i < SEGMENTS; i++)
			gso_join_add(&j, segments[i], SEGMENT_BYTES);
		gso_join_flush(&j);
		start = now_ns() - start;
		join = start < join ? start : join;
	}
	if (written != ROUNDS * SUPERS)
		abort();
	print_figure("cut of a super-packet of 64 KB, per segment", cut / SEGMENTS);
	print_figure("join of 44 segments, per segment", join / SEGMENTS);
}

/* The search for the key to be evicted, with every slot in use. */
static void bench_oldest(void)
{
	const struct pubkey own = {{1}}, peer = {{2}};
	const struct aead_key secret = {{3}};
	struct keys *k = keys_new(aead_find("ipsec-mb"), &own, LIMIT_KEY_SLOTS);
	double best = 1e9;

	if (!k)
		return;
	while (keys_add(k, 0, &peer, &secret))
		;
	for (uint32_t i = 1; i <= keys_count(k); i++)
		key_touch(k, keys_slot(k, i), 1000 + i * 7919 % 5000);
	for (int round = 0; round < ROUNDS; round++) {
		const double start = now_ns();
		const uint32_t oldest = keys_oldest(k);
		const double took = now_ns() - start;

		if (!oldest)
			abort();
		best = took < best ? took : best;
	}
	print_figure("search for the oldest key among all", best);
	keys_free(k);
}

int main(void)
{
	const char *why;

	if (!aead_choose(&why)) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	bench_aead("ipsec-mb");
	bench_aead("libsodium");
	bench_gso();
	bench_oldest();
	return 0;
}
