/* SPDX-License-Identifier: Apache-2.0 */
/* Sending Updates (wire-200 4.7). Nothing goes out in one burst: a new link gets the table in fast slices, the periodic
 * announcement is spread evenly over its period, and changes of many prefixes at once leave in slices too. */
#include "controld/babel/core.h"
#include <assert.h>

static void send_update(struct babel *b, const struct neigh *n, const struct tlv_update *u)
{
	const struct tlv t = {.type = TLV_UPDATE, .update = *u};
	uint8_t bytes[TLV_MAX_BYTES];
	struct wr w = wr_init(bytes, sizeof(bytes));

	tlv_write(&w, &t);
	assert(!w.bad);
	b->counts[BABEL_UPDATES_SENT]++;
	b->ops->send(b->ctx, n->link, bytes, wr_len(&w));
}

static struct tlv_update make_update(const struct babel *b, const struct prefix *p, const struct router_id *id)
{
	return (struct tlv_update){.ae = WIRE_AE_IPV6,
				   .prefix_len = p->len,
				   .interval = b->network->update_interval,
				   .address = p->ip,
				   .router_id = *id};
}

void announce_own(struct babel *b, struct neigh *n)
{
	struct tlv_update u = make_update(b, &b->own, &b->self);

	u.seqno = b->seqno;
	send_update(b, n, &u);
}

void announce_own_to_all(struct babel *b)
{
	for (size_t i = 0; i < b->neigh_count; i++)
		announce_own(b, b->heap[i]);
}

/* Decides what is said of a selected route; the distance is recorded here, before anything is sent, and told, so that
 * it outlives us. */
static struct tlv_update announce_decide(struct babel *b, const struct route *r, struct mono now)
{
	struct source *s = r->source;
	struct tlv_update u = make_update(b, &s->key.net->prefix, &s->key.router_id);

	u.seqno = r->seqno;
	u.metric = route_cost(b, r);
	if (source_record(b, s, u.seqno, u.metric, now))
		route_tell(b, r);
	return u;
}

void announce_net(struct babel *b, struct net *net, struct neigh *n, struct mono now)
{
	const struct route *r = net->selected;
	struct tlv_update u;

	if (!r || r->neigh == n)
		return;
	u = announce_decide(b, r, now);
	send_update(b, n, &u);
}

/* A new next hop may still hold what it was told before it was that. If that is of another source, no feasibility
 * distance forbids it to come back to us, and split horizon would leave it there until it expires. */
static void announce_withdraw(struct babel *b, const struct route *r)
{
	struct tlv_update u = make_update(b, &r->source->key.net->prefix, &r->source->key.router_id);

	u.seqno = r->seqno;
	u.metric = WIRE_INFINITE;
	send_update(b, r->neigh, &u);
}

/* To all but the next hop. A node whose only link is the next hop says nothing, and has no distance to keep. */
static void announce_selected(struct babel *b, const struct route *r, bool moved, struct mono now)
{
	struct tlv_update u;

	if (moved)
		announce_withdraw(b, r);
	if (b->neigh_count < 2)
		return;
	u = announce_decide(b, r, now);
	for (size_t i = 0; i < b->neigh_count; i++)
		if (b->heap[i] != r->neigh)
			send_update(b, b->heap[i], &u);
}

static void announce_lost(struct babel *b, const struct trigger *t)
{
	struct tlv_update u = make_update(b, &t->net->prefix, &t->source->key.router_id);

	u.seqno = t->seqno;
	u.metric = WIRE_INFINITE;
	for (size_t i = 0; i < b->neigh_count; i++)
		send_update(b, b->heap[i], &u);
}

static void trigger_dequeue(struct babel *b, struct trigger *t)
{
	if (t->repeated)
		DL_DELETE(b->repeats, t);
	else
		DL_DELETE(b->urgent, t);
}

static struct trigger *trigger_get(struct babel *b, struct net *net)
{
	struct trigger *t = net->trigger;

	if (t && !t->repeated)
		return t;
	if (t) {
		DL_DELETE(b->repeats, t);
		t->repeated = false;
	} else {
		t = core_alloc(sizeof(*t));
		t->net = net;
		net->trigger = t;
	}
	DL_APPEND(b->urgent, t);
	return t;
}

void announce_trigger(struct babel *b, struct net *net, const struct route_was *lost)
{
	struct trigger *t = trigger_get(b, net);

	t->left = 1;
	if (!lost)
		return;
	if (t->source)
		t->source->refs--;
	t->source = lost->source;
	t->source->refs++;
	t->seqno = lost->seqno;
	t->left = RETRACTION_COUNT;
	t->moved = true; /* if there is a route by then: its next hop still holds what we said of the lost one */
}

