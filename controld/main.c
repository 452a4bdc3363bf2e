/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/cli/inspect.h"
#include "controld/daemon.h"
#include "controld/options.h"
#include "shared/base/log.h"
#include "shared/base/siphash.h"

#include <malloc.h>
#include <sys/stat.h>

static int run(const struct options *o)
{
	log_level = o->log_level;
	if (o->subcommand == SUBCOMMAND_INSPECT)
		return inspect_run(&network200, o->key_file, o->inspect_key, o->inspect_json, stdout, stderr);
	return daemon_run(o, &network200);
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
	if ((verdict == OPTIONS_RUN || (verdict == OPTIONS_EXIT_OK && o.check)) &&
	    !daemon_check(&o, &network200, stderr))
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
