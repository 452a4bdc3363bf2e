/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the shared memory: given to one key at a time, free only when the key is gone, refused when there is none,
 * and what is found in a running fastpath taken or ended. */
#include "tests/unit/test_keyring.h"

#include "controld/keyring_private.h"
#include <errno.h>

/* A row waits for GONE, however long that takes. */
static void test_gone_late(void **state)
{
	struct world *w = world_with_session();
	struct side *a = &w->side[0], *b = &w->side[1];
	const uint32_t row = held_at(a, CTL_SESSION_SEND)->key.info.row;
	const uint32_t index = held_at(a, CTL_SESSION_SEND)->key.info.index;

	(void)state;
	a->holds_back = true;
	pass_ms(w, 301 * SECOND_MS);
	assert_int_equal(a->dels, 1);
	assert_int_equal(a->lanes->row_index[row], index);
	assert_int_equal(keyring_totals(a->k, w->t).rows, 1);
	want(a, &b->self);
	assert_int_not_equal(held_at(a, CTL_SESSION_SEND)->key.info.row, row);
	assert_int_equal(keyring_totals(a->k, w->t).rows, 2);
	a->holds_back = false;
	pump(w);
	assert_int_equal(a->lanes->row_index[row], 0);
	assert_int_equal(a->lanes->row[row].send[0].next, 0);
	assert_int_equal(keyring_totals(a->k, w->t).rows, 1);
	/* Said twice, or of nobody: nothing happens. */
	record(a, CTL_SESSION_GONE, &(struct ctl_session_gone){.index = index});
	record(a, CTL_SESSION_GONE, &(struct ctl_session_gone){.index = 0, .error = -ESTALE});
	assert_int_equal(keyring_totals(a->k, w->t).rows, 1);
	assert_int_equal(held_count(a), 1);
	world_free(w);
}

/* Refused by the fastpath: the session ends, and is not made anew at once; nor does it fall back. */
static void refused_with(int32_t error)
{
	const bool full = error == -ENOSPC;
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];

	log_begin(w);
	world_begin(w);
	a->refuses = error;
	want(a, &b->self);
	assert_int_equal(a->keys_told, 1);
	assert_int_equal(a->kinds[SESSION_ENDED], 1);
	assert_int_equal(keyring_totals(a->k, w->t).rows, 0);
	assert_true(is_zero(a->lanes->row_index, sizeof(a->lanes->row_index)));
	assert_int_equal(a->dels, 0);
	assert_int_equal(logged(w, "cannot hold one more session key beside 0: "), 1);
	assert_int_equal(a->policy.way, CTL_WAY_HOLD);
	for (int s = 0; s < 29; s++) {
		pass_ms(w, SECOND_MS);
		want(a, &b->self);
	}
	assert_int_equal(a->keys_told, 1);
	a->refuses = -ESTALE;
	pass_ms(w, SECOND_MS);
	want(a, &b->self);
	assert_int_equal(a->keys_told, full ? 1 : 2);
	/* Where there was no room it is tried again after ten minutes. */
	a->refuses = 0;
	pass_ms(w, 571 * SECOND_MS);
	want(a, &b->self);
	assert_non_null(held_at(a, CTL_SESSION_SEND));
	world_free(w);
}

static void test_gone_with_error(void **state)
{
	(void)state;
	refused_with(-ENOSPC);
	refused_with(-ESTALE);
}

/* A key that did live goes: the next one comes at once. */
static void test_gone_unasked(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct world *w = world_with_session();
		struct side *a = &w->side[0], *b = &w->side[1];
		struct held *h = held_at(a, CTL_SESSION_SEND);
		const struct ctl_session_gone gone = {.index = h->key.info.index, .error = i ? -ESTALE : 0};

		pass_ms(w, 40 * SECOND_MS);
		h->live = false;
		record(a, CTL_SESSION_GONE, &gone);
		pump(w);
		assert_int_equal(a->kinds[SESSION_ENDED], 1);
		assert_int_equal(a->dels, 0);
		want(a, &b->self);
		assert_int_equal(a->kinds[SESSION_ESTABLISHED], 2);
		world_free(w);
	}
	(void)state;
}

