/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/check.h"

#include "tests/sim/codec.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { SAMPLE_EVENTS = 64 }; /* of a node, at least, between two readings of its sources */

struct forward { /* what a node does with packets for a destination */
	struct end *end; /* borrowed; NULL: no route */
	uint16_t seqno, metric;
	uint8_t generation;
	bool touched;
};

struct distance {
	uint16_t seqno, metric;
	uint32_t stamp; /* announced: second of the last time, feasibility: number of the sample; 0: none */
};

struct check {
	struct world *world;
	uint32_t generations, sample_events;
	struct forward *forwards; /* [dest][node]: a path lies close together */
	struct distance *announced; /* [node][dest][generation]: the best ever sent */
	struct distance *feasibility; /* [node][dest][generation]: as last read */
	int *touched; /* destinations touched by this event */
	int touched_count;
	int *component; /* [node] */
	uint8_t *state; /* [node], while following one destination */
	struct check_totals totals;
};

struct check *check_new(struct world *w, uint32_t generations)
{
	struct check *c = calloc(1, sizeof(*c));
	const size_t n = (size_t)w->node_count;

	assert(c);
	c->world = w;
	c->generations = generations;
	c->sample_events = n > SAMPLE_EVENTS ? (uint32_t)n : SAMPLE_EVENTS;
	c->forwards = calloc(n * n, sizeof(*c->forwards));
	c->announced = calloc(n * n * generations, sizeof(*c->announced));
	c->feasibility = calloc(n * n * generations, sizeof(*c->feasibility));
	c->touched = calloc(n, sizeof(*c->touched));
	c->component = calloc(n, sizeof(*c->component));
	c->state = calloc(n, sizeof(*c->state));
	assert(c->forwards && c->announced && c->feasibility && c->touched && c->component && c->state);
	return c;
}

void check_free(struct check *c)
{
	free(c->forwards);
	free(c->announced);
	free(c->feasibility);
	free(c->touched);
	free(c->component);
	free(c->state);
	free(c);
}

struct check_totals check_totals(const struct world *w)
{
	return w->check->totals;
}

static struct forward *forward_at(const struct check *c, int node, int dest)
{
	return &c->forwards[(size_t)dest * (size_t)c->world->node_count + (size_t)node];
}

static struct distance *distance_at(const struct check *c, struct distance *table, const struct node *n,
				    const struct codec_tlv *t)
{
	const size_t pair = (size_t)n->index * (size_t)c->world->node_count + (size_t)t->dest;

	return &table[pair * c->generations + t->generation];
}

static uint32_t second(const struct world *w)
{
	return (uint32_t)(w->now.us / 1000000);
}

/* A node may forget a distance a source hold after an Update last confirmed it, and may announce the route for a route
 * hold after that. */
static bool is_forgotten(const struct world *w, const struct distance *d)
{
	const uint32_t hold_ms = network200.source_hold_ms - network200.route_hold_ms;

	return d->stamp == 0 || second(w) - d->stamp >= hold_ms / 1000;
}

static bool is_better(uint16_t seqno, uint16_t metric, const struct distance *than)
{
	return seqno_newer(seqno, than->seqno) || (seqno == than->seqno && metric < than->metric);
}

static void judge_route(struct check *c, const struct node *n, const struct codec_tlv *t)
{
	const struct distance *d = distance_at(c, c->announced, n, t);

	if (!is_forgotten(c->world, d) && !is_better(t->seqno, t->metric, d))
		world_fail(c->world, BROKEN_DISTANCE, "node %d selects (%u, %u) to %d.%u, but has announced (%u, %u)",
			   n->index, t->seqno, t->metric, t->dest, t->generation, d->seqno, d->metric);
}

void check_selected(struct node *n, const struct prefix *p, const struct babel_route *route)
{
	struct check *c = n->world->check;
	const int dest = world_find(n->world, p);
	struct forward fresh = {0}, *f;

	if (dest < 0 || dest == n->index) {
		world_fail(n->world, BROKEN_WIRE, "node %d selects a route to %s", n->index,
			   dest < 0 ? "nobody" : "itself");
		return;
	}
	f = forward_at(c, n->index, dest);
	if (route) {
		const int generation = codec_generation(&n->world->nodes[dest], &route->router_id);
		const struct codec_tlv t = {.dest = dest,
					    .generation = (uint32_t)generation,
					    .seqno = route->seqno,
					    .metric = route->metric};

		fresh = (struct forward){.end = world_end(n, route->link),
					 .seqno = route->seqno,
					 .metric = route->metric,
					 .generation = (uint8_t)generation};
		if (!fresh.end || generation < 0 || route->metric == WIRE_INFINITE) {
			world_fail(n->world, BROKEN_WIRE,
				   "node %d selects a route to %d that cannot be: link %u, metric %u", n->index, dest,
				   route->link, route->metric);
			return;
		}
		if (n->judged)
			judge_route(c, n, &t);
	}
	if (!f->touched)
		c->touched[c->touched_count++] = dest;
	if (dest == c->world->trace)
		world_trace(c->world, "node %d selects %d, metric %u", n->index,
			    fresh.end ? end_other(fresh.end)->node->index : -1, fresh.metric);
	*f = fresh;
	f->touched = true;
}

