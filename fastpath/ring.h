/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks from one worker to another: a bounded ring of pointers for one writing and one reading thread. There are two
 * between each pair of workers, one each way; a chunk goes out by one and comes back, empty, by the other. A worker has
 * at most RING_OUT_CHUNKS of its own chunks at another one, so a ring never overflows: it holds them and the other
 * one's returns. */
#ifndef FASTPATH_RING_H
#define FASTPATH_RING_H

#include "fastpath/pool.h"
#include <assert.h>
#include <stdint.h>

enum { RING_OUT_CHUNKS = 32, RING_SLOTS = 2 * RING_OUT_CHUNKS };
_Static_assert((RING_SLOTS & (RING_SLOTS - 1)) == 0, "positions wrap");

struct ring {
	uint32_t head __attribute__((aligned(64))); /* atomic, writer's */
	uint32_t tail __attribute__((aligned(64))); /* atomic, reader's */
	struct chunk *slot[RING_SLOTS] __attribute__((aligned(64)));
};

static inline void ring_put(struct ring *r, struct chunk *c)
{
	const uint32_t head = __atomic_load_n(&r->head, __ATOMIC_RELAXED);

	assert(head - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) < RING_SLOTS);
	r->slot[head % RING_SLOTS] = c;
	__atomic_store_n(&r->head, head + 1, __ATOMIC_SEQ_CST);
}

/* NULL: empty. */
static inline struct chunk *ring_take(struct ring *r)
{
	const uint32_t tail = __atomic_load_n(&r->tail, __ATOMIC_RELAXED);
	struct chunk *c;

	if (tail == __atomic_load_n(&r->head, __ATOMIC_SEQ_CST))
		return NULL;
	c = r->slot[tail % RING_SLOTS];
	__atomic_store_n(&r->tail, tail + 1, __ATOMIC_RELEASE);
	return c;
}

#endif
