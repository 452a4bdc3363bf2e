/* SPDX-License-Identifier: Apache-2.0 */
/* A file of version 1, made here by SQL, becomes one of the present version with all that it held, or is not touched:
 * on disks that are full or broken, and killed at any write. */
#include "tests/unit/test_store.h"

#include "controld/store/store_private.h"
#include "tests/support/store_disk.h"
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/wait.h>

static const char version1[] =
	"PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; BEGIN;"
	"CREATE TABLE meta(epoch BLOB NOT NULL, clean INTEGER NOT NULL) STRICT;"
	"CREATE TABLE outgoing(row INTEGER PRIMARY KEY AUTOINCREMENT, ended INTEGER NOT NULL, state INTEGER NOT NULL, "
	"id BLOB NOT NULL, reply INTEGER NOT NULL, dst BLOB NOT NULL, topic BLOB NOT NULL, len INTEGER NOT NULL, "
	"created_s INTEGER NOT NULL, deadline_s INTEGER NOT NULL) STRICT;"
	"CREATE TABLE outgoing_part(place INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;"
	"CREATE TABLE incoming(row INTEGER PRIMARY KEY AUTOINCREMENT, consumed INTEGER NOT NULL, id BLOB NOT NULL, "
	"reply INTEGER NOT NULL, src BLOB NOT NULL, dst BLOB NOT NULL, public_key BLOB NOT NULL, topic BLOB NOT NULL, "
	"len INTEGER NOT NULL, checksum BLOB NOT NULL, arrived_s INTEGER NOT NULL, chunks INTEGER NOT NULL) STRICT;"
	"CREATE TABLE incoming_part(place INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;"
	"INSERT INTO meta VALUES(x'000102030405060708090a0b0c0d0e0f', 1);"
	"PRAGMA application_id = 1836671852; PRAGMA user_version = 1; COMMIT";

enum { OLD_ROWS = 12 };

