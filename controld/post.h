/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of this node: orders that leave, the inbox, and who gets what of it. Composes the message core
 * (controld/message) with the store, which is one of its functions of the world; pure like the node: time is an
 * argument. The HTTP API and the WebSocket stream are skins over it.
 *
 *   client -> post_send -> store -> message core -> fastpath
 *   fastpath -> message core -> store -> DONE ACK, inbox -> a taker (HTTP), a reply's waiter or a stream (WebSocket)
 *
 * Invariants: an order is sent and told accepted only when it is stored. A message is in the inbox only when it is
 * stored, and until then not acknowledged; it leaves the inbox when a consumer says that it has it, and not before: at
 * least once, the id removes doubles. It is with one consumer at a time. READ leaves when it is consumed, once; a peek
 * is no read. One that the store cannot read is left alone for a second, while others are given.
 *
 * Callbacks come from post_tick() only, but for those of the world (post_ops). They may call everything here except
 * post_tick() and post_free(). After each call the owner calls post_tick() in the same turn of its loop. */
#ifndef CONTROLD_POST_H
#define CONTROLD_POST_H

#include "controld/message/message.h"
#include "controld/store/record.h"

struct post;
struct post_taker;
struct post_stream;

struct post_time {
	struct mono mono;
	int64_t real_s; /* realtime */
};

struct post_config {
	struct ip6 self;
	struct prefix own; /* our /64 */
	uint8_t public_key[32];
	size_t max_length; /* of a message that arrives; 0: the default */
	uint32_t inbox_count; /* caps; 0: the defaults */
	uint64_t inbox_bytes; /* at least one longest message */
};

/* The world. None of these may call back into the same post. */
struct post_ops {
	/* User data of type message, hop limit 64; bytes begin after the user-data header. Borrowed. */
	void (*send)(void *ctx, const struct ip6 *src, const struct ip6 *dst, const uint8_t *bytes, size_t len);
	bool (*key)(void *ctx, const struct ip6 *src, uint8_t public_key[32]);
	void (*random)(void *ctx, void *out, size_t len);
	/* The store, as the functions of that name in store.h; answered by post_order_stored() and so on. */
	void (*add_order)(void *ctx, const struct record_order *o);
	void (*add_message)(void *ctx, const struct record_message *m);
	void (*load_message)(void *ctx, uint64_t row);
	void (*end_order)(void *ctx, uint64_t row, uint8_t state);
	void (*del_order)(void *ctx, uint64_t row);
	void (*del_message)(void *ctx, uint64_t row);
	/* The state of an order changed: for whoever watches it. */
	void (*status)(void *ctx, const struct message_status *s);
};

struct post *post_new(const struct post_config *c, const struct post_ops *ops, void *ctx);
/* free(NULL) is fine. The store must be closed: it may read what it was lent. Nothing is told; handles of takers and
 * streams become invalid. */
void post_free(struct post *p);

/* What the store found, before post_begin(); as store_ops of that name. */
void post_found_order(struct post *p, const struct record_order *o, struct post_time now);
void post_found_message(struct post *p, const struct record_message *m);
void post_found_past(struct post *p, const struct record_message *m, struct post_time now);
/* The store is open, before anything else. Its epoch, and the highest rows it ever used. What it found is gone on with
 * at the next post_tick(). */
void post_begin(struct post *p, const uint8_t epoch[RECORD_EPOCH_BYTES], uint64_t last_order, uint64_t last_message);

/* Completions of the store. */
void post_order_stored(struct post *p, uint64_t row, int error, struct post_time now);
void post_message_stored(struct post *p, uint64_t row, int error, struct post_time now);
void post_loaded(struct post *p, uint64_t row, int error, uint8_t *payload, size_t len);

/* A packet of type message for us, opened. */
void post_packet(struct post *p, const struct ip6 *src, const struct ip6 *dst, const uint8_t *bytes, size_t len,
		 struct post_time now);

/* Does what is due and makes the deliveries; returns when to be called next: now, if much was to be done. */
struct mono post_tick(struct post *p, struct post_time now);

/* Sending */

struct post_letter {
	struct ip6 dst;
	bool reply; /* to id */
	uint8_t id[RECORD_ID_BYTES];
	const uint8_t *topic; /* borrowed */
	uint8_t topic_len;
	uint8_t *payload; /* malloc; taken whatever comes of it. NULL if len is 0 */
	size_t len;
	uint32_t deadline_s; /* 0: the default */
};
/* error 0: stored and on its way, under that id. -ENOSPC: the disk is full; -EAGAIN: too much is on its way already;
 * -EIO: the store failed; -EINVAL: longer than 1 GiB, or a deadline later than LIMIT_MESSAGE_DEADLINE_S. Called once,
 * unless forgotten. */
