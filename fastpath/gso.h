/* SPDX-License-Identifier: Apache-2.0 */
/* Super-packets of the TUN: cut into packets of the wire, and runs of packets coalesced into super-packets (link.md,
 * TUN offload; virtio_net_hdr of the kernel). Pure: knows no descriptor. Cutting and coalescing are inverses. */
#ifndef FASTPATH_GSO_H
#define FASTPATH_GSO_H

#include "shared/base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* As the kernel's struct virtio_net_hdr, without num_buffers: host byte order. */
struct gso_header {
	uint8_t flags, type;
	uint16_t header_len, size, csum_start, csum_offset;
};
_Static_assert(sizeof(struct gso_header) == 10, "virtio_net_hdr");

enum { GSO_MAX_SEGMENTS = 64, GSO_SUPER_MAX_BYTES = 65535 };

/* Cutting. */
struct gso_cut {
	uint8_t *packet; /* what the TUN gave, 4 writable bytes before it */
	size_t len;
	size_t header_len; /* IPv6 and transport header */
	size_t size; /* payload of a segment; 0: not to be cut */
	size_t at; /* payload bytes done */
	bool tcp, done, needs_csum;
	uint16_t csum_start, csum_offset;
	uint64_t header_sum; /* of what is the same in all segments: addresses, next header, transport header */
	uint8_t header[40 + 60];
};

/* Judges what was read from the TUN; false if it is not an IPv6 packet of at least 40 bytes whose lengths fit, or a
 * super-packet that cannot be cut (not TCPv6 nor UDPv6, nonsensical sizes): nothing may be read from it then. */
MUST_CHECK bool gso_cut_init(struct gso_cut *c, const struct gso_header *h, uint8_t *packet, size_t len);
/* How many packets there are, before the first is taken. */
uint32_t gso_cut_count(const struct gso_cut *c);
/* The next packet, complete with checksum; NULL when there is none. It stays valid, with 4 writable bytes before it,
 * until the next call (its header is laid over payload that was handed out before). */
uint8_t *gso_cut_next(struct gso_cut *c, size_t *len);

/* Coalescing. One run of a flow is open at a time; packets are borrowed until gso_join_flush(). */
struct gso_join {
	/* Writes one packet or super-packet to the TUN: iov[0] is the header. count: packets in it. */
	void (*write)(void *ctx, const struct iovec *iov, int iov_count, uint32_t count);
	void *ctx;
	bool enabled; /* false (--no-offload): everything is written singly */
	bool udp; /* USO is available */
	uint8_t *first; /* first packet, its header is changed */
	size_t header_len, size, total;
	uint32_t count, next_seq;
	bool closed; /* a short last packet, PSH or FIN: nothing more fits */
	bool verified; /* the checksum of the first was looked at: done when a second one fits */
	struct iovec iov[GSO_MAX_SEGMENTS + 2];
	struct gso_header header;
};
/* Enabled, without UDP; both may be set afterwards. */
void gso_join_init(struct gso_join *j, void (*write)(void *, const struct iovec *, int, uint32_t), void *ctx);
/* Adds a whole, checked IPv6 packet (writable, valid until the flush); writes the open run first where it does not fit.
 * A super-packet goes to the host as one whose checksum is true, so packets are only coalesced after theirs was
 * verified; a wrong one is written singly as it is, for the host to judge. */
void gso_join_add(struct gso_join *j, uint8_t *packet, size_t len);
void gso_join_flush(struct gso_join *j);

#endif
