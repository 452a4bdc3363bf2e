/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that WebSocket clients send, and what becomes of them. Each send frame is answered once, `sent` or `error`.
 * Then each change of state is told until the order has ended; changes that come faster than the client reads become
 * one. */
#include "controld/api/json.h"
#include "controld/api/letter.h"
#include "controld/api/ws_private.h"
#include <assert.h>
#include <errno.h>
#include <utlist.h>

static void unmark(struct ws_session *s, struct ws_send *w)
{
	if (w->changed)
		DL_DELETE2(s->changed, w, changed_prev, changed_next);
	w->changed = false;
}

static void mark(struct ws_session *s, struct ws_send *w)
{
	if (w->changed)
		return;
	w->changed = true;
	DL_APPEND2(s->changed, w, changed_prev, changed_next);
	ws_session_wake(s);
}

static void answered_del(struct ws_session *s, struct ws_send *w)
{
	struct ws_send *known;

	unmark(s, w);
	HASH_FIND(hh, s->by_handle, &w->handle, sizeof(w->handle), known);
	if (known == w)
		HASH_DEL(s->by_handle, w);
	DL_DELETE(s->answered, w);
	s->answered_count--;
	free(w);
}

static void unanswered_del(struct ws_session *s, struct ws_send *w)
{
	DL_DELETE(s->unanswered, w);
	s->unanswered_count--;
	free(w->ref);
	w->ref = NULL;
	w->ticket = 0;
}

static cJSON *answer_new(const char *type, const char *ref)
{
	cJSON *j = cJSON_CreateObject();

	assert(j);
	cJSON_AddStringToObject(j, "type", type);
	cJSON_AddStringToObject(j, "ref", ref);
	return j;
}

static void say_error(struct ws_session *s, const char *ref, const char *text)
{
	cJSON *j = answer_new("error", ref);

	cJSON_AddStringToObject(j, "text", text);
	ws_session_say(s, j);
}

static const char *error_text(int error)
{
	switch (error) {
	case -ENOSPC:
		return "the disk is full";
	case -EAGAIN:
		return "too many messages are on their way";
	default:
		return "the message could not be stored";
	}
}

/* From now on its state is told. The order has come far already, perhaps. */
static void watch(struct ws_session *s, struct ws_send *w)
{
	struct message_status status;
	struct ws_send *known;

	if (!post_status(s->api->post, w->id, &status)) {
		free(w);
		return;
	}
	w->handle = status.handle;
	HASH_FIND(hh, s->by_handle, &w->handle, sizeof(w->handle), known);
	if (!known)
		HASH_ADD(hh, s->by_handle, handle, sizeof(w->handle), w);
	DL_APPEND(s->answered, w);
	s->answered_count++;
	w->state = (uint8_t)status.state;
	w->state_told = MESSAGE_PENDING;
	if (w->state != w->state_told)
		mark(s, w);
}

static void on_sent(void *ctx, int error, const uint8_t id[RECORD_ID_BYTES])
{
	struct ws_send *w = ctx;
	struct ws_session *s = w->session;
	char text[LETTER_ID_TEXT_BYTES];
	cJSON *j;

	if (error) {
		say_error(s, w->ref, error_text(error));
		unanswered_del(s, w);
		free(w);
		return;
	}
	j = answer_new("sent", w->ref);
	letter_id_print(id, text);
	cJSON_AddStringToObject(j, "id", text);
	ws_session_say(s, j);
	memcpy(w->id, id, sizeof(w->id));
	unanswered_del(s, w);
	watch(s, w);
}

/* NULL, or what is wrong with it. */
static const char *read_letter(struct ws_session *s, const cJSON *j, struct post_letter *l,
			       char error[LETTER_ERROR_BYTES])
{
	const struct network *n = s->api->network;
	const cJSON *reply_to = json_get(j, "replyTo");
	uint8_t id[RECORD_ID_BYTES];
	int status;

	if (!json_has(j, "replyTo"))
		status = letter_read(j, n, l, error);
	else if (cJSON_IsString(reply_to) && letter_id_read(reply_to->valuestring, id))
		status = letter_read_reply(j, n, id, l, error);
	else
		return "replyTo is not an id of 16 hex digits";
	if (status == 0)
		return NULL;
	return error[0] ? error : "topic is longer than 255 bytes";
}

static void send_letter(struct ws_session *s, const char *ref, struct post_letter *l, struct post_time now)
{
	struct ws_send *w = calloc(1, sizeof(*w));

	assert(w);
	w->session = s;
	w->ref = strdup(ref);
	assert(w->ref);
	DL_APPEND(s->unanswered, w);
	s->unanswered_count++;
	if (s->unanswered_count + s->answered_count > WS_SENDS)
		answered_del(s, s->answered);
	w->ticket = post_send(s->api->post, l, on_sent, w, now);
	l->payload = NULL;
	letter_fini(l);
}

void ws_sends_frame(struct ws_session *s, const cJSON *j, struct post_time now)
{
	const cJSON *ref = json_get(j, "ref");
	struct post_letter l = {.len = 0};
	char error[LETTER_ERROR_BYTES];
	const char *trouble;

	if (!cJSON_IsString(ref) || ref->valuestring[0] == '\0' || strlen(ref->valuestring) > WS_REF_BYTES) {
		ws_session_close(s, WS_CLOSE_FRAME, "ref must be a string of 1 to 128 bytes");
		return;
	}
	if (s->unanswered_count >= WS_SENDS) {
		say_error(s, ref->valuestring, error_text(-EAGAIN));
		return;
	}
	trouble = read_letter(s, j, &l, error);
	if (trouble)
		say_error(s, ref->valuestring, trouble);
	else
		send_letter(s, ref->valuestring, &l, now);
}

bool ws_sends_say_changed(struct ws_session *s)
{
	static const char *const names[] = {[MESSAGE_PENDING] = "pending",
					    [MESSAGE_SENDING] = "sending",
					    [MESSAGE_RECEIVED] = "received",
					    [MESSAGE_READ] = "read",
					    [MESSAGE_ABORTED] = "aborted"};
	struct ws_send *w = s->changed;
	char id[LETTER_ID_TEXT_BYTES];
	cJSON *j;

	if (!w)
		return false;
	j = cJSON_CreateObject();
	assert(j);
	letter_id_print(w->id, id);
	cJSON_AddStringToObject(j, "type", "status");
	cJSON_AddStringToObject(j, "id", id);
	cJSON_AddStringToObject(j, "state", names[w->state]);
	w->state_told = w->state;
	if (w->state >= MESSAGE_READ)
		answered_del(s, w);
	else
		unmark(s, w);
	ws_session_say(s, j);
	return true;
}

void api_on_status(struct api *a, const struct message_status *status)
{
	struct ws_session *s;
	struct ws_send *w;

	DL_FOREACH (a->sessions, s) {
		HASH_FIND(hh, s->by_handle, &status->handle, sizeof(status->handle), w);
		if (!w)
			continue;
		w->state = (uint8_t)status->state;
		if (w->state != w->state_told)
			mark(s, w);
	}
}

void ws_sends_end(struct ws_session *s)
{
	struct ws_send *w;

	while ((w = s->unanswered)) {
		post_send_forget(s->api->post, w->ticket);
		unanswered_del(s, w);
		free(w);
	}
	while (s->answered)
		answered_del(s, s->answered);
}
