/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a loop until a state is reached; false if that takes longer than ten seconds. */
#ifndef TESTS_SUPPORT_UNTIL_H
#define TESTS_SUPPORT_UNTIL_H

#include "controld/loop.h"

enum { UNTIL_MAX_MS = 10000 };

struct until {
	struct loop *loop;
	struct loop_timer *timer;
	struct mono deadline;
	bool (*ready)(void *ctx);
	void *ctx;
	bool reached;
};

static inline void until_look(void *ctx, struct mono now)
{
	struct until *u = ctx;

	u->reached = u->ready(u->ctx);
	if (u->reached || mono_is_due(u->deadline, now))
		loop_stop(u->loop);
	else
		loop_timer_at(u->timer, mono_add_ms(now, 1));
}

static inline bool until(struct loop *l, bool (*ready)(void *ctx), void *ctx)
{
	struct until u = {.loop = l, .ready = ready, .ctx = ctx, .deadline = mono_add_ms(mono_now(), UNTIL_MAX_MS)};

	u.timer = loop_timer_new(l, until_look, &u);
	loop_timer_at(u.timer, mono_now());
	loop_run(l);
	loop_timer_free(u.timer);
	return u.reached;
}

#endif
