/* SPDX-License-Identifier: Apache-2.0 */
/* What may lie where the store's file should be. Whatever it is: the store opens, what cannot be used is kept under
 * another name, byte for byte, and the new file works. */
#include "tests/unit/test_store.h"

#include <sqlite3.h>

struct bytes {
	uint8_t *p;
	size_t len;
};

static struct bytes read_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct bytes b = {.p = malloc(8 << 20)};

	assert_non_null(b.p);
	assert_non_null(f);
	b.len = fread(b.p, 1, 8 << 20, f);
	fclose(f);
	return b;
}

static void write_file(const char *path, const void *bytes, size_t len)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	fclose(f);
}

static bool exists(const struct world *w, const char *name)
{
	struct stat st;

	return lstat(world_path(w, name), &st) == 0;
}

/* A file with something of each kind, closed in order. */
static struct bytes make_good(struct world *w)
{
	world_open(w);
	for (uint64_t row = 1; row <= 40; row++) {
		world_add_order(w, row, row * 500);
		world_add_message(w, row, row * 500);
		world_set_pin(w, row, (int64_t)row);
		world_set_mode(w, row, row % 3);
	}
	for (uint64_t row = 1; row <= 40; row += 3) {
		store_end_order(w->store, row, 2);
		store_del_message(w->store, row);
	}
	world_close(w);
	assert_false(exists(w, "store.db-wal"));
	return read_file(world_path(w, "store.db"));
}

static void check_works(struct world *w)
{
	world_add_message(w, 1000, 70000);
	assert_int_equal(world_last_error(w), 0);
	world_reopen(w);
	assert_true(w->found[1000].message);
	world_close(w);
}

/* These bytes, in the place of the database, are moved aside. */
static void check_moved(struct world *w, const void *bytes, size_t len)
{
	struct bytes kept;

	world_empty(w->dir);
	write_file(world_path(w, "store.db"), bytes, len);
	world_open(w);
	assert_int_equal(w->found_orders + w->found_messages + w->found_past + w->found_pins + w->found_modes, 0);
	kept = read_file(world_path(w, "store.db.corrupt-1"));
	assert_int_equal(kept.len, len);
	assert_memory_equal(kept.p, bytes, len);
	free(kept.p);
	check_works(w);
	assert_false(exists(w, "store.db.corrupt-2"));
}

static void test_garbage(void **state)
{
	static const char text[] = "This is no database at all, but a text that somebody has put here.\n";
	struct world *w = *state;
	uint8_t noise[20000];

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = byte_of(i, i * i);
	check_moved(w, text, sizeof(text));
	check_moved(w, text, 1);
	check_moved(w, noise, sizeof(noise));
	/* With SQLite's first words. */
	memcpy(noise, "SQLite format 3", 16);
	check_moved(w, noise, sizeof(noise));
	check_moved(w, noise, 16);
	check_moved(w, noise, 100);
}

static void test_truncated(void **state)
{
	struct world *w = *state;
	struct bytes good = make_good(w);
	static const size_t ends[] = {1,   15,	 16,   17,   99,   100,	  101,	 511,
				      512, 4095, 4096, 4097, 8192, 20000, 65536, 100000};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		assert_true(ends[i] < good.len);
		check_moved(w, good.p, ends[i]);
	}
	free(good.p);
}

/* The first byte of a page says what it is. Pages of content have none; they are left out. */
static void test_pages_broken(void **state)
{
	struct world *w = *state;
	struct bytes good = make_good(w);
	unsigned broken = 0;

	for (size_t at = 100; at < good.len; at = at / 4096 * 4096 + 4096) {
		if (good.p[at] != 2 && good.p[at] != 5 && good.p[at] != 10 && good.p[at] != 13)
			continue;
		good.p[at] ^= 0xff;
		check_moved(w, good.p, good.len);
		good.p[at] ^= 0xff;
		if (++broken == 8)
			break;
	}
	assert_true(broken > 4);
	free(good.p);
}

