/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the message core and who may change them; private to this folder.
 *
 *   outgoing   an order, by handle                                            outbox.c (its chunks: chunks.c)
 *   exchange   the orders of one destination and id: one at a time is active  outbox.c
 *   target     a destination /64: round trip, window, who waits               window.c
 *   incoming   a message that is open, being stored, or remembered            inbox.c (its bytes: assemble.c)
 *   arrival    the incoming ones of one sender and id: at most one is open    arrivals.c
 *   sender     a source /64, for the caps                                     arrivals.c
 *
 * An exchange and a target live as long as an order hangs on them, an arrival and a sender as long as an incoming
 * message does. Every timer lies in one heap. */
#ifndef CONTROLD_MESSAGE_CORE_H
#define CONTROLD_MESSAGE_CORE_H

#include "shared/base/siphash.h"
#include <stdlib.h>
#define uthash_fatal(msg) abort()
#include "controld/message/message.h"
#include "controld/message/timer.h"
#include "controld/message/topic.h"
#include "shared/limits.h"
#include <assert.h>
#include <uthash.h>
#include <utlist.h>

enum {
	FIRST_RTO_US = 1000 * 1000, /* before a round trip was measured */
	MIN_RTO_US = 50 * 1000,
	MAX_RTO_US = 8 * 1000 * 1000,
	MIN_DONE_WAIT_US = 300 * 1000, /* the receiver stores before it answers */
	MIN_REORDER_US = 2000,
	FIRST_WINDOW = 32,
	MIN_WINDOW = 8,
	FEELERS = 64, /* chunks after a time-out, of as many messages */
	WINDOW_UNITS = 256, /* the window is kept in such parts of a chunk */
	PROBE_AFTER = 4, /* DONEs without an answer */
	MAX_BACKOFF = 10, /* doublings */
	FOLLOW_MS = 10 * 1000, /* distance of two messages whose ACKs could be confused */
	LOCAL_RETRY_MS = 1000, /* a local delivery that could not be stored */
	REOPENED_IDLE_MS = 60 * 1000,
	FORGOTTEN_MS = 15 * 1000, /* no answer so long: the receiver may have forgotten */
	ASK_MS = 1000, /* a witness is asked so often */
	VERIFY_MS = 1000, /* a full checksum is not computed again sooner */
};

/* One sender or receiver, and an id. */
struct pair_key {
	uint64_t net64;
	uint8_t id[FRAME_ID_BYTES];
};
_Static_assert(sizeof(struct pair_key) == 16, "a key without padding");

enum chunk_state { CHUNK_FRESH, CHUNK_FLYING, CHUNK_LOST, CHUNK_ACKED };

struct chunk {
	struct outgoing *owner;
	struct chunk *prev, *next; /* flying: of the target, in the order of sending. Lost: of the owner. */
	int64_t sent_us;
	uint32_t seq; /* rises with every sending to the target; compared as a difference */
	uint8_t tries; /* saturates */
	uint8_t state;
};

/* The list that prev and next of an order are in. */
enum out_list { OUT_NONE, OUT_WAITING /* exchange */, OUT_QUEUED, OUT_READY /* target */, OUT_FINISHED /* core */ };

struct outgoing {
	uint64_t handle;
	struct exchange *exchange;
	struct outgoing *prev, *next;
	enum out_list list;
	enum message_state state;
	struct timer timer;
	struct mono deadline, sent;
	bool doubted; /* while SENDING: chunks were lost and none acknowledged since; its timer is set for that */
	struct mono heard; /* while SENDING: the last answer */
	bool reply, by_id /* the newest of its id */, opening /* holds one of the target's INIT places */;
	bool storing; /* local, being stored */
	bool probing;
	uint8_t rounds; /* times that all chunks were sent again; saturates */
	uint32_t tries; /* of INIT, then of DONE */
	uint8_t id[FRAME_ID_BYTES];
	struct ip6 dst;
	struct topic topic;
	uint8_t *payload;
	size_t len;
	int64_t created_s, deadline_s;
	/* While SENDING. */
	struct chunk *chunks, *lost;
	uint32_t count, fresh /* the first never sent */, acked;
	struct blake3 *hash; /* of the chunks before fresh */
	uint8_t checksum[BLAKE3_BYTES];
	UT_hash_handle hh, hh_id;
};

