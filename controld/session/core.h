/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the session core and who may change them; private to this folder.
 *
 *   peer      a key and its /64: what we know and want of it             session_peer.c
 *   key       one session key of a peer, without its secrets             session_keys.c
 *   pending   an INIT that waits for RESP, in locked memory              session_init.c
 *   index     the name of a key or a pending INIT in nonces and bodies   session_keys.c
 *   pin       session.h                                                  pins.c
 *
 * Nothing is driven by single timers: after whatever happened to a peer session_peer_run() looks at its state, does
 * what is due, and sets the one time at which it must look again. */
#ifndef CONTROLD_SESSION_CORE_H
#define CONTROLD_SESSION_CORE_H

#include "shared/base/siphash.h"
#include <stdlib.h>
#define uthash_fatal(msg) abort()
#include "controld/session/bucket.h"
#include "controld/session/carrier.h"
#include "controld/session/handshake.h"
#include "controld/session/heap.h"
#include "controld/session/session.h"
#include <assert.h>
#include <uthash.h>
#include <utlist.h>

/* A test build renews keys sooner. */
#ifndef SESSION_REKEY_DIVISOR
#define SESSION_REKEY_DIVISOR 1
#endif

enum {
	SECOND_US = 1000 * 1000,
	KEY_LIFE_US = 300 * SECOND_US, /* neither sealed nor opened with after that */
	OLD_LIFE_US = 30 * SECOND_US, /* after it stopped sending, and after the last packet that opened under it */
	NEXT_LIFE_US = 30 * SECOND_US, /* unconfirmed */
	PENDING_LIFE_US = 20 * SECOND_US,
	PENDING_TRIES = 4, /* RESPs for one INIT: each costs DHs */
	CHALLENGE_LIFE_US = 20 * SECOND_US,
	/* 0.8 of 120 s, and up to the jitter more; 0.9 of 180 s */
	INITIATOR_REKEY_US = 96 * SECOND_US / SESSION_REKEY_DIVISOR,
	INITIATOR_REKEY_JITTER_US = 24 * SECOND_US / SESSION_REKEY_DIVISOR,
	RESPONDER_REKEY_US = 162 * SECOND_US / SESSION_REKEY_DIVISOR,
	RESPONDER_REKEY_JITTER_US = 18 * SECOND_US / SESSION_REKEY_DIVISOR,
	DATA_RECENT_US = 30 * SECOND_US,
	UNANSWERED_US = 15 * SECOND_US,
	KEEPALIVE_US = 10 * SECOND_US,
	GRACE_US = 10 * SECOND_US, /* static packets may be under way when a peer is first confirmed */
	HINT_AGE_US = 5 * SECOND_US,
	LOST_GAP_US = 30 * SECOND_US, /* after a key that fastpath could not take the next one is made so late */
	PIN_LOOK_US = 60 * SECOND_US, /* so often it is seen that a pin ended */
	RELEASE_GAP_US = SECOND_US,
	RELEASE_TIMES = 3,
	RELEASE_WAIT_US = 90 * SECOND_US,
	PEER_BURST = 5,
	CLASS_PER_SECOND = 500, /* INITs of pinned peers, and of all others */
	HINTS_PER_SECOND = 1000,
	SEALED_OVERHEAD_BYTES = WIRE_SEALED_MIN_BYTES, /* over a body: user-data header, tag, nonce */
	ANSWER_MIN_BYTES = SEALED_OVERHEAD_BYTES + CARRIER_CONTROL_BYTES, /* HINT and KEEPALIVE, sealed: 36 */
};
_Static_assert(ANSWER_MIN_BYTES == 36, "answers are not longer than what they answer");
_Static_assert(INITIATOR_REKEY_JITTER_US > 0 && RESPONDER_REKEY_JITTER_US > 0, "the divisor leaves something");

#define INITIATOR_REKEY_BYTES (UINT64_C(1) << 36)
#define RESPONDER_REKEY_BYTES (UINT64_C(1) << 37)
#define REKEY_LANE_TOP (UINT64_C(1) << 55)
#define MONO_LONG_AGO ((struct mono){.us = INT64_MIN / 4})

struct session_index {
	uint32_t value; /* 0: has none */
	struct session_peer *peer;
	UT_hash_handle hh;
};

struct key {
	struct session_index index;
	uint32_t far_index, capabilities;
	uint8_t far_lanes;
	bool initiator;
	struct mono made, end /* wiped then */, rekey;
	uint64_t bytes, lane_top;
};

struct pending {
	struct session_index index;
	struct handshake hs;
	struct mono sent;
	bool echoed; /* a COOKIE was answered in this attempt */
	uint8_t tries; /* RESPs that were looked at */
	struct pending *prev, *next; /* used: oldest first; free */
};

