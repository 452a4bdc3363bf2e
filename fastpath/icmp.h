/* SPDX-License-Identifier: Apache-2.0 */
/* ICMPv6 that the node makes and judges: errors to its own host, and out of band (wire-200 5.5, 5.6). Pure. */
#ifndef FASTPATH_ICMP_H
#define FASTPATH_ICMP_H

#include "fastpath/encap.h"
#include "shared/base/ip.h"
#include "shared/base/mono.h"
#include "shared/limits.h"
#include "shared/wire.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ICMP_UNREACHABLE = 1,
	ICMP_NO_ROUTE = 0,
	ICMP_ADDRESS = 3,
	ICMP_SOURCE_POLICY = 5,
	ICMP_TOO_BIG = 2,
	ICMP_TIME_EXCEEDED = 3,
	ICMP_LOCAL_MAX_BYTES = 1280, /* an error to the host is never larger */
	ICMP_OOB_MAX_BYTES = 64 + WIRE_ICMP_QUOTE_MAX_BYTES, /* body of an out-of-band ICMP */
};

struct icmp_error {
	uint8_t type, code;
	uint32_t parameter; /* MTU of too-big, else 0 */
};

/* True if no ICMP error may be made about the IPv6 packet (RFC 4443 2.4 e): it is an ICMPv6 error or a redirect (looked
 * for through extension headers), a fragment but the first, has a multicast or unspecified source, or is too short. */
bool icmp_is_forbidden_about(const uint8_t *packet, size_t len);

/* An error to the host about its packet, from our address: whole IPv6 packet into out[ICMP_LOCAL_MAX_BYTES], with
 * checksum; its length. */
size_t icmp_local(const struct icmp_error *e, const struct ip6 *from, const uint8_t *packet, size_t len, uint8_t *out);

/* Body of an out-of-band report about a frame (header included) of another origin into out[ICMP_OOB_MAX_BYTES]: its
 * length. base: base address of our /64. */
size_t icmp_oob_build(const struct icmp_error *e, const struct ip6 *base, const uint8_t *frame, size_t len,
		      uint8_t *out);

/* A received report, parsed with every length checked; pointers into body. */
struct icmp_oob {
	struct ip6 about; /* destination of the dropped packet */
	struct ip6 origin; /* its source */
	uint8_t type, code;
	uint32_t parameter; /* host order */
	uint8_t *quote; /* sealed payload of our packet */
	size_t quote_len; /* at least WIRE_SEALED_MIN_BYTES */
};
/* 0, STAT_drop_icmp_malformed, or STAT_drop_icmp_quote where it quotes nothing that could be opened. Only ICMPv6 errors
 * 1 to 4 are taken. */
MUST_CHECK enum stat_id icmp_oob_parse(uint8_t *body, size_t len, struct icmp_oob *out);

/* The packet for the host, made of a report and our own opened packet (after its user-data header), into
 * out[ICMP_LOCAL_MAX_BYTES]; 0 if the original is no IPv6 packet from us, or an ICMP error.
 * from, to, hop_limit: of the report's frame. */
struct icmp_report {
	const struct ip6 *from, *to;
	uint8_t hop_limit;
	const uint8_t *original;
	size_t original_len;
};
size_t icmp_oob_deliver(const struct icmp_oob *icmp, const struct icmp_report *r, uint8_t *out);

/* Rate limits: so many a second in all and per /64 (a small hashed table: two /64s in one bucket share it). */
struct icmp_rate {
	struct mono second; /* when the current one began */
	uint32_t all;
	uint32_t bucket[256];
};
/* True if one more may be sent now about the /64. */
bool icmp_rate_pass(struct icmp_rate *r, uint64_t net64, struct mono now);

/* One's complement sum of ICMPv6/TCP/UDP over IPv6 (RFC 8200 8.1) of a whole packet without extension headers: the
 * checksum field's value in network order as stored, with the field taken as zero by the caller. */
uint16_t icmp_checksum(const struct ip6 *src, const struct ip6 *dst, uint8_t next_header, const uint8_t *bytes,
		       size_t len);

#endif
