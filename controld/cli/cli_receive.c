/* SPDX-License-Identifier: Apache-2.0 */
/* message receive (wire-200 8.4). A message that was taken is never lost: what cannot be written to its file is
 * printed. */
#include "controld/cli/cli_api.h"
#include "controld/cli/cli_letter.h"
#include "controld/cli/cli_private.h"
#include "controld/cli/cli_text.h"
#include "controld/cli/cli_words.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TARGET_BYTES = 2048, SHOWN_CHARACTERS = 300 };

static const char help[] =
	"Usage: mycelium [OPTIONS] message receive [--timeout S] [-t TOPIC] [--msg-path FILE] [--raw]\n"
	"\n"
	"Takes the oldest message out of the inbox, waits for one if it is empty, and prints it as JSON: id, srcIp,\n"
	"srcPk, dstIp, dstPk, topic if it has one, payload. Topic and payload are the text itself, or base64 if they "
	"are\n"
	"none. Prints nothing if there is no message in time.\n"
	"\n"
	"      --timeout S          wait so many seconds at most; 0: not at all [default: a year]\n"
	"  -t, --topic TOPIC        only a message with exactly this topic\n"
	"      --msg-path FILE      write the payload to this file, and the JSON without it\n"
	"      --raw                print the payload and a newline only; with --msg-path nothing\n"
	"  -h, --help               print this and exit\n";

struct receive {
	const char *timeout, *topic, *path;
	bool raw;
};

/* The plus sign is the one character of base64 that means another thing in a query. */
static void put_query_base64(FILE *out, const char *text)
{
	char *base64 = NULL;
	size_t len;
	FILE *f = open_memstream(&base64, &len);

	cli_letter_put_base64(f, text, strlen(text));
	fclose(f);
	for (const char *p = base64; *p; p++) {
		if (*p == '+')
			fputs("%2B", out);
		else
			fputc(*p, out);
	}
	free(base64);
}

/* The answer of whatever status. */
static int ask(const struct cli_config *c, const char *topic, uint64_t wait_s, struct cli_answer *a)
{
	char target[TARGET_BYTES] = "";
	const struct cli_call call = {.method = "GET", .target = target, .wait_s = wait_s};
	FILE *f = fmemopen(target, sizeof(target), "w");

	fprintf(f, "/api/v1/messages?timeout=%" PRIu64, wait_s);
	if (topic) {
		fputs("&topic=", f);
		put_query_base64(f, topic);
	}
	fclose(f);
	return cli_api_call(c, &call, a);
}

static bool save(const struct cli_config *c, const char *path, const struct cli_letter *l)
{
	FILE *f = fopen(path, "we");
	int code = f && fwrite(l->payload, 1, l->payload_len, f) == l->payload_len ? 0 : errno;

	if (f && fclose(f) != 0 && !code)
		code = errno;
	if (!code)
		return true;
	fputs("Error: --msg-path ", c->err);
	cli_put_safe(c->err, path, SHOWN_CHARACTERS);
	fprintf(c->err, ": %s; the message is printed instead\n", strerror(code));
	return false;
}

static int print(const struct cli_config *c, const struct receive *w, const struct cli_letter *l)
{
	const bool saved = w->path && save(c, w->path, l);
	int exit_code;

	if (w->raw && !w->path) {
		fwrite(l->payload, 1, l->payload_len, c->out);
		fputc('\n', c->out);
	} else if (!(w->raw && saved)) {
		cli_letter_print(c, l, !saved);
	}
	exit_code = cli_finish(c);
	return w->path && !saved ? EXIT_FAILURE : exit_code;
}

static int receive(const struct cli_config *c, const struct receive *w, uint64_t wait_s)
{
	int exit_code = EXIT_FAILURE;
	struct cli_letter l = {0};
	struct cli_answer a;

	if (ask(c, w->topic, wait_s, &a) < 0)
		return EXIT_FAILURE;
	if (a.status == 204)
		exit_code = EXIT_SUCCESS;
	else if (cli_letter_read(&l, &a) && cli_letter_is_message(&l))
		exit_code = print(c, w, &l);
	else
		cli_api_complain(c, &a);
	cli_letter_fini(&l);
	cli_answer_fini(&a);
	return exit_code;
}

int cli_receive_run(const struct cli_config *c, int count, char **words)
{
	struct receive w = {0};
	const struct cli_option options[] = {
		{0, "timeout", NULL, &w.timeout},
		{'t', "topic", NULL, &w.topic},
		{0, "msg-path", NULL, &w.path},
		{0, "raw", &w.raw, NULL},
		{0},
	};
	const struct cli_syntax s = {"message receive", help, options, NULL, 0};
	uint64_t wait_s = CLI_LETTER_WAIT_S;
	int exit_code;

	if (!cli_words_read(c, &s, count, words, &exit_code))
		return exit_code;
	if (!cli_words_seconds(c, &s, "--timeout", w.timeout, &wait_s))
		return CLI_EXIT_USAGE;
	if (w.topic && strlen(w.topic) > CLI_LETTER_TOPIC_BYTES_MAX) {
		fputs("Error: the topic is longer than 255 bytes\n", c->err);
		return EXIT_FAILURE;
	}
	return receive(c, &w, wait_s);
}
