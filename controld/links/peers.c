/* SPDX-License-Identifier: Apache-2.0 */
/* The table of peers and when each is tried next. A peer waits, is dialled, or has a link. The back-off grows with
 * every failure and with every link that did not live long; see peers.h. */
#define LOG_MODULE "peers"
#include "controld/links/peers.h"

#include "controld/links/dial.h"
#include "controld/links/target.h"
#include "shared/base/log.h"
#include "shared/base/siphash.h"
#include "shared/ctl.h"
#include "shared/limits.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
/* After siphash.h. */
#include <uthash.h>

enum {
	DIALS = 64, /* at a time */
	LIVED_LONG_US = 10000000, /* such a link was a good one: the back-off begins anew */
	HEARD_AGAIN_MS = 1000, /* a beacon hurries its peer at most so often */
	SEEN_ERRORS = 4,
	/* With the longest jitter (5/4) this is LIMIT_DIAL_MAX_MS. */
	BACKOFF_MAX_MS = LIMIT_DIAL_MAX_MS / 5 * 4,
};

enum peer_state { PEER_WAITING, PEER_DIALLING, PEER_UP };

struct peer {
	uint64_t handle; /* key of the table */
	struct peers *owner;
	char *text; /* owned */
	struct target target;
	struct endpoint literal; /* family 0: a name, or its interface was missing */
	uint32_t flags;

	enum peer_state state;
	struct dial *dial;
	unsigned turn; /* which of a name's addresses is tried */
	uint32_t backoff_ms;
	struct mono next_try;

	struct endpoint remote;
	char last_error[DIAL_ERROR_BYTES];
	struct mono last_error_at;
	uint32_t seen[SEEN_ERRORS]; /* hashes of errors that were logged: a name's addresses may fail in turn for
				       different reasons */
	unsigned seen_next;
	UT_hash_handle hh;
};

struct peers {
	struct loop *loop;
	struct peers_config config;
	struct peers_ops ops;
	void *ctx;
	struct loop_timer *timer;
	struct peer *table; /* in order of arrival */
	unsigned dials;
};

/* The same in every run, so the key is no secret; 0 is no handle. */
static uint64_t handle_of(const char *text)
{
	static const uint8_t key[crypto_shorthash_KEYBYTES] = "controld peers";
	const char *bare = strncmp(text, "tcp://", 6) == 0 ? text + 6 : text;
	uint64_t handle;

	_Static_assert(sizeof(handle) == crypto_shorthash_BYTES, "a handle is a hash");
	crypto_shorthash((uint8_t *)&handle, (const uint8_t *)bare, strlen(bare), key);
	return handle ? handle : 1;
}

static struct peer *find(const struct peers *p, uint64_t handle)
{
	struct peer *peer;

	HASH_FIND(hh, p->table, &handle, sizeof(handle), peer);
	return peer;
}

static struct peer *find_literal(const struct peers *p, const struct endpoint *e)
{
	for (struct peer *i = p->table; e->sa.sa_family && i; i = i->hh.next) {
		if (endpoint_eq(&i->literal, e))
			return i;
	}
	return NULL;
}

static void schedule(struct peers *p)
{
	struct mono first = MONO_NEVER;

	for (const struct peer *i = p->table; p->dials < DIALS && i; i = i->hh.next) {
		if (i->state == PEER_WAITING)
			first = mono_min(first, i->next_try);
	}
	loop_timer_at(p->timer, first);
}

/* FIRST, then doubled, each time with a jitter of a quarter either way: neighbours that lost one another do not dial in
 * step. */
static void wait_longer(struct peer *i, struct mono now)
{
	const struct peers *p = i->owner;
	const uint32_t permille = 750 + p->ops.random(p->ctx) % 501;

	i->backoff_ms = i->backoff_ms ? 2 * i->backoff_ms : LIMIT_DIAL_FIRST_MS;
	if (i->backoff_ms > BACKOFF_MAX_MS)
		i->backoff_ms = BACKOFF_MAX_MS;
	i->state = PEER_WAITING;
	i->next_try = mono_add_us(now, (int64_t)i->backoff_ms * permille);
}

