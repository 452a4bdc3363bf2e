/* SPDX-License-Identifier: Apache-2.0 */
/* status: what the node says of itself and of its health, and a verdict as the exit code. */
#include "controld/cli/cli_api.h"
#include "controld/cli/cli_field.h"
#include "controld/cli/cli_private.h"
#include "controld/cli/cli_text.h"
#include "controld/cli/cli_words.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
	REASONS_MAX = 8,
	REASON_BYTES = 200,
	VALUE_CHARACTERS = 200,
	NAME_COLUMN = 16,
	SESSIONS_SHOWN = 20,
};

enum state { STATE_HEALTHY, STATE_DEGRADED, STATE_DOWN, STATE_SILENT };

static const char *const state_names[] = {
	[STATE_HEALTHY] = "healthy",
	[STATE_DEGRADED] = "degraded",
	[STATE_DOWN] = "down",
	[STATE_SILENT] = "unknown",
};

static const char help[] =
	"Usage: mycelium [OPTIONS] status [--json]\n"
	"\n"
	"Prints the node's state, what is wrong if anything is, and its figures. Exit status:\n"
	"\n"
	"  0  healthy\n"
	"  1  degraded: it runs, but is not ready, has no neighbour that is up, or cannot keep messages\n"
	"  2  down: it is ending, or stuck (or this command was called wrongly)\n"
	"  3  unknown: no node answers, or it does not serve this client\n"
	"\n"
	"Sessions: how many nodes are talked to in one, under the static key (older versions), wait for one with "
	"data,\n"
	"or are idle: nothing leaves without one, and the next packet begins it; and how many are pinned: not talked\n"
	"to without one again. Below, 20 of them, those that need attention first; all: mycelium sessions.\n"
	"\n"
	"In a pipe: a name, a tab and a value on each line; seconds and bytes; a line \"session\" for each of those,\n"
	"with the columns of mycelium sessions.\n"
	"\n"
	"      --json               {\"schema\":1,\"state\":...,\"reasons\":[...],\"peers\":...,\"node\":...,\n"
	"                           \"sessions\":[...]}; the last three as the API says them, up to 1000 sessions\n"
	"  -h, --help               print this and exit\n";

struct status {
	const struct cli_config *c;
	enum state state;
	char reasons[REASONS_MAX][REASON_BYTES];
	size_t reason_count;
	struct cli_answer answer; /* of the node itself */
	cJSON *node; /* NULL: it did not say */
	struct cli_answer session_answer;
	cJSON *sessions; /* NULL: it makes none, or did not say */
	size_t peers, peers_up;
};

__attribute__((format(printf, 3, 4))) static void blame(struct status *s, enum state state, const char *format, ...)
{
	va_list args;

	if (state > s->state)
		s->state = state;
	if (s->reason_count == REASONS_MAX)
		return;
	va_start(args, format);
	vsnprintf(s->reasons[s->reason_count++], REASON_BYTES, format, args);
	va_end(args);
}

/* The lines of /readyz?verbose about what fails: "[-]name failed: reason". */
static void read_checks(struct status *s, char *text)
{
	const size_t before = s->reason_count;
	char *rest;

	for (char *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
		if (strncmp(line, "[-]", 3) == 0)
			blame(s, STATE_DEGRADED, "%s", line + 3);
	}
	if (s->reason_count == before)
		blame(s, STATE_DEGRADED, "it is not ready");
}

/* False: no use to ask on. */
static bool ask_health(struct status *s)
{
	const struct cli_call live = {.method = "GET", .target = "/livez"},
			      ready = {.method = "GET", .target = "/readyz?verbose"};
	struct cli_answer a;
	bool served;

	if (cli_api_call(s->c, &live, &a) < 0)
		return false;
	served = a.status == 200 || a.status == 503;
	if (a.status == 503)
		blame(s, STATE_DOWN, "it is ending or stuck");
	if (!served)
		cli_api_complain(s->c, &a);
	cli_answer_fini(&a);
	if (!served || cli_api_call(s->c, &ready, &a) < 0)
		return false;
	if (a.status != 200)
		read_checks(s, a.body);
	cli_answer_fini(&a);
	return true;
}

