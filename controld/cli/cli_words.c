/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/cli/cli_words.h"

#include "controld/cli/cli_text.h"
#include <stdlib.h>
#include <string.h>

enum { SECONDS_DIGITS = 18, SHOWN_BYTES = 80 };

struct reader {
	const struct cli_config *c;
	const struct cli_syntax *s;
	char **words;
	int count;
	int argument_count;
	bool help, no_options;
};

int cli_words_wrong(const struct cli_config *c, const struct cli_syntax *s, const char *word, const char *why)
{
	fprintf(c->err, "mycelium: %s: ", s->command);
	if (*word) {
		cli_put_safe(c->err, word, SHOWN_BYTES);
		fputs(": ", c->err);
	}
	fprintf(c->err, "%s (see mycelium %s --help)\n", why, s->command);
	return CLI_EXIT_USAGE;
}

bool cli_words_seconds(const struct cli_config *c, const struct cli_syntax *s, const char *option, const char *text,
		       uint64_t *out)
{
	if (!text)
		return true;
	if (*text && strlen(text) <= SECONDS_DIGITS && strspn(text, "0123456789") == strlen(text)) {
		*out = strtoull(text, NULL, 10);
		return true;
	}
	(void)cli_words_wrong(c, s, option, "takes a number of seconds");
	return false;
}

static bool wrong(const struct reader *r, const char *word, const char *why)
{
	(void)cli_words_wrong(r->c, r->s, word, why);
	return false;
}

static bool is_option(const char *word)
{
	return word[0] == '-' && word[1];
}

/* attached: what stands in the same word, or NULL. */
static bool set(struct reader *r, const struct cli_option *o, const char *word, const char *attached)
{
	if (o->flag) {
		if (attached)
			return wrong(r, word, "takes no value");
		*o->flag = true;
		return true;
	}
	if (*o->value)
		return wrong(r, word, "given twice");
	if (!attached) {
		if (!r->count || is_option(r->words[0]))
			return wrong(r, word, "needs a value");
		r->count--;
		attached = *r->words++;
	}
	*o->value = attached;
	return true;
}

static bool read_long(struct reader *r, const char *word)
{
	const char *name = word + 2, *equals = strchr(name, '=');
	const size_t len = equals ? (size_t)(equals - name) : strlen(name);

	if (strcmp(name, "help") == 0) {
		r->help = true;
		return true;
	}
	for (const struct cli_option *o = r->s->options; o->long_name; o++) {
		if (strlen(o->long_name) == len && strncmp(o->long_name, name, len) == 0)
			return set(r, o, word, equals ? equals + 1 : NULL);
	}
	return wrong(r, word, "no such option; those of the node stand before the command");
}

static const struct cli_option *find_short(const struct cli_syntax *s, char name)
{
	for (const struct cli_option *o = s->options; o->long_name; o++) {
		if (o->short_name == name)
			return o;
	}
	return NULL;
}

static bool read_short(struct reader *r, const char *word)
{
	for (const char *p = word + 1; *p; p++) {
		const struct cli_option *o = find_short(r->s, *p);

		if (!o && *p == 'h') {
			r->help = true;
			return true;
		}
		if (!o)
			return wrong(r, word, "no such option; those of the node stand before the command");
		if (o->value)
			return set(r, o, word, p[1] ? p + (p[1] == '=' ? 2 : 1) : NULL);
		*o->flag = true;
	}
	return true;
}

static bool read_word(struct reader *r, const char *word)
{
	if (!r->no_options && is_option(word)) {
		if (strcmp(word, "--") == 0)
			r->no_options = true;
		else
			return word[1] == '-' ? read_long(r, word) : read_short(r, word);
		return true;
	}
	if (r->argument_count == r->s->argument_max)
		return wrong(r, word, "one word too many");
	r->s->arguments[r->argument_count++] = word;
	return true;
}

bool cli_words_read(const struct cli_config *c, const struct cli_syntax *s, int count, char **words, int *exit_code)
{
	struct reader r = {.c = c, .s = s, .words = words + 1, .count = count - 1};

	*exit_code = CLI_EXIT_USAGE;
	while (r.count && !r.help) {
		const char *word = *r.words++;

		r.count--;
		if (!read_word(&r, word))
			return false;
	}
	if (!r.help)
		return true;
	fputs(s->help, c->out);
	*exit_code = EXIT_SUCCESS;
	return false;
}
