/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the post and who may change them.
 *
 *   order      on its way to the store, or its outcome is not yet told            post_send.c
 *   entry      a message of the inbox, by row                                     post_inbox.c
 *   sender     the /64 that entries are from, for its part of the inbox           post_inbox.c
 *   load       entries whose payload is asked of the store                        post_load.c
 *   queue      all entries, or those of one topic, by row                         post_inbox.c
 *   consumer   a taker or a stream that waits, by turn                            post_take.c
 *   taker      who waits for one message                                          post_take.c
 *   thread     the entries of one sender and id, and who waits for such           post_take.c
 *   stream     a connection, or the memory of one that was cut                    post_stream.c
 *   grant      an entry that a stream has or shall get: by row and generation     post_grant.c
 *
 * Work is done in two steps that alternate in post_tick(): matching (post_match.c) reserves entries for consumers and
 * calls nobody; then the callbacks are made, one at a time from lists that may change under them. */
#ifndef CONTROLD_POST_PRIVATE_H
#define CONTROLD_POST_PRIVATE_H

#include "shared/base/siphash.h"
#include <stdlib.h>
#define uthash_fatal(msg) abort()
#include "controld/post.h"
#include "shared/limits.h"
#include <assert.h>
#include <errno.h>
#include <uthash.h>
#include <utlist.h>

/* A message that leaves. */
struct post_order {
	uint64_t row; /* its ticket too */
	struct post_order *prev, *next; /* of found, or of outcomes */
	struct message_order order; /* its payload is owned */
	uint8_t *topic; /* owned */
	bool storing;
	int error; /* of outcomes */
	post_sent *fn;
	void *ctx;
	UT_hash_handle hh;
};

enum post_entry_state {
	ENTRY_STORING,
	ENTRY_AVAILABLE,
	ENTRY_ASLEEP, /* could not be loaded */
	ENTRY_FOR_TAKER, /* reserved */
	ENTRY_TAKEN, /* with a callee */
	ENTRY_FOR_STREAM, /* reserved */
	ENTRY_WITH_STREAM, /* given, not acknowledged */
	ENTRY_GONE, /* waits only for the end of its load */
};

enum post_loading { LOADING_NOT, LOADING_QUEUED, LOADING_FLYING };

struct post_queue {
	struct post_entry *list; /* by row */
	struct post_entry *first; /* none before it is available; NULL: none is */
};

struct post_topic {
	struct post_queue queue;
	uint32_t refs; /* entries and consumers */
	UT_hash_handle hh;
	uint8_t len;
	uint8_t bytes[];
};

struct post_sender {
	uint64_t net64;
	uint32_t count; /* of its entries, as the next */
	uint64_t bytes;
	UT_hash_handle hh;
};

struct post_entry {
	uint64_t row;
	enum post_entry_state state;
	enum post_loading loading;
	bool cached; /* payload counts for the cache */
	bool is_news, is_hot; /* in these lists */
	uint32_t generation; /* rises each time that it is given to a consumer */
	struct post_entry *prev, *next, *topic_prev, *topic_next; /* of the queues */
	struct post_entry *thread_prev, *thread_next; /* of its thread */
	struct post_entry *load_prev, *load_next; /* of loads, or of asleep */
	struct post_entry *news_prev, *news_next, *hot_prev, *hot_next;
	struct post_taker *taker; /* FOR_TAKER */
	struct post_grant *grant; /* FOR_STREAM, WITH_STREAM */
	struct post_taker *peekers; /* who wait for its payload */
	struct mono wake; /* ASLEEP */
	uint64_t token; /* STORING: of the core */
	const uint8_t *lent; /* STORING: the core's payload */
	uint8_t *payload; /* owned; NULL: not here */
	size_t len;
	struct post_topic *topic;
	struct post_sender *sender;
	struct post_thread *thread;
	struct ip6 src, dst;
	uint8_t id[RECORD_ID_BYTES], public_key[32];
	bool reply;
	int64_t arrived_s;
	UT_hash_handle hh;
};

/* What takers and streams have in common; their first member. */
struct post_consumer {
	struct post_consumer *prev, *next; /* of consumers */
	uint64_t turn; /* they are in this order */
	bool is_stream, is_queued;
	struct post_topic *topic; /* NULL: any */
};

/* The id of a message and the /64 of its sender. */
struct post_thread_key {
	uint64_t net64;
	uint8_t id[RECORD_ID_BYTES];
};
_Static_assert(sizeof(struct post_thread_key) == 16, "a key without padding");

struct post_thread {
	struct post_thread_key key;
	struct post_entry *entries; /* by row */
	struct post_taker *takers; /* who wait for a reply, by turn */
	uint32_t refs; /* entries, and takers, waiting or not */
	UT_hash_handle hh;
};

