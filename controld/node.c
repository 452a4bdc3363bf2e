/* SPDX-License-Identifier: Apache-2.0 */
/* The node: what babel and the fastpath tell each other, adoption, and the events of links. The links themselves:
 * node_link.c, keys: node_keys.c, dump: node_dump.c. While no fastpath runs there are no links, and nothing is sent. */
#define LOG_MODULE "node"
#include "controld/node_private.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	ROUTER_ZONE_BYTES = 2,
	DOOMED_STEP = 64,
};

static void send_tlv(void *ctx, uint32_t link, const uint8_t *tlv, size_t len)
{
	const struct node *n = ctx;

	if (n->running)
		n->ops->tlv(n->ctx, link, tlv, len);
}

static void on_selected(void *ctx, const struct prefix *p, const struct babel_route *route)
{
	struct node *n = ctx;
	struct ctl_route r = {.prefix = p->ip, .prefix_len = p->len};

	/* It may have been evicted while there was no route; babel names a key once. */
	if (route)
		node_keys_learn(n, ip6_net64(&p->ip), route->router_id.public_key);
	if (!n->running)
		return;
	if (!route) {
		n->ops->route_del(n->ctx, p);
		return;
	}
	r.metric = route->metric;
	r.link = route->link;
	r.seqno = route->seqno;
	r.fd_seqno = route->fd.seqno;
	r.fd_metric = route->fd.metric;
	r.router_id = route->router_id;
	n->ops->route(n->ctx, &r);
}

static void on_key(void *ctx, const struct prefix *net64, const uint8_t public_key[32])
{
	node_keys_learn(ctx, ip6_net64(&net64->ip), public_key);
}

static void on_key_elsewhere(void *ctx, uint32_t link, const struct router_id *other)
{
	struct node *n = ctx;
	const struct node_entry *e = node_entry_find(n, link);
	char remote[ENDPOINT_TEXT_BYTES] = "", tail[2 * WIRE_ROUTER_TAIL_BYTES + 1];

	if (e)
		endpoint_print(&e->info.remote, remote);
	sodium_bin2hex(tail, sizeof(tail), other->tail, sizeof(other->tail));
	log_limited(
		&n->elsewhere_log, LOG_WARN,
		"the key of this node runs elsewhere too: give each node a key file of its own heard-from=%s run=%s",
		remote, tail);
}

static void tell_self(struct node *n)
{
	const struct ctl_node self = {.router_id = n->self, .seqno = n->seqno};

	n->ops->self(n->ctx, &self);
}

static void on_seqno(void *ctx, uint16_t seqno)
{
	struct node *n = ctx;

	n->seqno = seqno;
	if (n->running)
		tell_self(n);
}

static void on_swept(void *ctx, uint32_t count)
{
	(void)ctx;
	log_info("held routes swept count=%u", count);
}

static void random_bytes(void *ctx, void *out, size_t len)
{
	const struct node *n = ctx;

	n->ops->random(n->ctx, out, len);
}

static const struct babel_ops babel_ops = {
	.send = send_tlv,
	.selected = on_selected,
	.key = on_key,
	.key_elsewhere = on_key_elsewhere,
	.seqno = on_seqno,
	.swept = on_swept,
	.random = random_bytes,
};

/* From here on the router id is settled: the one found, or a new one. */
static void babel_make(struct node *n, struct mono now)
{
	if (n->babel)
		return;
	if (!n->found_self) {
		memcpy(n->self.public_key, n->identity->pk.b, sizeof(n->self.public_key));
		memset(n->self.tail, 0, sizeof(n->self.tail));
		n->ops->random(n->ctx, n->self.tail + ROUTER_ZONE_BYTES, sizeof(n->self.tail) - ROUTER_ZONE_BYTES);
		n->seqno = 0;
	}
	n->babel = babel_new(
		&(struct babel_config){
			.network = n->network, .self = n->self, .own = n->identity->own, .seqno = n->seqno},
		&babel_ops, n, now);
	assert(n->babel);
}

struct node *node_new(const struct node_config *c, const struct node_ops *ops, void *ctx, struct mono now)
{
	struct node *n = calloc(1, sizeof(*n));

	assert(n);
	n->network = c->network;
	n->identity = c->identity;
	n->ops = ops;
	n->ctx = ctx;
	n->next_link = 1;
	n->link_log = LOG_LIMIT(200, 100);
	n->elsewhere_log = LOG_LIMIT(60000, 1);
	n->keys.slot_end = now;
	return n;
}

void node_free(struct node *n)
{
	if (!n)
		return;
	node_keys_fini(n);
	babel_free(n->babel);
	for (int i = 0; i < LIMIT_LINK_SLOTS; i++)
		free(n->slots[i]);
	free(n->doomed);
	free(n);
}

/* Adoption */

void node_found_self(struct node *n, const struct ctl_node *self)
{
	if (n->babel || memcmp(self->router_id.public_key, n->identity->pk.b, sizeof(n->identity->pk.b)) != 0)
		return;
	n->self = self->router_id;
	n->seqno = self->seqno;
	n->found_self = true;
}

