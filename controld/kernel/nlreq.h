/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink requests that wait for their answer, on a socket of their own. */
#ifndef CONTROLD_KERNEL_NLREQ_H
#define CONTROLD_KERNEL_NLREQ_H

#include "controld/kernel/nlparse.h"
#include "shared/base/buf.h"

enum { NLREQ_BYTES = 512, NL_ANSWER_BYTES = 32 * 1024 };

struct nlmsghdr;
struct nlreq;

/* NULL with errno. */
struct nlreq *nlreq_new(void);
void nlreq_free(struct nlreq *n);
/* Sends a request of at most NLREQ_BYTES, its seq and the flags REQUEST (and ACK, where it is no dump) are set here,
 * and gives what comes to ops (may be NULL). A dump that was disturbed is done again: ops may see entries twice. 0 or
 * -errno. */
MUST_CHECK int nlreq_do(struct nlreq *n, struct nlmsghdr *request, const struct nl_ops *ops, void *ctx);
/* One datagram of the kernel (others are skipped) into out, aligned to 4: its length, or -errno; -ENOBUFS: some were
 * lost. */
MUST_CHECK int nl_receive(int fd, void *out, size_t cap);

#endif
