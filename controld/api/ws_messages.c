/* SPDX-License-Identifier: Apache-2.0 */
/* The message stream: one init, then messages with rising offsets, acknowledged cumulatively. A message leaves the
 * inbox when the client acknowledges it, not when it was written. */
#include "controld/api/json.h"
#include "controld/api/letter.h"
#include "controld/api/ws_private.h"
#include "shared/limits.h"
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

#define OFFSET_MAX 9007199254740991.0 /* 2^53 - 1: larger ones are not exact in every client */

static void bad_frame(struct ws_session *s, const char *reason)
{
	ws_session_close(s, WS_CLOSE_FRAME, reason);
}

static bool read_integer(const cJSON *j, double max, uint64_t *out)
{
	if (!cJSON_IsNumber(j) || !(j->valuedouble >= 0 && j->valuedouble <= max))
		return false;
	*out = (uint64_t)j->valuedouble;
	return (double)*out == j->valuedouble;
}

static bool read_hex(const cJSON *j, uint8_t *out, size_t len)
{
	size_t got;

	return cJSON_IsString(j) && strlen(j->valuestring) == 2 * len &&
	       sodium_hex2bin(out, len, j->valuestring, 2 * len, NULL, &got, NULL) == 0 && got == len;
}

static bool read_topic(const cJSON *j, struct post_filter *out)
{
	uint8_t *topic = NULL;
	size_t len = 0;
	bool ok;

	if (!json_has(j, "topic"))
		return true;
	j = json_get(j, "topic");
	ok = cJSON_IsString(j) && letter_base64(j->valuestring, &topic, &len) && len <= sizeof(out->topic);
	if (ok) {
		out->by_topic = true;
		out->topic_len = (uint8_t)len;
		if (len > 0)
			memcpy(out->topic, topic, len);
	}
	free(topic);
	return ok;
}

static bool read_window(const cJSON *j, uint32_t *out)
{
	uint64_t window = 64;

	if (json_has(j, "window") && !read_integer(json_get(j, "window"), LIMIT_STREAM_WINDOW, &window))
		return false;
	*out = (uint32_t)window;
	return window > 0;
}

static bool read_resume(const cJSON *j, struct post_stream_open *o)
{
	if (!json_has(j, "resume"))
		return true;
	j = json_get(j, "resume");
	o->resume = true;
	return cJSON_IsObject(j) && read_hex(json_get(j, "epoch"), o->id.epoch, sizeof(o->id.epoch)) &&
	       read_hex(json_get(j, "stream"), o->id.stream, sizeof(o->id.stream)) &&
	       read_integer(json_get(j, "offset"), OFFSET_MAX, &o->offset);
}

static void on_message(void *ctx, uint64_t offset, struct post_message *m)
{
	struct ws_session *s = ctx;
	char before[64];

	if (s->closing) {
		post_message_fini(m); /* the post keeps it for who resumes */
		return;
	}
	snprintf(before, sizeof(before), "\"type\":\"msg\",\"offset\":%" PRIu64 ",", offset);
	ws_session_deliver(s, m, before);
}

static void on_taken_over(void *ctx)
{
	struct ws_session *s = ctx;

	s->stream = NULL;
	ws_session_close(s, WS_CLOSE_TAKEN_OVER, "resumed elsewhere");
}

static void say_opened(struct ws_session *s, const struct post_stream_opened *o)
{
	char epoch[2 * sizeof(o->id.epoch) + 1], stream[2 * sizeof(o->id.stream) + 1], offset[24];
	cJSON *j = cJSON_CreateObject();

	sodium_bin2hex(epoch, sizeof(epoch), o->id.epoch, sizeof(o->id.epoch));
	sodium_bin2hex(stream, sizeof(stream), o->id.stream, sizeof(o->id.stream));
	snprintf(offset, sizeof(offset), "%" PRIu64, o->offset);
	cJSON_AddStringToObject(j, "type", "ack");
	cJSON_AddStringToObject(j, "epoch", epoch);
	cJSON_AddStringToObject(j, "stream", stream);
	cJSON_AddRawToObject(j, "offset", offset);
	cJSON_AddBoolToObject(j, "recovered", o->recovered);
	ws_session_say(s, j);
}

static void on_init(struct ws_session *s, const cJSON *j, struct post_time now)
{
	struct post_stream_open o = {.message = on_message, .taken_over = on_taken_over, .ctx = s};
	struct post_stream_opened opened;

	if (s->begun)
		bad_frame(s, "init comes once");
	else if (!read_topic(j, &o.filter))
		bad_frame(s, "topic must be base64 of at most 255 bytes");
	else if (!read_window(j, &o.window))
		bad_frame(s, "window must be 1 to 1024");
	else if (!read_resume(j, &o))
		bad_frame(s, "resume must be {epoch, stream, offset} as they were given");
	if (s->closing)
		return;
	s->begun = true;
	s->stream = post_stream_open(s->api->post, &o, &opened, now);
	if (s->stream)
		say_opened(s, &opened);
	else
		ws_session_close(s, WS_CLOSE_LIMIT, "too many streams");
}

static void on_ack(struct ws_session *s, const cJSON *j, struct post_time now)
{
	uint64_t offset;

	if (!read_integer(json_get(j, "offset"), OFFSET_MAX, &offset))
		bad_frame(s, "ack wants an offset");
	else if (!post_stream_ack(s->api->post, s->stream, offset, now))
		bad_frame(s, "this offset was never given");
}

static void on_ping(struct ws_session *s, const cJSON *j, struct post_time now)
{
	(void)j;
	(void)now;
	ws_session_say_bytes(s, "{\"type\":\"pong\"}", strlen("{\"type\":\"pong\"}"));
}

void ws_messages_frame(struct ws_session *s, const cJSON *j, const char *type, struct post_time now)
{
	static const struct {
		const char *type;
		void (*fn)(struct ws_session *s, const cJSON *j, struct post_time now);
	} types[] = {{"init", on_init}, {"ack", on_ack}, {"send", ws_sends_frame}, {"ping", on_ping}};

	if (!s->begun && strcmp(type, "init") != 0) {
		bad_frame(s, "the first frame must be init");
		return;
	}
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(type, types[i].type) == 0) {
			types[i].fn(s, j, now);
			return;
		}
	}
	bad_frame(s, "no such type of frame");
}

void ws_messages_end(struct ws_session *s, struct post_time now)
{
	if (s->stream)
		post_stream_close(s->api->post, s->stream, now);
	s->stream = NULL;
	ws_sends_end(s);
}
