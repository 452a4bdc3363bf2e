/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the server share: the sockets, who is connected, the token, and libwebsockets. */
#ifndef CONTROLD_API_SERVER_PRIVATE_H
#define CONTROLD_API_SERVER_PRIVATE_H

#include "controld/api/http_private.h"

enum { SERVER_LISTENERS = 2 };

enum server_phase { SERVER_RUNS, SERVER_DRAINS, SERVER_ENDS, SERVER_ENDED };

struct server_listener {
	struct api *api;
	int fd;
	struct loop_fd *watch;
};

struct server {
	struct loop_timer *timer;
	struct mono armed;

	struct server_listener listeners[SERVER_LISTENERS];
	unsigned listener_count;
	struct loop_timer *pause; /* accepting goes on then */

	struct {
		bool taken;
		uint64_t client;
	} slots[LIMIT_API_CONNECTIONS];
	unsigned slots_taken;

	char *token; /* owned, locked; NULL: none */
	const char **hosts; /* owned array: those configured, and our own address */
	char own_host[ENDPOINT_TEXT_BYTES];

	struct lws_context *lws;
	struct lws_vhost *vhost;
	struct lws_protocols protocols[4];
	unsigned adopting; /* slot + 1 of the socket that is being given to libwebsockets */
	unsigned sockets; /* WebSockets that it has */

	enum server_phase phase;
	struct mono stop_at;
	unsigned rounds;
	void (*done)(void *ctx);
	void *done_ctx;
};

/* server_listen.c */
/* 0, or -errno with a sentence. */
MUST_CHECK int server_listen(struct api *a, const struct endpoint *at, char error[API_ERROR_BYTES]);
void server_listen_end(struct api *a);
bool server_is_loopback(const struct endpoint *e);

/* server_token.c: the first line of the file into locked memory; 0, or -errno with a sentence. */
MUST_CHECK int server_token_read(const char *path, char **out, char error[API_ERROR_BYTES]);
void server_token_free(char *token);

/* server_lws.c */
MUST_CHECK int server_lws_new(struct api *a, char error[API_ERROR_BYTES]);
/* Ends whatever WebSocket is left. Then, some turns of the loop later, when its handles are closed: the rest. */
void server_lws_end(struct api *a);
void server_lws_free(struct api *a);

#endif