/* Everything secret that stays, in memory that is locked and left out of dumps. */
struct vault {
	struct session_psk network[SESSION_NETWORK_KEYS], zeros;
	struct pending pending[];
};

struct challenge {
	bool open;
	struct mono made;
	uint8_t b[CARRIER_COOKIE_BYTES];
};

/* Full: the first class goes first. What lives or is set up by the user stays. */
enum peer_class { PEER_LOOSE, PEER_PINNED, PEER_KEPT, PEER_CLASSES };

struct session_peer {
	uint64_t net64;
	struct pubkey pk;
	struct ip6 address;
	bool has_mode;
	enum session_mode mode;
	struct session_psk *psk; /* owned, in locked memory; NULL: none of its own */
	struct key *keys[SESSION_SLOTS]; /* owned */

	/* As responder. */
	uint8_t greatest[HANDSHAKE_STAMP_BYTES];
	struct challenge challenge;
	struct mono cookie_next;
	struct bucket tokens;

	/* As initiator. */
	struct pending *pending;
	uint32_t step; /* INITs of this series */
	struct mono init_next, series /* its first one */;
	bool stale; /* the far side said that it does not know `send` */
	struct mono wanted; /* there was data without a session, last */
	struct mono asked; /* .. and it was ours to send */

	/* Traffic in the session; data: not CONTROL. */
	struct mono data_sent, data_got, sent, got;
	struct mono unanswered; /* the first data sent since something came; NEVER: none */
	struct mono owed; /* the first data that came since something was sent; NEVER: none */
	struct mono alarm_next, hint_next;

	struct mono grace; /* static packets pass until then */
	int64_t first_ns; /* realtime of the first confirmation; 0: none yet */
	bool is_told;
	struct session_policy told;

	bool releasing;
	uint8_t releases;
	struct mono release_next, release_end;

	enum peer_class class;
	struct session_peer *prev, *next; /* of its class, used longest ago first */
	struct heap_node due;
	UT_hash_handle hh;
};

struct pin {
	struct session_pin pin;
	int64_t stored_ns; /* last_ns as the store has it */
	bool is_ours; /* last_ns was read from the clock in this life */
	struct heap_node life, end;
	UT_hash_handle hh;
};

struct session_core {
	const struct session_ops *ops;
	void *ctx;
	const struct network *network;
	struct handshake_self self;
	struct ip6 address;
	enum session_mode mode;
	uint8_t lanes, network_keys;
	uint32_t capabilities;
	struct session_limits limits;
	int64_t stamp_ns; /* of the last INIT */

	struct session_peer *peers; /* by net64 */
	struct session_peer *classes[PEER_CLASSES];
	struct heap due;
	struct session_index *indices;
	struct pin *pins; /* by net64 */
	struct heap pins_by_life, pins_by_end;

	struct vault *vault;
	struct pending *pending_used, *pending_free;
	size_t pending_count, unconfirmed;
	struct bucket pinned_tokens, other_tokens, hint_tokens;

	uint64_t counts[SESSION_COUNTERS];
};

/* Zeroed; out of memory aborts. */
static inline void *core_alloc(size_t bytes)
{
	void *p = calloc(1, bytes);

	if (!p)
		abort();
	return p;
}

static inline bool is_recent(struct mono at, struct mono now)
{
	return mono_since_us(now, at) <= DATA_RECENT_US;
}

/* session.c */
int64_t session_jitter_us(struct session_core *c, int64_t below_us);
/* Sends a body to the peer: in the session if it is CONTROL, else statically. */
void session_say(struct session_core *c, const struct session_peer *p, enum session_type type, const uint8_t *bytes,
		 size_t len);
void session_tell(struct session_core *c, enum session_event_kind kind, const struct pubkey *pk,
		  const struct ip6 *address);

/* session_peer.c */
struct session_peer *session_peer_at(const struct session_core *c, uint64_t net64);
struct session_peer *session_peer_find(const struct session_core *c, const struct pubkey *pk);
/* The peer with this key, made if need be; NULL if another key has the /64 (told), or the table is full. */
struct session_peer *session_peer_get(struct session_core *c, const struct pubkey *pk, struct session_time t);
void session_peer_run(struct session_core *c, struct session_peer *p, struct session_time t);
/* At the next tick. */
void session_peer_run_soon(struct session_core *c, struct session_peer *p, struct session_time t);
void session_peer_free(struct session_core *c, struct session_peer *p);
bool session_peer_is_pinned(const struct session_core *c, const struct session_peer *p, struct session_time t);
bool session_peer_is_live(const struct session_peer *p);
enum session_mode session_peer_mode(const struct session_core *c, const struct session_peer *p);
struct handshake_psks session_peer_psks(const struct session_core *c, const struct session_peer *p);
/* Another key has the /64: by a pin, a live session, or the user's word; or it is ours. */
bool session_peer_is_second(const struct session_core *c, const struct pubkey *pk, uint64_t net64,
			    struct session_time t);

