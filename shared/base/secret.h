/* SPDX-License-Identifier: Apache-2.0 */
/* Keys as types. The secret ones are wiped by their user, kept in locked memory, compared in constant time, and have
 * no print function. */
#ifndef SHARED_BASE_SECRET_H
#define SHARED_BASE_SECRET_H

#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct pubkey {
	uint8_t b[32];
};

struct privkey {
	uint8_t b[32];
};

/* The key of an AEAD: here the raw X25519 secret of a pair (wire-200 1.4). */
struct aead_key {
	uint8_t b[32];
};

static inline bool pubkey_eq(const struct pubkey *a, const struct pubkey *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* Overwrites len bytes in a way that the compiler keeps. */
static inline void secret_wipe(void *secret, size_t len)
{
	sodium_memzero(secret, len);
}

static inline bool secret_eq(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}

#endif
