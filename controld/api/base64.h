/* SPDX-License-Identifier: Apache-2.0 */
/* Standard base64 (RFC 4648, chapter 4), strict: canonical padding, no blanks, no stray trailing bits. By tables, for
 * messages of many megabytes pass here; so its time tells the bytes: not for keys. */
#ifndef CONTROLD_API_BASE64_H
#define CONTROLD_API_BASE64_H

#include "shared/base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Characters that len bytes take. */
static inline size_t base64_length(size_t len)
{
	return len / 3 * 4 + (len % 3 ? 4 : 0);
}

/* Writes base64_length(len) characters, no zero byte after them. */
void base64_encode(const uint8_t *bytes, size_t len, char *out);

/* Writes at most text_len / 4 * 3 bytes. False: it is not base64, and out holds rubbish. */
MUST_CHECK bool base64_decode(const char *text, size_t text_len, uint8_t *out, size_t *len);

#endif