static bool ask_peers(struct status *s)
{
	struct cli_answer a;
	const cJSON *peer;
	cJSON *peers;

	if (cli_api_get(s->c, "/api/v1/admin/peers", true, &a, &peers) < 0)
		return false;
	cJSON_ArrayForEach(peer, peers)
	{
		const char *state = cli_get_text(peer, "connectionState");

		s->peers++;
		s->peers_up += state && strcmp(state, "alive") == 0;
	}
	cJSON_Delete(peers);
	cli_answer_fini(&a);
	if (!s->peers_up)
		blame(s, STATE_DEGRADED, "no neighbour is up, of %zu that are known", s->peers);
	return true;
}

static bool ask_node(struct status *s)
{
	const cJSON *store;

	if (cli_api_get(s->c, "/api/v1/admin", false, &s->answer, &s->node) < 0)
		return false;
	store = cli_get(s->node, "store");
	/* Readiness has a check of the store too. */
	if (!s->reason_count && cJSON_IsFalse(cli_get(store, "ok"))) {
		const char *trouble = cli_get_text(store, "trouble");

		blame(s, STATE_DEGRADED, "messages cannot be kept: %s",
		      trouble && *trouble ? trouble : "no reason given");
	}
	return true;
}

/* The API lists first who may need attention. */
static bool ask_sessions(struct status *s)
{
	if (!cJSON_IsObject(cli_get(s->node, "sessions")))
		return true;
	return cli_api_get(s->c, CLI_SESSIONS "?limit=1000", true, &s->session_answer, &s->sessions) == 0;
}

static void put_line(const struct cli_config *c, const char *name, const char *value)
{
	if (c->terminal)
		fprintf(c->out, "%-*s", NAME_COLUMN, name);
	else
		fprintf(c->out, "%s\t", name);
	cli_put_safe(c->out, value && *value ? value : "-", VALUE_CHARACTERS);
	fputc('\n', c->out);
}

static void put_number(const struct cli_config *c, const cJSON *j, const char *member, const char *name,
		       enum cli_field kind)
{
	char text[CLI_FIELD_BYTES_MAX];

	put_line(c, name, cli_field_text(c, j, member, kind, text));
}

static void put_fastpaths(const struct cli_config *c, const cJSON *node)
{
	const cJSON *f, *list = cli_get(node, "fastpaths");
	char text[CLI_FIELD_BYTES_MAX];

	cJSON_ArrayForEach(f, list)
	{
		char line[REASON_BYTES];
		const char *mode = cli_get_text(f, "mode"), *aead = cli_get_text(f, "aead");

		snprintf(line, sizeof(line), "%s%s%s, for %s%s", mode ? mode : "-", aead && *aead ? ", " : "",
			 aead ? aead : "", cli_field_text(c, f, "sinceSeconds", CLI_FIELD_SECONDS, text),
			 c->terminal ? "" : "s");
		put_line(c, "forwarder", line);
	}
	if (!cJSON_GetArraySize(list))
		put_line(c, "forwarder", "none");
}

static void put_sessions(const struct cli_config *c, const cJSON *node)
{
	static const char *const names[] = {"session", "static", "waiting", "idle", "pinned"};
	const cJSON *sessions = cli_get(node, "sessions");
	char texts[5][CLI_FIELD_BYTES_MAX], line[REASON_BYTES + 5 * CLI_FIELD_BYTES_MAX];

	if (!cJSON_IsObject(sessions)) {
		put_line(c, "sessions", cJSON_IsNull(sessions) ? "none: this machine cannot make them" : NULL);
		return;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)cli_field_text(c, sessions, names[i], CLI_FIELD_NUMBER, texts[i]);
	snprintf(line, sizeof(line), "%s, %s static, %s waiting, %s idle; %s pinned", texts[0], texts[1], texts[2],
		 texts[3], texts[4]);
	put_line(c, "sessions", line);
	if (cJSON_IsFalse(cli_get(sessions, "stateLasting")))
		put_line(c, "warning", "pins are lost at a reboot: the state folder is on a tmpfs");
}

/* How many there are, by the totals or by the list. */
static size_t count_sessions(const struct status *s)
{
	static const char *const names[] = {"session", "static", "waiting", "idle"};
	const cJSON *totals = cli_get(s->node, "sessions");
	const size_t listed = (size_t)cJSON_GetArraySize(s->sessions);
	double sum = 0, n;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (cli_get_number(totals, names[i], &n) && n > 0 && n < 1e9)
			sum += n;
	}
	return (size_t)sum > listed ? (size_t)sum : listed;
}

