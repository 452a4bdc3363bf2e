/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the API share. */
#ifndef CONTROLD_API_PRIVATE_H
#define CONTROLD_API_PRIVATE_H

#include "controld/api/api.h"
#include "controld/api/guard.h"
#include <libwebsockets.h>

struct ws_session;

struct api {
	struct loop *loop; /* borrowed, as all of the world */
	struct node *node;
	struct post *post;
	const struct api_ops *ops;
	void *ctx;
	const struct network *network;
	struct pubkey pk; /* ours */
	struct ip6 address;
	struct prefix own;
	struct guard_config guard;
	size_t max_body;
	struct mono started;
	int64_t started_s;
	bool stopping;
	struct server *server; /* owned by server.c */
	struct ws_session *sessions; /* list of ws.c; all WebSocket clients */
	uint64_t requests, refused; /* for the metrics: answered; turned away by guard or limits */
};

/* server.c */
/* The host's time, both kinds. */
struct post_time api_now(void);
/* An event of the API was handled. */
static inline void api_settled(struct api *a)
{
	a->ops->settled(a->ctx);
}
/* The guard's verdict on the head that wsi has just sent; for http.c and ws.c. */
MUST_CHECK enum guard_verdict server_guard(const struct api *a, struct lws *wsi, bool upgrade);
/* Number that stands for the client's address: equal for equal addresses (IPv6: /64). */
uint64_t server_client(const struct lws *wsi);

/* http.c: the libwebsockets callback of plain HTTP; a request of its own per transaction. */
enum { HTTP_CONN_BYTES = 64 };
int http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);

/* ws.c: the libwebsockets callback of both subprotocols, and of a client that names none (close 4406); server_guard()
 * was asked in FILTER_PROTOCOL_CONNECTION by ws.c itself. user is the session. */
extern const size_t ws_session_bytes;
int ws_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);
#define WS_MESSAGES "mycelium.msg.v1+json"
#define WS_EVENTS "mycelium.events.v1+json"
/* All end with 1001. */
void ws_close_all(struct api *a);

#endif
