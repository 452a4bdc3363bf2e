/* SPDX-License-Identifier: Apache-2.0 */
/* The slots of a peer. Two things move them: a RESP that was asked for, and the first packet under `next`. No secret
 * stays here: keys go to fastpath as they are made. */
#include "controld/session/core.h"

struct session_peer *session_index_find(const struct session_core *c, uint32_t value)
{
	struct session_index *x;

	HASH_FIND(hh, c->indices, &value, sizeof(value), x);
	return x ? x->peer : NULL;
}

void session_index_set(struct session_core *c, struct session_index *x, uint32_t value, struct session_peer *p)
{
	x->value = value;
	x->peer = p;
	HASH_ADD(hh, c->indices, value, sizeof(x->value), x);
}

void session_index_draw(struct session_core *c, struct session_index *x, struct session_peer *p)
{
	uint32_t value;

	session_index_del(c, x);
	do
		c->ops->random(c->ctx, &value, sizeof(value));
	while (value == 0 || session_index_find(c, value));
	session_index_set(c, x, value, p);
}

void session_index_del(struct session_core *c, struct session_index *x)
{
	if (!x->value)
		return;
	assert(c->indices);
	HASH_DEL(c->indices, x);
	x->value = 0;
}

enum session_slot session_keys_slot(const struct session_peer *p, uint32_t index)
{
	enum session_slot s = SESSION_SEND;

	while (s < SESSION_SLOTS && !(p->keys[s] && p->keys[s]->index.value == index))
		s++;
	return s;
}

bool session_keys_have_room(const struct session_core *c, const struct session_peer *p, struct session_time t)
{
	return !c->ops->has_room ||
	       c->ops->has_room(c->ctx, session_peer_is_live(p) || session_peer_is_pinned(c, p, t));
}

struct key *session_keys_make(struct session_core *c, bool initiator, const struct carrier_choice *far,
			      struct session_time t)
{
	struct key *k = core_alloc(sizeof(*k));

	k->far_index = far->sender;
	k->far_lanes = far->lanes;
	k->capabilities = far->capabilities & c->capabilities;
	k->initiator = initiator;
	k->made = t.now;
	k->end = mono_add_us(t.now, initiator ? KEY_LIFE_US : NEXT_LIFE_US);
	k->rekey = mono_add_us(t.now, initiator ? INITIATOR_REKEY_US + session_jitter_us(c, INITIATOR_REKEY_JITTER_US)
						: RESPONDER_REKEY_US + session_jitter_us(c, RESPONDER_REKEY_JITTER_US));
	return k;
}

void session_keys_drop(struct session_core *c, struct session_peer *p, enum session_slot slot)
{
	struct key *k = p->keys[slot];

	if (!k)
		return;
	c->ops->key_del(c->ctx, k->index.value);
	session_index_del(c, &k->index);
	c->unconfirmed -= slot == SESSION_NEXT;
	p->keys[slot] = NULL;
	free(k);
}

static void add(struct session_core *c, struct session_peer *p, enum session_slot slot, struct key *k,
		const struct session_secrets *s)
{
	const struct session_key told = {.pk = p->pk,
					 .address = p->address,
					 .index = k->index.value,
					 .far_index = k->far_index,
					 .far_lanes = k->far_lanes,
					 .capabilities = k->capabilities,
					 .initiator = k->initiator,
					 .slot = slot,
					 .made = k->made};

	p->keys[slot] = k;
	c->counts[SESSION_KEYS_MADE]++;
	c->ops->key_add(c->ctx, &told, s);
}

static void move(struct session_core *c, struct session_peer *p, enum session_slot from, enum session_slot to)
{
	struct key *k = p->keys[from];

	if (!k)
		return;
	assert(!p->keys[to]);
	p->keys[to] = k;
	p->keys[from] = NULL;
	c->ops->key_move(c->ctx, k->index.value, to);
}

/* Empties `send` for a confirmed key. */
static void push(struct session_core *c, struct session_peer *p, struct session_time t)
{
	session_keys_drop(c, p, SESSION_OLDEST);
	move(c, p, SESSION_OLD, SESSION_OLDEST);
	if (p->keys[SESSION_SEND])
		p->keys[SESSION_SEND]->end = mono_min(p->keys[SESSION_SEND]->end, mono_add_us(t.now, OLD_LIFE_US));
	move(c, p, SESSION_SEND, SESSION_OLD);
}

