/* SPDX-License-Identifier: Apache-2.0 */
/* Hears from the kernel that the machine was cloned, or went back to a snapshot: then another machine may use the keys
 * and counters that this one has. The driver of the VM generation id says so by a uevent. In a network namespace that
 * belongs to a user namespace other than the first, the kernel does not tell it. */
#ifndef CONTROLD_KERNEL_UEVENT_H
#define CONTROLD_KERNEL_UEVENT_H

#include "controld/loop.h"
#include <stddef.h>

struct uevent;

struct uevent_ops {
	/* From the loop. Also where messages of the kernel were lost, for it may have been among them. */
	void (*cloned)(void *ctx);
};

/* NULL with errno: the kernel does not tell. */
struct uevent *uevent_new(struct loop *l, const struct uevent_ops *ops, void *ctx);
/* Not from inside cloned(). free(NULL) is fine. */
void uevent_free(struct uevent *u);

/* Is it this message of the kernel? "action@path", then KEY=VALUE, each of them ended by a zero. */
bool uevent_is_clone(const char *bytes, size_t len);

#endif
