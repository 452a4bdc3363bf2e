/* SPDX-License-Identifier: Apache-2.0 */
/* A struct lanes of a test's own: zeros, as large as the shared one, touched where it is used. */
#ifndef TESTS_SUPPORT_LANES_MEMORY_H
#define TESTS_SUPPORT_LANES_MEMORY_H

#include "shared/lanes.h"
#include <stdlib.h>
#include <sys/mman.h>

static inline struct lanes *lanes_memory_new(void)
{
	struct lanes *l = mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (l == MAP_FAILED)
		abort();
	return l;
}

static inline void lanes_memory_free(struct lanes *l)
{
	munmap(l, sizeof(*l));
}

#endif
