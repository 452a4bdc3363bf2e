/* SPDX-License-Identifier: Apache-2.0 */
/* Two ends and the network between them: packets wait in a heap until they are due, or are lost. For prop_message. */
#ifndef TESTS_PROP_PROP_MESSAGE_H
#define TESTS_PROP_PROP_MESSAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "controld/message/message.h"
#include "tests/support/message_reference.h"
#include <cmocka.h>
#include <stdlib.h>

enum {
	ENDS = 2,
	PLANS = 400,
	EVENTS_MAX = 1 << 20,
	NOW_S = 1700000000,
	BIG = 4 * 1024 * 1024,
	STRANGER = 9,
	STRANGER_MESSAGES = 64,
};

extern uint64_t random_state;

static inline uint64_t rnd(void)
{
	uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline bool chance(unsigned percent)
{
	return rnd() % 100 < percent;
}

/* One message, named by its topic. */
struct plan {
	int from;
	size_t len;
	bool reply;
	uint8_t id[FRAME_ID_BYTES];
	unsigned delivered, replies, ends;
	enum message_state state;
};

struct event {
	struct event *next;
	struct mono due;
	int end;
	uint64_t token; /* a completion of the store; 0: a packet */
	struct ip6 src, dst;
	size_t len;
	uint8_t bytes[];
};

struct end {
	struct world *world;
	int number;
	struct message_core *core; /* NULL: the model */
	struct reference model;
};

struct world {
	struct mono now;
	unsigned trouble; /* per cent */
	unsigned reply_chance;
	struct end ends[ENDS];
	struct event *heap[EVENTS_MAX];
	size_t events;
	struct plan plans[PLANS];
	size_t plan_count;
};

static inline struct ip6 ip_of(int end)
{
	return (struct ip6){{4, (uint8_t)(end + 1), [15] = 1}};
}

static inline uint8_t payload_byte(size_t plan, size_t i)
{
	return (uint8_t)((i * 31 + plan * 17) ^ i >> 8);
}

static inline uint8_t *payload_of(size_t plan, size_t len)
{
	uint8_t *p = malloc(len ? len : 1);

	assert_non_null(p);
	for (size_t i = 0; i < len; i++)
		p[i] = payload_byte(plan, i);
	return p;
}

/* The heap of events. */
static inline void push(struct world *w, struct event *e)
{
	size_t i = ++w->events;

	assert_true(i < EVENTS_MAX);
	for (; i > 1 && e->due.us < w->heap[i / 2]->due.us; i /= 2)
		w->heap[i] = w->heap[i / 2];
	w->heap[i] = e;
}

static inline struct event *pop(struct world *w)
{
	struct event *first = w->heap[1], *last = w->heap[w->events--];
	size_t i = 1;

	for (size_t child = 2; child <= w->events; child = 2 * i) {
		child += child < w->events && w->heap[child + 1]->due.us < w->heap[child]->due.us;
		if (w->heap[child]->due.us >= last->due.us)
			break;
		w->heap[i] = w->heap[child];
		i = child;
	}
	if (w->events)
		w->heap[i] = last;
	return first;
}

static inline struct event *new_event(struct world *w, int end, int64_t after_us, size_t len)
{
	struct event *e = calloc(1, sizeof(*e) + len);

	assert_non_null(e);
	e->due = mono_add_us(w->now, after_us);
	e->end = end;
	e->len = len;
	return e;
}

static inline int64_t delay_us(const struct world *w)
{
	int64_t us = 5000;

	if (chance(w->trouble)) /* others overtake it */
		us += (int64_t)(rnd() % 20000);
	if (chance(w->trouble))
		us += (int64_t)(rnd() % 300000);
	return us;
}

static inline void on_send(void *ctx, const struct ip6 *src, const struct ip6 *dst, const uint8_t *bytes, size_t len)
{
	struct world *w = ((struct end *)ctx)->world;
	const int to = dst->b[1] - 1;
	const int copies = 1 + chance(w->trouble);

	for (int i = 0; i < copies && to < ENDS; i++) {
		struct event *e;

		if (chance(w->trouble))
			continue;
		e = new_event(w, to, delay_us(w), len);
		e->src = *src;
		e->dst = *dst;
		memcpy(e->bytes, bytes, len);
		push(w, e);
	}
}

#endif
