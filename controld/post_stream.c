/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: what they are given, acknowledge, and find again after a cut. A grant says what entry a stream was given,
 * by row and generation, so that one that meanwhile went to another is never taken for its own. */
#include "controld/post_private.h"

bool post_stream_wants(const struct post_stream *s)
{
	return s->state == STREAM_OPEN && !s->paused && s->waiting_count < LIMIT_STREAM_AHEAD &&
	       s->given_count + s->waiting_count < s->window;
}

void post_stream_set_ready(struct post *p, struct post_stream *s)
{
	if (s->is_ready || s->state != STREAM_OPEN)
		return;
	s->is_ready = true;
	DL_APPEND2(p->ready_streams, s, ready_prev, ready_next);
}

static void leave_lists(struct post *p, struct post_stream *s)
{
	post_consumer_del(p, &s->consumer);
	if (s->is_ready)
		DL_DELETE2(p->ready_streams, s, ready_prev, ready_next);
	s->is_ready = false;
}

/* More of those that wait may be loaded, and more may be wanted. */
static void go_on(struct post *p, struct post_stream *s)
{
	struct post_grant *g;
	unsigned ahead = 0;

	if (s->state != STREAM_OPEN || s->paused)
		return;
	DL_FOREACH (s->waiting, g) {
		if (ahead++ == LIMIT_STREAM_AHEAD)
			break;
		post_entry_need(p, post_entry_find(p, g->row));
	}
	if (!s->consumer.is_queued && post_stream_wants(s))
		post_consumer_add(p, &s->consumer);
}

void post_grant_end(struct post *p, struct post_grant *g)
{
	struct post_stream *s = g->stream;

	post_grant_free(g);
	go_on(p, s);
}

void post_stream_assign(struct post *p, struct post_stream *s, struct post_entry *e)
{
	struct post_grant *g = post_alloc(sizeof(*g));

	assert(post_stream_wants(s));
	post_entry_reserve(p, e, ENTRY_FOR_STREAM);
	e->grant = g;
	g->stream = s;
	g->row = e->row;
	g->generation = e->generation;
	post_grant_add(g, true);
	post_entry_need(p, e);
}

/* What it waits for and never had goes to others; the rest stays reserved, but not in memory. */
static void stop_waiting(struct post *p, struct post_stream *s)
{
	struct post_grant *g, *next;

	leave_lists(p, s);
	DL_FOREACH_SAFE (s->waiting, g, next) {
		if (g->again) {
			post_entry_settle(p, post_entry_find(p, g->row));
			continue;
		}
		post_grant_release(p, g);
		post_grant_free(g);
	}
}

/* Opening */

static struct post_stream *stream_find(const struct post *p, const struct post_stream_open *o)
{
	struct post_stream *s;

	if (!o->resume || memcmp(o->id.epoch, p->epoch, sizeof(p->epoch)) != 0)
		return NULL;
	HASH_FIND(hh, p->streams, o->id.stream, sizeof(o->id.stream), s);
	return s;
}

static void stream_free(struct post *p, struct post_stream *s)
{
	while (s->given)
		post_grant_free(s->given);
	while (s->waiting)
		post_grant_free(s->waiting);
	post_topic_put(p, s->consumer.topic);
	free(s);
}

/* The grants of a list of the stream as it was: those given up to offset are consumed, the others wait to be given by s
 * again. False: one of those went elsewhere. */
static bool inherit(struct post *p, struct post_stream *s, struct post_grant **list, uint64_t offset)
{
	struct post_grant *g;
	bool is_whole = true;

	while ((g = *list)) {
		if (!g->again && g->offset <= offset) {
			post_grant_acknowledge(p, g);
		} else if (post_grant_reclaim(p, g)) {
			post_grant_leave(g);
			g->stream = s;
			g->again = true;
			post_grant_add(g, true);
		} else {
			is_whole = false;
			post_grant_free(g);
		}
	}
	return is_whole;
}

/* Its connection stands no more, or is to be told so. */
static void retire(struct post *p, struct post_stream *s)
{
	HASH_DELETE(hh, p->streams, s);
	if (s->state != STREAM_OPEN) {
		DL_DELETE(p->cut, s);
		p->cut_count--;
		stream_free(p, s);
		return;
	}
	DL_DELETE(p->open, s);
	p->open_count--;
	s->state = STREAM_TAKEN_OVER;
	DL_APPEND(p->taken_over, s);
}

static bool resume(struct post *p, struct post_stream *s, struct post_stream *old, uint64_t offset)
{
	bool is_whole;

	if (offset > old->last)
		offset = old->last;
	memcpy(s->id, old->id, sizeof(s->id));
	s->last = old->last;
	s->acked = offset > old->acked ? offset : old->acked;
	if (old->state == STREAM_OPEN)
		stop_waiting(p, old);
	is_whole = inherit(p, s, &old->given, offset);
	is_whole &= inherit(p, s, &old->waiting, offset);
	retire(p, old);
	return is_whole;
}

static struct post_stream *stream_new(struct post *p, const struct post_stream_open *o)
{
	struct post_stream *s = post_alloc(sizeof(*s));

	s->consumer.is_stream = true;
	if (o->filter.by_topic)
		s->consumer.topic = post_topic_get(p, o->filter.topic, o->filter.topic_len);
	s->window = o->window < LIMIT_STREAM_WINDOW ? o->window : LIMIT_STREAM_WINDOW;
	s->last = p->offset;
	s->acked = p->offset;
	s->message = o->message;
	s->taken_over = o->taken_over;
	s->ctx = o->ctx;
	return s;
}

