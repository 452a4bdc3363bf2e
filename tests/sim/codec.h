/* SPDX-License-Identifier: Apache-2.0 */
/* Update and SeqNoRequest as this simulator reads and writes them: an own reading of wire-200 3.2, independent of the
 * core. Destinations are node indices, sources are the generations (starts) of a node. */
#ifndef TESTS_SIM_CODEC_H
#define TESTS_SIM_CODEC_H

#include "tests/sim/world.h"

enum {
	CODEC_UPDATE = 8,
	CODEC_REQUEST = 10,
	CODEC_UPDATE_BYTES = 68, /* with type and length */
	CODEC_REQUEST_BYTES = 56,
};

struct codec_tlv {
	uint8_t type;
	int dest;
	uint32_t generation;
	uint16_t seqno;
	uint16_t metric; /* Update */
	uint8_t hops; /* SeqNoRequest */
};

/* False unless the bytes are exactly what a node may send about a node of this world. */
bool codec_read(const struct world *w, const uint8_t *bytes, size_t len, struct codec_tlv *out);
/* Returns the length. */
size_t codec_write(const struct world *w, const struct codec_tlv *t, uint8_t out[CODEC_UPDATE_BYTES]);
/* The generation that a router id is of its node, or -1. */
int codec_generation(const struct node *n, const struct router_id *id);
/* A line of the trace, if the TLV is about the node that is traced. */
void codec_trace(const struct node *to, const struct node *from, const uint8_t *bytes, size_t len);

static inline bool seqno_newer(uint16_t a, uint16_t b)
{
	return (int16_t)(uint16_t)(a - b) > 0;
}

#endif
