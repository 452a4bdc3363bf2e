/* SPDX-License-Identifier: Apache-2.0 */
/* The lookup table: an array of pointers to immutable buckets. A change builds the bucket anew and publishes it by one
 * store; growing publishes a new array that shares the buckets it need not split. What was replaced waits, with its
 * epoch, in a first-in first-out list. Readers use sequentially consistent loads: they must not pass the worker's own
 * epoch store. */
#include "fastpath/table.h"

#include "shared/limits.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	FIRST_BITS = 6,
	WAITING_FIRST = 64,
	WAITING_MANY = 256, /* from so many on a change looks for something to free */
};

struct table_more {
	uint32_t count;
	struct {
		struct ip6 ip;
		uint32_t link;
		uint8_t len;
	} prefix[]; /* longest first */
};

struct bucket {
	uint64_t count;
	struct table_entry entry[];
};

struct array {
	unsigned bits;
	struct bucket *slot[]; /* atomic */
};

struct waiting {
	void *memory; /* owned */
	uint64_t retired;
};

struct table {
	struct array *array; /* atomic */
	uint64_t hash_key; /* random and odd: strangers choose the /64s */
	/* Control thread only. */
	struct epoch *epoch; /* borrowed */
	unsigned workers;
	size_t entries, prefixes;
	struct waiting *waiting; /* ring of waiting_cap, a power of two */
	size_t waiting_cap, waiting_start, waiting_count;
};

/* Small allocations of the control thread: without memory there is nothing sensible left to do. */
static void *must_alloc(size_t bytes)
{
	void *p = malloc(bytes);

	assert(p);
	return p;
}

static struct array *array_new(unsigned bits)
{
	struct array *a = calloc(1, sizeof(*a) + (sizeof(struct bucket *) << bits));

	assert(a);
	a->bits = bits;
	return a;
}

static size_t slot_of(const struct table *t, const struct array *a, uint64_t net64)
{
	return net64 * t->hash_key >> (64 - a->bits);
}

struct table *table_new(struct epoch *epoch, unsigned workers)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	if (getrandom(&t->hash_key, sizeof(t->hash_key), 0) != (ssize_t)sizeof(t->hash_key)) {
		free(t);
		return NULL;
	}
	t->hash_key |= 1;
	t->epoch = epoch;
	t->workers = workers;
	t->array = array_new(FIRST_BITS);
	t->waiting_cap = WAITING_FIRST;
	t->waiting = must_alloc(t->waiting_cap * sizeof(t->waiting[0]));
	return t;
}

static void bucket_free(struct bucket *b)
{
	for (uint64_t i = 0; b && i < b->count; i++)
		free((void *)(uintptr_t)b->entry[i].more);
	free(b);
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < (size_t)1 << t->array->bits; i++)
		bucket_free(t->array->slot[i]);
	free(t->array);
	for (; t->waiting_count; t->waiting_count--)
		free(t->waiting[t->waiting_start++ & (t->waiting_cap - 1)].memory);
	free(t->waiting);
	free(t);
}

static const struct table_entry *bucket_find(const struct bucket *b, uint64_t net64)
{
	for (uint64_t i = 0; b && i < b->count; i++)
		if (b->entry[i].net64 == net64)
			return &b->entry[i];
	return NULL;
}

const struct table_entry *table_find(const struct table *t, uint64_t net64)
{
	const struct array *a = __atomic_load_n(&t->array, __ATOMIC_SEQ_CST);
	const struct bucket *b = __atomic_load_n(&a->slot[slot_of(t, a, net64)], __ATOMIC_SEQ_CST);

	return bucket_find(b, net64);
}

uint32_t table_link(const struct table_entry *e, const struct ip6 *dst)
{
	if (!e)
		return 0;
	for (uint32_t i = 0; e->more && i < e->more->count; i++) {
		const struct prefix p = {.ip = e->more->prefix[i].ip, .len = e->more->prefix[i].len};

		if (prefix_has(&p, dst))
			return e->more->prefix[i].link;
	}
	return e->link;
}

static void waiting_grow(struct table *t)
{
	struct waiting *bigger = must_alloc(2 * t->waiting_cap * sizeof(bigger[0]));

	for (size_t i = 0; i < t->waiting_count; i++)
		bigger[i] = t->waiting[(t->waiting_start + i) & (t->waiting_cap - 1)];
	free(t->waiting);
	t->waiting = bigger;
	t->waiting_cap *= 2;
	t->waiting_start = 0;
}

/* memory is no longer published: free it after the readers have gone. */
static void retire(struct table *t, const void *memory, uint64_t retired)
{
	if (!memory)
		return;
	if (t->waiting_count == t->waiting_cap)
		waiting_grow(t);
	t->waiting[(t->waiting_start + t->waiting_count++) & (t->waiting_cap - 1)] =
		(struct waiting){.memory = (void *)(uintptr_t)memory, .retired = retired};
}

bool table_reclaim(struct table *t)
{
	while (t->waiting_count) {
		const struct waiting *w = &t->waiting[t->waiting_start & (t->waiting_cap - 1)];

		if (!epoch_is_past(t->epoch, t->workers, w->retired))
			return true;
		free(w->memory);
		t->waiting_start++;
		t->waiting_count--;
	}
	return false;
}

static struct bucket *bucket_new(uint64_t count)
{
	struct bucket *b = must_alloc(sizeof(*b) + count * sizeof(b->entry[0]));

	b->count = count;
	return b;
}

/* The entries of b that go to slot of a, in a bucket of their own; b itself where all of them do. */
static struct bucket *bucket_part(const struct table *t, const struct array *a, struct bucket *b, size_t slot)
{
	struct bucket *part;
	uint64_t count = 0;

