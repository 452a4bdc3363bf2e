/* SPDX-License-Identifier: Apache-2.0 */
/* A model of the reference program's router (wire-200 chapter 4), in which each of its defects can be switched off.
 * With all of them off it is a plain, correct node; single ones make mutants. */
#ifndef TESTS_SIM_REF_H
#define TESTS_SIM_REF_H

#include "tests/sim/codec.h"

enum { /* options of kind_ref */
       REF_RAISES_FD = 1, /* 4.7: at an equal seqno, whatever is sent last */
       REF_STALE_COPY = 2, /* 4.6: selection compares with the route as it was */
       REF_NEVER_BUMPS = 4, /* 4.8: the time test of the seqno bump is inverted */
       REF_SILENT_DEATH = 8, /* 4.9: no triggered retraction when a peer dies */
       REF_NEVER_ASKS = 16, /* 4.5: a seqno is only asked for upon an infeasible Update of the selected route */
       REF_KEEPS_INFINITE = 32, /* 4.6: retracted routes are selected */
       REF_DEFECTS = 63,
};

struct ref_entry {
	uint32_t link;
	uint32_t generation;
	uint16_t seqno, metric;
	bool selected;
	struct mono expires;
};

struct ref_dest {
	struct ref_entry *entries; /* owned; the selected one first */
	int count, cap;
};

struct ref_source {
	bool known;
	uint16_t seqno, metric;
	struct mono expires;
};

struct ref_peer {
	uint32_t link;
	uint16_t smoothed;
};

struct ref {
	struct node *node; /* borrowed */
	uint32_t defects;
	uint16_t seqno;
	struct mono bumped, own_at, table_at, expiry_at;
	struct ref_peer *peers; /* owned */
	int peer_count, peer_cap;
	struct ref_dest *dests; /* owned; by node */
	struct ref_source *sources; /* owned; by node and generation */
};

/* reftable.c */
void ref_on_update(struct ref *r, uint32_t link, const struct codec_tlv *u);
/* The link is gone: its entries become infinite. */
void ref_on_peer_death(struct ref *r, uint32_t link);
/* One expired entry, if there is one. */
void ref_expire(struct ref *r);
struct ref_source *ref_source(const struct ref *r, int dest, uint32_t generation);
/* The selected entry, or NULL. */
struct ref_entry *ref_selected(const struct ref *r, int dest);
bool ref_is_feasible(const struct ref *r, int dest, const struct ref_entry *e);

/* ref.c */
uint16_t ref_cost(const struct ref *r, uint32_t link);
uint16_t ref_add(uint16_t metric, uint16_t cost);
/* The selected entry of a destination to all but its next hop; a retraction naming that source if there is none. */
void ref_announce(struct ref *r, int dest, uint32_t generation);
void ref_ask(struct ref *r, uint32_t link, int dest, uint32_t generation);
/* Ask every peer for a source's next seqno. */
void ref_ask_all(struct ref *r, int dest, uint32_t generation);

#endif