/* A key came to `send`. */
static void established(struct session_core *c, struct session_peer *p, bool renewed, struct session_time t)
{
	const bool pinned = session_peer_is_pinned(c, p, t);

	/* After a pin that ended the next one is a first one again. */
	if (!p->first_ns || (!renewed && !pinned))
		p->first_ns = t.real_ns;
	if (!pinned)
		p->grace = mono_add_us(t.now, GRACE_US);
	session_init_reset(p);
	session_keys_heard(c, p, t.now, t);
	session_tell(c, renewed ? SESSION_RENEWED : SESSION_ESTABLISHED, &p->pk, &p->address);
}

void session_keys_read(struct session_core *c, struct session_peer *p, struct key *k, const struct session_secrets *s,
		       struct session_time t)
{
	const bool renewed = p->keys[SESSION_SEND];

	push(c, p, t);
	add(c, p, SESSION_SEND, k, s);
	established(c, p, renewed, t);
}

void session_keys_offer(struct session_core *c, struct session_peer *p, struct key *k, const struct session_secrets *s)
{
	session_keys_drop(c, p, SESSION_NEXT);
	add(c, p, SESSION_NEXT, k, s);
	c->unconfirmed++;
}

void session_keys_confirm(struct session_core *c, struct session_peer *p, struct session_time t)
{
	struct key *k = p->keys[SESSION_NEXT];
	const bool renewed = p->keys[SESSION_SEND];

	push(c, p, t);
	k->end = mono_add_us(k->made, KEY_LIFE_US);
	move(c, p, SESSION_NEXT, SESSION_SEND);
	c->unconfirmed--;
	established(c, p, renewed, t);
}

void session_keys_found(struct session_core *c, struct session_peer *p, const struct session_key *found,
			struct session_time t)
{
	const struct carrier_choice far = {
		.sender = found->far_index, .lanes = found->far_lanes, .capabilities = found->capabilities};
	const struct session_time made = {.now = found->made, .real_ns = t.real_ns};
	struct key *k = session_keys_make(c, found->initiator, &far, made);

	k->end = mono_add_us(found->made, found->slot == SESSION_NEXT ? NEXT_LIFE_US : KEY_LIFE_US);
	if (found->slot == SESSION_OLD || found->slot == SESSION_OLDEST)
		k->end = mono_min(k->end, mono_add_us(t.now, OLD_LIFE_US));
	session_index_set(c, &k->index, found->index, p);
	p->keys[found->slot] = k;
	c->unconfirmed += found->slot == SESSION_NEXT;
}

void session_keys_linger(struct key *k, struct mono at)
{
	const struct mono end = mono_min(mono_add_us(k->made, KEY_LIFE_US), mono_add_us(at, OLD_LIFE_US));

	if (end.us > k->end.us)
		k->end = end;
}

void session_keys_heard(struct session_core *c, struct session_peer *p, struct mono at, struct session_time t)
{
	if (at.us > p->got.us)
		p->got = at;
	if (p->unanswered.us <= at.us)
		p->unanswered = MONO_NEVER;
	if (session_peer_mode(c, p) != SESSION_OFF && !p->releasing)
		pins_touch(c, p, t);
}

void session_keys_control(struct session_core *c, struct session_peer *p, enum carrier_control kind,
			  struct session_time t)
{
	const uint8_t body[CARRIER_CONTROL_BYTES] = {(uint8_t)kind};

	session_say(c, p, SESSION_CONTROL, body, sizeof(body));
	c->counts[SESSION_KEEPALIVES_SENT] += kind == CARRIER_KEEPALIVE;
	p->sent = t.now;
	p->owed = MONO_NEVER;
}

/* The last key that sent is gone. */
static void ended(struct session_core *c, struct session_peer *p)
{
	p->unanswered = p->owed = MONO_NEVER;
	session_init_reset(p);
	session_tell(c, SESSION_ENDED, &p->pk, &p->address);
}

