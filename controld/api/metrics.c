/* SPDX-License-Identifier: Apache-2.0 */
/* Counters and gauges as Prometheus reads them (text format 0.0.4). Every sample stands below its HELP and TYPE, all
 * samples of one name together; counters end in _total, and units are in the names: bytes, seconds, packets. */
#include "controld/api/http.h"
#include "controld/api/private.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_PREFIX "mycelium_"

struct metric_name {
	const char *name, *help;
};

/* A backslash and a line feed are escaped; in the values of labels quotation marks too. */
static void put_escaped(FILE *out, const char *text, bool label)
{
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", out);
		else if (*text == '\\' || (label && *text == '"'))
			fprintf(out, "\\%c", *text);
		else
			putc(*text, out);
	}
}

static void put_head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP " METRICS_PREFIX "%s ", name);
	put_escaped(out, help, false);
	fprintf(out, "\n# TYPE " METRICS_PREFIX "%s %s\n", name, type);
}

static void put_value(FILE *out, const char *name, uint64_t value)
{
	fprintf(out, METRICS_PREFIX "%s %" PRIu64 "\n", name, value);
}

/* A sample of a metric with one label, below its put_head(). */
static void put_labelled(FILE *out, const char *name, const char *label, const char *value, uint64_t n)
{
	fprintf(out, METRICS_PREFIX "%s{%s=\"", name, label);
	put_escaped(out, value, true);
	fprintf(out, "\"} %" PRIu64 "\n", n);
}

static void put_gauge(FILE *out, const char *name, const char *help, uint64_t value)
{
	put_head(out, name, "gauge", help);
	put_value(out, name, value);
}

/* name without _total */
static void put_counter(FILE *out, const char *name, const char *help, uint64_t value)
{
	char full[128];

	snprintf(full, sizeof(full), "%s_total", name);
	put_head(out, full, "counter", help);
	put_value(out, full, value);
}

static const char *drop_reason(const char *stat)
{
	return strncmp(stat, "drop_", 5) == 0 ? stat + 5 : NULL;
}

/* The packet path: what is dropped is one metric with the reasons as its label. */
static void put_packets(const struct api *a, FILE *out)
{
	static const struct metric_name stats[STAT_COUNT] = {
#define STAT(name, help) [STAT_##name] = {#name, help},
#include "shared/stats.def"
#undef STAT
	};

	for (int i = 0; i < STAT_COUNT; i++)
		if (!drop_reason(stats[i].name))
			put_counter(out, stats[i].name, stats[i].help, a->ops->stat(a->ctx, (enum stat_id)i));
	put_head(out, "dropped_packets_total", "counter", "packets that went no further, by reason");
	for (int i = 0; i < STAT_COUNT; i++) {
		const char *reason = drop_reason(stats[i].name);

		if (reason)
			put_labelled(out, "dropped_packets_total", "reason", reason,
				     a->ops->stat(a->ctx, (enum stat_id)i));
	}
}

static void put_routing(const struct api *a, FILE *out)
{
	static const char *const help[BABEL_COUNTS] = {
		[BABEL_TLV_MALFORMED] = "control packets that do not parse",
		[BABEL_TLV_UNKNOWN] = "TLVs of an unknown type",
		[BABEL_UPDATE_IGNORED] = "Updates that say nothing acceptable",
		[BABEL_UPDATE_UNFEASIBLE] = "Updates that could have made a loop",
		[BABEL_UPDATE_FULL] = "Updates ignored because a table is full",
		[BABEL_UPDATE_SECOND_KEY] = "Updates for a /64 that another key owns",
		[BABEL_REQUEST_IGNORED] = "seqno requests ignored: malformed, exhausted or repeated",
		[BABEL_UPDATES_SENT] = "Updates sent",
		[BABEL_REQUESTS_SENT] = "seqno requests sent",
	};
	const struct babel *b = node_babel(a->node);
	const struct babel_size size = b ? babel_size(b) : (struct babel_size){0};

	put_gauge(out, "route_prefixes", "prefixes in the route table", size.prefixes);
	put_gauge(out, "routes", "routes known, those in use included", size.routes);
	put_gauge(out, "routes_selected", "routes in use", size.selected);
	put_gauge(out, "route_sources", "sources whose feasibility distance is remembered", size.sources);
	for (int i = 0; i < BABEL_COUNTS; i++)
		put_counter(out, babel_count_name((enum babel_count)i), help[i],
			    b ? babel_count(b, (enum babel_count)i) : 0);
}

