/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/session/heap.h"
#include <stdlib.h>

enum { HEAP_FIRST_ROOM = 64 };

static void place_at(struct heap *h, struct heap_node *n, size_t place)
{
	h->nodes[place] = n;
	n->place = place;
}

/* Finds the place of n, beginning from a free one. */
static void settle(struct heap *h, struct heap_node *n, size_t place)
{
	while (place > 1 && n->value < h->nodes[place / 2]->value) {
		place_at(h, h->nodes[place / 2], place);
		place /= 2;
	}
	for (size_t low = 2 * place; low <= h->count; low = 2 * place) {
		if (low < h->count && h->nodes[low + 1]->value < h->nodes[low]->value)
			low++;
		if (n->value <= h->nodes[low]->value)
			break;
		place_at(h, h->nodes[low], place);
		place = low;
	}
	place_at(h, n, place);
}

void heap_set(struct heap *h, struct heap_node *n, int64_t value)
{
	n->value = value;
	if (!n->place) {
		if (h->count + 1 >= h->room) {
			h->room = h->room ? 2 * h->room : HEAP_FIRST_ROOM;
			h->nodes = realloc(h->nodes, h->room * sizeof(struct heap_node *));
			if (!h->nodes)
				abort();
		}
		n->place = ++h->count;
	}
	settle(h, n, n->place);
}

void heap_del(struct heap *h, struct heap_node *n)
{
	const size_t place = n->place;
	struct heap_node *last;

	if (!place)
		return;
	last = h->nodes[h->count--];
	n->place = 0;
	if (last != n)
		settle(h, last, place);
}

struct heap_node *heap_first(const struct heap *h)
{
	return h->count ? h->nodes[1] : NULL;
}

void heap_fini(struct heap *h)
{
	free(h->nodes);
	*h = (struct heap){0};
}