static void put_session_table(const struct status *s)
{
	const struct cli_config *c = s->c;
	const size_t count = count_sessions(s);
	size_t shown;

	if (!cJSON_GetArraySize(s->sessions))
		return;
	if (c->terminal)
		fputc('\n', c->out);
	shown = cli_sessions_print(c, s->sessions, SESSIONS_SHOWN);
	if (c->terminal && count > shown)
		fprintf(c->out, "and %zu more: mycelium sessions\n", count - shown);
}

static void put_node(const struct status *s)
{
	const struct cli_config *c = s->c;
	const cJSON *counts = cli_get(s->node, "counts"), *store = cli_get(s->node, "store");
	char text[REASON_BYTES];

	put_line(c, "address", cli_get_text(s->node, "address"));
	put_line(c, "subnet", cli_get_text(s->node, "nodeSubnet"));
	put_line(c, "public key", cli_get_text(s->node, "nodePubkey"));
	put_line(c, "version", cli_get_text(s->node, "version"));
	put_number(c, s->node, "network", "network", CLI_FIELD_NUMBER);
	put_number(c, s->node, "uptimeSeconds", "up", CLI_FIELD_SECONDS);
	put_line(c, "tun", cli_get_text(s->node, "tunName"));
	put_fastpaths(c, s->node);
	snprintf(text, sizeof(text), "%zu", s->peers);
	put_line(c, "peers", text);
	snprintf(text, sizeof(text), "%zu", s->peers_up);
	put_line(c, "peers up", text);
	put_number(c, counts, "routes", "routes", CLI_FIELD_NUMBER);
	put_number(c, counts, "routesSelected", "routes in use", CLI_FIELD_NUMBER);
	put_number(c, counts, "messages", "inbox", CLI_FIELD_NUMBER);
	put_number(c, store, "bytes", "store", CLI_FIELD_BYTES);
	put_sessions(c, s->node);
}

static void print_text(const struct status *s)
{
	put_line(s->c, "state", state_names[s->state]);
	for (size_t i = 0; i < s->reason_count; i++)
		put_line(s->c, "because", s->reasons[i]);
	if (s->node)
		put_node(s);
	if (s->sessions)
		put_session_table(s);
}

static void print_json(const struct status *s)
{
	FILE *out = s->c->out;

	fprintf(out, "{\"schema\":1,\"state\":\"%s\",\"reasons\":[", state_names[s->state]);
	for (size_t i = 0; i < s->reason_count; i++) {
		fputs(i ? "," : "", out);
		cli_put_json_string(out, s->reasons[i], strlen(s->reasons[i]), true);
	}
	fprintf(out, "],\"peers\":{\"known\":%zu,\"up\":%zu},\"node\":", s->peers, s->peers_up);
	if (s->node)
		cli_put_json_text(out, s->answer.body, s->answer.len);
	else
		fputs("null", out);
	fputs(",\"sessions\":", out);
	if (s->sessions)
		cli_put_json_text(out, s->session_answer.body, s->session_answer.len);
	else
		fputs("null", out);
	fputs("}\n", out);
}

int cli_status_run(const struct cli_config *c, int count, char **words)
{
	struct status s = {.c = c};
	bool json = false;
	const struct cli_option options[] = {{0, "json", &json, NULL}, {0}};
	const struct cli_syntax syntax = {"status", help, options, NULL, 0};
	int exit_code;

	if (!cli_words_read(c, &syntax, count, words, &exit_code))
		return exit_code;
	if ((!ask_health(&s) || !ask_node(&s) || !ask_peers(&s) || !ask_sessions(&s)) && s.state != STATE_DOWN)
		s.state = STATE_SILENT;
	if (json)
		print_json(&s);
	else if (s.state != STATE_SILENT)
		print_text(&s);
	if (s.node) {
		cJSON_Delete(s.node);
		cli_answer_fini(&s.answer);
	}
	if (s.sessions) {
		cJSON_Delete(s.sessions);
		cli_answer_fini(&s.session_answer);
	}
	exit_code = cli_finish(c);
	return exit_code == EXIT_SUCCESS ? (int)s.state : exit_code;
}
