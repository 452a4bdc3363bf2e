/* SPDX-License-Identifier: Apache-2.0 */
/* Words of a command line, each ended by a zero byte, up to an empty one; the rest is a configuration file. Whatever
 * they are: a refusal is one printable line, and what is accepted prints as a file that parses to itself. */
#include "controld/options.h"

#include <stdlib.h>

enum { WORDS = 64, WORD_BYTES = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(): the fuzzer's own checks stay when asserts of the code under test are looked for. */
static void must(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

struct stream {
	FILE *f;
	char *text;
	size_t len;
};

static void stream_open(struct stream *s)
{
	s->f = open_memstream(&s->text, &s->len);
	must(s->f, "open_memstream");
}

static void stream_close(struct stream *s)
{
	fclose(s->f);
	free(s->text);
}

static void check_error(struct stream *err, bool refused)
{
	fflush(err->f);
	must(refused == (err->len > 0), "an error line exactly where something was refused");
	if (!refused)
		return;
	must(strncmp(err->text, "mycelium: ", 10) == 0, "the line says who speaks");
	must(strchr(err->text, '\n') == err->text + err->len - 1, "one line");
	for (size_t i = 0; i + 1 < err->len; i++)
		must(err->text[i] >= 0x20 && err->text[i] < 0x7f, "printable");
}

static void check_prints_to_itself(const struct options *o)
{
	struct stream first, second, err;
	struct options again;

	stream_open(&first);
	stream_open(&second);
	stream_open(&err);
	options_print(o, first.f);
	fflush(first.f);
	options_init(&again);
	must(options_parse_config(&again, "printed", first.text, first.len, err.f), "its print is accepted");
	options_print(&again, second.f);
	fflush(second.f);
	must(first.len == second.len && memcmp(first.text, second.text, first.len) == 0, "its print is the same");
	options_fini(&again);
	stream_close(&first);
	stream_close(&second);
	stream_close(&err);
}

static void try_words(int argc, char **argv)
{
	struct stream out, err;
	struct options o;
	enum options_verdict verdict;

	stream_open(&out);
	stream_open(&err);
	verdict = options_parse(&o, argc, argv, out.f, err.f);
	fflush(out.f);
	check_error(&err, verdict == OPTIONS_EXIT_USAGE);
	must((out.len > 0) == (verdict == OPTIONS_EXIT_OK), "output exactly where it ends with it");
	if (verdict == OPTIONS_RUN)
		check_prints_to_itself(&o);
	options_fini(&o);
	stream_close(&out);
	stream_close(&err);
}

static void try_config(const char *text, size_t len)
{
	struct stream err;
	struct options o;
	bool ok;

	stream_open(&err);
	options_init(&o);
	ok = options_parse_config(&o, "fuzz.conf", text, len, err.f);
	check_error(&err, !ok);
	if (ok)
		check_prints_to_itself(&o);
	options_fini(&o);
	stream_close(&err);
}

/* The next word into out; false at the empty one, or if it is not to be tried. */
static bool take_word(const uint8_t **data, size_t *size, char out[WORD_BYTES])
{
	const size_t len = strnlen((const char *)*data, *size);

	if (len == 0 || len == *size || len >= WORD_BYTES)
		return false;
	memcpy(out, *data, len + 1);
	*data += len + 1;
	*size -= len + 1;
	/* Files of this machine are not ours to read. */
	return strncmp(out, "--config", 8) != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char words[WORDS][WORD_BYTES];
	char name[] = "mycelium", *argv[WORDS + 2] = {name};
	int argc = 1;

	while (argc <= WORDS && take_word(&data, &size, words[argc - 1])) {
		argv[argc] = words[argc - 1];
		argc++;
	}
	try_words(argc, argv);
	try_config((const char *)data, size);
	return 0;
}
