/* SPDX-License-Identifier: Apache-2.0 */
/* The parser of netlink answers on every truncation; the monitor and the requests in a network namespace of their own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After the four above, as it wants. */
#include "controld/kernel/monitor.h"
#include "controld/kernel/rtnl.h"
#include "shared/base/log.h"
#include "tests/support/netns.h"
#include "tests/support/until.h"
#include <cmocka.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

struct told {
	char name[16];
	unsigned ifindex;
	bool usable, multicast, loopback;
	unsigned times;
};

struct world {
	struct loop *loop;
	struct rtnl *rtnl;
	struct told a; /* of the interface a0 */
	struct told lo;
	unsigned presents; /* addresses present now */
	const char *wanted; /* this address ... */
	bool present; /* ... is */
	char reason[128];
	bool goal;
};

static void on_interface(void *ctx, unsigned ifindex, const char *name, bool usable, bool multicast, bool loopback)
{
	struct world *w = ctx;
	struct told *t = strcmp(name, "a0") == 0 ? &w->a : strcmp(name, "lo") == 0 ? &w->lo : NULL;

	if (!t)
		return;
	*t = (struct told){.ifindex = ifindex,
			   .usable = usable,
			   .multicast = multicast,
			   .loopback = loopback,
			   .times = t->times + 1};
}

static void on_present(void *ctx, const struct ip6 *a, unsigned ifindex, bool present, const char *reason)
{
	struct world *w = ctx;
	char text[IP6_TEXT_BYTES];

	(void)ifindex;
	w->presents += present ? 1U : -1U;
	if (!w->wanted || strcmp(ip6_print(a, text), w->wanted) != 0)
		return;
	w->present = present;
	snprintf(w->reason, sizeof(w->reason), "%s", reason);
}

static int setup(void **state)
{
	static const struct rtnl_ops ops = {.interface = on_interface, .address = on_present};
	static struct world w;

	*state = NULL;
	if (!netns_enter())
		return 0;
	assert_int_equal(system("ip link add a0 type veth peer name b0 && ip link set b0 up && ip link set a0 up"
				" && ip address add 192.0.2.1/24 dev a0"),
			 0);
	w = (struct world){.loop = loop_new(), .wanted = "::ffff:192.0.2.1"};
	w.rtnl = rtnl_new(w.loop, &ops, &w);
	assert_non_null(w.rtnl);
	assert_int_equal(rtnl_start(w.rtnl), 0);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	if (!w)
		return 0;
	rtnl_free(w->rtnl);
	loop_free(w->loop);
	return 0;
}

static struct world *need(void **state)
{
	if (!*state)
		skip();
	return *state;
}

static bool is_goal(void *ctx)
{
	const struct world *w = ctx;

	return w->present == w->goal;
}

static bool until_present(struct world *w, bool present)
{
	w->goal = present;
	return until(w->loop, is_goal, w);
}

static void test_start(void **state)
{
	const struct world *w = need(state);

	assert_true(w->lo.usable && w->lo.loopback && !w->lo.multicast);
	assert_true(w->a.usable && w->a.multicast && !w->a.loopback);
	assert_int_equal(w->a.ifindex, if_nametoindex("a0"));
	assert_int_equal(w->a.times, 1);
	assert_true(w->present);
}

