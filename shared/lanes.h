/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause */
/* Layout of the memfd that controld makes and every fastpath of a node maps: a header, the list of static nonce
 * prefixes, a page of statistics for each worker, and a row of counters and replay windows for each session key. No
 * key is in it. Fields that several processes write are accessed with __atomic builtins only. Host byte order. What was
 * never touched takes no memory. */
#ifndef SHARED_LANES_H
#define SHARED_LANES_H

#include "shared/limits.h"
#include <linux/types.h>

enum {
	LANES_MAGIC = 0x6c616e65,
	LANES_VERSION = 2,
	LANES_PAGE_BYTES = 4096,
	LANES_LINE_BYTES = 64,
	LANES_BLOCK_BITS = 64,
	LANES_WINDOW_BLOCKS = LIMIT_SESSION_WINDOW / LANES_BLOCK_BITS + 1, /* a window that begins inside a block */
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

/* The next counter of a lane that we send in: taken by fetch and add before anything is sealed, so unique whoever
 * shares the lane. A line each: as many workers as there are lanes write in one row at a time, and the whole row's
 * counters still fit the one page that the first of them touches. */
struct lanes_counter {
	__u64 next;
} __attribute__((aligned(LANES_LINE_BYTES)));

/* The counters that came in one lane of the far side: the greatest, and a bit for each of the LIMIT_SESSION_WINDOW up
 * to it. Counter n has bit n % 64 of block n / 64 % LANES_WINDOW_BLOCKS. Written under the flag only (replay.h). */
struct lanes_window {
	__u64 greatest;
	__u32 flag; /* number of the fastpath that is writing; 0: free */
	__u32 reserved;
	__u64 block[LANES_WINDOW_BLOCKS];
} __attribute__((aligned(LANES_LINE_BYTES)));
_Static_assert(sizeof(struct lanes_window) == 1088, "17 lines a window");

/* What a session key counts. Whole pages, so that a row can go back to the kernel. */
struct lanes_row {
	struct lanes_counter send[LIMIT_SESSION_FAR_LANES];
	struct lanes_window receive[LIMIT_SESSION_LANES];
} __attribute__((aligned(LANES_PAGE_BYTES)));
_Static_assert(__builtin_offsetof(struct lanes_row, receive) == LANES_PAGE_BYTES, "the counters are a page");
_Static_assert(sizeof(struct lanes_row) == 6 * LANES_PAGE_BYTES, "six pages a row");

struct lanes {
	struct lanes_header header __attribute__((aligned(LANES_PAGE_BYTES)));
	struct lanes_prefix prefixes[LIMIT_NONCE_PREFIXES] __attribute__((aligned(LANES_PAGE_BYTES)));
	struct lanes_stats stats[LIMIT_WORKERS + 1];
	/* The local index of the key that a row was zeroed for; 0: free. Set and cleared by controld (base/rows.h). */
	__u32 row_index[LIMIT_SESSION_ROWS] __attribute__((aligned(LANES_PAGE_BYTES)));
	struct lanes_row row[LIMIT_SESSION_ROWS];
};
_Static_assert(__builtin_offsetof(struct lanes, prefixes) == 0x1000, "layout of version 2");
_Static_assert(__builtin_offsetof(struct lanes, stats) == 0x11000, "layout of version 2");
_Static_assert(__builtin_offsetof(struct lanes, row_index) == 0x52000, "layout of version 2");
_Static_assert(__builtin_offsetof(struct lanes, row) == 0x62000, "layout of version 2");
_Static_assert(sizeof(struct lanes) == 0x18062000, "layout of version 2");

#endif
