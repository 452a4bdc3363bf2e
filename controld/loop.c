/* SPDX-License-Identifier: Apache-2.0 */
/* The loop over libuv, the only file that knows it. Timers share one timerfd on CLOCK_BOOTTIME, so that they fire after
 * a resume as well (libuv's own stand still while the machine sleeps). Background work has threads of its own, made
 * when there is work: libuv joins its pool at exit, and a name server that does not answer would hold up the end of the
 * program. */
#include "controld/loop.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <utlist.h>
#include <uv.h>

enum { WORK_THREADS = 4, WORK_STACK_BYTES = 256 * 1024, CLOSE_PASSES = 8 };

/* What a thread and the loop share; the last of them frees it. */
struct work_pool {
	pthread_mutex_t lock;
	struct loop_work *finished;
	unsigned users;
	int wake; /* eventfd; -1: the loop is gone */
};

struct loop {
	uv_loop_t uv;
	uv_prepare_t prepare;

	struct loop_timer *timers;
	struct loop_fd *timer_watch;
	struct mono armed; /* what the timerfd is set to */
	uint64_t round;
	int timerfd;
	bool stopped;

	struct work_pool *pool;
	struct loop_fd *pool_watch;
	struct loop_work *waiting;
	unsigned running;
};

struct loop_fd {
	uv_poll_t poll;
	void (*fn)(void *ctx, unsigned events);
	void *ctx;
	unsigned events;
};

struct loop_timer {
	struct loop *loop;
	void (*fn)(void *ctx, struct mono now);
	void *ctx;
	struct mono when;
	uint64_t round; /* of its last firing: once a round is enough */
	struct loop_timer *prev, *next;
};

struct loop_signal {
	uv_signal_t uv;
	void (*fn)(void *ctx, int signal);
	void *ctx;
};

enum work_state { WORK_WAITING, WORK_RUNNING, WORK_REFUSED };

struct loop_work {
	struct loop *loop;
	struct work_pool *pool;
	void (*work)(void *ctx);
	void (*done)(void *ctx, bool cancelled);
	void *ctx;
	enum work_state state; /* this and cancelled: of the loop's thread */
	bool cancelled;
	struct loop_work *prev, *next;
};

