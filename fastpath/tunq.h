/* SPDX-License-Identifier: Apache-2.0 */
/* One queue of the TUN: a packet or super-packet per read, one per write, each behind a struct gso_header. */
#ifndef FASTPATH_TUNQ_H
#define FASTPATH_TUNQ_H

#include "fastpath/gso.h"
#include "shared/lanes.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
	TUNQ_HEAD_BYTES = 64, /* room before the packet; its last 4 bytes stay free for the user-data header */
	TUNQ_BUFFER_BYTES = 72 * 1024,
};

struct tunq {
	int fd; /* -1: none, or it is gone */
	bool gone; /* the interface was removed; the owner stops waiting for fd */
	struct lanes_stats *stats; /* borrowed */
	uint8_t *buffer; /* [TUNQ_BUFFER_BYTES], borrowed */
};

struct tunq_packet {
	struct gso_header header;
	uint8_t *bytes; /* 4 writable bytes before it; valid until the next read */
	size_t len;
};

enum tunq_read { TUNQ_PACKET, TUNQ_EMPTY };

enum tunq_read tunq_read(struct tunq *q, struct tunq_packet *out);
/* A packet or super-packet of count packets; iov[0] is its header. What the TUN refuses is counted. False: it does not
 * know this kind of super-packet. */
bool tunq_write(struct tunq *q, const struct iovec *iov, int iov_count, uint32_t count);

#endif
