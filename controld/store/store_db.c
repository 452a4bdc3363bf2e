/* SPDX-License-Identifier: Apache-2.0 */
/* One connection: transactions, and requests as SQL. A transaction that adds is committed only when the file has room
 * for it beside the log: so a checkpoint never needs a disk that is full, and deletions find the log's blocks again.
 *
 * The number of a payload's part is in its row's key: row << 16 | part. */
#define LOG_MODULE "store"
#include "controld/store/store_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	SHRINK_STEP_PAGES = 1024,
	SHRINK_MIN_PAGES = 1024, /* free ones that are kept for the next payloads */
	TRUNCATE_PAGES = 4096, /* a log that has grown longer is cut */
};

int db_error(struct database *d, int rc)
{
	const int code = rc & 0xff, error = sqlite3_system_errno(d->sql);

	if (code == SQLITE_OK)
		return 0;
	snprintf(d->what, sizeof(d->what), "%s", code == SQLITE_FULL ? sqlite3_errstr(code) : sqlite3_errmsg(d->sql));
	if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
		d->damaged = true;
		return -EUCLEAN;
	}
	if (code == SQLITE_FULL)
		return -ENOSPC;
	if (code == SQLITE_IOERR && (error == ENOSPC || error == EDQUOT || error == EFBIG))
		return -ENOSPC;
	return -EIO;
}

/* Runs a statement that gives nothing. */
static int run(struct database *d, enum statement which)
{
	sqlite3_stmt *st = d->stmts[which];
	const int rc = sqlite3_step(st), error = rc == SQLITE_DONE ? 0 : db_error(d, rc);

	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return error;
}

/* Runs one that gives one number, or none: then -ENOENT. */
static int run_number(struct database *d, enum statement which, int64_t *out)
{
	sqlite3_stmt *st = d->stmts[which];
	const int rc = sqlite3_step(st);
	int error = 0;

	if (rc == SQLITE_ROW)
		*out = sqlite3_column_int64(st, 0);
	else
		error = rc == SQLITE_DONE ? -ENOENT : db_error(d, rc);
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return error;
}

static sqlite3_stmt *of_row(struct database *d, enum statement which, uint64_t row)
{
	sqlite3_bind_int64(d->stmts[which], 1, (int64_t)row);
	return d->stmts[which];
}

static sqlite3_stmt *of_parts(struct database *d, enum statement which, uint64_t row)
{
	sqlite3_stmt *st = of_row(d, which, row << DB_ROW_SHIFT);

	sqlite3_bind_int64(st, 2, (int64_t)(row << DB_ROW_SHIFT | DB_PART_MASK));
	return st;
}

/* A blob that is there, also where it is empty. */
static void bind_bytes(sqlite3_stmt *st, int at, const void *bytes, size_t len)
{
	sqlite3_bind_blob(st, at, len ? bytes : "", (int)len, SQLITE_STATIC);
}

/* A copy, taken while the payload is certainly there. */
static int bind_part(struct database *d, sqlite3_stmt *st, const uint8_t *part, size_t len)
{
	bool abandoned;

	pthread_mutex_lock(d->lock);
	abandoned = atomic_load(d->abandoned);
	if (!abandoned)
		sqlite3_bind_blob(st, 2, part, (int)len, SQLITE_TRANSIENT);
	pthread_mutex_unlock(d->lock);
	return abandoned ? -ECANCELED : 0;
}

static int add_parts(struct database *d, enum statement which, uint64_t row, const uint8_t *payload, size_t len)
{
	int e = 0;

	for (size_t at = 0; e == 0 && at < len; at += LIMIT_STORE_ROW_BYTES) {
		const size_t left = len - at, part = left < LIMIT_STORE_ROW_BYTES ? left : LIMIT_STORE_ROW_BYTES;

		of_row(d, which, row << DB_ROW_SHIFT | at / LIMIT_STORE_ROW_BYTES);
		e = bind_part(d, d->stmts[which], payload + at, part);
		if (e == 0)
			e = run(d, which);
	}
	return e;
}

static int add_order(struct database *d, const struct record_order *o)
{
	sqlite3_stmt *st = of_row(d, ADD_ORDER_ROW, o->row);
	int e;

	sqlite3_bind_int(st, 2, o->state);
	bind_bytes(st, 3, o->id, sizeof(o->id));
	sqlite3_bind_int(st, 4, o->reply);
	bind_bytes(st, 5, o->dst.b, sizeof(o->dst.b));
	bind_bytes(st, 6, o->topic, o->topic_len);
	sqlite3_bind_int64(st, 7, (int64_t)o->len);
	sqlite3_bind_int64(st, 8, o->created_s);
	sqlite3_bind_int64(st, 9, o->deadline_s);
	e = run(d, ADD_ORDER_ROW);
	return e ? e : add_parts(d, ADD_ORDER_PART, o->row, o->payload, o->len);
}

