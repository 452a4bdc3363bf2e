/* SPDX-License-Identifier: Apache-2.0 */
#include "fastpath/link.h"

#include "fastpath/stats.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	QUEUE_IOVS = 64, /* rest and chunks of the queues that one call writes; what is left goes with the next */
	FLUSH_IOVS = QUEUE_IOVS + LINK_RUN_IOVS,
	/* Until a link's rate is known. */
	LIMIT_FIRST_BYTES = 512 * 1024,
	DRAIN_MIN_US = 5000,
	DRAIN_MIN_BYTES = 64 * 1024,
	/* Hellos and IHUs have a small queue of their own, before all others: behind a long table of routes on a slow
	   link they would come too late. */
	LIVE_BYTES = 1024,
	PRESSING_MS = 5,
	PRESSING_BYTES = 128 * 1024,
};

static void set_up_socket(int fd)
{
	static const int one = 1, lowat = LIMIT_NOTSENT_LOWAT_BYTES;
	static const unsigned timeout = LIMIT_TCP_USER_TIMEOUT_MS;

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
}

void link_init(struct link *l, uint32_t id, int fd, const struct link_place *place, struct mono now)
{
	*l = (struct link){.id = id,
			   .fd = fd,
			   .state = LINK_UP,
			   .pool = place->pool,
			   .stats = place->stats,
			   .counters = place->counters,
			   .buffers = place->buffers,
			   .data_limit = LIMIT_FIRST_BYTES,
			   .adopted = now};
	__atomic_store_n(&l->counters->rx_bytes, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&l->counters->tx_bytes, 0, __ATOMIC_RELAXED);
	live_start(&l->live, id ^ (uint32_t)now.us, now);
	set_up_socket(fd);
}

static void queue_drop_head(struct link *l, struct link_queue *q)
{
	struct chunk *c = q->head;

	q->head = c->next;
	if (!q->head)
		q->tail = NULL;
	pool_give(l->pool, c);
}

static void queue_fini(struct link *l, struct link_queue *q)
{
	while (q->head)
		queue_drop_head(l, q);
	q->bytes = 0;
}

/* Whole data frames from p to end. */
static uint64_t frames_count(const uint8_t *p, const uint8_t *end)
{
	uint64_t count = 0;

	for (; p < end; p += stream_packet_size(p))
		count++;
	return count;
}

static void run_lose(struct link *l)
{
	uint64_t lost = 0;

	for (unsigned i = 0; i < l->run_count; i++) {
		const uint8_t *p = l->run[i].iov_base;

		lost += frames_count(p, p + l->run[i].iov_len);
	}
	stat_add(l->stats, STAT_drop_link_gone, lost);
	l->run_count = 0;
	l->run_bytes = 0;
}

static void data_lose(struct link *l)
{
	for (const struct chunk *c = l->data.head; c; c = c->next)
		stat_add(l->stats, STAT_drop_link_gone, frames_count(c->data + c->start, c->data + c->end));
	queue_fini(l, &l->data);
}

void link_close(struct link *l)
{
	close(l->fd);
	l->fd = -1;
	queue_fini(l, &l->urgent);
	queue_fini(l, &l->control);
	data_lose(l);
	run_lose(l);
	l->partial_len = l->rest_len = 0;
}

void link_fail(struct link *l, enum ctl_down_reason reason, int error, const char *text)
{
	if (l->state != LINK_UP)
		return;
	l->state = LINK_FAILED;
	l->down = (struct ctl_link_down){.link = l->id, .reason = reason, .error = error};
	snprintf(l->down.text, sizeof(l->down.text), "%s", text);
}

/* Room for a packet at the end of the queue; NULL: no chunk left. */
static uint8_t *queue_room(struct link *l, struct link_queue *q, size_t len)
{
	struct chunk *c = q->tail;
	uint8_t *p;

	if (!c || CHUNK_DATA_BYTES - c->end < len) {
		c = q == &l->data ? pool_take_data(l->pool) : pool_take(l->pool);
		if (!c)
			return NULL;
		if (q->tail)
			q->tail->next = c;
		else
			q->head = c;
		q->tail = c;
	}
	p = c->data + c->end;
	c->end += (uint32_t)len;
	q->bytes += len;
	return p;
}

