/* SPDX-License-Identifier: Apache-2.0 */
/* Of the environment only absolute paths count, as the XDG specification wants. */
#include "controld/statedir.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

static const char *absolute(const char *variable)
{
	const char *value = getenv(variable);

	return value && value[0] == '/' ? value : NULL;
}

/* As snprintf(); -1: there is no place. */
static int choose(const char *given, const char *id, char *out, size_t size)
{
	const char *service = absolute("STATE_DIRECTORY"), *state = absolute("XDG_STATE_HOME"),
		   *home = absolute("HOME");

	if (given && given[0])
		return snprintf(out, size, "%s", given);
	/* Several are separated by colons. */
	if (service)
		return snprintf(out, size, "%.*s", (int)strcspn(service, ":"), service);
	if (geteuid() == 0)
		return snprintf(out, size, "/var/lib/mycelium/%s", id);
	if (state)
		return snprintf(out, size, "%s/mycelium/%s", state, id);
	return home ? snprintf(out, size, "%s/.local/state/mycelium/%s", home, id) : -1;
}

int statedir_find(const char *given, const char *id, char *out, size_t size, char *error, size_t error_size)
{
	const int len = choose(given, id, out, size);

	if (len < 0) {
		snprintf(error, error_size, "there is no place for messages: HOME is not set; give --state-dir");
		return -ENOENT;
	}
	if ((size_t)len >= size) {
		snprintf(error, error_size,
			 "the path of the state directory is too long: choose a shorter --state-dir");
		return -ENAMETOOLONG;
	}
	return 0;
}

bool statedir_is_lasting(const char *dir)
{
	struct statfs st;
	uint32_t type;

	if (statfs(dir, &st) < 0)
		return true;
	/* The field may be signed, and has 64 bits or 32. */
	type = (uint32_t)st.f_type;
	return type != TMPFS_MAGIC && type != RAMFS_MAGIC;
}
