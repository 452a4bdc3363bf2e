/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of an HTTP/1.1 request (RFC 9112): what http.c puts together. Those that read strangers' bytes
 * (http_head.c, http_body.c, http_route.c) know no socket and no loop. */
#ifndef CONTROLD_API_HTTP_PRIVATE_H
#define CONTROLD_API_HTTP_PRIVATE_H

#include "controld/api/http.h"
#include "controld/api/private.h"
#include "shared/limits.h"

enum {
	HTTP_OTHER = HTTP_DELETE + 1, /* a method that nothing here takes */
	HTTP_IN_BYTES = LIMIT_API_HEADER_BYTES + 16 * 1024, /* a head, and what is read behind it */
	HTTP_SEGMENTS = 8, /* of a path; none of ours has more */
	HTTP_PARAMS = 2,
	HTTP_EXTRA_BYTES = 1024, /* header lines of handlers */
	HTTP_CHUNK_LINE_BYTES = 256, /* size and extensions */
	HTTP_TRAILER_BYTES = 4096,
};

/* http_head.c: the request line and the header lines. */

/* Borrows the bytes it was read from, which it cuts into strings. */
struct http_head {
	unsigned method; /* enum http_method or HTTP_OTHER */
	char *path, *query; /* encoded, as sent; query NULL: none */
	char *host, *origin, *fetch_site, *authorization, *subprotocols;
	char *type, *length, *coding, *expect, *upgrade, *key, *version;
	bool old; /* HTTP/1.0 */
	bool guarded_twice, framed_twice; /* a header came twice that the guard, or the framing, looks at */
	bool close, keep_alive, wants_upgrade; /* Connection */
	bool has_body, chunked, wants_continue;
	uint64_t body_bytes; /* not chunked: how many */
};

/* Length of the head, with its empty line, or 0: not whole yet. *seen: so much was looked at already. A line that does
 * not end with CR LF makes *bad true. */
size_t http_head_end(const char *bytes, size_t len, size_t *seen, bool *bad);
/* A whole head of len bytes. 0, or the status of the refusal with a sentence; what was read of it then is no use, but
 * for old. */
MUST_CHECK int http_head_read(struct http_head *h, char *bytes, size_t len, const char **why);
/* The next item of a list that is separated by commas, without the space around it; NULL at the end. */
const char *http_list_next(const char **list, size_t *len);

/* http_body.c: a body, in whatever pieces it comes. */

enum http_body_state { HTTP_BODY_MORE, HTTP_BODY_WHOLE, HTTP_BODY_LONG, HTTP_BODY_FULL, HTTP_BODY_BAD };
enum http_chunk_state { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_SIZE_LF, CHUNK_DATA, CHUNK_DATA_CR, CHUNK_DATA_LF, TRAILER };

struct http_body {
	enum http_body_state state;
	bool chunked, discard; /* discard: nobody wants the bytes */
	uint64_t left; /* of the body, or of the chunk */
	size_t max, *in_use, in_use_max; /* in_use: of all bodies together, borrowed */
	enum http_chunk_state chunk;
	unsigned line, digits; /* bytes of the line, digits of the size */
	unsigned trailer, trailer_line;
	char last; /* byte before, in trailers */
	char *bytes; /* owned */
	size_t len, cap;
};

void http_body_init(struct http_body *b, const struct http_head *h);
/* Takes what it can of the bytes; returns how much. What lies behind the body is left. */
size_t http_body_feed(struct http_body *b, const char *bytes, size_t len);
void http_body_fini(struct http_body *b);

/* http_route.c: whose it is. */

struct http_route {
	const char *path;
	http_handler *handler;
	unsigned method;
	bool body;
};
#define HTTP_QUERY_KEYS 6

/* Strings lie in the head. */
struct http_target {
	const struct http_route *route;
	const char *params[HTTP_PARAMS];
	const char *query[HTTP_QUERY_KEYS];
	char allow[40]; /* of a 405 */
};

/* 0, 400, 404 or 405. Decodes the path in place. */
MUST_CHECK int http_route_find(struct http_target *t, unsigned method, char *path);
/* A file of the page, which carries no secret and asks for the token. */
bool http_is_page(const char *path);
/* Decodes in place. False with the rest of the sentence. */
bool http_query_read(struct http_target *t, char *query, char *why, size_t why_bytes);
/* text, in place, zero-terminated; false where it is no UTF-8, or holds a zero byte or a wrong %. */
bool http_decode(char *text, bool plus_is_space);

/* http.c, http_answer.c: a request on its connection. */

enum http_step { STEP_HEAD, STEP_BODY, STEP_HANDLED, STEP_WAIT, STEP_SEND, STEP_LINGER };
enum http_clock { CLOCK_NONE, CLOCK_HEADER, CLOCK_IDLE, CLOCK_BODY, CLOCK_SEND, CLOCK_LINGER };

struct http_request {
	struct http_conn *conn;
	struct http_head head;
	struct http_target target;
	struct http_body body;
	cJSON *json; /* owned */
	char extra[HTTP_EXTRA_BYTES];
	size_t extra_len;
	void (*gone)(void *ctx);
	void *gone_ctx;
	struct http_source source;
	bool streams, chunked, no_body; /* of the answer */
	bool brief; /* it waits for a moment only */
	size_t left; /* of a stream of known length */
};

struct http_out {
	char *bytes; /* owned */
	size_t at, len, cap;
};

struct http_conn {
	struct api *api;
	struct http_conn *prev, *next;
	int fd;
	unsigned slot; /* of server.c */
	struct loop_fd *watch;
	enum http_step step;
	enum http_clock clock;
	bool fresh; /* no request yet */
	bool clock_again; /* it begins anew */
	struct mono deadline;
	bool busy, dead, ended, close; /* ended: the client sends no more; close: after this answer */
	struct http_out out;
	size_t head_len; /* of the request under way: stays in front */
	size_t at, len, seen; /* in `in`: unread from at to len */
	struct http_request request;
	char in[HTTP_IN_BYTES];
};

/* The connection is ours now. */
void http_accept(struct api *a, int fd, unsigned slot);
/* What is due; when to be called next. */
struct mono http_tick(struct api *a, struct mono now);
/* Answers who waits, lets go who is between requests. */
void http_stop(struct api *a);
/* Whatever is left. */
void http_end_all(struct api *a);

/* http_answer.c */
/* Writes and fetches until all has left (true), or the client takes no more for now, or has gone (conn is dead). */
bool http_answer_pump(struct http_conn *c);
/* A Content-Type of JSON; NULL is none. */
bool http_is_json(const char *type);
/* An answer of text that ends the connection. */
void http_refuse(struct http_request *r, int status, const char *text);

/* http_upgrade.c: true if the path is that of a WebSocket; then r was answered, or the connection was given away (it is
 * dead then). */
bool http_upgrade(struct http_request *r);

/* server.c */
/* Gives a socket to libwebsockets, with the bytes of a request head and whatever follows. */
void server_adopt(struct api *a, int fd, unsigned slot, const char *bytes, size_t len);
/* A connection has ended. */
void server_leave(struct api *a, unsigned slot);
/* http_tick() is wanted then, at the latest. */
void server_wake(struct api *a, struct mono when);

#endif
