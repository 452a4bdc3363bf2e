/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits for one message: any, one of a topic, or the reply to an id. It is told once, and is no more when it is. */
#include "controld/post_private.h"

/* The consumers, by their turns */

void post_consumer_add(struct post *p, struct post_consumer *c)
{
	assert(!c->is_queued);
	c->turn = ++p->turn;
	c->is_queued = true;
	DL_APPEND(p->consumers, c);
	p->dirty = true;
}

void post_consumer_add_again(struct post *p, struct post_consumer *c)
{
	struct post_consumer *later;

	assert(!c->is_queued);
	DL_FOREACH (p->consumers, later)
		if (later->turn > c->turn)
			break;
	c->is_queued = true;
	DL_PREPEND_ELEM(p->consumers, later, c);
	p->dirty = true;
}

void post_consumer_del(struct post *p, struct post_consumer *c)
{
	if (!c->is_queued)
		return;
	c->is_queued = false;
	DL_DELETE(p->consumers, c);
}

/* The threads */

static struct post_thread_key thread_key(const struct ip6 *ip, const uint8_t id[RECORD_ID_BYTES])
{
	struct post_thread_key k = {.net64 = ip6_net64(ip)};

	memcpy(k.id, id, sizeof(k.id));
	return k;
}

static struct post_thread *thread_find(const struct post *p, const struct post_thread_key *key)
{
	struct post_thread *th;

	HASH_FIND(hh, p->threads, key, sizeof(*key), th);
	return th;
}

static struct post_thread *thread_get(struct post *p, const struct post_thread_key *key)
{
	struct post_thread *th = thread_find(p, key);

	if (!th) {
		th = post_alloc(sizeof(*th));
		th->key = *key;
		HASH_ADD(hh, p->threads, key, sizeof(th->key), th);
	}
	th->refs++;
	return th;
}

static void thread_put(struct post *p, struct post_thread *th)
{
	if (!th || --th->refs)
		return;
	assert(!th->entries && !th->takers);
	HASH_DELETE(hh, p->threads, th);
	free(th);
}

void post_thread_join(struct post *p, struct post_entry *e)
{
	const struct post_thread_key key = thread_key(&e->src, e->id);

	e->thread = thread_get(p, &key);
	DL_APPEND2(e->thread->entries, e, thread_prev, thread_next);
}

void post_thread_leave(struct post *p, struct post_entry *e)
{
	DL_DELETE2(e->thread->entries, e, thread_prev, thread_next);
	thread_put(p, e->thread);
}

bool post_thread_is_awaited(const struct post *p, const struct ip6 *src, const uint8_t id[RECORD_ID_BYTES])
{
	const struct post_thread_key key = thread_key(src, id);
	const struct post_thread *th = thread_find(p, &key);

	return th && th->takers;
}

/* What is here already counts too. */
static void look_for_replies(struct post *p, const struct post_thread *th)
{
	struct post_entry *e;

	DL_FOREACH2(th->entries, e, thread_next)
	{
		if (e->state == ENTRY_AVAILABLE)
			post_entry_add_news(p, e);
	}
}

/* Takers */

static struct post_taker *taker_new(struct post *p, const struct post_take *t)
{
	struct post_taker *k;

	if (p->taker_count >= LIMIT_TAKERS)
		return NULL;
	k = post_alloc(sizeof(*k));
	k->peek = t->peek;
	k->until = t->until;
	k->fn = t->fn;
	k->ctx = t->ctx;
	if (t->filter.by_topic)
		k->consumer.topic = post_topic_get(p, t->filter.topic, t->filter.topic_len);
	DL_APPEND2(p->takers, k, all_prev, all_next);
	p->taker_count++;
	post_wake_at(p, k->until);
	return k;
}

/* It is in no list but that of all. */
static void taker_free(struct post *p, struct post_taker *t)
{
	struct post_thread *th = t->thread;

	DL_DELETE2(p->takers, t, all_prev, all_next);
	p->taker_count--;
	post_topic_put(p, t->consumer.topic);
	free(t);
	thread_put(p, th);
}

static void wait_in_thread(struct post *p, struct post_taker *t)
{
	struct post_taker *later;

	DL_FOREACH (t->thread->takers, later)
		if (later->consumer.turn > t->consumer.turn)
			break;
	DL_PREPEND_ELEM(t->thread->takers, later, t);
	look_for_replies(p, t->thread);
}

