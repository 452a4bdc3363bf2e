/* SPDX-License-Identifier: Apache-2.0 */
/* What others could have put in our way (/tmp is open to all) is refused, not repaired. The lock is released by the
 * kernel when we die, however we die. */
#include "controld/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define sentence(out, ...) snprintf((out), RUNDIR_ERROR_BYTES, __VA_ARGS__)

enum { LOCK_TRIES = 8, PID_BYTES = 16, OTHERS_WRITE = S_IWGRP | S_IWOTH, OTHERS = S_IRWXG | S_IRWXO };

/* The folder of all instances may be root's, and one where others make files of their own, as long as they cannot touch
 * ours. */
static bool is_private(const struct stat *st, bool shared)
{
	if (!shared)
		return !(st->st_mode & OTHERS);
	return st->st_mode & S_ISVTX || !(st->st_mode & OTHERS_WRITE);
}

/* Makes the directory, or judges the one that is there. */
static int make_private(const char *path, bool shared, char *error)
{
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST) {
		const int err = errno;

		sentence(error, "cannot make the run directory %.100s: %s", path, strerror(err));
		return -err;
	}
	if (lstat(path, &st) < 0) {
		const int err = errno;

		sentence(error, "cannot look at the run directory %.100s: %s", path, strerror(err));
		return -err;
	}
	if (!S_ISDIR(st.st_mode)) {
		sentence(error, "the run directory %.100s is not a directory", path);
		return -ENOTDIR;
	}
	if (st.st_uid != geteuid() && !(shared && st.st_uid == 0)) {
		sentence(error, "the run directory %.100s belongs to another user (uid %u)", path, st.st_uid);
		return -EPERM;
	}
	if (!is_private(&st, shared)) {
		sentence(error, "others may use the run directory %.100s (mode %04o): chmod 700 it", path,
			 st.st_mode & 07777U);
		return -EPERM;
	}
	return 0;
}

static bool fits(int printed, size_t size)
{
	return printed >= 0 && (size_t)printed < size;
}

static bool system_is_usable(const char *path)
{
	return (mkdir(path, 0700) == 0 || errno == EEXIST) && access(path, W_OK | X_OK) == 0;
}

/* Where the folders of all instances of this user are. False: too long. */
static bool choose(const char *given, char *out, size_t size)
{
	static const char system[] = "/run/mycelium";
	const char *service = getenv("RUNTIME_DIRECTORY"), *session = getenv("XDG_RUNTIME_DIR");

	if (given)
		return fits(snprintf(out, size, "%s", given), size);
	/* Several are separated by colons. */
	if (service && service[0] == '/')
		return fits(snprintf(out, size, "%.*s", (int)strcspn(service, ":"), service), size);
	if (system_is_usable(system))
		return fits(snprintf(out, size, "%s", system), size);
	if (session && session[0] == '/')
		return fits(snprintf(out, size, "%s/mycelium", session), size);
	return fits(snprintf(out, size, "/tmp/mycelium-%u", geteuid()), size);
}

static int held_by_another(int fd, char *error)
{
	char pid[PID_BYTES] = "";
	const ssize_t len = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[len > 0 ? len : 0] = '\0';
	sentence(error, "a node with this key runs already (pid %.*s): give each node a key file of its own",
		 (int)strcspn(pid, "\n"), pid);
	return -EBUSY;
}

/* The file that is locked is still the one with that name: who ended meanwhile has removed it. */
static bool is_current(int fd, const char *path)
{
	struct stat locked, named;

	return fstat(fd, &locked) == 0 && stat(path, &named) == 0 && locked.st_ino == named.st_ino &&
	       locked.st_dev == named.st_dev;
}

/* The locked descriptor, or -errno; -EAGAIN: the folder changed under us. */
static int lock_take(const char *path, char *error)
{
	const int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0) {
		r = errno == ENOENT ? -EAGAIN : -errno;
		sentence(error, "cannot open the lock %.100s: %s", path, strerror(errno));
		return r;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		r = errno == EWOULDBLOCK ? held_by_another(fd, error) : -errno;
		if (r != -EBUSY)
			sentence(error, "cannot lock %.100s: %s", path, strerror(-r));
		close(fd);
		return r;
	}
	if (is_current(fd, path))
		return fd;
	close(fd);
	sentence(error, "the lock %.100s keeps vanishing", path);
	return -EAGAIN;
}

static int write_pid(int fd)
{
	char pid[PID_BYTES];
	const int len = snprintf(pid, sizeof(pid), "%d\n", getpid());

	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)len, 0) != len)
		return -errno;
	return 0;
}

int rundir_open(struct rundir *r, const char *given, const char *id, char error[RUNDIR_ERROR_BYTES])
{
	char base[RUNDIR_PATH_BYTES], lock[RUNDIR_PATH_BYTES + 8];
	int e;

	if (!choose(given, base, sizeof(base)) ||
	    !fits(snprintf(r->path, sizeof(r->path), "%s/%s", base, id), sizeof(r->path))) {
		sentence(error,
			 "the path of the run directory is too long for a socket in it (107 bytes in all): choose "
			 "a shorter --run-dir");
		return -ENAMETOOLONG;
	}
	snprintf(lock, sizeof(lock), "%s/lock", r->path);
	r->lock = -EAGAIN;
	for (int i = 0; i < LOCK_TRIES && r->lock == -EAGAIN; i++) {
		e = make_private(base, true, error);
		if (e == 0)
			e = make_private(r->path, false, error);
		if (e < 0)
			return e;
		r->lock = lock_take(lock, error);
	}
	if (r->lock < 0)
		return r->lock;
	e = write_pid(r->lock);
	if (e < 0) {
		sentence(error, "cannot write the lock %.100s: %s", lock, strerror(-e));
		close(r->lock);
	}
	return e;
}

void rundir_remove(struct rundir *r)
{
	static const char *const files[] = {"ctl", "lock"};
	char path[RUNDIR_PATH_BYTES + 8];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", r->path, files[i]);
		unlink(path);
	}
	rmdir(r->path);
	close(r->lock);
}
