/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/cli/cli_api.h"
#include "controld/cli/cli_field.h"
#include "controld/cli/cli_private.h"
#include "controld/cli/cli_table.h"
#include "controld/cli/cli_text.h"
#include "controld/cli/cli_words.h"

#include <stdlib.h>
#include <string.h>

#define PEERS "/api/v1/admin/peers"

enum { TARGET_BYTES = 1024, NOTE_BYTES = 512 };

static const char help[] =
	"Usage: mycelium [OPTIONS] peers [--json]           list the neighbours\n"
	"       mycelium [OPTIONS] peers add ENDPOINT       dial one more, and again whenever the link is lost\n"
	"       mycelium [OPTIONS] peers remove ENDPOINT    dial it no more, and close its link\n"
	"\n"
	"ENDPOINT is what --peers takes: 203.0.113.5:9651, [2001:db8::1]:9651, node.example:9651. What is added or\n"
	"removed is so until the node ends. The list has, for each neighbour: endpoint, type, state, cost, round\n"
	"trip, time up, bytes sent and received, time to the next try, last error, its age. In a pipe: separated by\n"
	"tabs, without titles; times in seconds, the round trip in microseconds, - for what is not known.\n"
	"\n"
	"      --json               the list as the API gives it: {\"schema\":1,\"peers\":[...]}\n"
	"  -h, --help               print this and exit\n";

/* What went wrong, and when it is tried again. */
static void add_note(const struct cli_config *c, struct cli_table *t, const cJSON *peer)
{
	const cJSON *error = cli_get(peer, "lastError");
	const char *text = cli_get_text(error, "text");
	char note[NOTE_BYTES], when[CLI_FIELD_BYTES_MAX];
	size_t len = 0;
	double n;

	note[0] = '\0';
	if (text)
		len = (size_t)snprintf(note, sizeof(note), "%.300s (%s ago)", text,
				       cli_field_text(c, error, "ageSeconds", CLI_FIELD_SECONDS, when));
	if (cli_get_number(peer, "nextTrySeconds", &n))
		snprintf(note + len, sizeof(note) - len, "%snext try in %s", len ? ", " : "",
			 cli_field_text(c, peer, "nextTrySeconds", CLI_FIELD_SECONDS, when));
	cli_table_add(t, note);
}

static void add_row(const struct cli_config *c, struct cli_table *t, const cJSON *peer)
{
	const cJSON *endpoint = cli_get(peer, "endpoint"), *error = cli_get(peer, "lastError");

	cli_table_add(t, cli_get_text(endpoint, "socketAddr"));
	cli_table_add(t, cli_get_text(peer, "type"));
	cli_table_add(t, cli_get_text(peer, "connectionState"));
	cli_field_add(c, t, peer, "cost", CLI_FIELD_NUMBER);
	cli_field_add(c, t, peer, "rttMicroseconds", CLI_FIELD_MICROSECONDS);
	cli_field_add(c, t, peer, "upSeconds", CLI_FIELD_SECONDS);
	cli_field_add(c, t, peer, "txBytes", CLI_FIELD_BYTES);
	cli_field_add(c, t, peer, "rxBytes", CLI_FIELD_BYTES);
	if (c->terminal) {
		add_note(c, t, peer);
		return;
	}
	cli_field_add(c, t, peer, "nextTrySeconds", CLI_FIELD_SECONDS);
	cli_table_add(t, cli_get_text(error, "text"));
	cli_field_add(c, t, error, "ageSeconds", CLI_FIELD_SECONDS);
}

static void print_table(const struct cli_config *c, const cJSON *peers)
{
	static const struct cli_column for_people[] = {
		{.title = "ENDPOINT", .least = 16},
		{.title = "TYPE", .least = 6},
		{.title = "STATE"},
		{.title = "COST", .right = true},
		{.title = "RTT", .right = true},
		{.title = "UP", .right = true},
		{.title = "SENT", .right = true},
		{.title = "RECV", .right = true},
		{.title = "NOTE", .least = 6},
		{.title = NULL},
	};
	static const struct cli_column plain[] = {
		{.title = "endpoint"}, {.title = "type"},  {.title = "state"}, {.title = "cost"},
		{.title = "rtt"},      {.title = "up"},	   {.title = "sent"},  {.title = "recv"},
		{.title = "retry"},    {.title = "error"}, {.title = "age"},   {.title = NULL},
	};
	struct cli_table *t = cli_table_new(c->terminal ? for_people : plain);
	const cJSON *peer;

	cJSON_ArrayForEach(peer, peers) add_row(c, t, peer);
	cli_table_print(t, c);
	cli_table_free(t);
}

static int list(const struct cli_config *c, bool json)
{
	struct cli_answer a;
	cJSON *peers;

	if (cli_api_get(c, PEERS, true, &a, &peers) < 0)
		return EXIT_FAILURE;
	if (json)
		cli_api_put_list(c, "peers", &a);
	else
		print_table(c, peers);
	cJSON_Delete(peers);
	cli_answer_fini(&a);
	return cli_finish(c);
}

static int add(const struct cli_config *c, const char *endpoint)
{
	struct cli_call call = {.method = "POST", .target = PEERS};
	char *body = NULL;
	FILE *f = open_memstream(&body, &call.body_len);
	int r;

	fputs("{\"endpoint\":", f);
	cli_put_json_string(f, endpoint, strlen(endpoint), false);
	fputc('}', f);
	fclose(f);
	call.body = body;
	r = cli_api_do(c, &call);
	free(body);
	return r;
}

static int del(const struct cli_config *c, const char *endpoint)
{
	char target[TARGET_BYTES];
	const struct cli_call call = {.method = "DELETE", .target = target};

	if (cli_api_target(PEERS "/", endpoint, target, sizeof(target)))
		return cli_api_do(c, &call);
	fputs("Error: ENDPOINT is too long\n", c->err);
	return EXIT_FAILURE;
}

int cli_peers_run(const struct cli_config *c, int count, char **words)
{
	const char *arguments[2] = {NULL};
	bool json = false;
	const struct cli_option options[] = {{0, "json", &json, NULL}, {0}};
	const struct cli_syntax s = {"peers", help, options, arguments, 2};
	int exit_code;

	if (!cli_words_read(c, &s, count, words, &exit_code))
		return exit_code;
	if (!arguments[0])
		return list(c, json);
	if (strcmp(arguments[0], "add") != 0 && strcmp(arguments[0], "remove") != 0)
		return cli_words_wrong(c, &s, arguments[0], "neither add nor remove");
	if (!arguments[1])
		return cli_words_wrong(c, &s, arguments[0], "needs an ENDPOINT");
	if (json)
		return cli_words_wrong(c, &s, "--json", "for the list only");
	return arguments[0][0] == 'a' ? add(c, arguments[1]) : del(c, arguments[1]);
}
