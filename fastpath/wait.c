/* SPDX-License-Identifier: Apache-2.0 */
#include "fastpath/wait.h"

#include "fastpath/stats.h"
#include "shared/wire.h"
#include <assert.h>
#include <stdalign.h>
#include <string.h>

static size_t record_bytes(size_t len)
{
	return (sizeof(struct wait_record) + len + alignof(struct wait_record) - 1) &
	       ~(alignof(struct wait_record) - 1);
}

_Static_assert(sizeof(struct wait_record) + WIRE_FRAME_MAX_BYTES + alignof(struct wait_record) <= CHUNK_DATA_BYTES,
	       "every packet fits a chunk");
_Static_assert(WIRE_FRAME_MAX_BYTES < 1 << 24, "its length fits a record");
_Static_assert(offsetof(struct chunk, data) % alignof(struct wait_record) == 0, "records lie aligned in a chunk");

void wait_init(struct wait *w, struct pool *pool, struct lanes_stats *stats)
{
	*w = (struct wait){.pool = pool, .stats = stats};
}

static void list_give(struct wait *w, struct wait_list *list)
{
	while (list->head) {
		struct chunk *c = list->head;

		list->head = c->next;
		pool_give(w->pool, c);
	}
	*list = (struct wait_list){0};
}

void wait_fini(struct wait *w)
{
	for (unsigned i = 0; i < LIMIT_WAIT_NET64S; i++)
		list_give(w, &w->room[i].list);
}

static struct wait_record *record_at(struct chunk *c)
{
	return (struct wait_record *)(void *)(c->data + c->start);
}

struct wait_record *wait_record_next(struct chunk *c)
{
	struct wait_record *r = record_at(c);

	if (c->start == c->end)
		return NULL;
	c->start += (uint32_t)record_bytes(r->len);
	return r;
}

static uint64_t list_count(struct wait_list *list)
{
	uint64_t count = 0;

	for (struct chunk *c = list->head; c; c = c->next) {
		const uint32_t start = c->start;

		while (wait_record_next(c))
			count++;
		c->start = start;
	}
	return count;
}

static void list_lose(struct wait *w, struct wait_list *list, enum stat_id why)
{
	stat_add(w->stats, why, list_count(list));
	list_give(w, list);
}

void wait_drop(struct wait *w, struct wait_list *list)
{
	list_lose(w, list, STAT_drop_no_key);
}

/* The oldest record goes, and its chunk with its last one. */
static void drop_first(struct wait *w, struct wait_room *room, enum stat_id why)
{
	struct chunk *c = room->list.head;

	const size_t bytes = record_bytes(wait_record_next(c)->len);

	room->list.bytes -= bytes;
	room->count--;
	w->bytes -= bytes;
	stat_inc(w->stats, why);
	if (c->start < c->end)
		return;
	room->list.head = c->next;
	if (!c->next)
		room->list.tail = NULL;
	pool_give(w->pool, c);
	room->used = room->list.head != NULL;
}

static int64_t room_since_us(const struct wait_room *room)
{
	/* A room in use is never empty. */
	assert(room->list.head);
	return record_at(room->list.head)->since_us;
}

/* The oldest room that own traffic or strangers may displace, strangers' first; NULL: there is none. */
static struct wait_room *room_to_lose(struct wait *w, bool own)
{
	struct wait_room *best = NULL;

	for (unsigned i = 0; i < LIMIT_WAIT_NET64S; i++) {
		struct wait_room *room = &w->room[i];

		if (!room->used || (room->own && !own))
			continue;
		if (!best || (best->own && !room->own) ||
		    (best->own == room->own && room_since_us(room) < room_since_us(best)))
			best = room;
	}
	return best;
}

/* The room in use of the /64; NULL: none. */
static struct wait_room *room_of(struct wait *w, uint64_t net64, enum wait_reason reason)
{
	for (unsigned i = 0; i < LIMIT_WAIT_NET64S; i++) {
		struct wait_room *room = &w->room[i];

		if (room->used && room->net64 == net64 && room->reason == reason)
			return room;
	}
	return NULL;
}

/* An unused room, or else one that may be displaced, emptied; NULL: there is none. */
static struct wait_room *room_free(struct wait *w, bool own)
{
	struct wait_room *room;

	for (unsigned i = 0; i < LIMIT_WAIT_NET64S; i++)
		if (!w->room[i].used)
			return &w->room[i];
	room = room_to_lose(w, own);
	if (!room)
		return NULL;
	w->bytes -= room->list.bytes;
	list_lose(w, &room->list, STAT_drop_wait_full);
	room->used = false;
	return room;
}

/* The room for the packet; NULL: there is none. */
static struct wait_room *room_for(struct wait *w, uint64_t net64, const struct wait_packet *p, bool own)
{
	struct wait_room *room = room_of(w, net64, p->reason);

	if (room)
		return room;
	room = room_free(w, own);
	if (room)
		*room = (struct wait_room){.net64 = net64, .reason = p->reason};
	return room;
}

