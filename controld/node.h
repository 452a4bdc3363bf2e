/* SPDX-License-Identifier: Apache-2.0 */
/* The node: composes the cores and is the product. Its header is what a node can do; command line, API and simulators
 * are skins over it. Pure like the cores: the world is a struct of functions, time an argument. */
#ifndef CONTROLD_NODE_H
#define CONTROLD_NODE_H

#include "controld/babel/babel.h"
#include "shared/base/identity.h"
#include "shared/base/ip.h"
#include "shared/base/mono.h"
#include "shared/base/network.h"
#include "shared/ctl.h"
#include <stdio.h>

struct node;

struct node_link;

struct node_ops {
	/* To the fastpath: as the record of that name in ctl.h. */
	void (*tlv)(void *ctx, uint32_t link, const uint8_t *tlv, size_t len);
	void (*route)(void *ctx, const struct ctl_route *r);
	void (*route_del)(void *ctx, const struct prefix *p);
	void (*link_cost)(void *ctx, uint32_t link, uint32_t smoothed);
	void (*link_close)(void *ctx, uint32_t link, const char *reason);
	void (*key)(void *ctx, const struct ctl_key *k); /* the record is wiped by the node afterwards */
	void (*no_key)(void *ctx, uint64_t net64);
	void (*self)(void *ctx, const struct ctl_node *n);
	/* The socket of a new link, descriptor included; false: could not be handed over. */
	bool (*adopt)(void *ctx, const struct ctl_adopt *a, int fd);
	/* A link ended: to the adapter that dials. peer 0: inbound. */
	void (*link_gone)(void *ctx, uint64_t peer, int64_t lived_us, const char *reason);
	/* A link came up, or ended: for whoever watches. */
	void (*link_changed)(void *ctx, const struct node_link *l, bool up);
	/* May a key be learned as the one of the /64, in the place of another or of none? NULL: always. Refused, what
	 * was known stays. */
	bool (*may_learn)(void *ctx, uint64_t net64, const struct pubkey *pk);
	void (*random)(void *ctx, void *out, size_t len);
};

struct node_config {
	const struct network *network;
	const struct identity *identity; /* borrowed */
};

struct node_link {
	uint32_t link;
	uint32_t flags; /* CTL_LINK_* */
	uint64_t peer;
	struct endpoint local, remote;
	struct mono up_since;
	bool proven; /* it has sent something valid */
	uint32_t rtt_us; /* last sample, 0: none */
	uint64_t rx_bytes, tx_bytes; /* as of that sample, or of its end */
};

struct node *node_new(const struct node_config *c, const struct node_ops *ops, void *ctx, struct mono now);
void node_free(struct node *n);

/* The fastpath is ready. Between its finding alive and this call come node_found_*() (adoption); on a cold start none
 * do. Draws a new router id unless one was found. */
void node_found_self(struct node *n, const struct ctl_node *self);
void node_found_link(struct node *n, const struct ctl_link_info *l, struct mono now);
void node_found_route(struct node *n, const struct ctl_route *r, struct mono now);
void node_start(struct node *n, struct mono now);
/* The fastpath died: all links with it. The router id stays; after the new one is ready: node_restart(). */
void node_fastpath_lost(struct node *n, struct mono now);
void node_restart(struct node *n, struct mono now);
/* This node is about to end: no link is made any more, and those that end do so for that reason. */
void node_end(struct node *n);

/* Events from the fastpath. */
void node_on_tlvs(struct node *n, uint32_t link, const uint8_t *bytes, size_t len, struct mono now);
void node_on_rtt(struct node *n, const struct ctl_link_rtt *r, struct mono now);
void node_on_link_down(struct node *n, const struct ctl_link_down *d, struct mono now);
void node_on_want_key(struct node *n, uint64_t net64, bool own, struct mono now);

/* Events from the links and the kernel. */
bool node_may_accept(const struct node *n, const struct endpoint *remote, const char **why);
/* May another peer be dialled? False with a sentence in *why. */
bool node_has_room(const struct node *n, const char **why);
/* remote is link-local. May a node be dialled that was heard on the LAN? Not one that is a neighbour on that interface
 * already; and where two nodes hear each other, one of them dials at once and the other only if that did not come
 * about. */
bool node_may_dial(struct node *n, const struct pubkey *pk, const struct endpoint *remote, struct mono now);
/* A new socket; fd becomes the node's. Logs the link. */
void node_on_socket(struct node *n, const struct ctl_adopt *a, int fd, struct mono now);
/* A local address is gone: ends the links on it at once. */
void node_on_address_lost(struct node *n, const struct ip6 *a, unsigned ifindex, const char *reason, struct mono now);

/* Ends a link, for a reason of the caller. Unknown links are ignored. */
void node_close_link(struct node *n, uint32_t link, const char *reason, struct mono now);

/* Does what is due; returns when to be called next. Call after every event. */
struct mono node_tick(struct node *n, struct mono now);

/* What it knows. */
const struct router_id *node_router_id(const struct node *n); /* from node_start() on */
void node_each_link(const struct node *n, void (*fn)(void *ctx, const struct node_link *l), void *ctx);
/* A link that is up, or NULL; borrowed until the next event. */
const struct node_link *node_link_find(const struct node *n, uint32_t link);
/* Read only: routes, sources, counts. NULL before node_start(). */
const struct babel *node_babel(const struct node *n);
/* Public key of the owner of a /64; false if it was never announced. */
bool node_key_of(const struct node *n, uint64_t net64, struct pubkey *out);
/* The SIGUSR1 dump (wire-200 8.6), to the byte. */
void node_dump(const struct node *n, FILE *out);

#endif
