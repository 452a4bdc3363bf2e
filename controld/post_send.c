/* SPDX-License-Identifier: Apache-2.0 */
/* Orders: first the store, then the core, then whoever sent them is told. An order keeps its topic and payload until
 * the store has answered; the core knows it by its row. */
#include "controld/post_private.h"

enum { LENGTH_MAX = 1 << 30 };

static void order_clear(struct post_order *o)
{
	free(o->order.payload);
	free(o->topic);
	o->order.payload = NULL;
	o->topic = NULL;
	o->order.topic = NULL;
}

static void order_free(struct post *p, struct post_order *o)
{
	HASH_DELETE(hh, p->orders, o);
	order_clear(o);
	free(o);
}

/* How it ended is known: told by the next tick. */
static void conclude(struct post *p, struct post_order *o, int error)
{
	order_clear(o);
	o->error = error;
	DL_APPEND(p->outcomes, o);
}

static int admit(const struct post *p, const struct message_order *o)
{
	const struct message_load load = message_load(p->core);

	if (o->len > LENGTH_MAX || o->deadline_s > LIMIT_MESSAGE_DEADLINE_S)
		return -EINVAL;
	if (load.out_count + p->storing_count >= LIMIT_MESSAGE_OUT ||
	    load.out_bytes + p->storing_bytes + o->len > LIMIT_MESSAGE_OUT_BYTES)
		return -EAGAIN;
	return 0;
}

static void draw_id(const struct post *p, uint8_t id[RECORD_ID_BYTES])
{
	struct message_status known;

	do
		p->ops.random(p->ctx, id, RECORD_ID_BYTES);
	while (message_find_id(p->core, id, &known));
}

static void store(struct post *p, struct post_order *o)
{
	const struct message_order *m = &o->order;
	struct record_order r = {.row = o->row,
				 .reply = m->reply,
				 .state = MESSAGE_PENDING,
				 .dst = m->dst,
				 .topic_len = m->topic_len,
				 .topic = m->topic,
				 .payload = m->payload,
				 .len = m->len,
				 .created_s = m->created_s,
				 .deadline_s = m->deadline_s ? m->deadline_s : LIMIT_MESSAGE_DEADLINE_DEFAULT_S};

	memcpy(r.id, m->id, sizeof(r.id));
	o->storing = true;
	p->storing_count++;
	p->storing_bytes += m->len;
	p->ops.add_order(p->ctx, &r);
}

uint64_t post_send(struct post *p, const struct post_letter *l, post_sent *fn, void *ctx, struct post_time now)
{
	struct post_order *o = post_alloc(sizeof(*o));
	int err;

	assert(p->begun);
	p->now = now;
	o->row = ++p->last_order;
	o->fn = fn;
	o->ctx = ctx;
	o->topic = post_copy(l->topic, l->topic_len);
	o->order = (struct message_order){.handle = o->row,
					  .has_id = true,
					  .reply = l->reply,
					  .dst = l->dst,
					  .topic = o->topic,
					  .topic_len = l->topic_len,
					  .payload = l->payload,
					  .len = l->len,
					  .deadline_s = l->deadline_s,
					  .created_s = now.real_s};
	HASH_ADD(hh, p->orders, row, sizeof(o->row), o);
	if (l->reply)
		memcpy(o->order.id, l->id, sizeof(o->order.id));
	else
		draw_id(p, o->order.id);
	err = admit(p, &o->order);
	if (err)
		conclude(p, o, err);
	else
		store(p, o);
	return o->row;
}

static struct post_order *order_find(const struct post *p, uint64_t row)
{
	struct post_order *o;

	HASH_FIND(hh, p->orders, &row, sizeof(row), o);
	return o;
}

/* Gives it to the core, which takes the payload. */
static int begin(struct post *p, struct post_order *o)
{
	const int err = message_send(p->core, &o->order, p->now.mono, p->now.real_s, NULL);

	if (!err)
		o->order.payload = NULL;
	return err;
}

