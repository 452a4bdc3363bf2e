/* SPDX-License-Identifier: Apache-2.0 */
/* A command line that names a file is read twice: to find the file, and then over what the file said. */
#include "controld/options.h"

#include "controld/options_value.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
	CONFIG_MAX_BYTES = 1024 * 1024,
	SHOWN_BYTES = 80, /* so much of a wrong word is repeated */
	CANONICAL_DASHES = 2,
};

struct option {
	const char *names, *value;
	const struct option_kind *kind;
	size_t offset;
};

static const struct option options[] = {
#define OPTION(field, names, kind, value, help) {names, value, &option_kinds[kind], offsetof(struct options, field)},
#include "controld/options.def"
#undef OPTION
};
enum { OPTIONS = sizeof(options) / sizeof(options[0]) };
_Static_assert(OPTIONS <= 64, "a bit for each in struct parser");

/* One reading of one source. */
struct parser {
	struct options *o;
	FILE *err;
	const char *file; /* NULL: the command line */
	unsigned int line;
	uint64_t given; /* a bit per option */
	/* The command line: words still to be read. */
	char **words;
	int count;
};

static void *field_of(const struct option *opt, struct options *o)
{
	return (char *)o + opt->offset;
}

void options_init(struct options *o)
{
	char why[OPTION_WHY_BYTES];

	*o = (struct options){0};
	for (int i = 0; i < OPTIONS; i++) {
		if (*options[i].value) {
			const bool ok = options[i].kind->parse(field_of(&options[i], o), options[i].value, why);

			assert(ok);
		}
	}
}

void options_fini(struct options *o)
{
	for (int i = 0; i < OPTIONS; i++)
		options[i].kind->clear(field_of(&options[i], o));
	free(o->inspect_key);
	*o = (struct options){0};
}

/* The option that has this name, written with its dashes; NULL if there is none. */
static const struct option *find(const char *name, size_t len)
{
	for (int i = 0; i < OPTIONS; i++) {
		const char *n = options[i].names;

		while (*n) {
			const size_t n_len = strcspn(n, ",");

			if (n_len == len && memcmp(n, name, len) == 0)
				return &options[i];
			n += n_len;
			n += strspn(n, ", ");
		}
	}
	return NULL;
}

/* The first long name without its dashes: the key in a file. */
static const char *key_of(const struct option *opt, int *len)
{
	const char *key = strstr(opt->names, "--") + CANONICAL_DASHES;

	*len = (int)strcspn(key, ",");
	return key;
}

/* Strangers' text stays on its line. */
static void print_safe(FILE *f, const char *text)
{
	for (int i = 0; *text; text++, i++) {
		if (i == SHOWN_BYTES) {
			fputs("...", f);
			return;
		}
		fputc(*text >= 0x20 && *text < 0x7f ? *text : '?', f);
	}
}

/* The line about something wrong: where, which word, why. */
static bool fail(const struct parser *p, const char *word, const char *why)
{
	fputs("mycelium: ", p->err);
	if (p->file) {
		print_safe(p->err, p->file);
		fprintf(p->err, ":%u: ", p->line);
	}
	print_safe(p->err, word);
	fprintf(p->err, ": %s\n", why);
	return false;
}

static bool fail_option(const struct parser *p, const struct option *opt, const char *value, const char *why)
{
	const char *between = p->file ? " = " : " ";
	char word[SHOWN_BYTES + 2];
	int len;
	const char *key = key_of(opt, &len);

	snprintf(word, sizeof(word), "%s%.*s%s%s", p->file ? "" : "--", len, key, *value ? between : "", value);
	return fail(p, word, why);
}

static bool set(struct parser *p, const struct option *opt, const char *value)
{
	const uint64_t bit = 1ULL << (opt - options);
	const bool again = p->given & bit;
	void *field = field_of(opt, p->o);
	char why[OPTION_WHY_BYTES];

	p->given |= bit;
	p->o->given |= bit;
	if (!*value)
		return fail_option(p, opt, value, "needs a value");
	for (const char *c = value; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return fail_option(p, opt, value, "control character in the value");
	}
	if (again && !opt->kind->list)
		return fail_option(p, opt, value, "given twice");
	if (!again && opt->kind->list)
		opt->kind->clear(field); /* the command line replaces what the file said */
	return opt->kind->parse(field, value, why) || fail_option(p, opt, value, why);
}

static bool set_words(struct parser *p, const struct option *opt, char *words)
{
	char *rest;

	for (char *w = strtok_r(words, " \t", &rest); w; w = strtok_r(NULL, " \t", &rest)) {
		if (!set(p, opt, w))
			return false;
	}
	return true;
}

