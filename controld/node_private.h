/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the node share. A link's entry stays when the link has ended, and is used again with its slot. */
#ifndef CONTROLD_NODE_PRIVATE_H
#define CONTROLD_NODE_PRIVATE_H

#include "controld/node.h"
#include "shared/base/log.h"
#include "shared/base/siphash.h"
#include "shared/limits.h"

/* The order is that of service. */
enum node_key_queue { NODE_KEYS_OWN, NODE_KEYS_OTHERS, NODE_KEY_QUEUES, NODE_KEYS_IDLE = NODE_KEY_QUEUES };

/* As many as are served while a packet waits. */
enum { NODE_KEYS_WAITING = LIMIT_KEYS_PER_SECOND * LIMIT_WAIT_MS / 1000 };

/* The key of the owner of a /64. */
struct node_key {
	uint64_t net64;
	struct pubkey pk;
	uint8_t queue; /* enum node_key_queue */
	bool used;
};

struct node_key_ring {
	uint64_t net64[NODE_KEYS_WAITING];
	unsigned first, count;
};

struct node_keys {
	struct node_key *table; /* owned */
	uint32_t cap, count; /* cap: 0 or a power of two */
	uint32_t hand; /* where the search for one to be evicted goes on */
	struct node_key_ring waiting[NODE_KEY_QUEUES];
	struct mono slot_end; /* of the present slot of time */
	unsigned slot_used; /* keys computed in it */
};

struct node_entry {
	struct node_link info;
	uint32_t told_cost; /* last LINK_COST */
	bool alive;
};

/* A node on the LAN that we do not dial yet. */
struct node_heard {
	struct pubkey pk;
	struct endpoint remote;
	struct mono first;
	bool used;
};

struct node {
	const struct network *network;
	const struct identity *identity; /* borrowed */
	const struct node_ops *ops;
	void *ctx;
	struct babel *babel; /* owned; NULL until the router id is known */
	struct router_id self;
	uint16_t seqno;
	bool found_self;
	bool running; /* the fastpath takes records */
	bool ending; /* this node is */
	uint32_t next_link;
	unsigned link_count;
	struct node_entry *slots[LIMIT_LINK_SLOTS]; /* owned */
	struct prefix *doomed; /* owned: found routes whose link is not there */
	size_t doomed_count;
	struct node_keys keys;
	struct node_heard heard[LIMIT_DISCOVERED_PEERS];
	struct log_limit link_log, elsewhere_log;
};

extern const char node_why_ending[];

/* The entry with that id, alive or not; or NULL. */
struct node_entry *node_entry_find(const struct node *n, uint32_t link);
struct node_entry *node_entry_alive(const struct node *n, uint32_t link);
bool node_slot_is_free(const struct node *n, uint32_t link);
/* The slot of a->link must be free. */
struct node_entry *node_entry_add(struct node *n, const struct ctl_adopt *a, struct mono up_since);
void node_entry_log(struct node *n, const struct node_entry *e, const char *what);
/* It has ended: out of babel, told to who dials, logged. */
void node_entry_down(struct node *n, struct node_entry *e, int64_t lived_us, const char *reason, struct mono now);
/* Ends it from our side. Its slot is free at once: records to the fastpath stay in order. */
void node_entry_close(struct node *n, struct node_entry *e, const char *reason, struct mono now);

void node_keys_learn(struct node *n, uint64_t net64, const uint8_t public_key[32]);
void node_keys_want(struct node *n, uint64_t net64, bool own);
/* Nobody waits any more. */
void node_keys_forget_wants(struct node *n);
struct mono node_keys_tick(struct node *n, struct mono now);
void node_keys_fini(struct node *n);

#endif
