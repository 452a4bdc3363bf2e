/* SPDX-License-Identifier: Apache-2.0 */
/* What a packet costs in a session beside the static key: sealed in runs and one by one, opened with its window. One
 * JSON line per figure, the best of several rounds on one core; the two paths take turns in each round. */
#include "fastpath/replay.h"
#include "fastpath/skey.h"
#include "shared/base/rows.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum {
	ROUNDS = 25,
	BATCHES = 40,
	RUN = 44,
	LARGEST = 1400,
	INDEX = 0x55667788,
	ROW = 1,
	WINDOW_COUNTERS = 100000,
	FULL = 4096, /* keys in the arena when one is looked up */
};

static uint8_t plain[WIRE_USER_HEADER_BYTES + LARGEST], frames[RUN][LARGEST + WIRE_OVERHEAD_BYTES];
static const struct ip6 address = {{2}};
static const struct mono now = {.us = 1};

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void print_figure(const char *figure, size_t len, const char *name, double ns)
{
	printf("{\"figure\": \"%s %zu %s\", \"value\": %.1f, \"unit\": \"ns\"}\n", figure, len, name, ns);
}

static void must(bool truth)
{
	if (!truth)
		abort();
}

/* One node that talks to itself, by the static key and in a session. */
struct node {
	const struct aead *aead;
	struct lanes *lanes;
	struct keys *keys;
	struct key_slot *key;
	struct nonce_lane lane;
	struct skeys *skeys;
	struct skey *skey;
};

static uint32_t add_session(struct node *n, uint32_t row, uint32_t index)
{
	const struct skey_given g = {.row = row,
				     .net64 = ip6_net64(&address),
				     .index = index,
				     .far_index = index,
				     .far_lanes = 1,
				     .our_lanes = 1,
				     .state = SKEY_STATE_SEND,
				     .made = now};
	uint32_t slot = 0;

	rows_begin(n->lanes, row, index);
	return skeys_add(n->skeys, &g, &slot) ? 0 : slot;
}

