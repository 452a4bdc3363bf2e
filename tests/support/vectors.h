/* SPDX-License-Identifier: Apache-2.0 */
/* Known answers from tests/vectors/vectors-200.json, found relative to the working directory (the top of the tree). A
 * path is members and array places joined by slashes, e.g. "nodes/A/public_key", "address/0/address"; an array item may
 * also be named by its member "name": "control_packets/hello_seqno_0/bytes". What is not there aborts the test program.
 */
#ifndef TESTS_SUPPORT_VECTORS_H
#define TESTS_SUPPORT_VECTORS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The paths are printf formats. */
#define VECTORS_PATH(n) __attribute__((format(printf, (n), (n) + 1)))

const cJSON *vectors_at(const char *path, ...) VECTORS_PATH(1);
/* The same, but NULL if there is none. */
const cJSON *vectors_find(const char *path, ...) VECTORS_PATH(1);
/* Elements of an array. */
size_t vectors_count(const char *path, ...) VECTORS_PATH(1);
const char *vectors_text(const char *path, ...) VECTORS_PATH(1);
int64_t vectors_number(const char *path, ...) VECTORS_PATH(1);
bool vectors_bool(const char *path, ...) VECTORS_PATH(1);
/* Hex text as bytes, at most cap; returns how many. */
size_t vectors_hex(uint8_t *out, size_t cap, const char *path, ...) VECTORS_PATH(3);

#endif