static void count_link(void *ctx, const struct node_link *l)
{
	uint64_t *count = ctx;

	(void)l;
	(*count)++;
}

struct peer_counts {
	uint64_t wanted, up;
};

static void count_peer(void *ctx, const struct api_peer *p)
{
	struct peer_counts *c = ctx;
	const bool wanted = !(p->flags & CTL_LINK_INBOUND);

	c->wanted += wanted;
	c->up += wanted && p->up;
}

static void put_links(const struct api *a, FILE *out)
{
	struct peer_counts peers = {0};
	uint64_t links = 0;

	node_each_link(a->node, count_link, &links);
	a->ops->peers_each(a->ctx, count_peer, &peers);
	put_gauge(out, "links_up", "links to neighbours, whoever dialled", links);
	put_gauge(out, "peers", "endpoints that are to be connected to, configured or discovered", peers.wanted);
	put_gauge(out, "peers_up", "of these, those connected", peers.up);
}

/* The message core's counters. */
static const struct metric_name message_names[MESSAGE_COUNTERS] = {
	[MESSAGE_PACKET_BAD] = {"message_packets_malformed", "message packets that do not parse"},
	[MESSAGE_PACKET_IGNORED] = {"message_packets_ignored", "message packets about nothing that is known"},
	[MESSAGE_CHUNK_REFUSED] = {"message_chunks_refused", "chunks too short or outside their message"},
	[MESSAGE_DONE_REFUSED] = {"message_done_refused",
				  "messages called complete that are not: chunks missing, wrong checksum, key unknown"},
	[MESSAGE_REFUSED_LENGTH] = {"message_refused_length", "messages refused because they are too long"},
	[MESSAGE_REFUSED_SENDER] = {"message_refused_sender", "messages refused by a cap of their sender"},
	[MESSAGE_REFUSED_FULL] = {"message_refused_full", "messages refused by a cap of all senders"},
	[MESSAGE_REPEATED] = {"message_repeated", "messages that arrived again and were dropped"},
	[MESSAGE_EXPIRED] = {"message_expired", "messages given up because their sender fell silent"},
	[MESSAGE_UNSTORED] = {"message_unstored", "messages that could not be stored when they were complete"},
	[MESSAGE_DELIVERED] = {"messages_delivered", "messages received, whole and stored"},
	[MESSAGE_SENT] = {"messages_sent", "messages of ours that arrived"},
	[MESSAGE_GIVEN_UP] = {"messages_aborted", "messages of ours that did not arrive in time"},
	[MESSAGE_RETRANSMITTED] = {"message_chunks_retransmitted", "chunks sent again"},
};

