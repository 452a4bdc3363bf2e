/* SPDX-License-Identifier: Apache-2.0 */
/* What the admin routes share: how their values are written in JSON. */
#ifndef CONTROLD_API_ADMIN_H
#define CONTROLD_API_ADMIN_H

#include <cjson/cJSON.h>
#include <stdint.h>

/* A number of 64 bits as it is; cJSON's own are doubles. */
void admin_add_u64(cJSON *object, const char *name, uint64_t value);
/* A metric or cost: a number, or "infinite". */
void admin_add_metric(cJSON *object, const char *name, uint16_t metric);

#endif