static bool is_full(const struct wait_room *room)
{
	return room->reason == WAIT_SESSION && room->count >= LIMIT_HOLD_PACKETS_PER_NET64;
}

/* Makes room for so many bytes, in this room and in all. False: only own traffic could go, and this is a stranger's. */
static bool make_space(struct wait *w, struct wait_room *room, size_t bytes, bool own)
{
	while (room->list.head && (room->list.bytes + bytes > LIMIT_WAIT_BYTES_PER_NET64 || is_full(room))) {
		if (room->own && !own)
			return false;
		drop_first(w, room, STAT_drop_wait_full);
	}
	while (w->bytes + bytes > LIMIT_WAIT_BYTES) {
		struct wait_room *loser = room_to_lose(w, own);

		if (!loser)
			return false;
		drop_first(w, loser, STAT_drop_wait_full);
	}
	return true;
}

/* Room for a record at the end of the list. */
static struct wait_record *list_room(struct wait *w, struct wait_list *list, size_t bytes)
{
	struct chunk *c = list->tail;
	struct wait_record *r;

	if (!c || CHUNK_DATA_BYTES - c->end < bytes) {
		c = pool_take_data(w->pool);
		if (!c)
			return NULL;
		if (list->tail)
			list->tail->next = c;
		else
			list->head = c;
		list->tail = c;
	}
	r = (struct wait_record *)(void *)(c->data + c->end);
	c->end += (uint32_t)bytes;
	list->bytes += bytes;
	return r;
}

void wait_add(struct wait *w, uint64_t net64, const struct wait_packet *p, struct mono now)
{
	const bool own = p->kind != WAIT_OPEN;
	const size_t bytes = record_bytes(p->len);
	struct wait_room *room = room_for(w, net64, p, own);
	struct wait_record *r;

	if (!room || !make_space(w, room, bytes, own)) {
		stat_inc(w->stats, STAT_drop_wait_full);
		return;
	}
	r = list_room(w, &room->list, bytes);
	room->used = room->list.head != NULL;
	if (!r) {
		stat_inc(w->stats, STAT_drop_pool_empty);
		return;
	}
	w->bytes += bytes;
	room->count++;
	room->own |= own;
	r->since_us = now.us;
	r->len = (uint32_t)p->len & 0xffffff;
	r->kind = (uint8_t)p->kind;
	r->link = p->link;
	memcpy(r->bytes, p->bytes, p->len);
	stat_inc(w->stats, STAT_waited);
}

bool wait_may_ask(struct wait *w, uint64_t net64, bool own, struct mono now)
{
	const unsigned at = (unsigned)(net64 * UINT64_C(0x9e3779b97f4a7c15) >> 56);

	/* A stranger's question waits behind those for own traffic: it is asked again in the name of the latter. */
	if (w->asked[at].net64 == net64 && w->asked[at].at.us && (w->asked[at].own || !own) &&
	    mono_since_ms(now, w->asked[at].at) < LIMIT_WANT_KEY_MS)
		return false;
	if (mono_since_ms(now, w->asked_second) >= 1000) {
		w->asked_second = now;
		w->asked_count = 0;
	}
	if (!own && w->asked_count >= LIMIT_KEYS_PER_SECOND)
		return false;
	w->asked_count += !own;
	w->asked[at].net64 = net64;
	w->asked[at].at = now;
	w->asked[at].own = own;
	return true;
}

bool wait_has(struct wait *w, uint64_t net64, enum wait_reason reason)
{
	return room_of(w, net64, reason) != NULL;
}

bool wait_take(struct wait *w, uint64_t net64, enum wait_reason reason, struct wait_list *out)
{
	struct wait_room *room = room_of(w, net64, reason);

	if (!room)
		return false;
	*out = room->list;
	w->bytes -= room->list.bytes;
	*room = (struct wait_room){0};
	return true;
}

static struct mono room_due(const struct wait_room *room)
{
	const int64_t ms = room->reason == WAIT_SESSION ? LIMIT_HOLD_MS : LIMIT_WAIT_MS;

	return mono_add_ms((struct mono){.us = room_since_us(room)}, ms);
}

void wait_expire(struct wait *w, struct mono now, void (*held)(void *ctx, struct wait_record *r), void *ctx)
{
	for (unsigned i = 0; i < LIMIT_WAIT_NET64S; i++) {
		struct wait_room *room = &w->room[i];
		const bool is_held = room->reason == WAIT_SESSION;

		while (room->used && mono_is_due(room_due(room), now)) {
			if (is_held)
				held(ctx, record_at(room->list.head));
			drop_first(w, room, is_held ? STAT_drop_no_session : STAT_drop_no_key);
		}
	}
}

struct mono wait_due(const struct wait *w)
{
	struct mono due = MONO_NEVER;

	for (unsigned i = 0; i < LIMIT_WAIT_NET64S; i++) {
		if (w->room[i].used)
			due = mono_min(due, room_due(&w->room[i]));
	}
	return due;
}
