/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded cursors over bytes, read (rd) and write (wr), with a sticky error: going too far yields zeros (or writes
 * nothing) and marks the cursor; the user asks once at the end. Integers on the wire are big-endian. */
#ifndef SHARED_BASE_BUF_H
#define SHARED_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUST_CHECK __attribute__((warn_unused_result))

struct rd {
	const uint8_t *p, *end;
	bool bad;
};

struct wr {
	uint8_t *start, *p, *end;
	bool bad;
};

/* A cursor over len bytes, borrowed. */
static inline struct rd rd_init(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	return (struct rd){.p = p, .end = p + len};
}

static inline size_t rd_left(const struct rd *r)
{
	return (size_t)(r->end - r->p);
}

/* The next len bytes, borrowed; NULL and a marked cursor if there are fewer. */
static inline const uint8_t *rd_take(struct rd *r, size_t len)
{
	const uint8_t *p = r->p;

	if (r->bad || rd_left(r) < len) {
		r->bad = true;
		r->p = r->end;
		return NULL;
	}
	r->p += len;
	return p;
}

/* Copies len bytes out; zeros if there are fewer. */
static inline void rd_bytes(struct rd *r, void *out, size_t len)
{
	const uint8_t *p = rd_take(r, len);

	if (p)
		memcpy(out, p, len);
	else
		memset(out, 0, len);
}

static inline uint8_t rd_u8(struct rd *r)
{
	const uint8_t *p = rd_take(r, 1);

	return p ? p[0] : 0;
}

static inline uint16_t rd_be16(struct rd *r)
{
	const uint8_t *p = rd_take(r, 2);

	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static inline uint32_t rd_be32(struct rd *r)
{
	const uint32_t high = rd_be16(r);

	return high << 16 | rd_be16(r);
}

static inline uint64_t rd_be64(struct rd *r)
{
	const uint64_t high = rd_be32(r);

	return high << 32 | rd_be32(r);
}

/* A cursor over the next len bytes that cannot leave them; this one moves past. Marked if there are fewer. */
static inline struct rd rd_sub(struct rd *r, size_t len)
{
	const uint8_t *p = rd_take(r, len);

	if (!p)
		return (struct rd){.p = r->end, .end = r->end, .bad = true};
	return rd_init(p, len);
}

/* A cursor that writes into cap bytes, borrowed. */
static inline struct wr wr_init(void *bytes, size_t cap)
{
	uint8_t *p = bytes;

	return (struct wr){.start = p, .p = p, .end = p + cap};
}

static inline size_t wr_len(const struct wr *w)
{
	return (size_t)(w->p - w->start);
}

/* Room for len bytes that the caller fills; NULL and a marked cursor if there is less. */
static inline uint8_t *wr_room(struct wr *w, size_t len)
{
	uint8_t *p = w->p;

	if (w->bad || (size_t)(w->end - w->p) < len) {
		w->bad = true;
		return NULL;
	}
	w->p += len;
	return p;
}

static inline void wr_bytes(struct wr *w, const void *bytes, size_t len)
{
	uint8_t *p = wr_room(w, len);

	if (p && len)
		memcpy(p, bytes, len);
}

static inline void wr_u8(struct wr *w, uint8_t v)
{
	wr_bytes(w, &v, 1);
}

static inline void wr_be16(struct wr *w, uint16_t v)
{
	const uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	wr_bytes(w, b, 2);
}

static inline void wr_be32(struct wr *w, uint32_t v)
{
	wr_be16(w, (uint16_t)(v >> 16));
	wr_be16(w, (uint16_t)v);
}

static inline void wr_be64(struct wr *w, uint64_t v)
{
	wr_be32(w, (uint32_t)(v >> 32));
	wr_be32(w, (uint32_t)v);
}

#endif
