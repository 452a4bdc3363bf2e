/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of Noise_IKpsk2_25519_AESGCM_BLAKE2b, token by token, over noise.h. Payloads are the caller's. A
 * function that fails leaves a state that is worth nothing: work on a copy. The state is secret: wipe it. */
#ifndef CONTROLD_SESSION_HANDSHAKE_H
#define CONTROLD_SESSION_HANDSHAKE_H

#include "controld/session/noise.h"
#include "controld/session/session.h"

enum {
	HANDSHAKE_STAMP_BYTES = 12,
	HANDSHAKE_SEED_BYTES = 32,
	HANDSHAKE_INIT_BYTES = 32 + 32 + NOISE_TAG_BYTES + NOISE_TAG_BYTES, /* and the payload */
	HANDSHAKE_RESP_BYTES = 32 + NOISE_TAG_BYTES, /* and the payload */
	HANDSHAKE_PAYLOAD_MAX_BYTES = 64,
};

struct handshake {
	struct noise noise;
	struct privkey e;
	struct pubkey re, rs;
};

/* Our static pair. */
struct handshake_self {
	const struct privkey *sk;
	struct pubkey pk;
};

/* The presharedkeys that may be meant. */
struct handshake_psks {
	const struct session_psk *psk[SESSION_NETWORK_KEYS];
	uint8_t count; /* at least 1 */
};

/* An ephemeral that even a poor source of random bytes does not give away: they are hashed with our static key. */
void handshake_ephemeral(const struct handshake_self *self, const uint8_t seed[HANDSHAKE_SEED_BYTES],
			 const uint8_t stamp[HANDSHAKE_STAMP_BYTES], const struct pubkey *peer, struct privkey *out);

/* Both sides: the prologue, and <- s. */
void handshake_begin(struct handshake *hs, const void *prologue, size_t len, const struct pubkey *responder);
/* Initiator. hs->e and hs->rs are set. Writes HANDSHAKE_INIT_BYTES and len more. -EINVAL: a DH of zeros. */
MUST_CHECK int handshake_write_init(struct handshake *hs, const struct handshake_self *self, const void *payload,
				    size_t len, uint8_t *out);
/* Responder. Sets hs->re and hs->rs; the payload is what in holds beyond HANDSHAKE_INIT_BYTES. -EBADMSG, -EINVAL. */
MUST_CHECK int handshake_read_init(struct handshake *hs, const struct handshake_self *self, struct rd in,
				   void *payload);
/* Responder. hs->e is set. Writes HANDSHAKE_RESP_BYTES and len more. -EINVAL. */
MUST_CHECK int handshake_write_resp(struct handshake *hs, const struct session_psk *psk, const void *payload,
				    size_t len, uint8_t *out);
/* Initiator, with each of the psks in turn. -EBADMSG, -EINVAL. */
MUST_CHECK int handshake_read_resp(struct handshake *hs, const struct handshake_self *self,
				   const struct handshake_psks *psks, struct rd in, void *payload);

#endif
