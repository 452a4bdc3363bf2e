/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands share. */
#ifndef CONTROLD_CLI_PRIVATE_H
#define CONTROLD_CLI_PRIVATE_H

#include "controld/cli/cli.h"

/* As cli_run(). */
#define COMMAND(name, run, usage, help) int run(const struct cli_config *c, int count, char **words);
#include "controld/cli/commands.def"
#undef COMMAND

/* message send, message receive; words[0] is "send", "receive". */
int cli_send_run(const struct cli_config *c, int count, char **words);
int cli_receive_run(const struct cli_config *c, int count, char **words);

/* Everything written to c->out has arrived there: exit code 0, or 1 and a line. */
int cli_finish(const struct cli_config *c);

#endif
