/* SPDX-License-Identifier: Apache-2.0 */
#include "fastpath/stream.h"

enum {
	TLV_PAD1 = 0,
	TLV_PADN = 1,
	HEAD_BYTES = 8, /* after so many bytes the size of either packet is known */
	OLD_OPENING_BYTES = 17,
};

enum stream_verdict stream_read(struct stream *s, struct stream_batch *batch)
{
	uint8_t *p = s->at;
	enum stream_verdict verdict = STREAM_FULL;
	unsigned n = 0;

	while (n < LIMIT_BATCH_FRAMES) {
		const size_t left = (size_t)(s->end - p);
		size_t size;

		if ((left >= 1 && p[0] != WIRE_VERSION) || (left >= 2 && p[1] != WIRE_DATA && p[1] != WIRE_CONTROL)) {
			verdict = STREAM_BAD;
			break;
		}
		if (left < HEAD_BYTES || left < (size = stream_packet_size(p))) {
			verdict = STREAM_MORE;
			break;
		}
		batch->packet[n++] =
			(struct stream_packet){.bytes = p, .len = (uint32_t)size, .control = p[1] == WIRE_CONTROL};
		p += size;
	}
	s->at = p;
	batch->count = n;
	return verdict;
}

static bool begins(const uint8_t *bytes, size_t len, const char *with)
{
	const size_t n = strlen(with);

	return len >= n && memcmp(bytes, with, n) == 0;
}

/* One byte for the family, an address of 16 bytes, an IPv4 one in the first 4. */
static bool is_old_opening(const uint8_t *bytes, size_t len)
{
	if (bytes[0] == 1)
		return true;
	if (bytes[0] != 0)
		return false;
	for (size_t i = 5; i < len && i < OLD_OPENING_BYTES; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

const char *stream_era(const uint8_t *bytes, size_t len, bool first)
{
	static const char *const http[] = {"GET ",     "HEAD ",	   "POST ",	 "PUT ",
					   "OPTIONS ", "CONNECT ", "PRI * HTTP", "HTTP/"};

	if (!len)
		return "not this protocol";
	if (!first)
		return "not this protocol any more: out of step";
	if (is_old_opening(bytes, len))
		return "looks like v0.1.3 or older, which opens with its address";
	if (bytes[0] == 0x16 && (len < 2 || bytes[1] == 0x03))
		return "looks like TLS";
	if (begins(bytes, len, "SSH-"))
		return "looks like SSH";
	for (size_t i = 0; i < sizeof(http) / sizeof(http[0]); i++) {
		if (begins(bytes, len, http[i]))
			return "looks like HTTP";
	}
	return "not this protocol";
}

struct rd stream_tlvs(const struct stream_packet *p)
{
	struct rd r = rd_init(p->bytes + WIRE_CONTROL_HEADER_BYTES, p->len - WIRE_CONTROL_HEADER_BYTES);

	if (p->bytes[4] != WIRE_BABEL_MAGIC || p->bytes[5] != WIRE_BABEL_VERSION)
		r.bad = true;
	return r;
}

bool stream_tlv_next(struct rd *r, struct stream_tlv *out)
{
	while (!r->bad && rd_left(r)) {
		const uint8_t *start = r->p;
		const uint8_t type = rd_u8(r);

		if (type == TLV_PAD1)
			continue;
		rd_take(r, rd_u8(r));
		if (r->bad)
			return false;
		if (type == TLV_PADN)
			continue;
		*out = (struct stream_tlv){.bytes = start, .len = (size_t)(r->p - start), .type = type};
		return true;
	}
	return false;
}

bool stream_tlv_is_newer(const struct stream_tlv *t)
{
	enum { FIXED = 10, FULL_PREFIX = 16 };
	const uint8_t *value = t->bytes + WIRE_TLV_HEADER_BYTES;
	const size_t len = t->len - WIRE_TLV_HEADER_BYTES;
	size_t prefix_bytes;

	if (t->type != STREAM_TLV_UPDATE || len < FIXED + WIRE_ROUTER_ID_BYTES || value[0] != WIRE_AE_IPV6)
		return false;
	prefix_bytes = (value[2] + 7U) / 8;
	return prefix_bytes < FULL_PREFIX && len == FIXED + prefix_bytes + WIRE_ROUTER_ID_BYTES;
}
