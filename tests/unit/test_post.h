/* SPDX-License-Identifier: Apache-2.0 */
/* Two posts in virtual time, each with a store that answers later and can fail, wait or crash, and a network between
 * them that can lose, repeat and reorder. For the test_post programs and prop_post.
 *
 * The store reads what it was lent at the moment it does a request, and never after: a sanitizer sees a loan that ended
 * too early. */
#ifndef TESTS_UNIT_TEST_POST_H
#define TESTS_UNIT_TEST_POST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "controld/post.h"
#include "shared/limits.h"
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum { OFFICES = 2, NOW_S = 1700000000, US_PER_S = 1000000, STATUSES = 4096 };

enum request_kind { ADD_ORDER, ADD_MESSAGE, LOAD, END_ORDER, DEL_ORDER, DEL_MESSAGE };

struct request {
	struct request *prev, *next;
	struct mono due;
	enum request_kind kind;
	uint64_t row;
	struct record_order order;
	struct record_message message;
	uint8_t state;
};

/* What is committed. */
struct row {
	struct row *prev, *next;
	uint64_t row;
	struct record_order order;
	struct record_message message;
	uint8_t *payload, *topic; /* owned */
	bool is_there; /* a message: in the inbox; else only remembered */
};

struct packet {
	struct packet *prev, *next;
	struct mono due;
	int to;
	struct ip6 src, dst;
	size_t len;
	uint8_t bytes[];
};

struct office {
	struct world *w;
	int number;
	struct post *post;
	struct post_config config;
	struct request *requests;
	struct row *orders, *messages;
	uint64_t last_order, last_message;
	bool held; /* the store does nothing */
	int add_error, load_error; /* what the store says; 0: all is well */
	unsigned trouble; /* per cent of adds and loads that fail */
	void (*on_load_error)(struct office *o, uint64_t row); /* may be NULL, as the next */
	void (*on_status)(struct office *o, const struct message_status *s);
	unsigned loads, ends, dels; /* requests seen */
	struct message_status statuses[STATUSES];
	size_t status_count;
};

struct world {
	struct mono now;
	struct office offices[OFFICES];
	struct packet *packets;
	unsigned loss; /* per cent lost, repeated; and reordered */
	uint64_t random;
	size_t packets_sent;
	struct model *model; /* of prop_post */
};

static inline uint64_t rnd(struct world *w)
{
	uint64_t z = (w->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline bool chance(struct world *w, unsigned percent)
{
	return rnd(w) % 100 < percent;
}

static inline struct ip6 office_ip(int number)
{
	return (struct ip6){{4, (uint8_t)(number + 1), [15] = 1}};
}

static inline struct post_time now_of(const struct world *w)
{
	return (struct post_time){.mono = w->now, .real_s = NOW_S + w->now.us / US_PER_S};
}

static inline uint8_t *copy_of(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = len ? malloc(len) : NULL;

	assert_true(copy || !len);
	if (len)
		memcpy(copy, bytes, len);
	return copy;
}

/* The world of a post */

static inline void packet_add(struct world *w, const struct packet *like, const uint8_t *bytes)
{
	struct packet *p = malloc(sizeof(*p) + like->len), *before;

	assert_non_null(p);
	*p = *like;
	memcpy(p->bytes, bytes, p->len);
	p->due = mono_add_us(w->now, 5000 + (w->loss ? (int64_t)(rnd(w) % 20000) : 0));
	for (before = w->packets ? w->packets->prev : NULL; before && before->due.us > p->due.us; before = before->prev)
		if (before == w->packets) {
			DL_PREPEND(w->packets, p);
			return;
		}
	if (before)
		DL_APPEND_ELEM(w->packets, before, p);
	else
		DL_APPEND(w->packets, p);
}

static inline void world_send(void *ctx, const struct ip6 *src, const struct ip6 *dst, const uint8_t *bytes, size_t len)
{
	struct office *o = ctx;
	struct packet p = {.to = !o->number, .src = *src, .dst = *dst, .len = len};

	o->w->packets_sent++;
	if (dst->b[1] != p.to + 1 || chance(o->w, o->w->loss))
		return;
	packet_add(o->w, &p, bytes);
	if (chance(o->w, o->w->loss))
		packet_add(o->w, &p, bytes);
}

static inline bool world_key(void *ctx, const struct ip6 *src, uint8_t public_key[32])
{
	(void)ctx;
	memset(public_key, src->b[1], 32);
	return true;
}

static inline void world_random(void *ctx, void *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)out)[i] = (uint8_t)rnd(((struct office *)ctx)->w);
}

