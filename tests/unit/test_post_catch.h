/* SPDX-License-Identifier: Apache-2.0 */
/* Consumers that record what they get, and messages for them: of an office to itself, which need no network. Byte i of
 * a payload is its length plus i. */
#ifndef TESTS_UNIT_TEST_POST_CATCH_H
#define TESTS_UNIT_TEST_POST_CATCH_H

#include "tests/unit/test_post.h"

enum { CATCH = 4096 };

struct catch
{
	struct office *o;
	unsigned count, nulls, taken_over;
	uint64_t rows[CATCH], offsets[CATCH];
	size_t lens[CATCH];
	struct post_message last; /* without its payload */
};

static inline void catch_message(struct catch *c, struct post_message *m)
{
	assert_true(c->count < CATCH);
	c->rows[c->count] = m->row;
	c->lens[c->count++] = m->len;
	for (size_t i = 0; i < m->len; i++)
		assert_int_equal(m->payload[i], (uint8_t)(m->len + i));
	assert_true(m->len > 0 || !m->payload);
	assert_int_equal(m->public_key[31], m->src.b[1]);
	post_message_fini(m);
	c->last = *m;
}

static inline void catch_take(void *ctx, struct post_message *m)
{
	struct catch *c = ctx;

	if (m)
		catch_message(c, m);
	else
		c->nulls++;
}

static inline void catch_stream(void *ctx, uint64_t offset, struct post_message *m)
{
	struct catch *c = ctx;

	c->offsets[c->count] = offset;
	catch_message(c, m);
}

static inline void catch_taken_over(void *ctx)
{
	((struct catch *)ctx)->taken_over++;
}

static inline struct post_filter filter_of(const char *topic)
{
	struct post_filter f = {.by_topic = topic != NULL};

	if (topic) {
		f.topic_len = (uint8_t)strlen(topic);
		memcpy(f.topic, topic, f.topic_len);
	}
	return f;
}

/* topic NULL: any. wait_ms 0: only what is there. */
static inline struct post_taker *take(struct catch *c, const char *topic, bool peek, int64_t wait_ms)
{
	const struct post_take t = {.filter = filter_of(topic),
				    .peek = peek,
				    .until = wait_ms ? mono_add_ms(c->o->w->now, wait_ms) : (struct mono){0},
				    .fn = catch_take,
				    .ctx = c};

	return post_take(c->o->post, &t);
}

static inline struct post_taker *take_reply(struct catch *c, const uint8_t *id, const struct ip6 *from, bool peek)
{
	const struct post_take t = {
		.peek = peek, .until = mono_add_ms(c->o->w->now, 60 * 1000), .fn = catch_take, .ctx = c};

	return post_take_reply(c->o->post, id, from, &t);
}

static inline struct post_stream *stream_resume(struct catch *c, uint32_t window, const struct post_stream_id *id,
						uint64_t offset, struct post_stream_opened *out)
{
	struct post_stream_opened ignored;
	struct post_stream_open open = {.window = window,
					.resume = id != NULL,
					.offset = offset,
					.message = catch_stream,
					.taken_over = catch_taken_over,
					.ctx = c};

	if (id)
		open.id = *id;
	return post_stream_open(c->o->post, &open, out ? out : &ignored, now_of(c->o->w));
}

static inline struct post_stream *stream_open(struct catch *c, uint32_t window, struct post_stream_opened *out)
{
	return stream_resume(c, window, NULL, 0, out);
}

static inline uint8_t *payload_of(size_t len)
{
	uint8_t *p = len ? malloc(len) : NULL;

	assert_true(p || !len);
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(len + i);
	return p;
}

static inline uint64_t send_to(struct office *o, const struct ip6 *dst, const char *topic, size_t len, post_sent *fn,
			       void *ctx)
{
	const struct post_letter l = {.dst = *dst,
				      .topic = (const uint8_t *)topic,
				      .topic_len = (uint8_t)strlen(topic),
				      .payload = payload_of(len),
				      .len = len};

	return post_send(o->post, &l, fn, ctx, now_of(o->w));
}

/* A message for that inbox; returns its row. */
static inline uint64_t inject(struct office *o, const char *topic, size_t len)
{
	const uint64_t before = o->last_message;

	(void)send_to(o, &o->config.self, topic, len, NULL, NULL);
	for (int i = 0; i < 10 && o->last_message == before; i++)
		run_ms(o->w, 1);
	assert_int_equal(o->last_message, before + 1);
	run_ms(o->w, 0);
	return o->last_message;
}

/* A reply with that id. */
static inline uint64_t inject_reply(struct office *o, const uint8_t *id, size_t len)
{
	struct post_letter l = {.dst = o->config.self, .reply = true, .payload = payload_of(len), .len = len};

	memcpy(l.id, id, sizeof(l.id));
	(void)post_send(o->post, &l, NULL, NULL, now_of(o->w));
	run_ms(o->w, 3);
	return o->last_message;
}

static inline uint32_t inbox_of(const struct office *o)
{
	return post_load(o->post).inbox_count;
}

static inline void consume(struct office *o, uint64_t row)
{
	post_consumed(o->post, row, now_of(o->w));
	run_ms(o->w, 0);
}

#endif