static void *make(size_t bytes)
{
	void *p = calloc(1, bytes);

	if (!p)
		abort();
	return p;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

/* Descriptors. */

static int uv_events(unsigned events)
{
	return (events & LOOP_READ ? UV_READABLE : 0) | (events & LOOP_WRITE ? UV_WRITABLE : 0);
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void poll_start(struct loop_fd *f)
{
	const int error = uv_poll_start(&f->poll, uv_events(f->events), on_poll);

	assert(error == 0);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct loop_fd *f = poll->data;
	unsigned seen = (events & UV_READABLE ? LOOP_READ : 0) | (events & UV_WRITABLE ? LOOP_WRITE : 0);

	if (status < 0) {
		/* libuv stops watching at POLLERR; the callee finds the error by its read or write. */
		seen = f->events;
		poll_start(f);
	}
	f->fn(f->ctx, seen);
}

struct loop_fd *loop_fd_new(struct loop *l, int fd, unsigned events, void (*fn)(void *ctx, unsigned events), void *ctx)
{
	struct loop_fd *f = make(sizeof(*f));
	const int error = uv_poll_init(&l->uv, &f->poll, fd);

	assert(error == 0);
	f->poll.data = f;
	f->fn = fn;
	f->ctx = ctx;
	f->events = events;
	poll_start(f);
	return f;
}

void loop_fd_want(struct loop_fd *f, unsigned events)
{
	if (f->events == events)
		return;
	f->events = events;
	poll_start(f);
}

void loop_fd_free(struct loop_fd *f)
{
	if (f)
		uv_close((uv_handle_t *)&f->poll, on_closed);
}

/* Timers. */

static void arm(uv_prepare_t *prepare)
{
	struct loop *l = prepare->data;
	struct itimerspec when = {0};
	struct mono first = MONO_NEVER;
	struct loop_timer *t;

	DL_FOREACH (l->timers, t)
		first = mono_min(first, t->when);
	if (first.us == l->armed.us)
		return;
	if (first.us != MONO_NEVER.us) {
		/* Zero would disarm it. */
		const int64_t us = first.us > 0 ? first.us : 1;

		when.it_value.tv_sec = us / 1000000;
		when.it_value.tv_nsec = us % 1000000 * 1000;
	}
	timerfd_settime(l->timerfd, TFD_TIMER_ABSTIME, &when, NULL);
	l->armed = first;
}

static struct loop_timer *next_due(const struct loop *l, struct mono now)
{
	struct loop_timer *best = NULL, *t;

	DL_FOREACH (l->timers, t) {
		if (t->round != l->round && mono_is_due(t->when, now) && (!best || t->when.us < best->when.us))
			best = t;
	}
	return best;
}

static void on_timerfd(void *ctx, unsigned events)
{
	struct loop *l = ctx;
	const struct mono now = mono_now();
	struct loop_timer *t;
	uint64_t count;

	(void)events;
	if (read(l->timerfd, &count, sizeof(count)) < 0)
		return;
	l->armed = MONO_NEVER;
	l->round++;
	while ((t = next_due(l, now))) {
		t->when = MONO_NEVER;
		t->round = l->round;
		t->fn(t->ctx, now);
	}
}

struct loop_timer *loop_timer_new(struct loop *l, void (*fn)(void *ctx, struct mono now), void *ctx)
{
	struct loop_timer *t = make(sizeof(*t));

	*t = (struct loop_timer){.loop = l, .fn = fn, .ctx = ctx, .when = MONO_NEVER, .round = l->round};
	DL_APPEND(l->timers, t);
	return t;
}

void loop_timer_at(struct loop_timer *t, struct mono when)
{
	t->when = when;
}

void loop_timer_free(struct loop_timer *t)
{
	if (!t)
		return;
	DL_DELETE(t->loop->timers, t);
	free(t);
}

/* Signals. */

static void on_signal(uv_signal_t *uv, int number)
{
	struct loop_signal *s = uv->data;

	s->fn(s->ctx, number);
}

struct loop_signal *loop_signal_new(struct loop *l, int signal, void (*fn)(void *ctx, int signal), void *ctx)
{
	struct loop_signal *s = make(sizeof(*s));
	int error = uv_signal_init(&l->uv, &s->uv);

	s->uv.data = s;
	s->fn = fn;
	s->ctx = ctx;
	if (error == 0)
		error = uv_signal_start(&s->uv, on_signal, signal);
	assert(error == 0);
	return s;
}

void loop_signal_free(struct loop_signal *s)
{
	if (s)
		uv_close((uv_handle_t *)&s->uv, on_closed);
}

/* Background work. */

/* Returns how many there are now. */
static unsigned pool_count(struct work_pool *p, int change)
{
	unsigned users;

	pthread_mutex_lock(&p->lock);
	p->users += (unsigned)change;
	users = p->users;
	pthread_mutex_unlock(&p->lock);
	return users;
}

static void pool_leave(struct work_pool *p)
{
	if (pool_count(p, -1) > 0)
		return;
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* Gives w back to the loop, or ends it here where there is no loop any more. */
static void work_finish(struct work_pool *p, struct loop_work *w)
{
	const uint64_t one = 1;
	ssize_t written = 0;

	pthread_mutex_lock(&p->lock);
	if (p->wake >= 0) {
		DL_APPEND(p->finished, w);
		written = write(p->wake, &one, sizeof(one));
		w = NULL;
	}
	pthread_mutex_unlock(&p->lock);
	/* An eventfd is full at 2^64 - 2. */
	assert(written >= 0);
	if (w)
		w->done(w->ctx, true);
	free(w);
}

static void *work_main(void *arg)
{
	struct loop_work *w = arg;
	struct work_pool *p = w->pool;

	w->work(w->ctx);
	work_finish(p, w);
	pool_leave(p);
	return NULL;
}

static bool work_spawn(struct loop_work *w)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;
	int error;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, WORK_STACK_BYTES);
	pool_count(w->pool, 1);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, &attributes, work_main, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (error)
		pool_count(w->pool, -1);
	return error == 0;
}

/* Without a thread it is done as if cancelled. */
static void work_refuse(struct loop_work *w)
{
	w->state = WORK_REFUSED;
	w->cancelled = true;
	work_finish(w->pool, w);
}

static void work_start(struct loop *l)
{
	while (l->waiting && l->running < WORK_THREADS) {
		struct loop_work *w = l->waiting;

		DL_DELETE(l->waiting, w);
		w->state = WORK_RUNNING;
		if (work_spawn(w))
			l->running++;
		else
			work_refuse(w);
	}
}

static void work_deliver(struct loop *l, struct loop_work *list)
{
	struct loop_work *w, *next;

	DL_FOREACH_SAFE (list, w, next) {
		if (w->state == WORK_RUNNING)
			l->running--;
		w->done(w->ctx, w->cancelled);
		free(w);
	}
}

static struct loop_work *pool_take_finished(struct work_pool *p)
{
	struct loop_work *list;

	pthread_mutex_lock(&p->lock);
	list = p->finished;
	p->finished = NULL;
	pthread_mutex_unlock(&p->lock);
	return list;
}

static void on_wake(void *ctx, unsigned events)
{
	struct loop *l = ctx;
	uint64_t count;

	(void)events;
	if (read(l->pool->wake, &count, sizeof(count)) < 0)
		return;
	work_deliver(l, pool_take_finished(l->pool));
	work_start(l);
}

struct loop_work *loop_work_new(struct loop *l, void (*work)(void *ctx), void (*done)(void *ctx, bool cancelled),
				void *ctx)
{
	struct loop_work *w = make(sizeof(*w));

	*w = (struct loop_work){.loop = l, .pool = l->pool, .work = work, .done = done, .ctx = ctx};
	DL_APPEND(l->waiting, w);
	work_start(l);
	return w;
}

void loop_work_cancel(struct loop_work *w)
{
	w->cancelled = true;
	if (w->state != WORK_WAITING)
		return;
	DL_DELETE(w->loop->waiting, w);
	work_refuse(w);
}

static struct work_pool *pool_new(void)
{
	struct work_pool *p = make(sizeof(*p));

	pthread_mutex_init(&p->lock, NULL);
	p->users = 1;
	p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert(p->wake >= 0);
	return p;
}

static void pool_close(struct loop *l)
{
	struct work_pool *p = l->pool;
	struct loop_work *w, *next;

	DL_FOREACH_SAFE (l->waiting, w, next)
		loop_work_cancel(w);
	work_deliver(l, pool_take_finished(p));
	pthread_mutex_lock(&p->lock);
	close(p->wake);
	p->wake = -1;
	pthread_mutex_unlock(&p->lock);
	/* What finished in between. */
	work_deliver(l, pool_take_finished(p));
	pool_leave(p);
}

/* The loop. */

void *loop_uv(struct loop *l)
{
	return &l->uv;
}

struct loop *loop_new(void)
{
	struct loop *l = make(sizeof(*l));
	int error = uv_loop_init(&l->uv);

	assert(error == 0);
	l->timerfd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	assert(l->timerfd >= 0);
	l->armed = MONO_NEVER;
	l->timer_watch = loop_fd_new(l, l->timerfd, LOOP_READ, on_timerfd, l);
	l->pool = pool_new();
	l->pool_watch = loop_fd_new(l, l->pool->wake, LOOP_READ, on_wake, l);
	uv_prepare_init(&l->uv, &l->prepare);
	l->prepare.data = l;
	error = uv_prepare_start(&l->prepare, arm);
	assert(error == 0);
	return l;
}

void loop_run(struct loop *l)
{
	while (!l->stopped)
		uv_run(&l->uv, UV_RUN_ONCE);
	l->stopped = false;
}

void loop_stop(struct loop *l)
{
	l->stopped = true;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	loop_fd_free(l->pool_watch);
	pool_close(l);
	loop_fd_free(l->timer_watch);
	close(l->timerfd);
	uv_close((uv_handle_t *)&l->prepare, NULL);
	/* A signal's handle may need a second pass. */
	for (int pass = 0; uv_loop_close(&l->uv) != 0; pass++) {
		assert(pass < CLOSE_PASSES && "something is still on the loop");
		uv_run(&l->uv, UV_RUN_NOWAIT);
	}
	free(l);
}
