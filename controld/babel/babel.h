/* SPDX-License-Identifier: Apache-2.0 */
/* Routing: the Babel-derived protocol of wire-200 chapter 4. A pure core: bytes, events and time in, bytes and events
 * out; it opens nothing, knows no clock and no socket. Hello and IHU do not come here: liveness and round trips are
 * events.
 *
 * Invariants: the feasibility distance of a source never rises at an equal seqno; it is recorded before an Update
 * leaves; a route is usable only if its metric is finite, it is selected and its link is up; selection always looks at
 * the fresh state. At most one route per prefix is selected.
 *
 * Differences from RFC 8966, which the network prescribes (wire-200 chapters 3 and 4): one TLV per packet sent,
 * full-width prefixes and the router id inside the Update, 40-byte router ids, prefixes only of the key that owns them,
 * no Hello or IHU here, no Acknowledgements, no Route Requests, periods and hold times of our own instead of those in
 * TLVs. Differences of ours, from the RFC or from the reference program:
 *   - An unfeasible Update is kept as an unselected route, unless it is the selected one of the same source: so that
 * every advertiser can be asked for a new seqno, and so that it can be used when the distance is forgotten.
 *   - A node whose only link is the next hop says nothing to anyone and records no distance: a leaf never starves
 * behind originators that do not raise their seqno. The distance is recorded before the first Update to a second link.
 *   - A distance is kept for the source hold time after an Update last confirmed it, not after it was last announced;
 * then the prefix is selected anew at once.
 *   - Selection compares metric plus link cost. A direct originator is worth a switch, but not from another direct link
 * to it: two links to one neighbour would flap. A round trip alone moves nothing; the next Update of the prefix does.
 *   - A change of the next hop is announced at once too: the old next hop was kept silent by split horizon. To the new
 * one a retraction goes: what it was told before may be of another source (the originator restarted), which no distance
 * forbids, so that the two would route to each other until it expires.
 *   - A dead link's routes are removed, not kept as retracted: nothing can confirm them.
 *   - A retraction is sent three times, a table period apart, with the router id and seqno of the lost route; one for a
 * route that is not there or is retracted is ignored. It may bear any router id, for it only takes back its sender's
 * own route.
 *   - A seqno request is answered for exactly its prefix, only by what satisfies it, at the cost of the route's own
 * next hop, and not to that next hop. One for our prefix under a former router id of ours is answered by our own
 * Update.
 *   - Of the copies of a request one is passed on. A forwarder tries up to four neighbours, a second apart, until it
 * has the answer; a neighbour not yet asked is tried at the next repeat; all are tried again after 2, 4, 8, .. 60 s.
 * (Dropping every repeat for 60 s leaves nodes without a route for so long when a request dies with a link on its way.)
 *   - Requests of our own: 1, 2, 4, .. 32 s apart, to every advertiser; when the selected route is lost, when its
 * Update is unfeasible, and when an unfeasible one would be chosen. Lost without any advertiser left, nobody is asked:
 * neighbours announce what they have within a table period.
 *   - A request for a newer seqno of ours that comes too soon after the last bump is remembered, and the seqno bumped
 * when the limit is over. (Forgetting it leaves who asked without a route until it asks again, up to 32 s later.)
 *   - The own prefix has no source entry: its Updates never make routes. */
#ifndef CONTROLD_BABEL_BABEL_H
#define CONTROLD_BABEL_BABEL_H

#include "shared/base/buf.h"
#include "shared/base/ip.h"
#include "shared/base/mono.h"
#include "shared/base/network.h"
#include "shared/wire.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct babel;

struct babel_fd {
	uint16_t seqno, metric; /* metric WIRE_INFINITE: none */
};

/* A route as others see it; borrowed during a call. */
struct babel_route {
	struct prefix prefix;
	struct router_id router_id;
	uint32_t link; /* id of the next hop's link */
	uint16_t seqno;
	uint16_t metric; /* as received, without the link's cost; WIRE_INFINITE: retracted */
	uint16_t cost; /* metric plus link cost */
	bool selected, held;
	struct babel_fd fd; /* feasibility distance of its source */
};

struct babel_source {
	struct prefix prefix;
	struct router_id router_id;
	struct babel_fd fd;
};

enum babel_count { /* things that are counted, never logged per packet */
		   BABEL_TLV_MALFORMED, /* does not parse */
		   BABEL_TLV_UNKNOWN, /* unknown type */
		   BABEL_UPDATE_IGNORED, /* filters of wire-200 4.5 step 1 */
		   BABEL_UPDATE_UNFEASIBLE,
		   BABEL_UPDATE_FULL, /* a table is full */
		   BABEL_UPDATE_SECOND_KEY, /* another key's live route owns the /64 */
		   BABEL_REQUEST_IGNORED, /* AE, hop count, repeated */
		   BABEL_UPDATES_SENT,
		   BABEL_REQUESTS_SENT,
		   BABEL_COUNTS
};

