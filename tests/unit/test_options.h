/* SPDX-License-Identifier: Apache-2.0 */
/* One reading of the options and what it printed, for their tests. */
#ifndef TESTS_UNIT_TEST_OPTIONS_H
#define TESTS_UNIT_TEST_OPTIONS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controld/options.h"

enum { WORDS = 64, TEXT_BYTES = 16384 };

struct run {
	struct options o;
	enum options_verdict verdict;
	char out[TEXT_BYTES], err[TEXT_BYTES];
};

static void run_words(struct run *r, int argc, char **argv)
{
	FILE *out = fmemopen(r->out, sizeof(r->out), "w"), *err = fmemopen(r->err, sizeof(r->err), "w");

	assert_true(out && err);
	r->out[0] = r->err[0] = '\0';
	r->verdict = options_parse(&r->o, argc, argv, out, err);
	fclose(out);
	fclose(err);
}

/* The words of text, after the name of the program. Free with options_fini(). */
static struct run *run(const char *text)
{
	static struct run r;
	char copy[TEXT_BYTES], name[] = "mycelium", *rest, *argv[WORDS] = {name};
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *w = strtok_r(copy, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
		assert_true(argc < WORDS);
		argv[argc++] = w;
	}
	run_words(&r, argc, argv);
	return &r;
}

/* Refused with exactly one line, which holds word. */
static inline void refused(struct run *r, const char *word)
{
	assert_int_equal(r->verdict, OPTIONS_EXIT_USAGE);
	assert_string_equal(r->out, "");
	assert_memory_equal(r->err, "mycelium: ", 10);
	assert_ptr_equal(strchr(r->err, '\n'), r->err + strlen(r->err) - 1);
	if (!strstr(r->err, word))
		fail_msg("\"%s\" is not in: %s", word, r->err);
	options_fini(&r->o);
}

#endif
