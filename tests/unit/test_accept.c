/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After the four above, as it wants. */
#include "controld/links/accept.h"
#include "shared/base/log.h"
#include "shared/ctl.h"
#include "tests/support/until.h"
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>

enum { CLIENTS = 5 };

struct world {
	struct loop *loop;
	struct acceptor *acceptor;
	struct endpoint at; /* 127.0.0.1 and the port */
	bool refuse;
	unsigned asked, accepted, wanted;
	struct links_socket last;
	int client[CLIENTS];
};

static bool may(void *ctx, const struct endpoint *remote, const char **why)
{
	struct world *w = ctx;

	(void)remote;
	w->asked++;
	*why = "the test says so";
	return !w->refuse;
}

static void accepted(void *ctx, const struct links_socket *s)
{
	struct world *w = ctx;

	if (w->accepted)
		close(w->last.fd);
	w->accepted++;
	w->last = *s;
}

/* A port that nobody has. */
static uint16_t free_port(void)
{
	struct endpoint e = {.v6 = {.sin6_family = AF_INET6}};
	const int fd = socket(AF_INET6, SOCK_STREAM, 0);
	socklen_t len = sizeof(e);

	assert_int_equal(bind(fd, &e.sa, sizeof(e.v6)), 0);
	assert_int_equal(getsockname(fd, &e.sa, &len), 0);
	close(fd);
	return endpoint_port(&e);
}

static const struct acceptor_ops ops = {.may = may, .accepted = accepted};

static int setup(void **state)
{
	static struct world w;
	struct endpoint any = {.v6 = {.sin6_family = AF_INET6}};

	w = (struct world){.loop = loop_new(), .at = {.v4 = {.sin_family = AF_INET}}};
	w.at.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < CLIENTS; i++)
		w.client[i] = -1;
	w.acceptor = acceptor_new(w.loop, &ops, &w);
	endpoint_set_port(&any, free_port());
	endpoint_set_port(&w.at, endpoint_port(&any));
	assert_int_equal(acceptor_listen(w.acceptor, &any), 0);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	acceptor_free(w->acceptor);
	loop_free(w->loop);
	if (w->accepted)
		close(w->last.fd);
	for (int i = 0; i < CLIENTS; i++) {
		if (w->client[i] >= 0)
			close(w->client[i]);
	}
	return 0;
}

/* The kernel completes it before anybody accepts. */
static void client_connect(struct world *w, int i)
{
	w->client[i] = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(w->client[i] >= 0);
	assert_int_equal(connect(w->client[i], &w->at.sa, sizeof(w->at.v4)), 0);
}

static bool got_wanted(void *ctx)
{
	const struct world *w = ctx;

	return w->accepted >= w->wanted;
}

/* Every client sees its connection closed. */
static bool all_closed(void *ctx)
{
	const struct world *w = ctx;
	char byte;

	for (int i = 0; i < CLIENTS; i++) {
		if (w->client[i] >= 0 && recv(w->client[i], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN)
			return false;
	}
	return true;
}

static void test_accepted(void **state)
{
	struct world *w = *state;
	struct endpoint local = {.v6 = {0}};
	char text[ENDPOINT_TEXT_BYTES];
	socklen_t len = sizeof(local);
	int on = 0;

	client_connect(w, 0);
	w->wanted = 1;
	assert_true(until(w->loop, got_wanted, w));
	assert_int_equal(w->last.flags, CTL_LINK_INBOUND);
	assert_int_equal(w->last.peer, 0);
	assert_true(fcntl(w->last.fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(w->last.fd, F_GETFL) & O_NONBLOCK);
	/* IPv4 through the dual-stack listener: mapped. */
	assert_int_equal(w->last.remote.sa.sa_family, AF_INET6);
	assert_memory_equal(endpoint_print(&w->last.remote, text), "[::ffff:127.0.0.1]:", 19);
	assert_int_equal(getsockname(w->last.fd, &local.sa, &len), 0);
	assert_true(endpoint_eq(&local, &w->last.local));
	len = sizeof(on);
	assert_int_equal(getsockopt(w->last.fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
	assert_int_not_equal(on, 0);
}

static void test_refused(void **state)
{
	struct world *w = *state;

	w->refuse = true;
	for (int i = 0; i < CLIENTS - 1; i++)
		client_connect(w, i);
	assert_true(until(w->loop, all_closed, w));
	assert_int_equal(w->asked, CLIENTS - 1);
	assert_int_equal(w->accepted, 0);
	w->refuse = false;
	client_connect(w, CLIENTS - 1);
	w->wanted = 1;
	assert_true(until(w->loop, got_wanted, w));
}

static void test_reset_before_accept(void **state)
{
	const struct linger now = {.l_onoff = 1};
	struct world *w = *state;

	client_connect(w, 0);
	assert_int_equal(setsockopt(w->client[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(w->client[0]);
	w->client[0] = -1;
	client_connect(w, 1);
	/* The kernel may or may not hand out the dead one. */
	w->wanted = 1;
	assert_true(until(w->loop, got_wanted, w));
	client_connect(w, 2);
	w->wanted = w->accepted + 1;
	assert_true(until(w->loop, got_wanted, w));
}

static void test_descriptors_run_out(void **state)
{
	struct world *w = *state;
	struct rlimit before, low;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (int i = 0; i < CLIENTS - 1; i++)
		client_connect(w, i);
	/* The lowest free number, now that the clients have theirs: no descriptor can be had. */
	low = (struct rlimit){.rlim_cur = (rlim_t)dup(0), .rlim_max = before.rlim_max};
	close((int)low.rlim_cur);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(dup(0), -1);
	assert_true(until(w->loop, all_closed, w));
	assert_int_equal(w->accepted, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	client_connect(w, CLIENTS - 1);
	w->wanted = 1;
	assert_true(until(w->loop, got_wanted, w));
}

static void test_port_taken(void **state)
{
	struct world *w = *state;
	struct acceptor *second = acceptor_new(w->loop, &ops, w);
	struct endpoint other = w->at;

	assert_int_equal(acceptor_listen(second, &w->at), -EADDRINUSE);
	/* Of the documentation's addresses, so none of ours. */
	other.v4.sin_addr.s_addr = htonl(0xc0000201);
	assert_int_equal(acceptor_listen(second, &other), -EADDRNOTAVAIL);
	acceptor_free(second);
	acceptor_free(NULL);
}

/* Two listeners of one acceptor; one is IPv4 only. */
static void test_second_listener(void **state)
{
	struct world *w = *state;

	endpoint_set_port(&w->at, free_port());
	assert_int_equal(acceptor_listen(w->acceptor, &w->at), 0);
	client_connect(w, 0);
	w->wanted = 1;
	assert_true(until(w->loop, got_wanted, w));
	assert_int_equal(w->last.remote.sa.sa_family, AF_INET);
	assert_true(endpoint_eq(&w->last.local, &w->at));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_accepted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset_before_accept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptors_run_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_port_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_second_listener, setup, teardown),
	};

	log_level = LOG_ERR;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
