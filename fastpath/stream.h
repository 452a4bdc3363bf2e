/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a peer's stream as packets (wire-200 2.2, 2.3, 3.1): judged in batches, in place. Pure. The length of a
 * control body is a hard boundary: whatever is inside, the stream stays in step. */
#ifndef FASTPATH_STREAM_H
#define FASTPATH_STREAM_H

#include "shared/base/buf.h"
#include "shared/limits.h"
#include "shared/wire.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	STREAM_TLV_HELLO = 4,
	STREAM_TLV_IHU = 5,
	STREAM_TLV_UPDATE = 8,
	STREAM_TLV_SEQNO_REQUEST = 10,
	STREAM_PACKET_MAX_BYTES = WIRE_FRAME_MAX_BYTES, /* a control packet is never larger */
};

struct stream_packet {
	uint8_t *bytes; /* packet header first */
	uint32_t len;
	bool control;
};

struct stream_batch {
	unsigned count;
	struct stream_packet packet[LIMIT_BATCH_FRAMES];
};

/* What has arrived and is not yet judged. */
struct stream {
	uint8_t *at, *end;
};

enum stream_verdict {
	STREAM_FULL, /* the batch is full: go on */
	STREAM_MORE, /* what is left at s->at is the beginning of a packet, or nothing */
	STREAM_BAD, /* s->at is no packet: the stream is hopeless. The batch holds what came before it */
};

/* Fills the batch with the next whole packets and moves past them. */
MUST_CHECK enum stream_verdict stream_read(struct stream *s, struct stream_batch *batch);

/* Size of a packet that begins at p, at least 8 bytes of it there. */
static inline size_t stream_packet_size(const uint8_t *p)
{
	return p[1] == WIRE_CONTROL ? WIRE_CONTROL_HEADER_BYTES + (size_t)(p[6] << 8 | p[7])
				    : WIRE_DATA_HEADER_BYTES + (size_t)(p[4] << 8 | p[5]);
}

/* What bytes at which a stream turned out to be hopeless look like; first: they open the stream. Static text. */
const char *stream_era(const uint8_t *bytes, size_t len, bool first);

struct stream_tlv {
	const uint8_t *bytes; /* type and length first */
	size_t len; /* of all */
	uint8_t type;
};

/* A cursor over the TLVs of a control packet; marked bad where magic or version is another one. */
struct rd stream_tlvs(const struct stream_packet *p);
/* The next TLV, padding left out. False at the end, and where a TLV leaves the body: then the cursor is marked bad. */
bool stream_tlv_next(struct rd *r, struct stream_tlv *out);
/* The TLV is one that only nodes of generation 400 send (v0.3.0 and later): an Update with a shortened prefix. */
bool stream_tlv_is_newer(const struct stream_tlv *t);

#endif