/* The responder's key is refused: what is confirmed goes on. */
static void test_gone_next(void **state)
{
	struct world *w = world_with_session();
	struct side *a = &w->side[0], *b = &w->side[1];

	(void)state;
	pass_ms(w, 40 * SECOND_MS);
	b->refuses = -ENOSPC;
	held_at(a, CTL_SESSION_SEND)->use.sealed_bytes = UINT64_C(1) << 36;
	held_at(a, CTL_SESSION_SEND)->use.sealed_us = w->t.now.us;
	record(a, CTL_SESSION_USE, &held_at(a, CTL_SESSION_SEND)->use);
	pump(w);
	assert_int_equal(b->keys_told, 2);
	assert_int_equal(b->kinds[SESSION_ENDED], 0);
	assert_non_null(held_at(b, CTL_SESSION_SEND));
	assert_int_equal(keyring_totals(b->k, w->t).rows, 1);
	world_free(w);
}

static struct ctl_session_info info_of(const struct side *s, const struct node *n, uint32_t row)
{
	struct ctl_session_info i = {.generation = s->lanes->header.generation,
				     .net64 = n->net64,
				     .made_us = s->world->t.now.us,
				     .row = row,
				     .index = 1000 + row,
				     .far_index = 77,
				     .far_lanes = 4,
				     .our_lanes = LIMIT_SESSION_LANES,
				     .slot = CTL_SESSION_SEND};

	memcpy(i.memory, s->lanes->header.id, sizeof(i.memory));
	memcpy(i.public_key, n->pk.b, sizeof(i.public_key));
	s->lanes->row_index[row] = i.index;
	return i;
}

/* All but a few rows are in use. */
static void fill_rows(struct side *s, uint32_t rows)
{
	struct node n = {0};

	for (uint32_t row = 0; row < rows; row++) {
		struct ctl_session_info i;

		if (row % 4 == 0) {
			n.pk.b[0] = (uint8_t)(row / 4);
			n.pk.b[1] = (uint8_t)(row / 4 >> 8);
			n.pk.b[2] = 1;
			network200.address(&n.pk, &n.address);
			n.net64 = ip6_net64(&n.address);
		}
		i = info_of(s, &n, row);
		i.slot = (uint8_t)(CTL_SESSION_SEND + row % 4);
		keyring_found_session(s->k, &i, s->world->t);
	}
}

/* Strangers are refused first, then all: without an INIT, without an answer to one. */
static void test_rows_full(void **state)
{
	static const struct {
		uint32_t used;
		bool stranger, known;
	} cases[] = {
		{LIMIT_SESSION_ROWS * 3 / 4 - 257, true, true},
		{LIMIT_SESSION_ROWS * 3 / 4 - 256, false, true},
		{LIMIT_SESSION_ROWS - 257, false, true},
		{LIMIT_SESSION_ROWS - 256, false, false},
		{LIMIT_SESSION_ROWS, false, false},
	};

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const bool known = i % 2;
		struct world *w = world_new();
		struct side *a = &w->side[0], *b = &w->side[1];
		struct record_pin pin = {.net64 = b->self.net64, .first_ns = REAL_NS, .last_ns = REAL_NS};

		memcpy(pin.public_key, b->self.pk.b, sizeof(pin.public_key));
		if (known)
			told_pin_set(a, &pin);
		begin(a);
		begin(b);
		keyring_memory(a->k, a->lanes);
		fill_rows(a, cases[i / 2].used);
		ready(a);
		ready(b);
		assert_int_equal(keyring_totals(a->k, w->t).rows, cases[i / 2].used);
		want(a, &b->self);
		want(b, &a->self);
		assert_int_equal(a->keys_told > 0, known ? cases[i / 2].known : cases[i / 2].stranger);
		assert_int_equal(a->kinds[SESSION_ENDED], 0);
		world_free(w);
	}
	(void)state;
}

/* A RESP finds no row, though there was one when it was asked for: the key is lost, the peer waits. */
static void test_row_lost(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0], *b = &w->side[1];
	struct ctl_session_want wanted = {.net64 = b->self.net64};
	struct flying init;

	(void)state;
	log_begin(w);
	world_begin(w);
	memcpy(wanted.public_key, b->self.pk.b, sizeof(wanted.public_key));
	record(a, CTL_SESSION_WANT, &wanted);
	assert_int_equal(w->count, 1);
	init = w->flying[0];
	w->count = 0;
	a->k->free_count = 0; /* the spare rows ought to make this impossible */
	deliver(w, &init);
	init = w->flying[0];
	w->count = 0;
	deliver(w, &init);
	assert_int_equal(a->kinds[SESSION_ESTABLISHED], 1);
	assert_int_equal(a->kinds[SESSION_ENDED], 0);
	a->deaf = true; /* and its KEEPALIVE has no key to be sealed with */
	w->count = 0;
	pump(w);
	assert_int_equal(a->kinds[SESSION_ENDED], 1);
	assert_int_equal(a->keys_told, 0);
	assert_int_equal(logged(w, "no room"), 1);
	assert_int_equal(view(a).session.index[SESSION_SEND], 0);
	world_free(w);
}

