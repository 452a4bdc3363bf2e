/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's links: adopted by a record of control, watched by epoll, kept alive, closed at the end of a turn if
 * anything in it failed them, and forgotten when control has been told. */
#include "fastpath/worker_state.h"
#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	STRETCH_MAX_BYTES = 16 * 1024, /* TLVs in one record to control */
	IHUS_PER_STAGE = 16, /* a neighbour sends one Hello in seconds, not a thousand in one read */
	MOURNING_MS = 50,
};

static struct link *slot_of(const struct worker *w, uint32_t id)
{
	return &w->links[id % LIMIT_LINK_SLOTS];
}

static bool is_ours(const struct worker *w, uint32_t id)
{
	return id % LIMIT_LINK_SLOTS % w->f->worker_count == w->index;
}

struct link *links_find(const struct worker *w, uint32_t id)
{
	struct link *l = slot_of(w, id);

	return is_ours(w, id) && l->id == id && l->state == LINK_UP ? l : NULL;
}

static void watch(struct worker *w, struct link *l)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = l->id % LIMIT_LINK_SLOTS};

	if (l->watched == link_wants_write(l) || l->state != LINK_UP)
		return;
	l->watched = !l->watched;
	if (l->watched)
		e.events |= EPOLLOUT;
	epoll_ctl(w->epoll_fd, EPOLL_CTL_MOD, l->fd, &e);
}

static void flush(struct worker *w, struct link *l)
{
	skey_open_release(&w->opener);
	link_flush(l, w->now);
	watch(w, l);
	w->reap |= l->state == LINK_FAILED;
}

static void mark(struct worker *w, struct link *l)
{
	if (l->dirty)
		return;
	l->dirty = true;
	l->next_dirty = w->dirty;
	w->dirty = l;
}

void links_send(struct worker *w, uint32_t id, uint8_t *frames, size_t bytes, uint32_t count)
{
	struct link *l = links_find(w, id);

	if (!is_ours(w, id)) {
		handover_send(w, id % LIMIT_LINK_SLOTS % w->f->worker_count, id, frames, bytes);
		return;
	}
	if (!l) {
		stat_add(w->stats, STAT_drop_link_gone, count);
		return;
	}
	stat_add(w->stats, STAT_link_tx_frames, count);
	mark(w, l);
	if (link_run_add(l, frames, bytes))
		return;
	flush(w, l);
	if (!link_run_add(l, frames, bytes))
		stat_add(w->stats, STAT_drop_link_gone, count);
}

void links_flush(struct worker *w)
{
	skey_open_release(&w->opener);
	while (w->dirty) {
		struct link *l = w->dirty;

		w->dirty = l->next_dirty;
		l->dirty = false;
		flush(w, l);
	}
	handover_flush(w);
	w->seal_used = 0;
}

static void hello(struct worker *w, struct link *l)
{
	uint8_t tlv[LIVE_TLV_BYTES];

	live_hello(&l->live, w->f->network, w->now, tlv);
	link_control(l, tlv, sizeof(tlv));
	mark(w, l);
}

/* control must learn of it: what does not fit its mailbox now is tried again. */
static bool tell_down(struct worker *w, const struct ctl_link_down *down)
{
	return mail_put(w->out, CTL_LINK_DOWN, down, sizeof(*down), NULL, 0);
}

static void refuse(struct worker *w, uint32_t id, int fd)
{
	const struct ctl_link_down down = {.link = id, .reason = CTL_DOWN_REFUSED, .text = "no free slot"};

	close(fd);
	if (!tell_down(w, &down))
		stat_inc(w->stats, STAT_drop_ctl_full);
}

