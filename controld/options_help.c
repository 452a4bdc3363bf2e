/* SPDX-License-Identifier: Apache-2.0 */
/* What --help prints, from the tables of options and commands: lines of at most HELP_COLUMNS columns. */
#include "controld/options_value.h"

enum {
	HELP_INDENT = 31,
	HELP_COLUMNS = 99,
	HELP_VALUE_BYTES = 80,
};

struct option {
	const char *names, *value, *help;
	const struct option_kind *kind;
};

static int print_newline(FILE *out)
{
	fputc('\n', out);
	return 0;
}

/* Words of text between the columns HELP_INDENT and HELP_COLUMNS; the line so far is at column. */
static int print_wrapped(FILE *out, const char *text, int column)
{
	while (*text) {
		const int len = (int)strcspn(text, " ");

		if (column > HELP_INDENT && column + 1 + len > HELP_COLUMNS)
			column = print_newline(out);
		if (column < HELP_INDENT)
			column += fprintf(out, "%*s", HELP_INDENT - column, "");
		else
			column += fprintf(out, " ");
		column += fprintf(out, "%.*s", len, text);
		text += len;
		text += strspn(text, " ");
	}
	return column;
}

/* names is how it is written, argument what follows it ("" for nothing); the help begins at column HELP_INDENT. */
static int print_entry(const char *names, const char *argument, const char *help, FILE *out)
{
	int column = fprintf(out, "  %s%s%s%s", names[1] == '-' ? "    " : "", names, *argument ? " " : "", argument);

	if (column >= HELP_INDENT)
		column = print_newline(out);
	return print_wrapped(out, help, column);
}

static void print_option(const struct option *opt, FILE *out)
{
	const char *argument = opt->kind->argument;
	char value[HELP_VALUE_BYTES];
	const int column = print_entry(opt->names, argument ? argument : "", opt->help, out);

	if (*opt->value) {
		snprintf(value, sizeof(value), "[default: %s]", opt->value);
		(void)print_wrapped(out, value, column);
	}
	fputc('\n', out);
}

static void print_command(const char *name, const char *words, const char *help, FILE *out)
{
	(void)print_entry(name, words, help, out);
	fputc('\n', out);
}

void options_print_help(FILE *out)
{
	static const struct option options[] = {
#define OPTION(field, names, kind, value, help) {names, value, help, &option_kinds[kind]},
#include "controld/options.def"
#undef OPTION
	};

	fputs("mycelium: a node of the end-to-end encrypted IPv6 overlay 200::/7\n\n"
	      "Usage: mycelium [OPTIONS]                   run the node\n"
	      "       mycelium [OPTIONS] COMMAND [WORDS]   ask a node that runs, or look at a key\n\n"
	      "Commands (COMMAND --help says more; OPTIONS stand before them):\n",
	      out);
	print_command("inspect", "[--json] [KEY]", "print public key and address: ours, or of KEY", out);
#define COMMAND(name, run, usage, help) print_command(#name, usage, help, out);
#include "controld/cli/commands.def"
#undef COMMAND
	fputs("\nOptions (off unless a default is stated; --option VALUE and --option=VALUE):\n", out);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		print_option(&options[i], out);
}
