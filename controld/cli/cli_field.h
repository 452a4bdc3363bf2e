/* SPDX-License-Identifier: Apache-2.0 */
/* A number of the API as a text: for people on a terminal, in base units in a pipe. */
#ifndef CONTROLD_CLI_FIELD_H
#define CONTROLD_CLI_FIELD_H

#include "controld/cli/cli_api.h"
#include "controld/cli/cli_table.h"

enum cli_field { CLI_FIELD_NUMBER, CLI_FIELD_MICROSECONDS, CLI_FIELD_SECONDS, CLI_FIELD_BYTES };
enum { CLI_FIELD_BYTES_MAX = 64 };

/* The member of j as out; "-" if there is none, a string as it is ("infinite"). */
const char *cli_field_text(const struct cli_config *c, const cJSON *j, const char *name, enum cli_field kind,
			   char out[CLI_FIELD_BYTES_MAX]);
void cli_field_add(const struct cli_config *c, struct cli_table *t, const cJSON *j, const char *name,
		   enum cli_field kind);

#endif