static char *trim(char *text)
{
	char *end;

	text += strspn(text, " \t\r");
	end = text + strlen(text);
	while (end > text && strchr(" \t\r", end[-1]))
		end--;
	*end = '\0';
	return text;
}

/* A value may stand in double quotes, so that blanks at its ends are kept. */
static char *unquote(char *value)
{
	const size_t len = strlen(value);

	if (len < 2 || value[0] != '"' || value[len - 1] != '"')
		return value;
	value[len - 1] = '\0';
	return value + 1;
}

static bool parse_line(struct parser *p, char *line)
{
	char name[SHOWN_BYTES];
	const struct option *opt = NULL;
	char *key = trim(line), *value = strchr(key, '=');

	if (!*key || *key == '#')
		return true;
	if (!value)
		return fail(p, key, "is not of the form key = value");
	*value++ = '\0';
	key = trim(key);
	value = trim(value);
	if (snprintf(name, sizeof(name), "--%s", key) < (int)sizeof(name))
		opt = find(name, strlen(name));
	if (!opt)
		return fail(p, key, "no such option");
	if (!opt->kind->in_file)
		return fail(p, key, "for the command line only");
	if (opt->kind->words && *value)
		return set_words(p, opt, value);
	return set(p, opt, unquote(value));
}

bool options_parse_config(struct options *o, const char *name, const char *text, size_t len, FILE *err)
{
	struct parser p = {.o = o, .err = err, .file = name};
	char *copy = strndup(text, len), *next = copy;
	bool ok = true;

	assert(copy);
	if (strlen(copy) < len) {
		for (const char *c = copy; c; c = strchr(c, '\n'), c = c ? c + 1 : c)
			p.line++;
		ok = fail(&p, "this", "a zero byte: not a text file");
	}
	while (ok && next) {
		char *line = next;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		p.line++;
		ok = parse_line(&p, line);
	}
	free(copy);
	return ok;
}

static bool read_config(struct options *o, const char *path, FILE *err)
{
	const struct parser p = {.err = err};
	char *text = malloc(CONFIG_MAX_BYTES + 1);
	FILE *f = fopen(path, "re");
	bool ok = false;
	size_t len;

	assert(text);
	len = f ? fread(text, 1, CONFIG_MAX_BYTES + 1, f) : 0;
	if (!f || ferror(f))
		fail_option(&p, find("--config", strlen("--config")), path, strerror(errno));
	else if (len > CONFIG_MAX_BYTES)
		fail_option(&p, find("--config", strlen("--config")), path, "longer than 1 MiB");
	else
		ok = options_parse_config(o, path, text, len, err);
	if (f)
		fclose(f);
	free(text);
	return ok;
}

void options_print(const struct options *o, FILE *out)
{
	for (int i = 0; i < OPTIONS; i++) {
		const void *field = (const char *)o + options[i].offset;
		int len;
		const char *key = key_of(&options[i], &len);

		if (options[i].kind->in_file)
			options[i].kind->print(field, key, len, out);
		if (field == &o->listen && o->listen_none)
			fprintf(out, "%.*s = none\n", len, key);
	}
}

/* The command-line options that print and end. */
static bool act(const struct options *o, FILE *out)
{
	if (o->help)
		options_print_help(out);
	else if (o->version)
		fputs("mycelium " VERSION "\n", out);
	return o->help || o->version;
}

static const char *next_word(struct parser *p)
{
	if (!p->count)
		return NULL;
	p->count--;
	return *p->words++;
}

/* A word that is no option. */
static bool next_is_value(const struct parser *p)
{
	return p->count && p->words[0][0] != '-';
}

/* The option's value: after the equals sign, or the following words. */
static bool parse_value(struct parser *p, const struct option *opt, const char *attached)
{
	if (attached)
		return set(p, opt, attached);
	if (!opt->kind->argument)
		return set(p, opt, "true");
	if (!next_is_value(p))
		return fail_option(p, opt, "", "needs a value");
	if (opt->kind != &option_kinds[PEERS])
		return set(p, opt, next_word(p));
	while (next_is_value(p)) {
		if (!set(p, opt, next_word(p)))
			return false;
	}
	return true;
}

static bool parse_long(struct parser *p, const char *word)
{
	const char *equals = strchr(word, '=');
	const size_t len = equals ? (size_t)(equals - word) : strlen(word);
	const struct option *opt = find(word, len);

	if (!opt)
		return fail(p, word, "no such option (see --help)");
	return parse_value(p, opt, equals ? equals + 1 : NULL);
}