/* What does not fit is ended, at the start; its row is not given out before it is gone. */
static void test_found(void **state)
{
	enum { FITS, MEMORY, GENERATION, ROW_LARGE, ROW_OTHER, NET64, SLOT_ZERO, SLOT_LARGE, AGE, LANES, FAR, CASES };

	for (int i = FITS; i < CASES; i++) {
		struct world *w = world_new();
		struct side *a = &w->side[0];
		struct ctl_session_info info;

		begin(a);
		begin(&w->side[1]);
		info = info_of(a, &w->side[1].self, 3);
		info.memory[0] ^= i == MEMORY;
		info.generation -= i == GENERATION;
		info.row = i == ROW_LARGE ? LIMIT_SESSION_ROWS : i == ROW_OTHER ? 4 : 3;
		info.net64 ^= i == NET64;
		info.slot = i == SLOT_ZERO ? 0 : i == SLOT_LARGE ? 5 : CTL_SESSION_SEND;
		info.made_us -= i == AGE ? 300 * INT64_C(1000000) : 0;
		info.far_lanes = i == LANES ? 65 : 4;
		info.far_index = i == FAR ? 0 : 77;
		keyring_memory(a->k, a->lanes);
		keyring_found_session(a->k, &info, w->t);
		keyring_found_session(a->k, &info, w->t); /* again */
		assert_int_equal(a->dels, 0);
		keyring_start(a->k, w->t);
		assert_int_equal(a->dels, i != FITS);
		assert_int_equal(a->lanes->row_index[3] != 0, i != MEMORY && i != ROW_LARGE && i != ROW_OTHER);
		assert_int_equal(keyring_totals(a->k, w->t).live, i == FITS);
		record(a, CTL_SESSION_GONE, &(struct ctl_session_gone){.index = info.index});
		assert_int_equal(a->lanes->row_index[3], 0);
		assert_int_equal(keyring_totals(a->k, w->t).live, 0);
		assert_int_equal(keyring_totals(a->k, w->t).rows, 0);
		world_free(w);
	}
	(void)state;
}

/* Two keys in one row, or in one slot of a peer: the first one has it. */
static void test_found_twice(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0];
	struct ctl_session_info first, second;

	(void)state;
	begin(a);
	begin(&w->side[1]);
	keyring_memory(a->k, a->lanes);
	first = info_of(a, &w->side[1].self, 3);
	second = info_of(a, &w->side[1].self, 4);
	keyring_found_session(a->k, &first, w->t);
	keyring_found_session(a->k, &second, w->t);
	second.index++;
	second.row = 3;
	second.slot = CTL_SESSION_OLD;
	keyring_found_session(a->k, &second, w->t);
	keyring_start(a->k, w->t);
	assert_int_equal(a->dels, 2);
	assert_int_equal(keyring_totals(a->k, w->t).rows, 2);
	record(a, CTL_SESSION_GONE, &(struct ctl_session_gone){.index = second.index});
	assert_int_equal(a->lanes->row_index[3], first.index);
	world_free(w);
}

/* The fastpath dies before it was ready, and what it told with it. */
static void test_found_in_vain(void **state)
{
	struct world *w = world_with_session();
	struct side *a = &w->side[0];

	(void)state;
	for (int i = 0; i < 3; i++) {
		keyring_fastpath_lost(a->k, w->t);
		fill_rows(a, 40);
	}
	keyring_fastpath_lost(a->k, w->t);
	keyring_start(a->k, w->t);
	assert_int_equal(keyring_totals(a->k, w->t).rows, 0);
	assert_true(is_zero(a->lanes->row_index, sizeof(a->lanes->row_index)));
	world_free(w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gone_late),     cmocka_unit_test(test_gone_with_error),
		cmocka_unit_test(test_gone_unasked),  cmocka_unit_test(test_gone_next),
		cmocka_unit_test(test_rows_full),     cmocka_unit_test(test_row_lost),
		cmocka_unit_test(test_found),	      cmocka_unit_test(test_found_twice),
		cmocka_unit_test(test_found_in_vain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
