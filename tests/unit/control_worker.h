/* SPDX-License-Identifier: Apache-2.0 */
/* Stand-in workers for tests of the control thread: they take the place of worker.c in the program that includes this,
 * and answer each mail by one record, so that the test sees what reached them. */
#ifndef TESTS_UNIT_CONTROL_WORKER_H
#define TESTS_UNIT_CONTROL_WORKER_H

#include "fastpath/worker.h"
#include "tests/support/ctlchild.h"
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	IN_BYTES = 4096, /* small: it must overflow */
	OUT_BYTES = 1 << 20,
	USER_BYTES = 1 << 17,
};

struct worker {
	struct fastpath *f;
	unsigned index;
	int tun_fd;
	struct mail *in, *out, *user_in, *user_out;
	pthread_t thread;
	int sockets[LIMIT_LINK_SLOTS];
};

struct worker *worker_new(struct fastpath *f, unsigned index, int tun_fd)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->f = f;
	w->index = index;
	w->tun_fd = tun_fd;
	w->in = mail_new(IN_BYTES);
	w->out = mail_new(OUT_BYTES);
	w->user_in = mail_new(USER_BYTES);
	w->user_out = mail_new(USER_BYTES);
	memset(w->sockets, -1, sizeof(w->sockets));
	return w->in && w->out && w->user_in && w->user_out ? w : NULL;
}

struct mail *worker_in(struct worker *w)
{
	return w->in;
}

struct mail *worker_out(struct worker *w)
{
	return w->out;
}

struct mail *worker_user_in(struct worker *w)
{
	return w->user_in;
}

struct mail *worker_user_out(struct worker *w)
{
	return w->user_out;
}

static void answer(struct worker *w, enum ctl_type type, const void *body, size_t len)
{
	if (!mail_put(w->out, (uint16_t)type, body, len, NULL, 0))
		abort();
}

static void link_goes(struct worker *w, uint32_t link, enum ctl_down_reason reason, const char *text)
{
	struct ctl_link_down down = {.link = link, .reason = reason};

	snprintf(down.text, sizeof(down.text), "%s", text);
	close(w->sockets[link % LIMIT_LINK_SLOTS]);
	w->sockets[link % LIMIT_LINK_SLOTS] = -1;
	answer(w, CTL_LINK_DOWN, &down, sizeof(down));
}

static void look_up(const struct worker *w, uint8_t *value)
{
	const struct table_entry *e;
	struct ip6 dst;
	uint32_t out[2];

	memcpy(dst.b, value, sizeof(dst.b));
	epoch_enter(&w->f->epoch, w->index);
	e = table_find(w->f->table, ip6_net64(&dst));
	out[0] = table_link(e, &dst);
	out[1] = e ? e->key : 0;
	epoch_leave(&w->f->epoch, w->index);
	memcpy(value, out, sizeof(out));
}

static uint32_t index_of(const struct worker *w, const uint32_t *slot)
{
	const uint32_t number = __atomic_load_n(slot, __ATOMIC_ACQUIRE);

	return number ? skeys_slot(w->f->skeys, number)->index : 0;
}

static void look_key(const struct worker *w, uint8_t *value)
{
	const struct table_entry *e;
	struct ctlchild_key k;

	memcpy(&k, value, sizeof(k));
	epoch_enter(&w->f->epoch, w->index);
	e = table_find(w->f->table, k.net64);
	k.slot = e ? e->key : 0;
	if (k.slot) {
		const struct key_slot *s = keys_slot(w->f->keys, k.slot);

		k.way = __atomic_load_n(&s->way, __ATOMIC_RELAXED);
		k.refuse_static = __atomic_load_n(&s->refuse_static, __ATOMIC_RELAXED);
		k.wanted = __atomic_load_n(&s->wanted_s, __ATOMIC_RELAXED) != 0;
		k.session = index_of(w, &s->session);
		k.session_before = index_of(w, &s->session_before);
	}
	epoch_leave(&w->f->epoch, w->index);
	memcpy(value, &k, sizeof(k));
}

