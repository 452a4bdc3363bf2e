/* SPDX-License-Identifier: Apache-2.0 */
/* One's complement sums (RFC 1071), in the byte order of memory: a folded sum is stored as it is. Words of 32 bits are
 * added in lanes of 64, which cannot overflow below 2^32 words, so nothing is carried until the fold. */
#ifndef FASTPATH_CSUM_H
#define FASTPATH_CSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t csum_lanes __attribute__((vector_size(16)));
/* The same, anywhere in memory. */
typedef uint64_t csum_memory __attribute__((vector_size(16), aligned(1), may_alias));

/* What is left below 16 bytes. */
static inline uint64_t csum_tail(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;
	uint32_t word;
	uint16_t half;

	for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum += word;
	}
	if (len >= sizeof(half)) {
		memcpy(&half, p, sizeof(half));
		sum += half;
		p += sizeof(half);
	}
	return len & 1 ? sum + *p : sum;
}

/* Adds bytes to a sum; all parts of a sum but the last must have an even length. */
static inline uint64_t csum_add(uint64_t sum, const void *bytes, size_t len)
{
	const csum_lanes low = {UINT32_MAX, UINT32_MAX};
	const size_t step = sizeof(csum_memory);
	const uint8_t *p = bytes;
	csum_lanes a = {0, 0}, b = {0, 0};

	for (; len >= 4 * step; len -= 4 * step, p += 4 * step) {
		const csum_memory *m = (const csum_memory *)p;

		a += ((m[0] & low) + (m[1] & low)) + ((m[2] & low) + (m[3] & low));
		b += ((m[0] >> 32) + (m[1] >> 32)) + ((m[2] >> 32) + (m[3] >> 32));
	}
	for (; len >= step; len -= step, p += step) {
		const csum_memory *m = (const csum_memory *)p;

		a += *m & low;
		b += *m >> 32;
	}
	a += b;
	return sum + a[0] + a[1] + csum_tail(p, len);
}

/* Two bytes of a pseudo-header: a number in host order. */
static inline uint64_t csum_add_be16(uint64_t sum, uint16_t v)
{
	return sum + __builtin_bswap16(v);
}

static inline uint16_t csum_fold(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	return (uint16_t)sum;
}

#endif
