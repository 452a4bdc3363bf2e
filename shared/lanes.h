/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause */
/* Layout of the memfd that controld makes and every fastpath of a node maps: a header, the list of static nonce
 * prefixes, and a page of statistics for each worker. No key is in it. Fields that several processes write are
 * accessed with __atomic builtins only. Host byte order. */
#ifndef SHARED_LANES_H
#define SHARED_LANES_H

#include "shared/limits.h"
#include <linux/types.h>

enum {
	LANES_MAGIC = 0x6c616e65,
	LANES_VERSION = 1,
	LANES_PAGE_BYTES = 4096,
};

enum stat_id {
#define STAT(name, help) STAT_##name,
#include "shared/stats.def"
#undef STAT
	STAT_COUNT
};

struct lanes_header {
	__u32 magic, version;
	__u64 bytes; /* of the whole file */
	__u8 id[16]; /* random, names this memory */
	__u64 generation; /* raised when the machine was cloned or rolled back */
	__u64 prefix_count; /* prefixes ever listed; slot = n % LIMIT_NONCE_PREFIXES */
};

/* A static nonce prefix that one sealing thread drew: bits 0..62 random, the top bit zero (it is the order of keys
 * on the wire). next = the first counter value not yet used; 2^32 when it is worn out. */
struct lanes_prefix {
	__u64 prefix;
	__u64 next;
};

/* Statistics of one worker; slot 0 is the control thread's. */
struct lanes_stats {
	__u64 value[STAT_COUNT];
} __attribute__((aligned(LANES_PAGE_BYTES)));
_Static_assert(sizeof(struct lanes_stats) == LANES_PAGE_BYTES, "one page a worker");

struct lanes {
	struct lanes_header header __attribute__((aligned(LANES_PAGE_BYTES)));
	struct lanes_prefix prefixes[LIMIT_NONCE_PREFIXES] __attribute__((aligned(LANES_PAGE_BYTES)));
	struct lanes_stats stats[LIMIT_WORKERS + 1];
};

#endif