static void put_messages(const struct api *a, FILE *out)
{
	const struct post_load load = post_load(a->post);

	for (int i = 0; i < MESSAGE_COUNTERS; i++)
		put_counter(out, message_names[i].name, message_names[i].help,
			    post_count(a->post, (enum message_counter)i));
	put_counter(out, "inbox_refused_full", "messages not taken because the inbox was full", load.refused_full);
	put_counter(out, "inbox_unreadable", "messages that could not be read from the store, and are tried again",
		    load.unreadable);
	put_counter(out, "inbox_lost", "messages that the store does not have any more", load.lost);
	put_gauge(out, "inbox_messages", "messages that nobody has taken yet", load.inbox_count);
	put_gauge(out, "inbox_bytes", "payload of the messages that nobody has taken yet", load.inbox_bytes);
	put_gauge(out, "inbox_limit_messages", "so many messages the inbox holds", load.inbox_cap);
	put_gauge(out, "inbox_limit_bytes", "so much payload the inbox holds", load.inbox_cap_bytes);
	put_gauge(out, "inbox_takers", "clients that wait for a message", load.takers);
	put_gauge(out, "inbox_streams", "message streams that are open", load.streams);
	put_gauge(out, "outbox_messages", "messages of ours that have not arrived yet", load.message.out_count);
	put_gauge(out, "outbox_bytes", "payload of our messages that have not arrived yet", load.message.out_bytes);
	put_gauge(out, "message_assembly_messages", "messages arriving, not complete yet", load.message.in_count);
	put_gauge(out, "message_assembly_bytes", "memory of the messages that are arriving", load.message.in_bytes);
}

/* The session core's counters: metrics of their own, */
static const struct {
	enum session_counter what;
	const char *name, *help;
} session_counts[] = {
	{SESSION_INITS_SENT, "session_handshakes_sent", "handshakes begun: INIT sent, repetitions included"},
	{SESSION_RESPS_SENT, "session_handshakes_answered", "handshakes of others answered: RESP sent"},
	{SESSION_KEYS_MADE, "session_keys_made", "session keys made, by both sides' handshakes"},
	{SESSION_COOKIES_SENT, "session_cookies_sent",
	 "handshakes answered with a cookie, for want of proof or under load"},
	{SESSION_HINTS_SENT, "session_hints_sent", "peers told that their session key is not known here"},
	{SESSION_KEEPALIVES_SENT, "session_keepalives_sent", "KEEPALIVE sent"},
};

/* and samples of one metric. */
struct metric_sample {
	enum session_counter what;
	const char *label;
};

static const struct metric_sample session_refusals[] = {
	{SESSION_TYPE_UNKNOWN, "type_unknown"},
	{SESSION_KEY_KIND, "key_kind"},
	{SESSION_ADDRESS, "address"},
	{SESSION_LENGTH, "length"},
	{SESSION_INIT_OFF, "init_off"},
	{SESSION_INIT_VERSION, "init_version"},
	{SESSION_INIT_LANES, "init_lanes"},
	{SESSION_INIT_INDEX, "init_index"},
	{SESSION_INIT_STALE, "init_stale"},
	{SESSION_INIT_PEER_RATE, "init_peer_rate"},
	{SESSION_INIT_RATE, "init_rate"},
	{SESSION_INIT_FULL, "init_full"},
	{SESSION_INIT_BAD, "init_bad"},
	{SESSION_INIT_FOREIGN, "init_foreign"},
	{SESSION_RESP_UNASKED, "resp_unasked"},
	{SESSION_RESP_LATE, "resp_late"},
	{SESSION_RESP_BAD, "resp_bad"},
	{SESSION_RESP_VERSION, "resp_version"},
	{SESSION_RESP_LANES, "resp_lanes"},
	{SESSION_RESP_INDEX, "resp_index"},
	{SESSION_COOKIE_IGNORED, "cookie_ignored"},
	{SESSION_HINT_IGNORED, "hint_ignored"},
};

static const struct metric_sample session_tables[] = {
	{SESSION_PEERS_FULL, "peers"},
	{SESSION_PENDING_FULL, "handshakes"},
	{SESSION_PINS_FULL, "pins"},
};
#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))
_Static_assert(COUNT_OF(session_counts) + COUNT_OF(session_refusals) + COUNT_OF(session_tables) + 2 == SESSION_COUNTERS,
	       "all are told; second keys and refused static packets with the totals");

static uint64_t session_counter(const struct api *a, enum session_counter what)
{
	return a->keyring ? keyring_count(a->keyring, what) : 0;
}

