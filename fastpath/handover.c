/* SPDX-License-Identifier: Apache-2.0 */
/* Frames for links of other workers: copied into chunks, each frame behind the id of its link, and given away by rings.
 * A chunk that comes in is either another worker's, with frames, or one of ours, coming back. */
#include "fastpath/worker_state.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { ID_BYTES = sizeof(uint32_t) };
_Static_assert(ID_BYTES + WIRE_FRAME_MAX_BYTES <= CHUNK_DATA_BYTES, "every frame fits a chunk");

int handover_init(struct worker *w)
{
	w->wake_armed = true;
	w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->wake_fd < 0)
		return -errno;
	w->hand_in = aligned_alloc(64, w->f->worker_count * sizeof(w->hand_in[0]));
	if (!w->hand_in)
		return -ENOMEM;
	memset(w->hand_in, 0, w->f->worker_count * sizeof(w->hand_in[0]));
	return 0;
}

void handover_fini(struct worker *w)
{
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	free(w->hand_in);
}

static void wake(struct worker *other)
{
	static const uint64_t one = 1;

	/* An eventfd that is full is readable anyway. */
	if (__atomic_load_n(&other->wake_armed, __ATOMIC_SEQ_CST) &&
	    __atomic_exchange_n(&other->wake_armed, false, __ATOMIC_SEQ_CST))
		(void)!write(other->wake_fd, &one, sizeof(one));
}

void handover_doze(struct worker *w)
{
	uint64_t count;

	(void)!read(w->wake_fd, &count, sizeof(count));
	__atomic_store_n(&w->wake_armed, true, __ATOMIC_SEQ_CST);
}

static void push(struct worker *w, unsigned owner)
{
	struct worker_hand *h = &w->hand[owner];

	if (!h->open)
		return;
	ring_put(&w->f->workers[owner]->hand_in[w->index], h->open);
	h->open = NULL;
	wake(w->f->workers[owner]);
}

/* The chunk that takes the next frame; NULL, and counted: there is none. */
static struct chunk *open_chunk(struct worker *w, unsigned owner, size_t size)
{
	struct worker_hand *h = &w->hand[owner];

	if (h->open && CHUNK_DATA_BYTES - h->open->end < size)
		push(w, owner);
	if (h->open)
		return h->open;
	if (h->outstanding == RING_OUT_CHUNKS) {
		stat_inc(w->stats, STAT_drop_ring_full);
		return NULL;
	}
	h->open = pool_take_data(w->pool);
	if (h->open)
		h->outstanding++;
	else
		stat_inc(w->stats, STAT_drop_pool_empty);
	return h->open;
}

void handover_send(struct worker *w, unsigned owner, uint32_t id, const uint8_t *frames, size_t bytes)
{
	const uint8_t *const end = frames + bytes;

	while (frames < end) {
		const size_t size = stream_packet_size(frames);
		struct chunk *c = open_chunk(w, owner, ID_BYTES + size);

		if (c) {
			memcpy(c->data + c->end, &id, ID_BYTES);
			memcpy(c->data + c->end + ID_BYTES, frames, size);
			c->end += (uint32_t)(ID_BYTES + size);
		}
		frames += size;
	}
}

void handover_flush(struct worker *w)
{
	for (unsigned i = 0; i < w->f->worker_count; i++)
		push(w, i);
}

static void send_chunk(struct worker *w, struct chunk *c)
{
	uint32_t at = 0;

	while (at < c->end) {
		uint8_t *const frame = c->data + at + ID_BYTES;
		const size_t size = stream_packet_size(frame);
		uint32_t id;

		memcpy(&id, c->data + at, ID_BYTES);
		links_send(w, id, frame, size, 1);
		at += (uint32_t)(ID_BYTES + size);
	}
	links_flush(w);
}

static void receive_from(struct worker *w, unsigned from)
{
	struct chunk *c;

	while ((c = ring_take(&w->hand_in[from]))) {
		if (c->worker == w->index) {
			w->hand[from].outstanding--;
			pool_give(w->pool, c);
			continue;
		}
		send_chunk(w, c);
		ring_put(&w->f->workers[from]->hand_in[w->index], c);
	}
}

void handover_receive(struct worker *w)
{
	for (unsigned i = 0; i < w->f->worker_count; i++)
		receive_from(w, i);
}
