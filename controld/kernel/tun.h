/* SPDX-License-Identifier: Apache-2.0 */
/* The TUN interface: made with IFF_MULTI_QUEUE | IFF_VNET_HDR, offloads set, one descriptor per queue; it lives as long
 * as a descriptor of it does. */
#ifndef CONTROLD_KERNEL_TUN_H
#define CONTROLD_KERNEL_TUN_H

#include "controld/kernel/rtnl.h"
#include "shared/base/ip.h"
#include "shared/limits.h"
#include <stdbool.h>

struct tun_config {
	const char *name;
	unsigned queues;
	uint32_t mtu;
	bool offload;
	struct ip6 address;
	struct prefix overlay; /* its length is the address's */
};

struct tun {
	unsigned queues;
	int fd[LIMIT_WORKERS]; /* owned; -1: none */
	unsigned ifindex;
	char name[16];
	bool uso; /* the kernel took TUN_F_USO4/6 */
};

/* Makes and configures it (offloads, MTU, addrgenmode none, txqueuelen 1000, address, up). 0, or -errno with a sentence
 * in error[256] that says what to do (no /dev/net/tun, no CAP_NET_ADMIN, name taken by ..., IPv6 disabled, another
 * overlay's route on ...). */
MUST_CHECK int tun_open(struct tun *t, struct rtnl *r, const struct tun_config *c, char error[256]);
/* Takes over descriptors of a running TUN (owned from now on), and brings MTU and address in line, a log line for each
 * change. 0 or -errno with a sentence. */
MUST_CHECK int tun_adopt(struct tun *t, struct rtnl *r, const struct tun_config *c, char error[256]);
void tun_close(struct tun *t);

#endif
