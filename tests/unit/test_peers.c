/* SPDX-License-Identifier: Apache-2.0 */
/* Over real loopback sockets: only the random numbers are the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After the four above, as it wants. */
#include "controld/links/peers.h"
#include "shared/base/log.h"
#include "shared/ctl.h"
#include "shared/limits.h"
#include "tests/support/until.h"
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

struct world {
	struct loop *loop;
	struct peers *peers;
	uint32_t random;
	bool full;
	struct links_socket last;
	unsigned connected;
	bool is_connected;
};

static void on_connected(void *ctx, const struct links_socket *s)
{
	struct world *w = ctx;

	w->last = *s;
	w->connected++;
	w->is_connected = true;
}

static bool has_room(void *ctx, const char **why)
{
	*why = "the world is full";
	return !((struct world *)ctx)->full;
}

static uint32_t fixed_random(void *ctx)
{
	return ((struct world *)ctx)->random;
}

static void world_open(struct world *w, const char *overlay)
{
	static const struct peers_ops ops = {.connected = on_connected, .has_room = has_room, .random = fixed_random};
	struct peers_config c = {.default_port = 9651};

	assert_int_equal(prefix_parse(overlay, &c.overlay), 0);
	*w = (struct world){.loop = loop_new(), .random = 250};
	w->peers = peers_new(w->loop, &c, &ops, w);
}

static void world_close(struct world *w)
{
	peers_free(w->peers);
	loop_free(w->loop);
	if (w->connected)
		close(w->last.fd);
}

static bool is_set(void *ctx)
{
	return *(bool *)ctx;
}

/* A loopback socket and its address as text; it refuses until it listens. */
static int bound(char text[ENDPOINT_TEXT_BYTES])
{
	struct endpoint e = {.v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(e);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &e.sa, sizeof(e.v4)), 0);
	assert_int_equal(getsockname(fd, &e.sa, &len), 0);
	endpoint_print(&e, text);
	return fd;
}

static uint64_t add(struct world *w, const char *text, uint32_t flags)
{
	const char *why = NULL;
	const uint64_t peer = peers_add(w->peers, text, flags, &why);

	assert_int_not_equal(peer, 0);
	return peer;
}

struct look {
	uint64_t peer;
	struct peer_info info;
	char error[256], text[256];
	unsigned count;
};

static void look_at(void *ctx, const struct peer_info *i)
{
	struct look *l = ctx;

	l->count++;
	if (i->peer != l->peer)
		return;
	l->info = *i;
	snprintf(l->error, sizeof(l->error), "%s", i->last_error);
	snprintf(l->text, sizeof(l->text), "%s", i->text);
}

static struct look look(const struct world *w, uint64_t peer)
{
	struct look l = {.peer = peer};

	peers_each(w->peers, look_at, &l);
	return l;
}

static int64_t wait_us(const struct look *l)
{
	return mono_since_us(l->info.next_try, l->info.last_error_at);
}

struct failure {
	struct world *world;
	uint64_t peer;
	struct mono after;
};

static bool failed_after(void *ctx)
{
	const struct failure *f = ctx;

	return look(f->world, f->peer).info.last_error_at.us > f->after.us;
}

/* The next failure of the peer, looked at. */
static struct look next_failure(struct world *w, uint64_t peer)
{
	struct failure f = {.world = w, .peer = peer, .after = look(w, peer).info.last_error_at};

	assert_true(until(w->loop, failed_after, &f));
	return look(w, peer);
}

