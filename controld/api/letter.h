/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as JSON (wire-200 7.5, 7.6; api.md): the form is the same in HTTP bodies and in WebSocket frames. */
#ifndef CONTROLD_API_LETTER_H
#define CONTROLD_API_LETTER_H

#include "controld/post.h"
#include "shared/base/network.h"
#include <cjson/cJSON.h>

enum { LETTER_ERROR_BYTES = 200, LETTER_ID_TEXT_BYTES = 2 * RECORD_ID_BYTES + 1 };

/* A request body, or a send frame: dst {pk|ip}, topic, payload, deadline. topic and payload of out are owned by the
 * caller then: letter_fini(), with payload set to NULL if post_send() was called. 0; or the HTTP status (400, 422) and
 * the rest of the sentence in error, for the caller to put LETTER_400 or LETTER_422 before; error is "" where wire-200
 * wants an empty body (400, topic longer than 255 bytes). On error out is empty. */
MUST_CHECK int letter_read(const cJSON *j, const struct network *n, struct post_letter *out,
			   char error[LETTER_ERROR_BYTES]);
/* The same for a reply to the message of that id: a reply has no topic; one in j must be base64 and is dropped. */
MUST_CHECK int letter_read_reply(const cJSON *j, const struct network *n, const uint8_t id[RECORD_ID_BYTES],
				 struct post_letter *out, char error[LETTER_ERROR_BYTES]);
void letter_fini(struct post_letter *l);

/* How the texts of refusals begin (wire-200 7.7). */
#define LETTER_400 "Failed to parse the request body as JSON: "
#define LETTER_422 "Failed to deserialize the JSON body into the target type: "

/* 16 hex digits in either case; false otherwise. */
MUST_CHECK bool letter_id_read(const char *text, uint8_t id[RECORD_ID_BYTES]);
void letter_id_print(const uint8_t id[RECORD_ID_BYTES], char out[LETTER_ID_TEXT_BYTES]);

/* Standard base64 with canonical padding and nothing else; false otherwise. out: malloc, NULL where len is 0. */
MUST_CHECK bool letter_base64(const char *text, uint8_t **out, size_t *len);

/* A received message as compact JSON, written piece by piece, so that a large payload is never there twice. The message
 * becomes the writer's: *m is empty afterwards. `before` (may be "", at most LETTER_BEFORE_BYTES) is put after the
 * opening brace, e.g. "\"type\":\"msg\",". */
enum { LETTER_BEFORE_BYTES = 255 };
struct letter_writer;
struct letter_writer *letter_writer_new(struct post_message *m, const uint8_t own_key[32], const char *before);
size_t letter_writer_length(const struct letter_writer *w); /* of the whole text */
/* Up to cap bytes, and as many as there are; 0 at the end. */
size_t letter_writer_next(struct letter_writer *w, char *out, size_t cap);
void letter_writer_free(struct letter_writer *w); /* free(NULL) is fine */

/* The status of an order, as in 7.4; and its state alone: a string, or {"sending":{...}}. */
cJSON *letter_status(const struct message_status *s);
cJSON *letter_state(const struct message_status *s);

#endif
