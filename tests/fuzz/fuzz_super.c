/* SPDX-License-Identifier: Apache-2.0 */
/* What the TUN could give: a virtio header and a packet. Cut in memory that ends where the packet does; the segments
 * are coalesced, and cutting that again gives the same segments. */
#include "fastpath/gso.h"
#include "tests/support/packet.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { HEADROOM = 4, MAX_SEGMENTS = 256, SUPER_ROOM = 70000 };

struct state {
	uint8_t *segment[MAX_SEGMENTS];
	uint8_t *kept[MAX_SEGMENTS];
	size_t len[MAX_SEGMENTS];
	size_t count, seen;
	uint8_t super[HEADROOM + SUPER_ROOM];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *copy(const uint8_t *bytes, size_t len)
{
	uint8_t *p = malloc(len);

	assert(p);
	return memcpy(p, bytes, len);
}

static void write_and_cut(void *ctx, const struct iovec *iov, int iov_count, uint32_t packets)
{
	struct state *s = ctx;
	uint8_t *packet = s->super + HEADROOM;
	size_t len = 0;
	struct gso_header h;
	struct gso_cut c;

	memcpy(&h, iov[0].iov_base, sizeof(h));
	for (int i = 1; i < iov_count; i++) {
		memcpy(packet + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	assert(gso_cut_init(&c, &h, packet, len));
	for (uint8_t *p; (p = gso_cut_next(&c, &len)); packets--, s->seen++) {
		assert(len == s->len[s->seen]);
		assert(memcmp(p, s->kept[s->seen], len) == 0);
	}
	assert(packets == 0);
}

static void cut(struct state *s, const struct gso_header *h, uint8_t *packet, size_t len)
{
	struct gso_cut c;
	size_t got;

	if (!gso_cut_init(&c, h, packet, len))
		return;
	for (uint8_t *p; s->count < MAX_SEGMENTS && (p = gso_cut_next(&c, &got)); s->count++) {
		assert(got >= 40 && got == 40u + (unsigned)(p[4] << 8 | p[5]));
		assert(p - HEADROOM >= packet - HEADROOM && p + got <= packet + len);
		if (h->type)
			assert(packet_checksum_is_true(p, got));
		s->segment[s->count] = copy(p, got);
		s->kept[s->count] = copy(p, got);
		s->len[s->count] = got;
		memset(p - HEADROOM, 0xee, HEADROOM);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct state s;
	struct gso_header h;
	struct gso_join j;
	uint8_t *exact;

	if (size < sizeof(h))
		return 0;
	memcpy(&h, data, sizeof(h));
	size -= sizeof(h);
	exact = malloc(HEADROOM + size);
	assert(exact);
	memcpy(exact + HEADROOM, data + sizeof(h), size);
	s.count = s.seen = 0;
	cut(&s, &h, exact + HEADROOM, size);
	gso_join_init(&j, write_and_cut, &s);
	j.udp = true;
	for (size_t i = 0; i < s.count; i++)
		gso_join_add(&j, s.segment[i], s.len[i]);
	gso_join_flush(&j);
	assert(s.seen == s.count);
	for (size_t i = 0; i < s.count; i++) {
		free(s.segment[i]);
		free(s.kept[i]);
	}
	free(exact);
	return 0;
}
