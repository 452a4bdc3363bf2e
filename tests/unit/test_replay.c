/* SPDX-License-Identifier: Apache-2.0 */
/* The window of a lane: its edges, jumps, the flag; and updates that are killed at each of their steps, after which
 * another process is offered everything again. The window's source is compiled in, with a hook at each step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void step(const char *which);
#define REPLAY_STEP(which) step(which)
#include "fastpath/replay.c"

enum {
	OWN = 3,
	OTHER = 7,
	W = LIMIT_SESSION_WINDOW,
	MADE_BEFORE = 134, /* packets before the killed process begins */
	STRIDE = 61,
	MADE = 40, /* by the killed process */
	STEPS_MAX = 5000,
};

#define TOP (UINT64_C(1) << 56)

/* The process dies when this reaches 1. */
static unsigned steps_left;

static void step(const char *which)
{
	(void)which;
	if (steps_left && --steps_left == 0)
		kill(getpid(), SIGKILL);
}

struct offer {
	uint64_t counter;
	enum replay_verdict verdict;
};

/* Each begins with an empty window. */
static const struct {
	unsigned count;
	struct offer offer[8];
} stories[] = {
	{5, {{0, REPLAY_NEW}, {0, REPLAY_SEEN}, {1, REPLAY_NEW}, {0, REPLAY_SEEN}, {1, REPLAY_SEEN}}},
	{4, {{1, REPLAY_NEW}, {0, REPLAY_NEW}, {0, REPLAY_SEEN}, {1, REPLAY_SEEN}}},
	{4, {{W - 1, REPLAY_NEW}, {0, REPLAY_NEW}, {0, REPLAY_SEEN}, {W - 1, REPLAY_SEEN}}},
	{6,
	 {{0, REPLAY_NEW}, {W - 1, REPLAY_NEW}, {0, REPLAY_SEEN}, {W, REPLAY_NEW}, {0, REPLAY_OLD}, {1, REPLAY_NEW}}},
	{4, {{W, REPLAY_NEW}, {0, REPLAY_OLD}, {1, REPLAY_NEW}, {1, REPLAY_SEEN}}},
	{4, {{W + 1, REPLAY_NEW}, {0, REPLAY_OLD}, {1, REPLAY_OLD}, {2, REPLAY_NEW}}},
	/* 0, 8191, 8192, 8193 behind, from the middle of a block and from both its ends. */
	{6,
	 {{100000, REPLAY_NEW},
	  {100000, REPLAY_SEEN},
	  {100000 - 8191, REPLAY_NEW},
	  {100000 - 8191, REPLAY_SEEN},
	  {100000 - 8192, REPLAY_OLD},
	  {100000 - 8193, REPLAY_OLD}}},
	{5,
	 {{64 * 1000, REPLAY_NEW},
	  {64 * 1000 - 8191, REPLAY_NEW},
	  {64 * 1000 - 8191, REPLAY_SEEN},
	  {64 * 1000 - 8192, REPLAY_OLD},
	  {64 * 1000 - 1, REPLAY_NEW}}},
	{5,
	 {{64 * 1000 + 63, REPLAY_NEW},
	  {64 * 1000 + 63 - 8191, REPLAY_NEW},
	  {64 * 1000 + 63 - 8192, REPLAY_OLD},
	  {64 * 1000 + 64, REPLAY_NEW},
	  {64 * 1000 + 63 - 8191, REPLAY_OLD}}},
	/* Jumps: to where the ring comes round, one less, one more, and far. */
	{4, {{5, REPLAY_NEW}, {5 + 129 * 64, REPLAY_NEW}, {5, REPLAY_OLD}, {6 + 128 * 64, REPLAY_NEW}}},
	{4, {{70, REPLAY_NEW}, {70 + 8191, REPLAY_NEW}, {70, REPLAY_SEEN}, {71, REPLAY_NEW}}},
	{4, {{5, REPLAY_NEW}, {5 + 130 * 64, REPLAY_NEW}, {5 + 65 * 64, REPLAY_NEW}, {5 + 65 * 64, REPLAY_SEEN}}},
	{4, {{5, REPLAY_NEW}, {5 + 129000 * 64, REPLAY_NEW}, {5 + 128999 * 64, REPLAY_NEW}, {5, REPLAY_OLD}}},
	{3, {{64 + 5, REPLAY_NEW}, {64 * 129000, REPLAY_NEW}, {64 * (129000 - 128) + 5, REPLAY_NEW}}},
	/* The ends of the numbers. */
	{6,
	 {{TOP - 1, REPLAY_NEW},
	  {TOP - 1, REPLAY_SEEN},
	  {TOP - 2, REPLAY_NEW},
	  {TOP - 8192, REPLAY_NEW},
	  {TOP - 8193, REPLAY_OLD},
	  {0, REPLAY_OLD}}},
	{3, {{TOP - 65537, REPLAY_NEW}, {TOP - 65536, REPLAY_NEW}, {TOP - 65537, REPLAY_SEEN}}},
	{4, {{UINT64_MAX, REPLAY_NEW}, {UINT64_MAX, REPLAY_SEEN}, {UINT64_MAX - 8191, REPLAY_NEW}, {0, REPLAY_OLD}}},
};

