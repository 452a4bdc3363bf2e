/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 by two tables, four characters at a time; where the processor has AVX2, 32 at a time and the tables for the
 * rest. Only the last four may have padding, and they are judged apart. */
#include "controld/api/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value of a character and one; 0: it has none. */
/* clang-format off */
static const uint8_t values[256] = {
	['A'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
	['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52,
	['0'] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62,
	['+'] = 63,
	['/'] = 64,
};
/* clang-format on */

#ifdef __x86_64__
#define AVX2 __attribute__((target("avx2")))
/* Eight words of four characters, the first the lowest, or of three bytes, the last the lowest, and one that does not
 * count. Of bytes eight more are moved than count. */
typedef uint8_t wide __attribute__((vector_size(32)));
typedef uint32_t wide_words __attribute__((vector_size(32)));
enum { WIDE_BYTES = 24, WIDE_CHARS = sizeof(wide) };

/* Bytes change their places only within halves of 16, so first come words. */
AVX2 static inline wide load_bytes(const uint8_t *bytes)
{
	wide_words w;
	wide v;

	memcpy(&w, bytes, sizeof(w));
	v = (wide)__builtin_shufflevector(w, w, 0, 1, 2, 3, 3, 4, 5, 6);
	return __builtin_shufflevector(v, v, 2, 1, 0, 0, 5, 4, 3, 3, 8, 7, 6, 6, 11, 10, 9, 9, 18, 17, 16, 16, 21, 20,
				       19, 19, 24, 23, 22, 22, 27, 26, 25, 25);
}

AVX2 static inline void store_bytes(wide v, uint8_t *out)
{
	wide_words w;

	w = (wide_words)__builtin_shufflevector(v, v, 2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, 3, 7, 11, 15, 18, 17, 16,
						22, 21, 20, 26, 25, 24, 30, 29, 28, 19, 23, 27, 31);
	w = __builtin_shufflevector(w, w, 0, 1, 2, 4, 5, 6, 3, 7);
	memcpy(out, &w, sizeof(w));
}

/* Takes a multiple of WIDE_BYTES, and says how many. */
AVX2 static size_t encode_wide(const uint8_t *bytes, size_t len, char *out)
{
	size_t at = 0;

	for (; len - at >= sizeof(wide); at += WIDE_BYTES, out += WIDE_CHARS) {
		const wide_words w = (wide_words)load_bytes(bytes + at);
		wide v = (wide)((w >> 18 & 0x3f) | (w >> 4 & 0x3f00) | (w << 10 & 0x3f0000) | (w << 24 & 0x3f000000));

		v += 'A' + ((wide)(v > 25) & ('a' - 'Z' - 1)) - ((wide)(v > 51) & ('z' + 1 - '0')) -
		     ((wide)(v > 61) & ('9' + 1 - '+')) + ((wide)(v > 62) & ('/' - '+' - 1));
		memcpy(out, &v, sizeof(v));
	}
	return at;
}

AVX2 static inline wide within(wide v, uint8_t first, uint8_t last)
{
	return (wide)(v >= first) & (wide)(v <= last);
}

AVX2 static inline bool is_all_ones(wide v)
{
	uint64_t words[sizeof(v) / sizeof(uint64_t)];

	memcpy(words, &v, sizeof(v));
	return (words[0] & words[1] & words[2] & words[3]) == UINT64_MAX;
}

/* The same for characters. Stops where a character is not of the alphabet, and where eight bytes too many have no room.
 */
AVX2 static size_t decode_wide(const char *text, size_t text_len, uint8_t *out)
{
	size_t at = 0;

	for (; (text_len - at) / 4 * 3 >= sizeof(wide); at += WIDE_CHARS, out += WIDE_BYTES) {
		wide v, upper, lower, digit, plus, slash;
		wide_words w;

		memcpy(&v, text + at, sizeof(v));
		upper = within(v, 'A', 'Z');
		lower = within(v, 'a', 'z');
		digit = within(v, '0', '9');
		plus = (wide)(v == '+');
		slash = (wide)(v == '/');
		if (!is_all_ones(upper | lower | digit | plus | slash))
			break;
		v += (digit & (52 - '0')) + (plus & (62 - '+')) + (slash & (63 - '/')) - (upper & 'A') -
		     (lower & ('a' - 26));
		w = (wide_words)v;
		w = w << 18 | (w << 4 & 0x3f000) | (w >> 10 & 0xfc0) | w >> 24;
		store_bytes((wide)w, out);
	}
	return at;
}

static size_t encode_fast(const uint8_t *bytes, size_t len, char *out)
{
	return __builtin_cpu_supports("avx2") ? encode_wide(bytes, len, out) : 0;
}

static size_t decode_fast(const char *text, size_t text_len, uint8_t *out)
{
	return __builtin_cpu_supports("avx2") ? decode_wide(text, text_len, out) : 0;
}
#else
static size_t encode_fast(const uint8_t *bytes, size_t len, char *out)
{
	(void)bytes, (void)len, (void)out;
	return 0;
}

static size_t decode_fast(const char *text, size_t text_len, uint8_t *out)
{
	(void)text, (void)text_len, (void)out;
	return 0;
}
#endif

static void encode3(const uint8_t b[3], char out[4])
{
	out[0] = alphabet[b[0] >> 2];
	out[1] = alphabet[(b[0] & 3) << 4 | b[1] >> 4];
	out[2] = alphabet[(b[1] & 15) << 2 | b[2] >> 6];
	out[3] = alphabet[b[2] & 63];
}

void base64_encode(const uint8_t *bytes, size_t len, char *out)
{
	size_t at = encode_fast(bytes, len, out);
	uint8_t last[3] = {0};

	for (; len - at >= 3; at += 3)
		encode3(bytes + at, out + at / 3 * 4);
	if (at == len)
		return;
	memcpy(last, bytes + at, len - at);
	out += at / 3 * 4;
	encode3(last, out);
	out[3] = '=';
	if (len - at == 1)
		out[2] = '=';
}

/* False: one of the four is not of the alphabet. */
static bool decode4(const char *text, uint8_t out[3])
{
	const uint32_t a = values[(uint8_t)text[0]] - 1u, b = values[(uint8_t)text[1]] - 1u;
	const uint32_t c = values[(uint8_t)text[2]] - 1u, d = values[(uint8_t)text[3]] - 1u;

	out[0] = (uint8_t)(a << 2 | b >> 4);
	out[1] = (uint8_t)(b << 4 | c >> 2);
	out[2] = (uint8_t)(c << 6 | d);
	return (a | b | c | d) <= 63;
}

/* The last four, which end with `padding` times "=" (1 or 2): the bits that stand for no byte must be zero. */
static bool decode_padded(const char *text, unsigned padding, uint8_t *out)
{
	const char full[4] = {text[0], text[1], padding == 2 ? 'A' : text[2], 'A'};
	uint8_t bytes[3];

	if (!decode4(full, bytes) || bytes[3 - padding] != 0)
		return false;
	memcpy(out, bytes, 3 - padding);
	return true;
}

bool base64_decode(const char *text, size_t text_len, uint8_t *out, size_t *len)
{
	size_t whole = text_len, at; /* whole: without what is padded */
	unsigned padding = 0;

	*len = 0;
	if (text_len % 4)
		return false;
	if (text_len && text[text_len - 1] == '=')
		padding = text[text_len - 2] == '=' ? 2 : 1;
	if (padding)
		whole -= 4;
	for (at = decode_fast(text, whole, out); at < whole; at += 4)
		if (!decode4(text + at, out + at / 4 * 3))
			return false;
	*len = text_len / 4 * 3 - padding;
	return !padding || decode_padded(text + whole, padding, out + whole / 4 * 3);
}
