/* SPDX-License-Identifier: Apache-2.0 */
/* A node with the real core. Its mutants bend what the core sends, so that the checks can be seen to fail. */
#include "tests/sim/core.h"

#include "shared/limits.h"
#include "tests/sim/check.h"
#include "tests/sim/codec.h"
#include <assert.h>
#include <stdlib.h>

struct core {
	struct node *node; /* borrowed */
	struct babel *babel; /* owned */
	struct mono bumped;
	uint16_t seqno;
};

static void on_send(void *ctx, uint32_t link, const uint8_t *tlv, size_t len)
{
	const struct core *c = ctx;
	const struct world *w = c->node->world;
	uint8_t bent[CODEC_UPDATE_BYTES];
	struct codec_tlv t;

	if (c->node->options == 0 || !codec_read(w, tlv, len, &t) || t.type != CODEC_UPDATE) {
		world_send(c->node, link, tlv, len);
		return;
	}
	if (t.metric == WIRE_INFINITE && c->node->options & CORE_KEEPS_RETRACTIONS)
		return;
	if (t.metric != WIRE_INFINITE && c->node->options & CORE_LOWERS_METRICS)
		t.metric /= 4;
	world_send(c->node, link, bent, codec_write(w, &t, bent));
}

static void on_selected(void *ctx, const struct prefix *p, const struct babel_route *route)
{
	const struct core *c = ctx;

	if (route && (!route->selected || !prefix_eq(&route->prefix, p)))
		world_fail(c->node->world, BROKEN_WIRE, "node %d is told of a route that is not selected",
			   c->node->index);
	check_selected(c->node, p, route);
}

static void on_key(void *ctx, const struct prefix *net64, const uint8_t public_key[32])
{
	const struct core *c = ctx;
	const struct world *w = c->node->world;
	const int dest = world_find(w, net64);

	if (dest < 0 || memcmp(w->nodes[dest].ids[0].public_key, public_key, 32) != 0)
		world_fail(c->node->world, BROKEN_WIRE, "node %d is told a wrong key", c->node->index);
}

static void on_key_elsewhere(void *ctx, uint32_t link, const struct router_id *other)
{
	const struct core *c = ctx;

	(void)link;
	if (codec_generation(c->node, other) < 0 || codec_generation(c->node, other) >= (int)c->node->generation)
		world_fail(c->node->world, BROKEN_WIRE, "node %d believes that its key runs elsewhere", c->node->index);
}

static void on_seqno(void *ctx, uint16_t seqno)
{
	struct core *c = ctx;
	struct world *w = c->node->world;

	if (seqno != (uint16_t)(c->seqno + 1))
		world_fail(w, BROKEN_WIRE, "node %d raises its seqno from %u to %u", c->node->index, c->seqno, seqno);
	if (c->seqno != 0 && mono_since_ms(w->now, c->bumped) < network200.seqno_bump_ms)
		world_fail(w, BROKEN_WIRE, "node %d raises its seqno twice within %u ms", c->node->index,
			   network200.seqno_bump_ms);
	c->seqno = seqno;
	c->bumped = w->now;
}

static void on_swept(void *ctx, uint32_t count)
{
	(void)ctx;
	(void)count;
}

static void on_random(void *ctx, void *out, size_t len)
{
	const struct core *c = ctx;

	rng_bytes(&c->node->world->rng, out, len);
}

static const struct babel_ops ops = {
	.send = on_send,
	.selected = on_selected,
	.key = on_key,
	.key_elsewhere = on_key_elsewhere,
	.seqno = on_seqno,
	.swept = on_swept,
	.random = on_random,
};

static struct babel *make_babel(struct core *c)
{
	const struct babel_config config = {
		.network = &network200,
		.self = c->node->ids[c->node->generation],
		.own = c->node->own,
		.seqno = c->seqno,
	};
	struct babel *b = babel_new(&config, &ops, c, c->node->world->now);

	assert(b);
	return b;
}

static void *core_new(struct node *n)
{
	struct core *c = calloc(1, sizeof(*c));

	assert(c);
	c->node = n;
	c->babel = make_babel(c);
	return c;
}

static void core_free(void *impl)
{
	struct core *c = impl;

	babel_free(c->babel);
	free(c);
}

