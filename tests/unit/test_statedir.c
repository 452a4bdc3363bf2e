/* SPDX-License-Identifier: Apache-2.0 */
/* Which folder is chosen for what outlives the node, and whether it does. */
#include "controld/statedir.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#define ID "0123456789abcdef"

enum { NOBODY = 65534 };

struct row {
	const char *given, *service, *state, *home;
	bool root;
	const char *want; /* NULL: none */
};

static const struct row rows[] = {
	{"/given", "/service", "/state", "/home", false, "/given"},
	{"here", "/service", "/state", "/home", true, "here"},
	{NULL, "/service", "/state", "/home", true, "/service"},
	{"", "/service:/second", "/state", "/home", false, "/service"},
	{NULL, "relative", "/state", "/home", true, "/var/lib/mycelium/" ID},
	{NULL, "", "/state", "/home", true, "/var/lib/mycelium/" ID},
	{NULL, NULL, "/state", "/home", false, "/state/mycelium/" ID},
	{NULL, NULL, "relative", "/home", false, "/home/.local/state/mycelium/" ID},
	{NULL, NULL, NULL, "/home", false, "/home/.local/state/mycelium/" ID},
	{NULL, NULL, NULL, "", false, NULL},
	{NULL, NULL, NULL, NULL, false, NULL},
};

static void put(const char *variable, const char *value)
{
	if (value)
		setenv(variable, value, 1);
	else
		unsetenv(variable);
}

static int find(const struct row *r, char *out, size_t size, char *error, size_t error_size)
{
	const uid_t before = geteuid();
	int e;

	put("STATE_DIRECTORY", r->service);
	put("XDG_STATE_HOME", r->state);
	put("HOME", r->home);
	if (!r->root && before == 0)
		assert_int_equal(seteuid(NOBODY), 0);
	e = statedir_find(r->given, ID, out, size, error, error_size);
	if (geteuid() != before)
		assert_int_equal(seteuid(before), 0);
	return e;
}

static void test_choice(void **state)
{
	char out[128], error[256];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		int e;

		if (r->root && geteuid() != 0)
			continue;
		error[0] = '\0';
		e = find(r, out, sizeof(out), error, sizeof(error));
		assert_int_equal(e, r->want ? 0 : -ENOENT);
		if (r->want)
			assert_string_equal(out, r->want);
		else
			assert_non_null(strstr(error, "--state-dir"));
	}
}

static void test_too_long(void **state)
{
	char out[128], error[256];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];

		if (!r->want || (r->root && geteuid() != 0))
			continue;
		assert_int_equal(find(r, out, strlen(r->want) + 1, error, sizeof(error)), 0);
		assert_int_equal(find(r, out, strlen(r->want), error, sizeof(error)), -ENAMETOOLONG);
		assert_non_null(strstr(error, "--state-dir"));
	}
}

static void test_lasting(void **state)
{
	static const char *const in_memory[] = {"tmpfs", "ramfs"};
	char dir[] = "/tmp/test_statedir-XXXXXX", missing[sizeof(dir) + 8];

	(void)state;
	assert_true(statedir_is_lasting("/no/such/folder"));
	assert_true(statedir_is_lasting(""));
	/* Of the kernel, but not of these. */
	assert_true(statedir_is_lasting("/proc"));
	if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	snprintf(missing, sizeof(missing), "%s/not", dir);
	for (size_t i = 0; i < sizeof(in_memory) / sizeof(in_memory[0]); i++) {
		assert_int_equal(mount("none", dir, in_memory[i], 0, NULL), 0);
		assert_false(statedir_is_lasting(dir));
		assert_true(statedir_is_lasting(missing));
		assert_int_equal(umount(dir), 0);
	}
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_lasting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
