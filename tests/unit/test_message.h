/* SPDX-License-Identifier: Apache-2.0 */
/* One message core in a world of its own: a clock that is set, and everything it says recorded. For the test_message
 * programs. */
#ifndef TESTS_UNIT_TEST_MESSAGE_H
#define TESTS_UNIT_TEST_MESSAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "controld/message/message.h"
#include "shared/limits.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { NOW_S = 1700000000, EVENTS = 16, SENT_MAX = 20000 };

struct sent {
	struct ip6 src, dst;
	struct frame frame; /* borrows from bytes */
	uint8_t bytes[FRAME_MAX_BYTES];
	size_t len;
	struct mono at;
};

struct world {
	struct message_core *m;
	struct mono now;
	struct sent *sent;
	size_t sent_count;
	struct message_status status[EVENTS]; /* told, newest at status_count - 1, modulo */
	size_t status_count;
	struct message_in in; /* received last; its payload is a copy */
	uint8_t topic[FRAME_TOPIC_MAX_BYTES], *payload;
	size_t in_count;
	bool no_key;
	unsigned dice;
};

/* Host of node n; its /64 is 400+n. */
static inline struct ip6 node_ip(uint8_t n, uint8_t host)
{
	return (struct ip6){{4, n, [15] = host}};
}

static inline void world_send(void *ctx, const struct ip6 *src, const struct ip6 *dst, const uint8_t *bytes, size_t len)
{
	struct world *w = ctx;
	struct sent *s;

	assert_true(w->sent_count < SENT_MAX);
	s = &w->sent[w->sent_count++];
	*s = (struct sent){.src = *src, .dst = *dst, .len = len, .at = w->now};
	memcpy(s->bytes, bytes, len);
	assert_int_equal(frame_read(s->bytes, len, &s->frame), FRAME_OK);
}

static inline bool world_key(void *ctx, const struct ip6 *src, uint8_t public_key[32])
{
	const struct world *w = ctx;

	memset(public_key, src->b[1], 32);
	return !w->no_key;
}

static inline void world_received(void *ctx, const struct message_in *in)
{
	struct world *w = ctx;

	free(w->payload);
	w->payload = malloc(in->len + 1);
	assert_non_null(w->payload);
	if (in->len)
		memcpy(w->payload, in->payload, in->len);
	if (in->topic_len)
		memcpy(w->topic, in->topic, in->topic_len);
	w->in = *in;
	w->in.payload = w->payload;
	w->in.topic = w->topic;
	w->in_count++;
}

static inline void world_status(void *ctx, const struct message_status *s)
{
	struct world *w = ctx;

	w->status[w->status_count++ % EVENTS] = *s;
}

static inline void world_random(void *ctx, void *out, size_t len)
{
	struct world *w = ctx;

	w->dice++;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)out)[i] = (uint8_t)(w->dice >> 8 * (i % 2));
}

static inline struct world *world_new(size_t max_length)
{
	static const struct message_ops ops = {.send = world_send,
					       .key = world_key,
					       .received = world_received,
					       .status = world_status,
					       .random = world_random};
	struct message_config config = {.self = node_ip(1, 1), .max_length = max_length};
	const struct ip6 base = node_ip(1, 0);
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->sent = malloc(SENT_MAX * sizeof(*w->sent)); /* pages that are not used are not there */
	assert_non_null(w->sent);
	config.own = prefix_make(&base, 64);
	w->now.us = 1000000;
	w->m = message_new(&config, &ops, w);
	return w;
}

static inline void world_free(struct world *w)
{
	message_free(w->m);
	free(w->sent);
	free(w->payload);
	free(w);
}

/* Lets time pass, doing what is due at its very moment. */
static inline void pass_ms(struct world *w, int64_t ms)
{
	const struct mono end = mono_add_ms(w->now, ms);
	struct mono next = message_tick(w->m, w->now);

	while (mono_is_due(next, end)) {
		assert_true(next.us > w->now.us);
		w->now = next;
		next = message_tick(w->m, w->now);
	}
	w->now = end;
	(void)message_tick(w->m, w->now);
}

/* Byte i of every payload. */
static inline uint8_t *make_payload(size_t len)
{
	uint8_t *p = malloc(len ? len : 1);

	assert_non_null(p);
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i % 251);
	return p;
}

