/* SPDX-License-Identifier: Apache-2.0 */
/* Strangers' packets into a message core that also sends. The input is a script: one byte says what happens. Packets
 * come raw, or as frames from short forms with few ids, so that tables fill and messages complete; what the core itself
 * sent can be acknowledged. What must hold: it sends only packets that parse, never an INIT after the ACK, tells each
 * end once, and holds no more bytes than the cap. */
#include "controld/message/message.h"
#include "shared/limits.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	ACT_RAW,
	ACT_INIT,
	ACT_CHUNK,
	ACT_DONE,
	ACT_OTHER,
	ACT_ACK,
	ACT_SEND,
	ACT_STORED,
	ACT_TIME,
	ACT_REMEMBER,
	ACTS,
	HANDLES = 256,
	KEPT = 8, /* packets sent last that can be acknowledged */
};

struct world {
	struct message_core *m;
	struct mono now;
	struct {
		struct ip6 dst;
		size_t len;
		uint8_t bytes[FRAME_MAX_BYTES];
	} kept[KEPT];
	size_t sent;
	uint64_t token; /* given last */
	uint8_t ended[HANDLES], dice;
	uint8_t zeros[FRAME_CHUNK_DATA_BYTES];
};

static struct ip6 ip_of(uint8_t node)
{
	return (struct ip6){{4, node & 3, [15] = 1}};
}

static void on_send(void *ctx, const struct ip6 *src, const struct ip6 *dst, const uint8_t *bytes, size_t len)
{
	struct world *w = ctx;
	struct frame f;

	(void)src;
	assert(frame_read(bytes, len, &f) == FRAME_OK && !f.cut);
	if (f.type & FRAME_FLAG_ACK)
		return;
	w->kept[w->sent % KEPT].dst = *dst;
	w->kept[w->sent % KEPT].len = len;
	memcpy(w->kept[w->sent++ % KEPT].bytes, bytes, len);
}

static bool on_key(void *ctx, const struct ip6 *src, uint8_t public_key[32])
{
	(void)ctx;
	memset(public_key, 1, 32);
	return src->b[1] != 3;
}

static void on_received(void *ctx, const struct message_in *in)
{
	struct world *w = ctx;
	uint8_t checksum[BLAKE3_BYTES];

	if (in->src.b[1] != 0) {
		blake3_hash(in->payload, in->len, checksum);
		assert(memcmp(checksum, in->checksum, sizeof(checksum)) == 0);
	}
	w->token = in->token;
}

static void on_status(void *ctx, const struct message_status *s)
{
	struct world *w = ctx;

	assert(s->handle < HANDLES);
	assert(s->state != MESSAGE_PENDING);
	assert(w->ended[s->handle] == 0 || (s->state == MESSAGE_READ && w->ended[s->handle] == MESSAGE_RECEIVED));
	w->ended[s->handle] = s->state >= MESSAGE_RECEIVED ? s->state : 0;
}

static void on_random(void *ctx, void *out, size_t len)
{
	memset(out, ++((struct world *)ctx)->dice & 15, len);
	((uint8_t *)out)[0] = ((struct world *)ctx)->dice;
}

static void give(struct world *w, const struct ip6 *src, const uint8_t *bytes, size_t len)
{
	const struct ip6 self = ip_of(0);
	uint8_t *copy = malloc(len ? len : 1); /* so that reading too far is seen */

	if (!copy)
		abort();
	if (len)
		memcpy(copy, bytes, len);
	message_packet(w->m, src, &self, copy, len, w->now);
	free(copy);
}

static void give_frame(struct world *w, uint8_t node, const struct frame *f)
{
	const struct ip6 src = ip_of(node);
	uint8_t bytes[FRAME_MAX_BYTES];
	struct wr wr = wr_init(bytes, sizeof(bytes));

	frame_write(&wr, f);
	give(w, &src, bytes, wr_len(&wr));
}

static void act_raw(struct world *w, struct rd *r)
{
	const struct ip6 src = ip_of(rd_u8(r));
	const size_t want = rd_u8(r), len = want < rd_left(r) ? want : rd_left(r);

	give(w, &src, rd_take(r, len), len);
}

static struct frame frame_of(struct rd *r, enum frame_type type)
{
	struct frame f = {.type = type};

	memset(f.id, rd_u8(r) & 3, sizeof(f.id));
	return f;
}

static void act_init(struct world *w, struct rd *r)
{
	const uint8_t node = rd_u8(r), form = rd_u8(r);
	struct frame f = frame_of(r, FRAME_INIT);

	f.reply = form & 1;
	f.init.topic = w->zeros;
	f.init.topic_len = form & 2;
	f.init.length = (uint64_t)rd_be16(r) << (form >> 4);
	give_frame(w, node, &f);
}

