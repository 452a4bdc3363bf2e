/* SPDX-License-Identifier: Apache-2.0 */
/* Routes (wire-200 4.4 to 4.6, 4.10): their timers, and the selection of one per prefix. A route that is selected was
 * feasible when it came or was held; it stays eligible until it is infinite or an unfeasible Update replaces it. */
#include "controld/babel/core.h"

struct route *route_find(const struct net *net, const struct neigh *n)
{
	struct route *r = net->routes;

	while (r && r->neigh != n)
		r = r->next;
	return r;
}

bool route_is_finite(const struct route *r)
{
	return r->metric != WIRE_INFINITE;
}

bool route_is_eligible(const struct route *r)
{
	return route_is_finite(r) &&
	       (r == r->source->key.net->selected || source_is_feasible(r->source, r->seqno, r->metric));
}

uint16_t route_cost(const struct babel *b, const struct route *r)
{
	return metric_add(r->metric, neigh_cost(b, r->neigh));
}

/* Every queue holds its routes for one and the same time, so it is in order by itself. */
static struct route **route_queue(struct babel *b, const struct route *r)
{
	if (r->held)
		return &b->held;
	return route_is_finite(r) ? &b->live : &b->retracted;
}

/* Call before the fields that name the queue change. */
static void route_dequeue(struct babel *b, struct route *r)
{
	struct route **queue = route_queue(b, r);

	if (r->queue_prev)
		DL_DELETE2(*queue, r, queue_prev, queue_next);
	r->queue_prev = NULL;
}

static void route_enqueue(struct babel *b, struct route *r, struct mono due)
{
	struct route **queue = route_queue(b, r);

	r->due = due;
	DL_APPEND2(*queue, r, queue_prev, queue_next);
}

struct route *route_add(struct source *s, struct neigh *n)
{
	struct net *net = s->key.net;
	struct route *r = core_alloc(sizeof(*r));

	r->source = s;
	r->neigh = n;
	r->metric = WIRE_INFINITE;
	s->refs++;
	n->route_count++;
	LL_PREPEND(net->routes, r);
	DL_APPEND2(n->routes, r, neigh_prev, neigh_next);
	return r;
}

void route_del(struct babel *b, struct route *r)
{
	struct net *net = r->source->key.net;

	if (net->selected == r)
		net->selected = NULL;
	route_dequeue(b, r);
	LL_DELETE(net->routes, r);
	DL_DELETE2(r->neigh->routes, r, neigh_prev, neigh_next);
	r->neigh->route_count--;
	r->source->refs--;
	free(r);
}

void route_apply(struct babel *b, struct route *r, struct source *s, const struct tlv_update *u, struct mono now)
{
	route_dequeue(b, r);
	r->source->refs--;
	s->refs++;
	r->source = s;
	r->seqno = u->seqno;
	r->metric = u->metric;
	r->held = false;
	route_enqueue(b, r, mono_add_ms(now, b->network->route_hold_ms));
}

void route_retract(struct babel *b, struct route *r, struct mono now)
{
	struct net *net = r->source->key.net;

	if (net->selected == r)
		net->selected = NULL;
	route_dequeue(b, r);
	r->metric = WIRE_INFINITE;
	r->held = false;
	route_enqueue(b, r, mono_add_ms(now, b->network->retracted_hold_ms));
}

void route_hold(struct babel *b, struct route *r, struct mono now)
{
	route_dequeue(b, r);
	r->held = true;
	route_enqueue(b, r, mono_add_ms(now, LIMIT_HELD_MS));
}

struct route_was route_was(const struct babel *b, const struct net *net)
{
	const struct route *r = net->selected;

	if (!r)
		return (struct route_was){.metric = WIRE_INFINITE, .cost = WIRE_INFINITE};
	return (struct route_was){.neigh = r->neigh,
				  .source = r->source,
				  .seqno = r->seqno,
				  .metric = r->metric,
				  .cost = route_cost(b, r),
				  .held = r->held};
}

/* The cheapest of a prefix; first wins a tie. */
static struct route *route_cheapest(const struct babel *b, const struct net *net, struct route *first,
				    bool (*is_candidate)(const struct route *))
{
	struct route *best = first;

	for (struct route *r = net->routes; r; r = r->next)
		if (is_candidate(r) && (!best || route_cost(b, r) < route_cost(b, best)))
			best = r;
	return best;
}

