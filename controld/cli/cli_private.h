/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands share. */
#ifndef CONTROLD_CLI_PRIVATE_H
#define CONTROLD_CLI_PRIVATE_H

#include "controld/cli/cli.h"
#include <cjson/cJSON.h>

/* As cli_run(). */
#define COMMAND(name, run, usage, help) int run(const struct cli_config *c, int count, char **words);
#include "controld/cli/commands.def"
#undef COMMAND

/* message send, message receive; words[0] is "send", "receive". */
int cli_send_run(const struct cli_config *c, int count, char **words);
int cli_receive_run(const struct cli_config *c, int count, char **words);

/* sessions release: tells one peer, or all if address is NULL, and waits for their answers. */
int cli_release_run(const struct cli_config *c, const char *address);
#define CLI_SESSIONS "/api/v1/admin/sessions"
enum { CLI_SESSIONS_TARGET_BYTES = 1024 };
/* The path of a change of a peer's session. False: one line on err. */
bool cli_sessions_target(const struct cli_config *c, const char *address, const char *change,
			 char out[CLI_SESSIONS_TARGET_BYTES]);

/* The API's list as a table: all, by address; or at most limit, if it is not 0, those first that need attention. In a
 * pipe each line of these begins with "session". Returns how many were printed. */
size_t cli_sessions_print(const struct cli_config *c, const cJSON *sessions, size_t limit);

/* Everything written to c->out has arrived there: exit code 0, or 1 and a line. */
int cli_finish(const struct cli_config *c);

#endif
