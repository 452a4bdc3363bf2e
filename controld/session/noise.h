/* SPDX-License-Identifier: Apache-2.0 */
/* The symmetric state of the Noise protocol framework (revision 34), for 25519, AESGCM and BLAKE2b: HMAC-BLAKE2b (64
 * bytes out, block 128) under HKDF, AEAD keys the first 32 bytes of its outputs, AEAD nonces four zero bytes and a
 * big-endian u64. Which tokens come when is handshake.c's. The state is secret: its user wipes it. */
#ifndef CONTROLD_SESSION_NOISE_H
#define CONTROLD_SESSION_NOISE_H

#include "shared/base/buf.h"
#include "shared/base/secret.h"
#include <stddef.h>
#include <stdint.h>

enum {
	NOISE_HASH_BYTES = 64,
	NOISE_BLOCK_BYTES = 128,
	NOISE_TAG_BYTES = 16,
	NOISE_OUTPUTS = 3, /* the most that HKDF gives here */
};

struct noise {
	uint8_t h[NOISE_HASH_BYTES], ck[NOISE_HASH_BYTES];
	struct aead_key k; /* not before the first noise_mix_key() */
	uint64_t n;
};

/* This processor can do AES-256-GCM; nothing below works without. */
bool noise_is_available(void);

/* HMAC of the parts, one after the other, under a key of NOISE_HASH_BYTES. out may not be a part. */
void noise_hmac(const uint8_t key[NOISE_HASH_BYTES], const void *a, size_t a_len, const void *b, size_t b_len,
		uint8_t out[NOISE_HASH_BYTES]);
/* HKDF with the chaining key as salt: count outputs (1..3). */
void noise_hkdf(const uint8_t ck[NOISE_HASH_BYTES], const void *material, size_t len, int count,
		uint8_t out[NOISE_OUTPUTS][NOISE_HASH_BYTES]);

/* name: at most 64 bytes; the prologue is mixed in. */
void noise_init(struct noise *n, const char *name, const void *prologue, size_t len);
void noise_mix_hash(struct noise *n, const void *bytes, size_t len);
void noise_mix_key(struct noise *n, const void *material, size_t len);
void noise_mix_key_and_hash(struct noise *n, const void *material, size_t len);
/* Writes len + 16 bytes. */
void noise_seal(struct noise *n, const void *plain, size_t len, uint8_t *out);
/* Opens len bytes, the tag included, into len - 16. -EBADMSG; then the state is worth nothing any more. */
MUST_CHECK int noise_open(struct noise *n, const uint8_t *bytes, size_t len, void *plain);
/* first: from the initiator to the responder. */
void noise_split(const struct noise *n, struct aead_key *first, struct aead_key *second);

/* X25519; -EINVAL where the result is all zeros. The caller wipes out. */
MUST_CHECK int noise_dh(const struct privkey *sk, const struct pubkey *pk, struct aead_key *out);

#endif
