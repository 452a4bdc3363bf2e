/* SPDX-License-Identifier: Apache-2.0 */
/* ICMPv6 errors: built for the own host, built and parsed out of band (wire-200 5.5, 5.6), and how many. Checksum of a
 * received report is not looked at: its seal is the better proof. */
#include "fastpath/icmp.h"

#include "fastpath/csum.h"
#include "shared/base/siphash.h"

enum {
	IP6_HEADER_BYTES = 40,
	ICMP_HEADER_BYTES = 8,
	ICMP_HOP_LIMIT = 64,
	ICMP_PARAMETER_PROBLEM = 4,
	ICMP_FIRST_INFORMATION = 128,
	ICMP_REDIRECT = 137,

	NEXT_HOP_BY_HOP = 0,
	NEXT_UDP = 17,
	NEXT_ROUTING = 43,
	NEXT_FRAGMENT = 44,
	NEXT_AH = 51,
	NEXT_ICMP6 = 58,
	NEXT_DESTINATION = 60,
	NEXT_MOBILITY = 135,
	EXTENSION_MIN_BYTES = 8,
};
_Static_assert(sizeof(struct ip6) + IP6_HEADER_BYTES + ICMP_HEADER_BYTES == WIRE_ICMP_BODY_MIN_BYTES, "report");
_Static_assert((int)ICMP_OOB_MAX_BYTES == (int)WIRE_ICMP_BODY_MAX_BYTES, "report");

uint16_t icmp_checksum(const struct ip6 *src, const struct ip6 *dst, uint8_t next_header, const uint8_t *bytes,
		       size_t len)
{
	uint64_t sum = csum_add(csum_add(0, src, sizeof(*src)), dst, sizeof(*dst));
	uint16_t value;

	sum = csum_add_be16(sum, (uint16_t)(len >> 16));
	sum = csum_add_be16(sum, (uint16_t)len);
	sum = csum_add_be16(sum, next_header);
	value = (uint16_t)~csum_fold(csum_add(sum, bytes, len));
	return next_header == NEXT_UDP && value == 0 ? UINT16_MAX : value;
}

/* A fragment header with an offset. */
static bool is_later_fragment(uint8_t next, const uint8_t *header)
{
	return next == NEXT_FRAGMENT && (header[2] || header[3] & 0xf8);
}

/* Bytes of the extension header that begins at header (EXTENSION_MIN_BYTES of it are there); 0: next is no such header.
 */
static size_t extension_len(uint8_t next, const uint8_t *header)
{
	switch (next) {
	case NEXT_HOP_BY_HOP:
	case NEXT_ROUTING:
	case NEXT_DESTINATION:
	case NEXT_MOBILITY:
		return (header[1] + 1u) * 8;
	case NEXT_FRAGMENT:
		return EXTENSION_MIN_BYTES;
	case NEXT_AH:
		return (header[1] + 2u) * 4;
	default:
		return 0;
	}
}

static bool is_extension(uint8_t next)
{
	static const uint8_t any[EXTENSION_MIN_BYTES];

	return extension_len(next, any) != 0;
}

static bool is_error_or_redirect(uint8_t type)
{
	return type < ICMP_FIRST_INFORMATION || type == ICMP_REDIRECT;
}

bool icmp_is_forbidden_about(const uint8_t *packet, size_t len)
{
	static const struct ip6 unspecified;
	uint8_t next;
	size_t at = IP6_HEADER_BYTES;

	if (len < IP6_HEADER_BYTES || packet[0] >> 4 != 6 || packet[8] == 0xff)
		return true;
	if (memcmp(packet + 8, &unspecified, sizeof(unspecified)) == 0)
		return true;
	next = packet[6];
	while (is_extension(next)) {
		const uint8_t *header = packet + at;

		if (at > len || len - at < EXTENSION_MIN_BYTES || is_later_fragment(next, header))
			return true;
		at += extension_len(next, header);
		next = header[0];
	}
	return next == NEXT_ICMP6 && (at >= len || is_error_or_redirect(packet[at]));
}

struct icmp_packet {
	struct icmp_error error;
	struct ip6 src, dst;
	uint8_t hop_limit;
	const uint8_t *quote;
	size_t quote_len;
};

/* The whole IPv6 packet to out, which does not overlap the quote; its length. */
static size_t put_packet(const struct icmp_packet *p, uint8_t *out)
{
	const size_t icmp_len = ICMP_HEADER_BYTES + p->quote_len;
	struct wr w = wr_init(out, IP6_HEADER_BYTES + icmp_len);
	uint8_t *icmp = out + IP6_HEADER_BYTES;
	uint16_t checksum;

	wr_be32(&w, 6u << 28);
	wr_be16(&w, (uint16_t)icmp_len);
	wr_u8(&w, NEXT_ICMP6);
	wr_u8(&w, p->hop_limit);
	wr_bytes(&w, &p->src, sizeof(p->src));
	wr_bytes(&w, &p->dst, sizeof(p->dst));
	wr_u8(&w, p->error.type);
	wr_u8(&w, p->error.code);
	wr_be16(&w, 0);
	wr_be32(&w, p->error.parameter);
	wr_bytes(&w, p->quote, p->quote_len);
	checksum = icmp_checksum(&p->src, &p->dst, NEXT_ICMP6, icmp, icmp_len);
	memcpy(icmp + 2, &checksum, sizeof(checksum));
	return wr_len(&w);
}

