/* SPDX-License-Identifier: Apache-2.0 */
/* Edges and connections: dialling, bytes in order, round trips, and the many ways to end. */
#include "shared/limits.h"
#include "tests/sim/codec.h"
#include "tests/sim/world.h"
#include <assert.h>
#include <stdlib.h>

enum {
	REDIAL_MIN_US = 50000,
	REDIAL_MAX_US = 2000000,
	RETRANSMIT_MIN_US = 200000,
	RETRANSMIT_MAX_US = 1000000,
	RESET_MAX_US = 4000000, /* a dead connection is noticed by what is sent on it next */
	ACCEPT_WAIT_US = 1000,
	SLICE_US = 1000000, /* liveness is looked at so often */
};

static int end_side(const struct end *e)
{
	return e == &e->conn->end[1];
}

bool edge_is_open(const struct edge *e)
{
	return !e->blocked && e->node[0]->impl && e->node[1]->impl;
}

/* One way from that side, jitter and retransmissions included. */
static int64_t travel_us(struct edge *e, int side)
{
	struct rng *r = &e->node[0]->world->rng;
	int64_t us = e->delay_us[side];

	if (e->jitter_us > 0)
		us += rng_range(r, 0, e->jitter_us);
	if (e->loss_percent > 0 && rng_percent(r, e->loss_percent))
		us += rng_range(r, RETRANSMIT_MIN_US, RETRANSMIT_MAX_US);
	return us;
}

static void *grown(void *p, size_t bytes)
{
	p = realloc(p, bytes);
	assert(p);
	return p;
}

static void bytes_append(struct pipe *p, const uint8_t *bytes, size_t len)
{
	if (p->bytes && p->bytes_first > p->bytes_cap / 2) {
		memmove(p->bytes, p->bytes + p->bytes_first, p->bytes_count);
		p->bytes_first = 0;
	}
	if (!p->bytes || p->bytes_first + p->bytes_count + len > p->bytes_cap) {
		p->bytes_cap = 2 * (p->bytes_first + p->bytes_count + len) + 256;
		p->bytes = grown(p->bytes, p->bytes_cap);
	}
	memcpy(p->bytes + p->bytes_first + p->bytes_count, bytes, len);
	p->bytes_count += len;
}

static void segment_append(struct pipe *p, struct segment s)
{
	if (p->segments && p->first > p->segment_cap / 2) {
		memmove(p->segments, p->segments + p->first, p->count * sizeof(s));
		p->first = 0;
	}
	if (!p->segments || p->first + p->count >= p->segment_cap) {
		p->segment_cap = 2 * (p->first + p->count) + 4;
		p->segments = grown(p->segments, p->segment_cap * sizeof(s));
	}
	p->segments[p->first + p->count++] = s;
}

static void on_deliver(struct world *w, void *object, uint32_t arg);

static void pipe_arm(struct end *e)
{
	struct pipe *p = &e->tx;
	struct mono at;

	if (p->armed || p->count == 0)
		return;
	at = p->segments[p->first].at;
	if (at.us < p->not_before.us)
		at = p->not_before;
	if (at.us < end_world(e)->now.us)
		at = end_world(e)->now;
	p->armed = true;
	queue_add(&end_world(e)->queue, at, on_deliver, e, 0);
}

/* Bytes in order behind what was sent before; none mean the end of the stream. */
static void pipe_append(struct end *e, const uint8_t *bytes, size_t len)
{
	struct pipe *p = &e->tx;
	const struct world *w = end_world(e);
	struct segment *last = p->count ? &p->segments[p->first + p->count - 1] : NULL;
	struct mono at;

	if (last && p->sent.us == w->now.us)
		at = last->at;
	else
		at = mono_add_us(w->now, travel_us(e->conn->edge, end_side(e)));
	if (last && at.us < last->at.us)
		at = last->at;
	p->sent = w->now;
	if (last && last->at.us == at.us && len > 0 && !last->eof)
		last->len += (uint32_t)len;
	else
		segment_append(p, (struct segment){.at = at, .len = (uint32_t)len, .eof = len == 0});
	if (len > 0)
		bytes_append(p, bytes, len);
	pipe_arm(e);
}

void end_send(struct end *e, const uint8_t *bytes, size_t len)
{
	pipe_append(e, bytes, len);
}

static void pipe_drop(struct pipe *p)
{
	p->first = p->count = p->bytes_first = p->bytes_count = 0;
}

