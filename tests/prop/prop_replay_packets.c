/* SPDX-License-Identifier: Apache-2.0 */
/* A million packets of one session, captured on their way and replayed: in order, shuffled, in another lane, under
 * other keys, after either side was killed and started again, also in the midst of an update of the window. None opens
 * twice, and each refusal is the one that a list of what was opened foretells. The window's source is compiled in, with
 * a hook at each step of an update. The tests go on from one another. SEED= repeats a run; REPLAY_KILLS=: more of them.
 */
#include "tests/prop/prop_replay.h"

enum {
	NEAR = 3000, /* packets overtake each other by so much */
	HELD_BACK = 40, /* one in so many is not delivered at first */
	NEW_INDEX = 0x0badcafe,
	THIRD_INDEX = 0x0defaced,
};

static void captured_while_most_of_them_arrive(void **state)
{
	uint32_t n = 0;

	(void)state;
	seal_up_to(w.a.keys, w.a.key, PACKETS);
	shuffle(NEAR);
	for (uint32_t i = 0; i < PACKETS; i++)
		if (rng_below(&rng, HELD_BACK))
			s->order[n++] = s->order[i];
	replay_by_list(w.b.keys, OWNER, s->order, 0, n);
	assert_true(s->tally.verdict[SKEY_OK] > PACKETS / 10 * 9);
	settle("arrived", 0);
}

/* Those that were held back open now, as long as the window reaches to them; nothing else does. */
static void replayed_in_order(void **state)
{
	(void)state;
	replay_by_list(w.b.keys, OWNER, NULL, 0, PACKETS);
	assert_true(s->tally.verdict[SKEY_OK] > 0 && s->tally.verdict[SKEY_OK] < PACKETS / HELD_BACK * 2);
	settle("in order", 0);
	replay_by_list(w.b.keys, OWNER, NULL, 0, PACKETS);
	assert_int_equal(s->tally.verdict[SKEY_OK], 0);
	settle("in order again", 0);
}

static void replayed_shuffled(void **state)
{
	(void)state;
	shuffle(PACKETS);
	replay_by_list(w.b.keys, OWNER, s->order, 0, PACKETS);
	assert_int_equal(s->tally.verdict[SKEY_OK], 0);
	settle("shuffled", 0);
}

static enum skey_verdict foretell_in_lane(uint32_t id, uint8_t lane)
{
	if (lane >= LANES)
		return SKEY_LANE;
	return counter_of(id) + LIMIT_SESSION_WINDOW <= s->greatest[lane] ? SKEY_LATE : SKEY_FAILED;
}

static void replayed_in_another_lane(void **state)
{
	static struct lanes_row before;
	struct skey_opener o;

	(void)state;
	before = w.b.lanes->row[B_ROW];
	skey_open_begin(&o, w.b.keys, OWNER, w.now);
	for (uint32_t id = 0; id < PACKETS; id++) {
		const uint32_t lanes = rng_percent(&rng, 90) ? LANES : 256;
		const uint8_t lane = (uint8_t)((lane_of(id) + 1 + rng_below(&rng, lanes - 1)) % lanes);
		uint8_t changed[FRAME];

		memcpy(changed, s->frame[id], FRAME);
		changed[LANE_AT] = lane;
		s->surprises += offer(&o, id, changed) != foretell_in_lane(id, lane);
	}
	skey_open_end(&o);
	assert_true(s->tally.verdict[SKEY_FAILED] > 1000 && s->tally.verdict[SKEY_LANE] > 1000);
	settle("in another lane", 0);
	assert_memory_equal(&before, &w.b.lanes->row[B_ROW], sizeof(before));
}

static void opener_lives_again(void)
{
	const struct skey_given given = world_given_b(&w);
	struct skey *key;
	struct skeys *keys = take_up(w.b.lanes, &given, &key);

	rows_clear_owner(w.b.lanes, OWNER);
	replay_by_list(keys, OWNER, s->order, 0, PACKETS);
	replay_by_list(keys, OWNER, NULL, 0, PACKETS);
}

static void replayed_to_the_opener_s_next_life(void **state)
{
	(void)state;
	assert_false(in_a_child(opener_lives_again));
	assert_int_equal(s->tally.verdict[SKEY_OK], 0);
	settle("to the opener's next life", 0);
}

static void sealer_lives_again(void)
{
	const struct skey_given given = world_given_a(&w);
	struct skey *key;
	struct skeys *keys = take_up(w.a.lanes, &given, &key);

	seal_up_to(keys, key, s->count + LATER / 2);
}

