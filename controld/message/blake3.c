/* SPDX-License-Identifier: Apache-2.0 */
/* The compression function with its seven rounds written out, and the tree above it. Each round takes the message words
 * in the order that the permutation of section 2.2 gives it. */
#include "controld/message/blake3.h"
#include <stdbool.h>
#include <string.h>

enum {
	CHUNK_START = 1,
	CHUNK_END = 2,
	PARENT = 4,
	ROOT = 8,
	BLOCKS_PER_CHUNK = BLAKE3_CHUNK_BYTES / BLAKE3_BLOCK_BYTES,
};

static const uint32_t iv[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
			       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static inline uint32_t ror(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

static inline uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

#define MIX(a, b, c, d, x, y) \
	do { \
		a += b + (x); \
		d = ror(d ^ a, 16); \
		c += d; \
		b = ror(b ^ c, 12); \
		a += b + (y); \
		d = ror(d ^ a, 8); \
		c += d; \
		b = ror(b ^ c, 7); \
	} while (0)

#define ROUND(m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15) \
	do { \
		MIX(v0, v4, v8, v12, m[m0], m[m1]); \
		MIX(v1, v5, v9, v13, m[m2], m[m3]); \
		MIX(v2, v6, v10, v14, m[m4], m[m5]); \
		MIX(v3, v7, v11, v15, m[m6], m[m7]); \
		MIX(v0, v5, v10, v15, m[m8], m[m9]); \
		MIX(v1, v6, v11, v12, m[m10], m[m11]); \
		MIX(v2, v7, v8, v13, m[m12], m[m13]); \
		MIX(v3, v4, v9, v14, m[m14], m[m15]); \
	} while (0)

/* The first eight words of the output: the new chaining value, or the hash. */
static void compress(uint32_t cv[8], const uint32_t m[16], uint64_t counter, uint32_t len, uint32_t flags)
{
	uint32_t v0 = cv[0], v1 = cv[1], v2 = cv[2], v3 = cv[3], v4 = cv[4], v5 = cv[5], v6 = cv[6], v7 = cv[7];
	uint32_t v8 = iv[0], v9 = iv[1], v10 = iv[2], v11 = iv[3], v12 = (uint32_t)counter,
		 v13 = (uint32_t)(counter >> 32), v14 = len, v15 = flags;

	ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	ROUND(2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8);
	ROUND(3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1);
	ROUND(10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6);
	ROUND(12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4);
	ROUND(9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7);
	ROUND(11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13);
	cv[0] = v0 ^ v8;
	cv[1] = v1 ^ v9;
	cv[2] = v2 ^ v10;
	cv[3] = v3 ^ v11;
	cv[4] = v4 ^ v12;
	cv[5] = v5 ^ v13;
	cv[6] = v6 ^ v14;
	cv[7] = v7 ^ v15;
}

static void compress_block(uint32_t cv[8], const uint8_t *block, uint64_t counter, uint32_t len, uint32_t flags)
{
	uint32_t m[16];

	for (int i = 0; i < 16; i++)
		m[i] = le32(block + (size_t)4 * i);
	compress(cv, m, counter, len, flags);
}

static void compress_parent(const uint32_t left[8], const uint32_t right[8], uint32_t flags, uint32_t out[8])
{
	uint32_t m[16];

	memcpy(m, left, 32);
	memcpy(m + 8, right, 32);
	memcpy(out, iv, sizeof(iv));
	compress(out, m, 0, BLAKE3_BLOCK_BYTES, PARENT | flags);
}

static uint32_t start_flag(const struct blake3 *h)
{
	return h->blocks == 0 ? CHUNK_START : 0;
}

static void begin_chunk(struct blake3 *h, uint64_t chunk)
{
	memcpy(h->cv, iv, sizeof(iv));
	h->chunk = chunk;
	h->block_len = 0;
	h->blocks = 0;
}

/* A chunk is complete and not the last: it closes as many subtrees as the count of chunks has trailing zeros. */
static void end_chunk(struct blake3 *h)
{
	const uint64_t count = h->chunk + 1;

	for (uint64_t n = count; (n & 1) == 0; n >>= 1)
		compress_parent(h->stack[--h->depth], h->cv, 0, h->cv);
	memcpy(h->stack[h->depth++], h->cv, sizeof(h->cv));
	begin_chunk(h, count);
}

/* More bytes follow the block in hand. */
static void end_block(struct blake3 *h, const uint8_t *block)
{
	const bool last = h->blocks == BLOCKS_PER_CHUNK - 1;

	compress_block(h->cv, block, h->chunk, BLAKE3_BLOCK_BYTES, start_flag(h) | (last ? CHUNK_END : 0));
	h->blocks++;
	h->block_len = 0;
	if (last)
		end_chunk(h);
}

void blake3_init(struct blake3 *h)
{
	h->depth = 0;
	begin_chunk(h, 0);
}

void blake3_update(struct blake3 *h, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	while (len > 0) {
		size_t take = (size_t)BLAKE3_BLOCK_BYTES - h->block_len;

		if (take == 0) {
			end_block(h, h->block);
			continue;
		}
		if (h->block_len == 0 && len > BLAKE3_BLOCK_BYTES) {
			end_block(h, p);
			take = BLAKE3_BLOCK_BYTES;
		} else {
			take = take < len ? take : len;
			memcpy(h->block + h->block_len, p, take);
			h->block_len += (uint8_t)take;
		}
		p += take;
		len -= take;
	}
}

void blake3_final(const struct blake3 *h, uint8_t out[BLAKE3_BYTES])
{
	uint8_t block[BLAKE3_BLOCK_BYTES] = {0};
	uint32_t cv[8];

	memcpy(block, h->block, h->block_len);
	memcpy(cv, h->cv, sizeof(cv));
	compress_block(cv, block, h->chunk, h->block_len, start_flag(h) | CHUNK_END | (h->depth == 0 ? ROOT : 0));
	for (size_t i = h->depth; i-- > 0;)
		compress_parent(h->stack[i], cv, i == 0 ? ROOT : 0, cv);
	for (int i = 0; i < 8; i++)
		for (int j = 0; j < 4; j++)
			out[4 * i + j] = (uint8_t)(cv[i] >> 8 * j);
}

void blake3_hash(const void *bytes, size_t len, uint8_t out[BLAKE3_BYTES])
{
	struct blake3 h;

	blake3_init(&h);
	blake3_update(&h, bytes, len);
	blake3_final(&h, out);
}