void check_sent(struct node *n, const uint8_t *tlv, size_t len)
{
	struct check *c = n->world->check;
	struct distance *d;
	struct codec_tlv t;

	if (!n->judged)
		return;
	if (!codec_read(n->world, tlv, len, &t)) {
		world_fail(n->world, BROKEN_WIRE, "node %d sends a TLV of type %u and %zu bytes that is not right",
			   n->index, tlv[0], len);
		return;
	}
	if (t.type != CODEC_UPDATE || t.metric == WIRE_INFINITE || t.dest == n->index)
		return;
	d = distance_at(c, c->announced, n, &t);
	if (is_forgotten(n->world, d) || is_better(t.seqno, t.metric, d)) {
		d->seqno = t.seqno;
		d->metric = t.metric;
	}
	if (is_forgotten(n->world, d)) /* the node, too, may have begun anew */
		distance_at(c, c->feasibility, n, &t)->stamp = 0;
	d->stamp = second(n->world);
}

static const struct node *next_hop(const struct forward *f)
{
	const struct end *other = f->end && f->end->up ? end_other(f->end) : NULL;

	return other && other->up ? other->node : NULL;
}

/* A new loop contains the node whose route has changed. */
static void follow(struct check *c, const struct node *start, int dest)
{
	const struct forward *f = forward_at(c, start->index, dest);
	const uint8_t generation = f->generation;
	bool judged = true, one_source = true;
	const struct node *n = start;

	for (int hops = 0; hops < c->world->node_count; hops++) {
		judged = judged && n->judged;
		one_source = one_source && f->generation == generation;
		n = next_hop(f);
		c->totals.hops_followed++;
		if (!n || n->index == dest)
			return;
		if (n == start)
			break;
		f = forward_at(c, n->index, dest);
	}
	if (n != start)
		return; /* it leads into a loop that was seen when it closed */
	if (!judged)
		c->totals.loops_mixed++;
	else if (!one_source)
		c->totals.loops_sources++;
	else
		world_fail(c->world, BROKEN_LOOP, "a loop of packets for %d.%u through node %d", dest, generation,
			   start->index);
}

struct sample {
	struct check *check;
	const struct node *node;
};

static void on_source(void *ctx, const struct babel_source *s)
{
	const struct sample *sample = ctx;
	struct check *c = sample->check;
	const struct node *n = sample->node;
	struct codec_tlv t = {.dest = world_find(c->world, &s->prefix)};
	const int generation = t.dest < 0 ? -1 : codec_generation(&c->world->nodes[t.dest], &s->router_id);
	struct distance *last, *sent;

	c->totals.sources_read++;
	if (generation < 0) {
		world_fail(c->world, BROKEN_WIRE, "node %d has a source of nobody", n->index);
		return;
	}
	if (t.dest == n->index)
		return;
	t.generation = (uint32_t)generation;
	last = distance_at(c, c->feasibility, n, &t);
	if (last->stamp != 0 && last->stamp >= n->events / c->sample_events &&
	    (seqno_newer(last->seqno, s->fd.seqno) || (last->seqno == s->fd.seqno && s->fd.metric > last->metric)))
		world_fail(c->world, BROKEN_DISTANCE,
			   "node %d: feasibility distance of %d.%u rises from (%u, %u) to (%u, %u)", n->index, t.dest,
			   t.generation, last->seqno, last->metric, s->fd.seqno, s->fd.metric);
	*last = (struct distance){s->fd.seqno, s->fd.metric, n->events / c->sample_events + 1};
	sent = distance_at(c, c->announced, n, &t);
	if (!is_forgotten(c->world, sent) &&
	    is_better(sent->seqno, sent->metric, &(struct distance){.seqno = s->fd.seqno, .metric = s->fd.metric}))
		world_fail(c->world, BROKEN_DISTANCE,
			   "node %d: feasibility distance of %d.%u is (%u, %u), but (%u, %u) was announced", n->index,
			   t.dest, t.generation, s->fd.seqno, s->fd.metric, sent->seqno, sent->metric);
}

