/* SPDX-License-Identifier: Apache-2.0 */
/* What one network prescribes: prefix, address function, TLVs, periods, lifetimes, header sizes. One is chosen at
 * start. No 0x02, no BLAKE2b and no 3 s outside network200.c. */
#ifndef SHARED_BASE_NETWORK_H
#define SHARED_BASE_NETWORK_H

#include "shared/base/ip.h"
#include "shared/base/secret.h"
#include <stdbool.h>
#include <stdint.h>

struct network {
	const char *name;
	uint32_t number; /* in ctl: 200 */
	struct prefix overlay;
	uint8_t node_prefix_bits; /* every node owns so much: 64 */
	uint16_t default_port;

	/* Address of a public key (wire-200 1.2). */
	void (*address)(const struct pubkey *pk, struct ip6 *out);

	/* Link liveness, in fastpath (4.1, 4.2, 4.9). */
	uint32_t hello_ms, ihu_dead_ms, hello_dead_ms;
	/* Babel. */
	uint32_t own_update_ms, table_update_ms, route_hold_ms, retracted_hold_ms, source_hold_ms, seqno_bump_ms;
	/* Numbers in TLVs, in the network's unit. */
	uint16_t hello_interval, ihu_interval, update_interval;
	/* Link cost: smoothed round trip in ms (initially), plus a fixed addition. */
	uint16_t link_cost_initial, link_cost_add;
	/* Metric changes above this are announced at once / make a better route worth a switch. */
	uint16_t metric_big_change, metric_switch_gain;
	/* Data header. */
	uint8_t data_header_bytes, data_length_bytes;
};

extern const struct network network200;

/* The network with that number, or NULL. */
const struct network *network_find(uint32_t number);

/* The /64 that the key owns. */
struct prefix network_own_prefix(const struct network *n, const struct pubkey *pk);

/* smoothed' = (9 smoothed + sample) / 10, the sample cut to whole ms and 16 bits (wire-200 4.2). */
uint16_t network_smooth(uint16_t smoothed, uint32_t rtt_us);

#endif
