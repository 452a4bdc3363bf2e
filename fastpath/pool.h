/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks for queues: address space reserved once, touched when used, given back to the kernel when idle. Each worker
 * has a pool of its own (no lock); a chunk handed to another worker comes back by a ring. */
#ifndef FASTPATH_POOL_H
#define FASTPATH_POOL_H

#include "shared/limits.h"
#include <stddef.h>
#include <stdint.h>

struct chunk {
	struct chunk *next;
	uint32_t start, end; /* bytes in use: data[start..end) */
	uint32_t mark; /* the owner's own use */
	uint16_t worker; /* whose pool it belongs to */
	uint8_t data[] __attribute__((aligned(8)));
};
enum { CHUNK_DATA_BYTES = LIMIT_CHUNK_BYTES - sizeof(struct chunk) };

struct pool;

struct pool *pool_new(uint32_t chunks, uint16_t worker); /* NULL with errno */
void pool_free(struct pool *p);
/* An empty chunk, or NULL: the pool is exhausted. */
struct chunk *pool_take(struct pool *p);
/* The same, but for the last eighth of the pool: that is for control packets, for a link without Hellos dies. */
struct chunk *pool_take_data(struct pool *p);
void pool_give(struct pool *p, struct chunk *c);
/* Now and then: gives the pages of chunks that lay idle since the last call back to the kernel. */
void pool_trim(struct pool *p);
uint32_t pool_used(const struct pool *p);

#endif
