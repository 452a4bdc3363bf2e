/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a WebSocket session: frames put together, what waits to leave, pings, and every reason to close but bad
 * frames. What a client can make us hold is bounded: one frame of LIMIT_WS_FRAME_BYTES in, LIMIT_WS_QUEUE_BYTES of
 * answers, WS_PAUSE_BYTES of messages and one message more out. */
#include "controld/api/json.h"
#include "controld/api/letter.h"
#include "controld/api/ws_private.h"
#include "shared/limits.h"
#include <assert.h>
#include <utlist.h>

struct ws_text {
	struct ws_text *prev, *next;
	size_t len;
	char bytes[];
};

struct ws_letter {
	struct ws_letter *prev, *next;
	struct letter_writer *writer;
	size_t len, taken;
};

static bool is_over_limit(const struct api *a, uint64_t client)
{
	const struct ws_session *s;
	unsigned all = 0, same = 0;

	DL_FOREACH (a->sessions, s) {
		if (s->closing)
			continue;
		all++;
		same += s->client == client;
	}
	return all >= LIMIT_WS_CLIENTS || same >= LIMIT_WS_CLIENTS_PER_ADDRESS;
}

struct ws_session *ws_session_new(struct api *a, enum ws_kind kind, uint64_t client, void (*wake)(void *ctx), void *ctx,
				  struct post_time now)
{
	struct ws_session *s = calloc(1, sizeof(*s));
	const bool over = is_over_limit(a, client);

	assert(s);
	s->api = a;
	s->kind = kind;
	s->client = client;
	s->wake = wake;
	s->ctx = ctx;
	s->opened = s->heard = s->progress_at = now.mono;
	s->ping_at = mono_add_ms(now.mono, LIMIT_WS_PING_MS);
	DL_APPEND(a->sessions, s);
	if (a->stopping)
		ws_session_close(s, WS_CLOSE_AWAY, "going away");
	else if (kind == WS_KIND_NONE)
		ws_session_close(s, WS_CLOSE_SUBPROTOCOL, "a subprotocol must be named");
	else if (over)
		ws_session_close(s, WS_CLOSE_LIMIT, "too many clients");
	a->refused += s->closing && s->code == WS_CLOSE_LIMIT;
	return s;
}

void ws_session_free(struct ws_session *s, struct post_time now)
{
	ws_session_end(s, now);
	DL_DELETE(s->api->sessions, s);
	free(s);
}

void ws_session_wake(struct ws_session *s)
{
	s->waiting = true;
	s->wake(s->ctx);
}

void ws_session_close(struct ws_session *s, enum ws_close code, const char *reason)
{
	if (s->closing)
		return;
	s->closing = true;
	s->code = code;
	s->reason = reason;
	ws_session_wake(s);
}

static void letter_del(struct ws_session *s, struct ws_letter *l)
{
	DL_DELETE(s->letters, l);
	s->letter_bytes -= l->len - l->taken;
	letter_writer_free(l->writer);
	free(l);
}

static void text_del(struct ws_session *s, struct ws_text *t)
{
	DL_DELETE(s->texts, t);
	s->text_bytes -= t->len;
	free(t);
}

static void drop_input(struct ws_session *s)
{
	free(s->in);
	s->in = NULL;
	s->in_len = s->in_cap = 0;
}

void ws_session_end(struct ws_session *s, struct post_time now)
{
	s->closing = true;
	ws_messages_end(s, now);
	while (s->letters)
		letter_del(s, s->letters);
	while (s->texts)
		text_del(s, s->texts);
	drop_input(s);
}

/* Takes j; NULL: it is no JSON. */
static void whole_frame(struct ws_session *s, cJSON *j, struct post_time now)
{
	const cJSON *type = j ? json_get(j, "type") : NULL;

	if (!j)
		ws_session_close(s, WS_CLOSE_FRAME, "a frame must be one JSON object");
	else if (!cJSON_IsString(type))
		ws_session_close(s, WS_CLOSE_FRAME, "a frame must be a JSON object with a type");
	else if (s->kind == WS_KIND_EVENTS)
		ws_events_frame(s, type->valuestring);
	else
		ws_messages_frame(s, j, type->valuestring, now);
	cJSON_Delete(j);
}

static void keep_input(struct ws_session *s, const struct ws_piece *p)
{
	const size_t want = s->in_len + p->len;

	if (want > s->in_cap) {
		s->in_cap = want + p->remaining > 2 * s->in_cap ? want + p->remaining : 2 * s->in_cap;
		s->in = realloc(s->in, s->in_cap);
		assert(s->in);
	}
	memcpy(s->in + s->in_len, p->bytes, p->len);
	s->in_len = want;
}

void ws_session_heard(struct ws_session *s, struct post_time now)
{
	s->heard = now.mono;
}

void ws_session_piece(struct ws_session *s, const struct ws_piece *p, struct post_time now)
{
	char error[JSON_ERROR_BYTES];
	enum json_verdict verdict;
	size_t room;

	ws_session_heard(s, now);
	if (s->closing)
		return;
	if (p->first)
		s->in_len = 0;
	room = LIMIT_WS_FRAME_BYTES - s->in_len;
	if (p->binary) {
		ws_session_close(s, WS_CLOSE_FRAME, "frames are text");
	} else if (p->len > room || p->remaining > room - p->len) {
		ws_session_close(s, WS_CLOSE_TOO_LARGE, "a frame has at most 1 MiB; send larger messages by HTTP");
	} else if (p->final && s->in_len == 0) {
		whole_frame(s, json_parse(p->bytes, p->len, &verdict, error), now);
	} else {
		if (p->len > 0)
			keep_input(s, p);
		if (!p->final)
			return;
		whole_frame(s, json_parse_in_place(s->in, s->in_len, &verdict, error), now);
	}
	drop_input(s);
}

