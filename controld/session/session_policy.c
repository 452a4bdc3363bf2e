/* SPDX-License-Identifier: Apache-2.0 */
/* How to talk with a peer: by which key packets leave, and whether static ones may come. What was once shaken hands
 * with does not fall back. */
#include "controld/session/core.h"

static struct session_policy policy(enum session_mode mode, bool pinned, bool live, bool grace)
{
	const bool strict = mode == SESSION_REQUIRE || (mode != SESSION_OFF && pinned);
	struct session_policy out = {.way = strict ? SESSION_BY_NONE : SESSION_BY_STATIC};

	if (live)
		out.way = SESSION_BY_KEY;
	out.refuse_static = mode == SESSION_REQUIRE || (strict && !grace);
	return out;
}

/* A session ends long before a pin does: where it outlived its pin the clock jumped. */
static bool is_bound(const struct session_core *c, const struct session_peer *p, struct session_time t)
{
	const struct session_pin *pin = pins_find(c, p->net64);

	return session_peer_is_pinned(c, p, t) || (p->keys[SESSION_SEND] && pin && pubkey_eq(&pin->pk, &p->pk));
}

struct session_policy session_policy_of(const struct session_core *c, const struct session_peer *p,
					struct session_time t)
{
	return policy(session_peer_mode(c, p), is_bound(c, p, t), p->keys[SESSION_SEND], !mono_is_due(p->grace, t.now));
}

struct session_policy session_policy(struct session_core *c, const struct pubkey *pk, struct session_time t)
{
	const struct session_peer *p = session_peer_find(c, pk);
	const struct session_pin *pin;
	struct ip6 address;

	if (p)
		return session_policy_of(c, p, t);
	c->network->address(pk, &address);
	pin = pins_find(c, ip6_net64(&address));
	/* A second key of a /64 is treated as its owner would be: not by the static key. */
	return policy(session_peer_mode(c, NULL),
		      (pin && pins_holds(pin, t.real_ns)) || session_peer_is_second(c, pk, ip6_net64(&address), t),
		      false, false);
}

struct mono session_policy_run(struct session_core *c, struct session_peer *p, struct session_time t)
{
	const struct session_policy now = session_policy_of(c, p, t);
	const bool waits_for_grace = !now.refuse_static && !mono_is_due(p->grace, t.now);

	if (!p->is_told || now.way != p->told.way || now.refuse_static != p->told.refuse_static) {
		p->is_told = true;
		p->told = now;
		c->ops->policy(c->ctx, &p->pk, p->net64, now);
	}
	if (waits_for_grace)
		return p->grace;
	/* Pins end in realtime. */
	return now.way == SESSION_BY_NONE ? mono_add_us(t.now, PIN_LOOK_US) : MONO_NEVER;
}

bool session_static(struct session_core *c, const struct pubkey *pk, size_t len, struct session_time t)
{
	struct session_peer *p;

	if (!session_policy(c, pk, t).refuse_static)
		return true;
	c->counts[SESSION_STATIC_REFUSED]++;
	p = session_peer_get(c, pk, t);
	if (!p)
		return false;
	if (mono_is_due(p->alarm_next, t.now)) {
		p->alarm_next = mono_add_us(t.now, SECOND_US);
		session_tell(c, SESSION_DOWNGRADE, &p->pk, &p->address);
		if (p->keys[SESSION_SEND] && len + SEALED_OVERHEAD_BYTES >= ANSWER_MIN_BYTES)
			session_keys_control(c, p, CARRIER_KEEPALIVE, t);
	}
	if (!p->keys[SESSION_SEND])
		p->wanted = t.now;
	session_peer_run(c, p, t);
	return false;
}

void session_want(struct session_core *c, const struct pubkey *pk, struct session_time t)
{
	struct session_peer *p = session_peer_get(c, pk, t);

	if (!p)
		return;
	p->wanted = p->asked = t.now;
	session_peer_run(c, p, t);
}

void session_stray(struct session_core *c, const struct pubkey *pk, uint32_t index, size_t sealed_len,
		   struct session_time t)
{
	uint8_t body[CARRIER_HINT_BYTES];
	struct wr w = wr_init(body, sizeof(body));
	struct session_peer *p;

	if (sealed_len < ANSWER_MIN_BYTES || !bucket_has(&c->hint_tokens, t.now))
		return;
	p = session_peer_get(c, pk, t);
	if (!p)
		return;
	/* A key that is known here was told to fastpath: the packet came before it, or is forged. */
	if (session_peer_mode(c, p) != SESSION_OFF && session_keys_slot(p, index) == SESSION_SLOTS &&
	    mono_is_due(p->hint_next, t.now)) {
		p->hint_next = mono_add_us(t.now, SECOND_US);
		bucket_take(&c->hint_tokens);
		wr_be32(&w, index);
		session_say(c, p, SESSION_HINT, body, sizeof(body));
		c->counts[SESSION_HINTS_SENT]++;
	}
	session_peer_run(c, p, t);
}
