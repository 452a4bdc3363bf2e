/* SPDX-License-Identifier: Apache-2.0 */
/* Apart from the rest because <fcntl.h> and shared/lanes.h both define a `stat`. */
#ifndef FASTPATH_SEALED_H
#define FASTPATH_SEALED_H

#include <stdbool.h>
#include <stddef.h>

/* fd is a memory file of exactly so many bytes whose size nobody can change any more. */
bool sealed_is(int fd, size_t bytes);

#endif
