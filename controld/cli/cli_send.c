/* SPDX-License-Identifier: Apache-2.0 */
/* message send (wire-200 8.3), and --deadline, which is ours. */
#include "controld/cli/cli_api.h"
#include "controld/cli/cli_letter.h"
#include "controld/cli/cli_private.h"
#include "controld/cli/cli_text.h"
#include "controld/cli/cli_words.h"
#include "shared/base/identity.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	TARGET_BYTES = 512,
	KEY_DIGITS = 64,
	SHOWN_CHARACTERS = 300,
	PAYLOAD_BYTES_MAX = 95 * 1024 * 1024, /* in base64 and JSON it fits the largest body that any node takes */
};

static const char help[] =
	"Usage: mycelium [OPTIONS] message send [-w] [--timeout S] [-t TOPIC] [--msg-path FILE] [--reply-to ID]\n"
	"                                       [--deadline S] DESTINATION [MESSAGE]\n"
	"\n"
	"Hands a message to the node, which keeps it and delivers it when it can, and prints its id. DESTINATION is "
	"an\n"
	"address of the overlay, or a public key of 64 hexadecimal digits. The message is MESSAGE as it stands there, "
	"or\n"
	"the content of the file; -- stands before one that begins with a dash.\n"
	"\n"
	"  -w, --wait               wait for the reply and print it; without one in time the id is printed\n"
	"      --timeout S          with --wait: so many seconds at most [default: a year]\n"
	"  -t, --topic TOPIC        the topic, up to 255 bytes\n"
	"      --msg-path FILE      send this file, whatever MESSAGE says\n"
	"      --reply-to ID        send it as the reply to the message with this id; nothing is printed\n"
	"      --deadline S         give it up if it is not delivered within so many seconds\n"
	"  -h, --help               print this and exit\n";

struct send {
	const char *timeout, *topic, *path, *reply_to, *deadline;
	const char *arguments[2]; /* destination, message */
	bool wait;
	uint64_t wait_s, deadline_s;
	struct pubkey pk;
	struct ip6 ip;
	bool by_key;
	char *payload; /* owned */
	size_t payload_len;
};

static bool refuse(const struct cli_config *c, const char *why)
{
	fprintf(c->err, "Error: %s\n", why);
	return false;
}

static bool read_destination(const struct cli_config *c, struct send *w)
{
	const char *text = w->arguments[0];

	w->by_key = strlen(text) == KEY_DIGITS;
	if (w->by_key)
		return pubkey_parse(text, &w->pk) == 0 || refuse(c, "DESTINATION is not a public key");
	return (ip6_parse(text, &w->ip) == 0 && prefix_has(&c->network->overlay, &w->ip)) ||
	       refuse(c, "DESTINATION is neither an address of the overlay nor a public key of 64 digits");
}

static bool read_file(const struct cli_config *c, struct send *w)
{
	FILE *f = fopen(w->path, "re");
	size_t cap = 0, n = f != NULL;
	const char *why = NULL;

	while (n && w->payload_len <= PAYLOAD_BYTES_MAX) {
		if (w->payload_len == cap) {
			cap = cap ? 2 * cap : BUFSIZ;
			w->payload = realloc(w->payload, cap);
			assert(w->payload);
		}
		n = fread(w->payload + w->payload_len, 1, cap - w->payload_len, f);
		w->payload_len += n;
	}
	if (!f || ferror(f))
		why = strerror(errno);
	else if (w->payload_len > PAYLOAD_BYTES_MAX)
		why = "longer than 95 MiB";
	if (f)
		fclose(f);
	if (!why)
		return true;
	fputs("Error: --msg-path ", c->err);
	cli_put_safe(c->err, w->path, SHOWN_CHARACTERS);
	fprintf(c->err, ": %s\n", why);
	return false;
}

static bool read_payload(const struct cli_config *c, struct send *w)
{
	if (w->path)
		return read_file(c, w);
	if (!w->arguments[1])
		return refuse(c, "neither MESSAGE nor --msg-path: there is nothing to send");
	w->payload = strdup(w->arguments[1]);
	assert(w->payload);
	w->payload_len = strlen(w->payload);
	return true;
}