static void test_connects(void **state)
{
	struct endpoint local, remote;
	char text[ENDPOINT_TEXT_BYTES];
	const int listener = bound(text);
	socklen_t len = sizeof(local);
	struct world w;
	struct look l;
	uint64_t peer;
	int on = 0;

	(void)state;
	assert_int_equal(listen(listener, 8), 0);
	world_open(&w, "200::/7");
	peer = add(&w, text, CTL_LINK_STATIC);
	assert_true(until(w.loop, is_set, &w.is_connected));
	assert_int_equal(w.last.peer, peer);
	assert_int_equal(w.last.flags, CTL_LINK_STATIC);
	assert_int_equal(endpoint_parse(text, &remote), 0);
	assert_true(endpoint_eq(&w.last.remote, &remote));
	assert_int_equal(getsockname(w.last.fd, &local.sa, &len), 0);
	assert_true(endpoint_eq(&w.last.local, &local));
	len = sizeof(on);
	assert_int_equal(getsockopt(w.last.fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
	assert_int_not_equal(on, 0);
	assert_true(fcntl(w.last.fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(w.last.fd, F_GETFL) & O_NONBLOCK);
	l = look(&w, peer);
	assert_true(l.info.up);
	assert_true(endpoint_eq(&l.info.remote, &remote));
	assert_string_equal(l.text, text);
	world_close(&w);
	close(listener);
}

static void test_refused_backs_off(void **state)
{
	static const int64_t wanted_ms[] = {50, 100, 200, 400};
	char text[ENDPOINT_TEXT_BYTES];
	const int listener = bound(text);
	struct world w;
	uint64_t peer;

	(void)state;
	world_open(&w, "200::/7");
	peer = add(&w, text, CTL_LINK_STATIC);
	for (size_t i = 0; i < sizeof(wanted_ms) / sizeof(wanted_ms[0]); i++) {
		const struct look l = next_failure(&w, peer);

		assert_int_equal(wait_us(&l), wanted_ms[i] * 1000);
		assert_string_equal(l.error, strerror(ECONNREFUSED));
		assert_false(l.info.up);
	}
	/* It is tried again when its time has come. */
	assert_int_equal(listen(listener, 8), 0);
	assert_true(until(w.loop, is_set, &w.is_connected));
	assert_true(look(&w, peer).info.up);
	world_close(&w);
	close(listener);
}

/* Without running the loop: links that come up and die. */
static void test_back_off_of_links(void **state)
{
	char text[ENDPOINT_TEXT_BYTES];
	const int listener = bound(text);
	int64_t base_ms = LIMIT_DIAL_FIRST_MS;
	struct world w;
	struct look l;
	uint64_t peer;

	(void)state;
	world_open(&w, "200::/7");
	peer = add(&w, text, CTL_LINK_STATIC);
	for (int i = 0; i < 14; i++) {
		w.random = (uint32_t)i * 100;
		peers_link_up(w.peers, peer);
		assert_true(look(&w, peer).info.up);
		peers_link_down(w.peers, peer, 9999999, "the test says so");
		l = look(&w, peer);
		assert_int_equal(wait_us(&l), base_ms * (750 + w.random % 501));
		assert_true(wait_us(&l) <= LIMIT_DIAL_MAX_MS * 1000);
		assert_string_equal(l.error, "the test says so");
		base_ms = base_ms * 2 > 48000 ? 48000 : base_ms * 2;
	}
	assert_int_equal(base_ms, 48000);
	/* One that lived long was a good one. */
	w.random = 500;
	peers_link_up(w.peers, peer);
	peers_link_down(w.peers, peer, 10000000, "the test says so");
	l = look(&w, peer);
	assert_int_equal(wait_us(&l), 62500);
	/* A link that is not up cannot die, nor one of nobody. */
	peers_link_down(w.peers, peer, 0, "twice");
	peers_link_down(w.peers, peer + 1, 0, "nobody");
	peers_link_up(w.peers, peer + 1);
	assert_string_equal(look(&w, peer).error, "the test says so");
	world_close(&w);
	close(listener);
}

static void test_adopted_is_not_dialled(void **state)
{
	char text[ENDPOINT_TEXT_BYTES], other[ENDPOINT_TEXT_BYTES];
	const int listener = bound(text), second = bound(other);
	struct world w;
	uint64_t peer;

	(void)state;
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(listen(second, 8), 0);
	world_open(&w, "200::/7");
	peer = add(&w, text, CTL_LINK_STATIC);
	peers_link_up(w.peers, peer);
	add(&w, other, CTL_LINK_STATIC);
	assert_true(until(w.loop, is_set, &w.is_connected));
	assert_int_not_equal(w.last.peer, peer);
	assert_int_equal(w.connected, 1);
	world_close(&w);
	close(listener);
	close(second);
}

static void test_hurry(void **state)
{
	char text[ENDPOINT_TEXT_BYTES];
	const int listener = bound(text);
	struct world w;
	struct look l;
	uint64_t peer;

	(void)state;
	world_open(&w, "200::/7");
	peer = add(&w, text, CTL_LINK_STATIC);
	for (int i = 0; i < 14; i++) {
		peers_link_up(w.peers, peer);
		peers_link_down(w.peers, peer, 0, "short");
	}
	l = look(&w, peer);
	assert_int_equal(wait_us(&l), 48000000);
	peers_hurry(w.peers);
	l = next_failure(&w, peer);
	assert_string_equal(l.error, strerror(ECONNREFUSED));
	assert_int_equal(wait_us(&l), 50000);
	world_close(&w);
	close(listener);
}

static void test_no_room(void **state)
{
	char text[ENDPOINT_TEXT_BYTES];
	const int listener = bound(text);
	struct world w;
	struct look l;
	uint64_t peer;

	(void)state;
	assert_int_equal(listen(listener, 8), 0);
	world_open(&w, "200::/7");
	w.full = true;
	peer = add(&w, text, CTL_LINK_STATIC);
	l = next_failure(&w, peer);
	assert_int_equal(wait_us(&l), 50000);
	assert_string_equal(l.error, "the world is full");
	w.full = false;
	assert_true(until(w.loop, is_set, &w.is_connected));
	world_close(&w);
	close(listener);
}

static void test_name(void **state)
{
	char text[ENDPOINT_TEXT_BYTES], named[ENDPOINT_TEXT_BYTES];
	const int listener = bound(text);
	struct world w;
	uint64_t peer;

	(void)state;
	assert_int_equal(listen(listener, 8), 0);
	world_open(&w, "200::/7");
	snprintf(named, sizeof(named), "tcp://localhost%s", strrchr(text, ':'));
	/* It may have an IPv6 address as well, which refuses: then the other one is tried next. */
	peer = add(&w, named, CTL_LINK_STATIC);
	assert_true(until(w.loop, is_set, &w.is_connected));
	assert_int_equal(w.last.peer, peer);
	assert_string_equal(endpoint_print(&w.last.remote, named), text);
	world_close(&w);
	close(listener);
}

static void test_name_inside_the_overlay(void **state)
{
	struct world w;
	struct look l;
	uint64_t peer;

	(void)state;
	world_open(&w, "::/0");
	peer = add(&w, "localhost:9651", CTL_LINK_STATIC);
	l = next_failure(&w, peer);
	assert_non_null(strstr(l.error, "inside the overlay"));
	assert_int_equal(l.info.remote.sa.sa_family, 0);
	assert_int_equal(w.connected, 0);
	world_close(&w);
}

static void test_interface_missing(void **state)
{
	struct world w;
	struct look l;
	uint64_t peer;

	(void)state;
	world_open(&w, "200::/7");
	peer = add(&w, "[fe80::1%nosuchif0]:9651", CTL_LINK_STATIC);
	l = next_failure(&w, peer);
	assert_non_null(strstr(l.error, "interface"));
	world_close(&w);
}

static bool always(void *ctx)
{
	(void)ctx;
	return true;
}

/* Deleted and freed while it connects, while its name is looked up, and while it waits. */
static void test_deleted(void **state)
{
	char text[ENDPOINT_TEXT_BYTES], other[ENDPOINT_TEXT_BYTES];
	const int listener = bound(text), refuses = bound(other);
	uint64_t connecting, resolving, waiting;
	struct world w;

	(void)state;
	assert_int_equal(listen(listener, 8), 0);
	world_open(&w, "200::/7");
	waiting = add(&w, other, CTL_LINK_STATIC);
	next_failure(&w, waiting);
	connecting = add(&w, text, CTL_LINK_STATIC);
	resolving = add(&w, "localhost:1", CTL_LINK_STATIC);
	/* One turn of the loop starts both. */
	until(w.loop, always, NULL);
	peers_del(w.peers, connecting);
	peers_del(w.peers, resolving);
	peers_del(w.peers, waiting);
	peers_del(w.peers, waiting);
	assert_int_equal(look(&w, 0).count, 0);
	/* What is added afterwards works, and nothing of the deleted ones comes. */
	resolving = add(&w, other, CTL_LINK_STATIC);
	next_failure(&w, resolving);
	assert_int_equal(w.connected, 0);
	add(&w, text, CTL_LINK_STATIC);
	add(&w, "localhost:1", CTL_LINK_STATIC);
	until(w.loop, always, NULL);
	world_close(&w);
	close(listener);
	close(refuses);
}

static void test_same_peer(void **state)
{
	struct world w, again;
	uint64_t peer;

	(void)state;
	world_open(&w, "200::/7");
	world_open(&again, "200::/7");
	peer = add(&w, "192.0.2.1:9651", CTL_LINK_STATIC);
	assert_true(add(&w, "192.0.2.1:9651", CTL_LINK_STATIC) == peer);
	assert_true(add(&w, "tcp://192.0.2.1:9651", CTL_LINK_STATIC) == peer);
	assert_true(add(&w, "tcp://192.0.2.1", CTL_LINK_DISCOVERED) == peer);
	assert_true(add(&w, "192.0.2.1:9652", CTL_LINK_STATIC) != peer);
	assert_int_equal(look(&w, peer).count, 2);
	assert_int_equal(look(&w, peer).info.flags, CTL_LINK_STATIC | CTL_LINK_DISCOVERED);
	/* The handle of another run is the same. */
	assert_true(add(&again, "192.0.2.1:9651", CTL_LINK_STATIC) == peer);
	world_close(&w);
	world_close(&again);
}

static void test_discovered_are_bounded(void **state)
{
	char text[ENDPOINT_TEXT_BYTES];
	struct world w;
	uint64_t first, second, configured;

	(void)state;
	world_open(&w, "200::/7");
	configured = add(&w, "192.0.2.1:1", CTL_LINK_STATIC);
	first = add(&w, "192.0.2.2:1", CTL_LINK_DISCOVERED);
	second = add(&w, "192.0.2.2:2", CTL_LINK_DISCOVERED);
	peers_link_up(w.peers, first);
	for (int i = 3; i <= LIMIT_DISCOVERED_PEERS; i++) {
		snprintf(text, sizeof(text), "192.0.2.2:%d", i);
		add(&w, text, CTL_LINK_DISCOVERED);
	}
	assert_int_equal(look(&w, 0).count, LIMIT_DISCOVERED_PEERS + 1);
	add(&w, "192.0.2.3:1", CTL_LINK_DISCOVERED);
	/* The oldest without a link went. */
	assert_int_equal(look(&w, 0).count, LIMIT_DISCOVERED_PEERS + 1);
	assert_int_equal(look(&w, second).info.peer, 0);
	assert_true(look(&w, first).info.up);
	assert_true(look(&w, configured).info.peer == configured);
	world_close(&w);
}

static void test_peers_are_bounded(void **state)
{
	char text[ENDPOINT_TEXT_BYTES];
	const char *why = "";
	struct world w;

	(void)state;
	world_open(&w, "200::/7");
	for (int i = 1; i <= LIMIT_PEERS; i++) {
		snprintf(text, sizeof(text), "192.0.2.2:%d", i);
		add(&w, text, CTL_LINK_STATIC);
	}
	assert_int_equal(peers_add(w.peers, "192.0.2.3:1", CTL_LINK_STATIC, &why), 0);
	assert_non_null(strstr(why, "too many"));
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connects),
		cmocka_unit_test(test_refused_backs_off),
		cmocka_unit_test(test_back_off_of_links),
		cmocka_unit_test(test_adopted_is_not_dialled),
		cmocka_unit_test(test_hurry),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_name_inside_the_overlay),
		cmocka_unit_test(test_interface_missing),
		cmocka_unit_test(test_deleted),
		cmocka_unit_test(test_same_peer),
		cmocka_unit_test(test_discovered_are_bounded),
		cmocka_unit_test(test_peers_are_bounded),
	};

	log_level = LOG_WARN;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
