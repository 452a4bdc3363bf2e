/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a command: options and arguments in any order, --option VALUE, --option=VALUE, -o VALUE, -oVALUE,
 * -o=VALUE, flags together (-wt x); after -- everything is an argument. A lone - is an argument or a value like any
 * other. */
#ifndef CONTROLD_CLI_WORDS_H
#define CONTROLD_CLI_WORDS_H

#include "controld/cli/cli.h"
#include <stdint.h>

struct cli_option {
	char short_name; /* 0: none */
	const char *long_name; /* without dashes */
	bool *flag; /* or */
	const char **value; /* NULL before: not given */
};

struct cli_syntax {
	const char *command; /* "message send" */
	const char *help; /* the whole text of --help, ends with a newline */
	const struct cli_option *options; /* ends with one without a name */
	const char **arguments; /* as many as there may be, NULL before */
	int argument_max;
};

/* False: *exit_code says with what to end: 0 after --help, which was printed; 2 after one line on err. */
bool cli_words_read(const struct cli_config *c, const struct cli_syntax *s, int count, char **words, int *exit_code);
/* One line on err; returns the exit code. */
int cli_words_wrong(const struct cli_config *c, const struct cli_syntax *s, const char *word, const char *why);
/* A value of seconds; text NULL leaves *out. False: one line on err. */
bool cli_words_seconds(const struct cli_config *c, const struct cli_syntax *s, const char *option, const char *text,
		       uint64_t *out);

#endif
