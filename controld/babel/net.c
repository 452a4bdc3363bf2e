/* SPDX-License-Identifier: Apache-2.0 */
/* Prefixes. Every longer prefix hangs on its /64, its home, which is made with it: so the longest match is one lookup
 * and a short list, and the key that owns a /64 has one place. */
#include "controld/babel/core.h"

struct net *net_find(const struct babel *b, const struct prefix *p)
{
	struct net *net;

	HASH_FIND(hh, b->nets, p, sizeof(*p), net);
	return net;
}

/* A full table is rid of those that are only remembered. */
static bool net_has_room(struct babel *b, struct mono now)
{
	for (int i = 0; i < EVICT_TRIES && HASH_COUNT(b->nets) >= LIMIT_PREFIXES; i++) {
		if (!source_evict(b, now))
			return false;
	}
	return HASH_COUNT(b->nets) < LIMIT_PREFIXES;
}

static struct net *net_new(struct babel *b, const struct prefix *p, struct mono now)
{
	struct net *net;

	if (!net_has_room(b, now))
		return NULL;
	net = core_alloc(sizeof(*net));
	net->prefix = *p;
	net->home = net;
	HASH_ADD(hh, b->nets, prefix, sizeof(net->prefix), net);
	return net;
}

static bool net_is_idle(const struct net *net)
{
	return !net->routes && net->source_count == 0 && !net->trigger && net->longer_count == 0;
}

/* Walks that stand at net go on behind it. */
static void net_free(struct babel *b, struct net *net)
{
	for (size_t i = 0; i < b->neigh_count; i++)
		if (b->heap[i]->cursor == net)
			b->heap[i]->cursor = net->hh.next;
	HASH_DEL(b->nets, net);
	free(net);
}

void net_release(struct babel *b, struct net *net)
{
	struct net *home = net->home;

	if (net != home && net_is_idle(net)) {
		struct net **at = &home->longer;

		while (*at != net)
			at = &(*at)->longer;
		*at = net->longer;
		home->longer_count--;
		net_free(b, net);
	}
	if (net_is_idle(home))
		net_free(b, home);
}

struct net *net_get(struct babel *b, const struct prefix *p, struct mono now)
{
	const struct prefix net64 = prefix_make(&p->ip, b->network->node_prefix_bits);
	struct net *net = net_find(b, p);
	struct net *home;

	if (net || p->len == net64.len)
		return net ? net : net_new(b, p, now);
	home = net_find(b, &net64);
	if (!home)
		home = net_new(b, &net64, now);
	if (!home)
		return NULL;
	/* Counted first, so that home stays when another prefix makes room. */
	net = home->longer_count++ < LIMIT_PREFIXES_PER_NET64 ? net_new(b, p, now) : NULL;
	if (net) {
		net->home = home;
		net->longer = home->longer;
		home->longer = net;
		return net;
	}
	home->longer_count--;
	net_release(b, home);
	return NULL;
}

static bool net_is_live(const struct net *net)
{
	for (const struct route *r = net->routes; r; r = r->next)
		if (route_is_finite(r))
			return true;
	return false;
}

bool net_home_is_live(const struct net *home)
{
	if (net_is_live(home))
		return true;
	for (const struct net *net = home->longer; net; net = net->longer)
		if (net_is_live(net))
			return true;
	return false;
}

void net_learn_key(struct babel *b, struct net *net, const uint8_t public_key[32])
{
	struct net *home = net->home;

	if (home->has_key && memcmp(home->public_key, public_key, sizeof(home->public_key)) == 0)
		return;
	home->has_key = true;
	memcpy(home->public_key, public_key, sizeof(home->public_key));
	b->ops->key(b->ctx, &home->prefix, home->public_key);
}
