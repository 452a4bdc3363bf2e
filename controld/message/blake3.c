/* SPDX-License-Identifier: Apache-2.0 */
/* The compression function in three widths, and the tree above it. Wide vectors are used only where words lie in memory
 * as BLAKE3 reads them (little-endian). Chaining values are kept as bytes: two of them are the block of a parent. */
#include "controld/message/blake3.h"
#include <string.h>

enum {
	CHUNK_START = 1,
	CHUNK_END = 2,
	PARENT = 4,
	ROOT = 8,
	CHUNK_BLOCKS = BLAKE3_CHUNK_BYTES / BLAKE3_BLOCK_BYTES,
};
/* Of a last run that has fewer inputs than lanes nothing is read beyond this. */
enum { ROOM = 2 * BLAKE3_GROUP_CHUNKS };
_Static_assert(sizeof(struct blake3) < 12 * 1024, "one for each open message");

static const uint32_t iv[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
			       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* Inputs of equal length, stride bytes from one to the next: chunks, or parents of two chaining values each. */
struct job {
	const uint8_t *in;
	size_t stride, blocks;
	uint64_t counter; /* of the first input; as many inputs as lanes later its lower half does not wrap */
	uint32_t step; /* of the counter, from one input to the next */
	uint32_t flags, first, last; /* of all blocks, of the first one, of the last one */
	uint32_t last_len; /* bytes in the last block, the rest of it zeros */
};

static const uint32_t lane_numbers[] = {0, 1, 2, 3, 4, 5, 6, 7};

static inline void load_one(uint32_t m[16], const uint8_t *p)
{
	for (int i = 0; i < 16; i++, p += 4)
		m[i] = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void store_one(uint8_t (*out)[BLAKE3_BYTES], const uint32_t v[8])
{
	for (int i = 0; i < BLAKE3_BYTES; i++)
		out[0][i] = (uint8_t)(v[i / 4] >> 8 * (i % 4));
}

#define LANES 1
#define VEC uint32_t
#define RUN run_one
#define TARGET
#define LOAD(m, p, s) load_one(m, p)
#define STORE store_one
#define ROR(x, n) ((x) >> (n) | (x) << (32 - (n)))
#include "controld/message/blake3_lanes.inc"

/* Row i of the result is word i of each lane. */
typedef uint32_t vec4 __attribute__((vector_size(16)));

static inline void transpose4(vec4 r[4])
{
	const vec4 a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5);
	const vec4 b = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
	const vec4 c = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
	const vec4 d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);

	r[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
	r[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
	r[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
	r[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}

static inline void load_four(vec4 m[16], const uint8_t *p, size_t stride)
{
	for (size_t i = 0; i < 16; i += 4) {
		for (size_t lane = 0; lane < 4; lane++)
			memcpy(&m[i + lane], p + lane * stride + 4 * i, sizeof(vec4));
		transpose4(m + i);
	}
}

static inline void store_four(uint8_t (*out)[BLAKE3_BYTES], vec4 v[8])
{
	transpose4(v);
	transpose4(v + 4);
	for (int lane = 0; lane < 4; lane++) {
		memcpy(out[lane], &v[lane], sizeof(vec4));
		memcpy(out[lane] + sizeof(vec4), &v[4 + lane], sizeof(vec4));
	}
}

#define LANES 4
#define VEC vec4
#define RUN run_four
#define TARGET
#define LOAD load_four
#define STORE store_four
#define ROR(x, n) ((x) >> (n) | (x) << (32 - (n)))
#include "controld/message/blake3_lanes.inc"

#ifdef __x86_64__
#define AVX2 __attribute__((target("avx2")))
typedef uint32_t vec8 __attribute__((vector_size(32)));
typedef uint8_t vec8_bytes __attribute__((vector_size(32)));

/* In three steps: words, pairs of words, halves. */
AVX2 static inline void transpose8(vec8 r[8])
{
	vec8 t[8];

	for (int i = 0; i < 8; i += 2) {
		t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
		t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
	}
	for (int i = 0; i < 8; i += 4) {
		r[i] = __builtin_shufflevector(t[i], t[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
		r[i + 1] = __builtin_shufflevector(t[i], t[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
		r[i + 2] = __builtin_shufflevector(t[i + 1], t[i + 3], 0, 1, 8, 9, 4, 5, 12, 13);
		r[i + 3] = __builtin_shufflevector(t[i + 1], t[i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
	}
	for (int i = 0; i < 4; i++) {
		t[i] = __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
		t[i + 4] = __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
	}
	memcpy(r, t, sizeof(t));
}

AVX2 static inline void load_eight(vec8 m[16], const uint8_t *p, size_t stride)
{
	for (size_t i = 0; i < 16; i += 8) {
		for (size_t lane = 0; lane < 8; lane++)
			memcpy(&m[i + lane], p + lane * stride + 4 * i, sizeof(vec8));
		transpose8(m + i);
	}
}

AVX2 static inline void store_eight(uint8_t (*out)[BLAKE3_BYTES], vec8 v[8])
{
	transpose8(v);
	memcpy(out, v, 8 * sizeof(vec8));
}

/* The bytes of each word in another order: one instruction, where a rotation takes three. */
#define TURN(x, a, b, c, d) \
	(vec8) __builtin_shufflevector((vec8_bytes)(x), (vec8_bytes)(x), a, b, c, d, a + 4, b + 4, c + 4, d + 4, \
				       a + 8, b + 8, c + 8, d + 8, a + 12, b + 12, c + 12, d + 12, a + 16, b + 16, \
				       c + 16, d + 16, a + 20, b + 20, c + 20, d + 20, a + 24, b + 24, c + 24, d + 24, \
				       a + 28, b + 28, c + 28, d + 28)
#define LANES 8
#define VEC vec8
#define RUN run_eight
#define TARGET AVX2
#define LOAD load_eight
#define STORE store_eight
#define ROR(x, n) ((n) == 16 ? TURN(x, 2, 3, 0, 1) : (n) == 8 ? TURN(x, 1, 2, 3, 0) : ((x) >> (n) | (x) << (32 - (n))))
#include "controld/message/blake3_lanes.inc"
#endif

bool blake3_can(enum blake3_lanes lanes)
{
	if (lanes == BLAKE3_ONE_LANE)
		return true;
	if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
		return false;
#ifdef __x86_64__
	if (lanes == BLAKE3_EIGHT_LANES)
		return __builtin_cpu_supports("avx2");
#endif
	return lanes == BLAKE3_FOUR_LANES;
}

void blake3_init_lanes(struct blake3 *h, enum blake3_lanes lanes)
{
	h->lanes = lanes;
	h->depth = h->held = 0;
	h->groups = 0;
}

void blake3_init(struct blake3 *h)
{
	enum blake3_lanes lanes = BLAKE3_EIGHT_LANES;

	while (!blake3_can(lanes))
		lanes /= 2;
	blake3_init_lanes(h, lanes);
}

/* Results for count inputs. The last run takes in as many as there are lanes, and makes as many results. */
static void run(enum blake3_lanes lanes, struct job j, unsigned count, uint8_t (*out)[BLAKE3_BYTES])
{
	for (unsigned i = 0; i < count; i += lanes) {
#ifdef __x86_64__
		if (lanes == BLAKE3_EIGHT_LANES)
			run_eight(&j, out + i);
#endif
		if (lanes == BLAKE3_FOUR_LANES)
			run_four(&j, out + i);
		if (lanes == BLAKE3_ONE_LANE)
			run_one(&j, out + i);
		j.in += lanes * j.stride;
		j.counter += lanes * j.step;
	}
}

/* A chunk or what there is of the last one. flags: ROOT if there is no other. */
static void one_chunk(const uint8_t *bytes, size_t len, uint64_t number, uint32_t flags, uint8_t (*out)[BLAKE3_BYTES])
{
	uint8_t padded[BLAKE3_CHUNK_BYTES] = {0};
	const size_t blocks = len > 0 ? (len + BLAKE3_BLOCK_BYTES - 1) / BLAKE3_BLOCK_BYTES : 1;
	const struct job j = {.in = padded,
			      .blocks = blocks,
			      .counter = number,
			      .first = CHUNK_START,
			      .last = CHUNK_END | flags,
			      .last_len = (uint32_t)(len - (blocks - 1) * BLAKE3_BLOCK_BYTES)};

	memcpy(padded, bytes, len);
	run_one(&j, out);
}

static struct job parents(const uint8_t (*cv)[BLAKE3_BYTES], uint32_t flags)
{
	return (struct job){.in = cv[0],
			    .stride = BLAKE3_BLOCK_BYTES,
			    .blocks = 1,
			    .flags = PARENT | flags,
			    .last_len = BLAKE3_BLOCK_BYTES};
}

/* The parent of left and *cv takes the place of the latter. */
static void join(const uint8_t left[BLAKE3_BYTES], uint8_t (*cv)[BLAKE3_BYTES], uint32_t flags)
{
	uint8_t pair[2][BLAKE3_BYTES];
	const struct job j = parents((const uint8_t(*)[BLAKE3_BYTES])pair, flags);

	memcpy(pair[0], left, sizeof(pair[0]));
	memcpy(pair[1], *cv, sizeof(pair[1]));
	run_one(&j, cv);
}

/* The count-th of equal subtrees is complete and not the last: it closes as many as count has trailing zeros. */
static uint32_t push(uint8_t (*stack)[BLAKE3_BYTES], uint32_t depth, uint64_t count, uint8_t (*cv)[BLAKE3_BYTES])
{
	for (; (count & 1) == 0; count >>= 1)
		join(stack[--depth], cv, 0);
	memcpy(stack[depth], *cv, sizeof(*cv));
	return depth + 1;
}

/* More bytes follow the group. */
static void end_group(struct blake3 *h, const uint8_t *group)
{
	uint8_t cv[ROOM][BLAKE3_BYTES] = {{0}};
	const struct job chunks = {.in = group,
				   .stride = BLAKE3_CHUNK_BYTES,
				   .blocks = CHUNK_BLOCKS,
				   .counter = h->groups * BLAKE3_GROUP_CHUNKS,
				   .step = 1,
				   .first = CHUNK_START,
				   .last = CHUNK_END,
				   .last_len = BLAKE3_BLOCK_BYTES};

	run(h->lanes, chunks, BLAKE3_GROUP_CHUNKS, cv);
	/* In place: each run has read its pairs before it writes. */
	for (unsigned n = BLAKE3_GROUP_CHUNKS / 2; n > 0; n /= 2)
		run(h->lanes, parents((const uint8_t(*)[BLAKE3_BYTES])cv, 0), n, cv);
	h->groups++;
	h->depth = push(h->stack, h->depth, h->groups, cv);
	h->held = 0;
}

void blake3_update(struct blake3 *h, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	while (len > 0) {
		size_t take = (size_t)BLAKE3_GROUP_BYTES - h->held;

		if (take == 0) {
			end_group(h, h->group);
			continue;
		}
		if (h->held == 0 && len > BLAKE3_GROUP_BYTES) {
			end_group(h, p);
		} else {
			take = take < len ? take : len;
			memcpy(h->group + h->held, p, take);
			h->held += (uint32_t)take;
		}
		p += take;
		len -= take;
	}
}

void blake3_final(const struct blake3 *h, uint8_t out[BLAKE3_BYTES])
{
	uint8_t stack[BLAKE3_GROUP_CHUNKS][BLAKE3_BYTES], cv[1][BLAKE3_BYTES];
	uint64_t number = h->groups * BLAKE3_GROUP_CHUNKS;
	const uint8_t *p = h->group;
	size_t left = h->held;
	uint32_t depth = 0;

	for (uint64_t count = 1; left > BLAKE3_CHUNK_BYTES; count++, number++) {
		one_chunk(p, BLAKE3_CHUNK_BYTES, number, 0, cv);
		depth = push(stack, depth, count, cv);
		p += BLAKE3_CHUNK_BYTES;
		left -= BLAKE3_CHUNK_BYTES;
	}
	one_chunk(p, left, number, depth + h->depth == 0 ? ROOT : 0, cv);
	while (depth-- > 0)
		join(stack[depth], cv, depth + h->depth == 0 ? ROOT : 0);
	for (depth = h->depth; depth-- > 0;)
		join(h->stack[depth], cv, depth == 0 ? ROOT : 0);
	memcpy(out, cv[0], BLAKE3_BYTES);
}

void blake3_hash(const void *bytes, size_t len, uint8_t out[BLAKE3_BYTES])
{
	struct blake3 h;

	blake3_init(&h);
	blake3_update(&h, bytes, len);
	blake3_final(&h, out);
}
