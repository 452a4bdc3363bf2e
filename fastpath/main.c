/* SPDX-License-Identifier: Apache-2.0 */
/* fastpath: the forwarder. Started by controld with the listening ctl socket as descriptor 3; everything else comes
 * through it. This file makes the process what it has to be, then hands over to the control thread. */
#include "fastpath/control.h"
#include "fastpath/sandbox.h"
#include "shared/base/log.h"
#include "shared/base/siphash.h"
#include "shared/ctl.h"
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, BACKLOG = 4 };

static bool option_is(int socket_option, int expected)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(CTL_FD, SOL_SOCKET, socket_option, &value, &len) == 0 && value == expected;
}

static bool ctl_is_there(void)
{
	return option_is(SO_DOMAIN, AF_UNIX) && option_is(SO_TYPE, SOCK_SEQPACKET) && option_is(SO_ACCEPTCONN, 1);
}

/* The terminal is controld's; so are its files. */
static void leave_parent(void)
{
	const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null >= 0)
		dup2(null, STDIN_FILENO);
	close_range(CTL_FD + 1, ~0U, 0);
	fcntl(CTL_FD, F_SETFD, FD_CLOEXEC);
	fcntl(CTL_FD, F_SETFL, fcntl(CTL_FD, F_GETFL) | O_NONBLOCK);
	/* Once more, by us: who connects later is told whose process this is, even if it never says so itself. */
	(void)listen(CTL_FD, BACKLOG);
	/* Fails where controld has done it. */
	(void)setsid();
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

static int usage(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("fastpath %s\n", BUILD);
		return EXIT_SUCCESS;
	}
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		printf("fastpath %s: the packet forwarder of mycelium. controld starts it; it takes no options but\n"
		       "  --help     print this\n"
		       "  --version  print the version\n",
		       BUILD);
		return EXIT_SUCCESS;
	}
	fprintf(stderr, "fastpath: unknown argument %s (see --help)\n", argv[1]);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return usage(argc, argv);
	if (!ctl_is_there()) {
		fprintf(stderr, "fastpath: descriptor %d is no listening ctl socket: controld starts this program\n",
			CTL_FD);
		return EXIT_USAGE;
	}
	leave_parent();
	sandbox_harden();
	if (sodium_init() < 0) {
		fprintf(stderr, "fastpath: libsodium does not start\n");
		return EXIT_FAILURE;
	}
	siphash_init();
	log_init("fastpath");
	return control_run(CTL_FD);
}
