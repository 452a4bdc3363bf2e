/* SPDX-License-Identifier: Apache-2.0 */
/* A real loop with a real API on a free port of 127.0.0.1 (and ::1), and clients that are raw sockets: what is sent and
 * what comes back is bytes. Nothing sleeps; whatever waits pumps the loop until the state is there and fails the test
 * after ten seconds. Needs no root. */
#ifndef TESTS_SUPPORT_API_WORLD_H
#define TESTS_SUPPORT_API_WORLD_H

#include "controld/api/api.h"

struct http_limits;

/* All zero is fine. */
struct api_setup {
	struct api_config config; /* addr of family 0: 127.0.0.1 and a free port. network NULL: 200::/7; pk, address and
				     own are then those of a key of bytes 1, 2, 3... */
	struct node *node; /* borrowed, may be NULL */
	struct post *post; /* borrowed, may be NULL */
	struct keyring *keyring; /* borrowed, may be NULL */
	const struct api_ops *ops; /* NULL: ops that know no peer and count `settled` */
	void *ctx; /* of ops */
};

struct api_world {
	struct loop *loop;
	struct api *api; /* NULL: api_new() failed */
	struct endpoint at; /* 127.0.0.1 and the port, or config.addr */
	char host[64]; /* "localhost:PORT", for the Host line */
	char error[API_ERROR_BYTES];
	int result; /* of api_new() */
	bool stopped;
	unsigned settled; /* calls of the default ops */
};

/* The test fails if api_new() fails. */
struct api_world *api_world_new(const struct api_setup *s);
/* result and error say how api_new() went. */
struct api_world *api_world_try(const struct api_setup *s);
/* Stops the API, waits for done, frees all; sanitizers then see what was left. */
void api_world_free(struct api_world *w);
/* api_stop(), and waits for done. */
void api_world_stop(struct api_world *w);
/* Runs the loop until ready(ctx); fails the test after ten seconds. */
void api_world_until(struct api_world *w, bool (*ready)(void *ctx), void *ctx);
/* Runs the loop for a few turns, so that whatever could happen at once has happened. */
void api_world_turn(struct api_world *w);

struct api_client {
	struct api_world *w;
	int fd;
	char *in; /* what has arrived and was not taken yet; zero-terminated */
	size_t len, cap;
	bool ended; /* the server has closed (or reset) */
};

struct api_client *api_client_open(struct api_world *w);
struct api_client *api_client_open6(struct api_world *w); /* to ::1 */
void api_client_free(struct api_client *c); /* closes */
/* Sends all of it, pumping the loop while the socket is full. Ends early when the server has closed. */
void api_client_send(struct api_client *c, const void *bytes, size_t len);
void api_client_say(struct api_client *c, const char *text);
__attribute__((format(printf, 2, 3))) void api_client_sayf(struct api_client *c, const char *format, ...);
/* A request with the right Host line: `head` are more header lines, each with its CRLF (NULL: none). A body that is not
 * NULL gets its Content-Length; type NULL: no Content-Type. */
struct api_ask {
	const char *method, *path, *head, *type, *body;
};
void api_client_ask(struct api_client *c, const struct api_ask *ask);
/* Waits until there are so many bytes, or the server has closed. */
void api_client_read(struct api_client *c, size_t len);
/* Takes the first len bytes away. */
void api_client_take(struct api_client *c, size_t len);
/* Waits until the server has closed the connection. */
void api_client_until_ended(struct api_client *c);

struct api_answer {
	int status; /* 0: the server closed without a whole answer */
	char *head; /* status line and header lines */
	char *body; /* unchunked, zero-terminated */
	size_t len;
};
/* Waits for one whole answer and takes it; 100 Continue is an answer of its own. is_head: it has no body. */
struct api_answer api_client_answer(struct api_client *c, bool is_head);
void api_answer_fini(struct api_answer *a);
/* The value of a header line, or NULL; borrowed until the next call. */
const char *api_answer_header(const struct api_answer *a, const char *name);

/* One request on a connection of its own. */
struct api_answer api_world_ask(struct api_world *w, const struct api_ask *ask);
/* The same for a GET. */
struct api_answer api_world_get(struct api_world *w, const char *path);

#endif
