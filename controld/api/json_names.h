/* SPDX-License-Identifier: Apache-2.0 */
/* The names of members met so far, each with the number of its object: finds the second of two in constant time,
 * whatever the names (keyed hash). Only for json.c. */
#ifndef CONTROLD_API_JSON_NAMES_H
#define CONTROLD_API_JSON_NAMES_H

#include "shared/base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_name {
	size_t at; /* in bytes: the object's number, then the name */
	uint32_t len; /* 0: a free slot */
	uint32_t hash;
};

/* All zero: empty. */
struct json_names {
	uint8_t *bytes; /* owned */
	size_t len, cap;
	size_t begun; /* where the name begins that is being written */
	struct json_name *slots; /* owned; open addressing, at most half full */
	size_t count, slot_count; /* slot_count: a power of two, or 0 */
	bool full; /* there was no memory: what is found out from here on means nothing */
};

void json_names_fini(struct json_names *n);
/* A name of object begins; its bytes follow. */
void json_names_begin(struct json_names *n, uint32_t object);
void json_names_put(struct json_names *n, const void *bytes, size_t len);
/* It is complete. False: the object has it already. */
MUST_CHECK bool json_names_end(struct json_names *n);

#endif
