/* SPDX-License-Identifier: Apache-2.0 */
/* The fastpath processes: started, found alive and adopted, watched, restarted; the socket to each. An array, even of
 * one; index 0 is home. Owns the memfd's descriptor. */
#ifndef CONTROLD_KERNEL_FASTPATHS_H
#define CONTROLD_KERNEL_FASTPATHS_H

#include "controld/kernel/tun.h"
#include "controld/loop.h"
#include "shared/ctl.h"

struct fastpaths;
struct lanes;

struct fastpaths_ops {
	/* READY came. running: it was found alive, and what it holds was given by record() before. Now call
	 * fastpaths_begin(). */
	void (*ready)(void *ctx, unsigned which, bool running);
	/* It is gone: its links are dead. A new one is started by itself; ready follows. */
	void (*lost)(void *ctx, unsigned which);
	/* It cannot be started at all: the daemon should end, with that exit code. */
	void (*gave_up)(void *ctx, int exit_code, const char *why);
	/* Every other record upwards, in order, also those of the dump before READY (CONFIG, NODE, LINK_INFO, ROUTE,
	 * SESSION_INFO, KEY_INFO; MEMORY, before them, and TUN are handled here). body is borrowed. */
	void (*record)(void *ctx, unsigned which, enum ctl_type type, const void *body, size_t len);
	/* What was there to be read has been given to record(); what is put now leaves at once. */
	void (*settled)(void *ctx);
};

struct fastpaths_config {
	const char *program; /* path of fastpath */
	const char *run_dir; /* of this instance: the socket is run_dir/ctl */
	struct ctl_config config;
};

struct fastpaths *fastpaths_new(struct loop *l, const struct fastpaths_config *c, const struct fastpaths_ops *ops,
				void *ctx);
/* Adopts or starts; ready comes from the loop. 0, or -errno with a sentence in error[256]. */
MUST_CHECK int fastpaths_start(struct fastpaths *f, char error[256]);
/* TUN descriptors that a running fastpath gave back (owned by the caller from now on), in order of queue; count 0:
 * none. Valid from ready(running). */
unsigned fastpaths_take_tun(struct fastpaths *f, int fd[LIMIT_WORKERS], char name[16], unsigned *ifindex);
/* After ready: sends MEMORY, CONFIG and the TUN queues (tun may be NULL: none) where they are missing, then START. */
void fastpaths_begin(struct fastpaths *f, unsigned which, const struct tun *tun);
/* Sends a record to one; dropped silently where it is gone (lost() follows). */
void fastpaths_put(struct fastpaths *f, unsigned which, enum ctl_type type, const void *body, size_t len);
/* The same for one TLV to a link, and for user data: dropped where the queue of its kind is full. */
void fastpaths_put_tlv(struct fastpaths *f, unsigned which, uint32_t link, const uint8_t *tlv, size_t len);
void fastpaths_put_user(struct fastpaths *f, unsigned which, const struct ctl_user_down *u, const uint8_t *bytes,
			size_t len);
/* User data that was not sent: a queue was full, or no fastpath ready. */
uint64_t fastpaths_user_dropped(const struct fastpaths *f);
/* The process of one: its pid, 0 while none is ready. */
pid_t fastpaths_pid(const struct fastpaths *f, unsigned which, struct mono *since);
/* Its AEAD implementation; "" while unknown. */
const char *fastpaths_aead(const struct fastpaths *f, unsigned which);
/* ADOPT: hands over a socket; the descriptor is closed here in any case. False: could not be sent. */
bool fastpaths_adopt(struct fastpaths *f, unsigned which, const struct ctl_adopt *a, int fd);
/* Sends what was put. Call it at the end of an event that came from elsewhere; ours end with it. */
void fastpaths_flush(struct fastpaths *f);
/* Ends one that cannot be brought in line with the configuration, for the reason that is logged; lost, and ready of a
 * new one follow. */
void fastpaths_replace(struct fastpaths *f, unsigned which, const char *why);
/* The shared memory; NULL before it exists, then the same one until fastpaths_free(). */
struct lanes *fastpaths_lanes(const struct fastpaths *f);
/* Orderly end: STOP to all, waits up to 2 s for their EOF, then SIGKILL; done() from the loop. */
void fastpaths_stop(struct fastpaths *f, void (*done)(void *ctx), void *ctx);
void fastpaths_free(struct fastpaths *f);

#endif