void links_adopt(struct worker *w, const struct ctl_adopt *adopt, int fd)
{
	struct link *l = slot_of(w, adopt->link);
	const struct link_place place = {.pool = w->pool,
					 .stats = w->stats,
					 .counters = &w->f->links[adopt->link % LIMIT_LINK_SLOTS],
					 .buffers = &w->link_buffers[adopt->link % LIMIT_LINK_SLOTS]};
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = adopt->link % LIMIT_LINK_SLOTS};

	if (!is_ours(w, adopt->link) || l->state != LINK_FREE) {
		refuse(w, adopt->link, fd);
		return;
	}
	link_init(l, adopt->link, fd, &place, w->now);
	l->active_index = w->active_count;
	w->active[w->active_count++] = (uint16_t)(adopt->link % LIMIT_LINK_SLOTS);
	if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0) {
		link_fail(l, CTL_DOWN_ERROR, errno, "");
		w->reap = true;
		return;
	}
	hello(w, l);
	worker_due(w, live_due(&l->live, w->f->network));
}

void links_ask_close(struct worker *w, const struct ctl_link_close *ask)
{
	struct link *l = links_find(w, ask->link);
	char reason[CTL_REASON_BYTES];

	if (!l)
		return;
	memcpy(reason, ask->reason, sizeof(reason));
	reason[sizeof(reason) - 1] = 0;
	link_fail(l, CTL_DOWN_ASKED, 0, reason);
	w->reap = true;
}

void links_ask_tlv(struct worker *w, const uint8_t *body, size_t len)
{
	struct ctl_tlv to;
	struct link *l;

	if (len < sizeof(to) + WIRE_TLV_HEADER_BYTES)
		return;
	memcpy(&to, body, sizeof(to));
	body += sizeof(to);
	len -= sizeof(to);
	l = links_find(w, to.link);
	/* Exactly one TLV: older decoders lose the stream over anything else. */
	if (!l || len != (size_t)WIRE_TLV_HEADER_BYTES + body[1])
		return;
	link_control(l, body, len);
	mark(w, l);
}

static void pass_up(struct worker *w, const struct link *l, const uint8_t *tlvs, size_t len)
{
	const struct ctl_tlv from = {.link = l->id};

	if (len && !mail_put(w->out, CTL_TLV, &from, sizeof(from), tlvs, len))
		stat_inc(w->stats, STAT_drop_ctl_full);
}

static void on_hello(struct worker *w, struct link *l, unsigned *ihus)
{
	uint8_t tlv[LIVE_TLV_BYTES];

	live_on_hello(&l->live, w->now);
	if (++*ihus > IHUS_PER_STAGE)
		return;
	live_ihu(w->f->network, tlv);
	link_control(l, tlv, sizeof(tlv));
	mark(w, l);
}

static void on_ihu(struct worker *w, struct link *l)
{
	const struct ctl_link_rtt rtt = {.link = l->id,
					 .rtt_us = live_on_ihu(&l->live, w->now),
					 .rx_bytes = l->counters->rx_bytes,
					 .tx_bytes = l->counters->tx_bytes};

	if (rtt.rtt_us && !mail_put(w->out, CTL_LINK_RTT, &rtt, sizeof(rtt), NULL, 0))
		stat_inc(w->stats, STAT_drop_ctl_full);
}

/* Takes a TLV that concerns the link itself. False: it is to be passed up. */
static bool live_tlv(struct worker *w, struct link *l, const struct stream_tlv *t, unsigned *ihus)
{
	const bool whole = t->len >= LIVE_TLV_BYTES;

	if (t->type == STREAM_TLV_UPDATE || t->type == STREAM_TLV_SEQNO_REQUEST)
		return false;
	if (t->type == STREAM_TLV_HELLO && whole)
		on_hello(w, l, ihus);
	else if (t->type == STREAM_TLV_IHU && whole)
		on_ihu(w, l);
	else
		stat_inc(w->stats, STAT_control_skipped);
	return true;
}

