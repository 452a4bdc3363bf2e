/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are: key file, public key, address. The private key lies in locked memory that is left out of core dumps. */
#ifndef SHARED_BASE_IDENTITY_H
#define SHARED_BASE_IDENTITY_H

#include "shared/base/buf.h"
#include "shared/base/network.h"
#include "shared/base/secret.h"
#include <stddef.h>

enum {
	PUBKEY_TEXT_BYTES = 65,
	IDENTITY_ID_BYTES = 17, /* instance ID: first 16 hex digits of the public key, final zero */
	IDENTITY_ERROR_BYTES = 512,
};

struct identity {
	struct privkey *sk; /* owned, sodium_malloc */
	struct pubkey pk;
	struct ip6 address;
	struct prefix own; /* our /64 */
};

/* Reads the key file, or makes it (0600) when nothing is at the path (wire-200 1.1): whole or not at all, whatever
 * happens meanwhile. Never overwrites. 0, or -errno with one sentence for the user in error. warning gets a sentence,
 * or "", e.g. for a file others can read. */
MUST_CHECK int identity_load(struct identity *id, const struct network *n, const char *path,
			     char error[IDENTITY_ERROR_BYTES], char warning[IDENTITY_ERROR_BYTES]);
/* From 32 raw bytes, copied. 0 or -ENOMEM. */
MUST_CHECK int identity_from_bytes(struct identity *id, const struct network *n, const uint8_t sk[32]);
/* Wipes and frees. */
void identity_fini(struct identity *id);

/* The secret shared with pk (X25519, raw); -EINVAL for a low-order key. The caller wipes out. */
MUST_CHECK int identity_shared_secret(const struct identity *id, const struct pubkey *pk, struct aead_key *out);

/* First 16 hex digits of the public key into out. */
const char *identity_id(const struct pubkey *pk, char out[IDENTITY_ID_BYTES]);
/* 64 lower-case hex digits into out. */
const char *pubkey_print(const struct pubkey *pk, char out[PUBKEY_TEXT_BYTES]);
/* Exactly 64 hex digits, either case; 0 or -EINVAL. */
MUST_CHECK int pubkey_parse(const char *text, struct pubkey *out);

#endif