struct post_stream *post_stream_open(struct post *p, const struct post_stream_open *o, struct post_stream_opened *out,
				     struct post_time now)
{
	struct post_stream *old = stream_find(p, o), *s;

	assert(p->begun && o->window > 0);
	p->now = now;
	if ((!old || old->state != STREAM_OPEN) && p->open_count >= LIMIT_WS_CLIENTS)
		return NULL;
	s = stream_new(p, o);
	*out = (struct post_stream_opened){.recovered = false};
	if (old)
		out->recovered = resume(p, s, old, o->offset);
	else
		p->ops.random(p->ctx, s->id, sizeof(s->id));
	HASH_ADD(hh, p->streams, id, sizeof(s->id), s);
	DL_APPEND(p->open, s);
	p->open_count++;
	go_on(p, s);
	memcpy(out->id.epoch, p->epoch, sizeof(out->id.epoch));
	memcpy(out->id.stream, s->id, sizeof(out->id.stream));
	out->offset = s->acked;
	return s;
}

/* While it is open */

bool post_stream_ack(struct post *p, struct post_stream *s, uint64_t offset, struct post_time now)
{
	struct post_grant *g;

	p->now = now;
	if (s->state == STREAM_TAKEN_OVER)
		return true;
	if (offset > s->last)
		return false;
	while ((g = s->given) && g->offset <= offset)
		post_grant_acknowledge(p, g);
	if (offset > s->acked)
		s->acked = offset;
	go_on(p, s);
	return true;
}

void post_stream_pause(struct post *p, struct post_stream *s, bool paused)
{
	if (s->paused == paused || s->state == STREAM_TAKEN_OVER)
		return;
	s->paused = paused;
	if (paused)
		stop_waiting(p, s);
	else
		go_on(p, s);
}

static bool give_next(struct post *p, struct post_stream *s)
{
	struct post_grant *g = s->waiting;
	struct post_entry *e;
	struct post_message m;

	if (!g || s->paused || s->given_count >= s->window)
		return false;
	e = post_entry_find(p, g->row);
	assert(e && e->grant == g);
	if (!post_entry_is_here(e))
		return false;
	post_grant_leave(g);
	g->again = false;
	g->offset = ++p->offset;
	s->last = g->offset;
	post_grant_add(g, false);
	m = post_entry_give(p, e, false);
	e->state = ENTRY_WITH_STREAM;
	g->generation = e->generation;
	go_on(p, s);
	s->message(s->ctx, s->last, &m);
	return true;
}

static bool tell_taken_over(struct post *p)
{
	struct post_stream *s = p->taken_over;
	void (*fn)(void *ctx);
	void *ctx;

	if (!s)
		return false;
	fn = s->taken_over;
	ctx = s->ctx;
	DL_DELETE(p->taken_over, s);
	stream_free(p, s);
	if (fn)
		fn(ctx);
	return true;
}

bool post_stream_tell(struct post *p)
{
	struct post_stream *s;

	if (tell_taken_over(p))
		return true;
	while ((s = p->ready_streams)) {
		DL_DELETE2(p->ready_streams, s, ready_prev, ready_next);
		s->is_ready = false;
		if (give_next(p, s))
			return true;
	}
	return false;
}

/* After a cut */

static void release_all(struct post *p, struct post_stream *s)
{
	struct post_grant *g;

	DL_FOREACH (s->given, g)
		post_grant_release(p, g);
	DL_FOREACH (s->waiting, g)
		post_grant_release(p, g);
}

static void forget(struct post *p, struct post_stream *s)
{
	release_all(p, s);
	retire(p, s);
}

void post_stream_close(struct post *p, struct post_stream *s, struct post_time now)
{
	p->now = now;
	if (s->state == STREAM_TAKEN_OVER) {
		DL_DELETE(p->taken_over, s);
		stream_free(p, s);
		return;
	}
	s->state = STREAM_RESERVED;
	s->cut = now.mono;
	stop_waiting(p, s);
	DL_DELETE(p->open, s);
	p->open_count--;
	DL_APPEND(p->cut, s);
	p->cut_count++;
	post_wake_at(p, mono_add_ms(s->cut, LIMIT_STREAM_RESERVED_MS));
	if (p->cut_count > LIMIT_STREAMS_REMEMBERED)
		forget(p, p->cut);
}

void post_stream_expire(struct post *p, struct mono now)
{
	struct post_stream *s, *next;

	DL_FOREACH_SAFE (p->cut, s, next) {
		const struct mono released = mono_add_ms(s->cut, LIMIT_STREAM_RESERVED_MS);
		const struct mono forgotten = mono_add_ms(s->cut, LIMIT_STREAM_MEMORY_MS);

		if (mono_is_due(forgotten, now)) {
			forget(p, s);
			continue;
		}
		if (s->state == STREAM_RESERVED && mono_is_due(released, now)) {
			release_all(p, s);
			s->state = STREAM_REMEMBERED;
		}
		post_wake_at(p, s->state == STREAM_RESERVED ? released : forgotten);
	}
}

void post_stream_fini(struct post *p)
{
	struct post_stream *s, *next;

	HASH_ITER (hh, p->streams, s, next) {
		HASH_DELETE(hh, p->streams, s);
		stream_free(p, s);
	}
	while ((s = p->taken_over)) {
		DL_DELETE(p->taken_over, s);
		stream_free(p, s);
	}
}
