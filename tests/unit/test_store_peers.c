/* SPDX-License-Identifier: Apache-2.0 */
/* Pins and modes: what is kept of them, and that those that wait are few. */
#include "tests/unit/test_store.h"

#include "controld/session/session.h"
#include "controld/store/store_private.h"
#include <sqlite3.h>
#include <utlist.h>

_Static_assert((int)RECORD_PINS_MAX == (int)SESSION_LIMIT_PINS, "as many pins are told as the core keeps");
_Static_assert((int)RECORD_MODES_MAX == (int)SESSION_LIMIT_PEERS, "as many modes are told as the core has peers");
_Static_assert((int)RECORD_MODE_HIGHEST == (int)SESSION_REQUIRE, "every mode can be kept");

static void test_survive(void **state)
{
	struct world *w = *state;

	world_open(w);
	for (uint64_t n = 10; n < 20; n++) {
		world_set_pin(w, n, (int64_t)n);
		world_set_mode(w, n, n % 3);
	}
	world_reopen(w);
	assert_int_equal(w->found_modes, 10);
	for (uint64_t n = 10; n < 20; n++) {
		assert_int_equal(w->peers[n].last_ns, n);
		assert_int_equal(w->peers[n].mode, n % 3 + 1);
	}
	assert_int_equal(w->found_pins, 10);
	world_reopen(w);
	assert_int_equal(w->found_pins + w->found_modes, 20);
}

/* The /64s at the ends of both signs, and times at the ends of theirs. */
static void test_extremes(void **state)
{
	struct world *w = *state;
	struct record_pin p = {.first_ns = DB_MAX_TIME_NS, .last_ns = 0};
	char text[32];

	world_open(w);
	p.net64 = UINT64_C(1) << 63;
	store_set_pin(w->store, &p);
	p.net64 = INT64_MAX;
	store_set_pin(w->store, &p);
	world_close(w);
	for (int i = 0; i < 2; i++) {
		sqlite3_stmt *st;
		sqlite3 *sql;

		assert_int_equal(sqlite3_open(world_path(w, "store.db"), &sql), SQLITE_OK);
		assert_int_equal(sqlite3_prepare_v2(sql,
						    i ? "SELECT max(net64) FROM pins" : "SELECT min(net64) FROM pins",
						    -1, &st, NULL),
				 SQLITE_OK);
		assert_int_equal(sqlite3_step(st), SQLITE_ROW);
		snprintf(text, sizeof(text), "%lld", (long long)sqlite3_column_int64(st, 0));
		assert_string_equal(text, i ? "9223372036854775807" : "-9223372036854775808");
		sqlite3_finalize(st);
		sqlite3_close(sql);
	}
}

static void test_last_one_counts(void **state)
{
	struct world *w = *state;

	world_open(w);
	world_set_pin(w, 1, 1);
	world_set_pin(w, 2, 1);
	world_set_mode(w, 1, 0);
	world_sync(w);
	for (int64_t last = 2; last <= 500; last++)
		world_set_pin(w, 1, last);
	store_del_pin(w->store, net_of(2));
	world_set_pin(w, 3, 1);
	store_del_pin(w->store, net_of(3));
	store_del_pin(w->store, net_of(4));
	world_set_pin(w, 4, 7);
	world_set_mode(w, 1, 2);
	store_del_mode(w->store, net_of(99));
	store_del_pin(w->store, net_of(99));
	world_sync(w);
	assert_string_equal(store_trouble(w->store), "");
	world_reopen(w);
	assert_int_equal(w->found_pins, 2);
	assert_int_equal(w->peers[1].last_ns, 500);
	assert_int_equal(w->peers[4].last_ns, 7);
	assert_int_equal(w->found_modes, 1);
	assert_int_equal(w->peers[1].mode, 3);
	/* A pin is no mode. */
	store_del_pin(w->store, net_of(1));
	store_del_mode(w->store, net_of(4));
	world_reopen(w);
	assert_int_equal(w->peers[4].last_ns, 7);
	assert_int_equal(w->peers[1].mode, 3);
	assert_int_equal(w->found_pins + w->found_modes, 2);
}

