/* SPDX-License-Identifier: Apache-2.0 */
/* A WebSocket client's session without libwebsockets: pieces of its frames come in, frames for it come out, time is an
 * argument. ws.c moves both between a session and its socket.
 *
 *   ws_session.c    queue, limits, pings, the reasons to close
 *   ws_messages.c   the message stream: init, messages, acknowledgements
 *   ws_sends.c      messages that the client sends, and their states
 *   ws_events.c     events
 *
 * What leaves, in this order: answers (small, capped), states of sends (made when they can leave, so that many changes
 * become one), messages (the stream is paused before they pile up). A message in fragments is finished first. */
#ifndef CONTROLD_API_WS_PRIVATE_H
#define CONTROLD_API_WS_PRIVATE_H

#include "controld/api/private.h"
#include "shared/base/siphash.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#define uthash_fatal(msg) abort()
#include <uthash.h>

enum ws_kind { WS_KIND_NONE, WS_KIND_MESSAGES, WS_KIND_EVENTS };

enum ws_close {
	WS_CLOSE_AWAY = 1001, /* the node ends */
	WS_CLOSE_TOO_LARGE = 1009, /* a frame of more than LIMIT_WS_FRAME_BYTES */
	WS_CLOSE_SLOW = 4008,
	WS_CLOSE_FRAME = 4400, /* malformed, unknown, or not now */
	WS_CLOSE_SUBPROTOCOL = 4406,
	WS_CLOSE_INIT = 4408, /* no init in time */
	WS_CLOSE_TAKEN_OVER = 4409, /* another connection has resumed the stream */
	WS_CLOSE_LIMIT = 4429,
};

enum {
	WS_SENDS = 4096, /* of one session whose state is told. Full: the oldest that was answered is not told any more
			  */
	WS_REF_BYTES = 128, /* of a send; longer: close 4400 */
	WS_PAUSE_BYTES = 128 * 1024, /* waiting messages at which the stream is paused */
	WS_FRAGMENT_BYTES = 64 * 1024, /* of a message that leaves in fragments */
};

struct ws_text;
struct ws_letter;

/* A message that the client has sent. */
struct ws_send {
	struct ws_session *session;
	struct ws_send *prev, *next; /* in unanswered or answered, oldest first */
	struct ws_send *changed_prev, *changed_next;
	uint64_t ticket; /* while the post has not answered */
	char *ref; /* so long */
	uint64_t handle; /* of the order, afterwards */
	uint8_t id[RECORD_ID_BYTES];
	uint8_t state, state_told; /* enum message_state */
	bool changed; /* is in that list */
	UT_hash_handle hh; /* by handle */
};

struct ws_session {
	struct ws_session *prev, *next; /* in api.sessions */
	struct api *api;
	enum ws_kind kind;
	uint64_t client; /* server_client() */
	void (*wake)(void *ctx); /* something wants to leave, or the session shall be closed */
	void *ctx;

	bool closing, hang_up; /* hang_up: at once, without a close frame */
	enum ws_close code;
	const char *reason;

	struct mono opened, heard, ping_at, progress_at;
	bool ping_due; /* ws.c sends one and clears it */
	bool waiting; /* for the socket to take more */
	uint64_t progress, progress_seen; /* counts signs that the client takes what is sent */

	char *in; /* a frame that is not whole yet */
	size_t in_len, in_cap;

	struct ws_text *texts;
	size_t text_bytes;
	struct ws_letter *letters;
	size_t letter_bytes; /* not yet taken */

	bool begun; /* init was seen */
	struct post_stream *stream; /* NULL: none, or not ours any more */
	bool paused;
	struct ws_send *unanswered, *answered, *changed, *by_handle;
	unsigned unanswered_count, answered_count;
};

/* Part of a data frame, or of a fragment of one. */
struct ws_piece {
	const char *bytes; /* borrowed */
	size_t len;
	size_t remaining; /* that will certainly follow */
	bool first, final, binary;
};

/* ws_session.c */
/* One over the limits is closed at once. */
struct ws_session *ws_session_new(struct api *a, enum ws_kind kind, uint64_t client, void (*wake)(void *ctx), void *ctx,
				  struct post_time now);
void ws_session_free(struct ws_session *s, struct post_time now);
/* The first reason counts. */
void ws_session_close(struct ws_session *s, enum ws_close code, const char *reason);
/* Gives up the stream and all that is queued; again is fine. */
void ws_session_end(struct ws_session *s, struct post_time now);
void ws_session_piece(struct ws_session *s, const struct ws_piece *p, struct post_time now);
/* Anything came from the client. */
void ws_session_heard(struct ws_session *s, struct post_time now);
/* About once a second. */
void ws_session_tick(struct ws_session *s, struct post_time now);
/* How much room ws_session_take() wants now; 0: nothing is to be sent. */
size_t ws_session_room(struct ws_session *s);
/* One WebSocket frame; its length. first and last say whether it begins and ends a message. */
size_t ws_session_take(struct ws_session *s, char *out, size_t cap, bool *first, bool *last);
/* The socket takes more. */
void ws_session_writable(struct ws_session *s);
void ws_session_wake(struct ws_session *s);
/* Queues an answer or an event; a full queue closes. j is taken; bytes are copied. */
void ws_session_say(struct ws_session *s, cJSON *j);
void ws_session_say_bytes(struct ws_session *s, const char *bytes, size_t len);
/* Queues a message; m is taken. */
void ws_session_deliver(struct ws_session *s, struct post_message *m, const char *before);

/* ws_messages.c and ws_events.c: a whole frame. */
void ws_messages_frame(struct ws_session *s, const cJSON *j, const char *type, struct post_time now);
void ws_events_frame(struct ws_session *s, const char *type);
void ws_messages_end(struct ws_session *s, struct post_time now);

/* ws_sends.c */
void ws_sends_frame(struct ws_session *s, const cJSON *j, struct post_time now);
/* Says one state that has changed; false: there is none. */
bool ws_sends_say_changed(struct ws_session *s);
void ws_sends_end(struct ws_session *s);

#endif
