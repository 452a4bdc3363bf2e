/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause */
/* Every byte that travels between nodes, drawn once: packet header, data packet, control packet, user data, ICMP out
 * of band, discovery beacon. Freestanding: compiled for fastpath, controld and BPF. All integers are big-endian.
 *
 * The network of generation 200 (200::/7). One TCP stream is a sequence of packets, with no handshake:
 *
 *   packet          0        1        2                4
 *                   +--------+--------+----------------+------------------------------------------
 *                   | ver 1  | type   | reserved 0     | body: data (type 0) or control (type 1)
 *                   +--------+--------+----------------+------------------------------------------
 *   data body       4                 6        7        8               24              40
 *                   +-----------------+--------+--------+---------------+---------------+---------
 *                   | length L        | 0      | hops   | source        | destination   | L bytes
 *                   +-----------------+--------+--------+---------------+---------------+---------
 *   sealed payload  ciphertext (L-28) ++ tag (16) ++ nonce (12); the plaintext begins with the user-data header
 *   user data       0        1        2                4
 *                   +--------+--------+----------------+------------------------------------------
 *                   | ver 1  | type   | 0 0            | L3 packet (0), message (1), ICMP (2), sessions (0x40..0x44)
 *                   +--------+--------+----------------+------------------------------------------
 *   nonce           static key: order of the keys (1 bit), random (63 bits), counter u32
 *                   session: index u32 (chosen by the receiver), lane u8, counter u56; the outer source and destination
 *                   are authenticated too
 *   control body    4        5        6                8        9        10
 *                   +--------+--------+----------------+--------+--------+------------------------
 *                   | 42     | 2      | body length    | TLV    | length | value
 *                   +--------+--------+----------------+--------+--------+------------------------
 *   Exactly one TLV is sent in a control packet (older decoders cannot take more); on receipt the body length is
 *   a hard boundary, inside it several TLVs, unknown TLVs and surplus bytes are stepped over.
 *
 *   Hello 4         flags u16 (0x8000), seqno u16, interval u16 (4)
 *   IHU 5           AE u8, 0 u8, rx cost u16, interval u16 (12), address by AE (none sent)
 *   Update 8        AE u8 (2), flags u8, prefix length u8, omitted u8, interval u16 (16), seqno u16, metric u16,
 *                   prefix (full width of the AE, host bits zero), router id (40)
 *   SeqNoRequest 10 AE u8 (2), prefix length u8, seqno u16, hop count u8, 0 u8, router id (40),
 *                   prefix (ceil(prefix length / 8) bytes)
 *   router id       public key (32), zone (2, zero), random (6)
 *   ICMP body       destination of the dropped packet (16), IPv6 header (40), ICMPv6 header (8), the dropped
 *                   sealed payload, or nothing where it is longer than 1232 bytes
 *   beacon          "mycelium", TCP port u16, router id (40): 50 bytes of UDP to ff02::cafe
 *
 * Differences from the reference program (it is wire-compatible all the same):
 *   - The control body length bounds its TLVs; the reference miscounts what it does not know.
 *   - The feasibility distance never rises at an equal seqno; selection looks at fresh state; a lost route is
 *     retracted at once; the own seqno is raised when asked; a link judged dead is closed.
 *   - A SeqNoRequest that is not AE 2 is ignored, and repeated ones are suppressed.
 *   - Hop limit: what a host sends with hop limit 1 leaves with 1, so that the first node answers a traceroute;
 *     the delivered inner hop limit is min(outer after decrement, inner), so no node can raise it.
 *   - Received L3 packets are checked: version, length, inner addresses equal to the outer ones, source inside
 *     the /64 of the key. Packets from the host must come from our /64.
 *   - Nonces are not random: a 64-bit prefix whose first bit is the order of the two keys, and a counter.
 *   - ICMP out of band is rate limited, never about ICMP errors, and checked before it reaches the host.
 *   - Retractions of routes that are held as retracted are sent a bounded number of times only.
 */
