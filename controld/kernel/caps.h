/* SPDX-License-Identifier: Apache-2.0 */
/* Limits and rights of this process. */
#ifndef CONTROLD_KERNEL_CAPS_H
#define CONTROLD_KERNEL_CAPS_H

#include "shared/base/buf.h"

/* Before a key is read: no core dumps, nobody may trace us, memory for locked keys and descriptors as far as allowed.
 * The programs that we start inherit the limits. */
void caps_limits(void);
/* May this process configure the network? */
bool caps_have_net_admin(void);
/* Gives up every right but that to configure the network, for good. 0, or -errno. */
MUST_CHECK int caps_drop(void);

#endif