static void test_usable(void **state)
{
	enum { LOWER_UP = 1 << 16 };
	static const struct {
		uint32_t flags;
		uint8_t operstate;
		bool usable;
	} table[] = {
		{IFF_UP | IFF_RUNNING | LOWER_UP, 6, true},
		{IFF_UP | IFF_RUNNING | LOWER_UP, 0, true}, /* a driver that does not tell */
		{IFF_UP | LOWER_UP, 2, true}, /* has just come up, or up and down within a second */
		{IFF_UP | IFF_RUNNING, 6, false}, /* has just lost its carrier */
		{IFF_UP, 2, false},
		{IFF_UP | LOWER_UP, 5, false}, /* waits for 802.1X */
		{LOWER_UP | IFF_RUNNING, 6, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_int_equal(monitor_is_usable(table[i].flags, table[i].operstate), table[i].usable);
}

static void test_carrier(void **state)
{
	struct world *w = need(state);

	assert_int_equal(system("ip link set b0 down"), 0);
	assert_true(until_present(w, false));
	assert_string_equal(w->reason, "carrier lost on a0");
	assert_false(w->a.usable);
	assert_int_equal(system("ip link set b0 up"), 0);
	assert_true(until_present(w, true));
	assert_true(w->a.usable);
}

static void test_down_and_removed(void **state)
{
	struct world *w = need(state);

	assert_int_equal(system("ip link set a0 down"), 0);
	assert_true(until_present(w, false));
	assert_string_equal(w->reason, "a0 was set down");
	assert_int_equal(system("ip link set a0 up"), 0);
	assert_true(until_present(w, true));
	assert_int_equal(system("ip link del a0"), 0);
	assert_true(until_present(w, false));
	assert_false(w->a.usable);
}

static void test_address(void **state)
{
	struct world *w = need(state);

	assert_int_equal(system("ip address del 192.0.2.1/24 dev a0"), 0);
	assert_true(until_present(w, false));
	assert_string_equal(w->reason, "address removed from a0");
	assert_true(w->a.usable);
	/* IPv6: not there before duplicate address detection is over. */
	w->wanted = "2001:db8::1";
	assert_int_equal(system("ip address add 2001:db8::1/64 dev a0"), 0);
	assert_true(until_present(w, true));
	assert_int_equal(system("ip -6 address show dev a0 to 2001:db8::1 | grep -q tentative"), 256);
	/* The same one on another interface does not make it less ours. */
	assert_int_equal(system("ip address add 2001:db8::1/64 dev lo nodad"), 0);
	w->wanted = "2001:db8::2";
	w->present = false;
	assert_int_equal(system("ip address del 2001:db8::1/64 dev a0 && ip address add 2001:db8::2/64 dev lo nodad"),
			 0);
	assert_true(until_present(w, true));
	w->wanted = "2001:db8::1";
	assert_int_equal(system("ip address del 2001:db8::1/64 dev lo"), 0);
	assert_true(until_present(w, false));
	assert_string_equal(w->reason, "address removed from lo");
}

/* More messages than the socket holds, while nobody reads. */
static void test_overrun(void **state)
{
	struct world *w = need(state);
	FILE *batch = popen("ip -batch -", "w");

	assert_non_null(batch);
	for (int i = 0; i < 1500; i++)
		fprintf(batch, "address add 198.18.%d.%d/32 dev b0\naddress del 198.18.%d.%d/32 dev b0\n", i / 250,
			i % 250 + 1, i / 250, i % 250 + 1);
	fprintf(batch, "address del 192.0.2.1/24 dev a0\naddress add 192.0.2.77/24 dev a0\n");
	assert_int_equal(pclose(batch), 0);
	w->wanted = "::ffff:192.0.2.77";
	w->present = false;
	assert_true(until_present(w, true));
	w->wanted = "::ffff:192.0.2.1";
	w->present = false;
	/* Told gone in the same turn: so its coming back is news. */
	assert_int_equal(system("ip address add 192.0.2.1/24 dev a0"), 0);
	assert_true(until_present(w, true));
	assert_string_equal(w->reason, "");
}

static void test_requests(void **state)
{
	struct world *w = need(state);
	const unsigned a0 = if_nametoindex("a0");
	struct rtnl_link link;
	struct ip6 ip;

	assert_int_equal(ip6_parse("2001:db8::5", &ip), 0);
	assert_int_equal(system("ip link set a0 down"), 0);
	assert_int_equal(rtnl_addrgen_none(w->rtnl, a0), 0);
	assert_int_equal(rtnl_link_up(w->rtnl, a0, 1400, 777), 0);
	assert_int_equal(rtnl_link_get(w->rtnl, a0, &link), 0);
	assert_string_equal(link.name, "a0");
	assert_int_equal(link.mtu, 1400);
	assert_true(link.up);
	assert_int_equal(system("ip link show a0 | grep -q 'qlen 777' && test -z \"$(ip -6 address show dev a0)\""), 0);
	assert_int_equal(rtnl_address_has(w->rtnl, a0, &ip, 64), 0);
	assert_int_equal(rtnl_address_add(w->rtnl, a0, &ip, 64), 0);
	assert_int_equal(rtnl_address_add(w->rtnl, a0, &ip, 64), 0);
	assert_int_equal(rtnl_address_has(w->rtnl, a0, &ip, 64), 1);
	assert_int_equal(rtnl_address_has(w->rtnl, a0, &ip, 63), 0);
	assert_int_equal(rtnl_address_has(w->rtnl, a0 + 1, &ip, 64), 0);
	assert_int_equal(rtnl_link_get(w->rtnl, 4242, &link), -ENODEV);
	assert_int_equal(rtnl_link_up(w->rtnl, 4242, 1400, 1), -ENODEV);
	assert_int_equal(rtnl_address_add(w->rtnl, 4242, &ip, 64), -ENODEV);
	assert_int_equal(rtnl_link_up(w->rtnl, a0, 10, 1), -EINVAL);
	assert_int_equal(rtnl_link_rename(w->rtnl, a0, "a-name-too-long-by-far"), -EINVAL);
	assert_int_equal(system("ip link set a0 down"), 0);
	assert_int_equal(rtnl_link_rename(w->rtnl, a0, "renamed"), 0);
	assert_int_equal(if_nametoindex("renamed"), a0);
}

static int find(struct world *w, const char *prefix, unsigned ignore, char name[16])
{
	struct prefix p;

	assert_int_equal(prefix_parse(prefix, &p), 0);
	return rtnl_find_route(w->rtnl, &p, ignore, name);
}

static void test_find_route(void **state)
{
	struct world *w = need(state);
	char name[16] = "";

	assert_int_equal(system("ip -6 route add default dev a0 && ip -6 route add ::/1 dev a0 && ip -6 route add "
				"2000::/3 dev a0"
				" && ip -6 route add unreachable 300::/8 dev lo && ip -6 route add 400::/7 dev a0"
				" && ip -6 address add 2ff::1/128 dev lo"),
			 0);
	assert_int_equal(find(w, "200::/7", if_nametoindex("lo"), name), 0);
	/* Inside it, and in any table. */
	assert_int_equal(system("ip -6 route add 2aa:bb::/32 dev b0 table 1234"), 0);
	assert_int_equal(find(w, "200::/7", if_nametoindex("lo"), name), 1);
	assert_string_equal(name, "b0");
	assert_int_equal(find(w, "fc00::/7", 0, name), 0);
	assert_int_equal(system("ip -6 route del 2aa:bb::/32 dev b0 table 1234"), 0);
	/* Around it; and not where we are the ones. */
	assert_int_equal(system("ip -6 route add ::/5 dev a0"), 0);
	assert_int_equal(find(w, "200::/7", if_nametoindex("lo"), name), 1);
	assert_string_equal(name, "a0");
	assert_int_equal(system("ip -6 route del ::/5 dev a0 && ip -6 route add 200::/7 dev a0"), 0);
	assert_int_equal(system("ip -6 address del 2ff::1/128 dev lo"), 0);
	assert_int_equal(find(w, "200::/7", if_nametoindex("a0"), name), 0);
	assert_int_equal(find(w, "200::/7", 0, name), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_start, setup, teardown),
		cmocka_unit_test(test_usable),
		cmocka_unit_test_setup_teardown(test_carrier, setup, teardown),
		cmocka_unit_test_setup_teardown(test_down_and_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_address, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overrun, setup, teardown),
		cmocka_unit_test_setup_teardown(test_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_find_route, setup, teardown),
	};

	log_level = LOG_WARN;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
