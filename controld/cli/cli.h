/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands, but for inspect: clients of a running node's API (commands.def). message send | receive | status,
 * peers [add | remove], routes, sessions [release | unpin | mode], status. */
#ifndef CONTROLD_CLI_CLI_H
#define CONTROLD_CLI_CLI_H

#include "shared/base/ip.h"
#include "shared/base/network.h"
#include <stdbool.h>
#include <stdio.h>

struct cli_config {
	const struct network *network;
	struct endpoint api; /* of the node */
	const char *token_file; /* NULL: none */
	FILE *out, *err;
	bool terminal; /* out is one: tables are aligned */
	unsigned columns; /* width of the terminal; 0: unknown */
	unsigned poll_ms, poll_limit_ms; /* asking again until something is done; 0: each second, for two minutes */
};

enum { CLI_EXIT_USAGE = 2 };

/* Where a client finds the API of a node that was told --api-addr text: the wildcard address stands for this host. 0;
 * or -errno and one line on err, `Error: ...`. */
MUST_CHECK int cli_find_api(const char *text, struct endpoint *out, FILE *err);
/* words: the command and what follows it; count >= 1. Returns the exit code: 0; 1 and one line on err, `Error: ...`; 2
 * for wrong usage; of `status` as its help says. */
int cli_run(const struct cli_config *c, int count, char **words);

#endif
