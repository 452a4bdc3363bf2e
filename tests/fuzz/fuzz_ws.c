/* SPDX-License-Identifier: Apache-2.0 */
/* What WebSocket clients can do, as a script: one byte says what happens, to which of three clients. Frames are
 * templates with a few bytes changed, or raw; in one piece or in many. What must hold: what leaves is one JSON object
 * each, offsets rise, no more is queued than the caps say, and nothing is lost at the end. */
#include "controld/api/json.h"
#include "tests/unit/ws_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CLIENTS = 3, ACTS = 12 };

struct fuzz {
	struct ws_world *w;
	struct ws_client *clients[CLIENTS];
	double offset[CLIENTS]; /* given last */
	char *resume; /* an init that resumes a stream which was given */
};

static const char *const frames[] = {
	"{\"type\":\"init\"}",
	"{\"type\":\"init\",\"window\":1}",
	"{\"type\":\"init\",\"topic\":\"dG9w\",\"window\":1024}",
	"{\"type\":\"ack\",\"offset\":1}",
	"{\"type\":\"ack\",\"offset\":2}",
	"{\"type\":\"ping\"}",
	"{\"type\":\"send\",\"ref\":\"a\",\"dst\":{\"ip\":\"401::1\"},\"topic\":\"dG9w\",\"payload\":\"AAAA\"}",
	"{\"type\":\"send\",\"ref\":\"b\",\"dst\":{\"ip\":\"402::1\"},\"payload\":\"\",\"deadline\":1}",
	("{\"type\":\"send\",\"ref\":\"c\",\"dst\":{\"ip\":\"401::1\"},\"payload\":\"\",\"replyTo\":"
	 "\"0011223344556677\"}"),
};

static void read_one(struct fuzz *f, unsigned i)
{
	const char *text = ws_client_next(f->clients[i]);
	char error[JSON_ERROR_BYTES], buf[256];
	enum json_verdict verdict;
	const cJSON *type;
	cJSON *j;

	if (!text)
		return;
	j = json_parse(text, f->clients[i]->len, &verdict, error);
	type = json_get(j, "type");
	assert(cJSON_IsObject(j) && cJSON_IsString(type));
	if (strcmp(type->valuestring, "msg") == 0) {
		assert(json_get(j, "offset")->valuedouble > f->offset[i]);
		f->offset[i] = json_get(j, "offset")->valuedouble;
	} else if (strcmp(type->valuestring, "ack") == 0) {
		snprintf(buf, sizeof(buf),
			 "{\"type\":\"init\",\"resume\":{\"epoch\":\"%s\",\"stream\":\"%s\",\"offset\":%d}}",
			 json_get(j, "epoch")->valuestring, json_get(j, "stream")->valuestring,
			 (int)json_get(j, "offset")->valuedouble);
		free(f->resume);
		f->resume = strdup(buf);
	}
	cJSON_Delete(j);
}

static void say_pieces(struct fuzz *f, unsigned i, const char *text, size_t len, size_t step)
{
	size_t at = 0;

	step = step ? step : len + 1;
	do {
		const size_t n = len - at < step ? len - at : step;
		char *copy = malloc(n ? n : 1); /* so that reading too far is seen */
		const struct ws_piece p = {.bytes = copy, .len = n, .first = at == 0, .final = at + n == len};

		assert(copy);
		memcpy(copy, text + at, n);
		ws_session_piece(f->clients[i]->session, &p, f->w->now);
		free(copy);
		at += n;
	} while (at < len);
}

static void act_frame(struct fuzz *f, unsigned i, struct rd *r)
{
	const char *text = frames[rd_u8(r) % (sizeof(frames) / sizeof(frames[0]))];
	const size_t len = strlen(text), step = rd_u8(r);
	unsigned changes = rd_u8(r) % 4;
	char *copy = strdup(text);

	assert(copy);
	for (; changes > 0; changes--) {
		const size_t at = rd_u8(r) % len;

		copy[at] = (char)rd_u8(r);
	}
	say_pieces(f, i, copy, len, step);
	free(copy);
}