static int add_message(struct database *d, const struct record_message *m)
{
	sqlite3_stmt *st = of_row(d, ADD_MESSAGE_ROW, m->row);
	int e;

	bind_bytes(st, 2, m->id, sizeof(m->id));
	sqlite3_bind_int(st, 3, m->reply);
	bind_bytes(st, 4, m->src.b, sizeof(m->src.b));
	bind_bytes(st, 5, m->dst.b, sizeof(m->dst.b));
	bind_bytes(st, 6, m->public_key, sizeof(m->public_key));
	bind_bytes(st, 7, m->topic, m->topic_len);
	sqlite3_bind_int64(st, 8, (int64_t)m->len);
	bind_bytes(st, 9, m->checksum, sizeof(m->checksum));
	sqlite3_bind_int64(st, 10, m->arrived_s);
	sqlite3_bind_int64(st, 11, m->chunks);
	e = run(d, ADD_MESSAGE_ROW);
	return e ? e : add_parts(d, ADD_MESSAGE_PART, m->row, m->payload, m->len);
}

static int wrong_parts(struct database *d)
{
	snprintf(d->what, sizeof(d->what), "a payload is not whole");
	d->damaged = true;
	return -EUCLEAN;
}

/* Reads the parts into len bytes; each must be where and as long as it was written. */
static int copy_parts(struct database *d, sqlite3_stmt *st, uint8_t *to, size_t len)
{
	size_t at = 0;
	int rc;

	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		const size_t left = len - at, want = left < LIMIT_STORE_ROW_BYTES ? left : LIMIT_STORE_ROW_BYTES;
		const void *bytes = sqlite3_column_blob(st, 0);

		if (!want || !bytes || (size_t)sqlite3_column_bytes(st, 0) != want)
			return wrong_parts(d);
		memcpy(to + at, bytes, want);
		at += want;
	}
	if (rc != SQLITE_DONE)
		return db_error(d, rc);
	return at == len ? 0 : wrong_parts(d);
}

int db_get_parts(struct database *d, enum statement parts, uint64_t row, size_t len, uint8_t **out)
{
	sqlite3_stmt *st = of_parts(d, parts, row);
	uint8_t *payload;
	int e;

	*out = NULL;
	if (len > db_max_payload)
		return wrong_parts(d);
	/* The length is a stranger's choice: no abort(). */
	payload = malloc(len ? len : 1);
	if (!payload) {
		snprintf(d->what, sizeof(d->what), "out of memory");
		return -EIO;
	}
	e = copy_parts(d, st, payload, len);
	sqlite3_reset(st);
	if (e == 0 && len)
		*out = payload;
	else
		free(payload);
	return e;
}

static int load_message(struct database *d, struct request *r)
{
	int64_t len;
	int e;

	/* It is done again when a batch could not be done together. */
	free(r->payload);
	r->payload = NULL;
	r->len = 0;
	of_row(d, GET_MESSAGE_LEN, r->row);
	e = run_number(d, GET_MESSAGE_LEN, &len);
	if (e == 0)
		e = len < 0 ? wrong_parts(d) : db_get_parts(d, GET_MESSAGE_PARTS, r->row, (size_t)len, &r->payload);
	if (e == 0)
		r->len = (size_t)len;
	return e;
}

/* Row and payload, in this order. */
static int change_row(struct database *d, const struct request *r, enum statement row, enum statement parts)
{
	int e;

	of_row(d, row, r->row);
	if (row == END_ORDER_ROW)
		sqlite3_bind_int(d->stmts[row], 2, r->state);
	e = run(d, row);
	if (e)
		return e;
	of_parts(d, parts, r->row);
	return run(d, parts);
}

static int set_pin(struct database *d, const struct record_pin *p)
{
	sqlite3_stmt *st = of_row(d, SET_PIN_ROW, p->net64);

	bind_bytes(st, 2, p->public_key, sizeof(p->public_key));
	sqlite3_bind_int64(st, 3, p->first_ns);
	sqlite3_bind_int64(st, 4, p->last_ns);
	return run(d, SET_PIN_ROW);
}

static int set_mode(struct database *d, const struct record_mode *m)
{
	sqlite3_stmt *st = of_row(d, SET_MODE_ROW, m->net64);

	bind_bytes(st, 2, m->public_key, sizeof(m->public_key));
	sqlite3_bind_int(st, 3, m->mode);
	return run(d, SET_MODE_ROW);
}

static int del_row(struct database *d, enum statement which, uint64_t row)
{
	of_row(d, which, row);
	return run(d, which);
}

int db_request(struct database *d, struct request *r)
{
	switch (r->kind) {
	case ADD_ORDER:
		return add_order(d, &r->order);
	case ADD_MESSAGE:
		return add_message(d, &r->message);
	case LOAD_MESSAGE:
		return load_message(d, r);
	case END_ORDER:
		return change_row(d, r, END_ORDER_ROW, DEL_ORDER_PARTS);
	case DEL_ORDER:
		return change_row(d, r, DEL_ORDER_ROW, DEL_ORDER_PARTS);
	case DEL_MESSAGE:
		return change_row(d, r, CONSUME_MESSAGE, DEL_MESSAGE_PARTS);
	case SET_PIN:
		return set_pin(d, &r->pin);
	case DEL_PIN:
		return del_row(d, DEL_PIN_ROW, r->row);
	case SET_MODE:
		return set_mode(d, &r->mode);
	case DEL_MODE:
		return del_row(d, DEL_MODE_ROW, r->row);
	}
	abort();
}

