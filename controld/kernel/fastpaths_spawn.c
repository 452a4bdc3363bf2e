/* SPDX-License-Identifier: Apache-2.0 */
/* Processes: how one is started, and how its end is known, whether it is our child or was adopted. */
#define LOG_MODULE "fastpaths"
#include "controld/kernel/fastpaths_private.h"
#include "shared/base/log.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utlist.h>

static void reap(const struct life *l)
{
	int status;

	if (!l->child || waitpid(l->pid, &status, WNOHANG) != l->pid)
		return;
	if (WIFSIGNALED(status))
		log_info("fastpath ended pid=%d signal=%d", l->pid, WTERMSIG(status));
	else
		log_info("fastpath ended pid=%d exit-code=%d", l->pid, WEXITSTATUS(status));
}

static void on_end(void *ctx, unsigned events)
{
	struct life *l = ctx;
	struct fastpaths *f = l->f;

	(void)events;
	reap(l);
	fastpaths_life_free(l);
	for (int i = 0; i < FASTPATHS; i++) {
		struct fastpath_slot *s = &f->slots[i];

		if (s->state == SLOT_ENDING && !s->sock && !s->life)
			fastpaths_slot_dead(s);
	}
	fastpaths_stop_check(f);
}

struct life *fastpaths_life_new(struct fastpaths *f, pid_t pid, bool child)
{
	const int pidfd = pidfd_open(pid, 0);
	struct life *l;

	/* An adopted one that is gone already; a child stays until it is waited for. */
	if (pidfd < 0)
		return NULL;
	l = calloc(1, sizeof(*l));
	assert(l);
	l->f = f;
	l->pid = pid;
	l->child = child;
	l->pidfd = pidfd;
	l->watch = loop_fd_new(f->loop, pidfd, LOOP_READ, on_end, l);
	DL_APPEND(f->lives, l);
	return l;
}

void fastpaths_life_kill(const struct life *l, int signal)
{
	/* ESRCH: it has ended meanwhile, which is what is wanted. */
	if (l && pidfd_send_signal(l->pidfd, signal, NULL, 0) < 0 && errno != ESRCH)
		log_err("cannot end fastpath: %s pid=%d", strerror(errno), l->pid);
}

void fastpaths_life_free(struct life *l)
{
	struct fastpaths *f = l->f;

	for (int i = 0; i < FASTPATHS; i++) {
		if (f->slots[i].life == l)
			f->slots[i].life = NULL;
	}
	DL_DELETE(f->lives, l);
	loop_fd_free(l->watch);
	close(l->pidfd);
	free(l);
}

/* Nothing but the standard descriptors and the listening socket goes with it, and no signal is blocked or ignored. */
static int spawn(const char *program, int listen_fd, pid_t *pid)
{
	char *argv[] = {strdup(program), NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	assert(argv[0]);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	r = posix_spawn_file_actions_adddup2(&actions, listen_fd, CTL_FD);
	if (!r)
		r = posix_spawn_file_actions_addclosefrom_np(&actions, CTL_FD + 1);
	if (!r)
		r = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	if (!r)
		r = posix_spawnattr_setsigmask(&attr, &none);
	if (!r)
		r = posix_spawnattr_setsigdefault(&attr, &all);
	if (!r)
		r = posix_spawn(pid, program, &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	free(argv[0]);
	return -r;
}

/* Connected before the program runs, so that its end is seen as the end of the connection, however early it comes. */
static int listen_and_connect(const char *path, int *listen_fd)
{
	int fd;

	/* Whoever still holds the old socket cannot be reached by it any more. */
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	*listen_fd = ctlsock_listen(path);
	if (*listen_fd < 0)
		return *listen_fd;
	fd = ctlsock_connect(path);
	if (fd < 0)
		close(*listen_fd);
	return fd;
}

int fastpaths_spawn(struct fastpaths *f, struct life **life)
{
	int listen_fd = -1, r;
	pid_t pid = -1;
	const int fd = listen_and_connect(f->path, &listen_fd);

	if (fd < 0)
		return fd;
	r = spawn(f->program, listen_fd, &pid);
	close(listen_fd);
	if (r == 0) {
		*life = fastpaths_life_new(f, pid, true);
		r = *life ? fd : -EMFILE;
	}
	if (r < 0)
		close(fd);
	return r;
}
