/* SPDX-License-Identifier: Apache-2.0 */
/* From HTTP to WebSocket (RFC 6455, 4.2): everything about the request is judged here, and refused with a text. What
 * libwebsockets is then given is a head of our own making, so no stranger's header reaches it, least of all a token. */
#include "controld/api/http_private.h"

#include <strings.h>

enum { KEY_CHARS = 24, HEAD_BYTES = 512 };

static const struct {
	const char *path, *subprotocol;
} sockets[] = {
	{"/api/v1/messages/stream", WS_MESSAGES},
	{"/api/v1/events", WS_EVENTS},
};

static const char *subprotocol_of(const char *path)
{
	for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
		if (strcmp(path, sockets[i].path) == 0)
			return sockets[i].subprotocol;
	}
	return NULL;
}

/* Whether the list names a protocol; and whether that is the one wanted. The token is no protocol. */
static void read_offer(const char *list, const char *wanted, bool *any, bool *right)
{
	const char *item;
	size_t len;

	while (list && (item = http_list_next(&list, &len))) {
		*any |= strncmp(item, "bearer.", 7) != 0;
		*right |= len == strlen(wanted) && memcmp(item, wanted, len) == 0;
	}
}

static bool offers_websocket(const char *upgrade)
{
	const char *item;
	size_t len;

	while (upgrade && (item = http_list_next(&upgrade, &len))) {
		if (len == 9 && strncasecmp(item, "websocket", len) == 0)
			return true;
	}
	return false;
}

/* 16 bytes in base64. */
static bool is_key(const char *key)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	return key && strlen(key) == KEY_CHARS && strspn(key, alphabet) == KEY_CHARS - 2 &&
	       strcmp(key + KEY_CHARS - 2, "==") == 0;
}

/* False: it was answered. */
static bool check(struct http_request *r, const char *wanted, bool *named)
{
	const struct http_head *h = &r->head;
	bool right = false;

	read_offer(h->subprotocols, wanted, named, &right);
	if (h->method != HTTP_GET) {
		http_header(r, "Allow", "GET");
		http_reply_empty(r, 405);
	} else if (h->old || !h->wants_upgrade || !offers_websocket(h->upgrade)) {
		http_header(r, "Upgrade", "websocket");
		http_reply_text(r, 426, "This is a WebSocket, of subprotocol %s.", wanted);
	} else if (!h->version || strcmp(h->version, "13") != 0) {
		http_header(r, "Upgrade", "websocket");
		http_header(r, "Sec-WebSocket-Version", "13");
		http_reply_text(r, 426, "The version of WebSocket spoken here is 13.");
	} else if (!is_key(h->key) || h->has_body) {
		http_reply_text(r, 400, "The WebSocket handshake has no key of 16 bytes in base64, or it has a body.");
	} else if (*named && !right) {
		http_reply_text(r, 400, "The subprotocol of this WebSocket is %s.", wanted);
	} else if (r->conn->api->stopping) {
		http_reply_text(r, 503, "The node is shutting down.");
	} else {
		return true;
	}
	return false;
}

static void hand_over(struct http_request *r, const char *subprotocol)
{
	struct http_conn *c = r->conn;
	const size_t rest = c->len - c->at;
	char bytes[HEAD_BYTES + HTTP_IN_BYTES];
	int n = snprintf(bytes, HEAD_BYTES,
			 "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n",
			 r->head.path, r->head.key);

	if (subprotocol)
		n += snprintf(bytes + n, HEAD_BYTES - n, "Sec-WebSocket-Protocol: %s\r\n", subprotocol);
	n += snprintf(bytes + n, HEAD_BYTES - n, "\r\n");
	memcpy(bytes + n, c->in + c->at, rest);
	loop_fd_free(c->watch);
	c->watch = NULL;
	server_adopt(c->api, c->fd, c->slot, bytes, (size_t)n + rest);
	c->fd = -1;
	c->dead = true;
}

bool http_upgrade(struct http_request *r)
{
	const char *wanted = subprotocol_of(r->head.path);
	bool named = false;

	if (!wanted)
		return false;
	if (check(r, wanted, &named))
		hand_over(r, named ? wanted : NULL);
	return true;
}