static inline void order(struct world *w, struct message_order *o, int err)
{
	o->payload = make_payload(o->len);
	assert_int_equal(message_send(w->m, o, w->now, NOW_S, o->id), err);
	if (err)
		free(o->payload);
	(void)message_tick(w->m, w->now);
}

/* An order of len bytes to node 2 host 1. */
static inline struct message_order send_len(struct world *w, uint64_t handle, size_t len)
{
	struct message_order o = {.handle = handle, .dst = node_ip(2, 1), .len = len};

	order(w, &o, 0);
	return o;
}

static inline void give(struct world *w, const struct ip6 *src, const struct frame *f)
{
	const struct ip6 self = node_ip(1, 1);
	uint8_t bytes[FRAME_MAX_BYTES];
	struct wr wr = wr_init(bytes, sizeof(bytes));

	frame_write(&wr, f);
	assert_false(wr.bad);
	message_packet(w->m, src, &self, bytes, wr_len(&wr), w->now);
	(void)message_tick(w->m, w->now);
}

/* The packet that acknowledges what was sent as number i. */
static inline void ack(struct world *w, size_t i)
{
	const struct ip6 src = w->sent[i].dst;
	struct frame f = w->sent[i].frame;

	assert_true(i < w->sent_count);
	f.type = (enum frame_type)(f.type | FRAME_FLAG_ACK);
	give(w, &src, &f);
}

static inline size_t sent_of(const struct world *w, enum frame_type type)
{
	size_t count = 0;

	for (size_t i = 0; i < w->sent_count; i++)
		count += w->sent[i].frame.type == type;
	return count;
}

static inline enum message_state state_of(const struct world *w, uint64_t handle)
{
	struct message_status s;

	assert_true(message_find(w->m, handle, &s));
	return s.state;
}

static inline const struct message_status *last_status(const struct world *w)
{
	assert_true(w->status_count > 0);
	return &w->status[(w->status_count - 1) % EVENTS];
}

/* Acknowledges everything sent, from number i on, as it comes, until nothing new is sent. */
static inline void ack_all(struct world *w, size_t i)
{
	for (; i < w->sent_count; i++)
		if (!(w->sent[i].frame.type & FRAME_FLAG_ACK))
			ack(w, i);
}

/* Frames from node n as a sender. */
static inline struct frame init_frame(uint8_t id, uint64_t len, bool reply, const char *topic)
{
	struct frame f = {.type = FRAME_INIT, .reply = reply};

	memset(f.id, id, sizeof(f.id));
	f.init.length = len;
	f.init.topic = (const uint8_t *)topic;
	f.init.topic_len = (uint8_t)strlen(topic);
	return f;
}

static inline struct frame chunk_frame(uint8_t id, uint64_t index, uint64_t offset, const uint8_t *data, size_t len)
{
	struct frame f = {.type = FRAME_CHUNK};

	memset(f.id, id, sizeof(f.id));
	f.chunk.index = index;
	f.chunk.offset = offset;
	f.chunk.size = len;
	f.chunk.data = data;
	f.chunk.data_len = len;
	return f;
}

static inline struct frame done_frame(uint8_t id, uint64_t count, const uint8_t *payload, size_t len)
{
	struct frame f = {.type = FRAME_DONE};

	memset(f.id, id, sizeof(f.id));
	f.done.count = count;
	blake3_hash(payload, len, f.done.checksum);
	return f;
}

/* What was sent last has that type. */
static inline bool last_is(const struct world *w, enum frame_type type)
{
	return w->sent_count > 0 && w->sent[w->sent_count - 1].frame.type == type;
}

/* Gives it; was it answered, and with the very ACK? */
static inline bool is_acked(struct world *w, uint8_t node, const struct frame *f)
{
	const struct ip6 src = node_ip(node, 1);
	const size_t before = w->sent_count;
	const struct sent *s;

	give(w, &src, f);
	if (w->sent_count == before)
		return false;
	assert_int_equal(w->sent_count, before + 1);
	s = &w->sent[before];
	assert_int_equal(s->frame.type, f->type | FRAME_FLAG_ACK);
	assert_int_equal(s->frame.reply, f->reply);
	assert_memory_equal(s->frame.id, f->id, sizeof(f->id));
	assert_true(ip6_eq(&s->dst, &src));
	return true;
}

#endif
