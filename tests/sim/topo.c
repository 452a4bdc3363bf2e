/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/topo.h"

#include <assert.h>
#include <stdlib.h>

const char *topo_name(enum topo_shape shape)
{
	static const char *const names[] = {"line", "ring", "star", "tree", "mesh", "grid", "clique"};

	_Static_assert(sizeof(names) / sizeof(names[0]) == TOPO_SHAPES, "a name for every shape");
	return names[shape];
}

static void add(struct topo *t, int a, int b)
{
	if (t->edge_count == t->edge_cap) {
		t->edge_cap = t->edge_cap ? 2 * t->edge_cap : 64;
		t->edges = realloc(t->edges, (size_t)t->edge_cap * sizeof(*t->edges));
		assert(t->edges);
	}
	t->edges[t->edge_count][0] = a;
	t->edges[t->edge_count][1] = b;
	t->edge_count++;
}

static bool has(const struct topo *t, int a, int b)
{
	for (int i = 0; i < t->edge_count; i++) {
		const int *e = t->edges[i];

		if ((e[0] == a && e[1] == b) || (e[0] == b && e[1] == a))
			return true;
	}
	return false;
}

static void mesh(struct topo *t, int extra, struct rng *r)
{
	for (int i = 1; i < t->node_count; i++)
		add(t, i, (int)rng_below(r, (uint32_t)i));
	for (int tries = 0; extra > 0 && tries < 20 * t->node_count; tries++) {
		const int a = (int)rng_below(r, (uint32_t)t->node_count);
		const int b = (int)rng_below(r, (uint32_t)t->node_count);

		if (a == b || has(t, a, b))
			continue;
		add(t, a, b);
		extra--;
	}
}

static void grid(struct topo *t)
{
	int width = 1;

	while (width * width < t->node_count)
		width++;
	for (int i = 0; i < t->node_count; i++) {
		if (i % width != 0)
			add(t, i, i - 1);
		if (i >= width)
			add(t, i, i - width);
	}
}

static void clique(struct topo *t)
{
	for (int a = 0; a < t->node_count; a++)
		for (int b = 0; b < a; b++)
			add(t, a, b);
}

void topo_init(struct topo *t, enum topo_shape shape, int node_count, int extra, struct rng *r)
{
	*t = (struct topo){.shape = shape, .node_count = node_count};
	switch (shape) {
	case TOPO_TREE:
	case TOPO_MESH:
		mesh(t, shape == TOPO_MESH ? extra : 0, r);
		break;
	case TOPO_GRID:
		grid(t);
		break;
	case TOPO_CLIQUE:
		clique(t);
		break;
	default:
		for (int i = 1; i < node_count; i++)
			add(t, i, shape == TOPO_STAR ? 0 : i - 1);
		if (shape == TOPO_RING && node_count > 2)
			add(t, 0, node_count - 1);
	}
}

void topo_fini(struct topo *t)
{
	free(t->edges);
	*t = (struct topo){0};
}
