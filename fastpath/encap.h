/* SPDX-License-Identifier: Apache-2.0 */
/* A packet into a frame and back (wire-200 1.4, 1.5, 2.3, 5): header, nonce, seal; open and judge. Pure: knows no
 * descriptor. */
#ifndef FASTPATH_ENCAP_H
#define FASTPATH_ENCAP_H

#include "fastpath/aead.h"
#include "fastpath/key.h"
#include "shared/base/ip.h"
#include "shared/lanes.h"
#include "shared/wire.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nonces of one sealing thread: bit 0 (the top one) = key order of the pair, 63 random bits, u32 counter. A prefix is
 * listed in the shared memory, with the next counter, before it is used; a new one is drawn at start, when the counter
 * wraps, and when the generation of the memory changes. */
struct nonce_lane {
	struct lanes *lanes; /* borrowed */
	struct lanes_prefix *slot; /* ours, in lanes */
	uint64_t prefix; /* top bit zero */
	uint64_t next; /* counter, below 2^32 */
	uint64_t generation;
};
void nonce_lane_init(struct nonce_lane *l, struct lanes *lanes);
/* Once per batch: looks whether the generation changed. */
void nonce_lane_check(struct nonce_lane *l);
/* True if nonce carries one of the prefixes listed in lanes, and its counter lies within LIMIT_NONCE_QUOTE_WINDOW below
 * that prefix's next. */
bool nonce_is_ours(const struct lanes *lanes, const uint8_t nonce[WIRE_NONCE_BYTES]);

struct encap_packet {
	uint8_t *plain; /* the packet; 4 bytes before it are writable and take the user-data header */
	size_t len;
	uint8_t type; /* WIRE_USER_* */
	uint8_t hop_limit; /* outer */
	const struct ip6 *src, *dst; /* outer; may point into plain */
};

/* Writes the whole frame (WIRE_DATA_HEADER_BYTES + 4 + len + WIRE_SEAL_BYTES) to out and returns its size. out must not
 * overlap plain. len <= 65535 - 32. */
size_t encap_seal(const struct aead *a, struct nonce_lane *lane, struct key_slot *key, const struct encap_packet *p,
		  uint8_t *out);

/* A data frame that arrived, header included, len its whole size (the stream decoder has checked it against the
 * header). */
struct encap_opened {
	uint8_t *body; /* after the user-data header, inside the frame */
	size_t len;
	uint8_t type;
};
/* Opens in place with the sender's key. 0, or the STAT_drop_* that tells why not (none is 0: STAT_tun_rx_packets is).
 */
MUST_CHECK enum stat_id encap_open(const struct aead *a, struct key_slot *key, uint8_t *frame, size_t len,
				   struct encap_opened *out);
/* The same for a packet of ours that an out-of-band ICMP quotes: the peer sent none, so none is counted. */
MUST_CHECK enum stat_id encap_open_quote(const struct aead *a, const struct key_slot *key, uint8_t *frame, size_t len,
					 struct encap_opened *out);
/* An opened L3 packet: version 6, payload length fits, inner addresses equal the frame's, source inside the key's /64,
 * destination inside ours. Cuts surplus bytes (*len), sets the hop limit to min(hop_limit, inner). 0 or STAT_drop_*.
 * hop_limit: of the frame, already decremented. */
MUST_CHECK enum stat_id encap_check_l3(const uint8_t *frame, uint64_t key_net64, uint64_t own_net64, uint8_t hop_limit,
				       struct encap_opened *p);

#ifdef NONCE_AUDIT
/* Test builds: told of every prefix before it is used. NULL: nobody listens. */
extern void (*encap_audit)(uint64_t prefix);
#endif

#endif
