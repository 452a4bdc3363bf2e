/* SPDX-License-Identifier: Apache-2.0 */
/* Key slots in an arena. The times of last use stand beside it as well, close together, so that the oldest is found by
 * one short scan. */
#include "fastpath/key.h"

#include "fastpath/arena.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct keys {
	const struct aead *aead; /* borrowed */
	struct pubkey own;
	struct arena arena;
	uint32_t count;
	uint32_t hand; /* last slot added: the search for the oldest begins behind it */
	uint32_t latest_s; /* relaxed atomic: of all touches */
	uint32_t used_s[]; /* relaxed atomics, [cap + 1]; 0: free */
};

struct keys *keys_new(const struct aead *aead, const struct pubkey *own, uint32_t cap)
{
	struct keys *k = calloc(1, sizeof(*k) + ((size_t)cap + 1) * sizeof(k->used_s[0]));

	if (!k)
		return NULL;
	k->aead = aead;
	k->own = *own;
	k->latest_s = 1;
	if (!arena_init(&k->arena, sizeof(struct key_slot) + aead->key_bytes, cap)) {
		const int error = errno;

		keys_free(k);
		errno = error;
		return NULL;
	}
	return k;
}

void keys_free(struct keys *k)
{
	if (!k)
		return;
	arena_fini(&k->arena);
	free(k);
}

const struct aead *keys_aead(const struct keys *k)
{
	return k->aead;
}

uint32_t keys_add(struct keys *k, uint64_t net64, const struct pubkey *pk, const struct aead_key *secret)
{
	const uint32_t slot = arena_take(&k->arena);
	struct key_slot *s;

	if (!slot)
		return 0;
	s = arena_slot(&k->arena, slot);
	*s = (struct key_slot){.net64 = net64,
			       .pk = *pk,
			       .state = KEY_STATIC,
			       .nonce_bit = memcmp(k->own.b, pk->b, sizeof(pk->b)) < 0,
			       .used_s = __atomic_load_n(&k->latest_s, __ATOMIC_RELAXED)};
	k->aead->key_init(s + 1, secret);
	__atomic_store_n(&k->used_s[slot], s->used_s, __ATOMIC_RELAXED);
	k->hand = slot;
	k->count++;
	return slot;
}

void keys_wipe(struct keys *k, uint32_t slot)
{
	assert(keys_slot(k, slot)->state != KEY_NONE);
	arena_give(&k->arena, slot);
	__atomic_store_n(&k->used_s[slot], 0, __ATOMIC_RELAXED);
	k->count--;
}

void key_touch_second(struct keys *k, struct key_slot *s, uint32_t now_s)
{
	const uint32_t slot = arena_number(&k->arena, s);
	const uint32_t used_s = now_s ? now_s : 1;

	__atomic_store_n(&s->used_s, now_s, __ATOMIC_RELAXED);
	__atomic_store_n(&k->used_s[slot], used_s, __ATOMIC_RELAXED);
	__atomic_store_n(&k->latest_s, used_s, __ATOMIC_RELAXED);
}

/* The oldest of from..to, if it is older than what used_s says of best (0: none yet). */
static uint32_t oldest_of(const struct keys *k, uint32_t from, uint32_t to, uint32_t best)
{
	uint32_t best_s = best ? __atomic_load_n(&k->used_s[best], __ATOMIC_RELAXED) : UINT32_MAX;

	for (uint32_t i = from; i <= to; i++) {
		const uint32_t used_s = __atomic_load_n(&k->used_s[i], __ATOMIC_RELAXED);

		if (used_s && (used_s < best_s || !best)) {
			best = i;
			best_s = used_s;
		}
	}
	return best;
}

uint32_t keys_oldest(const struct keys *k)
{
	return oldest_of(k, 1, k->hand, oldest_of(k, k->hand + 1, k->arena.high, 0));
}

uint32_t keys_count(const struct keys *k)
{
	return k->count;
}

uint32_t keys_next(const struct keys *k, uint32_t slot)
{
	while (++slot <= arena_high(&k->arena))
		if (__atomic_load_n(&k->used_s[slot], __ATOMIC_RELAXED))
			return slot;
	return 0;
}

struct key_slot *keys_slot(const struct keys *k, uint32_t slot)
{
	assert(slot >= 1 && slot <= arena_high(&k->arena));
	return arena_slot(&k->arena, slot);
}
