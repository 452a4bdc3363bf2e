/* SPDX-License-Identifier: Apache-2.0 */
/* Public keys by /64, and the X25519 computations that the fastpath asks for: a bounded number per second, those for
 * own traffic first, the rest in later slots of time. A /64 waits at most once; who waits longer than packets do is
 * asked for again. The table is an open one with linear probing, because there is a key for every node of the network:
 * an entry costs its bytes. */
#include "controld/node_private.h"

#include <assert.h>
#include <stdlib.h>

enum {
	SLOT_MS = 10,
	KEYS_PER_SLOT = LIMIT_KEYS_PER_SECOND * SLOT_MS / 1000,
	EVICT_TRIES = 64,
	FIRST_CAP = 64,
};
_Static_assert(KEYS_PER_SLOT > 0, "a slot of time has room for a key");
_Static_assert((FIRST_CAP & (FIRST_CAP - 1)) == 0, "a power of two");

static uint32_t home_of(const struct node_keys *keys, uint64_t net64)
{
	return siphash(&net64, sizeof(net64)) & (keys->cap - 1);
}

/* The entry, or the free one where it would be. */
static struct node_key *probe(const struct node_keys *keys, uint64_t net64)
{
	uint32_t i = home_of(keys, net64);

	while (keys->table[i].used && keys->table[i].net64 != net64)
		i = (i + 1) & (keys->cap - 1);
	return &keys->table[i];
}

static struct node_key *find(const struct node_keys *keys, uint64_t net64)
{
	struct node_key *k = keys->cap ? probe(keys, net64) : NULL;

	return k && k->used ? k : NULL;
}

static void grow(struct node_keys *keys)
{
	const struct node_keys old = *keys;

	keys->cap = old.cap ? 2 * old.cap : FIRST_CAP;
	keys->table = calloc(keys->cap, sizeof(*keys->table));
	assert(keys->table);
	for (uint32_t i = 0; i < old.cap; i++) {
		if (old.table[i].used)
			*probe(keys, old.table[i].net64) = old.table[i];
	}
	free(old.table);
}

/* Those behind it that would not be found across the gap move up. */
static void del(struct node_keys *keys, uint32_t gap)
{
	const uint32_t mask = keys->cap - 1;

	for (uint32_t i = (gap + 1) & mask; keys->table[i].used; i = (i + 1) & mask) {
		const uint32_t home = home_of(keys, keys->table[i].net64);

		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		keys->table[gap] = keys->table[i];
		gap = i;
	}
	keys->table[gap] = (struct node_key){.used = false};
	keys->count--;
}

/* Makes room by a key without a route; the next search goes on where this one ended. */
static bool evict(struct node *n)
{
	struct node_keys *keys = &n->keys;

	for (int looked_at = 0; looked_at < EVICT_TRIES; keys->hand++) {
		const uint32_t i = keys->hand & (keys->cap - 1);
		const struct ip6 ip = ip6_from_net64(keys->table[i].net64);
		struct babel_route route;

		if (!keys->table[i].used)
			continue;
		if (!babel_find(n->babel, &ip, &route)) {
			del(keys, i);
			return true;
		}
		looked_at++;
	}
	return false;
}

static void enqueue(struct node_keys *keys, struct node_key *k, enum node_key_queue queue)
{
	struct node_key_ring *r = &keys->waiting[queue];

	if (r->count == NODE_KEYS_WAITING)
		return;
	r->net64[(r->first + r->count++) % NODE_KEYS_WAITING] = k->net64;
	k->queue = queue;
}

/* The first that still waits there: it may have moved to another queue, or be gone. */
static struct node_key *dequeue(struct node_keys *keys, enum node_key_queue queue)
{
	struct node_key_ring *r = &keys->waiting[queue];

	while (r->count) {
		struct node_key *k = find(keys, r->net64[r->first]);

		r->first = (r->first + 1) % NODE_KEYS_WAITING;
		r->count--;
		if (!k || k->queue != queue)
			continue;
		k->queue = NODE_KEYS_IDLE;
		return k;
	}
	return NULL;
}

static bool may_learn(const struct node *n, uint64_t net64, const struct pubkey *pk)
{
	return !n->ops->may_learn || n->ops->may_learn(n->ctx, net64, pk);
}

void node_keys_learn(struct node *n, uint64_t net64, const uint8_t public_key[32])
{
	struct node_keys *keys = &n->keys;
	struct node_key *k = find(keys, net64);
	struct pubkey pk;

	memcpy(pk.b, public_key, sizeof(pk.b));
	if ((k && pubkey_eq(&k->pk, &pk)) || !may_learn(n, net64, &pk))
		return;
	if (k) {
		/* The fastpath may hold the old one. */
		if (n->running && k->queue == NODE_KEYS_IDLE)
			enqueue(keys, k, NODE_KEYS_OTHERS);
		k->pk = pk;
		return;
	}
	if (keys->count >= LIMIT_KNOWN_KEYS && !evict(n))
		return;
	if (4 * (keys->count + 1) > 3 * keys->cap)
		grow(keys);
	k = probe(keys, net64);
	*k = (struct node_key){.net64 = net64, .pk = pk, .queue = NODE_KEYS_IDLE, .used = true};
	keys->count++;
}

void node_keys_want(struct node *n, uint64_t net64, bool own)
{
	const enum node_key_queue queue = own ? NODE_KEYS_OWN : NODE_KEYS_OTHERS;
	struct node_key *k = find(&n->keys, net64);

	if (!k)
		n->ops->no_key(n->ctx, net64);
	else if (k->queue > queue)
		enqueue(&n->keys, k, queue);
}

static void answer(struct node *n, const struct node_key *k)
{
	struct ctl_key record = {.net64 = k->net64};
	struct aead_key secret;

	if (identity_shared_secret(n->identity, &k->pk, &secret) < 0) {
		n->ops->no_key(n->ctx, k->net64);
		return;
	}
	memcpy(record.public_key, k->pk.b, sizeof(record.public_key));
	memcpy(record.secret, secret.b, sizeof(record.secret));
	n->ops->key(n->ctx, &record);
	secret_wipe(&record, sizeof(record));
	secret_wipe(&secret, sizeof(secret));
}

struct mono node_keys_tick(struct node *n, struct mono now)
{
	struct node_keys *keys = &n->keys;

	if (mono_is_due(keys->slot_end, now)) {
		keys->slot_end = mono_add_ms(now, SLOT_MS);
		keys->slot_used = 0;
	}
	while (keys->slot_used < KEYS_PER_SLOT) {
		const struct node_key *k = dequeue(keys, NODE_KEYS_OWN);

		if (!k)
			k = dequeue(keys, NODE_KEYS_OTHERS);
		if (!k)
			return MONO_NEVER;
		keys->slot_used++;
		answer(n, k);
	}
	return keys->waiting[NODE_KEYS_OWN].count + keys->waiting[NODE_KEYS_OTHERS].count ? keys->slot_end : MONO_NEVER;
}

void node_keys_forget_wants(struct node *n)
{
	while (dequeue(&n->keys, NODE_KEYS_OWN) || dequeue(&n->keys, NODE_KEYS_OTHERS))
		;
}

void node_keys_fini(struct node *n)
{
	free(n->keys.table);
}

bool node_key_of(const struct node *n, uint64_t net64, struct pubkey *out)
{
	const struct node_key *k = find(&n->keys, net64);

	if (k)
		*out = k->pk;
	return k != NULL;
}
