/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink answers as structs; see nlparse.h. */
#include "controld/kernel/nlparse.h"

#include "shared/base/buf.h"
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>

struct reader {
	const struct nl_ops *ops;
	void *ctx;
};

/* The fixed part of a message, or NULL if it is shorter. */
static const void *fixed_part(const struct nlmsghdr *h, size_t bytes)
{
	return mnl_nlmsg_get_payload_len(h) >= bytes ? mnl_nlmsg_get_payload(h) : NULL;
}

/* Goes over the attributes behind the fixed part. libmnl's own loop over a message rounds its length up to 4 and may
 * read beyond. */
static void each_attr(const struct nlmsghdr *h, size_t fixed_bytes, mnl_attr_cb_t fn, void *data)
{
	const size_t start = MNL_ALIGN(fixed_bytes), len = mnl_nlmsg_get_payload_len(h);

	if (len > start)
		mnl_attr_parse_payload(mnl_nlmsg_get_payload_offset(h, start), len - start, fn, data);
}

/* Copies an attribute of exactly that size; false if it has another. */
static bool attr_copy(const struct nlattr *a, void *out, size_t bytes)
{
	if (mnl_attr_get_payload_len(a) != bytes)
		return false;
	memcpy(out, mnl_attr_get_payload(a), bytes);
	return true;
}

