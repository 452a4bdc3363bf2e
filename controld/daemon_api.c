/* SPDX-License-Identifier: Apache-2.0 */
/* What the API asks of the daemon, and what it is told for those who watch. */
#define LOG_MODULE "daemon"
#include "controld/daemon_private.h"
#include "shared/base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* Peers: the entries to be dialled with their links, then the links that others made. */

struct link_list {
	struct node_link links[LIMIT_LINKS];
	unsigned count;
};

static void add_link(void *ctx, const struct node_link *l)
{
	struct link_list *list = ctx;

	if (list->count < LIMIT_LINKS)
		list->links[list->count++] = *l;
}

/* Owned by the caller. */
static struct link_list *list_links(const struct daemon *d)
{
	struct link_list *list = calloc(1, sizeof(*list));

	assert(list);
	node_each_link(d->node, add_link, list);
	return list;
}

static const struct node_link *link_of(const struct link_list *list, uint64_t peer)
{
	for (unsigned i = 0; i < list->count; i++) {
		if (list->links[i].peer == peer)
			return &list->links[i];
	}
	return NULL;
}

struct peer_walk {
	const struct daemon *d;
	const struct link_list *links;
	void (*fn)(void *fn_ctx, const struct api_peer *p);
	void *fn_ctx;
};

static uint16_t cost_of(const struct daemon *d, uint32_t link)
{
	return node_babel(d->node) ? babel_link_cost(node_babel(d->node), link) : WIRE_INFINITE;
}

static void tell_entry(void *ctx, const struct peer_info *i)
{
	const struct peer_walk *w = ctx;
	const struct node_link *l = link_of(w->links, i->peer);
	struct api_peer p = {
		.endpoint = i->text,
		.flags = i->flags,
		.up = l != NULL,
		.next_try = i->next_try,
		.last_error = i->last_error,
		.last_error_at = i->last_error_at,
	};

	if (l) {
		p.link = *l;
		p.cost = cost_of(w->d, l->link);
	}
	w->fn(w->fn_ctx, &p);
}

static void peers_each_api(void *ctx, void (*fn)(void *fn_ctx, const struct api_peer *p), void *fn_ctx)
{
	struct daemon *d = ctx;
	struct link_list *links = list_links(d);
	struct peer_walk w = {.d = d, .links = links, .fn = fn, .fn_ctx = fn_ctx};
	char text[ENDPOINT_TEXT_BYTES];

	peers_each(d->peers, tell_entry, &w);
	for (unsigned i = 0; i < links->count; i++) {
		const struct node_link *l = &links->links[i];

		if (l->peer)
			continue;
		fn(fn_ctx, &(const struct api_peer){.endpoint = endpoint_print(&l->remote, text),
						    .flags = l->flags,
						    .up = true,
						    .link = *l,
						    .cost = cost_of(d, l->link),
						    .last_error = ""});
	}
	free(links);
}

static const char *without_scheme(const char *endpoint)
{
	static const char scheme[] = "tcp://";

	return strncmp(endpoint, scheme, sizeof(scheme) - 1) == 0 ? endpoint + sizeof(scheme) - 1 : endpoint;
}

struct peer_search {
	const char *text;
	uint64_t peer; /* 0: none */
};

static void compare(void *ctx, const struct peer_info *i)
{
	struct peer_search *s = ctx;

	if (strcmp(i->text, s->text) == 0)
		s->peer = i->peer;
}

uint64_t daemon_api_peer_find(const struct daemon *d, const char *text)
{
	struct peer_search s = {.text = text};

	peers_each(d->peers, compare, &s);
	return s.peer;
}

static int peer_add(void *ctx, const char *endpoint, const char **why)
{
	const struct daemon *d = ctx;
	const char *text = without_scheme(endpoint);

	if (!peers_check(text, &d->network->overlay, why))
		return -EINVAL;
	if (daemon_api_peer_find(d, text))
		return -EEXIST;
	if (!peers_add(d->peers, text, CTL_LINK_STATIC, why))
		return -ENOSPC;
	log_info("peer added by the API endpoint=%s", text);
	daemon_api_peer(d, API_EVENT_ADD, text);
	return 0;
}