/* What the next one seals is new, among packets of the first that seals on beside it. */
static void replayed_after_the_sealer_s_restart(void **state)
{
	const uint32_t from = s->count;

	(void)state;
	assert_false(in_a_child(sealer_lives_again));
	seal_up_to(w.a.keys, w.a.key, s->count + LATER / 2);
	assert_int_equal(s->count, from + LATER);
	replay_by_list(w.b.keys, OWNER, NULL, from, s->count);
	assert_int_equal(s->tally.verdict[SKEY_OK], LATER);
	replay_by_list(w.b.keys, OWNER, NULL, from, s->count);
	replay_by_list(w.b.keys, OWNER, NULL, 0, PACKETS);
	assert_int_equal(s->tally.verdict[SKEY_OK], LATER);
	settle("after the sealer's restart", 0);
}

static struct skey *add_key(struct skey_given *given, uint32_t index, uint32_t row, uint32_t *slot)
{
	*given = world_given_b(&w);
	given->index = index;
	given->row = row;
	given->state = SKEY_STATE_NEXT;
	rng_bytes(&rng, &given->receive, sizeof(given->receive));
	rows_begin(w.b.lanes, row, index);
	assert_int_equal(skeys_add(w.b.keys, given, slot), 0);
	return skeys_slot(w.b.keys, *slot);
}

/* Every stride-th with another index than it was sealed for. */
static void offer_for(uint32_t index, uint32_t stride, enum skey_verdict expected)
{
	const uint32_t be = __builtin_bswap32(index);
	struct skey_opener o;

	skey_open_begin(&o, w.b.keys, OWNER, w.now);
	for (uint32_t id = 0; id < s->count; id += stride) {
		uint8_t changed[FRAME];

		memcpy(changed, s->frame[id], FRAME);
		memcpy(&changed[NONCE_AT], &be, sizeof(be));
		s->surprises += offer(&o, id, changed) != expected;
	}
	skey_open_end(&o);
}

static void replayed_after_a_rekey(void **state)
{
	const uint32_t old = skeys_number(w.b.keys, w.b.key);
	struct skey_given given;
	uint32_t slot;
	const struct skey *key;

	(void)state;
	key = add_key(&given, NEW_INDEX, B_ROW - 1, &slot);
	offer_for(NEW_INDEX, 1, SKEY_FAILED);
	offer_for(A_INDEX, 1, SKEY_UNKNOWN);
	assert_int_equal(key->confirmed, 0);
	skeys_move(w.b.keys, slot, SKEY_STATE_SEND);
	skeys_move(w.b.keys, old, SKEY_STATE_OLD);
	replay_by_list(w.b.keys, OWNER, NULL, 0, s->count);
	assert_int_equal(s->tally.verdict[SKEY_OK], 0);
	settle("after a rekey", 0);
}

static void replayed_when_the_old_key_is_gone(void **state)
{
	const uint32_t old = skeys_number(w.b.keys, w.b.key);
	struct skey_given given;
	uint32_t slot;

	(void)state;
	skeys_hide(w.b.keys, old);
	offer_for(B_INDEX, 1, SKEY_UNKNOWN);
	skeys_wipe(w.b.keys, old);
	rows_end(w.b.lanes, B_ROW);
	offer_for(B_INDEX, 1, SKEY_UNKNOWN);
	/* Another key gets its row, with an empty window, and another its index as well. */
	add_key(&given, THIRD_INDEX, B_ROW, &slot);
	offer_for(THIRD_INDEX, 3, SKEY_FAILED);
	offer_for(B_INDEX, 1, SKEY_UNKNOWN);
	add_key(&given, B_INDEX, B_ROW - 2, &slot);
	offer_for(B_INDEX, 3, SKEY_FAILED);
	settle("when the old key is gone", 0);
}

static void replayed_in_another_generation(void **state)
{
	(void)state;
	w.b.lanes->header.generation++;
	offer_for(NEW_INDEX, 1, SKEY_EXPIRED);
	offer_for(B_INDEX, 1, SKEY_EXPIRED);
	settle("in another generation", 0);
}

static void all_in_all(void **state)
{
	uint64_t opened = 0, sum = 0;

	(void)state;
	for (uint32_t id = 0; id < ROOM; id++) {
		assert_in_range(s->accepted[id], 0, 1);
		opened += s->accepted[id];
	}
	for (unsigned v = 0; v < VERDICTS; v++)
		sum += all.verdict[v];
	printf("# %llu packets offered, %llu verdicts; %llu of %u packets opened, each once\n",
	       (unsigned long long)all.offered, (unsigned long long)sum, (unsigned long long)opened, ROOM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(captured_while_most_of_them_arrive),
		cmocka_unit_test(replayed_in_order),
		cmocka_unit_test(replayed_shuffled),
		cmocka_unit_test(replayed_in_another_lane),
		cmocka_unit_test(replayed_to_the_opener_s_next_life),
		cmocka_unit_test(replayed_after_the_sealer_s_restart),
		cmocka_unit_test(replayed_after_a_rekey),
		cmocka_unit_test(replayed_when_the_old_key_is_gone),
		cmocka_unit_test(replayed_in_another_generation),
		cmocka_unit_test(all_in_all),
	};

	return cmocka_run_group_tests_name("a million packets replayed", tests, begin, end);
}
