/* SPDX-License-Identifier: Apache-2.0 */
/* A worker: one thread with its own epoll, TUN queue, links, buffers and counters. Everything packets do happens here,
 * in runs; it waits for nobody. It talks to the control thread by rings of records of ctl.h (mail.h), two each way:
 *   to the worker    ADOPT (tail: int fd), LINK_CLOSE, TLV, NO_KEY (look the /64 up again: a key was published or
 *                    will not come), CONFIG (MTU, log level), STOP
 *   to control       TLV, LINK_DOWN, LINK_RTT, WANT_KEY, SESSION_WANT, SESSION_STRAY, SESSION_REFUSED,
 *                    SESSION_CONFIRMED: passed on as they are
 *   user data        USER_DOWN to the worker, USER_UP to control: in rings of their own, so that nothing else waits
 *                    behind them */
#ifndef FASTPATH_WORKER_H
#define FASTPATH_WORKER_H

#include "fastpath/epoch.h"
#include "fastpath/key.h"
#include "fastpath/mail.h"
#include "fastpath/pool.h"
#include "fastpath/skey.h"
#include "fastpath/table.h"
#include "shared/base/network.h"
#include "shared/ctl.h"
#include "shared/lanes.h"
#include <pthread.h>

/* Per link slot, written by the worker that owns the link (relaxed), read by the control thread for LINK_INFO. */
struct link_counters {
	uint64_t rx_bytes, tx_bytes;
};

struct worker;

/* User data that may fill the room kept for handshakes in the queues to controld. How many of them there are is bounded
 * (carrier.c), so messages, of which everyone may send as many as he can, do not keep them out. */
static inline bool worker_is_handshake(uint8_t type, size_t len)
{
	return type >= WIRE_USER_INIT && type <= WIRE_USER_HINT && len <= LIMIT_HANDSHAKE_BYTES;
}

/* What all workers of a fastpath share; made by the control thread, outlives them. */
struct fastpath {
	const struct network *network;
	struct ctl_config config;
	struct ip6 own_address;
	uint64_t own_net64;
	struct epoch epoch;
	struct table *table;
	struct keys *keys;
	struct skeys *skeys;
	uint32_t number; /* of this fastpath, from 1: owner of flags in the shared memory */
	struct lanes *lanes;
	unsigned worker_count;
	struct worker *workers[LIMIT_WORKERS];
	struct link_counters *links; /* [LIMIT_LINK_SLOTS] */
};

/* tun_fd: this worker's queue, or -1; becomes the worker's. NULL with errno on failure. All workers are made before one
 * starts. */
struct worker *worker_new(struct fastpath *f, unsigned index, int tun_fd);
/* Starts its thread. 0 or -errno. */
MUST_CHECK int worker_start(struct worker *w);
/* Mailboxes: the control thread writes `in` and then calls mail_kick(in); reads `out` when its eventfd is readable. */
struct mail *worker_in(struct worker *w);
struct mail *worker_out(struct worker *w);
struct mail *worker_user_in(struct worker *w);
struct mail *worker_user_out(struct worker *w);
/* After STOP was mailed to all workers: waits for all threads, closes the links and the TUN queue of this one, frees
 * it. */
void worker_join_free(struct worker *w);

#endif
