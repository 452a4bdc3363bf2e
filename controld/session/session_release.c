/* SPDX-License-Identifier: Apache-2.0 */
/* The way back to the static key: told thrice in the session, then pin and session go; a little later, so that what was
 * told last is sealed while its key is still there. */
#include "controld/session/core.h"
#include <errno.h>

void session_release_now(struct session_core *c, struct session_peer *p)
{
	for (enum session_slot s = SESSION_SEND; s < SESSION_SLOTS; s++)
		session_keys_drop(c, p, s);
	session_init_drop(c, p);
	session_init_reset(p);
	pins_del(c, p->net64);
	p->releasing = false;
	p->first_ns = 0;
	p->wanted = p->asked = p->grace = MONO_LONG_AGO;
	p->unanswered = p->owed = MONO_NEVER;
	session_tell(c, SESSION_RELEASED, &p->pk, &p->address);
}

struct mono session_release_run(struct session_core *c, struct session_peer *p, struct session_time t)
{
	const bool all_told = p->releases == RELEASE_TIMES;

	if (!p->releasing)
		return MONO_NEVER;
	if (!p->keys[SESSION_SEND] && !all_told) {
		p->releases = 0; /* the next session begins anew */
		if (!mono_is_due(p->release_end, t.now))
			return p->release_end;
		p->releasing = false;
		session_tell(c, SESSION_UNRELEASED, &p->pk, &p->address);
		return MONO_NEVER;
	}
	if (!mono_is_due(p->release_next, t.now))
		return p->release_next;
	if (all_told) {
		session_release_now(c, p);
		return MONO_NEVER;
	}
	session_keys_control(c, p, CARRIER_RELEASE, t);
	p->releases++;
	p->release_next = mono_add_us(t.now, RELEASE_GAP_US);
	return p->release_next;
}

int session_release(struct session_core *c, const struct pubkey *pk, struct session_time t)
{
	struct session_peer *p = session_peer_find(c, pk);
	const struct session_pin *pin;
	struct ip6 address;

	c->network->address(pk, &address);
	pin = pins_find(c, ip6_net64(&address));
	if (!(p && session_peer_is_live(p)) && !(pin && pubkey_eq(&pin->pk, pk)))
		return -ENOENT;
	p = session_peer_get(c, pk, t);
	if (!p)
		return -ENOSPC;
	if (p->releasing)
		return 0;
	p->releasing = true;
	p->releases = 0;
	p->release_next = t.now;
	p->release_end = mono_add_us(t.now, RELEASE_WAIT_US);
	session_init_reset(p);
	session_peer_run(c, p, t);
	return 0;
}

bool session_unpin(struct session_core *c, uint64_t net64, struct session_time t)
{
	const struct session_pin *pin = pins_find(c, net64);
	struct session_peer *p;
	struct pubkey pk;

	if (!pin)
		return false;
	pk = pin->pk;
	p = session_peer_find(c, &pk);
	if (p) {
		session_release_now(c, p);
		session_peer_run(c, p, t);
	} else {
		pins_del(c, net64);
		c->ops->policy(c->ctx, &pk, net64, session_policy(c, &pk, t));
	}
	return true;
}
