/* SPDX-License-Identifier: Apache-2.0 */
/* A uevent of the kernel: it is a clone if, and only if, one of the strings after the first is the variable. */
#include "controld/kernel/uevent.h"
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* The other way round: find the variable, then look at what is around it. */
	static const char wanted[] = "\0NEW_VMGENID=1";
	const bool want = memmem(data, size, wanted, sizeof(wanted)) != NULL;

	assert(uevent_is_clone((const char *)data, size) == want);
	return 0;
}
