/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of fastpaths share. A process (struct life) outlives its connection (struct fastpath_slot) until it is
 * reaped. */
#ifndef CONTROLD_KERNEL_FASTPATHS_PRIVATE_H
#define CONTROLD_KERNEL_FASTPATHS_PRIVATE_H

#include "controld/kernel/fastpaths.h"
#include "shared/base/ctlsock.h"
#include "shared/limits.h"

enum {
	FASTPATHS = 1,
	FASTPATHS_STOP_MS = 2000,
	FASTPATHS_DEATHS = 3, /* so many in so short a time: back off */
	FASTPATHS_DEATHS_MS = 10000,
	FASTPATHS_BACKOFF_MAX_S = 30,
};

/* A process, ours or adopted; freed when it has ended. */
struct life {
	struct fastpaths *f;
	struct life *prev, *next;
	pid_t pid;
	bool child;
	int pidfd; /* owned */
	struct loop_fd *watch; /* owned: readable at its end */
};

enum slot_state {
	SLOT_EMPTY,
	SLOT_GREETING, /* connected, READY has not come */
	SLOT_READY,
	SLOT_ENDING, /* told to end; what it says does not matter any more */
};

struct fastpath_slot {
	struct fastpaths *f;
	unsigned which;
	enum slot_state state;
	bool told; /* what it holds, or that it is ready: lost() is owed */
	struct ctlsock *sock; /* owned */
	struct loop_fd *watch; /* owned */
	struct life *life; /* NULL: found alive, and not known */
	struct mono started;
	char aead[CTL_AEAD_BYTES]; /* it uses */

	/* What it told that it holds. */
	bool has_config, has_memory;
	struct ctl_config config;
	unsigned tun_count, tun_ifindex;

	/* Watch. */
	struct loop_timer *timer; /* owned: next ping, kill, or start */
	struct mono timer_at;
	uint64_t ping, pong; /* last sent, last answered */
	struct mono silent_since;
	struct mono heard; /* last record of any type: it lives */

	struct mono deaths[FASTPATHS_DEATHS]; /* ring */
	unsigned death_count;
	unsigned backoff_s;
};

struct fastpaths {
	struct loop *loop;
	const struct fastpaths_ops *ops;
	void *ctx;
	char *program;
	char path[108]; /* of the socket */
	struct ctl_config config;
	struct fastpath_slot slots[FASTPATHS];
	struct life *lives;
	uint64_t user_dropped;
	bool ever_ready;
	bool gave_up; /* no other one is started */

	int memfd; /* owned; -1: none */
	struct ctl_memory memory;
	struct lanes *lanes; /* mapped; NULL: none */

	int tun_fd[LIMIT_WORKERS]; /* given back by a running one; owned until taken */
	unsigned tun_count, tun_ifindex;
	char tun_name[CTL_IFNAME_BYTES];

	void (*stop_done)(void *ctx);
	void *stop_ctx;
	struct loop_timer *stop_timer; /* owned */
};

/* fastpaths_spawn.c */
/* Starts the program with the listening socket. A connection to it and its life, or -errno. */
int fastpaths_spawn(struct fastpaths *f, struct life **life);
struct life *fastpaths_life_new(struct fastpaths *f, pid_t pid, bool child);
void fastpaths_life_kill(const struct life *l, int signal);
void fastpaths_life_free(struct life *l);

/* fastpaths_memory.c */
/* Makes it where there is none. */
void fastpaths_memory_make(struct fastpaths *f);
/* Takes over the one of a running fastpath; closes fd if it is none. */
bool fastpaths_memory_take(struct fastpaths *f, const struct ctl_memory *m, int fd);
void fastpaths_memory_fini(struct fastpaths *f);

/* fastpaths_memfd.c */
/* A memory file of that size, which nobody can change; fd or -1. */
int fastpaths_memfd_new(size_t bytes);
bool fastpaths_memfd_is_sealed(int fd, size_t bytes);

/* fastpaths_watch.c */
/* Connects to a live one, or to one that it starts; 0 or -errno. */
int fastpaths_slot_open(struct fastpath_slot *s, bool adopt);
void fastpaths_slot_start_again(struct fastpath_slot *s);
/* It has ended: told, cleared, and followed by the next one. */
void fastpaths_slot_dead(struct fastpath_slot *s);
void fastpaths_slot_flush(struct fastpath_slot *s);
/* STOP, and SIGKILL if it takes too long. */
void fastpaths_slot_end(struct fastpath_slot *s);
void fastpaths_slot_timer(void *ctx, struct mono now);
void fastpaths_stop_check(struct fastpaths *f);

/* fastpaths.c */
/* Queues given back that nobody took: kept, they would keep the interface alive. */
void fastpaths_tun_forget(struct fastpaths *f);
extern const struct ctlsock_ops fastpaths_ctlsock_ops;

#endif
