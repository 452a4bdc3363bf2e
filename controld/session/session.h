/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions between two nodes of ours: Noise_IKpsk2_25519_AESGCM_BLAKE2b inside sealed user data, so that no other node
 * notices. A pure core: packets, reports and time in, packets, keys and events out; it opens nothing, knows no clock,
 * no socket and no disk, and seals no data. Bodies begin after the user-data header `01 TT 00 00`.
 *
 *   INIT 136..1000  sender index u32, lowest and highest version, lanes, 0, capabilities u32, stamp (u64 s, u32 ns),
 *                   cookie (16), Noise message 1 (96), extension (bound, not looked at)
 *   RESP 64         receiver index u32, Noise message 2 (60) around: sender index u32, version, lanes, u16 0,
 *                   capabilities u32
 *   COOKIE 20       receiver index u32, challenge (16)
 *   HINT 4          the index that is not known here
 *   CONTROL 4       kind (0 KEEPALIVE, 1 LINK OFFER, 2 RELEASE), three zero bytes; in a session only
 *
 * Invariants:
 *   - A message that fails a check changes nothing but counters and the tokens that pay for its cost; of
 *     RESPs, four for each INIT.
 *   - Only a RESP that we asked for, or the first packet that opens under `next`, moves a slot; no key that was
 *     confirmed goes before its successor is confirmed, but for age, release, unpinning or loss of all keys.
 *   - Pins are set at these two moments and kept by authenticated packets, never by INIT. A /64 with a pin or a live
 *     session belongs to its key: a second key is refused.
 *   - A pinned peer, and any under `require`, is never sent to, nor heard, by the static key; but for mode off, and for
 *     what is under way in the ten seconds after a peer is first confirmed.
 *   - No INIT without data, a key to renew, a HINT or a release that asked for it; at most limits.pending at a time;
 *     an INIT is never an answer, and no answer is longer than what it answers.
 *   - Keys leave by key_add() and are forgotten here at once; what must stay (ephemerals, presharedkeys) lies in locked
 *     memory and is wiped.
 *   - Every table has a cap. Peers: full, those with neither pin nor live key go first, then those without a live key,
 *     oldest first. Pins: full, those that ended go first, then the shortest-lived; never one that lived longer than
 *     the new one.
 *
 * Choices of ours where the design leaves room:
 *   - "Data in the last 30 s" decides every "while there is data".
 *   - One INIT of a peer is pending at a time: a retry replaces it. Full of pending INITs, a peer with pin or session
 *     displaces the oldest of a stranger, and so does one we send to where the stranger only sends to us.
 *   - Strangers are refused when three quarters of the unconfirmed keys are in use. Where the world has no room for a
 *     key, neither an INIT goes out nor is one answered: a peer without session is better off than one whose is lost.
 *   - A key that is lost soon after it was made is not made anew at once.
 *   - An old key goes 30 s after it stopped sending and nothing more opened under it. (Crossing handshakes leave each
 *     side sealing with a key that is old at the other; wiped by time alone, both would go deaf together.)
 *   - Pins that ended stay in the table, and hold again should the clock have been wrong, until room is needed.
 *     A pin of a former life is not moved while the clock is before it; one of ours goes back with the clock.
 *   - A key that is adopted was confirmed: where the store knows no pin of its peer there is one from then on.
 *   - Unpinning ends the session too: a live far side shakes hands anew, for its packets bring it a HINT.
 *   - Release of a peer that does not answer within 90 s is given up, and its pin stays.
 *   - Mode off lets live sessions run out, and neither begins nor answers any. */
#ifndef CONTROLD_SESSION_SESSION_H
#define CONTROLD_SESSION_SESSION_H

#include "shared/base/buf.h"
#include "shared/base/ip.h"
#include "shared/base/mono.h"
#include "shared/base/network.h"
#include "shared/base/secret.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session_core;

enum {
	SESSION_LANES_MAX = 64,
	SESSION_NETWORK_KEYS = 2,
	SESSION_LIMIT_PEERS = 16384,
	SESSION_LIMIT_PINS = 65536,
	SESSION_LIMIT_PENDING = 256,
	SESSION_LIMIT_UNCONFIRMED = 4096,
};

