/* SPDX-License-Identifier: Apache-2.0 */
/* Only whole pages between the first and the last byte, so that neighbours in memory have no part in it. */
#include "controld/api/pages.h"

#include <stdint.h>
#include <sys/mman.h>

enum { PAGE_BYTES = 4096, MANY_BYTES = 32 * 1024, HUGE_BYTES = 4 * 1024 * 1024 };

void pages_want(void *bytes, size_t len)
{
	const size_t before = -(uintptr_t)bytes & (PAGE_BYTES - 1);

	if (len < MANY_BYTES)
		return;
	len = (len - before) & ~(size_t)(PAGE_BYTES - 1);
	if (len >= HUGE_BYTES)
		(void)madvise((char *)bytes + before, len, MADV_HUGEPAGE);
	(void)madvise((char *)bytes + before, len, MADV_POPULATE_WRITE);
}
