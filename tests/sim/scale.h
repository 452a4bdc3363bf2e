/* SPDX-License-Identifier: Apache-2.0 */
/* One core with many routes, without a world around it: what an Update, a route and a new link cost. */
#ifndef TESTS_SIM_SCALE_H
#define TESTS_SIM_SCALE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Prints its figures as comments. False with a sentence in why if a route is missing or a figure is out of all
 * proportion. */
bool scale_routes(uint64_t seed, int routes, char *why, size_t cap);

#endif
