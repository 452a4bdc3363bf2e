/* SPDX-License-Identifier: Apache-2.0 */
/* How an order comes to be: its caps, its id, its time. From a former life it comes with what is left of it, or as a
 * mere status. */
#include "controld/message/core.h"
#include <errno.h>

enum { LENGTH_MAX = 1 << 30, MS_PER_S = 1000 };

static void name_by_id(struct message_core *m, struct outgoing *o)
{
	struct outgoing *older;

	HASH_FIND(hh_id, m->newest, o->id, sizeof(o->id), older);
	if (older) {
		HASH_DELETE(hh_id, m->newest, older);
		older->by_id = false;
	}
	HASH_ADD(hh_id, m->newest, id, sizeof(o->id), o);
	o->by_id = true;
}

static void draw_id(const struct message_core *m, uint8_t id[FRAME_ID_BYTES])
{
	const struct outgoing *taken;

	do {
		m->ops->random(m->ctx, id, FRAME_ID_BYTES);
		HASH_FIND(hh_id, m->newest, id, FRAME_ID_BYTES, taken);
	} while (taken);
}

static int check_order(const struct message_core *m, const struct message_order *order)
{
	const uint64_t net64 = ip6_net64(&order->dst);
	const struct outgoing *same;
	const struct target *t;

	if (order->len > LENGTH_MAX || order->deadline_s > LIMIT_MESSAGE_DEADLINE_S)
		return -EINVAL;
	HASH_FIND(hh, m->orders, &order->handle, sizeof(order->handle), same);
	if (same)
		return -EEXIST;
	if (order->state >= MESSAGE_RECEIVED)
		return 0;
	if (m->out_count >= LIMIT_MESSAGE_OUT || m->out_bytes + order->len > LIMIT_MESSAGE_OUT_BYTES)
		return -ENOSPC;
	HASH_FIND(hh, m->targets, &net64, sizeof(net64), t);
	if (t && (t->open_count >= LIMIT_MESSAGE_OUT_PER_NET64 ||
		  t->open_bytes + order->len > LIMIT_MESSAGE_OUT_BYTES_PER_NET64))
		return -ENOSPC;
	return 0;
}

/* Of a former life's order: what is left of its time. A clock that was set back gives it no more than it had. */
static struct mono deadline_of(const struct outgoing *o, uint32_t lasts_s, struct mono now, int64_t now_s)
{
	const int64_t left_s = o->deadline_s - now_s;

	return mono_add_ms(now, (left_s < lasts_s ? left_s : lasts_s) * MS_PER_S);
}

static struct outgoing *new_order(struct message_core *m, const struct message_order *order, struct mono now,
				  int64_t now_s)
{
	const uint32_t lasts_s = order->deadline_s ? order->deadline_s : LIMIT_MESSAGE_DEADLINE_DEFAULT_S;
	struct outgoing *o = core_alloc(sizeof(*o));

	o->handle = order->handle;
	o->timer.kind = TIMER_OUTGOING;
	o->reply = order->reply;
	o->dst = order->dst;
	o->len = order->len;
	o->topic = topic_copy(order->topic, order->topic_len);
	o->created_s = order->created_s ? order->created_s : now_s;
	o->deadline_s = o->created_s + lasts_s;
	o->deadline = deadline_of(o, lasts_s, now, now_s);
	if (order->has_id)
		memcpy(o->id, order->id, sizeof(o->id));
	else
		draw_id(m, o->id);
	o->exchange = outbox_exchange(m, &o->dst, o->id);
	HASH_ADD(hh, m->orders, handle, sizeof(o->handle), o);
	name_by_id(m, o);
	return o;
}

int message_send(struct message_core *m, const struct message_order *order, struct mono now, int64_t now_s,
		 uint8_t id[FRAME_ID_BYTES])
{
	const int err = check_order(m, order);
	struct outgoing *o;

	if (err)
		return err;
	o = new_order(m, order, now, now_s);
	if (id)
		memcpy(id, o->id, sizeof(o->id));
	if (order->state >= MESSAGE_RECEIVED) {
		o->state = order->state;
		free(order->payload);
		outbox_keep_status(m, o, now);
		return 0;
	}
	o->payload = order->payload;
	m->out_count++;
	m->out_bytes += o->len;
	o->exchange->target->open_count++;
	o->exchange->target->open_bytes += o->len;
	timer_set(&m->timers, &o->timer, o->deadline);
	outbox_list_add(o, OUT_WAITING);
	if (!mono_is_due(o->deadline, now))
		outbox_begin_next(m, o->exchange, now);
	return 0;
}
