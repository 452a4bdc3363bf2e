/* SPDX-License-Identifier: Apache-2.0 */
/* What a keyring does not believe: a /64 that is not the key's, an index that it has itself, a row that is none. */
#include "tests/unit/test_keyring.h"

#include "controld/keyring_private.h"
#include <errno.h>

static void test_wants_fit(void **state)
{
	struct world *w = world_default();
	struct side *a = &w->side[0];
	const struct node *far = &w->side[1].self;
	struct ctl_session_want wanted = {.net64 = far->net64 ^ 1};
	struct ctl_session_stray stray = {.net64 = far->net64 ^ 1, .index = 77, .sealed_bytes = 100};

	(void)state;
	memcpy(wanted.public_key, far->pk.b, sizeof(wanted.public_key));
	memcpy(stray.public_key, far->pk.b, sizeof(stray.public_key));
	record(a, CTL_SESSION_WANT, &wanted);
	record(a, CTL_SESSION_STRAY, &stray);
	assert_int_equal(a->users, 0);
	stray.net64 = far->net64;
	record(a, CTL_SESSION_STRAY, &stray);
	assert_int_equal(a->users, 1);
	assert_int_equal(w->flying[0].u.type, SESSION_HINT);
	world_free(w);
}

/* A packet overtook the key that opens it, or is forged. */
static void test_stray_of_known_index(void **state)
{
	struct world *w = world_with_session();
	struct side *a = &w->side[0];
	const struct node *far = &w->side[1].self;
	struct ctl_session_stray stray = {.net64 = far->net64, .sealed_bytes = 100};
	const size_t before = a->users;

	(void)state;
	memcpy(stray.public_key, far->pk.b, sizeof(stray.public_key));
	stray.index = held_at(a, CTL_SESSION_SEND)->key.info.index;
	record(a, CTL_SESSION_STRAY, &stray);
	assert_int_equal(a->users, before);
	stray.index++;
	record(a, CTL_SESSION_STRAY, &stray);
	assert_int_equal(a->users, before + 1);
	world_free(w);
}

/* The network says that the /64 has a key that it cannot have. */
static void test_mode_of_wrong_key(void **state)
{
	static const enum session_mode mode = SESSION_REQUIRE;
	struct world *w = world_default();
	struct side *a = &w->side[0];
	const struct node *far = &w->side[1].self;

	(void)state;
	a->announced = *far;
	a->announced.net64 ^= 1;
	assert_int_equal(keyring_set_mode(a->k, a->announced.net64, &mode, w->t), -ENOENT);
	assert_null(mode_at(a, a->announced.net64));
	a->announced = *far;
	assert_int_equal(keyring_set_mode(a->k, far->net64, &mode, w->t), 0);
	assert_non_null(mode_at(a, far->net64));
	world_free(w);
}

/* The index of a key that the fastpath still has, though the core forgot it, is drawn again. */
static void test_index_drawn_again(void **state)
{
	struct world *w = world_with_session();
	struct side *a = &w->side[0];
	const struct session_secrets secrets = {.send = {{1}}, .receive = {{2}}};
	struct session_key key = {.address = w->side[1].self.address, .far_index = 5, .far_lanes = 1};
	uint32_t row;

	(void)state;
	key.index = held_at(a, CTL_SESSION_SEND)->key.info.index;
	row = held_at(a, CTL_SESSION_SEND)->key.info.row;
	a->holds_back = true;
	keyring_rows_del(a->k, key.index);
	assert_int_equal(a->dels, 1);
	keyring_rows_add(a->k, &key, &secrets);
	assert_int_equal(a->keys_told, 1);
	assert_int_equal(keyring_totals(a->k, w->t).rows, 1);
	assert_int_equal(a->lanes->row_index[row], key.index);
	world_free(w);
}

/* Behind the owners of rows lies the first counter: it looks like one. */
static void test_row_behind_the_last(void **state)
{
	struct world *w = world_new();
	struct side *a = &w->side[0];
	const struct node *far = &w->side[1].self;
	struct ctl_session_info info = {.generation = a->lanes->header.generation,
					.net64 = far->net64,
					.made_us = w->t.now.us - 1,
					.row = LIMIT_SESSION_ROWS,
					.index = 9,
					.far_index = 77,
					.far_lanes = 4,
					.our_lanes = LIMIT_SESSION_LANES,
					.slot = CTL_SESSION_SEND};

	(void)state;
	_Static_assert(offsetof(struct lanes, row) ==
			       offsetof(struct lanes, row_index) + LIMIT_SESSION_ROWS * sizeof(uint32_t),
		       "the rows follow their owners");
	begin(a);
	begin(&w->side[1]);
	memcpy(info.memory, a->lanes->header.id, sizeof(info.memory));
	memcpy(info.public_key, far->pk.b, sizeof(info.public_key));
	a->lanes->row[0].send[0].next = info.index;
	keyring_memory(a->k, a->lanes);
	keyring_found_session(a->k, &info, w->t);
	keyring_start(a->k, w->t);
	assert_int_equal(a->dels, 1);
	assert_int_equal(keyring_totals(a->k, w->t).live, 0);
	world_free(w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wants_fit),	    cmocka_unit_test(test_stray_of_known_index),
		cmocka_unit_test(test_mode_of_wrong_key),   cmocka_unit_test(test_index_drawn_again),
		cmocka_unit_test(test_row_behind_the_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