void post_order_stored(struct post *p, uint64_t row, int error, struct post_time now)
{
	struct post_order *o = order_find(p, row);

	p->now = now;
	if (!o || !o->storing)
		return;
	o->storing = false;
	p->storing_count--;
	p->storing_bytes -= o->order.len;
	if (!error && begin(p, o) != 0) {
		p->ops.del_order(p->ctx, row);
		error = -EAGAIN;
	}
	conclude(p, o, error);
}

void post_send_forget(struct post *p, uint64_t ticket)
{
	struct post_order *o = order_find(p, ticket);

	if (o)
		o->fn = NULL;
}

bool post_send_tell(struct post *p)
{
	struct post_order *o = p->outcomes;
	struct post_order told;

	if (!o)
		return false;
	DL_DELETE(p->outcomes, o);
	told = *o;
	order_free(p, o);
	if (told.fn)
		told.fn(told.ctx, told.error, told.order.id);
	return true;
}

void post_send_status(struct post *p, const struct message_status *s)
{
	if (s->state >= MESSAGE_RECEIVED)
		p->ops.end_order(p->ctx, s->handle, (uint8_t)s->state);
	p->ops.status(p->ctx, s);
}

void post_found_order(struct post *p, const struct record_order *r, struct post_time now)
{
	struct post_order *o = post_alloc(sizeof(*o));

	p->now = now;
	o->row = r->row;
	o->topic = post_copy(r->topic, r->topic_len);
	o->order = (struct message_order){.handle = r->row,
					  .has_id = true,
					  .reply = r->reply,
					  .dst = r->dst,
					  .topic = o->topic,
					  .topic_len = r->topic_len,
					  .payload = r->payload,
					  .len = r->len,
					  .deadline_s = r->deadline_s,
					  .created_s = r->created_s,
					  .state = r->state < MESSAGE_RECEIVED ? MESSAGE_PENDING : r->state};
	memcpy(o->order.id, r->id, sizeof(o->order.id));
	if (o->order.state > MESSAGE_ABORTED)
		o->order.state = MESSAGE_ABORTED;
	DL_APPEND(p->found, o);
}

static bool is_delivered_here(const struct post *p, uint64_t row)
{
	const struct post_local *l;

	HASH_FIND(hh, p->locals, &row, sizeof(row), l);
	return l;
}

static void end_found(struct post *p, struct post_order *o, enum message_state state)
{
	o->order.state = state;
	p->ops.end_order(p->ctx, o->row, (uint8_t)state);
	(void)begin(p, o);
}

/* One that cannot be gone on with ends. One to ourselves that arrived, though its end was not stored, is not sent
 * again. */
static void resume(struct post *p, struct post_order *o)
{
	const bool is_finished = o->order.state >= MESSAGE_RECEIVED;

	if (is_finished)
		(void)begin(p, o);
	else if (is_delivered_here(p, o->row))
		end_found(p, o, MESSAGE_RECEIVED);
	else if ((o->order.len > 0 && !o->order.payload) || begin(p, o) != 0)
		end_found(p, o, MESSAGE_ABORTED);
}

static void found_fini(struct post *p)
{
	struct post_local *l = p->locals, *next;
	struct post_order *o, *later;

	DL_FOREACH_SAFE (p->found, o, later) {
		order_clear(o);
		free(o);
	}
	p->found = NULL;
	HASH_CLEAR(hh, p->locals);
	for (; l; l = next) {
		next = l->hh.next;
		free(l);
	}
}

void post_send_found(struct post *p)
{
	struct post_order *o;

	DL_FOREACH (p->found, o)
		resume(p, o);
	found_fini(p);
}

void post_send_fini(struct post *p)
{
	struct post_order *o = p->orders, *next;

	found_fini(p);
	HASH_CLEAR(hh, p->orders);
	for (; o; o = next) {
		next = o->hh.next;
		order_clear(o);
		free(o);
	}
}
