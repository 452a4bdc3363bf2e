/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 by two tables, four characters at a time. Only the last four may have padding, and they are judged apart. */
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

static void encode3(const uint8_t b[3], char out[4])
{
	out[0] = alphabet[b[0] >> 2];
	out[1] = alphabet[(b[0] & 3) << 4 | b[1] >> 4];
	out[2] = alphabet[(b[1] & 15) << 2 | b[2] >> 6];
	out[3] = alphabet[b[2] & 63];
}

void base64_encode(const uint8_t *bytes, size_t len, char *out)
{
	uint8_t last[3] = {0};

	for (; len >= 3; len -= 3, bytes += 3, out += 4)
		encode3(bytes, out);
	if (!len)
		return;
	memcpy(last, bytes, len);
	encode3(last, out);
	out[3] = '=';
	if (len == 1)
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
	const char *end = text + text_len;
	unsigned padding = 0;

	*len = 0;
	if (text_len % 4)
		return false;
	if (text_len && end[-1] == '=')
		padding = end[-2] == '=' ? 2 : 1;
	if (padding)
		end -= 4;
	for (; text < end; text += 4, out += 3)
		if (!decode4(text, out))
			return false;
	*len = text_len / 4 * 3 - padding;
	return !padding || decode_padded(text, padding, out);
}
