/* SPDX-License-Identifier: Apache-2.0 */
/* The reference model's links, periods and sending (wire-200 4.2, 4.7, 4.8). */
#include "tests/sim/ref.h"

#include "tests/sim/check.h"
#include <assert.h>
#include <stdlib.h>

enum { EXPIRY_PERIOD_MS = 1000 };

static struct ref_peer *peer_of(const struct ref *r, uint32_t link)
{
	for (int i = 0; i < r->peer_count; i++)
		if (r->peers[i].link == link)
			return &r->peers[i];
	return NULL;
}

uint16_t ref_cost(const struct ref *r, uint32_t link)
{
	const struct ref_peer *p = peer_of(r, link);

	return p ? (uint16_t)(p->smoothed + network200.link_cost_add) : WIRE_INFINITE;
}

uint16_t ref_add(uint16_t metric, uint16_t cost)
{
	const uint32_t sum = (uint32_t)metric + cost;

	if (metric == WIRE_INFINITE || cost == WIRE_INFINITE)
		return WIRE_INFINITE;
	return (uint16_t)(sum < WIRE_INFINITE ? sum : WIRE_INFINITE - 1);
}

static void note_distance(struct ref *r, const struct codec_tlv *t)
{
	struct ref_source *s = ref_source(r, t->dest, t->generation);
	const bool known = s->known && !mono_is_due(s->expires, r->node->world->now);

	if (t->metric == WIRE_INFINITE || (known && seqno_newer(s->seqno, t->seqno)))
		return;
	if (!known || seqno_newer(t->seqno, s->seqno) || t->metric < s->metric || r->defects & REF_RAISES_FD)
		s->metric = t->metric;
	s->seqno = t->seqno;
	s->known = true;
	s->expires = mono_add_ms(r->node->world->now, network200.source_hold_ms);
}

static void send_update(struct ref *r, uint32_t link, const struct codec_tlv *t)
{
	uint8_t bytes[CODEC_UPDATE_BYTES];

	note_distance(r, t);
	world_send(r->node, link, bytes, codec_write(r->node->world, t, bytes));
}

void ref_announce(struct ref *r, int dest, uint32_t generation)
{
	const struct ref_entry *e = ref_selected(r, dest);
	struct codec_tlv t = {.type = CODEC_UPDATE,
			      .dest = dest,
			      .generation = generation,
			      .seqno = r->seqno,
			      .metric = WIRE_INFINITE};

	if (e) {
		t.generation = e->generation;
		t.seqno = e->seqno;
		t.metric = ref_add(e->metric, ref_cost(r, e->link));
	}
	for (int i = 0; i < r->peer_count; i++)
		if (!e || r->peers[i].link != e->link)
			send_update(r, r->peers[i].link, &t);
}

static void announce_own(struct ref *r)
{
	const struct codec_tlv t = {
		.type = CODEC_UPDATE, .dest = r->node->index, .generation = r->node->generation, .seqno = r->seqno};

	for (int i = 0; i < r->peer_count; i++)
		send_update(r, r->peers[i].link, &t);
}

void ref_ask(struct ref *r, uint32_t link, int dest, uint32_t generation)
{
	const struct codec_tlv t = {.type = CODEC_REQUEST,
				    .dest = dest,
				    .generation = generation,
				    .seqno = (uint16_t)(ref_source(r, dest, generation)->seqno + 1),
				    .hops = WIRE_HOP_COUNT};
	uint8_t bytes[CODEC_UPDATE_BYTES];

	if (peer_of(r, link))
		world_send(r->node, link, bytes, codec_write(r->node->world, &t, bytes));
}

void ref_ask_all(struct ref *r, int dest, uint32_t generation)
{
	for (int i = 0; i < r->peer_count; i++)
		ref_ask(r, r->peers[i].link, dest, generation);
}

static void bump(struct ref *r)
{
	const struct mono now = r->node->world->now;
	const bool recently = mono_since_ms(now, r->bumped) < network200.seqno_bump_ms;
	const bool granted = r->defects & REF_NEVER_BUMPS ? recently : r->seqno == 0 || !recently;

	if (!granted)
		return;
	r->seqno++;
	r->bumped = now;
	announce_own(r);
}

static void forward_request(const struct ref *r, uint32_t link, struct codec_tlv t)
{
	const struct ref_dest *d = &r->dests[t.dest];
	const struct ref_entry *to = NULL;
	uint8_t bytes[CODEC_UPDATE_BYTES];

	for (int pass = 0; pass < 2 && !to; pass++) {
		for (int i = 0; i < d->count && !to; i++) {
			const struct ref_entry *e = &d->entries[i];

			if (e->metric != WIRE_INFINITE && e->link != link && peer_of(r, e->link) &&
			    (pass == 1 || ref_is_feasible(r, t.dest, e)))
				to = e;
		}
	}
	if (!to || t.hops < 2)
		return;
	t.hops--;
	world_send(r->node, to->link, bytes, codec_write(r->node->world, &t, bytes));
}

