/* SPDX-License-Identifier: Apache-2.0 */
/* Sort, then look at neighbours. */
#include "tests/support/nonce_check.h"

#include <stdlib.h>
#include <string.h>

enum { LANE_SHIFT = 56 };

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* Kind, key, lane, first. */
static int by_key(const void *x, const void *y)
{
	const struct nonce_range *a = x, *b = y;
	int r = compare(a->kind, b->kind);

	if (!r)
		r = compare(a->key, b->key);
	if (!r)
		r = compare(a->lane, b->lane);
	return r ? r : compare(a->first, b->first);
}

static uint64_t recorded(const struct nonce_log *log, size_t bytes)
{
	const uint64_t room = nonce_log_room(bytes);

	return log->ranges < room ? log->ranges : room;
}

static bool same_lane(const struct nonce_range *a, const struct nonce_range *b)
{
	return a->kind == b->kind && a->key == b->key && a->lane == b->lane;
}

/* The ranges of one lane, sorted; how many they are. */
static uint64_t check_lane(const struct nonce_range *r, const struct nonce_range *end, struct nonce_found *out)
{
	uint64_t top = 0, n = 0;
	bool shared = false;

	for (; r + n < end && same_lane(r, r + n); n++) {
		out->overlaps += r[n].first < top;
		out->packets += r[n].count;
		shared |= r[n].process != r->process;
		if (r[n].first + r[n].count > top)
			top = r[n].first + r[n].count;
	}
	out->ranges += n;
	out->lanes++;
	out->shared += shared;
	return n;
}

struct nonce_found nonce_check(struct nonce_log *log, size_t bytes)
{
	const uint64_t count = recorded(log, bytes);
	struct nonce_found out = {.lost = log->ranges - count};
	const struct nonce_range *r = log->range, *const end = r + count;

	qsort(log->range, count, sizeof(log->range[0]), by_key);
	while (r < end && r->kind == NONCE_UNFINISHED) {
		out.unfinished++;
		r++;
	}
	while (r < end && r->kind == NONCE_SESSION) {
		out.keys += r == log->range || r[-1].kind != NONCE_SESSION || r[-1].key != r->key;
		r += check_lane(r, end, &out);
	}
	for (; r < end; r++) {
		out.prefixes++;
		out.repeated += r > log->range && r[-1].kind == NONCE_PREFIX && r[-1].key == r->key;
	}
	return out;
}

/* What a receiver reads of a nonce: index and lane, then the counter. */
static int by_nonce(const void *x, const void *y)
{
	const struct nonce_range *a = x, *b = y;
	int r = compare(a->kind, b->kind);

	if (!r)
		r = a->kind == NONCE_PREFIX ? compare(a->key, b->key) : compare(a->far_index, b->far_index);
	if (!r)
		r = compare(a->lane, b->lane);
	return r ? r : compare(a->first, b->first);
}

static int by_sender(const void *x, const void *y)
{
	return memcmp(x, y, sizeof(struct nonce_seen));
}

static uint64_t read_be64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(v);
}

/* The last one that does not come after what is looked for; NULL: none. */
static const struct nonce_range *find(const struct nonce_log *log, uint64_t count, const struct nonce_range *what)
{
	uint64_t low = 0, high = count;

	while (low < high) {
		const uint64_t mid = low + (high - low) / 2;

		if (by_nonce(&log->range[mid], what) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? &log->range[low - 1] : NULL;
}

/* Two sessions may have drawn the same index, of a node each: then one of both ranges holds it. */
static bool is_of_session(const struct nonce_log *log, uint64_t count, const uint8_t *nonce)
{
	const uint64_t rest = read_be64(nonce + 4);
	const struct nonce_range what = {.kind = NONCE_SESSION,
					 .far_index = (uint32_t)(read_be64(nonce) >> 32),
					 .lane = (uint8_t)(rest >> LANE_SHIFT),
					 .first = rest & ((UINT64_C(1) << LANE_SHIFT) - 1)};
	const struct nonce_range *r = find(log, count, &what);

	for (;
	     r && r >= log->range && r->kind == NONCE_SESSION && r->far_index == what.far_index && r->lane == what.lane;
	     r--)
		if (what.first < r->first + r->count)
			return true;
	return false;
}

static bool is_of_prefix(const struct nonce_log *log, uint64_t count, const uint8_t *nonce)
{
	const struct nonce_range what = {.kind = NONCE_PREFIX, .key = read_be64(nonce) & (UINT64_MAX >> 1)};
	const struct nonce_range *r = find(log, count, &what);

	return r && r->kind == NONCE_PREFIX && r->key == what.key;
}

struct nonce_wire nonce_check_wire(struct nonce_log *log, size_t bytes, struct nonce_seen *seen, size_t count)
{
	const uint64_t ranges = recorded(log, bytes);
	struct nonce_wire out = {0};

	qsort(log->range, ranges, sizeof(log->range[0]), by_nonce);
	qsort(seen, count, sizeof(*seen), by_sender);
	for (size_t i = 0; i < count; i++) {
		out.repeated += i && by_sender(&seen[i], &seen[i - 1]) == 0;
		if (is_of_session(log, ranges, seen[i].nonce))
			out.session++;
		else if (is_of_prefix(log, ranges, seen[i].nonce))
			out.fixed++;
		else
			out.unrecorded++;
	}
	return out;
}
