/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/cli/cli_private.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_any(const struct endpoint *e)
{
	if (e->sa.sa_family == AF_INET)
		return e->v4.sin_addr.s_addr == htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&e->v6.sin6_addr);
}

int cli_find_api(const char *text, struct endpoint *out, FILE *err)
{
	int r;

	if (strcmp(text, "none") == 0) {
		fputs("Error: --api-addr is none: a node without its API cannot be asked\n", err);
		return -EINVAL;
	}
	r = endpoint_parse(text, out);
	if (r < 0) {
		fprintf(err, "Error: --api-addr %s: no such address or interface\n", text);
		return r;
	}
	if (!is_any(out))
		return 0;
	if (out->sa.sa_family == AF_INET)
		out->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		out->v6.sin6_addr = in6addr_loopback;
	return 0;
}

int cli_finish(const struct cli_config *c)
{
	if (fflush(c->out) == 0 && !ferror(c->out))
		return EXIT_SUCCESS;
	fprintf(c->err, "Error: cannot write: %s\n", strerror(errno));
	return EXIT_FAILURE;
}

int cli_run(const struct cli_config *c, int count, char **words)
{
	static const struct {
		const char *name;
		int (*run)(const struct cli_config *c, int count, char **words);
	} commands[] = {
#define COMMAND(name, run, usage, help) {#name, run},
#include "controld/cli/commands.def"
#undef COMMAND
	};

	assert(count >= 1);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(words[0], commands[i].name) == 0)
			return commands[i].run(c, count, words);
	}
	fputs("Error: no such command\n", c->err);
	return CLI_EXIT_USAGE;
}
