/* SPDX-License-Identifier: Apache-2.0 */
/* An order that its receiver has accepted: cut into chunks, sent through the window of its destination, then concluded
 * by DONE. The checksum grows as chunks are sent for the first time, in their order. */
#include "controld/message/core.h"

static uint32_t chunk_count(size_t len)
{
	return (uint32_t)((len + FRAME_CHUNK_DATA_BYTES - 1) / FRAME_CHUNK_DATA_BYTES);
}

/* An even split: sizes differ by one at most, so that each of several has far more than the least accepted. */
static struct frame_chunk chunk_at(const struct outgoing *o, uint32_t index)
{
	const size_t base = o->len / o->count, longer = o->len % o->count;
	const size_t offset = index * base + (index < longer ? index : longer);
	const size_t size = base + (index < longer);

	return (struct frame_chunk){
		.index = index, .offset = offset, .size = size, .data = o->payload + offset, .data_len = size};
}
_Static_assert(FRAME_CHUNK_DATA_BYTES / 2 >= FRAME_CHUNK_MIN_BYTES, "two chunks of an even split are long enough");

static void send_frame(struct message_core *m, const struct outgoing *o, struct frame *f)
{
	memcpy(f->id, o->id, sizeof(f->id));
	core_send(m, &m->self, &o->dst, f);
}

static void send_chunk(struct message_core *m, struct outgoing *o, uint32_t index)
{
	struct frame f = {.type = FRAME_CHUNK, .chunk = chunk_at(o, index)};

	send_frame(m, o, &f);
}

/* How long to wait for the DONE ACK after so many tries. */
static int64_t done_wait_us(const struct outgoing *o)
{
	int64_t wait = window_rto_us(o->exchange->target);

	if (wait < MIN_DONE_WAIT_US)
		wait = MIN_DONE_WAIT_US;
	wait <<= o->tries - 1 < MAX_BACKOFF ? o->tries - 1 : MAX_BACKOFF;
	return wait < MAX_RTO_US ? wait : MAX_RTO_US;
}

void chunks_done_again(struct message_core *m, const struct outgoing *o)
{
	struct frame f = {.type = FRAME_DONE, .done = {.count = o->count}};

	memcpy(f.done.checksum, o->checksum, sizeof(f.done.checksum));
	send_frame(m, o, &f);
}

void chunks_done(struct message_core *m, struct outgoing *o, struct mono now)
{
	chunks_done_again(m, o);
	o->tries++;
	if (o->count > 0 && o->acked == o->count && o->tries > (uint32_t)PROBE_AFTER << o->rounds) {
		o->probing = true;
		send_chunk(m, o, 0);
	}
	timer_set(&m->timers, &o->timer, mono_min(o->deadline, mono_add_us(now, done_wait_us(o))));
}

static void finish_hash(struct outgoing *o)
{
	blake3_final(o->hash, o->checksum);
	free(o->hash);
	o->hash = NULL;
}

void chunks_begin(struct message_core *m, struct outgoing *o, struct mono now)
{
	o->state = MESSAGE_SENDING;
	o->doubted = false;
	o->heard = now;
	o->tries = 0;
	o->count = chunk_count(o->len);
	o->hash = core_alloc(sizeof(*o->hash));
	blake3_init(o->hash);
	timer_set(&m->timers, &o->timer, o->deadline);
	if (o->count == 0) {
		finish_hash(o);
		chunks_done(m, o, now);
		return;
	}
	o->chunks = core_alloc(o->count * sizeof(*o->chunks));
	for (uint32_t i = 0; i < o->count; i++)
		o->chunks[i].owner = o;
	outbox_list_add(o, OUT_READY);
}

bool chunks_send_next(struct message_core *m, struct outgoing *o, struct mono now)
{
	struct chunk *c = o->lost;

	if (c) {
		DL_DELETE(o->lost, c);
	} else if (o->fresh < o->count) {
		const struct frame_chunk bytes = chunk_at(o, o->fresh);

		blake3_update(o->hash, bytes.data, bytes.data_len);
		c = &o->chunks[o->fresh++];
		if (o->fresh == o->count)
			finish_hash(o);
	} else {
		return false;
	}
	window_sent(m, o->exchange->target, c, now);
	send_chunk(m, o, (uint32_t)(c - o->chunks));
	return true;
}

