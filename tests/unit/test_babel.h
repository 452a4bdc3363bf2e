/* SPDX-License-Identifier: Apache-2.0 */
/* One routing core in a world of its own: a clock that is set, links that record what is sent, nodes made of numbers.
 * For the test_babel programs. */
#ifndef TESTS_UNIT_TEST_BABEL_H
#define TESTS_UNIT_TEST_BABEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "controld/babel/babel.h"
#include "controld/babel/tlv.h"
#include "shared/limits.h"
#include <cmocka.h>
#include <stdlib.h>

enum {
	SELF = 1000, /* number of the node under test */
	ME_TAIL = 7,
};

struct sent {
	uint32_t link;
	struct tlv tlv;
	struct mono at;
};

struct world {
	struct babel *b;
	struct mono now;
	struct sent *sent;
	size_t sent_count, sent_cap, ticks;
	uint32_t selected, unselected, keys, elsewhere, seqnos, swept;
	struct babel_route last; /* selected last */
	struct router_id other; /* of the last key_elsewhere */
	uint8_t last_key[32];
	uint16_t seqno;
	uint32_t dice;
};

static inline struct router_id node_id(uint32_t node, uint8_t tail)
{
	struct router_id id = {.tail = {0, 0, 1, 2, 3, 4, 5, tail}};

	for (size_t i = 0; i < 8; i++)
		memcpy(id.public_key + 4 * i, &node, 4);
	return id;
}

static inline struct ip6 node_address(uint32_t node)
{
	const struct router_id id = node_id(node, 0);
	struct pubkey pk;
	struct ip6 ip;

	memcpy(pk.b, id.public_key, sizeof(pk.b));
	network200.address(&pk, &ip);
	return ip;
}

static inline struct prefix node_prefix_len(uint32_t node, uint8_t len)
{
	const struct ip6 ip = node_address(node);

	return prefix_make(&ip, len);
}

static inline struct prefix node_prefix(uint32_t node)
{
	return node_prefix_len(node, 64);
}

static inline void world_send(void *ctx, uint32_t link, const uint8_t *bytes, size_t len)
{
	struct world *w = ctx;
	struct rd r = rd_init(bytes, len);
	struct sent *s;

	if (w->sent_count == w->sent_cap) {
		w->sent_cap = w->sent_cap * 2 + 64;
		w->sent = realloc(w->sent, w->sent_cap * sizeof(*w->sent));
		assert_non_null(w->sent);
	}
	s = &w->sent[w->sent_count++];
	s->link = link;
	s->at = w->now;
	assert_int_equal(tlv_read(&r, &s->tlv), TLV_OK);
	assert_int_equal(rd_left(&r), 0);
}

static inline void world_selected(void *ctx, const struct prefix *p, const struct babel_route *route)
{
	struct world *w = ctx;

	if (!route) {
		w->unselected++;
		return;
	}
	w->selected++;
	w->last = *route;
	assert_true(prefix_eq(p, &route->prefix));
	assert_true(route->selected);
	assert_int_not_equal(route->metric, WIRE_INFINITE);
}

static inline void world_key(void *ctx, const struct prefix *net64, const uint8_t public_key[32])
{
	struct world *w = ctx;

	assert_int_equal(net64->len, 64);
	w->keys++;
	memcpy(w->last_key, public_key, 32);
}

static inline void world_elsewhere(void *ctx, uint32_t link, const struct router_id *other)
{
	struct world *w = ctx;

	(void)link;
	w->elsewhere++;
	w->other = *other;
}

static inline void world_seqno(void *ctx, uint16_t seqno)
{
	struct world *w = ctx;

	w->seqnos++;
	w->seqno = seqno;
}

static inline void world_swept(void *ctx, uint32_t count)
{
	struct world *w = ctx;

	assert_int_not_equal(count, 0);
	assert_int_equal(w->swept, 0); /* told once */
	w->swept = count;
}

static inline void world_random(void *ctx, void *out, size_t len)
{
	struct world *w = ctx;
	uint8_t *p = out;

	while (len--) {
		w->dice = w->dice * 1103515245 + 12345;
		*p++ = (uint8_t)(w->dice >> 16);
	}
}

static inline struct world *world_new(uint16_t seqno)
{
	static const struct babel_ops ops = {.send = world_send,
					     .selected = world_selected,
					     .key = world_key,
					     .key_elsewhere = world_elsewhere,
					     .seqno = world_seqno,
					     .swept = world_swept,
					     .random = world_random};
	struct world *w = calloc(1, sizeof(*w));
	const struct babel_config config = {
		.network = &network200, .self = node_id(SELF, ME_TAIL), .own = node_prefix(SELF), .seqno = seqno};

	assert_non_null(w);
	w->now.us = 1000000000;
	w->b = babel_new(&config, &ops, w, w->now);
	return w;
}

static inline void world_free(struct world *w)
{
	babel_free(w->b);
	free(w->sent);
	free(w);
}

static inline void world_forget(struct world *w)
{
	w->sent_count = 0;
}

