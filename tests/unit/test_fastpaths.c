/* SPDX-License-Identifier: Apache-2.0 */
/* Fastpaths started, replaced, watched, ended. Those found alive: test_fastpaths_adopt.c. */
#include "tests/unit/fastpaths_world.h"

static void test_fresh(void **state)
{
	struct world *w = *state;

	w->begin_with_tun = true;
	w->tun = (struct tun){.queues = 2, .fd = {STDERR_FILENO, STDERR_FILENO}, .ifindex = 3, .name = "tun3"};
	assert_null(fastpaths_lanes(w->f));
	start(w, "ok");
	await_ready(w, 1);
	assert_int_equal(w->running, 0);
	assert_non_null(fastpaths_lanes(w->f));
	stop(w);
	/* Standard descriptors and the socket, nothing else. */
	assert_int_equal(seen_last(w, "fds"), 0xf);
	assert_int_equal(seen_count(w, "hello"), 1);
	assert_int_equal(seen_count(w, "memory"), 1);
	assert_int_equal(seen_count(w, "config"), 1);
	assert_int_equal(seen_count(w, "tun"), 2);
	assert_int_equal(seen_count(w, "start"), 1);
	assert_int_equal(seen_count(w, "stop"), 1);
	assert_int_equal(w->record_count, 0);
}

static bool is_tlv_seen(void *ctx)
{
	return seen_count(ctx, "tlv") == 1;
}

static void test_put_and_adopt(void **state)
{
	struct world *w = *state;
	const uint8_t tlv[] = {8, 1, 0};
	char text[8] = "";
	int pair[2];

	start(w, "ok");
	await_ready(w, 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_true(fastpaths_adopt(w->f, 0, &(const struct ctl_adopt){.link = 1}, pair[1]));
	fastpaths_put_tlv(w->f, 0, 1, tlv, sizeof(tlv));
	fastpaths_flush(w->f);
	assert_true(until(w->loop, is_tlv_seen, w));
	assert_int_equal(read(pair[0], text, 7), 7);
	assert_string_equal(text, "adopted");
	/* Our copy is closed: its end is the fastpath's. */
	assert_int_equal(read(pair[0], text, 1), 0);
	close(pair[0]);
	stop(w);
}

static bool has_begun(void *ctx)
{
	return seen_count(ctx, "start") == 1;
}

static void test_killed_and_restarted(void **state)
{
	struct world *w = *state;
	long long pid, id;

	start(w, "ok");
	await_ready(w, 1);
	assert_true(until(w->loop, has_begun, w));
	pid = seen_last(w, "pid");
	assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
	await_ready(w, 2);
	assert_int_equal(w->lost, 1);
	assert_int_equal(w->running, 0);
	assert_true(seen_last(w, "pid") != pid);
	stop(w);
	/* The same memory went to both. */
	assert_int_equal(seen_count(w, "memory-id"), 2);
	id = seen_last(w, "memory-id");
	assert_int_equal(fastpaths_lanes(w->f)->header.id[0], id);
}

static void test_leaving(void **state)
{
	struct world *w = *state;

	start(w, "leaving");
	await_ready(w, 2);
	assert_int_equal(w->lost, 1);
	assert_int_equal(w->gave_up, 0);
	stop(w);
}

static bool has_given_up(void *ctx)
{
	const struct world *w = ctx;

	return w->gave_up != 0;
}

/* Started by us and of another build: another try would bring the same. */
static void test_other_build_is_refused(void **state)
{
	struct world *w = *state;

	start(w, "old");
	assert_true(until(w->loop, has_given_up, w));
	assert_int_equal(w->gave_up, 1);
	assert_int_equal(w->ready + w->lost, 0);
	assert_int_equal(seen_count(w, "pid"), 1);
	stop(w);
}

static void test_never_ready(void **state)
{
	struct world *w = *state;

	start(w, "dead");
	assert_true(until(w->loop, has_given_up, w));
	assert_int_equal(w->gave_up, 1);
	assert_int_equal(w->ready + w->lost, 0);
	assert_int_equal(seen_count(w, "pid"), 3);
	/* What cannot be sent is counted. */
	fastpaths_put_user(w->f, 0, &(const struct ctl_user_down){.type = WIRE_USER_MESSAGE}, (const uint8_t *)"x", 1);
	assert_int_equal(fastpaths_user_dropped(w->f), 1);
	stop(w);
}

static void test_silent_is_killed(void **state)
{
	struct world *w = *state;
	const struct mono begin = mono_now();

	start(w, "mute");
	await_ready(w, 2);
	assert_int_equal(w->lost, 1);
	assert_true(mono_since_ms(mono_now(), begin) >= LIMIT_CTL_DEAD_MS);
	stop(w);
}

static void test_back_off(void **state)
{
	struct world *w = *state;
	struct mono begin;

	start(w, "ok");
	for (unsigned i = 1; i <= 3; i++) {
		await_ready(w, i);
		begin = mono_now();
		assert_int_equal(kill((pid_t)seen_last(w, "pid"), SIGKILL), 0);
	}
	await_ready(w, 4);
	/* The third death in a row. */
	assert_true(mono_since_ms(mono_now(), begin) >= 1000);
	stop(w);
}

static void test_cannot_start(void **state)
{
	struct world *w = *state;
	struct fastpaths *f;
	char error[256] = "", dir[120];

	memset(dir, 'x', sizeof(dir) - 1);
	dir[sizeof(dir) - 1] = '\0';
	f = fastpaths_new(w->loop, &(const struct fastpaths_config){.program = "/nowhere/fastpath", .run_dir = w->dir},
			  &ops, w);
	assert_int_equal(fastpaths_start(f, error), -ENOENT);
	assert_non_null(strstr(error, "/nowhere/fastpath"));
	fastpaths_free(f);
	f = fastpaths_new(w->loop, &(const struct fastpaths_config){.program = w->program, .run_dir = dir}, &ops, w);
	assert_int_equal(fastpaths_start(f, error), -ENAMETOOLONG);
	assert_non_null(strstr(error, "107"));
	fastpaths_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_fresh, setup, teardown),
		cmocka_unit_test_setup_teardown(test_put_and_adopt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_and_restarted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leaving, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_build_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_ready, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silent_is_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_back_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cannot_start, setup, teardown),
	};
	int exit_code = 1;

	if (world_is_fastpath(&exit_code) || !world_begin())
		return exit_code;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
