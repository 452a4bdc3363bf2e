/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor: tables of interfaces and addresses as the kernel tells them, and what its user was told last. Messages
 * only change the tables; settle() then tells the differences, so the order in which the kernel speaks does not matter.
 */
#define LOG_MODULE "monitor"
#include "controld/kernel/monitor.h"

#include "controld/kernel/nlreq.h"
#include "shared/base/log.h"
#include "shared/base/siphash.h"
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>
/* After siphash.h. */
#include <uthash.h>

enum {
	INTERFACES = 8192, /* full: further ones are not seen */
	ADDRESSES = 32768, /* full: as well */
	BURST = 64,
	BURST_LOST = 4096,
	AGAIN_MS = 1000,
	REASON_BYTES = 64,
	/* Of <linux/if.h>, which <net/if.h> does not suffer beside it. */
	LOWER_UP = 1 << 16,
	OPER_TESTING = 4,
	OPER_DORMANT = 5,
};

struct iface {
	unsigned ifindex; /* key of the table */
	char name[16];
	uint32_t flags;
	uint8_t operstate;
	bool gone;
	bool told, told_usable;
	uint64_t generation;
	struct iface *next_dead;
	UT_hash_handle hh;
};

/* Key of the table: has no padding. */
struct address_key {
	struct ip6 ip;
	uint32_t ifindex;
};
_Static_assert(sizeof(struct address_key) == 20, "a key without padding");

struct address {
	struct address_key key;
	uint32_t flags;
	bool gone;
	bool told_present;
	uint64_t generation;
	struct address *next_dead;
	UT_hash_handle hh;
};

struct monitor {
	struct loop *loop;
	struct rtnl_ops ops;
	void *ctx;
	struct nlreq *req; /* borrowed */
	struct mnl_socket *socket;
	struct loop_fd *watch;
	struct loop_timer *again; /* after a dump that failed */
	struct iface *ifaces;
	struct address *addresses;
	uint64_t generation; /* of the last dump */
};

/* The carrier counts: IFF_RUNNING and the operational state follow it up to a second later, and who connects meanwhile
 * must not be missed when it is lost. */
bool monitor_is_usable(uint32_t flags, uint8_t operstate)
{
	return (flags & IFF_UP) && (flags & LOWER_UP) && operstate != OPER_TESTING && operstate != OPER_DORMANT;
}

static bool usable(const struct iface *i)
{
	return !i->gone && monitor_is_usable(i->flags, i->operstate);
}

static struct iface *find_iface(const struct monitor *m, unsigned ifindex)
{
	struct iface *i;

	HASH_FIND(hh, m->ifaces, &ifindex, sizeof(ifindex), i);
	return i;
}

/* An address that is still being checked for duplicates, or failed that, is none yet. */
static bool address_is_present(const struct monitor *m, const struct address *a)
{
	const bool checking = (a->flags & IFA_F_TENTATIVE) && !(a->flags & IFA_F_OPTIMISTIC);
	const struct iface *i = find_iface(m, a->key.ifindex);

	return !a->gone && !checking && !(a->flags & IFA_F_DADFAILED) && i && usable(i);
}

static void on_link(void *ctx, const struct nl_link *l)
{
	struct monitor *m = ctx;
	struct iface *i = find_iface(m, l->ifindex);

	if (!i) {
		if (l->removed || HASH_COUNT(m->ifaces) >= INTERFACES)
			return;
		i = calloc(1, sizeof(*i));
		if (!i)
			abort();
		i->ifindex = l->ifindex;
		HASH_ADD(hh, m->ifaces, ifindex, sizeof(i->ifindex), i);
	}
	memcpy(i->name, l->name, sizeof(i->name));
	i->flags = l->flags;
	i->operstate = l->operstate;
	i->gone = l->removed;
	i->generation = m->generation;
}

static void on_address(void *ctx, const struct nl_address *n)
{
	struct monitor *m = ctx;
	const struct address_key key = {.ip = n->ip, .ifindex = n->ifindex};
	struct address *a;

	HASH_FIND(hh, m->addresses, &key, sizeof(key), a);
	if (!a) {
		if (n->removed || HASH_COUNT(m->addresses) >= ADDRESSES)
			return;
		a = calloc(1, sizeof(*a));
		if (!a)
			abort();
		a->key = key;
		HASH_ADD(hh, m->addresses, key, sizeof(a->key), a);
	}
	a->flags = n->flags;
	a->gone = n->removed;
	a->generation = m->generation;
}

static const struct nl_ops table_ops = {.link = on_link, .address = on_address};

static void settle_ifaces(struct monitor *m)
{
	for (struct iface *i = m->ifaces; i; i = i->hh.next) {
		const bool now = usable(i);

		if (i->told && i->told_usable == now)
			continue;
		i->told = true;
		i->told_usable = now;
		m->ops.interface(m->ctx, i->ifindex, i->name, now, i->flags & IFF_MULTICAST, i->flags & IFF_LOOPBACK);
	}
}

static const char *reason_lost(const struct monitor *m, const struct address *a, char out[REASON_BYTES])
{
	const struct iface *i = find_iface(m, a->key.ifindex);
	const char *name = i ? i->name : "an interface";

	if (!i || i->gone)
		snprintf(out, REASON_BYTES, "%s was removed", name);
	else if (!(i->flags & IFF_UP))
		snprintf(out, REASON_BYTES, "%s was set down", name);
	else if (!usable(i))
		snprintf(out, REASON_BYTES, "carrier lost on %s", name);
	else if (a->gone)
		snprintf(out, REASON_BYTES, "address removed from %s", name);
	else
		snprintf(out, REASON_BYTES, "address is not valid any more on %s", name);
	return out;
}