/* -d, -dp 1, -p1, -p=1 */
static bool parse_short(struct parser *p, const char *word)
{
	for (const char *c = word + 1; *c; c++) {
		const char name[2] = {'-', *c};
		const struct option *opt = find(name, sizeof(name));
		const char *attached = c[1] == '=' ? c + 2 : c + 1;

		if (!opt)
			return fail(p, word, "no such option (see --help)");
		if (opt->kind->argument)
			return parse_value(p, opt, c[1] ? attached : NULL);
		if (!set(p, opt, "true"))
			return false;
	}
	return word[1] || fail(p, word, "no such option (see --help)");
}

static bool parse_inspect(struct parser *p)
{
	struct options *o = p->o;

	o->subcommand = SUBCOMMAND_INSPECT;
	for (const char *word = next_word(p); word; word = next_word(p)) {
		if (strcmp(word, "--json") == 0)
			o->inspect_json = true;
		else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
			o->help = true;
		else if (word[0] == '-')
			return fail(p, word, "inspect has no such option; those of the node stand before inspect");
		else if (o->inspect_key)
			return fail(p, word, "inspect takes one KEY");
		else
			o->inspect_key = options_copy(word);
	}
	return true;
}

/* The command's own words are read by whoever runs it. */
static bool parse_command(struct parser *p, char **words)
{
	static const char *const commands[] = {
#define COMMAND(name, run, usage, help) #name,
#include "controld/cli/commands.def"
#undef COMMAND
	};

	if (strcmp(words[0], "inspect") == 0)
		return parse_inspect(p);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(words[0], commands[i]) != 0)
			continue;
		p->o->subcommand = SUBCOMMAND_API;
		p->o->words = words;
		p->o->word_count = p->count + 1;
		return true;
	}
	return fail(p, words[0], "no such command (see --help)");
}

/* Stops at help and version, as what follows does not matter then. */
static bool parse_words(struct parser *p, int argc, char **argv)
{
	p->words = argc > 0 ? argv + 1 : argv;
	p->count = argc > 0 ? argc - 1 : 0;
	for (const char *word = next_word(p); word && !p->o->help && !p->o->version; word = next_word(p)) {
		if (word[0] != '-')
			return parse_command(p, p->words - 1);
		if (!(word[1] == '-' ? parse_long(p, word) : parse_short(p, word)))
			return false;
	}
	return true;
}

static bool is_given(const struct options *o, const void *field)
{
	for (int i = 0; i < OPTIONS; i++) {
		if (field == (const char *)o + options[i].offset)
			return o->given & (1ULL << i);
	}
	return false;
}

/* A network key is of no use where others are talked to without it. */
static bool finish_session(struct options *o, FILE *err)
{
	if (o->network_keys.count == 0)
		return true;
	if (is_given(o, &o->session) && o->session != SESSION_REQUIRE) {
		fprintf(err, "mycelium: --session %s: a network key implies --session require\n",
			option_session_name(o->session));
		return false;
	}
	o->session = SESSION_REQUIRE;
	return true;
}

/* What no option can see alone. */
static bool finish(struct options *o, FILE *err)
{
	for (size_t i = 0; i < o->listen.count; i++)
		o->listen_none |= strcmp(o->listen.items[i], "none") == 0;
	if (o->listen_none && o->listen.count > 1) {
		fputs("mycelium: --listen none: cannot stand beside an address\n", err);
		return false;
	}
	if (o->listen_none)
		option_kinds[LISTEN].clear(&o->listen);
	if (o->debug)
		o->log_level = LOG_DEBUG;
	return finish_session(o, err);
}

enum options_verdict options_parse(struct options *o, int argc, char **argv, FILE *out, FILE *err)
{
	struct parser p = {.o = o, .err = err};
	bool ok;

	options_init(o);
	ok = parse_words(&p, argc, argv);
	if (ok && act(o, out))
		return OPTIONS_EXIT_OK;
	if (ok && o->config) {
		char *path = options_copy(o->config);

		options_fini(o);
		options_init(o);
		p.given = 0;
		ok = read_config(o, path, err) && parse_words(&p, argc, argv);
		free(path);
	}
	if (!ok || !finish(o, err))
		return OPTIONS_EXIT_USAGE;
	if (!o->check)
		return OPTIONS_RUN;
	options_print(o, out);
	return OPTIONS_EXIT_OK;
}