/* The types of user data that are handled here. */
enum session_type {
	SESSION_INIT = 0x40,
	SESSION_RESP = 0x41,
	SESSION_COOKIE = 0x42,
	SESSION_HINT = 0x43,
	SESSION_CONTROL = 0x44,
};

enum session_mode { SESSION_OFF, SESSION_OPPORTUNISTIC, SESSION_REQUIRE };

/* All open, the first one seals. */
enum session_slot { SESSION_SEND, SESSION_NEXT, SESSION_OLD, SESSION_OLDEST, SESSION_SLOTS };

struct session_time {
	struct mono now;
	int64_t real_ns; /* since 1970; may jump */
};

struct session_psk {
	uint8_t b[32];
};

/* 0: the default above. */
struct session_limits {
	uint32_t peers, pins, pending, unconfirmed;
};

struct session_config {
	const struct network *network;
	struct pubkey pk; /* ours */
	const struct privkey *sk; /* borrowed for the core's life */
	enum session_mode mode; /* require, whatever is said, where there is a network key */
	uint8_t lanes; /* that we receive, 1..64 */
	uint32_t capabilities;
	const struct session_psk *network_keys; /* borrowed during the call */
	uint8_t network_key_count; /* 0..2 */
	struct session_limits limits;
};

/* How a packet to a peer leaves: under the static key, under the key in `send`, or not at all now. */
enum session_way { SESSION_BY_STATIC, SESSION_BY_KEY, SESSION_BY_NONE };

struct session_policy {
	enum session_way way;
	bool refuse_static; /* L3 packets and messages that open statically are dropped */
};

/* A key as fastpath gets it, and as it is adopted from there. */
struct session_key {
	struct pubkey pk; /* of the peer */
	struct ip6 address;
	uint32_t index, far_index; /* what the peer writes into nonces, and what we write */
	uint8_t far_lanes; /* we may use lanes below */
	uint32_t capabilities; /* of both */
	bool initiator; /* we asked for it */
	enum session_slot slot;
	struct mono made;
};

struct session_secrets {
	struct aead_key send, receive;
};

/* Realtime in nanoseconds. */
struct session_pin {
	struct pubkey pk;
	uint64_t net64;
	int64_t first_ns, last_ns;
};

enum session_event_kind {
	SESSION_ESTABLISHED, /* the first key of a peer without one */
	SESSION_RENEWED,
	SESSION_ENDED, /* the last key that sent is gone, by age */
	SESSION_SECOND_KEY, /* refused: the /64 belongs to another */
	SESSION_DOWNGRADE, /* a static packet of a peer that must not send any; one a second per peer */
	SESSION_RELEASED, /* by the far side, or by us */
	SESSION_UNRELEASED, /* the far side did not answer */
	SESSION_MISMATCH, /* its RESP does not open: it has another presharedkey; once an INIT at most */
};

struct session_event {
	enum session_event_kind kind;
	struct pubkey pk;
	struct ip6 address;
};

struct session_packet {
	uint8_t type;
	struct ip6 src, dst; /* outer */
	struct pubkey pk; /* whose static key, or whose session key, opened it */
	uint32_t index; /* of the session key that opened it; 0: the static key */
	const uint8_t *bytes;
	size_t len;
};

/* Sealed and sent from our address. */
struct session_out {
	uint8_t type;
	struct ip6 dst;
	struct pubkey pk;
	uint32_t index; /* of the key in `send`; 0: the static key */
	const uint8_t *bytes; /* borrowed */
	size_t len;
};

