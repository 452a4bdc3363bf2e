/* SPDX-License-Identifier: Apache-2.0 */
/* The keyring: what a peer is talked to with. It puts the session core between the fastpath, which holds the keys and
 * seals, and the store, which keeps the pins; it gives each session key a row of the shared memory, and counts what is
 * sealed under the static keys. Pure like the cores: the world is a struct of functions, time an argument.
 *
 *   fastpath   SESSION_WANT, _USE, _CONFIRMED, _STRAY, _REFUSED, handshakes ->  session core
 *   fastpath   <-  SESSION_KEY, _MOVE, _DEL, POLICY, handshakes                 session core
 *   store      pins and the modes of peers: found at the start, told when they change
 *
 * Invariants: a row is zeroed before its key leaves, and free again only when the fastpath said that the key is gone,
 * or is gone itself. A /64 with a pin or a live session belongs to its key, whatever babel announces.
 *
 *   keyring.c          life, what the core asks for, records, time
 *   keyring_rows.c     rows and the keys that have them, adoption, generation
 *   keyring_static.c   counts of the static keys, and the warning
 *   keyring_log.c      what became of each /64, and the log lines
 *   keyring_view.c     what others may see
 *   keyring_orders.c   what the user may ask for: release, unpin, mode */
#ifndef CONTROLD_KEYRING_H
#define CONTROLD_KEYRING_H

#include "controld/session/session.h"
#include "controld/store/record.h"
#include "shared/ctl.h"
#include "shared/lanes.h"

struct keyring;

struct keyring_ops {
	/* To the fastpath: as the record of that name in ctl.h. */
	void (*session_key)(void *ctx, const struct ctl_session_key *k); /* wiped by the keyring afterwards */
	void (*session_move)(void *ctx, const struct ctl_session_move *m);
	void (*session_del)(void *ctx, const struct ctl_session_del *d);
	void (*policy)(void *ctx, const struct ctl_policy *p);
	void (*user)(void *ctx, const struct ctl_user_down *u, const uint8_t *bytes, size_t len);
	/* Public key that the network announces for a /64. */
	bool (*key_of)(void *ctx, uint64_t net64, struct pubkey *out);
	void (*random)(void *ctx, void *out, size_t len);
	/* For the store. */
	void (*pin_set)(void *ctx, const struct record_pin *p);
	void (*pin_del)(void *ctx, uint64_t net64);
	void (*mode_set)(void *ctx, const struct record_mode *m);
	void (*mode_del)(void *ctx, uint64_t net64);
	/* For whoever watches; the log line is written already. Of second keys at most one a minute for each /64. */
	void (*event)(void *ctx, const struct session_event *e);
};

struct keyring_config {
	const struct network *network;
	struct pubkey pk; /* ours */
	const struct privkey *sk; /* borrowed for the keyring's life */
	enum session_mode mode;
	const struct session_psk *network_keys; /* borrowed during the call; the first is mixed, both are tried */
	uint8_t network_key_count; /* 0..SESSION_NETWORK_KEYS; with any the mode is require */
};

struct keyring *keyring_new(const struct keyring_config *c, const struct keyring_ops *ops, void *ctx,
			    struct session_time t);
/* free(NULL) is fine. Nothing is told: keys stay in the fastpath, for the next life. */
void keyring_free(struct keyring *k);

/* What the store holds: pins and modes first, before all else. */
void keyring_found_pin(struct keyring *k, const struct record_pin *p, struct session_time t);
void keyring_found_mode(struct keyring *k, const struct record_mode *m, struct session_time t);

/* The shared memory, from the first ready fastpath on; of a running one before keyring_found_session(). lanes is
 * borrowed until keyring_free(). */
void keyring_memory(struct keyring *k, struct lanes *lanes);
/* Adoption: a key that a running fastpath holds (the refused ones are ended there), a static key. */
void keyring_found_session(struct keyring *k, const struct ctl_session_info *i, struct session_time t);
void keyring_found_key(struct keyring *k, const struct ctl_key_info *i, struct session_time t);
/* The fastpath takes records; rows that none of the found keys has become free. */
void keyring_start(struct keyring *k, struct session_time t);
/* It is gone, and all session keys with it. keyring_start() follows when the next one is ready. */
void keyring_fastpath_lost(struct keyring *k, struct session_time t);
/* The machine was cloned or rolled back: the generation of the shared memory is raised, all session keys end. */
void keyring_raise_generation(struct keyring *k, struct session_time t);

