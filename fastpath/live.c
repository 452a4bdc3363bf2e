/* SPDX-License-Identifier: Apache-2.0 */
#include "fastpath/live.h"

#include "fastpath/stream.h"

enum { JITTER_PART = 20, HELLO_UNICAST = 0x8000 };

void live_start(struct live *l, uint32_t seed, struct mono now)
{
	*l = (struct live){.hello_due = now, .last_ihu = now, .last_hello = now, .jitter = seed | 1};
}

static struct mono death(struct mono last, uint32_t after_ms)
{
	return mono_add_ms(last, (int64_t)after_ms);
}

enum live_verdict live_judge(const struct live *l, const struct network *n, struct mono now)
{
	if (mono_is_due(death(l->last_ihu, n->ihu_dead_ms), now))
		return LIVE_NO_IHU;
	if (mono_is_due(death(l->last_hello, n->hello_dead_ms), now))
		return LIVE_NO_HELLO;
	return mono_is_due(l->hello_due, now) ? LIVE_SEND_HELLO : LIVE_WELL;
}

struct mono live_due(const struct live *l, const struct network *n)
{
	const struct mono dead = mono_min(death(l->last_ihu, n->ihu_dead_ms), death(l->last_hello, n->hello_dead_ms));

	return mono_min(l->hello_due, dead);
}

/* Both consist of three 16-bit numbers. */
static void write_tlv(uint8_t *out, uint8_t type, uint16_t first, const uint16_t *others)
{
	const uint8_t tlv[LIVE_TLV_BYTES] = {type,
					     LIVE_TLV_BYTES - WIRE_TLV_HEADER_BYTES,
					     (uint8_t)(first >> 8),
					     (uint8_t)first,
					     (uint8_t)(others[0] >> 8),
					     (uint8_t)others[0],
					     (uint8_t)(others[1] >> 8),
					     (uint8_t)others[1]};

	memcpy(out, tlv, sizeof(tlv));
}

void live_hello(struct live *l, const struct network *n, struct mono now, uint8_t *out)
{
	write_tlv(out, STREAM_TLV_HELLO, HELLO_UNICAST, (const uint16_t[]){l->seqno++, n->hello_interval});
	l->jitter = l->jitter * 1664525 + 1013904223;
	l->hello_sent = now;
	/* A little early, never late. */
	l->hello_due = mono_add_ms(now, n->hello_ms - (l->jitter >> 8) % (n->hello_ms / JITTER_PART));
	l->expecting = true;
}

void live_ihu(const struct network *n, uint8_t *out)
{
	write_tlv(out, STREAM_TLV_IHU, WIRE_AE_WILDCARD << 8, (const uint16_t[]){0, n->ihu_interval});
}

void live_on_hello(struct live *l, struct mono now)
{
	l->last_hello = now;
}

uint32_t live_on_ihu(struct live *l, struct mono now)
{
	const int64_t us = mono_since_us(now, l->hello_sent);

	l->last_ihu = now;
	if (!l->expecting)
		return 0;
	l->expecting = false;
	return us < 1 ? 1 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}
