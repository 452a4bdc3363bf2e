/* SPDX-License-Identifier: Apache-2.0 */
/* Is an INIT new? Stamps rise; where clocks went back, or ours forgot, a random challenge decides, of which a peer has
 * one open at a time. Nobody else learns it: it travels sealed. */
#include "controld/session/core.h"

static bool challenge_is_open(const struct challenge *ch, struct mono now)
{
	return ch->open && mono_since_us(now, ch->made) <= CHALLENGE_LIFE_US;
}

bool cookie_is_fresh(const struct session_peer *p, const struct carrier_init *init, struct mono now)
{
	if (memcmp(init->stamp, p->greatest, sizeof(p->greatest)) > 0)
		return true;
	return challenge_is_open(&p->challenge, now) && secret_eq(init->cookie, p->challenge.b, sizeof(p->challenge.b));
}

bool cookie_challenge(struct session_core *c, struct session_peer *p, struct mono now,
		      uint8_t out[CARRIER_COOKIE_BYTES])
{
	if (!mono_is_due(p->cookie_next, now))
		return false;
	p->cookie_next = mono_add_us(now, SECOND_US);
	if (!challenge_is_open(&p->challenge, now)) {
		p->challenge = (struct challenge){.open = true, .made = now};
		c->ops->random(c->ctx, p->challenge.b, sizeof(p->challenge.b));
	}
	memcpy(out, p->challenge.b, sizeof(p->challenge.b));
	return true;
}

void cookie_accept(struct session_peer *p, const uint8_t stamp[HANDSHAKE_STAMP_BYTES])
{
	if (memcmp(stamp, p->greatest, sizeof(p->greatest)) > 0)
		memcpy(p->greatest, stamp, sizeof(p->greatest));
	p->challenge = (struct challenge){0};
}
