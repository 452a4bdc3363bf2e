/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/message_reference.h"
#include <stdlib.h>

enum { CHUNK = 1300, GIVE_UP_S = 300, ABSURD = 1 << 30 };

static void *alloc(size_t bytes)
{
	void *p = calloc(1, bytes ? bytes : 1);

	if (!p)
		abort();
	return p;
}

static void say(struct reference *r, const struct ip6 *src, const struct ip6 *dst, const struct frame *f)
{
	uint8_t bytes[FRAME_MAX_BYTES];
	struct wr w = wr_init(bytes, sizeof(bytes));

	frame_write(&w, f);
	r->send(r->ctx, src, dst, bytes, wr_len(&w));
}

static struct frame frame_of(const struct reference_out *o, enum frame_type type)
{
	struct frame f = {.type = type};

	memcpy(f.id, o->id, sizeof(f.id));
	return f;
}

static void say_init(struct reference *r, const struct reference_out *o)
{
	struct frame f = frame_of(o, FRAME_INIT);

	f.reply = o->reply;
	f.init = (struct frame_init){.length = o->len, .topic = o->topic, .topic_len = o->topic_len};
	say(r, &r->self, &o->dst, &f);
}

struct reference_out *reference_send(struct reference *r, const struct reference_out *order, struct mono now)
{
	struct reference_out *o = alloc(sizeof(*o));

	*o = *order;
	o->count = (o->len + CHUNK - 1) / CHUNK;
	o->sent_us = alloc(o->count * sizeof(*o->sent_us));
	o->acked = alloc(o->count);
	for (size_t i = 0; i < o->count; i++)
		o->sent_us[i] = -1;
	o->created = now;
	o->tick = mono_add_ms(now, 1000);
	o->next = r->out;
	r->out = o;
	say_init(r, o);
	return o;
}

static bool all_acked(const struct reference_out *o)
{
	for (size_t i = 0; i < o->count; i++)
		if (!o->acked[i])
			return false;
	return true;
}

static void say_chunks(struct reference *r, struct reference_out *o, struct mono now)
{
	for (size_t i = 0; i < o->count; i++) {
		struct frame f = frame_of(o, FRAME_CHUNK);
		const size_t at = i * CHUNK, left = o->len - at;

		if (o->acked[i] || (o->sent_us[i] >= 0 && now.us - o->sent_us[i] < 1000000))
			continue;
		o->sent_us[i] = now.us;
		f.chunk = (struct frame_chunk){
			.index = i, .offset = at, .size = left < CHUNK ? left : CHUNK, .data = o->payload + at};
		f.chunk.data_len = f.chunk.size;
		say(r, &r->self, &o->dst, &f);
	}
}

static void tick_one(struct reference *r, struct reference_out *o, struct mono now)
{
	struct frame f = frame_of(o, FRAME_ABORTED);

	o->tick = mono_add_ms(o->tick, 1000);
	if (o->state > REFERENCE_IN_PROGRESS) {
		o->tick = MONO_NEVER;
	} else if (mono_since_ms(now, o->created) >= GIVE_UP_S * 1000) {
		o->state = REFERENCE_ABORTED;
		say(r, &r->self, &o->dst, &f);
	} else if (o->state == REFERENCE_INIT) {
		say_init(r, o);
	} else if (all_acked(o)) {
		f.type = FRAME_DONE;
		f.done.count = o->count;
		blake3_hash(o->payload, o->len, f.done.checksum);
		say(r, &r->self, &o->dst, &f);
	} else {
		say_chunks(r, o, now);
	}
}

struct mono reference_tick(struct reference *r, struct mono now)
{
	struct mono next = MONO_NEVER;

	for (struct reference_out *o = r->out; o; o = o->next) {
		if (mono_is_due(o->tick, now))
			tick_one(r, o, now);
		next = mono_min(next, o->tick);
	}
	return next;
}

/* Its outbox is keyed by id: the newest counts. */
static struct reference_out *find_out(const struct reference *r, const uint8_t *id)
{
	struct reference_out *o = r->out;

	while (o && memcmp(o->id, id, FRAME_ID_BYTES) != 0)
		o = o->next;
	return o;
}

static struct reference_in **find_in(struct reference_in **list, const uint8_t *id)
{
	while (*list && memcmp((*list)->id, id, FRAME_ID_BYTES) != 0)
		list = &(*list)->next;
	return list;
}

static void free_in(struct reference_in *in)
{
	for (size_t i = 0; i < in->slot_count; i++)
		free(in->slots[i].data);
	free(in->slots);
	free(in->payload);
	free(in);
}

static void drop(struct reference_in **at)
{
	struct reference_in *in = *at;

	if (!in)
		return;
	*at = in->next;
	free_in(in);
}