/* session_policy.c */
struct session_policy session_policy_of(const struct session_core *c, const struct session_peer *p,
					struct session_time t);
struct mono session_policy_run(struct session_core *c, struct session_peer *p, struct session_time t);

/* session_release.c */
/* Pin and session are taken back. */
void session_release_now(struct session_core *c, struct session_peer *p);
struct mono session_release_run(struct session_core *c, struct session_peer *p, struct session_time t);

/* session_keys.c */
struct session_peer *session_index_find(const struct session_core *c, uint32_t value);
/* Gives it a new random value. */
void session_index_draw(struct session_core *c, struct session_index *x, struct session_peer *p);
void session_index_set(struct session_core *c, struct session_index *x, uint32_t value, struct session_peer *p);
void session_index_del(struct session_core *c, struct session_index *x);
/* The slot of a key with this index; SESSION_SLOTS: none. */
enum session_slot session_keys_slot(const struct session_peer *p, uint32_t index);
/* The world can take one more key, of this peer. */
bool session_keys_have_room(const struct session_core *c, const struct session_peer *p, struct session_time t);
/* A new key, in no slot yet. */
struct key *session_keys_make(struct session_core *c, bool initiator, const struct carrier_choice *far,
			      struct session_time t);
/* The initiator's, with RESP. */
void session_keys_read(struct session_core *c, struct session_peer *p, struct key *k, const struct session_secrets *s,
		       struct session_time t);
/* The responder's, unconfirmed. */
void session_keys_offer(struct session_core *c, struct session_peer *p, struct key *k, const struct session_secrets *s);
void session_keys_confirm(struct session_core *c, struct session_peer *p, struct session_time t);
void session_keys_drop(struct session_core *c, struct session_peer *p, enum session_slot slot);
/* The far side still sealed with this old key at that time: after crossing handshakes it may do so until the next one.
 */
void session_keys_linger(struct key *k, struct mono at);
/* Something authenticated came in the session. */
void session_keys_heard(struct session_core *c, struct session_peer *p, struct mono at, struct session_time t);
void session_keys_control(struct session_core *c, struct session_peer *p, enum carrier_control kind,
			  struct session_time t);
/* One that fastpath holds. */
void session_keys_found(struct session_core *c, struct session_peer *p, const struct session_key *found,
			struct session_time t);
/* Wipes what is too old, keeps quiet sessions alive; when to look again. */
struct mono session_keys_run(struct session_core *c, struct session_peer *p, struct session_time t);

/* session_init.c */
void session_init_cookie(struct session_core *c, struct session_peer *p, const struct session_packet *in,
			 struct session_time t);
void session_init_resp(struct session_core *c, struct session_peer *p, const struct session_packet *in,
		       struct session_time t);
void session_init_hint(struct session_core *c, struct session_peer *p, const struct session_packet *in,
		       struct session_time t);
/* Begins anew with what worked or is over. */
void session_init_reset(struct session_peer *p);
void session_init_drop(struct session_core *c, struct session_peer *p);
struct mono session_init_run(struct session_core *c, struct session_peer *p, struct session_time t);

/* session_resp.c */
void session_resp_init(struct session_core *c, const struct session_packet *in, struct session_time t);

/* cookie.c */
/* The stamp is newer than any seen, or the cookie answers the open challenge. */
bool cookie_is_fresh(const struct session_peer *p, const struct carrier_init *init, struct mono now);
/* Writes the challenge of now; false: one was sent less than a second ago. */
MUST_CHECK bool cookie_challenge(struct session_core *c, struct session_peer *p, struct mono now,
				 uint8_t out[CARRIER_COOKIE_BYTES]);
/* An INIT with this stamp was answered. */
void cookie_accept(struct session_peer *p, const uint8_t stamp[HANDSHAKE_STAMP_BYTES]);

/* pins.c */
const struct session_pin *pins_find(const struct session_core *c, uint64_t net64);
bool pins_holds(const struct session_pin *pin, int64_t real_ns);
/* An authenticated packet came: sets the pin, or moves its last time. */
void pins_touch(struct session_core *c, struct session_peer *p, struct session_time t);
bool pins_load(struct session_core *c, const struct session_pin *pin, int64_t real_ns);
void pins_del(struct session_core *c, uint64_t net64);
void pins_fini(struct session_core *c);

#endif
