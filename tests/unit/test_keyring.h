/* SPDX-License-Identifier: Apache-2.0 */
/* Two keyrings, each with a fastpath that is a table: it answers as a fastpath does, and hands user data over to the
 * other one. Clocks are set. For the test_keyring programs. */
#ifndef TESTS_UNIT_TEST_KEYRING_H
#define TESTS_UNIT_TEST_KEYRING_H

#include "tests/unit/test_keyring_side.h"

#include "tests/support/lanes_memory.h"

static inline struct side *other(struct side *s)
{
	return &s->world->side[1 - s->number];
}

static inline void record(struct side *s, enum ctl_type type, const void *body)
{
	keyring_on_record(s->k, type, body, s->world->t);
}

/* Opened under a session key. */
static inline void open_keyed(struct side *s, const struct flying *f, struct ctl_user_up *u)
{
	struct held *h = held_find(s, f->far_index);
	const struct node *from = &s->world->side[f->from].self;
	struct ctl_session_stray stray = {
		.net64 = from->net64, .index = f->far_index, .sealed_bytes = (uint32_t)f->len + WIRE_SEALED_MIN_BYTES};
	const struct ctl_session_confirmed confirmed = {.index = f->far_index};

	if (!h) {
		memcpy(stray.public_key, from->pk.b, sizeof(stray.public_key));
		record(s, CTL_SESSION_STRAY, &stray);
		return;
	}
	assert_memory_equal(h->key.receive, f->key.b, sizeof(f->key.b));
	h->key.info.confirmed = h->key.info.slot == CTL_SESSION_NEXT;
	if (h->key.info.confirmed)
		record(s, CTL_SESSION_CONFIRMED, &confirmed);
	u->session = f->far_index;
	keyring_on_packet(s->k, u, f->bytes, f->len, s->world->t);
}

static inline void deliver(struct world *w, const struct flying *f)
{
	struct side *from = &w->side[f->from], *to = other(from);
	struct ctl_user_up u = {.src = f->u.src, .dst = f->u.dst, .type = f->u.type};

	if (to->deaf || !ip6_eq(&f->u.dst, &to->self.address))
		return;
	memcpy(u.public_key, from->self.pk.b, sizeof(u.public_key));
	if (f->far_index)
		open_keyed(to, f, &u);
	else
		keyring_on_packet(to->k, &u, f->bytes, f->len, w->t);
}

static inline void tell_gone(struct side *s)
{
	while (s->gone_count && !s->holds_back) {
		const struct ctl_session_gone gone = {.index = s->gone[--s->gone_count], .error = s->refuses};

		record(s, CTL_SESSION_GONE, &gone);
	}
}

/* Until nothing is under way. */
static inline void pump(struct world *w)
{
	int turns = 0;

	do {
		struct flying all[FLYING];
		const size_t count = w->count;

		assert_true(++turns < 100);
		memcpy(all, w->flying, count * sizeof(all[0]));
		w->count = 0;
		for (size_t i = 0; i < count; i++)
			deliver(w, &all[i]);
		for (int i = 0; i < SIDES; i++) {
			tell_gone(&w->side[i]);
			w->side[i].due = keyring_tick(w->side[i].k, w->t);
		}
	} while (w->count);
}

static inline void step_ms(struct world *w, int64_t ms)
{
	w->t.now = mono_add_ms(w->t.now, ms);
	w->t.real_ns += ms * 1000000;
	pump(w);
}

static inline void pass_ms(struct world *w, int64_t ms)
{
	for (; ms > 500; ms -= 500)
		step_ms(w, 500);
	step_ms(w, ms);
}

static inline void want(struct side *s, const struct node *n)
{
	struct ctl_session_want body = {.net64 = n->net64};

	memcpy(body.public_key, n->pk.b, sizeof(body.public_key));
	record(s, CTL_SESSION_WANT, &body);
	pump(s->world);
}

/* So many packets of 100 bytes go from one side to the other. */
static inline void talk(struct side *from, uint64_t packets)
{
	struct side *to = other(from);
	struct held *a = held_at(from, CTL_SESSION_SEND), *b;

	assert_non_null(a);
	b = held_find(to, a->key.info.far_index);
	assert_non_null(b);
	a->use.sealed_packets += packets;
	a->use.sealed_bytes += 100 * packets;
	a->use.lane_end += packets;
	b->use.opened_packets += packets;
	b->use.opened_bytes += 100 * packets;
	a->use.sealed_us = b->use.opened_us = from->world->t.now.us;
	record(from, CTL_SESSION_USE, &a->use);
	record(to, CTL_SESSION_USE, &b->use);
	pump(from->world);
}