struct post_taker *post_take(struct post *p, const struct post_take *t)
{
	struct post_taker *k = taker_new(p, t);

	if (k)
		post_consumer_add(p, &k->consumer);
	return k;
}

struct post_taker *post_take_reply(struct post *p, const uint8_t id[RECORD_ID_BYTES], const struct ip6 *dst,
				   const struct post_take *t)
{
	const struct post_thread_key key = thread_key(dst, id);
	struct post_taker *k = taker_new(p, t);

	if (!k)
		return NULL;
	k->consumer.turn = ++p->turn;
	k->thread = thread_get(p, &key);
	wait_in_thread(p, k);
	return k;
}

static void stop_waiting(struct post *p, struct post_taker *t)
{
	assert(t->state == TAKER_WAITING);
	if (t->thread)
		DL_DELETE(t->thread->takers, t);
	else
		post_consumer_del(p, &t->consumer);
}

void post_taker_assign(struct post *p, struct post_taker *t, struct post_entry *e)
{
	stop_waiting(p, t);
	t->entry = e;
	if (t->peek) {
		t->state = TAKER_PEEKING;
		DL_APPEND(e->peekers, t);
	} else {
		t->state = TAKER_LOADING;
		post_entry_reserve(p, e, ENTRY_FOR_TAKER);
		e->taker = t;
	}
	post_entry_need(p, e);
}

void post_taker_set_ready(struct post *p, struct post_taker *t)
{
	assert(t->state == TAKER_LOADING);
	t->state = TAKER_READY;
	DL_APPEND(p->ready, t);
}

void post_taker_requeue(struct post *p, struct post_taker *t)
{
	if (t->state == TAKER_READY)
		DL_DELETE(p->ready, t);
	t->state = TAKER_WAITING;
	t->entry = NULL;
	post_wake_at(p, t->until);
	if (t->thread)
		wait_in_thread(p, t);
	else
		post_consumer_add_again(p, &t->consumer);
}

void post_take_cancel(struct post *p, struct post_taker *t)
{
	struct post_entry *e = t->entry;

	if (t->state == TAKER_WAITING)
		stop_waiting(p, t);
	else if (t->state == TAKER_PEEKING)
		DL_DELETE(e->peekers, t);
	else if (t->state == TAKER_READY)
		DL_DELETE(p->ready, t);
	if (e && t->state != TAKER_PEEKING)
		post_entry_make_available(p, e);
	if (e)
		post_entry_settle(p, e);
	taker_free(p, t);
}

void post_taker_expire(struct post *p, struct mono now)
{
	struct post_taker *t;

	DL_FOREACH2(p->takers, t, all_next)
	{
		if (t->state != TAKER_WAITING)
			continue;
		if (!mono_is_due(t->until, now)) {
			post_wake_at(p, t->until);
			continue;
		}
		stop_waiting(p, t);
		t->state = TAKER_READY;
		DL_APPEND(p->ready, t);
	}
}

static void call(struct post *p, struct post_taker *t, struct post_message *m)
{
	post_take_fn *const fn = t->fn;
	void *const ctx = t->ctx;

	taker_free(p, t);
	fn(ctx, m);
}

/* Before others get the payload for good. */
static bool tell_peeker(struct post *p)
{
	struct post_entry *e;

	while ((e = p->hot)) {
		struct post_taker *t = e->peekers;
		struct post_message m;

		if (!t) {
			e->is_hot = false;
			DL_DELETE2(p->hot, e, hot_prev, hot_next);
			continue;
		}
		m = post_entry_give(p, e, true);
		DL_DELETE(e->peekers, t);
		post_entry_settle(p, e);
		call(p, t, &m);
		return true;
	}
	return false;
}

bool post_taker_tell(struct post *p)
{
	struct post_taker *t;
	struct post_entry *e;
	struct post_message m;

	if (tell_peeker(p))
		return true;
	t = p->ready;
	if (!t)
		return false;
	DL_DELETE(p->ready, t);
	e = t->entry;
	if (!e) {
		call(p, t, NULL);
		return true;
	}
	m = post_entry_give(p, e, false);
	e->state = ENTRY_TAKEN;
	e->taker = NULL;
	call(p, t, &m);
	return true;
}

void post_taker_fini(struct post *p)
{
	while (p->takers) {
		if (p->takers->thread)
			p->takers->thread->takers = NULL;
		taker_free(p, p->takers);
	}
}
