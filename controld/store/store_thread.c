/* SPDX-License-Identifier: Apache-2.0 */
/* The thread of the store. All that it finds in the queue becomes one transaction (several, where payloads are large).
 * If that fails, each request is done alone and gets a verdict of its own: what has room is not refused because of what
 * has not. Requests without completion that fail are kept and tried first in the next round, at the latest a second
 * later, in their order.
 *
 * When the disk is full, the reserve is given up for them. While there is no reserve, additions are refused, so that
 * they cannot eat it. */
#define LOG_MODULE "store"
#include "controld/store/store_private.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

enum {
	STACK_BYTES = 256 * 1024,
	SLICE_BYTES = 8 * 1024 * 1024, /* of payloads in one transaction, but for one that is larger */
	LOAD_BYTES = 512 * 1024, /* counted for one that is to be loaded */
	CHECKPOINT_PAGES = 1000,
	AGAIN_MS = 1000,
	TIDY_MS = 1000, /* after the last work */
	PURGE_MS = 60 * 1000,
	SQUEEZES = 16,
	LOG_BYTES = 64 * 1024, /* of the log of an addition, besides its payload */
};

static void wake_loop(struct store *s)
{
	const uint64_t one = 1;

	/* An eventfd is full at 2^64 - 2. */
	if (write(s->wake, &one, sizeof(one)) < 0)
		abort();
}

/* Tells the log and the loop. "": none any more. */
static void set_trouble(struct store *s, const char *text)
{
	if (strcmp(s->trouble, text) == 0)
		return;
	if (text[0])
		log_limited(&s->trouble_limit, LOG_ERR, "%s", text);
	else
		log_limited(&s->trouble_limit, LOG_INFO, "the store works again");
	pthread_mutex_lock(&s->lock);
	snprintf(s->trouble, sizeof(s->trouble), "%s", text);
	pthread_mutex_unlock(&s->lock);
	wake_loop(s);
}

static void note_trouble(struct store *s, int error)
{
	char text[STORE_ERROR_BYTES];

	if (error == -ENOSPC)
		snprintf(text, sizeof(text), "the disk of %.200s is full: messages are refused until there is room",
			 s->place.dir[0] ? s->place.dir : "the store");
	else
		snprintf(text, sizeof(text), "cannot write or read %.200s: %s",
			 s->place.dir[0] ? s->place.file : "the store", s->db.what);
	set_trouble(s, text);
}

/* Only what was written says that the disk works. */
static void note_success(struct store *s)
{
	if (s->db.changed)
		set_trouble(s, "");
}

static int verdict_of(struct store *s, struct request *r)
{
	int e;

	if (r->refused)
		return r->error;
	if (request_is_add(r) && !s->place.reserved)
		return -ENOSPC;
	e = db_request(&s->db, r);
	r->error = e;
	return e;
}

static bool is_failure(int error)
{
	return error && error != -ENOENT;
}

static int do_each(struct store *s, struct request *slice)
{
	struct request *r;

	DL_FOREACH (slice, r) {
		const int e = r->refused ? 0 : verdict_of(s, r);

		if (is_failure(e))
			return e;
	}
	return 0;
}

/* 0: all of the slice is done; else nothing. */
static int do_together(struct store *s, struct request *slice)
{
	int e = s->blocked ? -EAGAIN : db_begin(&s->db);

	if (e)
		return e;
	e = do_each(s, slice);
	if (e == 0)
		return db_commit(&s->db);
	db_rollback(&s->db);
	return e;
}

static int try_alone(struct store *s, struct request *r)
{
	int e = db_begin(&s->db);

	if (e)
		return e;
	e = verdict_of(s, r);
	if (!is_failure(e)) {
		const int committed = db_commit(&s->db);

		return committed ? committed : e;
	}
	db_rollback(&s->db);
	return e;
}

/* Where our own file fills the disk, what was deleted from it must become the reserve before it becomes additions. */
static void restore_reserve(struct store *s)
{
	bool reserved = place_reserve(&s->place);

	for (int i = 0; !reserved && i < SQUEEZES && db_squeeze(&s->db) == 0; i++)
		reserved = place_reserve(&s->place);
}

/* The log of a squeeze may need what the reserve holds. */
static bool squeeze(struct store *s)
{
	int e = db_squeeze(&s->db);

	if (e == -ENOSPC && place_give_up_reserve(&s->place))
		e = db_squeeze(&s->db);
	return e == 0;
}

/* The file may have pages to spare while the log finds no room: gives back as much as the log will need. False: that
 * changed nothing for an addition. */
static bool make_way(struct store *s, size_t len)
{
	const bool reserved = s->place.reserved;
	size_t given = 0;

	while (given < len + LOG_BYTES && squeeze(s))
		given += SQUEEZE_PAGES * DB_PAGE_BYTES;
	restore_reserve(s);
	return s->place.reserved && (given > 0 || !reserved);
}

/* For a request that found no room. False: it is no use to try it again. */
static bool find_room(struct store *s, const struct request *r)
{
	/* What was written before it failed lies in the log, and is in the way. */
	if (db_checkpoint(&s->db, true) != 0)
		return false;
	return request_is_silent(r) || (request_is_add(r) && make_way(s, r->len));
}

static void do_alone(struct store *s, struct request *r)
{
	if (r->refused)
		return;
	if (request_is_silent(r) && s->blocked) {
		r->error = -EAGAIN;
		return;
	}
	r->error = try_alone(s, r);
	if (r->error == -ENOSPC && find_room(s, r))
		r->error = try_alone(s, r);
	if (r->error == -ENOSPC && request_is_silent(r) && place_give_up_reserve(&s->place))
		r->error = try_alone(s, r);
	if (!is_failure(r->error)) {
		note_success(s);
		return;
	}
	if (r->error == -ECANCELED)
		return;
	note_trouble(s, r->error);
	/* It is no use to try that again: at the next start the file is checked. */
	if (r->error == -EUCLEAN && request_is_silent(r)) {
		r->error = 0;
		return;
	}
	/* A completion says -ENOSPC or -EIO. */
	if (r->error != -ENOSPC)
		r->error = -EIO;
	s->blocked |= request_is_silent(r);
}

