/* SPDX-License-Identifier: Apache-2.0 */
/* Records of any content, of legal length, to the control thread's handlers: before START or while it runs (with a
 * worker that was made but does not run). Input: a byte of flags, then for each record its type, how many bytes more
 * than its struct, its body. Nothing may crash, leak a descriptor or make the books disagree. */
#include "fastpath/control_state.h"
#include "shared/base/siphash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RUNNING = 1, GREETED = 2, BODY_MAX = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	size_t min_len;
	int fds;
} table[] = {
#define CTL(name, NAME, number, n) [number] = {sizeof(struct ctl_##name), n},
#include "shared/ctl.def"
#undef CTL
};
enum { TYPES = sizeof(table) / sizeof(table[0]) };

static struct {
	struct control c;
	struct lanes lanes;
	struct worker *worker;
	const struct aead *aead;
} rig;

static const struct control_times times = {.fresh_ms = 1000, .grace_ms = 1000};

static void must(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

static void ignore(void *ctx, enum ctl_type type, const void *body, size_t len, int fd)
{
	(void)ctx;
	(void)type;
	(void)body;
	(void)len;
	if (fd >= 0)
		close(fd);
}

static void make_running(struct control *c)
{
	const struct pubkey own = {{1}};

	c->running = true;
	c->has_config = true;
	c->config = c->f.config = (struct ctl_config){.network = 200, .workers = 1, .tun_mtu = 1400};
	c->f.network = &network200;
	c->f.lanes = &rig.lanes;
	c->f.worker_count = 1;
	c->f.table = table_new(&c->f.epoch, 1);
	c->f.keys = keys_new(rig.aead, &own, 4);
	c->f.links = calloc(LIMIT_LINK_SLOTS, sizeof(c->f.links[0]));
	c->links = calloc(LIMIT_LINK_SLOTS, sizeof(c->links[0]));
	must(c->f.table && c->f.keys && c->f.links && c->links, "memory");
	if (!rig.worker)
		rig.worker = worker_new(&c->f, 0, -1);
	must(rig.worker != NULL, "worker");
	c->f.workers[0] = rig.worker;
}

static void begin(struct control *c, uint8_t flags)
{
	static const struct ctlsock_ops ops = {.record = ignore};
	int ends[2];

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends) == 0, "socketpair");
	control_init(c, ends[1], &times);
	c->ctl = ctlsock_new(ends[0], &ops, c);
	c->greeted = flags & GREETED;
	if (flags & RUNNING)
		make_running(c);
}

/* What waits in the mailbox: sockets are closed as the worker would. */
static void empty_mail(struct mail *m)
{
	uint8_t *body;
	uint16_t type;
	size_t len;
	int fd;

	mail_kick(m);
	while (mail_next(m, &type, &body, &len)) {
		if (type != CTL_ADOPT)
			continue;
		memcpy(&fd, body + len - sizeof(fd), sizeof(fd));
		close(fd);
	}
}

static void end(struct control *c)
{
	if (c->running) {
		control_mail_drop(c, 0);
		empty_mail(worker_in(rig.worker));
		empty_mail(worker_user_in(rig.worker));
		c->f.lanes = NULL;
	}
	control_fini(c);
}

static void count_route(void *ctx, const struct ctl_route *route)
{
	size_t *count = ctx;

	must(route->prefix_len >= 64 && route->prefix_len <= 128, "length of a kept prefix");
	(*count)++;
}

static void check_books(const struct control *c)
{
	unsigned links = 0;
	size_t routes = 0;

	if (!c->running)
		return;
	for (unsigned i = 0; i < LIMIT_LINK_SLOTS; i++)
		links += c->links[i].adopt.link != 0;
	must(links == c->link_count, "count of links");
	control_routes_each(c, count_route, &routes);
	must(table_count(c->f.table) <= routes, "every route in the table is kept");
	must(keys_count(c->f.keys) <= 4, "keys");
}

static void give(struct control *c, struct rd *r)
{
	uint8_t body[BODY_MAX] __attribute__((aligned(CTL_ALIGN))) = {0};
	const unsigned type = rd_u8(r) % TYPES;
	const size_t len = table[type].min_len + rd_u8(r), have = rd_left(r) < len ? rd_left(r) : len;
	int fd = -1;

	/* START makes threads: not here. */
	if (!table[type].min_len || (type == CTL_START && !c->running))
		return;
	rd_bytes(r, body, have);
	if (table[type].fds) {
		fd = dup(c->listen_fd);
		must(fd >= 0, "a descriptor is left");
	}
	control_records_take(c, (enum ctl_type)type, body, len, fd);
}

/* What a worker may say about any link. */
static void give_event(struct control *c, struct rd *r)
{
	static const enum ctl_type types[] = {CTL_TLV, CTL_LINK_DOWN, CTL_LINK_RTT, CTL_WANT_KEY, CTL_USER_UP};
	uint8_t body[BODY_MAX] __attribute__((aligned(CTL_ALIGN))) = {0};
	const enum ctl_type type = types[rd_u8(r) % 5];

	rd_bytes(r, body, rd_left(r) < table[type].min_len ? rd_left(r) : table[type].min_len);
	if (type == CTL_USER_UP)
		control_user_up(c, body, table[type].min_len);
	else
		control_links_event(c, type, body, table[type].min_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	struct control *c = &rig.c;

	if (!rig.aead) {
		const char *why = NULL;

		must(sodium_init() >= 0, "libsodium");
		rig.aead = aead_choose(&why);
		must(rig.aead != NULL, "aead");
		log_level = LOG_ERR;
	}
	begin(c, rd_u8(&r));
	while (rd_left(&r) && !c->done) {
		if (c->running && *r.p == 255)
			give_event(c, &r);
		else
			give(c, &r);
	}
	check_books(c);
	end(c);
	return 0;
}
