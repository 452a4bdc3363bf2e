/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes of networks: which nodes are neighbours. All are connected. */
#ifndef TESTS_SIM_TOPO_H
#define TESTS_SIM_TOPO_H

#include "tests/sim/rng.h"

enum topo_shape {
	TOPO_LINE,
	TOPO_RING,
	TOPO_STAR,
	TOPO_TREE,
	TOPO_MESH, /* a tree and some edges more */
	TOPO_GRID,
	TOPO_CLIQUE,
	TOPO_SHAPES
};

struct topo {
	enum topo_shape shape;
	int node_count, edge_count, edge_cap;
	int (*edges)[2]; /* owned */
};

const char *topo_name(enum topo_shape shape);
/* extra: edges that a mesh has more than a tree. */
void topo_init(struct topo *t, enum topo_shape shape, int node_count, int extra, struct rng *r);
void topo_fini(struct topo *t);

#endif