/* A flipped byte may be seen or not; it never hurts. */
static void test_header_flipped(void **state)
{
	struct world *w = *state;
	struct bytes good = make_good(w);

	for (size_t at = 0; at < 108; at++) {
		world_empty(w->dir);
		good.p[at] ^= 1;
		write_file(world_path(w, "store.db"), good.p, good.len);
		world_open(w);
		if (!exists(w, "store.db.corrupt-1"))
			assert_int_equal(w->found_orders, 40);
		check_works(w);
		good.p[at] ^= 1;
	}
	free(good.p);
}

/* A database that is whole, but not ours. */
static const char *const changes[] = {
	"PRAGMA user_version = 3",
	"PRAGMA user_version = 1",
	"PRAGMA user_version = -1",
	"PRAGMA user_version = 0",
	"PRAGMA application_id = 1",
	"CREATE TABLE more(a)",
	"CREATE TRIGGER t AFTER INSERT ON incoming BEGIN DELETE FROM outgoing; END",
	"CREATE VIEW v AS SELECT * FROM meta",
	"CREATE INDEX i ON incoming(arrived_s)",
	"DROP TABLE outgoing_part",
	"ALTER TABLE meta ADD COLUMN more INTEGER",
	"DELETE FROM meta",
	"UPDATE meta SET epoch = x'00'",
	"UPDATE sqlite_sequence SET seq = 1 << 62",
	"DELETE FROM incoming_part WHERE place = 2 << 16",
	"DELETE FROM outgoing_part WHERE place = 2 << 16",
	"UPDATE incoming_part SET bytes = x'' WHERE place = 2 << 16",
	"INSERT INTO incoming_part VALUES(2 << 16 | 1, x'00')",
	"INSERT INTO incoming_part VALUES(1 << 16, x'00')",
	"UPDATE outgoing SET len = 1 << 61 WHERE row = 2",
	"UPDATE outgoing SET len = -1 WHERE row = 2",
	"UPDATE outgoing SET row = -7 WHERE row = 1",
	"UPDATE outgoing SET id = x'00' WHERE row = 2",
	"UPDATE outgoing SET topic = zeroblob(256) WHERE row = 2",
	"UPDATE outgoing SET state = 256 WHERE row = 2",
	"UPDATE incoming SET src = zeroblob(17) WHERE row = 2",
	"UPDATE incoming SET public_key = x'' WHERE row = 2",
	"UPDATE incoming SET reply = 2 WHERE row = 2",
	"UPDATE incoming SET chunks = -1 WHERE row = 2",
	"UPDATE incoming SET arrived_s = 1 << 41 WHERE row = 2",
	"UPDATE outgoing SET created_s = (1 << 62) + ((1 << 62) - 1) WHERE row = 2",
	"DROP TABLE modes",
	"UPDATE pins SET public_key = zeroblob(31) WHERE net64 = 3",
	"UPDATE pins SET public_key = zeroblob(33) WHERE net64 = -5",
	"UPDATE pins SET first_ns = -1 WHERE net64 = 3",
	"UPDATE pins SET last_ns = (1 << 62) + ((1 << 62) - 1) WHERE net64 = 3",
	"UPDATE modes SET public_key = x'' WHERE net64 = 3",
	"UPDATE modes SET mode = 3 WHERE net64 = 3",
	"UPDATE modes SET mode = -1 WHERE net64 = 3",
	"PRAGMA journal_mode = DELETE; PRAGMA page_size = 8192; VACUUM",
};

static void test_not_ours(void **state)
{
	struct world *w = *state;
	struct bytes good = make_good(w), changed;
	char *path = strdup(world_path(w, "store.db"));

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		sqlite3 *sql;

		world_empty(w->dir);
		write_file(path, good.p, good.len);
		assert_int_equal(sqlite3_open(path, &sql), SQLITE_OK);
		if (sqlite3_exec(sql, changes[i], NULL, NULL, NULL) != SQLITE_OK)
			fail_msg("%s: %s", changes[i], sqlite3_errmsg(sql));
		sqlite3_close(sql);
		changed = read_file(path);
		check_moved(w, changed.p, changed.len);
		free(changed.p);
	}
	free(path);
	free(good.p);
}

