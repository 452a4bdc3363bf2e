/* SPDX-License-Identifier: Apache-2.0 */
/* The watch over each fastpath: connection, pings, its death, and when the next one starts. Death is the end of the ctl
 * stream. */
#define LOG_MODULE "fastpaths"
#include "controld/kernel/fastpaths_private.h"
#include "shared/base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define FAR_TOO_LATE_US (INT64_C(1000) * LIMIT_CTL_PING_MS)

static void arm(struct fastpath_slot *s, struct mono now, int64_t ms)
{
	s->timer_at = mono_add_ms(now, ms);
	loop_timer_at(s->timer, s->timer_at);
}

void fastpaths_slot_flush(struct fastpath_slot *s)
{
	if (!s->sock)
		return;
	/* A broken connection shows as its end when it is read. */
	(void)!ctlsock_flush(s->sock);
	loop_fd_want(s->watch, LOOP_READ | (ctlsock_wants_write(s->sock) ? LOOP_WRITE : 0U));
}

static void back_off(struct fastpath_slot *s, struct mono now)
{
	s->backoff_s = s->backoff_s ? s->backoff_s * 2 : 1;
	if (s->backoff_s > FASTPATHS_BACKOFF_MAX_S)
		s->backoff_s = FASTPATHS_BACKOFF_MAX_S;
	log_err("fastpath keeps ending: the next try is in %u s", s->backoff_s);
	arm(s, now, 1000LL * s->backoff_s);
}

/* The next start: at once, or later where it keeps dying. */
static void after_death(struct fastpath_slot *s, struct mono now)
{
	const bool many = s->death_count >= FASTPATHS_DEATHS - 1 &&
			  mono_since_ms(now, s->deaths[(s->death_count + 1) % FASTPATHS_DEATHS]) <= FASTPATHS_DEATHS_MS;

	s->deaths[s->death_count++ % FASTPATHS_DEATHS] = now;
	if (mono_since_ms(now, s->started) >= FASTPATHS_DEATHS_MS)
		s->backoff_s = 0;
	if (many && !s->f->ever_ready) {
		s->f->gave_up = true;
		s->f->ops->gave_up(s->f->ctx, 1, "fastpath ends before it is ready; what it said stands above");
		return;
	}
	if (!many && !s->backoff_s) {
		fastpaths_slot_start_again(s);
		return;
	}
	back_off(s, now);
}

static void disconnect(struct fastpath_slot *s)
{
	loop_fd_free(s->watch);
	ctlsock_free(s->sock);
	s->watch = NULL;
	s->sock = NULL;
}

static void slot_clear(struct fastpath_slot *s)
{
	disconnect(s);
	fastpaths_tun_forget(s->f);
	s->life = NULL;
	s->state = SLOT_EMPTY;
	s->has_config = s->has_memory = false;
	s->tun_count = 0;
	s->ping = s->pong = 0;
}

void fastpaths_slot_dead(struct fastpath_slot *s)
{
	struct fastpaths *f = s->f;
	const bool wanted = s->state == SLOT_ENDING;
	const bool told = s->told;
	const struct mono now = mono_now();

	/* It may live on without its connection; nobody needs it so. */
	if (!wanted)
		fastpaths_life_kill(s->life, SIGKILL);
	slot_clear(s);
	s->told = false;
	if (told)
		f->ops->lost(f->ctx, s->which);
	if (f->stop_done)
		fastpaths_stop_check(f);
	else if (wanted && !f->gave_up)
		fastpaths_slot_start_again(s);
	else if (!f->gave_up)
		after_death(s, now);
}

static void on_socket(void *ctx, unsigned events)
{
	struct fastpath_slot *s = ctx;

	(void)events;
	if (ctlsock_read(s->sock) == 0) {
		s->heard = mono_now();
		s->f->ops->settled(s->f->ctx);
		fastpaths_slot_flush(s);
		return;
	}
	if (s->state == SLOT_ENDING && s->life) {
		/* What it held, the TUN above all, is free only when the process has ended. */
		disconnect(s);
		return;
	}
	if (s->state != SLOT_ENDING)
		log_err("fastpath is gone%s", s->told ? ": its links are lost" : " before it was ready");
	fastpaths_slot_dead(s);
}

