/* SPDX-License-Identifier: Apache-2.0 */
/* Public keys by /64, and the X25519 computations that the fastpath asks for: a bounded number per second, those for
 * own traffic first, the rest in later slots of time. A /64 waits at most once; who waits longer than packets do is
 * asked for again. */
#include "controld/node_private.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

enum {
	SLOT_MS = 10,
	KEYS_PER_SLOT = LIMIT_KEYS_PER_SECOND * SLOT_MS / 1000,
	QUEUE_CAP = LIMIT_KEYS_PER_SECOND * LIMIT_WAIT_MS / 1000,
	EVICT_TRIES = 64,
};
_Static_assert(KEYS_PER_SLOT > 0, "a slot of time has room for a key");

static struct node_key *find(const struct node *n, uint64_t net64)
{
	struct node_key *k;

	HASH_FIND(hh, n->keys.known, &net64, sizeof(net64), k);
	return k;
}

static void enqueue(struct node_keys *keys, struct node_key *k, enum node_key_queue queue)
{
	if (keys->queued[queue] == QUEUE_CAP)
		return;
	DL_APPEND(keys->queue[queue], k);
	keys->queued[queue]++;
	k->queue = queue;
}

static void dequeue(struct node_keys *keys, struct node_key *k)
{
	if (k->queue == NODE_KEYS_IDLE)
		return;
	DL_DELETE(keys->queue[k->queue], k);
	keys->queued[k->queue]--;
	k->queue = NODE_KEYS_IDLE;
}

static void del(struct node_keys *keys, struct node_key *k)
{
	dequeue(keys, k);
	HASH_DEL(keys->known, k);
	free(k);
}

/* Makes room by the oldest key without a route; the ones looked at become the youngest, so that the next search goes
 * on. */
static bool evict(struct node *n)
{
	for (int i = 0; i < EVICT_TRIES; i++) {
		struct node_key *k = n->keys.known;
		const struct ip6 ip = ip6_from_net64(k->net64);
		struct babel_route route;

		if (!babel_find(n->babel, &ip, &route)) {
			del(&n->keys, k);
			return true;
		}
		HASH_DEL(n->keys.known, k);
		HASH_ADD(hh, n->keys.known, net64, sizeof(k->net64), k);
	}
	return false;
}

void node_keys_learn(struct node *n, uint64_t net64, const uint8_t public_key[32])
{
	struct node_key *k = find(n, net64);

	if (!k) {
		if (HASH_COUNT(n->keys.known) >= LIMIT_KNOWN_KEYS && !evict(n))
			return;
		k = calloc(1, sizeof(*k));
		assert(k);
		k->net64 = net64;
		k->queue = NODE_KEYS_IDLE;
		HASH_ADD(hh, n->keys.known, net64, sizeof(k->net64), k);
	} else if (n->running && memcmp(k->pk.b, public_key, sizeof(k->pk.b)) != 0 && k->queue == NODE_KEYS_IDLE) {
		/* The fastpath may hold the old one. */
		enqueue(&n->keys, k, NODE_KEYS_OTHERS);
	}
	memcpy(k->pk.b, public_key, sizeof(k->pk.b));
}

void node_keys_want(struct node *n, uint64_t net64, bool own)
{
	const enum node_key_queue queue = own ? NODE_KEYS_OWN : NODE_KEYS_OTHERS;
	struct node_key *k = find(n, net64);

	if (!k) {
		n->ops->no_key(n->ctx, net64);
		return;
	}
	if (k->queue <= queue)
		return;
	dequeue(&n->keys, k);
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

static struct node_key *first(const struct node_keys *keys)
{
	for (int i = 0; i < NODE_KEY_QUEUES; i++) {
		if (keys->queue[i])
			return keys->queue[i];
	}
	return NULL;
}

struct mono node_keys_tick(struct node *n, struct mono now)
{
	struct node_keys *keys = &n->keys;
	struct node_key *k = first(keys);

	if (!k)
		return MONO_NEVER;
	if (mono_is_due(keys->slot_end, now)) {
		keys->slot_end = mono_add_ms(now, SLOT_MS);
		keys->slot_used = 0;
	}
	for (; k && keys->slot_used < KEYS_PER_SLOT; k = first(keys)) {
		keys->slot_used++;
		dequeue(keys, k);
		answer(n, k);
	}
	return k ? keys->slot_end : MONO_NEVER;
}

void node_keys_forget_wants(struct node *n)
{
	for (struct node_key *k = first(&n->keys); k; k = first(&n->keys))
		dequeue(&n->keys, k);
}

void node_keys_fini(struct node *n)
{
	while (n->keys.known)
		del(&n->keys, n->keys.known);
}

bool node_key_of(const struct node *n, uint64_t net64, struct pubkey *out)
{
	const struct node_key *k = find(n, net64);

	if (k)
		*out = k->pk;
	return k != NULL;
}
