/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the API share. */
#ifndef CONTROLD_API_PRIVATE_H
#define CONTROLD_API_PRIVATE_H

#include "controld/api/api.h"
#include "controld/api/guard.h"
#include <libwebsockets.h>

struct ws_session;
struct http_conn;

/* shared/limits.h says what they are; tests shrink them. */
struct api_limits {
	unsigned connections, per_address;
	size_t header_bytes; /* at most LIMIT_API_HEADER_BYTES */
	size_t bodies_bytes; /* of all bodies together */
	unsigned header_ms, body_ms, idle_ms;
	unsigned linger_ms; /* after an answer that cuts the client short, so that it can read it */
	unsigned stop_ms; /* api_stop() takes at most so long */
	unsigned ws_tick_ms; /* how often the time of a WebSocket is looked at; 0: each second */
};

struct api {
	struct loop *loop; /* borrowed, as all of the world */
	struct node *node;
	struct post *post;
	struct keyring *keyring; /* NULL: no sessions here */
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
	struct api_limits limits;
	bool stopping;
	struct server *server; /* owned by server.c */
	struct http_conn *conns; /* list of http.c; all connections that are not WebSockets */
	size_t body_bytes; /* held by their requests */
	struct ws_session *sessions; /* list of ws.c; all WebSocket clients */
	unsigned lists; /* being read: list.c */
	uint64_t requests, refused; /* for the metrics: answered; turned away by guard or limits */
};

/* server.c */
/* The host's time, both kinds. */
struct post_time api_now(void);
static inline struct session_time api_session_now(void)
{
	const struct post_time t = api_now();

	return (struct session_time){.now = t.mono, .real_ns = t.real_s * 1000000000};
}
/* An event of the API was handled. */
static inline void api_settled(struct api *a)
{
	a->ops->settled(a->ctx);
}
/* Plain HTTP is ours (http.c). libwebsockets gets a connection when its client asks for a WebSocket: after guard, path,
 * version, key and subprotocol were judged, with a head of our own making that has the path and the one subprotocol
 * that fits it, or none where the client named none (close 4406). This says that wsi is such a one. */
MUST_CHECK enum guard_verdict server_guard(const struct api *a, struct lws *wsi, bool upgrade);
/* Number that stands for the client's address: equal for equal addresses (IPv6: /64). */
uint64_t server_client(const struct lws *wsi);

/* ws.c: the libwebsockets callback of both subprotocols (lws_get_protocol(wsi)->name), and of a client that names none
 * (name ""; close 4406). user is the session; lws_context_user(lws_get_context(wsi)) is the struct api, and so is the
 * user of the protocol. WSI_CREATE, WSI_DESTROY and SERVER_NEW_CLIENT_INSTANTIATED are kept from it. The opaque user
 * data of a wsi is server.c's. */
extern const size_t ws_session_bytes;
int ws_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);
#define WS_MESSAGES "mycelium.msg.v1+json"
#define WS_EVENTS "mycelium.events.v1+json"
/* All end with 1001. */
void ws_close_all(struct api *a);

#endif