static void greet(struct fastpath_slot *s, int fd)
{
	struct ctl_hello hello = {.version = CTL_VERSION, .pid = (uint32_t)getpid()};
	const struct mono now = mono_now();

	snprintf(hello.build, sizeof(hello.build), "%s", BUILD);
	s->sock = ctlsock_new(fd, &fastpaths_ctlsock_ops, s);
	s->watch = loop_fd_new(s->f->loop, fd, LOOP_READ, on_socket, s);
	s->state = SLOT_GREETING;
	s->started = s->silent_since = now;
	ctlsock_put(s->sock, CTL_HELLO, &hello, sizeof(hello), NULL, 0);
	fastpaths_slot_flush(s);
	arm(s, now, LIMIT_CTL_PING_MS);
}

/* The socket names who listened last: the fastpath, or, where it was not so far yet, the controld that started it. */
static int connect_checked(struct fastpath_slot *s)
{
	const int fd = ctlsock_connect(s->f->path);
	int pid;

	if (fd < 0)
		return fd;
	pid = ctlsock_peer_pid(fd);
	if (pid < 0) {
		close(fd);
		return pid;
	}
	if (pid > 0 && pid != getpid())
		s->life = fastpaths_life_new(s->f, pid, false);
	return fd;
}

int fastpaths_slot_open(struct fastpath_slot *s, bool adopt)
{
	int fd = adopt ? connect_checked(s) : -ENOENT;

	if (fd == -ENOENT || fd == -ECONNREFUSED)
		fd = fastpaths_spawn(s->f, &s->life);
	if (fd < 0)
		return fd;
	greet(s, fd);
	return 0;
}

void fastpaths_slot_start_again(struct fastpath_slot *s)
{
	const int r = fastpaths_slot_open(s, false);

	if (r == 0)
		return;
	log_err("cannot start %s: %s", s->f->program, strerror(-r));
	back_off(s, mono_now());
}

void fastpaths_slot_end(struct fastpath_slot *s)
{
	const struct ctl_stop stop = {0};

	if (!s->sock)
		return;
	s->state = SLOT_ENDING;
	ctlsock_put(s->sock, CTL_STOP, &stop, sizeof(stop), NULL, 0);
	fastpaths_slot_flush(s);
	arm(s, mono_now(), FASTPATHS_STOP_MS);
}

/* It does not answer: killed, and waited for, because it holds the TUN. */
static void on_silent(struct fastpath_slot *s)
{
	log_err("fastpath has not answered for %d s: %s", LIMIT_CTL_DEAD_MS / 1000,
		s->life ? "it is killed" : "its process is not known, so it is left alone");
	if (!s->life) {
		fastpaths_slot_dead(s);
		return;
	}
	fastpaths_life_kill(s->life, SIGKILL);
	disconnect(s);
	s->state = SLOT_ENDING;
}

/* Asks only where nothing was heard for a second. */
static void ping(struct fastpath_slot *s, struct mono now)
{
	const struct ctl_ping body = {.number = s->ping + 1};
	const int64_t quiet_ms = mono_since_ms(now, s->heard);

	if (s->state == SLOT_READY && quiet_ms >= 0 && quiet_ms < LIMIT_CTL_PING_MS) {
		s->silent_since = s->heard;
		s->pong = s->ping;
		arm(s, now, LIMIT_CTL_PING_MS - quiet_ms);
		return;
	}
	/* We were the ones that slept. */
	if (mono_since_us(now, s->timer_at) > FAR_TOO_LATE_US)
		s->silent_since = now;
	if (s->state == SLOT_READY && s->ping == s->pong)
		s->silent_since = now;
	if (mono_since_ms(now, s->silent_since) >= LIMIT_CTL_DEAD_MS) {
		on_silent(s);
		return;
	}
	if (s->state == SLOT_READY) {
		s->ping++;
		ctlsock_put(s->sock, CTL_PING, &body, sizeof(body), NULL, 0);
		fastpaths_slot_flush(s);
	}
	arm(s, now, LIMIT_CTL_PING_MS);
}

void fastpaths_slot_timer(void *ctx, struct mono now)
{
	struct fastpath_slot *s = ctx;

	switch (s->state) {
	case SLOT_EMPTY:
		fastpaths_slot_start_again(s);
		break;
	case SLOT_ENDING:
		fastpaths_life_kill(s->life, SIGKILL);
		if (!s->life)
			fastpaths_slot_dead(s);
		break;
	case SLOT_GREETING:
	case SLOT_READY:
		ping(s, now);
	}
}
