/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of the store. Nobody else may write in it: what others could have put there is refused, not repaired. One
 * process at a time has it: the lock is a file of its own, because the database may have to be moved aside before any
 * lock of SQLite's means something. A file that was moved aside is never overwritten. */
#define LOG_MODULE "store"
#include "controld/store/store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define sentence(out, ...) snprintf((out), STORE_ERROR_BYTES, __VA_ARGS__)

enum { MAX_ASIDE = 100, OTHERS_WRITE = S_IWGRP | S_IWOTH };

/* What belongs to a database, by the ends of the names. SQLite finds the log of a file that was moved by them. */
static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};

/* mkdir -p, private. */
static int make_folders(const char *dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", dir);
	for (char *slash = path[0] ? strchr(path + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* A link to a folder is fine: systemd makes such. */
static int check_folder(const char *dir, char *error)
{
	struct stat st;

	if (stat(dir, &st) < 0) {
		const int err = errno;

		sentence(error, "cannot look at the state directory %.200s: %s", dir, strerror(err));
		return -err;
	}
	if (!S_ISDIR(st.st_mode)) {
		sentence(error, "the state directory %.200s is not a directory", dir);
		return -ENOTDIR;
	}
	if (st.st_uid != geteuid()) {
		sentence(error,
			 "the state directory %.200s belongs to another user (uid %u): choose another "
			 "--state-dir",
			 dir, st.st_uid);
		return -EPERM;
	}
	if (st.st_mode & OTHERS_WRITE) {
		sentence(error, "others may write in the state directory %.200s (mode %04o): chmod 700 it", dir,
			 st.st_mode & 07777U);
		return -EPERM;
	}
	return 0;
}

static int take_lock(struct place *p, char *error)
{
	char path[PLACE_FILE_BYTES];
	int e;

	snprintf(path, sizeof(path), "%s/store.lock", p->dir);
	p->lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	if (p->lock < 0) {
		e = -errno;
		sentence(error, "cannot open %.200s: %s", path, strerror(-e));
		return e;
	}
	if (flock(p->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	e = errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (e == -EBUSY)
		sentence(error,
			 "another node uses the state directory %.200s: stop it, or give each node a --state-dir of "
			 "its own",
			 p->dir);
	else
		sentence(error, "cannot lock %.200s: %s", path, strerror(-e));
	close(p->lock);
	p->lock = -1;
	return e;
}

int place_open(struct place *p, const char *dir, char *error)
{
	int e;

	*p = (struct place){.lock = -1};
	if (!dir[0] || strlen(dir) >= sizeof(p->dir)) {
		sentence(error, "the path of the state directory is %s", dir[0] ? "too long" : "empty");
		return dir[0] ? -ENAMETOOLONG : -EINVAL;
	}
	e = make_folders(dir);
	if (e < 0) {
		sentence(error, "cannot make the state directory %.200s: %s", dir, strerror(-e));
		return e;
	}
	e = check_folder(dir, error);
	if (e < 0)
		return e;
	snprintf(p->dir, sizeof(p->dir), "%s", dir);
	snprintf(p->file, sizeof(p->file), "%s/store.db", dir);
	return take_lock(p, error);
}

void place_close(struct place *p)
{
	if (p->dir[0] && p->lock >= 0)
		close(p->lock);
	p->dir[0] = '\0';
}

static void name_of(const struct place *p, unsigned aside, const char *suffix, char out[PLACE_FILE_BYTES + 32])
{
	if (aside)
		snprintf(out, PLACE_FILE_BYTES + 32, "%s.corrupt-%u%s", p->file, aside, suffix);
	else
		snprintf(out, PLACE_FILE_BYTES + 32, "%s%s", p->file, suffix);
}

int place_look(const struct place *p, char *error)
{
	char path[PLACE_FILE_BYTES + 32];
	struct stat st, wal;

	if (lstat(p->file, &st) < 0) {
		if (errno != ENOENT) {
			const int err = errno;

			sentence(error, "cannot look at %.200s: %s", p->file, strerror(err));
			return -err;
		}
		st = (struct stat){.st_mode = S_IFREG};
	}
	if (!S_ISREG(st.st_mode))
		return 1;
	/* SQLite takes a file of one byte as empty, and would delete the log of an empty one. */
	name_of(p, 0, "-wal", path);
	return st.st_size == 1 || (st.st_size == 0 && lstat(path, &wal) == 0 && wal.st_size > 0);
}

static bool is_free(const struct place *p, unsigned aside)
{
	char path[PLACE_FILE_BYTES + 32];
	struct stat st;

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		name_of(p, aside, suffixes[i], path);
		if (lstat(path, &st) == 0)
			return false;
	}
	return true;
}

int place_move_aside(const struct place *p, const char *why, char *error)
{
	char from[PLACE_FILE_BYTES + 32], to[PLACE_FILE_BYTES + 32];
	unsigned n = 1;

	while (n <= MAX_ASIDE && !is_free(p, n))
		n++;
	if (n > MAX_ASIDE) {
		sentence(error, "%.200s is corrupt, and so were %d before it: remove them", p->file, MAX_ASIDE);
		return -EEXIST;
	}
	/* The log goes last: without it the file would be an older state of itself, and after a crash in between it
	 * could be taken for the present one. A log alone is moved aside too. */
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		name_of(p, 0, suffixes[i], from);
		name_of(p, n, suffixes[i], to);
		if (rename(from, to) < 0 && errno != ENOENT) {
			const int err = errno;

			sentence(error, "cannot move %.200s aside: %s", from, strerror(err));
			return -err;
		}
	}
	name_of(p, n, "", to);
	log_err("the store cannot be used and is begun anew: the messages in it are neither sent nor read, pins and "
		"modes of peers are forgotten. Its file is kept file=%s why=%s",
		to, why);
	return 0;
}

static bool is_full(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

bool place_reserve(struct place *p)
{
	char path[PLACE_FILE_BYTES];
	int error, fd;

	if (!p->dir[0] || p->reserved)
		return true;
	snprintf(path, sizeof(path), "%s/store.reserve", p->dir);
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	error = fd < 0 ? errno : posix_fallocate(fd, 0, PLACE_RESERVE_BYTES);
	if (fd >= 0)
		close(fd);
	if (is_full(error)) {
		unlink(path);
		return false;
	}
	p->reserved = true;
	return true;
}

bool place_give_up_reserve(struct place *p)
{
	char path[PLACE_FILE_BYTES];

	if (!p->dir[0] || !p->reserved)
		return false;
	snprintf(path, sizeof(path), "%s/store.reserve", p->dir);
	unlink(path);
	p->reserved = false;
	return true;
}

uint64_t place_bytes(const struct place *p)
{
	char path[PLACE_FILE_BYTES + 32];
	uint64_t bytes = 0;
	struct stat st;

	for (size_t i = 0; i < 2; i++) {
		name_of(p, 0, suffixes[i], path);
		if (stat(path, &st) == 0)
			bytes += (uint64_t)st.st_size;
	}
	return bytes;
}
