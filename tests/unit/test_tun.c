/* SPDX-License-Identifier: Apache-2.0 */
/* The TUN interface, in network namespaces of the test's own; skipped without root or /dev/net/tun. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After the four above, as it wants. */
#include "controld/kernel/tun.h"
#include "shared/base/log.h"
#include "tests/support/netns.h"
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { VNET_BYTES = 10 };

struct world {
	struct loop *loop;
	struct rtnl *rtnl;
	struct tun_config config;
	struct tun tun;
	char error[256];
};

static void on_interface(void *ctx, unsigned ifindex, const char *name, bool usable, bool multicast, bool loopback)
{
	(void)ctx, (void)ifindex, (void)name, (void)usable, (void)multicast, (void)loopback;
}

static void on_address(void *ctx, const struct ip6 *a, unsigned ifindex, bool present, const char *reason)
{
	(void)ctx, (void)a, (void)ifindex, (void)present, (void)reason;
}

static int setup(void **state)
{
	static const struct rtnl_ops ops = {.interface = on_interface, .address = on_address};
	static struct world w;

	*state = NULL;
	if (access("/dev/net/tun", R_OK | W_OK) < 0 || !netns_enter())
		return 0;
	w = (struct world){.loop = loop_new()};
	w.rtnl = rtnl_new(w.loop, &ops, &w);
	w.config = (struct tun_config){.name = "tun0", .queues = 2, .mtu = 1400, .offload = true};
	assert_int_equal(ip6_parse("2aa::1", &w.config.address), 0);
	assert_int_equal(prefix_parse("200::/7", &w.config.overlay), 0);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	if (!w)
		return 0;
	tun_close(&w->tun);
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

static void open_good(struct world *w)
{
	if (tun_open(&w->tun, w->rtnl, &w->config, w->error) < 0)
		fail_msg("%s", w->error);
}

/* Fails with that error, its sentence holds the words, nothing is left behind. */
static void open_bad(struct world *w, int code, const char *words)
{
	struct tun t;

	assert_int_equal(tun_open(&t, w->rtnl, &w->config, w->error), code);
	assert_int_equal(t.queues, 0);
	assert_int_equal(t.fd[0], -1);
	if (!strstr(w->error, words))
		fail_msg("%s", w->error);
	assert_true(strlen(w->error) < sizeof(w->error) - 1);
}

static int shell(const char *command)
{
	return system(command);
}

static void test_made(void **state)
{
	struct world *w = need(state);

	open_good(w);
	assert_string_equal(w->tun.name, "tun0");
	assert_int_equal(w->tun.ifindex, if_nametoindex("tun0"));
	assert_int_equal(w->tun.queues, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(fcntl(w->tun.fd[i], F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(w->tun.fd[i], F_GETFD) & FD_CLOEXEC);
	}
	assert_int_equal(w->tun.fd[2], -1);
	assert_int_equal(shell("ip link show tun0 | grep -q 'UP.* mtu 1400 .*qlen 1000'"), 0);
	/* The one address, no link-local one beside it, usable at once; and the route. */
	assert_int_equal(shell("test \"$(ip -6 -o address show dev tun0 | wc -l)\" = 1"), 0);
	assert_int_equal(shell("ip -6 -o address show dev tun0 | grep '2aa::1/7' | grep -qv tentative"), 0);
	assert_int_equal(shell("ip -6 route get 300::1 | grep -q 'dev tun0'"), 0);
	tun_close(&w->tun);
	assert_int_equal(if_nametoindex("tun0"), 0);
	assert_int_equal(w->tun.fd[0], -1);
	/* Once more, under a name that the kernel completes. */
	w->config.name = "my%d";
	open_good(w);
	assert_string_equal(w->tun.name, "my0");
}

/* The first UDP packet that comes out of the TUN; others (multicast reports) are passed over. */
static ssize_t read_udp(int fd, uint8_t *out, size_t cap)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t len;

	do {
		assert_int_equal(poll(&p, 1, 5000), 1);
		len = read(fd, out, cap);
		assert_true(len >= VNET_BYTES + 40);
	} while (out[VNET_BYTES + 6] != IPPROTO_UDP);
	return len;
}

/* The kernel leaves the checksum to us with the offloads only: flag 1 of the virtio_net_hdr. */
static void test_offload(void **state)
{
	struct world *w = need(state);
	struct endpoint to;
	uint8_t packet[4096];
	int fd;

	assert_int_equal(endpoint_parse("[2aa::2]:7", &to), 0);
	w->config.queues = 1;
	for (int offload = 0; offload < 2; offload++) {
		w->config.offload = offload;
		open_good(w);
		/* On new kernels both, on older ones TSO alone. */
		assert_true(offload || !w->tun.uso);
		fd = socket(AF_INET6, SOCK_DGRAM, 0);
		assert_int_equal(sendto(fd, "packet", 6, 0, &to.sa, endpoint_len(&to)), 6);
		assert_int_equal(read_udp(w->tun.fd[0], packet, sizeof(packet)), VNET_BYTES + 40 + 8 + 6);
		assert_int_equal(packet[0], offload);
		close(fd);
		tun_close(&w->tun);
	}
}

static void test_second_overlay(void **state)
{
	struct world *w = need(state);

	assert_int_equal(shell("ip link add other type veth peer name end && ip link set end up && ip link set other "
			       "up && ip -6 address add 2bb::1/7 dev other nodad"),
			 0);
	open_bad(w, -EEXIST, "the interface other");
	assert_non_null(strstr(w->error, "200::/7"));
	assert_int_equal(if_nametoindex("tun0"), 0);
	/* As another node of ours. */
	assert_int_equal(shell("ip link del other"), 0);
	open_good(w);
	w->config.name = "tun1";
	open_bad(w, -EEXIST, "the interface tun0");
}

static void test_name(void **state)
{
	struct world *w = need(state);

	assert_int_equal(shell("ip link add tun0 type veth peer name end"), 0);
	open_bad(w, -EBUSY, "tun0 exists already");
	/* A multi-queue TUN of somebody else is not joined. */
	assert_int_equal(shell("ip link del tun0 && ip tuntap add tun0 mode tun multi_queue vnet_hdr"), 0);
	open_bad(w, -EBUSY, "tun0 exists already");
	w->config.name = "a-name-too-long-by-far";
	open_bad(w, -ENAMETOOLONG, "longer than 15");
	w->config.name = "a/b";
	open_bad(w, -EINVAL, "refuses");
}

static void test_ipv6_disabled(void **state)
{
	struct world *w = need(state);

	/* A read-only /proc/sys, as containers have it, cannot tell. */
	if (shell("sysctl -qw net.ipv6.conf.default.disable_ipv6=1 2>/dev/null") != 0 &&
	    shell("echo 1 2>/dev/null >/proc/sys/net/ipv6/conf/default/disable_ipv6") != 0)
		skip();
	open_bad(w, -EACCES, "IPv6 is disabled for tun0");
	assert_int_equal(if_nametoindex("tun0"), 0);
}

static void test_no_descriptors(void **state)
{
	struct world *w = need(state);
	struct rlimit before, low;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	/* Room for one more. */
	low = (struct rlimit){.rlim_cur = (rlim_t)dup(0) + 1, .rlim_max = before.rlim_max};
	close((int)low.rlim_cur - 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	open_bad(w, -EMFILE, "cannot be opened");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(if_nametoindex("tun0"), 0);
}

/* As a fastpath gives them back: duplicates, while the first process is gone. */
static void duplicate(const struct tun *from, struct tun *to)
{
	*to = (struct tun){.queues = from->queues, .ifindex = from->ifindex};
	memcpy(to->name, from->name, sizeof(to->name));
	for (unsigned i = 0; i < from->queues; i++)
		to->fd[i] = fcntl(from->fd[i], F_DUPFD_CLOEXEC, 0);
}

static void test_adopted(void **state)
{
	struct world *w = need(state);
	struct tun taken;

	open_good(w);
	duplicate(&w->tun, &taken);
	tun_close(&w->tun);
	/* Somebody has meddled with it. */
	assert_int_equal(shell("ip -6 address del 2aa::1/7 dev tun0 && ip link set tun0 mtu 1300 down"), 0);
	assert_int_equal(tun_adopt(&taken, w->rtnl, &w->config, w->error), 0);
	assert_int_equal(taken.queues, 2);
	assert_int_equal(taken.ifindex, if_nametoindex("tun0"));
	assert_int_equal(shell("ip link show tun0 | grep -q 'UP.* mtu 1400 '"), 0);
	assert_int_equal(shell("ip -6 route get 300::1 | grep -q 'dev tun0'"), 0);
	/* Configuration wins. */
	w->config.mtu = 1280;
	assert_int_equal(tun_adopt(&taken, w->rtnl, &w->config, w->error), 0);
	assert_int_equal(shell("ip link show tun0 | grep -q 'mtu 1280 '"), 0);
	tun_close(&taken);
	assert_int_equal(if_nametoindex("tun0"), 0);
}

/* Renamed by the user meanwhile: it gets its name back. */
static void test_adopted_under_another_name(void **state)
{
	struct world *w = need(state);

	open_good(w);
	assert_int_equal(shell("ip link set tun0 down && ip link set tun0 name mine"), 0);
	assert_int_equal(tun_adopt(&w->tun, w->rtnl, &w->config, w->error), 0);
	assert_string_equal(w->tun.name, "tun0");
	assert_int_equal(if_nametoindex("tun0"), w->tun.ifindex);
	/* Configuration wins, and what is up works under its new name. */
	w->config.name = "tun7";
	assert_int_equal(tun_adopt(&w->tun, w->rtnl, &w->config, w->error), 0);
	assert_int_equal(if_nametoindex("tun7"), w->tun.ifindex);
	assert_int_equal(shell("ip -6 route get 300::1 | grep -q 'dev tun7'"), 0);
}

static void test_adopting_what_is_gone(void **state)
{
	struct world *w = need(state);

	open_good(w);
	assert_int_equal(shell("ip link del tun0"), 0);
	assert_true(tun_adopt(&w->tun, w->rtnl, &w->config, w->error) < 0);
	assert_non_null(strstr(w->error, "cannot be taken over"));
	assert_int_equal(w->tun.queues, 0);
	assert_int_equal(tun_adopt(&w->tun, w->rtnl, &w->config, w->error), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_made, setup, teardown),
		cmocka_unit_test_setup_teardown(test_offload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_second_overlay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ipv6_disabled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adopted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adopted_under_another_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adopting_what_is_gone, setup, teardown),
	};

	log_level = LOG_WARN;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
