/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of the kernel and waited for: see rtnl.h. Following changes is monitor.c. */
#include "controld/kernel/rtnl.h"

#include "controld/kernel/monitor.h"
#include "controld/kernel/nlreq.h"
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	/* Shorter ones are default routes cut in two or so, not another overlay. */
	ROUTE_MIN_BITS = 4,
	ADDRGEN_NONE = 1,
};

struct rtnl {
	struct nlreq *req;
	struct monitor *monitor;
};

/* A request under construction. */
struct request {
	alignas(struct nlmsghdr) uint8_t bytes[NLREQ_BYTES];
	struct nlmsghdr *h;
};

struct rtnl *rtnl_new(struct loop *l, const struct rtnl_ops *ops, void *ctx)
{
	struct rtnl *r = calloc(1, sizeof(*r));

	if (!r)
		abort();
	r->req = nlreq_new();
	if (!r->req) {
		free(r);
		return NULL;
	}
	r->monitor = monitor_new(l, r->req, ops, ctx);
	return r;
}

void rtnl_free(struct rtnl *r)
{
	if (!r)
		return;
	monitor_free(r->monitor);
	nlreq_free(r->req);
	free(r);
}

int rtnl_start(struct rtnl *r)
{
	return monitor_start(r->monitor);
}

/* Returns the fixed part, zeroed. */
static void *begin(struct request *q, uint16_t type, uint16_t flags, size_t fixed_bytes)
{
	q->h = mnl_nlmsg_put_header(q->bytes);
	q->h->nlmsg_type = type;
	q->h->nlmsg_flags = flags;
	return mnl_nlmsg_put_extra_header(q->h, fixed_bytes);
}

static struct ifinfomsg *begin_link(struct request *q, uint16_t type, unsigned ifindex)
{
	struct ifinfomsg *m = begin(q, type, 0, sizeof(*m));

	m->ifi_family = AF_UNSPEC;
	m->ifi_index = (int)ifindex;
	return m;
}

int rtnl_link_up(struct rtnl *r, unsigned ifindex, uint32_t mtu, uint32_t tx_queue_len)
{
	struct request q;
	struct ifinfomsg *m = begin_link(&q, RTM_NEWLINK, ifindex);

	m->ifi_flags = IFF_UP;
	m->ifi_change = IFF_UP;
	mnl_attr_put_u32(q.h, IFLA_MTU, mtu);
	mnl_attr_put_u32(q.h, IFLA_TXQLEN, tx_queue_len);
	return nlreq_do(r->req, q.h, NULL, NULL);
}

int rtnl_link_down(struct rtnl *r, unsigned ifindex)
{
	struct request q;
	struct ifinfomsg *m = begin_link(&q, RTM_NEWLINK, ifindex);

	m->ifi_change = IFF_UP;
	return nlreq_do(r->req, q.h, NULL, NULL);
}

int rtnl_link_rename(struct rtnl *r, unsigned ifindex, const char *name)
{
	struct request q;

	if (strlen(name) >= IFNAMSIZ)
		return -EINVAL;
	begin_link(&q, RTM_NEWLINK, ifindex);
	mnl_attr_put_strz(q.h, IFLA_IFNAME, name);
	return nlreq_do(r->req, q.h, NULL, NULL);
}

int rtnl_addrgen_none(struct rtnl *r, unsigned ifindex)
{
	struct nlattr *families, *inet6;
	struct request q;

	begin_link(&q, RTM_NEWLINK, ifindex);
	families = mnl_attr_nest_start(q.h, IFLA_AF_SPEC);
	inet6 = mnl_attr_nest_start(q.h, AF_INET6);
	mnl_attr_put_u8(q.h, IFLA_INET6_ADDR_GEN_MODE, ADDRGEN_NONE);
	mnl_attr_nest_end(q.h, inet6);
	mnl_attr_nest_end(q.h, families);
	return nlreq_do(r->req, q.h, NULL, NULL);
}

