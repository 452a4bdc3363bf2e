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

/* Read by workers: immutable while published, but for what is said to be atomic (relaxed). */
struct key_slot {
	uint64_t net64;
	struct pubkey pk;
	uint8_t state; /* enum key_state */
	uint8_t nonce_bit; /* 1: our public key sorts before the peer's: top bit of our nonces (session.md, static key)
			    */
	uint8_t way; /* enum ctl_way, atomic */
	uint8_t refuse_static; /* atomic */
	uint32_t used_s; /* CLOCK_BOOTTIME seconds of the last use, for eviction: set by key_touch(). Atomic */
	uint64_t sealed, opened; /* atomic */

	/* The second line: sessions with this peer. All atomic. Slots of skeys (skey.h), set by the control thread and
	   loaded sequentially consistent, as its chains; a slot is hidden, and no longer named here, before it is
	   wiped. */
	uint32_t session; /* that sends; 0: none */
	uint32_t session_before; /* that sent before it; 0: none. For quotes in ICMP */
	uint32_t wanted_s, stray_s, refused_s; /* when that was told to control last; 0: never */
	/* What the second carrier_s let through to controld (carrier.c). */
	uint32_t carrier_s;
	uint64_t init_s; /* the greatest stamp of an INIT that was let through: seconds, nanoseconds */
	uint32_t init_ns;
	uint16_t carrier_inits, carrier_stale, carrier_answers;
	/* the expanded key follows, at AEAD_ALIGN: key_slot_aead() */
} __attribute__((aligned(AEAD_ALIGN)));
_Static_assert(sizeof(struct key_slot) == 2 * AEAD_ALIGN, "two lines, then the expanded key");
_Static_assert(__builtin_offsetof(struct key_slot, session) == AEAD_ALIGN, "what each packet needs is in the first");

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
/* The next live slot after a number, in no order; 0: begin, and the end. Control thread. */
uint32_t keys_next(const struct keys *k, uint32_t slot);
/* Slot by number, 1..; borrowed. */
struct key_slot *keys_slot(const struct keys *k, uint32_t slot);
static inline const void *key_slot_aead(const struct key_slot *s)
{
	return s + 1;
}

/* Worker: something is to be told of a peer, once in period_s by whichever worker is first. told_s: of its slot. */
static inline bool key_may_tell(uint32_t *told_s, uint32_t now_s, uint32_t period_s);

/* The slow part of key_touch(). */
void key_touch_second(struct keys *k, struct key_slot *s, uint32_t now_s);

static inline void key_touch(struct keys *k, struct key_slot *s, uint32_t now_s)
{
	if (__atomic_load_n(&s->used_s, __ATOMIC_RELAXED) != now_s)
		key_touch_second(k, s, now_s);
}

static inline bool key_may_tell(uint32_t *told_s, uint32_t now_s, uint32_t period_s)
{
	uint32_t told = __atomic_load_n(told_s, __ATOMIC_RELAXED);

	/* Another worker's second may have begun before ours. */
	if (told && (int32_t)(now_s - told) < (int32_t)period_s)
		return false;
	return __atomic_compare_exchange_n(told_s, &told, now_s ? now_s : 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

#endif
