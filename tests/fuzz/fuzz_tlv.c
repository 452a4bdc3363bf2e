/* SPDX-License-Identifier: Apache-2.0 */
/* Strangers' control packets into a routing core with two links. The input is a script: one byte says what happens, a
 * packet follows as length and bytes. Nodes whose keys own their prefixes are in reach through short forms, so that the
 * tables fill. What must hold: at most one selected route per prefix, and it is finite; no wish lies in the past. */
#include "controld/babel/babel.h"
#include "controld/babel/tlv.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	ACT_PACKET,
	ACT_UPDATE,
	ACT_REQUEST,
	ACT_TIME,
	ACT_LINK_UP,
	ACT_LINK_DOWN,
	ACT_RTT,
	ACT_HOLD,
	ACTS,
};

static void on_send(void *ctx, uint32_t link, const uint8_t *bytes, size_t len)
{
	struct rd r = rd_init(bytes, len);
	struct tlv t;

	(void)ctx;
	assert(link == 1 || link == 2);
	assert(tlv_read(&r, &t) == TLV_OK && rd_left(&r) == 0);
}

static void on_selected(void *ctx, const struct prefix *p, const struct babel_route *route)
{
	(void)ctx;
	assert(!route || (route->metric != WIRE_INFINITE && route->selected && prefix_eq(p, &route->prefix)));
}

static void on_key(void *ctx, const struct prefix *net64, const uint8_t public_key[32])
{
	(void)ctx;
	(void)public_key;
	assert(net64->len == 64);
}

static void on_elsewhere(void *ctx, uint32_t link, const struct router_id *other)
{
	(void)ctx;
	(void)link;
	(void)other;
}

static void on_swept(void *ctx, uint32_t count)
{
	(void)ctx;
	assert(count > 0);
}

static void on_seqno(void *ctx, uint16_t seqno)
{
	(void)ctx;
	(void)seqno;
}

static void on_random(void *ctx, void *out, size_t len)
{
	(void)ctx;
	memset(out, 0x55, len);
}

static struct router_id node_id(uint8_t node)
{
	struct router_id id = {.tail = {0, 0, 0, 0, 0, 0, 0, node >> 4}};

	memset(id.public_key, node & 15, sizeof(id.public_key));
	return id;
}

/* The prefix of node, its length from 62 to 77. */
static struct prefix node_prefix(uint8_t node, uint8_t longer)
{
	struct pubkey pk;
	struct ip6 ip;

	memcpy(pk.b, node_id(node).public_key, sizeof(pk.b));
	network200.address(&pk, &ip);
	return prefix_make(&ip, 62 + longer % 16);
}

static void act_packet(struct babel *b, struct rd *r, struct mono now)
{
	const uint8_t link = rd_u8(r);
	const size_t want = rd_u8(r), len = want < rd_left(r) ? want : rd_left(r);
	uint8_t *copy = malloc(len ? len : 1); /* so that reading too far is seen */

	if (!copy)
		abort();
	rd_bytes(r, copy, len);
	babel_tlvs(b, 1 + link % 3, copy, len, now);
	free(copy);
}

static void act_tlv(struct babel *b, struct rd *r, struct mono now, bool is_update)
{
	const uint8_t link = rd_u8(r), node = rd_u8(r), longer = rd_u8(r);
	const struct prefix p = node_prefix(node, longer);
	struct tlv t = {.type = is_update ? TLV_UPDATE : TLV_SEQNO_REQUEST};
	uint8_t bytes[TLV_MAX_BYTES];
	struct wr w = wr_init(bytes, sizeof(bytes));

	if (is_update)
		t.update = (struct tlv_update){.ae = WIRE_AE_IPV6,
					       .prefix_len = p.len,
					       .seqno = rd_be16(r),
					       .metric = rd_be16(r),
					       .address = p.ip,
					       .router_id = node_id(node)};
	else
		t.seqno_request = (struct tlv_seqno_request){.ae = WIRE_AE_IPV6,
							     .prefix_len = p.len,
							     .seqno = rd_be16(r),
							     .hop_count = rd_u8(r),
							     .address = p.ip,
							     .router_id = node_id(node)};
	tlv_write(&w, &t);
	babel_tlvs(b, 1 + link % 2, bytes, wr_len(&w), now);
}

static void act_hold(struct babel *b, struct rd *r, struct mono now)
{
	const uint8_t link = rd_u8(r), node = rd_u8(r), longer = rd_u8(r);
	const struct babel_route route = {.prefix = node_prefix(node, longer),
					  .router_id = node_id(node),
					  .link = 1 + link % 2,
					  .seqno = rd_be16(r),
					  .metric = rd_be16(r),
					  .selected = link & 0x80,
					  .fd = {.seqno = rd_be16(r), .metric = rd_be16(r)}};

	babel_hold(b, &route, now);
}

struct seen {
	struct prefix prefix;
	bool any;
};

static void check_route(void *ctx, const struct babel_route *route)
{
	struct seen *seen = ctx;

	if (!route->selected)
		return;
	assert(route->metric != WIRE_INFINITE);
	assert(!seen->any || !prefix_eq(&seen->prefix, &route->prefix));
	*seen = (struct seen){.prefix = route->prefix, .any = true};
}

static struct mono act(struct babel *b, struct rd *r, struct mono now)
{
	switch (rd_u8(r) % ACTS) {
	case ACT_PACKET:
		act_packet(b, r, now);
		break;
	case ACT_UPDATE:
		act_tlv(b, r, now, true);
		break;
	case ACT_REQUEST:
		act_tlv(b, r, now, false);
		break;
	case ACT_TIME:
		now = mono_add_ms(now, (int64_t)rd_u8(r) * rd_u8(r) * 8);
		assert(babel_tick(b, now).us > now.us);
		break;
	case ACT_LINK_UP:
		(void)babel_link_up(b, 1 + rd_u8(r) % 2, UINT32_MAX, now);
		break;
	case ACT_LINK_DOWN:
		babel_link_down(b, 1 + rd_u8(r) % 2, now);
		break;
	case ACT_RTT:
		babel_link_rtt(b, 1 + rd_u8(r) % 2, rd_be32(r), now);
		break;
	case ACT_HOLD:
		act_hold(b, r, now);
		break;
	}
	return now;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct babel_ops ops = {.send = on_send,
					     .selected = on_selected,
					     .key = on_key,
					     .key_elsewhere = on_elsewhere,
					     .seqno = on_seqno,
					     .swept = on_swept,
					     .random = on_random};
	const struct babel_config config = {.network = &network200, .self = node_id(0), .own = node_prefix(0, 2)};
	struct mono now = {.us = 1000000};
	struct babel *b = babel_new(&config, &ops, NULL, now);
	struct rd r = rd_init(data, size);
	struct seen seen = {.any = false};

	(void)babel_link_up(b, 1, UINT32_MAX, now);
	(void)babel_link_up(b, 2, UINT32_MAX, now);
	while (rd_left(&r) > 0)
		now = act(b, &r, now);
	babel_each_route(b, check_route, &seen);
	babel_free(b);
	return 0;
}