/* Not through the disk that fails, which is for one program alone. */
static void open_sql(const struct world *w, sqlite3 **out)
{
	assert_int_equal(
		sqlite3_open_v2(world_path(w, "store.db"), out, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix"),
		SQLITE_OK);
}

static sqlite3_stmt *prepare(sqlite3 *sql, const char *text, uint64_t row)
{
	sqlite3_stmt *st;

	assert_int_equal(sqlite3_prepare_v2(sql, text, -1, &st, NULL), SQLITE_OK);
	sqlite3_bind_int64(st, 1, (int64_t)row);
	return st;
}

static void bind_bytes(sqlite3_stmt *st, int at, const void *bytes, size_t len)
{
	sqlite3_bind_blob(st, at, bytes, (int)len, SQLITE_TRANSIENT);
}

static void finish(sqlite3_stmt *st)
{
	assert_int_equal(sqlite3_step(st), SQLITE_DONE);
	sqlite3_finalize(st);
}

static void put_parts(sqlite3 *sql, const char *text, uint64_t row, const uint8_t *payload, size_t len)
{
	for (size_t at = 0; at < len; at += 65536) {
		sqlite3_stmt *st = prepare(sql, text, row << 16 | at / 65536);

		bind_bytes(st, 2, payload + at, len - at < 65536 ? len - at : 65536);
		finish(st);
	}
}

static size_t old_len(uint64_t row)
{
	return row == 5 ? 70000 : row * 100;
}

static void put_order(sqlite3 *sql, uint64_t row)
{
	uint8_t *payload = payload_of(row, old_len(row));
	const struct record_order o = order_of(row, payload, old_len(row));
	sqlite3_stmt *st = prepare(sql, "INSERT INTO outgoing VALUES(?1, 0, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", row);

	bind_bytes(st, 2, o.id, sizeof(o.id));
	sqlite3_bind_int(st, 3, o.reply);
	bind_bytes(st, 4, &o.dst, sizeof(o.dst));
	bind_bytes(st, 5, o.topic, o.topic_len);
	sqlite3_bind_int64(st, 6, (int64_t)o.len);
	sqlite3_bind_int64(st, 7, o.created_s);
	sqlite3_bind_int64(st, 8, o.deadline_s);
	finish(st);
	put_parts(sql, "INSERT INTO outgoing_part VALUES(?1, ?2)", row, payload, o.len);
	free(payload);
}

static void put_message(sqlite3 *sql, uint64_t row)
{
	uint8_t *payload = payload_of(row, old_len(row));
	const struct record_message m = message_of(row, payload, old_len(row));
	sqlite3_stmt *st =
		prepare(sql, "INSERT INTO incoming VALUES(?1, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)", row);

	bind_bytes(st, 2, m.id, sizeof(m.id));
	sqlite3_bind_int(st, 3, m.reply);
	bind_bytes(st, 4, &m.src, sizeof(m.src));
	bind_bytes(st, 5, &m.dst, sizeof(m.dst));
	bind_bytes(st, 6, m.public_key, sizeof(m.public_key));
	bind_bytes(st, 7, m.topic, m.topic_len);
	sqlite3_bind_int64(st, 8, (int64_t)m.len);
	bind_bytes(st, 9, m.checksum, sizeof(m.checksum));
	sqlite3_bind_int64(st, 10, m.arrived_s);
	sqlite3_bind_int64(st, 11, m.chunks);
	finish(st);
	put_parts(sql, "INSERT INTO incoming_part VALUES(?1, ?2)", row, payload, m.len);
	free(payload);
}

/* killed: it was not closed in order, and all lies in the log still. */
static void make_old(struct world *w, bool killed)
{
	sqlite3 *sql;

	world_close(w);
	world_empty(w->dir);
	open_sql(w, &sql);
	assert_int_equal(sqlite3_exec(sql, version1, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(sql, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
	for (uint64_t row = 1; row <= OLD_ROWS; row++) {
		put_order(sql, row);
		put_message(sql, row);
	}
	assert_int_equal(sqlite3_exec(sql, killed ? "UPDATE meta SET clean = 0; COMMIT" : "COMMIT", NULL, NULL, NULL),
			 SQLITE_OK);
	if (killed)
		sqlite3_db_config(sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_close(sql);
	assert_int_equal(access(world_path(w, "store.db-wal"), F_OK), killed ? 0 : -1);
}

static bool is_aside(const struct world *w)
{
	return access(world_path(w, "store.db.corrupt-1"), F_OK) == 0;
}

/* The store is open: it has all that the old file had. */
static void check_old(struct world *w)
{
	assert_false(is_aside(w));
	assert_int_equal(w->found_orders, OLD_ROWS);
	assert_int_equal(w->found_messages, OLD_ROWS);
	assert_int_equal(w->found_past, OLD_ROWS);
	assert_int_equal(store_last_order(w->store), OLD_ROWS);
	assert_int_equal(store_last_message(w->store), OLD_ROWS);
	for (int i = 0; i < RECORD_EPOCH_BYTES; i++)
		assert_int_equal(store_epoch(w->store)[i], i);
	world_forget(w);
	for (uint64_t row = 1; row <= OLD_ROWS; row++)
		store_load_message(w->store, row);
	world_await(w, OLD_ROWS);
	for (uint64_t row = 1; row <= OLD_ROWS; row++) {
		assert_int_equal(w->told[row - 1].len, old_len(row));
		assert_payload(row, w->told[row - 1].payload, w->told[row - 1].len);
	}
	world_forget(w);
}

static void check_new(struct world *w)
{
	check_old(w);
	world_set_pin(w, 1, 11);
	world_set_mode(w, 2, 2);
	world_sync(w);
	world_reopen(w);
	check_old(w);
	assert_int_equal(w->found_pins, 1);
	assert_int_equal(w->peers[1].last_ns, 11);
	assert_int_equal(w->found_modes, 1);
	assert_int_equal(w->peers[2].mode, 3);
}

static void test_old_file(void **state)
{
	struct world *w = *state;

	for (int killed = 0; killed < 2; killed++) {
		make_old(w, killed);
		world_open(w);
		assert_int_equal(w->found_pins + w->found_modes, 0);
		check_new(w);
	}
}

/* At each write in turn: either nothing was done, or all. */
static void test_migration_fails(void **state)
{
	static const enum store_disk hows[] = {STORE_DISK_FULL, STORE_DISK_BROKEN};
	struct world *w = *state;

	for (int i = 0; i < 2; i++) {
		long n = 0;

		while (make_old(w, n % 2), store_disk_set_after(n / 2, hows[i]), world_try(w) != 0) {
			assert_true(w->error[0]);
			store_disk_set(STORE_DISK_FINE);
			world_open(w);
			check_new(w);
			n++;
		}
		store_disk_set(STORE_DISK_FINE);
		check_new(w);
		assert_true(n > 3);
	}
}

static void start_and_die(struct world *w, long writes)
{
	store_disk_set_after(writes, STORE_DISK_DEATH);
	w->loop = loop_new();
	_exit(world_try(w) == 0 ? 0 : 1);
}

static void test_migration_is_killed(void **state)
{
	struct world *w = *state;
	int status = 1;
	long n;

	for (n = 0; status; n++) {
		pid_t pid;

		make_old(w, n % 2);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			start_and_die(w, n / 2);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
		world_open(w);
		check_new(w);
	}
	assert_true(n > 3);
}

/* On a disk that is really full there is the reserve. */
static void test_migration_on_full_disk(void **state)
{
	static const uint8_t zeros[4096];
	struct world *w = *state;
	int fd;

	if (!mount_small(w->dir))
		skip();
	make_old(w, false);
	fd = open(world_path(w, "store.reserve"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(posix_fallocate(fd, 0, PLACE_RESERVE_BYTES), 0);
	close(fd);
	fd = open(world_path(w, "filler"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		continue;
	close(fd);
	world_open(w);
	assert_int_not_equal(access(world_path(w, "store.reserve"), F_OK), 0);
	check_new(w);
	world_add_message(w, 99, 1000);
	assert_int_equal(world_last_error(w), -ENOSPC);
	assert_int_equal(unlink(world_path(w, "filler")), 0);
	world_add_message(w, 100, 1000);
	assert_int_equal(world_last_error(w), 0);
	world_close(w);
	world_empty(w->dir);
	assert_int_equal(umount(w->dir), 0);
}

static void run_sql(struct world *w, const char *text)
{
	sqlite3 *sql;

	open_sql(w, &sql);
	if (sqlite3_exec(sql, text, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", text, sqlite3_errmsg(sql));
	sqlite3_close(sql);
}

/* What cannot be used is not made to look new before it is moved aside. */
static void test_old_file_broken(void **state)
{
	static const char *const changes[] = {
		"CREATE TABLE pins(net64 INTEGER PRIMARY KEY)", "DROP TABLE incoming_part",
		"UPDATE outgoing SET id = x'00' WHERE row = 2", "DELETE FROM incoming_part WHERE place = 2 << 16",
		"UPDATE sqlite_sequence SET seq = 1 << 62",	"PRAGMA user_version = 2",
	};
	struct world *w = *state;
	char command[640];

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		make_old(w, false);
		run_sql(w, changes[i]);
		snprintf(command, sizeof(command), "cp %s/store.db %s/before", w->dir, w->dir);
		assert_int_equal(system(command), 0);
		world_open(w);
		assert_int_equal(w->found_orders + w->found_messages, 0);
		snprintf(command, sizeof(command), "cmp -s %s/before %s/store.db.corrupt-1", w->dir, w->dir);
		if (system(command) != 0)
			fail_msg("%s", changes[i]);
	}
}

static int disk_teardown(void **state)
{
	store_disk_set(STORE_DISK_FINE);
	return world_teardown(state);
}

#define disk_test(fn) cmocka_unit_test_setup_teardown(fn, world_setup, disk_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(test_old_file),	     disk_test(test_migration_fails),
		disk_test(test_migration_is_killed), disk_test(test_migration_on_full_disk),
		world_test(test_old_file_broken),
	};

	store_disk_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