/* Its failure is no request's; the next one tries again. */
static void checkpoint(struct store *s, bool cut)
{
	int e = db_checkpoint(&s->db, cut);

	if (e == -ENOSPC && place_give_up_reserve(&s->place))
		e = db_checkpoint(&s->db, cut);
	if (e)
		note_trouble(s, e);
}

static void do_slice(struct store *s, struct request *slice)
{
	const int e = do_together(s, slice);
	struct request *r;

	if (e == 0)
		note_success(s);
	if (e == 0 || e == -ECANCELED)
		return;
	if (e == -ENOSPC)
		checkpoint(s, true);
	DL_FOREACH (slice, r)
		do_alone(s, r);
}

static void end_silent(struct store *s, struct request *r)
{
	waiting_supersede(&s->again, r);
	free(r);
}

/* Takes the first requests off the list, up to so many bytes; how long a load is, is not known yet. */
static struct request *cut_slice(struct request **list)
{
	struct request *slice = NULL, *r;
	size_t bytes = 0;

	while ((r = *list) && bytes < SLICE_BYTES) {
		DL_DELETE(*list, r);
		DL_APPEND(slice, r);
		bytes += r->kind == LOAD_MESSAGE ? LOAD_BYTES : r->len;
	}
	return slice;
}

/* Silent ones end here, or are kept; the others go back to the loop. A pin that is done ends what waits of it. */
static void hand_back(struct store *s, struct request *slice)
{
	struct request *r, *next, *done = NULL;

	DL_FOREACH_SAFE (slice, r, next) {
		DL_DELETE(slice, r);
		if (!request_is_silent(r))
			DL_APPEND(done, r);
		else if (r->error)
			waiting_add(&s->again, r);
		else
			end_silent(s, r);
	}
	if (!done)
		return;
	pthread_mutex_lock(&s->lock);
	DL_CONCAT(s->done, done);
	pthread_mutex_unlock(&s->lock);
	wake_loop(s);
}

static void do_round(struct store *s, struct request *work)
{
	struct request *slice, *list = waiting_take(&s->again);

	s->blocked = false;
	s->untidy = true;
	restore_reserve(s);
	DL_CONCAT(list, work);
	while (!atomic_load(&s->abandoned) && (slice = cut_slice(&list))) {
		do_slice(s, slice);
		atomic_store(&s->bytes, place_bytes(&s->place));
		hand_back(s, slice);
		/* After the completions: it waits for the disk. */
		if (s->db.wal_pages >= CHECKPOINT_PAGES)
			checkpoint(s, false);
	}
	DL_CONCAT(s->again.list, list);
}

/* True: there is more to do at once. */
static bool tidy(struct store *s, struct mono now)
{
	bool more = false;
	int e = 0;

	restore_reserve(s);
	if (mono_is_due(s->next_purge, now)) {
		s->next_purge = mono_add_ms(now, PURGE_MS);
		e = db_purge(&s->db, time(NULL) + s->ahead_s);
	}
	if (e == 0)
		e = db_shrink(&s->db, &more);
	if (e)
		note_trouble(s, e);
	if (s->db.wal_pages > 0)
		checkpoint(s, false);
	atomic_store(&s->bytes, place_bytes(&s->place));
	s->untidy = more;
	return more;
}

static struct mono monotonic_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (struct mono){.us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000};
}

static struct mono next_due(const struct store *s, struct mono now)
{
	struct mono due = s->next_purge;

	if (s->again.list)
		due = mono_min(due, mono_add_ms(now, AGAIN_MS));
	if (s->untidy)
		due = mono_min(due, mono_add_ms(now, TIDY_MS));
	return due;
}

/* Waits for requests, the end, or a time; takes the requests. True: the end. */
static bool wait_for_work(struct store *s, struct mono until, struct request **work)
{
	const struct timespec t = {.tv_sec = until.us / 1000000, .tv_nsec = until.us % 1000000 * 1000};
	bool closing;
	int e = 0;

	pthread_mutex_lock(&s->lock);
	while (!s->queue.list && !s->closing && e == 0)
		e = pthread_cond_timedwait(&s->more, &s->lock, &t);
	*work = waiting_take(&s->queue);
	closing = s->closing;
	pthread_mutex_unlock(&s->lock);
	return closing;
}

static void *thread_main(void *arg)
{
	struct store *s = arg;
	struct mono until = s->next_purge;
	struct request *work;
	bool closing, abandoned;

	do {
		closing = wait_for_work(s, until, &work);
		if (work || s->again.list)
			do_round(s, work);
		until = monotonic_now();
		/* In idle time, but also where there is never any. */
		if (closing || !(mono_is_due(s->next_purge, until) || (!work && !s->again.list)) || !tidy(s, until))
			until = next_due(s, until);
	} while (!closing);
	db_close(&s->db);
	pthread_mutex_lock(&s->lock);
	s->ended = true;
	abandoned = atomic_load(&s->abandoned);
	pthread_cond_broadcast(&s->more);
	pthread_mutex_unlock(&s->lock);
	if (abandoned)
		store_dispose(s);
	return NULL;
}

int store_thread_start(struct store *s)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int error;

	s->next_purge = monotonic_now();
	s->trouble_limit = LOG_LIMIT(10 * 1000, 5);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&s->thread, &attributes, thread_main, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -error;
}
