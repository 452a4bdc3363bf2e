/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what a client wants sent, and prints what became of it. Refusals name the member and never repeat its value. */
#include "controld/api/letter.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "controld/api/base64.h"
#include "controld/api/json.h"
#include "controld/api/pages.h"
#include "shared/limits.h"

enum { BAD = 400, SHAPE = 422 };

/* The status, for the caller to return. */
__attribute__((format(printf, 3, 4))) static int refuse(char error[LETTER_ERROR_BYTES], int status, const char *format,
							...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, LETTER_ERROR_BYTES, format, args);
	va_end(args);
	return status;
}

bool letter_base64(const char *text, uint8_t **out, size_t *len)
{
	const size_t text_len = strlen(text);
	uint8_t *bytes;

	*out = NULL;
	*len = 0;
	if (text_len == 0)
		return true;
	bytes = malloc(text_len / 4 * 3 + 1);
	if (bytes)
		pages_want(bytes, text_len / 4 * 3);
	if (!bytes || !base64_decode(text, text_len, bytes, len)) {
		*len = 0;
		free(bytes);
		return false;
	}
	*out = bytes;
	return true;
}

/* Hex digits in either case, exactly as many as fill out. */
static bool read_hex(const char *text, uint8_t *out, size_t len)
{
	size_t got = 0;

	return strlen(text) == 2 * len && sodium_hex2bin(out, len, text, 2 * len, NULL, &got, NULL) == 0 && got == len;
}

bool letter_id_read(const char *text, uint8_t id[RECORD_ID_BYTES])
{
	return read_hex(text, id, RECORD_ID_BYTES);
}

void letter_id_print(const uint8_t id[RECORD_ID_BYTES], char out[LETTER_ID_TEXT_BYTES])
{
	sodium_bin2hex(out, LETTER_ID_TEXT_BYTES, id, RECORD_ID_BYTES);
}

/* IPv4 becomes a mapped address: taken, and never reached. */
static bool read_ip(const char *text, struct ip6 *out)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (inet_pton(AF_INET, text, out->b + sizeof(mapped)) != 1)
		return ip6_parse(text, out) == 0;
	memcpy(out->b, mapped, sizeof(mapped));
	return true;
}

static int read_dst(const cJSON *dst, const struct network *n, struct ip6 *out, char error[LETTER_ERROR_BYTES])
{
	const cJSON *only = dst ? dst->child : NULL;
	struct pubkey pk;
	bool is_pk;

	if (!dst)
		return refuse(error, SHAPE, "dst is missing");
	if (cJSON_IsNull(dst))
		return refuse(error, BAD, "dst is null");
	if (!cJSON_IsObject(dst))
		return refuse(error, SHAPE, "dst is not an object");
	if (!only || only->next)
		return refuse(error, BAD, "dst does not have exactly one member");
	is_pk = strcmp(only->string, "pk") == 0;
	if (!is_pk && strcmp(only->string, "ip") != 0)
		return refuse(error, SHAPE, "dst has a member other than pk and ip");
	if (!cJSON_IsString(only))
		return refuse(error, SHAPE, "dst.%s is not a string", is_pk ? "pk" : "ip");
	if (!is_pk)
		return read_ip(only->valuestring, out) ? 0 : refuse(error, SHAPE, "dst.ip is not an address");
	if (!read_hex(only->valuestring, pk.b, sizeof(pk.b)))
		return refuse(error, SHAPE, "dst.pk is not a key of 64 hex digits");
	n->address(&pk, out);
	return 0;
}

/* A member in base64. */
static int read_bytes(const cJSON *j, const char *name, uint8_t **out, size_t *len, char error[LETTER_ERROR_BYTES])
{
	if (!j)
		return refuse(error, SHAPE, "%s is missing", name);
	if (!cJSON_IsString(j))
		return refuse(error, SHAPE, "%s is not a string", name);
	if (!letter_base64(j->valuestring, out, len))
		return refuse(error, SHAPE, "%s is not base64 with padding", name);
	return 0;
}

