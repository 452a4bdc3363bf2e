/* SPDX-License-Identifier: Apache-2.0 */
/* Readers and writers of the TLVs, one pair per line of tlv.def. A reader is its fields, in order; the cursor's error
 * is asked once, at the end. */
#include "controld/babel/tlv.h"

enum {
	AE_UNKNOWN_BYTES = 255,
	IPV4_BITS = 32,
	IPV6_BITS = 128,
};

/* Bytes of a full address of that encoding. */
static size_t ae_bytes(uint8_t ae)
{
	static const uint8_t bytes[] = {
		[WIRE_AE_WILDCARD] = 0, [WIRE_AE_IPV4] = 4, [WIRE_AE_IPV6] = 16, [WIRE_AE_LINK_LOCAL] = 8};

	return ae < sizeof(bytes) ? bytes[ae] : AE_UNKNOWN_BYTES;
}

static size_t ae_bits(uint8_t ae)
{
	return ae == WIRE_AE_IPV4 ? IPV4_BITS : IPV6_BITS;
}

/* Where the bytes of an address of that encoding lie in an IPv6 address. */
static size_t ae_offset(uint8_t ae)
{
	return ae == WIRE_AE_LINK_LOCAL ? 8 : 0;
}

static void read_address(struct rd *r, uint8_t ae, size_t len, struct ip6 *out)
{
	*out = (struct ip6){{0}};
	if (ae == WIRE_AE_LINK_LOCAL) {
		out->b[0] = 0xfe;
		out->b[1] = 0x80;
	}
	rd_bytes(r, out->b + ae_offset(ae), len);
}

static void write_address(struct wr *w, uint8_t ae, size_t len, const struct ip6 *address)
{
	wr_bytes(w, address->b + ae_offset(ae), len);
}

static void read_hello(struct rd *r, struct tlv_hello *t)
{
	t->flags = rd_be16(r);
	t->seqno = rd_be16(r);
	t->interval = rd_be16(r);
}

static void write_hello(struct wr *w, const struct tlv_hello *t)
{
	wr_be16(w, t->flags);
	wr_be16(w, t->seqno);
	wr_be16(w, t->interval);
}

static void read_ihu(struct rd *r, struct tlv_ihu *t)
{
	t->ae = rd_u8(r);
	(void)rd_u8(r);
	t->rx_cost = rd_be16(r);
	t->interval = rd_be16(r);
	if (ae_bytes(t->ae) != AE_UNKNOWN_BYTES)
		read_address(r, t->ae, ae_bytes(t->ae), &t->address);
}

static void write_ihu(struct wr *w, const struct tlv_ihu *t)
{
	wr_u8(w, t->ae);
	wr_u8(w, 0);
	wr_be16(w, t->rx_cost);
	wr_be16(w, t->interval);
	write_address(w, t->ae, ae_bytes(t->ae), &t->address);
}

static void read_update(struct rd *r, struct tlv_update *t)
{
	t->ae = rd_u8(r);
	t->flags = rd_u8(r);
	t->prefix_len = rd_u8(r);
	t->omitted = rd_u8(r);
	t->interval = rd_be16(r);
	t->seqno = rd_be16(r);
	t->metric = rd_be16(r);
	if (ae_bytes(t->ae) == AE_UNKNOWN_BYTES)
		return;
	read_address(r, t->ae, ae_bytes(t->ae), &t->address);
	rd_bytes(r, &t->router_id, sizeof(t->router_id));
	r->bad |= t->prefix_len > ae_bits(t->ae);
}

static void write_update(struct wr *w, const struct tlv_update *t)
{
	wr_u8(w, t->ae);
	wr_u8(w, t->flags);
	wr_u8(w, t->prefix_len);
	wr_u8(w, t->omitted);
	wr_be16(w, t->interval);
	wr_be16(w, t->seqno);
	wr_be16(w, t->metric);
	write_address(w, t->ae, ae_bytes(t->ae), &t->address);
	wr_bytes(w, &t->router_id, sizeof(t->router_id));
}

/* Unlike in an Update the prefix is cut to whole bytes; only AE 3 always has its eight. */
static size_t request_prefix_bytes(const struct tlv_seqno_request *t)
{
	if (t->ae == WIRE_AE_WILDCARD || t->ae == WIRE_AE_LINK_LOCAL)
		return ae_bytes(t->ae);
	return (t->prefix_len + 7u) / 8;
}

static void read_seqno_request(struct rd *r, struct tlv_seqno_request *t)
{
	t->ae = rd_u8(r);
	t->prefix_len = rd_u8(r);
	t->seqno = rd_be16(r);
	t->hop_count = rd_u8(r);
	(void)rd_u8(r);
	rd_bytes(r, &t->router_id, sizeof(t->router_id));
	if (ae_bytes(t->ae) == AE_UNKNOWN_BYTES)
		return;
	if (t->prefix_len > ae_bits(t->ae))
		r->bad = true;
	else
		read_address(r, t->ae, request_prefix_bytes(t), &t->address);
}

static void write_seqno_request(struct wr *w, const struct tlv_seqno_request *t)
{
	wr_u8(w, t->ae);
	wr_u8(w, t->prefix_len);
	wr_be16(w, t->seqno);
	wr_u8(w, t->hop_count);
	wr_u8(w, 0);
	wr_bytes(w, &t->router_id, sizeof(t->router_id));
	write_address(w, t->ae, request_prefix_bytes(t), &t->address);
}

enum tlv_verdict tlv_read(struct rd *packet, struct tlv *out)
{
	struct tlv t = {0};
	struct rd value;
	uint8_t type;

	if (rd_left(packet) == 0)
		return TLV_END;
	type = rd_u8(packet);
	if (type == TLV_PAD1)
		return TLV_UNKNOWN;
	value = rd_sub(packet, rd_u8(packet));
	if (packet->bad)
		return TLV_BAD;
	switch (type) {
#define TLV(name, NAME, number) \
	case TLV_##NAME: \
		read_##name(&value, &t.name); \
		break;
#include "controld/babel/tlv.def"
	default:
		return TLV_UNKNOWN;
	}
	if (value.bad)
		return TLV_BAD;
	t.type = type;
	*out = t;
	return TLV_OK;
}

void tlv_write(struct wr *w, const struct tlv *t)
{
	uint8_t *header = wr_room(w, WIRE_TLV_HEADER_BYTES);
	const size_t before = wr_len(w);

	switch (t->type) {
#define TLV(name, NAME, number) \
	case TLV_##NAME: \
		write_##name(w, &t->name); \
		break;
#include "controld/babel/tlv.def"
	case TLV_PAD1:
		break;
	}
	if (w->bad)
		return;
	header[0] = (uint8_t)t->type;
	header[1] = (uint8_t)(wr_len(w) - before);
}
