/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of a running instance: RUN/ID, private to its user, with the lock that makes one key run once on a
 * machine, and the socket of the fastpath. ID: the first 16 hex digits of the public key. */
#ifndef CONTROLD_RUNDIR_H
#define CONTROLD_RUNDIR_H

#include "shared/base/buf.h"

enum {
	RUNDIR_PATH_BYTES = 104, /* so that path/ctl fits the 108 bytes of a socket address */
	RUNDIR_ERROR_BYTES = 256,
};

struct rundir {
	char path[RUNDIR_PATH_BYTES];
	int lock; /* owned */
};

/* Finds or makes the folder and takes the lock. given: of --run-dir, or NULL: $RUNTIME_DIRECTORY, /run/mycelium if
 * writable, $XDG_RUNTIME_DIR/mycelium, /tmp/mycelium-UID. 0, or -errno with a sentence in error; -EBUSY: another
 * instance has the lock. */
MUST_CHECK int rundir_open(struct rundir *r, const char *given, const char *id, char error[RUNDIR_ERROR_BYTES]);
/* Removes lock, socket and folder. */
void rundir_remove(struct rundir *r);

#endif