static inline struct request *request_add(struct office *o, enum request_kind kind, uint64_t row)
{
	struct request *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->kind = kind;
	r->row = row;
	r->due = mono_add_us(o->w->now, 500 + (o->trouble ? (int64_t)(rnd(o->w) % 5000) : 0));
	if (o->requests && r->due.us < o->requests->prev->due.us)
		r->due = o->requests->prev->due;
	DL_APPEND(o->requests, r);
	return r;
}

static inline void world_add_order(void *ctx, const struct record_order *r)
{
	request_add(ctx, ADD_ORDER, r->row)->order = *r;
}

static inline void world_add_message(void *ctx, const struct record_message *m)
{
	request_add(ctx, ADD_MESSAGE, m->row)->message = *m;
}

static inline void world_load(void *ctx, uint64_t row)
{
	((struct office *)ctx)->loads++;
	request_add(ctx, LOAD, row);
}

static inline void world_end_order(void *ctx, uint64_t row, uint8_t state)
{
	((struct office *)ctx)->ends++;
	request_add(ctx, END_ORDER, row)->state = state;
}

static inline void world_del_order(void *ctx, uint64_t row)
{
	request_add(ctx, DEL_ORDER, row);
}

static inline void world_del_message(void *ctx, uint64_t row)
{
	((struct office *)ctx)->dels++;
	request_add(ctx, DEL_MESSAGE, row);
}

static inline void world_status(void *ctx, const struct message_status *s)
{
	struct office *o = ctx;

	o->statuses[o->status_count++ % STATUSES] = *s;
	if (o->on_status)
		o->on_status(o, s);
}

/* The store at work */

static inline struct row *row_find(struct row *list, uint64_t row)
{
	struct row *r;

	DL_FOREACH (list, r)
		if (r->row == row)
			return r;
	return NULL;
}

static inline void row_free(struct row **list, struct row *r)
{
	DL_DELETE(*list, r);
	free(r->payload);
	free(r->topic);
	free(r);
}

static inline struct row *row_add(struct row **list, uint64_t row, const uint8_t *payload, size_t len)
{
	struct row *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	assert_true(!*list || (*list)->prev->row < row);
	r->row = row;
	r->payload = copy_of(payload, len);
	r->is_there = true;
	DL_APPEND(*list, r);
	return r;
}

static inline void do_add_order(struct office *o, const struct request *q)
{
	const int error = chance(o->w, o->trouble) ? -EIO : o->add_error;
	struct row *r;

	if (!error) {
		r = row_add(&o->orders, q->row, q->order.payload, q->order.len);
		r->order = q->order;
		r->topic = copy_of(q->order.topic, q->order.topic_len);
		r->order.topic = r->topic;
		r->order.payload = NULL;
		o->last_order = q->row;
	}
	post_order_stored(o->post, q->row, error, now_of(o->w));
}

static inline void do_add_message(struct office *o, const struct request *q)
{
	const int error = chance(o->w, o->trouble) ? -ENOSPC : o->add_error;
	struct row *r;

	if (!error) {
		r = row_add(&o->messages, q->row, q->message.payload, q->message.len);
		r->message = q->message;
		r->topic = copy_of(q->message.topic, q->message.topic_len);
		r->message.topic = r->topic;
		r->message.payload = NULL;
		o->last_message = q->row;
	}
	post_message_stored(o->post, q->row, error, now_of(o->w));
}

static inline void do_load(struct office *o, const struct request *q)
{
	const struct row *r = row_find(o->messages, q->row);
	int error = chance(o->w, o->trouble) ? -EIO : o->load_error;

	if (!error && (!r || !r->is_there))
		error = -ENOENT;
	if (error && o->on_load_error)
		o->on_load_error(o, q->row);
	if (error)
		post_loaded(o->post, q->row, error, NULL, 0);
	else
		post_loaded(o->post, q->row, 0, copy_of(r->payload, r->message.len), r->message.len);
}

static inline void do_request(struct office *o, const struct request *q)
{
	struct row *r;

	switch (q->kind) {
	case ADD_ORDER:
		do_add_order(o, q);
		break;
	case ADD_MESSAGE:
		do_add_message(o, q);
		break;
	case LOAD:
		do_load(o, q);
		break;
	case END_ORDER:
		r = row_find(o->orders, q->row);
		assert_non_null(r);
		assert_true(r->order.state < MESSAGE_RECEIVED ||
			    (r->order.state == MESSAGE_RECEIVED && q->state == MESSAGE_READ));
		r->order.state = q->state;
		break;
	case DEL_ORDER:
		r = row_find(o->orders, q->row);
		assert_non_null(r);
		row_free(&o->orders, r);
		break;
	case DEL_MESSAGE:
		r = row_find(o->messages, q->row);
		assert_true(r && r->is_there);
		r->is_there = false;
		break;
	}
}

