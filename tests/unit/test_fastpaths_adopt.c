/* SPDX-License-Identifier: Apache-2.0 */
/* Fastpaths that run already when controld starts: taken over, replaced, waited for. */
#include "tests/unit/fastpaths_world.h"

static void test_adoption(void **state)
{
	static const enum ctl_type order[] = {CTL_CONFIG, CTL_NODE,	    CTL_LINK_INFO,
					      CTL_ROUTE,  CTL_SESSION_INFO, CTL_KEY_INFO};
	struct world *w = *state;
	const pid_t pid = run_before(w, "found");
	char name[16];
	int fd[LIMIT_WORKERS];
	unsigned ifindex;

	start(w, "ok");
	await_ready(w, 1);
	assert_int_equal(w->running, 1);
	assert_int_equal(w->record_count, 6);
	assert_memory_equal(w->records, order, sizeof(order));
	assert_int_equal(fastpaths_lanes(w->f)->stats[0].value[0], 4711);
	assert_int_equal(fastpaths_take_tun(w->f, fd, name, &ifindex), 2);
	assert_string_equal(name, "tun9");
	assert_int_equal(ifindex, 77);
	close(fd[0]);
	close(fd[1]);
	assert_int_equal(fastpaths_take_tun(w->f, fd, name, &ifindex), 0);
	fastpaths_stop(w->f, on_stopped, w);
	/* A child of this program, not of fastpaths: reaped here. */
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(until(w->loop, is_stopped, w));
	/* It had everything. */
	assert_int_equal(seen_count(w, "memory") + seen_count(w, "tun") + seen_count(w, "config"), 0);
	assert_int_equal(seen_count(w, "start"), 1);
	assert_int_equal(seen_count(w, "pid"), 1);
}

/* What it held was told, so its end must be too, or its links would seem to live. */
static void test_ends_before_ready(void **state)
{
	struct world *w = *state;
	const pid_t pid = run_before(w, "breaks");
	int fd[LIMIT_WORKERS];
	unsigned ifindex;
	char name[16];

	start(w, "ok");
	await_ready(w, 1);
	/* They would keep its TUN alive. */
	assert_int_equal(fastpaths_take_tun(w->f, fd, name, &ifindex), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(w->running, 0);
	assert_int_equal(w->record_count, 6);
	assert_int_equal(w->lost, 1);
	stop(w);
}

/* Told to end before its HELLO has come, it is waited for all the same, and killed in the end. */
static void test_process_is_gone(void **state)
{
	struct world *w = *state;
	const pid_t pid = run_before(w, "lingers");

	start(w, "ok");
	fastpaths_stop(w->f, on_stopped, w);
	assert_true(until(w->loop, is_stopped, w));
	assert_int_equal(waitpid(pid, NULL, WNOHANG), pid);
}

static void test_other_key_is_replaced(void **state)
{
	struct world *w = *state;
	const pid_t pid = run_before(w, "foreign");

	start(w, "ok");
	assert_int_equal(waitpid(-1, NULL, WNOHANG), 0);
	await_ready(w, 1);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(w->running, 0);
	assert_int_equal(seen_count(w, "pid"), 2);
	stop(w);
}

static void test_other_build_is_replaced(void **state)
{
	struct world *w = *state;
	const pid_t pid = run_before(w, "old");

	start(w, "ok");
	await_ready(w, 1);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(w->running, 0);
	/* The first was never ready to us. */
	assert_int_equal(w->lost, 0);
	assert_int_equal(seen_count(w, "pid"), 2);
	stop(w);
}

/* Found hung, it is killed, and gone before the next one is ready to want its TUN. */
static void test_hung_is_killed(void **state)
{
	struct world *w = *state;
	const pid_t pid = run_before(w, "hung");

	start(w, "ok");
	await_ready(w, 1);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), pid);
	assert_int_equal(w->running, 0);
	assert_int_equal(w->lost, 0);
	stop(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_adoption, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends_before_ready, setup, teardown),
		cmocka_unit_test_setup_teardown(test_process_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_key_is_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_build_is_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hung_is_killed, setup, teardown),
	};
	int exit_code = 1;

	if (world_is_fastpath(&exit_code) || !world_begin())
		return exit_code;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
