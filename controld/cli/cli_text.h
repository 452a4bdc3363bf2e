/* SPDX-License-Identifier: Apache-2.0 */
/* Text of strangers, so that it says what it says and does nothing to the terminal: no control characters (C0, DEL,
 * C1), no line or paragraph separators, no overrides of direction, nothing that is not UTF-8. */
#ifndef CONTROLD_CLI_TEXT_H
#define CONTROLD_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The character at p: its length, 0 if it is no UTF-8. len > 0. */
size_t cli_utf8_take(const char *p, size_t len, uint32_t *code);
bool cli_utf8_is_valid(const void *bytes, size_t len);
/* It may move the cursor, hide or turn text. */
bool cli_is_dangerous(uint32_t code);
/* One line: blanks for newlines and tabs, ? for what is dangerous; at most max characters, then "...". */
void cli_put_safe(FILE *out, const char *text, size_t max);
/* A JSON string with its quotes, of valid UTF-8; strict escapes all that is dangerous, not only what JSON demands. */
void cli_put_json_string(FILE *out, const char *text, size_t len, bool strict);
/* JSON text that was parsed before: the same value, harmless. */
void cli_put_json_text(FILE *out, const char *text, size_t len);
/* 3m12s; of the two largest units. */
enum { CLI_DURATION_BYTES = 48 };
const char *cli_duration(double seconds, char out[CLI_DURATION_BYTES]);
/* 12.3MiB */
enum { CLI_SIZE_BYTES = 32 };
const char *cli_size(double bytes, char out[CLI_SIZE_BYTES]);

#endif
