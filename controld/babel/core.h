/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the routing core and who may change them; private to this folder.
 *
 *   neigh     a link that is up and the neighbour behind it      neigh.c
 *   net       a prefix, with the key of its /64                  net.c
 *   source    (prefix, router id) and its feasibility distance   source.c
 *   route     (prefix, neighbour)                                route.c
 *   request   a remembered seqno request                         request.c
 *   trigger   a prefix that waits to be announced to all links   announce.c
 *
 * A net lives as long as a route, source, trigger or longer prefix hangs on it. A source lives as long as a route or a
 * trigger needs it, and a hold time beyond. Lists called queues are in the order of their due times. */
#ifndef CONTROLD_BABEL_CORE_H
#define CONTROLD_BABEL_CORE_H

#include "shared/base/siphash.h"
#include <stdlib.h>
#define uthash_fatal(msg) abort()
#include "controld/babel/babel.h"
#include "controld/babel/metric.h"
#include "controld/babel/tlv.h"
#include "shared/limits.h"
#include <uthash.h>
#include <utlist.h>

enum {
	SLICE_MS = 2, /* between two slices of anything */
	SLICE_COUNT = 256, /* prefixes in a slice of a first table or of triggered Updates */
	SLICE_PERIODIC = 64, /* prefixes in a slice of a periodic table, while the period has room for it */
	EVICT_TRIES = 64, /* so many of a full table are looked at for one that may go */
	RETRACTION_COUNT = 3, /* a retraction is sent so often, a table period apart */
	ECHO_MS = 120 * 1000, /* so long a former router id of ours may still be heard */
	REQUEST_HOLD_MS = 60 * 1000,
	REQUEST_RETRY_MS = 1000, /* a forwarder tries the next path, and an asker asks again; that doubles, up to: */
	REQUEST_SEARCH_MS =
		2000, /* a forwarder that has tried all paths begins anew; that doubles, up to the hold time */
	REQUEST_RETRY_MAX_MS = 32 * 1000,
	REQUEST_PATHS = 4, /* a forwarded request tries so many neighbours, one after the other */
};

struct neigh {
	uint32_t link;
	uint16_t smoothed;
	uint32_t route_count;
	struct route *routes; /* list by neigh_prev, neigh_next */
	size_t heap_index;
	struct mono due; /* the earlier of the next two; place in the heap */
	struct mono own_due, table_due;
	/* The walk over the table that announces it, a slice at a time, once a period. */
	struct net *cursor; /* next prefix; NULL: the round is over */
	struct mono round_end;
	int64_t period_us, slice_us;
	bool walking, has_table; /* has_table: the first round, a fast one, is over */
};

struct net {
	struct prefix prefix;
	bool has_key; /* in a home: public_key was told */
	uint8_t longer_count; /* in a home */
	uint32_t source_count;
	struct net *home; /* that of the /64 around it; may be itself */
	struct net *longer; /* in a home: first longer prefix; in others: the next one */
	struct route *routes; /* list by next */
	struct route *selected;
	struct trigger *trigger;
	uint8_t public_key[32]; /* in a home: named last by an acceptable Update */
	UT_hash_handle hh;
};

struct source_key {
	struct net *net;
	struct router_id router_id;
};
_Static_assert(sizeof(struct source_key) == 8 + WIRE_ROUTER_ID_BYTES, "a key without padding");

struct source {
	struct source_key key;
	struct babel_fd fd;
	uint32_t refs; /* routes and triggers that name it */
	struct mono touched; /* the hash's own order is the queue */
	UT_hash_handle hh;
};

struct route {
	struct source *source;
	struct neigh *neigh;
	struct route *next;
	struct route *neigh_prev, *neigh_next;
	struct route *queue_prev, *queue_next;
	struct mono due;
	uint16_t seqno, metric;
	bool held;
};

/* What others saw of a prefix before something changed. */
struct route_was {
	const struct neigh *neigh; /* NULL: there was no selected route. Compared, never followed. */
	struct source *source;
	uint16_t seqno, metric, cost;
	bool held;
};