int db_begin(struct database *d)
{
	d->changes = sqlite3_total_changes64(d->sql);
	return run(d, BEGIN);
}

void db_rollback(struct database *d)
{
	/* Some failures have done it already. */
	if (!sqlite3_get_autocommit(d->sql) && run(d, ROLLBACK) != 0)
		log_debug("rollback error=%s", d->what);
}

/* Makes the file as long as it will be, so that the checkpoint cannot fail for want of room. */
static int make_room(struct database *d)
{
	int64_t pages, bytes;
	int error = ENOSPC, e = run_number(d, COUNT_PAGES, &pages);

	if (e)
		return e;
	bytes = pages * DB_PAGE_BYTES;
	if (sqlite3_file_control(d->sql, "main", SQLITE_FCNTL_SIZE_HINT, &bytes) == SQLITE_OK)
		return 0;
	sqlite3_file_control(d->sql, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
	snprintf(d->what, sizeof(d->what), "the file cannot grow: %s", strerror(error));
	return error == EIO || error == EROFS ? -EIO : -ENOSPC;
}

int db_commit(struct database *d)
{
	const bool changed = sqlite3_total_changes64(d->sql) != d->changes, mark = changed && !d->marked;
	int e = mark ? run(d, MARK) : 0;

	if (e == 0 && changed && d->in_file)
		e = make_room(d);
	if (e == 0 && atomic_load(d->abandoned))
		e = -ECANCELED;
	if (e == 0)
		e = run(d, COMMIT);
	if (e)
		db_rollback(d);
	d->changed = e == 0 && changed;
	d->marked |= e == 0 && mark;
	return e;
}

int db_checkpoint(struct database *d, bool cut)
{
	const int mode = cut || d->wal_pages > TRUNCATE_PAGES ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
	const int rc = sqlite3_wal_checkpoint_v2(d->sql, "main", mode, NULL, NULL);

	if (rc == SQLITE_OK)
		d->wal_pages = 0;
	return db_error(d, rc);
}

int db_purge(struct database *d, int64_t now_s)
{
	int e = db_begin(d);

	if (e)
		return e;
	sqlite3_bind_int64(d->stmts[PURGE_ORDERS], 1, now_s - LIMIT_MESSAGE_STATUS_S);
	sqlite3_bind_int64(d->stmts[PURGE_ORDERS], 2, LIMIT_MESSAGE_STATUSES + LIMIT_MESSAGE_OUT);
	e = run(d, PURGE_ORDERS);
	if (e == 0) {
		sqlite3_bind_int64(d->stmts[PURGE_MESSAGES], 1, now_s - LIMIT_MESSAGE_DONE_MS / 1000);
		sqlite3_bind_int64(d->stmts[PURGE_MESSAGES], 2, LIMIT_MESSAGE_DONE);
		e = run(d, PURGE_MESSAGES);
	}
	if (e == 0)
		return db_commit(d);
	db_rollback(d);
	return e;
}

static int give_back(struct database *d, int pages)
{
	char text[64];

	snprintf(text, sizeof(text), "PRAGMA incremental_vacuum(%d)", pages);
	return db_error(d, sqlite3_exec(d->sql, text, NULL, NULL, NULL));
}

int db_shrink(struct database *d, bool *more)
{
	int64_t unused, pages;
	int e = run_number(d, COUNT_FREE, &unused);

	*more = false;
	if (e == 0)
		e = run_number(d, COUNT_PAGES, &pages);
	if (e || unused < SHRINK_MIN_PAGES || unused < pages / 4)
		return e;
	e = give_back(d, SHRINK_STEP_PAGES);
	*more = e == 0;
	return e;
}

/* So few that they fit in the blocks that the log has already, once what is in it is in the file too. */
int db_squeeze(struct database *d)
{
	int64_t unused;
	int e = run_number(d, COUNT_FREE, &unused);

	if (e || unused == 0)
		return e ? e : -ENOENT;
	e = db_checkpoint(d, false);
	if (e == 0)
		e = give_back(d, SQUEEZE_PAGES);
	return e ? e : db_checkpoint(d, false);
}

void db_close(struct database *d)
{
	if (!d->sql)
		return;
	if (d->in_file && d->marked && !d->damaged && !atomic_load(d->abandoned) &&
	    sqlite3_exec(d->sql, "UPDATE meta SET clean = 1", NULL, NULL, NULL) != SQLITE_OK)
		log_debug("the file is not marked as closed error=%s", sqlite3_errmsg(d->sql));
	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(d->stmts[i]);
	/* The last connection makes a checkpoint and removes the log. */
	sqlite3_close(d->sql);
	*d = (struct database){.abandoned = d->abandoned, .lock = d->lock};
}
