/* SPDX-License-Identifier: Apache-2.0 */
/* The invariants. After every event, for what it touched: no forwarding loop, no route taken that is not feasible
 * against everything the node has announced, nothing sent that does not belong on the wire, and in samples: no
 * feasibility distance risen. At rest: connected means routed, unreachable means retracted.
 *
 * A loop counts when all nodes on it are judged and all its routes are of one source: two lives of one restarted node
 * are two sources, between which Babel promises only that a loop is short-lived. It must be gone at rest. A hop leads
 * to a neighbour only while both ends of its connection are up. */
#ifndef TESTS_SIM_CHECK_H
#define TESTS_SIM_CHECK_H

#include "tests/sim/world.h"

struct check;

struct check_totals {
	uint64_t loops_mixed; /* through nodes not judged */
	uint64_t loops_sources; /* of routes of several sources: passing */
	uint64_t hops_followed, sources_read;
};

struct check *check_new(struct world *w, uint32_t generations);
void check_free(struct check *c);

/* The node's route to a destination is now this one; link is ignored when route is NULL. */
void check_selected(struct node *n, const struct prefix *p, const struct babel_route *route);
void check_sent(struct node *n, const uint8_t *tlv, size_t len);
/* The node's call is over. */
void check_event(struct node *n);
void check_stopped(struct node *n);
/* The node has kept its routes, but has forgotten what it announced of any other source. */
void check_adopted(struct node *n);

/* Is every node routed to every destination (that is judged, or to all), or its route retracted, as the edges say?
 * Otherwise why gets a sentence. */
bool check_converged(struct world *w, bool judged_only, char why[SIM_FAILURE_BYTES]);
/* At rest: feasibility distances and the nodes' own accounts of themselves. */
void check_rest(struct world *w);
struct check_totals check_totals(const struct world *w);

#endif
