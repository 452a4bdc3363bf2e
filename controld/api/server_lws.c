/* SPDX-License-Identifier: Apache-2.0 */
/* libwebsockets on our loop, for WebSockets alone: it listens nowhere and gets sockets one by one, each with a request
 * head that http_upgrade.c has written. What is true of 4.1.6: on a foreign libuv loop the context is destroyed in two
 * calls, and between them the loop must close its handles, first those of the sockets, then its own; the second call
 * unloads the code of their callbacks. */
#define LOG_MODULE "api"
#include "controld/api/server_private.h"

#include "shared/base/log.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
	SERVE_BUFFER_BYTES = 16 * 1024,
	HEAD_BYTES = 1024, /* those of http_upgrade.c */
	HEADS = 4, /* at one time: they are read within the call */
	OWN_DESCRIPTORS = 8,
	LINE_BYTES = 200,
};

/* The library logs for the whole process. */
static struct log_limit limited = {.period_ms = 10000, .burst = 5};
static char last_line[LINE_BYTES];

/* Whatever it says while it runs is about one client. */
static void on_line(int level, const char *line)
{
	const size_t len = strcspn(line, "\r\n");

	snprintf(last_line, sizeof(last_line), "%.*s", (int)(len < LINE_BYTES ? len : LINE_BYTES - 1), line);
	log_limited(&limited, LOG_DEBUG, "libwebsockets (%d): %s", level, last_line);
}

static struct api *api_of(struct lws *wsi)
{
	return lws_context_user(lws_get_context(wsi));
}

/* Slot + 1 of a socket that came from us; 0: libwebsockets' own. */
static unsigned slot_of(const struct lws *wsi)
{
	return (unsigned)(uintptr_t)lws_get_opaque_user_data(wsi);
}

static void on_gone(struct lws *wsi)
{
	struct api *a = api_of(wsi);
	const unsigned slot = slot_of(wsi);

	if (slot == 0)
		return;
	a->server->sockets--;
	server_leave(a, slot - 1);
}

static void on_new(struct lws *wsi)
{
	struct server *s = api_of(wsi)->server;

	if (s->adopting == 0)
		return;
	lws_set_opaque_user_data(wsi, (void *)(uintptr_t)s->adopting);
	s->adopting = 0;
	s->sockets++;
}

/* Of protocol 0: also what is about a connection before it has a protocol. */
static int on_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	switch (reason) {
	case LWS_CALLBACK_WSI_CREATE:
		return 0;
	case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
		on_new(wsi);
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		on_gone(wsi);
		return 0;
	case LWS_CALLBACK_HTTP:
		return -1; /* none of our heads is one */
	default:
		return ws_callback(wsi, reason, user, in, len);
	}
}

static void vhost_new(struct api *a)
{
	struct server *s = a->server;
	const struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN, .protocols = s->protocols, .user = a, .vhost_name = "api"};

	s->vhost = lws_create_vhost(s->lws, &info);
	if (!s->vhost)
		abort(); /* out of memory: it has nothing to do with the world outside */
}

int server_lws_new(struct api *a, char error[API_ERROR_BYTES])
{
	struct server *s = a->server;
	void *loops[1] = {loop_uv(a->loop)};
	const struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
		.foreign_loops = loops,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.user = a,
		.pt_serv_buf_size = SERVE_BUFFER_BYTES,
		.max_http_header_data = HEAD_BYTES,
		.max_http_header_pool = HEADS,
		.fd_limit_per_thread = LIMIT_API_CONNECTIONS + OWN_DESCRIPTORS,
	};
	const struct lws_protocols protocol = {
		.per_session_data_size = ws_session_bytes, .rx_buffer_size = SERVE_BUFFER_BYTES, .user = a};

	for (size_t i = 0; i < 3; i++) {
		s->protocols[i] = protocol;
		s->protocols[i].callback = i == 0 ? on_callback : ws_callback;
	}
	s->protocols[0].name = "";
	s->protocols[1].name = WS_MESSAGES;
	s->protocols[2].name = WS_EVENTS;
	lws_set_log_level(LLL_ERR | LLL_WARN, on_line);
	last_line[0] = '\0';
	s->lws = lws_create_context(&info);
	if (s->lws) {
		vhost_new(a);
		return 0;
	}
	snprintf(
		error, API_ERROR_BYTES,
		"libwebsockets does not start: is its plugin for libuv installed (libwebsockets-evlib-uv)? It says: %s",
		last_line);
	return -EIO;
}

void server_adopt(struct api *a, int fd, unsigned slot, const char *bytes, size_t len)
{
	struct server *s = a->server;

	s->adopting = slot + 1;
	/* It closes the socket where it fails. */
	if (!lws_adopt_socket_vhost_readbuf(s->vhost, fd, bytes, len))
		log_debug("a WebSocket ended as it began");
	if (s->adopting == 0)
		return;
	s->adopting = 0;
	server_leave(a, slot);
}

void server_lws_end(struct api *a)
{
	lws_context_destroy(a->server->lws);
}

void server_lws_free(struct api *a)
{
	assert(a->server->sockets == 0);
	lws_context_destroy(a->server->lws);
	a->server->lws = NULL;
}

enum guard_verdict server_guard(const struct api *a, struct lws *wsi, bool upgrade)
{
	(void)a;
	return upgrade && slot_of(wsi) ? GUARD_OK : GUARD_HOST;
}

uint64_t server_client(const struct lws *wsi)
{
	const struct api *a = lws_context_user(lws_get_context(wsi));
	const unsigned slot = slot_of(wsi);

	return slot ? a->server->slots[slot - 1].client : 0;
}
