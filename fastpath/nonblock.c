/* SPDX-License-Identifier: Apache-2.0 */
#include "fastpath/nonblock.h"

#include <fcntl.h>

void nonblock_set(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}
