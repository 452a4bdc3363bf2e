/* SPDX-License-Identifier: Apache-2.0 */
/* Session keys and their data packets (session.md). A key is a slot of a locked arena, found by the index that the far
 * side writes into its nonces; its counters and windows are a row of the shared memory, so that several fastpaths and
 * their successors share them. The control thread adds, moves and wipes; workers find, seal and open.
 *
 *   frame   data header (40) | ciphertext | tag (16) | index u32, lane u8, counter u56      key: one for each direction
 *   AAD     outer source, outer destination (32), as they stand in the header
 *
 * A counter is taken in the shared memory before it is used, so no nonce is used twice, whatever dies or shares the
 * lane; a packet opens once. Neither sealed nor opened with: a key older than LIMIT_SESSION_AGE_S, after 2^42 bytes,
 * from counter 2^56 - 2^16 on, or of another generation of the machine. */
#ifndef FASTPATH_SKEY_H
#define FASTPATH_SKEY_H

#include "fastpath/encap.h"
#include "fastpath/replay.h"
#include "shared/base/mono.h"

#define SKEY_BYTES_END (UINT64_C(1) << 42) /* both ways */
#define SKEY_COUNTER_REKEY (UINT64_C(1) << 55)
#define SKEY_COUNTER_END ((UINT64_C(1) << 56) - (UINT64_C(1) << 16))

enum skey_state { SKEY_STATE_NONE, SKEY_STATE_SEND, SKEY_STATE_NEXT, SKEY_STATE_OLD };

/* Relaxed atomics. */
struct skey_traffic {
	uint64_t packets, bytes; /* bytes: of sealed payloads */
	uint64_t lane_end; /* one above the highest counter of any lane */
	int64_t data_us; /* the last user data but CONTROL, CLOCK_BOOTTIME; 0: never */
} __attribute__((aligned(AEAD_ALIGN)));

/* Read by workers: immutable while published, but for what is said to be atomic. */
struct skey {
	uint64_t net64; /* of the peer */
	struct lanes_row *row; /* borrowed, in the shared memory */
	uint64_t generation;
	struct mono made;
	uint32_t index, far_index; /* what the far side writes into nonces, and what we write */
	uint32_t row_number;
	uint8_t far_lanes, our_lanes; /* we send in lanes below the first, and receive in lanes below the second */
	uint8_t state; /* enum skey_state; relaxed atomic */
	uint8_t confirmed; /* a packet opened while in SKEY_STATE_NEXT; relaxed atomic */
	struct skey_traffic sealed, opened;
	struct pubkey pk __attribute__((aligned(AEAD_ALIGN)));
	/* two expanded keys follow, at AEAD_ALIGN: to send with, to receive with */
} __attribute__((aligned(AEAD_ALIGN)));
_Static_assert(sizeof(struct skey) == 4 * AEAD_ALIGN, "four lines, then the expanded keys");

struct skeys;

/* lanes, aead: borrowed. cap: most slots (LIMIT_SESSION_ROWS). NULL with errno, as keys_new(). */
struct skeys *skeys_new(const struct aead *aead, struct lanes *lanes, uint32_t cap);
/* Wipes all. */
void skeys_free(struct skeys *k);

/* What controld says of a key. */
struct skey_given {
	uint8_t memory[16]; /* id of the shared memory that its row is in */
	uint64_t generation; /* of that memory when the key was made */
	uint32_t row; /* zeroed for this index (rows_begin()) */
	uint64_t net64;
	struct pubkey pk;
	uint32_t index, far_index;
	uint8_t far_lanes, our_lanes;
	enum skey_state state;
	struct mono made;
	struct aead_key send, receive; /* the caller wipes them */
};
/* 0 and the slot number (1..cap), published; or
 * -ESTALE  other memory, another generation, or a row that is not this key's
 * -EINVAL  index 0, lanes 0 or too many, no state
 * -EEXIST  the index is in use
 * -ENOSPC  the arena is full or cannot be locked further */
MUST_CHECK int skeys_add(struct skeys *k, const struct skey_given *given, uint32_t *slot);
/* It is not found any more. */
void skeys_hide(struct skeys *k, uint32_t slot);
/* Wipes a hidden slot and makes it free; no worker may hold it any more (epoch.h). */
void skeys_wipe(struct skeys *k, uint32_t slot);
void skeys_move(struct skeys *k, uint32_t slot, enum skey_state state);
uint32_t skeys_count(const struct skeys *k); /* hidden ones too; any thread */
/* Slot by number, 1..; borrowed. */
struct skey *skeys_slot(const struct skeys *k, uint32_t slot);
uint32_t skeys_number(const struct skeys *k, const struct skey *s);
/* Any thread: the key with our index; NULL: none. Valid until the batch ends. */
struct skey *skeys_find(const struct skeys *k, uint32_t index);
/* The next one after a slot number, in no order, hidden ones too; 0: begin, and the end. Control thread. */
uint32_t skeys_next(const struct skeys *k, uint32_t slot);

