/* SPDX-License-Identifier: Apache-2.0 */
/* The bodies of the handshake's user data as structs, and the prologue that binds an INIT's clear fields. session.h
 * draws them. */
#ifndef CONTROLD_SESSION_CARRIER_H
#define CONTROLD_SESSION_CARRIER_H

#include "controld/session/handshake.h"
#include "controld/session/session.h"

enum {
	CARRIER_VERSION_LOWEST = 1,
	CARRIER_VERSION_HIGHEST = 1,
	CARRIER_COOKIE_BYTES = 16,
	CARRIER_INIT_HEAD_BYTES = 40,
	CARRIER_INIT_BYTES = CARRIER_INIT_HEAD_BYTES + HANDSHAKE_INIT_BYTES,
	CARRIER_INIT_MAX_BYTES = 1000,
	CARRIER_CHOICE_BYTES = 12, /* the payload of Noise message 2 */
	CARRIER_RESP_BYTES = 4 + HANDSHAKE_RESP_BYTES + CARRIER_CHOICE_BYTES,
	CARRIER_COOKIE_BODY_BYTES = 4 + CARRIER_COOKIE_BYTES,
	CARRIER_HINT_BYTES = 4,
	CARRIER_CONTROL_BYTES = 4,
	CARRIER_PROLOGUE_MAX_BYTES = 18 + 16 + 16 + CARRIER_INIT_MAX_BYTES - HANDSHAKE_INIT_BYTES,
};
_Static_assert(CARRIER_INIT_BYTES == 136, "INIT");
_Static_assert(CARRIER_RESP_BYTES == 64, "RESP");
_Static_assert(CARRIER_COOKIE_BODY_BYTES == 20, "COOKIE");

enum carrier_control { CARRIER_KEEPALIVE = 0, CARRIER_LINK_OFFER = 1, CARRIER_RELEASE = 2 };

/* The clear part of INIT. */
struct carrier_init {
	uint32_t sender;
	uint8_t lowest, highest, lanes;
	uint32_t capabilities;
	uint8_t stamp[HANDSHAKE_STAMP_BYTES], cookie[CARRIER_COOKIE_BYTES];
};

/* What the responder answers, sealed in RESP. */
struct carrier_choice {
	uint32_t sender;
	uint8_t version, lanes;
	uint32_t capabilities;
};

/* A body of this type may have this length. */
bool carrier_length_is_good(uint8_t type, size_t len);

void carrier_write_init(struct wr *w, const struct carrier_init *i);
/* bytes: at least CARRIER_INIT_BYTES. */
void carrier_read_init(const uint8_t *bytes, struct carrier_init *i);
void carrier_write_choice(struct wr *w, const struct carrier_choice *ch);
void carrier_read_choice(const uint8_t bytes[CARRIER_CHOICE_BYTES], struct carrier_choice *ch);
void carrier_write_stamp(struct wr *w, int64_t ns);

/* The prologue of an INIT of len bytes, of which Noise message 1 need not be there yet. */
void carrier_write_prologue(struct wr *w, const struct ip6 *initiator, const struct ip6 *responder, const uint8_t *init,
			    size_t len);

#endif
