/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE3, unkeyed, 32 bytes: the checksum of messages. Streaming; from the specification (sections 2.1 to 2.6). The
 * input is taken in groups of eight chunks, which are hashed side by side in the lanes of vectors; a group in hand is
 * hashed only when more follows. The tree above is kept as a stack of chaining values of complete subtrees, whose sizes
 * fall. */
#ifndef CONTROLD_MESSAGE_BLAKE3_H
#define CONTROLD_MESSAGE_BLAKE3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	BLAKE3_BYTES = 32,
	BLAKE3_BLOCK_BYTES = 64,
	BLAKE3_CHUNK_BYTES = 1024,
	BLAKE3_GROUP_CHUNKS = 8,
	BLAKE3_GROUP_BYTES = BLAKE3_GROUP_CHUNKS * BLAKE3_CHUNK_BYTES,
	BLAKE3_DEPTH = 51, /* a tree of 2^64 bytes in groups is no higher */
};

/* How many chunks are hashed at once. Every one gives the same hash. */
enum blake3_lanes { BLAKE3_ONE_LANE = 1, BLAKE3_FOUR_LANES = 4, BLAKE3_EIGHT_LANES = 8 };

struct blake3 {
	enum blake3_lanes lanes;
	uint32_t depth, held; /* bytes in group */
	uint64_t groups; /* hashed */
	uint8_t stack[BLAKE3_DEPTH][BLAKE3_BYTES];
	uint8_t group[BLAKE3_GROUP_BYTES]; /* last: touched as far as it is used */
};

/* With the most lanes that this machine is good at. */
void blake3_init(struct blake3 *h);
/* False: this machine cannot. */
bool blake3_can(enum blake3_lanes lanes);
void blake3_init_lanes(struct blake3 *h, enum blake3_lanes lanes);
void blake3_update(struct blake3 *h, const void *bytes, size_t len);
/* h stays as it is, and may be continued. */
void blake3_final(const struct blake3 *h, uint8_t out[BLAKE3_BYTES]);
/* All at once. */
void blake3_hash(const void *bytes, size_t len, uint8_t out[BLAKE3_BYTES]);

#endif