static void test_memory_only(void **state)
{
	struct world *w = *state;
	char dir[sizeof(w->dir)];

	memcpy(dir, w->dir, sizeof(dir));
	w->dir[0] = '\0';
	world_open(w);
	world_set_pin(w, 1, 1);
	world_set_mode(w, 1, 1);
	store_del_pin(w->store, net_of(1));
	world_sync(w);
	assert_string_equal(store_trouble(w->store), "");
	world_reopen(w);
	assert_int_equal(w->found_pins + w->found_modes, 0);
	memcpy(w->dir, dir, sizeof(dir));
}

/* More than anybody writes: they are not told, and nothing else is lost for it. */
static void test_too_many(void **state)
{
	struct world *w = *state;

	world_open(w);
	for (int64_t n = 0; n < RECORD_PINS_MAX + 2; n++)
		world_set_pin(w, (uint64_t)n, n + 1);
	world_sync(w);
	for (uint64_t n = 0; n < RECORD_MODES_MAX + 2; n++)
		world_set_mode(w, n, n % 3);
	world_add_message(w, 1, 10);
	world_reopen(w);
	assert_int_equal(w->found_pins, RECORD_PINS_MAX);
	assert_int_equal(w->found_modes, RECORD_MODES_MAX);
	assert_int_equal(w->found_messages, 1);
}

/* What waits. */

static struct request *request_of(enum request_kind kind, uint64_t row)
{
	struct request *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->kind = kind;
	r->row = row;
	return r;
}

static size_t count_and_free(struct request *list)
{
	struct request *r, *next;
	size_t count = 0;

	DL_FOREACH_SAFE (list, r, next) {
		free(r);
		count++;
	}
	return count;
}

static void test_waiting(void **state)
{
	static const enum request_kind kinds[] = {SET_PIN,     END_ORDER, SET_MODE, SET_PIN,
						  DEL_MESSAGE, DEL_PIN,	  DEL_MODE, SET_PIN};
	static const struct {
		enum request_kind kind;
		uint64_t row;
	} left[] = {{END_ORDER, 1}, {DEL_MESSAGE, 1}, {DEL_MODE, 1}, {SET_PIN, 2}, {SET_PIN, 1}};
	struct waiting w = {.list = NULL};
	struct request *list, *r;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (i == 7)
			waiting_add(&w, request_of(SET_PIN, 2));
		waiting_add(&w, request_of(kinds[i], 1));
	}
	list = waiting_take(&w);
	assert_null(w.list);
	DL_FOREACH (list, r) {
		assert_true(n < sizeof(left) / sizeof(left[0]));
		assert_int_equal(r->kind, left[n].kind);
		assert_int_equal(r->row, left[n].row);
		n++;
	}
	assert_int_equal(n, sizeof(left) / sizeof(left[0]));
	/* Nothing is remembered of what was taken. */
	waiting_add(&w, request_of(SET_PIN, 2));
	assert_int_equal(count_and_free(list), n);
	r = request_of(DEL_PIN, 2);
	waiting_supersede(&w, r);
	assert_null(w.list);
	free(r);
}

static void test_waiting_is_capped(void **state)
{
	struct waiting w = {.limit = LOG_LIMIT(1000, 1)};

	(void)state;
	for (uint64_t n = 0; n < RECORD_PINS_MAX + 100; n++)
		waiting_add(&w, request_of(n % 2 ? SET_PIN : DEL_PIN, n));
	for (uint64_t n = 0; n < RECORD_MODES_MAX + 100; n++)
		waiting_add(&w, request_of(n % 2 ? SET_MODE : DEL_MODE, n));
	/* One that waits already can change still, and the others are not touched. */
	waiting_add(&w, request_of(SET_PIN, 0));
	waiting_add(&w, request_of(END_ORDER, 1));
	assert_int_equal(w.list->prev->kind, END_ORDER);
	assert_int_equal(w.list->prev->prev->kind, SET_PIN);
	assert_int_equal(w.list->prev->prev->row, 0);
	assert_int_equal(count_and_free(waiting_take(&w)), RECORD_PINS_MAX + RECORD_MODES_MAX + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(test_survive),
		world_test(test_extremes),
		world_test(test_last_one_counts),
		world_test(test_memory_only),
		world_test(test_too_many),
		cmocka_unit_test(test_waiting),
		cmocka_unit_test(test_waiting_is_capped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
