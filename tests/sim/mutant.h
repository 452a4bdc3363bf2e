/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes that are wrong in one way each: the checks have to find every one of them. */
#ifndef TESTS_SIM_MUTANT_H
#define TESTS_SIM_MUTANT_H

#include "tests/sim/scenario.h"

struct mutant {
	const char *name;
	const struct kind *kind;
	uint32_t options;
	uint32_t watched; /* what has to be found; 0: nothing may be, the model without defects is right */
};

extern const struct mutant mutants[];
extern const int mutant_count;

/* Runs networks of nothing but this mutant until something is found, or a number of them is over. True if it went as
 * expected; found gets the sentence of the violation. */
bool mutant_run(const struct mutant *m, uint64_t seed, bool verbose, char found[SIM_FAILURE_BYTES]);

#endif