static void note_error(struct peer *i, const char *error, struct mono now)
{
	snprintf(i->last_error, sizeof(i->last_error), "%s", error);
	i->last_error_at = now;
}

static bool seen_before(struct peer *i, const char *error)
{
	const uint32_t hash = siphash(error, strlen(error)) | 1;

	for (int n = 0; n < SEEN_ERRORS; n++) {
		if (i->seen[n] == hash)
			return true;
	}
	i->seen[i->seen_next++ % SEEN_ERRORS] = hash;
	return false;
}

static void failed(struct peer *i, const char *error, struct mono now)
{
	const enum log_level level = seen_before(i, error) ? LOG_DEBUG : LOG_INFO;

	note_error(i, error, now);
	wait_longer(i, now);
	i->turn++;
	log_at(level, "cannot connect to peer %s, which will be tried again: %s", i->text, error);
}

static void dial_end(struct peer *i)
{
	if (!i->dial)
		return;
	dial_free(i->dial);
	i->dial = NULL;
	i->owner->dials--;
}

static void on_dialled(void *ctx, const struct dial_result *r)
{
	struct peer *i = ctx;
	struct peers *p = i->owner;
	const char *why;
	const struct links_socket s = {
		.fd = r->fd, .local = r->local, .remote = r->remote, .flags = i->flags, .peer = i->handle};

	if (r->remote.sa.sa_family)
		i->remote = r->remote;
	if (r->fd < 0) {
		failed(i, r->error, mono_now());
	} else if (!p->ops.has_room(p->ctx, &why)) {
		close(r->fd);
		failed(i, why, mono_now());
	} else {
		i->state = PEER_UP;
	}
	dial_end(i);
	schedule(p);
	/* Last: the callee may change the table. */
	if (i->state == PEER_UP)
		p->ops.connected(p->ctx, &s);
}

static void try_now(struct peer *i, struct mono now)
{
	struct peers *p = i->owner;
	const char *why;

	if (!p->ops.has_room(p->ctx, &why)) {
		failed(i, why, now);
		return;
	}
	i->state = PEER_DIALLING;
	i->dial = dial_new(p->loop, &i->target, &p->config.overlay, i->turn, on_dialled, i);
	p->dials++;
}

static void on_timer(void *ctx, struct mono now)
{
	struct peers *p = ctx;

	for (struct peer *i = p->table; i && p->dials < DIALS; i = i->hh.next) {
		if (i->state == PEER_WAITING && mono_is_due(i->next_try, now))
			try_now(i, now);
	}
	schedule(p);
}

struct peers *peers_new(struct loop *l, const struct peers_config *c, const struct peers_ops *ops, void *ctx)
{
	struct peers *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	*p = (struct peers){.loop = l, .config = *c, .ops = *ops, .ctx = ctx};
	p->timer = loop_timer_new(l, on_timer, p);
	return p;
}

static void peer_free(struct peer *i)
{
	dial_end(i);
	HASH_DEL(i->owner->table, i);
	free(i->text);
	free(i);
}

void peers_free(struct peers *p)
{
	struct peer *i, *next;

	if (!p)
		return;
	HASH_ITER (hh, p->table, i, next)
		peer_free(i);
	loop_timer_free(p->timer);
	free(p);
}

static bool only_discovered(const struct peer *i)
{
	return !(i->flags & CTL_LINK_STATIC);
}