/* The next request of the store, whether it is held or not. */
static inline void store_step(struct office *o)
{
	struct request *q = o->requests;

	assert_non_null(q);
	DL_DELETE(o->requests, q);
	do_request(o, q);
	free(q);
}

static inline void store_drop_requests(struct office *o)
{
	struct request *q, *next;

	DL_FOREACH_SAFE (o->requests, q, next)
		free(q);
	o->requests = NULL;
}

/* Life */

static inline void office_begin(struct office *o)
{
	static const struct post_ops ops = {.send = world_send,
					    .key = world_key,
					    .random = world_random,
					    .add_order = world_add_order,
					    .add_message = world_add_message,
					    .load_message = world_load,
					    .end_order = world_end_order,
					    .del_order = world_del_order,
					    .del_message = world_del_message,
					    .status = world_status};
	const uint8_t epoch[RECORD_EPOCH_BYTES] = {7, (uint8_t)o->number};
	struct row *r;

	o->post = post_new(&o->config, &ops, o);
	DL_FOREACH (o->orders, r) {
		struct record_order found = r->order;

		if (found.state < MESSAGE_RECEIVED && r->payload)
			found.payload = copy_of(r->payload, found.len);
		post_found_order(o->post, &found, now_of(o->w));
	}
	DL_FOREACH (o->messages, r)
		if (r->is_there)
			post_found_message(o->post, &r->message);
	DL_FOREACH (o->messages, r)
		if (r->message.arrived_s + 600 > now_of(o->w).real_s)
			post_found_past(o->post, &r->message, now_of(o->w));
	post_begin(o->post, epoch, o->last_order, o->last_message);
}

/* What is not committed is lost. */
static inline void office_crash(struct office *o)
{
	store_drop_requests(o);
	post_free(o->post);
	office_begin(o);
}

static inline struct world *world_new(uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->now.us = US_PER_S;
	w->random = seed;
	for (int i = 0; i < OFFICES; i++) {
		struct office *o = &w->offices[i];

		o->w = w;
		o->number = i;
		o->config.self = office_ip(i);
		o->config.own = prefix_make(&o->config.self, 64);
		office_begin(o);
	}
	return w;
}

static inline void world_free(struct world *w)
{
	struct packet *p, *next;

	for (int i = 0; i < OFFICES; i++) {
		struct office *o = &w->offices[i];

		store_drop_requests(o);
		post_free(o->post);
		while (o->orders)
			row_free(&o->orders, o->orders);
		while (o->messages)
			row_free(&o->messages, o->messages);
	}
	DL_FOREACH_SAFE (w->packets, p, next)
		free(p);
	free(w);
}

/* Does one thing that is due, if there is one. */
static inline bool world_event(struct world *w)
{
	struct packet *p = w->packets;

	if (p && mono_is_due(p->due, w->now)) {
		uint8_t *bytes = copy_of(p->bytes, p->len); /* so that reading too far is seen */

		DL_DELETE(w->packets, p);
		post_packet(w->offices[p->to].post, &p->src, &p->dst, bytes, p->len, now_of(w));
		free(bytes);
		free(p);
		return true;
	}
	for (int i = 0; i < OFFICES; i++) {
		struct office *o = &w->offices[i];

		if (!o->held && o->requests && mono_is_due(o->requests->due, w->now)) {
			store_step(o);
			return true;
		}
	}
	return false;
}

/* Ticks all; when something happens next. */
static inline struct mono world_tick(struct world *w)
{
	struct mono next = MONO_NEVER;

	for (int i = 0; i < OFFICES; i++) {
		const struct office *o = &w->offices[i];

		next = mono_min(next, post_tick(o->post, now_of(w)));
		assert_true(next.us >= w->now.us); /* now: it has not done all */
	}
	for (int i = 0; i < OFFICES; i++)
		if (!w->offices[i].held && w->offices[i].requests)
			next = mono_min(next, w->offices[i].requests->due);
	return w->packets ? mono_min(next, w->packets->due) : next;
}

/* Lets time pass; 0: only what is due now. */
static inline void run_ms(struct world *w, int64_t ms)
{
	const struct mono end = mono_add_ms(w->now, ms);

	for (struct mono next = world_tick(w); mono_is_due(next, end); next = world_tick(w)) {
		if (next.us > w->now.us)
			w->now = next;
		while (world_event(w))
			(void)world_tick(w);
	}
	w->now = end;
	(void)world_tick(w);
}

#endif