static void trigger_free(struct babel *b, struct trigger *t)
{
	struct net *net = t->net;

	trigger_dequeue(b, t);
	if (t->source)
		t->source->refs--;
	free(t);
	net->trigger = NULL;
	net_release(b, net);
}

static void trigger_run(struct babel *b, struct trigger *t, struct mono now)
{
	t->left--;
	if (t->net->selected) {
		announce_selected(b, t->net->selected, t->moved, now);
		t->left = 0;
	} else {
		announce_lost(b, t);
		t->moved = false;
	}
	if (t->left == 0) {
		trigger_free(b, t);
		return;
	}
	trigger_dequeue(b, t);
	t->repeated = true;
	t->due = mono_add_ms(now, b->network->table_update_ms);
	DL_APPEND(b->repeats, t);
}

static struct mono trigger_due(const struct babel *b)
{
	if (b->urgent)
		return b->urgent_due;
	if (b->repeats && b->repeats->due.us > b->urgent_due.us)
		return b->repeats->due;
	return due_of(b->repeats, b->urgent_due);
}

struct mono announce_triggers(struct babel *b, struct mono now)
{
	size_t left = SLICE_COUNT;

	while (left > 0 && mono_is_due(trigger_due(b), now)) {
		trigger_run(b, b->urgent ? b->urgent : b->repeats, now);
		left--;
	}
	if (left == 0)
		b->urgent_due = mono_add_ms(now, SLICE_MS);
	return trigger_due(b);
}

void announce_fini(struct babel *b)
{
	while (b->urgent)
		trigger_free(b, b->urgent);
	while (b->repeats)
		trigger_free(b, b->repeats);
}

/* A sixteenth more or less, so that links do not march in step. */
static int64_t jittered_us(const struct babel *b, uint32_t period_ms)
{
	const int64_t us = (int64_t)period_ms * 1000;
	uint16_t dice;

	b->ops->random(b->ctx, &dice, sizeof(dice));
	return us - us / 16 + us / 8 * dice / UINT16_MAX;
}

static void table_begin(const struct babel *b, struct neigh *n, struct mono now)
{
	const int64_t slices_max = (int64_t)b->network->table_update_ms / SLICE_MS;
	int64_t slices = HASH_COUNT(b->nets) / SLICE_PERIODIC + 1;

	if (slices > slices_max)
		slices = slices_max;
	n->walking = true;
	n->cursor = b->nets;
	n->period_us = jittered_us(b, b->network->table_update_ms);
	n->slice_us = n->has_table ? n->period_us / slices : SLICE_MS * 1000;
	n->round_end = mono_add_us(now, n->period_us);
}

/* So many prefixes that the table, as long as it is now, fits the period. */
static int64_t table_slice_count(const struct babel *b, const struct neigh *n)
{
	if (!n->has_table)
		return SLICE_COUNT;
	return HASH_COUNT(b->nets) * n->slice_us / n->period_us + 1;
}

static void table_slice(struct babel *b, struct neigh *n, struct mono now)
{
	int64_t left;

	if (!n->walking)
		table_begin(b, n, now);
	for (left = table_slice_count(b, n); left > 0 && n->cursor; left--) {
		struct net *net = n->cursor;

		n->cursor = net->hh.next;
		announce_net(b, net, n, now);
	}
	if (n->cursor) {
		n->table_due = mono_add_us(now, n->slice_us);
		return;
	}
	n->walking = false;
	n->has_table = true;
	n->table_due = mono_add_ms(now, SLICE_MS);
	if (n->table_due.us < n->round_end.us)
		n->table_due = n->round_end;
}

void announce_tables(struct babel *b, struct mono now)
{
	for (size_t i = 0; i < b->neigh_count; i++) {
		struct neigh *n = b->heap[i];

		if (!n->walking && !n->has_table)
			continue;
		n->walking = false;
		n->has_table = false;
		n->cursor = NULL;
		n->table_due = now;
		neigh_reschedule(b, n);
	}
}

struct mono announce_tick(struct babel *b, struct mono now)
{
	/* What is due soon goes along: an idle node wakes once for both. */
	const struct mono soon = mono_add_us(now, (int64_t)b->network->own_update_ms * 1000 / 8);

	while (b->neigh_count && mono_is_due(b->heap[0]->due, now)) {
		struct neigh *n = b->heap[0];
		const bool table_rests = n->has_table && !n->walking;

		if (mono_is_due(n->own_due, soon)) {
			announce_own(b, n);
			n->own_due = mono_add_us(now, jittered_us(b, b->network->own_update_ms));
		}
		if (mono_is_due(n->table_due, table_rests ? soon : now))
			table_slice(b, n, now);
		neigh_reschedule(b, n);
	}
	return due_of(b->neigh_count, b->neigh_count ? b->heap[0]->due : now);
}