int rtnl_address_add(struct rtnl *r, unsigned ifindex, const struct ip6 *a, uint8_t prefix_len)
{
	struct request q;
	struct ifaddrmsg *m = begin(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*m));
	int error;

	m->ifa_family = AF_INET6;
	m->ifa_prefixlen = prefix_len;
	m->ifa_flags = IFA_F_NODAD;
	m->ifa_index = ifindex;
	mnl_attr_put(q.h, IFA_LOCAL, sizeof(a->b), a->b);
	mnl_attr_put(q.h, IFA_ADDRESS, sizeof(a->b), a->b);
	error = nlreq_do(r->req, q.h, NULL, NULL);
	return error == -EEXIST ? 0 : error;
}

struct link_wanted {
	unsigned ifindex;
	struct rtnl_link *out;
	bool found;
};

static void take_link(void *ctx, const struct nl_link *l)
{
	struct link_wanted *w = ctx;

	if (l->ifindex != w->ifindex || l->removed)
		return;
	w->found = true;
	memcpy(w->out->name, l->name, sizeof(w->out->name));
	w->out->mtu = l->mtu;
	w->out->up = l->flags & IFF_UP;
}

int rtnl_link_get(struct rtnl *r, unsigned ifindex, struct rtnl_link *out)
{
	static const struct nl_ops ops = {.link = take_link};
	struct link_wanted w = {.ifindex = ifindex, .out = out};
	struct request q;
	int error;

	begin_link(&q, RTM_GETLINK, ifindex);
	error = nlreq_do(r->req, q.h, &ops, &w);
	return error == 0 && !w.found ? -ENODEV : error;
}

struct address_wanted {
	unsigned ifindex;
	const struct ip6 *ip;
	uint8_t prefix_len;
	bool found;
};

static void compare_address(void *ctx, const struct nl_address *a)
{
	struct address_wanted *w = ctx;

	w->found |= a->ifindex == w->ifindex && a->prefix_len == w->prefix_len && ip6_eq(&a->ip, w->ip) && !a->removed;
}

int rtnl_address_has(struct rtnl *r, unsigned ifindex, const struct ip6 *a, uint8_t prefix_len)
{
	static const struct nl_ops ops = {.address = compare_address};
	struct address_wanted w = {.ifindex = ifindex, .ip = a, .prefix_len = prefix_len};
	struct request q;
	struct ifaddrmsg *m = begin(&q, RTM_GETADDR, NLM_F_DUMP, sizeof(*m));
	int error;

	m->ifa_family = AF_INET6;
	error = nlreq_do(r->req, q.h, &ops, &w);
	return error ? error : w.found;
}

struct route_wanted {
	const struct prefix *prefix;
	unsigned ignore_ifindex;
	unsigned found; /* 0: none yet */
};

static void compare_route(void *ctx, const struct nl_route *route)
{
	struct route_wanted *w = ctx;

	if (w->found || route->type != RTN_UNICAST || route->table == RT_TABLE_LOCAL || route->dst.len < ROUTE_MIN_BITS)
		return;
	if (route->ifindex == 0 || route->ifindex == w->ignore_ifindex)
		return;
	if (prefix_covers(w->prefix, &route->dst) || prefix_covers(&route->dst, w->prefix))
		w->found = route->ifindex;
}

int rtnl_find_route(struct rtnl *r, const struct prefix *p, unsigned ignore_ifindex, char name[16])
{
	static const struct nl_ops ops = {.route = compare_route};
	struct route_wanted w = {.prefix = p, .ignore_ifindex = ignore_ifindex};
	struct request q;
	struct rtmsg *m = begin(&q, RTM_GETROUTE, NLM_F_DUMP, sizeof(*m));
	int error;

	m->rtm_family = AF_INET6;
	error = nlreq_do(r->req, q.h, &ops, &w);
	if (error < 0 || !w.found)
		return error;
	if (!if_indextoname(w.found, name))
		snprintf(name, IFNAMSIZ, "#%u", w.found);
	return 1;
}
