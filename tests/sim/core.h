/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_CORE_H
#define TESTS_SIM_CORE_H

#include "tests/sim/world.h"

enum { /* options of kind_core: what a mutant does to the core's Updates */
       CORE_KEEPS_RETRACTIONS = 1,
       CORE_LOWERS_METRICS = 2,
};

#endif