static void put_session_totals(const struct api *a, FILE *out)
{
	const struct keyring_totals t =
		a->keyring ? keyring_totals(a->keyring, api_session_now()) : (struct keyring_totals){0};

	put_head(out, "sessions", "gauge",
		 "peers, by what they are talked to with: session, static key, nothing until there is a session "
		 "(waiting), nothing just now (idle)");
	put_labelled(out, "sessions", "state", "session", t.live);
	put_labelled(out, "sessions", "state", "static", t.static_only);
	put_labelled(out, "sessions", "state", "waiting", t.held - t.idle);
	put_labelled(out, "sessions", "state", "idle", t.idle);
	put_gauge(out, "session_pins", "peers that are not talked to by the static key any more", t.pins);
	put_gauge(out, "session_handshakes_pending", "peers whose answer to a handshake is awaited", t.waiting);
	put_gauge(out, "session_keys", "session keys in use by the forwarder", t.rows);
	put_counter(out, "session_static_refused",
		    "packets and messages under the static key of peers that must not use it; one a second for each",
		    t.refused_static);
	put_counter(out, "session_second_keys", "public keys refused for a /64 that another one has", t.second_keys);
}

static void put_sessions(const struct api *a, FILE *out)
{
	put_session_totals(a, out);
	for (size_t i = 0; i < COUNT_OF(session_counts); i++)
		put_counter(out, session_counts[i].name, session_counts[i].help,
			    session_counter(a, session_counts[i].what));
	put_head(out, "session_refused_total", "counter",
		 "packets of handshakes and sessions that were refused, by reason");
	for (size_t i = 0; i < COUNT_OF(session_refusals); i++)
		put_labelled(out, "session_refused_total", "reason", session_refusals[i].label,
			     session_counter(a, session_refusals[i].what));
	put_head(out, "session_table_full_total", "counter",
		 "times that a table of the sessions had no room, by table");
	for (size_t i = 0; i < COUNT_OF(session_tables); i++)
		put_labelled(out, "session_table_full_total", "table", session_tables[i].label,
			     session_counter(a, session_tables[i].what));
}

static void count_fastpath(void *ctx, const struct api_fastpath *f)
{
	uint64_t *count = ctx;

	*count += f->pid != 0;
}

static void put_process(const struct api *a, FILE *out)
{
	uint64_t fastpaths = 0;

	a->ops->fastpaths_each(a->ctx, count_fastpath, &fastpaths);
	put_head(out, "build_info", "gauge", "always 1; the labels say what runs");
	fprintf(out, METRICS_PREFIX "build_info{version=\"");
	put_escaped(out, VERSION, true);
	fprintf(out, "\",build=\"");
	put_escaped(out, BUILD, true);
	fprintf(out, "\"} 1\n");
	/* The name that all programs have in common. */
	fprintf(out,
		"# HELP process_start_time_seconds when the daemon started, as Unix time\n"
		"# TYPE process_start_time_seconds gauge\n"
		"process_start_time_seconds %" PRId64 "\n",
		a->started_s);
	put_gauge(out, "fastpaths_up", "forwarder processes that run", fastpaths);
	put_gauge(out, "store_ok", "1 while what is to be kept can be stored", !*a->ops->store_trouble(a->ctx));
	put_gauge(out, "store_bytes", "disk space of the store", a->ops->store_bytes(a->ctx));
	put_counter(out, "api_requests", "requests answered by this API", a->requests);
	put_counter(out, "api_refused", "clients turned away: strangers, or beyond a limit", a->refused);
}

void health_metrics(struct api *a, struct http_request *r)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert(out);
	put_process(a, out);
	put_links(a, out);
	put_routing(a, out);
	put_packets(a, out);
	put_messages(a, out);
	put_sessions(a, out);
	fclose(out);
	http_reply(r, 200, METRICS_TYPE, text, len);
	free(text);
}
