/* SPDX-License-Identifier: Apache-2.0 */
/* The table of what each peer is talked to with: all by address, or in the status the few that matter most. */
#include "controld/cli/cli_field.h"
#include "controld/cli/cli_private.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STATE_BYTES = 128, NOTE_BYTES = 256 };

/* The packets under both kinds of keys. */
static void add_packets(struct cli_table *t, const cJSON *session, const char *name, const char *static_name)
{
	double n = 0, more = 0;
	const bool any = cli_get_number(session, name, &n), any_static = cli_get_number(session, static_name, &more);
	char text[CLI_FIELD_BYTES_MAX] = "-";

	if ((any || any_static) && n + more >= 0 && n + more < 1e19)
		snprintf(text, sizeof(text), "%.0f", n + more);
	cli_table_add(t, text);
}

static void add_state(const struct cli_config *c, struct cli_table *t, const cJSON *session)
{
	char age[CLI_FIELD_BYTES_MAX], text[STATE_BYTES];
	const char *state = cli_get_text(session, "state");
	double n;

	snprintf(text, sizeof(text), "%.60s", state ? state : "-");
	if (cli_get_number(session, "ageSeconds", &n))
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s",
			 cli_field_text(c, session, "ageSeconds", CLI_FIELD_SECONDS, age));
	cli_table_add(t, text);
}

static void add_pin(struct cli_table *t, const cJSON *session)
{
	static const double last_s = 253402300799; /* of the year 9999 */
	const bool pinned = cJSON_IsTrue(cli_get(session, "pinned"));
	char text[CLI_FIELD_BYTES_MAX];
	struct tm tm;
	time_t when;
	double s;

	if (!pinned || !cli_get_number(session, "pinnedUntil", &s) || !(s >= 0 && s <= last_s)) {
		cli_table_add(t, pinned ? "yes" : NULL);
		return;
	}
	when = (time_t)s;
	strftime(text, sizeof(text), "until %Y-%m-%d", gmtime_r(&when, &tm));
	cli_table_add(t, text);
}

struct note {
	char text[NOTE_BYTES];
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void add_to_note(struct note *n, const char *format, ...)
{
	const size_t room = sizeof(n->text) - n->len;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(n->text + n->len, room, format, args);
	va_end(args);
	assert(len >= 0 && (size_t)len < room);
	n->len += (size_t)len;
}

/* What is out of the ordinary. */
static void add_note(struct cli_table *t, const cJSON *session)
{
	static const struct {
		const char *name, *words;
	} flags[] = {{"releasing", "being released"}, {"ownMode", "mode of its own"}, {"handshake", "handshake"}},
	  counts[] = {{"refusedStatic", "static refused"}, {"refusedSecondKeys", "other keys refused"}};
	struct note note = {.len = 0};
	double n;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (cJSON_IsTrue(cli_get(session, flags[i].name)))
			add_to_note(&note, "%s%s", note.len ? ", " : "", flags[i].words);
	}
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		if (cli_get_number(session, counts[i].name, &n) && n > 0 && n < 1e19)
			add_to_note(&note, "%s%.0f %s", note.len ? ", " : "", n, counts[i].words);
	}
	cli_table_add(t, note.text);
}

static void add_row(const struct cli_config *c, struct cli_table *t, const cJSON *session)
{
	cli_table_add(t, cli_get_text(session, "address"));
	if (c->terminal) {
		add_state(c, t, session);
		add_pin(t, session);
		cli_table_add(t, cli_get_text(session, "mode"));
		add_packets(t, session, "sealedPackets", "staticSealed");
		add_packets(t, session, "openedPackets", "staticOpened");
		add_note(t, session);
		return;
	}
	cli_table_add(t, cli_get_text(session, "state"));
	cli_field_add(c, t, session, "ageSeconds", CLI_FIELD_SECONDS);
	cli_field_add(c, t, session, "pinnedUntil", CLI_FIELD_NUMBER);
	cli_table_add(t, cli_get_text(session, "mode"));
	cli_field_add(c, t, session, "sealedPackets", CLI_FIELD_NUMBER);
	cli_field_add(c, t, session, "openedPackets", CLI_FIELD_NUMBER);
	cli_field_add(c, t, session, "staticSealed", CLI_FIELD_NUMBER);
	cli_field_add(c, t, session, "staticOpened", CLI_FIELD_NUMBER);
	cli_field_add(c, t, session, "refusedStatic", CLI_FIELD_NUMBER);
	cli_field_add(c, t, session, "refusedSecondKeys", CLI_FIELD_NUMBER);
}

