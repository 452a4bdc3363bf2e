/* SPDX-License-Identifier: Apache-2.0 */
/* Who has which row of the shared memory (lanes.h). controld alone gives rows out and takes them back, one thread; the
 * row of a key is zeroed before the key exists, and is free only after the key was wiped in every fastpath. A crash in
 * between leaves a row that is still free, or one that no key names. */
#ifndef SHARED_BASE_ROWS_H
#define SHARED_BASE_ROWS_H

#include "shared/lanes.h"
#include <stdint.h>

/* Zeroes a free row for the key with this local index (not 0), whatever was left in it, then names the key in it. */
void rows_begin(struct lanes *l, uint32_t row, uint32_t index);
/* The key is wiped everywhere: its memory goes back to the kernel. */
void rows_end(struct lanes *l, uint32_t row);
/* The fastpath with this number (not 0) died, or begins a new life: frees the flags that it held. */
void rows_clear_owner(struct lanes *l, uint32_t owner);

#endif
