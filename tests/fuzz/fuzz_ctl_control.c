/* SPDX-License-Identifier: Apache-2.0 */
/* Records of any content, of legal length, to the control thread's handlers: before START or while it runs (with a
 * worker that was made but does not run). Input: a byte of flags, then for each record its type, how many bytes more
 * than its struct, its body; while it runs, 255 begins an event of a worker, 254 lets time pass, 253 raises the
 * generation, 252 begins or ends a batch of the worker. Nothing may crash, leak a descriptor or make the books
 * disagree. */
#include "fastpath/control_sessions.h"
#include "shared/base/siphash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RUNNING = 1, GREETED = 2, BODY_MAX = 512, STATIC_KEYS = 4, SESSION_KEYS = 6, ROWS = 16 };
enum { EVENT = 255, TIME = 254, GENERATION = 253, BATCH = 252 };

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
	bool batch;
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
	c->f.keys = keys_new(rig.aead, &own, STATIC_KEYS);
	c->f.links = calloc(LIMIT_LINK_SLOTS, sizeof(c->f.links[0]));
	c->links = calloc(LIMIT_LINK_SLOTS, sizeof(c->links[0]));
	must(c->f.table && c->f.keys && c->f.links && c->links, "memory");
	c->f.number = 1;
	rig.lanes.header.generation = 0;
	for (uint32_t row = 0; row < ROWS; row++)
		rig.lanes.row_index[row] = row + 1;
	must(control_sessions_init(c, rig.aead, SESSION_KEYS) == 0, "session keys");
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
		rig.batch = false;
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

static void count_session(void *ctx, const struct ctl_session_info *info)
{
	size_t *count = ctx;

	/* 0: it is being wiped. */
	must(info->slot <= CTL_SESSION_OLDEST, "slot of a session");
	must(info->row < ROWS && info->index == info->row + 1, "row of a session");
	(*count)++;
}

/* What a static key names is found, confirmed, and its peer's. */
static void check_named(const struct control *c, const struct key_slot *key, uint32_t slot)
{
	const struct skey *s = slot ? skeys_slot(c->f.skeys, slot) : NULL;

	if (!s)
		return;
	must(skeys_find(c->f.skeys, s->index) == s, "a session that is named is found");
	must(s->net64 == key->net64 && pubkey_eq(&s->pk, &key->pk), "of the same peer");
	must(s->state == SKEY_STATE_SEND || s->state == SKEY_STATE_OLD, "and confirmed");
}

static void check_statics(const struct control *c)
{
	uint32_t count = 0;

	for (uint32_t i = keys_next(c->f.keys, 0); i; i = keys_next(c->f.keys, i)) {
		const struct key_slot *s = keys_slot(c->f.keys, i);
		const struct table_entry *e = table_find(c->f.table, s->net64);

		count++;
		must(s->way <= CTL_WAY_HOLD && s->refuse_static <= 1, "policy");
		if (!e || e->key != i)
			continue;
		check_named(c, s, s->session);
		check_named(c, s, s->session_before);
	}
	must(count == keys_count(c->f.keys) && count <= STATIC_KEYS, "keys");
}

static void check_books(struct control *c)
{
	unsigned links = 0;
	size_t routes = 0, sessions = 0;

	if (!c->running)
		return;
	for (unsigned i = 0; i < LIMIT_LINK_SLOTS; i++)
		links += c->links[i].adopt.link != 0;
	must(links == c->link_count, "count of links");
	control_routes_each(c, count_route, &routes);
	must(table_count(c->f.table) <= routes, "every route in the table is kept");
	control_sessions_each(c, count_session, &sessions);
	must(sessions == skeys_count(c->f.skeys), "count of session keys");
	check_statics(c);
}

/* Young, and of this memory; the rest is as it came. */
static void mend(struct control *c, struct ctl_session_key *key)
{
	memset(key->info.memory, 0, sizeof(key->info.memory));
	key->info.made_us = mono_now().us - key->info.made_us % ((LIMIT_SESSION_AGE_S + 10) * INT64_C(1000000));
	key->info.generation = c->f.lanes ? c->f.lanes->header.generation : 0;
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
	if (type == CTL_SESSION_KEY && body[len - 1] % 8)
		mend(c, (struct ctl_session_key *)(void *)body);
	if (table[type].fds) {
		fd = dup(c->listen_fd);
		must(fd >= 0, "a descriptor is left");
	}
	control_records_take(c, (enum ctl_type)type, body, len, fd);
}

/* What a worker may say about any link. */
static void give_event(struct control *c, struct rd *r)
{
	static const enum ctl_type types[] = {CTL_TLV,		 CTL_LINK_DOWN,	      CTL_LINK_RTT,
					      CTL_WANT_KEY,	 CTL_USER_UP,	      CTL_SESSION_WANT,
					      CTL_SESSION_STRAY, CTL_SESSION_REFUSED, CTL_SESSION_CONFIRMED};
	uint8_t body[BODY_MAX] __attribute__((aligned(CTL_ALIGN))) = {0};
	const enum ctl_type type = types[rd_u8(r) % (sizeof(types) / sizeof(types[0]))];

	rd_bytes(r, body, rd_left(r) < table[type].min_len ? rd_left(r) : table[type].min_len);
	if (type == CTL_USER_UP)
		control_user_up(c, body, table[type].min_len);
	else
		control_records_event(c, type, body, table[type].min_len);
}

static void toggle_batch(struct control *c)
{
	rig.batch = !rig.batch;
	if (rig.batch)
		epoch_enter(&c->f.epoch, 0);
	else
		epoch_leave(&c->f.epoch, 0);
}

/* What happens to one that runs, but records of controld; true: it was that. */
static bool happen(struct control *c, struct rd *r)
{
	switch (*r->p) {
	case EVENT:
		give_event(c, r);
		return true;
	case TIME:
		rd_u8(r);
		c->now = mono_add_ms(c->now, rd_u8(r) * 200);
		must(mono_since_us(control_report_run(c), c->now) > 0, "the next look is later");
		control_keys_reap(c);
		return true;
	case GENERATION:
		rd_u8(r);
		__atomic_add_fetch(&rig.lanes.header.generation, 1, __ATOMIC_SEQ_CST);
		return true;
	case BATCH:
		rd_u8(r);
		toggle_batch(c);
		return true;
	default:
		return false;
	}
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
		if (!c->running || !happen(c, &r))
			give(c, &r);
	}
	check_books(c);
	end(c);
	return 0;
}
