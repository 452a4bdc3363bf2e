/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the nodes heard on the LAN are dialled. Two that hear each other at the same time would have two links: so
 * the one with the lower key dials at once, the other waits and sees. It cannot wait for ever: it may be the only one
 * that hears, or the lower one is of another kind and does not dial. A neighbour is known by its key, whichever side
 * connected; a link on another interface does not count, because two wires are better than one. */
#include "controld/node_private.h"

enum { YIELD_MS = 5000 };

static struct node_heard *find(struct node *n, const struct pubkey *pk, const struct endpoint *remote)
{
	for (int i = 0; i < LIMIT_DISCOVERED_PEERS; i++) {
		struct node_heard *h = &n->heard[i];

		if (h->used && pubkey_eq(&h->pk, pk) && endpoint_eq(&h->remote, remote))
			return h;
	}
	return NULL;
}

static void add(struct node *n, const struct pubkey *pk, const struct endpoint *remote, struct mono now)
{
	struct node_heard *place = n->heard;

	for (int i = 0; i < LIMIT_DISCOVERED_PEERS && place->used; i++) {
		if (!n->heard[i].used || n->heard[i].first.us < place->first.us)
			place = &n->heard[i];
	}
	*place = (struct node_heard){.pk = *pk, .remote = *remote, .first = now, .used = true};
}

/* Link-local addresses tell the interface they are on. */
static bool is_on_interface(const struct node_link *l, const struct endpoint *remote)
{
	return l->local.sa.sa_family == AF_INET6 && l->local.v6.sin6_scope_id &&
	       l->local.v6.sin6_scope_id == remote->v6.sin6_scope_id;
}

static bool is_neighbour(const struct node *n, const struct pubkey *pk, const struct endpoint *remote)
{
	const struct prefix own = network_own_prefix(n->network, pk);

	for (int i = 0; n->babel && i < LIMIT_LINK_SLOTS; i++) {
		const struct node_entry *e = n->slots[i];

		if (e && e->alive && is_on_interface(&e->info, remote) &&
		    babel_is_neighbour(n->babel, &own, e->info.link))
			return true;
	}
	return false;
}

bool node_may_dial(struct node *n, const struct pubkey *pk, const struct endpoint *remote, struct mono now)
{
	struct node_heard *h = find(n, pk, remote);

	if (is_neighbour(n, pk, remote)) {
		/* When it is one no more, it is waited for anew. */
		if (h)
			h->used = false;
		return false;
	}
	if (memcmp(n->identity->pk.b, pk->b, sizeof(pk->b)) < 0)
		return true;
	if (!h)
		add(n, pk, remote, now);
	return h && mono_since_ms(now, h->first) >= YIELD_MS;
}
