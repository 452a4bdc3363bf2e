/* SPDX-License-Identifier: Apache-2.0 */
/* Opened inner packets: checked, then coalesced, then cut again. Whatever passes the check comes back byte for byte.
 * Input: for each packet a byte of choices, a length (u16) and its bytes. */
#include "fastpath/encap.h"
#include "fastpath/gso.h"
#include "tests/support/packet.h"
#include <assert.h>
#include <stdlib.h>

enum {
	MAX_PACKETS = 100,
	PACKET_ROOM = 4096,
	FRAME_BODY = 44,
	SUPER_ROOM = 70000,
	HEADROOM = 4,
	FIX_CHECKSUM = 1,
	FIX_ADDRESSES = 2,
	FIX_LENGTH = 4,
	FLUSH = 8,
	FOLLOW = 16, /* begin as a copy of the packet before */
};

struct state {
	uint8_t frame[MAX_PACKETS][FRAME_BODY + PACKET_ROOM], kept[MAX_PACKETS][PACKET_ROOM];
	size_t len[MAX_PACKETS];
	size_t count, seen;
	uint8_t super[HEADROOM + SUPER_ROOM];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	assert(len <= GSO_SUPER_MAX_BYTES && packets <= GSO_MAX_SEGMENTS);
	assert(gso_cut_init(&c, &h, packet, len));
	for (uint8_t *p; (p = gso_cut_next(&c, &len)); packets--, s->seen++) {
		assert(len == s->len[s->seen]);
		assert(memcmp(p, s->kept[s->seen], len) == 0);
	}
	assert(packets == 0);
}

/* Repairs what random bytes hardly ever get right. */
static void fix(uint8_t choices, uint8_t *packet, size_t len)
{
	if (len < 60)
		return;
	if (choices & FIX_LENGTH) {
		packet[0] = 0x60 | (packet[0] & 15);
		packet[4] = (uint8_t)((len - 40) >> 8);
		packet[5] = (uint8_t)(len - 40);
		if (packet[6] == 17)
			memcpy(packet + 44, packet + 4, 2);
	}
	if ((choices & FIX_CHECKSUM) && (packet[6] == 6 || packet[6] == 17))
		packet_set_checksum(packet, len);
}

/* The headers of the packet before, TCP's sequence moved on by its payload. */
static void follow(const struct state *s, uint8_t *packet)
{
	const size_t before = s->count - 1, headers = 40 + (size_t)(s->kept[before][52] >> 4) * 4;
	uint32_t seq;

	memcpy(packet, s->kept[before], 60);
	if (packet[6] != 6 || headers > s->len[before])
		return;
	memcpy(&seq, packet + 44, sizeof(seq));
	seq = __builtin_bswap32(__builtin_bswap32(seq) + (uint32_t)(s->len[before] - headers));
	memcpy(packet + 44, &seq, sizeof(seq));
}

/* The next packet of the input into a frame of its own: its length. */
static size_t take_packet(struct state *s, struct rd *r, uint8_t choices)
{
	uint8_t *frame = s->frame[s->count], *packet = frame + FRAME_BODY;
	const size_t wanted = rd_be16(r) % PACKET_ROOM;
	const size_t len = wanted < rd_left(r) ? wanted : rd_left(r);

	memset(frame, 0, FRAME_BODY);
	rd_bytes(r, packet, len);
	if ((choices & FOLLOW) && s->count && len >= 60)
		follow(s, packet);
	fix(choices, packet, len);
	if ((choices & FIX_ADDRESSES) && len >= 40)
		memcpy(frame + 8, packet + 8, 32);
	return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct state s;
	struct rd r = rd_init(data, size);
	struct gso_join j;
	uint64_t own;

	s.count = s.seen = 0;
	gso_join_init(&j, write_and_cut, &s);
	j.udp = true;
	while (rd_left(&r) && s.count < MAX_PACKETS) {
		const uint8_t choices = rd_u8(&r);
		uint8_t *frame = s.frame[s.count];
		struct encap_opened o = {.body = frame + FRAME_BODY, .len = take_packet(&s, &r, choices)};
		uint64_t theirs;

		memcpy(&theirs, frame + 8, 8);
		memcpy(&own, frame + 24, 8);
		if (encap_check_l3(frame, __builtin_bswap64(theirs), __builtin_bswap64(own), 64, &o))
			continue;
		assert(o.len >= 40 && o.len == 40u + (unsigned)(o.body[4] << 8 | o.body[5]) && o.body[7] <= 64);
		memcpy(s.kept[s.count], o.body, o.len);
		s.len[s.count++] = o.len;
		gso_join_add(&j, o.body, o.len);
		if (choices & FLUSH)
			gso_join_flush(&j);
	}
	gso_join_flush(&j);
	assert(s.seen == s.count);
	return 0;
}