/* A part that is short while another is long is seen when it is read. */
static void test_parts_shifted(void **state)
{
	struct world *w = *state;
	sqlite3 *sql;

	world_open(w);
	world_add_message(w, 1, 65536 + 100);
	world_close(w);
	assert_int_equal(sqlite3_open(world_path(w, "store.db"), &sql), SQLITE_OK);
	assert_int_equal(sqlite3_exec(sql,
				      "UPDATE incoming_part SET bytes = zeroblob(65535) WHERE place = 65536;"
				      "UPDATE incoming_part SET bytes = zeroblob(101) WHERE place = 65537",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	sqlite3_close(sql);
	world_open(w);
	store_load_message(w->store, 1);
	world_await(w, 1);
	assert_int_equal(world_last_error(w), -EIO);
	assert_null(w->told[0].payload);
	assert_non_null(strstr(store_trouble(w->store), "not whole"));
}

static void test_no_files(void **state)
{
	struct world *w = *state;
	struct stat st;

	assert_int_equal(mkdir(world_path(w, "store.db"), 0700), 0);
	world_open(w);
	assert_int_equal(stat(world_path(w, "store.db.corrupt-1"), &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	check_works(w);
	assert_int_equal(unlink(world_path(w, "store.db")), 0);
	assert_int_equal(mkfifo(world_path(w, "store.db"), 0600), 0);
	world_open(w);
	assert_int_equal(lstat(world_path(w, "store.db.corrupt-2"), &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	check_works(w);
	assert_int_equal(unlink(world_path(w, "store.db")), 0);
	assert_int_equal(symlink("/dev/full", world_path(w, "store.db")), 0);
	world_open(w);
	assert_int_equal(lstat(world_path(w, "store.db.corrupt-3"), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	check_works(w);
}

/* What belongs to a file goes with it, and is found by SQLite there. */
static void test_log_moves_too(void **state)
{
	static const char log[] = "a log of something";
	struct world *w = *state;
	struct bytes kept;

	write_file(world_path(w, "store.db"), "", 0);
	write_file(world_path(w, "store.db-wal"), log, sizeof(log));
	world_open(w);
	kept = read_file(world_path(w, "store.db.corrupt-1-wal"));
	assert_int_equal(kept.len, sizeof(log));
	assert_memory_equal(kept.p, log, sizeof(log));
	free(kept.p);
	check_works(w);
	/* A number that is taken in part is not used. */
	write_file(world_path(w, "store.db"), log, sizeof(log));
	write_file(world_path(w, "store.db.corrupt-2-shm"), log, sizeof(log));
	world_open(w);
	assert_true(exists(w, "store.db.corrupt-3"));
	assert_false(exists(w, "store.db.corrupt-2"));
	check_works(w);
}

static void test_too_many_aside(void **state)
{
	struct world *w = *state;
	char name[64];

	for (int i = 1; i <= 100; i++) {
		snprintf(name, sizeof(name), "store.db.corrupt-%d", i);
		write_file(world_path(w, name), "", 0);
	}
	write_file(world_path(w, "store.db"), "bad", 3);
	assert_int_equal(world_try(w), -EEXIST);
	assert_non_null(strstr(w->error, "remove"));
	assert_true(exists(w, "store.db"));
}

/* A file that is empty was not yet begun. */
static void test_empty(void **state)
{
	struct world *w = *state;

	write_file(world_path(w, "store.db"), "", 0);
	world_open(w);
	assert_false(exists(w, "store.db.corrupt-1"));
	check_works(w);
}

static int64_t count_rows(const struct world *w, const char *text)
{
	sqlite3_stmt *st;
	sqlite3 *sql;
	int64_t count;

	assert_int_equal(sqlite3_open(world_path(w, "store.db"), &sql), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(sql, text, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	count = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(sql);
	return count;
}

/* What is not told any more leaves the file too, and what has been deleted leaves nothing. */
static void test_purged(void **state)
{
	static const char all[] = "SELECT (SELECT count(*) FROM incoming) + (SELECT count(*) FROM outgoing)",
			  parts[] =
				  "SELECT (SELECT count(*) FROM incoming_part) + (SELECT count(*) FROM outgoing_part)";
	struct world *w = *state;
	struct bytes good = make_good(w);

	free(good.p);
	assert_int_equal(count_rows(w, all), 80);
	assert_int_equal(count_rows(w, parts), 52);
	w->now_s += 100000;
	world_open(w);
	for (uint64_t row = 1; row <= 40; row++)
		store_del_message(w->store, row);
	world_reopen(w);
	world_sync(w);
	world_close(w);
	assert_int_equal(count_rows(w, "SELECT count(*) FROM incoming"), 0);
	assert_int_equal(count_rows(w, "SELECT count(*) FROM outgoing"), 26);
	assert_int_equal(count_rows(w, parts), 26);
}

/* So many came after them that they are not told any more, however young. */
static void test_purged_by_count(void **state)
{
	struct world *w = *state;
	struct bytes good = make_good(w);
	sqlite3 *sql;

	free(good.p);
	assert_int_equal(sqlite3_open(world_path(w, "store.db"), &sql), SQLITE_OK);
	assert_int_equal(sqlite3_exec(sql, "UPDATE sqlite_sequence SET seq = 1000000", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(sql);
	world_open(w);
	assert_int_equal(store_last_order(w->store), 1000000);
	world_sync(w);
	world_close(w);
	assert_int_equal(count_rows(w, "SELECT count(*) FROM incoming"), 26);
	assert_int_equal(count_rows(w, "SELECT count(*) FROM outgoing"), 26);
}

/* The link from one page of a payload to the next, in the middle of the file. */
static void break_payload(const char *path)
{
	FILE *f = fopen(path, "r+b");
	int first = 1;

	assert_non_null(f);
	/* Pages of other kinds do not begin with a zero. */
	for (long at = 1000L * 4096; first != 0; at += 4096) {
		assert_int_equal(fseek(f, at, SEEK_SET), 0);
		first = fgetc(f);
		assert_int_not_equal(first, EOF);
	}
	assert_int_equal(fseek(f, -1, SEEK_CUR), 0);
	assert_int_equal(fwrite("\xff\xff\xff\xff", 1, 4, f), 4);
	assert_int_equal(fclose(f), 0);
}

/* Damage in a large file is found late: an error for who asks for it, not for others, and a check at the next start. */
static void test_damage_found_late(void **state)
{
	struct world *w = *state;

	world_open(w);
	world_add_message(w, 1, 17 << 20);
	world_add_message(w, 2, 10);
	world_close(w);
	break_payload(world_path(w, "store.db"));
	world_open(w);
	assert_int_equal(w->found_messages, 2);
	store_load_message(w->store, 1);
	store_del_message(w->store, 2);
	store_load_message(w->store, 2);
	world_await(w, 2);
	assert_int_equal(w->told[0].error, -EIO);
	assert_int_equal(w->told[1].error, -ENOENT);
	world_reopen(w);
	assert_true(exists(w, "store.db.corrupt-1"));
	check_works(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(test_garbage),
		world_test(test_truncated),
		world_test(test_pages_broken),
		world_test(test_header_flipped),
		world_test(test_not_ours),
		world_test(test_parts_shifted),
		world_test(test_no_files),
		world_test(test_log_moves_too),
		world_test(test_too_many_aside),
		world_test(test_empty),
		world_test(test_purged),
		world_test(test_purged_by_count),
		world_test(test_damage_found_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
