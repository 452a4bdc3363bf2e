/* SPDX-License-Identifier: Apache-2.0 */
/* Life of the keyring, what the session core asks for, and what fastpath and store tell. */
#define LOG_MODULE "keyring"
#include "controld/keyring_private.h"
#include <assert.h>

enum { HOP_LIMIT = 64 };

bool keyring_fits(const struct keyring *k, uint64_t net64, const struct pubkey *pk)
{
	struct ip6 address;

	k->network->address(pk, &address);
	return ip6_net64(&address) == net64;
}

static void on_send(void *ctx, const struct session_out *out)
{
	struct keyring *k = ctx;
	const struct ctl_user_down u = {
		.src = k->address, .dst = out->dst, .session = out->index, .type = out->type, .hop_limit = HOP_LIMIT};

	if (k->running)
		k->ops->user(k->ctx, &u, out->bytes, out->len);
}

static void on_random(void *ctx, void *out, size_t len)
{
	struct keyring *k = ctx;

	k->ops->random(k->ctx, out, len);
}

void keyring_send_policy(struct keyring *k, const struct pubkey *pk, uint64_t net64, struct session_policy policy)
{
	struct ctl_policy p = {
		.net64 = net64, .way = (uint8_t)keyring_way(policy.way), .refuse_static = policy.refuse_static};

	memcpy(p.public_key, pk->b, sizeof(p.public_key));
	if (k->running)
		k->ops->policy(k->ctx, &p);
}

static void on_policy(void *ctx, const struct pubkey *pk, uint64_t net64, struct session_policy policy)
{
	keyring_send_policy(ctx, pk, net64, policy);
}

static void on_pin_set(void *ctx, const struct session_pin *pin)
{
	struct keyring *k = ctx;
	struct record_pin p = {.net64 = pin->net64, .first_ns = pin->first_ns, .last_ns = pin->last_ns};

	memcpy(p.public_key, pin->pk.b, sizeof(p.public_key));
	k->ops->pin_set(k->ctx, &p);
}

static void on_pin_del(void *ctx, uint64_t net64)
{
	struct keyring *k = ctx;

	k->ops->pin_del(k->ctx, net64);
}

static void on_event(void *ctx, const struct session_event *event)
{
	struct keyring *k = ctx;

	if (keyring_log_event(k, event))
		k->ops->event(k->ctx, event);
}

struct keyring *keyring_new(const struct keyring_config *c, const struct keyring_ops *ops, void *ctx,
			    struct session_time t)
{
	static const struct session_ops core_ops = {.send = on_send,
						    .random = on_random,
						    .key_add = keyring_rows_add,
						    .key_move = keyring_rows_move,
						    .key_del = keyring_rows_del,
						    .has_room = keyring_rows_have_room,
						    .policy = on_policy,
						    .pin_set = on_pin_set,
						    .pin_del = on_pin_del,
						    .event = on_event};
	const struct session_config core = {.network = c->network,
					    .pk = c->pk,
					    .sk = c->sk,
					    .mode = c->mode,
					    .lanes = LIMIT_SESSION_LANES,
					    .network_keys = c->network_keys,
					    .network_key_count = c->network_key_count};
	struct keyring *k = keyring_alloc(sizeof(*k));

	k->ops = ops;
	k->ctx = ctx;
	k->network = c->network;
	k->network->address(&c->pk, &k->address);
	k->has_network_key = c->network_key_count > 0;
	k->mode = k->has_network_key ? SESSION_REQUIRE : c->mode;
	k->t = t;
	k->sessions = k->releases = k->downgrades = k->seconds = k->mismatches = k->statics = LOG_LIMIT(1000, 32);
	k->refusals = LOG_LIMIT(60000, 8);
	k->core = session_new(&core, &core_ops, k, t);
	return k;
}

void keyring_free(struct keyring *k)
{
	if (!k)
		return;
	session_free(k->core);
	keyring_rows_fini(k);
	keyring_log_fini(k);
	keyring_static_fini(k);
	free(k);
}

void keyring_found_pin(struct keyring *k, const struct record_pin *p, struct session_time t)
{
	struct session_pin pin = {.net64 = p->net64, .first_ns = p->first_ns, .last_ns = p->last_ns};
	char hex[KEYRING_HEX_BYTES];

	k->t = t;
	memcpy(pin.pk.b, p->public_key, sizeof(pin.pk.b));
	if (session_found_pin(k->core, &pin, t))
		return;
	log_warn("a stored pin does not hold, it is dropped pk=%s", keyring_log_hex(&pin.pk, hex));
	k->ops->pin_del(k->ctx, p->net64);
}

static bool mode_is_good(const struct keyring *k, const struct record_mode *m, const struct pubkey *pk)
{
	return m->mode <= SESSION_REQUIRE && (!k->has_network_key || m->mode == SESSION_REQUIRE) &&
	       keyring_fits(k, m->net64, pk);
}

