/* SPDX-License-Identifier: Apache-2.0 */
/* A loop, a folder and fastpaths that speak ctl only (this very program, told so by the environment). For the
 * test_fastpaths programs. */
#ifndef TESTS_UNIT_FASTPATHS_WORLD_H
#define TESTS_UNIT_FASTPATHS_WORLD_H

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

static inline void on_ready(void *ctx, unsigned which, bool running)
{
	struct world *w = ctx;

	w->ready++;
	w->running += running;
	fastpaths_begin(w->f, which, w->begin_with_tun ? &w->tun : NULL);
}

static inline void on_lost(void *ctx, unsigned which)
{
	struct world *w = ctx;

	(void)which;
	w->lost++;
}

static inline void on_gave_up(void *ctx, int exit_code, const char *why)
{
	struct world *w = ctx;

	assert_non_null(why);
	w->gave_up = exit_code;
}

static inline void on_record(void *ctx, unsigned which, enum ctl_type type, const void *body, size_t len)
{
	struct world *w = ctx;

	(void)which;
	(void)body;
	(void)len;
	assert_true(w->record_count < RECORDS);
	w->records[w->record_count++] = type;
}

static inline void on_settled(void *ctx)
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

static inline struct ctl_config config(void)
{
	return (struct ctl_config){.network = 200, .workers = 2, .tun_mtu = 1300, .public_key = {1}};
}

static inline int setup(void **state)
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

static inline void remove_file(const struct world *w, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	unlink(path);
}

static inline void on_stopped(void *ctx)
{
	struct world *w = ctx;

	w->stopped = true;
}

static inline bool is_stopped(void *ctx)
{
	const struct world *w = ctx;

	return w->stopped;
}

/* Nothing is left: no child, no zombie. */
static inline void stop(struct world *w)
{
	fastpaths_stop(w->f, on_stopped, w);
	assert_true(until(w->loop, is_stopped, w));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static inline int teardown(void **state)
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

static inline void seen_read(const struct world *w, char out[SEEN_BYTES])
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

static inline unsigned seen_count(const struct world *w, const char *word)
{
	char text[SEEN_BYTES];
	unsigned count = 0;

	seen_read(w, text);
	for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
		count += at[strlen(word)] == '=';
	return count;
}

/* The number behind the last of these words. */
static inline long long seen_last(const struct world *w, const char *word)
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

static inline bool is_ready(void *ctx)
{
	const struct world *w = ctx;

	return w->ready >= w->wanted;
}

static inline void await_ready(struct world *w, unsigned times)
{
	w->wanted = times;
	assert_true(until(w->loop, is_ready, w));
}

static inline void start(struct world *w, const char *mode)
{
	char error[256];

	setenv(FAKE_FASTPATH, mode, 1);
	assert_int_equal(fastpaths_start(w->f, error), 0);
}

/* A fastpath that runs already; its pid. */
static inline pid_t run_before(const struct world *w, const char *mode)
{
	char path[128], byte;
	int fd, runs[2];
	pid_t pid;

	assert_int_equal(pipe(runs), 0);
	snprintf(path, sizeof(path), "%s/ctl", w->dir);
	fd = ctlsock_listen(path);
	assert_true(fd >= 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		/* As fastpath does it. */
		if (listen(fd, 1) < 0 || write(runs[1], "", 1) != 1)
			abort();
		_exit(fake_fastpath(fd, mode));
	}
	assert_int_equal(read(runs[0], &byte, 1), 1);
	close(runs[0]);
	close(runs[1]);
	close(fd);
	return pid;
}

/* Such a program is fastpath too: true, with its exit code, if it was started as that. */
static inline bool world_is_fastpath(int *exit_code)
{
	const char *mode = getenv(FAKE_FASTPATH);

	if (mode)
		*exit_code = fake_fastpath(CTL_FD, mode);
	return mode;
}

static inline bool world_begin(void)
{
	signal(SIGPIPE, SIG_IGN);
	log_level = LOG_ERR;
	return sodium_init() >= 0;
}

#endif
