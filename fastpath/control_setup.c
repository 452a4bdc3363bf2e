/* SPDX-License-Identifier: Apache-2.0 */
/* From the first CONFIG to running workers, and their end. Until START everything may be given again (by a controld
 * that came after one that died half-way); after it only the MTU and the log level change. */
#define LOG_MODULE "control"
#include "fastpath/control_state.h"

#include "fastpath/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STOP_WAIT_MS = 2000, HOME = 1 /* the number of this fastpath: the first of its node */ };

/* fd is a memory file of exactly so many bytes whose size nobody can change any more. */
static bool is_sealed(int fd, size_t bytes)
{
	const int wanted = F_SEAL_SHRINK | F_SEAL_GROW, seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	return seals >= 0 && (seals & wanted) == wanted && fstat(fd, &st) == 0 && (size_t)st.st_size == bytes;
}

static const char *config_problem(const struct ctl_config *config)
{
	if (!network_find(config->network))
		return "CONFIG: unknown network";
	if (config->workers < 1 || config->workers > LIMIT_WORKERS)
		return "CONFIG: number of workers";
	if (config->tun_mtu < LIMIT_TUN_MTU_MIN || config->tun_mtu > LIMIT_TUN_MTU_MAX)
		return "CONFIG: MTU";
	if (config->pool_chunks > LIMIT_POOL_CHUNKS)
		return "CONFIG: chunks of the pool";
	return config->log_level > LOG_DEBUG ? "CONFIG: log level" : NULL;
}

void control_setup_config(struct control *c, const struct ctl_config *config)
{
	const char *problem = config_problem(config);

	if (problem) {
		control_refuse(c, problem);
		return;
	}
	if (c->running) {
		c->config.tun_mtu = config->tun_mtu;
		c->config.log_level = config->log_level;
		/* Of controld only: the next one is to find what this one had. */
		c->config.port = config->port;
		control_mail_put_all(c, CTL_CONFIG, &c->config, sizeof(c->config));
	} else {
		c->config = *config;
		c->has_config = true;
	}
	if (log_level != (enum log_level)config->log_level)
		log_level = (enum log_level)config->log_level;
}

static const char *memory_problem(const struct ctl_memory *memory, int fd, struct lanes **out)
{
	struct lanes *l;

	if (!is_sealed(fd, sizeof(*l)))
		return "MEMORY: no memory file of the right size, sealed";
	l = mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (l == MAP_FAILED)
		return "MEMORY: cannot be mapped";
	if (l->header.magic == LANES_MAGIC && l->header.version == LANES_VERSION && l->header.bytes == sizeof(*l) &&
	    memcmp(l->header.id, memory->id, sizeof(memory->id)) == 0) {
		*out = l;
		return NULL;
	}
	munmap(l, sizeof(*l));
	return "MEMORY: header";
}

void control_setup_memory(struct control *c, const struct ctl_memory *memory, int fd)
{
	struct lanes *lanes = NULL;
	const char *problem = c->running ? "MEMORY after START" : memory_problem(memory, fd, &lanes);

	if (problem) {
		control_refuse(c, problem);
		close(fd);
		return;
	}
	if (c->f.lanes)
		munmap(c->f.lanes, sizeof(*c->f.lanes));
	if (c->memory_fd >= 0)
		close(c->memory_fd);
	c->f.lanes = lanes;
	c->memory = *memory;
	c->memory_fd = fd;
}

void control_setup_tun(struct control *c, const struct ctl_tun *tun, int fd)
{
	if (c->running || tun->queue >= LIMIT_WORKERS) {
		control_refuse(c, c->running ? "TUN after START" : "TUN: number of the queue");
		close(fd);
		return;
	}
	if (c->tun_fd[tun->queue] >= 0)
		close(c->tun_fd[tun->queue]);
	c->tun[tun->queue] = *tun;
	c->tun_fd[tun->queue] = fd;
}

static const char *start_problem(const struct control *c)
{
	if (!c->has_config)
		return "START without CONFIG";
	if (!c->f.lanes)
		return "START without MEMORY";
	if (c->config.flags & CTL_CONFIG_NO_TUN)
		return NULL;
	for (unsigned i = 0; i < c->config.workers; i++)
		if (c->tun_fd[i] < 0)
			return "START without a TUN queue for each worker";
	return NULL;
}

