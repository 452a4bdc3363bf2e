/* SPDX-License-Identifier: Apache-2.0 */
/* The compression function of BLAKE3 with its seven rounds written out, for LANES inputs side by side. blake3.c
 * includes this once for each width, with these defined: LANES, VEC     how many, and a type of so many 32-bit words
 *   RUN            name of the function made here
 *   TARGET         attribute of the function: the instructions it may use
 *   LOAD(m, p, s)  sixteen words of each input, p for the first, s bytes from one to the next
 *   STORE(out, v)  eight words of each output, as bytes
 *   ROR(x, n)      to the right by n bits, of 16, 12, 8, 7
 * A function with the target of its own, not an inlined one: what is inlined was already cut to narrow vectors. */

#define MIX(a, b, c, d, x, y) \
	do { \
		a += b + (x); \
		d = ROR(d ^ a, 16); \
		c += d; \
		b = ROR(b ^ c, 12); \
		a += b + (y); \
		d = ROR(d ^ a, 8); \
		c += d; \
		b = ROR(b ^ c, 7); \
	} while (0)

/* Each round takes the message words in the order that the permutation of section 2.2 gives it. */
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

TARGET static void RUN(const struct job *j, uint8_t (*out)[BLAKE3_BYTES])
{
	const VEC zero = {0};
	VEC cv[8], m[16], lane;

	memcpy(&lane, lane_numbers, sizeof(lane));
	for (int i = 0; i < 8; i++)
		cv[i] = zero + iv[i];
	for (size_t b = 0; b < j->blocks; b++) {
		const bool last = b + 1 == j->blocks;
		const uint32_t flags = j->flags | (b ? 0 : j->first) | (last ? j->last : 0);
		VEC v0 = cv[0], v1 = cv[1], v2 = cv[2], v3 = cv[3], v4 = cv[4], v5 = cv[5], v6 = cv[6], v7 = cv[7];
		VEC v8 = zero + iv[0], v9 = zero + iv[1], v10 = zero + iv[2], v11 = zero + iv[3];
		VEC v12 = zero + (uint32_t)j->counter + lane * j->step, v13 = zero + (uint32_t)(j->counter >> 32),
		    v14 = zero + (last ? j->last_len : 64), v15 = zero + flags;

		LOAD(m, j->in + b * BLAKE3_BLOCK_BYTES, j->stride);
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
	STORE(out, cv);
}

#undef ROUND
#undef MIX
#undef LANES
#undef VEC
#undef RUN
#undef TARGET
#undef LOAD
#undef STORE
#undef ROR
