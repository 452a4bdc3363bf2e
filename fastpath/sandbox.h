/* SPDX-License-Identifier: Apache-2.0 */
/* Rights of the process, taken away before the first packet. */
#ifndef FASTPATH_SANDBOX_H
#define FASTPATH_SANDBOX_H

#include "shared/base/buf.h"

/* Once at start: no core dumps, no tracing, no new privileges; as many descriptors and as much locked memory as
 * allowed. */
void sandbox_harden(void);
/* Drops every capability and installs the list of allowed system calls, in the calling thread, which must be the only
 * one. What it did is said in *what. 0 or -errno. */
MUST_CHECK int sandbox_enter(const char **what);

#endif
