/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE3, unkeyed, 32 bytes: the checksum of messages. Streaming; portable; from the specification (sections 2.1 to
 * 2.6). The tree is kept as a stack of chaining values of complete subtrees, whose sizes fall. */
#ifndef CONTROLD_MESSAGE_BLAKE3_H
#define CONTROLD_MESSAGE_BLAKE3_H

#include <stddef.h>
#include <stdint.h>

enum {
	BLAKE3_BYTES = 32,
	BLAKE3_BLOCK_BYTES = 64,
	BLAKE3_CHUNK_BYTES = 1024,
	BLAKE3_DEPTH = 54, /* a tree of 2^64 bytes is no higher */
};

struct blake3 {
	uint32_t stack[BLAKE3_DEPTH][8];
	uint32_t cv[8]; /* of the current chunk */
	uint64_t chunk; /* its number */
	uint8_t block[BLAKE3_BLOCK_BYTES]; /* its last block: compressed only when more follows */
	uint8_t block_len, blocks, depth; /* blocks: of the current chunk, compressed */
};

void blake3_init(struct blake3 *h);
void blake3_update(struct blake3 *h, const void *bytes, size_t len);
/* h stays as it is, and may be continued. */
void blake3_final(const struct blake3 *h, uint8_t out[BLAKE3_BYTES]);
/* All at once. */
void blake3_hash(const void *bytes, size_t len, uint8_t out[BLAKE3_BYTES]);

#endif
