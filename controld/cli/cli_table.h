/* SPDX-License-Identifier: Apache-2.0 */
/* A table of texts. On a terminal: a line of titles, columns aligned, cut to its width: the last columns give way
 * first, each down to its least width, after those that may be left out. In a pipe: all cells and tabs, nothing else,
 * no titles. An empty cell is "-". */
#ifndef CONTROLD_CLI_TABLE_H
#define CONTROLD_CLI_TABLE_H

#include "controld/cli/cli.h"

enum { CLI_TABLE_COLUMNS_MAX = 16 };

struct cli_column {
	const char *title; /* NULL: the end */
	unsigned least; /* it may be cut to so many characters; 0: it may not */
	bool right; /* for numbers */
	bool optional; /* left out where the rest would not fit otherwise */
};

struct cli_table;
/* columns is borrowed. */
struct cli_table *cli_table_new(const struct cli_column *columns);
void cli_table_free(struct cli_table *t);
/* The next cell, row by row. text may be NULL; it is made harmless. */
void cli_table_add(struct cli_table *t, const char *text);
void cli_table_print(const struct cli_table *t, const struct cli_config *c);

#endif
