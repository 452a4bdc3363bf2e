/* SPDX-License-Identifier: Apache-2.0 */
/* The model of prop_post: what is known of each message, and clients that take messages, hold them, and go away. */
#ifndef TESTS_PROP_PROP_POST_H
#define TESTS_PROP_PROP_POST_H

#include "tests/unit/test_post.h"

enum { PLANS = 4000, CLIENTS = 12, HELD = 64 };

/* One message, named by the first bytes of its payload. */
struct plan {
	int from;
	struct ip6 dst;
	size_t len;
	bool is_accepted; /* its sender was told so */
	bool is_consumed; /* some consumer said so */
	uint64_t row; /* in the inbox */
	uint64_t holder; /* serial of the client that has it */
	struct mono free_at; /* from then on another one may get it */
};

enum client_kind { CLIENT_NONE, CLIENT_TAKER, CLIENT_STREAM };

struct held {
	size_t number;
	uint64_t row, offset;
};

/* A connection, so that an old one is told apart from its successor. */
struct conn {
	struct client *client;
	bool is_over;
};

struct client {
	struct model *m;
	struct office *office;
	enum client_kind kind;
	uint64_t serial; /* of this life */
	bool is_peek;
	struct post_taker *taker; /* while it waits */
	struct post_stream *stream; /* while it is connected */
	struct conn conns[2];
	unsigned conn;
	bool is_paused;
	struct post_stream_id id;
	uint64_t offset; /* got last */
	uint32_t window;
	struct held held[HELD]; /* oldest first */
	unsigned held_count;
};

struct model {
	struct world *w;
	struct plan plans[PLANS];
	size_t plan_count;
	struct client clients[OFFICES][CLIENTS];
	uint64_t serial;
	bool is_ending; /* no more replies */
	unsigned crashes, resumed, recovered, given_back, replies;
};

static inline uint8_t payload_byte(size_t number, size_t i)
{
	return (uint8_t)(number * 7 + i);
}

static inline size_t number_of(const struct model *m, const uint8_t *payload, size_t len)
{
	size_t number;

	assert_true(len >= sizeof(number));
	memcpy(&number, payload, sizeof(number));
	assert_true(number < m->plan_count && m->plans[number].len == len);
	for (size_t i = sizeof(number); i < len; i++)
		if (payload[i] != payload_byte(number, i))
			fail_msg("message %zu: byte %zu is wrong", number, i);
	return number;
}

/* What came is a planned one, for that office. */
static inline size_t check_message(const struct client *c, const struct post_message *msg)
{
	const size_t number = number_of(c->m, msg->payload, msg->len);
	const struct plan *p = &c->m->plans[number];

	assert_true(ip6_eq(&msg->dst, &p->dst));
	assert_int_equal(p->dst.b[1], c->office->number + 1);
	assert_int_equal(msg->src.b[1], p->from + 1);
	assert_int_equal(msg->public_key[0], p->from + 1);
	return number;
}

/* It is with one client at a time, under one row for ever. */
static inline void hold(struct client *c, const struct post_message *msg, uint64_t offset)
{
	const size_t number = check_message(c, msg);
	struct plan *p = &c->m->plans[number];

	assert_true(p->row == 0 || p->row == msg->row);
	assert_true(p->holder == c->serial || mono_is_due(p->free_at, c->m->w->now));
	p->row = msg->row;
	p->holder = c->serial;
	p->free_at = MONO_NEVER;
	assert_true(c->held_count < HELD);
	c->held[c->held_count++] = (struct held){.number = number, .row = msg->row, .offset = offset};
}

/* The oldest of what it holds is consumed, or free from then on; the client holds it no more. */
static inline void let_go(struct client *c, bool is_consumed, struct mono free_at)
{
	struct plan *p = &c->m->plans[c->held[0].number];

	p->is_consumed |= is_consumed;
	if (p->holder == c->serial) {
		p->holder = is_consumed ? 0 : c->serial;
		p->free_at = free_at;
	}
	memmove(c->held, c->held + 1, --c->held_count * sizeof(c->held[0]));
}

static inline void client_clear(struct client *c)
{
	*c = (struct client){.m = c->m, .office = c->office};
}

static inline struct model *model_new(uint64_t seed)
{
	struct model *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->w = world_new(seed);
	for (int i = 0; i < OFFICES; i++)
		for (int k = 0; k < CLIENTS; k++) {
			m->clients[i][k].m = m;
			m->clients[i][k].office = &m->w->offices[i];
		}
	return m;
}

static inline void model_free(struct model *m)
{
	world_free(m->w);
	free(m);
}

#endif
