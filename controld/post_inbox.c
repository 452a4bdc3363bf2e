/* SPDX-License-Identifier: Apache-2.0 */
/* The inbox: from the core into the store, then available by row, in all and by topic, until it is consumed. The caps
 * count what is stored and what is being stored. Of the room a sender (a /64) may have at most LIMIT_INBOX_SHARE times
 * what stays free: however much it sends, there is room for others. */
#include "controld/post_private.h"

enum { MS_PER_S = 1000 };

struct post_topic *post_topic_get(struct post *p, const uint8_t *bytes, uint8_t len)
{
	static const uint8_t none[1];
	const uint8_t *key = len ? bytes : none;
	struct post_topic *t;

	HASH_FIND(hh, p->topics, key, len, t);
	if (!t) {
		t = post_alloc(sizeof(*t) + len + 1);
		memcpy(t->bytes, key, len);
		t->len = len;
		HASH_ADD_KEYPTR(hh, p->topics, t->bytes, len, t);
	}
	t->refs++;
	return t;
}

void post_topic_put(struct post *p, struct post_topic *t)
{
	if (!t || --t->refs)
		return;
	assert(!t->queue.list);
	HASH_DELETE(hh, p->topics, t);
	free(t);
}

struct post_entry *post_first(struct post *p, struct post_topic *t)
{
	struct post_queue *q = t ? &t->queue : &p->all;

	while (q->first && q->first->state != ENTRY_AVAILABLE)
		q->first = t ? q->first->topic_next : q->first->next;
	return q->first;
}

static struct post_sender *sender_find(const struct post *p, const struct ip6 *src)
{
	const uint64_t net64 = ip6_net64(src);
	struct post_sender *s;

	HASH_FIND(hh, p->senders, &net64, sizeof(net64), s);
	return s;
}

static struct post_sender *sender_get(struct post *p, const struct ip6 *src)
{
	struct post_sender *s = sender_find(p, src);

	if (s)
		return s;
	s = post_alloc(sizeof(*s));
	s->net64 = ip6_net64(src);
	HASH_ADD(hh, p->senders, net64, sizeof(s->net64), s);
	return s;
}

static void count_in(struct post *p, struct post_entry *e)
{
	e->sender = sender_get(p, &e->src);
	e->sender->count++;
	e->sender->bytes += e->len;
	p->entry_count++;
	p->entry_bytes += e->len;
}

static void count_out(struct post *p, struct post_entry *e)
{
	struct post_sender *s = e->sender;

	p->entry_count--;
	p->entry_bytes -= e->len;
	s->bytes -= e->len;
	if (--s->count)
		return;
	assert(s->bytes == 0);
	HASH_DELETE(hh, p->senders, s);
	free(s);
}

/* A sender that has nothing here is only bound by the caps: small ones must not shut it out. So is what somebody waits
 * for: it will not stay. */
static bool has_room(const struct post *p, const struct message_in *in)
{
	const struct post_sender *s = sender_find(p, &in->src);
	const size_t len = in->len;
	uint32_t free_count;
	uint64_t free_bytes;

	if (p->entry_count >= p->cap_count || len > p->cap_bytes || p->entry_bytes > p->cap_bytes - len)
		return false;
	free_count = p->cap_count - p->entry_count - 1;
	free_bytes = p->cap_bytes - p->entry_bytes - len;
	return !s || post_thread_is_awaited(p, &in->src, in->id) ||
	       (s->count / LIMIT_INBOX_SHARE < free_count && (s->bytes + len) / LIMIT_INBOX_SHARE <= free_bytes);
}

static void queue_offer(struct post_queue *q, struct post_entry *e)
{
	if (!q->first || e->row < q->first->row)
		q->first = e;
}

static void queues_del(struct post *p, struct post_entry *e)
{
	struct post_queue *q = &e->topic->queue;

	if (p->all.first == e)
		p->all.first = e->next;
	DL_DELETE(p->all.list, e);
	if (q->first == e)
		q->first = e->topic_next;
	DL_DELETE2(q->list, e, topic_prev, topic_next);
}

static struct post_entry *find_any(const struct post *p, uint64_t row)
{
	struct post_entry *e;

