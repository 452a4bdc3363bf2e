/* SPDX-License-Identifier: Apache-2.0 */
/* Session keys: which are taken, how they are found and wiped; the limits of sealing; and each verdict on a frame. */
#include "tests/unit/skey_world.h"
#include <errno.h>
#include <stdlib.h>

static const struct aead *aead;
static struct world w;

static int find(void **state)
{
	const char *why;

	(void)state;
	aead = aead_choose(&why);
	return aead ? 0 : -1;
}

static int fresh(void **state)
{
	(void)state;
	world_init(&w, aead);
	return 0;
}

static int forget(void **state)
{
	(void)state;
	world_fini(&w);
	return 0;
}

static uint32_t number(const struct side *s)
{
	return skeys_number(s->keys, s->key);
}

/* Another key at B. */
static int add(uint32_t row, uint32_t index, uint32_t *slot)
{
	struct skey_given g = world_given_b(&w);

	g.row = row;
	g.index = index;
	rows_begin(w.b.lanes, row, index);
	return skeys_add(w.b.keys, &g, slot);
}

static void a_slot_holds_its_key(void **state)
{
	const struct skey *s = w.b.key;

	(void)state;
	assert_true(s->net64 == ip6_net64(&w.a.address) && s->row == &w.b.lanes->row[B_ROW] && s->row_number == B_ROW);
	assert_true(s->index == B_INDEX && s->far_index == A_INDEX && s->pk.b[0] == 0xa);
	assert_true(s->far_lanes == 64 && s->our_lanes == LANES && s->made.us == made.us);
	assert_int_equal(s->state, SKEY_STATE_SEND);
	assert_int_equal((uintptr_t)s % AEAD_ALIGN, 0);
	assert_int_equal(skeys_count(w.b.keys), 1);
	assert_ptr_equal(skeys_find(w.b.keys, B_INDEX), s);
	assert_null(skeys_find(w.b.keys, A_INDEX));
	assert_null(skeys_find(w.b.keys, 0));
	skeys_move(w.b.keys, number(&w.b), SKEY_STATE_OLD);
	assert_int_equal(s->state, SKEY_STATE_OLD);
	skeys_free(NULL);
}

static void change_memory(struct skey_given *g)
{
	g->memory[15] ^= 1;
}

static void change_generation(struct skey_given *g)
{
	g->generation++;
}

static void change_row(struct skey_given *g)
{
	g->row--;
}

static void row_far_off(struct skey_given *g)
{
	g->row = LIMIT_SESSION_ROWS;
}

static void row_of_another(struct skey_given *g)
{
	g->index++;
}

static void index_of_zero(struct skey_given *g)
{
	g->index = 0;
}

static void same_again(struct skey_given *g)
{
	(void)g;
}

static void no_far_lanes(struct skey_given *g)
{
	g->far_lanes = 0;
}

static void many_far_lanes(struct skey_given *g)
{
	g->far_lanes = LIMIT_SESSION_FAR_LANES + 1;
}

static void no_lanes(struct skey_given *g)
{
	g->our_lanes = 0;
}

static void many_lanes(struct skey_given *g)
{
	g->our_lanes = LANES + 1;
}

static void no_state(struct skey_given *g)
{
	g->state = SKEY_STATE_NONE;
}

static void unknown_state(struct skey_given *g)
{
	g->state = (enum skey_state)4;
}

static void what_is_not_taken(void **state)
{
	static const struct {
		void (*change)(struct skey_given *g);
		int problem;
	} cases[] = {
		{change_memory, -ESTALE},  {change_generation, -ESTALE}, {change_row, -ESTALE}, {row_far_off, -ESTALE},
		{row_of_another, -ESTALE}, {index_of_zero, -EINVAL},	 {same_again, -EEXIST}, {no_far_lanes, -EINVAL},
		{many_far_lanes, -EINVAL}, {no_lanes, -EINVAL},		 {many_lanes, -EINVAL}, {no_state, -EINVAL},
		{unknown_state, -EINVAL},
	};
	uint32_t slot = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct skey_given g = world_given_b(&w);

		cases[i].change(&g);
		assert_int_equal(skeys_add(w.b.keys, &g, &slot), cases[i].problem);
		assert_int_equal(slot, 77);
	}
	assert_int_equal(skeys_count(w.b.keys), 1);
	/* A row that was given back takes no key. */
	rows_begin(w.b.lanes, 9, 99);
	rows_end(w.b.lanes, 9);
	assert_int_equal(add(9, 99, &slot), 0);
}

static void a_full_arena_refuses(void **state)
{
	uint32_t slot;

	(void)state;
	for (uint32_t i = 2; i <= CAP; i++)
		assert_int_equal(add(i, i, &slot), 0);
	assert_int_equal(add(100, 100, &slot), -ENOSPC);
	assert_int_equal(skeys_count(w.b.keys), CAP);
	skeys_hide(w.b.keys, 7);
	skeys_wipe(w.b.keys, 7);
	rows_end(w.b.lanes, 100);
	assert_int_equal(add(100, 100, &slot), 0);
	assert_int_equal(slot, 7);
	assert_int_equal(skeys_find(w.b.keys, 100)->index, 100);
	assert_int_equal(skeys_count(w.b.keys), CAP);
}