static void act_chunk(struct world *w, struct rd *r)
{
	const uint8_t node = rd_u8(r);
	struct frame f = frame_of(r, FRAME_CHUNK);

	f.chunk.index = rd_u8(r);
	f.chunk.offset = rd_be16(r);
	f.chunk.data_len = rd_be16(r) % sizeof(w->zeros);
	f.chunk.size = f.chunk.data_len;
	f.chunk.data = w->zeros;
	w->zeros[0] = rd_u8(r) & 1; /* not always zero */
	give_frame(w, node, &f);
	w->zeros[0] = 0;
}

/* DONE of a message of so many zeros. */
static void act_done(struct world *w, struct rd *r)
{
	static uint8_t whole[UINT16_MAX + 1];
	const uint8_t node = rd_u8(r);
	struct frame f = frame_of(r, FRAME_DONE);

	f.done.count = rd_u8(r);
	whole[0] = rd_u8(r) & 1;
	blake3_hash(whole, rd_be16(r), f.done.checksum);
	give_frame(w, node, &f);
}

static void act_other(struct world *w, struct rd *r)
{
	static const enum frame_type types[] = {FRAME_READ, FRAME_ABORTED, FRAME_INIT_ACK, FRAME_CHUNK_ACK,
						FRAME_DONE_ACK};
	const uint8_t node = rd_u8(r);
	struct frame f = frame_of(r, types[rd_u8(r) % 5]);

	if (f.type == FRAME_CHUNK_ACK)
		f.chunk.index = rd_u8(r);
	give_frame(w, node, &f);
}

static void act_ack(struct world *w, struct rd *r)
{
	const size_t i = rd_u8(r) % KEPT;
	uint8_t bytes[FRAME_MAX_BYTES];

	if (i >= w->sent)
		return;
	memcpy(bytes, w->kept[i].bytes, w->kept[i].len);
	bytes[8] |= FRAME_FLAG_ACK >> 8;
	give(w, &w->kept[i].dst, bytes, w->kept[i].len);
}

static void act_send(struct world *w, struct rd *r)
{
	struct message_order o = {.handle = rd_u8(r), .dst = ip_of(rd_u8(r)), .len = rd_be16(r), .topic = w->zeros};
	const uint8_t form = rd_u8(r);
	struct message_status known;

	o.has_id = o.reply = form & 1;
	memset(o.id, form >> 6, sizeof(o.id));
	o.topic_len = form >> 4 & 1;
	o.state = (form & 0x0e) == 0x0e ? MESSAGE_RECEIVED : MESSAGE_PENDING;
	if (message_find(w->m, o.handle, &known))
		return;
	w->ended[o.handle] = (uint8_t)(o.state == MESSAGE_RECEIVED ? MESSAGE_RECEIVED : 0);
	o.payload = calloc(1, o.len + 1);
	if (!o.payload)
		abort();
	if (message_send(w->m, &o, w->now, 1000, NULL) != 0)
		free(o.payload);
}

static void act_remember(struct world *w, struct rd *r)
{
	struct message_in in = {.src = ip_of(rd_u8(r)), .dst = ip_of(0), .len = rd_be16(r), .count = rd_u8(r)};

	memset(in.id, rd_u8(r) & 3, sizeof(in.id));
	message_remember(w->m, &in, (int64_t)rd_be16(r) * 10, w->now);
	message_read(w->m, &in.src, &in.dst, in.id, w->now);
}

static void act(struct world *w, struct rd *r)
{
	static void (*const acts[])(struct world * w, struct rd * r) = {
		[ACT_RAW] = act_raw,	 [ACT_INIT] = act_init, [ACT_CHUNK] = act_chunk, [ACT_DONE] = act_done,
		[ACT_OTHER] = act_other, [ACT_ACK] = act_ack,	[ACT_SEND] = act_send,	 [ACT_REMEMBER] = act_remember,
	};
	const uint8_t what = rd_u8(r) % ACTS;

	if (what == ACT_STORED) {
		const uint8_t form = rd_u8(r);

		message_stored(w->m, w->token - (form >> 4 & 3), form & 1, w->now);
	} else if (what == ACT_TIME) {
		w->now = mono_add_ms(w->now, (int64_t)rd_u8(r) * rd_u8(r) * 8);
	} else {
		acts[what](w, r);
	}
	assert(message_tick(w->m, w->now).us > w->now.us);
	assert(message_load(w->m).in_bytes <= LIMIT_MESSAGE_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct message_ops ops = {
		.send = on_send, .key = on_key, .received = on_received, .status = on_status, .random = on_random};
	static struct world w;
	const struct ip6 self = ip_of(0);
	const struct message_config config = {.self = self, .own = prefix_make(&self, 64)};
	struct rd r = rd_init(data, size);

	w = (struct world){.now = {.us = 1000}};
	w.m = message_new(&config, &ops, &w);
	while (rd_left(&r) > 0)
		act(&w, &r);
	message_free(w.m);
	return 0;
}
