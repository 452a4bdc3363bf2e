/* SPDX-License-Identifier: Apache-2.0 */
/* WebSocket by libwebsockets: moves frames between a session (ws_private.h) and its socket.
 *
 * What libwebsockets 4.1.6 asks of us: to write from WRITEABLE only, which comes when nothing is left of the writes
 * before, and to stop when the socket is full. A close that begins while something is left goes without its frame, and
 * so does one that a callback asks for by returning -1: Debian's build has a self-check that closes those twice. So a
 * close waits for WRITEABLE, and then for our timer, outside of the library. Its own timers do not start from there:
 * time is ours, and who cannot be closed politely is shut down at the socket. */
#define LOG_MODULE "api"
#include "controld/api/ws_private.h"
#include "shared/base/log.h"
#include "shared/limits.h"
#include <assert.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { TICK_MS = 1000, GRACE_MS = 5000, REASON_BYTES = 123, BURST = 64 /* frames in one turn of the loop */ };

static struct log_limit limited = {.period_ms = 10000, .burst = 5};

/* An accepted client. libwebsockets holds the pointer to it. */
struct ws_conn {
	struct lws *wsi;
	struct ws_session *session; /* owned */
	struct loop_timer *timer;
	int unsent; /* bytes in the kernel's queue when last looked at */
	struct mono closing_at; /* or MONO_NEVER */
	bool may_close, close_begun; /* nothing is left to be written; the close frame is the library's business now */
};

const size_t ws_session_bytes = sizeof(struct ws_conn *);

static struct api *api_of(struct lws *wsi)
{
	return lws_context_user(lws_get_context(wsi));
}

static enum ws_kind kind_of(struct lws *wsi)
{
	const char *name = lws_get_protocol(wsi)->name;

	if (strcmp(name, WS_MESSAGES) == 0)
		return WS_KIND_MESSAGES;
	return strcmp(name, WS_EVENTS) == 0 ? WS_KIND_EVENTS : WS_KIND_NONE;
}

static void on_wake(void *ctx)
{
	struct ws_conn *c = ctx;

	lws_callback_on_writable(c->wsi);
}

/* The client takes bytes, though not yet enough that libwebsockets would say so. */
static void look_at_unsent(struct ws_conn *c, lws_sockfd_type fd)
{
	int unsent = 0;

	if (ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent < c->unsent)
		c->session->progress++;
	c->unsent = unsent;
}

static void look_at_closing(struct ws_conn *c, struct post_time now, lws_sockfd_type fd)
{
	struct ws_session *s = c->session;

	ws_session_end(s, now);
	api_settled(s->api);
	if (c->closing_at.us == MONO_NEVER.us)
		c->closing_at = now.mono;
	if (s->hang_up || mono_since_ms(now.mono, c->closing_at) >= GRACE_MS)
		shutdown(fd, SHUT_RDWR);
}