enum post_taker_state {
	TAKER_WAITING, /* in consumers or its thread */
	TAKER_PEEKING, /* in peekers of its entry */
	TAKER_LOADING, /* its entry is reserved */
	TAKER_READY, /* in ready: its entry is here, or none came */
};

struct post_taker {
	struct post_consumer consumer;
	enum post_taker_state state;
	struct post_taker *prev, *next; /* of a thread, peekers or ready */
	struct post_taker *all_prev, *all_next;
	bool peek;
	struct mono until;
	struct post_thread *thread; /* NULL: any message will do */
	struct post_entry *entry; /* but TAKER_WAITING */
	post_take_fn *fn;
	void *ctx;
};

/* The entry is the stream's only while it points to this grant. */
struct post_grant {
	struct post_grant *prev, *next;
	struct post_stream *stream;
	uint64_t row, offset;
	uint32_t generation;
	bool is_waiting; /* in that list of its stream */
	bool again; /* waiting, and was given before a cut: not released by a pause */
};

enum post_stream_state {
	STREAM_OPEN,
	STREAM_TAKEN_OVER, /* of a handle that is not told yet */
	STREAM_RESERVED, /* cut; its entries wait for it */
	STREAM_REMEMBERED,
};

struct post_stream {
	struct post_consumer consumer;
	enum post_stream_state state;
	struct post_stream *prev, *next; /* of open, of cut (oldest first), or of taken_over */
	struct post_stream *ready_prev, *ready_next;
	bool is_ready, paused;
	uint32_t window;
	uint8_t id[16];
	uint64_t last, acked; /* offsets */
	struct post_grant *given; /* by offset */
	struct post_grant *waiting; /* reserved, in the order in which they will be given */
	uint32_t given_count, waiting_count;
	struct mono cut;
	void (*message)(void *ctx, uint64_t offset, struct post_message *m);
	void (*taken_over)(void *ctx);
	void *ctx;
	UT_hash_handle hh;
};

/* A message of ours to ourselves that is known to be stored: its order does not have to be sent again. */
struct post_local {
	uint64_t order;
	UT_hash_handle hh;
};

struct post {
	struct post_ops ops;
	void *ctx;
	struct message_core *core;
	struct post_time now; /* of the last call that told it */
	struct mono due; /* nothing of ours is due before */
	struct prefix own;
	uint8_t epoch[RECORD_EPOCH_BYTES];
	bool begun;
	bool dirty; /* post_match.c: a consumer or an entry may match */

	/* post_send.c */
	uint64_t last_order;
	struct post_order *orders; /* by row: being stored, or their outcome is not told */
	struct post_order *found, *outcomes;
	struct post_local *locals;
	size_t storing_count, storing_bytes;

	/* post_inbox.c */
	uint64_t last_message;
	uint32_t cap_count, entry_count;
	uint64_t cap_bytes, entry_bytes;
	struct post_entry *entries; /* by row */
	struct post_sender *senders;
	struct post_topic *topics;
	struct post_queue all;
	struct post_entry *news; /* became available since the last match */
	uint64_t *refused; /* owned: tokens that the core is to be told of */
	size_t refused_count, refused_room;
	uint64_t refused_full;

	/* post_load.c */
	struct post_entry *loads, *asleep, *hot /* here, and somebody peeks at it */;
	unsigned flying_count;
	size_t flying_bytes, cached_bytes;
	uint64_t unreadable, lost;

	/* post_take.c */
	uint64_t turn;
	struct post_consumer *consumers;
	struct post_taker *takers, *ready;
	struct post_thread *threads;
	uint32_t taker_count;

	/* post_stream.c */
	struct post_stream *streams; /* by id, but those taken over */
	struct post_stream *open, *cut, *taken_over, *ready_streams;
	uint32_t open_count, cut_count;
	uint64_t offset; /* of the last message given to any stream */
};

/* Zeroed; out of memory aborts. */
static inline void *post_alloc(size_t bytes)
{
	void *p = calloc(1, bytes);

	if (!p)
		abort();
	return p;
}

/* A copy; NULL if len is 0. */
static inline uint8_t *post_copy(const uint8_t *bytes, size_t len)
{
	uint8_t *copy;

	if (len == 0)
		return NULL;
	copy = malloc(len);
	if (!copy)
		abort();
	memcpy(copy, bytes, len);
	return copy;
}

static inline void post_wake_at(struct post *p, struct mono t)
{
	p->due = mono_min(p->due, t);
}