static void node_init(struct node *n, const struct aead *a)
{
	const struct pubkey own = {{1}}, peer = {{2}};
	const struct aead_key secret = {{3}};

	n->aead = a;
	n->lanes = mmap(NULL, sizeof(*n->lanes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(n->lanes != MAP_FAILED);
	n->keys = keys_new(a, &own, 16);
	n->skeys = skeys_new(a, n->lanes, LIMIT_SESSION_ROWS);
	must(n->keys && n->skeys);
	n->key = keys_slot(n->keys, keys_add(n->keys, ip6_net64(&address), &peer, &secret));
	n->skey = skeys_slot(n->skeys, add_session(n, ROW, INDEX));
	nonce_lane_init(&n->lane, n->lanes);
}

static void node_fini(struct node *n)
{
	keys_free(n->keys);
	skeys_free(n->skeys);
	munmap(n->lanes, sizeof(*n->lanes));
}

/* The ways to seal and open RUN packets into and from `frames`. */
static void seal_static(struct node *n, const struct encap_packet *p)
{
	for (int i = 0; i < RUN; i++)
		(void)encap_seal(n->aead, &n->lane, n->key, p, frames[i]);
}

static void open_static(struct node *n, const struct encap_packet *p)
{
	for (int i = 0; i < RUN; i++) {
		struct encap_opened o;

		must(!encap_open(n->aead, n->key, frames[i], p->len + WIRE_OVERHEAD_BYTES, &o));
	}
}

static void seal_run(struct node *n, const struct encap_packet *p)
{
	struct skey_run run;

	must(skey_seal_begin(&run, n->skeys, n->skey, 0, RUN, now) == SKEY_OK);
	for (int i = 0; i < RUN; i++)
		(void)skey_seal(&run, p, frames[i]);
	skey_seal_end(&run);
}

static void seal_one_by_one(struct node *n, const struct encap_packet *p)
{
	for (int i = 0; i < RUN; i++) {
		struct skey_run run;

		must(skey_seal_begin(&run, n->skeys, n->skey, 0, 1, now) == SKEY_OK);
		(void)skey_seal(&run, p, frames[i]);
		skey_seal_end(&run);
	}
}

static void open_session(struct node *n, const struct encap_packet *p)
{
	struct skey_opener o;

	skey_open_begin(&o, n->skeys, 1, now);
	for (int i = 0; i < RUN; i++) {
		struct skey_opened out;

		must(skey_open(&o, frames[i], p->len + WIRE_OVERHEAD_BYTES, &out) == SKEY_OK);
	}
	skey_open_end(&o);
}

enum { SEAL_STATIC, OPEN_STATIC, SEAL_RUN, OPEN_RUN, SEAL_ONE, OPEN_ONE, WAYS };

static const struct {
	const char *figure;
	void (*way)(struct node *n, const struct encap_packet *p);
} ways[WAYS] = {
	[SEAL_STATIC] = {"seal, static,", seal_static},
	[OPEN_STATIC] = {"open, static,", open_static},
	[SEAL_RUN] = {"seal, session, runs of 44,", seal_run},
	[OPEN_RUN] = {"open, session, batches of 44,", open_session},
	[SEAL_ONE] = {"seal, session, one by one,", seal_one_by_one},
	[OPEN_ONE] = {NULL, open_session},
};

static void bench_packets(struct node *n, size_t len)
{
	const struct encap_packet p = {.plain = plain + WIRE_USER_HEADER_BYTES,
				       .len = len,
				       .type = WIRE_USER_L3,
				       .hop_limit = 64,
				       .src = &address,
				       .dst = &address};
	double best[WAYS];

	for (int w = 0; w < WAYS; w++)
		best[w] = 1e12;
	for (int round = 0; round < ROUNDS; round++) {
		double took[WAYS] = {0};

		for (int batch = 0; batch < BATCHES; batch++) {
			for (int w = 0; w < WAYS; w++) {
				const double start = now_ns();

				ways[w].way(n, &p);
				took[w] += now_ns() - start;
			}
		}
		for (int w = 0; w < WAYS; w++)
			best[w] = took[w] < best[w] ? took[w] : best[w];
	}
	for (int w = 0; w < WAYS; w++)
		if (ways[w].figure)
			print_figure(ways[w].figure, len, n->aead->name, best[w] / (BATCHES * RUN));
}

static void bench_aead(const char *name)
{
	static const size_t sizes[] = {64, 576, 1400};
	const struct aead *a = aead_find(name);
	struct node n;

	if (!a)
		return;
	node_init(&n, a);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		bench_packets(&n, sizes[i]);
	node_fini(&n);
}

/* The window alone, in order; and the search for a key among many. */
static void bench_parts(void)
{
	static struct lanes_window window;
	double accept = 1e12, find = 1e12;
	const char *why;
	struct node n;

	node_init(&n, aead_choose(&why));
	for (uint32_t i = 0; i < FULL; i++)
		if (!add_session(&n, ROW + 1 + i, 0x9e3779b9 * (i + 1)))
			break;
	for (int round = 0; round < ROUNDS; round++) {
		const double start = now_ns();
		double middle, end;

		for (uint64_t i = 0; i < WINDOW_COUNTERS; i++)
			must(replay_accept(&window, (uint64_t)round * WINDOW_COUNTERS + i, 1) == REPLAY_NEW);
		middle = now_ns();
		for (uint32_t i = 0; i < WINDOW_COUNTERS; i++)
			must(skeys_find(n.skeys, 0x9e3779b9 * (i * 7919 % (skeys_count(n.skeys) - 1) + 1)));
		end = now_ns();
		accept = middle - start < accept ? middle - start : accept;
		find = end - middle < find ? end - middle : find;
	}
	printf("{\"figure\": \"window of a lane, in order\", \"value\": %.1f, \"unit\": \"ns\"}\n",
	       accept / WINDOW_COUNTERS);
	printf("{\"figure\": \"session key by index, among %u\", \"value\": %.1f, \"unit\": \"ns\"}\n",
	       skeys_count(n.skeys), find / WINDOW_COUNTERS);
	node_fini(&n);
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
	bench_parts();
	return 0;
}
