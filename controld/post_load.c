/* SPDX-License-Identifier: Apache-2.0 */
/* Where payloads are: in the store always, in memory while somebody waits for one or the cache has room. Loads are
 * bounded, asked in the order in which they were wanted, and shared by all who want the same. */
#include "controld/post_private.h"

bool post_entry_is_here(const struct post_entry *e)
{
	return e->payload || e->len == 0;
}

static bool is_wanted(const struct post_entry *e)
{
	const struct post_stream *s = e->state == ENTRY_FOR_STREAM ? e->grant->stream : NULL;

	return e->state == ENTRY_FOR_TAKER || e->peekers || (s && s->state == STREAM_OPEN && !s->paused);
}

/* To all who wait for it. */
static void arrived(struct post *p, struct post_entry *e)
{
	if (e->peekers && !e->is_hot) {
		e->is_hot = true;
		DL_APPEND2(p->hot, e, hot_prev, hot_next);
	}
	if (e->state == ENTRY_FOR_TAKER)
		post_taker_set_ready(p, e->taker);
	if (e->state == ENTRY_FOR_STREAM)
		post_stream_set_ready(p, e->grant->stream);
}

void post_entry_need(struct post *p, struct post_entry *e)
{
	if (!post_entry_is_here(e) && e->lent)
		e->payload = post_copy(e->lent, e->len);
	if (post_entry_is_here(e)) {
		arrived(p, e);
	} else if (e->loading == LOADING_NOT) {
		e->loading = LOADING_QUEUED;
		DL_APPEND2(p->loads, e, load_prev, load_next);
	}
}

static void load_cancel(struct post *p, struct post_entry *e)
{
	if (e->loading != LOADING_QUEUED)
		return;
	e->loading = LOADING_NOT;
	DL_DELETE2(p->loads, e, load_prev, load_next);
}

static uint8_t *take_payload(struct post *p, struct post_entry *e)
{
	uint8_t *payload = e->payload;

	if (e->cached)
		p->cached_bytes -= e->len;
	e->cached = false;
	e->payload = NULL;
	return payload;
}

void post_entry_settle(struct post *p, struct post_entry *e)
{
	if (is_wanted(e))
		return;
	load_cancel(p, e);
	if (!e->payload || e->cached)
		return;
	if (p->cached_bytes + e->len <= LIMIT_INBOX_CACHE_BYTES) {
		e->cached = true;
		p->cached_bytes += e->len;
	} else {
		free(take_payload(p, e));
	}
}

void post_entry_unload(struct post *p, struct post_entry *e)
{
	if (e->is_hot)
		DL_DELETE2(p->hot, e, hot_prev, hot_next);
	e->is_hot = false;
	load_cancel(p, e);
	free(take_payload(p, e));
}

struct post_message post_entry_give(struct post *p, struct post_entry *e, bool peek)
{
	struct post_message m = {.row = e->row,
				 .reply = e->reply,
				 .src = e->src,
				 .dst = e->dst,
				 .topic_len = e->topic->len,
				 .len = e->len,
				 .arrived_s = e->arrived_s};

	assert(post_entry_is_here(e) && (peek || !e->peekers));
	e->generation += !peek;
	memcpy(m.id, e->id, sizeof(m.id));
	memcpy(m.public_key, e->public_key, sizeof(m.public_key));
	memcpy(m.topic, e->topic->bytes, m.topic_len);
	m.payload = peek ? post_copy(e->payload, e->len) : take_payload(p, e);
	return m;
}

void post_message_fini(struct post_message *m)
{
	free(m->payload);
	m->payload = NULL;
}

void post_load_pump(struct post *p)
{
	struct post_entry *e;

	while ((e = p->loads) && p->flying_count < LIMIT_INBOX_LOADS) {
		if (p->flying_count > 0 && p->flying_bytes + e->len > LIMIT_INBOX_LOAD_BYTES)
			break;
		load_cancel(p, e);
		e->loading = LOADING_FLYING;
		p->flying_count++;
		p->flying_bytes += e->len;
		p->ops.load_message(p->ctx, e->row);
	}
}

void post_entry_wake(struct post *p, struct post_entry *e)
{
	assert(e->state == ENTRY_ASLEEP);
	DL_DELETE2(p->asleep, e, load_prev, load_next);
	post_entry_make_available(p, e);
}

/* Whoever wanted it goes on waiting, for another message if there is one: a bad place on the disk must not block the
 * inbox. */
static void fall_asleep(struct post *p, struct post_entry *e)
{
	struct post_taker *t;

	if (e->taker)
		post_taker_requeue(p, e->taker);
	if (e->grant)
		post_grant_end(p, e->grant);
	e->taker = NULL;
	e->grant = NULL;
	e->state = ENTRY_ASLEEP;
	e->wake = mono_add_ms(p->now.mono, LIMIT_INBOX_RETRY_MS);
	post_wake_at(p, e->wake);
	DL_APPEND2(p->asleep, e, load_prev, load_next);
	while ((t = e->peekers)) {
		DL_DELETE(e->peekers, t);
		post_taker_requeue(p, t);
	}
}

void post_load_expire(struct post *p, struct mono now)
{
	struct post_entry *e, *next;

	DL_FOREACH_SAFE2(p->asleep, e, next, load_next)
	{
		if (mono_is_due(e->wake, now))
			post_entry_wake(p, e);
		else
			post_wake_at(p, e->wake);
	}
}

static void load_failed(struct post *p, struct post_entry *e, int error)
{
	if (error == -ENOENT) {
		p->lost++;
		post_entry_drop(p, e);
	} else {
		p->unreadable++;
		if (is_wanted(e))
			fall_asleep(p, e);
	}
}

void post_loaded(struct post *p, uint64_t row, int error, uint8_t *payload, size_t len)
{
	struct post_entry *e;

	HASH_FIND(hh, p->entries, &row, sizeof(row), e);
	if (!e || e->loading != LOADING_FLYING) {
		free(payload);
		return;
	}
	e->loading = LOADING_NOT;
	p->flying_count--;
	p->flying_bytes -= e->len;
	if (!error && (len != e->len || !payload))
		error = -EIO;
	if (e->state == ENTRY_GONE || error) {
		free(payload);
		if (e->state == ENTRY_GONE)
			post_entry_reap(p, e);
		else
			load_failed(p, e, error);
		return;
	}
	e->payload = payload;
	arrived(p, e);
	post_entry_settle(p, e);
}