/* Records of the fastpath. Those about peers, keys or indices that are not known any more are ignored. */
void keyring_on_record(struct keyring *k, enum ctl_type type, const void *body, struct session_time t);
/* User data from INIT to CONTROL. */
void keyring_on_packet(struct keyring *k, const struct ctl_user_up *u, const uint8_t *bytes, size_t len,
		       struct session_time t);
/* A message of len bytes that opened under this key: may it be taken? (fastpath refuses by policy already; what was
 * under way when the policy changed is refused here.) */
MUST_CHECK bool keyring_may_take(struct keyring *k, const struct ctl_user_up *u, size_t len, struct session_time t);

/* Fills policy and session (the key that sends) of a KEY record whose net64 and public key stand. */
void keyring_fill(struct keyring *k, struct ctl_key *key, struct session_time t);
/* May this key be learned as the one of the /64? False: another one has it, by a pin or a live session (told). */
MUST_CHECK bool keyring_may_learn(struct keyring *k, uint64_t net64, const struct pubkey *pk, struct session_time t);

/* Does what is due; returns when to be called next. Call after every event. */
struct mono keyring_tick(struct keyring *k, struct session_time t);

/* What it knows of a peer; borrowed during the call. */
struct keyring_view {
	struct session_view session; /* pk, address, mode, policy, pinned, waiting, slots */
	bool known; /* to the session core, if only by a pin; else only its static key is in use, and of session only
		       pk, address, mode and policy say something */
	bool has_mode; /* a mode of its own */
	int64_t pin_end_s; /* realtime, if pinned: when it holds no more unless something comes */
	struct mono since; /* the session with it began: the first key since there was none; NEVER: none */
	uint32_t renewals; /* since then */
	/* Since then, under all its keys. Bytes: of sealed payloads. */
	uint64_t sealed_packets, sealed_bytes, opened_packets, opened_bytes;
	uint64_t static_sealed, static_opened; /* packets under the static key, as far as known */
	uint64_t refused_static; /* packets or messages; counted once a second */
	uint64_t second_keys; /* refused for its /64 */
	bool releasing;
};
void keyring_each(struct keyring *k, struct session_time t, void (*fn)(void *ctx, const struct keyring_view *v),
		  void *ctx);
/* There is no session, nothing leaves without one, and neither data nor a handshake waits: the next packet begins one.
 */
static inline bool keyring_is_idle(const struct keyring_view *v)
{
	return v->session.policy.way == SESSION_BY_NONE && !v->session.waiting && !v->session.wanted;
}
/* The one with this /64: false: nothing is known of it. */
MUST_CHECK bool keyring_find(struct keyring *k, uint64_t net64, struct session_time t,
			     void (*fn)(void *ctx, const struct keyring_view *v), void *ctx);
struct keyring_totals {
	size_t peers /* known */, live, pins /* that hold */, waiting;
	size_t held; /* way none: nothing leaves without a session */
	size_t idle; /* of those: and nothing wants to, just now */
	size_t static_only; /* packets passed under the static key, and more may */
	size_t rows; /* in use */
	uint64_t refused_static, second_keys;
};
struct keyring_totals keyring_totals(struct keyring *k, struct session_time t);
uint64_t keyring_count(const struct keyring *k, enum session_counter what);
enum session_mode keyring_mode(const struct keyring *k);
bool keyring_has_network_key(const struct keyring *k);

/* Before going back to an older version: mode off for all, and every peer with pin or session is told thrice. Returns
 * how many those are. */
size_t keyring_release_all(struct keyring *k, struct session_time t);
/* The same for one peer; its mode off is kept in the store. 0; -ENOENT: neither pin nor session; -ENOSPC. */
MUST_CHECK int keyring_release(struct keyring *k, uint64_t net64, struct session_time t);
/* Removes pin and session. 0, or -ENOENT: no pin. */
MUST_CHECK int keyring_unpin(struct keyring *k, uint64_t net64, struct session_time t);
/* A mode of its own, kept in the store; NULL: that of the node again. 0; -ENOENT: the public key of the /64 is not
 * known; -EEXIST: another key has the /64; -ENOSPC; -EPERM: with a network key a peer may only be set to require. */
MUST_CHECK int keyring_set_mode(struct keyring *k, uint64_t net64, const enum session_mode *mode,
				struct session_time t);

#endif
