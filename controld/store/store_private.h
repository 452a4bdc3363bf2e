/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the store; private to this folder.
 *
 *   store.c         the requests, in the loop's thread; completions
 *   store_waiting.c requests that wait: of each pin and mode only the last
 *   store_thread.c  the thread: batches, verdicts, trying again, housekeeping
 *   store_db.c      one connection: transactions and requests as SQL
 *   store_find.c    what a file holds, read and checked at the start
 *   store_open.c    a usable database out of whatever lies there
 *   store_place.c   the folder: owner, lock, files moved aside, the reserve
 *
 * Invariant: the database and the place belong to one thread at a time: the opener's, then the store's own. */
#ifndef CONTROLD_STORE_STORE_PRIVATE_H
#define CONTROLD_STORE_STORE_PRIVATE_H

#include "controld/store/store.h"
#include "shared/base/log.h"
#include "shared/base/mono.h"
#include "shared/base/siphash.h"
#include "shared/limits.h"
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
/* After siphash.h. */
#include <uthash.h>

enum {
	PLACE_FILE_BYTES = PATH_MAX + 64,
	PLACE_RESERVE_BYTES = 256 * 1024,
	DB_ROW_SHIFT = 16, /* of the place of a part: row, then number of the part */
	DB_PART_MASK = (1 << DB_ROW_SHIFT) - 1,
	DB_PAGE_BYTES = 4096,
	DB_WHAT_BYTES = 160,
	SQUEEZE_PAGES = 16, /* that db_squeeze() gives back */
};
static const uint64_t db_max_payload = (uint64_t)LIMIT_STORE_ROW_BYTES << DB_ROW_SHIFT;
/* The system's clock ends years before. */
#define DB_MAX_TIME_NS (INT64_MAX - INT64_C(365) * 86400 * 1000000000)
static const uint64_t db_max_row = (UINT64_C(1) << (63 - DB_ROW_SHIFT)) - 1;

/* The folder and the files in it. Not open (dir is ""): all in memory. */
struct place {
	char dir[PATH_MAX];
	char file[PLACE_FILE_BYTES]; /* store.db */
	int lock; /* owned */
	bool reserved; /* the reserve lies there, or cannot be had for another reason than a full disk */
};

/* Makes and checks the folder, takes its lock. 0, or -errno with a sentence in error. */
MUST_CHECK int place_open(struct place *p, const char *dir, char *error);
void place_close(struct place *p);
/* What is there in the place of the database: 0: nothing or a file to try; 1: nothing that could be a database;
 * -errno. */
MUST_CHECK int place_look(const struct place *p, char *error);
/* Moves the database and what belongs to it aside, and says so. */
MUST_CHECK int place_move_aside(const struct place *p, const char *why, char *error);
/* The reserve is room that is given up when the disk is full, so that deletions still work. False: no room for it. */
bool place_reserve(struct place *p);
/* False: there is none. */
bool place_give_up_reserve(struct place *p);
/* Bytes of the database and its log. */
uint64_t place_bytes(const struct place *p);

enum statement {
	BEGIN,
	COMMIT,
	ROLLBACK,
	MARK,
	COUNT_PAGES,
	COUNT_FREE,
	ADD_ORDER_ROW,
	ADD_ORDER_PART,
	END_ORDER_ROW,
	DEL_ORDER_ROW,
	DEL_ORDER_PARTS,
	GET_ORDER_PARTS,
	ADD_MESSAGE_ROW,
	ADD_MESSAGE_PART,
	GET_MESSAGE_LEN,
	GET_MESSAGE_PARTS,
	CONSUME_MESSAGE,
	DEL_MESSAGE_PARTS,
	PURGE_ORDERS,
	PURGE_MESSAGES,
	SET_PIN_ROW,
	DEL_PIN_ROW,
	SET_MODE_ROW,
	DEL_MODE_ROW,
	STATEMENTS
};

struct database {
	sqlite3 *sql;
	sqlite3_stmt *stmts[STATEMENTS];
	const atomic_bool *abandoned; /* borrowed. Under the lock: payloads may not be touched any more */
	pthread_mutex_t *lock; /* borrowed */
	bool in_file;
	bool marked; /* the file says that it is in use */
	bool damaged; /* was found to be, while in use: the file is not marked as clean at the end */
	int64_t changes; /* at the begin of the transaction */
	bool changed; /* by the last transaction that was committed */
	int wal_pages; /* since the last checkpoint */
	char what[DB_WHAT_BYTES]; /* the last failure, in SQLite's words */
};

enum request_kind {
	ADD_ORDER,
	ADD_MESSAGE,
	LOAD_MESSAGE,
	END_ORDER,
	DEL_ORDER,
	DEL_MESSAGE,
	SET_PIN,
	DEL_PIN,
	SET_MODE,
	DEL_MODE
};

