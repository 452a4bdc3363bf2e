/* SPDX-License-Identifier: Apache-2.0 */
/* Apart, because <fcntl.h> brings a struct stat along, and the counters are an enum stat. */
#ifndef FASTPATH_NONBLOCK_H
#define FASTPATH_NONBLOCK_H

void nonblock_set(int fd);

#endif