/* What of an original fits into an error to the host. */
static size_t local_quote_len(size_t len)
{
	const size_t room = ICMP_LOCAL_MAX_BYTES - IP6_HEADER_BYTES - ICMP_HEADER_BYTES;

	return len < room ? len : room;
}

size_t icmp_local(const struct icmp_error *e, const struct ip6 *from, const uint8_t *packet, size_t len, uint8_t *out)
{
	struct icmp_packet p = {.error = *e,
				.src = *from,
				.hop_limit = ICMP_HOP_LIMIT,
				.quote = packet,
				.quote_len = local_quote_len(len)};

	memcpy(&p.dst, packet + 8, sizeof(p.dst));
	return put_packet(&p, out);
}

size_t icmp_oob_build(const struct icmp_error *e, const struct ip6 *base, const uint8_t *frame, size_t len,
		      uint8_t *out)
{
	const size_t sealed_len = len - WIRE_DATA_HEADER_BYTES;
	struct wire_data header;
	struct icmp_packet p = {.error = *e,
				.src = *base,
				.hop_limit = ICMP_HOP_LIMIT,
				.quote = frame + WIRE_DATA_HEADER_BYTES,
				.quote_len = sealed_len <= WIRE_ICMP_QUOTE_MAX_BYTES ? sealed_len : 0};

	memcpy(&header, frame, sizeof(header));
	p.dst = header.src;
	memcpy(out, &header.dst, sizeof(header.dst));
	return sizeof(header.dst) + put_packet(&p, out + sizeof(header.dst));
}

/* An error with a meaning for the host: neither information (echo, neighbour and router discovery) nor unknown. */
static bool is_reportable(uint8_t type)
{
	return type >= ICMP_UNREACHABLE && type <= ICMP_PARAMETER_PROBLEM;
}

enum stat_id icmp_oob_parse(uint8_t *body, size_t len, struct icmp_oob *out)
{
	struct rd r = rd_init(body, len);
	struct icmp_oob icmp = {0};
	uint32_t version;
	uint16_t payload_len;
	uint8_t next;

	if (len < WIRE_ICMP_BODY_MIN_BYTES || len > WIRE_ICMP_BODY_MAX_BYTES)
		return STAT_drop_icmp_malformed;
	rd_bytes(&r, &icmp.about, sizeof(icmp.about));
	version = rd_be32(&r) >> 28;
	payload_len = rd_be16(&r);
	next = rd_u8(&r);
	rd_take(&r, 1 + sizeof(struct ip6)); /* hop limit and source: those of the frame hold */
	rd_bytes(&r, &icmp.origin, sizeof(icmp.origin));
	if (version != 6 || next != NEXT_ICMP6 || payload_len != rd_left(&r))
		return STAT_drop_icmp_malformed;
	icmp.type = rd_u8(&r);
	icmp.code = rd_u8(&r);
	rd_be16(&r);
	icmp.parameter = rd_be32(&r);
	icmp.quote_len = rd_left(&r);
	icmp.quote = body + (len - icmp.quote_len);
	if (r.bad || !is_reportable(icmp.type))
		return STAT_drop_icmp_malformed;
	if (icmp.quote_len < WIRE_SEALED_MIN_BYTES)
		return STAT_drop_icmp_quote;
	*out = icmp;
	return 0;
}

size_t icmp_oob_deliver(const struct icmp_oob *icmp, const struct icmp_report *r, uint8_t *out)
{
	const struct icmp_packet p = {.error = {icmp->type, icmp->code, icmp->parameter},
				      .src = *r->from,
				      .dst = *r->to,
				      .hop_limit = r->hop_limit,
				      .quote = r->original,
				      .quote_len = local_quote_len(r->original_len)};

	if (icmp_is_forbidden_about(r->original, r->original_len))
		return 0;
	if (memcmp(r->original + 8, r->to, sizeof(*r->to)) != 0)
		return 0;
	if (memcmp(r->original + 24, &icmp->about, sizeof(icmp->about)) != 0)
		return 0;
	return put_packet(&p, out);
}

bool icmp_rate_pass(struct icmp_rate *r, uint64_t net64, struct mono now)
{
	uint32_t *bucket = &r->bucket[siphash(&net64, sizeof(net64)) % (sizeof(r->bucket) / sizeof(r->bucket[0]))];
	const int64_t age_ms = mono_since_ms(now, r->second);

	if (age_ms < 0 || age_ms >= 1000)
		*r = (struct icmp_rate){.second = now};
	if (r->all >= LIMIT_ICMP_PER_SECOND || *bucket >= LIMIT_ICMP_PER_PEER_PER_SECOND)
		return false;
	r->all++;
	++*bucket;
	return true;
}
