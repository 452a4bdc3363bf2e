/* SPDX-License-Identifier: Apache-2.0 */
/* Writing of the beacon whose reader is discover_read(). Pure. */
#ifndef CONTROLD_LINKS_BEACON_H
#define CONTROLD_LINKS_BEACON_H

#include "shared/wire.h"
#include <stdint.h>

void beacon_write(const struct router_id *self, uint16_t tcp_port, struct wire_beacon *out);

#endif
