/* SPDX-License-Identifier: Apache-2.0 */
/* The replay window of one lane (session.md, data packets), in memory that several fastpaths share. A counter is
 * accepted at most once, whatever dies at whatever instruction: an update is written in the order greatest, clear
 * blocks, set bit, so what a crash leaves behind refuses too much, never too little. */
#ifndef FASTPATH_REPLAY_H
#define FASTPATH_REPLAY_H

#include "shared/base/buf.h"
#include "shared/lanes.h"
#include <stdbool.h>
#include <stdint.h>

enum replay_verdict {
	REPLAY_NEW, /* for the first time: it is marked now */
	REPLAY_OLD, /* below the window */
	REPLAY_SEEN,
	REPLAY_BUSY, /* another held the flag all the time */
};

/* A look before the packet is opened, without the flag: what is old stays old. */
static inline bool replay_is_old(const struct lanes_window *w, uint64_t counter)
{
	const uint64_t greatest = __atomic_load_n(&w->greatest, __ATOMIC_RELAXED);

	return counter < greatest && greatest - counter >= LIMIT_SESSION_WINDOW;
}

/* Takes the flag; false: another held it all the time. owner: our fastpath's number, not 0. Others that want it wait in
 * a short loop and then drop: it may be held over some packets in a row, never over a system call. */
MUST_CHECK bool replay_hold(struct lanes_window *w, uint32_t owner);
/* The test-and-set that decides, once the packet proved to be genuine. The flag is ours. Never REPLAY_BUSY. */
MUST_CHECK enum replay_verdict replay_mark(struct lanes_window *w, uint64_t counter);
void replay_release(struct lanes_window *w);
/* All three. */
MUST_CHECK enum replay_verdict replay_accept(struct lanes_window *w, uint64_t counter, uint32_t owner);

#endif