typedef void post_sent(void *ctx, int error, const uint8_t id[RECORD_ID_BYTES]);
/* A ticket for post_send_forget(), never 0. fn may be NULL. */
uint64_t post_send(struct post *p, const struct post_letter *l, post_sent *fn, void *ctx, struct post_time now);
/* fn will not be called; the message goes its way. An old ticket is ignored. */
void post_send_forget(struct post *p, uint64_t ticket);
/* Of the newest order with that id; false if none is known. */
bool post_status(const struct post *p, const uint8_t id[RECORD_ID_BYTES], struct message_status *out);

/* Taking one message */

/* What a consumer gets. It owns the payload: post_message_fini(). The struct itself is the caller's, to be copied. */
struct post_message {
	uint64_t row;
	uint8_t id[RECORD_ID_BYTES];
	bool reply;
	struct ip6 src, dst;
	uint8_t public_key[32]; /* of src */
	uint8_t topic_len;
	uint8_t topic[255];
	uint8_t *payload;
	size_t len;
	int64_t arrived_s;
};
void post_message_fini(struct post_message *m);

struct post_filter {
	bool by_topic; /* only messages with exactly this topic; of length 0: those without one */
	uint8_t topic_len;
	uint8_t topic[255];
};

/* Called once: with a message, which becomes the callee's, or with NULL when `until` came first. A message that was not
 * peeked is the callee's until it calls post_consumed() or post_give_back(). A message that must be loaded is waited
 * for beyond `until`. */
typedef void post_take_fn(void *ctx, struct post_message *m);
struct post_take {
	struct post_filter filter;
	bool peek; /* does not consume: others may get it at the same time */
	struct mono until; /* in the past: only what is there */
	post_take_fn *fn;
	void *ctx;
};
/* NULL: too many wait already. Who came first is served first. */
struct post_taker *post_take(struct post *p, const struct post_take *t);
/* Takes the next message of that id from the /64 of dst, before any other consumer. */
struct post_taker *post_take_reply(struct post *p, const uint8_t id[RECORD_ID_BYTES], const struct ip6 *dst,
				   const struct post_take *t);
/* fn will not be called; not to be called after fn was. */
void post_take_cancel(struct post *p, struct post_taker *t);
/* The consumer has it: it leaves the inbox, and its sender is told. Unknown rows are ignored. */
void post_consumed(struct post *p, uint64_t row, struct post_time now);
/* The consumer could not be given it: the next one gets it. */
void post_give_back(struct post *p, uint64_t row);

/* Streams: consumers of many messages, with a window and cumulative acknowledgement. */

struct post_stream_id {
	uint8_t epoch[RECORD_EPOCH_BYTES], stream[16];
};
struct post_stream_open {
	struct post_filter filter;
	uint32_t window; /* 1 to LIMIT_STREAM_WINDOW */
	bool resume; /* this stream, having got all up to offset */
	struct post_stream_id id;
	uint64_t offset;
	/* The next message becomes the callee's. Offsets rise, with gaps. */
	void (*message)(void *ctx, uint64_t offset, struct post_message *m);
	/* Another connection has resumed the stream: it is gone, do not close it. Until then it may be. */
	void (*taken_over)(void *ctx);
	void *ctx;
};
struct post_stream_opened {
	struct post_stream_id id;
	uint64_t offset; /* acknowledged so far; of a new stream: what its offsets are above */
	bool recovered; /* resumed, and nothing that it was given and had not acknowledged went elsewhere */
};
/* NULL: too many. A resumed stream gets its unacknowledged messages again, under new offsets. */
struct post_stream *post_stream_open(struct post *p, const struct post_stream_open *o, struct post_stream_opened *out,
				     struct post_time now);
/* All that this stream was given up to offset is consumed; again is fine. False: so high an offset was never given to
 * it. */
MUST_CHECK bool post_stream_ack(struct post *p, struct post_stream *s, uint64_t offset, struct post_time now);
/* No message while paused: its client does not keep up. */
void post_stream_pause(struct post *p, struct post_stream *s, bool paused);
/* The connection is gone. What it had not acknowledged waits for it LIMIT_STREAM_RESERVED_MS, then goes to others. */
void post_stream_close(struct post *p, struct post_stream *s, struct post_time now);

/* Statistics */
struct post_load {
	struct message_load message;
	uint32_t inbox_count, takers, streams;
	uint64_t inbox_bytes;
	uint32_t inbox_cap;
	uint64_t inbox_cap_bytes;
	uint64_t refused_full; /* messages not taken because the inbox, or its sender's part of it, was full */
	uint64_t unreadable; /* loads that failed, and are tried again */
	uint64_t lost; /* messages that the store does not have any more */
};
struct post_load post_load(const struct post *p);
uint64_t post_count(const struct post *p, enum message_counter what);

#endif