/* Room for one more, if need be in place of the oldest discovered one without a link. */
static bool make_room(struct peers *p, uint32_t flags, const char **why)
{
	struct peer *victim = NULL;
	unsigned discovered = 0;

	for (struct peer *i = p->table; i; i = i->hh.next) {
		discovered += only_discovered(i);
		if (!victim && only_discovered(i) && i->state != PEER_UP)
			victim = i;
	}
	*why = "there are too many peers";
	if (!(flags & CTL_LINK_STATIC) && discovered >= LIMIT_DISCOVERED_PEERS) {
		if (!victim)
			return false;
		peer_free(victim);
	}
	return HASH_COUNT(p->table) < LIMIT_PEERS;
}

/* It was heard of again: perhaps it has just come back. */
static void heard_again(struct peer *i, uint32_t flags)
{
	const struct mono now = mono_now();

	i->flags |= flags;
	if (!(flags & CTL_LINK_DISCOVERED) || i->state != PEER_WAITING ||
	    mono_since_ms(now, i->last_error_at) < HEARD_AGAIN_MS)
		return;
	i->next_try = mono_min(i->next_try, now);
	schedule(i->owner);
}

uint64_t peers_add(struct peers *p, const char *text, uint32_t flags, const char **why)
{
	struct endpoint literal = {.v6 = {0}};
	struct target target;
	struct peer *i;

	if (!target_parse(text, &p->config.overlay, &target, why))
		return 0;
	if (!target.port)
		target.port = p->config.default_port;
	if (target.literal && target_endpoint(&target, &literal) < 0)
		literal.sa.sa_family = 0;
	i = find(p, handle_of(text));
	if (!i)
		i = find_literal(p, &literal);
	if (i) {
		heard_again(i, flags);
		return i->handle;
	}
	if (!make_room(p, flags, why))
		return 0;
	*why = "";
	i = calloc(1, sizeof(*i));
	if (!i)
		abort();
	*i = (struct peer){
		.handle = handle_of(text), .owner = p, .text = strdup(text), .target = target, .literal = literal};
	if (!i->text)
		abort();
	i->flags = flags;
	i->next_try = mono_now();
	HASH_ADD(hh, p->table, handle, sizeof(i->handle), i);
	schedule(p);
	return i->handle;
}

void peers_del(struct peers *p, uint64_t peer)
{
	struct peer *i = find(p, peer);

	if (!i)
		return;
	peer_free(i);
	schedule(p);
}

void peers_link_up(struct peers *p, uint64_t peer)
{
	struct peer *i = find(p, peer);

	if (!i)
		return;
	dial_end(i);
	i->state = PEER_UP;
	schedule(p);
}

void peers_link_down(struct peers *p, uint64_t peer, int64_t lived_us, const char *reason)
{
	struct peer *i = find(p, peer);
	const struct mono now = mono_now();

	if (!i || i->state != PEER_UP)
		return;
	if (lived_us >= LIVED_LONG_US) {
		i->backoff_ms = 0;
		memset(i->seen, 0, sizeof(i->seen));
	}
	note_error(i, reason, now);
	wait_longer(i, now);
	schedule(p);
}

/* The back-off begins anew as well: the address often comes before the route that makes it useful. */
void peers_hurry(struct peers *p)
{
	const struct mono now = mono_now();

	for (struct peer *i = p->table; i; i = i->hh.next) {
		if (i->state != PEER_WAITING)
			continue;
		i->backoff_ms = 0;
		i->next_try = mono_min(i->next_try, now);
	}
	schedule(p);
}

void peers_each(const struct peers *p, void (*fn)(void *ctx, const struct peer_info *i), void *ctx)
{
	for (const struct peer *i = p->table; i; i = i->hh.next) {
		const struct peer_info info = {
			.peer = i->handle,
			.text = i->text,
			.remote = i->remote,
			.flags = i->flags,
			.up = i->state == PEER_UP,
			.next_try = i->state == PEER_WAITING ? i->next_try : MONO_NEVER,
			.last_error = i->last_error,
			.last_error_at = i->last_error_at,
		};

		fn(ctx, &info);
	}
}

bool peers_check(const char *text, const struct prefix *overlay, const char **why)
{
	struct target t;

	return target_parse(text, overlay, &t, why);
}