static void take_bytes(struct end *to, const uint8_t *bytes, size_t len)
{
	struct node *n = to->node;

	while (len > 0) {
		const size_t tlv = 2u + bytes[1];

		assert(tlv <= len);
		n->world->tlvs_taken++;
		if (n->world->trace >= 0)
			codec_trace(n, end_other(to)->node, bytes, tlv);
		n->kind->tlv(n->impl, to->link, bytes, tlv);
		bytes += tlv;
		len -= tlv;
	}
	world_leave(n);
}

static void on_deliver(struct world *w, void *object, uint32_t arg)
{
	struct end *e = object, *to = end_other(e);
	struct pipe *p = &e->tx;

	(void)arg;
	p->armed = false;
	if (e->conn->edge->blocked)
		return;
	if (to->closed) {
		pipe_drop(p);
		return;
	}
	if (!to->up) {
		p->not_before = mono_add_us(w->now, ACCEPT_WAIT_US);
		pipe_arm(e);
		return;
	}
	while (p->count > 0 && p->segments[p->first].at.us <= w->now.us && !to->closed) {
		const struct segment s = p->segments[p->first];
		const uint8_t *bytes = p->bytes + p->bytes_first;

		p->first++;
		p->count--;
		p->bytes_first += s.len;
		p->bytes_count -= s.len;
		if (s.eof)
			end_close(to, false);
		else
			take_bytes(to, bytes, s.len);
	}
	if (p->count == 0)
		pipe_drop(p);
	pipe_arm(e);
}

static void on_rtt(struct world *w, void *object, uint32_t arg)
{
	struct end *e = object;
	struct edge *edge = e->conn->edge;

	(void)arg;
	if (!e->up)
		return;
	queue_add(&w->queue, mono_add_ms(w->now, network200.hello_ms), on_rtt, e, 0);
	if (edge->blocked || end_other(e)->closed)
		return;
	e->heard = w->now;
	w->rtts++;
	e->node->kind->link_rtt(e->node->impl, e->link, (uint32_t)(travel_us(edge, 0) + travel_us(edge, 1)));
	world_leave(e->node);
}

/* A reference node sends its Hellos by one timer for all links, the first one a period after its start. */
static struct mono first_rtt(const struct end *e)
{
	const struct world *w = end_world(e);
	const struct edge *edge = e->conn->edge;
	const int64_t period = network200.hello_ms * 1000;
	const int64_t age = mono_since_us(w->now, e->node->started);

	if (e->node->kind != &kind_ref)
		return mono_add_us(w->now, edge->delay_us[0] + edge->delay_us[1]);
	return mono_add_us(w->now, period - age % period + edge->delay_us[0] + edge->delay_us[1]);
}

static void slot_take(struct end *e)
{
	struct node *n = e->node;
	uint32_t slot = 0;

	while (slot < n->end_cap && n->ends[slot])
		slot++;
	assert(slot < LIMIT_LINKS);
	if (slot == n->end_cap) {
		n->end_cap = n->end_cap ? 2 * n->end_cap : 4;
		n->ends = realloc(n->ends, n->end_cap * sizeof(struct end *));
		assert(n->ends);
		for (uint32_t i = slot; i < n->end_cap; i++)
			n->ends[i] = NULL;
	}
	n->ends[slot] = e;
	e->link = slot + LIMIT_LINK_SLOTS * n->link_serial++;
}

static void on_up(struct world *w, void *object, uint32_t arg)
{
	struct end *e = object;
	struct edge *edge = e->conn->edge;

	(void)arg;
	if (end_side(e) == 0)
		edge->dialling = false;
	if (e->closed) {
		if (end_side(e) == 0 && e->node->impl)
			edge_dial(edge, REDIAL_MIN_US);
		return;
	}
	if (!edge_is_open(edge)) {
		end_close(e, false);
		return;
	}
	slot_take(e);
	world_trace(w, "node %d: link to %d up", e->node->index, end_other(e)->node->index);
	e->up = true;
	e->heard = w->last_change = w->now;
	e->node->kind->link_up(e->node->impl, e->link);
	world_leave(e->node);
	queue_add(&w->queue, first_rtt(e), on_rtt, e, 0);
}

static void on_dial(struct world *w, void *object, uint32_t arg)
{
	struct edge *e = object;
	struct conn *c;
	int64_t there, back;

	(void)arg;
	e->dialling = false;
	if (!e->node[0]->impl)
		return; /* its start dials */
	if (!edge_is_open(e)) {
		edge_dial(e, rng_range(&w->rng, REDIAL_MIN_US, REDIAL_MAX_US));
		return;
	}
	c = calloc(1, sizeof(*c));
	assert(c);
	c->edge = e;
	c->next = e->conns;
	e->conns = c;
	for (int side = 0; side < 2; side++)
		c->end[side] = (struct end){.conn = c, .node = e->node[side]};
	e->dialling = true;
	there = travel_us(e, 0);
	back = travel_us(e, 1);
	queue_add(&w->queue, mono_add_us(w->now, there + back), on_up, &c->end[0], 0);
	there += travel_us(e, 0);
	queue_add(&w->queue, mono_add_us(w->now, there + back), on_up, &c->end[1], 0);
}