static void hidden_keys_are_not_found(void **state)
{
	/* One chain, and a reader who stands on each of it while others go. */
	static const uint32_t step = 1 << 16;
	struct skey *at[6];
	uint32_t slot[6];

	(void)state;
	for (uint32_t i = 0; i < 6; i++) {
		assert_int_equal(add(i, 5 + i * step, &slot[i]), 0);
		at[i] = skeys_slot(w.b.keys, slot[i]);
	}
	for (uint32_t gone = 0; gone < 6; gone++) {
		const uint32_t i = gone * 5 % 6; /* the first, the last, and so on inwards */

		for (uint32_t k = 0; k < 6; k++)
			if (skeys_find(w.b.keys, 5 + k * step))
				assert_ptr_equal(skeys_find(w.b.keys, 5 + k * step), at[k]);
		skeys_hide(w.b.keys, slot[i]);
		skeys_hide(w.b.keys, slot[i]);
		assert_null(skeys_find(w.b.keys, 5 + i * step));
		assert_int_equal(at[i]->index, 5 + i * step);
	}
	assert_int_equal(skeys_count(w.b.keys), 7);
	for (uint32_t i = 0; i < 6; i++)
		skeys_wipe(w.b.keys, slot[i]);
	assert_int_equal(skeys_count(w.b.keys), 1);
	assert_ptr_equal(skeys_find(w.b.keys, B_INDEX), w.b.key);
}

static void wiped_slots_are_empty(void **state)
{
	const uint8_t *bytes = (const uint8_t *)w.b.key;
	const size_t size = sizeof(struct skey) + 2 * aead->key_bytes;
	size_t before = 0;

	(void)state;
	assert_int_equal(skeys_next(w.b.keys, 0), number(&w.b));
	assert_int_equal(skeys_next(w.b.keys, number(&w.b)), 0);
	for (size_t i = sizeof(struct skey); i < size; i++)
		before += bytes[i] != 0;
	assert_true(before > 200);
	skeys_hide(w.b.keys, number(&w.b));
	assert_int_equal(skeys_next(w.b.keys, 0), number(&w.b));
	skeys_wipe(w.b.keys, number(&w.b));
	for (size_t i = 0; i < size; i++)
		assert_int_equal(bytes[i], 0);
	assert_int_equal(skeys_next(w.b.keys, 0), 0);
	assert_int_equal(skeys_count(w.b.keys), 0);
}

static enum skey_verdict begin(struct skey_run *run, uint32_t count)
{
	return skey_seal_begin(run, w.a.keys, w.a.key, 2, count, w.now);
}

static void counters_are_taken_in_runs(void **state)
{
	struct skey_run one, two;

	(void)state;
	assert_int_equal(begin(&one, 64), SKEY_OK);
	assert_int_equal(begin(&two, 3), SKEY_OK);
	assert_true(one.next == 0 && one.end == 64 && two.next == 64 && two.end == 67);
	skey_seal_end(&one);
	assert_int_equal(begin(&one, 1), SKEY_OK);
	assert_int_equal(one.next, 67);
	assert_int_equal(w.a.lanes->row[A_ROW].send[2].next, 68);
	assert_int_equal(w.a.lanes->row[A_ROW].send[1].next, 0);
	assert_int_equal(w.a.key->sealed.packets, 0);
}

static void counters_end(void **state)
{
	__u64 *const next = &w.a.lanes->row[A_ROW].send[2].next;
	uint8_t frame[200];
	struct skey_run run;

	(void)state;
	*next = SKEY_COUNTER_REKEY - 2;
	world_seal_any(&w, 2, frame);
	assert_false(skey_wants_rekey(w.a.key));
	world_seal_any(&w, 2, frame);
	assert_true(skey_wants_rekey(w.a.key));
	*next = SKEY_COUNTER_END - 5;
	assert_int_equal(begin(&run, 4), SKEY_OK);
	assert_int_equal(begin(&run, 2), SKEY_EXPIRED);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(begin(&run, 1), SKEY_EXPIRED);
	*next = SKEY_COUNTER_END - 1;
	assert_int_equal(begin(&run, 1), SKEY_OK);
	assert_int_equal(begin(&run, 1), SKEY_EXPIRED);
	/* Other lanes go on. */
	world_seal_any(&w, 1, frame);
}

