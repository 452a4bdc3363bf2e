/* SPDX-License-Identifier: Apache-2.0 */
/* Opens what lies there, or makes it. A file is usable if it is ours, of this version or an earlier one, has exactly
 * its tables, and what it holds is whole; anything else is moved aside. One of an earlier version is first found
 * usable, then gets what it lacks in one transaction. That a disk does not answer, or another program has the file, is
 * no reason to move it: then there is an error.
 *
 * SQLite's own check reads the whole file. It is done where the last life ended without closing, and where it costs
 * nothing because the file is small; the rows are read in any case.
 *
 * The file is auto_vacuum=INCREMENTAL: after large payloads it shrinks, but in idle time and in small steps, where FULL
 * would move pages in every transaction that deletes. secure_delete is off: pages that are freed are not written. */
#define LOG_MODULE "store"
#include "controld/store/store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#define sentence(out, ...) snprintf((out), STORE_ERROR_BYTES, __VA_ARGS__)

enum {
	APPLICATION_ID = 0x6d79636c, /* mycl */
	UNUSABLE = 1,
	CHECK_ALWAYS_PAGES = 4096, /* 16 MiB */
	BUSY_MS = 1000,
	GROW_BYTES = 64 * 1024, /* the file grows by so many */
	MAX_VALUE_BYTES = 1024 * 1024, /* of a value or a statement of SQL */
};

/* place: row << 16 | part. */
static const char *const schema[] = {
	"CREATE TABLE meta(epoch BLOB NOT NULL, clean INTEGER NOT NULL) STRICT",
	"CREATE TABLE outgoing(row INTEGER PRIMARY KEY AUTOINCREMENT, ended INTEGER NOT NULL, state INTEGER NOT NULL, "
	"id BLOB NOT NULL, reply INTEGER NOT NULL, dst BLOB NOT NULL, topic BLOB NOT NULL, len INTEGER NOT NULL, "
	"created_s INTEGER NOT NULL, deadline_s INTEGER NOT NULL) STRICT",
	"CREATE TABLE sqlite_sequence(name,seq)", /* SQLite's own, for AUTOINCREMENT */
	"CREATE TABLE outgoing_part(place INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT",
	"CREATE TABLE incoming(row INTEGER PRIMARY KEY AUTOINCREMENT, consumed INTEGER NOT NULL, id BLOB NOT NULL, "
	"reply INTEGER NOT NULL, src BLOB NOT NULL, dst BLOB NOT NULL, public_key BLOB NOT NULL, topic BLOB NOT NULL, "
	"len INTEGER NOT NULL, checksum BLOB NOT NULL, arrived_s INTEGER NOT NULL, chunks INTEGER NOT NULL) STRICT",
	"CREATE TABLE incoming_part(place INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT",
	/* Since version 2. The key is the /64 as a signed number. */
	("CREATE TABLE pins(net64 INTEGER PRIMARY KEY, public_key BLOB NOT NULL, first_ns INTEGER NOT NULL, "
	 "last_ns INTEGER NOT NULL) STRICT"),
	"CREATE TABLE modes(net64 INTEGER PRIMARY KEY, public_key BLOB NOT NULL, mode INTEGER NOT NULL) STRICT",
};
enum { SCHEMA_TABLES = sizeof(schema) / sizeof(schema[0]), SCHEMA_TABLES_MESSAGES = 6, SCHEMA_NOT_OURS = 2 };

/* Those that nobody can ask for any more, and those that so many came after that they are not told. */
static const char purge_orders[] = "DELETE FROM outgoing WHERE ended AND (created_s + deadline_s <= ?1 OR row <= "
				   "(SELECT seq FROM sqlite_sequence WHERE name = 'outgoing') - ?2)";
/* Time rises with the rows: only those before the first young one are looked at. */
static const char purge_messages[] =
	"DELETE FROM incoming WHERE consumed AND row < max("
	"ifnull((SELECT row FROM incoming WHERE arrived_s > ?1 ORDER BY row LIMIT 1), 1 << 62), "
	"ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'incoming'), 0) - ?2)";

