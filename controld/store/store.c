/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's side of the store: requests are collected during a turn and handed over at its end; completions come back
 * by an eventfd. The lock is held only to move lists, so the loop never waits for the disk. */
#define LOG_MODULE "store"
#include "controld/store/store_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

enum { END_S = 5 };

static struct request *append(struct store *s, enum request_kind kind, uint64_t row, size_t topic_len)
{
	struct request *r = calloc(1, sizeof(*r) + topic_len);

	if (!r)
		abort();
	r->kind = kind;
	r->row = row;
	DL_APPEND(s->asked, r);
	return r;
}

static struct request *ask_with(struct store *s, enum request_kind kind, uint64_t row, size_t topic_len)
{
	assert(row && row <= db_max_row);
	return append(s, kind, row, topic_len);
}

static struct request *ask(struct store *s, enum request_kind kind, uint64_t row)
{
	return ask_with(s, kind, row, 0);
}

static void ask_to_add(struct store *s, struct request *r, size_t len)
{
	r->len = len;
	if (len > LIMIT_STORE_QUEUE_BYTES - s->unfinished_bytes) {
		r->refused = true;
		r->error = -ENOSPC;
		r->len = 0;
	}
	s->unfinished_bytes += r->len;
}

void store_add_order(struct store *s, const struct record_order *o)
{
	struct request *r = ask_with(s, ADD_ORDER, o->row, o->topic_len);

	assert(o->payload || !o->len);
	r->order = *o;
	r->order.topic = r->topic;
	if (o->topic_len)
		memcpy(r->topic, o->topic, o->topic_len);
	ask_to_add(s, r, o->len);
}

void store_add_message(struct store *s, const struct record_message *m)
{
	struct request *r = ask_with(s, ADD_MESSAGE, m->row, m->topic_len);

	assert(m->payload || !m->len);
	r->message = *m;
	r->message.topic = r->topic;
	if (m->topic_len)
		memcpy(r->topic, m->topic, m->topic_len);
	ask_to_add(s, r, m->len);
}

void store_load_message(struct store *s, uint64_t row)
{
	ask(s, LOAD_MESSAGE, row);
}

void store_end_order(struct store *s, uint64_t row, uint8_t state)
{
	ask(s, END_ORDER, row)->state = state;
}

void store_del_order(struct store *s, uint64_t row)
{
	ask(s, DEL_ORDER, row);
}

void store_del_message(struct store *s, uint64_t row)
{
	ask(s, DEL_MESSAGE, row);
}

void store_set_pin(struct store *s, const struct record_pin *p)
{
	assert(p->first_ns >= 0 && p->first_ns <= DB_MAX_TIME_NS && p->last_ns >= 0 && p->last_ns <= DB_MAX_TIME_NS);
	append(s, SET_PIN, p->net64, 0)->pin = *p;
}

void store_del_pin(struct store *s, uint64_t net64)
{
	append(s, DEL_PIN, net64, 0);
}

void store_set_mode(struct store *s, const struct record_mode *m)
{
	assert(m->mode <= RECORD_MODE_HIGHEST);
	append(s, SET_MODE, m->net64, 0)->mode = *m;
}

void store_del_mode(struct store *s, uint64_t net64)
{
	append(s, DEL_MODE, net64, 0);
}

void store_flush(struct store *s)
{
	struct request *r, *next;

	if (!s->asked)
		return;
	pthread_mutex_lock(&s->lock);
	DL_FOREACH_SAFE (s->asked, r, next)
		waiting_add(&s->queue, r);
	pthread_cond_signal(&s->more);
	pthread_mutex_unlock(&s->lock);
	s->asked = NULL;
}

static void complete(struct store *s, struct request *r)
{
	switch (r->kind) {
	case ADD_ORDER:
		s->unfinished_bytes -= r->len;
		s->ops->order_stored(s->ctx, r->row, r->error);
		break;
	case ADD_MESSAGE:
		s->unfinished_bytes -= r->len;
		s->ops->message_stored(s->ctx, r->row, r->error);
		break;
	case LOAD_MESSAGE:
		s->ops->loaded(s->ctx, r->row, r->error, r->payload, r->len);
		break;
	case END_ORDER:
	case DEL_ORDER:
	case DEL_MESSAGE:
	case SET_PIN:
	case DEL_PIN:
	case SET_MODE:
	case DEL_MODE:
		abort();
	}
	free(r);
}

