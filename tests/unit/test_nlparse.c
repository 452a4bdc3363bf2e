/* SPDX-License-Identifier: Apache-2.0 */
/* The parser of netlink answers, on what is good, on nonsense, and on every truncation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After the four above, as it wants. */
#include "controld/kernel/nlparse.h"
#include <cmocka.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>

struct parsed {
	struct nl_link link;
	struct nl_address address;
	struct nl_route route;
	unsigned links, addresses, routes;
};

static void on_link(void *ctx, const struct nl_link *l)
{
	struct parsed *p = ctx;

	p->link = *l;
	p->links++;
}

static void on_address(void *ctx, const struct nl_address *a)
{
	struct parsed *p = ctx;

	p->address = *a;
	p->addresses++;
}

static void on_route(void *ctx, const struct nl_route *r)
{
	struct parsed *p = ctx;

	p->route = *r;
	p->routes++;
}

static const struct nl_ops all = {.link = on_link, .address = on_address, .route = on_route};

static struct nlmsghdr *begin(void *buffer, uint16_t type, size_t fixed_bytes)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);

	h->nlmsg_type = type;
	mnl_nlmsg_put_extra_header(h, fixed_bytes);
	return h;
}

static struct nlmsghdr *make_link(void *buffer, uint16_t type)
{
	struct nlmsghdr *h = begin(buffer, type, sizeof(struct ifinfomsg));
	struct ifinfomsg *m = mnl_nlmsg_get_payload(h);

	m->ifi_index = 7;
	m->ifi_flags = IFF_UP | IFF_MULTICAST;
	mnl_attr_put_u32(h, IFLA_MTU, 1500);
	mnl_attr_put_u8(h, IFLA_OPERSTATE, 6);
	mnl_attr_put_strz(h, IFLA_IFNAME, "eth0");
	return h;
}

static struct nlmsghdr *make_address(void *buffer, uint16_t type)
{
	static const uint8_t local[4] = {192, 0, 2, 1}, remote[4] = {192, 0, 2, 2};
	struct nlmsghdr *h = begin(buffer, type, sizeof(struct ifaddrmsg));
	struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);

	m->ifa_family = AF_INET;
	m->ifa_prefixlen = 24;
	m->ifa_index = 7;
	m->ifa_flags = IFA_F_PERMANENT;
	mnl_attr_put(h, IFA_ADDRESS, 4, remote);
	mnl_attr_put_u32(h, IFA_FLAGS, IFA_F_PERMANENT | IFA_F_NOPREFIXROUTE);
	mnl_attr_put(h, IFA_LOCAL, 4, local);
	return h;
}

static struct nlmsghdr *make_route(void *buffer)
{
	static const uint8_t dst[16] = {2};
	const struct rtnexthop hop = {.rtnh_len = sizeof(hop), .rtnh_ifindex = 9};
	struct nlmsghdr *h = begin(buffer, RTM_NEWROUTE, sizeof(struct rtmsg));
	struct rtmsg *m = mnl_nlmsg_get_payload(h);

	m->rtm_family = AF_INET6;
	m->rtm_dst_len = 7;
	m->rtm_table = RT_TABLE_COMPAT;
	m->rtm_type = RTN_UNICAST;
	mnl_attr_put(h, RTA_DST, sizeof(dst), dst);
	mnl_attr_put_u32(h, RTA_TABLE, 1000);
	mnl_attr_put(h, RTA_MULTIPATH, sizeof(hop), &hop);
	return h;
}

static void test_parsed(void **state)
{
	struct nlmsghdr buffer[64];
	char text[PREFIX_TEXT_BYTES];
	struct parsed p = {.links = 0};
	struct nlmsghdr *h = make_link(buffer, RTM_NEWLINK);

	(void)state;
	assert_false(nl_read(h, h->nlmsg_len, 0, &all, &p).end);
	assert_int_equal(p.links, 1);
	assert_string_equal(p.link.name, "eth0");
	assert_int_equal(p.link.ifindex, 7);
	assert_int_equal(p.link.flags, IFF_UP | IFF_MULTICAST);
	assert_int_equal(p.link.mtu, 1500);
	assert_int_equal(p.link.operstate, 6);
	assert_false(p.link.removed);
	h = make_address(buffer, RTM_DELADDR);
	nl_read(h, h->nlmsg_len, 0, &all, &p);
	assert_int_equal(p.addresses, 1);
	assert_string_equal(ip6_print(&p.address.ip, text), "::ffff:192.0.2.1");
	assert_int_equal(p.address.prefix_len, 24);
	assert_int_equal(p.address.flags, IFA_F_PERMANENT | IFA_F_NOPREFIXROUTE);
	assert_true(p.address.removed);
	h = make_route(buffer);
	nl_read(h, h->nlmsg_len, 0, &all, &p);
	assert_int_equal(p.routes, 1);
	assert_string_equal(prefix_print(&p.route.dst, text), "200::/7");
	assert_int_equal(p.route.table, 1000);
	assert_int_equal(p.route.ifindex, 9);
}

