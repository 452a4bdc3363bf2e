/* SPDX-License-Identifier: Apache-2.0 */
/* Packets that wait for the key of a /64: to be sealed (own traffic: the host's and controld's) or to be opened. And
 * those that are held, until there is a session with its owner. A room per /64 and reason, bounded in bytes, rooms and
 * time, for what is held in packets too: the oldest goes. Strangers never displace own traffic. Every packet lost here
 * is counted. */
#ifndef FASTPATH_WAIT_H
#define FASTPATH_WAIT_H

#include "fastpath/pool.h"
#include "shared/base/mono.h"
#include "shared/lanes.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes are a packet of the host, a record USER_DOWN, a frame. */
enum wait_kind { WAIT_SEAL, WAIT_USER, WAIT_OPEN };

enum wait_reason { WAIT_KEY, WAIT_SESSION };

/* Before each packet in a chunk. Its last four bytes may be overwritten: they are the headroom of a packet of the host.
 */
struct wait_record {
	int64_t since_us;
	uint32_t len : 24, kind : 8;
	uint32_t link; /* that a frame came over */
	uint8_t bytes[];
};

struct wait_list {
	struct chunk *head, *tail;
	size_t bytes;
};

struct wait_room {
	uint64_t net64;
	bool used, own;
	enum wait_reason reason;
	uint32_t count; /* packets */
	struct wait_list list;
};

struct wait {
	struct pool *pool; /* borrowed */
	struct lanes_stats *stats; /* borrowed */
	struct wait_room room[LIMIT_WAIT_NET64S];
	size_t bytes; /* in all rooms */
	/* When a key was asked for last, by a hash of the /64: two in one place are asked for more often than needed.
	 */
	struct {
		uint64_t net64;
		struct mono at;
		bool own;
	} asked[256];
	struct mono asked_second;
	uint32_t asked_count;
};

struct wait_packet {
	enum wait_kind kind;
	enum wait_reason reason;
	const uint8_t *bytes;
	size_t len;
	uint32_t link; /* WAIT_OPEN */
};

void wait_init(struct wait *w, struct pool *pool, struct lanes_stats *stats);
/* Gives all chunks back; what waits is not counted. */
void wait_fini(struct wait *w);
/* Copies the packet in. */
void wait_add(struct wait *w, uint64_t net64, const struct wait_packet *p, struct mono now);
/* True if the key of the /64 may be asked for now; remembers that it was. Own traffic is not held up by strangers. */
bool wait_may_ask(struct wait *w, uint64_t net64, bool own, struct mono now);
/* Something of the /64 waits for that. */
bool wait_has(struct wait *w, uint64_t net64, enum wait_reason reason);
/* Takes what waits for the /64: the list becomes the caller's. False: nothing. */
bool wait_take(struct wait *w, uint64_t net64, enum wait_reason reason, struct wait_list *out);
/* Counts what is in the list as lost for want of a key and gives its chunks back. */
void wait_drop(struct wait *w, struct wait_list *list);
/* Drops what waited too long. held: told of each packet that was held; it is counted already. */
void wait_expire(struct wait *w, struct mono now, void (*held)(void *ctx, struct wait_record *r), void *ctx);
/* When wait_expire() has something to do; MONO_NEVER if nothing waits. */
struct mono wait_due(const struct wait *w);

/* The next record of a chunk, moving c->start past it; NULL: none left. */
struct wait_record *wait_record_next(struct chunk *c);

#endif
