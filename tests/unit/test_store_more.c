/* SPDX-License-Identifier: Apache-2.0 */
/* Files that were written by others: more pins and modes than are told, whatever our own writing has room for; and one
 * of version 1 that is not whole, which is moved aside as it was. */
#include "tests/unit/test_store.h"

#include "controld/store/store_private.h"
#include <sqlite3.h>

static sqlite3 *open_sql(const struct world *w, const char *name)
{
	sqlite3 *sql;

	assert_int_equal(sqlite3_open_v2(world_path(w, name), &sql, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	return sql;
}

static void run_sql(sqlite3 *sql, const char *text)
{
	if (sqlite3_exec(sql, text, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", text, sqlite3_errmsg(sql));
}

static sqlite3_stmt *prepare(sqlite3 *sql, const char *text)
{
	sqlite3_stmt *st;

	assert_int_equal(sqlite3_prepare_v2(sql, text, -1, &st, NULL), SQLITE_OK);
	return st;
}

static void put(sqlite3_stmt *st, uint64_t net64, const void *key, int64_t third)
{
	sqlite3_bind_int64(st, 1, (int64_t)net64);
	sqlite3_bind_blob(st, 2, key, 32, SQLITE_TRANSIENT);
	sqlite3_bind_int64(st, 3, third);
	assert_int_equal(sqlite3_step(st), SQLITE_DONE);
	sqlite3_reset(st);
}

static void test_too_many_rows(void **state)
{
	enum { MORE = 5 };
	struct world *w = *state;
	sqlite3_stmt *pins, *modes;
	sqlite3 *sql;

	world_open(w);
	world_close(w);
	sql = open_sql(w, "store.db");
	run_sql(sql, "BEGIN");
	pins = prepare(sql, "INSERT INTO pins VALUES(?1, ?2, ?3, 7)");
	modes = prepare(sql, "INSERT INTO modes VALUES(?1, ?2, ?3)");
	for (uint64_t n = 0; n < RECORD_PINS_MAX + MORE; n++) {
		const struct record_pin p = pin_of(n, 7);

		put(pins, p.net64, p.public_key, p.first_ns);
	}
	for (uint64_t n = 0; n < RECORD_MODES_MAX + MORE; n++) {
		const struct record_mode m = mode_of(n, 1);

		put(modes, m.net64, m.public_key, m.mode);
	}
	sqlite3_finalize(pins);
	sqlite3_finalize(modes);
	run_sql(sql, "COMMIT");
	sqlite3_close(sql);
	world_open(w);
	assert_int_equal(w->found_pins, RECORD_PINS_MAX);
	assert_int_equal(w->found_modes, RECORD_MODES_MAX);
}

static int version_of(struct world *w, const char *name)
{
	sqlite3 *sql = open_sql(w, name);
	sqlite3_stmt *st = prepare(sql, "PRAGMA user_version");
	int version;

	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	version = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(sql);
	return version;
}

/* An older program may still make something of it. */
static void test_broken_stays_old(void **state)
{
	struct world *w = *state;
	sqlite3 *sql;

	world_open(w);
	world_add_message(w, 1, 100);
	world_sync(w);
	world_close(w);
	sql = open_sql(w, "store.db");
	run_sql(sql, "DROP TABLE pins; DROP TABLE modes; PRAGMA user_version = 1; UPDATE incoming SET id = x'00'");
	sqlite3_close(sql);
	world_open(w);
	assert_int_equal(w->found_messages, 0);
	assert_int_equal(version_of(w, "store.db.corrupt-1"), SCHEMA_VERSION_MESSAGES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(test_too_many_rows),
		world_test(test_broken_stays_old),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
