/* SPDX-License-Identifier: Apache-2.0 */
/* The route tables. What is copied of a route is its name: prefix and link; the rest is looked up when it is written,
 * so that a table of 10,000 routes costs 400 kB while it is being read. */
#include "controld/api/admin.h"
#include "controld/api/http.h"
#include "controld/api/list.h"

#include <stdlib.h>

struct route_item {
	struct prefix prefix;
	uint32_t link;
};
_Static_assert(sizeof(struct route_item) == 24, "small, for there are many");

static void router_id_print(const struct router_id *id, char *out, size_t size)
{
	char key[2 * sizeof(id->public_key) + 1], tail[2 * WIRE_ROUTER_TAIL_BYTES + 1];

	sodium_bin2hex(key, sizeof(key), id->public_key, sizeof(id->public_key));
	sodium_bin2hex(tail, sizeof(tail), id->tail, sizeof(id->tail));
	snprintf(out, size, "%s-%.4s-%s", key, tail, tail + 4);
}

/* As later versions of the reference program name a connection. */
static void next_hop_print(const struct api *a, uint32_t link, char *out, size_t size)
{
	const struct node_link *l = node_link_find(a->node, link);
	char local[ENDPOINT_TEXT_BYTES], remote[ENDPOINT_TEXT_BYTES];

	*out = 0;
	if (l)
		snprintf(out, size, "TCP %s <-> %s", endpoint_print(&l->local, local),
			 endpoint_print(&l->remote, remote));
}

static cJSON *route_element(const struct api *a, const struct babel_route *r)
{
	char text[256], address[IP6_TEXT_BYTES];
	cJSON *j = cJSON_CreateObject();
	struct pubkey pk;
	struct ip6 origin;

	cJSON_AddStringToObject(j, "subnet", prefix_print(&r->prefix, text));
	next_hop_print(a, r->link, text, sizeof(text));
	cJSON_AddStringToObject(j, "nextHop", text);
	admin_add_metric(j, "metric", r->metric);
	cJSON_AddNumberToObject(j, "seqno", r->seqno);
	admin_add_metric(j, "cost", r->cost);
	router_id_print(&r->router_id, text, sizeof(text));
	cJSON_AddStringToObject(j, "routerId", text);
	cJSON_AddBoolToObject(j, "held", r->held);
	memcpy(pk.b, r->router_id.public_key, sizeof(pk.b));
	a->network->address(&pk, &origin);
	cJSON_AddStringToObject(j, "originAddress", ip6_print(&origin, address));
	return j;
}

static cJSON *selected_element(const struct api *a, const void *item)
{
	const struct route_item *i = item;
	const struct babel *b = node_babel(a->node);
	struct babel_route route;

	if (!b || !babel_selected(b, &i->prefix, &route))
		return NULL;
	return route_element(a, &route);
}

static cJSON *fallback_element(const struct api *a, const void *item)
{
	const struct route_item *i = item;
	const struct babel *b = node_babel(a->node);
	struct babel_route route;

	if (!b || !babel_route_over(b, &i->prefix, i->link, &route) || route.selected)
		return NULL;
	return route_element(a, &route);
}

struct route_walk {
	struct list *list;
	bool selected; /* the routes that are wanted */
};

static void add_route(void *ctx, const struct babel_route *r)
{
	const struct route_walk *w = ctx;
	struct route_item *i = r->selected == w->selected ? list_add(w->list) : NULL;

	if (!i)
		return;
	i->prefix = r->prefix;
	i->link = r->link;
}

static void reply_routes(struct api *a, struct http_request *r, const struct list_kind *kind, bool selected)
{
	const struct babel *b = node_babel(a->node);
	struct route_walk w = {.selected = selected};
	size_t limit;

	if (!list_read_limit(r, &limit))
		return;
	w.list = list_new(a, r, kind);
	if (!w.list)
		return;
	list_limit(w.list, limit);
	if (b && limit)
		babel_each_route(b, add_route, &w);
	list_reply(w.list, r);
}

void admin_routes_selected(struct api *a, struct http_request *r)
{
	static const struct list_kind kind = {.item_bytes = sizeof(struct route_item), .element = selected_element};

	reply_routes(a, r, &kind, true);
}

void admin_routes_fallback(struct api *a, struct http_request *r)
{
	static const struct list_kind kind = {.item_bytes = sizeof(struct route_item), .element = fallback_element};

	reply_routes(a, r, &kind, false);
}

/* This network has no requests for routes, so none is ever awaited. */
void admin_routes_queried(struct api *a, struct http_request *r)
{
	(void)a;
	http_reply(r, 200, HTTP_JSON, "[]", 2);
}