/* A little better is not worth a move, but the originator itself is. */
static bool route_is_worth_switch(const struct babel *b, const struct route *best, const struct route *current)
{
	if (best->metric == 0 && current->metric != 0)
		return true;
	return route_cost(b, best) + b->network->metric_switch_gain < route_cost(b, current);
}

static struct route *route_choose(const struct babel *b, const struct net *net)
{
	struct route *current = net->selected && route_is_eligible(net->selected) ? net->selected : NULL;
	struct route *best = route_cheapest(b, net, current, route_is_eligible);

	if (current && best != current && !route_is_worth_switch(b, best, current))
		return current;
	return best;
}

static bool route_differs(const struct route *r, const struct route_was *was)
{
	if (!r)
		return was->neigh;
	return r->neigh != was->neigh || r->source != was->source || r->seqno != was->seqno ||
	       r->metric != was->metric || r->held != was->held;
}

/* Worth a triggered Update. A new next hop is: the old one was kept silent by split horizon. */
static bool route_is_news(const struct babel *b, const struct route *r, const struct route_was *was)
{
	return r->neigh != was->neigh || r->source != was->source || seqno_lt(was->seqno, r->seqno) ||
	       metric_diff(route_cost(b, r), was->cost) > b->network->metric_big_change;
}

void route_settle(struct babel *b, struct net *net, const struct route_was *was)
{
	struct route *r = route_choose(b, net);

	net->selected = r;
	if (!route_differs(r, was))
		return;
	if (r)
		route_tell(b, r);
	else
		b->ops->selected(b->ctx, &net->prefix, NULL);
}

void route_select(struct babel *b, struct net *net, const struct route_was *was, struct mono now)
{
	struct route *r;

	route_settle(b, net, was);
	r = net->selected;
	if (r) {
		if (route_is_news(b, r, was)) {
			announce_trigger(b, net, NULL);
			net->trigger->moved |= was->neigh && r->neigh != was->neigh;
		}
		return;
	}
	if (was->neigh)
		announce_trigger(b, net, was);
	/* What is finite but not feasible will be, under a newer seqno. */
	r = route_cheapest(b, net, NULL, route_is_finite);
	if (r)
		request_want(b, r->source, now);
}

void route_view(const struct babel *b, const struct route *r, struct babel_route *out)
{
	const struct net *net = r->source->key.net;

	*out = (struct babel_route){.prefix = net->prefix,
				    .router_id = r->source->key.router_id,
				    .link = r->neigh->link,
				    .seqno = r->seqno,
				    .metric = r->metric,
				    .cost = route_cost(b, r),
				    .selected = net->selected == r,
				    .held = r->held,
				    .fd = r->source->fd};
}

void route_tell(const struct babel *b, const struct route *r)
{
	struct babel_route view;

	route_view(b, r, &view);
	b->ops->selected(b->ctx, &view.prefix, &view);
}

/* Retracts what was not confirmed in time; adds to count. */
static struct mono route_expire(struct babel *b, struct route **queue, uint32_t *count, struct mono now)
{
	while (*queue && mono_is_due((*queue)->due, now)) {
		struct route *r = *queue;
		struct net *net = r->source->key.net;
		const struct route_was was = route_was(b, net);

		route_retract(b, r, now);
		route_select(b, net, &was, now);
		(*count)++;
	}
	return due_of(*queue, *queue ? (*queue)->due : now);
}

struct mono route_tick(struct babel *b, struct mono now)
{
	uint32_t expired = 0;
	const struct mono live = route_expire(b, &b->live, &expired, now);
	const struct mono held = route_expire(b, &b->held, &b->swept, now);

	if (b->swept && !b->held) {
		b->ops->swept(b->ctx, b->swept);
		b->swept = 0;
	}
	while (b->retracted && mono_is_due(b->retracted->due, now)) {
		struct net *net = b->retracted->source->key.net;

		route_del(b, b->retracted);
		net_release(b, net);
	}
	return mono_min(mono_min(live, held), due_of(b->retracted, b->retracted ? b->retracted->due : now));
}
