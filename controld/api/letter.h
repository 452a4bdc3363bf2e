/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as JSON (wire-200 7.5, 7.6; api.md): the form is the same in HTTP bodies and in WebSocket frames. */
#ifndef CONTROLD_API_LETTER_H
#define CONTROLD_API_LETTER_H

#include "controld/post.h"
#include "shared/base/network.h"
#include <cjson/cJSON.h>

enum { LETTER_ERROR_BYTES = 200 };

/* A request body, or a send frame: dst {pk|ip}, topic, payload, deadline. topic and payload of out are owned by the
 * caller then (letter_fini() unless post_send() took the payload; topic always). 0; or the HTTP status (400, 422) and
 * the rest of the sentence in error; error is "" where wire-200 wants an empty body (topic longer than 255 bytes). */
MUST_CHECK int letter_read(const cJSON *j, const struct network *n, struct post_letter *out,
			   char error[LETTER_ERROR_BYTES]);
void letter_fini(struct post_letter *l);

/* 16 hex digits in either case; false otherwise. */
bool letter_id_read(const char *text, uint8_t id[RECORD_ID_BYTES]);
void letter_id_print(const uint8_t id[RECORD_ID_BYTES], char out[2 * RECORD_ID_BYTES + 1]);

/* Standard base64 with canonical padding and nothing else; false otherwise. out: malloc, NULL where len is 0. */
bool letter_base64(const char *text, uint8_t **out, size_t *len);

/* A received message as compact JSON, written piece by piece, so that a large payload is never there twice. The message
 * becomes the writer's; `before` (may be "") is put after the opening brace, e.g. "\"type\":\"msg\",". */
struct letter_writer;
struct letter_writer *letter_writer_new(struct post_message *m, const uint8_t own_key[32], const char *before);
size_t letter_writer_length(const struct letter_writer *w); /* of the whole text */
/* Up to cap (at least 512) bytes; 0 at the end. */
size_t letter_writer_next(struct letter_writer *w, char *out, size_t cap);
void letter_writer_free(struct letter_writer *w);

/* The state of an order, as in 7.4: a string, or {"sending":{...}}; the whole status; the state's name alone. */
cJSON *letter_status(const struct message_status *s);
cJSON *letter_state(const struct message_status *s);

#endif