struct request_key {
	struct prefix prefix;
	struct router_id router_id;
	uint8_t seqno[2];
};
_Static_assert(sizeof(struct request_key) == 17 + WIRE_ROUTER_ID_BYTES + 2, "a key without padding");

struct request {
	struct request_key key;
	struct mono forget; /* the hash's own order is the queue */
	/* Asked for ourselves. */
	struct mono ask_next;
	uint32_t ask_wait_ms; /* 0: never asked */
	/* Forwarded for a neighbour. */
	struct mono retry_due;
	bool retrying;
	struct mono search_next;
	uint32_t search_wait_ms; /* 0: never forwarded */
	uint8_t hop_count, asked_count;
	uint32_t asker, asked[REQUEST_PATHS]; /* links */
	struct request *prev, *next; /* queue of those retrying */
	UT_hash_handle hh;
};

struct trigger {
	struct net *net;
	struct source *source; /* the route lost, for a retraction; NULL if none ever was */
	uint16_t seqno;
	uint8_t left; /* times still to be sent */
	bool moved; /* the next hop is another one than before */
	bool repeated; /* in the queue of repeats, else in that of urgent ones */
	struct mono due;
	struct trigger *prev, *next;
};

struct babel {
	const struct network *network;
	const struct babel_ops *ops;
	void *ctx;
	struct router_id self;
	struct prefix own;
	uint16_t seqno;
	bool own_key_told;
	struct mono started;
	struct mono bump_next; /* not before */
	bool bump_wanted; /* then */

	struct neigh *slots[LIMIT_LINK_SLOTS];
	struct neigh *heap[LIMIT_LINKS]; /* by due; also the list of all */
	size_t neigh_count;
	struct net *nets;
	struct source *sources;
	struct request *requests;
	struct request *retries; /* queue */
	struct route *live, *held, *retracted; /* queues */
	uint32_t swept; /* held ones that expired, not told yet */
	struct trigger *urgent, *repeats; /* queues */
	struct mono urgent_due;

	uint64_t counts[BABEL_COUNTS];
	struct tlv tlvs[TLV_PACKET_MAX_COUNT]; /* of the packet being handled */
};

/* Zeroed; out of memory aborts. */
static inline void *core_alloc(size_t bytes)
{
	void *p = calloc(1, bytes);

	if (!p)
		abort();
	return p;
}

static inline struct mono due_of(bool any, struct mono due)
{
	return any ? due : MONO_NEVER;
}

/* neigh.c */
struct neigh *neigh_find(const struct babel *b, uint32_t link);
/* NULL if the table is full or another link has the slot. */
struct neigh *neigh_add(struct babel *b, uint32_t link, uint16_t smoothed, struct mono now);
/* Takes it out of the table, so that nothing is sent to it any more; the caller frees it. */
void neigh_take(struct babel *b, struct neigh *n);
uint16_t neigh_cost(const struct babel *b, const struct neigh *n);
/* Call after own_due or table_due changed. */
void neigh_reschedule(struct babel *b, struct neigh *n);

/* net.c */
struct net *net_find(const struct babel *b, const struct prefix *p);
/* Found or made; NULL if a table is full. */
struct net *net_get(struct babel *b, const struct prefix *p, struct mono now);
/* Frees it, and its home, if nothing hangs on them. */
void net_release(struct babel *b, struct net *net);
/* Some route in the /64 is finite. */
bool net_home_is_live(const struct net *home);
/* The key that owns the /64 of net was named: tells it if that is news. */
void net_learn_key(struct babel *b, struct net *net, const uint8_t public_key[32]);

/* source.c */
/* Found or made, without a distance; NULL if the table is full of those in use. */
struct source *source_get(struct babel *b, struct net *net, const struct router_id *id, struct mono now);
bool source_is_feasible(const struct source *s, uint16_t seqno, uint16_t metric);
/* An Update with these is about to leave: the distance follows, but never rises at an equal seqno. True if it changed.
 */
