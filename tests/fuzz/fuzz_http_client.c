/* SPDX-License-Identifier: Apache-2.0 */
/* The answer of a hostile server, after one byte that says in which pieces it comes. Whatever it is: pieces do not
 * matter, the limits hold, and what a command prints of it is harmless. */
#include "controld/cli/cli_api.h"
#include "controld/cli/cli_letter.h"
#include "controld/cli/cli_text.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_BODY = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(): the fuzzer's own checks stay when asserts of the code under test are looked for. */
static void must(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

static enum cli_answer_verdict feed(struct cli_answer *a, const uint8_t *data, size_t size, size_t piece)
{
	enum cli_answer_verdict v = CLI_ANSWER_MORE;

	cli_answer_init(a, MAX_BODY);
	for (size_t at = 0; at < size && v == CLI_ANSWER_MORE; at += piece)
		v = cli_answer_feed(a, data + at, at + piece < size ? piece : size - at);
	return v == CLI_ANSWER_MORE ? cli_answer_end(a) : v;
}

/* One line of harmless UTF-8. */
static void check_harmless(const char *text, size_t len)
{
	uint32_t code;

	must(len && text[len - 1] == '\n', "it ends its line");
	for (size_t n; len > 1; text += n, len -= n) {
		n = cli_utf8_take(text, len, &code);
		must(n && !cli_is_dangerous(code), "harmless");
	}
}

static void check_safe(const struct cli_answer *a)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	cli_put_safe(f, a->body, MAX_BODY);
	fputc('\n', f);
	fclose(f);
	check_harmless(text, len);
	free(text);
}

static void check_json(const struct cli_answer *a)
{
	struct cli_config c = {.terminal = true};
	cJSON *before = cli_api_json(a), *after;
	struct cli_letter letter;
	char *text = NULL;
	size_t len;

	if (!before)
		return;
	c.out = open_memstream(&text, &len);
	cli_put_json_text(c.out, a->body, a->len);
	fputc('\n', c.out);
	fclose(c.out);
	check_harmless(text, len);
	after = cJSON_Parse(text);
	must(after, "it is still JSON");
	cJSON_Delete(after);
	cJSON_Delete(before);
	free(text);
	if (cli_letter_read(&letter, a)) {
		c.out = open_memstream(&text, &len);
		cli_letter_print(&c, &letter, true);
		fclose(c.out);
		check_harmless(text, len);
		after = cJSON_Parse(text);
		must(after, "a message prints as JSON");
		cJSON_Delete(after);
		free(text);
	}
	cli_letter_fini(&letter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cli_answer a, b;
	enum cli_answer_verdict v;

	if (!size)
		return 0;
	v = feed(&a, data + 1, size - 1, 1 + data[0] % 61U);
	must(v == feed(&b, data + 1, size - 1, size), "pieces do not matter");
	must((v == CLI_ANSWER_BAD) == (a.error != NULL), "an error exactly where it is bad");
	if (v == CLI_ANSWER_DONE) {
		must(a.status >= 200 && a.status <= 599 && a.status == b.status, "a status");
		must(a.len <= MAX_BODY && a.len == b.len && memcmp(a.body, b.body, a.len + 1) == 0, "the same body");
		must(a.body[a.len] == '\0', "it ends with a zero");
		check_safe(&a);
		check_json(&a);
	}
	cli_answer_fini(&a);
	cli_answer_fini(&b);
	return 0;
}
