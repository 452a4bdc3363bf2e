/* SPDX-License-Identifier: Apache-2.0 */
/* The opener is killed inside updates of its window, at each kind of step, hundreds of times; its next life is offered
 * what came before, and goes on. No packet opens twice. The window's source is compiled in, with a hook at each step of
 * an update. REPLAY_KILLS=: how many. */
static void step(const char *which);
#define REPLAY_STEP(which) step(which)
#include "fastpath/replay.c"

#include "tests/prop/prop_replay.h"

enum {
	BEFORE = 100000, /* packets that came before the first kill */
	END = BEFORE + LATER,
	REPEATED = 300, /* before the next one, in each life */
	KILLS = 300,
};

static const char *step_wanted;
static unsigned steps_left;

static void step(const char *which)
{
	if (steps_left && strcmp(which, step_wanted) == 0 && --steps_left == 0)
		kill(getpid(), SIGKILL);
}

/* Later ones leave gaps, small and larger than a window, so that blocks are cleared. */
static void seal_with_gaps(struct skeys *keys, struct skey *key, uint32_t end)
{
	while (s->count < end)
		seal_run(keys, key, 1 + rng_below(&rng, rng_percent(&rng, 10) ? 10000 : 100), 1);
}

/* One life: what came last comes again, then what comes next, until it is killed. */
static void open_until_killed(void)
{
	const struct skey_given given = world_given_b(&w);
	struct skey *key;
	struct skeys *keys = take_up(w.b.lanes, &given, &key);
	struct skey_opener o;

	skey_open_begin(&o, keys, OWNER + 1, w.now);
	for (uint32_t i = s->position - REPEATED; i < s->count; i++) {
		if (i > s->position)
			s->position = i;
		s->under_way = i;
		if (offer(&o, i, s->frame[i]) == SKEY_BUSY) {
			s->surprises++;
			return;
		}
	}
	s->position = s->count;
}

/* The dead one holds the lane: what comes is dropped, and comes again when the flag was taken from it. */
static void offer_what_killed(void)
{
	const uint32_t id = s->under_way;
	struct skey_opener o;

	assert_int_equal(w.b.lanes->row[B_ROW].receive[lane_of(id)].flag, OWNER + 1);
	skey_open_begin(&o, w.b.keys, OWNER, w.now);
	assert_int_equal(offer(&o, id, s->frame[id]), SKEY_BUSY);
	rows_clear_owner(w.b.lanes, OWNER + 1);
}

/* All of them once more: those that were under way when an opener died, and those that none has got to. Then the list
 * is what the window says: a crash may refuse what was new. Returns how many such there were. */
static uint64_t offer_all_after_kills(uint32_t from)
{
	uint64_t lost = 0;

	for (unsigned turn = 0; turn < 2; turn++) {
		struct skey_opener o;

		skey_open_begin(&o, w.b.keys, OWNER, w.now);
		for (uint32_t id = 0; id < s->count; id++)
			offer(&o, id, s->frame[id]);
		skey_open_end(&o);
	}
	for (uint32_t id = from; id < s->count; id++) {
		lost += !s->accepted[id];
		s->accepted[id] = 1;
	}
	for (unsigned lane = 0; lane < LANES; lane++)
		s->greatest[lane] = w.b.lanes->row[B_ROW].receive[lane].greatest;
	return lost;
}

static void captured(void **state)
{
	(void)state;
	seal_up_to(w.a.keys, w.a.key, BEFORE);
	replay_by_list(w.b.keys, OWNER, NULL, 0, BEFORE);
	assert_int_equal(s->tally.verdict[SKEY_OK], BEFORE);
	settle("arrived", 0);
}

static const struct {
	const char *name;
	uint32_t reach; /* it is one of the next so many steps of its kind that kills */
} kinds[] = {{"flag", 60}, {"greatest", 60}, {"block", 800}, {"bit", 60}};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static bool kill_one(unsigned kind)
{
	bool killed;

	step_wanted = kinds[kind].name;
	steps_left = 1 + rng_below(&rng, kinds[kind].reach);
	killed = in_a_child(open_until_killed);
	steps_left = 0;
	if (killed)
		offer_what_killed();
	return killed;
}

static void replayed_to_openers_killed_inside_updates(void **state)
{
	const char *text = getenv("REPLAY_KILLS");
	const uint64_t goal = text ? strtoull(text, NULL, 0) : KILLS;
	uint64_t kills = 0, lost = 0, sealed = 0;

	(void)state;
	while (kills < goal) {
		const uint32_t from = BEFORE;

		s->count = s->position = from;
		memset(&s->accepted[from], 0, LATER);
		seal_with_gaps(w.a.keys, w.a.key, END);
		while (kills < goal && kill_one(kills % KINDS))
			kills++;
		lost += offer_all_after_kills(from);
		sealed += LATER;
	}
	printf("# %llu kills, the same number at each kind of step; of %llu packets %llu were lost by them\n",
	       (unsigned long long)kills, (unsigned long long)sealed, (unsigned long long)lost);
	assert_true(lost < sealed / 10);
	settle("to openers killed inside updates", kills);
}

static void nothing_opens_afterwards(void **state)
{
	(void)state;
	replay_by_list(w.b.keys, OWNER, NULL, 0, s->count);
	assert_int_equal(s->tally.verdict[SKEY_OK], 0);
	settle("once more", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(captured),
		cmocka_unit_test(replayed_to_openers_killed_inside_updates),
		cmocka_unit_test(nothing_opens_afterwards),
	};

	return cmocka_run_group_tests_name("killed inside updates", tests, begin, end);
}