void ws_session_tick(struct ws_session *s, struct post_time now)
{
	if (!s->waiting || s->progress != s->progress_seen) {
		s->progress_seen = s->progress;
		s->progress_at = now.mono;
	}
	if (s->closing)
		return;
	if (mono_since_ms(now.mono, s->heard) >= LIMIT_WS_DEAD_MS) {
		s->hang_up = true;
		ws_session_close(s, WS_CLOSE_SLOW, "no pong");
	} else if (mono_since_ms(now.mono, s->progress_at) >= LIMIT_WS_STALL_MS) {
		ws_session_close(s, WS_CLOSE_SLOW, "nothing could be sent");
	} else if (s->kind == WS_KIND_MESSAGES && !s->begun && mono_since_ms(now.mono, s->opened) >= LIMIT_WS_INIT_MS) {
		ws_session_close(s, WS_CLOSE_INIT, "no init");
	} else if (mono_is_due(s->ping_at, now.mono)) {
		s->ping_at = mono_add_ms(now.mono, LIMIT_WS_PING_MS);
		s->ping_due = true;
		ws_session_wake(s);
	}
}

void ws_session_writable(struct ws_session *s)
{
	s->waiting = false;
	s->progress++;
}

static size_t letter_room(const struct ws_letter *l)
{
	return l->len > LIMIT_WS_FRAME_BYTES ? WS_FRAGMENT_BYTES : l->len;
}

static bool is_letter_begun(const struct ws_session *s)
{
	return s->letters && s->letters->taken > 0;
}

size_t ws_session_room(struct ws_session *s)
{
	if (s->closing)
		return 0;
	if (is_letter_begun(s))
		return letter_room(s->letters);
	if (s->texts || ws_sends_say_changed(s))
		return s->texts ? s->texts->len : 0;
	return s->letters ? letter_room(s->letters) : 0;
}

static size_t take_text(struct ws_session *s, char *out, size_t cap)
{
	struct ws_text *t = s->texts;
	const size_t len = t->len;

	assert(len <= cap);
	memcpy(out, t->bytes, len);
	text_del(s, t);
	return len;
}

static size_t take_letter(struct ws_session *s, char *out, size_t cap)
{
	struct ws_letter *l = s->letters;
	const size_t len = letter_writer_next(l->writer, out, cap);

	assert(len > 0 && len <= l->len - l->taken);
	l->taken += len;
	s->letter_bytes -= len;
	return len;
}

static void resume_stream(struct ws_session *s)
{
	if (!s->paused || s->letter_bytes >= WS_PAUSE_BYTES / 2)
		return;
	s->paused = false;
	if (s->stream)
		post_stream_pause(s->api->post, s->stream, false);
}

size_t ws_session_take(struct ws_session *s, char *out, size_t cap, bool *first, bool *last)
{
	size_t len;

	assert(s->texts || s->letters);
	*first = *last = true;
	if (s->texts && !is_letter_begun(s))
		return take_text(s, out, cap);
	*first = !is_letter_begun(s);
	len = take_letter(s, out, cap);
	*last = s->letters->taken == s->letters->len;
	if (*last)
		letter_del(s, s->letters);
	resume_stream(s);
	return len;
}

void ws_session_say_bytes(struct ws_session *s, const char *bytes, size_t len)
{
	struct ws_text *t;

	if (s->closing)
		return;
	if (len > LIMIT_WS_QUEUE_BYTES - s->text_bytes) {
		ws_session_close(s, WS_CLOSE_SLOW, "too much waits to be read");
		return;
	}
	t = malloc(sizeof(*t) + len);
	assert(t);
	t->len = len;
	memcpy(t->bytes, bytes, len);
	DL_APPEND(s->texts, t);
	s->text_bytes += len;
	ws_session_wake(s);
}

void ws_session_say(struct ws_session *s, cJSON *j)
{
	char *text = cJSON_PrintUnformatted(j);

	assert(text);
	ws_session_say_bytes(s, text, strlen(text));
	cJSON_free(text);
	cJSON_Delete(j);
}

void ws_session_deliver(struct ws_session *s, struct post_message *m, const char *before)
{
	struct ws_letter *l = calloc(1, sizeof(*l));

	assert(l);
	l->writer = letter_writer_new(m, s->api->pk.b, before);
	l->len = letter_writer_length(l->writer);
	DL_APPEND(s->letters, l);
	s->letter_bytes += l->len;
	if (!s->paused && s->letter_bytes >= WS_PAUSE_BYTES) {
		s->paused = true;
		post_stream_pause(s->api->post, s->stream, true);
	}
	ws_session_wake(s);
}

void ws_close_all(struct api *a)
{
	struct ws_session *s;

	DL_FOREACH (a->sessions, s)
		ws_session_close(s, WS_CLOSE_AWAY, "going away");
}
