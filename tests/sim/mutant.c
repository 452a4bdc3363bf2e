/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/mutant.h"

#include "tests/sim/core.h"
#include "tests/sim/ref.h"
#include <stdio.h>

enum {
	TRIES = 1000,
	TRIES_RIGHT = 8,
};

const struct mutant mutants[] = {
	{.name = "no-defect", .kind = &kind_ref},
	{.name = "reference", .kind = &kind_ref, .options = REF_DEFECTS, .watched = BROKEN_LOOP},
	{.name = "fd-raise", .kind = &kind_ref, .options = REF_RAISES_FD, .watched = BROKEN_DISTANCE},
	{.name = "fd-raise-loop", .kind = &kind_ref, .options = REF_RAISES_FD, .watched = BROKEN_LOOP},
	{.name = "no-bump", .kind = &kind_ref, .options = REF_NEVER_BUMPS, .watched = BROKEN_REST},
	{.name = "no-request", .kind = &kind_ref, .options = REF_NEVER_ASKS, .watched = BROKEN_REST},
	{.name = "silent-death", .kind = &kind_ref, .options = REF_SILENT_DEATH, .watched = BROKEN_REST},
	{.name = "kept-retractions", .kind = &kind_core, .options = CORE_KEEPS_RETRACTIONS, .watched = BROKEN_REST},
	{.name = "lowered-metrics", .kind = &kind_core, .options = CORE_LOWERS_METRICS, .watched = BROKEN_LOOP},
};
const int mutant_count = sizeof(mutants) / sizeof(mutants[0]);

bool mutant_run(const struct mutant *m, uint64_t seed, bool verbose, char found[SIM_FAILURE_BYTES])
{
	struct scenario s = {.kind = m->kind,
			     .options = m->options,
			     .watched = m->watched,
			     .rounds = -1,
			     .verbose = verbose,
			     .trace = -1};

	found[0] = '\0';
	for (int i = 0; i < (m->watched ? TRIES : TRIES_RIGHT); i++) {
		s.seed = seed ^ (uint64_t)i << 32;
		const struct outcome o = scenario_run(&s);

		if (verbose)
			printf("# mutant %s: seed %llu, %s: %s\n", m->name, (unsigned long long)s.seed, o.what,
			       o.passed ? "nothing found" : o.failure);
		if (!o.passed) {
			memcpy(found, o.failure, sizeof(o.failure));
			break;
		}
	}
	return (m->watched != 0) == (found[0] != '\0');
}
