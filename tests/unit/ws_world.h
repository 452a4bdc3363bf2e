/* SPDX-License-Identifier: Apache-2.0 */
/* WebSocket sessions in a world without sockets: a real post whose store answers when the test lets it, a clock that is
 * set, and clients that are function calls. A message that is sent to ourselves arrives in the inbox. Knows no test
 * library: the fuzzer uses it too. */
#ifndef TESTS_UNIT_WS_WORLD_H
#define TESTS_UNIT_WS_WORLD_H

#include "controld/api/ws_private.h"
#include "shared/limits.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum ws_work_kind { WS_WORK_ORDER, WS_WORK_MESSAGE, WS_WORK_LOAD };

struct ws_work {
	enum ws_work_kind kind;
	uint64_t row;
};

struct ws_stored {
	uint8_t *payload;
	size_t len;
};

struct ws_world {
	struct api api;
	struct api *watched; /* is told of states: &api, or a real one */
	struct post_time now;
	struct ws_work *work;
	size_t work_count, work_cap;
	struct ws_stored *stored; /* by row */
	size_t stored_cap;
	int order_error; /* how storing an order ends */
	uint64_t dice;
};

/* A client; what it has read last. */
struct ws_client {
	struct ws_session *session;
	unsigned woken;
	char *text; /* zero-terminated */
	size_t len;
	unsigned fragments;
	size_t longest; /* fragment */
};

static inline void ws_work_add(struct ws_world *w, enum ws_work_kind kind, uint64_t row)
{
	if (w->work_count == w->work_cap) {
		w->work_cap = 2 * w->work_cap + 64;
		w->work = realloc(w->work, w->work_cap * sizeof(*w->work));
		assert(w->work);
	}
	w->work[w->work_count++] = (struct ws_work){.kind = kind, .row = row};
}

static inline void ws_world_send(void *ctx, const struct ip6 *src, const struct ip6 *dst, const uint8_t *bytes,
				 size_t len)
{
	(void)ctx, (void)src, (void)dst, (void)bytes, (void)len;
}

static inline bool ws_world_key(void *ctx, const struct ip6 *src, uint8_t public_key[32])
{
	(void)ctx;
	memset(public_key, src->b[1], 32);
	return true;
}

static inline void ws_world_random(void *ctx, void *out, size_t len)
{
	struct ws_world *w = ctx;

	for (size_t i = 0; i < len; i++) {
		w->dice = w->dice * 6364136223846793005 + 1442695040888963407;
		((uint8_t *)out)[i] = (uint8_t)(w->dice >> 56);
	}
}

static inline void ws_world_add_order(void *ctx, const struct record_order *o)
{
	ws_work_add(ctx, WS_WORK_ORDER, o->row);
}

static inline void ws_world_add_message(void *ctx, const struct record_message *m)
{
	struct ws_world *w = ctx;

	if (m->row >= w->stored_cap) {
		const size_t cap = 2 * (size_t)m->row + 64;

		w->stored = realloc(w->stored, cap * sizeof(*w->stored));
		assert(w->stored);
		memset(w->stored + w->stored_cap, 0, (cap - w->stored_cap) * sizeof(*w->stored));
		w->stored_cap = cap;
	}
	w->stored[m->row].len = m->len;
	if (m->len > 0) {
		w->stored[m->row].payload = malloc(m->len);
		assert(w->stored[m->row].payload);
		memcpy(w->stored[m->row].payload, m->payload, m->len);
	}
	ws_work_add(w, WS_WORK_MESSAGE, m->row);
}

static inline void ws_world_load_message(void *ctx, uint64_t row)
{
	ws_work_add(ctx, WS_WORK_LOAD, row);
}

static inline void ws_world_end_order(void *ctx, uint64_t row, uint8_t state)
{
	(void)ctx, (void)row, (void)state;
}

static inline void ws_world_del_order(void *ctx, uint64_t row)
{
	(void)ctx, (void)row;
}

static inline void ws_world_del_message(void *ctx, uint64_t row)
{
	struct ws_world *w = ctx;

	if (row >= w->stored_cap)
		return;
	free(w->stored[row].payload);
	w->stored[row] = (struct ws_stored){.len = 0};
}

static inline void ws_world_status(void *ctx, const struct message_status *s)
{
	api_on_status(((struct ws_world *)ctx)->watched, s);
}

static inline struct ws_world *ws_world_new(void)
{
	static const struct post_ops ops = {.send = ws_world_send,
					    .key = ws_world_key,
					    .random = ws_world_random,
					    .add_order = ws_world_add_order,
					    .add_message = ws_world_add_message,
					    .load_message = ws_world_load_message,
					    .end_order = ws_world_end_order,
					    .del_order = ws_world_del_order,
					    .del_message = ws_world_del_message,
					    .status = ws_world_status};
	static const uint8_t epoch[RECORD_EPOCH_BYTES] = {0xe0};
	struct ws_world *w = calloc(1, sizeof(*w));
	struct post_config config;

	assert(w);
	w->now = (struct post_time){.mono = {.us = 1000000}, .real_s = 1700000000};
	w->watched = &w->api;
	w->api.network = &network200;
	w->api.address = (struct ip6){{4, 1, [15] = 1}};
	w->api.own = prefix_make(&w->api.address, 64);
	memset(w->api.pk.b, 1, sizeof(w->api.pk.b));
	config = (struct post_config){.self = w->api.address, .own = w->api.own};
	memcpy(config.public_key, w->api.pk.b, sizeof(config.public_key));
	w->api.post = post_new(&config, &ops, w);
	post_begin(w->api.post, epoch, 0, 0);
	return w;
}

