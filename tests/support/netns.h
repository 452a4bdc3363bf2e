/* SPDX-License-Identifier: Apache-2.0 */
/* A network namespace of the test program's own, for tests that need the kernel. It ends with the program. */
#ifndef TESTS_SUPPORT_NETNS_H
#define TESTS_SUPPORT_NETNS_H

#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* Enters a new one; false without the right to. */
static inline bool netns_enter(void)
{
	return geteuid() == 0 && unshare(CLONE_NEWNET) == 0 && system("ip link set lo up") == 0;
}

#endif
