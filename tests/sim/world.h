/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes, the links between them, and virtual time, in one process.
 *
 * An edge is a wire between two nodes: delay and jitter per direction, loss, and it can be cut without either end being
 * told. A conn is one TCP connection over it, with an end at each node; an end that is up is a link of its node. Bytes
 * arrive in order or not at all. Loss is what TCP makes of it: delay. The two ends of a conn come up and go down at
 * different times, and a new conn may be up while an old one has not been noticed dead.
 *
 * Not modelled: bandwidth; a reference node keeping the TCP connection of a neighbour it has judged dead. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "controld/babel/babel.h"
#include "tests/sim/queue.h"
#include "tests/sim/rng.h"
#include "tests/sim/topo.h"

enum {
	SIM_GENERATIONS = 8, /* a node is started so often at most */
	SIM_FAILURE_BYTES = 320,
};

/* What can be broken. */
enum broken {
	BROKEN_LOOP = 1,
	BROKEN_DISTANCE = 2, /* a feasibility distance rose, or a route was taken against it */
	BROKEN_WIRE = 4, /* something sent, or told, that is not right */
	BROKEN_REST = 8, /* not converged in time, or not quiet afterwards */
	BROKEN_ALL = 15,
};

struct world;
struct node;
struct conn;

/* What a kind of node does. Links, bytes and time come in; world_send() and check_selected() are its ways out. */
struct kind {
	void *(*new)(struct node *n);
	void (*free)(void *impl);
	void (*link_up)(void *impl, uint32_t link);
	void (*link_down)(void *impl, uint32_t link);
	void (*link_rtt)(void *impl, uint32_t link, uint32_t rtt_us);
	void (*tlv)(void *impl, uint32_t link, const uint8_t *tlv, size_t len);
	struct mono (*tick)(void *impl);
	void (*each_source)(const void *impl, void (*fn)(void *ctx, const struct babel_source *s), void *ctx);
	/* A new controld takes over what the old one's forwarder still does. NULL: not of this kind. */
	void (*adopt)(void *impl);
	/* At rest: what the kind can say about itself; fails the world if it is wrong. */
	void (*audit)(const void *impl);
};

extern const struct kind kind_core; /* controld/babel */
extern const struct kind kind_ref; /* a model of the reference program, with the quirks named in options */

struct segment {
	struct mono at;
	uint32_t len;
	bool eof;
};

struct pipe { /* what one end has sent and the other has not yet got */
	struct segment *segments; /* owned */
	uint8_t *bytes; /* owned */
	size_t first, count, segment_cap, bytes_first, bytes_count, bytes_cap;
	struct mono sent, not_before;
	bool armed;
};

struct end {
	struct conn *conn;
	struct node *node; /* borrowed */
	uint32_t link;
	bool up, closed;
	struct mono heard; /* last round trip */
	struct pipe tx;
};

struct conn {
	struct edge *edge; /* borrowed */
	struct end end[2]; /* 0 dials */
	struct conn *next;
};

struct edge {
	struct node *node[2]; /* borrowed; 0 dials */
	int64_t delay_us[2]; /* from node i */
	int64_t jitter_us;
	uint32_t loss_percent;
	bool blocked, dialling;
	uint32_t serial; /* of blocking */
	struct conn *conns; /* owned, the newest first */
};

struct node {
	struct world *world;
	const struct kind *kind;
	void *impl; /* owned; NULL: not running */
	uint32_t options; /* of the kind */
	bool judged; /* claims to be loop-free and is held to it */
	int index;
	struct router_id ids[SIM_GENERATIONS]; /* one per start */
	uint32_t generation; /* of the current one */
	struct prefix own;
	struct mono started, wake;
	uint32_t wake_serial, link_serial;
	struct end **ends; /* owned array; by slot of the link id */
	uint32_t end_cap;
	struct edge **edges; /* owned array */
	int edge_count;
	uint32_t events;
};

struct world {
	struct mono now, last_change; /* of any link or node */
	struct rng rng;
	struct queue queue;
	struct node *nodes;
	struct edge *edges;
	int node_count, edge_count;
	int *names; /* owned; hash of /64 -> node index, -1 free */
	uint32_t name_mask;
	struct check *check; /* owned */
	bool verbose;
	int trace; /* node whose routes are traced, or -1 */
	uint32_t watched; /* kinds of violations that count */
	uint32_t failures;
	char failure[SIM_FAILURE_BYTES]; /* the first one */
	uint64_t events, tlvs_sent, tlvs_taken, rtts;
};

/* Nodes are made but not started; their kind, options and judged may be set until then. generations: how often one node
 * may be started. */
void world_init(struct world *w, const struct topo *t, uint64_t seed, uint32_t generations);
void world_fini(struct world *w);
/* Runs all events up to a time, or to the first failure. */
void world_run(struct world *w, struct mono until);
/* Notes a broken invariant. */
void world_fail(struct world *w, enum broken what, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A line of the trace. */
void world_trace(const struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Index of the node that owns the prefix, or -1. */
int world_find(const struct world *w, const struct prefix *p);

void world_start(struct node *n);
/* told: its neighbours see their connections end; otherwise they have to find out. */
void world_stop(struct node *n, bool told);
/* What the node has done is looked at, and its next call arranged; after every call into it. */
void world_leave(struct node *n);
/* Called by the kinds: one TLV to one link. */
void world_send(struct node *n, uint32_t link, const uint8_t *tlv, size_t len);
/* The end behind a link of the node, or NULL. */
struct end *world_end(const struct node *n, uint32_t link);

/* link.c */
void edge_dial(struct edge *e, int64_t after_us);
void edge_block(struct edge *e);
void edge_unblock(struct edge *e);
/* The connection breaks: the end of that side goes down now, the other after some time. */
void edge_break(struct edge *e, int side, int64_t other_after_us);
/* Connections that only one end still believes in end. */
void edge_reset_halves(struct edge *e);
bool edge_is_open(const struct edge *e);
/* Connected where it can be, nothing left where not. */
bool edge_is_settled(const struct edge *e);
void end_close(struct end *e, bool told);
void end_send(struct end *e, const uint8_t *bytes, size_t len);
void edge_fini(struct edge *e);

static inline struct end *end_other(const struct end *e)
{
	return &e->conn->end[e == &e->conn->end[0]];
}

static inline struct world *end_world(const struct end *e)
{
	return e->node->world;
}

#endif