/* Tables and keys, as the configuration says. 0 or -errno. */
static int make_tables(struct control *c, const struct aead *aead)
{
	struct fastpath *f = &c->f;
	struct pubkey own;
	int r;

	memcpy(own.b, c->config.public_key, sizeof(own.b));
	f->number = HOME;
	f->config = c->config;
	f->network = network_find(c->config.network);
	f->own_address = c->config.address;
	f->own_net64 = ip6_net64(&c->config.address);
	f->table = table_new(&f->epoch, c->config.workers);
	f->links = calloc(LIMIT_LINK_SLOTS, sizeof(f->links[0]));
	c->links = calloc(LIMIT_LINK_SLOTS, sizeof(c->links[0]));
	if (!f->table || !f->links || !c->links)
		return -ENOMEM;
	r = control_sessions_init(c, aead, LIMIT_SESSION_ROWS);
	if (r < 0)
		return r;
	f->keys = keys_new(aead, &own, LIMIT_KEY_SLOTS);
	return f->keys ? 0 : -errno;
}

/* 0 or -errno. The worker gets a duplicate of its queue; ours is for the next controld. (No close-on-exec: nothing is
 * ever executed from here.) */
static int make_worker(struct control *c, unsigned index)
{
	const bool has_tun = c->tun_fd[index] >= 0;
	const int tun_fd = has_tun ? dup(c->tun_fd[index]) : -1;

	if (has_tun && tun_fd < 0)
		return -errno;
	c->f.workers[index] = worker_new(&c->f, index, tun_fd);
	if (!c->f.workers[index])
		return -errno;
	return control_watch_worker(c, index);
}

/* What an earlier controld gave and this one does not use. */
static void close_unused_tuns(struct control *c)
{
	const unsigned used = c->config.flags & CTL_CONFIG_NO_TUN ? 0 : c->config.workers;

	for (unsigned i = used; i < LIMIT_WORKERS; i++) {
		if (c->tun_fd[i] >= 0)
			close(c->tun_fd[i]);
		c->tun_fd[i] = -1;
	}
}

/* Workers are started when all are made and all rights are gone. 0 or -errno. */
static int make_workers(struct control *c, const char **rights)
{
	int r = 0;

	c->f.worker_count = c->config.workers;
	for (unsigned i = 0; r == 0 && i < c->f.worker_count; i++)
		r = make_worker(c, i);
	if (r == 0)
		r = sandbox_enter(rights);
	for (unsigned i = 0; r == 0 && i < c->f.worker_count; i++)
		r = worker_start(c->f.workers[i]);
	return r;
}

/* A start that failed half-way is not undone: the process ends, and controld starts another. */
static void start_failed(const char *what, const char *why)
{
	log_err("cannot start: %s: %s", what, why);
	_exit(EXIT_FAILURE);
}

void control_setup_start(struct control *c)
{
	const char *problem = start_problem(c), *why = "", *rights = "";
	const struct aead *aead;
	int r;

	if (c->running)
		return;
	if (problem) {
		control_refuse(c, problem);
		return;
	}
	aead = aead_choose(&why);
	if (!aead)
		start_failed("AES-256-GCM", why);
	close_unused_tuns(c);
	r = make_tables(c, aead);
	if (r < 0)
		start_failed("tables and keys", strerror(-r));
	r = make_workers(c, &rights);
	if (r < 0)
		start_failed("workers", strerror(-r));
	c->running = true;
	log_info("started workers=%u aead=%s tun=%s rights=\"%s\"", c->f.worker_count, aead->name,
		 c->tun_fd[0] >= 0 ? c->tun[0].name : "none", rights);
}

/* The mailbox of a worker that lives has room soon. */
static void put_stop(struct control *c, unsigned worker)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	const struct mono end = mono_add_ms(mono_now(), STOP_WAIT_MS);
	const struct ctl_stop stop = {0};
	struct mail *in = worker_in(c->f.workers[worker]);

	control_mail_drop(c, worker);
	while (!mail_put(in, CTL_STOP, &stop, sizeof(stop), NULL, 0)) {
		mail_kick(in);
		if (mono_is_due(end, mono_now())) {
			log_err("worker %u does not read its mail: leaving it behind", worker);
			_exit(EXIT_FAILURE);
		}
		nanosleep(&pause, NULL);
	}
	mail_kick(in);
}

void control_setup_stop(struct control *c)
{
	if (!c->running)
		return;
	for (unsigned i = 0; i < c->f.worker_count; i++)
		put_stop(c, i);
	for (unsigned i = 0; i < c->f.worker_count; i++)
		worker_join_free(c->f.workers[i]);
	c->running = false;
}
