/* SPDX-License-Identifier: Apache-2.0 */
/* Readers and writers of the packets, one pair per line of frame.def. A reader is its fields, in order; the cursor's
 * error is asked once, at the end. */
#include "controld/message/frame.h"

static void read_init(struct rd *r, struct frame *f)
{
	f->init.length = rd_be64(r);
	f->init.topic_len = rd_u8(r);
	f->init.topic = rd_take(r, f->init.topic_len);
}

static void write_init(struct wr *w, const struct frame *f)
{
	wr_be64(w, f->init.length);
	wr_u8(w, f->init.topic_len);
	wr_bytes(w, f->init.topic, f->init.topic_len);
}

static void read_init_ack(struct rd *r, struct frame *f)
{
	f->cut = rd_left(r) < FRAME_INIT_BYTES - FRAME_HEADER_BYTES;
	if (f->cut)
		return;
	f->init.length = rd_be64(r);
	f->init.topic_len = rd_u8(r);
}

static void write_init_ack(struct wr *w, const struct frame *f)
{
	wr_be64(w, f->init.length);
	wr_u8(w, f->init.topic_len);
}

static void read_chunk(struct rd *r, struct frame *f)
{
	f->chunk.index = rd_be64(r);
	f->chunk.offset = rd_be64(r);
	f->chunk.size = rd_be64(r);
	f->chunk.data_len = f->chunk.size < rd_left(r) ? (size_t)f->chunk.size : rd_left(r);
	f->chunk.data = rd_take(r, f->chunk.data_len);
}

static void write_chunk_ack(struct wr *w, const struct frame *f)
{
	wr_be64(w, f->chunk.index);
	wr_be64(w, f->chunk.offset);
	wr_be64(w, f->chunk.size);
}

static void write_chunk(struct wr *w, const struct frame *f)
{
	write_chunk_ack(w, f);
	wr_bytes(w, f->chunk.data, f->chunk.data_len);
}

static void read_chunk_ack(struct rd *r, struct frame *f)
{
	f->cut = rd_left(r) < FRAME_CHUNK_BYTES - FRAME_HEADER_BYTES;
	f->chunk.index = rd_be64(r);
	if (f->cut)
		return;
	f->chunk.offset = rd_be64(r);
	f->chunk.size = rd_be64(r);
}

static void read_done(struct rd *r, struct frame *f)
{
	f->done.count = rd_be64(r);
	rd_bytes(r, f->done.checksum, sizeof(f->done.checksum));
}

static void write_done(struct wr *w, const struct frame *f)
{
	wr_be64(w, f->done.count);
	wr_bytes(w, f->done.checksum, sizeof(f->done.checksum));
}

static void read_done_ack(struct rd *r, struct frame *f)
{
	f->cut = rd_left(r) < FRAME_DONE_BYTES - FRAME_HEADER_BYTES;
	if (!f->cut)
		read_done(r, f);
}

static void write_done_ack(struct wr *w, const struct frame *f)
{
	write_done(w, f);
}

static void read_read(struct rd *r, struct frame *f)
{
	(void)r;
	(void)f;
}

static void write_read(struct wr *w, const struct frame *f)
{
	(void)w;
	(void)f;
}

static void read_aborted(struct rd *r, struct frame *f)
{
	read_read(r, f);
}

static void write_aborted(struct wr *w, const struct frame *f)
{
	write_read(w, f);
}

/* What a packet is, though several flags may be set: the order of wire-200 6.1. READ ACK is none of ours. */
static int type_of(uint16_t flags)
{
	static const uint16_t plain[] = {FRAME_INIT, FRAME_CHUNK, FRAME_DONE, FRAME_READ, FRAME_ABORTED};

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (flags & plain[i])
			return plain[i] | (flags & FRAME_FLAG_ACK);
	return 0;
}

enum frame_verdict frame_read(const uint8_t *bytes, size_t len, struct frame *out)
{
	struct rd r = rd_init(bytes, len);
	struct frame f = {0};
	uint16_t flags;
	int type;

	rd_bytes(&r, f.id, sizeof(f.id));
	flags = rd_be16(&r);
	(void)rd_be16(&r);
	if (r.bad)
		return FRAME_BAD;
	f.reply = flags & FRAME_FLAG_REPLY;
	type = type_of(flags);
	switch (type) {
#define FRAME(name, NAME, number) \
	case FRAME_##NAME: \
		read_##name(&r, &f); \
		break;
#include "controld/message/frame.def"
	default:
		return FRAME_UNKNOWN;
	}
	if (r.bad)
		return FRAME_BAD;
	f.type = (enum frame_type)type;
	*out = f;
	return FRAME_OK;
}

void frame_write(struct wr *w, const struct frame *f)
{
	wr_bytes(w, f->id, sizeof(f->id));
	wr_be16(w, (uint16_t)(f->type | (f->reply ? FRAME_FLAG_REPLY : 0)));
	wr_be16(w, 0);
	switch (f->type) {
#define FRAME(name, NAME, number) \
	case FRAME_##NAME: \
		write_##name(w, f); \
		break;
#include "controld/message/frame.def"
	}
}
