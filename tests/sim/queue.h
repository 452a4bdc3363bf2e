/* SPDX-License-Identifier: Apache-2.0 */
/* Events ordered by virtual time; those of one instant in the order in which they were added. */
#ifndef TESTS_SIM_QUEUE_H
#define TESTS_SIM_QUEUE_H

#include "shared/base/mono.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct world;

struct event {
	struct mono at;
	uint64_t order;
	void (*run)(struct world *w, void *object, uint32_t arg);
	void *object; /* borrowed, lives as long as the world */
	uint32_t arg;
};

struct queue {
	struct event *heap; /* owned */
	size_t count, cap;
	uint64_t order;
};

void queue_add(struct queue *q, struct mono at, void (*run)(struct world *, void *, uint32_t), void *object,
	       uint32_t arg);
/* Takes the earliest event if it is due at until; false if there is none. */
bool queue_take(struct queue *q, struct mono until, struct event *out);
void queue_fini(struct queue *q);

#endif
