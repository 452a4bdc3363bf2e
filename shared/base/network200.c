/* SPDX-License-Identifier: Apache-2.0 */
/* The network of generation 200 (200::/7): its numbers and its address function, from wire-200 1.2, 4.1 and 4.2. */
#include "shared/base/network.h"

enum {
	ADDRESS_FIRST_BYTE = 0x02,
	/* The reference never checks for Hellos: silent for four of its periods, a neighbour is gone. */
	HELLO_PERIODS_UNTIL_DEAD = 4,
	HELLO_MS = 4000,
};

_Static_assert(sizeof(struct ip6) == crypto_generichash_BYTES_MIN, "an address is the shortest BLAKE2b digest");

static void address(const struct pubkey *pk, struct ip6 *out)
{
	crypto_generichash(out->b, sizeof(out->b), pk->b, sizeof(pk->b), NULL, 0);
	out->b[0] = ADDRESS_FIRST_BYTE | (out->b[0] & 1);
}

const struct network network200 = {
	.name = "200::/7",
	.number = 200,
	.overlay = {.ip = {{ADDRESS_FIRST_BYTE}}, .len = 7},
	.node_prefix_bits = 64,
	.default_port = 9651,
	.address = address,
	.hello_ms = HELLO_MS,
	.ihu_dead_ms = 8000,
	.hello_dead_ms = HELLO_PERIODS_UNTIL_DEAD * HELLO_MS,
	.own_update_ms = 3000,
	.table_update_ms = 3000,
	.route_hold_ms = 60000,
	.retracted_hold_ms = 60000,
	.source_hold_ms = 300000,
	.seqno_bump_ms = 4000,
	.hello_interval = 4,
	.ihu_interval = 12,
	.update_interval = 16,
	.link_cost_initial = 50,
	.link_cost_add = 10,
	.metric_big_change = 10,
	.metric_switch_gain = 10,
	.data_header_bytes = WIRE_DATA_HEADER_BYTES,
	.data_length_bytes = 2,
};

const struct network *network_find(uint32_t number)
{
	return number == network200.number ? &network200 : NULL;
}

struct prefix network_own_prefix(const struct network *n, const struct pubkey *pk)
{
	struct ip6 ip;

	n->address(pk, &ip);
	return prefix_make(&ip, n->node_prefix_bits);
}

uint16_t network_smooth(uint16_t smoothed, uint32_t rtt_us)
{
	const uint32_t ms = rtt_us / 1000;
	const uint32_t sample = ms > UINT16_MAX ? UINT16_MAX : ms;

	return (uint16_t)((9U * smoothed + sample) / 10);
}
