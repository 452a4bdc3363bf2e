/* SPDX-License-Identifier: Apache-2.0 */
/* Links that are up: slots by link id, cost, and a binary heap by the time their next announcement is due. */
#include "controld/babel/core.h"

struct neigh *neigh_find(const struct babel *b, uint32_t link)
{
	struct neigh *n = b->slots[link % LIMIT_LINK_SLOTS];

	return n && n->link == link ? n : NULL;
}

static void heap_put(struct babel *b, size_t i, struct neigh *n)
{
	b->heap[i] = n;
	n->heap_index = i;
}

static size_t heap_rise(struct babel *b, size_t i, const struct neigh *n)
{
	while (i > 0 && b->heap[(i - 1) / 2]->due.us > n->due.us) {
		heap_put(b, i, b->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	return i;
}

static size_t heap_sink(struct babel *b, size_t i, const struct neigh *n)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < b->neigh_count && b->heap[child + 1]->due.us < b->heap[child]->due.us)
			child++;
		if (child >= b->neigh_count || b->heap[child]->due.us >= n->due.us)
			return i;
		heap_put(b, i, b->heap[child]);
		i = child;
	}
}

void neigh_reschedule(struct babel *b, struct neigh *n)
{
	n->due = mono_min(n->own_due, n->table_due);
	heap_put(b, heap_sink(b, heap_rise(b, n->heap_index, n), n), n);
}

struct neigh *neigh_add(struct babel *b, uint32_t link, uint16_t smoothed, struct mono now)
{
	struct neigh **slot = &b->slots[link % LIMIT_LINK_SLOTS];
	struct neigh *n;

	if (*slot || b->neigh_count == LIMIT_LINKS)
		return NULL;
	n = core_alloc(sizeof(*n));
	n->link = link;
	n->smoothed = smoothed;
	n->own_due = now;
	n->table_due = now;
	*slot = n;
	heap_put(b, b->neigh_count++, n);
	neigh_reschedule(b, n);
	return n;
}

void neigh_take(struct babel *b, struct neigh *n)
{
	struct neigh *last = b->heap[--b->neigh_count];

	b->slots[n->link % LIMIT_LINK_SLOTS] = NULL;
	if (last == n)
		return;
	heap_put(b, n->heap_index, last);
	neigh_reschedule(b, last);
}

uint16_t neigh_cost(const struct babel *b, const struct neigh *n)
{
	const uint32_t sum = (uint32_t)n->smoothed + b->network->link_cost_add;

	return sum < METRIC_FINITE_MAX ? (uint16_t)sum : METRIC_FINITE_MAX;
}