bool link_control(struct link *l, const uint8_t *tlv, size_t len)
{
	const size_t size = WIRE_CONTROL_HEADER_BYTES + len;
	const uint8_t header[WIRE_CONTROL_HEADER_BYTES] = {
		WIRE_VERSION,	    WIRE_CONTROL,	 0,	      0, WIRE_BABEL_MAGIC,
		WIRE_BABEL_VERSION, (uint8_t)(len >> 8), (uint8_t)len};
	const bool live = tlv[0] == STREAM_TLV_HELLO || tlv[0] == STREAM_TLV_IHU;
	struct link_queue *q = live ? &l->urgent : &l->control;
	uint8_t *p = NULL;

	if (q->bytes + size <= (live ? LIVE_BYTES : LIMIT_CONTROL_QUEUE_BYTES))
		p = queue_room(l, q, size);
	if (!p) {
		stat_inc(l->stats, STAT_drop_control_full);
		return false;
	}
	memcpy(p, header, sizeof(header));
	memcpy(p + sizeof(header), tlv, len);
	return true;
}

/* The oldest frame goes. */
static void data_drop_first(struct link *l)
{
	struct chunk *c = l->data.head;
	const size_t size = stream_packet_size(c->data + c->start);

	c->start += (uint32_t)size;
	l->data.bytes -= size;
	stat_inc(l->stats, STAT_drop_queue_full);
	if (c->start == c->end)
		queue_drop_head(l, &l->data);
}

static void data_add(struct link *l, const uint8_t *frame, size_t size)
{
	uint8_t *p;

	while (l->data.head && l->data.bytes + size > l->data_limit)
		data_drop_first(l);
	p = queue_room(l, &l->data, size);
	if (p)
		memcpy(p, frame, size);
	else
		stat_inc(l->stats, STAT_drop_pool_empty);
}

/* Copies what is left of the run into the queue. */
static void queue_run(struct link *l)
{
	for (unsigned i = 0; i < l->run_count; i++) {
		const uint8_t *p = l->run[i].iov_base, *end = p + l->run[i].iov_len;

		while (p < end) {
			const size_t size = stream_packet_size(p);

			data_add(l, p, size);
			p += size;
		}
	}
	l->run_count = 0;
	l->run_bytes = 0;
}

static int queue_iovs(const struct link_queue *q, struct iovec *iov, int max)
{
	int n = 0;

	for (struct chunk *c = q->head; c && n < max; c = c->next)
		iov[n++] = (struct iovec){.iov_base = c->data + c->start, .iov_len = c->end - c->start};
	return n;
}

static int flush_iovs(struct link *l, struct iovec *iov)
{
	int n = 0;

	if (l->rest_len)
		iov[n++] = (struct iovec){.iov_base = l->buffers->rest + l->rest_start, .iov_len = l->rest_len};
	n += queue_iovs(&l->urgent, iov + n, QUEUE_IOVS - n);
	n += queue_iovs(&l->control, iov + n, QUEUE_IOVS - n);
	n += queue_iovs(&l->data, iov + n, QUEUE_IOVS - n);
	/* The run may only follow if nothing before it was left out: data keeps its order. */
	if (n >= QUEUE_IOVS)
		return n;
	memcpy(iov + n, l->run, l->run_count * sizeof(iov[0]));
	return n + (int)l->run_count;
}

/* Steps over n written bytes of the packets in p..end; the rest of one that went out partly is saved. Returns where
 * the next whole packet is. */
static uint8_t *step(struct link *l, uint8_t *p, size_t n)
{
	while (n) {
		const size_t size = stream_packet_size(p);

		if (n < size) {
			l->rest_start = 0;
			l->rest_len = (uint32_t)(size - n);
			memcpy(l->buffers->rest, p + n, size - n);
			n = size;
		}
		n -= size;
		p += size;
	}
	return p;
}