static const char *const statements[STATEMENTS] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[MARK] = "UPDATE meta SET clean = 0",
	[COUNT_PAGES] = "PRAGMA page_count",
	[COUNT_FREE] = "PRAGMA freelist_count",
	[ADD_ORDER_ROW] = "INSERT INTO outgoing VALUES(?1, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[ADD_ORDER_PART] = "INSERT INTO outgoing_part VALUES(?1, ?2)",
	[END_ORDER_ROW] = "UPDATE outgoing SET ended = 1, state = ?2 WHERE row = ?1",
	[DEL_ORDER_ROW] = "DELETE FROM outgoing WHERE row = ?1",
	[DEL_ORDER_PARTS] = "DELETE FROM outgoing_part WHERE place BETWEEN ?1 AND ?2",
	[GET_ORDER_PARTS] = "SELECT bytes FROM outgoing_part WHERE place BETWEEN ?1 AND ?2 ORDER BY place",
	[ADD_MESSAGE_ROW] = "INSERT INTO incoming VALUES(?1, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
	[ADD_MESSAGE_PART] = "INSERT INTO incoming_part VALUES(?1, ?2)",
	[GET_MESSAGE_LEN] = "SELECT len FROM incoming WHERE row = ?1 AND NOT consumed",
	[GET_MESSAGE_PARTS] = "SELECT bytes FROM incoming_part WHERE place BETWEEN ?1 AND ?2 ORDER BY place",
	[CONSUME_MESSAGE] = "UPDATE incoming SET consumed = 1 WHERE row = ?1",
	[DEL_MESSAGE_PARTS] = "DELETE FROM incoming_part WHERE place BETWEEN ?1 AND ?2",
	[PURGE_ORDERS] = purge_orders,
	[PURGE_MESSAGES] = purge_messages,
	[SET_PIN_ROW] = "REPLACE INTO pins VALUES(?1, ?2, ?3, ?4)",
	[DEL_PIN_ROW] = "DELETE FROM pins WHERE net64 = ?1",
	[SET_MODE_ROW] = "REPLACE INTO modes VALUES(?1, ?2, ?3)",
	[DEL_MODE_ROW] = "DELETE FROM modes WHERE net64 = ?1",
};

/* What a result of SQLite means for the file: 0, UNUSABLE or -errno. */
static int judge(struct database *d, int rc, char *error)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
		return 0;
	case SQLITE_ERROR:
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_SCHEMA:
	case SQLITE_TOOBIG:
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
		sentence(error, "%s", d->sql ? sqlite3_errmsg(d->sql) : sqlite3_errstr(rc));
		return UNUSABLE;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		sentence(error, "another program has it open: close that");
		return -EBUSY;
	default:
		sentence(error, "cannot be opened: %s", d->sql ? sqlite3_errmsg(d->sql) : sqlite3_errstr(rc));
		return d->sql ? db_error(d, rc) : -EIO;
	}
}

static int unusable(char *error, const char *why)
{
	sentence(error, "%s", why);
	return UNUSABLE;
}

static int exec(struct database *d, const char *text, char *error)
{
	return judge(d, sqlite3_exec(d->sql, text, NULL, NULL, NULL), error);
}

/* The first column of the first row, as text or as a number; of no row: "". */
static int ask(struct database *d, const char *text, char *out, size_t size, char *error)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(d->sql, text, -1, &st, NULL);

	out[0] = '\0';
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW && sqlite3_column_text(st, 0))
			snprintf(out, size, "%s", (const char *)sqlite3_column_text(st, 0));
		if (rc == SQLITE_ROW || rc == SQLITE_DONE)
			rc = SQLITE_OK;
	}
	rc = judge(d, rc, error);
	sqlite3_finalize(st);
	return rc;
}

static int ask_number(struct database *d, const char *text, int64_t *out, char *error)
{
	char value[32];
	const int r = ask(d, text, value, sizeof(value), error);

	*out = strtoll(value, NULL, 10);
	return r;
}