/* The same address on another interface keeps what uses it alive, but for link-local ones, which belong to theirs. */
static bool present_elsewhere(const struct monitor *m, const struct address *lost)
{
	if (lost->key.ip.b[0] == 0xfe && (lost->key.ip.b[1] & 0xc0) == 0x80)
		return false;
	for (const struct address *a = m->addresses; a; a = a->hh.next) {
		if (a != lost && ip6_eq(&a->key.ip, &lost->key.ip) && address_is_present(m, a))
			return true;
	}
	return false;
}

static void settle_addresses(struct monitor *m)
{
	char reason[REASON_BYTES];

	for (struct address *a = m->addresses; a; a = a->hh.next) {
		const bool now = address_is_present(m, a);

		if (a->told_present == now)
			continue;
		a->told_present = now;
		if (now)
			m->ops.address(m->ctx, &a->key.ip, a->key.ifindex, true, "");
		else if (!present_elsewhere(m, a))
			m->ops.address(m->ctx, &a->key.ip, a->key.ifindex, false, reason_lost(m, a, reason));
	}
}

static void sweep_addresses(struct monitor *m)
{
	struct address *dead = NULL, *a, *next;

	HASH_ITER (hh, m->addresses, a, next) {
		if (!a->gone)
			continue;
		HASH_DEL(m->addresses, a);
		LL_PREPEND2(dead, a, next_dead);
	}
	LL_FOREACH_SAFE2(dead, a, next, next_dead)
	free(a);
}

static void sweep_ifaces(struct monitor *m)
{
	struct iface *dead = NULL, *i, *next;

	HASH_ITER (hh, m->ifaces, i, next) {
		if (!i->gone)
			continue;
		HASH_DEL(m->ifaces, i);
		LL_PREPEND2(dead, i, next_dead);
	}
	LL_FOREACH_SAFE2(dead, i, next, next_dead)
	free(i);
}

static void settle(struct monitor *m)
{
	settle_ifaces(m);
	settle_addresses(m);
	sweep_addresses(m);
	sweep_ifaces(m);
}

static int dump(struct monitor *m, uint16_t type, size_t fixed_bytes)
{
	alignas(struct nlmsghdr) uint8_t bytes[NLREQ_BYTES];
	struct nlmsghdr *h = mnl_nlmsg_put_header(bytes);

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(h, fixed_bytes); /* zeros: all families */
	return nlreq_do(m->req, h, &table_ops, m);
}

/* What that dump did not name is gone. */
static void mark_unseen(struct monitor *m, uint64_t generation)
{
	for (struct iface *i = m->ifaces; i; i = i->hh.next)
		i->gone |= i->generation != generation;
	for (struct address *a = m->addresses; a; a = a->hh.next)
		a->gone |= a->generation != generation;
}

static int read_all(struct monitor *m)
{
	int error;

	m->generation++;
	error = dump(m, RTM_GETLINK, sizeof(struct ifinfomsg));
	if (error == 0)
		error = dump(m, RTM_GETADDR, sizeof(struct ifaddrmsg));
	if (error < 0)
		return error;
	mark_unseen(m, m->generation);
	settle(m);
	return 0;
}

static void read_all_or_again(struct monitor *m)
{
	const int error = read_all(m);

	if (error == 0)
		return;
	log_err("cannot read interfaces and addresses, trying again: %s", strerror(-error));
	loop_timer_at(m->again, mono_add_ms(mono_now(), AGAIN_MS));
}

static void on_again(void *ctx, struct mono now)
{
	(void)now;
	read_all_or_again(ctx);
}

static void on_readable(void *ctx, unsigned events)
{
	alignas(struct nlmsghdr) uint8_t bytes[NL_ANSWER_BYTES];
	struct monitor *m = ctx;
	bool lost = false;

	(void)events;
	/* After an overrun all that still waits is older than the dump to come, and is read in vain. */
	for (int n = 0; n < (lost ? BURST_LOST : BURST); n++) {
		const int len = nl_receive(mnl_socket_get_fd(m->socket), bytes, sizeof(bytes));

		if (len >= 0)
			lost |= nl_read(bytes, (size_t)len, 0, &table_ops, m).lost;
		else if (len == -ENOBUFS)
			lost = true;
		else
			break;
	}
	if (lost)
		read_all_or_again(m);
	else
		settle(m);
}

struct monitor *monitor_new(struct loop *l, struct nlreq *req, const struct rtnl_ops *ops, void *ctx)
{
	struct monitor *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	*m = (struct monitor){.loop = l, .req = req, .ops = *ops, .ctx = ctx};
	return m;
}

int monitor_start(struct monitor *m)
{
	m->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!m->socket ||
	    mnl_socket_bind(m->socket, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	m->again = loop_timer_new(m->loop, on_again, m);
	m->watch = loop_fd_new(m->loop, mnl_socket_get_fd(m->socket), LOOP_READ, on_readable, m);
	return read_all(m);
}

void monitor_free(struct monitor *m)
{
	if (!m)
		return;
	mark_unseen(m, m->generation + 1);
	sweep_addresses(m);
	sweep_ifaces(m);
	loop_timer_free(m->again);
	loop_fd_free(m->watch);
	if (m->socket)
		mnl_socket_close(m->socket);
	free(m);
}
