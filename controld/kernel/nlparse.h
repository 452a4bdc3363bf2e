/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink answers as structs. Pure: bytes in, calls out; nothing is believed that was not checked against the length.
 */
#ifndef CONTROLD_KERNEL_NLPARSE_H
#define CONTROLD_KERNEL_NLPARSE_H

#include "shared/base/ip.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nl_link {
	unsigned ifindex;
	char name[16];
	uint32_t flags; /* IFF_* */
	uint32_t mtu;
	uint8_t operstate; /* IF_OPER_* */
	bool removed;
};

struct nl_address {
	unsigned ifindex;
	struct ip6 ip; /* IPv4 mapped */
	uint8_t prefix_len; /* of its own family */
	uint32_t flags; /* IFA_F_* */
	bool removed;
};

/* An IPv6 route. */
struct nl_route {
	struct prefix dst;
	uint32_t table;
	uint8_t type; /* RTN_* */
	unsigned ifindex; /* of the first next hop; 0: none */
};

/* Each may be NULL. */
struct nl_ops {
	void (*link)(void *ctx, const struct nl_link *l);
	void (*address)(void *ctx, const struct nl_address *a);
	void (*route)(void *ctx, const struct nl_route *r);
};

struct nl_verdict {
	bool end; /* the answer to the request is complete */
	int error; /* 0 or -errno, as the kernel said */
	bool lost; /* something changed meanwhile, or messages were lost: read again */
};

/* Reads one datagram, aligned to 4 bytes. seq: of the request whose end is looked for; 0: of none (the monitor).
 * Messages that are malformed, or unknown, are stepped over. */
struct nl_verdict nl_read(const void *bytes, size_t len, uint32_t seq, const struct nl_ops *ops, void *ctx);

#endif
