/* SPDX-License-Identifier: Apache-2.0 */
/* User messages: the protocol of wire-200 chapter 6, both ends. A pure core: packets, orders and time in, packets and
 * events out; it opens nothing, knows no clock, no socket and no disk.
 *
 * Invariants: a message is given to received() only whole, with the right checksum and from a known key, and at most
 * once per identity (sender, id, REPLY, length, topic, checksum) within the time of memory; its DONE is acknowledged
 * only after message_stored(). An accepted order ends as received, read or aborted, at its deadline at the latest, and
 * the end is told once. Nothing that wire-200 6.8 lists is ever sent.
 *
 * Sending. INITs to one destination (a /64) wait for at most LIMIT_MESSAGE_OPENING answers at a time and are repeated
 * on the measured round trip, doubling. Chunks are an even split, in one window per destination shared by its messages
 * in turn: additive increase, multiplicative decrease, a chunk being lost when one sent after it was acknowledged and a
 * round trip and a quarter have passed, or by timeout. DONE leaves with the last acknowledgement.
 * Messages to one destination with one id (replies) take turns: their chunks could not be told apart.
 *
 * Differences of ours from the reference program:
 *   - A repeated INIT that agrees with the open message is only acknowledged again. One that does not replaces it: its
 * sender has given up the former.
 *   - Offsets are believed and checked: the chunks, in the order of their indices, must tile the message. The last one
 * may be short. A chunk that arrives again with other bytes replaces the former; the checksum judges.
 *   - Completed messages are remembered, and their CHUNK and DONE acknowledged again. A repeated INIT for one reopens
 * it: chunks are taken in under the caps; it is delivered only if the checksum is another. A DONE with another checksum
 * reopens it too, for the INIT may have been taken for a repetition.
 *   - An ACK counts only if it comes from the destination's /64 and its fields, where present, are those that were
 * sent.
 *   - A DONE unanswered four times is sent with one chunk beside it: if that is acknowledged, the receiver has lost
 * chunks (its defect 3), and all are sent again. The number of tries before that doubles each time.
 *   - No INIT after an INIT ACK, with one exception: when nothing was answered for 15 s, the receiver may have been
 * restarted and have forgotten the message. If it acknowledges the DONE of an earlier message once more, it keeps
 * identities (which the reference does not), and the message is announced and sent again. Such a DONE is sent in that
 * need only.
 *   - A READ that overtakes the DONE ACK counts for both. A reply that arrives for a new message of ours whose DONE ACK
 * is missing counts as that ACK: the reference never repeats it.
 *   - A message that follows another with its destination, id and length, but other topic or REPLY, waits ten seconds
 * after the end of that one: a late ACK could not be told from its own.
 *   - Open messages expire when their sender is silent; reopened ones sooner. */
#ifndef CONTROLD_MESSAGE_MESSAGE_H
#define CONTROLD_MESSAGE_MESSAGE_H

#include "controld/message/frame.h"
#include "shared/base/ip.h"
#include "shared/base/mono.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct message_core;

enum message_state {
	MESSAGE_PENDING, /* not yet accepted by the receiver, or starting over */
	MESSAGE_SENDING,
	MESSAGE_RECEIVED, /* from here on it does not change any more, but for READ */
	MESSAGE_READ,
	MESSAGE_ABORTED,
};

/* A message that shall leave. */
struct message_order {
	uint64_t handle; /* names it to us and to the caller; the caller's choice, unique */
	bool has_id; /* id is given: a reply, or an order of a former life. Else one is drawn. */
	bool reply;
	uint8_t id[FRAME_ID_BYTES];
	struct ip6 dst;
	const uint8_t *topic; /* borrowed */
	uint8_t topic_len;
	uint8_t *payload; /* from malloc(); taken if the order is accepted. May be NULL if len is 0. */
	size_t len;
	uint32_t deadline_s; /* after created_s; 0: the default */
	int64_t created_s; /* realtime; 0: now */
	enum message_state state; /* PENDING; or how it ended in a former life: then only the status is kept */
};

struct message_status {
	uint64_t handle;
	uint8_t id[FRAME_ID_BYTES];
	bool reply;
	enum message_state state;
	struct ip6 dst;
	size_t len;
	int64_t created_s, deadline_s; /* realtime */
	uint32_t pending, sent, acked; /* chunks never sent, unacknowledged, acknowledged; while SENDING */
};

/* A message that arrived; borrowed during a call, except where said. */
struct message_in {
	uint64_t token; /* for message_stored() */
	struct ip6 src, dst;
	uint8_t public_key[32]; /* of src */
	uint8_t id[FRAME_ID_BYTES];
	bool reply;
	const uint8_t *topic;
	uint8_t topic_len;
	const uint8_t *payload; /* stays until message_stored() */
	size_t len;
	uint32_t count; /* chunks */
	uint8_t checksum[BLAKE3_BYTES]; /* zero, as count, of a message to ourselves: none can be repeated */
	uint64_t order; /* the handle of the order, of a message to ourselves; else 0 */
};

