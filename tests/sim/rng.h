/* SPDX-License-Identifier: Apache-2.0 */
/* A small deterministic generator (splitmix64): a run is its seed. */
#ifndef TESTS_SIM_RNG_H
#define TESTS_SIM_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rng {
	uint64_t state;
};

static inline uint64_t rng_u64(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* 0 .. bound - 1; bound is at least 1. */
static inline uint32_t rng_below(struct rng *r, uint32_t bound)
{
	return (uint32_t)(((rng_u64(r) >> 32) * bound) >> 32);
}

/* low .. high, both included. */
static inline int64_t rng_range(struct rng *r, int64_t low, int64_t high)
{
	return low + (int64_t)(rng_u64(r) % (uint64_t)(high - low + 1));
}

static inline bool rng_percent(struct rng *r, uint32_t percent)
{
	return rng_below(r, 100) < percent;
}

static inline void rng_bytes(struct rng *r, void *out, size_t len)
{
	uint8_t *p = out;

	while (len > 0) {
		const uint64_t v = rng_u64(r);
		const size_t take = len < sizeof(v) ? len : sizeof(v);

		memcpy(p, &v, take);
		p += take;
		len -= take;
	}
}

#endif