	HASH_FIND(hh, p->entries, &row, sizeof(row), e);
	return e;
}

struct post_entry *post_entry_find(const struct post *p, uint64_t row)
{
	struct post_entry *e = find_any(p, row);

	return e && e->state != ENTRY_GONE ? e : NULL;
}

/* Behind all others: rows rise. */
static struct post_entry *entry_add(struct post *p, const struct record_message *m)
{
	struct post_entry *e = post_alloc(sizeof(*e));

	e->row = m->row;
	e->state = ENTRY_STORING;
	e->len = m->len;
	e->topic = post_topic_get(p, m->topic, m->topic_len);
	e->src = m->src;
	e->dst = m->dst;
	e->reply = m->reply;
	e->arrived_s = m->arrived_s;
	memcpy(e->id, m->id, sizeof(e->id));
	memcpy(e->public_key, m->public_key, sizeof(e->public_key));
	HASH_ADD(hh, p->entries, row, sizeof(e->row), e);
	DL_APPEND(p->all.list, e);
	DL_APPEND2(e->topic->queue.list, e, topic_prev, topic_next);
	post_thread_join(p, e);
	count_in(p, e);
	return e;
}

void post_entry_add_news(struct post *p, struct post_entry *e)
{
	p->dirty = true;
	if (e->is_news)
		return;
	e->is_news = true;
	DL_APPEND2(p->news, e, news_prev, news_next);
}

void post_entry_make_available(struct post *p, struct post_entry *e)
{
	e->state = ENTRY_AVAILABLE;
	e->taker = NULL;
	e->grant = NULL;
	queue_offer(&p->all, e);
	queue_offer(&e->topic->queue, e);
	p->dirty = true;
	if (e->thread->takers)
		post_entry_add_news(p, e);
}

void post_entry_reserve(struct post *p, struct post_entry *e, enum post_entry_state state)
{
	if (e->state == ENTRY_ASLEEP)
		post_entry_wake(p, e);
	e->state = state;
}

void post_entry_reap(struct post *p, struct post_entry *e)
{
	HASH_DELETE(hh, p->entries, e);
	free(e->payload);
	free(e);
}

/* Those that it keeps alive. */
static void leave_tables(struct post *p, struct post_entry *e)
{
	post_topic_put(p, e->topic);
	post_thread_leave(p, e);
	count_out(p, e);
}

/* Out of all lists, and without anyone who waits for it. */
static void entry_detach(struct post *p, struct post_entry *e)
{
	struct post_taker *t;

	if (e->state == ENTRY_ASLEEP)
		post_entry_wake(p, e);
	e->state = ENTRY_GONE;
	if (e->is_news)
		DL_DELETE2(p->news, e, news_prev, news_next);
	e->is_news = false;
	if (e->taker)
		post_taker_requeue(p, e->taker);
	if (e->grant)
		post_grant_end(p, e->grant);
	while ((t = e->peekers)) {
		DL_DELETE(e->peekers, t);
		post_taker_requeue(p, t);
	}
	post_entry_unload(p, e);
}

void post_entry_drop(struct post *p, struct post_entry *e)
{
	entry_detach(p, e);
	queues_del(p, e);
	leave_tables(p, e);
	if (e->loading != LOADING_FLYING)
		post_entry_reap(p, e);
}

void post_entry_consume(struct post *p, struct post_entry *e)
{
	p->ops.del_message(p->ctx, e->row);
	message_read(p->core, &e->src, &e->dst, e->id, p->now.mono);
	post_entry_drop(p, e);
}

void post_consumed(struct post *p, uint64_t row, struct post_time now)
{
	struct post_entry *e = post_entry_find(p, row);

	p->now = now;
	if (e && e->state == ENTRY_TAKEN)
		post_entry_consume(p, e);
}

void post_give_back(struct post *p, uint64_t row)
{
	struct post_entry *e = post_entry_find(p, row);

	if (!e || e->state != ENTRY_TAKEN)
		return;
	post_entry_make_available(p, e);
	post_entry_settle(p, e);
}

static void refuse(struct post *p, uint64_t token)
{
	if (p->refused_count == p->refused_room) {
		p->refused_room = p->refused_room ? 2 * p->refused_room : 16;
		p->refused = realloc(p->refused, p->refused_room * sizeof(*p->refused));
		if (!p->refused)
			abort();
	}
	p->refused[p->refused_count++] = token;
	p->refused_full++;
}

