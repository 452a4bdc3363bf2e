/* SPDX-License-Identifier: Apache-2.0 */
/* What the admin routes share: how their values are written in JSON. */
#ifndef CONTROLD_API_ADMIN_H
#define CONTROLD_API_ADMIN_H

#include "controld/api/private.h"
#include <cjson/cJSON.h>
#include <stdint.h>

/* A number of 64 bits as it is; cJSON's own are doubles. */
void admin_add_u64(cJSON *object, const char *name, uint64_t value);
/* A metric or cost: a number, or "infinite". */
void admin_add_metric(cJSON *object, const char *name, uint16_t metric);
/* Whole seconds of a span, which is not below 0; null if there is none. */
void admin_add_seconds(cJSON *object, const char *name, bool any, int64_t us);

/* admin_sessions.c */
/* The sessions in figures, as a member; null where there can be none. */
void admin_add_sessions(const struct api *a, cJSON *object);

#endif
