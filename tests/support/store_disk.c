/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/store_disk.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

/* What SQLite opens: this, and behind it the file of the system's layer. */
struct disk_file {
	sqlite3_file base;
	sqlite3_file *real;
};

static sqlite3_vfs disk, *system_vfs;
static sqlite3_io_methods methods;
static int last_errno; /* not yet asked for; 0: none */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static enum store_disk now, later;
static long writes, countdown = -1;

static sqlite3_file *real_of(sqlite3_file *f)
{
	struct disk_file *d = (void *)f;

	return d->real;
}

/* May so much of the file be written? */
static int verdict(sqlite3_file *f, sqlite3_int64 end)
{
	sqlite3_int64 size = 0;
	int rc = SQLITE_OK;

	pthread_mutex_lock(&lock);
	writes++;
	if (countdown >= 0 && countdown-- == 0)
		now = later;
	if (now == STORE_DISK_DEATH)
		kill(getpid(), SIGKILL);
	while (now == STORE_DISK_STUCK)
		pthread_cond_wait(&change, &lock);
	if (now == STORE_DISK_BROKEN)
		rc = SQLITE_IOERR_WRITE;
	else if (now == STORE_DISK_FULL &&
		 (real_of(f)->pMethods->xFileSize(real_of(f), &size) != SQLITE_OK || end > size))
		rc = SQLITE_FULL;
	if (rc)
		errno = last_errno = rc == SQLITE_FULL ? ENOSPC : EIO;
	pthread_mutex_unlock(&lock);
	return rc;
}

static int disk_close(sqlite3_file *f)
{
	return real_of(f)->pMethods->xClose(real_of(f));
}

static int disk_read(sqlite3_file *f, void *to, int len, sqlite3_int64 at)
{
	return real_of(f)->pMethods->xRead(real_of(f), to, len, at);
}

static int disk_write(sqlite3_file *f, const void *from, int len, sqlite3_int64 at)
{
	const int rc = verdict(f, at + len);

	return rc ? rc : real_of(f)->pMethods->xWrite(real_of(f), from, len, at);
}

static int disk_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	return real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int disk_sync(sqlite3_file *f, int flags)
{
	return real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int disk_file_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return real_of(f)->pMethods->xFileSize(real_of(f), size);
}

static int disk_lock(sqlite3_file *f, int how)
{
	return real_of(f)->pMethods->xLock(real_of(f), how);
}

static int disk_unlock(sqlite3_file *f, int how)
{
	return real_of(f)->pMethods->xUnlock(real_of(f), how);
}

static int disk_check_lock(sqlite3_file *f, int *out)
{
	return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

/* What we failed with, if it was us. */
static bool take_errno(void *out)
{
	bool ours;

	pthread_mutex_lock(&lock);
	ours = last_errno != 0;
	if (ours)
		memcpy(out, &last_errno, sizeof(last_errno));
	last_errno = 0;
	pthread_mutex_unlock(&lock);
	return ours;
}

static int disk_control(sqlite3_file *f, int op, void *arg)
{
	sqlite3_int64 want, size;

	if (op == SQLITE_FCNTL_SIZE_HINT) {
		memcpy(&want, arg, sizeof(want));
		if (disk_file_size(f, &size) == SQLITE_OK && want > size && verdict(f, want) != SQLITE_OK)
			return SQLITE_IOERR_WRITE;
	}
	if (op == SQLITE_FCNTL_LAST_ERRNO && take_errno(arg))
		return SQLITE_OK;
	return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int disk_sector_size(sqlite3_file *f)
{
	return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int disk_traits(sqlite3_file *f)
{
	return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int disk_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
	struct disk_file *d = (void *)f;
	int rc;

	(void)v;
	d->real = (void *)(d + 1);
	rc = system_vfs->xOpen(system_vfs, name, d->real, flags, out);
	f->pMethods = d->real->pMethods ? &methods : NULL;
	return rc;
}

void store_disk_init(void)
{
	system_vfs = sqlite3_vfs_find(NULL);
	assert(system_vfs);
	/* Version 1: without shared memory, which an exclusive database does not need. */
	methods = (sqlite3_io_methods){
		.iVersion = 1,
		.xClose = disk_close,
		.xRead = disk_read,
		.xWrite = disk_write,
		.xTruncate = disk_truncate,
		.xSync = disk_sync,
		.xFileSize = disk_file_size,
		.xLock = disk_lock,
		.xUnlock = disk_unlock,
		.xCheckReservedLock = disk_check_lock,
		.xFileControl = disk_control,
		.xSectorSize = disk_sector_size,
		.xDeviceCharacteristics = disk_traits,
	};
	disk = *system_vfs;
	disk.zName = "disk";
	disk.pNext = NULL;
	disk.szOsFile += (int)sizeof(struct disk_file);
	disk.xOpen = disk_open;
	sqlite3_vfs_register(&disk, 1);
}

void store_disk_set(enum store_disk how)
{
	pthread_mutex_lock(&lock);
	now = how;
	countdown = -1;
	pthread_cond_broadcast(&change);
	pthread_mutex_unlock(&lock);
}

void store_disk_set_after(long count, enum store_disk how)
{
	pthread_mutex_lock(&lock);
	now = STORE_DISK_FINE;
	later = how;
	countdown = count;
	pthread_mutex_unlock(&lock);
}

long store_disk_writes(void)
{
	long count;

	pthread_mutex_lock(&lock);
	count = writes;
	pthread_mutex_unlock(&lock);
	return count;
}