struct exchange {
	struct pair_key key;
	struct target *target;
	struct outgoing *active, *waiting;
	struct outgoing *last; /* finished last, while it is known */
	struct mono last_end;
	uint32_t refs;
	UT_hash_handle hh;
};

struct target {
	uint64_t net64;
	uint32_t refs, open_count /* unfinished orders */;
	size_t open_bytes;
	struct outgoing *queued, *ready;
	struct outgoing *witness; /* the last that was received there, while its status is known; see outbox.c */
	struct mono asked, vouched; /* its DONE was sent, acknowledged, again */
	uint32_t opening;
	struct chunk *flying;
	uint32_t flying_count, seq, acked_seq /* the highest acknowledged */;
	uint32_t reduced_seq; /* the window was reduced when this was the next one */
	int64_t srtt_us, var_us; /* srtt 0: not measured */
	uint32_t window, threshold; /* in WINDOW_UNITS */
	uint32_t backoff;
	struct timer timer;
	UT_hash_handle hh;
};

struct slot {
	uint32_t offset, size; /* size 0: empty */
};

enum in_state { IN_OPEN, IN_STORING, IN_DONE };

struct incoming {
	enum in_state state;
	struct arrival *arrival;
	struct incoming *next; /* of the arrival, newest first */
	struct incoming *done_prev, *done_next, *all_prev, *all_next; /* IN_DONE: of the sender, of the core */
	struct sender *sender;
	struct timer timer;
	struct outgoing *local; /* an order to ourselves; its payload is the order's */
	uint64_t token;
	bool reply, reopened /* IN_DONE: an INIT came again; IN_OPEN: made from such a one */;
	bool replaced; /* bytes that were hashed changed: hash all at the end */
	struct ip6 src, dst;
	struct topic topic;
	uint64_t length;
	uint32_t count; /* chunks, once complete */
	uint8_t checksum[BLAKE3_BYTES], public_key[32];
	/* While IN_OPEN and IN_STORING. */
	uint8_t *payload;
	struct slot *slots;
	uint32_t slot_count, filled, hashed; /* slots filled, and those of them hashed */
	uint64_t hashed_bytes;
	struct blake3 *hash;
	struct mono verify_after;
	UT_hash_handle hh; /* by token, IN_STORING */
};

struct arrival {
	struct pair_key key;
	struct incoming *list;
	UT_hash_handle hh;
};

struct sender {
	uint64_t net64;
	uint32_t open_count, done_count;
	size_t bytes;
	struct incoming *done;
	UT_hash_handle hh;
};

struct message_core {
	const struct message_ops *ops;
	void *ctx;
	struct ip6 self;
	struct prefix own;
	size_t max_length;
	struct timers timers;

	struct outgoing *orders; /* by handle */
	struct outgoing *newest; /* by id */
	struct outgoing *finished; /* oldest first */
	struct exchange *exchanges;
	struct target *targets;
	size_t out_count, out_bytes, finished_count;

	struct arrival *arrivals;
	struct sender *senders;
	struct incoming *storing; /* by token */
	struct incoming *done; /* oldest first */
	size_t in_count, in_bytes, done_count;
	uint64_t token;

	uint64_t counts[MESSAGE_COUNTERS];
};

/* A packet being handled. */
struct packet {
	const struct ip6 *src, *dst;
	const struct frame *frame;
	struct mono now;
};

/* Zeroed; out of memory aborts. */
static inline void *core_alloc(size_t bytes)
{
	void *p = calloc(1, bytes);

	if (!p)
		abort();
	return p;
}

static inline struct pair_key pair_key(const struct ip6 *ip, const uint8_t id[FRAME_ID_BYTES])
{
	struct pair_key k = {.net64 = ip6_net64(ip)};

	memcpy(k.id, id, FRAME_ID_BYTES);
	return k;
}

/* message.c */
void core_send(struct message_core *m, const struct ip6 *src, const struct ip6 *dst, const struct frame *f);

