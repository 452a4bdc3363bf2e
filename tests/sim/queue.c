/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/queue.h"

#include <assert.h>
#include <stdlib.h>

static bool event_is_before(const struct event *a, const struct event *b)
{
	return a->at.us != b->at.us ? a->at.us < b->at.us : a->order < b->order;
}

void queue_add(struct queue *q, struct mono at, void (*run)(struct world *, void *, uint32_t), void *object,
	       uint32_t arg)
{
	const struct event e = {.at = at, .order = q->order++, .run = run, .object = object, .arg = arg};
	size_t i = q->count++;

	if (q->count > q->cap) {
		q->cap = q->cap ? 2 * q->cap : 256;
		q->heap = realloc(q->heap, q->cap * sizeof(*q->heap));
		assert(q->heap);
	}
	while (i > 0 && event_is_before(&e, &q->heap[(i - 1) / 2])) {
		q->heap[i] = q->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	q->heap[i] = e;
}

bool queue_take(struct queue *q, struct mono until, struct event *out)
{
	struct event last;
	size_t i = 0;

	if (q->count == 0 || !mono_is_due(q->heap[0].at, until))
		return false;
	*out = q->heap[0];
	last = q->heap[--q->count];
	for (size_t child = 1; child < q->count; child = 2 * i + 1) {
		if (child + 1 < q->count && event_is_before(&q->heap[child + 1], &q->heap[child]))
			child++;
		if (!event_is_before(&q->heap[child], &last))
			break;
		q->heap[i] = q->heap[child];
		i = child;
	}
	q->heap[i] = last;
	return true;
}

void queue_fini(struct queue *q)
{
	free(q->heap);
	*q = (struct queue){0};
}