/* None of these may call back into the same core. */
struct session_ops {
	void (*send)(void *ctx, const struct session_out *out);
	void (*random)(void *ctx, void *out, size_t len);
	/* What the slots of a peer hold. A slot is empty before a key comes to it. secrets are wiped after the call. */
	void (*key_add)(void *ctx, const struct session_key *key, const struct session_secrets *secrets);
	void (*key_move)(void *ctx, uint32_t index, enum session_slot slot);
	void (*key_del)(void *ctx, uint32_t index);
	/* Is there room for one more key? known: of a peer with pin or session. NULL: always. */
	bool (*has_room)(void *ctx, bool known);
	/* How to talk with a peer changed; told after the keys that it needs. */
	void (*policy)(void *ctx, const struct pubkey *pk, uint64_t net64, struct session_policy policy);
	/* For the store. Set: new, or its last time moved by some minutes. */
	void (*pin_set)(void *ctx, const struct session_pin *pin);
	void (*pin_del)(void *ctx, uint64_t net64);
	void (*event)(void *ctx, const struct session_event *event);
};

enum session_counter { /* things that are counted, never logged per packet */
		       SESSION_TYPE_UNKNOWN,
		       SESSION_KEY_KIND, /* INIT .. HINT in a session, CONTROL outside, or in another's */
		       SESSION_ADDRESS, /* not exactly the two addresses */
		       SESSION_LENGTH, /* too short, or an INIT too long */
		       SESSION_SECOND_KEYS,
		       SESSION_PEERS_FULL,
		       SESSION_INIT_OFF, /* mode off, or being released */
		       SESSION_INIT_VERSION,
		       SESSION_INIT_LANES,
		       SESSION_INIT_INDEX,
		       SESSION_INIT_STALE, /* neither a new stamp nor the cookie */
		       SESSION_INIT_PEER_RATE,
		       SESSION_INIT_RATE,
		       SESSION_INIT_FULL, /* of unconfirmed keys, or no room for a key */
		       SESSION_INIT_BAD, /* Noise message 1 */
		       SESSION_INIT_FOREIGN, /* the static key in it is not the one that opened it */
		       SESSION_RESP_UNASKED, /* not for a pending INIT to this peer */
		       SESSION_RESP_LATE,
		       SESSION_RESP_BAD, /* Noise message 2, or too many for one INIT */
		       SESSION_RESP_VERSION,
		       SESSION_RESP_LANES,
		       SESSION_RESP_INDEX,
		       SESSION_COOKIE_IGNORED,
		       SESSION_HINT_IGNORED,
		       SESSION_STATIC_REFUSED,
		       SESSION_PENDING_FULL,
		       SESSION_PINS_FULL,
		       SESSION_INITS_SENT,
		       SESSION_RESPS_SENT,
		       SESSION_COOKIES_SENT,
		       SESSION_HINTS_SENT,
		       SESSION_KEEPALIVES_SENT,
		       SESSION_KEYS_MADE,
		       SESSION_COUNTERS
};

/* False where the processor lacks AES: then there are no sessions. */
bool session_is_possible(void);
struct session_core *session_new(const struct session_config *config, const struct session_ops *ops, void *ctx,
				 struct session_time t);
/* free(NULL) is fine. Nothing is sent or told. */
void session_free(struct session_core *c);

/* User data of type 0x40.. for us, opened. Inner and outer addresses of L3 packets are fastpath's to check. */
void session_packet(struct session_core *c, const struct session_packet *p, struct session_time t);
/* An L3 packet or a message of len bytes (after the user-data header) opened statically: may it be delivered? */
MUST_CHECK bool session_static(struct session_core *c, const struct pubkey *pk, size_t len, struct session_time t);
/* A packet of sealed_len from there names an index that is not ours, and nothing opened it: perhaps a HINT. */
void session_stray(struct session_core *c, const struct pubkey *pk, uint32_t index, size_t sealed_len,
		   struct session_time t);
/* Data to this peer was sent statically, or is held. Told at most once a second per peer. */
void session_want(struct session_core *c, const struct pubkey *pk, struct session_time t);

/* What fastpath reports each second of a key with traffic since the last report. */
struct session_use {
	uint32_t index;
	uint64_t bytes; /* sealed and opened with it so far */
	uint64_t lane_top; /* the highest counter of any lane */
	struct mono sealed, opened; /* when last; user data only, not CONTROL. 0: never */
};
void session_use(struct session_core *c, const struct session_use *use, struct session_time t);
/* The first packet opened under the key in `next`. */
void session_confirmed(struct session_core *c, uint32_t index, struct session_time t);

