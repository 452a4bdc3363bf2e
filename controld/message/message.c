/* SPDX-License-Identifier: Apache-2.0 */
/* The message core's outside: life and death, packets in, the clock, and what others may read. */
#include "controld/message/message.h"
#include "controld/message/core.h"

struct message_core *message_new(const struct message_config *config, const struct message_ops *ops, void *ctx)
{
	struct message_core *m = core_alloc(sizeof(*m));

	m->ops = ops;
	m->ctx = ctx;
	m->self = config->self;
	m->own = config->own;
	m->max_length = config->max_length ? config->max_length : LIMIT_MESSAGE_LENGTH_DEFAULT;
	assert(m->max_length <= 1 << 30);
	return m;
}

void message_free(struct message_core *m)
{
	if (!m)
		return;
	inbox_fini(m);
	outbox_fini(m);
	timer_fini(&m->timers);
	free(m);
}

void core_send(struct message_core *m, const struct ip6 *src, const struct ip6 *dst, const struct frame *f)
{
	uint8_t bytes[FRAME_MAX_BYTES];
	struct wr w = wr_init(bytes, sizeof(bytes));

	frame_write(&w, f);
	assert(!w.bad);
	m->ops->send(m->ctx, src, dst, bytes, wr_len(&w));
}

static void dispatch(struct message_core *m, const struct packet *p)
{
	switch (p->frame->type) {
	case FRAME_INIT:
	case FRAME_CHUNK:
	case FRAME_DONE:
	case FRAME_ABORTED:
		inbox_packet(m, p);
		break;
	case FRAME_INIT_ACK:
	case FRAME_CHUNK_ACK:
	case FRAME_DONE_ACK:
		outbox_ack(m, p);
		break;
	case FRAME_READ:
		outbox_read(m, p->src, p->frame->id, p->now);
		break;
	}
}

void message_packet(struct message_core *m, const struct ip6 *src, const struct ip6 *dst, const uint8_t *bytes,
		    size_t len, struct mono now)
{
	struct frame f;
	const struct packet p = {.src = src, .dst = dst, .frame = &f, .now = now};

	switch (frame_read(bytes, len, &f)) {
	case FRAME_OK:
		dispatch(m, &p);
		break;
	case FRAME_UNKNOWN:
		m->counts[MESSAGE_PACKET_IGNORED]++;
		break;
	case FRAME_BAD:
		m->counts[MESSAGE_PACKET_BAD]++;
		break;
	}
}

void message_read(struct message_core *m, const struct ip6 *src, const struct ip6 *dst,
		  const uint8_t id[FRAME_ID_BYTES], struct mono now)
{
	struct frame f = {.type = FRAME_READ};

	if (prefix_has(&m->own, src)) {
		outbox_read(m, dst, id, now);
		return;
	}
	memcpy(f.id, id, sizeof(f.id));
	core_send(m, dst, src, &f);
}

#define OWNER(t, type) ((struct type *)(void *)((char *)(t)-offsetof(struct type, timer)))

struct mono message_tick(struct message_core *m, struct mono now)
{
	struct timer *t;

	while ((t = timer_take(&m->timers, now))) {
		switch (t->kind) {
		case TIMER_OUTGOING:
			outbox_due(m, OWNER(t, outgoing), now);
			break;
		case TIMER_TARGET:
			window_due(m, OWNER(t, target), now);
			break;
		case TIMER_INCOMING:
			inbox_due(m, OWNER(t, incoming), now);
			break;
		}
	}
	return timer_next(&m->timers);
}

bool message_find(const struct message_core *m, uint64_t handle, struct message_status *out)
{
	const struct outgoing *o;

	HASH_FIND(hh, m->orders, &handle, sizeof(handle), o);
	if (o)
		outbox_status(o, out);
	return o;
}

bool message_find_id(const struct message_core *m, const uint8_t id[FRAME_ID_BYTES], struct message_status *out)
{
	const struct outgoing *o;

	HASH_FIND(hh_id, m->newest, id, FRAME_ID_BYTES, o);
	if (o)
		outbox_status(o, out);
	return o;
}

uint64_t message_count(const struct message_core *m, enum message_counter what)
{
	return m->counts[what];
}

struct message_load message_load(const struct message_core *m)
{
	return (struct message_load){.out_count = m->out_count,
				     .out_bytes = m->out_bytes,
				     .in_count = m->in_count,
				     .in_bytes = m->in_bytes,
				     .status_count = m->finished_count,
				     .remembered_count = m->done_count};
}
