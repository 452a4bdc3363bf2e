/* SPDX-License-Identifier: Apache-2.0 */
/* sessions: what each peer is talked to with, and what may be changed of it. */
#include "controld/cli/cli_api.h"
#include "controld/cli/cli_field.h"
#include "controld/cli/cli_private.h"
#include "controld/cli/cli_words.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STATE_BYTES = 128, NOTE_BYTES = 256 };

static const char help[] =
	"Usage: mycelium [OPTIONS] sessions [list] [--json]\n"
	"       mycelium [OPTIONS] sessions release [ADDRESS]\n"
	"       mycelium [OPTIONS] sessions unpin ADDRESS\n"
	"       mycelium [OPTIONS] sessions mode ADDRESS off|opportunistic|require|default\n"
	"\n"
	"Between two nodes that can, a session protects the traffic: the keys change every two minutes, and nothing\n"
	"is accepted twice. Who had one is pinned: it is not talked to without one any more. ADDRESS is any address\n"
	"of the peer's subnet.\n"
	"\n"
	"list      each peer with its state (session, static: the key that never changes, waiting: data is held until\n"
	"          a session is there), the end of its pin unless it is heard of again, mode, packets sent and\n"
	"          received. In a pipe, separated by tabs, without titles: address, state, age of the session in\n"
	"          seconds, end of the pin in Unix time, mode, packets sealed and opened in the session, and under\n"
	"          the static key, those refused, other public keys refused.\n"
	"release   before this node goes back to a version without sessions: tells the peer, or all, and waits for\n"
	"          the answers. Nothing is begun with those again: see mode. Exit status 1 if some did not answer.\n"
	"unpin     forgets that the peer had a session, if it went back without a release, and the session itself\n"
	"mode      off, opportunistic (sessions with who can), require (nothing without), or default: the --session\n"
	"          of the node. Kept until it is changed again.\n"
	"\n"
	"      --json               the list as the API gives it: {\"schema\":1,\"sessions\":[...]}\n"
	"  -h, --help               print this and exit\n";

bool cli_sessions_target(const struct cli_config *c, const char *address, const char *change,
			 char out[CLI_SESSIONS_TARGET_BYTES])
{
	const bool fits = cli_api_target(CLI_SESSIONS "/", address, out, CLI_SESSIONS_TARGET_BYTES);
	const size_t len = strlen(out), room = CLI_SESSIONS_TARGET_BYTES - len;

	if (fits && (size_t)snprintf(out + len, room, "%s", change) < room)
		return true;
	fputs("Error: ADDRESS is too long\n", c->err);
	return false;
}

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
	size_t place; /* in the API's list */
};

static int compare_rows(const void *left, const void *right)
{
	const struct row *a = left, *b = right;
	const int order = memcmp(&a->address, &b->address, sizeof(a->address));

	if (a->has_address != b->has_address)
		return a->has_address ? -1 : 1;
	if (order)
		return order;
	return a->place < b->place ? -1 : 1;
}

/* By address; the caller frees it. */
static struct row *sort_rows(const cJSON *sessions, size_t *count)
{
	struct row *rows = calloc((size_t)cJSON_GetArraySize(sessions) + 1, sizeof(*rows));
	const cJSON *session;

	assert(rows);
	*count = 0;
	cJSON_ArrayForEach(session, sessions)
	{
		struct row *r = &rows[*count];
		const char *address = cli_get_text(session, "address");

		*r = (struct row){.session = session, .place = (*count)++};
		r->has_address = address && ip6_parse(address, &r->address) == 0;
	}
	qsort(rows, *count, sizeof(*rows), compare_rows);
	return rows;
}

static void print_table(const struct cli_config *c, const cJSON *sessions)
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
	static const struct cli_column plain[] = {
		{.title = "address"},	     {.title = "state"},	 {.title = "age"},
		{.title = "pinned"},	     {.title = "mode"},		 {.title = "sealed"},
		{.title = "opened"},	     {.title = "static sealed"}, {.title = "static opened"},
		{.title = "static refused"}, {.title = "keys refused"},	 {.title = NULL},
	};
	struct cli_table *t = cli_table_new(c->terminal ? for_people : plain);
	size_t count;
	struct row *rows = sort_rows(sessions, &count);

	for (size_t i = 0; i < count; i++)
		add_row(c, t, rows[i].session);
	cli_table_print(t, c);
	cli_table_free(t);
	free(rows);
}

static int list(const struct cli_config *c, bool json)
{
	struct cli_answer a;
	cJSON *sessions;

	if (cli_api_get(c, CLI_SESSIONS, true, &a, &sessions) < 0)
		return EXIT_FAILURE;
	if (json)
		cli_api_put_list(c, "sessions", &a);
	else
		print_table(c, sessions);
	cJSON_Delete(sessions);
	cli_answer_fini(&a);
	return cli_finish(c);
}

static int unpin(const struct cli_config *c, const char *address)
{
	char target[CLI_SESSIONS_TARGET_BYTES];
	const struct cli_call call = {.method = "POST", .target = target};

	return cli_sessions_target(c, address, "/unpin", target) ? cli_api_do(c, &call) : EXIT_FAILURE;
}

static bool is_mode(const char *word)
{
	static const char *const modes[] = {"off", "opportunistic", "require", "default"};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(word, modes[i]) == 0)
			return true;
	}
	return false;
}

static int set_mode(const struct cli_config *c, const char *address, const char *mode)
{
	char target[CLI_SESSIONS_TARGET_BYTES], body[64];
	struct cli_call call = {.method = "POST", .target = target, .body = body};

	call.body_len = (size_t)snprintf(body, sizeof(body), "{\"mode\":\"%s\"}", mode);
	return cli_sessions_target(c, address, "/mode", target) ? cli_api_do(c, &call) : EXIT_FAILURE;
}

/* The changes: which words each wants. */
static int change(const struct cli_config *c, const struct cli_syntax *s, const char *const arguments[3])
{
	const char *what = arguments[0], *address = arguments[1], *mode = arguments[2];
	const bool sets = strcmp(what, "mode") == 0;

	if (strcmp(what, "release") == 0 && !mode)
		return cli_release_run(c, address);
	if (!sets && mode)
		return cli_words_wrong(c, s, mode, "one word too many");
	if (!address)
		return cli_words_wrong(c, s, what, "needs an ADDRESS");
	if (!sets)
		return unpin(c, address);
	if (!mode || !is_mode(mode))
		return cli_words_wrong(c, s, mode ? mode : what, "off, opportunistic, require or default is wanted");
	return set_mode(c, address, mode);
}

int cli_sessions_run(const struct cli_config *c, int count, char **words)
{
	static const char *const changes[] = {"release", "unpin", "mode"};
	const char *arguments[3] = {NULL};
	bool json = false, changing = false;
	const struct cli_option options[] = {{0, "json", &json, NULL}, {0}};
	const struct cli_syntax s = {"sessions", help, options, arguments, 3};
	int exit_code;

	if (!cli_words_read(c, &s, count, words, &exit_code))
		return exit_code;
	for (size_t i = 0; arguments[0] && i < sizeof(changes) / sizeof(changes[0]); i++)
		changing |= strcmp(arguments[0], changes[i]) == 0;
	if (changing && json)
		return cli_words_wrong(c, &s, "--json", "for the list only");
	if (changing)
		return change(c, &s, arguments);
	if (arguments[0] && strcmp(arguments[0], "list") != 0)
		return cli_words_wrong(c, &s, arguments[0], "none of list, release, unpin and mode");
	if (arguments[1])
		return cli_words_wrong(c, &s, arguments[1], "one word too many");
	return list(c, json);
}