static void act_ack(struct fuzz *f, unsigned i)
{
	char text[64];

	snprintf(text, sizeof(text), "{\"type\":\"ack\",\"offset\":%.0f}", f->offset[i]);
	say_pieces(f, i, text, strlen(text), 0);
}

static void act_raw(struct fuzz *f, unsigned i, struct rd *r)
{
	const size_t want = rd_u8(r), len = want < rd_left(r) ? want : rd_left(r);
	const char *bytes = (const char *)rd_take(r, len);
	const struct ws_piece p = {
		.bytes = bytes, .len = len, .remaining = rd_be32(r), .first = len & 1, .binary = (len & 31) == 31};

	ws_session_piece(f->clients[i]->session, &p, f->w->now);
}

static void act_again(struct fuzz *f, unsigned i, struct rd *r)
{
	const uint8_t form = rd_u8(r);

	ws_client_free(f->w, f->clients[i]);
	f->offset[i] = 0;
	f->clients[i] = ws_client_new(f->w, form % 3 == 2 ? WS_KIND_EVENTS : WS_KIND_MESSAGES, i);
	if (f->resume && form % 3 == 1)
		say_pieces(f, i, f->resume, strlen(f->resume), 0);
}

static void act_event(struct fuzz *f, struct rd *r)
{
	const struct api_event_field fields[] = {
		{.name = "name", .text = "text\n\"\xc3\xa4"}, {.name = "number", .number = UINT64_MAX}, {.name = NULL}};
	const uint8_t form = rd_u8(r);

	api_event(&f->w->api, form & 3, (form >> 2) % 3, fields);
}

static void act_status(struct fuzz *f, struct rd *r)
{
	const struct message_status s = {.handle = rd_u8(r), .state = (enum message_state)(rd_u8(r) % 5)};

	api_on_status(&f->w->api, &s);
}

static void pass(struct fuzz *f, struct rd *r)
{
	ws_world_pass_ms(f->w, (int64_t)rd_u8(r) * 100);
	for (unsigned i = 0; i < CLIENTS; i++)
		ws_session_tick(f->clients[i]->session, f->w->now);
}

static void check(const struct ws_session *s)
{
	assert(s->text_bytes <= LIMIT_WS_QUEUE_BYTES);
	assert(s->in_len <= LIMIT_WS_FRAME_BYTES && s->in_cap <= 2 * LIMIT_WS_FRAME_BYTES);
	assert(s->unanswered_count + s->answered_count <= WS_SENDS);
	assert(!s->closing || s->reason || s->hang_up);
	assert(!s->reason || strlen(s->reason) <= 123);
}

static void act(struct fuzz *f, struct rd *r)
{
	const uint8_t what = rd_u8(r), kind = what % ACTS;
	const unsigned i = what / ACTS % CLIENTS;

	if (kind <= 2)
		act_frame(f, i, r);
	else if (kind == 3)
		act_raw(f, i, r);
	else if (kind == 4)
		read_one(f, i);
	else if (kind == 5)
		act_ack(f, i);
	else if (kind == 6)
		act_again(f, i, r);
	else if (kind == 7)
		act_event(f, r);
	else if (kind == 8)
		ws_world_message(f->w, what & 1 ? "top" : "", (size_t)rd_u8(r) << rd_u8(r) % 13);
	else if (kind == 9)
		pass(f, r);
	else if (kind == 10)
		act_status(f, r);
	else
		f->w->order_error = rd_u8(r) & 1 ? -ENOSPC : 0;
	if (what & 128)
		ws_world_settle(f->w);
	check(f->clients[i]->session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = {.w = ws_world_new()};
	struct rd r = rd_init(data, size);

	for (unsigned i = 0; i < CLIENTS; i++)
		f.clients[i] = ws_client_new(f.w, WS_KIND_MESSAGES, i);
	while (rd_left(&r) > 0)
		act(&f, &r);
	for (unsigned i = 0; i < CLIENTS; i++)
		ws_client_free(f.w, f.clients[i]);
	free(f.resume);
	ws_world_free(f.w);
	return 0;
}