/* outbox.c */
void outbox_ack(struct message_core *m, const struct packet *p);
void outbox_read(struct message_core *m, const struct ip6 *from, const uint8_t id[FRAME_ID_BYTES], struct mono now);
/* A reply to id arrived whole from there: our message of that id did too. */
void outbox_replied(struct message_core *m, const struct ip6 *from, const uint8_t id[FRAME_ID_BYTES], struct mono now);
void outbox_due(struct message_core *m, struct outgoing *o, struct mono now);
/* A local delivery is stored, or not. */
void outbox_local_stored(struct message_core *m, struct outgoing *o, bool ok, struct mono now);
void outbox_status(const struct outgoing *o, struct message_status *out);
/* The active order of that destination and id; NULL if there is none. */
struct outgoing *outbox_active(const struct message_core *m, const struct ip6 *from, const uint8_t id[FRAME_ID_BYTES]);
void outbox_list_add(struct outgoing *o, enum out_list list);
void outbox_list_del(struct message_core *m, struct outgoing *o);
/* For orders.c: the exchange of an order, held by it; the next one's turn; a finished one's status. */
struct exchange *outbox_exchange(struct message_core *m, const struct ip6 *dst, const uint8_t *id);
void outbox_begin_next(struct message_core *m, struct exchange *x, struct mono now);
void outbox_keep_status(struct message_core *m, struct outgoing *o, struct mono now);
void outbox_fini(struct message_core *m);

/* chunks.c: an order that is SENDING */
void chunks_begin(struct message_core *m, struct outgoing *o, struct mono now);
/* A CHUNK ACK. */
void chunks_acked(struct message_core *m, struct outgoing *o, const struct packet *p);
void chunks_done(struct message_core *m, struct outgoing *o, struct mono now);
/* DONE of one that is finished, once more. */
void chunks_done_again(struct message_core *m, const struct outgoing *o);
/* Sends the next one that waits: lost ones first. False if none does. */
bool chunks_send_next(struct message_core *m, struct outgoing *o, struct mono now);
/* The window gave it up. */
void chunks_lost(struct message_core *m, struct chunk *c, struct mono now);
/* Takes all out of the window and frees them. */
void chunks_fini(struct message_core *m, struct outgoing *o);

/* window.c */
struct target *target_get(struct message_core *m, const struct ip6 *dst);
void target_put(struct message_core *m, struct target *t);
void window_sample(struct target *t, int64_t rtt_us);
int64_t window_rto_us(const struct target *t);
void window_sent(struct message_core *m, struct target *t, struct chunk *c, struct mono now);
/* c was flying and is acknowledged. */
void window_acked(struct message_core *m, struct target *t, struct chunk *c, struct mono now);
/* Takes a flying chunk out without a verdict. */
void window_take(struct target *t, struct chunk *c);
/* Sends what the window allows, in turn, and sets the timer. */
void window_pump(struct message_core *m, struct target *t, struct mono now);
void window_due(struct message_core *m, struct target *t, struct mono now);

/* inbox.c */
void inbox_packet(struct message_core *m, const struct packet *p);
void inbox_due(struct message_core *m, struct incoming *in, struct mono now);
/* Offers a message to ourselves. */
void inbox_local(struct message_core *m, struct outgoing *o);
void inbox_fini(struct message_core *m);

/* arrivals.c */
struct arrival *arrivals_find(const struct message_core *m, const struct packet *p);
/* A new open message as init announces it; NULL if a cap or memory forbids it, counted. */
struct incoming *arrivals_open(struct message_core *m, const struct packet *p, bool reply,
			       const struct frame_init *init);
/* A done one, of which age_ms of the time of memory are over. */
void arrivals_add_done(struct message_core *m, const struct message_in *past, int64_t age_ms, struct mono now);
/* Gives back its bytes and its place under the caps. */
void arrivals_give_back(struct message_core *m, struct incoming *in);
/* From now on only a memory; age_ms of its time are over. */
void arrivals_remember(struct message_core *m, struct incoming *in, int64_t age_ms, struct mono now);
void arrivals_forget(struct message_core *m, struct incoming *in);

/* assemble.c: the bytes of an open message */
enum assemble_verdict { ASSEMBLE_OK, ASSEMBLE_REFUSED };
/* What an open message of that length holds. */
size_t assemble_cost(uint64_t length);
/* False: out of memory. */
MUST_CHECK bool assemble_init(struct incoming *in);
MUST_CHECK enum assemble_verdict assemble_chunk(struct incoming *in, const struct frame_chunk *c);
/* Are these all chunks of a message with this checksum? */
bool assemble_is_complete(struct incoming *in, const struct frame_done *d, struct mono now);
void assemble_fini(struct incoming *in);

#endif