void post_inbox_tell_refused(struct post *p)
{
	while (p->refused_count)
		message_stored(p->core, p->refused[--p->refused_count], false, p->now.mono);
}

void post_inbox_received(struct post *p, const struct message_in *in)
{
	struct record_message m = {.row = p->last_message + 1,
				   .reply = in->reply,
				   .src = in->src,
				   .dst = in->dst,
				   .topic_len = in->topic_len,
				   .topic = in->topic,
				   .payload = in->payload,
				   .len = in->len,
				   .chunks = in->count,
				   .arrived_s = p->now.real_s};
	struct post_entry *e;

	if (!has_room(p, in)) {
		refuse(p, in->token);
		return;
	}
	memcpy(m.id, in->id, sizeof(m.id));
	memcpy(m.public_key, in->public_key, sizeof(m.public_key));
	memcpy(m.checksum, in->checksum, sizeof(m.checksum));
	if (in->order)
		memcpy(m.checksum, &in->order, sizeof(in->order));
	p->last_message++;
	e = entry_add(p, &m);
	e->token = in->token;
	e->lent = in->payload;
	p->ops.add_message(p->ctx, &m);
}

/* It is matched before the core takes its payload back, so that nobody has to load it. */
void post_message_stored(struct post *p, uint64_t row, int error, struct post_time now)
{
	struct post_entry *e = post_entry_find(p, row);
	uint64_t token;

	p->now = now;
	if (!e || e->state != ENTRY_STORING)
		return;
	token = e->token;
	if (error) {
		post_entry_drop(p, e);
	} else {
		post_entry_make_available(p, e);
		post_match(p);
		if (!post_entry_is_here(e) && p->cached_bytes + e->len <= LIMIT_INBOX_CACHE_BYTES) {
			post_entry_need(p, e);
			post_entry_settle(p, e);
		}
		e->lent = NULL;
	}
	message_stored(p->core, token, error == 0, now.mono);
}

/* Messages to ourselves are known by their order. */
static void add_local(struct post *p, const struct record_message *m)
{
	struct post_local *l;
	uint64_t order;

	if (!prefix_has(&p->own, &m->src))
		return;
	memcpy(&order, m->checksum, sizeof(order));
	HASH_FIND(hh, p->locals, &order, sizeof(order), l);
	if (l)
		return;
	l = post_alloc(sizeof(*l));
	l->order = order;
	HASH_ADD(hh, p->locals, order, sizeof(l->order), l);
}

void post_found_message(struct post *p, const struct record_message *m)
{
	const struct post_entry *last = p->all.list ? p->all.list->prev : NULL;

	assert(!last || last->row < m->row);
	add_local(p, m);
	post_entry_make_available(p, entry_add(p, m));
}

void post_found_past(struct post *p, const struct record_message *m, struct post_time now)
{
	const int64_t age_s = now.real_s > m->arrived_s ? now.real_s - m->arrived_s : 0;
	struct message_in in = {.src = m->src,
				.dst = m->dst,
				.reply = m->reply,
				.topic = m->topic,
				.topic_len = m->topic_len,
				.len = m->len,
				.count = m->chunks};

	p->now = now;
	add_local(p, m);
	if (prefix_has(&p->own, &m->src) || age_s >= LIMIT_MESSAGE_DONE_MS / MS_PER_S)
		return;
	memcpy(in.id, m->id, sizeof(in.id));
	memcpy(in.checksum, m->checksum, sizeof(in.checksum));
	message_remember(p->core, &in, age_s * MS_PER_S, now.mono);
}

void post_inbox_fini(struct post *p)
{
	struct post_entry *e = p->entries, *next;

	HASH_CLEAR(hh, p->entries);
	for (; e; e = next) {
		next = e->hh.next;
		if (e->state != ENTRY_GONE) {
			queues_del(p, e);
			leave_tables(p, e);
		}
		free(e->payload);
		free(e);
	}
	assert(!p->topics && !p->senders && !p->threads && p->entry_count == 0 && p->entry_bytes == 0);
	free(p->refused);
}