/* The connection may be gone, and c with it, when this returns. */
static void begin_close(struct ws_conn *c)
{
	unsigned char reason[REASON_BYTES];
	const size_t len = strlen(c->session->reason);

	assert(len <= sizeof(reason));
	memcpy(reason, c->session->reason, len);
	c->close_begun = true;
	log_limited(&limited, LOG_DEBUG, "closing a WebSocket code=%d: %s", (int)c->session->code, c->session->reason);
	lws_close_reason(c->wsi, (enum lws_close_status)c->session->code, reason, len);
	lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

static void arm(struct ws_conn *c, struct mono now)
{
	const unsigned tick_ms = c->session->api->limits.ws_tick_ms;

	loop_timer_at(c->timer, mono_add_ms(now, tick_ms ? tick_ms : TICK_MS));
}

static void on_tick(void *ctx, struct mono mono)
{
	struct ws_conn *c = ctx;
	const struct post_time now = api_now();
	const lws_sockfd_type fd = lws_get_socket_fd(c->wsi);

	arm(c, mono);
	look_at_unsent(c, fd);
	ws_session_tick(c->session, now);
	if (!c->session->closing)
		return;
	look_at_closing(c, now, fd);
	if (c->may_close && !c->close_begun && !c->session->hang_up)
		begin_close(c);
}

static void conn_new(struct lws *wsi, struct ws_conn **out)
{
	struct ws_conn *c = calloc(1, sizeof(*c));
	struct api *a = api_of(wsi);
	const struct post_time now = api_now();
	const int lowat = LIMIT_NOTSENT_LOWAT_BYTES;

	assert(c);
	c->wsi = wsi;
	c->closing_at = MONO_NEVER;
	c->session = ws_session_new(a, kind_of(wsi), server_client(wsi), on_wake, c, now);
	c->timer = loop_timer_new(a->loop, on_tick, c);
	arm(c, now.mono);
	/* Else megabytes would wait in the kernel before we learn that the client does not read. */
	(void)setsockopt(lws_get_socket_fd(wsi), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
	*out = c;
}

static void conn_free(struct ws_conn **held)
{
	struct ws_conn *c = *held;
	struct api *a = c->session->api;

	*held = NULL;
	loop_timer_free(c->timer);
	ws_session_free(c->session, api_now());
	free(c);
	api_settled(a);
}

static void on_receive(struct ws_conn *c, const char *bytes, size_t len)
{
	struct ws_session *s = c->session;
	const struct ws_piece p = {.bytes = bytes,
				   .len = len,
				   .remaining = lws_remaining_packet_payload(c->wsi),
				   .first = lws_is_first_fragment(c->wsi),
				   .final = lws_is_final_fragment(c->wsi),
				   .binary = lws_frame_is_binary(c->wsi)};

	ws_session_piece(s, &p, api_now());
	if (p.final)
		api_settled(s->api);
}

static int write_ping(struct ws_conn *c)
{
	unsigned char buf[LWS_PRE + 1] = {0}; /* a pong without payload would not be told to us */

	c->session->ping_due = false;
	return lws_write(c->wsi, buf + LWS_PRE, 1, LWS_WRITE_PING);
}

static int write_frame(struct ws_conn *c, size_t room)
{
	struct ws_session *s = c->session;
	unsigned char *buf = malloc(LWS_PRE + room);
	const bool paused = s->paused;
	bool first, last;
	size_t len;
	int n;

	assert(buf);
	len = ws_session_take(s, (char *)buf + LWS_PRE, room, &first, &last);
	n = lws_write(c->wsi, buf + LWS_PRE, len,
		      (enum lws_write_protocol)lws_write_ws_flags(LWS_WRITE_TEXT, first, last));
	free(buf);
	if (paused && !s->paused)
		api_settled(s->api);
	return n;
}

/* What lws_write() said; 0: there is nothing. */
static int write_next(struct ws_conn *c)
{
	size_t room;

	if (c->session->ping_due)
		return write_ping(c);
	room = ws_session_room(c->session);
	return room ? write_frame(c, room) : 0;
}

static int on_writable(struct ws_conn *c)
{
	struct ws_session *s = c->session;
	int n;

	ws_session_writable(s);
	if (s->closing) {
		c->may_close = true;
		loop_timer_at(c->timer, mono_now());
		return 0;
	}
	n = write_next(c);
	if (n == 0)
		return 0;
	for (int i = 1; i < BURST && n > 0 && !s->closing && !lws_send_pipe_choked(c->wsi); i++)
		n = write_next(c);
	ws_session_wake(s); /* also to learn when this has left */
	return n < 0 ? -1 : 0;
}

int ws_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct ws_conn **held = user;

	switch (reason) {
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
		return server_guard(api_of(wsi), wsi, true) == GUARD_OK ? 0 : -1;
	case LWS_CALLBACK_ESTABLISHED:
		conn_new(wsi, held);
		return 0;
	case LWS_CALLBACK_RECEIVE:
		if (*held)
			on_receive(*held, in, len);
		return 0;
	case LWS_CALLBACK_RECEIVE_PONG:
		if (*held)
			ws_session_heard((*held)->session, api_now());
		return 0;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return *held ? on_writable(*held) : 0;
	case LWS_CALLBACK_CLOSED: /* comes for refused upgrades too */
		if (held && *held)
			conn_free(held);
		return 0;
	default:
		return 0;
	}
}