struct request {
	struct request *prev, *next;
	enum request_kind kind;
	bool refused; /* has its verdict already, and only keeps its place in the order */
	uint8_t state; /* END_ORDER */
	int error; /* the verdict */
	uint64_t row; /* of pins and modes: the /64 */
	union {
		struct record_order order;
		struct record_message message;
		struct record_pin pin;
		struct record_mode mode;
	};
	UT_hash_handle hh; /* of pins and modes, in struct waiting */
	uint8_t *payload; /* LOAD_MESSAGE: what was loaded */
	size_t len; /* of the payload, whichever way it goes */
	uint8_t topic[];
};

static inline bool request_is_add(const struct request *r)
{
	return r->kind == ADD_ORDER || r->kind == ADD_MESSAGE;
}

/* Without completion: tried until it is done. */
static inline bool request_is_silent(const struct request *r)
{
	return !request_is_add(r) && r->kind != LOAD_MESSAGE;
}

/* Requests that wait, in order. Of a pin and of a mode, which a disk that is ill could let pile up for ever, only the
 * last one. */
enum waiting_table { WAITING_PINS, WAITING_MODES, WAITING_TABLES /* and of all else: none */ };
struct waiting {
	struct request *list;
	struct request *tables[WAITING_TABLES]; /* by /64; also in the list */
	struct log_limit limit;
};

/* store_waiting.c */
/* Takes r, and frees what it makes vain. */
void waiting_add(struct waiting *w, struct request *r);
/* Frees what r, which was done, makes vain. */
void waiting_supersede(struct waiting *w, const struct request *r);
/* The list; nothing waits any more. */
struct request *waiting_take(struct waiting *w);

/* store_db.c. Those that return int: 0 or -errno, and the words in what. -ENOSPC: the disk is full; -EUCLEAN: the file
 * is damaged. */
MUST_CHECK int db_begin(struct database *d);
/* What fails is rolled back. */
MUST_CHECK int db_commit(struct database *d);
void db_rollback(struct database *d);
/* Within a transaction. -ENOENT is a verdict, not a failure. */
MUST_CHECK int db_request(struct database *d, struct request *r);
/* The payload of a row whose length is known, from malloc(); NULL where that is 0. */
MUST_CHECK int db_get_parts(struct database *d, enum statement parts, uint64_t row, size_t len, uint8_t **out);
/* Transactions of their own. cut: the log gives all its blocks back to the disk. */
MUST_CHECK int db_checkpoint(struct database *d, bool cut);
MUST_CHECK int db_purge(struct database *d, int64_t now_s);
/* Gives some free pages back to the file system, if there are many; more: there are still. */
MUST_CHECK int db_shrink(struct database *d, bool *more);
/* Gives a few back, on a disk that is full. -ENOENT: there are none. */
MUST_CHECK int db_squeeze(struct database *d);
MUST_CHECK int db_error(struct database *d, int rc);
/* Marks the file as closed in order (if it is), closes. */
void db_close(struct database *d);

/* store_open.c. A database that can be used; without a place: in memory. */
enum { SCHEMA_VERSION_MESSAGES = 1 /* without pins and modes */, SCHEMA_VERSION = 2 };
struct db_facts {
	uint8_t epoch[RECORD_EPOCH_BYTES];
	uint64_t last_order, last_message;
};
MUST_CHECK int db_open(struct database *d, const struct place *p, struct db_facts *facts, char *error);

/* store_find.c. */
/* Reads all that a file of that version holds and tells nothing. SQLITE_OK, SQLITE_CORRUPT, or what went wrong. */
MUST_CHECK int db_check_rows(struct database *d, int64_t version);
/* Tells it. */
MUST_CHECK int db_tell(struct database *d, int64_t now_s, const struct store_ops *ops, void *ctx);

struct store {
	/* Of the loop. */
	const struct store_ops *ops;
	void *ctx;
	struct loop_fd *watch;
	struct request *asked; /* since the last flush */
	size_t unfinished_bytes;
	char trouble_told[STORE_ERROR_BYTES]; /* as of the last wake-up */
	struct db_facts facts;

	/* Shared. */
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct waiting queue;
	struct request *done;
	bool closing, ended /* the thread is about to */;
	char trouble[STORE_ERROR_BYTES];
	int wake; /* eventfd */
	atomic_bool abandoned;
	atomic_uint_least64_t bytes;

	/* Of the thread, once it runs. */
	pthread_t thread;
	struct database db;
	struct place place;
	struct waiting again; /* silent ones that failed */
	bool blocked; /* one of this round failed: the later ones wait, so that their order is kept */
	bool untidy; /* something was done since the last housekeeping */
	int64_t ahead_s; /* the opener's clock before the system's: 0, but in tests */
	struct mono next_purge; /* on CLOCK_MONOTONIC, as the condition variable */
	struct log_limit trouble_limit;
};

/* store_thread.c: 0 or -errno. */
MUST_CHECK int store_thread_start(struct store *s);
/* store.c: frees all but the watch. */
void store_dispose(struct store *s);

#endif