static int link_attr(const struct nlattr *a, void *data)
{
	struct nl_link *l = data;

	switch (mnl_attr_get_type(a)) {
	case IFLA_IFNAME:
		if (mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0 && mnl_attr_get_payload_len(a) <= sizeof(l->name))
			memcpy(l->name, mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
		break;
	case IFLA_MTU:
		attr_copy(a, &l->mtu, sizeof(l->mtu));
		break;
	case IFLA_OPERSTATE:
		attr_copy(a, &l->operstate, sizeof(l->operstate));
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

/* A bridge tells of its ports in messages of the same types (family AF_BRIDGE), where removed means: from the bridge.
 */
static void read_link(const struct reader *r, const struct nlmsghdr *h)
{
	const struct ifinfomsg *m = fixed_part(h, sizeof(*m));
	struct nl_link l = {.removed = h->nlmsg_type == RTM_DELLINK};

	if (!r->ops->link || !m || m->ifi_family != AF_UNSPEC || m->ifi_index <= 0)
		return;
	l.ifindex = (unsigned)m->ifi_index;
	l.flags = m->ifi_flags;
	each_attr(h, sizeof(*m), link_attr, &l);
	if (l.name[0])
		r->ops->link(r->ctx, &l);
}

struct address_parts {
	size_t ip_bytes; /* 4 or 16 */
	uint8_t address[16], local[16];
	bool has_address, has_local;
	uint32_t flags;
};

static int address_attr(const struct nlattr *a, void *data)
{
	struct address_parts *p = data;

	switch (mnl_attr_get_type(a)) {
	case IFA_ADDRESS:
		p->has_address = attr_copy(a, p->address, p->ip_bytes);
		break;
	case IFA_LOCAL:
		p->has_local = attr_copy(a, p->local, p->ip_bytes);
		break;
	case IFA_FLAGS:
		attr_copy(a, &p->flags, sizeof(p->flags));
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

static struct ip6 as_ip6(const uint8_t *bytes, size_t ip_bytes)
{
	struct ip6 ip = {{0}};

	if (ip_bytes == 4)
		ip.b[10] = ip.b[11] = 0xff;
	memcpy(ip.b + sizeof(ip.b) - ip_bytes, bytes, ip_bytes);
	return ip;
}

/* On a point-to-point interface ADDRESS is the other end's, and LOCAL ours. */
static void read_address(const struct reader *r, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *m = fixed_part(h, sizeof(*m));
	struct address_parts p = {.ip_bytes = 0};
	struct nl_address a = {.removed = h->nlmsg_type == RTM_DELADDR};

	if (!r->ops->address || !m || (m->ifa_family != AF_INET && m->ifa_family != AF_INET6) || m->ifa_index == 0)
		return;
	p.ip_bytes = m->ifa_family == AF_INET ? 4 : 16;
	p.flags = m->ifa_flags;
	each_attr(h, sizeof(*m), address_attr, &p);
	if (!p.has_local && !p.has_address)
		return;
	a.ifindex = m->ifa_index;
	a.prefix_len = m->ifa_prefixlen;
	a.flags = p.flags;
	a.ip = as_ip6(p.has_local ? p.local : p.address, p.ip_bytes);
	r->ops->address(r->ctx, &a);
}

struct route_parts {
	struct ip6 dst;
	bool has_dst;
	uint32_t table;
	uint32_t oif, first_hop;
};

static int route_attr(const struct nlattr *a, void *data)
{
	struct route_parts *p = data;
	struct rtnexthop hop;

	switch (mnl_attr_get_type(a)) {
	case RTA_DST:
		p->has_dst = attr_copy(a, &p->dst, sizeof(p->dst));
		break;
	case RTA_TABLE:
		attr_copy(a, &p->table, sizeof(p->table));
		break;
	case RTA_OIF:
		attr_copy(a, &p->oif, sizeof(p->oif));
		break;
	case RTA_MULTIPATH:
		if (mnl_attr_get_payload_len(a) < sizeof(hop))
			break;
		memcpy(&hop, mnl_attr_get_payload(a), sizeof(hop));
		p->first_hop = (uint32_t)hop.rtnh_ifindex;
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

static void read_route(const struct reader *r, const struct nlmsghdr *h)
{
	const struct rtmsg *m = fixed_part(h, sizeof(*m));
	struct route_parts p = {.has_dst = false};
	struct nl_route route;

	if (!r->ops->route || !m || m->rtm_family != AF_INET6 || m->rtm_dst_len > 128)
		return;
	p.table = m->rtm_table;
	each_attr(h, sizeof(*m), route_attr, &p);
	if (!p.has_dst && m->rtm_dst_len > 0)
		return;
	route = (struct nl_route){.dst = prefix_make(&p.dst, m->rtm_dst_len), .table = p.table, .type = m->rtm_type};
	route.ifindex = p.oif ? p.oif : p.first_hop;
	r->ops->route(r->ctx, &route);
}

static void read_message(const struct reader *r, const struct nlmsghdr *h)
{
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		read_link(r, h);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		read_address(r, h);
		break;
	case RTM_NEWROUTE:
		read_route(r, h);
		break;
	default:
		break;
	}
}

/* The end of an answer: ERROR (0 acknowledges) and DONE both begin with an errno, in DONE it may be missing. */
static int end_code(const struct nlmsghdr *h)
{
	const void *p = fixed_part(h, sizeof(int));
	int code = h->nlmsg_type == NLMSG_ERROR ? -EPROTO : 0;

	if (p)
		memcpy(&code, p, sizeof(code));
	return code > 0 || code < -4095 ? -EPROTO : code;
}

static void judge(const struct reader *r, const struct nlmsghdr *h, uint32_t seq, struct nl_verdict *v)
{
	if (seq && h->nlmsg_seq != seq)
		return;
	v->lost |= h->nlmsg_type == NLMSG_OVERRUN || (h->nlmsg_flags & NLM_F_DUMP_INTR);
	if (h->nlmsg_type >= NLMSG_MIN_TYPE) {
		read_message(r, h);
	} else if (seq && (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE)) {
		v->end = true;
		v->error = end_code(h);
	}
}

/* Not with libmnl's iterator, which takes a length of more than 2 GiB for a negative number, and so for one that fits.
 */
struct nl_verdict nl_read(const void *bytes, size_t len, uint32_t seq, const struct nl_ops *ops, void *ctx)
{
	const struct reader r = {.ops = ops, .ctx = ctx};
	struct nl_verdict v = {.end = false};
	struct rd in = rd_init(bytes, len);

	while (!v.end && rd_left(&in) >= sizeof(struct nlmsghdr)) {
		const struct nlmsghdr *h = (const void *)in.p;

		if (h->nlmsg_len < sizeof(*h) || !rd_take(&in, h->nlmsg_len))
			break;
		judge(&r, h, seq, &v);
		rd_take(&in, -h->nlmsg_len % MNL_ALIGNTO);
	}
	return v;
}
