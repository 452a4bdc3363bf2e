/* SPDX-License-Identifier: Apache-2.0 */
/* What a neighbour's Update and SeqNoRequest do (wire-200 4.5, 4.8). Everything is judged before anything is changed.
 */
#include "controld/babel/core.h"

static bool router_id_eq(const struct router_id *a, const struct router_id *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static bool key_eq(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, sizeof(((struct router_id *)0)->public_key)) == 0;
}

bool receive_key_owns(const struct babel *b, const struct prefix *p, const uint8_t public_key[32])
{
	struct pubkey pk;
	struct ip6 address;

	memcpy(pk.b, public_key, sizeof(pk.b));
	b->network->address(&pk, &address);
	return prefix_has(p, &address);
}

/* What a neighbour has said before need not be hashed again. */
static bool is_owner_of(const struct babel *b, const struct neigh *n, const struct prefix *p,
			const struct router_id *id)
{
	const struct net *net = net_find(b, p);
	const struct route *r = net ? route_find(net, n) : NULL;

	return (r && router_id_eq(&r->source->key.router_id, id)) || receive_key_owns(b, p, id->public_key);
}

/* Something in our own /64: never a route. A former router id of ours may come back for a while after a restart, but
 * not from an originator (metric 0), and not after all that was learned before it has expired. */
static void receive_own(struct babel *b, const struct neigh *n, const struct tlv_update *u, struct mono now)
{
	if (!key_eq(u->router_id.public_key, b->self.public_key)) {
		b->counts[BABEL_UPDATE_SECOND_KEY]++;
		return;
	}
	if (!b->own_key_told) {
		b->own_key_told = true;
		b->ops->key(b->ctx, &b->own, b->self.public_key);
	}
	if (router_id_eq(&u->router_id, &b->self) || u->metric == WIRE_INFINITE)
		return;
	if (u->metric == 0 || mono_since_ms(now, b->started) >= ECHO_MS)
		b->ops->key_elsewhere(b->ctx, n->link, &u->router_id);
}

bool receive_is_second_key(const struct babel *b, const struct prefix *p, const uint8_t public_key[32])
{
	const struct prefix net64 = prefix_make(&p->ip, b->network->node_prefix_bits);
	const struct net *home = net_find(b, &net64);

	return home && home->has_key && !key_eq(home->public_key, public_key) && net_home_is_live(home);
}

/* Only the neighbour's own route is taken back, so it does not matter whose router id a retraction bears; but only an
 * owner's names a key. */
static void receive_retraction(struct babel *b, const struct neigh *n, const struct prefix *p,
			       const struct tlv_update *u, bool is_owner, struct mono now)
{
	struct net *net = is_owner ? net_get(b, p, now) : net_find(b, p);
	struct route *r = net ? route_find(net, n) : NULL;
	struct route_was was;

	if (is_owner && net && source_get(b, net, &u->router_id, now))
		net_learn_key(b, net, u->router_id.public_key);
	if (r && route_is_finite(r)) {
		was = route_was(b, net);
		route_retract(b, r, now);
		route_select(b, net, &was, now);
	}
	if (net)
		net_release(b, net);
}

/* It is not feasible, and we are worse off for that: without it, or with a selected route that it would replace. */
static void want_newer(struct babel *b, const struct route *r, struct mono now)
{
	const struct route *selected = r->source->key.net->selected;

	if (!selected || route_cost(b, r) + b->network->metric_switch_gain < route_cost(b, selected))
		request_want(b, r->source, now);
}

static void receive_route(struct babel *b, struct neigh *n, struct source *s, const struct tlv_update *u,
			  struct mono now)
{
	struct net *net = s->key.net;
	struct route *r = route_find(net, n);
	const struct route_was was = route_was(b, net);
	const bool feasible = source_is_feasible(s, u->seqno, u->metric);

	b->counts[BABEL_UPDATE_UNFEASIBLE] += !feasible;
	if (r && r == net->selected && !feasible && r->source == s) {
		request_want(b, s, now);
		return;
	}
	if (!r)
		r = route_add(s, n);
	route_apply(b, r, s, u, now);
	if (feasible)
		source_confirm(b, s, now);
	else if (net->selected == r)
		net->selected = NULL;
	route_select(b, net, &was, now);
	if (!feasible)
		want_newer(b, r, now);
}