/* post_send.c */
/* Goes on with what was found. */
void post_send_found(struct post *p);
/* Tells one outcome; false if there is none. */
bool post_send_tell(struct post *p);
void post_send_status(struct post *p, const struct message_status *s);
void post_send_fini(struct post *p);

/* post_inbox.c */
struct post_topic *post_topic_get(struct post *p, const uint8_t *bytes, uint8_t len);
void post_topic_put(struct post *p, struct post_topic *t); /* NULL is fine */
/* The oldest available entry, of that topic if it is not NULL. */
struct post_entry *post_first(struct post *p, struct post_topic *t);
struct post_entry *post_entry_find(const struct post *p, uint64_t row);
void post_entry_make_available(struct post *p, struct post_entry *e);
void post_entry_reserve(struct post *p, struct post_entry *e, enum post_entry_state state);
void post_entry_add_news(struct post *p, struct post_entry *e);
/* It is consumed: out of the store, and its sender is told. */
void post_entry_consume(struct post *p, struct post_entry *e);
/* It leaves the inbox. Who waited for it waits for another. */
void post_entry_drop(struct post *p, struct post_entry *e);
/* The load of one that is gone has ended. */
void post_entry_reap(struct post *p, struct post_entry *e);
void post_inbox_received(struct post *p, const struct message_in *in);
/* Tells the core what was refused. */
void post_inbox_tell_refused(struct post *p);
void post_inbox_fini(struct post *p);

/* post_load.c */
bool post_entry_is_here(const struct post_entry *e);
/* Somebody waits for its payload: if it is not here, it will be loaded. */
void post_entry_need(struct post *p, struct post_entry *e);
/* Perhaps nobody does any more: its payload goes, unless the cache has room for it. */
void post_entry_settle(struct post *p, struct post_entry *e);
/* For a consumer that is to get it, with its payload; for a peek, which comes first, a copy. */
struct post_message post_entry_give(struct post *p, struct post_entry *e, bool peek);
/* It has no payload any more, and no load that anybody waits for. */
void post_entry_unload(struct post *p, struct post_entry *e);
/* Asks the store for what is wanted, within the limits. */
void post_load_pump(struct post *p);
void post_entry_wake(struct post *p, struct post_entry *e);
/* Those whose time has come. */
void post_load_expire(struct post *p, struct mono now);

/* post_match.c */
void post_match(struct post *p);

/* post_take.c */
/* Waits, behind all others; or where its turn is. */
void post_consumer_add(struct post *p, struct post_consumer *c);
void post_consumer_add_again(struct post *p, struct post_consumer *c);
void post_consumer_del(struct post *p, struct post_consumer *c);
/* The thread of an entry: it joins and leaves it. */
void post_thread_join(struct post *p, struct post_entry *e);
void post_thread_leave(struct post *p, struct post_entry *e);
/* Somebody waits for the next message of that id from the /64 of src. */
bool post_thread_is_awaited(const struct post *p, const struct ip6 *src, const uint8_t id[RECORD_ID_BYTES]);
/* A waiting taker gets e, or a look at it. */
void post_taker_assign(struct post *p, struct post_taker *t, struct post_entry *e);
/* It waits again, where its turn is. */
void post_taker_requeue(struct post *p, struct post_taker *t);
/* The payload of its entry is here. */
void post_taker_set_ready(struct post *p, struct post_taker *t);
/* Those whose time is over. */
void post_taker_expire(struct post *p, struct mono now);
/* Tells one; false if there is none. */
bool post_taker_tell(struct post *p);
void post_taker_fini(struct post *p);

/* post_grant.c */
/* The entry of g if no other consumer got it since; it may be reserved for one. */
struct post_entry *post_grant_entry(const struct post *p, const struct post_grant *g);
/* To the end of what its stream was given, or of what waits to be given. */
void post_grant_add(struct post_grant *g, bool waiting);
void post_grant_leave(struct post_grant *g);
void post_grant_free(struct post_grant *g);
/* Others may have it now. */
void post_grant_release(struct post *p, const struct post_grant *g);
/* True if the entry is the stream's again, or still. */
bool post_grant_reclaim(struct post *p, struct post_grant *g);
/* The client has it. Frees g. */
void post_grant_acknowledge(struct post *p, struct post_grant *g);

/* post_stream.c */
bool post_stream_wants(const struct post_stream *s);
void post_stream_assign(struct post *p, struct post_stream *s, struct post_entry *e);
/* The payload of one that it waits for is here. */
void post_stream_set_ready(struct post *p, struct post_stream *s);
/* The entry is not its any more; g may be freed. */
void post_grant_end(struct post *p, struct post_grant *g);
void post_stream_expire(struct post *p, struct mono now);
bool post_stream_tell(struct post *p);
void post_stream_fini(struct post *p);

#endif
