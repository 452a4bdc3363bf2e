/* SPDX-License-Identifier: Apache-2.0 */
/* When may memory that workers read be freed: after every worker has passed a batch. The control thread publishes by
 * one pointer store, raises the epoch, and frees what was replaced before when all workers have been seen at or past
 * it, or idle. */
#ifndef FASTPATH_EPOCH_H
#define FASTPATH_EPOCH_H

#include "shared/limits.h"
#include <stdbool.h>
#include <stdint.h>

struct epoch {
	uint64_t now; /* atomic; starts at 1 */
	struct {
		uint64_t seen; /* atomic; 0: idle, holds nothing */
	} __attribute__((aligned(64))) worker[LIMIT_WORKERS];
};

/* Worker: a batch begins; pointers loaded from now on stay valid until epoch_leave(). */
static inline void epoch_enter(struct epoch *e, unsigned worker)
{
	__atomic_store_n(&e->worker[worker].seen, __atomic_load_n(&e->now, __ATOMIC_SEQ_CST), __ATOMIC_SEQ_CST);
}

/* Worker: a batch ended. */
static inline void epoch_leave(struct epoch *e, unsigned worker)
{
	__atomic_store_n(&e->worker[worker].seen, 0, __ATOMIC_RELEASE);
}

/* Control thread, after a pointer store: what was replaced may be freed once epoch_is_past(the value returned). */
static inline uint64_t epoch_retire(struct epoch *e)
{
	return __atomic_add_fetch(&e->now, 1, __ATOMIC_SEQ_CST);
}

static inline bool epoch_is_past(const struct epoch *e, unsigned workers, uint64_t retired)
{
	for (unsigned i = 0; i < workers; i++) {
		const uint64_t seen = __atomic_load_n(&e->worker[i].seen, __ATOMIC_SEQ_CST);

		if (seen && seen < retired)
			return false;
	}
	return true;
}

#endif