static size_t consume_queue(struct link *l, struct link_queue *q, size_t n)
{
	while (n && q->head) {
		struct chunk *c = q->head;
		const size_t held = c->end - c->start, take = n < held ? n : held;
		uint32_t start = c->end;

		if (take < held)
			start = (uint32_t)(step(l, c->data + c->start, take) - c->data);
		q->bytes -= start - c->start;
		c->start = start;
		if (c->start == c->end)
			queue_drop_head(l, q);
		n -= take;
	}
	return n;
}

static void consume_run(struct link *l, size_t n)
{
	unsigned done = 0;

	while (n && done < l->run_count) {
		struct iovec *v = &l->run[done];

		if (n < v->iov_len) {
			uint8_t *const next = step(l, v->iov_base, n);

			v->iov_len -= (size_t)(next - (uint8_t *)v->iov_base);
			v->iov_base = next;
			n = 0;
		} else {
			n -= v->iov_len;
			v->iov_len = 0;
		}
		done += v->iov_len == 0;
	}
	assert(!n);
	l->run_count -= done;
	memmove(l->run, l->run + done, l->run_count * sizeof(l->run[0]));
}

static void consume(struct link *l, size_t n)
{
	const size_t rest = n < l->rest_len ? n : l->rest_len;

	stat_add(l->stats, STAT_link_tx_bytes, n);
	__atomic_store_n(&l->counters->tx_bytes, l->counters->tx_bytes + n, __ATOMIC_RELAXED);
	l->drain.bytes += n;
	l->rest_start += (uint32_t)rest;
	l->rest_len -= (uint32_t)rest;
	n -= rest;
	if (l->rest_len)
		return;
	n = consume_queue(l, &l->urgent, n);
	n = consume_queue(l, &l->control, n);
	/* A control packet that went out partly is all that was written: n is 0. */
	n = consume_queue(l, &l->data, n);
	consume_run(l, n);
}

/* While busy, what went out in a few milliseconds, or enough bytes, make a sample. */
static void drain_measure(struct link *l, struct mono now)
{
	struct link_drain *d = &l->drain;
	const int64_t us = mono_since_us(now, d->since);
	uint64_t limit;

	if (!l->blocked) {
		d->since.us = 0;
		return;
	}
	if (!d->since.us) {
		*d = (struct link_drain){.since = now, .bytes_per_second = d->bytes_per_second};
		return;
	}
	if (!d->bytes || (us < DRAIN_MIN_US && (us <= 0 || d->bytes < DRAIN_MIN_BYTES)))
		return;
	d->bytes_per_second = (d->bytes_per_second + d->bytes * 1000000 / (uint64_t)us) / (d->bytes_per_second ? 2 : 1);
	d->since = now;
	d->bytes = 0;
	limit = d->bytes_per_second * LIMIT_SEND_QUEUE_MS / 1000;
	l->data_limit = limit < LIMIT_SEND_QUEUE_MIN_BYTES   ? LIMIT_SEND_QUEUE_MIN_BYTES
			: limit > LIMIT_SEND_QUEUE_MAX_BYTES ? LIMIT_SEND_QUEUE_MAX_BYTES
							     : (size_t)limit;
}

/* One call. False: nothing left to write, or the socket is full or dead. */
static bool write_once(struct link *l)
{
	struct iovec iov[FLUSH_IOVS];
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)flush_iovs(l, iov)};
	size_t all = 0;
	ssize_t n;

	for (size_t i = 0; i < m.msg_iovlen; i++)
		all += iov[i].iov_len;
	if (!all)
		return false;
	n = sendmsg(l->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS && errno != ENOMEM) {
		link_fail(l, CTL_DOWN_ERROR, errno, "");
		return false;
	}
	if (n > 0)
		consume(l, (size_t)n);
	l->blocked = n < (ssize_t)all;
	return !l->blocked;
}

void link_flush(struct link *l, struct mono now)
{
	if (l->state != LINK_UP) {
		run_lose(l);
		return;
	}
	while (!l->blocked && write_once(l))
		;
	queue_run(l);
	drain_measure(l, now);
}

bool link_is_pressing(const struct link *l)
{
	const uint64_t soon = l->drain.bytes_per_second * PRESSING_MS / 1000;

	return l->blocked && l->data.bytes > PRESSING_BYTES && (!l->drain.bytes_per_second || l->data.bytes < soon);
}
