/* SPDX-License-Identifier: Apache-2.0 */
/* Feasibility distances (wire-200 4.4, 4.7; RFC 8966 3.5.1, 3.7.3): what this node has said about a route of one
 * originator. No Update is believed that is not better than that, so no loop can form. */
#include "controld/babel/core.h"

static struct source *source_find(const struct babel *b, const struct source_key *key)
{
	struct source *s;

	HASH_FIND(hh, b->sources, key, sizeof(*key), s);
	return s;
}

struct source *source_get(struct babel *b, struct net *net, const struct router_id *id, struct mono now)
{
	const struct source_key key = {.net = net, .router_id = *id};
	struct source *s = source_find(b, &key);

	if (s)
		return s;
	/* Counted first, so that net stays when another source makes room. */
	net->source_count++;
	if (HASH_COUNT(b->sources) >= LIMIT_SOURCES && !source_evict(b, now)) {
		net->source_count--;
		return NULL;
	}
	s = core_alloc(sizeof(*s));
	s->key = key;
	s->fd.metric = WIRE_INFINITE;
	s->touched = now;
	HASH_ADD(hh, b->sources, key, sizeof(s->key), s);
	return s;
}

/* To the end of the queue. */
static void source_touch(struct babel *b, struct source *s, struct mono now)
{
	s->touched = now;
	if (!s->hh.next)
		return;
	HASH_DELETE(hh, b->sources, s);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, b->sources, &s->key, sizeof(s->key), s->hh.hashv, s);
}

bool source_is_feasible(const struct source *s, uint16_t seqno, uint16_t metric)
{
	const struct babel_fd *fd = &s->fd;

	return fd->metric == WIRE_INFINITE || metric == WIRE_INFINITE || seqno_lt(fd->seqno, seqno) ||
	       (seqno == fd->seqno && metric < fd->metric);
}

bool source_record(struct babel *b, struct source *s, uint16_t seqno, uint16_t metric, struct mono now)
{
	if (!source_is_feasible(s, seqno, metric))
		return false;
	s->fd = (struct babel_fd){.seqno = seqno, .metric = metric};
	source_touch(b, s, now);
	return true;
}

void source_confirm(struct babel *b, struct source *s, struct mono now)
{
	if (s->fd.metric != WIRE_INFINITE)
		source_touch(b, s, now);
}

static struct mono source_due(const struct babel *b, const struct source *s)
{
	return mono_add_ms(s->touched, b->network->source_hold_ms);
}

static void source_free(struct babel *b, struct source *s)
{
	struct net *net = s->key.net;

	HASH_DEL(b->sources, s);
	free(s);
	net->source_count--;
	net_release(b, net);
}

/* Those in use that are met on the way need no hold time now: they go to the end if they have no distance. */
bool source_evict(struct babel *b, struct mono now)
{
	struct source *s = b->sources, *next;

	for (int i = 0; s && i < EVICT_TRIES; i++, s = next) {
		next = s->hh.next;
		if (s->refs == 0) {
			source_free(b, s);
			return true;
		}
		if (s->fd.metric == WIRE_INFINITE)
			source_touch(b, s, now);
	}
	return false;
}

void source_fini(struct babel *b)
{
	while (b->sources)
		source_free(b, b->sources);
}

struct mono source_tick(struct babel *b, struct mono now)
{
	struct source *s;

	while ((s = b->sources) && mono_is_due(source_due(b, s), now)) {
		const struct route_was was = route_was(b, s->key.net);

		if (s->refs == 0) {
			source_free(b, s);
			continue;
		}
		source_touch(b, s, now);
		if (s->fd.metric == WIRE_INFINITE)
			continue;
		/* Routes that were not feasible now are. */
		s->fd.metric = WIRE_INFINITE;
		route_select(b, s->key.net, &was, now);
	}
	return s ? source_due(b, s) : MONO_NEVER;
}
