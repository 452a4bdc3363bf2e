/* SPDX-License-Identifier: Apache-2.0 */
/* The packets of the message protocol: bytes after the user-data header to a struct and back. It judges form, never
 * meaning. All integers are big-endian.
 *
 *   0               8        10       12
 *   +---------------+--------+--------+-----------------------------------------------------------
 *   | id            | flags  | 0 0    | body
 *   +---------------+--------+--------+-----------------------------------------------------------
 *   INIT            length u64, topic length u8, topic
 *   INIT ACK        length u64, topic length u8
 *   CHUNK           index u64, offset u64, size u64, size bytes
 *   CHUNK ACK       index u64, offset u64, size u64
 *   DONE, its ACK   number of chunks u64, checksum (32)
 *   READ, ABORTED   nothing
 *
 * Of an ACK the reference program reads less than it sends, so here a body that is cut is taken as absent; the index of
 * a CHUNK ACK must be there. */
#ifndef CONTROLD_MESSAGE_FRAME_H
#define CONTROLD_MESSAGE_FRAME_H

#include "controld/message/blake3.h"
#include "shared/base/buf.h"
#include <stdbool.h>
#include <stdint.h>

enum frame_type {
#define FRAME(name, NAME, flags) FRAME_##NAME = (flags),
#include "controld/message/frame.def"
};

enum {
	FRAME_FLAG_ACK = 0x0100,
	FRAME_FLAG_REPLY = 0x0400,

	FRAME_ID_BYTES = 8,
	FRAME_HEADER_BYTES = 12,
	FRAME_INIT_BYTES = FRAME_HEADER_BYTES + 9, /* without topic */
	FRAME_CHUNK_BYTES = FRAME_HEADER_BYTES + 24, /* without data */
	FRAME_DONE_BYTES = FRAME_HEADER_BYTES + 8 + BLAKE3_BYTES,
	FRAME_CHUNK_DATA_BYTES = 1300, /* more is never sent in one chunk */
	FRAME_CHUNK_MIN_BYTES = 250, /* less is accepted in the last chunk only */
	FRAME_TOPIC_MAX_BYTES = 255,
	FRAME_MAX_BYTES = FRAME_CHUNK_BYTES + FRAME_CHUNK_DATA_BYTES, /* the longest that is ever written */
};

enum frame_verdict {
	FRAME_OK,
	FRAME_UNKNOWN, /* flags without a meaning: ignored */
	FRAME_BAD, /* shorter than its type demands */
};

struct frame_init {
	uint64_t length;
	const uint8_t *topic; /* borrowed */
	uint8_t topic_len;
};

struct frame_chunk {
	uint64_t index, offset, size; /* size as it was written: more than data_len where the packet was cut */
	const uint8_t *data; /* borrowed */
	size_t data_len;
};

struct frame_done {
	uint64_t count;
	uint8_t checksum[BLAKE3_BYTES];
};

struct frame {
	enum frame_type type;
	uint8_t id[FRAME_ID_BYTES];
	bool reply;
	bool cut; /* of an ACK: the body is not there, its fields are zero; of a CHUNK ACK: only the index is */
	union {
		struct frame_init init; /* INIT and its ACK, which has no topic bytes */
		struct frame_chunk chunk; /* CHUNK and its ACK, which has no data */
		struct frame_done done; /* DONE and its ACK */
	};
};

/* out is written only for FRAME_OK, and borrows from bytes. */
MUST_CHECK enum frame_verdict frame_read(const uint8_t *bytes, size_t len, struct frame *out);

/* Appends f; marks w if there is no room. */
void frame_write(struct wr *w, const struct frame *f);

#endif
