/* SPDX-License-Identifier: Apache-2.0 */
/* Timers in a binary heap, embedded in what they belong to. */
#ifndef CONTROLD_MESSAGE_TIMER_H
#define CONTROLD_MESSAGE_TIMER_H

#include "shared/base/mono.h"
#include <stddef.h>

enum timer_kind { TIMER_OUTGOING, TIMER_TARGET, TIMER_INCOMING };

struct timer {
	struct mono due;
	size_t place; /* in the heap, from 1; 0: not set */
	enum timer_kind kind;
};

struct timers {
	struct timer **heap; /* [0] is not used */
	size_t count, room;
};

/* Sets it, anew if it was set; MONO_NEVER stops it. */
void timer_set(struct timers *ts, struct timer *t, struct mono due);
/* The first one if it is due, stopped; else NULL. */
struct timer *timer_take(struct timers *ts, struct mono now);
struct mono timer_next(const struct timers *ts);
void timer_fini(struct timers *ts);

#endif