static void on_wake(void *ctx, unsigned events)
{
	struct request *list, *r, *next;
	struct store *s = ctx;
	uint64_t count;

	(void)events;
	if (read(s->wake, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&s->lock);
	list = s->done;
	s->done = NULL;
	memcpy(s->trouble_told, s->trouble, sizeof(s->trouble_told));
	pthread_mutex_unlock(&s->lock);
	if (!list)
		return;
	DL_FOREACH_SAFE (list, r, next)
		complete(s, r);
	s->ops->settled(s->ctx);
}

const uint8_t *store_epoch(const struct store *s)
{
	return s->facts.epoch;
}

uint64_t store_last_order(const struct store *s)
{
	return s->facts.last_order;
}

uint64_t store_last_message(const struct store *s)
{
	return s->facts.last_message;
}

const char *store_trouble(const struct store *s)
{
	return s->trouble_told;
}

uint64_t store_bytes(const struct store *s)
{
	return atomic_load(&s->bytes);
}

static void free_requests(struct request *list)
{
	struct request *r, *next;

	DL_FOREACH_SAFE (list, r, next) {
		free(r->payload);
		free(r);
	}
}

void store_dispose(struct store *s)
{
	db_close(&s->db);
	place_close(&s->place);
	if (s->wake >= 0)
		close(s->wake);
	free_requests(s->asked);
	free_requests(waiting_take(&s->queue));
	free_requests(s->done);
	free_requests(waiting_take(&s->again));
	pthread_cond_destroy(&s->more);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static struct store *make_store(const struct store_ops *ops, void *ctx)
{
	struct store *s = calloc(1, sizeof(*s));
	pthread_condattr_t attributes;

	if (!s)
		abort();
	s->ops = ops;
	s->ctx = ctx;
	s->db.abandoned = &s->abandoned;
	s->db.lock = &s->lock;
	s->queue.limit = s->again.limit = LOG_LIMIT(60 * 1000, 1);
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&s->more, &attributes);
	pthread_condattr_destroy(&attributes);
	return s;
}

static int tell(struct store *s, int64_t now_s, char *error)
{
	if (db_tell(&s->db, now_s, s->ops, s->ctx) == SQLITE_OK)
		return 0;
	snprintf(error, STORE_ERROR_BYTES, "cannot read %.200s: %s", s->place.file, sqlite3_errmsg(s->db.sql));
	return -EIO;
}

/* A file of an earlier version needs some room to become one of this; on a full disk there is the reserve. */
static int open_database(struct store *s, char *error)
{
	int e = db_open(&s->db, &s->place, &s->facts, error);

	if (e != -ENOSPC)
		return e;
	s->place.reserved = true;
	return place_give_up_reserve(&s->place) ? db_open(&s->db, &s->place, &s->facts, error) : e;
}

int store_open(struct loop *l, const struct store_config *c, const struct store_ops *ops, void *ctx, struct store **out,
	       char error[STORE_ERROR_BYTES])
{
	struct store *s = make_store(ops, ctx);
	int e = c->dir ? place_open(&s->place, c->dir, error) : 0;

	assert(s->wake >= 0);
	s->place.reserved = !c->dir;
	s->ahead_s = c->now_s - time(NULL);
	if (e == 0)
		e = open_database(s, error);
	if (e == 0) {
		place_reserve(&s->place);
		atomic_store(&s->bytes, place_bytes(&s->place));
		e = tell(s, c->now_s, error);
	}
	if (e == 0) {
		e = store_thread_start(s);
		if (e)
			snprintf(error, STORE_ERROR_BYTES, "cannot make a thread for the store: %s", strerror(-e));
	}
	if (e) {
		store_dispose(s);
		return e;
	}
	s->watch = loop_fd_new(l, s->wake, LOOP_READ, on_wake, s);
	*out = s;
	return 0;
}

/* Waits for the end of the thread; false: it does not come. */
static bool join(struct store *s)
{
	struct timespec until;
	bool ended;
	int e = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += END_S;
	pthread_mutex_lock(&s->lock);
	while (!s->ended && e == 0)
		e = pthread_cond_timedwait(&s->more, &s->lock, &until);
	ended = s->ended;
	/* The disk does not answer. The thread touches no payload and commits nothing any more, and frees all if it
	 * ever goes on. */
	atomic_store(&s->abandoned, !ended);
	if (!ended)
		pthread_detach(s->thread);
	pthread_mutex_unlock(&s->lock);
	return ended && pthread_join(s->thread, NULL) == 0;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	store_flush(s);
	pthread_mutex_lock(&s->lock);
	s->closing = true;
	pthread_cond_signal(&s->more);
	pthread_mutex_unlock(&s->lock);
	loop_fd_free(s->watch);
	if (join(s))
		store_dispose(s);
	else
		log_err("the disk of the messages does not answer: it is not waited for");
}
