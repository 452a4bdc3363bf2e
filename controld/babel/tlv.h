/* SPDX-License-Identifier: Apache-2.0 */
/* The TLVs of a control packet (wire-200 chapter 3): bytes to structs and back. It judges form, never meaning: which
 * address encodings and prefixes are acceptable is for those who handle them. */
#ifndef CONTROLD_BABEL_TLV_H
#define CONTROLD_BABEL_TLV_H

#include "shared/base/buf.h"
#include "shared/wire.h"
#include <stdint.h>

enum tlv_type {
#define TLV(name, NAME, number) TLV_##NAME = number,
#include "controld/babel/tlv.def"
	TLV_PAD1 = 0, /* the one TLV without a length byte; never sent */
};

enum {
	TLV_UPDATE_BYTES = 68, /* with AE 2, header included */
	TLV_SEQNO_REQUEST_MIN_BYTES = 48, /* without prefix, header included */
	TLV_MAX_BYTES = 68, /* the longest that is ever written */
	TLV_PACKET_MAX_BYTES = 65535 - 2, /* the body length is 16 bits and counts two bytes more */
	TLV_PACKET_MAX_COUNT = TLV_PACKET_MAX_BYTES / TLV_SEQNO_REQUEST_MIN_BYTES,
};

enum tlv_verdict {
	TLV_OK,
	TLV_UNKNOWN, /* stepped over */
	TLV_BAD, /* shorter than its type demands, or leaves the packet: nothing after it can be trusted */
	TLV_END,
};

/* Addresses are kept as they came, host bits included: AE 1 fills the first four bytes, AE 3 has fe80::/64 before its
 * eight. An unknown AE leaves what follows it zero. */
struct tlv_hello {
	uint16_t flags, seqno, interval;
};

struct tlv_ihu {
	uint8_t ae;
	uint16_t rx_cost, interval;
	struct ip6 address;
};

struct tlv_update {
	uint8_t ae, flags, prefix_len, omitted;
	uint16_t interval, seqno, metric;
	struct ip6 address;
	struct router_id router_id;
};

struct tlv_seqno_request {
	uint8_t ae, prefix_len, hop_count;
	uint16_t seqno;
	struct router_id router_id;
	struct ip6 address;
};

struct tlv {
	enum tlv_type type;
	union {
#define TLV(name, NAME, number) struct tlv_##name name;
#include "controld/babel/tlv.def"
	};
};

/* Reads the next TLV and moves past it, surplus bytes inside it included. out is written only for TLV_OK. */
MUST_CHECK enum tlv_verdict tlv_read(struct rd *packet, struct tlv *out);

/* Appends t with its two header bytes; marks w if there is no room. */
void tlv_write(struct wr *w, const struct tlv *t);

#endif
