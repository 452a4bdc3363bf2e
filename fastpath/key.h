/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of peers as slots: seal and open take a slot, never a raw key. The slots lie in one locked arena, left out of core
 * dumps, that grows in steps as far as RLIMIT_MEMLOCK allows. The control thread adds and deletes; workers read. A
 * deleted slot is wiped and reused only after every worker has passed a batch (epoch.h), which the caller sees to. */
#ifndef FASTPATH_KEY_H
#define FASTPATH_KEY_H

#include <stdbool.h>
#include <stdint.h>
#include "fastpath/aead.h"
#include "shared/base/buf.h"
#include "shared/base/secret.h"

enum key_state { KEY_NONE, KEY_STATIC };

/* Read by workers: immutable while published, but for the counters and the time of last use, which are relaxed atomics. */
struct key_slot {
	uint64_t net64;
	struct pubkey pk;
	uint8_t state;      /* enum key_state */
	uint8_t nonce_bit;  /* 1: our public key sorts before the peer's: top bit of our nonces (session.md, static key) */
	uint32_t used_s;    /* CLOCK_BOOTTIME seconds of the last use, for eviction */
	uint64_t sealed, opened;
	/* the expanded key follows, at AEAD_ALIGN: key_slot_aead() */
};

struct keys;

/* own: our public key. cap: most slots (LIMIT_KEY_SLOTS). NULL without memory. */
struct keys *keys_new(const struct aead *aead, const struct pubkey *own, uint32_t cap);
/* Wipes all. */
void keys_free(struct keys *k);
const struct aead *keys_aead(const struct keys *k);

/* A new slot number (1..cap), the secret expanded into it; 0 if the arena is full or cannot be locked further: the caller
 * evicts keys_oldest() first. */
uint32_t keys_add(struct keys *k, uint64_t net64, const struct pubkey *pk, const struct aead_key *secret);
/* Wipes a slot and makes it free; no worker may hold it any more. */
void keys_wipe(struct keys *k, uint32_t slot);
/* The live slot used longest ago; 0 if there is none. */
uint32_t keys_oldest(const struct keys *k);
uint32_t keys_count(const struct keys *k);
/* Slot by number, 1..; borrowed. */
struct key_slot *keys_slot(const struct keys *k, uint32_t slot);
const void *key_slot_aead(const struct key_slot *s);

#endif