static void on_init(struct reference *r, const struct ip6 *src, const struct ip6 *dst, const struct frame *f)
{
	struct frame ack = *f;
	struct reference_in *in;

	if (f->init.length > ABSURD) {
		r->dead = "absurd length";
		return;
	}
	if (*find_in(&r->complete, f->id))
		return;
	drop(find_in(&r->pending, f->id));
	in = alloc(sizeof(*in));
	memcpy(in->id, f->id, sizeof(in->id));
	in->reply = f->reply;
	in->src = *src;
	in->dst = *dst;
	in->len = f->init.length;
	in->topic_len = f->init.topic_len;
	memcpy(in->topic, f->init.topic, in->topic_len);
	in->slot_count = (in->len + CHUNK - 1) / CHUNK;
	in->slots = alloc(in->slot_count * sizeof(*in->slots));
	in->next = r->pending;
	r->pending = in;
	ack.type = FRAME_INIT_ACK;
	say(r, dst, src, &ack);
}

static void on_chunk(struct reference *r, const struct ip6 *src, const struct ip6 *dst, const struct frame *f)
{
	const struct frame_chunk *c = &f->chunk;
	struct reference_in *in = *find_in(&r->pending, f->id);
	struct frame ack = *f;
	uint64_t last;

	if (!in)
		return;
	last = (in->len + 249) / 250 - 1;
	if (c->offset + c->data_len > in->len || c->index > last || (c->data_len < 250 && c->index != last))
		return;
	if (c->index >= in->slot_count) {
		in->slots = realloc(in->slots, (c->index + 1) * sizeof(*in->slots));
		if (!in->slots)
			abort();
		memset(in->slots + in->slot_count, 0, (c->index + 1 - in->slot_count) * sizeof(*in->slots));
		in->slot_count = c->index + 1;
	}
	free(in->slots[c->index].data);
	in->slots[c->index].data = alloc(c->data_len);
	in->slots[c->index].size = c->data_len;
	memcpy(in->slots[c->index].data, c->data, c->data_len);
	ack.type = FRAME_CHUNK_ACK;
	say(r, dst, src, &ack);
}

/* The slots joined; false if one is empty or the sum is wrong. */
static bool join(struct reference_in *in)
{
	size_t at = 0;

	free(in->payload);
	in->payload = alloc(in->len);
	for (size_t i = 0; i < in->slot_count; i++) {
		if (!in->slots[i].data || in->slots[i].size > in->len - at)
			return false;
		memcpy(in->payload + at, in->slots[i].data, in->slots[i].size);
		at += in->slots[i].size;
	}
	return at == in->len;
}

static void on_done(struct reference *r, const struct ip6 *src, const struct ip6 *dst, const struct frame *f)
{
	struct reference_in **at = find_in(&r->pending, f->id), *in = *at;
	uint8_t checksum[BLAKE3_BYTES];
	struct frame ack = *f;

	if (!in || f->done.count != in->slot_count || !join(in))
		return;
	blake3_hash(in->payload, in->len, checksum);
	if (memcmp(checksum, f->done.checksum, sizeof(checksum)) != 0)
		return;
	*at = in->next;
	in->next = r->complete;
	r->complete = in;
	r->received(r->ctx, in);
	ack.type = FRAME_DONE_ACK;
	say(r, dst, src, &ack);
}

static void on_ack(struct reference *r, const struct frame *f)
{
	struct reference_out *o = find_out(r, f->id);

	if (!o)
		return;
	if (f->type == FRAME_INIT_ACK && o->state == REFERENCE_INIT) {
		o->state = REFERENCE_IN_PROGRESS;
	} else if (f->type == FRAME_CHUNK_ACK && o->state == REFERENCE_IN_PROGRESS) {
		if (f->chunk.index == o->count)
			r->dead = "chunk ack of index == count";
		else if (f->chunk.index < o->count)
			o->acked[f->chunk.index] = true;
	} else if (f->type == FRAME_DONE_ACK && o->state == REFERENCE_IN_PROGRESS) {
		o->state = REFERENCE_RECEIVED;
	}
}

static void dispatch(struct reference *r, const struct ip6 *src, const struct ip6 *dst, const struct frame *f)
{
	struct reference_out *o = find_out(r, f->id);

	switch (f->type) {
	case FRAME_INIT:
		on_init(r, src, dst, f);
		break;
	case FRAME_CHUNK:
		on_chunk(r, src, dst, f);
		break;
	case FRAME_DONE:
		on_done(r, src, dst, f);
		break;
	case FRAME_READ:
		if (o && o->state == REFERENCE_RECEIVED)
			o->state = REFERENCE_READ;
		break;
	case FRAME_ABORTED:
		drop(find_in(&r->pending, f->id));
		break;
	default:
		on_ack(r, f);
	}
}

void reference_packet(struct reference *r, const struct ip6 *src, const struct ip6 *dst, const uint8_t *bytes,
		      size_t len)
{
	struct frame f;

	switch (frame_read(bytes, len, &f)) {
	case FRAME_OK:
		if (f.type == FRAME_CHUNK_ACK && f.cut)
			r->dead = "cut chunk ack"; /* not always, but never ours */
		dispatch(r, src, dst, &f);
		break;
	case FRAME_UNKNOWN:
		break;
	case FRAME_BAD:
		r->dead = "packet too short";
	}
}

void reference_fini(struct reference *r)
{
	while (r->pending)
		drop(&r->pending);
	while (r->complete)
		drop(&r->complete);
	while (r->out) {
		struct reference_out *o = r->out;

		r->out = o->next;
		free(o->payload);
		free(o->sent_us);
		free(o->acked);
		free(o);
	}
}