/* A port leaves its bridge: the interface is still there. */
static void test_bridge_messages_are_not_links(void **state)
{
	struct nlmsghdr buffer[64];
	struct parsed p = {.links = 0};
	struct nlmsghdr *h = make_link(buffer, RTM_DELLINK);
	struct ifinfomsg *m = mnl_nlmsg_get_payload(h);

	(void)state;
	m->ifi_family = AF_BRIDGE;
	nl_read(h, h->nlmsg_len, 0, &all, &p);
	assert_int_equal(p.links, 0);
	m->ifi_family = AF_UNSPEC;
	nl_read(h, h->nlmsg_len, 0, &all, &p);
	assert_int_equal(p.links, 1);
	assert_true(p.link.removed);
}

/* Cut short, with the header's length telling so or not, in memory of exactly that size. */
static void truncate_all(const struct nlmsghdr *h)
{
	struct parsed p = {.links = 0};

	for (uint32_t len = 0; len < h->nlmsg_len; len++) {
		struct nlmsghdr *copy = calloc(1, len ? len : 1);

		memcpy(copy, h, len);
		nl_read(copy, len, 0, &all, &p);
		assert_int_equal(p.links + p.addresses + p.routes, 0);
		if (len >= sizeof(*copy)) {
			copy->nlmsg_len = len;
			nl_read(copy, len, 0, &all, &p);
			p = (struct parsed){.links = 0};
		}
		free(copy);
	}
}

static void test_truncations(void **state)
{
	struct nlmsghdr buffer[64];

	(void)state;
	truncate_all(make_link(buffer, RTM_NEWLINK));
	truncate_all(make_address(buffer, RTM_NEWADDR));
	truncate_all(make_route(buffer));
}

static void test_nonsense(void **state)
{
	struct nlmsghdr buffer[64];
	struct parsed p = {.links = 0};
	struct nlmsghdr *h = make_route(buffer);
	struct rtmsg *m = mnl_nlmsg_get_payload(h);

	(void)state;
	m->rtm_dst_len = 129;
	nl_read(h, h->nlmsg_len, 0, &all, &p);
	m->rtm_dst_len = 7;
	m->rtm_family = AF_INET;
	nl_read(h, h->nlmsg_len, 0, &all, &p);
	h = begin(buffer, RTM_NEWLINK, sizeof(struct ifinfomsg));
	((struct ifinfomsg *)mnl_nlmsg_get_payload(h))->ifi_index = 1;
	mnl_attr_put(h, IFLA_IFNAME, 20, "sixteen-and-more-abc");
	nl_read(h, h->nlmsg_len, 0, &all, &p);
	mnl_attr_put(h, IFLA_IFNAME, 4, "lo0x");
	nl_read(h, h->nlmsg_len, 0, &all, &p);
	h = begin(buffer, RTM_NEWADDR, sizeof(struct ifaddrmsg));
	((struct ifaddrmsg *)mnl_nlmsg_get_payload(h))->ifa_family = AF_INET6;
	((struct ifaddrmsg *)mnl_nlmsg_get_payload(h))->ifa_index = 1;
	mnl_attr_put(h, IFA_ADDRESS, 4, "1234");
	nl_read(h, h->nlmsg_len, 0, &all, &p);
	assert_int_equal(p.links + p.addresses + p.routes, 0);
}

static struct nl_verdict read_code(uint16_t type, uint32_t seq, int32_t code, uint32_t wanted)
{
	struct nlmsghdr buffer[4];
	struct nlmsghdr *h = begin(buffer, type, sizeof(code));

	h->nlmsg_seq = seq;
	memcpy(mnl_nlmsg_get_payload(h), &code, sizeof(code));
	return nl_read(h, h->nlmsg_len, wanted, &all, NULL);
}

/* Lengths of a header that fit nothing. */
static void test_lengths_of_headers(void **state)
{
	static const uint32_t lengths[] = {0, 15, 49, 0x7fffffff, 0x80000000, 0xfdffeefb, UINT32_MAX};
	struct nlmsghdr buffer[4];
	struct parsed p = {.links = 0};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		memset(buffer, 0, sizeof(buffer));
		buffer[0].nlmsg_type = NLMSG_DONE;
		buffer[0].nlmsg_seq = 1;
		buffer[0].nlmsg_len = lengths[i];
		assert_false(nl_read(buffer, 48, 1, &all, &p).end);
		buffer[0].nlmsg_len = 16;
		assert_true(nl_read(buffer, 48, 1, &all, &p).end);
	}
}

static void test_ends(void **state)
{
	struct nl_verdict v = read_code(NLMSG_ERROR, 5, -ENODEV, 5);

	(void)state;
	assert_true(v.end);
	assert_int_equal(v.error, -ENODEV);
	v = read_code(NLMSG_ERROR, 5, 0, 5);
	assert_true(v.end && v.error == 0);
	v = read_code(NLMSG_DONE, 5, 0, 5);
	assert_true(v.end && v.error == 0);
	assert_false(read_code(NLMSG_DONE, 4, 0, 5).end);
	assert_false(read_code(NLMSG_DONE, 5, 0, 0).end);
	assert_int_equal(read_code(NLMSG_ERROR, 5, 17, 5).error, -EPROTO);
	assert_int_equal(read_code(NLMSG_ERROR, 5, INT32_MIN, 5).error, -EPROTO);
	assert_true(read_code(NLMSG_OVERRUN, 0, 0, 0).lost);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parsed),
		cmocka_unit_test(test_bridge_messages_are_not_links),
		cmocka_unit_test(test_truncations),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_lengths_of_headers),
		cmocka_unit_test(test_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
