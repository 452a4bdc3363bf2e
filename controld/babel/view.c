/* SPDX-License-Identifier: Apache-2.0 */
/* What others may read of the routing core: single routes, how much there is, and the names of its counters. */
#include "controld/babel/core.h"

bool babel_selected(const struct babel *b, const struct prefix *p, struct babel_route *out)
{
	const struct net *net = net_find(b, p);

	if (!net || !net->selected)
		return false;
	route_view(b, net->selected, out);
	return true;
}

bool babel_route_over(const struct babel *b, const struct prefix *p, uint32_t link, struct babel_route *out)
{
	const struct net *net = net_find(b, p);
	const struct neigh *n = neigh_find(b, link);
	const struct route *r = net && n ? route_find(net, n) : NULL;

	if (!r)
		return false;
	route_view(b, r, out);
	return true;
}

struct babel_size babel_size(const struct babel *b)
{
	struct babel_size size = {.prefixes = HASH_COUNT(b->nets), .sources = HASH_COUNT(b->sources)};

	for (size_t i = 0; i < b->neigh_count; i++)
		size.routes += b->heap[i]->route_count;
	for (const struct net *net = b->nets; net; net = net->hh.next)
		size.selected += net->selected != NULL;
	return size;
}

const char *babel_count_name(enum babel_count what)
{
	static const char *const names[BABEL_COUNTS] = {
		[BABEL_TLV_MALFORMED] = "babel_tlv_malformed",
		[BABEL_TLV_UNKNOWN] = "babel_tlv_unknown",
		[BABEL_UPDATE_IGNORED] = "babel_update_ignored",
		[BABEL_UPDATE_UNFEASIBLE] = "babel_update_unfeasible",
		[BABEL_UPDATE_FULL] = "babel_update_full",
		[BABEL_UPDATE_SECOND_KEY] = "babel_update_second_key",
		[BABEL_REQUEST_IGNORED] = "babel_request_ignored",
		[BABEL_UPDATES_SENT] = "babel_updates_sent",
		[BABEL_REQUESTS_SENT] = "babel_requests_sent",
	};

	return names[what];
}
