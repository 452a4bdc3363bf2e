/* SPDX-License-Identifier: Apache-2.0 */
/* Judges a log of nonces (nonce_audit.h), and nonces that were seen on a wire by it. */
#ifndef TESTS_SUPPORT_NONCE_CHECK_H
#define TESTS_SUPPORT_NONCE_CHECK_H

#include "tests/support/nonce_audit.h"

struct nonce_found {
	uint64_t ranges, packets; /* of sessions */
	uint64_t keys, lanes; /* lanes: pairs of key and lane */
	uint64_t shared; /* of these: lanes that several processes took from */
	uint64_t prefixes;
	uint64_t unfinished, lost; /* lost: ranges that found no room */
	/* The faults. */
	uint64_t overlaps; /* ranges of one key and lane that have a counter in common with one before */
	uint64_t repeated; /* prefixes drawn before */
};
/* Sorts the ranges of the log in place: nobody may write any more. */
struct nonce_found nonce_check(struct nonce_log *log, size_t bytes);

/* As a relay writes them down: who sealed (any number that is different for each sender), and the nonce. */
struct nonce_seen {
	uint32_t sender;
	uint8_t nonce[12];
};
struct nonce_wire {
	uint64_t session, fixed; /* fixed: of a static key */
	/* The faults. */
	uint64_t repeated; /* the same nonce by the same sender */
	uint64_t unrecorded; /* in no range, and under no prefix, of the log */
};
/* Sorts both in place. */
struct nonce_wire nonce_check_wire(struct nonce_log *log, size_t bytes, struct nonce_seen *seen, size_t count);

#endif