/* Has a lane of ours that should not go on for long? */
static inline bool skey_wants_rekey(const struct skey *s)
{
	return __atomic_load_n(&s->sealed.lane_end, __ATOMIC_RELAXED) >= SKEY_COUNTER_REKEY;
}

enum skey_verdict {
	SKEY_OK,
	/* The frame is as it was: it may be tried with the static key. */
	SKEY_SHORT,
	SKEY_UNKNOWN, /* no key of ours has this index */
	SKEY_FOREIGN, /* the outer source is not in the /64 of the key's peer */
	SKEY_EXPIRED, /* age, bytes, counter or generation */
	SKEY_LANE, /* one that we did not announce */
	SKEY_LATE, /* older than the window */
	/* The frame is worthless now. */
	SKEY_FAILED, /* authentication */
	SKEY_REPLAYED,
	SKEY_BUSY, /* another held the lane's window all the time */
	/* It opened, for the first time. */
	SKEY_VERSION, /* of the user data: unknown */
	SKEY_TYPE,
};

/* Packets for one peer, sealed within one batch. Counters of a run that are not used are lost. */
struct skey_run {
	const struct skeys *keys;
	struct skey *key;
	uint64_t next, end; /* counters */
	uint64_t packets, bytes;
	struct mono now;
	uint8_t lane;
	bool data;
};
/* Takes count counters (not 0) of a lane below s->far_lanes, under a key that is confirmed (SKEY_STATE_NEXT never
 * seals). SKEY_OK or SKEY_EXPIRED; after that nothing is sealed.
 * The limits are looked at here only: a run may pass them by its length. */
MUST_CHECK enum skey_verdict skey_seal_begin(struct skey_run *r, const struct skeys *k, struct skey *s, unsigned lane,
					     uint32_t count, struct mono now);
/* As encap_seal(). Not more often than there are counters. */
size_t skey_seal(struct skey_run *r, const struct encap_packet *p, uint8_t *out);
/* Counts what was sealed. */
void skey_seal_end(struct skey_run *r);

/* Frames that arrived, opened within one batch. */
struct skey_opener {
	const struct skeys *keys;
	struct lanes_window *held; /* its flag is ours; NULL: none */
	uint32_t held_packets;
	struct skey *key; /* of the packet before; what it opened is not yet counted */
	bool expired; /* that key */
	uint64_t packets, bytes, lane_end;
	struct mono now;
	uint32_t owner;
	bool data;
};
struct skey_opened {
	struct encap_opened user; /* where the verdict is SKEY_OK */
	struct skey *key;
	bool confirms; /* the first packet under a key in SKEY_STATE_NEXT: said once */
};
/* owner: number of this fastpath, not 0. */
void skey_open_begin(struct skey_opener *o, const struct skeys *k, uint32_t owner, struct mono now);
/* Opens in place, as encap_open(). out is written where it opened for the first time. */
MUST_CHECK enum skey_verdict skey_open(struct skey_opener *o, uint8_t *frame, size_t len, struct skey_opened *out);
void skey_open_end(struct skey_opener *o);
/* The flag of a window is held over packets that come in a row, which saves most of its cost. Call this before whatever
 * takes long, a system call above all. */
static inline void skey_open_release(struct skey_opener *o)
{
	if (o->held)
		replay_release(o->held);
	o->held = NULL;
}

/* A sealed packet that an out-of-band ICMP quotes. */
struct skey_quote {
	const struct ip6 *src, *dst; /* it was sent with */
	uint8_t *sealed;
	size_t len;
};
/* Is it one that we sent under this key, which is not yet expired? Its nonce names the far index, and its counter lies
 * within LIMIT_NONCE_QUOTE_WINDOW below the lane's next. Opens it in place with the key to send with. Touches no
 * window.
 */
MUST_CHECK bool skey_open_quote(const struct skeys *k, struct skey *s, const struct skey_quote *q, struct mono now,
				struct encap_opened *out);

#ifdef NONCE_AUDIT
/* Test builds: told of every range of counters before it is used. NULL: nobody listens. */
extern void (*skey_audit)(const struct skey *s, unsigned lane, uint64_t first, uint32_t count);
#endif

#endif
