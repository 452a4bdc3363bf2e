/* SPDX-License-Identifier: Apache-2.0 */
/* One read of a link: judged in batches, transit gathered into runs where it lies, own frames opened in place
 * (local.c) and coalesced towards the TUN. The read buffer is reused when forward_read() returns: by then every run is
 * written. */
#include "fastpath/worker_state.h"
#include <errno.h>
#include <sys/socket.h>

/* Frames for one link that lie one behind the other. */
struct transit {
	uint32_t link, count;
	uint8_t *start, *end;
};

static void transit_end(struct worker *w, struct transit *t)
{
	if (!t->count)
		return;
	links_send(w, t->link, t->start, (size_t)(t->end - t->start), t->count);
	stat_add(w->stats, STAT_transit_frames, t->count);
	t->count = 0;
}

static void transit_add(struct worker *w, struct transit *t, uint32_t link, const struct stream_packet *p)
{
	if (t->count && (t->link != link || t->end != p->bytes))
		transit_end(w, t);
	if (!t->count++) {
		t->link = link;
		t->start = p->bytes;
	}
	t->end = p->bytes + p->len;
}

static void drop_reported(struct worker *w, const struct icmp_error *e, enum stat_id why, const struct stream_packet *p)
{
	stat_inc(w->stats, why);
	oob_send(w, e, p->bytes, p->len);
}

static uint64_t net64_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(v);
}

/* Link of a destination that is not ours; 0: no route. */
static uint32_t route(struct worker *w, const uint8_t *frame, uint64_t net64)
{
	const struct table_entry *e = worker_find(w, &w->to, net64);
	struct ip6 dst;

	if (!e || !e->more)
		return e ? e->link : 0;
	memcpy(&dst, frame + offsetof(struct wire_data, dst), sizeof(dst));
	return table_link(e, &dst);
}

static void frame_in(struct worker *w, const struct link *from, struct transit *t, const struct stream_packet *p)
{
	static const struct icmp_error time_exceeded = {.type = ICMP_TIME_EXCEEDED};
	static const struct icmp_error no_route = {.type = ICMP_UNREACHABLE, .code = ICMP_NO_ROUTE};
	uint8_t *const hop_limit = p->bytes + offsetof(struct wire_data, hop_limit);
	const uint64_t net64 = net64_at(p->bytes + offsetof(struct wire_data, dst));
	uint32_t link;

	if (*hop_limit < 2) {
		drop_reported(w, &time_exceeded, STAT_drop_hop_limit, p);
		return;
	}
	--*hop_limit;
	if (net64 == w->own_net64) {
		local_frame(w, p->bytes, p->len, from->id);
		return;
	}
	link = route(w, p->bytes, net64);
	if (link)
		transit_add(w, t, link, p);
	else
		drop_reported(w, &no_route, STAT_drop_no_route, p);
}

static void batch_in(struct worker *w, struct link *l, const struct stream_batch *b, unsigned *ihus)
{
	struct transit t = {0};
	uint64_t frames = 0;

	l->opened |= b->count > 0;
	for (unsigned i = 0; i < b->count; i++) {
		const struct stream_packet *p = &b->packet[i];

		if (p->control) {
			links_control(w, l, p, ihus);
			continue;
		}
		frame_in(w, l, &t, p);
		frames++;
	}
	transit_end(w, &t);
	/* Not over frames of others either. */
	skey_open_release(&w->opener);
	stat_add(w->stats, STAT_link_rx_frames, frames);
}

static void bytes_in(struct worker *w, struct link *l, struct stream *s)
{
	enum stream_verdict verdict;
	struct stream_batch batch;
	unsigned ihus = 0;

	do {
		verdict = stream_read(s, &batch);
		batch_in(w, l, &batch, &ihus);
	} while (verdict == STREAM_FULL && l->state == LINK_UP);
	if (verdict == STREAM_BAD)
		link_fail(l, CTL_DOWN_GARBAGE, 0, stream_era(s->at, (size_t)(s->end - s->at), !l->opened));
	gso_join_flush(&w->join);
	links_flush(w);
}

/* Nothing, an end, or an error. */
static void read_failed(struct link *l, ssize_t n)
{
	if (n == 0)
		link_fail(l, CTL_DOWN_CLOSED, 0, l->partial_len ? "inside a packet" : "");
	else if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS && errno != ENOMEM)
		link_fail(l, CTL_DOWN_ERROR, errno, "");
}

void forward_read(struct worker *w, struct link *l)
{
	uint8_t *const buffer = w->read_buffer;
	const size_t had = l->partial_len;
	const ssize_t n = recv(l->fd, buffer + had, LIMIT_READ_BYTES, MSG_DONTWAIT);
	struct stream s;

	if (n <= 0) {
		read_failed(l, n);
		w->reap |= l->state != LINK_UP;
		return;
	}
	memcpy(buffer, l->buffers->partial, had);
	stat_add(w->stats, STAT_link_rx_bytes, (uint64_t)n);
	__atomic_store_n(&l->counters->rx_bytes, l->counters->rx_bytes + (uint64_t)n, __ATOMIC_RELAXED);
	worker_used(w, (size_t)n);
	s = (struct stream){.at = buffer, .end = buffer + had + (size_t)n};
	bytes_in(w, l, &s);
	w->reap |= l->state != LINK_UP;
	l->partial_len = (uint32_t)(s.end - s.at);
	if (l->state == LINK_UP)
		memcpy(l->buffers->partial, s.at, l->partial_len);
}
