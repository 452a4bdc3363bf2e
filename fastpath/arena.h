/* SPDX-License-Identifier: Apache-2.0 */
/* Slots of one size for secrets: address space for all of them, locked in steps as far as RLIMIT_MEMLOCK allows, left
 * out of core dumps and of forked processes, wiped when given back. The control thread takes and gives; workers may ask
 * for a slot that they know of. */
#ifndef FASTPATH_ARENA_H
#define FASTPATH_ARENA_H

#include "shared/base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ARENA_STEP_BYTES = 64 * 1024 };

struct arena {
	uint8_t *base; /* owned */
	size_t bytes, locked_bytes, slot_bytes;
	uint32_t cap;
	uint32_t high; /* slots 1..high have been taken once; relaxed atomic: workers check against it */
	uint32_t free; /* first of those given back; 0: none */
};

/* False with errno: no memory, or not even the first step can be locked. arena_fini() all the same.
 * slot_bytes <= ARENA_STEP_BYTES. */
MUST_CHECK bool arena_init(struct arena *a, size_t slot_bytes, uint32_t cap);
/* Wipes all. */
void arena_fini(struct arena *a);
/* A slot of zeros, 1..cap; 0: full, or no more may be locked. */
uint32_t arena_take(struct arena *a);
/* Wipes it. */
void arena_give(struct arena *a, uint32_t slot);

static inline uint32_t arena_high(const struct arena *a)
{
	return __atomic_load_n(&a->high, __ATOMIC_RELAXED);
}

static inline void *arena_slot(const struct arena *a, uint32_t slot)
{
	return a->base + (size_t)(slot - 1) * a->slot_bytes;
}

static inline uint32_t arena_number(const struct arena *a, const void *slot)
{
	return (uint32_t)((size_t)((const uint8_t *)slot - a->base) / a->slot_bytes) + 1;
}

#endif
