/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of one worker in its page of the shared memory: one thread writes, others read at any time. */
#ifndef FASTPATH_STATS_H
#define FASTPATH_STATS_H

#include "shared/lanes.h"
#include <stdint.h>

static inline void stat_add(struct lanes_stats *s, enum stat_id stat, uint64_t n)
{
	__u64 *value = &s->value[stat];

	__atomic_store_n(value, __atomic_load_n(value, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline void stat_inc(struct lanes_stats *s, enum stat_id stat)
{
	stat_add(s, stat, 1);
}

static inline uint64_t stat_get(const struct lanes_stats *s, enum stat_id stat)
{
	return __atomic_load_n(&s->value[stat], __ATOMIC_RELAXED);
}

#endif