static int on_wal(void *ctx, sqlite3 *sql, const char *name, int pages)
{
	struct database *d = ctx;

	(void)sql;
	(void)name;
	d->wal_pages = pages;
	return SQLITE_OK;
}

/* The process has one kind of store only: its settings are SQLite's. */
static void configure_sqlite(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	sqlite3_config(SQLITE_CONFIG_URI, 0);
}

static void harden(sqlite3 *sql)
{
	static const int off[] = {SQLITE_DBCONFIG_ENABLE_TRIGGER, SQLITE_DBCONFIG_ENABLE_VIEW,
				  SQLITE_DBCONFIG_TRUSTED_SCHEMA, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION,
				  SQLITE_DBCONFIG_DQS_DML,	  SQLITE_DBCONFIG_DQS_DDL};

	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
		sqlite3_db_config(sql, off[i], 0, NULL);
	sqlite3_db_config(sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_limit(sql, SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES);
	sqlite3_limit(sql, SQLITE_LIMIT_SQL_LENGTH, MAX_VALUE_BYTES);
	sqlite3_limit(sql, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_limit(sql, SQLITE_LIMIT_WORKER_THREADS, 0);
}

static int connect_to(struct database *d, const char *path, char *error)
{
	int chunk = GROW_BYTES, rc;

	configure_sqlite();
	rc = sqlite3_open_v2(path, &d->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK)
		return judge(d, rc, error);
	harden(d->sql);
	sqlite3_wal_hook(d->sql, on_wal, d);
	/* For somebody who only looks; later the file is ours alone. */
	sqlite3_busy_timeout(d->sql, BUSY_MS);
	/* Without it the size that db_commit() asks for is ignored. */
	sqlite3_file_control(d->sql, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
	/* EXCLUSIVE: no shared memory, so no file for it. */
	return exec(d,
		    "PRAGMA page_size = 4096; PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -512; PRAGMA "
		    "mmap_size = 0;"
		    "PRAGMA foreign_keys = OFF; PRAGMA cell_size_check = ON; PRAGMA secure_delete = OFF;"
		    "PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 4194304; PRAGMA temp_store = MEMORY",
		    error);
}

static int use_wal(struct database *d, char *error)
{
	char mode[16];
	int r = ask(d, "PRAGMA journal_mode = WAL", mode, sizeof(mode), error);

	if (r == 0 && d->in_file && strcmp(mode, "wal") != 0) {
		sentence(error, "the store cannot keep a log (journal mode %s): is its disk writable?", mode);
		r = -EIO;
	}
	return r;
}

static int make_tables(struct database *d, char *error)
{
	char text[128], epoch[2 * RECORD_EPOCH_BYTES + 1];
	uint8_t random[RECORD_EPOCH_BYTES];
	int r = exec(d, "BEGIN IMMEDIATE", error);

	for (int i = 0; r == 0 && i < SCHEMA_TABLES; i++) {
		if (i != SCHEMA_NOT_OURS)
			r = exec(d, schema[i], error);
	}
	randombytes_buf(random, sizeof(random));
	sodium_bin2hex(epoch, sizeof(epoch), random, sizeof(random));
	snprintf(text, sizeof(text), "INSERT INTO meta VALUES(x'%s', 0)", epoch);
	if (r == 0)
		r = exec(d, text, error);
	snprintf(text, sizeof(text), "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", APPLICATION_ID,
		 SCHEMA_VERSION);
	return r ? r : exec(d, text, error);
}

static int make_database(struct database *d, char *error)
{
	int r = exec(d, "PRAGMA auto_vacuum = INCREMENTAL", error);

	if (r == 0)
		r = use_wal(d, error);
	if (r == 0)
		r = make_tables(d, error);
	d->marked = r == 0;
	/* Our own statements are right: that they fail has another reason than the file. */
	return r == UNUSABLE ? -EIO : r;
}

/* One transaction: killed at any instant, it is a file of the one version or of the other. */
static int migrate(struct database *d, int64_t version, char *error)
{
	char text[128];
	int r;

	if (version == SCHEMA_VERSION)
		return 0;
	r = exec(d, "BEGIN IMMEDIATE", error);
	for (int i = SCHEMA_TABLES_MESSAGES; r == 0 && i < SCHEMA_TABLES; i++)
		r = exec(d, schema[i], error);
	snprintf(text, sizeof(text), "UPDATE meta SET clean = 0; PRAGMA user_version = %d; COMMIT", SCHEMA_VERSION);
	if (r == 0)
		r = exec(d, text, error);
	if (r == 0) {
		d->marked = true;
		log_info(
			"the store was of version %lld and is now of version %d: older programs cannot use it any more",
			(long long)version, SCHEMA_VERSION);
	}
	return r == UNUSABLE ? -EIO : r;
}

static int check_schema(struct database *d, int64_t version, char *error)
{
	const int tables = version == SCHEMA_VERSION_MESSAGES ? SCHEMA_TABLES_MESSAGES : SCHEMA_TABLES;
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(d->sql, "SELECT sql FROM sqlite_schema ORDER BY rowid", -1, &st, NULL);
	int n = 0;

	while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(st, 0);

		rc = n < tables && text && strcmp(text, schema[n]) == 0 ? SQLITE_OK : SQLITE_MISMATCH;
		n++;
	}
	sqlite3_finalize(st);
	if (rc == SQLITE_MISMATCH || (rc == SQLITE_DONE && n != tables))
		return unusable(error, "its tables are not ours");
	return rc == SQLITE_DONE ? 0 : judge(d, rc, error);
}

/* Whose is it, and of which version? 0: nobody's yet. */
static int check_identity(struct database *d, const struct place *p, int64_t *version, char *error)
{
	int64_t application, tables, page = 0;
	int r = ask_number(d, "PRAGMA application_id", &application, error);

	if (r == 0)
		r = ask_number(d, "PRAGMA user_version", version, error);
	if (r == 0)
		r = ask_number(d, "SELECT count(*) FROM sqlite_schema", &tables, error);
	if (r == 0)
		r = ask_number(d, "PRAGMA page_size", &page, error);
	if (r)
		return r;
	if (page != DB_PAGE_BYTES)
		return unusable(error, "its pages are not of our size");
	/* A file that says that only later versions of SQLite may write it. */
	if (sqlite3_db_readonly(d->sql, "main") == 1) {
		if (access(p->file, W_OK) == 0)
			return unusable(error, "it cannot be written");
		r = -errno;
		sentence(error, "cannot write %.200s: %s", p->file, strerror(-r));
		return r;
	}
	if (application == 0 && *version == 0 && tables == 0)
		return 0;
	if (application != APPLICATION_ID)
		return unusable(error, "it is another program's database");
	if (*version < SCHEMA_VERSION_MESSAGES || *version > SCHEMA_VERSION)
		return unusable(error, "another version of this program wrote it");
	return 0;
}

static int check_content(struct database *d, int64_t version, char *error)
{
	int64_t clean = 0, pages = 0;
	char verdict[128];
	int r = check_schema(d, version, error);

	if (r == 0)
		r = ask_number(d, "SELECT clean FROM meta", &clean, error);
	if (r == 0)
		r = ask_number(d, "PRAGMA page_count", &pages, error);
	if (r == 0 && (!clean || pages <= CHECK_ALWAYS_PAGES)) {
		if (pages > CHECK_ALWAYS_PAGES)
			log_info("the store was not closed in order, and is checked bytes=%lld",
				 (long long)pages * DB_PAGE_BYTES);
		r = ask(d, "PRAGMA quick_check(1)", verdict, sizeof(verdict), error);
		if (r == 0 && strcmp(verdict, "ok") != 0)
			r = unusable(error, verdict);
	}
	d->marked = !clean;
	return r;
}

static int prepare_statements(struct database *d, char *error)
{
	int rc = SQLITE_OK;

	for (int i = 0; rc == SQLITE_OK && i < STATEMENTS; i++)
		rc = sqlite3_prepare_v3(d->sql, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &d->stmts[i], NULL);
	return judge(d, rc, error);
}

static int read_facts(struct database *d, struct db_facts *facts, char *error)
{
	char epoch[2 * RECORD_EPOCH_BYTES + 2];
	int64_t order, message;
	size_t len;
	int r = ask(d, "SELECT hex(epoch) FROM meta", epoch, sizeof(epoch), error);

	if (r == 0)
		r = ask_number(d,
			       "SELECT max((SELECT ifnull(max(row), 0) FROM outgoing), "
			       "ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'outgoing'), 0))",
			       &order, error);
	if (r == 0)
		r = ask_number(d,
			       "SELECT max((SELECT ifnull(max(row), 0) FROM incoming), "
			       "ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'incoming'), 0))",
			       &message, error);
	if (r)
		return r;
	facts->last_order = (uint64_t)order;
	facts->last_message = (uint64_t)message;
	if (sodium_hex2bin(facts->epoch, sizeof(facts->epoch), epoch, strlen(epoch), NULL, &len, NULL) != 0 ||
	    len != sizeof(facts->epoch) || facts->last_order >= db_max_row || facts->last_message >= db_max_row)
		return unusable(error, "its counters are not ours");
	return 0;
}

static int check_rows(struct database *d, int64_t version, char *error)
{
	const int rc = db_check_rows(d, version);

	return rc == SQLITE_CORRUPT ? unusable(error, "a row in it is not whole") : judge(d, rc, error);
}

/* Makes one, or judges what is there. */
static int make_or_check(struct database *d, int64_t *version, char *error)
{
	int r;

	if (*version == 0) {
		*version = SCHEMA_VERSION;
		return make_database(d, error);
	}
	r = check_content(d, *version, error);
	return r ? r : use_wal(d, error);
}

static int try_open(struct database *d, const struct place *p, struct db_facts *facts, char *error)
{
	int64_t version = 0;
	int r = connect_to(d, d->in_file ? p->file : ":memory:", error);

	if (r == 0)
		r = check_identity(d, p, &version, error);
	if (r == 0)
		r = make_or_check(d, &version, error);
	if (r == 0)
		r = read_facts(d, facts, error);
	if (r == 0)
		r = check_rows(d, version, error);
	if (r == 0)
		r = migrate(d, version, error);
	return r ? r : prepare_statements(d, error);
}

/* Makes the file, so that its mode does not depend on others. */
static int touch(const struct place *p, char *error)
{
	const int fd = open(p->file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0) {
		const int err = errno;

		sentence(error, "cannot open %.200s: %s", p->file, strerror(err));
		return -err;
	}
	close(fd);
	return 0;
}

/* Before anything of it may be changed. */
static void drop(struct database *d)
{
	/* Without checkpoint: what is moved aside stays as it was. */
	if (d->sql)
		sqlite3_db_config(d->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	d->marked = false;
	db_close(d);
}

/* The words of SQLite may hold names out of the file, and lines. */
static void make_printable(char *text)
{
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			*text = ' ';
	}
}

int db_open(struct database *d, const struct place *p, struct db_facts *facts, char *error)
{
	char why[STORE_ERROR_BYTES] = "it is no file, or empty and has a log";
	int r = 0;

	/* A file that was just made is never corrupt. */
	for (int tries = 0; tries < 2; tries++) {
		d->in_file = p->dir[0];
		r = d->in_file ? place_look(p, error) : 0;
		if (r == 0 && d->in_file)
			r = touch(p, error);
		if (r == 0) {
			r = try_open(d, p, facts, why);
			make_printable(why);
			if (r < 0)
				sentence(error, "%.200s: %.250s", d->in_file ? p->file : "the store", why);
		}
		if (r == 0)
			return 0;
		drop(d);
		if (r > 0)
			r = place_move_aside(p, why, error);
		if (r < 0)
			return r;
	}
	sentence(error, "a new store is corrupt at once: %.200s", why);
	return -EIO;
}
