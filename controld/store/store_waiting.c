/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that wait for the thread, or for the disk. Orders and messages are as many as the post has; pins and modes
 * are set again and again for as long as the node runs, so of each only the last request is kept. They stand apart from
 * each other and from all else: that one moves to the end of the list changes nothing. */
#define LOG_MODULE "store"
#include "controld/store/store_private.h"

#include <stdlib.h>
#include <utlist.h>

static enum waiting_table table_of(const struct request *r)
{
	switch (r->kind) {
	case SET_PIN:
	case DEL_PIN:
		return WAITING_PINS;
	case SET_MODE:
	case DEL_MODE:
		return WAITING_MODES;
	case ADD_ORDER:
	case ADD_MESSAGE:
	case LOAD_MESSAGE:
	case END_ORDER:
	case DEL_ORDER:
	case DEL_MESSAGE:
		return WAITING_TABLES;
	}
	abort();
}

void waiting_supersede(struct waiting *w, const struct request *r)
{
	const enum waiting_table t = table_of(r);
	struct request *old = NULL;

	if (t < WAITING_TABLES)
		HASH_FIND(hh, w->tables[t], &r->row, sizeof(r->row), old);
	if (!old)
		return;
	HASH_DEL(w->tables[t], old);
	DL_DELETE(w->list, old);
	free(old);
}

/* Where there is none, new ones lose: those that wait already are of peers that were there before. */
static bool has_room(const struct waiting *w, enum waiting_table t)
{
	static const unsigned max[WAITING_TABLES] = {RECORD_PINS_MAX, RECORD_MODES_MAX};

	return t == WAITING_TABLES || HASH_COUNT(w->tables[t]) < max[t];
}

void waiting_add(struct waiting *w, struct request *r)
{
	const enum waiting_table t = table_of(r);

	waiting_supersede(w, r);
	if (!has_room(w, t)) {
		log_limited(&w->limit, LOG_ERR, "what changes of sessions is not kept: the disk is too far behind");
		free(r);
		return;
	}
	if (t < WAITING_TABLES)
		HASH_ADD(hh, w->tables[t], row, sizeof(r->row), r);
	DL_APPEND(w->list, r);
}

struct request *waiting_take(struct waiting *w)
{
	struct request *list = w->list;

	for (int t = 0; t < WAITING_TABLES; t++)
		HASH_CLEAR(hh, w->tables[t]);
	w->list = NULL;
	return list;
}