static inline void keep(void *ctx, const struct keyring_view *v)
{
	*(struct keyring_view *)ctx = *v;
}

/* What s knows of the other side. */
static inline struct keyring_view view(struct side *s)
{
	struct keyring_view v;

	assert_true(keyring_find(s->k, other(s)->self.net64, s->world->t, keep, &v));
	return v;
}

static inline void make_memory(struct side *s)
{
	if (s->lanes)
		lanes_memory_free(s->lanes);
	s->lanes = lanes_memory_new();
	told_random(s, s->lanes->header.id, sizeof(s->lanes->header.id));
	s->lanes->header.generation = 7;
}

/* controld begins, with what the store holds. */
static inline void begin(struct side *s)
{
	s->config.network = &network200;
	s->config.pk = s->self.pk;
	s->config.sk = &s->self.sk;
	s->k = keyring_new(&s->config, &ops, s, s->world->t);
	for (int i = 0; i < PINS; i++)
		if (s->pins[i].net64)
			keyring_found_pin(s->k, &s->pins[i], s->world->t);
	for (int i = 0; i < PINS; i++)
		if (s->modes[i].net64)
			keyring_found_mode(s->k, &s->modes[i], s->world->t);
}

/* A fastpath begins, or the one that runs is found. */
static inline void ready(struct side *s)
{
	keyring_memory(s->k, s->lanes);
	for (int i = 0; i < HELD; i++)
		if (s->held[i].live)
			keyring_found_session(s->k, &s->held[i].key.info, s->world->t);
	keyring_start(s->k, s->world->t);
}

static inline struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_true(sodium_init() >= 0);
	w->t.now.us = START_S * INT64_C(1000000);
	w->t.real_ns = REAL_NS;
	w->log_fd = w->stderr_fd = -1;
	for (int i = 0; i < SIDES; i++) {
		w->side[i].world = w;
		w->side[i].number = (uint8_t)i;
		w->side[i].self = node_of(1 + (uint32_t)i);
		w->side[i].config.mode = SESSION_OPPORTUNISTIC;
		make_memory(&w->side[i]);
	}
	return w;
}

static inline void world_begin(struct world *w)
{
	for (int i = 0; i < SIDES; i++) {
		begin(&w->side[i]);
		ready(&w->side[i]);
	}
}

static inline struct world *world_default(void)
{
	struct world *w = world_new();

	world_begin(w);
	return w;
}

/* With a session that the first side asked for. */
static inline struct world *world_with_session(void)
{
	struct world *w = world_default();

	want(&w->side[0], &w->side[1].self);
	assert_non_null(held_at(&w->side[0], CTL_SESSION_SEND));
	assert_non_null(held_at(&w->side[1], CTL_SESSION_SEND));
	return w;
}

/* Log lines are kept from here on. */
static inline void log_begin(struct world *w)
{
	w->log_fd = memfd_create("log", MFD_CLOEXEC);
	w->stderr_fd = dup(STDERR_FILENO);
	assert_true(w->log_fd >= 0 && w->stderr_fd >= 0);
	assert_int_equal(dup2(w->log_fd, STDERR_FILENO), STDERR_FILENO);
}

/* How often a text was logged. */
static inline size_t logged(const struct world *w, const char *text)
{
	char all[65536];
	const ssize_t len = pread(w->log_fd, all, sizeof(all) - 1, 0);
	size_t n = 0;

	assert_true(len >= 0);
	all[len] = '\0';
	for (const char *at = strstr(all, text); at; at = strstr(at + 1, text))
		n++;
	return n;
}

static inline void world_free(struct world *w)
{
	if (w->stderr_fd >= 0) {
		dup2(w->stderr_fd, STDERR_FILENO);
		close(w->stderr_fd);
		close(w->log_fd);
	}
	for (int i = 0; i < SIDES; i++) {
		keyring_free(w->side[i].k);
		lanes_memory_free(w->side[i].lanes);
	}
	free(w);
}

#endif