	for (uint64_t i = 0; i < b->count; i++)
		count += slot_of(t, a, b->entry[i].net64) == slot;
	if (count == b->count)
		return b;
	if (!count)
		return NULL;
	part = bucket_new(count);
	for (uint64_t i = 0, to = 0; i < b->count; i++)
		if (slot_of(t, a, b->entry[i].net64) == slot)
			part->entry[to++] = b->entry[i];
	return part;
}

static void grow(struct table *t)
{
	struct array *old = t->array, *new = array_new(old->bits + 1);
	const size_t slots = (size_t)1 << old->bits;
	uint64_t retired;

	for (size_t i = 0; i < slots; i++) {
		if (!old->slot[i])
			continue;
		new->slot[2 * i] = bucket_part(t, new, old->slot[i], 2 * i);
		new->slot[2 * i + 1] = bucket_part(t, new, old->slot[i], 2 * i + 1);
	}
	__atomic_store_n(&t->array, new, __ATOMIC_SEQ_CST);
	retired = epoch_retire(t->epoch);
	for (size_t i = 0; i < slots; i++)
		if (old->slot[i] != new->slot[2 * i] && old->slot[i] != new->slot[2 * i + 1])
			retire(t, old->slot[i], retired);
	retire(t, old, retired);
}

/* Publishes the entry in the place of the one of its /64; one with nothing in it goes. */
static void publish(struct table *t, const struct table_entry *e)
{
	struct bucket **slot = &t->array->slot[slot_of(t, t->array, e->net64)];
	struct bucket *old = *slot, *new = NULL;
	const struct table_entry *before = bucket_find(old, e->net64);
	const uint64_t old_count = old ? old->count : 0;
	const bool stays = e->link || e->key || e->more;
	const uint64_t count = old_count + (stays ? 1 : 0) - (before ? 1 : 0);
	const struct table_more *more = before && before->more != e->more ? before->more : NULL;
	uint64_t retired, to = 0;

	if (count) {
		new = bucket_new(count);
		for (uint64_t i = 0; i < old_count; i++)
			if (&old->entry[i] != before)
				new->entry[to++] = old->entry[i];
		if (stays)
			new->entry[to] = *e;
	}
	__atomic_store_n(slot, new, __ATOMIC_SEQ_CST);
	retired = epoch_retire(t->epoch);
	retire(t, old, retired);
	retire(t, more, retired);
	t->entries += count - old_count;
	if (2 * t->entries > (size_t)3 << t->array->bits)
		grow(t);
	if (t->waiting_count >= WAITING_MANY)
		table_reclaim(t);
}

/* A copy of old with the prefix set to link (0: without it); NULL when nothing is left. */
static struct table_more *more_with(const struct table_more *old, const struct prefix *p, uint32_t link)
{
	const uint32_t old_count = old ? old->count : 0;
	struct table_more *new = must_alloc(sizeof(*new) + (old_count + 1) * sizeof(new->prefix[0]));
	uint32_t i = 0, to = 0;

	for (; i < old_count && old->prefix[i].len > p->len; i++)
		new->prefix[to++] = old->prefix[i];
	if (link) {
		new->prefix[to].ip = p->ip;
		new->prefix[to].len = p->len;
		new->prefix[to++].link = link;
	}
	for (; i < old_count; i++)
		if (old->prefix[i].len != p->len || !ip6_eq(&old->prefix[i].ip, &p->ip))
			new->prefix[to++] = old->prefix[i];
	new->count = to;
	if (to)
		return new;
	free(new);
	return NULL;
}

/* Link that the table has for exactly this prefix; 0: none. */
static uint32_t exact_link(const struct table_entry *e, const struct prefix *p)
{
	if (p->len == 64)
		return e->link;
	for (uint32_t i = 0; e->more && i < e->more->count; i++)
		if (e->more->prefix[i].len == p->len && ip6_eq(&e->more->prefix[i].ip, &p->ip))
			return e->more->prefix[i].link;
	return 0;
}

int table_set_route(struct table *t, const struct prefix *p, uint32_t link)
{
	const uint64_t net64 = ip6_net64(&p->ip);
	const struct table_entry *before = table_find(t, net64);
	struct table_entry e = before ? *before : (struct table_entry){.net64 = net64};
	uint32_t had;

	if (p->len < 64 || p->len > 128)
		return -EINVAL;
	had = exact_link(&e, p);
	if (link == had)
		return 0;
	if (!had && t->prefixes == LIMIT_PREFIXES)
		return -ENOSPC;
	if (!had && p->len > 64 && e.more && e.more->count == LIMIT_PREFIXES_PER_NET64)
		return -ENOSPC;
	if (p->len == 64)
		e.link = link;
	else
		e.more = more_with(e.more, p, link);
	t->prefixes += !!link;
	t->prefixes -= !!had;
	publish(t, &e);
	return 0;
}

uint32_t table_set_key(struct table *t, uint64_t net64, uint32_t slot)
{
	const struct table_entry *before = table_find(t, net64);
	struct table_entry e = before ? *before : (struct table_entry){.net64 = net64};
	const uint32_t had = e.key;

	if (slot == had)
		return had;
	e.key = slot;
	publish(t, &e);
	return had;
}

uint64_t table_mark(struct table *t)
{
	return epoch_retire(t->epoch);
}

bool table_is_quiet(const struct table *t, uint64_t mark)
{
	return epoch_is_past(t->epoch, t->workers, mark);
}

size_t table_count(const struct table *t)
{
	return t->prefixes;
}
