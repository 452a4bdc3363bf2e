/* SPDX-License-Identifier: Apache-2.0 */
/* What the user may ask for: release, unpin, the mode of a peer. */
#include "controld/keyring_private.h"
#include <errno.h>

/* Has it a session, or a pin, even one that ended? */
static bool is_bound(const struct keyring *k, const struct session_view *v)
{
	return v->index[SESSION_SEND] || v->index[SESSION_OLD] || v->index[SESSION_OLDEST] ||
	       session_find_pin(k->core, ip6_net64(&v->address));
}

struct bound {
	const struct keyring *k;
	struct pubkey *pks; /* owned */
	size_t count, room;
};

static void take(struct bound *b, const struct pubkey *pk)
{
	if (b->count == b->room) {
		b->room = b->room ? 2 * b->room : 64;
		b->pks = realloc(b->pks, b->room * sizeof(*b->pks));
		if (!b->pks)
			abort();
	}
	b->pks[b->count++] = *pk;
}

static void take_peer(void *ctx, const struct keyring_view *v)
{
	struct bound *b = ctx;

	if (v->known && (v->session.pinned || is_bound(b->k, &v->session)))
		take(b, &v->session.pk);
}

size_t keyring_release_all(struct keyring *k, struct session_time t)
{
	const struct session_setting off = {.has_mode = true, .mode = SESSION_OFF};
	struct bound b = {.k = k};
	size_t told = 0;

	k->t = t;
	k->mode = SESSION_OFF;
	session_set_mode(k->core, SESSION_OFF, t);
	keyring_each(k, t, take_peer, &b);
	for (size_t i = 0; i < b.count; i++) {
		/* Its own mode, if it has one, stays in the store for the day when we are back. */
		if (session_set_peer(k->core, &b.pks[i], &off, t) == 0)
			told += session_release(k->core, &b.pks[i], t) == 0;
	}
	free(b.pks);
	return told;
}

/* Who has the /64 by a place in the core or by a pin. */
static bool owner_of(struct keyring *k, uint64_t net64, struct pubkey *out)
{
	const struct session_pin *pin = session_find_pin(k->core, net64);
	struct session_view v;

	if (session_find(k->core, net64, k->t, &v) && (is_bound(k, &v) || v.has_mode || !pin)) {
		*out = v.pk;
		return true;
	}
	if (pin)
		*out = pin->pk;
	return pin;
}

static int set_mode(struct keyring *k, uint64_t net64, const struct pubkey *pk, enum session_mode mode)
{
	const struct session_setting s = {.has_mode = true, .mode = mode};
	struct record_mode m = {.net64 = net64, .mode = (uint8_t)mode};
	const int bad = session_set_peer(k->core, pk, &s, k->t);

	if (bad)
		return bad;
	memcpy(m.public_key, pk->b, sizeof(m.public_key));
	k->ops->mode_set(k->ctx, &m);
	return 0;
}

int keyring_release(struct keyring *k, uint64_t net64, struct session_time t)
{
	struct session_view v;
	struct pubkey pk;
	int bad;

	k->t = t;
	if (!owner_of(k, net64, &pk))
		return -ENOENT;
	if (!session_find_pin(k->core, net64) && !(session_find(k->core, net64, t, &v) && is_bound(k, &v)))
		return -ENOENT;
	bad = set_mode(k, net64, &pk, SESSION_OFF);
	return bad ? bad : session_release(k->core, &pk, t);
}

int keyring_unpin(struct keyring *k, uint64_t net64, struct session_time t)
{
	k->t = t;
	return session_unpin(k->core, net64, t) ? 0 : -ENOENT;
}

static int clear_mode(struct keyring *k, uint64_t net64)
{
	struct session_view v;
	struct pubkey pk;
	int bad;

	if (!session_find(k->core, net64, k->t, &v) || !v.has_mode)
		return owner_of(k, net64, &pk) || k->ops->key_of(k->ctx, net64, &pk) ? 0 : -ENOENT;
	bad = session_set_peer(k->core, &v.pk, NULL, k->t);
	if (!bad)
		k->ops->mode_del(k->ctx, net64);
	return bad;
}

int keyring_set_mode(struct keyring *k, uint64_t net64, const enum session_mode *mode, struct session_time t)
{
	struct pubkey pk;

	k->t = t;
	if (!mode)
		return clear_mode(k, net64);
	if (k->has_network_key && *mode != SESSION_REQUIRE)
		return -EPERM;
	if (!(k->ops->key_of(k->ctx, net64, &pk) && keyring_fits(k, net64, &pk)) && !owner_of(k, net64, &pk))
		return -ENOENT;
	return set_mode(k, net64, &pk, *mode);
}
