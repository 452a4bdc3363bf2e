/* SPDX-License-Identifier: Apache-2.0 */
/* Grants: what entries a stream has, had, or shall get, by row and generation, so that one that meanwhile went to
 * another consumer is never taken for the stream's own. */
#include "controld/post_private.h"

struct post_entry *post_grant_entry(const struct post *p, const struct post_grant *g)
{
	struct post_entry *e = post_entry_find(p, g->row);

	return e && e->generation == g->generation ? e : NULL;
}

void post_grant_add(struct post_grant *g, bool waiting)
{
	struct post_stream *s = g->stream;

	g->is_waiting = waiting;
	if (waiting) {
		DL_APPEND(s->waiting, g);
		s->waiting_count++;
	} else {
		DL_APPEND(s->given, g);
		s->given_count++;
	}
}

void post_grant_leave(struct post_grant *g)
{
	struct post_stream *s = g->stream;

	if (g->is_waiting) {
		DL_DELETE(s->waiting, g);
		s->waiting_count--;
	} else {
		DL_DELETE(s->given, g);
		s->given_count--;
	}
}

void post_grant_free(struct post_grant *g)
{
	post_grant_leave(g);
	free(g);
}

void post_grant_release(struct post *p, const struct post_grant *g)
{
	struct post_entry *e = post_grant_entry(p, g);

	if (!e || e->grant != g)
		return;
	post_entry_make_available(p, e);
	post_entry_settle(p, e);
}

bool post_grant_reclaim(struct post *p, struct post_grant *g)
{
	struct post_entry *e = post_grant_entry(p, g);

	if (!e || (e->grant != g && e->state != ENTRY_AVAILABLE && e->state != ENTRY_ASLEEP))
		return false;
	post_entry_reserve(p, e, ENTRY_FOR_STREAM);
	e->grant = g;
	return true;
}

void post_grant_acknowledge(struct post *p, struct post_grant *g)
{
	struct post_entry *e = post_grant_entry(p, g);

	post_grant_leave(g);
	if (e && e->grant == g)
		e->grant = NULL;
	if (e)
		post_entry_consume(p, e);
	free(g);
}