void session_keys_lost(struct session_core *c, struct session_time t)
{
	struct session_peer *p, *next;

	HASH_ITER (hh, c->peers, p, next) {
		const bool live = p->keys[SESSION_SEND];

		for (enum session_slot s = SESSION_SEND; s < SESSION_SLOTS; s++)
			session_keys_drop(c, p, s);
		/* A clone of this machine may wait with the same ephemeral. */
		session_init_drop(c, p);
		session_init_reset(p);
		if (live)
			ended(c, p);
		session_peer_run(c, p, t);
	}
}

void session_key_lost(struct session_core *c, uint32_t index, struct session_time t)
{
	struct session_peer *p = session_index_find(c, index);
	const enum session_slot slot = p ? session_keys_slot(p, index) : SESSION_SLOTS;
	struct mono made;

	if (slot == SESSION_SLOTS)
		return;
	made = p->keys[slot]->made;
	session_keys_drop(c, p, slot);
	if (slot == SESSION_SEND) {
		ended(c, p);
		p->init_next = mono_add_us(made, LOST_GAP_US);
	}
	session_peer_run(c, p, t);
}

static struct mono wipe(struct session_core *c, struct session_peer *p, struct session_time t)
{
	const bool sent = p->keys[SESSION_SEND];
	struct mono due = MONO_NEVER;

	for (enum session_slot s = SESSION_SEND; s < SESSION_SLOTS; s++) {
		if (p->keys[s] && mono_is_due(p->keys[s]->end, t.now))
			session_keys_drop(c, p, s);
		if (p->keys[s])
			due = mono_min(due, p->keys[s]->end);
	}
	if (sent && !p->keys[SESSION_SEND])
		ended(c, p);
	return due;
}

struct mono session_keys_run(struct session_core *c, struct session_peer *p, struct session_time t)
{
	const struct mono due = wipe(c, p, t);

	if (!p->keys[SESSION_SEND] || p->owed.us == MONO_NEVER.us)
		return due;
	if (mono_is_due(mono_add_us(p->owed, KEEPALIVE_US), t.now)) {
		session_keys_control(c, p, CARRIER_KEEPALIVE, t);
		return due;
	}
	return mono_min(due, mono_add_us(p->owed, KEEPALIVE_US));
}

/* The last that was sealed and that was opened: what came before the other is answered by it. */
static void note(struct session_core *c, struct session_peer *p, struct mono sealed, struct mono opened,
		 struct session_time t)
{
	const bool has_sent = sealed.us > p->data_sent.us, has_got = opened.us > p->data_got.us;

	if (has_sent) {
		p->data_sent = sealed;
		p->sent = sealed.us > p->sent.us ? sealed : p->sent;
	}
	if (has_got) {
		p->data_got = opened;
		session_keys_heard(c, p, opened, t);
	}
	if (p->owed.us <= p->sent.us)
		p->owed = MONO_NEVER;
	if (has_sent && p->unanswered.us == MONO_NEVER.us && sealed.us > p->got.us)
		p->unanswered = sealed;
	if (has_got && p->owed.us == MONO_NEVER.us && opened.us > p->sent.us)
		p->owed = opened;
}

void session_use(struct session_core *c, const struct session_use *use, struct session_time t)
{
	const struct mono sealed = use->sealed.us ? mono_min(use->sealed, t.now) : MONO_LONG_AGO;
	const struct mono opened = use->opened.us ? mono_min(use->opened, t.now) : MONO_LONG_AGO;
	struct session_peer *p = session_index_find(c, use->index);
	const enum session_slot slot = p ? session_keys_slot(p, use->index) : SESSION_SLOTS;
	struct key *k;

	if (slot == SESSION_SLOTS)
		return;
	k = p->keys[slot];
	k->bytes = use->bytes > k->bytes ? use->bytes : k->bytes;
	k->lane_top = use->lane_top > k->lane_top ? use->lane_top : k->lane_top;
	if (slot == SESSION_OLD || slot == SESSION_OLDEST)
		session_keys_linger(k, opened);
	if (slot != SESSION_NEXT)
		note(c, p, sealed, opened, t);
	session_peer_run(c, p, t);
}

void session_confirmed(struct session_core *c, uint32_t index, struct session_time t)
{
	struct session_peer *p = session_index_find(c, index);

	if (!p || session_keys_slot(p, index) != SESSION_NEXT)
		return;
	session_keys_confirm(c, p, t);
	session_peer_run(c, p, t);
}
