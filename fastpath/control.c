/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of the control thread: the ctl socket, signals, the workers' mail, and one timer for what is due. It
 * outlives controld for a grace; a new controld is told everything and takes the place of the old one. */
#define LOG_MODULE "control"
#include "fastpath/control.h"

#include "fastpath/control_state.h"
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
	FRESH_MS = 5000,
	RETRY_MS = 1, /* a worker's mailbox was full */
	EVENTS = 32,
};

/* What an event of epoll is about; from WORKER on, the mail of worker number x - WORKER, from USER on, its user data.
 */
enum source { LISTEN, CTL, SIGNAL, TIMER, WORKER, USER = WORKER + LIMIT_WORKERS };

static int watch(struct control *c, int fd, uint32_t events, unsigned source)
{
	struct epoll_event e = {.events = events, .data.u32 = source};

	return epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

int control_watch_worker(struct control *c, unsigned worker)
{
	struct mail *out = worker_out(c->f.workers[worker]), *user_out = worker_user_out(c->f.workers[worker]);
	int r;

	mail_doze(out);
	mail_doze(user_out);
	r = watch(c, mail_fd(out), EPOLLIN, WORKER + worker);
	return r < 0 ? r : watch(c, mail_fd(user_out), EPOLLIN, USER + worker);
}

void control_refuse(struct control *c, const char *why)
{
	c->refused++;
	log_limited(&c->refusals, LOG_WARN, "refused: %s", why);
}

void control_finish(struct control *c, int exit_code, const char *why)
{
	c->done = why;
	c->exit_code = exit_code;
}

bool control_send(struct control *c, enum ctl_type type, const void *body, size_t len)
{
	return c->ctl && c->greeted && ctlsock_put(c->ctl, type, body, len, NULL, 0);
}

static void set_alone(struct control *c)
{
	c->alone_until = mono_add_ms(c->now, c->running ? c->times->grace_ms : c->times->fresh_ms);
}

static void drop_controld(struct control *c)
{
	if (c->ctl && ctlsock_malformed(c->ctl))
		log_warn("controld sent malformed records count=%llu", (unsigned long long)ctlsock_malformed(c->ctl));
	ctlsock_free(c->ctl);
	c->ctl = NULL;
	c->greeted = false;
	set_alone(c);
}

static void lose_controld(struct control *c, int error)
{
	drop_controld(c);
	log_warn("controld lost: %s; %s for %lld s", strerror(-error), c->running ? "going on" : "waiting",
		 (long long)mono_since_ms(c->alone_until, c->now) / 1000);
}

static void take_controld(struct control *c, int fd)
{
	static const struct ctlsock_ops ops = {.record = control_records_take};
	static struct log_limit limit = LOG_LIMIT(1000, 5);
	const int pid = ctlsock_peer_pid(fd);

	if (pid < 0) {
		log_limited(&limit, LOG_WARN, "a connection to ctl is refused: %s", strerror(-pid));
		close(fd);
		return;
	}
	log_info("controld connected pid=%d%s", pid, c->ctl ? ", in the place of another" : "");
	drop_controld(c);
	c->ctl = ctlsock_new(fd, &ops, c);
	c->ctl_events = EPOLLIN;
	c->alone_until = MONO_NEVER;
	if (watch(c, fd, EPOLLIN, CTL) < 0)
		lose_controld(c, -errno);
}

/* Edge-triggered: a connection that cannot be accepted must not keep the loop busy. */
static void accept_all(struct control *c)
{
	static struct log_limit limit = LOG_LIMIT(1000, 5);

	for (;;) {
		const int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			take_controld(c, fd);
			continue;
		}
		if (errno == ECONNABORTED || errno == EINTR)
			continue;
		if (errno != EAGAIN)
			log_limited(&limit, LOG_WARN, "a connection to ctl cannot be accepted: %s", strerror(errno));
		return;
	}
}

static void read_ctl(struct control *c)
{
	const int r = c->ctl ? ctlsock_read(c->ctl) : 0;

	if (r < 0)
		lose_controld(c, r);
}

