/* SPDX-License-Identifier: Apache-2.0 */
/* Replay windows against a set: counters that jump, come late, come again, in several lanes; and two threads that offer
 * the same counters in one lane. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "fastpath/replay.h"
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	W = LIMIT_SESSION_WINDOW,
	LANES = 4,
	SPAN = 1 << 22, /* counters that a lane of the set can hold */
	OFFERS = 400000,
	TURNS = 6,
	THREADS = 2,
	SHARED = 100000, /* counters that each thread offers */
	NEAR = 512, /* they are shuffled so far */
};

static uint64_t random_state;

static uint64_t next_random(uint64_t *from)
{
	uint64_t z = (*from += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t rnd(void)
{
	return next_random(&random_state);
}

static int seed(void **state)
{
	const char *text = getenv("SEED");

	(void)state;
	random_state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	printf("SEED=%llu\n", (unsigned long long)random_state);
	return 0;
}

/* The set that is surely right: a byte for each counter from base on. */
struct set {
	uint8_t seen[SPAN];
	uint64_t base, greatest; /* greatest: relative to base */
};

static enum replay_verdict set_offer(struct set *s, uint64_t counter)
{
	if (counter + W <= s->greatest)
		return REPLAY_OLD;
	if (s->seen[counter])
		return REPLAY_SEEN;
	s->seen[counter] = 1;
	if (counter > s->greatest)
		s->greatest = counter;
	return REPLAY_NEW;
}

/* Where the next packet may come from: mostly near the front, some late, some from around the edge, a few far ahead. */
static uint64_t somewhere(const struct set *s)
{
	const uint64_t dice = rnd() % 100, g = s->greatest;
	uint64_t back;

	if (dice < 50)
		return g + rnd() % 4;
	if (dice < 52)
		return g + rnd() % (3 * W);
	if (dice < 55)
		return g + W + rnd() % 130;
	back = dice < 80 ? rnd() % 200 : dice < 95 ? rnd() % W : W - 70 + rnd() % 140;
	return back < g ? g - back : 0;
}

static void it_agrees_with_a_set(void **state)
{
	static struct set sets[LANES];
	uint64_t verdicts[3] = {0};

	(void)state;
	for (unsigned turn = 0; turn < TURNS; turn++) {
		struct lanes_window w[LANES] = {0};

		memset(sets, 0, sizeof(sets));
		for (unsigned lane = 0; turn % 2 && lane < LANES; lane++) {
			sets[lane].base = rnd() >> (8 + rnd() % 24);
			if (replay_accept(&w[lane], sets[lane].base, 1) != REPLAY_NEW)
				fail_msg("the first is not new");
			sets[lane].seen[0] = 1;
		}
		for (unsigned i = 0; i < OFFERS / TURNS; i++) {
			const unsigned lane = (unsigned)(rnd() % LANES);
			struct set *const s = &sets[lane];
			const uint64_t counter = somewhere(s);
			enum replay_verdict expected;

			if (counter >= SPAN)
				continue;
			if (replay_is_old(&w[lane], s->base + counter) != (counter + W <= s->greatest))
				fail_msg("offer %u: old or not", i);
			expected = set_offer(s, counter);
			if (replay_accept(&w[lane], s->base + counter, 1) != expected)
				fail_msg("offer %u: %llu of lane %u, expected %d", i, (unsigned long long)counter, lane,
					 expected);
			verdicts[expected]++;
		}
	}
	printf("# %llu new, %llu old, %llu seen\n", (unsigned long long)verdicts[REPLAY_NEW],
	       (unsigned long long)verdicts[REPLAY_OLD], (unsigned long long)verdicts[REPLAY_SEEN]);
	assert_true(verdicts[REPLAY_NEW] > 1000 && verdicts[REPLAY_OLD] > 1000 && verdicts[REPLAY_SEEN] > 1000);
}

/* What two threads share; each counts for itself. */
struct shared {
	struct lanes_window w;
	uint8_t accepted[SHARED]; /* atomic */
	unsigned ready; /* atomic */
};

struct offerer {
	struct shared *shared;
	uint64_t random;
	uint64_t verdicts[4];
	uint32_t owner;
	pthread_t thread;
};

static void *offer_all(void *arg)
{
	struct offerer *o = arg;
	struct shared *s = o->shared;
	static __thread uint32_t order[SHARED];

	for (uint32_t i = 0; i < SHARED; i++)
		order[i] = i;
	for (uint32_t i = 0; i + NEAR < SHARED; i++) {
		const uint32_t j = i + (uint32_t)(next_random(&o->random) % NEAR), kept = order[i];

		order[i] = order[j];
		order[j] = kept;
	}
	__atomic_add_fetch(&s->ready, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&s->ready, __ATOMIC_SEQ_CST) < THREADS)
		;
	for (uint32_t i = 0; i < SHARED; i++) {
		const enum replay_verdict v =
			replay_is_old(&s->w, order[i]) ? REPLAY_OLD : replay_accept(&s->w, order[i], o->owner);

		o->verdicts[v]++;
		if (v == REPLAY_NEW)
			__atomic_add_fetch(&s->accepted[order[i]], 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Of the same owner, as two workers of a fastpath, or of two. */
static void threads_accept_each_once(void **state)
{
	static struct shared s;

	(void)state;
	for (uint32_t turn = 0; turn < TURNS; turn++) {
		struct offerer o[THREADS];
		uint64_t fresh = 0, lost = 0, refused = 0;

		memset(&s, 0, sizeof(s));
		for (uint32_t i = 0; i < THREADS; i++) {
			o[i] = (struct offerer){.shared = &s, .random = rnd(), .owner = 1 + i * (turn % 2)};
			assert_int_equal(pthread_create(&o[i].thread, NULL, offer_all, &o[i]), 0);
		}
		for (uint32_t i = 0; i < THREADS; i++) {
			pthread_join(o[i].thread, NULL);
			fresh += o[i].verdicts[REPLAY_NEW];
			lost += o[i].verdicts[REPLAY_OLD] + o[i].verdicts[REPLAY_BUSY];
		}
		for (uint32_t i = 0; i < SHARED; i++) {
			if (s.accepted[i] > 1)
				fail_msg("%u was accepted %u times", i, s.accepted[i]);
			refused += !s.accepted[i];
		}
		assert_int_equal(fresh + refused, SHARED);
		/* What nobody accepted was too old or came upon the flag, each of the THREADS times. */
		assert_true(refused * THREADS <= lost);
		assert_int_equal(s.w.flag, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_agrees_with_a_set),
		cmocka_unit_test(threads_accept_each_once),
	};

	return cmocka_run_group_tests_name("replay windows against a set", tests, seed, NULL);
}
