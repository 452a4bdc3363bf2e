/* SPDX-License-Identifier: Apache-2.0 */
/* Events, for watching: each becomes one frame to every client that listens. Who does not keep up is closed. */
#include "controld/api/ws_private.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <utlist.h>

static bool is_listener(const struct ws_session *s)
{
	return s->kind == WS_KIND_EVENTS && !s->closing;
}

bool api_has_listeners(const struct api *a)
{
	const struct ws_session *s;

	DL_FOREACH (a->sessions, s) {
		if (is_listener(s))
			return true;
	}
	return false;
}

static cJSON *event_json(enum api_event_kind kind, enum api_event_change change, const struct api_event_field *fields)
{
	static const char *const kinds[] = {[API_EVENT_PEER] = "peer",
					    [API_EVENT_ROUTE] = "route",
					    [API_EVENT_SESSION] = "session",
					    [API_EVENT_LINK] = "link"};
	static const char *const changes[] = {
		[API_EVENT_ADD] = "add", [API_EVENT_CHANGE] = "change", [API_EVENT_FLUSH] = "flush"};
	cJSON *j = cJSON_CreateObject();
	char number[24];

	assert(j);
	cJSON_AddStringToObject(j, "type", kinds[kind]);
	cJSON_AddStringToObject(j, "change", changes[change]);
	for (; fields->name; fields++) {
		snprintf(number, sizeof(number), "%" PRIu64, fields->number);
		if (fields->text)
			cJSON_AddStringToObject(j, fields->name, fields->text);
		else
			cJSON_AddRawToObject(j, fields->name, number);
	}
	return j;
}

void api_event(struct api *a, enum api_event_kind kind, enum api_event_change change,
	       const struct api_event_field *fields)
{
	struct ws_session *s;
	char *text;
	cJSON *j;

	if (!api_has_listeners(a))
		return;
	j = event_json(kind, change, fields);
	text = cJSON_PrintUnformatted(j);
	assert(text);
	DL_FOREACH (a->sessions, s) {
		if (is_listener(s))
			ws_session_say_bytes(s, text, strlen(text));
	}
	cJSON_free(text);
	cJSON_Delete(j);
}

void ws_events_frame(struct ws_session *s, const char *type)
{
	static const char pong[] = "{\"type\":\"pong\"}";

	if (strcmp(type, "ping") == 0)
		ws_session_say_bytes(s, pong, sizeof(pong) - 1);
	else
		ws_session_close(s, WS_CLOSE_FRAME, "only ping may be sent here");
}
