/* SPDX-License-Identifier: Apache-2.0 */
/* The table of peers, by /64: who has a place in it, and the one clock of each. */
#include "controld/session/core.h"

struct session_peer *session_peer_at(const struct session_core *c, uint64_t net64)
{
	struct session_peer *p;

	HASH_FIND(hh, c->peers, &net64, sizeof(net64), p);
	return p;
}

struct session_peer *session_peer_find(const struct session_core *c, const struct pubkey *pk)
{
	struct session_peer *p;
	struct ip6 address;

	c->network->address(pk, &address);
	p = session_peer_at(c, ip6_net64(&address));
	return p && pubkey_eq(&p->pk, pk) ? p : NULL;
}

bool session_peer_is_pinned(const struct session_core *c, const struct session_peer *p, struct session_time t)
{
	const struct session_pin *pin = pins_find(c, p->net64);

	return pin && pubkey_eq(&pin->pk, &p->pk) && pins_holds(pin, t.real_ns);
}

bool session_peer_is_live(const struct session_peer *p)
{
	return p->keys[SESSION_SEND] || p->keys[SESSION_OLD] || p->keys[SESSION_OLDEST];
}

enum session_mode session_peer_mode(const struct session_core *c, const struct session_peer *p)
{
	const enum session_mode mode = p && p->has_mode ? p->mode : c->mode;

	return mode == SESSION_OPPORTUNISTIC && c->network_keys ? SESSION_REQUIRE : mode;
}

struct handshake_psks session_peer_psks(const struct session_core *c, const struct session_peer *p)
{
	struct handshake_psks psks = {.psk = {p->psk}, .count = 1};

	if (p->psk)
		return psks;
	psks.psk[0] = &c->vault->zeros;
	for (uint8_t i = 0; i < c->network_keys; i++)
		psks.psk[i] = &c->vault->network[i];
	if (c->network_keys)
		psks.count = c->network_keys;
	return psks;
}

static enum peer_class class_of(const struct session_core *c, const struct session_peer *p, struct session_time t)
{
	if (session_peer_is_live(p) || p->has_mode || p->psk || p->releasing)
		return PEER_KEPT;
	return session_peer_is_pinned(c, p, t) ? PEER_PINNED : PEER_LOOSE;
}

/* To the end of its class: used just now. */
static void use(struct session_core *c, struct session_peer *p, enum peer_class class)
{
	DL_DELETE(c->classes[p->class], p);
	p->class = class;
	DL_APPEND(c->classes[p->class], p);
}

bool session_peer_is_second(const struct session_core *c, const struct pubkey *pk, uint64_t net64,
			    struct session_time t)
{
	const struct session_peer *p = session_peer_at(c, net64);
	const struct session_pin *pin = pins_find(c, net64);

	if (net64 == ip6_net64(&c->address))
		return !pubkey_eq(pk, &c->self.pk);
	if (p && !pubkey_eq(&p->pk, pk) && class_of(c, p, t) != PEER_LOOSE)
		return true;
	return pin && !pubkey_eq(&pin->pk, pk) && pins_holds(pin, t.real_ns);
}

static bool may_have(struct session_core *c, const struct pubkey *pk, const struct ip6 *address, struct session_time t)
{
	if (!session_peer_is_second(c, pk, ip6_net64(address), t))
		return true;
	c->counts[SESSION_SECOND_KEYS]++;
	session_tell(c, SESSION_SECOND_KEY, pk, address);
	return false;
}

bool session_may_have(struct session_core *c, const struct pubkey *pk, struct session_time t)
{
	struct ip6 address;

	c->network->address(pk, &address);
	return may_have(c, pk, &address, t);
}

static bool make_room(struct session_core *c)
{
	if (HASH_COUNT(c->peers) < c->limits.peers)
		return true;
	for (int class = PEER_LOOSE; class <= PEER_PINNED; class ++) {
		if (!c->classes[class])
			continue;
		session_peer_free(c, c->classes[class]);
		return true;
	}
	c->counts[SESSION_PEERS_FULL]++;
	return false;
}

static struct session_peer *add(struct session_core *c, const struct pubkey *pk, const struct ip6 *address,
				struct session_time t)
{
	struct session_peer *p = core_alloc(sizeof(*p));

	p->net64 = ip6_net64(address);
	p->pk = *pk;
	p->address = *address;
	p->tokens = bucket_full(1, PEER_BURST, t.now);
	p->wanted = p->asked = p->data_sent = p->data_got = p->sent = p->got = MONO_LONG_AGO;
	p->cookie_next = p->init_next = p->alarm_next = p->hint_next = p->grace = MONO_LONG_AGO;
	p->unanswered = p->owed = MONO_NEVER;
	p->class = PEER_LOOSE;
	DL_APPEND(c->classes[p->class], p);
	HASH_ADD(hh, c->peers, net64, sizeof(p->net64), p);
	return p;
}

struct session_peer *session_peer_get(struct session_core *c, const struct pubkey *pk, struct session_time t)
{
	struct session_peer *p;
	struct ip6 address;

	if (pubkey_eq(pk, &c->self.pk)) {
		c->counts[SESSION_ADDRESS]++;
		return NULL;
	}
	c->network->address(pk, &address);
	if (!may_have(c, pk, &address, t))
		return NULL;
	p = session_peer_at(c, ip6_net64(&address));
	if (p && pubkey_eq(&p->pk, pk)) {
		use(c, p, p->class);
		return p;
	}
	if (p)
		session_peer_free(c, p);
	return make_room(c) ? add(c, pk, &address, t) : NULL;
}

void session_peer_free(struct session_core *c, struct session_peer *p)
{
	for (enum session_slot s = SESSION_SEND; s < SESSION_SLOTS; s++)
		session_keys_drop(c, p, s);
	session_init_drop(c, p);
	sodium_free(p->psk);
	heap_del(&c->due, &p->due);
	DL_DELETE(c->classes[p->class], p);
	HASH_DEL(c->peers, p);
	free(p);
}

void session_peer_run(struct session_core *c, struct session_peer *p, struct session_time t)
{
	struct mono due = session_keys_run(c, p, t);
	enum peer_class class;

	due = mono_min(due, session_release_run(c, p, t));
	due = mono_min(due, session_init_run(c, p, t));
	due = mono_min(due, session_policy_run(c, p, t));
	class = class_of(c, p, t);
	if (class != p->class)
		use(c, p, class);
	assert(due.us > t.now.us);
	if (due.us == MONO_NEVER.us)
		heap_del(&c->due, &p->due);
	else
		heap_set(&c->due, &p->due, due.us);
}

void session_peer_run_soon(struct session_core *c, struct session_peer *p, struct session_time t)
{
	heap_set(&c->due, &p->due, t.now.us);
}
