/* SPDX-License-Identifier: Apache-2.0 */
/* A model of the reference program's message subsystem, written from wire-200 chapter 6, with its defects: no window,
 * 1300-byte chunks, short last chunks refused, a repeated INIT resets, a repeated DONE is not answered, and what would
 * kill it does (dead says why). */
#ifndef TESTS_SUPPORT_MESSAGE_REFERENCE_H
#define TESTS_SUPPORT_MESSAGE_REFERENCE_H

#include "controld/message/frame.h"
#include "shared/base/ip.h"
#include "shared/base/mono.h"

enum reference_state { REFERENCE_INIT, REFERENCE_IN_PROGRESS, REFERENCE_RECEIVED, REFERENCE_READ, REFERENCE_ABORTED };

struct reference_out {
	struct reference_out *next;
	uint8_t id[FRAME_ID_BYTES];
	bool reply;
	struct ip6 dst;
	uint8_t topic[FRAME_TOPIC_MAX_BYTES];
	uint8_t topic_len;
	uint8_t *payload;
	size_t len, count;
	int64_t *sent_us; /* -1: never */
	bool *acked;
	enum reference_state state;
	struct mono created, tick;
};

struct reference_in {
	struct reference_in *next;
	uint8_t id[FRAME_ID_BYTES];
	bool reply;
	struct ip6 src, dst;
	uint8_t topic[FRAME_TOPIC_MAX_BYTES];
	uint8_t topic_len;
	uint64_t len;
	struct {
		uint8_t *data;
		size_t size;
	} * slots;
	size_t slot_count;
	uint8_t *payload; /* once complete */
};

struct reference {
	struct ip6 self;
	struct reference_out *out;
	struct reference_in *pending, *complete; /* complete, and never read */
	const char *dead;
	/* A packet leaves, and a message is complete. */
	void (*send)(void *ctx, const struct ip6 *src, const struct ip6 *dst, const uint8_t *bytes, size_t len);
	void (*received)(void *ctx, const struct reference_in *in);
	void *ctx;
};

/* A message leaves; payload (from malloc) is taken. Topic and id as given. */
struct reference_out *reference_send(struct reference *r, const struct reference_out *order, struct mono now);
void reference_packet(struct reference *r, const struct ip6 *src, const struct ip6 *dst, const uint8_t *bytes,
		      size_t len);
struct mono reference_tick(struct reference *r, struct mono now);
void reference_fini(struct reference *r);

#endif