/* The link of a peer, or the one that has this remote address; 0: none. */
static uint32_t link_find(const struct daemon *d, uint64_t peer, const char *text)
{
	struct link_list *links = list_links(d);
	char remote[ENDPOINT_TEXT_BYTES];
	uint32_t link = 0;

	for (unsigned i = 0; i < links->count && !link; i++) {
		const struct node_link *l = &links->links[i];

		if (peer ? l->peer == peer : !l->peer && strcmp(endpoint_print(&l->remote, remote), text) == 0)
			link = l->link;
	}
	free(links);
	return link;
}

static int peer_del(void *ctx, const char *endpoint)
{
	const struct daemon *d = ctx;
	const char *text = without_scheme(endpoint);
	const uint64_t peer = daemon_api_peer_find(d, text);
	const uint32_t link = link_find(d, peer, text);
	const char *why;

	if (!peer && !link)
		return peers_check(text, &d->network->overlay, &why) ? -ENOENT : -EINVAL;
	log_info("peer removed by the API endpoint=%s", text);
	daemon_api_peer(d, API_EVENT_FLUSH, text);
	if (peer)
		peers_del(d->peers, peer);
	if (link)
		node_close_link(d->node, link, "removed by the API", mono_now());
	return 0;
}

/* The rest */

static void fastpaths_each(void *ctx, void (*fn)(void *fn_ctx, const struct api_fastpath *f), void *fn_ctx)
{
	const struct daemon *d = ctx;
	struct api_fastpath f = {.mode = d->options->no_tun ? "relay" : "tun"};

	f.pid = fastpaths_pid(d->fastpaths, 0, &f.since);
	f.aead = fastpaths_aead(d->fastpaths, 0);
	fn(fn_ctx, &f);
}

static uint64_t stat_of(void *ctx, enum stat_id which)
{
	return daemon_stat(ctx, which);
}

static const char *trouble_of_store(void *ctx)
{
	const struct daemon *d = ctx;

	return d->store_is_volatile ? "messages are in memory only, as the log says" : store_trouble(d->store);
}

static uint64_t bytes_of_store(void *ctx)
{
	const struct daemon *d = ctx;

	return store_bytes(d->store);
}

static bool state_is_lasting(void *ctx)
{
	const struct daemon *d = ctx;

	return d->state_is_lasting;
}

static const char *tun_name(void *ctx)
{
	const struct daemon *d = ctx;

	return d->has_tun ? d->tun.name : "";
}

static const char *not_ready(void *ctx)
{
	const struct daemon *d = ctx;
	struct mono since;

	if (d->stopping)
		return "the node ends";
	return fastpaths_pid(d->fastpaths, 0, &since) ? "" : "the forwarder is not ready";
}

static void on_settled(void *ctx)
{
	daemon_settle(ctx);
}

static const struct api_ops api_ops = {
	.peers_each = peers_each_api,
	.peer_add = peer_add,
	.peer_del = peer_del,
	.fastpaths_each = fastpaths_each,
	.stat = stat_of,
	.store_trouble = trouble_of_store,
	.store_bytes = bytes_of_store,
	.tun_name = tun_name,
	.state_is_lasting = state_is_lasting,
	.not_ready = not_ready,
	.settled = on_settled,
};

bool daemon_api_open(struct daemon *d)
{
	const struct options *o = d->options;
	struct api_config c = {
		.network = d->network,
		.pk = d->identity.pk,
		.address = d->identity.address,
		.own = d->identity.own,
		.insecure = o->api_insecure,
		.token_file = o->api_token_file,
		.hosts = (const char *const *)o->api_hosts.items,
		.host_count = o->api_hosts.count,
		.origins = (const char *const *)o->api_origins.items,
		.origin_count = o->api_origins.count,
		.max_body = o->api_max_body,
		.started = mono_now(),
		.started_s = time(NULL),
	};
	const struct api_host host = {
		.node = d->node,
		.post = d->post,
		.keyring = d->keyring,
		.ops = &api_ops,
		.ctx = d,
	};
	char error[API_ERROR_BYTES];

	if (strcmp(o->api_addr, "none") == 0)
		return true;
	/* The option was checked when it was read. */
	if (endpoint_parse(o->api_addr, &c.addr) < 0) {
		daemon_say_error("--api-addr names an interface that is not there");
		return false;
	}
	if (api_new(d->loop, &c, &host, &d->api, error) == 0)
		return true;
	daemon_say_error(error);
	return false;
}

