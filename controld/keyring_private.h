/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the keyring; private to the keyring*.c files.
 *
 *   key       a session key that a fastpath holds, and its row: until that says that it is gone     keyring_rows.c
 *   lost      a key of the core that found no row: ended there at the next tick                     keyring_rows.c
 *   history   of a /64: its session, and what was refused for it                                    keyring_log.c
 *   account   of a /64: packets under its static key                                                keyring_static.c */
#ifndef CONTROLD_KEYRING_PRIVATE_H
#define CONTROLD_KEYRING_PRIVATE_H

#include "shared/base/siphash.h"
#include <stdlib.h>
#define uthash_fatal(msg) abort()
#include "controld/keyring.h"
#include "shared/base/log.h"
#include "shared/limits.h"
#include <uthash.h>
#include <utlist.h>

enum {
	KEYRING_NO_ROW = LIMIT_SESSION_ROWS,
	/* Of all keys that there is room for these shares stay free: for INITs that wait, each of which may become a
	   key; and for peers with pin or session. */
	KEYRING_SPARE_SHARE = LIMIT_SESSION_ROWS / SESSION_LIMIT_PENDING,
	KEYRING_KNOWN_SHARE = 4,
	KEYRING_HISTORIES = 2 * SESSION_LIMIT_PEERS, /* full: the one touched longest ago that has no session goes */
	KEYRING_HEX_BYTES = 9, /* of a key, short, with the final zero */
	KEYRING_FULL_MS = 600 * 1000,
	KEYRING_WARN_MS = 60 * 1000, /* a peer is warned of once in this time */
};

struct keyring_counts {
	uint64_t sealed_packets, sealed_bytes, opened_packets, opened_bytes;
};

struct keyring_key {
	uint32_t index, row; /* KEYRING_NO_ROW: none that is ours */
	uint64_t net64;
	bool dying; /* ended here; its row waits for GONE */
	bool told; /* SESSION_DEL was sent */
	bool confirmed; /* found so, and not yet told to the core */
	struct keyring_counts counts; /* as reported last */
	UT_hash_handle hh;
};

struct keyring_lost {
	uint32_t index;
	struct keyring_lost *next;
};

struct keyring_history {
	uint64_t net64;
	struct mono since; /* NEVER: no session */
	uint32_t renewals;
	struct keyring_counts counts; /* since then */
	uint64_t refused_static, second_keys;
	struct mono downgrade_next, second_next, mismatch_next; /* log lines */
	struct keyring_history *prev, *next; /* touched longest ago first */
	UT_hash_handle hh;
};

struct keyring_account {
	uint64_t net64;
	struct pubkey pk;
	uint64_t sealed, opened;
	uint64_t told_sealed, told_opened; /* by this fastpath, since the key came there */
	uint64_t warn_next;
	bool found; /* in a running fastpath, with this policy */
	uint8_t found_way, found_refuse;
	struct keyring_account *prev, *next; /* told of longest ago first */
	UT_hash_handle hh;
};

struct keyring {
	const struct keyring_ops *ops;
	void *ctx;
	const struct network *network;
	struct ip6 address; /* ours */
	enum session_mode mode;
	bool has_network_key;
	struct session_core *core;
	struct session_time t; /* of the call that is being served */
	bool running; /* a fastpath takes records */

	struct lanes *lanes; /* borrowed; NULL: none yet */
	uint64_t generation; /* that our keys are of */
	bool raises; /* the generation, when the memory comes */
	uint32_t free_rows[LIMIT_SESSION_ROWS];
	size_t free_count;
	size_t full_at; /* fastpath held no more than so many keys .. */
	struct mono full_until; /* .. and is not asked to before */
	bool row_used[LIMIT_SESSION_ROWS]; /* by one of the keys */
	struct keyring_key *keys; /* by index */
	struct keyring_lost *lost;

	struct keyring_history *histories, *histories_used;
	struct keyring_account *accounts, *accounts_used;
	struct log_limit sessions, releases, downgrades, seconds, mismatches, refusals, statics;
};

/* Zeroed; out of memory aborts. */
static inline void *keyring_alloc(size_t bytes)
{
	void *p = calloc(1, bytes);

	if (!p)
		abort();
	return p;
}

static inline enum ctl_way keyring_way(enum session_way way)
{
	if (way == SESSION_BY_KEY)
		return CTL_WAY_SESSION;
	return way == SESSION_BY_STATIC ? CTL_WAY_STATIC : CTL_WAY_HOLD;
}

/* keyring.c */
/* The address of this key lies in this /64. */
bool keyring_fits(const struct keyring *k, uint64_t net64, const struct pubkey *pk);
void keyring_send_policy(struct keyring *k, const struct pubkey *pk, uint64_t net64, struct session_policy policy);

/* keyring_rows.c: session_ops, and records about keys */
void keyring_rows_add(void *ctx, const struct session_key *key, const struct session_secrets *secrets);
void keyring_rows_move(void *ctx, uint32_t index, enum session_slot slot);
void keyring_rows_del(void *ctx, uint32_t index);
bool keyring_rows_have_room(void *ctx, bool known);
void keyring_rows_use(struct keyring *k, const struct ctl_session_use *u);
void keyring_rows_gone(struct keyring *k, const struct ctl_session_gone *g);
/* Rows that no key has become free, what was ended meanwhile is ended there, what was confirmed is moved. */
void keyring_rows_start(struct keyring *k);
/* No fastpath holds any key. */
void keyring_rows_forget(struct keyring *k);
/* Keys of another generation end, and those that found no row. */
void keyring_rows_tick(struct keyring *k);
void keyring_rows_fini(struct keyring *k);

/* keyring_log.c: histories and log lines */
/* False: the same was told lately. */
bool keyring_log_event(struct keyring *k, const struct session_event *e);
/* A key came to seal for this /64: a session begins then, or is renewed. counts: of this key, so far. */
void keyring_log_began(struct keyring *k, uint64_t net64, struct mono since, const struct keyring_counts *counts);
void keyring_log_used(struct keyring *k, uint64_t net64, const struct keyring_counts *before,
		      const struct keyring_counts *now);
/* NULL: nothing is known. */
struct keyring_history *keyring_log_find(const struct keyring *k, uint64_t net64);
/* The first digits of a key into out[KEYRING_HEX_BYTES]; returns out. */
const char *keyring_log_hex(const struct pubkey *pk, char *out);
void keyring_log_fini(struct keyring *k);

/* keyring_static.c */
void keyring_static_told(struct keyring *k, const struct ctl_key_info *i);
/* Those found get the policy of now, where theirs differs. */
void keyring_static_start(struct keyring *k);
/* The next one counts from zero. */
void keyring_static_forget(struct keyring *k);
struct keyring_account *keyring_static_find(const struct keyring *k, uint64_t net64);
void keyring_static_fini(struct keyring *k);

#endif
