/* SPDX-License-Identifier: Apache-2.0 */
/* Large buffers that are about to be written: their pages come many at a time, where each would cost a fault. That is
 * advice, and nothing depends on whether the kernel takes it. */
#ifndef CONTROLD_API_PAGES_H
#define CONTROLD_API_PAGES_H

#include <stddef.h>

/* All of these bytes will be written soon. Few are left as they are; for many the kernel may take huge pages, so they
 * should not move then. */
void pages_want(void *bytes, size_t len);

#endif
