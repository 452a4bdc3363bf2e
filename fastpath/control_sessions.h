/* SPDX-License-Identifier: Apache-2.0 */
/* Session keys as the control thread holds them: what controld said of each, without secrets, by slot of skeys. A key
 * that ends is named by no static key and found by nobody, then waits until every worker has passed a batch, then is
 * wiped and told as gone. Each key that was held is told as gone once, if a controld is there; so one that waits is in
 * the dump, because its row is not free. */
#ifndef FASTPATH_CONTROL_SESSIONS_H
#define FASTPATH_CONTROL_SESSIONS_H

#include "fastpath/control_state.h"

struct control_session {
	struct ctl_session_info info;
	uint64_t told; /* all that it counts, summed up, when it was told last */
	/* Of one that waits to be wiped: */
	uint64_t mark;
	uint32_t next; /* 0: the last */
	int32_t error; /* to be told with it */
	bool dying;
};

struct control_sessions {
	struct control_session *held; /* owned, by slot; touched when used */
	uint64_t *told; /* owned, by slot of keys: all that the static key counts, as above */
	uint32_t dying_first, dying_last; /* slots, in the order of their marks; 0: none */
	uint64_t generation; /* of the shared memory, at the last look */
	struct mono looked, next_look;
};

/* control_sessions.c: the key in the slot ends. */
void control_sessions_bury(struct control *c, uint32_t slot, int error);
/* Wipes those that no worker holds any more. True if some still wait. */
bool control_sessions_reap(struct control *c);

#endif