static void the_edges(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
		struct lanes_window w = {0};

		for (const struct offer *o = stories[i].offer; o < stories[i].offer + stories[i].count; o++) {
			assert_int_equal(replay_is_old(&w, o->counter), o->verdict == REPLAY_OLD);
			assert_int_equal(replay_accept(&w, o->counter, OWN), o->verdict);
			assert_int_equal(w.flag, 0);
		}
	}
}

/* All of a window's counters, then each a second time, from every offset to the blocks. */
static void a_whole_window(void **state)
{
	(void)state;
	for (uint64_t base = 1000; base < 1000 + 130; base++) {
		struct lanes_window w = {0};

		for (uint64_t i = 0; i < W; i++)
			if (replay_accept(&w, base + (i * 4097) % W, OWN) != REPLAY_NEW)
				fail_msg("%llu is not new", (unsigned long long)i);
		for (uint64_t i = 0; i < W; i++)
			if (replay_accept(&w, base + i, OWN) != REPLAY_SEEN)
				fail_msg("%llu is new again", (unsigned long long)i);
		assert_int_equal(replay_accept(&w, base - 1, OWN), REPLAY_OLD);
		assert_int_equal(replay_accept(&w, base + W, OWN), REPLAY_NEW);
	}
}

static void who_finds_the_flag_held_goes_away(void **state)
{
	struct lanes_window w = {.flag = OTHER, .greatest = 10};
	const struct lanes_window before = w;

	(void)state;
	assert_int_equal(replay_accept(&w, 11, OWN), REPLAY_BUSY);
	assert_int_equal(replay_accept(&w, 11, OTHER), REPLAY_BUSY);
	assert_memory_equal(&w, &before, sizeof(w));
	assert_false(replay_is_old(&w, 11));
	w.flag = 0;
	assert_int_equal(replay_accept(&w, 11, OWN), REPLAY_NEW);
}

/* What killer and survivors share. */
struct shared {
	struct lanes_window w;
	uint64_t delivered[MADE_BEFORE + MADE]; /* written after the verdict, as a packet is */
	unsigned delivered_count;
	unsigned again; /* delivered ones that were accepted a second time */
	uint64_t beyond; /* counters after the crash that were refused although new */
};

static uint64_t offered(unsigned i)
{
	uint64_t ahead;

	if (i < MADE_BEFORE)
		return (uint64_t)i * STRIDE;
	i -= MADE_BEFORE;
	/* Small steps over the edge of the ring, late ones between, and at the end jumps by more than the ring. */
	ahead = (uint64_t)MADE_BEFORE * STRIDE + (uint64_t)i * 97;
	if (i % 5 == 4)
		return ahead - 4000 - i;
	return i < MADE - 4 ? ahead : ahead + (uint64_t)(i - (MADE - 5)) * 3 * W;
}

static void deliver(struct shared *s, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		if (replay_accept(&s->w, offered(i), OTHER) == REPLAY_NEW)
			s->delivered[s->delivered_count++] = offered(i);
}

static bool was_delivered(const struct shared *s, uint64_t counter)
{
	for (unsigned i = 0; i < s->delivered_count; i++)
		if (s->delivered[i] == counter)
			return true;
	return false;
}

/* The survivor: all that was ever sent comes again, the oldest first, then the latest first, then what comes after. */
static void offer_again(struct shared *s)
{
	const uint64_t greatest = s->w.greatest;
	const unsigned all = MADE_BEFORE + MADE;

	for (unsigned i = 0; i < all; i++)
		if (replay_accept(&s->w, offered(i), OWN) == REPLAY_NEW)
			s->again += was_delivered(s, offered(i));
	for (unsigned i = all; i-- > 0;)
		s->again += replay_accept(&s->w, offered(i), OWN) == REPLAY_NEW;
	for (uint64_t i = 0; i < 2 * (uint64_t)W; i++)
		s->beyond += replay_accept(&s->w, greatest + 6 * (uint64_t)W * MADE + i, OWN) != REPLAY_NEW;
}

/* Runs one of the two in a process of its own; true: it was killed. */
static bool run(struct shared *s, unsigned kill_at)
{
	const pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		steps_left = kill_at;
		if (kill_at)
			deliver(s, MADE_BEFORE, MADE_BEFORE + MADE);
		else
			offer_again(s);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status);
}

static void killed_at_any_step_nothing_comes_twice(void **state)
{
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned at;

	(void)state;
	assert_true(s != MAP_FAILED);
	for (at = 1; at < STEPS_MAX; at++) {
		bool killed;

		memset(s, 0, sizeof(*s));
		deliver(s, 0, MADE_BEFORE);
		assert_int_equal(s->delivered_count, MADE_BEFORE);
		killed = run(s, at);
		assert_int_equal(s->w.flag, killed ? OTHER : 0);
		s->w.flag = 0;
		assert_false(run(s, 0));
		if (s->again || s->beyond)
			fail_msg("killed at step %u: %u again, %llu refused later", at, s->again,
				 (unsigned long long)s->beyond);
		if (!killed)
			break;
	}
	assert_in_range(at, 3 * MADE, STEPS_MAX - 1);
	munmap(s, sizeof(*s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_edges),
		cmocka_unit_test(a_whole_window),
		cmocka_unit_test(who_finds_the_flag_held_goes_away),
		cmocka_unit_test(killed_at_any_step_nothing_comes_twice),
	};

	return cmocka_run_group_tests_name("replay window", tests, NULL, NULL);
}
