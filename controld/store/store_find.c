/* SPDX-License-Identifier: Apache-2.0 */
/* What a file holds, at the start. It is read twice: first to see that every row is whole and what we write, then to
 * tell it, so that nothing is told of a file that turns out to be corrupt. Bytes of the file are hostile until checked
 * here. */
#define LOG_MODULE "store"
#include "controld/store/store_private.h"

#include <errno.h>
#include <stdlib.h>

/* No clock goes further, and what is computed of it in milliseconds does not overflow. */
static const uint64_t max_time_s = UINT64_C(1) << 40;

/* Columns, in this order. */
static const char orders_text[] = "SELECT row, ended, state, id, reply, dst, topic, len, created_s, deadline_s, "
				  "(SELECT ifnull(sum(length(bytes)), 0) FROM outgoing_part "
				  "WHERE place BETWEEN row << 16 AND row << 16 | 65535) "
				  "FROM outgoing WHERE NOT ended OR created_s + deadline_s > ?1 ORDER BY row";
static const char messages_text[] = "SELECT row, consumed, id, reply, src, dst, public_key, topic, len, checksum, "
				    "arrived_s, chunks, (SELECT ifnull(sum(length(bytes)), 0) FROM incoming_part "
				    "WHERE place BETWEEN row << 16 AND row << 16 | 65535) "
				    "FROM incoming WHERE NOT consumed OR arrived_s > ?1 ORDER BY row";
static const char pins_text[] = "SELECT net64, public_key, first_ns, last_ns FROM pins ORDER BY net64 LIMIT ?1";
static const char modes_text[] = "SELECT net64, public_key, mode FROM modes ORDER BY net64 LIMIT ?1";

/* Reads columns one after the other; bad stays once it is set. */
struct columns {
	sqlite3_stmt *st;
	int at;
	bool bad;
};

static uint64_t next_number(struct columns *c, uint64_t max)
{
	const int64_t v = sqlite3_column_int64(c->st, c->at++);

	if (v < 0 || (uint64_t)v > max) {
		c->bad = true;
		return 0;
	}
	return (uint64_t)v;
}

static void next_bytes(struct columns *c, void *out, size_t len)
{
	const void *bytes = sqlite3_column_blob(c->st, c->at);

	if (!bytes || (size_t)sqlite3_column_bytes(c->st, c->at) != len)
		c->bad = true;
	else
		memcpy(out, bytes, len);
	c->at++;
}

static const uint8_t *next_topic(struct columns *c, uint8_t *len)
{
	const void *bytes = sqlite3_column_blob(c->st, c->at);
	const int count = sqlite3_column_bytes(c->st, c->at++);

	if (count > UINT8_MAX)
		c->bad = true;
	*len = count > UINT8_MAX ? 0 : (uint8_t)count;
	return bytes;
}

static bool read_order(sqlite3_stmt *st, struct record_order *o, bool *ended)
{
	struct columns c = {.st = st};

	*o = (struct record_order){.row = next_number(&c, db_max_row)};
	*ended = next_number(&c, 1);
	o->state = (uint8_t)next_number(&c, UINT8_MAX);
	next_bytes(&c, o->id, sizeof(o->id));
	o->reply = next_number(&c, 1);
	next_bytes(&c, o->dst.b, sizeof(o->dst.b));
	o->topic = next_topic(&c, &o->topic_len);
	o->len = next_number(&c, db_max_payload);
	o->created_s = (int64_t)next_number(&c, max_time_s);
	o->deadline_s = (uint32_t)next_number(&c, UINT32_MAX);
	return !c.bad && o->row && next_number(&c, INT64_MAX) == (*ended ? 0 : o->len);
}

static bool read_message(sqlite3_stmt *st, struct record_message *m, bool *consumed)
{
	struct columns c = {.st = st};

	*m = (struct record_message){.row = next_number(&c, db_max_row)};
	*consumed = next_number(&c, 1);
	next_bytes(&c, m->id, sizeof(m->id));
	m->reply = next_number(&c, 1);
	next_bytes(&c, m->src.b, sizeof(m->src.b));
	next_bytes(&c, m->dst.b, sizeof(m->dst.b));
	next_bytes(&c, m->public_key, sizeof(m->public_key));
	m->topic = next_topic(&c, &m->topic_len);
	m->len = next_number(&c, db_max_payload);
	next_bytes(&c, m->checksum, sizeof(m->checksum));
	m->arrived_s = (int64_t)next_number(&c, max_time_s);
	m->chunks = (uint32_t)next_number(&c, UINT32_MAX);
	return !c.bad && m->row && next_number(&c, INT64_MAX) == (*consumed ? 0 : m->len);
}