static void core_link_up(void *impl, uint32_t link)
{
	const struct core *c = impl;

	if (!babel_link_up(c->babel, link, UINT32_MAX, c->node->world->now))
		world_fail(c->node->world, BROKEN_WIRE, "node %d refuses a link", c->node->index);
}

static void core_link_down(void *impl, uint32_t link)
{
	const struct core *c = impl;

	babel_link_down(c->babel, link, c->node->world->now);
}

static void core_link_rtt(void *impl, uint32_t link, uint32_t rtt_us)
{
	const struct core *c = impl;

	babel_link_rtt(c->babel, link, rtt_us, c->node->world->now);
}

static void core_tlv(void *impl, uint32_t link, const uint8_t *tlv, size_t len)
{
	const struct core *c = impl;

	babel_tlvs(c->babel, link, tlv, len, c->node->world->now);
}

static struct mono core_tick(void *impl)
{
	const struct core *c = impl;

	return babel_tick(c->babel, c->node->world->now);
}

struct held {
	struct babel_route *routes; /* owned */
	size_t count;
};

static void keep_route(void *ctx, const struct babel_route *r)
{
	struct held *h = ctx;

	if (!r->selected)
		return;
	h->routes = realloc(h->routes, (h->count + 1) * sizeof(*h->routes));
	assert(h->routes);
	h->routes[h->count++] = *r;
}

static void core_adopt(void *impl)
{
	struct core *c = impl;
	const struct node *n = c->node;
	struct babel *old = c->babel;
	struct held held = {0};

	babel_each_route(old, keep_route, &held);
	c->babel = make_babel(c);
	c->bumped = (struct mono){0};
	for (uint32_t i = 0; i < n->end_cap; i++)
		if (n->ends[i] && !babel_link_up(c->babel, n->ends[i]->link, babel_link_smoothed(old, n->ends[i]->link),
						 n->world->now))
			world_fail(n->world, BROKEN_WIRE, "node %d refuses a link", n->index);
	for (size_t i = 0; i < held.count; i++) {
		const struct babel_route *r = &held.routes[i];
		struct babel_route found;

		babel_hold(c->babel, r, n->world->now);
		if (!babel_find(c->babel, &r->prefix.ip, &found) || found.link != r->link)
			world_fail(n->world, BROKEN_WIRE, "node %d loses a route that it holds", n->index);
	}
	babel_free(old);
	free(held.routes);
}

static void core_each_source(const void *impl, void (*fn)(void *, const struct babel_source *), void *ctx)
{
	const struct core *c = impl;

	babel_each_source(c->babel, fn, ctx);
}

struct audit {
	const struct core *core;
	struct prefix prefix;
	bool any;
};

static void audit_route(void *ctx, const struct babel_route *r)
{
	struct audit *a = ctx;
	const struct core *c = a->core;
	struct world *w = c->node->world;
	const int order = a->any ? prefix_cmp(&a->prefix, &r->prefix) : -1;
	const uint32_t cost = babel_link_cost(c->babel, r->link);
	uint32_t sum = (uint32_t)r->metric + cost;
	struct babel_route found;

	if (sum > WIRE_INFINITE - 1)
		sum = r->metric == WIRE_INFINITE || cost == WIRE_INFINITE ? WIRE_INFINITE : WIRE_INFINITE - 1;
	if (r->cost != sum)
		world_fail(w, BROKEN_WIRE, "node %d: cost %u of a route with metric %u over a link with cost %u",
			   c->node->index, r->cost, r->metric, cost);
	if (order > 0 || (order == 0 && r->selected))
		world_fail(w, BROKEN_WIRE, "node %d: routes out of order, or two selected", c->node->index);
	if (r->selected && (!babel_find(c->babel, &r->prefix.ip, &found) || found.link != r->link))
		world_fail(w, BROKEN_WIRE, "node %d: the selected route is not found", c->node->index);
	a->prefix = r->prefix;
	a->any = true;
}

static void core_audit(const void *impl)
{
	struct audit a = {.core = impl};

	babel_each_route(a.core->babel, audit_route, &a);
}

const struct kind kind_core = {
	.new = core_new,
	.free = core_free,
	.link_up = core_link_up,
	.link_down = core_link_down,
	.link_rtt = core_link_rtt,
	.tlv = core_tlv,
	.tick = core_tick,
	.adopt = core_adopt,
	.each_source = core_each_source,
	.audit = core_audit,
};
