/* SPDX-License-Identifier: Apache-2.0 */
#include "fastpath/sealed.h"

#include <fcntl.h>
#include <sys/stat.h>

bool sealed_is(int fd, size_t bytes)
{
	const int wanted = F_SEAL_SHRINK | F_SEAL_GROW, seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	return seals >= 0 && (seals & wanted) == wanted && fstat(fd, &st) == 0 && (size_t)st.st_size == bytes;
}
