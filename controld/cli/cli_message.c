/* SPDX-License-Identifier: Apache-2.0 */
/* message: its subcommands, and the one that asks how a message fares. */
#include "controld/cli/cli_api.h"
#include "controld/cli/cli_private.h"
#include "controld/cli/cli_text.h"
#include "controld/cli/cli_words.h"

#include <stdlib.h>
#include <string.h>

enum { TARGET_BYTES = 512, STATE_CHARACTERS = 64 };

static const char help[] =
	"Usage: mycelium [OPTIONS] message send [-w] [--timeout S] [-t TOPIC] [--msg-path FILE] [--reply-to ID]\n"
	"                                       [--deadline S] DESTINATION [MESSAGE]\n"
	"       mycelium [OPTIONS] message receive [--timeout S] [-t TOPIC] [--msg-path FILE] [--raw]\n"
	"       mycelium [OPTIONS] message status [--json] ID\n"
	"\n"
	"send hands a message to the node, which delivers it; receive takes the oldest one out of the inbox, or waits "
	"for\n"
	"one; status tells how one that was sent fares. Each has a --help of its own.\n";

static const char status_help[] = "Usage: mycelium [OPTIONS] message status [--json] ID\n"
				  "\n"
				  "Prints the state of a message that was sent: pending, sending (with its chunks: "
				  "pending, sent, acked), received,\n"
				  "read or aborted. The node remembers a message for ten minutes.\n"
				  "\n"
				  "      --json               the whole answer of the API\n"
				  "  -h, --help               print this and exit\n";

static bool put_state(const struct cli_config *c, const cJSON *j)
{
	static const char *const chunks[] = {"pending", "sent", "acked"};
	const cJSON *state = cli_get(j, "state"), *sending = cli_get(state, "sending");
	double n;

	if (cJSON_IsString(state)) {
		cli_put_safe(c->out, cJSON_GetStringValue(state), STATE_CHARACTERS);
	} else if (sending) {
		fputs("sending", c->out);
		for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
			if (cli_get_number(sending, chunks[i], &n))
				fprintf(c->out, " %s=%.0f", chunks[i], n);
		}
	} else {
		return false;
	}
	fputc('\n', c->out);
	return true;
}

static int status(const struct cli_config *c, int count, char **words)
{
	const char *id = NULL;
	bool json = false, ok = true;
	const struct cli_option options[] = {{0, "json", &json, NULL}, {0}};
	const struct cli_syntax s = {"message status", status_help, options, &id, 1};
	char target[TARGET_BYTES];
	struct cli_answer a;
	int exit_code;
	cJSON *j;

	if (!cli_words_read(c, &s, count, words, &exit_code))
		return exit_code;
	if (!id)
		return cli_words_wrong(c, &s, "", "needs the ID of a message");
	if (!cli_api_target("/api/v1/messages/status/", id, target, sizeof(target))) {
		fputs("Error: this is not the id of a message\n", c->err);
		return EXIT_FAILURE;
	}
	if (cli_api_get(c, target, false, &a, &j) < 0)
		return EXIT_FAILURE;
	if (json) {
		cli_put_json_text(c->out, a.body, a.len);
		fputc('\n', c->out);
	} else {
		ok = put_state(c, j);
	}
	if (!ok)
		cli_api_complain(c, &a);
	cJSON_Delete(j);
	cli_answer_fini(&a);
	return ok ? cli_finish(c) : EXIT_FAILURE;
}

int cli_message_run(const struct cli_config *c, int count, char **words)
{
	const struct cli_syntax s = {.command = "message"};
	const char *word = count > 1 ? words[1] : NULL;

	if (!word) {
		fputs(help, c->err);
		return CLI_EXIT_USAGE;
	}
	if (strcmp(word, "send") == 0)
		return cli_send_run(c, count - 1, words + 1);
	if (strcmp(word, "receive") == 0)
		return cli_receive_run(c, count - 1, words + 1);
	if (strcmp(word, "status") == 0)
		return status(c, count - 1, words + 1);
	if (strcmp(word, "--help") != 0 && strcmp(word, "-h") != 0)
		return cli_words_wrong(c, &s, word, "none of send, receive, status");
	fputs(help, c->out);
	return cli_finish(c);
}
