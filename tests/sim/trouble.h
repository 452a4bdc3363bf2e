/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to a network: cuts, breaks, partitions, restarts, changes of delay, loss. */
#ifndef TESTS_SIM_TROUBLE_H
#define TESTS_SIM_TROUBLE_H

#include "tests/sim/world.h"

/* Draws delays and losses for every edge. */
void trouble_draw_edges(struct world *w);
/* Some random trouble within the next seconds; returns when all of it has begun and what is to end has ended. A
 * partition may be left. */
struct mono trouble_begin(struct world *w, uint32_t generations);
/* Heals every edge. */
void trouble_heal(struct world *w);

#endif
