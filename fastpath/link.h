/* SPDX-License-Identifier: Apache-2.0 */
/* One link as its worker sees it: the socket, what goes out of it and in which order, and what is left of what came in.
 * Out go: the rest of a packet that was written partly, control packets, queued frames, and the run of this stage,
 * which is written from where it lies; only what the socket does not take of it is copied into the queue. All but the
 * socket is pure. */
#ifndef FASTPATH_LINK_H
#define FASTPATH_LINK_H

#include "fastpath/live.h"
#include "fastpath/pool.h"
#include "fastpath/stream.h"
#include "fastpath/worker.h"
#include "shared/ctl.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { LINK_RUN_IOVS = 96 };

enum link_state {
	LINK_FREE, /* slot empty */
	LINK_UP,
	LINK_FAILED, /* to be closed at the end of the stage; takes nothing more */
	LINK_MOURNED /* closed; control does not know yet: its mailbox was full */
};

/* Whole packets in chunks; none lies across two. */
struct link_queue {
	struct chunk *head, *tail;
	size_t bytes;
};

/* How fast the socket takes data while there is more than it takes. */
struct link_drain {
	struct mono since; /* busy since; 0: not busy */
	uint64_t bytes; /* taken since then */
	uint64_t bytes_per_second; /* 0: not measured */
};

/* Beginning of a packet that came in; rest of a packet that went out partly. Touched only as far as they are used. */
struct link_buffers {
	uint8_t partial[LIMIT_CHUNK_BYTES], rest[LIMIT_CHUNK_BYTES];
};
_Static_assert((size_t)STREAM_PACKET_MAX_BYTES <= sizeof(((struct link_buffers *)0)->rest), "every packet fits");

struct link {
	uint32_t id;
	int fd;
	uint8_t state; /* enum link_state */
	bool dirty; /* in the worker's list of links to be written */
	bool blocked; /* the socket is full: write again when it says so */
	bool watched; /* epoll was told to say so */
	struct link *next_dirty;
	struct pool *pool; /* borrowed, as the next three */
	struct lanes_stats *stats;
	struct link_counters *counters;
	struct link_buffers *buffers;
	unsigned run_count;
	size_t run_bytes;
	struct link_queue urgent, control, data; /* Hello and IHU; other TLVs; frames */
	size_t data_limit;
	uint32_t partial_len, rest_len, rest_start;
	struct link_drain drain;
	struct live live;
	struct mono adopted;
	unsigned active_index; /* in the worker's list of used slots */
	bool opened; /* a whole packet has come in */
	struct ctl_link_down down; /* once failed */
	struct iovec run[LINK_RUN_IOVS];
};

struct link_place {
	struct pool *pool;
	struct lanes_stats *stats;
	struct link_counters *counters;
	struct link_buffers *buffers; /* page-aligned address space of the slot */
};

/* Takes over the connected socket and sets it up (what it cannot be set to is left). */
void link_init(struct link *l, uint32_t id, int fd, const struct link_place *place, struct mono now);
/* Closes the socket, counts the data frames that were still to go out as lost and gives the chunks back. The state is
 * left to the caller. */
void link_close(struct link *l);
/* The first reason counts. */
void link_fail(struct link *l, enum ctl_down_reason reason, int error, const char *text);

/* Whole data frames, one behind the other, that stay where they are until link_flush(). False: no room, flush first. */
static inline bool link_run_add(struct link *l, uint8_t *frames, size_t bytes)
{
	struct iovec *last = &l->run[l->run_count - (l->run_count > 0)];

	l->run_bytes += bytes;
	if (l->run_count && (uint8_t *)last->iov_base + last->iov_len == frames) {
		last->iov_len += bytes;
		return true;
	}
	if (l->run_count == LINK_RUN_IOVS) {
		l->run_bytes -= bytes;
		return false;
	}
	l->run[l->run_count++] = (struct iovec){.iov_base = frames, .iov_len = bytes};
	return true;
}

/* Queues one control packet with the TLV. False: queue full, or no chunk left; counted. */
bool link_control(struct link *l, const uint8_t *tlv, size_t len);
/* Writes what the socket takes, unless it is known to be full, and queues the rest of the run. A dead socket fails the
 * link. */
void link_flush(struct link *l, struct mono now);
/* Something is queued: ask for writability. */
static inline bool link_wants_write(const struct link *l)
{
	return l->blocked && l->state == LINK_UP;
}
/* The socket is full, and enough is queued; but as far as is known that leaves within milliseconds. */
bool link_is_pressing(const struct link *l);

#endif
