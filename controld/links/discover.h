/* SPDX-License-Identifier: Apache-2.0 */
/* Link-local discovery (wire-200 2.8): beacons to ff02::cafe on every multicast interface that is up, and what is heard
 * there. One socket per interface, bound to [ff02::cafe%if]:port, never to [::] (the unicast port belongs to data). */
#ifndef CONTROLD_LINKS_DISCOVER_H
#define CONTROLD_LINKS_DISCOVER_H

#include "controld/loop.h"
#include "shared/base/ip.h"
#include "shared/base/secret.h"
#include "shared/wire.h"

struct discover;

struct discover_config {
	uint16_t port; /* of discovery */
	uint16_t tcp_port; /* announced */
	struct router_id self;
};

struct discover_ops {
	/* A node announced itself: its link-local address with scope, its TCP port and its key. */
	void (*found)(void *ctx, const struct endpoint *e, const struct pubkey *pk);
};

struct discover *discover_new(struct loop *l, const struct discover_config *c, const struct discover_ops *ops,
			      void *ctx);
void discover_free(struct discover *d);
/* An interface that is up, running and multicast (not the TUN, not loopback) came or is still there / went. */
void discover_add(struct discover *d, unsigned ifindex, const char *name);
void discover_del(struct discover *d, unsigned ifindex);

/* Pure: judges a datagram: true, endpoint and key where it is an acceptable beacon of another node. */
bool discover_read(const struct router_id *self, const struct sockaddr_in6 *from, const uint8_t *bytes, size_t len,
		   struct endpoint *out, struct pubkey *pk);

#endif