void links_control(struct worker *w, struct link *l, const struct stream_packet *p, unsigned *ihus)
{
	struct rd r = stream_tlvs(p);
	const uint8_t *start = r.p, *end = r.p; /* TLVs to be passed up, one behind the other */
	struct stream_tlv t;

	stat_inc(w->stats, STAT_control_rx);
	while (stream_tlv_next(&r, &t)) {
		if (stream_tlv_is_newer(&t)) {
			link_fail(l, CTL_DOWN_GARBAGE, 0, "looks like v0.3.0 or newer: shortened prefix in an Update");
			return;
		}
		if (live_tlv(w, l, &t, ihus))
			continue;
		if (t.bytes != end || (size_t)(end - start) + t.len > STRETCH_MAX_BYTES) {
			pass_up(w, l, start, (size_t)(end - start));
			start = t.bytes;
		}
		end = t.bytes + t.len;
	}
	pass_up(w, l, start, (size_t)(end - start));
	if (r.bad)
		stat_inc(w->stats, STAT_control_skipped);
}

void links_event(struct worker *w, unsigned slot, uint32_t events)
{
	struct link *l = &w->links[slot];

	if (l->state == LINK_UP && events & EPOLLOUT) {
		l->blocked = false;
		flush(w, l);
		if (!link_is_pressing(l))
			worker_flow_resume(w, l->id);
	}
	if (l->state == LINK_UP && events & ~(uint32_t)EPOLLOUT)
		forward_read(w, l);
}

static void judge(struct worker *w, struct link *l)
{
	switch (live_judge(&l->live, w->f->network, w->now)) {
	case LIVE_WELL:
		return;
	case LIVE_SEND_HELLO:
		hello(w, l);
		return;
	case LIVE_NO_IHU:
		link_fail(l, CTL_DOWN_IHU, 0, "");
		break;
	case LIVE_NO_HELLO:
		link_fail(l, CTL_DOWN_HELLO, 0, "");
		break;
	}
	w->reap = true;
}

struct mono links_tick(struct worker *w)
{
	struct mono due = w->mourning ? mono_add_ms(w->now, MOURNING_MS) : MONO_NEVER;

	w->reap |= w->mourning;
	for (unsigned i = 0; i < w->active_count; i++) {
		struct link *l = &w->links[w->active[i]];

		if (l->state != LINK_UP)
			continue;
		judge(w, l);
		if (l->state == LINK_UP)
			due = mono_min(due, live_due(&l->live, w->f->network));
	}
	return due;
}

static void close_link(struct worker *w, struct link *l)
{
	l->down.lived_us = (uint64_t)mono_since_us(w->now, l->adopted);
	l->down.rx_bytes = l->counters->rx_bytes;
	l->down.tx_bytes = l->counters->tx_bytes;
	epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, l->fd, NULL);
	/* Another process may still hold a copy of the descriptor: the connection ends all the same. */
	shutdown(l->fd, SHUT_RDWR);
	link_close(l);
	madvise(l->buffers, sizeof(*l->buffers), MADV_DONTNEED);
	l->state = LINK_MOURNED;
}

static void forget(struct worker *w, struct link *l)
{
	const uint16_t last = w->active[--w->active_count];

	w->active[l->active_index] = last;
	w->links[last].active_index = l->active_index;
	l->state = LINK_FREE;
}

void links_reap(struct worker *w)
{
	if (!w->reap)
		return;
	assert(!w->dirty);
	w->reap = w->mourning = false;
	for (unsigned i = w->active_count; i-- > 0;) {
		struct link *l = &w->links[w->active[i]];

		if (l->state == LINK_FAILED)
			close_link(w, l);
		if (l->state != LINK_MOURNED)
			continue;
		if (tell_down(w, &l->down))
			forget(w, l);
		else
			w->mourning = true;
	}
	if (w->mourning)
		worker_due(w, mono_add_ms(w->now, MOURNING_MS));
}

void links_fini(struct worker *w)
{
	for (unsigned i = 0; i < w->active_count; i++) {
		struct link *l = &w->links[w->active[i]];

		if (l->state != LINK_MOURNED)
			close_link(w, l);
	}
}
