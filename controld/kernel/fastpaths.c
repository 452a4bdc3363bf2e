/* SPDX-License-Identifier: Apache-2.0 */
/* What is said to the fastpaths and what they say; starting, watching and memory: fastpaths_*.c. */
#define LOG_MODULE "fastpaths"
#include "controld/kernel/fastpaths_private.h"
#include "shared/base/log.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fastpaths *fastpaths_new(struct loop *l, const struct fastpaths_config *c, const struct fastpaths_ops *ops,
				void *ctx)
{
	struct fastpaths *f = calloc(1, sizeof(*f));

	assert(f);
	f->loop = l;
	f->ops = ops;
	f->ctx = ctx;
	f->config = c->config;
	f->memfd = -1;
	f->program = strdup(c->program);
	assert(f->program);
	if (snprintf(f->path, sizeof(f->path), "%s/ctl", c->run_dir) >= (int)sizeof(f->path))
		f->path[0] = '\0';
	for (unsigned i = 0; i < FASTPATHS; i++) {
		f->slots[i].f = f;
		f->slots[i].which = i;
		f->slots[i].timer = loop_timer_new(l, fastpaths_slot_timer, &f->slots[i]);
	}
	return f;
}

void fastpaths_tun_forget(struct fastpaths *f)
{
	for (unsigned i = 0; i < f->tun_count; i++)
		close(f->tun_fd[i]);
	f->tun_count = 0;
}

void fastpaths_free(struct fastpaths *f)
{
	if (!f)
		return;
	for (unsigned i = 0; i < FASTPATHS; i++) {
		loop_timer_free(f->slots[i].timer);
		loop_fd_free(f->slots[i].watch);
		ctlsock_free(f->slots[i].sock);
	}
	while (f->lives)
		fastpaths_life_free(f->lives);
	loop_timer_free(f->stop_timer);
	fastpaths_tun_forget(f);
	fastpaths_memory_fini(f);
	free(f->program);
	free(f);
}

int fastpaths_start(struct fastpaths *f, char error[256])
{
	int r;

	if (!f->path[0]) {
		snprintf(error, 256,
			 "the path of the socket in the run directory is longer than 107 bytes: choose a shorter "
			 "--run-dir");
		return -ENAMETOOLONG;
	}
	if (access(f->program, X_OK) < 0) {
		r = -errno;
		snprintf(error, 256, "cannot run the forwarder %.150s: %s; name it with --fastpath", f->program,
			 strerror(-r));
		return r;
	}
	r = fastpaths_slot_open(&f->slots[0], true);
	if (r < 0)
		snprintf(error, 256, "cannot start the forwarder %.150s: %s", f->program, strerror(-r));
	return r;
}

/* What they say */

/* Also of one that is told to end already: its end is waited for. */
static void on_hello(struct fastpath_slot *s, const struct ctl_hello *h)
{
	const bool same = h->version == CTL_VERSION && strncmp(h->build, BUILD, sizeof(h->build)) == 0;

	if (s->life && s->life->pid != (pid_t)h->pid)
		fastpaths_life_free(s->life);
	if (!s->life)
		s->life = fastpaths_life_new(s->f, (pid_t)h->pid, false);
	if (same || s->state == SLOT_ENDING)
		return;
	if (s->life->child) {
		log_err("fastpath is of another build than this program: install both together build=\"%.*s\" "
			"ours=\"%s\"",
			(int)strnlen(h->build, sizeof(h->build)), h->build, BUILD);
		s->f->gave_up = true;
		fastpaths_slot_end(s);
		s->f->ops->gave_up(s->f->ctx, 1, "the forwarder is of another build than this program");
		return;
	}
	log_warn("fastpath is of another build and is replaced, which ends its links pid=%u build=\"%.*s\" version=%u",
		 h->pid, (int)strnlen(h->build, sizeof(h->build)), h->build, h->version);
	fastpaths_slot_end(s);
	fastpaths_life_kill(s->life, SIGTERM);
}

static void on_config(struct fastpath_slot *s, const struct ctl_config *c)
{
	s->config = *c;
	s->has_config = true;
	if (c->network == s->f->config.network &&
	    memcmp(c->public_key, s->f->config.public_key, sizeof(c->public_key)) == 0)
		return;
	fastpaths_replace(s->f, s->which, "it runs with another key or network");
}

static void on_memory(struct fastpath_slot *s, const struct ctl_memory *m, int fd)
{
	s->has_memory = fastpaths_memory_take(s->f, m, fd);
	if (!s->has_memory)
		fastpaths_replace(s->f, s->which, "the shared memory it holds is not usable");
}