void keyring_found_mode(struct keyring *k, const struct record_mode *m, struct session_time t)
{
	const struct session_setting s = {.has_mode = true, .mode = (enum session_mode)m->mode};
	char hex[KEYRING_HEX_BYTES];
	struct pubkey pk;

	k->t = t;
	memcpy(pk.b, m->public_key, sizeof(pk.b));
	if (mode_is_good(k, m, &pk) && session_set_peer(k->core, &pk, &s, t) == 0)
		return;
	log_warn("the stored session mode of a peer does not fit any more, it is dropped pk=%s",
		 keyring_log_hex(&pk, hex));
	k->ops->mode_del(k->ctx, m->net64);
}

void keyring_start(struct keyring *k, struct session_time t)
{
	k->t = t;
	k->running = true;
	keyring_rows_start(k);
	keyring_static_start(k);
}

void keyring_fastpath_lost(struct keyring *k, struct session_time t)
{
	k->t = t;
	k->running = false;
	keyring_rows_forget(k);
	keyring_static_forget(k);
	session_keys_lost(k->core, t);
}

void keyring_raise_generation(struct keyring *k, struct session_time t)
{
	k->t = t;
	k->raises = !k->lanes;
	if (k->raises)
		return;
	__atomic_add_fetch(&k->lanes->header.generation, 1, __ATOMIC_RELEASE);
	keyring_rows_tick(k);
}

static void on_want(struct keyring *k, const struct ctl_session_want *w)
{
	struct pubkey pk;

	memcpy(pk.b, w->public_key, sizeof(pk.b));
	if (keyring_fits(k, w->net64, &pk))
		session_want(k->core, &pk, k->t);
}

static void on_stray(struct keyring *k, const struct ctl_session_stray *s)
{
	struct pubkey pk;

	memcpy(pk.b, s->public_key, sizeof(pk.b));
	if (keyring_fits(k, s->net64, &pk))
		session_stray(k->core, &pk, s->index, s->sealed_bytes, k->t);
}

static void on_refused(struct keyring *k, const struct ctl_session_refused *r)
{
	struct pubkey pk;

	memcpy(pk.b, r->public_key, sizeof(pk.b));
	if (!keyring_fits(k, r->net64, &pk))
		return;
	/* It was refused by a policy of before: perhaps the new one crossed, perhaps it got lost with its key. */
	if (session_static(k->core, &pk, r->bytes, k->t))
		keyring_send_policy(k, &pk, r->net64, session_policy(k->core, &pk, k->t));
}

void keyring_on_record(struct keyring *k, enum ctl_type type, const void *body, struct session_time t)
{
	k->t = t;
	if (!k->running)
		return;
	switch (type) {
	case CTL_SESSION_WANT:
		on_want(k, body);
		break;
	case CTL_SESSION_STRAY:
		on_stray(k, body);
		break;
	case CTL_SESSION_REFUSED:
		on_refused(k, body);
		break;
	case CTL_SESSION_CONFIRMED:
		session_confirmed(k->core, ((const struct ctl_session_confirmed *)body)->index, t);
		break;
	case CTL_SESSION_USE:
		keyring_rows_use(k, body);
		break;
	case CTL_SESSION_GONE:
		keyring_rows_gone(k, body);
		break;
	case CTL_KEY_INFO:
		keyring_static_told(k, body);
		break;
	default:
		break;
	}
}

void keyring_on_packet(struct keyring *k, const struct ctl_user_up *u, const uint8_t *bytes, size_t len,
		       struct session_time t)
{
	struct session_packet p = {
		.type = u->type, .src = u->src, .dst = u->dst, .index = u->session, .bytes = bytes, .len = len};

	k->t = t;
	memcpy(p.pk.b, u->public_key, sizeof(p.pk.b));
	if (k->running)
		session_packet(k->core, &p, t);
}

bool keyring_may_take(struct keyring *k, const struct ctl_user_up *u, size_t len, struct session_time t)
{
	struct pubkey pk;

	k->t = t;
	memcpy(pk.b, u->public_key, sizeof(pk.b));
	return u->session != 0 || session_static(k->core, &pk, len, t);
}

void keyring_fill(struct keyring *k, struct ctl_key *key, struct session_time t)
{
	struct session_policy policy;
	struct session_view v;
	struct pubkey pk;

	memcpy(pk.b, key->public_key, sizeof(pk.b));
	policy = session_policy(k->core, &pk, t);
	key->way = (uint8_t)keyring_way(policy.way);
	key->refuse_static = policy.refuse_static;
	key->session = 0;
	if (session_find(k->core, key->net64, t, &v) && pubkey_eq(&v.pk, &pk))
		key->session = v.index[SESSION_SEND];
}

bool keyring_may_learn(struct keyring *k, uint64_t net64, const struct pubkey *pk, struct session_time t)
{
	k->t = t;
	return keyring_fits(k, net64, pk) && session_may_have(k->core, pk, t);
}

struct mono keyring_tick(struct keyring *k, struct session_time t)
{
	k->t = t;
	if (!k->running)
		return MONO_NEVER;
	keyring_rows_tick(k);
	return session_tick(k->core, t);
}
