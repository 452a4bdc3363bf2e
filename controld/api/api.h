/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP and WebSocket API: a skin over node and post for whoever runs the node. Clients are strangers until all of
 * guard.h has passed; a slow or hostile one costs its own connection and nothing else. The only place with
 * libwebsockets. Everything runs in the loop's thread; nothing here waits.
 *
 *   server.c server_*.c  the API's start and end, who may be connected, the token, libwebsockets on our loop
 *   guard.c              what keeps strangers out: Host, Origin, Sec-Fetch-Site, token
 *   http.c http_*.c      connections of HTTP/1.1: head, body within its limits, the answer in pieces
 *   routes.def           whose a request is: messages.c admin.c health.c metrics.c page.c
 *   ws.c ws_*.c          the message stream and the events, over libwebsockets
 *   json.c letter.c      strict JSON; messages in it
 *
 * Plain HTTP/1.1 is ours. The parser of libwebsockets 4.1 rewrites paths before it shows them (%2F, //, /../), answers
 * unknown methods by itself, hides repeated headers, gives chunked bodies undecoded and never ends them, and reads on
 * while an answer is pending: exact paths, 405, the guard and the limits cannot be had with it. It gets those who ask
 * for a WebSocket, once they are judged, with a head written by us. */
#ifndef CONTROLD_API_API_H
#define CONTROLD_API_API_H

#include "controld/keyring.h"
#include "controld/loop.h"
#include "controld/node.h"
#include "controld/post.h"
#include "shared/lanes.h"

struct api;

enum { API_ERROR_BYTES = 512 };

struct api_config {
	const struct network *network;
	struct pubkey pk; /* ours */
	struct ip6 address;
	struct prefix own; /* our /64 */
	struct endpoint addr; /* a loopback address stands for both of them, 127.0.0.1 and ::1 */
	bool insecure; /* an outside address without a token is wanted */
	const char *token_file; /* NULL: no token. Read at start: its first line; must not be readable by others */
	const char *const *hosts; /* more values of Host, with or without port */
	size_t host_count;
	const char *const *origins; /* more values of Origin, as the browser sends them */
	size_t origin_count;
	size_t max_body; /* bytes; 0: the default */
	struct mono started;
	int64_t started_s; /* realtime */
};

/* A peer: an entry of those to be dialled, with its link if it is up, or an inbound link. */
struct api_peer {
	const char *endpoint; /* host:port as configured, or the remote address; borrowed */
	uint32_t flags; /* CTL_LINK_STATIC, _DISCOVERED, _INBOUND */
	bool up;
	struct node_link link; /* if up */
	uint16_t cost; /* if up; WIRE_INFINITE: not yet known */
	struct mono next_try; /* if not up */
	const char *last_error; /* "" or a sentence; borrowed */
	struct mono last_error_at;
};

struct api_fastpath {
	int pid; /* 0: none runs */
	const char *mode; /* "tun", "relay" (no TUN) */
	const char *aead; /* implementation in use, or "" while unknown */
	struct mono since;
};

/* What it asks of the daemon. Callbacks inside *_each come before it returns. */
struct api_ops {
	void (*peers_each)(void *ctx, void (*fn)(void *fn_ctx, const struct api_peer *p), void *fn_ctx);
	/* endpoint: as --peers takes it, or with tcp:// before it. 0; -EEXIST; -EINVAL, -ENOSPC with a sentence. */
	int (*peer_add)(void *ctx, const char *endpoint, const char **why);
	/* 0; -ENOENT; -EINVAL: no endpoint at all. An inbound link is closed; a discovered one may come back. */
	int (*peer_del)(void *ctx, const char *endpoint);
	void (*fastpaths_each)(void *ctx, void (*fn)(void *fn_ctx, const struct api_fastpath *f), void *fn_ctx);
	uint64_t (*stat)(void *ctx, enum stat_id which); /* summed over workers */
	const char *(*store_trouble)(void *ctx); /* "" or a sentence */
	uint64_t (*store_bytes)(void *ctx);
	const char *(*tun_name)(void *ctx); /* "" without one */
	bool (*state_is_lasting)(void *ctx); /* the state folder outlives a reboot: not memory, not a tmpfs */
	/* The node ends of itself or is not ready yet: a sentence; "" when it runs. */
	const char *(*not_ready)(void *ctx);
	/* An event of the API was handled: do what is due. */
	void (*settled)(void *ctx);
};

/* Whose skin it is; all borrowed until api_free(). */
struct api_host {
	struct node *node;
	struct post *post;
	struct keyring *keyring; /* NULL: this machine cannot make sessions */
	const struct api_ops *ops;
	void *ctx; /* of ops */
};

/* Reads the token, binds, listens. 0, or -errno with one sentence in error: also for an outside address without token
 * and without insecure (-EPERM), and for one in use (-EADDRINUSE, naming what to change). The configuration's names
 * (hosts, origins) are borrowed until api_free() too. */
MUST_CHECK int api_new(struct loop *l, const struct api_config *c, const struct api_host *h, struct api **out,
		       char error[API_ERROR_BYTES]);

/* To those who watch. */
void api_on_status(struct api *a, const struct message_status *s);

enum api_event_kind { API_EVENT_PEER, API_EVENT_ROUTE, API_EVENT_SESSION, API_EVENT_LINK };
enum api_event_change { API_EVENT_ADD, API_EVENT_CHANGE, API_EVENT_FLUSH };
/* One field more of an event: name and value, a string or a number. */
struct api_event_field {
	const char *name;
	const char *text; /* NULL: number */
	uint64_t number;
};
/* Cheap while nobody listens. Fields end with one without a name. */
void api_event(struct api *a, enum api_event_kind kind, enum api_event_change change,
	       const struct api_event_field *fields);
bool api_has_listeners(const struct api *a);

/* Stops accepting, ends the streams with 1001, answers who waits, and closes; done comes from the loop, after 2 s at
 * the latest. */
void api_stop(struct api *a, void (*done)(void *ctx), void *ctx);
/* After done (or after api_new failed, where it is NULL). */
void api_free(struct api *a);

#endif
