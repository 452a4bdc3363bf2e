/* SPDX-License-Identifier: Apache-2.0 */
/* Fastpaths that speak ctl only (this very program, told so by the environment): started, adopted, replaced, watched,
 * ended. */
#include "controld/kernel/fastpaths.h"
#include "shared/base/ctlsock.h"
#include "shared/base/log.h"
#include "shared/base/secret.h"
#include "shared/lanes.h"
#include "tests/support/fake_fastpath.h"
#include "tests/support/until.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { RECORDS = 64, SEEN_BYTES = 8192 };

struct world {
	struct loop *loop;
	struct fastpaths *f;
	char dir[64], program[512];
	unsigned ready, running, lost;
	int gave_up; /* exit code */
	enum ctl_type records[RECORDS];
	unsigned record_count;
	bool stopped, begin_with_tun;
	struct tun tun;
	unsigned wanted; /* of ready */
};

static void on_ready(void *ctx, unsigned which, bool running)
{
	struct world *w = ctx;

	w->ready++;
	w->running += running;
	fastpaths_begin(w->f, which, w->begin_with_tun ? &w->tun : NULL);
}

static void on_lost(void *ctx, unsigned which)
{
	struct world *w = ctx;

	(void)which;
	w->lost++;
}

static void on_gave_up(void *ctx, int exit_code, const char *why)
{
	struct world *w = ctx;

	assert_non_null(why);
	w->gave_up = exit_code;
}

static void on_record(void *ctx, unsigned which, enum ctl_type type, const void *body, size_t len)
{
	struct world *w = ctx;

	(void)which;
	(void)body;
	(void)len;
	assert_true(w->record_count < RECORDS);
	w->records[w->record_count++] = type;
}

static void on_settled(void *ctx)
{
	(void)ctx;
}

static const struct fastpaths_ops ops = {
	.ready = on_ready,
	.lost = on_lost,
	.gave_up = on_gave_up,
	.record = on_record,
	.settled = on_settled,
};

static struct ctl_config config(void)
{
	return (struct ctl_config){.network = 200, .workers = 2, .tun_mtu = 1300, .public_key = {1}};
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	ssize_t len;

	assert_non_null(w);
	snprintf(w->dir, sizeof(w->dir), "/tmp/test_fastpaths-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	len = readlink("/proc/self/exe", w->program, sizeof(w->program) - 1);
	assert_true(len > 0);
	w->loop = loop_new();
	w->f = fastpaths_new(
		w->loop, &(const struct fastpaths_config){.program = w->program, .run_dir = w->dir, .config = config()},
		&ops, w);
	*state = w;
	return 0;
}

static void remove_file(const struct world *w, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	unlink(path);
}

static void on_stopped(void *ctx)
{
	struct world *w = ctx;

	w->stopped = true;
}

static bool is_stopped(void *ctx)
{
	const struct world *w = ctx;

	return w->stopped;
}

/* Nothing is left: no child, no zombie. */
static void stop(struct world *w)
{
	fastpaths_stop(w->f, on_stopped, w);
	assert_true(until(w->loop, is_stopped, w));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static int teardown(void **state)
{
	struct world *w = *state;

	fastpaths_free(w->f);
	loop_free(w->loop);
	remove_file(w, "ctl");
	remove_file(w, "seen");
	remove_file(w, "mark");
	assert_int_equal(rmdir(w->dir), 0);
	free(w);
	return 0;
}

static void seen_read(const struct world *w, char out[SEEN_BYTES])
{
	char path[128];
	FILE *in;
	size_t len;

	snprintf(path, sizeof(path), "%s/seen", w->dir);
	in = fopen(path, "r");
	assert_non_null(in);
	len = fread(out, 1, SEEN_BYTES - 1, in);
	out[len] = '\0';
	fclose(in);
}

static unsigned seen_count(const struct world *w, const char *word)
{
	char text[SEEN_BYTES];
	unsigned count = 0;

	seen_read(w, text);
	for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
		count += at[strlen(word)] == '=';
	return count;
}

/* The number behind the last of these words. */
static long long seen_last(const struct world *w, const char *word)
{
	char text[SEEN_BYTES];
	long long number = -1;

	seen_read(w, text);
	for (const char *at = strstr(text, word); at; at = strstr(at + 1, word)) {
		if (at[strlen(word)] == '=')
			number = atoll(at + strlen(word) + 1);
	}
	return number;
}

static bool is_ready(void *ctx)
{
	const struct world *w = ctx;

	return w->ready >= w->wanted;
}

static void await_ready(struct world *w, unsigned times)
{
	w->wanted = times;
	assert_true(until(w->loop, is_ready, w));
}

static void start(struct world *w, const char *mode)
{
	char error[256];

	setenv(FAKE_FASTPATH, mode, 1);
	assert_int_equal(fastpaths_start(w->f, error), 0);
}

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

static void test_other_build_is_replaced(void **state)
{
	struct world *w = *state;

	start(w, "old");
	await_ready(w, 1);
	assert_int_equal(w->running, 0);
	/* The first was never ready to us. */
	assert_int_equal(w->lost, 0);
	assert_int_equal(seen_count(w, "pid"), 2);
	stop(w);
}

/* A fastpath that runs already; its pid. */
static pid_t run_before(const struct world *w, const char *mode)
{
	char path[128];
	pid_t pid;
	int fd;

	snprintf(path, sizeof(path), "%s/ctl", w->dir);
	fd = ctlsock_listen(path);
	assert_true(fd >= 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fake_fastpath(fd, mode));
	close(fd);
	return pid;
}

static void test_adoption(void **state)
{
	static const enum ctl_type order[] = {CTL_CONFIG, CTL_NODE, CTL_LINK_INFO, CTL_ROUTE};
	struct world *w = *state;
	const pid_t pid = run_before(w, "found");
	char name[16];
	int fd[LIMIT_WORKERS];
	unsigned ifindex;

	start(w, "ok");
	await_ready(w, 1);
	assert_int_equal(w->running, 1);
	assert_int_equal(w->record_count, 4);
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
	assert_int_equal(w->record_count, 4);
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

static bool has_given_up(void *ctx)
{
	const struct world *w = ctx;

	return w->gave_up != 0;
}

static void test_never_ready(void **state)
{
	struct world *w = *state;

	start(w, "dead");
	assert_true(until(w->loop, has_given_up, w));
	assert_int_equal(w->gave_up, 1);
	assert_int_equal(w->ready + w->lost, 0);
	assert_int_equal(seen_count(w, "pid"), 3);
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
		cmocka_unit_test_setup_teardown(test_other_build_is_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adoption, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends_before_ready, setup, teardown),
		cmocka_unit_test_setup_teardown(test_process_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_key_is_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_ready, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silent_is_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_back_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cannot_start, setup, teardown),
	};
	const char *mode = getenv(FAKE_FASTPATH);

	if (mode)
		return fake_fastpath(CTL_FD, mode);
	signal(SIGPIPE, SIG_IGN);
	if (sodium_init() < 0)
		return 1;
	log_level = LOG_ERR;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