/* All that can be said before anything is sent. */
static bool check(const struct cli_config *c, struct send *w)
{
	if (w->reply_to && w->wait)
		return refuse(c, "--wait is not for replies: nothing answers a reply");
	if (w->topic && strlen(w->topic) > CLI_LETTER_TOPIC_BYTES_MAX)
		return refuse(c, "the topic is longer than 255 bytes");
	return read_destination(c, w) && read_payload(c, w);
}

/* The request's body, owned by the caller. */
static char *make_body(const struct send *w, size_t *len)
{
	char key[PUBKEY_TEXT_BYTES], ip[IP6_TEXT_BYTES], *body = NULL;
	FILE *f = open_memstream(&body, len);

	assert(f);
	fprintf(f, "{\"dst\":{\"%s\":\"%s\"}", w->by_key ? "pk" : "ip",
		w->by_key ? pubkey_print(&w->pk, key) : ip6_print(&w->ip, ip));
	if (w->topic) {
		fputs(",\"topic\":\"", f);
		cli_letter_put_base64(f, w->topic, strlen(w->topic));
		fputc('"', f);
	}
	fputs(",\"payload\":\"", f);
	cli_letter_put_base64(f, w->payload, w->payload_len);
	fputc('"', f);
	if (w->deadline)
		fprintf(f, ",\"deadline\":%" PRIu64, w->deadline_s);
	fputc('}', f);
	fclose(f);
	assert(body);
	return body;
}

static int print(const struct cli_config *c, const struct cli_answer *a)
{
	struct cli_letter l;
	int exit_code = EXIT_FAILURE;

	if (a->status == 204)
		return EXIT_SUCCESS;
	if (cli_letter_read(&l, a)) {
		cli_letter_print(c, &l, true);
		exit_code = cli_finish(c);
	} else {
		cli_api_complain(c, a);
	}
	cli_letter_fini(&l);
	return exit_code;
}

static bool make_target(const struct send *w, char out[TARGET_BYTES])
{
	if (w->reply_to)
		return cli_api_target("/api/v1/messages/reply/", w->reply_to, out, TARGET_BYTES);
	if (w->wait)
		snprintf(out, TARGET_BYTES, "/api/v1/messages?reply_timeout=%" PRIu64, w->wait_s);
	else
		snprintf(out, TARGET_BYTES, "/api/v1/messages");
	return true;
}

static int post(const struct cli_config *c, const struct send *w)
{
	char target[TARGET_BYTES];
	struct cli_call call = {.method = "POST", .target = target, .wait_s = w->wait ? w->wait_s : 0};
	struct cli_answer a;
	int exit_code = EXIT_FAILURE;
	char *body;

	if (!make_target(w, target)) {
		(void)refuse(c, "--reply-to: this is not the id of a message");
		return EXIT_FAILURE;
	}
	body = make_body(w, &call.body_len);
	call.body = body;
	if (cli_api_call(c, &call, &a) == 0) {
		exit_code = print(c, &a);
		cli_answer_fini(&a);
	}
	free(body);
	return exit_code;
}

int cli_send_run(const struct cli_config *c, int count, char **words)
{
	struct send w = {.wait_s = CLI_LETTER_WAIT_S};
	const struct cli_option options[] = {
		{'w', "wait", &w.wait, NULL},
		{0, "timeout", NULL, &w.timeout},
		{'t', "topic", NULL, &w.topic},
		{0, "msg-path", NULL, &w.path},
		{0, "reply-to", NULL, &w.reply_to},
		{0, "deadline", NULL, &w.deadline},
		{0},
	};
	const struct cli_syntax s = {"message send", help, options, w.arguments, 2};
	int exit_code;

	if (!cli_words_read(c, &s, count, words, &exit_code))
		return exit_code;
	if (!w.arguments[0])
		return cli_words_wrong(c, &s, "", "needs a DESTINATION");
	if (!cli_words_seconds(c, &s, "--timeout", w.timeout, &w.wait_s) ||
	    !cli_words_seconds(c, &s, "--deadline", w.deadline, &w.deadline_s))
		return CLI_EXIT_USAGE;
	exit_code = check(c, &w) ? post(c, &w) : EXIT_FAILURE;
	free(w.payload);
	return exit_code;
}