struct row {
	const cJSON *session;
	struct ip6 address;
	bool has_address; /* those without come last */
	unsigned rank; /* low: it needs attention */
	size_t place; /* in the API's list */
};

static int compare_rows(const void *left, const void *right)
{
	const struct row *a = left, *b = right;
	const int order = memcmp(&a->address, &b->address, sizeof(a->address));

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->has_address != b->has_address)
		return a->has_address ? -1 : 1;
	if (order)
		return order;
	return a->place < b->place ? -1 : 1;
}

static bool counts_any(const cJSON *session, const char *name)
{
	double n;

	return cli_get_number(session, name, &n) && n > 0;
}

/* Who cannot be reached, who comes by the static key and must not, whose address another key wants; then the rest. */
static unsigned rank_of(const cJSON *session)
{
	static const char *const states[] = {"session", "static", "idle"};
	enum { WAITING, REFUSED, SECOND_KEY, REST };
	const char *state = cli_get_text(session, "state");
	unsigned rank = 0;

	if (state && strcmp(state, "waiting") == 0)
		return WAITING;
	if (counts_any(session, "refusedStatic"))
		return REFUSED;
	if (counts_any(session, "refusedSecondKeys"))
		return SECOND_KEY;
	while (rank < sizeof(states) / sizeof(states[0]) && (!state || strcmp(state, states[rank]) != 0))
		rank++;
	return REST + rank;
}

/* The caller frees it. */
static struct row *sort_rows(const cJSON *sessions, bool ranked, size_t *count)
{
	struct row *rows = calloc((size_t)cJSON_GetArraySize(sessions) + 1, sizeof(*rows));
	const cJSON *session;

	assert(rows);
	*count = 0;
	cJSON_ArrayForEach(session, sessions)
	{
		struct row *r = &rows[*count];
		const char *address = cli_get_text(session, "address");

		*r = (struct row){.session = session, .place = (*count)++, .rank = ranked ? rank_of(session) : 0};
		r->has_address = address && ip6_parse(address, &r->address) == 0;
	}
	qsort(rows, *count, sizeof(*rows), compare_rows);
	return rows;
}

size_t cli_sessions_print(const struct cli_config *c, const cJSON *sessions, size_t limit)
{
	static const struct cli_column for_people[] = {
		{.title = "ADDRESS"},
		{.title = "STATE"},
		{.title = "PINNED", .optional = true},
		{.title = "MODE", .optional = true},
		{.title = "SENT", .right = true},
		{.title = "RECV", .right = true},
		{.title = "NOTE", .least = 6},
		{.title = NULL},
	};
	/* In the status each line has a name first. */
	static const struct cli_column plain[] = {
		{.title = "name"},
		{.title = "address"},
		{.title = "state"},
		{.title = "age"},
		{.title = "pinned"},
		{.title = "mode"},
		{.title = "sealed"},
		{.title = "opened"},
		{.title = "static sealed"},
		{.title = "static opened"},
		{.title = "static refused"},
		{.title = "keys refused"},
		{.title = NULL},
	};
	struct cli_table *t = cli_table_new(c->terminal ? for_people : limit ? plain : plain + 1);
	size_t count;
	struct row *rows = sort_rows(sessions, limit, &count);

	if (limit && count > limit)
		count = limit;
	for (size_t i = 0; i < count; i++) {
		if (limit && !c->terminal)
			cli_table_add(t, "session");
		add_row(c, t, rows[i].session);
	}
	cli_table_print(t, c);
	cli_table_free(t);
	free(rows);
	return count;
}
