/* SPDX-License-Identifier: Apache-2.0 */
/* sessions: what each peer is talked to with, and what may be changed of it. */
#include "controld/cli/cli_api.h"
#include "controld/cli/cli_private.h"
#include "controld/cli/cli_words.h"

#include <stdlib.h>
#include <string.h>

static const char help[] =
	"Usage: mycelium [OPTIONS] sessions [list] [--json]\n"
	"       mycelium [OPTIONS] sessions release [ADDRESS]\n"
	"       mycelium [OPTIONS] sessions unpin ADDRESS\n"
	"       mycelium [OPTIONS] sessions mode ADDRESS off|opportunistic|require|default\n"
	"\n"
	"Between two nodes that can, a session protects the traffic: the keys change every two minutes, and nothing\n"
	"is accepted twice. Who had one is pinned: it is not talked to without one any more. ADDRESS is any address\n"
	"of the peer's subnet.\n"
	"\n"
	"list      each peer with its state (session; static: the key that never changes; waiting: data is held, and\n"
	"          lost after 5 s, until there is a session; idle: the next packet begins one), the end of its pin\n"
	"          unless it is heard of again, mode, packets sent and received. In a pipe, separated by tabs,\n"
	"          without titles: address, state, age of the session in seconds, end of the pin in Unix time, mode,\n"
	"          packets sealed and opened in the session, and under the static key, seconds in which some were\n"
	"          refused under the static key, other public keys refused.\n"
	"release   before this node goes back to a version without sessions: tells the peer, or all, and waits for\n"
	"          the answers. Nothing is begun with those again: see mode. Exit status 1 if some did not answer.\n"
	"unpin     forgets that the peer had a session, if it went back without a release, and the session itself\n"
	"mode      off, opportunistic (sessions with who can), require (nothing without), or default: the --session\n"
	"          of the node. Kept until it is changed again.\n"
	"\n"
	"      --json               the list as the API gives it: {\"schema\":1,\"sessions\":[...]}\n"
	"  -h, --help               print this and exit\n";

bool cli_sessions_target(const struct cli_config *c, const char *address, const char *change,
			 char out[CLI_SESSIONS_TARGET_BYTES])
{
	const bool fits = cli_api_target(CLI_SESSIONS "/", address, out, CLI_SESSIONS_TARGET_BYTES);
	const size_t len = strlen(out), room = CLI_SESSIONS_TARGET_BYTES - len;
	struct ip6 ip;

	if (fits && ip6_parse(address, &ip) < 0) {
		fputs("Error: ADDRESS is not an IPv6 address\n", c->err);
		return false;
	}
	if (fits && (size_t)snprintf(out + len, room, "%s", change) < room)
		return true;
	fputs("Error: ADDRESS is too long\n", c->err);
	return false;
}

static int list(const struct cli_config *c, bool json)
{
	struct cli_answer a;
	cJSON *sessions;

	if (cli_api_get(c, CLI_SESSIONS, true, &a, &sessions) < 0)
		return EXIT_FAILURE;
	if (json)
		cli_api_put_list(c, "sessions", &a);
	else
		cli_sessions_print(c, sessions, 0);
	cJSON_Delete(sessions);
	cli_answer_fini(&a);
	return cli_finish(c);
}

static int unpin(const struct cli_config *c, const char *address)
{
	char target[CLI_SESSIONS_TARGET_BYTES];
	const struct cli_call call = {.method = "POST", .target = target};

	return cli_sessions_target(c, address, "/unpin", target) ? cli_api_do(c, &call) : EXIT_FAILURE;
}

static bool is_mode(const char *word)
{
	static const char *const modes[] = {"off", "opportunistic", "require", "default"};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(word, modes[i]) == 0)
			return true;
	}
	return false;
}

static int set_mode(const struct cli_config *c, const char *address, const char *mode)
{
	char target[CLI_SESSIONS_TARGET_BYTES], body[64];
	struct cli_call call = {.method = "POST", .target = target, .body = body};

	call.body_len = (size_t)snprintf(body, sizeof(body), "{\"mode\":\"%s\"}", mode);
	return cli_sessions_target(c, address, "/mode", target) ? cli_api_do(c, &call) : EXIT_FAILURE;
}

/* The changes: which words each wants. */
static int change(const struct cli_config *c, const struct cli_syntax *s, const char *const arguments[3])
{
	const char *what = arguments[0], *address = arguments[1], *mode = arguments[2];
	const bool sets = strcmp(what, "mode") == 0;

	if (strcmp(what, "release") == 0 && !mode)
		return cli_release_run(c, address);
	if (!sets && mode)
		return cli_words_wrong(c, s, mode, "one word too many");
	if (!address)
		return cli_words_wrong(c, s, what, "needs an ADDRESS");
	if (!sets)
		return unpin(c, address);
	if (!mode || !is_mode(mode))
		return cli_words_wrong(c, s, mode ? mode : what, "off, opportunistic, require or default is wanted");
	return set_mode(c, address, mode);
}

int cli_sessions_run(const struct cli_config *c, int count, char **words)
{
	static const char *const changes[] = {"release", "unpin", "mode"};
	const char *arguments[3] = {NULL};
	bool json = false, changing = false;
	const struct cli_option options[] = {{0, "json", &json, NULL}, {0}};
	const struct cli_syntax s = {"sessions", help, options, arguments, 3};
	int exit_code;

	if (!cli_words_read(c, &s, count, words, &exit_code))
		return exit_code;
	for (size_t i = 0; arguments[0] && i < sizeof(changes) / sizeof(changes[0]); i++)
		changing |= strcmp(arguments[0], changes[i]) == 0;
	if (changing && json)
		return cli_words_wrong(c, &s, "--json", "for the list only");
	if (changing)
		return change(c, &s, arguments);
	if (arguments[0] && strcmp(arguments[0], "list") != 0)
		return cli_words_wrong(c, &s, arguments[0], "none of list, release, unpin and mode");
	if (arguments[1])
		return cli_words_wrong(c, &s, arguments[1], "one word too many");
	return list(c, json);
}
