/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/codec.h"

int codec_generation(const struct node *n, const struct router_id *id)
{
	const uint8_t generation = id->tail[WIRE_ROUTER_TAIL_BYTES - 1];

	if (generation >= SIM_GENERATIONS || memcmp(&n->ids[generation], id, sizeof(*id)) != 0)
		return -1;
	return generation;
}

static bool name(const struct world *w, const struct ip6 *ip, uint8_t plen, const struct router_id *id,
		 struct codec_tlv *out)
{
	const struct prefix p = {.ip = *ip, .len = plen}; /* as it stands: stray host bits are not found */
	int generation;

	out->dest = world_find(w, &p);
	if (out->dest < 0)
		return false;
	generation = codec_generation(&w->nodes[out->dest], id);
	out->generation = (uint32_t)generation;
	return generation >= 0;
}

static bool read_update(const struct world *w, struct rd *r, struct codec_tlv *out)
{
	const uint8_t ae = rd_u8(r), flags = rd_u8(r), plen = rd_u8(r), omitted = rd_u8(r);
	const uint16_t interval = rd_be16(r);
	struct router_id id;
	struct ip6 ip;

	out->seqno = rd_be16(r);
	out->metric = rd_be16(r);
	rd_bytes(r, ip.b, sizeof(ip.b));
	rd_bytes(r, &id, sizeof(id));
	return !r->bad && rd_left(r) == 0 && ae == WIRE_AE_IPV6 && flags == 0 && omitted == 0 &&
	       interval == network200.update_interval && name(w, &ip, plen, &id, out);
}

static bool read_request(const struct world *w, struct rd *r, struct codec_tlv *out)
{
	const uint8_t ae = rd_u8(r), plen = rd_u8(r);
	struct router_id id;
	struct ip6 ip = {{0}};
	uint8_t reserved;

	out->seqno = rd_be16(r);
	out->hops = rd_u8(r);
	reserved = rd_u8(r);
	rd_bytes(r, &id, sizeof(id));
	rd_bytes(r, ip.b, 8);
	return !r->bad && rd_left(r) == 0 && ae == WIRE_AE_IPV6 && out->hops > 0 && reserved == 0 &&
	       name(w, &ip, plen, &id, out);
}

bool codec_read(const struct world *w, const uint8_t *bytes, size_t len, struct codec_tlv *out)
{
	struct rd r = rd_init(bytes, len);

	*out = (struct codec_tlv){.type = rd_u8(&r)};
	if (rd_u8(&r) != rd_left(&r) || r.bad)
		return false;
	if (out->type == CODEC_UPDATE)
		return read_update(w, &r, out);
	return out->type == CODEC_REQUEST && read_request(w, &r, out);
}

static void put16(uint8_t *out, uint16_t v)
{
	out[0] = (uint8_t)(v >> 8);
	out[1] = (uint8_t)v;
}

size_t codec_write(const struct world *w, const struct codec_tlv *t, uint8_t out[CODEC_UPDATE_BYTES])
{
	const struct node *dest = &w->nodes[t->dest];
	const size_t len = t->type == CODEC_UPDATE ? CODEC_UPDATE_BYTES : CODEC_REQUEST_BYTES;
	uint8_t *v = out + WIRE_TLV_HEADER_BYTES;

	memset(out, 0, len);
	out[0] = t->type;
	out[1] = (uint8_t)(len - WIRE_TLV_HEADER_BYTES);
	v[0] = WIRE_AE_IPV6;
	if (t->type == CODEC_UPDATE) {
		v[2] = dest->own.len;
		put16(v + 4, network200.update_interval);
		put16(v + 6, t->seqno);
		put16(v + 8, t->metric);
		memcpy(v + 10, dest->own.ip.b, sizeof(dest->own.ip.b));
		memcpy(v + 26, &dest->ids[t->generation], sizeof(struct router_id));
	} else {
		v[1] = dest->own.len;
		put16(v + 2, t->seqno);
		v[4] = t->hops;
		memcpy(v + 6, &dest->ids[t->generation], sizeof(struct router_id));
		memcpy(v + 46, dest->own.ip.b, 8);
	}
	return len;
}

void codec_trace(const struct node *to, const struct node *from, const uint8_t *bytes, size_t len)
{
	const struct world *w = to->world;
	struct codec_tlv t;

	if (!codec_read(w, bytes, len, &t) || t.dest != w->trace)
		return;
	if (t.type == CODEC_UPDATE)
		world_trace(w, "%d -> %d: Update of %d.%u (%u, %u)", from->index, to->index, t.dest, t.generation,
			    t.seqno, t.metric);
	else
		world_trace(w, "%d -> %d: request of %d.%u for %u, %u hops", from->index, to->index, t.dest,
			    t.generation, t.seqno, t.hops);
}