enum message_counter { /* things that are counted, never logged per packet */
		       MESSAGE_PACKET_BAD, /* does not parse */
		       MESSAGE_PACKET_IGNORED, /* means nothing, or names nothing that is open or remembered */
		       MESSAGE_CHUNK_REFUSED, /* too short, or outside its message */
		       MESSAGE_DONE_REFUSED, /* incomplete, wrong checksum, or no key known */
		       MESSAGE_REFUSED_LENGTH, /* INIT of more than the longest accepted */
		       MESSAGE_REFUSED_SENDER, /* a cap of one sender */
		       MESSAGE_REFUSED_FULL, /* a cap of all */
		       MESSAGE_REPEATED, /* complete again, and dropped */
		       MESSAGE_EXPIRED, /* open, and its sender fell silent */
		       MESSAGE_UNSTORED, /* complete, and could not be stored */
		       MESSAGE_DELIVERED,
		       MESSAGE_SENT, /* orders that ended as received or read */
		       MESSAGE_GIVEN_UP, /* orders that ended as aborted */
		       MESSAGE_RETRANSMITTED, /* chunks */
		       MESSAGE_COUNTERS
};

struct message_config {
	struct ip6 self; /* source of what is sent */
	struct prefix own; /* messages to it are delivered here */
	size_t max_length; /* longest accepted; 0: the default. At most 1 GiB. */
};

/* None of these may call back into the same core. */
struct message_ops {
	/* Send one packet as user data of type message, hop limit 64. bytes begin after the user-data header; borrowed.
	 */
	void (*send)(void *ctx, const struct ip6 *src, const struct ip6 *dst, const uint8_t *bytes, size_t len);
	/* The key that owns the /64 of src; false if it is not known. */
	bool (*key)(void *ctx, const struct ip6 *src, uint8_t public_key[32]);
	/* A message is complete: store it, then call message_stored() with its token, from outside of this call. */
	void (*received)(void *ctx, const struct message_in *m);
	/* The state of an order changed (not its chunk counts). */
	void (*status)(void *ctx, const struct message_status *s);
	void (*random)(void *ctx, void *out, size_t len);
};

struct message_core *message_new(const struct message_config *config, const struct message_ops *ops, void *ctx);
/* free(NULL) is fine. Nothing is sent or told. */
void message_free(struct message_core *m);

/* Accepts an order and begins with it at once: ops may be called before this returns. now_s is realtime in seconds. id
 * may be NULL. 0, or -EINVAL (deadline, length), -EEXIST (handle), -ENOSPC (a cap), and payload stays the caller's. */
MUST_CHECK int message_send(struct message_core *m, const struct message_order *order, struct mono now, int64_t now_s,
			    uint8_t id[FRAME_ID_BYTES]);

/* A packet of type message for us, opened; bytes begin after the user-data header. src lies in the /64 of its key. */
void message_packet(struct message_core *m, const struct ip6 *src, const struct ip6 *dst, const uint8_t *bytes,
		    size_t len, struct mono now);

/* What received() gave is stored durably, or (ok false) could not be: then it is offered again when its sender repeats
 * itself. Its payload may not be touched any more. An unknown token is ignored. */
void message_stored(struct message_core *m, uint64_t token, bool ok, struct mono now);

/* Completed in a former life, age_ms ago: a repetition is acknowledged, not delivered. token, payload and public_key
 * are not looked at. */
void message_remember(struct message_core *m, const struct message_in *in, int64_t age_ms, struct mono now);

/* The application has read a received message (src, dst and id are that message's): tells its sender, once per call. */
void message_read(struct message_core *m, const struct ip6 *src, const struct ip6 *dst,
		  const uint8_t id[FRAME_ID_BYTES], struct mono now);

/* Does what is due; returns when it wants to be called next. Call it after every other call too (it is cheap). */
struct mono message_tick(struct message_core *m, struct mono now);

/* The status of an order by its handle, or of the newest with that id; false if none is known. */
bool message_find(const struct message_core *m, uint64_t handle, struct message_status *out);
bool message_find_id(const struct message_core *m, const uint8_t id[FRAME_ID_BYTES], struct message_status *out);

uint64_t message_count(const struct message_core *m, enum message_counter what);

/* Orders unfinished, messages open, and the bytes they hold: for statistics. */
struct message_load {
	size_t out_count, out_bytes, in_count, in_bytes, status_count, remembered_count;
};
struct message_load message_load(const struct message_core *m);

#endif