static void on_tun(struct fastpath_slot *s, const struct ctl_tun *t, int fd)
{
	struct fastpaths *f = s->f;

	if (t->queue != f->tun_count || f->tun_count == LIMIT_WORKERS) {
		close(fd);
		return;
	}
	f->tun_fd[f->tun_count++] = fd;
	f->tun_ifindex = t->ifindex;
	memcpy(f->tun_name, t->name, sizeof(f->tun_name));
	f->tun_name[sizeof(f->tun_name) - 1] = '\0';
	s->tun_count = f->tun_count;
	s->tun_ifindex = t->ifindex;
}

static void on_ready(struct fastpath_slot *s, const struct ctl_ready *r)
{
	struct fastpaths *f = s->f;

	if (s->state != SLOT_GREETING)
		return;
	s->state = SLOT_READY;
	s->told = true;
	snprintf(s->aead, sizeof(s->aead), "%.*s", (int)sizeof(s->aead) - 1, r->aead);
	f->ever_ready = true;
	log_info("fastpath %s pid=%d", r->running ? "found alive and adopted" : "ready", s->life ? s->life->pid : 0);
	f->ops->ready(f->ctx, s->which, r->running != 0);
}

static void on_leaving(struct fastpath_slot *s)
{
	log_warn("fastpath was told to end: its links are lost, a new one is started");
	fastpaths_slot_end(s);
}

static void on_record(void *ctx, enum ctl_type type, const void *body, size_t len, int fd)
{
	struct fastpath_slot *s = ctx;
	const struct ctl_ping *ping = body;

	if (s->state == SLOT_ENDING && type != CTL_HELLO) {
		if (fd >= 0)
			close(fd);
		return;
	}
	switch (type) {
	case CTL_HELLO:
		on_hello(s, body);
		return;
	case CTL_PING:
		ctlsock_put(s->sock, CTL_PONG, &(struct ctl_pong){.number = ping->number}, sizeof(struct ctl_pong),
			    NULL, 0);
		return;
	case CTL_PONG:
		s->pong = ((const struct ctl_pong *)body)->number;
		s->silent_since = mono_now();
		return;
	case CTL_MEMORY:
		on_memory(s, body, fd);
		return;
	case CTL_TUN:
		on_tun(s, body, fd);
		return;
	case CTL_READY:
		on_ready(s, body);
		return;
	case CTL_LEAVING:
		on_leaving(s);
		return;
	case CTL_CONFIG:
		on_config(s, body);
		break;
	default:
		break;
	}
	if (fd >= 0)
		close(fd);
	s->told = true;
	s->f->ops->record(s->f->ctx, s->which, type, body, len);
}

const struct ctlsock_ops fastpaths_ctlsock_ops = {.record = on_record};

/* What is said to them */

unsigned fastpaths_take_tun(struct fastpaths *f, int fd[LIMIT_WORKERS], char name[16], unsigned *ifindex)
{
	const unsigned count = f->tun_count;

	memcpy(fd, f->tun_fd, count * sizeof(fd[0]));
	memcpy(name, f->tun_name, sizeof(f->tun_name));
	*ifindex = f->tun_ifindex;
	f->tun_count = 0;
	return count;
}

/* The TUN's are told where it is brought in line. */
static void log_changes(const struct ctl_config *had, const struct ctl_config *c)
{
	if (had->port != c->port)
		log_info("port changed from=%u to=%u", had->port, c->port);
}

static void put_tun(struct fastpath_slot *s, const struct tun *tun)
{
	for (unsigned i = 0; i < tun->queues; i++) {
		struct ctl_tun t = {.queue = i, .ifindex = tun->ifindex};

		memcpy(t.name, tun->name, sizeof(t.name));
		if (!ctlsock_put_fd(s->sock, CTL_TUN, &t, sizeof(t), tun->fd[i]))
			log_err("a TUN queue cannot be handed to fastpath: %s", strerror(errno));
	}
}

