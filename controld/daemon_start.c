/* SPDX-License-Identifier: Apache-2.0 */
/* What happens once, when the first fastpath is ready: found links find their peers again, and then we reach out:
 * dialling, listeners, discovery, the monitor of the network. */
#define LOG_MODULE "daemon"
#include "controld/daemon_private.h"
#include "shared/base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* The peers of the configuration, and the links whose peer is there no more: closed after the walk over all. */
struct rejoin {
	struct daemon *d;
	uint64_t *peers; /* owned */
	size_t peer_count;
	uint32_t orphans[LIMIT_LINKS];
	unsigned orphan_count;
};

static bool is_configured(const struct rejoin *r, uint64_t peer)
{
	for (size_t i = 0; i < r->peer_count; i++) {
		if (r->peers[i] == peer)
			return true;
	}
	return false;
}

static void rejoin(void *ctx, const struct node_link *l)
{
	struct rejoin *r = ctx;
	char text[ENDPOINT_TEXT_BYTES];
	const char *why = "";

	if (!l->peer)
		return;
	if (l->flags & CTL_LINK_STATIC ? !is_configured(r, l->peer) : r->d->options->disable_discovery)
		r->orphans[r->orphan_count++] = l->link;
	else if (!(l->flags & CTL_LINK_STATIC))
		/* Heard by the last run; the handle follows from the same text. */
		(void)peers_add(r->d->peers, endpoint_print(&l->remote, text), CTL_LINK_DISCOVERED, &why);
	peers_link_up(r->d->peers, l->peer);
}

static void add_peers(struct daemon *d)
{
	const struct option_list *list = &d->options->peers;
	struct rejoin r = {.d = d, .peers = calloc(list->count + 1, sizeof(*r.peers))};
	const char *why = "";

	assert(r.peers);
	for (size_t i = 0; i < list->count; i++) {
		r.peers[i] = peers_add(d->peers, list->items[i], CTL_LINK_STATIC, &why);
		if (!r.peers[i])
			log_err("peer %s is left out: %s", list->items[i], why);
	}
	r.peer_count = list->count;
	node_each_link(d->node, rejoin, &r);
	for (unsigned i = 0; i < r.orphan_count; i++)
		node_close_link(d->node, r.orphans[i], "its peer is no longer configured", mono_now());
	free(r.peers);
}

static bool listen_at(struct daemon *d, const struct endpoint *e)
{
	char text[ENDPOINT_TEXT_BYTES];
	const int r = acceptor_listen(d->acceptor, e);

	if (r == 0) {
		log_info("listening on %s", endpoint_print(e, text));
		return true;
	}
	log_err("cannot listen on %s, and goes on without: %s%s", endpoint_print(e, text), strerror(-r),
		r == -EADDRINUSE ? "; another program has the port (ss -ltnp shows which), choose another with --port"
		: r == -EACCES	 ? "; ports below 1024 cannot be used"
				 : "");
	return false;
}

/* The port to be announced; 0: nobody can connect. */
static uint16_t listen_all(struct daemon *d)
{
	struct endpoint any = {.v6 = {.sin6_family = AF_INET6}};
	uint16_t port = 0;

	if (d->options->listen_none)
		return 0;
	endpoint_set_port(&any, d->options->port);
	if (d->options->listen.count == 0)
		return listen_at(d, &any) ? d->options->port : 0;
	for (size_t i = 0; i < d->options->listen.count; i++) {
		struct endpoint e;

		if (options_listen(d->options, i, &e) < 0)
			log_err("cannot listen on %s: there is no such interface", d->options->listen.items[i]);
		else if (listen_at(d, &e) && !port)
			port = endpoint_port(&e);
	}
	return port;
}

static void start_discovery(struct daemon *d, uint16_t tcp_port)
{
	const struct discover_config c = {
		.port = d->options->discovery_port,
		.tcp_port = tcp_port,
		.self = *node_router_id(d->node),
	};

	if (d->options->disable_discovery)
		return;
	if (!tcp_port) {
		log_info("no discovery on the LAN, because there is no listener to announce");
		return;
	}
	d->discover = discover_new(d->loop, &c, &daemon_discover_ops, d);
}

void daemon_start(struct daemon *d)
{
	int r;

	node_start(d->node, mono_now());
	add_peers(d);
	d->acceptor = acceptor_new(d->loop, &daemon_acceptor_ops, d);
	start_discovery(d, listen_all(d));
	r = rtnl_start(d->rtnl);
	if (r < 0)
		log_err("cannot watch the network, so that lost addresses and discovery go unseen: %s", strerror(-r));
	d->started = true;
}
