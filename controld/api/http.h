/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP request, as the handlers of the routes see it: it has passed the guard, its head is parsed, its body is here
 * (or what was wrong with it is known). A handler is called once and answers at once, later (http_wait()), or in pieces
 * (http_stream()). Exactly one answer is given; the request is gone when its end was told.
 *
 * Order of checks (wire-200 7.7): path, query, body. So a handler asks for its parameters first and for the body last;
 * each of these answers by itself when it fails, and the handler returns then. */
#ifndef CONTROLD_API_HTTP_H
#define CONTROLD_API_HTTP_H

#include "controld/api/api.h"
#include <cjson/cJSON.h>

struct http_request;

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_DELETE };

typedef void http_handler(struct api *a, struct http_request *r);

/* routes.def: ROUTE(method, path, handler, body): path segments in {} are parameters. body 1: it takes a JSON body. */
#define ROUTE(method, path, handler, body) http_handler handler;
#include "controld/api/routes.def"
#undef ROUTE

/* The API it belongs to; for callbacks that come later. */
struct api *http_api(const struct http_request *r);
bool http_is_head(const struct http_request *r);
/* Parameter i of the path, percent-decoded, zero-terminated. One with a zero byte or a wrong % is answered 400 before.
 */
const char *http_param(const struct http_request *r, unsigned i);
/* A query parameter, decoded (+ is a space). NULL: not given. A key given twice, or a malformed query, was answered 400
 * before the handler is called, with the text of wire-200 7.7; unknown keys do no harm. */
const char *http_query(const struct http_request *r, const char *key);
/* The JSON value of the body; borrowed until http_json_done() or the answer, the same at each call. NULL: it was
 * answered (413, 415, 400, 422). */
const cJSON *http_json(struct http_request *r);
/* The handler has what it wants of it: its memory, which may be much, is not held until the answer. */
void http_json_done(struct http_request *r);

/* A header line of the answer that is about to be given (Allow, Retry-After, Content-Security-Policy); name and value
 * are ours, no stranger's text. Content-Type, the lengths and those of every answer (nosniff, no-store) are not for
 * this. */
void http_header(struct http_request *r, const char *name, const char *value);

/* Whole answers; body is copied. Body texts are sentences for people. No type: no body. */
void http_reply(struct http_request *r, int status, const char *type, const void *body, size_t len);
void http_reply_empty(struct http_request *r, int status);
__attribute__((format(printf, 3, 4))) void http_reply_text(struct http_request *r, int status, const char *format, ...);
/* Compact JSON; j is taken. */
void http_reply_json(struct http_request *r, int status, cJSON *j);

/* An answer in pieces: next() writes up to cap bytes (at least 4 KiB) and returns how many, 0 at the end; it is called
 * when the client can take more. end() is told once: sent whole into the socket, or not (the client has gone). For HEAD
 * next() is never called, and end(true) when the head has left. length: of the whole body, or HTTP_CHUNKED. */
#define HTTP_CHUNKED SIZE_MAX
struct http_source {
	size_t (*next)(void *ctx, char *out, size_t cap);
	void (*end)(void *ctx, bool whole);
	void *ctx;
};
void http_stream(struct http_request *r, int status, const char *type, size_t length, const struct http_source *s);

/* The answer comes later. gone() is called if the client goes before it was given, or the API stops (then it answers
 * 503 by itself); the request is gone then too, and must not be answered. The idle limit does not count meanwhile. An
 * answer given from outside of a handler leaves at the next turn of the loop: nothing is called from inside
 * http_reply*() and http_stream(). */
void http_wait(struct http_request *r, void (*gone)(void *ctx), void *ctx);
/* The same for the moment that the store needs: a client that has only ended its sending side (as nc -N does) is still
 * there to be answered. */
void http_wait_brief(struct http_request *r, void (*gone)(void *ctx), void *ctx);

/* JSON, UTF-8. */
#define HTTP_JSON "application/json"
#define HTTP_TEXT "text/plain; charset=utf-8"

#endif
