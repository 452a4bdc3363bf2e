/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks are a ring. Those between the old greatest counter and the new one are cleared after the new one is written;
 * with one block more than the window has bits for, none of them holds a counter that the window still tells apart. */
#include "fastpath/replay.h"

#include <assert.h>

/* A test that kills inside an update says where. */
#ifndef REPLAY_STEP
#define REPLAY_STEP(step) ((void)0)
#endif

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

bool replay_hold(struct lanes_window *w, uint32_t owner)
{
	assert(owner);
	for (unsigned i = 0; i < LIMIT_SESSION_FLAG_TRIES; i++) {
		__u32 none = 0;

		if (!__atomic_load_n(&w->flag, __ATOMIC_RELAXED) &&
		    __atomic_compare_exchange_n(&w->flag, &none, owner, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			REPLAY_STEP("flag");
			return true;
		}
		relax();
	}
	return false;
}

/* Stores that keep their order: the next life of this memory begins where this one may end. */
static void put(__u64 *where, uint64_t value)
{
	__atomic_store_n(where, value, __ATOMIC_RELEASE);
}

static void advance(struct lanes_window *w, uint64_t from, uint64_t to)
{
	const uint64_t last = to / LANES_BLOCK_BITS;
	uint64_t block = from / LANES_BLOCK_BITS;

	if (last - block > LANES_WINDOW_BLOCKS)
		block = last - LANES_WINDOW_BLOCKS;
	put(&w->greatest, to);
	REPLAY_STEP("greatest");
	while (block < last) {
		block++;
		put(&w->block[block % LANES_WINDOW_BLOCKS], 0);
		REPLAY_STEP("block");
	}
}

enum replay_verdict replay_mark(struct lanes_window *w, uint64_t counter)
{
	const uint64_t bit = UINT64_C(1) << counter % LANES_BLOCK_BITS;
	__u64 *const block = &w->block[counter / LANES_BLOCK_BITS % LANES_WINDOW_BLOCKS];

	if (replay_is_old(w, counter))
		return REPLAY_OLD;
	if (counter > w->greatest)
		advance(w, w->greatest, counter);
	if (*block & bit)
		return REPLAY_SEEN;
	put(block, *block | bit);
	REPLAY_STEP("bit");
	return REPLAY_NEW;
}

void replay_release(struct lanes_window *w)
{
	__atomic_store_n(&w->flag, 0, __ATOMIC_RELEASE);
}

enum replay_verdict replay_accept(struct lanes_window *w, uint64_t counter, uint32_t owner)
{
	enum replay_verdict verdict;

	if (!replay_hold(w, owner))
		return REPLAY_BUSY;
	verdict = replay_mark(w, counter);
	replay_release(w);
	return verdict;
}