#ifndef SHARED_WIRE_H
#define SHARED_WIRE_H

#include <linux/types.h>

enum {
	WIRE_VERSION = 1,
	WIRE_DATA = 0,
	WIRE_CONTROL = 1,
	WIRE_PACKET_HEADER_BYTES = 4,
	WIRE_DATA_HEADER_BYTES = 40, /* packet header included */
	WIRE_CONTROL_HEADER_BYTES = 8, /* packet header included */
	WIRE_TLV_HEADER_BYTES = 2,
	WIRE_SEALED_MAX_BYTES = 65535,
	WIRE_FRAME_MAX_BYTES = WIRE_DATA_HEADER_BYTES + WIRE_SEALED_MAX_BYTES,

	WIRE_BABEL_MAGIC = 42,
	WIRE_BABEL_VERSION = 2,

	WIRE_USER_VERSION = 1,
	WIRE_USER_L3 = 0,
	WIRE_USER_MESSAGE = 1,
	WIRE_USER_ICMP = 2,
	/* Sessions between nodes that know them; older nodes drop these. INIT to HINT under the static key only,
	   CONTROL in a session only; their bodies: controld/session/session.h. */
	WIRE_USER_INIT = 0x40,
	WIRE_USER_RESP = 0x41,
	WIRE_USER_COOKIE = 0x42,
	WIRE_USER_HINT = 0x43,
	WIRE_USER_CONTROL = 0x44,
	WIRE_USER_HEADER_BYTES = 4,
	WIRE_TAG_BYTES = 16,
	WIRE_NONCE_BYTES = 12,
	WIRE_SEAL_BYTES = WIRE_TAG_BYTES + WIRE_NONCE_BYTES, /* sealed length over the plaintext */
	WIRE_SEALED_MIN_BYTES = WIRE_USER_HEADER_BYTES + WIRE_SEAL_BYTES,
	WIRE_OVERHEAD_BYTES = WIRE_DATA_HEADER_BYTES + WIRE_SEALED_MIN_BYTES, /* frame over the L3 packet: 72 */

	WIRE_ROUTER_ID_BYTES = 40,
	WIRE_ROUTER_TAIL_BYTES = 8, /* zone and random */
	WIRE_INFINITE = 65535,
	WIRE_HOP_COUNT = 64,
	WIRE_AE_WILDCARD = 0,
	WIRE_AE_IPV4 = 1,
	WIRE_AE_IPV6 = 2,
	WIRE_AE_LINK_LOCAL = 3,

	WIRE_ICMP_QUOTE_MAX_BYTES = 1232,
	WIRE_ICMP_BODY_MIN_BYTES = 64,
	WIRE_ICMP_BODY_MAX_BYTES = 1296,

	WIRE_BEACON_BYTES = 50,
};

/* An IPv6 address as it stands on the wire. */
struct ip6 {
	__u8 b[16];
};

struct wire_data {
	__u8 version, type;
	__be16 reserved;
	__be16 length;
	__u8 reserved2;
	__u8 hop_limit;
	struct ip6 src, dst;
};
_Static_assert(sizeof(struct wire_data) == WIRE_DATA_HEADER_BYTES, "data header");

struct wire_control {
	__u8 version, type;
	__be16 reserved;
	__u8 magic, babel_version;
	__be16 length;
};
_Static_assert(sizeof(struct wire_control) == WIRE_CONTROL_HEADER_BYTES, "control header");

struct router_id {
	__u8 public_key[32];
	__u8 tail[WIRE_ROUTER_TAIL_BYTES];
};
_Static_assert(sizeof(struct router_id) == WIRE_ROUTER_ID_BYTES, "router id");

struct wire_beacon {
	__u8 magic[8]; /* "mycelium" */
	__be16 port;
	struct router_id router_id;
} __attribute__((packed));
_Static_assert(sizeof(struct wire_beacon) == WIRE_BEACON_BYTES, "beacon");

#endif
