/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of option values, as named in options.def: how each is read, freed and printed. For the files of the options
 * only. */
#ifndef CONTROLD_OPTIONS_VALUE_H
#define CONTROLD_OPTIONS_VALUE_H

#include "controld/options.h"

enum { OPTION_WHY_BYTES = 160 };

enum option_kind_number {
	FLAG,
	COMMAND,
	PORT,
	MTU,
	LEVEL,
	PATH,
	CONFIG,
	ADDRESS,
	IFNAME,
	PEERS,
	LISTEN,
	NAMES,
	BODY,
	LENGTH,
	SIZE,
	COUNT,
	SESSION,
	KEYS
};

struct option_kind {
	const char *argument; /* its name in --help; NULL: takes none */
	/* Checks value and puts it into the field, or says why not. */
	bool (*parse)(void *field, const char *value, char why[OPTION_WHY_BYTES]);
	/* Prints one line for each value the field has, "key = value". */
	void (*print)(const void *field, const char *key, int key_len, FILE *out);
	void (*clear)(void *field);
	bool list; /* each further value is added */
	bool words; /* several stand in one line of a file */
	bool in_file; /* makes sense in a configuration file */
};

/* By enum option_kind_number. */
extern const struct option_kind option_kinds[];

/* What --help prints. In options_help.c. */
void options_print_help(FILE *out);
/* As it stands on the command line. */
const char *option_session_name(enum session_mode mode);
/* A copy of text, owned by the caller. */
char *options_copy(const char *text);

#endif
