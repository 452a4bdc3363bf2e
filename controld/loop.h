/* SPDX-License-Identifier: Apache-2.0 */
/* Event loop of controld: descriptors, timers on CLOCK_BOOTTIME, signals, children, background work. loop.c is the only
 * place with libuv. One thread; callbacks run from loop_run() only. Objects are freed by their _free, also from inside
 * their own callback. */
#ifndef CONTROLD_LOOP_H
#define CONTROLD_LOOP_H

#include "shared/base/buf.h"
#include "shared/base/mono.h"
#include <stdbool.h>
#include <sys/types.h>

struct loop;
struct loop_fd;
struct loop_timer;
struct loop_signal;
struct loop_work;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

struct loop *loop_new(void);
void loop_free(struct loop *l); /* everything on it must have been freed */
void loop_run(struct loop *l); /* until loop_stop() */
void loop_stop(struct loop *l);

/* The uv_loop_t, for a library that brings handles of its own; they must be gone before loop_free(). */
void *loop_uv(struct loop *l);

/* Watches fd (borrowed) for LOOP_READ and LOOP_WRITE; errors and hang-ups are reported as every event asked for. */
struct loop_fd *loop_fd_new(struct loop *l, int fd, unsigned events, void (*fn)(void *ctx, unsigned events), void *ctx);
void loop_fd_want(struct loop_fd *f, unsigned events);
void loop_fd_free(struct loop_fd *f);

/* One-shot timer, not armed. fn gets the time. Arming again replaces; MONO_NEVER disarms. */
struct loop_timer *loop_timer_new(struct loop *l, void (*fn)(void *ctx, struct mono now), void *ctx);
void loop_timer_at(struct loop_timer *t, struct mono when);
void loop_timer_free(struct loop_timer *t);

struct loop_signal *loop_signal_new(struct loop *l, int signal, void (*fn)(void *ctx, int signal), void *ctx);
void loop_signal_free(struct loop_signal *s);

/* Runs work in a background thread, then done on the loop (also after loop_work_cancel(), with cancelled true). The
 * object is freed after done. Where no thread can be made, done is called with cancelled true. What still runs when the
 * loop is freed is not waited for, so that work which hangs does not hold up the end of the program: its done is called
 * by its thread, cancelled, and may only free what is ctx's own. */
struct loop_work *loop_work_new(struct loop *l, void (*work)(void *ctx), void (*done)(void *ctx, bool cancelled),
				void *ctx);
void loop_work_cancel(struct loop_work *w);

#endif