static void keys_end(void **state)
{
	struct skey_run run;

	(void)state;
	w.now = mono_add_ms(made, LIMIT_SESSION_AGE_S * 1000);
	w.now.us--;
	assert_int_equal(begin(&run, 1), SKEY_OK);
	w.now.us++;
	assert_int_equal(begin(&run, 1), SKEY_EXPIRED);
	w.now.us = made.us - 5;
	assert_int_equal(begin(&run, 1), SKEY_OK);
	w.a.key->sealed.bytes = SKEY_BYTES_END / 2;
	w.a.key->opened.bytes = SKEY_BYTES_END / 2 - 1;
	assert_int_equal(begin(&run, 1), SKEY_OK);
	w.a.key->opened.bytes++;
	assert_int_equal(begin(&run, 1), SKEY_EXPIRED);
	w.a.key->opened.bytes = 0;
	assert_int_equal(begin(&run, 1), SKEY_OK);
	w.a.lanes->header.generation++;
	assert_int_equal(begin(&run, 1), SKEY_EXPIRED);
}

static void traffic_is_counted(void **state)
{
	uint8_t frame[200], plain[4] = {0};
	const size_t size = world_seal_any(&w, 5, frame);
	struct skey_opened opened;

	(void)state;
	assert_int_equal(size, WIRE_OVERHEAD_BYTES + 8);
	assert_int_equal(world_open(&w, frame, size, &opened), SKEY_OK);
	assert_true(w.a.key->sealed.packets == 1 && w.a.key->sealed.bytes == size - WIRE_DATA_HEADER_BYTES);
	assert_true(w.b.key->opened.packets == 1 && w.b.key->opened.bytes == size - WIRE_DATA_HEADER_BYTES);
	assert_true(w.a.key->sealed.lane_end == 1 && w.b.key->opened.lane_end == 1);
	assert_true(w.a.key->sealed.data_us == made.us && w.b.key->opened.data_us == made.us);
	assert_true(w.a.key->opened.packets == 0 && w.b.key->sealed.packets == 0);
	/* Not data. */
	w.now.us += 9;
	assert_int_equal(world_open(&w, frame, world_seal(&w, 5, WIRE_USER_CONTROL, plain + 4, 0, frame), &opened),
			 SKEY_OK);
	assert_int_equal(opened.user.type, WIRE_USER_CONTROL);
	assert_true(w.a.key->sealed.packets == 2 && w.b.key->opened.packets == 2);
	assert_true(w.a.key->sealed.data_us == made.us && w.b.key->opened.data_us == made.us);
	assert_int_equal(w.b.key->opened.lane_end, 2);
	/* What does not open counts nothing. */
	world_seal_any(&w, 5, frame);
	frame[WIRE_DATA_HEADER_BYTES] ^= 1;
	assert_int_equal(world_open(&w, frame, size, &opened), SKEY_FAILED);
	assert_int_equal(w.b.key->opened.packets, 2);
}

/* A batch of packets under two keys by turns. */
static void a_batch_counts_for_each_key(void **state)
{
	struct skey_given g = world_given_b(&w);
	struct skey_opened opened;
	struct skey_opener o;
	uint8_t frame[200];
	uint32_t slot;

	(void)state;
	g.row = 8;
	g.index = B_INDEX + 1;
	rows_begin(w.b.lanes, g.row, g.index);
	assert_int_equal(skeys_add(w.b.keys, &g, &slot), 0);
	skey_open_begin(&o, w.b.keys, OWNER, w.now);
	for (uint32_t i = 0; i < 10; i++) {
		w.a.key->far_index = i % 3 ? B_INDEX : B_INDEX + 1;
		assert_int_equal(skey_open(&o, frame, world_seal_any(&w, i % 2, frame), &opened), SKEY_OK);
		assert_int_equal(opened.key->index, w.a.key->far_index);
	}
	skey_open_end(&o);
	assert_int_equal(w.b.key->opened.packets, 6);
	assert_int_equal(skeys_slot(w.b.keys, slot)->opened.packets, 4);
	assert_int_equal(w.b.key->opened.lane_end, 5);
}

static void the_first_packet_confirms(void **state)
{
	struct skey_opened opened;
	uint8_t frame[200], plain[4] = {0};

	(void)state;
	assert_int_equal(world_open(&w, frame, world_seal_any(&w, 0, frame), &opened), SKEY_OK);
	assert_false(opened.confirms);
	skeys_move(w.b.keys, number(&w.b), SKEY_STATE_NEXT);
	/* Even if it says nothing that is known here. */
	assert_int_equal(world_open(&w, frame, world_seal(&w, 0, 0x45, plain + 4, 0, frame), &opened), SKEY_TYPE);
	assert_true(opened.confirms && opened.key == w.b.key);
	assert_int_equal(world_open(&w, frame, world_seal_any(&w, 0, frame), &opened), SKEY_OK);
	assert_false(opened.confirms);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, fresh, forget)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_slot_holds_its_key),
		CASE(what_is_not_taken),
		CASE(a_full_arena_refuses),
		CASE(hidden_keys_are_not_found),
		CASE(wiped_slots_are_empty),
		CASE(counters_are_taken_in_runs),
		CASE(counters_end),
		CASE(keys_end),
		CASE(traffic_is_counted),
		CASE(a_batch_counts_for_each_key),
		CASE(the_first_packet_confirms),
	};

	return cmocka_run_group_tests_name("session keys", tests, find, NULL);
}
