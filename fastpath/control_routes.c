/* SPDX-License-Identifier: Apache-2.0 */
/* Selected routes as controld gave them, for the next controld; and the table that workers read made of them. A route
 * whose link is unknown is kept, but leads nowhere. */
#include "fastpath/control_state.h"

#include "shared/base/siphash.h"
#include <assert.h>
#include <stdlib.h>
/* After siphash.h, which it is to use. */
#include <uthash.h>

/* The prefix and its length, side by side. */
enum { KEY_BYTES = sizeof(struct ip6) + 1 };
_Static_assert(offsetof(struct ctl_route, prefix_len) == sizeof(struct ip6), "the key of a route");
_Static_assert(offsetof(struct ctl_route_del, prefix_len) == sizeof(struct ip6), "the key of a route");

struct control_route {
	struct ctl_route route;
	UT_hash_handle hh;
};

static struct control_route *find(const struct control *c, const struct ip6 *prefix)
{
	struct control_route *found;

	HASH_FIND(hh, c->routes, prefix, KEY_BYTES, found);
	return found;
}

static void keep(struct control *c, const struct ctl_route *route)
{
	struct control_route *r = find(c, &route->prefix);

	if (r) {
		r->route = *route;
		return;
	}
	r = malloc(sizeof(*r));
	assert(r);
	r->route = *route;
	HASH_ADD_KEYPTR(hh, c->routes, &r->route.prefix, KEY_BYTES, r);
}

void control_routes_set(struct control *c, const struct ctl_route *route)
{
	const struct prefix p = prefix_make(&route->prefix, route->prefix_len);

	if (!c->running) {
		control_refuse(c, "ROUTE before START");
		return;
	}
	if (route->prefix_len < 64 || p.len != route->prefix_len || !ip6_eq(&p.ip, &route->prefix)) {
		control_refuse(c, "ROUTE: prefix not of 64 to 128 bits, or with host bits");
		return;
	}
	if (!find(c, &route->prefix) && HASH_COUNT(c->routes) >= LIMIT_PREFIXES) {
		control_refuse(c, "ROUTE: table full");
		return;
	}
	if (table_set_route(c->f.table, &p, control_links_has(c, route->link) ? route->link : 0) < 0) {
		control_refuse(c, "ROUTE: too many longer prefixes in one /64");
		return;
	}
	keep(c, route);
}

void control_routes_del(struct control *c, const struct ctl_route_del *del)
{
	struct control_route *r = find(c, &del->prefix);
	int error;

	if (!r)
		return;
	error = table_set_route(c->f.table, &(const struct prefix){.ip = del->prefix, .len = del->prefix_len}, 0);
	assert(error == 0);
	HASH_DEL(c->routes, r);
	free(r);
}

void control_routes_each(const struct control *c, void (*give)(void *ctx, const struct ctl_route *route), void *ctx)
{
	for (const struct control_route *r = c->routes; r; r = r->hh.next)
		give(ctx, &r->route);
}

void control_routes_free(struct control *c)
{
	struct control_route *r = c->routes, *next;

	HASH_CLEAR(hh, c->routes);
	for (; r; r = next) {
		next = r->hh.next;
		free(r);
	}
}
