/* SPDX-License-Identifier: Apache-2.0 */
/* The links of the node: their table, their two lines in the log, and who may have another. An entry is reused when its
 * slot is; an id names its slot. */
#define LOG_MODULE "node"
#include "controld/node_private.h"

#include <assert.h>
#include <stdlib.h>

const char node_why_ending[] = "this node ends";

struct node_entry *node_entry_find(const struct node *n, uint32_t link)
{
	struct node_entry *e = n->slots[link % LIMIT_LINK_SLOTS];

	return e && e->info.link == link ? e : NULL;
}

struct node_entry *node_entry_alive(const struct node *n, uint32_t link)
{
	struct node_entry *e = node_entry_find(n, link);

	return e && e->alive ? e : NULL;
}

bool node_slot_is_free(const struct node *n, uint32_t link)
{
	const struct node_entry *e = n->slots[link % LIMIT_LINK_SLOTS];

	return link && (!e || !e->alive);
}

struct node_entry *node_entry_add(struct node *n, const struct ctl_adopt *a, struct mono up_since)
{
	struct node_entry *e = n->slots[a->link % LIMIT_LINK_SLOTS];

	if (!e) {
		e = malloc(sizeof(*e));
		assert(e);
		n->slots[a->link % LIMIT_LINK_SLOTS] = e;
	}
	*e = (struct node_entry){.alive = true, .told_cost = UINT32_MAX};
	e->info = (struct node_link){.link = a->link, .flags = a->flags, .peer = a->peer, .up_since = up_since};
	memcpy(&e->info.local, a->local, sizeof(e->info.local));
	memcpy(&e->info.remote, a->remote, sizeof(e->info.remote));
	n->link_count++;
	n->ops->link_changed(n->ctx, &e->info, true);
	return e;
}

/* A stranger can connect as often as it likes; what it causes is written at a bounded rate. */
static bool may_log(struct node *n, const struct node_entry *e)
{
	return !(e->info.flags & CTL_LINK_INBOUND) || log_limit_pass(&n->link_log, LOG_MODULE);
}

static const char *direction(const struct node_entry *e)
{
	return e->info.flags & CTL_LINK_INBOUND ? "in" : "out";
}

void node_entry_log(struct node *n, const struct node_entry *e, const char *what)
{
	char remote[ENDPOINT_TEXT_BYTES], local[ENDPOINT_TEXT_BYTES];

	if (LOG_INFO > log_level || !may_log(n, e))
		return;
	log_info("%s peer=%s direction=%s local=%s kind=%s", what, endpoint_print(&e->info.remote, remote),
		 direction(e), endpoint_print(&e->info.local, local),
		 e->info.flags & CTL_LINK_STATIC       ? "static"
		 : e->info.flags & CTL_LINK_DISCOVERED ? "discovered"
						       : "inbound");
}

void node_entry_down(struct node *n, struct node_entry *e, int64_t lived_us, const char *reason, struct mono now)
{
	char remote[ENDPOINT_TEXT_BYTES];

	e->alive = false;
	n->link_count--;
	if (LOG_INFO <= log_level && may_log(n, e))
		log_info("link down peer=%s direction=%s lived=%lld.%03llds reason=\"%s\"",
			 endpoint_print(&e->info.remote, remote), direction(e), (long long)(lived_us / 1000000),
			 (long long)(lived_us / 1000 % 1000), reason);
	babel_link_down(n->babel, e->info.link, now);
	n->ops->link_changed(n->ctx, &e->info, false);
	n->ops->link_gone(n->ctx, e->info.peer, lived_us, reason);
}

void node_entry_close(struct node *n, struct node_entry *e, const char *reason, struct mono now)
{
	n->ops->link_close(n->ctx, e->info.link, reason);
	node_entry_down(n, e, mono_since_us(now, e->info.up_since), reason, now);
}

void node_close_link(struct node *n, uint32_t link, const char *reason, struct mono now)
{
	struct node_entry *e = node_entry_alive(n, link);

	if (e)
		node_entry_close(n, e, reason, now);
}

