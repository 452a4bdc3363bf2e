/* SPDX-License-Identifier: Apache-2.0 */
/* What others may see of the keyring, each /64 once: the peers of the session core, then those that only a pin knows,
 * then those that only use the static key. */
#include "controld/keyring_private.h"

#define NS_PER_S INT64_C(1000000000)

typedef void give_fn(void *ctx, const struct keyring_view *v);

struct walk {
	struct keyring *k;
	give_fn *give;
	void *ctx;
};

/* The rest of a view whose session part stands. */
static void give(const struct walk *w, struct keyring_view *v)
{
	const uint64_t net64 = ip6_net64(&v->session.address);
	const struct keyring_history *h = keyring_log_find(w->k, net64);
	const struct keyring_account *a = keyring_static_find(w->k, net64);

	v->since = MONO_NEVER;
	v->has_mode = v->session.has_mode;
	v->releasing = v->session.releasing;
	if (v->session.pinned)
		v->pin_end_s = session_pin_end_ns(&v->session.pin) / NS_PER_S;
	if (h) {
		v->refused_static = h->refused_static;
		v->second_keys = h->second_keys;
	}
	if (h && v->session.index[SESSION_SEND]) {
		v->since = h->since;
		v->renewals = h->renewals;
		v->sealed_packets = h->counts.sealed_packets;
		v->sealed_bytes = h->counts.sealed_bytes;
		v->opened_packets = h->counts.opened_packets;
		v->opened_bytes = h->counts.opened_bytes;
	}
	if (a && pubkey_eq(&a->pk, &v->session.pk)) {
		v->static_sealed = a->sealed;
		v->static_opened = a->opened;
	}
	w->give(w->ctx, v);
}

static void give_peer(void *ctx, const struct session_view *s)
{
	struct keyring_view v = {.session = *s, .known = true};

	give(ctx, &v);
}

/* One that is no peer of the core. */
static void give_other(const struct walk *w, const struct pubkey *pk, const struct session_pin *pin)
{
	struct keyring_view v = {.session = {.pk = *pk, .mode = w->k->mode}, .known = pin};

	w->k->network->address(pk, &v.session.address);
	v.session.policy = session_policy(w->k->core, pk, w->k->t);
	for (int s = 0; s < SESSION_SLOTS; s++)
		v.session.made[s] = MONO_NEVER;
	if (pin) {
		v.session.pinned = true;
		v.session.pin = *pin;
	}
	give(w, &v);
}

/* The pin of a /64, if it holds. */
static const struct session_pin *pin_of(const struct keyring *k, uint64_t net64)
{
	const struct session_pin *pin = session_find_pin(k->core, net64);

	return pin && session_pin_end_ns(pin) >= k->t.real_ns ? pin : NULL;
}

static bool is_peer(const struct keyring *k, uint64_t net64)
{
	struct session_view v;

	return session_find(k->core, net64, k->t, &v);
}

static void give_pin(void *ctx, const struct session_pin *pin)
{
	const struct walk *w = ctx;

	if (pin_of(w->k, pin->net64) && !is_peer(w->k, pin->net64))
		give_other(w, &pin->pk, pin);
}

void keyring_each(struct keyring *k, struct session_time t, give_fn *fn, void *ctx)
{
	struct walk w = {.k = k, .give = fn, .ctx = ctx};
	struct keyring_account *a, *next;

	k->t = t;
	session_each(k->core, t, give_peer, &w);
	session_each_pin(k->core, give_pin, &w);
	HASH_ITER (hh, k->accounts, a, next)
		if (!is_peer(k, a->net64) && !pin_of(k, a->net64))
			give_other(&w, &a->pk, NULL);
}

bool keyring_find(struct keyring *k, uint64_t net64, struct session_time t, give_fn *fn, void *ctx)
{
	struct walk w = {.k = k, .give = fn, .ctx = ctx};
	const struct keyring_account *a = keyring_static_find(k, net64);
	const struct session_pin *pin;
	struct session_view s;

	k->t = t;
	pin = pin_of(k, net64);
	if (session_find(k->core, net64, t, &s))
		give_peer(&w, &s);
	else if (pin)
		give_other(&w, &pin->pk, pin);
	else if (a)
		give_other(&w, &a->pk, NULL);
	else
		return false;
	return true;
}

static void sum_up(void *ctx, const struct keyring_view *v)
{
	struct keyring_totals *sum = ctx;

	sum->peers += v->known;
	sum->live += v->session.index[SESSION_SEND] != 0;
	sum->pins += v->session.pinned;
	sum->waiting += v->session.waiting;
	sum->held += v->known && v->session.policy.way == SESSION_BY_NONE;
	sum->idle += v->known && keyring_is_idle(v);
	sum->static_only += v->static_sealed + v->static_opened > 0 && v->session.policy.way == SESSION_BY_STATIC;
}

struct keyring_totals keyring_totals(struct keyring *k, struct session_time t)
{
	struct keyring_totals sum = {.refused_static = session_count(k->core, SESSION_STATIC_REFUSED),
				     .second_keys = session_count(k->core, SESSION_SECOND_KEYS)};

	keyring_each(k, t, sum_up, &sum);
	for (uint32_t row = 0; row < LIMIT_SESSION_ROWS; row++)
		sum.rows += k->row_used[row];
	return sum;
}

uint64_t keyring_count(const struct keyring *k, enum session_counter what)
{
	return session_count(k->core, what);
}

enum session_mode keyring_mode(const struct keyring *k)
{
	return k->mode;
}

bool keyring_has_network_key(const struct keyring *k)
{
	return k->has_network_key;
}