bool source_record(struct babel *b, struct source *s, uint16_t seqno, uint16_t metric, struct mono now);
/* An Update confirmed it: its hold time begins anew. */
void source_confirm(struct babel *b, struct source *s, struct mono now);
/* Makes room: the oldest that no route and no trigger names goes, and its prefix if nothing else hangs on it. */
bool source_evict(struct babel *b, struct mono now);
/* Frees all, and with them the prefixes; routes and triggers are gone already. */
void source_fini(struct babel *b);
struct mono source_tick(struct babel *b, struct mono now);

/* route.c */
struct route *route_find(const struct net *net, const struct neigh *n);
/* A new one, unselected, not yet in a queue; the caller has checked the caps. */
struct route *route_add(struct source *s, struct neigh *n);
/* Takes the fields of an acceptable Update and restarts the timer. */
void route_apply(struct babel *b, struct route *r, struct source *s, const struct tlv_update *u, struct mono now);
/* Makes it infinite for the hold time; the caller selects again. */
void route_retract(struct babel *b, struct route *r, struct mono now);
void route_hold(struct babel *b, struct route *r, struct mono now);
void route_del(struct babel *b, struct route *r);
uint16_t route_cost(const struct babel *b, const struct route *r);
bool route_is_finite(const struct route *r);
/* Finite, and selected or feasible: may carry traffic if selected. */
bool route_is_eligible(const struct route *r);
struct route_was route_was(const struct babel *b, const struct net *net);
/* Selects on the state as it is, and tells what changed since was. */
void route_settle(struct babel *b, struct net *net, const struct route_was *was);
/* The same, and announces it; asks for a newer seqno if only unfeasible routes are left. */
void route_select(struct babel *b, struct net *net, const struct route_was *was, struct mono now);
void route_view(const struct babel *b, const struct route *r, struct babel_route *out);
/* Tells a selected route as it is now. */
void route_tell(const struct babel *b, const struct route *r);
struct mono route_tick(struct babel *b, struct mono now);

/* announce.c */
void announce_own(struct babel *b, struct neigh *n);
void announce_own_to_all(struct babel *b);
/* The selected route of net to n, the distance recorded first; not to its own next hop. */
void announce_net(struct babel *b, struct net *net, struct neigh *n, struct mono now);
/* net waits to be announced to all links; lost: its last route, to be retracted if there is none by then. */
void announce_trigger(struct babel *b, struct net *net, const struct route_was *lost);
/* Every link gets the whole table anew, as if it had just come up. */
void announce_tables(struct babel *b, struct mono now);
/* Sends what waits, a slice at a time. */
struct mono announce_triggers(struct babel *b, struct mono now);
/* Periodic announcements and first tables of the links that are due. */
struct mono announce_tick(struct babel *b, struct mono now);
void announce_fini(struct babel *b);

/* receive.c */
void receive_update(struct babel *b, struct neigh *n, const struct tlv_update *u, struct mono now);
void receive_seqno_request(struct babel *b, struct neigh *n, const struct tlv_seqno_request *q, struct mono now);
/* Bumps our seqno if that was asked for too soon and is due now. */
struct mono receive_tick(struct babel *b, struct mono now);
/* Another key's live route keeps the /64 around p. */
bool receive_is_second_key(const struct babel *b, const struct prefix *p, const uint8_t public_key[32]);
/* The key's address lies inside p. */
bool receive_key_owns(const struct babel *b, const struct prefix *p, const uint8_t public_key[32]);

/* request.c */
/* Asks every advertiser of the source's prefix for a seqno newer than its distance, unless asked lately. */
void request_want(struct babel *b, const struct source *s, struct mono now);
/* Passes a neighbour's request on, unless that was done lately or there is no path. False: ignored. */
bool request_forward(struct babel *b, const struct neigh *from, const struct net *net,
		     const struct tlv_seqno_request *q, struct mono now);
struct mono request_tick(struct babel *b, struct mono now);
void request_fini(struct babel *b);

#endif