static void on_request(struct ref *r, uint32_t link, const struct codec_tlv *t)
{
	const struct ref_entry *e = ref_selected(r, t->dest);

	if (e && e->metric != WIRE_INFINITE && (e->generation != t->generation || !seqno_newer(t->seqno, e->seqno))) {
		const struct codec_tlv answer = {.type = CODEC_UPDATE,
						 .dest = t->dest,
						 .generation = e->generation,
						 .seqno = e->seqno,
						 .metric = ref_add(e->metric, ref_cost(r, link))};

		if (peer_of(r, link))
			send_update(r, link, &answer);
		return;
	}
	if (t->dest == r->node->index && t->generation == r->node->generation) {
		if (seqno_newer(t->seqno, r->seqno))
			bump(r);
		return;
	}
	if (t->dest != r->node->index)
		forward_request(r, link, *t);
}

static void *ref_new(struct node *n)
{
	const struct mono now = n->world->now;
	struct ref *r = calloc(1, sizeof(*r));
	const size_t count = (size_t)n->world->node_count;

	assert(r);
	*r = (struct ref){.node = n, .defects = n->options, .bumped = now};
	r->own_at = mono_add_ms(now, network200.own_update_ms);
	r->table_at = mono_add_ms(now, network200.table_update_ms);
	r->expiry_at = mono_add_ms(now, EXPIRY_PERIOD_MS);
	r->dests = calloc(count, sizeof(*r->dests));
	r->sources = calloc(count * SIM_GENERATIONS, sizeof(*r->sources));
	assert(r->dests && r->sources);
	return r;
}

static void ref_free(void *impl)
{
	struct ref *r = impl;

	for (int i = 0; i < r->node->world->node_count; i++)
		free(r->dests[i].entries);
	free(r->dests);
	free(r->sources);
	free(r->peers);
	free(r);
}

static void ref_link_up(void *impl, uint32_t link)
{
	struct ref *r = impl;

	if (r->peer_count == r->peer_cap) {
		r->peer_cap = r->peer_cap ? 2 * r->peer_cap : 4;
		r->peers = realloc(r->peers, (size_t)r->peer_cap * sizeof(*r->peers));
		assert(r->peers);
	}
	r->peers[r->peer_count++] = (struct ref_peer){.link = link, .smoothed = network200.link_cost_initial};
}

static void ref_link_down(void *impl, uint32_t link)
{
	struct ref *r = impl;
	struct ref_peer *p = peer_of(r, link);

	*p = r->peers[--r->peer_count];
	ref_on_peer_death(r, link);
}

static void ref_link_rtt(void *impl, uint32_t link, uint32_t rtt_us)
{
	const struct ref *r = impl;
	struct ref_peer *p = peer_of(r, link);

	p->smoothed = network_smooth(p->smoothed, rtt_us);
}

static void ref_tlv(void *impl, uint32_t link, const uint8_t *tlv, size_t len)
{
	struct ref *r = impl;
	struct codec_tlv t;

	if (!codec_read(r->node->world, tlv, len, &t))
		return;
	if (t.type == CODEC_UPDATE)
		ref_on_update(r, link, &t);
	else
		on_request(r, link, &t);
}

static struct mono ref_tick(void *impl)
{
	struct ref *r = impl;
	const struct mono now = r->node->world->now;

	if (mono_is_due(r->own_at, now)) {
		announce_own(r);
		r->own_at = mono_add_ms(now, network200.own_update_ms);
	}
	if (mono_is_due(r->table_at, now)) {
		for (int dest = 0; dest < r->node->world->node_count; dest++)
			if (ref_selected(r, dest))
				ref_announce(r, dest, 0);
		r->table_at = mono_add_ms(now, network200.table_update_ms);
	}
	if (mono_is_due(r->expiry_at, now)) {
		ref_expire(r);
		r->expiry_at = mono_add_ms(now, EXPIRY_PERIOD_MS);
	}
	return mono_min(r->own_at, mono_min(r->table_at, r->expiry_at));
}

static void ref_each_source(const void *impl, void (*fn)(void *, const struct babel_source *), void *ctx)
{
	const struct ref *r = impl;
	const struct world *w = r->node->world;

	for (int dest = 0; dest < w->node_count; dest++) {
		for (uint32_t i = 0; i < SIM_GENERATIONS; i++) {
			const struct ref_source *from = ref_source(r, dest, i);
			const struct babel_source s = {.prefix = w->nodes[dest].own,
						       .router_id = w->nodes[dest].ids[i],
						       .fd = {from->seqno, from->metric}};

			if (from->known && !mono_is_due(from->expires, w->now))
				fn(ctx, &s);
		}
	}
}

static void ref_audit(const void *impl)
{
	const struct ref *r = impl;

	for (int dest = 0; dest < r->node->world->node_count; dest++)
		for (int i = 1; i < r->dests[dest].count; i++)
			if (r->dests[dest].entries[i].selected)
				world_fail(r->node->world, BROKEN_WIRE, "node %d: two routes selected", r->node->index);
}

const struct kind kind_ref = {
	.new = ref_new,
	.free = ref_free,
	.link_up = ref_link_up,
	.link_down = ref_link_down,
	.link_rtt = ref_link_rtt,
	.tlv = ref_tlv,
	.tick = ref_tick,
	.each_source = ref_each_source,
	.audit = ref_audit,
};