static void use_static(const struct worker *w, const struct ctlchild_use *u)
{
	const struct table_entry *e = table_find(w->f->table, u->net64);
	struct key_slot *s;

	if (!e || !e->key)
		return;
	s = keys_slot(w->f->keys, e->key);
	__atomic_fetch_add(&s->sealed, u->packets, __ATOMIC_RELAXED);
	__atomic_fetch_add(&s->opened, 2 * u->packets, __ATOMIC_RELAXED);
	__atomic_store_n(&s->wanted_s, 1, __ATOMIC_RELAXED);
}

static void use_session(struct skey *s, uint32_t packets)
{
	if (!s)
		return;
	__atomic_store_n(&s->confirmed, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&s->sealed.packets, packets, __ATOMIC_RELAXED);
	__atomic_fetch_add(&s->sealed.bytes, 100 * packets, __ATOMIC_RELAXED);
	__atomic_store_n(&s->sealed.lane_end, packets + 7, __ATOMIC_RELAXED);
	__atomic_store_n(&s->opened.data_us, 4711, __ATOMIC_RELAXED);
}

static void use_key(const struct worker *w, const uint8_t *value)
{
	struct ctlchild_use u;

	memcpy(&u, value, sizeof(u));
	epoch_enter(&w->f->epoch, w->index);
	if (u.index)
		use_session(skeys_find(w->f->skeys, u.index), u.packets);
	else
		use_static(w, &u);
	epoch_leave(&w->f->epoch, w->index);
}

static void say(struct worker *w)
{
	answer(w, CTL_SESSION_WANT, &(const struct ctl_session_want){.net64 = 1}, sizeof(struct ctl_session_want));
	answer(w, CTL_SESSION_STRAY, &(const struct ctl_session_stray){.index = 2}, sizeof(struct ctl_session_stray));
	answer(w, CTL_SESSION_REFUSED, &(const struct ctl_session_refused){.bytes = 3},
	       sizeof(struct ctl_session_refused));
	answer(w, CTL_SESSION_CONFIRMED, &(const struct ctl_session_confirmed){.index = 4},
	       sizeof(struct ctl_session_confirmed));
}

static void wait_for_gate(void)
{
	uint64_t ticket;

	if (read(ctlchild_gate, &ticket, sizeof(ticket)) < 0)
		abort();
}

static void answer_within_batch(struct worker *w, const uint8_t *tlv, size_t len)
{
	epoch_enter(&w->f->epoch, w->index);
	answer(w, CTL_TLV, tlv, len);
	mail_kick(w->out);
	wait_for_gate();
	epoch_leave(&w->f->epoch, w->index);
}

static void on_tlv(struct worker *w, const uint8_t *body, size_t len)
{
	uint8_t copy[sizeof(struct ctl_tlv) + 2 + 255];
	const uint8_t what = body[4];

	memcpy(copy, body, len);
	if (what == CTLCHILD_GATE_EPOCH) {
		answer_within_batch(w, copy, len);
		return;
	}
	if (what == CTLCHILD_LOOK_UP)
		look_up(w, copy + 6);
	if (what == CTLCHILD_LOOK_KEY)
		look_key(w, copy + 6);
	if (what == CTLCHILD_USE_KEY)
		use_key(w, copy + 6);
	if (what == CTLCHILD_SAY)
		say(w);
	if (what == CTLCHILD_GATE || what == CTLCHILD_GATE_DOWN)
		wait_for_gate();
	answer(w, CTL_TLV, copy, len);
	if (what == CTLCHILD_GATE_DOWN)
		link_goes(w, ((const struct ctl_tlv *)body)->link, CTL_DOWN_CLOSED, "");
}

