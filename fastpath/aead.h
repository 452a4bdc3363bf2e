/* SPDX-License-Identifier: Apache-2.0 */
/* AES-256-GCM behind one interface with two implementations: libipsec-mb, and libsodium where the first does not run
 * well. Chosen once at start by CPU. The only place that includes either for this purpose. */
#ifndef FASTPATH_AEAD_H
#define FASTPATH_AEAD_H

#include "shared/base/secret.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AEAD_TAG_BYTES = 16, AEAD_NONCE_BYTES = 12, AEAD_ALIGN = 64 };

/* One packet. out and in may be the same place, or out lies before in. tag is written by seal and read by open. */
struct aead_job {
	uint8_t *out;
	const uint8_t *in;
	size_t len;
	const uint8_t *nonce; /* 12 bytes */
	const uint8_t *aad; /* NULL where aad_len is 0 */
	size_t aad_len;
	uint8_t *tag; /* 16 bytes */
};

struct aead {
	const char *name;
	size_t key_bytes; /* of an expanded key, a multiple of AEAD_ALIGN; the key must lie at AEAD_ALIGN */
	void (*key_init)(void *key, const struct aead_key *secret);
	void (*seal)(const void *key, const struct aead_job *job);
	/* False: authentication failed, and out is worthless. */
	bool (*open)(const void *key, const struct aead_job *job);
};

/* The best one for this CPU; NULL with a sentence in *why where there is none (no AES instructions). Thread-safe after
 * the first call. */
const struct aead *aead_choose(const char **why);
/* "ipsec-mb" or "libsodium" if this CPU runs it; else NULL. */
const struct aead *aead_find(const char *name);

#endif
