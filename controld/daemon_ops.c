/* SPDX-License-Identifier: Apache-2.0 */
/* The threads of the glue: what the node asks of the adapters, and what links and kernel tell the node. Each event ends
 * with daemon_settle(). */
#define LOG_MODULE "daemon"
#include "controld/daemon_private.h"
#include "shared/base/log.h"

#include <stdio.h>
#include <unistd.h>

/* From the node to the fastpath. Links are home's. */

static void put(const struct daemon *d, enum ctl_type type, const void *body, size_t len)
{
	fastpaths_put(d->fastpaths, 0, type, body, len);
}

static void put_tlv(void *ctx, uint32_t link, const uint8_t *tlv, size_t len)
{
	const struct daemon *d = ctx;

	fastpaths_put_tlv(d->fastpaths, 0, link, tlv, len);
}

static void put_route(void *ctx, const struct ctl_route *r)
{
	put(ctx, CTL_ROUTE, r, sizeof(*r));
	daemon_api_route(ctx, r);
}

static void put_route_del(void *ctx, const struct prefix *p)
{
	const struct ctl_route_del body = {.prefix = p->ip, .prefix_len = p->len};

	put(ctx, CTL_ROUTE_DEL, &body, sizeof(body));
	daemon_api_route_del(ctx, p);
}

static void put_link_cost(void *ctx, uint32_t link, uint32_t smoothed)
{
	const struct ctl_link_cost body = {.link = link, .smoothed_cost = smoothed};

	put(ctx, CTL_LINK_COST, &body, sizeof(body));
	daemon_api_link_cost(ctx, link, smoothed);
}

static void put_link_close(void *ctx, uint32_t link, const char *reason)
{
	struct ctl_link_close body = {.link = link};

	snprintf(body.reason, sizeof(body.reason), "%s", reason);
	put(ctx, CTL_LINK_CLOSE, &body, sizeof(body));
}

static void put_key(void *ctx, const struct ctl_key *k)
{
	const struct daemon *d = ctx;
	struct ctl_key filled = *k;

	if (d->keyring)
		keyring_fill(d->keyring, &filled, daemon_session_time());
	put(d, CTL_KEY, &filled, sizeof(filled));
	secret_wipe(&filled, sizeof(filled));
}

static void put_no_key(void *ctx, uint64_t net64)
{
	put(ctx, CTL_NO_KEY, &(const struct ctl_no_key){.net64 = net64}, sizeof(struct ctl_no_key));
}

static void put_self(void *ctx, const struct ctl_node *n)
{
	put(ctx, CTL_NODE, n, sizeof(*n));
}

static bool adopt(void *ctx, const struct ctl_adopt *a, int fd)
{
	const struct daemon *d = ctx;

	return fastpaths_adopt(d->fastpaths, 0, a, fd);
}

static void on_link_gone(void *ctx, uint64_t peer, int64_t lived_us, const char *reason)
{
	const struct daemon *d = ctx;

	if (peer)
		peers_link_down(d->peers, peer, lived_us, reason);
}

static void on_link_changed(void *ctx, const struct node_link *l, bool up)
{
	daemon_api_link(ctx, l, up ? API_EVENT_ADD : API_EVENT_FLUSH);
}

static bool may_learn(void *ctx, uint64_t net64, const struct pubkey *pk)
{
	const struct daemon *d = ctx;

	return !d->keyring || keyring_may_learn(d->keyring, net64, pk, daemon_session_time());
}

static void random_bytes(void *ctx, void *out, size_t len)
{
	(void)ctx;
	randombytes_buf(out, len);
}

const struct node_ops daemon_node_ops = {
	.tlv = put_tlv,
	.route = put_route,
	.route_del = put_route_del,
	.link_cost = put_link_cost,
	.link_close = put_link_close,
	.key = put_key,
	.no_key = put_no_key,
	.self = put_self,
	.adopt = adopt,
	.link_gone = on_link_gone,
	.link_changed = on_link_changed,
	.may_learn = may_learn,
	.random = random_bytes,
};

/* From the links. */

static void on_connection(void *ctx, const struct links_socket *s)
{
	struct daemon *d = ctx;
	struct ctl_adopt a = {.flags = s->flags, .peer = s->peer};

	_Static_assert(sizeof(a.local) == sizeof(s->local), "an address of a link");
	memcpy(a.local, &s->local, sizeof(a.local));
	memcpy(a.remote, &s->remote, sizeof(a.remote));
	node_on_socket(d->node, &a, s->fd, mono_now());
	daemon_settle(d);
}

static bool has_room(void *ctx, const char **why)
{
	const struct daemon *d = ctx;

	return node_has_room(d->node, why);
}

static uint32_t random_number(void *ctx)
{
	(void)ctx;
	return randombytes_random();
}

const struct peers_ops daemon_peers_ops = {.connected = on_connection, .has_room = has_room, .random = random_number};

static bool may_accept(void *ctx, const struct endpoint *remote, const char **why)
{
	const struct daemon *d = ctx;

	return node_may_accept(d->node, remote, why);
}

const struct acceptor_ops daemon_acceptor_ops = {.may = may_accept, .accepted = on_connection};

static void on_found(void *ctx, const struct endpoint *e, const struct pubkey *pk)
{
	const struct daemon *d = ctx;
	char text[ENDPOINT_TEXT_BYTES];
	const char *why = "";
	bool known;

	if (!node_may_dial(d->node, pk, e, mono_now()))
		return;
	/* It is heard again and again. */
	known = daemon_api_peer_find(d, endpoint_print(e, text)) != 0;
	if (!peers_add(d->peers, text, CTL_LINK_DISCOVERED, &why))
		log_debug("a node that announced itself is not dialled: %s endpoint=%s", why, text);
	else if (!known && daemon_api_peer_find(d, text))
		daemon_api_peer(d, API_EVENT_ADD, text);
}

const struct discover_ops daemon_discover_ops = {.found = on_found};

/* From the kernel. */

static bool is_tun(const struct daemon *d, unsigned ifindex)
{
	return d->has_tun && ifindex == d->tun.ifindex;
}

static void on_interface(void *ctx, unsigned ifindex, const char *name, bool usable, bool multicast, bool loopback)
{
	const struct daemon *d = ctx;

	if (is_tun(d, ifindex) || loopback)
		return;
	if (d->discover && usable && multicast)
		discover_add(d->discover, ifindex, name);
	else if (d->discover)
		discover_del(d->discover, ifindex);
	if (usable && d->started)
		peers_hurry(d->peers);
}

static void on_address(void *ctx, const struct ip6 *a, unsigned ifindex, bool present, const char *reason)
{
	struct daemon *d = ctx;

	if (is_tun(d, ifindex))
		return;
	if (!present)
		node_on_address_lost(d->node, a, ifindex, reason, mono_now());
	else if (d->started)
		peers_hurry(d->peers);
	daemon_settle(d);
}

const struct rtnl_ops daemon_rtnl_ops = {.interface = on_interface, .address = on_address};