static void on_adopt(struct worker *w, const struct ctl_adopt *adopt)
{
	const struct ctl_link_rtt rtt = {.link = adopt->link, .rtt_us = 1000 + w->index};
	int *fd = &w->sockets[adopt->link % LIMIT_LINK_SLOTS];

	memcpy(fd, adopt + 1, sizeof(*fd));
	__atomic_store_n(&w->f->links[adopt->link % LIMIT_LINK_SLOTS].rx_bytes, 77, __ATOMIC_RELAXED);
	if (write(*fd, "hello", 5) != 5)
		abort();
	answer(w, CTL_LINK_RTT, &rtt, sizeof(rtt));
}

/* net64 and key slot seen: comes back as a question. */
static void on_key(struct worker *w, const struct ctl_no_key *k)
{
	struct ctl_want_key want = {.net64 = k->net64, .reserved = w->index};
	const struct table_entry *e;

	epoch_enter(&w->f->epoch, w->index);
	e = table_find(w->f->table, k->net64);
	want.own = e ? e->key : 0;
	epoch_leave(&w->f->epoch, w->index);
	answer(w, CTL_WANT_KEY, &want, sizeof(want));
}

static void on_config(struct worker *w, const struct ctl_config *config)
{
	const struct ctl_link_rtt told = {.link = 0, .rtt_us = config->tun_mtu};

	answer(w, CTL_LINK_RTT, &told, sizeof(told));
}

static bool on_mail(struct worker *w, uint16_t type, const void *body, size_t len)
{
	if (type == CTL_TLV)
		on_tlv(w, body, len);
	else if (type == CTL_ADOPT)
		on_adopt(w, body);
	else if (type == CTL_LINK_CLOSE)
		link_goes(w, ((const struct ctl_link_close *)body)->link, CTL_DOWN_ASKED,
			  ((const struct ctl_link_close *)body)->reason);
	else if (type == CTL_NO_KEY)
		on_key(w, body);
	else if (type == CTL_CONFIG)
		on_config(w, body);
	return type != CTL_STOP;
}

/* A message packet comes back, from whom it went to, over link 1 + the worker's number. One whose only byte
 * is CTLCHILD_GATE waits for the gate. */
static void on_user(struct worker *w, const struct ctl_user_down *down, size_t len)
{
	const struct ctl_user_up up = {
		.src = down->dst, .dst = down->src, .session = down->session, .link = 1 + w->index, .type = down->type};

	if (len == sizeof(*down) + 1 && *(const uint8_t *)(down + 1) == CTLCHILD_GATE)
		wait_for_gate();
	while (!mail_put(w->user_out, CTL_USER_UP, &up, sizeof(up), down + 1, len - sizeof(*down))) {
		mail_kick(w->user_out);
		sched_yield();
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct pollfd p[] = {{.fd = mail_fd(w->in), .events = POLLIN}, {.fd = mail_fd(w->user_in), .events = POLLIN}};
	uint8_t *body;
	uint16_t type;
	size_t len;

	for (;;) {
		mail_doze(w->in);
		while (mail_next(w->in, &type, &body, &len)) {
			if (!on_mail(w, type, body, len))
				return NULL;
			mail_kick(w->out);
		}
		mail_doze(w->user_in);
		while (mail_next(w->user_in, &type, &body, &len))
			on_user(w, (const struct ctl_user_down *)(void *)body, len);
		mail_kick(w->user_out);
		poll(p, 2, -1);
	}
}

int worker_start(struct worker *w)
{
	return -pthread_create(&w->thread, NULL, work, w);
}

void worker_join_free(struct worker *w)
{
	pthread_join(w->thread, NULL);
	for (size_t i = 0; i < LIMIT_LINK_SLOTS; i++)
		if (w->sockets[i] >= 0)
			close(w->sockets[i]);
	if (w->tun_fd >= 0)
		close(w->tun_fd);
	mail_free(w->in);
	mail_free(w->out);
	mail_free(w->user_in);
	mail_free(w->user_out);
	free(w);
}

#endif