void node_found_link(struct node *n, const struct ctl_link_info *l, struct mono now)
{
	struct node_entry *e;

	babel_make(n, now);
	if (!node_slot_is_free(n, l->adopt.link))
		return;
	e = node_entry_add(n, &l->adopt, (struct mono){.us = (int64_t)l->up_since_us});
	e->info.rtt_us = l->rtt_us;
	e->info.proven = l->rtt_us != 0;
	e->info.rx_bytes = l->rx_bytes;
	e->info.tx_bytes = l->tx_bytes;
	e->told_cost = l->smoothed_cost;
	if (l->adopt.link >= n->next_link)
		n->next_link = l->adopt.link + 1;
	if (babel_link_up(n->babel, l->adopt.link, l->smoothed_cost, now))
		node_entry_log(n, e, "link kept");
	else
		node_entry_close(n, e, "table of links full", now);
}

static void doom(struct node *n, const struct prefix *p)
{
	if (n->doomed_count % DOOMED_STEP == 0) {
		n->doomed = reallocarray(n->doomed, n->doomed_count + DOOMED_STEP, sizeof(*n->doomed));
		assert(n->doomed);
	}
	n->doomed[n->doomed_count++] = *p;
}

void node_found_route(struct node *n, const struct ctl_route *r, struct mono now)
{
	const struct babel_route route = {
		.prefix = prefix_make(&r->prefix, r->prefix_len <= 128 ? r->prefix_len : 128),
		.router_id = r->router_id,
		.link = r->link,
		.seqno = r->seqno,
		.metric = r->metric,
		.selected = true,
		.held = true,
		.fd = {.seqno = r->fd_seqno, .metric = r->fd_metric},
	};

	babel_make(n, now);
	if (!node_entry_alive(n, r->link)) {
		doom(n, &route.prefix);
		return;
	}
	babel_hold(n->babel, &route, now);
	node_keys_learn(n, ip6_net64(&route.prefix.ip), r->router_id.public_key);
}

void node_start(struct node *n, struct mono now)
{
	babel_make(n, now);
	n->running = true;
	tell_self(n);
	for (size_t i = 0; i < n->doomed_count; i++)
		n->ops->route_del(n->ctx, &n->doomed[i]);
	free(n->doomed);
	n->doomed = NULL;
	n->doomed_count = 0;
}

void node_fastpath_lost(struct node *n, struct mono now)
{
	n->running = false;
	node_keys_forget_wants(n);
	for (int i = 0; i < LIMIT_LINK_SLOTS; i++) {
		struct node_entry *e = n->slots[i];

		if (e && e->alive)
			node_entry_down(n, e, mono_since_us(now, e->info.up_since),
					n->ending ? node_why_ending : "the forwarder ended", now);
	}
}

void node_end(struct node *n)
{
	n->ending = true;
}

void node_restart(struct node *n, struct mono now)
{
	node_start(n, now);
}

/* Events */

void node_on_tlvs(struct node *n, uint32_t link, const uint8_t *bytes, size_t len, struct mono now)
{
	struct node_entry *e = node_entry_alive(n, link);
	uint64_t malformed;

	if (!e)
		return;
	malformed = babel_count(n->babel, BABEL_TLV_MALFORMED);
	babel_tlvs(n->babel, link, bytes, len, now);
	if (babel_count(n->babel, BABEL_TLV_MALFORMED) == malformed)
		e->info.proven = true;
}

void node_on_rtt(struct node *n, const struct ctl_link_rtt *r, struct mono now)
{
	struct node_entry *e = node_entry_alive(n, r->link);
	uint32_t smoothed;

	if (!e)
		return;
	e->info.rtt_us = r->rtt_us;
	e->info.rx_bytes = r->rx_bytes;
	e->info.tx_bytes = r->tx_bytes;
	e->info.proven = true;
	babel_link_rtt(n->babel, r->link, r->rtt_us, now);
	smoothed = babel_link_smoothed(n->babel, r->link);
	if (smoothed == e->told_cost)
		return;
	e->told_cost = smoothed;
	n->ops->link_cost(n->ctx, r->link, smoothed);
}

void node_on_want_key(struct node *n, uint64_t net64, bool own, struct mono now)
{
	node_keys_want(n, net64, own);
	(void)node_keys_tick(n, now);
}

static uint32_t link_id(struct node *n)
{
	uint32_t id;

	assert(n->link_count < LIMIT_LINK_SLOTS);
	do {
		id = n->next_link++;
	} while (!node_slot_is_free(n, id));
	return id;
}

void node_on_socket(struct node *n, const struct ctl_adopt *a, int fd, struct mono now)
{
	struct ctl_adopt adopt = *a;
	struct node_entry *e;
	const char *why;

	if (!node_has_room(n, &why)) {
		close(fd);
		n->ops->link_gone(n->ctx, a->peer, 0, why);
		return;
	}
	adopt.link = link_id(n);
	if (!n->ops->adopt(n->ctx, &adopt, fd)) {
		n->ops->link_gone(n->ctx, a->peer, 0, "the socket could not be handed to the forwarder");
		return;
	}
	e = node_entry_add(n, &adopt, now);
	node_entry_log(n, e, "link up");
	if (!babel_link_up(n->babel, adopt.link, UINT32_MAX, now))
		node_entry_close(n, e, "table of links full", now);
}

struct mono node_tick(struct node *n, struct mono now)
{
	if (!n->babel)
		return MONO_NEVER;
	return mono_min(babel_tick(n->babel, now), node_keys_tick(n, now));
}

/* What it knows */

const struct router_id *node_router_id(const struct node *n)
{
	return &n->self;
}

const struct node_link *node_link_find(const struct node *n, uint32_t link)
{
	const struct node_entry *e = node_entry_alive(n, link);

	return e ? &e->info : NULL;
}

const struct babel *node_babel(const struct node *n)
{
	return n->babel;
}
