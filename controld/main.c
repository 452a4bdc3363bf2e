/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/cli/cli.h"
#include "controld/cli/inspect.h"
#include "controld/daemon.h"
#include "controld/options.h"
#include "shared/base/log.h"
#include "shared/base/siphash.h"

#include <malloc.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A client of a node that runs: nothing of the options concerns it but where the API is. */
static int run_command(const struct options *o)
{
	struct cli_config c = {
		.network = &network200,
		.token_file = o->api_token_file,
		.out = stdout,
		.err = stderr,
		.terminal = isatty(STDOUT_FILENO),
	};
	struct winsize size;

	if (cli_find_api(o->api_addr, &c.api, stderr) < 0)
		return 1;
	if (c.terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		c.columns = size.ws_col;
	return cli_run(&c, o->word_count, o->words);
}

static int run(const struct options *o)
{
	log_level = o->log_level;
	if (o->subcommand == SUBCOMMAND_INSPECT)
		return inspect_run(&network200, o->key_file, o->inspect_key, o->inspect_json, stdout, stderr);
	if (o->subcommand == SUBCOMMAND_API)
		return run_command(o);
	return daemon_run(o, &network200);
}

static bool wants_check(const struct options *o, enum options_verdict verdict)
{
	if (verdict == OPTIONS_RUN)
		return o->subcommand != SUBCOMMAND_API;
	return verdict == OPTIONS_EXIT_OK && o->check;
}

int main(int argc, char **argv)
{
	enum options_verdict verdict;
	struct options o;
	int exit_code = 0;

	log_init("controld");
	/* Queues of datagrams and hash tables come and go in a burst of routes: pages of their own go back to the
	   kernel, where in the heap they would leave holes for ever. */
	mallopt(M_MMAP_THRESHOLD, 32 * 1024);
	umask(077);
	if (sodium_init() < 0) {
		fputs("Error: the cryptographic library cannot start\n", stderr);
		return 1;
	}
	siphash_init();
	verdict = options_parse(&o, argc, argv, stdout, stderr);
	if (wants_check(&o, verdict) && !daemon_check(&o, &network200, stderr))
		verdict = OPTIONS_EXIT_USAGE;
	switch (verdict) {
	case OPTIONS_RUN:
		exit_code = run(&o);
		break;
	case OPTIONS_EXIT_OK:
		break;
	case OPTIONS_EXIT_USAGE:
		exit_code = 2;
	}
	options_fini(&o);
	return exit_code;
}