void edge_dial(struct edge *e, int64_t after_us)
{
	if (e->dialling)
		return;
	e->dialling = true;
	queue_add(&e->node[0]->world->queue, mono_add_us(e->node[0]->world->now, after_us), on_dial, e, 0);
}

static void on_dead(struct world *w, void *object, uint32_t serial)
{
	struct end *e = object;
	const struct edge *edge = e->conn->edge;

	(void)w;
	if (end_other(e)->closed || (edge->blocked && edge->serial == serial))
		end_close(e, true);
}

/* Nothing is heard any more on this end: it notices by its liveness timer. */
static void end_starve(struct end *e)
{
	struct world *w = end_world(e);
	struct mono at = mono_add_ms(e->heard, network200.ihu_dead_ms);

	if (e->closed)
		return;
	if (at.us < w->now.us)
		at = w->now;
	queue_add(&w->queue, mono_add_us(at, rng_range(&w->rng, 1, SLICE_US)), on_dead, e, e->conn->edge->serial);
}

void end_close(struct end *e, bool told)
{
	struct world *w = end_world(e);
	struct edge *edge = e->conn->edge;
	struct end *other = end_other(e);
	struct node *n = e->node;

	if (e->closed)
		return;
	e->closed = true;
	w->last_change = w->now;
	if (e->up) {
		world_trace(w, "node %d: link to %d down", n->index, other->node->index);
		e->up = false;
		n->ends[e->link % LIMIT_LINK_SLOTS] = NULL;
		if (n->impl) {
			n->kind->link_down(n->impl, e->link);
			world_leave(n);
		}
	}
	if (!told || edge->blocked)
		end_starve(other);
	else if (!other->closed)
		pipe_append(e, NULL, 0);
	if (end_side(e) == 0 && n->impl)
		edge_dial(edge, rng_range(&w->rng, REDIAL_MIN_US, REDIAL_MAX_US));
}

void edge_block(struct edge *e)
{
	e->blocked = true;
	e->serial++;
	e->node[0]->world->last_change = e->node[0]->world->now;
	for (struct conn *c = e->conns; c; c = c->next) {
		end_starve(&c->end[0]);
		end_starve(&c->end[1]);
	}
}

static void on_reset(struct world *w, void *object, uint32_t arg)
{
	(void)w;
	(void)arg;
	end_close(object, true);
}

void edge_reset_halves(struct edge *e)
{
	struct world *w = e->node[0]->world;

	for (struct conn *c = e->conns; c; c = c->next) {
		if (c->end[0].closed == c->end[1].closed)
			continue;
		queue_add(&w->queue, mono_add_us(w->now, rng_range(&w->rng, 1000, RESET_MAX_US)), on_reset,
			  &c->end[c->end[0].closed], 0);
	}
}

void edge_unblock(struct edge *e)
{
	struct world *w = e->node[0]->world;

	e->blocked = false;
	e->serial++;
	w->last_change = w->now;
	edge_reset_halves(e);
	for (struct conn *c = e->conns; c; c = c->next) {
		for (int side = 0; side < 2; side++) {
			struct end *end = &c->end[side];

			end->tx.not_before = mono_add_us(w->now, rng_range(&w->rng, 1000, RETRANSMIT_MAX_US));
			pipe_arm(end);
		}
	}
}

void edge_break(struct edge *e, int side, int64_t other_after_us)
{
	struct world *w = e->node[0]->world;
	struct conn *c = e->conns;

	if (!c || c->end[side].closed)
		return;
	queue_add(&w->queue, mono_add_us(w->now, other_after_us), on_reset, &c->end[!side], 0);
	end_close(&c->end[side], false);
}

bool edge_is_settled(const struct edge *e)
{
	for (const struct conn *c = e->conns; c; c = c->next) {
		const bool newest = c == e->conns;

		if (edge_is_open(e) && newest ? !c->end[0].up || !c->end[1].up : !c->end[0].closed || !c->end[1].closed)
			return false;
	}
	return e->conns || !edge_is_open(e);
}

void edge_fini(struct edge *e)
{
	for (struct conn *c = e->conns, *next; c; c = next) {
		next = c->next;
		for (int side = 0; side < 2; side++) {
			free(c->end[side].tx.bytes);
			free(c->end[side].tx.segments);
		}
		free(c);
	}
}
