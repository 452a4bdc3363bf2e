/* SPDX-License-Identifier: Apache-2.0 */
/* What the store keeps: orders until their status is forgotten, messages until they are consumed, the identity of
 * completed messages for a while, and of sessions the pins and the modes of peers. Types only; known to the store and
 * to whoever composes. */
#ifndef CONTROLD_STORE_RECORD_H
#define CONTROLD_STORE_RECORD_H

#include "shared/base/ip.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RECORD_ID_BYTES = 8, RECORD_CHECKSUM_BYTES = 32, RECORD_EPOCH_BYTES = 16 };
/* So many are told at the start, those with the lowest /64s; more are left in the file. */
enum { RECORD_PINS_MAX = 65536, RECORD_MODES_MAX = 16384 };
enum { RECORD_MODE_HIGHEST = 2 /* of enum session_mode */ };

/* A message that leaves. */
struct record_order {
	uint64_t row; /* names it; never 0, never used twice */
	uint8_t id[RECORD_ID_BYTES];
	bool reply;
	uint8_t state; /* enum message_state */
	struct ip6 dst;
	uint8_t topic_len;
	const uint8_t *topic; /* borrowed */
	uint8_t *payload; /* borrowed, but where said. NULL for one that has ended */
	size_t len; /* of the payload, also where it is not here any more */
	int64_t created_s; /* realtime */
	uint32_t deadline_s; /* after created_s */
};

/* A message that arrived whole. */
struct record_message {
	uint64_t row; /* rises in the order of arrival; never 0, never used twice */
	uint8_t id[RECORD_ID_BYTES];
	bool reply;
	struct ip6 src, dst;
	uint8_t public_key[32]; /* of src */
	uint8_t topic_len;
	const uint8_t *topic; /* borrowed */
	const uint8_t *payload; /* borrowed; NULL when it is told what the file holds */
	size_t len;
	uint32_t chunks; /* in so many it came; of a message to ourselves: 0 */
	uint8_t checksum[RECORD_CHECKSUM_BYTES]; /* of a message to ourselves: the row of its order */
	int64_t arrived_s; /* realtime */
};

/* A peer that was shaken hands with: it is not talked to by the static key any more (session.md, pin). Realtime. */
struct record_pin {
	uint64_t net64;
	uint8_t public_key[32];
	int64_t first_ns, last_ns;
};

/* The session mode that was set for one peer. */
struct record_mode {
	uint64_t net64;
	uint8_t public_key[32];
	uint8_t mode; /* enum session_mode */
};

#endif
