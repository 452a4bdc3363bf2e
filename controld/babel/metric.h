/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic of metrics and sequence numbers (wire-200 4.3). */
#ifndef CONTROLD_BABEL_METRIC_H
#define CONTROLD_BABEL_METRIC_H

#include "shared/wire.h"
#include <stdbool.h>
#include <stdint.h>

enum {
	METRIC_FINITE_MAX = WIRE_INFINITE - 1,
	SEQNO_HALF = 32768,
};

static inline uint16_t metric_add(uint16_t a, uint16_t b)
{
	const uint32_t sum = (uint32_t)a + b;

	if (a == WIRE_INFINITE || b == WIRE_INFINITE)
		return WIRE_INFINITE;
	return sum < METRIC_FINITE_MAX ? (uint16_t)sum : METRIC_FINITE_MAX;
}

/* The distance between two metrics. */
static inline uint16_t metric_diff(uint16_t a, uint16_t b)
{
	return a < b ? b - a : a - b;
}

/* a is older than b, modulo 65536; at a distance of exactly 32768 neither is. */
static inline bool seqno_lt(uint16_t a, uint16_t b)
{
	return a != b && (uint16_t)(b - a) < SEQNO_HALF;
}

#endif
