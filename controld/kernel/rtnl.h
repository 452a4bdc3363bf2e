/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink: interfaces, addresses and routes, and a monitor of their changes. Answers are hostile until parsed. */
#ifndef CONTROLD_KERNEL_RTNL_H
#define CONTROLD_KERNEL_RTNL_H

#include "controld/loop.h"
#include "shared/base/ip.h"

struct rtnl;

struct rtnl_ops {
	/* An interface is usable (up and with carrier), or no longer (down, carrier lost, removed). multicast,
	 * loopback: its flags. Called for all existing ones by rtnl_start(), then for each change of `usable`. */
	void (*interface)(void *ctx, unsigned ifindex, const char *name, bool usable, bool multicast, bool loopback);
	/* A local address came, or is gone or useless because its interface is: links on it are dead. reason: a
	 * sentence part, e.g. "carrier lost on eth0". For a link-local address ifindex tells which. */
	void (*address)(void *ctx, const struct ip6 *a, unsigned ifindex, bool present, const char *reason);
};

/* NULL with errno. A netlink overrun (ENOBUFS) makes it read everything again. */
struct rtnl *rtnl_new(struct loop *l, const struct rtnl_ops *ops, void *ctx);
void rtnl_free(struct rtnl *r);
/* Reads what exists and starts the monitor. */
MUST_CHECK int rtnl_start(struct rtnl *r);

/* Synchronous requests, 0 or -errno of the kernel. */
MUST_CHECK int rtnl_link_up(struct rtnl *r, unsigned ifindex, uint32_t mtu, uint32_t tx_queue_len);
MUST_CHECK int rtnl_link_down(struct rtnl *r, unsigned ifindex);
/* No automatic link-local address on the interface. */
MUST_CHECK int rtnl_addrgen_none(struct rtnl *r, unsigned ifindex);
/* Adds the address with that prefix length (no duplicate address detection); -EEXIST counts as 0. */
MUST_CHECK int rtnl_address_add(struct rtnl *r, unsigned ifindex, const struct ip6 *a, uint8_t prefix_len);
/* Gives it another name; -EBUSY: this kernel wants it down for that. */
MUST_CHECK int rtnl_link_rename(struct rtnl *r, unsigned ifindex, const char *name);
/* What the kernel says of the interface now. */
struct rtnl_link {
	char name[16];
	uint32_t mtu;
	bool up;
};
MUST_CHECK int rtnl_link_get(struct rtnl *r, unsigned ifindex, struct rtnl_link *out);
/* 1 if the interface has the address with that prefix length, 0 if not, -errno. */
MUST_CHECK int rtnl_address_has(struct rtnl *r, unsigned ifindex, const struct ip6 *a, uint8_t prefix_len);
/* Looks for a route that overlaps the prefix, in any table but local's own addresses, on an interface other than
 * ignore_ifindex: 1 and the interface's name in name[16], 0 if none, -errno. */
MUST_CHECK int rtnl_find_route(struct rtnl *r, const struct prefix *p, unsigned ignore_ifindex, char name[16]);

#endif
