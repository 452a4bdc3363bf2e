/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/trouble.h"

#include "tests/sim/check.h"
#include <assert.h>
#include <stdlib.h>

enum {
	WINDOW_US = 8000000,
	CUT_MAX_US = 15000000,
	DOWN_MAX_US = 3000000,
	UNNOTICED_MAX_US = 8000000,
	TROUBLES_MAX = 5,
};

static void draw_edge(struct rng *r, struct edge *e)
{
	static const int64_t scale_us[] = {100, 300, 1000, 3000, 10000, 30000};
	const int64_t scale = scale_us[rng_below(r, sizeof(scale_us) / sizeof(scale_us[0]))];

	e->delay_us[0] = rng_range(r, scale / 2, 2 * scale);
	e->delay_us[1] = rng_range(r, scale / 2, 2 * scale);
	e->jitter_us = rng_percent(r, 50) ? rng_range(r, 0, scale) : 0;
}

void trouble_draw_edges(struct world *w)
{
	for (int i = 0; i < w->edge_count; i++)
		draw_edge(&w->rng, &w->edges[i]);
}

static void on_block(struct world *w, void *object, uint32_t arg)
{
	struct edge *e = object;

	(void)w;
	(void)arg;
	if (!e->blocked)
		edge_block(e);
}

static void on_unblock(struct world *w, void *object, uint32_t arg)
{
	struct edge *e = object;

	(void)w;
	(void)arg;
	if (e->blocked)
		edge_unblock(e);
}

static void on_break(struct world *w, void *object, uint32_t side)
{
	edge_break(object, (int)side, rng_percent(&w->rng, 50) ? 0 : rng_range(&w->rng, 0, UNNOTICED_MAX_US));
}

static void on_redraw(struct world *w, void *object, uint32_t arg)
{
	(void)arg;
	draw_edge(&w->rng, object);
	w->last_change = w->now;
}

static void on_loss(struct world *w, void *object, uint32_t percent)
{
	struct edge *e = object;

	e->loss_percent = percent;
	w->last_change = w->now;
}

static void on_start(struct world *w, void *object, uint32_t arg)
{
	(void)w;
	(void)arg;
	world_start(object);
}

static void on_stop(struct world *w, void *object, uint32_t generations)
{
	struct node *n = object;

	if (!n->impl || n->generation + 1 >= generations)
		return;
	world_stop(n, rng_percent(&w->rng, 50));
	queue_add(&w->queue, mono_add_us(w->now, rng_range(&w->rng, 1000, DOWN_MAX_US)), on_start, n, 0);
}

static void on_adopt(struct world *w, void *object, uint32_t arg)
{
	struct node *n = object;

	(void)arg;
	if (!n->impl || !n->kind->adopt)
		return;
	w->last_change = w->now;
	check_adopted(n);
	n->kind->adopt(n->impl);
	world_leave(n);
}

/* A random half of the nodes around one of them is cut off. */
static void partition(struct world *w, struct mono from, struct mono to, bool heal)
{
	bool *inside = calloc((size_t)w->node_count, sizeof(*inside));
	const int wanted = 1 + (int)rng_below(&w->rng, (uint32_t)w->node_count);

	assert(inside);
	inside[rng_below(&w->rng, (uint32_t)w->node_count)] = true;
	for (int i = 1; i < wanted; i++) {
		const struct edge *e = &w->edges[rng_below(&w->rng, (uint32_t)w->edge_count)];

		if (inside[e->node[0]->index] || inside[e->node[1]->index])
			inside[e->node[0]->index] = inside[e->node[1]->index] = true;
	}
	for (int i = 0; i < w->edge_count; i++) {
		struct edge *e = &w->edges[i];

		if (inside[e->node[0]->index] == inside[e->node[1]->index])
			continue;
		queue_add(&w->queue, from, on_block, e, 0);
		if (heal)
			queue_add(&w->queue, to, on_unblock, e, 0);
	}
	free(inside);
}

static struct mono one_trouble(struct world *w, uint32_t generations)
{
	struct rng *r = &w->rng;
	struct edge *e = &w->edges[rng_below(r, (uint32_t)w->edge_count)];
	struct node *n = &w->nodes[rng_below(r, (uint32_t)w->node_count)];
	const struct mono from = mono_add_us(w->now, rng_range(r, 0, WINDOW_US));
	const struct mono to = mono_add_us(from, rng_range(r, 100000, CUT_MAX_US));

	switch (rng_below(r, 7)) {
	case 0:
		queue_add(&w->queue, from, on_block, e, 0);
		queue_add(&w->queue, to, on_unblock, e, 0);
		return to;
	case 1:
		queue_add(&w->queue, from, on_break, e, rng_below(r, 2));
		return from;
	case 2:
		queue_add(&w->queue, from, on_redraw, e, 0);
		return from;
	case 3:
		queue_add(&w->queue, from, on_loss, e, 1 + rng_below(r, 30));
		queue_add(&w->queue, to, on_loss, e, 0);
		return to;
	case 4:
		queue_add(&w->queue, from, on_adopt, n, 0);
		return from;
	case 5:
		partition(w, from, to, rng_percent(r, 60));
		return to;
	default:
		queue_add(&w->queue, from, on_stop, n, generations);
		return mono_add_us(from, DOWN_MAX_US + 1);
	}
}

struct mono trouble_begin(struct world *w, uint32_t generations)
{
	const int count = 1 + (int)rng_below(&w->rng, TROUBLES_MAX);
	struct mono over = w->now;

	for (int i = 0; i < count; i++) {
		const struct mono t = one_trouble(w, generations);

		if (t.us > over.us)
			over = t;
	}
	return over;
}

void trouble_heal(struct world *w)
{
	for (int i = 0; i < w->edge_count; i++)
		on_unblock(w, &w->edges[i], 0);
}
