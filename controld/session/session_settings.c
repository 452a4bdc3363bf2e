/* SPDX-License-Identifier: Apache-2.0 */
/* What the user sets, what a former life left, and what the status reads. */
#include "controld/session/core.h"
#include <errno.h>

/* Where a peer's mode is off nothing is begun, and nothing half done goes on. */
static void stop_if_off(struct session_core *c, struct session_peer *p)
{
	if (session_peer_mode(c, p) != SESSION_OFF || p->releasing)
		return;
	session_init_drop(c, p);
	session_init_reset(p);
	session_keys_drop(c, p, SESSION_NEXT);
}

static void set_psk(struct session_peer *p, const struct session_setting *s)
{
	if (!s || !s->has_psk) {
		sodium_free(p->psk);
		p->psk = NULL;
		return;
	}
	if (!p->psk)
		p->psk = sodium_malloc(sizeof(*p->psk));
	if (!p->psk)
		abort();
	*p->psk = s->psk;
}

int session_set_peer(struct session_core *c, const struct pubkey *pk, const struct session_setting *s,
		     struct session_time t)
{
	struct session_peer *p = session_peer_find(c, pk);
	struct ip6 address;

	if (!p && !s)
		return 0;
	c->network->address(pk, &address);
	if (session_peer_is_second(c, pk, ip6_net64(&address), t))
		return -EEXIST;
	p = session_peer_get(c, pk, t);
	if (!p)
		return -ENOSPC;
	set_psk(p, s);
	p->has_mode = s && s->has_mode;
	if (p->has_mode)
		p->mode = s->mode;
	stop_if_off(c, p);
	session_peer_run(c, p, t);
	return 0;
}

static void settle_all(struct session_core *c, struct session_time t)
{
	struct session_peer *p, *next;

	HASH_ITER (hh, c->peers, p, next) {
		stop_if_off(c, p);
		session_peer_run(c, p, t);
	}
}

void session_set_mode(struct session_core *c, enum session_mode mode, struct session_time t)
{
	c->mode = mode;
	settle_all(c, t);
}

void session_set_network_keys(struct session_core *c, const struct session_psk *keys, uint8_t count,
			      struct session_time t)
{
	assert(count <= SESSION_NETWORK_KEYS);
	secret_wipe(c->vault->network, sizeof(c->vault->network));
	for (uint8_t i = 0; i < count; i++)
		c->vault->network[i] = keys[i];
	c->network_keys = count;
	settle_all(c, t);
}

bool session_found_key(struct session_core *c, const struct session_key *key, struct session_time t)
{
	struct session_peer *p;

	if (key->index == 0 || session_index_find(c, key->index) || (unsigned)key->slot >= SESSION_SLOTS ||
	    key->far_index == 0 || key->far_lanes < 1 || key->far_lanes > SESSION_LANES_MAX)
		return false;
	if (key->made.us > t.now.us || mono_since_us(t.now, key->made) >= KEY_LIFE_US)
		return false;
	p = session_peer_get(c, &key->pk, t);
	if (!p || p->keys[key->slot])
		return false;
	session_keys_found(c, p, key, t);
	if (!p->first_ns)
		p->first_ns = t.real_ns;
	/* It was confirmed, so there was a pin: the store has lost it. */
	if (session_peer_is_live(p) && session_peer_mode(c, p) != SESSION_OFF && !session_peer_is_pinned(c, p, t))
		pins_touch(c, p, t);
	session_peer_run_soon(c, p, t);
	return true;
}

bool session_found_pin(struct session_core *c, const struct session_pin *pin, struct session_time t)
{
	struct session_peer *p;
	struct ip6 address;

	c->network->address(&pin->pk, &address);
	if (ip6_net64(&address) != pin->net64 || session_peer_is_second(c, &pin->pk, pin->net64, t) ||
	    !pins_load(c, pin, t.real_ns))
		return false;
	p = session_peer_find(c, &pin->pk);
	if (p)
		session_peer_run_soon(c, p, t);
	return true;
}

static struct session_view view_of(const struct session_core *c, const struct session_peer *p, struct session_time t)
{
	struct session_view v = {.pk = p->pk,
				 .address = p->address,
				 .mode = session_peer_mode(c, p),
				 .policy = session_policy_of(c, p, t),
				 .pinned = session_peer_is_pinned(c, p, t),
				 .waiting = p->pending,
				 .wanted = is_recent(p->wanted, t.now),
				 .has_mode = p->has_mode,
				 .releasing = p->releasing};

	if (v.pinned)
		v.pin = *pins_find(c, p->net64);
	for (enum session_slot s = SESSION_SEND; s < SESSION_SLOTS; s++) {
		v.index[s] = p->keys[s] ? p->keys[s]->index.value : 0;
		v.made[s] = p->keys[s] ? p->keys[s]->made : MONO_NEVER;
	}
	v.capabilities = p->keys[SESSION_SEND] ? p->keys[SESSION_SEND]->capabilities : 0;
	return v;
}

void session_each(struct session_core *c, struct session_time t, void (*fn)(void *ctx, const struct session_view *v),
		  void *ctx)
{
	for (const struct session_peer *p = c->peers; p; p = p->hh.next) {
		const struct session_view v = view_of(c, p, t);

		fn(ctx, &v);
	}
}

bool session_find(const struct session_core *c, uint64_t net64, struct session_time t, struct session_view *out)
{
	const struct session_peer *p = session_peer_at(c, net64);

	if (p)
		*out = view_of(c, p, t);
	return p;
}

void session_each_pin(const struct session_core *c, void (*fn)(void *ctx, const struct session_pin *pin), void *ctx)
{
	for (const struct pin *p = c->pins; p; p = p->hh.next)
		fn(ctx, &p->pin);
}

const struct session_pin *session_find_pin(const struct session_core *c, uint64_t net64)
{
	return pins_find(c, net64);
}

struct session_load session_load(const struct session_core *c)
{
	struct session_load load = {.peers = HASH_COUNT(c->peers),
				    .pins = HASH_COUNT(c->pins),
				    .pending = c->pending_count,
				    .unconfirmed = c->unconfirmed};

	for (const struct session_peer *p = c->peers; p; p = p->hh.next)
		load.live += p->keys[SESSION_SEND] != NULL;
	return load;
}

uint64_t session_count(const struct session_core *c, enum session_counter what)
{
	return c->counts[what];
}
