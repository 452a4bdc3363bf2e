/* SPDX-License-Identifier: Apache-2.0 */
/* A topic: 0 to 255 opaque bytes; none and empty are the same. */
#ifndef CONTROLD_MESSAGE_TOPIC_H
#define CONTROLD_MESSAGE_TOPIC_H

#include <stdbool.h>
#include <stdint.h>

struct topic {
	uint8_t *bytes; /* owned; NULL if len is 0 */
	uint8_t len;
};

/* A copy of its own. */
struct topic topic_copy(const uint8_t *bytes, uint8_t len);
void topic_fini(struct topic *t);
/* The whole is compared: a filter is no prefix. */
bool topic_is(const struct topic *t, const uint8_t *bytes, uint8_t len);

#endif
