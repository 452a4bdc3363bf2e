/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of bytes. A record is a head and its body, both at multiples of 8, never broken at the end of the ring: where
 * it would be, a filler record takes the rest. Positions only grow; the place in the ring is position & mask. */
#include "fastpath/mail.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	RECORD_ALIGN = 8,
	/* So much that was read goes back to the kernel at once: a ring that saw a burst, or a quiet one in the course
	   of a day, does not keep all its memory. */
	TRIM_BYTES = 64 * 1024,
};

struct record {
	uint32_t total; /* bytes in the ring, this head included */
	uint32_t len; /* of the body */
	uint16_t type;
	bool filler;
	uint8_t body[] __attribute__((aligned(RECORD_ALIGN)));
};

struct mail {
	uint64_t written __attribute__((aligned(64))); /* writer's */
	uint64_t shown; /* atomic: how far the reader may go */
	uint8_t *ring;
	size_t cap;
	int fd;
	bool armed; /* atomic: the reader wants a write to fd */

	uint64_t reading __attribute__((aligned(64))); /* reader's: end of the record lent out */
	uint64_t trimmed; /* reader's: what lies before it was given back; in a large ring a multiple of TRIM_BYTES */
	uint64_t done; /* atomic: how far the writer may overwrite */
};

struct mail *mail_new(size_t cap_bytes)
{
	struct mail *m = aligned_alloc(64, sizeof(*m));

	assert(cap_bytes >= 4096 && (cap_bytes & (cap_bytes - 1)) == 0 && cap_bytes <= UINT32_MAX);
	if (!m)
		return NULL;
	*m = (struct mail){.cap = cap_bytes, .armed = true};
	m->ring = mmap(NULL, cap_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	m->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (m->ring == MAP_FAILED || m->fd < 0) {
		mail_free(m);
		return NULL;
	}
	return m;
}

void mail_free(struct mail *m)
{
	if (!m)
		return;
	if (m->ring != MAP_FAILED)
		munmap(m->ring, m->cap);
	if (m->fd >= 0)
		close(m->fd);
	free(m);
}

static struct record *record_at(const struct mail *m, uint64_t position)
{
	return (struct record *)(void *)(m->ring + (position & (m->cap - 1)));
}

size_t mail_room(const struct mail *m)
{
	return m->cap - (m->written - __atomic_load_n(&m->done, __ATOMIC_ACQUIRE));
}

bool mail_put(struct mail *m, uint16_t type, const void *body, size_t len, const void *tail, size_t tail_len)
{
	const size_t total = (sizeof(struct record) + len + tail_len + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1);
	const size_t at = m->written & (m->cap - 1), to_end = m->cap - at;
	const uint64_t used = m->written - __atomic_load_n(&m->done, __ATOMIC_ACQUIRE);
	const size_t skip = total > to_end ? to_end : 0;
	struct record *r;

	if (len > m->cap || tail_len > m->cap || used + skip + total > m->cap)
		return false;
	if (skip) {
		r = record_at(m, m->written);
		r->total = (uint32_t)skip;
		/* Less than a whole head may be left; the reader sees that by itself. */
		if (skip >= sizeof(*r))
			r->filler = true;
		m->written += skip;
	}
	r = record_at(m, m->written);
	*r = (struct record){.total = (uint32_t)total, .len = (uint32_t)(len + tail_len), .type = type};
	if (len)
		memcpy(r->body, body, len);
	if (tail_len)
		memcpy(r->body + len, tail, tail_len);
	m->written += total;
	return true;
}

void mail_kick(struct mail *m)
{
	static const uint64_t one = 1;

	if (__atomic_load_n(&m->shown, __ATOMIC_RELAXED) == m->written)
		return;
	__atomic_store_n(&m->shown, m->written, __ATOMIC_SEQ_CST);
	/* An eventfd that is full is readable anyway. */
	if (__atomic_load_n(&m->armed, __ATOMIC_SEQ_CST) && __atomic_exchange_n(&m->armed, false, __ATOMIC_SEQ_CST))
		(void)!write(m->fd, &one, sizeof(one));
}

/* Lets the writer have what was read, in whole steps: in memory that has not yet gone back it may not write. */
static void release(struct mail *m)
{
	/* A small ring is not worth the calls. */
	if (m->cap <= TRIM_BYTES)
		m->trimmed = m->reading;
	for (; m->reading - m->trimmed >= TRIM_BYTES; m->trimmed += TRIM_BYTES)
		(void)madvise(m->ring + (m->trimmed & (m->cap - 1)), TRIM_BYTES, MADV_DONTNEED);
	__atomic_store_n(&m->done, m->trimmed, __ATOMIC_RELEASE);
}

bool mail_next(struct mail *m, uint16_t *type, uint8_t **body, size_t *len)
{
	const uint64_t shown = __atomic_load_n(&m->shown, __ATOMIC_SEQ_CST);

	while (m->reading != shown) {
		const size_t to_end = m->cap - (m->reading & (m->cap - 1));
		struct record *r = record_at(m, m->reading);
		const bool filler = to_end < sizeof(*r) || r->filler;

		release(m);
		m->reading += filler ? to_end : r->total;
		if (filler)
			continue;
		*type = r->type;
		*body = r->body;
		*len = r->len;
		return true;
	}
	release(m);
	return false;
}

void mail_doze(struct mail *m)
{
	uint64_t count;

	(void)!read(m->fd, &count, sizeof(count));
	__atomic_store_n(&m->armed, true, __ATOMIC_SEQ_CST);
}

int mail_fd(const struct mail *m)
{
	return m->fd;
}