void fastpaths_begin(struct fastpaths *f, unsigned which, const struct tun *tun)
{
	struct fastpath_slot *s = &f->slots[which];
	const struct ctl_start start = {0};

	if (s->state != SLOT_READY)
		return;
	fastpaths_memory_make(f);
	if (!s->has_memory && !ctlsock_put_fd(s->sock, CTL_MEMORY, &f->memory, sizeof(f->memory), f->memfd))
		log_err("the shared memory cannot be handed to fastpath: %s", strerror(errno));
	if (s->has_config)
		log_changes(&s->config, &f->config);
	if (!s->has_config || memcmp(&s->config, &f->config, sizeof(f->config)) != 0)
		ctlsock_put(s->sock, CTL_CONFIG, &f->config, sizeof(f->config), NULL, 0);
	s->has_memory = s->has_config = true;
	s->config = f->config;
	if (tun && (s->tun_count == 0 || s->tun_ifindex != tun->ifindex))
		put_tun(s, tun);
	ctlsock_put(s->sock, CTL_START, &start, sizeof(start), NULL, 0);
	fastpaths_slot_flush(s);
}

static bool is_there(const struct fastpath_slot *s)
{
	return s->sock && s->state != SLOT_ENDING;
}

void fastpaths_put(struct fastpaths *f, unsigned which, enum ctl_type type, const void *body, size_t len)
{
	if (is_there(&f->slots[which]))
		ctlsock_put(f->slots[which].sock, type, body, len, NULL, 0);
}

void fastpaths_put_tlv(struct fastpaths *f, unsigned which, uint32_t link, const uint8_t *tlv, size_t len)
{
	const struct ctl_tlv body = {.link = link};

	if (is_there(&f->slots[which]))
		ctlsock_put(f->slots[which].sock, CTL_TLV, &body, sizeof(body), tlv, len);
}

void fastpaths_put_user(struct fastpaths *f, unsigned which, const struct ctl_user_down *u, const uint8_t *bytes,
			size_t len)
{
	if (f->slots[which].state != SLOT_READY ||
	    !ctlsock_put(f->slots[which].sock, CTL_USER_DOWN, u, sizeof(*u), bytes, len))
		f->user_dropped++;
}

uint64_t fastpaths_user_dropped(const struct fastpaths *f)
{
	return f->user_dropped;
}

pid_t fastpaths_pid(const struct fastpaths *f, unsigned which, struct mono *since)
{
	const struct fastpath_slot *s = &f->slots[which];

	*since = s->started;
	return s->state == SLOT_READY && s->life ? s->life->pid : 0;
}

const char *fastpaths_aead(const struct fastpaths *f, unsigned which)
{
	return f->slots[which].aead;
}

bool fastpaths_adopt(struct fastpaths *f, unsigned which, const struct ctl_adopt *a, int fd)
{
	struct fastpath_slot *s = &f->slots[which];
	const bool sent = s->state == SLOT_READY && ctlsock_put_fd(s->sock, CTL_ADOPT, a, sizeof(*a), fd);

	close(fd);
	return sent;
}

void fastpaths_flush(struct fastpaths *f)
{
	for (unsigned i = 0; i < FASTPATHS; i++) {
		if (f->slots[i].sock && ctlsock_wants_write(f->slots[i].sock))
			fastpaths_slot_flush(&f->slots[i]);
	}
}

void fastpaths_replace(struct fastpaths *f, unsigned which, const char *why)
{
	struct fastpath_slot *s = &f->slots[which];

	if (!s->sock || s->state == SLOT_ENDING)
		return;
	log_warn("fastpath is replaced, which ends its links: %s", why);
	fastpaths_tun_forget(f);
	fastpaths_slot_end(s);
}

/* End */

static void on_stop_late(void *ctx, struct mono now)
{
	struct fastpaths *f = ctx;

	(void)now;
	for (const struct life *l = f->lives; l; l = l->next)
		fastpaths_life_kill(l, SIGKILL);
}

void fastpaths_stop_check(struct fastpaths *f)
{
	void (*done)(void *ctx) = f->stop_done;

	if (!done || f->lives)
		return;
	for (unsigned i = 0; i < FASTPATHS; i++) {
		if (f->slots[i].sock)
			return;
	}
	f->stop_done = NULL;
	done(f->stop_ctx);
}

void fastpaths_stop(struct fastpaths *f, void (*done)(void *ctx), void *ctx)
{
	f->stop_done = done;
	f->stop_ctx = ctx;
	f->stop_timer = loop_timer_new(f->loop, on_stop_late, f);
	loop_timer_at(f->stop_timer, mono_add_ms(mono_now(), FASTPATHS_STOP_MS));
	for (unsigned i = 0; i < FASTPATHS; i++) {
		loop_timer_at(f->slots[i].timer, MONO_NEVER);
		fastpaths_slot_end(&f->slots[i]);
	}
	fastpaths_stop_check(f);
}
