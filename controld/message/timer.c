/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/message/timer.h"
#include <stdlib.h>

enum { FIRST_ROOM = 64 };

static void put(struct timers *ts, size_t place, struct timer *t)
{
	ts->heap[place] = t;
	t->place = place;
}

static void sift(struct timers *ts, struct timer *t, size_t place)
{
	while (place > 1 && t->due.us < ts->heap[place / 2]->due.us) {
		put(ts, place, ts->heap[place / 2]);
		place /= 2;
	}
	for (size_t child = 2 * place; child <= ts->count; child = 2 * place) {
		if (child < ts->count && ts->heap[child + 1]->due.us < ts->heap[child]->due.us)
			child++;
		if (ts->heap[child]->due.us >= t->due.us)
			break;
		put(ts, place, ts->heap[child]);
		place = child;
	}
	put(ts, place, t);
}

static void stop(struct timers *ts, struct timer *t)
{
	const size_t place = t->place;
	struct timer *last = ts->heap[ts->count--];

	t->place = 0;
	if (last != t)
		sift(ts, last, place);
}

static void make_room(struct timers *ts)
{
	if (ts->count + 1 < ts->room)
		return;
	ts->room = ts->room ? 2 * ts->room : FIRST_ROOM;
	ts->heap = realloc(ts->heap, ts->room * sizeof(struct timer *));
	if (!ts->heap)
		abort();
}

void timer_set(struct timers *ts, struct timer *t, struct mono due)
{
	if (due.us == MONO_NEVER.us) {
		if (t->place)
			stop(ts, t);
		return;
	}
	t->due = due;
	if (!t->place) {
		make_room(ts);
		t->place = ++ts->count;
	}
	sift(ts, t, t->place);
}

struct timer *timer_take(struct timers *ts, struct mono now)
{
	struct timer *t = ts->count ? ts->heap[1] : NULL;

	if (!t || !mono_is_due(t->due, now))
		return NULL;
	stop(ts, t);
	return t;
}

struct mono timer_next(const struct timers *ts)
{
	return ts->count ? ts->heap[1]->due : MONO_NEVER;
}

void timer_fini(struct timers *ts)
{
	free(ts->heap);
	*ts = (struct timers){0};
}