static void read_signal(struct control *c)
{
	const struct ctl_leaving leaving = {0};
	struct signalfd_siginfo info;

	if (read(c->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	control_send(c, CTL_LEAVING, &leaving, sizeof(leaving));
	control_finish(c, 0, info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
}

static void read_timer(const struct control *c)
{
	uint64_t expirations;

	/* EAGAIN where it was set anew meanwhile. */
	(void)!read(c->timer_fd, &expirations, sizeof(expirations));
}

static void on_event(struct control *c, unsigned source, uint32_t events)
{
	switch (source) {
	case LISTEN:
		accept_all(c);
		break;
	case CTL:
		/* With EPOLLOUT alone, reading may be held up by a full mailbox. */
		if (events & ~(uint32_t)EPOLLOUT)
			read_ctl(c);
		break;
	case SIGNAL:
		read_signal(c);
		break;
	case TIMER:
		read_timer(c);
		break;
	default:
		if (source < USER)
			control_mail_read(c, source - WORKER);
		else
			control_mail_read_user(c, source - USER);
		break;
	}
}

/* Leaves the place as if nobody had lived there. */
static void unlink_socket(const struct control *c)
{
	struct sockaddr_un address = {0};
	socklen_t len = sizeof(address);

	if (getsockname(c->listen_fd, (struct sockaddr *)&address, &len) == 0 && address.sun_path[0])
		unlink(address.sun_path);
}

static void arm(struct control *c, struct mono when)
{
	struct itimerspec t = {{0}, {0}};

	if (when.us == c->armed.us)
		return;
	if (when.us != MONO_NEVER.us) {
		t.it_value.tv_sec = when.us / 1000000;
		t.it_value.tv_nsec = when.us % 1000000 * 1000 + 1;
	}
	if (timerfd_settime(c->timer_fd, TFD_TIMER_ABSTIME, &t, NULL) == 0)
		c->armed = when;
}

/* Asks for what may be read and must be written. */
static void set_ctl_events(struct control *c, bool blocked)
{
	const uint32_t wanted = (blocked ? 0U : EPOLLIN) | (ctlsock_wants_write(c->ctl) ? EPOLLOUT : 0U);
	struct epoll_event e = {.events = wanted, .data.u32 = CTL };

	if (wanted != c->ctl_events && epoll_ctl(c->epoll_fd, EPOLL_CTL_MOD, ctlsock_fd(c->ctl), &e) == 0)
		c->ctl_events = wanted;
}

/* After the events: what they left to do. */
static void finish_turn(struct control *c)
{
	struct mono due = MONO_NEVER;
	bool blocked, waiting = false;
	int r;

	control_mail_flush(c);
	blocked = control_mail_is_blocked(c);
	if (c->running) {
		waiting = control_keys_reap(c);
		waiting |= table_reclaim(c->f.table);
		due = control_report_run(c);
	}
	r = c->ctl ? ctlsock_flush(c->ctl) : 0;
	if (r < 0)
		lose_controld(c, r);
	if (c->ctl)
		set_ctl_events(c, blocked);
	if (mono_is_due(c->alone_until, c->now))
		control_finish(c, 0, "no controld came");
	due = mono_min(due, c->alone_until);
	if (waiting)
		due = mono_min(due, mono_add_ms(c->now, CONTROL_RECLAIM_MS));
	if (blocked)
		due = mono_min(due, mono_add_ms(c->now, RETRY_MS));
	arm(c, due);
}

/* Mail that a turn did not read to the end makes no event. True if there is some. */
static bool read_unread(struct control *c, bool now)
{
	bool unread = false;

	for (unsigned i = 0; i < c->f.worker_count; i++) {
		if (now && c->mail[i].unread)
			control_mail_read(c, i);
		if (now && c->user_mail[i].unread)
			control_mail_read_user(c, i);
		unread |= c->mail[i].unread || c->user_mail[i].unread;
	}
	return unread;
}

static void turn(struct control *c)
{
	struct epoll_event events[EVENTS];
	const int count = epoll_wait(c->epoll_fd, events, EVENTS, read_unread(c, false) ? 0 : -1);

	c->now = mono_now();
	for (int i = 0; i < count; i++)
		on_event(c, events[i].data.u32, events[i].events);
	read_unread(c, true);
	finish_turn(c);
}

void control_init(struct control *c, int listen_fd, const struct control_times *times)
{
	memset(c, 0, sizeof(*c));
	c->times = times;
	c->now = mono_now();
	c->armed = MONO_NEVER;
	c->listen_fd = listen_fd;
	c->epoll_fd = c->signal_fd = c->timer_fd = c->memory_fd = -1;
	for (unsigned i = 0; i < LIMIT_WORKERS; i++)
		c->tun_fd[i] = -1;
	c->refusals = LOG_LIMIT(1000, 10);
	c->f.epoch.now = 1;
	set_alone(c);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void control_fini(struct control *c)
{
	ctlsock_free(c->ctl);
	control_routes_free(c);
	table_free(c->f.table);
	control_sessions_fini(c);
	keys_free(c->f.keys);
	free(c->f.links);
	free(c->links);
	if (c->f.lanes)
		munmap(c->f.lanes, sizeof(*c->f.lanes));
	close_fd(c->memory_fd);
	for (unsigned i = 0; i < LIMIT_WORKERS; i++)
		close_fd(c->tun_fd[i]);
	close_fd(c->timer_fd);
	close_fd(c->signal_fd);
	close_fd(c->epoll_fd);
	close_fd(c->listen_fd);
}

/* Descriptors of the loop. 0 or -errno. */
static int open_loop(struct control *c)
{
	sigset_t signals;
	int r;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	/* Workers inherit the mask. */
	sigprocmask(SIG_BLOCK, &signals, NULL);
	c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	c->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	c->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (c->epoll_fd < 0 || c->signal_fd < 0 || c->timer_fd < 0)
		return -errno;
	r = watch(c, c->listen_fd, EPOLLIN | EPOLLET, LISTEN);
	if (r == 0)
		r = watch(c, c->signal_fd, EPOLLIN, SIGNAL);
	if (r == 0)
		r = watch(c, c->timer_fd, EPOLLIN, TIMER);
	return r;
}

int control_serve(int listen_fd, const struct control_times *times)
{
	struct control *c = aligned_alloc(_Alignof(struct control), sizeof(*c));
	int r, exit_code;

	assert(c);
	control_init(c, listen_fd, times);
	r = open_loop(c);
	if (r < 0) {
		log_err("cannot start: %s", strerror(-r));
		control_finish(c, EXIT_FAILURE, "no loop");
	}
	arm(c, c->alone_until);
	while (!c->done)
		turn(c);
	/* No controld is there to do it. */
	if (!c->ctl)
		unlink_socket(c);
	control_setup_stop(c);
	if (c->ctl && ctlsock_flush(c->ctl) < 0)
		log_debug("controld left first");
	log_info("ended: %s refused=%llu", c->done, (unsigned long long)c->refused);
	exit_code = c->exit_code;
	control_fini(c);
	free(c);
	return exit_code;
}

int control_run(int listen_fd)
{
	static const struct control_times times = {.fresh_ms = FRESH_MS, .grace_ms = LIMIT_GRACE_MS};

	return control_serve(listen_fd, &times);
}
