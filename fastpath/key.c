/* SPDX-License-Identifier: Apache-2.0 */
/* The arena of key slots. Locked from its start on, in steps; free slots form a list through their first word. The
 * times of last use stand beside the arena as well, close together, so that the oldest is found by one short scan. */
#include "fastpath/key.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { STEP_BYTES = 64 * 1024 };

struct keys {
	const struct aead *aead; /* borrowed */
	struct pubkey own;
	uint8_t *arena;
	size_t arena_bytes, locked_bytes, slot_bytes;
	uint32_t cap, count;
	uint32_t high; /* slots 1..high have been used; relaxed atomic: workers check against it */
	uint32_t free; /* first of the free ones among them; 0: none */
	uint32_t hand; /* last slot added: the search for the oldest begins behind it */
	uint32_t latest_s; /* relaxed atomic: of all touches */
	uint32_t used_s[]; /* relaxed atomics, [cap + 1]; 0: free */
};

static struct key_slot *slot_at(const struct keys *k, uint32_t slot)
{
	return (struct key_slot *)(k->arena + (size_t)(slot - 1) * k->slot_bytes);
}

/* Locks the arena at least up to end. */
static bool lock_up_to(struct keys *k, size_t end)
{
	while (k->locked_bytes < end) {
		if (mlock(k->arena + k->locked_bytes, STEP_BYTES))
			return false;
		k->locked_bytes += STEP_BYTES;
	}
	return true;
}

static bool arena_init(struct keys *k)
{
	void *p =
		mmap(NULL, k->arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return false;
	k->arena = p;
	return madvise(p, k->arena_bytes, MADV_DONTDUMP) == 0 && madvise(p, k->arena_bytes, MADV_WIPEONFORK) == 0 &&
	       lock_up_to(k, k->slot_bytes);
}

struct keys *keys_new(const struct aead *aead, const struct pubkey *own, uint32_t cap)
{
	const size_t slot_bytes = sizeof(struct key_slot) + aead->key_bytes;
	struct keys *k = calloc(1, sizeof(*k) + ((size_t)cap + 1) * sizeof(k->used_s[0]));

	assert(cap > 0 && slot_bytes <= STEP_BYTES);
	if (!k)
		return NULL;
	k->aead = aead;
	k->own = *own;
	k->cap = cap;
	k->latest_s = 1;
	k->slot_bytes = slot_bytes;
	k->arena_bytes = (cap * slot_bytes + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
	if (!arena_init(k)) {
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
	if (k->arena) {
		secret_wipe(k->arena, k->high * k->slot_bytes);
		munmap(k->arena, k->arena_bytes);
	}
	free(k);
}

const struct aead *keys_aead(const struct keys *k)
{
	return k->aead;
}

/* A slot that nobody uses, all zeros but for its first word; 0: none. */
static uint32_t take_slot(struct keys *k)
{
	const uint32_t slot = k->free;

	if (slot) {
		k->free = (uint32_t)slot_at(k, slot)->net64;
		return slot;
	}
	if (k->high == k->cap || !lock_up_to(k, (k->high + 1) * k->slot_bytes))
		return 0;
	return __atomic_add_fetch(&k->high, 1, __ATOMIC_RELAXED);
}

uint32_t keys_add(struct keys *k, uint64_t net64, const struct pubkey *pk, const struct aead_key *secret)
{
	const uint32_t slot = take_slot(k);
	struct key_slot *s;

	if (!slot)
		return 0;
	s = slot_at(k, slot);
	s->net64 = net64;
	s->pk = *pk;
	s->state = KEY_STATIC;
	s->nonce_bit = memcmp(k->own.b, pk->b, sizeof(pk->b)) < 0;
	s->used_s = __atomic_load_n(&k->latest_s, __ATOMIC_RELAXED);
	k->aead->key_init(s + 1, secret);
	__atomic_store_n(&k->used_s[slot], s->used_s, __ATOMIC_RELAXED);
	k->hand = slot;
	k->count++;
	return slot;
}

void keys_wipe(struct keys *k, uint32_t slot)
{
	struct key_slot *s = keys_slot(k, slot);

	assert(s->state != KEY_NONE);
	secret_wipe(s, k->slot_bytes);
	__atomic_store_n(&k->used_s[slot], 0, __ATOMIC_RELAXED);
	s->net64 = k->free;
	k->free = slot;
	k->count--;
}

void key_touch_second(struct keys *k, struct key_slot *s, uint32_t now_s)
{
	const size_t slot = (size_t)((uint8_t *)s - k->arena) / k->slot_bytes + 1;
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
	return oldest_of(k, 1, k->hand, oldest_of(k, k->hand + 1, k->high, 0));
}

uint32_t keys_count(const struct keys *k)
{
	return k->count;
}

struct key_slot *keys_slot(const struct keys *k, uint32_t slot)
{
	assert(slot >= 1 && slot <= __atomic_load_n(&k->high, __ATOMIC_RELAXED));
	return slot_at(k, slot);
}
