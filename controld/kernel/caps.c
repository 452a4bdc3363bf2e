/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/kernel/caps.h"

#include <cap-ng.h>
#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>

enum { MEMLOCK_BYTES = 64 * 1024 * 1024 };

/* At least so much, or as much as is allowed. */
static void raise_limit(int what, rlim_t wanted)
{
	struct rlimit limit;

	if (getrlimit(what, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	if (limit.rlim_max < wanted) {
		const struct rlimit raised = {.rlim_cur = wanted, .rlim_max = wanted};

		if (setrlimit(what, &raised) == 0)
			return;
	}
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	/* Where it fails the old one stays, and shows when it is reached. */
	(void)setrlimit(what, &limit);
}

void caps_limits(void)
{
	struct rlimit files;

	(void)setrlimit(RLIMIT_CORE, &(const struct rlimit){.rlim_cur = 0, .rlim_max = 0});
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	raise_limit(RLIMIT_MEMLOCK, MEMLOCK_BYTES);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		raise_limit(RLIMIT_NOFILE, files.rlim_max);
}

bool caps_have_net_admin(void)
{
	return capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN) == 1;
}

int caps_drop(void)
{
	const bool may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) == 1;
	const bool has_net = capng_have_capability(CAPNG_PERMITTED, CAP_NET_ADMIN) == 1;
	const int sets = CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET;

	capng_clear(CAPNG_SELECT_BOTH);
	if (has_net && capng_update(CAPNG_ADD, (capng_type_t)sets, CAP_NET_ADMIN) < 0)
		return -EINVAL;
	return capng_apply(may_bound ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) < 0 ? -EPERM : 0;
}