static bool read_pin(sqlite3_stmt *st, struct record_pin *p)
{
	struct columns c = {.st = st, .at = 1};

	*p = (struct record_pin){.net64 = (uint64_t)sqlite3_column_int64(st, 0)};
	next_bytes(&c, p->public_key, sizeof(p->public_key));
	p->first_ns = (int64_t)next_number(&c, DB_MAX_TIME_NS);
	p->last_ns = (int64_t)next_number(&c, DB_MAX_TIME_NS);
	return !c.bad;
}

static bool read_mode(sqlite3_stmt *st, struct record_mode *m)
{
	struct columns c = {.st = st, .at = 1};

	*m = (struct record_mode){.net64 = (uint64_t)sqlite3_column_int64(st, 0)};
	next_bytes(&c, m->public_key, sizeof(m->public_key));
	m->mode = (uint8_t)next_number(&c, RECORD_MODE_HIGHEST);
	return !c.bad;
}

struct teller {
	struct database *d;
	const struct store_ops *ops; /* NULL: only look */
	void *ctx;
	int64_t past_s; /* completed before it: not told */
	unsigned count; /* of the rows of this table before */
};

/* The row is beyond what is told of its table. */
static bool is_too_many(const struct teller *t, unsigned max, const char *what)
{
	if (t->count < max)
		return false;
	if (t->ops)
		log_err("the store holds too many %s: the rest is not used max=%u", what, max);
	return true;
}

static int tell_pin(struct teller *t, sqlite3_stmt *st)
{
	struct record_pin p;

	if (is_too_many(t, RECORD_PINS_MAX, "pins"))
		return SQLITE_DONE;
	if (!read_pin(st, &p))
		return SQLITE_CORRUPT;
	if (t->ops)
		t->ops->found_pin(t->ctx, &p);
	return SQLITE_OK;
}

static int tell_mode(struct teller *t, sqlite3_stmt *st)
{
	struct record_mode m;

	if (is_too_many(t, RECORD_MODES_MAX, "modes of peers"))
		return SQLITE_DONE;
	if (!read_mode(st, &m))
		return SQLITE_CORRUPT;
	if (t->ops)
		t->ops->found_mode(t->ctx, &m);
	return SQLITE_OK;
}

static int tell_order(struct teller *t, sqlite3_stmt *st)
{
	struct record_order o;
	bool ended;

	if (!read_order(st, &o, &ended))
		return SQLITE_CORRUPT;
	if (!t->ops)
		return SQLITE_OK;
	if (!ended && db_get_parts(t->d, GET_ORDER_PARTS, o.row, o.len, &o.payload) != 0)
		return SQLITE_CORRUPT;
	t->ops->found_order(t->ctx, &o);
	return SQLITE_OK;
}

static int tell_message(struct teller *t, sqlite3_stmt *st)
{
	struct record_message m;
	bool consumed;

	if (!read_message(st, &m, &consumed))
		return SQLITE_CORRUPT;
	if (!t->ops)
		return SQLITE_OK;
	if (m.arrived_s > t->past_s)
		t->ops->found_past(t->ctx, &m);
	if (!consumed)
		t->ops->found_message(t->ctx, &m);
	return SQLITE_OK;
}

/* SQLITE_DONE of fn: enough. bound: for ?1. */
static int each_row(struct teller *t, const char *text, int64_t bound, int (*fn)(struct teller *t, sqlite3_stmt *st))
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(t->d->sql, text, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 1, bound);
	for (t->count = 0; rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW; t->count++)
		rc = fn(t, st);
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* One more than is told is read, to know that there are more. */
static int each_peer(struct teller *t)
{
	const int rc = each_row(t, pins_text, RECORD_PINS_MAX + 1, tell_pin);

	return rc == SQLITE_OK ? each_row(t, modes_text, RECORD_MODES_MAX + 1, tell_mode) : rc;
}

int db_check_rows(struct database *d, int64_t version)
{
	struct teller t = {.d = d};
	int rc = version == SCHEMA_VERSION_MESSAGES ? SQLITE_OK : each_peer(&t);

	if (rc == SQLITE_OK)
		rc = each_row(&t, orders_text, INT64_MIN, tell_order);
	return rc == SQLITE_OK ? each_row(&t, messages_text, INT64_MIN, tell_message) : rc;
}

int db_tell(struct database *d, int64_t now_s, const struct store_ops *ops, void *ctx)
{
	struct teller t = {.d = d, .ops = ops, .ctx = ctx, .past_s = now_s - LIMIT_MESSAGE_DONE_MS / 1000};
	int rc = each_peer(&t);

	if (rc == SQLITE_OK)
		rc = each_row(&t, orders_text, now_s - LIMIT_MESSAGE_STATUS_S, tell_order);
	return rc == SQLITE_OK ? each_row(&t, messages_text, t.past_s, tell_message) : rc;
}