/* Lets so many ms pass, calling as the core wishes; each wish must lie ahead. */
static inline void world_run(struct world *w, int64_t ms)
{
	const struct mono end = mono_add_ms(w->now, ms);

	for (;;) {
		const struct mono next = babel_tick(w->b, w->now);

		w->ticks++;
		assert_true(next.us > w->now.us);
		if (next.us > end.us)
			break;
		w->now = next;
	}
	w->now = end;
}

/* A world with links 1..count, their first tables over. */
static inline struct world *world_with_links(uint32_t count)
{
	struct world *w = world_new(0);

	for (uint32_t link = 1; link <= count; link++)
		assert_true(babel_link_up(w->b, link, UINT32_MAX, w->now));
	world_run(w, 10);
	world_forget(w);
	return w;
}

static inline void world_deliver(struct world *w, uint32_t link, const struct tlv *t)
{
	uint8_t bytes[128];
	struct wr wr = wr_init(bytes, sizeof(bytes));

	tlv_write(&wr, t);
	assert_false(wr.bad);
	babel_tlvs(w->b, link, bytes, wr_len(&wr), w->now);
}

static inline struct tlv make_update(uint32_t node, uint8_t tail, uint16_t seqno, uint16_t metric)
{
	return (struct tlv){.type = TLV_UPDATE,
			    .update = {.ae = WIRE_AE_IPV6,
				       .prefix_len = 64,
				       .interval = 16,
				       .seqno = seqno,
				       .metric = metric,
				       .address = node_prefix(node).ip,
				       .router_id = node_id(node, tail)}};
}

/* An Update for the prefix of node, from its process number 0. */
static inline void world_update(struct world *w, uint32_t link, uint32_t node, uint16_t seqno, uint16_t metric)
{
	const struct tlv t = make_update(node, 0, seqno, metric);

	world_deliver(w, link, &t);
}

static inline struct tlv make_request(uint32_t node, uint8_t tail, uint16_t seqno, uint8_t hop_count)
{
	return (struct tlv){.type = TLV_SEQNO_REQUEST,
			    .seqno_request = {.ae = WIRE_AE_IPV6,
					      .prefix_len = 64,
					      .hop_count = hop_count,
					      .seqno = seqno,
					      .router_id = node_id(node, tail),
					      .address = node_prefix(node).ip}};
}

static inline void world_request(struct world *w, uint32_t link, uint32_t node, uint16_t seqno)
{
	const struct tlv t = make_request(node, 0, seqno, 64);

	world_deliver(w, link, &t);
}

/* Updates for the prefix of node that went to link since world_forget(); link 0: to any. */
static inline size_t world_count_updates(const struct world *w, uint32_t link, uint32_t node, bool finite)
{
	const struct prefix p = node_prefix(node);
	size_t count = 0;

	for (size_t i = 0; i < w->sent_count; i++) {
		const struct sent *s = &w->sent[i];

		count += s->tlv.type == TLV_UPDATE && (!link || s->link == link) &&
			 ip6_eq(&s->tlv.update.address, &p.ip) && (s->tlv.update.metric != WIRE_INFINITE) == finite;
	}
	return count;
}

static inline size_t world_count_requests(const struct world *w, uint32_t link)
{
	size_t count = 0;

	for (size_t i = 0; i < w->sent_count; i++)
		count += w->sent[i].tlv.type == TLV_SEQNO_REQUEST && (!link || w->sent[i].link == link);
	return count;
}

/* The last TLV of a type sent to link. */
static inline const struct tlv *world_last(const struct world *w, uint32_t link, enum tlv_type type)
{
	for (size_t i = w->sent_count; i-- > 0;)
		if (w->sent[i].link == link && w->sent[i].tlv.type == type)
			return &w->sent[i].tlv;
	fail_msg("nothing of type %d went to link %u", (int)type, link);
	return NULL;
}

static inline struct babel_route world_route(const struct world *w, uint32_t node)
{
	const struct ip6 ip = node_address(node);
	struct babel_route r = {.metric = WIRE_INFINITE};

	(void)babel_find(w->b, &ip, &r);
	return r;
}

static inline bool world_has_route(const struct world *w, uint32_t node)
{
	return world_route(w, node).metric != WIRE_INFINITE;
}

static inline void world_count_one(void *ctx, const struct babel_route *r)
{
	size_t *count = ctx;

	(void)r;
	(*count)++;
}

static inline size_t world_routes(const struct world *w)
{
	size_t count = 0;

	babel_each_route(w->b, world_count_one, &count);
	return count;
}

static inline void world_keep_source(void *ctx, const struct babel_source *s)
{
	struct babel_source *found = ctx;

	if (prefix_eq(&s->prefix, &found->prefix) &&
	    memcmp(&s->router_id, &found->router_id, sizeof(s->router_id)) == 0)
		found->fd = s->fd;
}

/* Feasibility distance of (prefix of node, process tail); metric infinite if there is none. */
static inline struct babel_fd world_fd(const struct world *w, uint32_t node, uint8_t tail)
{
	struct babel_source found = {
		.prefix = node_prefix(node), .router_id = node_id(node, tail), .fd = {.metric = WIRE_INFINITE}};

	babel_each_source(w->b, world_keep_source, &found);
	return found.fd;
}

#endif