static void lose(struct chunk *c)
{
	struct outgoing *o = c->owner;

	c->state = CHUNK_LOST;
	DL_APPEND(o->lost, c);
}

/* Unless an ACK comes soon, the receiver may have forgotten it. Once a DONE was sent, its own timer looks after that.
 */
static void doubt(struct message_core *m, struct outgoing *o, struct mono now)
{
	if (o->doubted || o->tries > 0 || o->rounds > 0)
		return;
	o->doubted = true;
	timer_set(&m->timers, &o->timer, mono_min(o->deadline, mono_add_ms(now, FORGOTTEN_MS)));
}

static void trust(struct message_core *m, struct outgoing *o)
{
	if (!o->doubted)
		return;
	o->doubted = false;
	timer_set(&m->timers, &o->timer, o->deadline);
}

void chunks_lost(struct message_core *m, struct chunk *c, struct mono now)
{
	struct outgoing *o = c->owner;

	lose(c);
	if (o->list == OUT_NONE)
		outbox_list_add(o, OUT_READY);
	doubt(m, o, now);
}

/* The receiver takes chunks in again: it may have lost some, and all but this one are sent anew. */
static void send_all_again(struct message_core *m, struct outgoing *o, struct mono now)
{
	o->probing = false;
	o->heard = now;
	o->tries = 0;
	if (o->rounds < MAX_BACKOFF)
		o->rounds++;
	if (o->count == 1) {
		chunks_done(m, o, now);
		return;
	}
	o->acked = 1;
	for (uint32_t i = 1; i < o->count; i++)
		lose(&o->chunks[i]);
	outbox_list_add(o, OUT_READY);
	/* DONE is asked on beside them: it may have been complete after all. */
	o->tries = 1;
	timer_set(&m->timers, &o->timer, mono_min(o->deadline, mono_add_us(now, done_wait_us(o))));
}

static void take_ack(struct message_core *m, struct outgoing *o, struct chunk *c, struct mono now)
{
	if (c->state == CHUNK_LOST) {
		DL_DELETE(o->lost, c);
		if (c->tries == 1) /* given up too soon */
			window_sample(o->exchange->target, now.us - c->sent_us);
	} else {
		window_acked(m, o->exchange->target, c, now);
	}
	c->state = CHUNK_ACKED;
	o->heard = now;
	trust(m, o);
	o->acked++;
	if (o->acked < o->count)
		return;
	o->tries = 0;
	outbox_list_del(m, o);
	chunks_done(m, o, now);
}

void chunks_acked(struct message_core *m, struct outgoing *o, const struct packet *p)
{
	const struct frame_chunk *got = &p->frame->chunk;
	struct frame_chunk sent;
	struct chunk *c;

	if (got->index >= o->fresh) {
		m->counts[MESSAGE_PACKET_IGNORED]++;
		return;
	}
	c = &o->chunks[got->index];
	sent = chunk_at(o, (uint32_t)got->index);
	if (!p->frame->cut && (got->offset != sent.offset || got->size != sent.size))
		m->counts[MESSAGE_PACKET_IGNORED]++;
	else if (c->state == CHUNK_FLYING || c->state == CHUNK_LOST)
		take_ack(m, o, c, p->now);
	else if (o->probing && got->index == 0)
		send_all_again(m, o, p->now);
	window_pump(m, o->exchange->target, p->now);
}

void chunks_fini(struct message_core *m, struct outgoing *o)
{
	(void)m;
	for (uint32_t i = 0; i < o->fresh; i++)
		if (o->chunks[i].state == CHUNK_FLYING)
			window_take(o->exchange->target, &o->chunks[i]);
	free(o->chunks);
	free(o->hash);
	o->chunks = NULL;
	o->hash = NULL;
	o->lost = NULL;
	o->fresh = 0;
}