struct babel_config {
	const struct network *network;
	struct router_id self; /* its key is ours */
	struct prefix own; /* announced with metric 0 */
	uint16_t seqno; /* 0 on a cold start */
};

/* None of these may call back into the same babel. */
struct babel_ops {
	/* Send one TLV (type, length, value), to one link. bytes are borrowed. */
	void (*send)(void *ctx, uint32_t link, const uint8_t *tlv, size_t len);
	/* The selected, finite route of a prefix appeared or changed (next hop, router id, seqno, metric, held, and its
	 * source's distance when it is recorded; not its link's cost alone); NULL: there is none any more. */
	void (*selected)(void *ctx, const struct prefix *p, const struct babel_route *route);
	/* An acceptable Update, or a held route, named the key of a /64, not seen before or different from the last one
	 * named. It is remembered as long as the prefix has a route or a source. */
	void (*key)(void *ctx, const struct prefix *net64, const uint8_t public_key[32]);
	/* A finite Update for our own prefix, with our key and a router id not ours: the key runs elsewhere. An echo of
	 * our life before a restart is not told: metric not 0, in the first two minutes. Told for every such Update. */
	void (*key_elsewhere)(void *ctx, uint32_t link, const struct router_id *other);
	/* Our own seqno rose. */
	void (*seqno)(void *ctx, uint16_t seqno);
	/* No held route is left, and so many of them went because nothing confirmed them. */
	void (*swept)(void *ctx, uint32_t count);
	void (*random)(void *ctx, void *out, size_t len);
};

struct babel *babel_new(const struct babel_config *config, const struct babel_ops *ops, void *ctx, struct mono now);
/* free(NULL) is fine. Nothing is sent. */
void babel_free(struct babel *b);

/* A link came up. smoothed is its link cost without the addition, or UINT32_MAX: the network's initial one. Own prefix
 * and known routes are sent to it at once, in slices by babel_tick(). False if the table of links is full. */
bool babel_link_up(struct babel *b, uint32_t link, uint32_t smoothed, struct mono now);
/* A link died: its routes are retracted, and those selected replaced, at once. Unknown links are ignored. */
void babel_link_down(struct babel *b, uint32_t link, struct mono now);
/* One measured round trip in microseconds. */
void babel_link_rtt(struct babel *b, uint32_t link, uint32_t rtt_us, struct mono now);
/* Smoothed cost, to be handed to the next controld; UINT32_MAX for an unknown link. */
uint32_t babel_link_smoothed(const struct babel *b, uint32_t link);

/* The TLVs of one control packet, from a link that is up: parsed all, then handled all. Hello and IHU are skipped. */
void babel_tlvs(struct babel *b, uint32_t link, const uint8_t *bytes, size_t len, struct mono now);

/* Does what is due; returns when it wants to be called next. Call it after every other call too (it is cheap). */
struct mono babel_tick(struct babel *b, struct mono now);

/* A route found in a running fastpath: announced unchanged until an Update confirms it or held_ms pass (LIMIT_HELD_MS),
 * then swept. Its link must be up already. One that is not selected waits for the next Update of its prefix. */
void babel_hold(struct babel *b, const struct babel_route *route, struct mono now);

/* The owner of this prefix is at the other end of the link: it announces it as its own there. */
bool babel_is_neighbour(const struct babel *b, const struct prefix *own, uint32_t link);

/* A usable route to ip by longest match into out; false if there is none. */
bool babel_find(const struct babel *b, const struct ip6 *ip, struct babel_route *out);

/* Iterate: fn must not change b. Routes in the order of prefixes, the selected one first. */
void babel_each_route(const struct babel *b, void (*fn)(void *ctx, const struct babel_route *r), void *ctx);
void babel_each_source(const struct babel *b, void (*fn)(void *ctx, const struct babel_source *s), void *ctx);
/* The route of exactly this prefix that is selected, or that leads over a link; false if there is none. */
bool babel_selected(const struct babel *b, const struct prefix *p, struct babel_route *out);
bool babel_route_over(const struct babel *b, const struct prefix *p, uint32_t link, struct babel_route *out);
/* How much the tables hold; routes: the selected ones too. */
struct babel_size {
	size_t prefixes, routes, selected, sources;
};
struct babel_size babel_size(const struct babel *b);
uint64_t babel_count(const struct babel *b, enum babel_count what);
/* As counters are called to the outside: babel_tlv_malformed and so on. */
const char *babel_count_name(enum babel_count what);
/* Cost of a link, addition included; WIRE_INFINITE for an unknown one. */
uint16_t babel_link_cost(const struct babel *b, uint32_t link);

#endif
