/* SPDX-License-Identifier: Apache-2.0 */
/* Keyed hash for tables whose keys strangers choose. Include before uthash.h to make HASH_* use it: the key is drawn
 * once per process by siphash_init(). */
#ifndef SHARED_BASE_SIPHASH_H
#define SHARED_BASE_SIPHASH_H

#include <sodium.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

extern uint8_t siphash_key[crypto_shorthash_KEYBYTES];

/* Draws the key of this process; call once after sodium_init(). Without it the key is zeros (simulations want that). */
void siphash_init(void);

static inline uint32_t siphash(const void *bytes, size_t len)
{
	uint8_t out[crypto_shorthash_BYTES];
	uint32_t h;

	crypto_shorthash(out, bytes, len, siphash_key);
	memcpy(&h, out, sizeof(h));
	return h;
}

#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = siphash((keyptr), (keylen)))

#endif
