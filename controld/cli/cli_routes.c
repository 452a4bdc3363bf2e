/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/cli/cli_api.h"
#include "controld/cli/cli_field.h"
#include "controld/cli/cli_private.h"
#include "controld/cli/cli_words.h"

#include <stdlib.h>
#include <string.h>

static const char help[] =
	"Usage: mycelium [OPTIONS] routes [--json] [selected]   list the routes in use\n"
	"       mycelium [OPTIONS] routes [--json] fallback     list the others that are known\n"
	"\n"
	"For each route: subnet, next hop, metric, sequence number, cost of the link, whether it is only held (kept\n"
	"from before a restart and not confirmed yet), address of the node it leads to, router id. In a pipe: "
	"separated\n"
	"by tabs, without titles.\n"
	"\n"
	"      --json               the list as the API gives it: {\"schema\":1,\"routes\":[...]}\n"
	"  -h, --help               print this and exit\n";

/* For people the far end says it all; in a pipe it is the API's text, TCP near <-> far. */
static const char *next_hop(const struct cli_config *c, const cJSON *route)
{
	static const char arrow[] = " <-> ";
	const char *text = cli_get_text(route, "nextHop"), *far = text && c->terminal ? strstr(text, arrow) : NULL;

	return far ? far + sizeof(arrow) - 1 : text;
}

static void print_table(const struct cli_config *c, const cJSON *routes)
{
	static const struct cli_column columns[] = {
		{.title = "SUBNET"},
		{.title = "NEXT HOP", .least = 16},
		{.title = "METRIC", .right = true},
		{.title = "SEQNO", .right = true},
		{.title = "COST", .right = true},
		{.title = "HELD"},
		{.title = "ORIGIN", .least = 12, .optional = true},
		{.title = "ROUTER ID", .least = 9, .optional = true},
		{.title = NULL},
	};
	struct cli_table *t = cli_table_new(columns);
	const cJSON *route;

	cJSON_ArrayForEach(route, routes)
	{
		const cJSON *held = cli_get(route, "held");

		cli_table_add(t, cli_get_text(route, "subnet"));
		cli_table_add(t, next_hop(c, route));
		cli_field_add(c, t, route, "metric", CLI_FIELD_NUMBER);
		cli_field_add(c, t, route, "seqno", CLI_FIELD_NUMBER);
		cli_field_add(c, t, route, "cost", CLI_FIELD_NUMBER);
		cli_table_add(t, cJSON_IsBool(held) ? (cJSON_IsTrue(held) ? "yes" : "no") : NULL);
		cli_table_add(t, cli_get_text(route, "originAddress"));
		cli_table_add(t, cli_get_text(route, "routerId"));
	}
	cli_table_print(t, c);
	cli_table_free(t);
}

int cli_routes_run(const struct cli_config *c, int count, char **words)
{
	const char *which = NULL;
	bool json = false, fallback;
	const struct cli_option options[] = {{0, "json", &json, NULL}, {0}};
	const struct cli_syntax s = {"routes", help, options, &which, 1};
	struct cli_answer a;
	cJSON *routes;
	int exit_code;

	if (!cli_words_read(c, &s, count, words, &exit_code))
		return exit_code;
	fallback = which && strcmp(which, "fallback") == 0;
	if (which && !fallback && strcmp(which, "selected") != 0)
		return cli_words_wrong(c, &s, which, "neither selected nor fallback");
	if (cli_api_get(c, fallback ? "/api/v1/admin/routes/fallback" : "/api/v1/admin/routes/selected", true, &a,
			&routes) < 0)
		return EXIT_FAILURE;
	if (json)
		cli_api_put_list(c, "routes", &a);
	else
		print_table(c, routes);
	cJSON_Delete(routes);
	cli_answer_fini(&a);
	return cli_finish(c);
}
