/* SPDX-License-Identifier: Apache-2.0 */
/* Strict JSON (RFC 8259) from strangers: judged whole, in one pass and linear time, before cJSON builds anything. Where
 * a text is both ungrammatical and of the wrong shape, it is ungrammatical. */
#ifndef CONTROLD_API_JSON_H
#define CONTROLD_API_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

enum json_verdict {
	JSON_OK,
	JSON_BAD, /* syntax, bytes after the value, not UTF-8, a lone surrogate, deeper than LIMIT_API_JSON_DEPTH, a
		     number that no double holds or of more than JSON_NUMBER_CHARS (cJSON reads no more), more than
		     JSON_VALUES: 400 */
	JSON_SHAPE, /* grammatical, but of no use to us: a member twice in one object, a zero byte in a string (cJSON's
		       strings end there): 422 */
};

enum {
	JSON_ERROR_BYTES = 160,
	JSON_NUMBER_CHARS = 63,
	/* In all. Each costs a hundred bytes of heap, and as little as two in the text: more would hold up the loop. */
	JSON_VALUES = 1 << 16,
	JSON_LONG_BYTES = 4096,
};

/* The value; free it with cJSON_Delete(). NULL: verdict, and in error one sentence with the position, which repeats
 * nothing of the text. text need not be zero-terminated. */
cJSON *json_parse(const char *text, size_t len, enum json_verdict *verdict, char error[JSON_ERROR_BYTES]);
/* The same value and verdict, without a copy of the longest string that is a member of the outermost object, if it has
 * JSON_LONG_BYTES and no escapes: that one stays in the text, its last quote becomes a zero byte, and text must outlive
 * the value. */
cJSON *json_parse_in_place(char *text, size_t len, enum json_verdict *verdict, char error[JSON_ERROR_BYTES]);

/* A member, names compared case-sensitively; NULL if j is no object or has none. */
const cJSON *json_get(const cJSON *j, const char *name);
/* Whether it is there and not null. */
bool json_has(const cJSON *j, const char *name);

#endif
