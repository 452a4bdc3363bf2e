/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of an instance: where it is, whose it must be, its lock, its end. */
#include "controld/rundir.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ID "0123456789abcdef"

static int setup(void **state)
{
	char *dir = strdup("/tmp/test_rundir-XXXXXX");

	assert_non_null(dir);
	assert_non_null(mkdtemp(dir));
	unsetenv("RUNTIME_DIRECTORY");
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(rmdir(*state), 0);
	free(*state);
	return 0;
}

static const char *path_of(const char *dir, const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void test_made_and_removed(void **state)
{
	char error[RUNDIR_ERROR_BYTES], text[32] = "";
	struct rundir r;
	struct stat st;
	FILE *lock, *ctl;

	assert_int_equal(rundir_open(&r, *state, ID, error), 0);
	assert_string_equal(r.path, path_of(*state, ID));
	assert_int_equal(stat(r.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	lock = fopen(path_of(r.path, "lock"), "r");
	assert_non_null(lock);
	assert_non_null(fgets(text, sizeof(text), lock));
	assert_int_equal(atoi(text), getpid());
	fclose(lock);
	ctl = fopen(path_of(r.path, "ctl"), "w");
	assert_non_null(ctl);
	fclose(ctl);
	rundir_remove(&r);
	assert_int_equal(stat(r.path, &st), -1);
	assert_int_equal(errno, ENOENT);
}

static void test_second_names_the_first(void **state)
{
	char error[RUNDIR_ERROR_BYTES], pid[32];
	struct rundir a, b;

	assert_int_equal(rundir_open(&a, *state, ID, error), 0);
	assert_int_equal(rundir_open(&b, *state, ID, error), -EBUSY);
	snprintf(pid, sizeof(pid), "pid %d)", getpid());
	assert_non_null(strstr(error, pid));
	/* Another key does not mind. */
	assert_int_equal(rundir_open(&b, *state, "fedcba9876543210", error), 0);
	rundir_remove(&b);
	rundir_remove(&a);
	assert_int_equal(rundir_open(&a, *state, ID, error), 0);
	rundir_remove(&a);
}

/* A killed one leaves its folder and lock file; they are taken over. */
static void test_left_by_a_dead_one(void **state)
{
	char error[RUNDIR_ERROR_BYTES];
	struct rundir r;
	const pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (rundir_open(&r, *state, ID, error) < 0)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(access(path_of(*state, ID "/lock"), F_OK), 0);
	assert_int_equal(rundir_open(&r, *state, ID, error), 0);
	rundir_remove(&r);
}

static void test_base_is_made(void **state)
{
	char error[RUNDIR_ERROR_BYTES], base[128];
	struct rundir r;

	snprintf(base, sizeof(base), "%s/base", (const char *)*state);
	assert_int_equal(rundir_open(&r, base, ID, error), 0);
	rundir_remove(&r);
	assert_int_equal(rmdir(base), 0);
	/* But not its parents. */
	snprintf(base, sizeof(base), "%s/a/b", (const char *)*state);
	assert_int_equal(rundir_open(&r, base, ID, error), -ENOENT);
	assert_non_null(strstr(error, base));
}

static void test_refused(void **state)
{
	char error[RUNDIR_ERROR_BYTES], id_dir[128];
	struct rundir r;
	FILE *f;

	snprintf(id_dir, sizeof(id_dir), "%s/%s", (const char *)*state, ID);
	f = fopen(id_dir, "w");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(rundir_open(&r, *state, ID, error), -ENOTDIR);
	assert_int_equal(unlink(id_dir), 0);

	assert_int_equal(symlink("/tmp", id_dir), 0);
	assert_int_equal(rundir_open(&r, *state, ID, error), -ENOTDIR);
	assert_int_equal(unlink(id_dir), 0);

	assert_int_equal(mkdir(id_dir, 0700), 0);
	assert_int_equal(chmod(id_dir, 0750), 0);
	assert_int_equal(rundir_open(&r, *state, ID, error), -EPERM);
	assert_non_null(strstr(error, "chmod"));
	assert_int_equal(rmdir(id_dir), 0);

	/* Who may write the folder above could put another in the place of ours, unless it is sticky. */
	assert_int_equal(chmod(*state, 0777), 0);
	assert_int_equal(rundir_open(&r, *state, ID, error), -EPERM);
	assert_int_equal(chmod(*state, 01777), 0);
	assert_int_equal(rundir_open(&r, *state, ID, error), 0);
	rundir_remove(&r);
}

static void test_lock_is_no_link(void **state)
{
	char error[RUNDIR_ERROR_BYTES], id_dir[128], lock[160];
	struct rundir r;

	snprintf(id_dir, sizeof(id_dir), "%s/%s", (const char *)*state, ID);
	snprintf(lock, sizeof(lock), "%s/lock", id_dir);
	assert_int_equal(mkdir(id_dir, 0700), 0);
	assert_int_equal(symlink("elsewhere", lock), 0);
	assert_int_equal(rundir_open(&r, *state, ID, error), -ELOOP);
	assert_int_equal(unlink(lock), 0);
	assert_int_equal(rmdir(id_dir), 0);
}

static void test_too_long(void **state)
{
	char error[RUNDIR_ERROR_BYTES], base[RUNDIR_PATH_BYTES];
	struct rundir r;

	(void)state;
	/* One byte more than fits with the ID and a slash. */
	memset(base, 'x', sizeof(base));
	base[0] = '/';
	base[RUNDIR_PATH_BYTES - sizeof(ID) - 1 + 1] = '\0';
	assert_int_equal(rundir_open(&r, base, ID, error), -ENAMETOOLONG);
	assert_non_null(strstr(error, "--run-dir"));
}

static void test_environment(void **state)
{
	char error[RUNDIR_ERROR_BYTES], list[160];
	struct rundir r;

	snprintf(list, sizeof(list), "%s:/nowhere", (const char *)*state);
	setenv("RUNTIME_DIRECTORY", list, 1);
	assert_int_equal(rundir_open(&r, NULL, ID, error), 0);
	assert_string_equal(r.path, path_of(*state, ID));
	rundir_remove(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_made_and_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_second_names_the_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_left_by_a_dead_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_base_is_made, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock_is_no_link, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_environment, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
