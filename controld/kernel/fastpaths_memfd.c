/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed memory files. Apart from fastpaths_memory.c, because <fcntl.h> brings a struct stat along, and the counters
 * are an enum stat_id. */
#include "controld/kernel/fastpaths_private.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW };

int fastpaths_memfd_new(size_t bytes)
{
	const int fd = memfd_create("lanes", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)bytes) == 0 && fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) == 0)
		return fd;
	close(fd);
	return -1;
}

bool fastpaths_memfd_is_sealed(int fd, size_t bytes)
{
	struct stat st;
	const int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & SEALS) == SEALS && fstat(fd, &st) == 0 && st.st_size == (off_t)bytes;
}
