/* SPDX-License-Identifier: Apache-2.0 */
/* Is the neighbour at the other end of a link alive: Hellos sent and received, IHUs, round trip
 * (wire-200 3.2, 4.2, 4.9). Pure: time is an argument. All times count from the adoption of the link. */
#ifndef FASTPATH_LIVE_H
#define FASTPATH_LIVE_H

#include "shared/base/mono.h"
#include "shared/base/network.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LIVE_TLV_BYTES = 8 }; /* a Hello or IHU as we send it */

struct live {
	struct mono hello_due, hello_sent, last_ihu, last_hello;
	uint32_t jitter; /* state of a small generator */
	uint16_t seqno; /* of the next Hello */
	bool expecting; /* no IHU came since the last Hello */
};

enum live_verdict { LIVE_WELL, LIVE_SEND_HELLO, LIVE_NO_IHU, LIVE_NO_HELLO };

/* A Hello is due at once. */
void live_start(struct live *l, uint32_t seed, struct mono now);
MUST_CHECK enum live_verdict live_judge(const struct live *l, const struct network *n, struct mono now);
/* When live_judge() has something to say. */
struct mono live_due(const struct live *l, const struct network *n);
/* Writes the next Hello TLV to out[LIVE_TLV_BYTES]: it counts as sent now. */
void live_hello(struct live *l, const struct network *n, struct mono now, uint8_t *out);
/* Writes an IHU TLV. */
void live_ihu(const struct network *n, uint8_t *out);
void live_on_hello(struct live *l, struct mono now);
/* The round trip in microseconds, at least 1; 0: not the first IHU after a Hello. */
uint32_t live_on_ihu(struct live *l, struct mono now);

#endif
