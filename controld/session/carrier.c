/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/session/carrier.h"
#include <assert.h>

static const char prologue_text[] = "mycelium session 1";

_Static_assert(sizeof(prologue_text) - 1 == 18, "prologue");

bool carrier_length_is_good(uint8_t type, size_t len)
{
	switch (type) {
	case SESSION_INIT:
		return len >= CARRIER_INIT_BYTES && len <= CARRIER_INIT_MAX_BYTES;
	case SESSION_RESP:
		return len >= CARRIER_RESP_BYTES;
	case SESSION_COOKIE:
		return len >= CARRIER_COOKIE_BODY_BYTES;
	case SESSION_HINT:
		return len >= CARRIER_HINT_BYTES;
	case SESSION_CONTROL:
		return len >= CARRIER_CONTROL_BYTES;
	default:
		return false;
	}
}

void carrier_write_init(struct wr *w, const struct carrier_init *i)
{
	wr_be32(w, i->sender);
	wr_u8(w, i->lowest);
	wr_u8(w, i->highest);
	wr_u8(w, i->lanes);
	wr_u8(w, 0);
	wr_be32(w, i->capabilities);
	wr_bytes(w, i->stamp, sizeof(i->stamp));
	wr_bytes(w, i->cookie, sizeof(i->cookie));
}

void carrier_read_init(const uint8_t *bytes, struct carrier_init *i)
{
	struct rd r = rd_init(bytes, CARRIER_INIT_HEAD_BYTES);

	i->sender = rd_be32(&r);
	i->lowest = rd_u8(&r);
	i->highest = rd_u8(&r);
	i->lanes = rd_u8(&r);
	(void)rd_u8(&r);
	i->capabilities = rd_be32(&r);
	rd_bytes(&r, i->stamp, sizeof(i->stamp));
	rd_bytes(&r, i->cookie, sizeof(i->cookie));
	assert(!r.bad && rd_left(&r) == 0);
}

void carrier_write_choice(struct wr *w, const struct carrier_choice *ch)
{
	wr_be32(w, ch->sender);
	wr_u8(w, ch->version);
	wr_u8(w, ch->lanes);
	wr_be16(w, 0);
	wr_be32(w, ch->capabilities);
}

void carrier_read_choice(const uint8_t bytes[CARRIER_CHOICE_BYTES], struct carrier_choice *ch)
{
	struct rd r = rd_init(bytes, CARRIER_CHOICE_BYTES);

	ch->sender = rd_be32(&r);
	ch->version = rd_u8(&r);
	ch->lanes = rd_u8(&r);
	(void)rd_be16(&r);
	ch->capabilities = rd_be32(&r);
	assert(!r.bad && rd_left(&r) == 0);
}

void carrier_write_stamp(struct wr *w, int64_t ns)
{
	assert(ns >= 0);
	wr_be64(w, (uint64_t)(ns / 1000000000));
	wr_be32(w, (uint32_t)(ns % 1000000000));
}

void carrier_write_prologue(struct wr *w, const struct ip6 *initiator, const struct ip6 *responder, const uint8_t *init,
			    size_t len)
{
	wr_bytes(w, prologue_text, sizeof(prologue_text) - 1);
	wr_bytes(w, initiator->b, sizeof(initiator->b));
	wr_bytes(w, responder->b, sizeof(responder->b));
	wr_bytes(w, init, CARRIER_INIT_HEAD_BYTES);
	if (len > CARRIER_INIT_BYTES)
		wr_bytes(w, init + CARRIER_INIT_BYTES, len - CARRIER_INIT_BYTES);
	assert(!w->bad);
}