static void sample_sources(struct check *c, const struct node *n)
{
	struct sample s = {.check = c, .node = n};

	if (n->judged && n->impl)
		n->kind->each_source(n->impl, on_source, &s);
}

void check_event(struct node *n)
{
	struct check *c = n->world->check;

	for (int i = 0; i < c->touched_count; i++) {
		forward_at(c, n->index, c->touched[i])->touched = false;
		follow(c, n, c->touched[i]);
	}
	c->touched_count = 0;
	if (++n->events % c->sample_events == 0)
		sample_sources(c, n);
}

void check_stopped(struct node *n)
{
	struct check *c = n->world->check;
	const size_t count = (size_t)c->world->node_count, start = (size_t)n->index * count;

	for (size_t dest = 0; dest < count; dest++)
		*forward_at(c, n->index, (int)dest) = (struct forward){0};
	memset(&c->announced[start * c->generations], 0, count * c->generations * sizeof(*c->announced));
	memset(&c->feasibility[start * c->generations], 0, count * c->generations * sizeof(*c->feasibility));
}

void check_adopted(struct node *n)
{
	struct check *c = n->world->check;
	struct codec_tlv t = {0};

	for (t.dest = 0; t.dest < c->world->node_count; t.dest++) {
		const struct forward *f = forward_at(c, n->index, t.dest);

		for (t.generation = 0; t.generation < c->generations; t.generation++) {
			if (f->end && f->generation == t.generation)
				continue;
			*distance_at(c, c->announced, n, &t) = (struct distance){0};
			*distance_at(c, c->feasibility, n, &t) = (struct distance){0};
		}
	}
}

static void label_components(struct check *c)
{
	const struct world *w = c->world;
	bool changed = true;

	for (int i = 0; i < w->node_count; i++)
		c->component[i] = i;
	while (changed) {
		changed = false;
		for (int i = 0; i < w->edge_count; i++) {
			const struct edge *e = &w->edges[i];
			int *a = &c->component[e->node[0]->index], *b = &c->component[e->node[1]->index];

			if (!edge_is_open(e) || *a == *b)
				continue;
			changed = true;
			*(*a > *b ? a : b) = *a > *b ? *b : *a;
		}
	}
}

enum { UNKNOWN, ON_THE_WAY, ARRIVES };

static bool arrives(struct check *c, int start, int dest, bool current)
{
	const struct node *nodes = c->world->nodes;
	int i = start;

	while (i != dest && c->state[i] == UNKNOWN) {
		const struct forward *f = forward_at(c, i, dest);
		const struct node *next = next_hop(f);

		if (!next || (current && f->generation != nodes[dest].generation))
			return false;
		c->state[i] = ON_THE_WAY;
		i = next->index;
	}
	if (i != dest && c->state[i] != ARRIVES)
		return false;
	for (i = start; i != dest && c->state[i] != ARRIVES; i = next_hop(forward_at(c, i, dest))->index)
		c->state[i] = ARRIVES;
	return true;
}

static bool converged_to(struct check *c, int dest, bool current, char why[SIM_FAILURE_BYTES])
{
	const struct world *w = c->world;

	memset(c->state, UNKNOWN, (size_t)w->node_count);
	for (int i = 0; i < w->node_count; i++) {
		const bool connected = w->nodes[dest].impl && c->component[i] == c->component[dest];

		if (!w->nodes[i].impl || i == dest)
			continue;
		if (connected && !arrives(c, i, dest, current)) {
			snprintf(why, SIM_FAILURE_BYTES, "node %d is connected to %d, but its packets do not arrive", i,
				 dest);
			return false;
		}
		if (!connected && forward_at(c, i, dest)->end) {
			snprintf(why, SIM_FAILURE_BYTES, "node %d is not connected to %d, but has a route", i, dest);
			return false;
		}
	}
	return true;
}

bool check_converged(struct world *w, bool judged_only, char why[SIM_FAILURE_BYTES])
{
	bool all_judged = true;

	for (int i = 0; i < w->node_count; i++)
		all_judged = all_judged && w->nodes[i].judged;
	label_components(w->check);
	for (int dest = 0; dest < w->node_count; dest++)
		if ((w->nodes[dest].judged || !judged_only) && !converged_to(w->check, dest, all_judged, why))
			return false;
	return true;
}

void check_rest(struct world *w)
{
	for (int i = 0; i < w->node_count; i++) {
		struct node *n = &w->nodes[i];

		sample_sources(w->check, n);
		if (n->impl)
			n->kind->audit(n->impl);
	}
}