/* Events */

static bool anyone(const struct daemon *d)
{
	return d->api && api_has_listeners(d->api);
}

void daemon_api_route(const struct daemon *d, const struct ctl_route *r)
{
	const struct prefix p = prefix_make(&r->prefix, r->prefix_len);
	char subnet[PREFIX_TEXT_BYTES];

	if (!anyone(d))
		return;
	prefix_print(&p, subnet);
	api_event(d->api, API_EVENT_ROUTE, API_EVENT_CHANGE,
		  (const struct api_event_field[]){{.name = "subnet", .text = subnet},
						   {.name = "link", .number = r->link},
						   {.name = "metric", .number = r->metric},
						   {.name = "seqno", .number = r->seqno},
						   {0}});
}

void daemon_api_route_del(const struct daemon *d, const struct prefix *p)
{
	char subnet[PREFIX_TEXT_BYTES];

	if (!anyone(d))
		return;
	prefix_print(p, subnet);
	api_event(d->api, API_EVENT_ROUTE, API_EVENT_FLUSH,
		  (const struct api_event_field[]){{.name = "subnet", .text = subnet}, {0}});
}

void daemon_api_link(const struct daemon *d, const struct node_link *l, enum api_event_change change)
{
	char remote[ENDPOINT_TEXT_BYTES];

	if (!anyone(d))
		return;
	endpoint_print(&l->remote, remote);
	api_event(d->api, API_EVENT_LINK, change,
		  (const struct api_event_field[]){
			  {.name = "link", .number = l->link},
			  {.name = "remote", .text = remote},
			  {.name = "direction", .text = l->flags & CTL_LINK_INBOUND ? "in" : "out"},
			  {0}});
}

void daemon_api_link_cost(const struct daemon *d, uint32_t link, uint32_t cost)
{
	if (!anyone(d))
		return;
	api_event(d->api, API_EVENT_LINK, API_EVENT_CHANGE,
		  (const struct api_event_field[]){
			  {.name = "link", .number = link}, {.name = "cost", .number = cost}, {0}});
}

void daemon_api_peer(const struct daemon *d, enum api_event_change change, const char *endpoint)
{
	if (anyone(d))
		api_event(d->api, API_EVENT_PEER, change,
			  (const struct api_event_field[]){{.name = "endpoint", .text = endpoint}, {0}});
}

void daemon_api_session(const struct daemon *d, const struct session_event *e)
{
	static const struct {
		const char *state;
		enum api_event_change change;
	} kinds[] = {
		[SESSION_ESTABLISHED] = {"established", API_EVENT_ADD},
		[SESSION_RENEWED] = {"renewed", API_EVENT_CHANGE},
		[SESSION_ENDED] = {"ended", API_EVENT_FLUSH},
		[SESSION_SECOND_KEY] = {"secondKey", API_EVENT_CHANGE},
		[SESSION_DOWNGRADE] = {"downgrade", API_EVENT_CHANGE},
		[SESSION_RELEASED] = {"released", API_EVENT_FLUSH},
		[SESSION_UNRELEASED] = {"unreleased", API_EVENT_CHANGE},
		[SESSION_MISMATCH] = {"mismatch", API_EVENT_CHANGE},
	};
	char address[IP6_TEXT_BYTES], key[PUBKEY_TEXT_BYTES];

	if (!anyone(d))
		return;
	api_event(d->api, API_EVENT_SESSION, kinds[e->kind].change,
		  (const struct api_event_field[]){{.name = "address", .text = ip6_print(&e->address, address)},
						   {.name = "publicKey", .text = pubkey_print(&e->pk, key)},
						   {.name = "state", .text = kinds[e->kind].state},
						   {0}});
}
