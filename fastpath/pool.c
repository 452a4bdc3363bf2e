/* SPDX-License-Identifier: Apache-2.0 */
/* The free list is an array beside the chunks, so that a chunk that lies idle need not be touched. It is a stack: what
 * was not taken between two trims lies at its bottom, and below `clean` are those whose pages went back to the kernel
 * already. */
#include "fastpath/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { RESERVED_PART = 8 };

struct pool {
	uint8_t *base;
	uint32_t *stack;
	uint32_t chunks, fresh; /* base[fresh..chunks) was never taken */
	uint32_t depth, lowest, clean;
	uint16_t worker;
};

static void *reserve(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

struct pool *pool_new(uint32_t chunks, uint16_t worker)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->chunks = chunks;
	p->worker = worker;
	p->base = reserve((size_t)chunks * LIMIT_CHUNK_BYTES);
	p->stack = reserve(chunks * sizeof(*p->stack));
	if (!p->base || !p->stack) {
		pool_free(p);
		return NULL;
	}
	return p;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	if (p->base)
		munmap(p->base, (size_t)p->chunks * LIMIT_CHUNK_BYTES);
	if (p->stack)
		munmap(p->stack, p->chunks * sizeof(*p->stack));
	free(p);
}

static struct chunk *chunk_at(const struct pool *p, uint32_t index)
{
	return (struct chunk *)(void *)(p->base + (size_t)index * LIMIT_CHUNK_BYTES);
}

struct chunk *pool_take(struct pool *p)
{
	struct chunk *c;

	if (p->depth) {
		c = chunk_at(p, p->stack[--p->depth]);
		if (p->lowest > p->depth)
			p->lowest = p->depth;
		if (p->clean > p->depth)
			p->clean = p->depth;
	} else if (p->fresh < p->chunks) {
		c = chunk_at(p, p->fresh++);
	} else {
		return NULL;
	}
	c->next = NULL;
	c->start = c->end = c->mark = 0;
	c->worker = p->worker;
	return c;
}

struct chunk *pool_take_data(struct pool *p)
{
	return pool_used(p) < p->chunks - p->chunks / RESERVED_PART ? pool_take(p) : NULL;
}

void pool_give(struct pool *p, struct chunk *c)
{
	const size_t at = (size_t)((uint8_t *)c - p->base);

	assert(c->worker == p->worker && at % LIMIT_CHUNK_BYTES == 0 && at / LIMIT_CHUNK_BYTES < p->fresh &&
	       p->depth < p->fresh);
	p->stack[p->depth++] = (uint32_t)(at / LIMIT_CHUNK_BYTES);
}

void pool_trim(struct pool *p)
{
	while (p->clean < p->lowest)
		madvise(chunk_at(p, p->stack[p->clean++]), LIMIT_CHUNK_BYTES, MADV_DONTNEED);
	p->lowest = p->depth;
}

uint32_t pool_used(const struct pool *p)
{
	return p->fresh - p->depth;
}
