/* SPDX-License-Identifier: Apache-2.0 */
/* The routing core's outside: life and death, links, packets in, the clock, adoption, and what others may read. */
#include "controld/babel/babel.h"
#include "controld/babel/core.h"

struct babel *babel_new(const struct babel_config *config, const struct babel_ops *ops, void *ctx, struct mono now)
{
	struct babel *b = core_alloc(sizeof(*b));

	b->network = config->network;
	b->ops = ops;
	b->ctx = ctx;
	b->self = config->self;
	b->own = config->own;
	b->seqno = config->seqno;
	b->started = now;
	b->bump_next = now;
	b->urgent_due = now;
	return b;
}

/* A dead link's routes go with it: nothing could confirm them. */
static void drop_routes(struct babel *b, struct neigh *n, struct mono now)
{
	while (n->routes) {
		struct route *r = n->routes;
		struct net *net = r->source->key.net;
		const struct route_was was = route_was(b, net);
		const bool selected = net->selected == r;

		route_del(b, r);
		if (selected)
			route_select(b, net, &was, now);
		net_release(b, net);
	}
}

void babel_free(struct babel *b)
{
	if (!b)
		return;
	announce_fini(b);
	request_fini(b);
	while (b->neigh_count) {
		struct neigh *n = b->heap[0];

		neigh_take(b, n);
		while (n->routes)
			route_del(b, n->routes);
		free(n);
	}
	source_fini(b);
	free(b);
}

bool babel_link_up(struct babel *b, uint32_t link, uint32_t smoothed, struct mono now)
{
	if (neigh_find(b, link))
		return true;
	if (smoothed == UINT32_MAX)
		smoothed = b->network->link_cost_initial;
	if (smoothed > UINT16_MAX)
		smoothed = UINT16_MAX;
	return neigh_add(b, link, (uint16_t)smoothed, now);
}

void babel_link_down(struct babel *b, uint32_t link, struct mono now)
{
	struct neigh *n = neigh_find(b, link);

	if (!n)
		return;
	neigh_take(b, n);
	drop_routes(b, n, now);
	free(n);
	announce_triggers(b, now);
}

void babel_link_rtt(struct babel *b, uint32_t link, uint32_t rtt_us, struct mono now)
{
	struct neigh *n = neigh_find(b, link);

	(void)now;
	if (n)
		n->smoothed = network_smooth(n->smoothed, rtt_us);
}

uint32_t babel_link_smoothed(const struct babel *b, uint32_t link)
{
	const struct neigh *n = neigh_find(b, link);

	return n ? n->smoothed : UINT32_MAX;
}

uint16_t babel_link_cost(const struct babel *b, uint32_t link)
{
	const struct neigh *n = neigh_find(b, link);

	return n ? neigh_cost(b, n) : WIRE_INFINITE;
}

/* Reads all TLVs that matter here into b->tlvs; false if any of the packet is bad. */
static bool read_packet(struct babel *b, struct rd *packet, size_t *count)
{
	*count = 0;
	while (*count < TLV_PACKET_MAX_COUNT) {
		struct tlv *t = &b->tlvs[*count];

		switch (tlv_read(packet, t)) {
		case TLV_OK:
			*count += t->type == TLV_UPDATE || t->type == TLV_SEQNO_REQUEST;
			break;
		case TLV_UNKNOWN:
			b->counts[BABEL_TLV_UNKNOWN]++;
			break;
		case TLV_BAD:
			return false;
		case TLV_END:
			return true;
		}
	}
	return rd_left(packet) == 0;
}

void babel_tlvs(struct babel *b, uint32_t link, const uint8_t *bytes, size_t len, struct mono now)
{
	struct neigh *n = neigh_find(b, link);
	struct rd packet = rd_init(bytes, len);
	size_t count;

	if (!n)
		return;
	if (!read_packet(b, &packet, &count)) {
		b->counts[BABEL_TLV_MALFORMED]++;
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (b->tlvs[i].type == TLV_UPDATE)
			receive_update(b, n, &b->tlvs[i].update, now);
		else
			receive_seqno_request(b, n, &b->tlvs[i].seqno_request, now);
	}
	announce_triggers(b, now);
}

struct mono babel_tick(struct babel *b, struct mono now)
{
	struct mono next = route_tick(b, now);

