/* SPDX-License-Identifier: Apache-2.0 */
/* One network from its start through some rounds of trouble, judged after every event and at rest. */
#ifndef TESTS_SIM_SCENARIO_H
#define TESTS_SIM_SCENARIO_H

#include "tests/sim/world.h"

struct scenario {
	uint64_t seed;
	const struct kind *kind;
	uint32_t options; /* of the kind */
	uint32_t ref_percent; /* so many nodes are of the reference kind, with all its defects */
	int nodes; /* 0: drawn, up to 60 */
	int rounds; /* of trouble; -1: drawn */
	uint32_t watched; /* kinds of violations that count; 0: all */
	bool verbose;
	int trace; /* node whose routes are traced; -1: none */
};

struct outcome {
	bool passed;
	char what[80]; /* the network */
	char failure[SIM_FAILURE_BYTES]; /* "" when passed */
	int nodes;
	double cpu_s, virtual_s;
	double converged_s, bound_s; /* the slowest convergence, and what was allowed */
	uint64_t events, tlvs, loops_mixed, loops_sources;
};

struct outcome scenario_run(const struct scenario *s);
/* CPU time of this process, in seconds. */
double cpu_s(void);

#endif