static void down_reason(const struct ctl_link_down *d, char *out, size_t size)
{
	const int text = (int)strnlen(d->text, sizeof(d->text));

	switch ((enum ctl_down_reason)d->reason) {
	case CTL_DOWN_CLOSED:
		snprintf(out, size, "closed by the other side");
		break;
	case CTL_DOWN_ERROR:
		snprintf(out, size, "%s", strerror(d->error));
		break;
	case CTL_DOWN_IHU:
		snprintf(out, size, "it did not answer our Hellos");
		break;
	case CTL_DOWN_HELLO:
		snprintf(out, size, "no Hello came from it");
		break;
	case CTL_DOWN_GARBAGE:
		snprintf(out, size, "what it sent makes no sense: %.*s", text, d->text);
		break;
	case CTL_DOWN_REFUSED:
		snprintf(out, size, "refused by the forwarder: %.*s", text, d->text);
		break;
	case CTL_DOWN_ASKED:
	default:
		snprintf(out, size, "%.*s", text, d->text);
	}
}

void node_on_link_down(struct node *n, const struct ctl_link_down *d, struct mono now)
{
	struct node_entry *e = node_entry_alive(n, d->link);
	char reason[CTL_REASON_BYTES + 40];

	if (!e)
		return;
	down_reason(d, reason, sizeof(reason));
	e->info.rx_bytes = d->rx_bytes;
	e->info.tx_bytes = d->tx_bytes;
	node_entry_down(n, e, (int64_t)d->lived_us, n->ending ? node_why_ending : reason, now);
}

/* The same for all links; NULL: there may be more. */
static const char *why_no_link(const struct node *n)
{
	if (n->ending)
		return node_why_ending;
	if (!n->running)
		return "the forwarder is not ready";
	return n->link_count < LIMIT_LINKS ? NULL : "all places for links are taken";
}

bool node_has_room(const struct node *n, const char **why)
{
	*why = why_no_link(n);
	return !*why;
}

bool node_may_accept(const struct node *n, const struct endpoint *remote, const char **why)
{
	const struct ip6 from = endpoint_ip6(remote);
	unsigned inbound = 0, unproven = 0;

	if (!node_has_room(n, why))
		return false;
	for (int i = 0; i < LIMIT_LINK_SLOTS; i++) {
		const struct node_entry *e = n->slots[i];
		struct ip6 ip;

		if (!e || !e->alive || !(e->info.flags & CTL_LINK_INBOUND))
			continue;
		inbound++;
		if (e->info.proven)
			continue;
		ip = endpoint_ip6(&e->info.remote);
		unproven += ip6_eq(&ip, &from);
	}
	if (inbound >= LIMIT_LINKS_INBOUND) {
		*why = "all places for links are taken";
		return false;
	}
	if (unproven >= LIMIT_UNPROVEN_PER_ADDRESS) {
		*why = "too many links from this address that have not yet said anything valid";
		return false;
	}
	return true;
}

static bool is_link_local(const struct ip6 *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

void node_on_address_lost(struct node *n, const struct ip6 *a, unsigned ifindex, const char *reason, struct mono now)
{
	const bool scoped = is_link_local(a);

	for (int i = 0; i < LIMIT_LINK_SLOTS; i++) {
		struct node_entry *e = n->slots[i];
		struct ip6 local;

		if (!e || !e->alive)
			continue;
		local = endpoint_ip6(&e->info.local);
		if (ip6_eq(&local, a) && (!scoped || e->info.local.v6.sin6_scope_id == ifindex))
			node_entry_close(n, e, reason, now);
	}
}

void node_each_link(const struct node *n, void (*fn)(void *ctx, const struct node_link *l), void *ctx)
{
	for (int i = 0; i < LIMIT_LINK_SLOTS; i++) {
		if (n->slots[i] && n->slots[i]->alive)
			fn(ctx, &n->slots[i]->info);
	}
}