	next = mono_min(next, receive_tick(b, now));
	next = mono_min(next, source_tick(b, now));
	next = mono_min(next, request_tick(b, now));
	next = mono_min(next, announce_tick(b, now));
	return mono_min(next, announce_triggers(b, now));
}

static bool is_holdable(const struct babel *b, const struct babel_route *route)
{
	const struct prefix *p = &route->prefix;

	return route->metric != WIRE_INFINITE && p->len >= b->network->node_prefix_bits &&
	       prefix_covers(&b->network->overlay, p) && !prefix_covers(&b->own, p) &&
	       receive_key_owns(b, p, route->router_id.public_key);
}

static void hold_route(struct babel *b, struct neigh *n, struct source *s, const struct babel_route *route,
		       struct mono now)
{
	struct net *net = s->key.net;
	const struct route_was was = route_was(b, net);
	struct route *r = route_add(s, n);

	r->seqno = route->seqno;
	r->metric = route->metric;
	route_hold(b, r, now);
	if (route->fd.metric != WIRE_INFINITE)
		(void)source_record(b, s, route->fd.seqno, route->fd.metric, now);
	net_learn_key(b, net, route->router_id.public_key);
	if (!route->selected)
		return;
	if (!net->selected)
		net->selected = r;
	route_settle(b, net, &was);
	announce_tables(b, now);
}

void babel_hold(struct babel *b, const struct babel_route *route, struct mono now)
{
	struct neigh *n = neigh_find(b, route->link);
	struct source *s = NULL;
	struct net *net;

	if (!n || !is_holdable(b, route) || receive_is_second_key(b, &route->prefix, route->router_id.public_key))
		return;
	net = net_get(b, &route->prefix, now);
	if (net && !route_find(net, n) && n->route_count < LIMIT_ROUTES_PER_LINK)
		s = source_get(b, net, &route->router_id, now);
	if (s)
		hold_route(b, n, s, route, now);
	if (net)
		net_release(b, net);
}

bool babel_is_neighbour(const struct babel *b, const struct prefix *own, uint32_t link)
{
	const struct net *net = net_find(b, own);

	for (const struct route *r = net ? net->routes : NULL; r; r = r->next)
		if (r->metric == 0 && r->neigh->link == link)
			return true;
	return false;
}

bool babel_find(const struct babel *b, const struct ip6 *ip, struct babel_route *out)
{
	const struct prefix net64 = prefix_make(ip, b->network->node_prefix_bits);
	const struct net *home = net_find(b, &net64);
	const struct net *best = home && home->selected ? home : NULL;

	for (const struct net *net = home ? home->longer : NULL; net; net = net->longer)
		if (net->selected && prefix_has(&net->prefix, ip) && (!best || net->prefix.len > best->prefix.len))
			best = net;
	if (best)
		route_view(b, best->selected, out);
	return best;
}

static int net_cmp(const void *a, const void *b)
{
	const struct net *const *x = a, *const *y = b;

	return prefix_cmp(&(*x)->prefix, &(*y)->prefix);
}

void babel_each_route(const struct babel *b, void (*fn)(void *ctx, const struct babel_route *r), void *ctx)
{
	const size_t count = HASH_COUNT(b->nets);
	const struct net **sorted = core_alloc((count + 1) * sizeof(const struct net *));
	struct babel_route view;
	size_t i = 0;

	for (const struct net *net = b->nets; net; net = net->hh.next)
		sorted[i++] = net;
	qsort(sorted, count, sizeof(const struct net *), net_cmp);
	for (i = 0; i < count; i++) {
		if (sorted[i]->selected) {
			route_view(b, sorted[i]->selected, &view);
			fn(ctx, &view);
		}
		for (const struct route *r = sorted[i]->routes; r; r = r->next) {
			if (r == sorted[i]->selected)
				continue;
			route_view(b, r, &view);
			fn(ctx, &view);
		}
	}
	free(sorted);
}

void babel_each_source(const struct babel *b, void (*fn)(void *ctx, const struct babel_source *s), void *ctx)
{
	for (const struct source *s = b->sources; s; s = s->hh.next) {
		const struct babel_source view = {
			.prefix = s->key.net->prefix, .router_id = s->key.router_id, .fd = s->fd};

		if (s->fd.metric != WIRE_INFINITE)
			fn(ctx, &view);
	}
}

uint64_t babel_count(const struct babel *b, enum babel_count what)
{
	return b->counts[what];
}
