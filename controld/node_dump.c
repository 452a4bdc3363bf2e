/* SPDX-License-Identifier: Apache-2.0 */
/* The dump of SIGUSR1, to the byte as wire-200 8.6. */
#include "controld/node_private.h"

#include <assert.h>

struct dump {
	const struct node *node;
	FILE *out;
	bool selected; /* the routes that are wanted */
};

static void print_route(void *ctx, const struct babel_route *r)
{
	const struct dump *d = ctx;
	const struct node_entry *e = node_entry_find(d->node, r->link);
	char prefix[PREFIX_TEXT_BYTES], hop[ENDPOINT_TEXT_BYTES], metric[16] = "Infinite";

	if (r->selected != d->selected)
		return;
	/* A route ends with its link at the latest. */
	assert(e);
	if (r->metric != WIRE_INFINITE)
		snprintf(metric, sizeof(metric), "%u", r->metric);
	fprintf(d->out, "%s next-hop %s metric: %s (seqno %u)\n", prefix_print(&r->prefix, prefix),
		endpoint_print(&e->info.remote, hop), metric, r->seqno);
}

static void print_source(void *ctx, const struct babel_source *s)
{
	const struct dump *d = ctx;
	char prefix[PREFIX_TEXT_BYTES], key[2 * 32 + 1], tail[2 * WIRE_ROUTER_TAIL_BYTES + 1];

	sodium_bin2hex(key, sizeof(key), s->router_id.public_key, sizeof(s->router_id.public_key));
	sodium_bin2hex(tail, sizeof(tail), s->router_id.tail, sizeof(s->router_id.tail));
	fprintf(d->out, "Source key: %s advertised by %s-%.4s-%s\n", prefix_print(&s->prefix, prefix), key, tail,
		tail + 4);
	fprintf(d->out, "Source entry: FeasibilityDistance { metric: Metric(%u), seqno: SeqNo(%u) }\n\n\n",
		s->fd.metric, s->fd.seqno);
}

static void print_origin(void *ctx, const struct babel_route *r)
{
	const struct dump *d = ctx;
	char prefix[PREFIX_TEXT_BYTES], address[IP6_TEXT_BYTES];
	struct pubkey pk;
	struct ip6 ip;

	if (!r->selected)
		return;
	memcpy(pk.b, r->router_id.public_key, sizeof(pk.b));
	d->node->network->address(&pk, &ip);
	fprintf(d->out, "%s origin %s\n", prefix_print(&r->prefix, prefix), ip6_print(&ip, address));
}

static void print_peer(void *ctx, const struct node_link *l)
{
	const struct dump *d = ctx;
	char remote[ENDPOINT_TEXT_BYTES];

	fprintf(d->out, "Peer: %s, with link cost: %u\n", endpoint_print(&l->remote, remote),
		babel_link_cost(d->node->babel, l->link));
}

void node_dump(const struct node *n, FILE *out)
{
	struct dump d = {.node = n, .out = out, .selected = true};

	if (!n->babel)
		return;
	fputs("----------- Current selected routes -----------\n\n", out);
	babel_each_route(n->babel, print_route, &d);
	d.selected = false;
	fputs("----------- Current fallback routes -----------\n\n", out);
	babel_each_route(n->babel, print_route, &d);
	fputs("----------- Current source table -----------\n\n", out);
	babel_each_source(n->babel, print_source, &d);
	fputs("----------- Subnet origins -----------\n\n", out);
	babel_each_route(n->babel, print_origin, &d);
	fputs("\n----------- Current peers: -----------\n", out);
	node_each_link(n, print_peer, &d);
	fputs("\n\n\n", out);
}
