/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of peers as slots: seal and open take a slot, never a raw key. The slots lie in one locked arena, left out of
 * core dumps, that grows in steps as far as RLIMIT_MEMLOCK allows. The control thread adds and deletes; workers read. A
 * deleted slot is wiped and reused only after every worker has passed a batch (epoch.h), which the caller sees to. */
#ifndef FASTPATH_KEY_H
#define FASTPATH_KEY_H

#include "fastpath/aead.h"
#include "shared/base/buf.h"
#include "shared/base/secret.h"
#include <stdbool.h>
#include <stdint.h>

enum key_state { KEY_NONE, KEY_STATIC };

/* Read by workers: immutable while published, but for the counters and the time of last use, which are relaxed atomics.
 */
struct key_slot {
	uint64_t net64;
	struct pubkey pk;
	uint8_t state; /* enum key_state */
	uint8_t nonce_bit; /* 1: our public key sorts before the peer's: top bit of our nonces (session.md, static key)
			    */
	uint32_t used_s; /* CLOCK_BOOTTIME seconds of the last use, for eviction: set by key_touch() */
	uint64_t sealed, opened;
	/* the expanded key follows, at AEAD_ALIGN: key_slot_aead() */
} __attribute__((aligned(AEAD_ALIGN)));
_Static_assert(sizeof(struct key_slot) == AEAD_ALIGN, "one line, then the expanded key");

struct keys;

/* own: our public key. cap: most slots (LIMIT_KEY_SLOTS). NULL with errno: no memory, or not even the first step of the
 * arena can be locked (RLIMIT_MEMLOCK). aead is borrowed. */
struct keys *keys_new(const struct aead *aead, const struct pubkey *own, uint32_t cap);
/* Wipes all. */
void keys_free(struct keys *k);
const struct aead *keys_aead(const struct keys *k);

/* A new slot number (1..cap), the secret expanded into it; 0 if the arena is full or cannot be locked further: the
 * caller evicts keys_oldest() first. */
uint32_t keys_add(struct keys *k, uint64_t net64, const struct pubkey *pk, const struct aead_key *secret);
/* Wipes a slot and makes it free; no worker may hold it any more. */
void keys_wipe(struct keys *k, uint32_t slot);
/* Worker, once per batch and key: the slot is in use. Costs a load where that is known already for this second. */
static inline void key_touch(struct keys *k, struct key_slot *s, uint32_t now_s);
/* The live slot used longest ago; 0 if there is none. A slot that was never touched counts as used at the latest touch
 * of any before it was added; of equals, the one added longest ago by slot order goes first. */
uint32_t keys_oldest(const struct keys *k);
uint32_t keys_count(const struct keys *k);
/* Slot by number, 1..; borrowed. */
struct key_slot *keys_slot(const struct keys *k, uint32_t slot);
static inline const void *key_slot_aead(const struct key_slot *s)
{
	return s + 1;
}

/* The slow part of key_touch(). */
void key_touch_second(struct keys *k, struct key_slot *s, uint32_t now_s);

static inline void key_touch(struct keys *k, struct key_slot *s, uint32_t now_s)
{
	if (__atomic_load_n(&s->used_s, __ATOMIC_RELAXED) != now_s)
		key_touch_second(k, s, now_s);
}

#endif
