/* SPDX-License-Identifier: Apache-2.0 */
/* What outlives the daemon, in one SQLite file: WAL, synchronous=NORMAL, a thread of its own that makes one transaction
 * of all that was asked in a turn of the loop. The loop never waits: completions come back through it, in the order of
 * the requests. The only place with sqlite3.
 *
 * Invariants: what was said to be stored is there after SIGKILL at any instant; an order or a message is there whole
 * or not at all. A file that is not a usable database is moved aside, never overwritten. */
#ifndef CONTROLD_STORE_STORE_H
#define CONTROLD_STORE_STORE_H

#include "controld/loop.h"
#include "controld/store/record.h"

struct store;

enum { STORE_ERROR_BYTES = 512 };

struct store_ops {
	/* From store_open() only: what the file holds, in the order of rows. Of an order that has not ended the payload
	 * becomes the callee's (malloc); topics are borrowed. past: a message completed in the last 600 s, whether or
	 * not it is still in the inbox (then found_message tells it too). */
	void (*found_order)(void *ctx, const struct record_order *o);
	void (*found_message)(void *ctx, const struct record_message *m);
	void (*found_past)(void *ctx, const struct record_message *m);
	void (*found_pin)(void *ctx, const struct record_pin *p); /* pins and modes before all else */
	void (*found_mode)(void *ctx, const struct record_mode *m);
	/* Completions, from the loop. error: 0, -ENOSPC (disk full, quota), -EIO. */
	void (*order_stored)(void *ctx, uint64_t row, int error);
	void (*message_stored)(void *ctx, uint64_t row, int error);
	/* payload (malloc) becomes the callee's; NULL on error, and where len is 0. -ENOENT: no such row. */
	void (*loaded)(void *ctx, uint64_t row, int error, uint8_t *payload, size_t len);
	/* After some completions: do what is due. */
	void (*settled)(void *ctx);
};

struct store_config {
	const char *dir; /* NULL: keeps all in memory only */
	int64_t now_s; /* realtime */
};

/* Opens or makes dir/store.db; the folder is made if missing (0700), its owner and mode are checked. A file that is
 * corrupt or of a later version is moved aside to store.db.corrupt-N and said so in the log, loudly; one of an earlier
 * version becomes one of this. 0, or -errno with one sentence in error. */
MUST_CHECK int store_open(struct loop *l, const struct store_config *c, const struct store_ops *ops, void *ctx,
			  struct store **out, char error[STORE_ERROR_BYTES]);
/* Names the file's life: 16 random bytes drawn when it was made. */
const uint8_t *store_epoch(const struct store *s);
/* The highest rows ever used, so that new ones are higher. */
uint64_t store_last_order(const struct store *s);
uint64_t store_last_message(const struct store *s);

/* Requests. payload and topic must stay until the completion, and are not touched by the store after it. */
void store_add_order(struct store *s, const struct record_order *o);
void store_add_message(struct store *s, const struct record_message *m);
void store_load_message(struct store *s, uint64_t row);
/* Without completion; each is done whole in the transaction of the turn, and tried again while the disk is full. What
 * is asked of a pin or a mode takes the place of what was asked before and still waits; when so many wait as can be
 * told at the start, those of further /64s are dropped, with a line in the log. */
void store_end_order(struct store *s, uint64_t row, uint8_t state); /* keeps the status, drops the payload */
void store_del_order(struct store *s, uint64_t row);
void store_del_message(struct store *s, uint64_t row);
void store_set_pin(struct store *s, const struct record_pin *p); /* of its /64: new or in the place of the old one */
void store_del_pin(struct store *s, uint64_t net64);
void store_set_mode(struct store *s, const struct record_mode *m);
void store_del_mode(struct store *s, uint64_t net64);
/* At the end of a turn of the loop: hands what was asked to the thread. Cheap where there is nothing. */
void store_flush(struct store *s);
/* "" while all is well, else one sentence: what the last failure was, until something succeeds. Borrowed. */
const char *store_trouble(const struct store *s);
/* Bytes of the file and its log on disk; from statistics of the thread, not from a system call. */
uint64_t store_bytes(const struct store *s);
/* Waits until all that was asked is done (at most 5 s), checkpoints, closes. free(NULL) is fine. No callback is called
 * any more. */
void store_free(struct store *s);

#endif