/* Does what is due; returns when it wants to be called next. Call it after every other call too (it is cheap). */
struct mono session_tick(struct session_core *c, struct session_time t);

/* Settings of one peer: kept until it is forgotten with NULL. -ENOSPC, or -EEXIST where another key has the /64. */
struct session_setting {
	bool has_mode, has_psk;
	enum session_mode mode;
	struct session_psk psk; /* the caller wipes it */
};
MUST_CHECK int session_set_peer(struct session_core *c, const struct pubkey *pk, const struct session_setting *s,
				struct session_time t);
void session_set_mode(struct session_core *c, enum session_mode mode, struct session_time t);
/* The responder mixes the first, the initiator tries all. Any makes the mode `require`. */
void session_set_network_keys(struct session_core *c, const struct session_psk *keys, uint8_t count,
			      struct session_time t);
/* Tells a peer thrice, a second apart, that we go back to the static key, then, a second later, removes pin and
 * session; shakes hands first where no session lives. Set the mode to off before. -ENOENT: neither pin nor session;
 * -ENOSPC. */
MUST_CHECK int session_release(struct session_core *c, const struct pubkey *pk, struct session_time t);
/* Removes pin and session of a /64. False: there is no pin. */
bool session_unpin(struct session_core *c, uint64_t net64, struct session_time t);

/* Of a former life of controld, pins first: what fastpath still holds, and what the store remembers. False: refused; a
 * key must then be removed there. */
MUST_CHECK bool session_found_key(struct session_core *c, const struct session_key *key, struct session_time t);
MUST_CHECK bool session_found_pin(struct session_core *c, const struct session_pin *pin, struct session_time t);
/* fastpath lost or wiped them all: key_del() tells of each. INITs that wait are given up as well. */
void session_keys_lost(struct session_core *c, struct session_time t);

/* fastpath could not take this key, or wiped it: key_del() follows. */
void session_key_lost(struct session_core *c, uint32_t index, struct session_time t);
/* May a key be taken as the one of its /64? False: that belongs to another key by a pin or a live session, which is
 * told. */
MUST_CHECK bool session_may_have(struct session_core *c, const struct pubkey *pk, struct session_time t);

/* How to talk with a peer now. */
struct session_policy session_policy(struct session_core *c, const struct pubkey *pk, struct session_time t);

/* For the status; borrowed during a call. */
struct session_view {
	struct pubkey pk;
	struct ip6 address;
	enum session_mode mode;
	struct session_policy policy;
	bool pinned, waiting /* an INIT is pending */, has_mode /* of its own */, releasing;
	bool wanted; /* data was held, dropped or refused for want of a session, not long ago */
	struct session_pin pin; /* if pinned */
	uint32_t index[SESSION_SLOTS]; /* 0: empty */
	struct mono made[SESSION_SLOTS];
	uint32_t capabilities; /* of `send` */
};
/* Iterate: fn must not change c. */
void session_each(struct session_core *c, struct session_time t, void (*fn)(void *ctx, const struct session_view *v),
		  void *ctx);
/* The peer with this /64; false: there is none, though there may be a pin. */
MUST_CHECK bool session_find(const struct session_core *c, uint64_t net64, struct session_time t,
			     struct session_view *out);
/* Those that ended too. */
void session_each_pin(const struct session_core *c, void (*fn)(void *ctx, const struct session_pin *pin), void *ctx);
/* Of a /64, borrowed; NULL: none. */
const struct session_pin *session_find_pin(const struct session_core *c, uint64_t net64);
/* Realtime until which it holds, if nothing comes. */
int64_t session_pin_end_ns(const struct session_pin *pin);

struct session_load {
	size_t peers, pins, pending, unconfirmed, live;
};
struct session_load session_load(const struct session_core *c);
uint64_t session_count(const struct session_core *c, enum session_counter what);

#endif
