/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a neighbour's stream: the decoder, the walk over TLVs, the name of what it looks like. Each batch is judged
 * twice, from a copy cut at a place that the input names: the same packets must come out. */
#include "fastpath/stream.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
	if (!truth)
		abort();
}

static uint64_t walk(const struct stream_packet *p)
{
	struct rd r = stream_tlvs(p);
	struct stream_tlv t;
	uint64_t sum = 0;

	while (stream_tlv_next(&r, &t)) {
		must(t.len >= WIRE_TLV_HEADER_BYTES && t.bytes >= p->bytes + WIRE_CONTROL_HEADER_BYTES);
		must(t.bytes + t.len <= p->bytes + p->len);
		sum += t.len + t.type + (stream_tlv_is_newer(&t) ? 1000 : 0);
	}
	return sum + r.bad;
}

/* All packets in s: a number that tells what they were. */
static uint64_t judge(struct stream *s, bool *bad)
{
	enum stream_verdict verdict;
	struct stream_batch b;
	uint64_t sum = 0;

	do {
		uint8_t *const before = s->at;

		verdict = stream_read(s, &b);
		must(s->at >= before && s->at <= s->end);
		must(verdict != STREAM_FULL || b.count == LIMIT_BATCH_FRAMES);
		for (unsigned i = 0; i < b.count; i++) {
			const struct stream_packet *p = &b.packet[i];

			must(p->bytes >= before && p->bytes + p->len <= s->at);
			sum = sum * 31 + p->len + (p->control ? walk(p) : 7);
		}
	} while (verdict == STREAM_FULL);
	*bad = verdict == STREAM_BAD;
	must(stream_era(s->at, (size_t)(s->end - s->at), s->at != s->end) != NULL);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const size_t cut = size ? data[0] * size / 256 : 0;
	uint8_t *whole, *part;
	struct stream s;
	bool bad, bad_again;
	uint64_t sum;

	if (size < 1)
		return 0;
	data++;
	size--;
	whole = malloc(size + 1);
	part = malloc(cut + 1);
	must(whole && part);
	memcpy(whole, data, size);
	s = (struct stream){.at = whole, .end = whole + size};
	sum = judge(&s, &bad);

	/* The first part alone may say less, but nothing else; it ends where its own block ends. */
	memcpy(part, data, cut < size ? cut : size);
	s = (struct stream){.at = part, .end = part + (cut < size ? cut : size)};
	judge(&s, &bad_again);
	must(!bad_again || bad);
	s = (struct stream){.at = whole + (s.at - part), .end = whole + size};
	judge(&s, &bad_again);
	must(bad == bad_again);
	s = (struct stream){.at = whole, .end = whole + size};
	must(judge(&s, &bad_again) == sum);
	free(whole);
	free(part);
	return 0;
}
