/* SPDX-License-Identifier: Apache-2.0 */
/* The session core's outside: life and death, packets in and out, settings, adoption, the clock, and what others may
 * read. */
#include "controld/session/session.h"
#include "controld/session/core.h"
#include <errno.h>

bool session_is_possible(void)
{
	return noise_is_available();
}

static void vault_init(struct session_core *c)
{
	const size_t bytes = sizeof(*c->vault) + c->limits.pending * sizeof(c->vault->pending[0]);

	c->vault = sodium_malloc(bytes);
	if (!c->vault)
		abort();
	memset(c->vault, 0, bytes);
	for (uint32_t i = 0; i < c->limits.pending; i++)
		DL_APPEND(c->pending_free, &c->vault->pending[i]);
}

static uint32_t limit(uint32_t given, uint32_t otherwise)
{
	return given ? given : otherwise;
}

struct session_core *session_new(const struct session_config *config, const struct session_ops *ops, void *ctx,
				 struct session_time t)
{
	struct session_core *c = core_alloc(sizeof(*c));

	assert(noise_is_available());
	assert(config->lanes >= 1 && config->lanes <= SESSION_LANES_MAX);
	c->ops = ops;
	c->ctx = ctx;
	c->network = config->network;
	c->self = (struct handshake_self){.sk = config->sk, .pk = config->pk};
	c->network->address(&config->pk, &c->address);
	c->lanes = config->lanes;
	c->capabilities = config->capabilities;
	c->limits.peers = limit(config->limits.peers, SESSION_LIMIT_PEERS);
	c->limits.pins = limit(config->limits.pins, SESSION_LIMIT_PINS);
	c->limits.pending = limit(config->limits.pending, SESSION_LIMIT_PENDING);
	c->limits.unconfirmed = limit(config->limits.unconfirmed, SESSION_LIMIT_UNCONFIRMED);
	c->pinned_tokens = bucket_full(CLASS_PER_SECOND, CLASS_PER_SECOND, t.now);
	c->other_tokens = bucket_full(CLASS_PER_SECOND, CLASS_PER_SECOND, t.now);
	c->hint_tokens = bucket_full(HINTS_PER_SECOND, HINTS_PER_SECOND, t.now);
	vault_init(c);
	c->mode = config->mode;
	session_set_network_keys(c, config->network_keys, config->network_key_count, t);
	if (c->network_keys)
		c->mode = SESSION_REQUIRE;
	return c;
}

/* For the end: keys stay in fastpath, where the next life finds them. */
static void ignore_key(void *ctx, uint32_t index)
{
	(void)ctx;
	(void)index;
}

void session_free(struct session_core *c)
{
	static const struct session_ops silent = {.key_del = ignore_key};
	struct session_peer *p, *next;

	if (!c)
		return;
	c->ops = &silent;
	HASH_ITER (hh, c->peers, p, next)
		session_peer_free(c, p);
	pins_fini(c);
	heap_fini(&c->due);
	sodium_free(c->vault);
	free(c);
}

int64_t session_jitter_us(struct session_core *c, int64_t below_us)
{
	uint32_t dice;

	c->ops->random(c->ctx, &dice, sizeof(dice));
	return (int64_t)(dice % (uint64_t)below_us);
}

void session_say(struct session_core *c, const struct session_peer *p, enum session_type type, const uint8_t *bytes,
		 size_t len)
{
	const bool keyed = type == SESSION_CONTROL;
	const struct session_out out = {.type = (uint8_t)type,
					.dst = p->address,
					.pk = p->pk,
					.index = keyed ? p->keys[SESSION_SEND]->index.value : 0,
					.bytes = bytes,
					.len = len};

	c->ops->send(c->ctx, &out);
}

void session_tell(struct session_core *c, enum session_event_kind kind, const struct pubkey *pk,
		  const struct ip6 *address)
{
	const struct session_event event = {.kind = kind, .pk = *pk, .address = *address};

	c->ops->event(c->ctx, &event);
}

/* In a session of this very peer. */
static void on_control(struct session_core *c, struct session_peer *p, const struct session_packet *in,
		       struct session_time t)
{
	const enum session_slot slot = session_keys_slot(p, in->index);

	if (slot == SESSION_NEXT)
		session_keys_confirm(c, p, t);
	else if (slot != SESSION_SEND)
		session_keys_linger(p->keys[slot], t.now);
	if (in->bytes[0] == CARRIER_RELEASE)
		session_release_now(c, p);
	else
		session_keys_heard(c, p, t.now, t);
	session_peer_run(c, p, t);
}

/* CONTROL under a key of this peer, the others under the static one. */
static bool key_kind_is_right(const struct session_packet *in, const struct session_peer *p)
{
	if (in->type != SESSION_CONTROL)
		return in->index == 0;
	return in->index != 0 && p && session_keys_slot(p, in->index) != SESSION_SLOTS;
}

static bool addresses_are_exact(const struct session_core *c, const struct session_packet *in)
{
	struct ip6 from;

	c->network->address(&in->pk, &from);
	return ip6_eq(&in->src, &from) && ip6_eq(&in->dst, &c->address);
}

/* What every body must satisfy; SESSION_COUNTERS: it does. */
static enum session_counter judge(const struct session_core *c, const struct session_packet *in,
				  const struct session_peer *p)
{
	if (in->type < SESSION_INIT || in->type > SESSION_CONTROL)
		return SESSION_TYPE_UNKNOWN;
	if (!key_kind_is_right(in, p))
		return SESSION_KEY_KIND;
	if (!addresses_are_exact(c, in))
		return SESSION_ADDRESS;
	if (!carrier_length_is_good(in->type, in->len))
		return SESSION_LENGTH;
	return SESSION_COUNTERS;
}

void session_packet(struct session_core *c, const struct session_packet *in, struct session_time t)
{
	struct session_peer *p = session_peer_find(c, &in->pk);
	const enum session_counter wrong = judge(c, in, p);

	if (wrong != SESSION_COUNTERS) {
		c->counts[wrong]++;
		return;
	}
	switch ((enum session_type)in->type) {
	case SESSION_INIT:
		session_resp_init(c, in, t);
		break;
	case SESSION_RESP:
		session_init_resp(c, p, in, t);
		break;
	case SESSION_COOKIE:
		session_init_cookie(c, p, in, t);
		break;
	case SESSION_HINT:
		session_init_hint(c, p, in, t);
		break;
	case SESSION_CONTROL:
		on_control(c, p, in, t);
		break;
	}
}

#define DUE_OF(n) ((struct session_peer *)(void *)((char *)(n)-offsetof(struct session_peer, due)))

struct mono session_tick(struct session_core *c, struct session_time t)
{
	struct heap_node *first;

	while ((first = heap_first(&c->due)) && first->value <= t.now.us)
		session_peer_run(c, DUE_OF(first), t);
	return first ? (struct mono){.us = first->value} : MONO_NEVER;
}
