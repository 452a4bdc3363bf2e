/* SPDX-License-Identifier: Apache-2.0 */
/* The part of rtnl that follows changes; see rtnl.h for what the callbacks mean. */
#ifndef CONTROLD_KERNEL_MONITOR_H
#define CONTROLD_KERNEL_MONITOR_H

#include "controld/kernel/nlreq.h"
#include "controld/kernel/rtnl.h"

struct monitor;

/* req is borrowed. */
struct monitor *monitor_new(struct loop *l, struct nlreq *req, const struct rtnl_ops *ops, void *ctx);
void monitor_free(struct monitor *m);
MUST_CHECK int monitor_start(struct monitor *m);

/* An interface with those flags (IFF_*) and that operational state carries traffic. */
bool monitor_is_usable(uint32_t flags, uint8_t operstate);

#endif