static inline void ws_world_free(struct ws_world *w)
{
	assert(!w->api.sessions);
	post_free(w->api.post);
	for (size_t i = 0; i < w->stored_cap; i++)
		free(w->stored[i].payload);
	free(w->stored);
	free(w->work);
	free(w);
}

static inline void ws_world_do(struct ws_world *w, const struct ws_work *work)
{
	const struct ws_stored *s = work->row < w->stored_cap ? &w->stored[work->row] : NULL;
	uint8_t *copy;

	if (work->kind == WS_WORK_ORDER) {
		post_order_stored(w->api.post, work->row, w->order_error, w->now);
	} else if (work->kind == WS_WORK_MESSAGE) {
		post_message_stored(w->api.post, work->row, 0, w->now);
	} else {
		copy = s && s->len > 0 ? malloc(s->len) : NULL;
		if (copy)
			memcpy(copy, s->payload, s->len);
		post_loaded(w->api.post, work->row, s ? 0 : -ENOENT, copy, s ? s->len : 0);
	}
}

/* What the daemon does after each event, and the store answers all it was asked. */
static inline void ws_world_settle(struct ws_world *w)
{
	struct ws_work *work;
	size_t count;

	(void)post_tick(w->api.post, w->now);
	while (w->work_count > 0) {
		work = w->work;
		count = w->work_count;
		w->work = NULL;
		w->work_count = w->work_cap = 0;
		for (size_t i = 0; i < count; i++)
			ws_world_do(w, &work[i]);
		free(work);
		(void)post_tick(w->api.post, w->now);
	}
}

static inline void ws_world_pass_ms(struct ws_world *w, int64_t ms)
{
	w->now.mono = mono_add_ms(w->now.mono, ms);
	w->now.real_s += ms / 1000;
}

/* A message for the inbox: len bytes that are all 'x'. */
static inline void ws_world_message(struct ws_world *w, const char *topic, size_t len)
{
	struct post_letter l = {.dst = w->api.address,
				.topic = (const uint8_t *)topic,
				.topic_len = (uint8_t)strlen(topic),
				.len = len};

	l.payload = len ? malloc(len) : NULL;
	if (l.payload)
		memset(l.payload, 'x', len);
	(void)post_send(w->api.post, &l, NULL, NULL, w->now);
	ws_world_settle(w);
}

static inline void ws_client_woken(void *ctx)
{
	((struct ws_client *)ctx)->woken++;
}

static inline struct ws_client *ws_client_new(struct ws_world *w, enum ws_kind kind, uint64_t address)
{
	struct ws_client *c = calloc(1, sizeof(*c));

	assert(c);
	c->session = ws_session_new(&w->api, kind, address, ws_client_woken, c, w->now);
	return c;
}

static inline void ws_client_free(struct ws_world *w, struct ws_client *c)
{
	ws_session_free(c->session, w->now);
	ws_world_settle(w);
	free(c->text);
	free(c);
}

/* A whole frame in one piece. */
static inline void ws_client_say_bytes(struct ws_world *w, struct ws_client *c, const char *bytes, size_t len)
{
	const struct ws_piece p = {.bytes = bytes, .len = len, .first = true, .final = true};

	ws_session_piece(c->session, &p, w->now);
	ws_world_settle(w);
}

static inline void ws_client_say(struct ws_world *w, struct ws_client *c, const char *text)
{
	ws_client_say_bytes(w, c, text, strlen(text));
}

/* Reads one WebSocket frame; false: there is none. */
static inline bool ws_client_read(struct ws_client *c, bool *last)
{
	size_t room, len;
	bool first;

	ws_session_writable(c->session);
	room = ws_session_room(c->session);
	if (room == 0)
		return false;
	c->text = realloc(c->text, c->len + room + 1);
	assert(c->text);
	len = ws_session_take(c->session, c->text + c->len, room, &first, last);
	assert(len > 0 && len <= room && first == (c->fragments == 0));
	c->len += len;
	c->fragments++;
	c->longest = len > c->longest ? len : c->longest;
	c->text[c->len] = '\0';
	return true;
}

/* Reads one message; NULL: there is none. */
static inline const char *ws_client_next(struct ws_client *c)
{
	bool last = false;

	c->len = c->longest = 0;
	c->fragments = 0;
	while (!last) {
		if (!ws_client_read(c, &last)) {
			assert(c->fragments == 0);
			return NULL;
		}
	}
	return c->text;
}

#endif
