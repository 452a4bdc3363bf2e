/* SPDX-License-Identifier: Apache-2.0 */
/* Rows begin and end by a hole in the memfd: zeros that take no memory. */
#include "shared/base/rows.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

static void zero(struct lanes_row *r)
{
	/* Memory that is not a shared file, as in a test, has no holes. */
	if (madvise(r, sizeof(*r), MADV_REMOVE))
		memset(r, 0, sizeof(*r));
}

void rows_begin(struct lanes *l, uint32_t row, uint32_t index)
{
	assert(row < LIMIT_SESSION_ROWS && index);
	assert(!__atomic_load_n(&l->row_index[row], __ATOMIC_RELAXED));
	zero(&l->row[row]);
	__atomic_store_n(&l->row_index[row], index, __ATOMIC_RELEASE);
}

void rows_end(struct lanes *l, uint32_t row)
{
	assert(row < LIMIT_SESSION_ROWS);
	__atomic_store_n(&l->row_index[row], 0, __ATOMIC_RELEASE);
	zero(&l->row[row]);
}

static void clear_flags(struct lanes_row *r, uint32_t owner)
{
	for (unsigned lane = 0; lane < LIMIT_SESSION_LANES; lane++) {
		__u32 held = owner;

		(void)__atomic_compare_exchange_n(&r->receive[lane].flag, &held, 0, false, __ATOMIC_ACQ_REL,
						  __ATOMIC_RELAXED);
	}
}

void rows_clear_owner(struct lanes *l, uint32_t owner)
{
	assert(owner);
	for (uint32_t row = 0; row < LIMIT_SESSION_ROWS; row++)
		if (__atomic_load_n(&l->row_index[row], __ATOMIC_ACQUIRE))
			clear_flags(&l->row[row], owner);
}
