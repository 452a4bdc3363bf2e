/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/world.h"

#include "shared/limits.h"
#include "tests/sim/check.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIM_EPOCH_S = 1000 };

static void names_init(struct world *w)
{
	uint32_t size = 16;

	while (size < 4 * (uint32_t)w->node_count)
		size *= 2;
	w->name_mask = size - 1;
	w->names = malloc(size * sizeof(*w->names));
	assert(w->names);
	for (uint32_t i = 0; i < size; i++)
		w->names[i] = -1;
	for (int i = 0; i < w->node_count; i++) {
		uint32_t slot = (uint32_t)ip6_net64(&w->nodes[i].own.ip) & w->name_mask;

		while (w->names[slot] >= 0)
			slot = (slot + 1) & w->name_mask;
		w->names[slot] = i;
	}
}

int world_find(const struct world *w, const struct prefix *p)
{
	uint32_t slot = (uint32_t)ip6_net64(&p->ip) & w->name_mask;

	while (w->names[slot] >= 0 && !prefix_eq(&w->nodes[w->names[slot]].own, p))
		slot = (slot + 1) & w->name_mask;
	return w->names[slot];
}

static void node_init(struct world *w, struct node *n, int index)
{
	struct pubkey pk;

	*n = (struct node){.world = w, .kind = &kind_core, .judged = true, .index = index, .wake = MONO_NEVER};
	rng_bytes(&w->rng, pk.b, sizeof(pk.b));
	n->own = network_own_prefix(&network200, &pk);
	for (int i = 0; i < SIM_GENERATIONS; i++) {
		memcpy(n->ids[i].public_key, pk.b, sizeof(pk.b));
		rng_bytes(&w->rng, n->ids[i].tail + 2, 4);
		n->ids[i].tail[7] = (uint8_t)i;
	}
}

static void edges_init(struct world *w, const struct topo *t)
{
	for (int i = 0; i < t->edge_count; i++) {
		struct edge *e = &w->edges[i];

		for (int side = 0; side < 2; side++) {
			struct node *n = &w->nodes[t->edges[i][side]];

			e->node[side] = n;
			n->edges = realloc(n->edges, (size_t)(n->edge_count + 1) * sizeof(struct edge *));
			assert(n->edges);
			n->edges[n->edge_count++] = e;
		}
		e->delay_us[0] = e->delay_us[1] = 1000;
	}
}

void world_init(struct world *w, const struct topo *t, uint64_t seed, uint32_t generations)
{
	assert(generations <= SIM_GENERATIONS);
	*w = (struct world){.now = {.us = (int64_t)SIM_EPOCH_S * 1000000},
			    .rng = {.state = seed},
			    .trace = -1,
			    .watched = BROKEN_ALL};
	w->last_change = w->now;
	w->node_count = t->node_count;
	w->edge_count = t->edge_count;
	w->nodes = calloc((size_t)t->node_count, sizeof(*w->nodes));
	w->edges = calloc((size_t)t->edge_count + 1, sizeof(*w->edges));
	assert(w->nodes && w->edges);
	for (int i = 0; i < w->node_count; i++)
		node_init(w, &w->nodes[i], i);
	edges_init(w, t);
	names_init(w);
	w->check = check_new(w, generations);
}

void world_fini(struct world *w)
{
	for (int i = 0; i < w->node_count; i++) {
		struct node *n = &w->nodes[i];

		if (n->impl)
			n->kind->free(n->impl);
		free(n->ends);
		free(n->edges);
	}
	for (int i = 0; i < w->edge_count; i++)
		edge_fini(&w->edges[i]);
	check_free(w->check);
	queue_fini(&w->queue);
	free(w->names);
	free(w->nodes);
	free(w->edges);
}

void world_run(struct world *w, struct mono until)
{
	struct event e;

	while (w->failures == 0 && queue_take(&w->queue, until, &e)) {
		assert(e.at.us >= w->now.us);
		w->now = e.at;
		w->events++;
		e.run(w, e.object, e.arg);
	}
	if (w->now.us < until.us)
		w->now = until;
}

void world_fail(struct world *w, enum broken what, const char *format, ...)
{
	char text[SIM_FAILURE_BYTES - 24];
	va_list args;

	if (!(w->watched & what))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (w->failures++ == 0)
		snprintf(w->failure, sizeof(w->failure), "at %.6f s: %s", (double)w->now.us / 1e6 - SIM_EPOCH_S, text);
	if (w->verbose)
		printf("# %.6f s: %s\n", (double)w->now.us / 1e6 - SIM_EPOCH_S, text);
}

void world_trace(const struct world *w, const char *format, ...)
{
	va_list args;

	if (w->trace < 0)
		return;
	printf("# %.6f s: ", (double)w->now.us / 1e6 - SIM_EPOCH_S);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

static void on_wake(struct world *w, void *object, uint32_t serial)
{
	struct node *n = object;

	(void)w;
	if (!n->impl || serial != n->wake_serial)
		return;
	n->wake = MONO_NEVER;
	world_leave(n);
}

void world_leave(struct node *n)
{
	struct world *w = n->world;
	struct mono next = n->kind->tick(n->impl);

	if (next.us <= w->now.us) {
		world_fail(w, BROKEN_WIRE, "node %d wants to be called again at once", n->index);
		next = mono_add_us(w->now, 1);
	}
	if (next.us < n->wake.us) {
		n->wake = next;
		queue_add(&w->queue, next, on_wake, n, ++n->wake_serial);
	}
	check_event(n);
}

struct end *world_end(const struct node *n, uint32_t link)
{
	const uint32_t slot = link % LIMIT_LINK_SLOTS;
	struct end *e = slot < n->end_cap ? n->ends[slot] : NULL;

	return e && e->link == link ? e : NULL;
}

void world_send(struct node *n, uint32_t link, const uint8_t *tlv, size_t len)
{
	struct end *e = world_end(n, link);

	n->world->tlvs_sent++;
	if (!e) {
		world_fail(n->world, BROKEN_WIRE, "node %d sends to link %u, which is not up", n->index, link);
		return;
	}
	check_sent(n, tlv, len);
	end_send(e, tlv, len);
}

void world_start(struct node *n)
{
	struct world *w = n->world;

	assert(!n->impl);
	n->started = w->last_change = w->now;
	world_trace(w, "node %d starts", n->index);
	n->impl = n->kind->new (n);
	world_leave(n);
	for (int i = 0; i < n->edge_count; i++) {
		struct edge *e = n->edges[i];

		edge_reset_halves(e);
		if (e->node[0] == n)
			edge_dial(e, rng_range(&w->rng, 0, 50000));
	}
}

void world_stop(struct node *n, bool told)
{
	struct world *w = n->world;

	assert(n->impl && n->generation + 1 < SIM_GENERATIONS);
	n->kind->free(n->impl);
	n->impl = NULL;
	n->wake = MONO_NEVER;
	n->wake_serial++;
	n->generation++;
	w->last_change = w->now;
	world_trace(w, "node %d stops", n->index);
	check_stopped(n);
	for (int i = 0; i < n->edge_count; i++)
		for (struct conn *c = n->edges[i]->conns; c; c = c->next)
			end_close(&c->end[c->end[1].node == n], told);
}
