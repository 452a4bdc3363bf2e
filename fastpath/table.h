/* SPDX-License-Identifier: Apache-2.0 */
/* The table that workers look packets up in: /64 -> link of the route, key of its owner; longer prefixes hang off their
 * /64 and are searched first where there are any. Built by the control thread; each change replaces one small immutable
 * bucket by one pointer store (the array of buckets when it grows), so 100,000 routes change one by one. Readers hold
 * an epoch. */
#ifndef FASTPATH_TABLE_H
#define FASTPATH_TABLE_H

#include "fastpath/epoch.h"
#include "shared/base/ip.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table;
struct table_more; /* longer prefixes of one /64 */

struct table_entry {
	uint64_t net64;
	const struct table_more *more; /* NULL: none */
	uint32_t link; /* id of the next hop's link; 0: no route to the /64 itself */
	uint32_t key; /* slot of its owner's key; 0: none yet */
};

/* workers: how many read, for reclaiming. NULL without memory. */
struct table *table_new(struct epoch *epoch, unsigned workers);
void table_free(struct table *t);

/* Readers. The entry stays valid until epoch_leave(); NULL: nothing known. */
const struct table_entry *table_find(const struct table *t, uint64_t net64);
/* Link for a destination by longest match over what is in the table; 0: none. e: its entry, or NULL. */
uint32_t table_link(const struct table_entry *e, const struct ip6 *dst);

/* Control thread. link 0 deletes. Prefix length 64..128. -ENOSPC: over LIMIT_PREFIXES or LIMIT_PREFIXES_PER_NET64. */
MUST_CHECK int table_set_route(struct table *t, const struct prefix *p, uint32_t link);
/* slot 0 deletes; returns the slot that was there (to be wiped once table_is_quiet(t, table_mark(t))). */
uint32_t table_set_key(struct table *t, uint64_t net64, uint32_t slot);
/* A point in time: everything replaced before it is out of use once table_is_quiet(). */
uint64_t table_mark(struct table *t);
bool table_is_quiet(const struct table *t, uint64_t mark);
/* Frees what is out of use; call now and then. True if something still waits. */
bool table_reclaim(struct table *t);
size_t table_count(const struct table *t);

#endif