static int read_deadline(const cJSON *j, uint32_t *out, char error[LETTER_ERROR_BYTES])
{
	if (!j)
		return 0;
	if (!cJSON_IsNumber(j) || !(j->valuedouble >= 1 && j->valuedouble <= LIMIT_MESSAGE_DEADLINE_S) ||
	    floor(j->valuedouble) != j->valuedouble)
		return refuse(error, SHAPE, "deadline is not a number of seconds from 1 to %d",
			      LIMIT_MESSAGE_DEADLINE_S);
	*out = (uint32_t)j->valuedouble;
	return 0;
}

/* What has to be judged before the topic's length, which only counts where all else is right. */
static int read_members(const cJSON *j, const struct network *n, struct post_letter *out, size_t *topic_len,
			char error[LETTER_ERROR_BYTES])
{
	const cJSON *topic = json_get(j, "topic");
	uint8_t *bytes = NULL;
	int status;

	if (!cJSON_IsObject(j))
		return refuse(error, SHAPE, "an object is expected");
	status = read_dst(json_get(j, "dst"), n, &out->dst, error);
	if (!status && topic && !cJSON_IsNull(topic))
		status = read_bytes(topic, "topic", &bytes, topic_len, error);
	out->topic = bytes;
	if (!status)
		status = read_bytes(json_get(j, "payload"), "payload", &out->payload, &out->len, error);
	if (!status)
		status = read_deadline(json_get(j, "deadline"), &out->deadline_s, error);
	return status;
}

int letter_read(const cJSON *j, const struct network *n, struct post_letter *out, char error[LETTER_ERROR_BYTES])
{
	size_t topic_len = 0;
	int status;

	*out = (struct post_letter){0};
	error[0] = '\0';
	status = read_members(j, n, out, &topic_len, error);
	if (!status && topic_len > UINT8_MAX)
		status = BAD;
	if (status)
		letter_fini(out);
	else
		out->topic_len = (uint8_t)topic_len;
	return status;
}

static void drop_topic(struct post_letter *l)
{
	free((void *)(uintptr_t)l->topic); /* ours: const only for the post */
	l->topic = NULL;
	l->topic_len = 0;
}

int letter_read_reply(const cJSON *j, const struct network *n, const uint8_t id[RECORD_ID_BYTES],
		      struct post_letter *out, char error[LETTER_ERROR_BYTES])
{
	size_t topic_len = 0;
	int status;

	*out = (struct post_letter){.reply = true};
	error[0] = '\0';
	memcpy(out->id, id, RECORD_ID_BYTES);
	status = read_members(j, n, out, &topic_len, error);
	if (status)
		letter_fini(out);
	else
		drop_topic(out);
	return status;
}

void letter_fini(struct post_letter *l)
{
	drop_topic(l);
	free(l->payload);
	*l = (struct post_letter){0};
}

/* As text: cJSON's numbers are doubles. */
static void add_number(cJSON *j, const char *name, int64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, number);
	if (!cJSON_AddRawToObject(j, name, text))
		abort();
}

cJSON *letter_state(const struct message_status *s)
{
	static const char *const names[] = {
		[MESSAGE_PENDING] = "pending",
		[MESSAGE_RECEIVED] = "received",
		[MESSAGE_READ] = "read",
		[MESSAGE_ABORTED] = "aborted",
	};
	cJSON *state, *sending;

	if (s->state != MESSAGE_SENDING) {
		state = cJSON_CreateString(names[s->state]);
		if (!state)
			abort();
		return state;
	}
	state = cJSON_CreateObject();
	sending = cJSON_AddObjectToObject(state, "sending");
	if (!sending)
		abort();
	add_number(sending, "pending", s->pending);
	add_number(sending, "sent", s->sent);
	add_number(sending, "acked", s->acked);
	return state;
}

cJSON *letter_status(const struct message_status *s)
{
	char ip[IP6_TEXT_BYTES];
	cJSON *j = cJSON_CreateObject();

	if (!cJSON_AddStringToObject(j, "dst", ip6_print(&s->dst, ip)) ||
	    !cJSON_AddItemToObject(j, "state", letter_state(s)))
		abort();
	add_number(j, "created", s->created_s);
	add_number(j, "deadline", s->deadline_s);
	assert(s->len <= INT64_MAX);
	add_number(j, "msgLen", (int64_t)s->len);
	return j;
}