/* The neighbour has its share of the table: it may speak of what it has, and nothing more is made for it. */
static bool is_over_share(const struct babel *b, const struct neigh *n, const struct prefix *p)
{
	const struct net *net = net_find(b, p);

	return n->route_count >= LIMIT_ROUTES_PER_LINK && !(net && route_find(net, n));
}

void receive_update(struct babel *b, struct neigh *n, const struct tlv_update *u, struct mono now)
{
	const struct prefix p = prefix_make(&u->address, u->prefix_len);
	const bool finite = u->metric != WIRE_INFINITE;
	struct source *s = NULL;
	struct net *net;
	bool is_owner, is_second;

	if (u->ae != WIRE_AE_IPV6 || p.len < b->network->node_prefix_bits || !prefix_covers(&b->network->overlay, &p)) {
		b->counts[BABEL_UPDATE_IGNORED]++;
		return;
	}
	is_owner = is_owner_of(b, n, &p, &u->router_id);
	if (!is_owner && finite) {
		b->counts[BABEL_UPDATE_IGNORED]++;
		return;
	}
	if (prefix_covers(&b->own, &p)) {
		if (is_owner)
			receive_own(b, n, u, now);
		return;
	}
	is_second = receive_is_second_key(b, &p, u->router_id.public_key);
	b->counts[BABEL_UPDATE_SECOND_KEY] += is_second;
	if (!finite)
		receive_retraction(b, n, &p, u, is_owner && !is_second, now);
	if (!finite || is_second)
		return;
	net = is_over_share(b, n, &p) ? NULL : net_get(b, &p, now);
	if (net)
		s = source_get(b, net, &u->router_id, now);
	if (s) {
		net_learn_key(b, net, u->router_id.public_key);
		receive_route(b, n, s, u, now);
	} else {
		b->counts[BABEL_UPDATE_FULL]++;
	}
	if (net)
		net_release(b, net);
}

struct mono receive_tick(struct babel *b, struct mono now)
{
	if (!b->bump_wanted)
		return MONO_NEVER;
	if (!mono_is_due(b->bump_next, now))
		return b->bump_next;
	b->bump_wanted = false;
	b->bump_next = mono_add_ms(now, b->network->seqno_bump_ms);
	b->seqno++;
	b->ops->seqno(b->ctx, b->seqno);
	announce_own_to_all(b);
	return MONO_NEVER;
}

static void receive_request_for_own(struct babel *b, struct neigh *n, const struct tlv_seqno_request *q,
				    struct mono now)
{
	if (!router_id_eq(&q->router_id, &b->self) || !seqno_lt(b->seqno, q->seqno)) {
		announce_own(b, n);
		return;
	}
	b->bump_wanted = true;
	(void)receive_tick(b, now);
}

/* The route satisfies the request, and may be told to that neighbour. */
static bool is_answer(const struct route *r, const struct neigh *n, const struct tlv_seqno_request *q)
{
	if (!r || r->neigh == n)
		return false;
	return !router_id_eq(&r->source->key.router_id, &q->router_id) || r->seqno == q->seqno ||
	       seqno_lt(q->seqno, r->seqno);
}

void receive_seqno_request(struct babel *b, struct neigh *n, const struct tlv_seqno_request *q, struct mono now)
{
	const struct prefix p = prefix_make(&q->address, q->prefix_len);
	struct net *net;

	if (q->ae != WIRE_AE_IPV6 || q->hop_count == 0) {
		b->counts[BABEL_REQUEST_IGNORED]++;
		return;
	}
	if (prefix_eq(&p, &b->own)) {
		receive_request_for_own(b, n, q, now);
		return;
	}
	net = net_find(b, &p);
	if (net && is_answer(net->selected, n, q)) {
		announce_net(b, net, n, now);
		return;
	}
	if (!net || q->hop_count < 2 || router_id_eq(&q->router_id, &b->self) || !request_forward(b, n, net, q, now))
		b->counts[BABEL_REQUEST_IGNORED]++;
}
