/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets what: first those who wait for a reply, then all consumers in their turns, the oldest message first. A taker
 * has one turn; a stream goes behind all others after each message. Calls nobody. */
#include "controld/post_private.h"

/* A message to ourselves bears the id that is waited for, and is not its own reply. */
static struct post_taker *first_who_waits(const struct post *p, const struct post_entry *e)
{
	struct post_taker *t;

	if (!e->reply && prefix_has(&p->own, &e->src))
		return NULL;
	for (t = e->thread->takers; t; t = t->next)
		if (!t->consumer.topic || t->consumer.topic == e->topic)
			break;
	return t;
}

static void match_news(struct post *p)
{
	struct post_entry *e;
	struct post_taker *t;

	while ((e = p->news)) {
		DL_DELETE2(p->news, e, news_prev, news_next);
		e->is_news = false;
		while (e->state == ENTRY_AVAILABLE && (t = first_who_waits(p, e)))
			post_taker_assign(p, t, e);
	}
}

/* One message, if there is one for it. */
static bool serve(struct post *p, struct post_consumer *c)
{
	struct post_entry *e = post_first(p, c->topic);

	if (!e)
		return false;
	if (!c->is_stream) {
		post_taker_assign(p, (struct post_taker *)c, e);
		return false;
	}
	post_consumer_del(p, c);
	post_stream_assign(p, (struct post_stream *)c, e);
	if (!post_stream_wants((struct post_stream *)c))
		return false;
	post_consumer_add(p, c);
	return true;
}

void post_match(struct post *p)
{
	struct post_consumer *c, *next;

	if (!p->dirty)
		return;
	match_news(p);
	for (c = p->consumers; c && post_first(p, NULL); c = next) {
		next = c->next;
		if (serve(p, c) && !next)
			next = c;
	}
	p->dirty = false;
}
