/* SPDX-License-Identifier: Apache-2.0 */
/* Strangers' packets into a session core. The input is a script: one byte says what happens. Bodies come raw, or from
 * far nodes that shake hands truly, but for the fields and the bit that the script spoils; what the core said last can
 * be answered. What must hold: slots are emptied before they are filled and filled only by handshakes, the policy fits
 * the slots, bodies have their lengths, tables their caps, and time goes on. */
#include "controld/session/carrier.h"
#include "controld/session/session.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	NODES = 4, /* the first is ours */
	KEYS = 32,
	PEERS = 2,
	PINS = 2,
	PENDING = 2,
	UNCONFIRMED = 2,
};

struct node {
	struct privkey sk;
	struct pubkey pk;
	struct ip6 address;
};

struct world {
	struct session_core *c;
	struct session_time t;
	struct session_key keys[KEYS]; /* index 0: none */
	uint8_t init[NODES][CARRIER_INIT_BYTES]; /* said last to each */
	bool has_init[NODES];
	uint8_t cookie[NODES][CARRIER_COOKIE_BYTES];
	uint32_t dice;
	bool full; /* no room for one more key */
};

static struct node nodes[NODES];

static size_t number_of(const struct pubkey *pk)
{
	size_t i = 0;

	while (!pubkey_eq(&nodes[i].pk, pk))
		i++;
	assert(i < NODES);
	return i;
}

static struct session_key *key_find(struct world *w, uint32_t index)
{
	for (int i = 0; i < KEYS; i++)
		if (w->keys[i].index == index)
			return &w->keys[i];
	return NULL;
}

static struct session_key *key_at(struct world *w, const struct pubkey *pk, enum session_slot slot)
{
	for (int i = 0; i < KEYS; i++)
		if (w->keys[i].index && w->keys[i].slot == slot && pubkey_eq(&w->keys[i].pk, pk))
			return &w->keys[i];
	return NULL;
}

static void on_send(void *ctx, const struct session_out *out)
{
	struct world *w = ctx;
	const size_t n = number_of(&out->pk);

	assert(carrier_length_is_good(out->type, out->len) && ip6_eq(&out->dst, &nodes[n].address));
	assert((out->type == SESSION_CONTROL) == (out->index != 0));
	if (out->index)
		assert(key_at(w, &out->pk, SESSION_SEND)->index == out->index);
	if (out->type == SESSION_INIT) {
		assert(out->len == CARRIER_INIT_BYTES);
		memcpy(w->init[n], out->bytes, out->len);
		w->has_init[n] = true;
	}
	if (out->type == SESSION_COOKIE)
		memcpy(w->cookie[n], out->bytes + 4, CARRIER_COOKIE_BYTES);
}

static void on_random(void *ctx, void *out, size_t len)
{
	struct world *w = ctx;

	memset(out, 0, len);
	w->dice = w->dice * 1664525 + 1013904223;
	memcpy(out, &w->dice, len < sizeof(w->dice) ? len : sizeof(w->dice));
}

static void on_key_add(void *ctx, const struct session_key *key, const struct session_secrets *secrets)
{
	struct world *w = ctx;

	(void)secrets;
	assert(!w->full || key->initiator); /* but for an INIT that was on its way */
	assert(key->index && !key_find(w, key->index) && !key_at(w, &key->pk, key->slot));
	assert(key->slot == (key->initiator ? SESSION_SEND : SESSION_NEXT));
	assert(key->far_index && key->far_lanes >= 1 && key->far_lanes <= SESSION_LANES_MAX);
	*key_find(w, 0) = *key;
}

static void on_key_move(void *ctx, uint32_t index, enum session_slot slot)
{
	struct world *w = ctx;
	struct session_key *k = key_find(w, index);

	assert(k && !key_at(w, &k->pk, slot));
	k->slot = slot;
}

static void on_key_del(void *ctx, uint32_t index)
{
	struct session_key *k = key_find(ctx, index);

	assert(k && index);
	k->index = 0;
}

static bool on_has_room(void *ctx, bool known)
{
	const struct world *w = ctx;

	(void)known;
	return !w->full;
}

static void on_policy(void *ctx, const struct pubkey *pk, uint64_t net64, struct session_policy policy)
{
	assert(net64 == ip6_net64(&nodes[number_of(pk)].address));
	assert((policy.way == SESSION_BY_KEY) == (key_at(ctx, pk, SESSION_SEND) != NULL));
}

static void on_pin_set(void *ctx, const struct session_pin *pin)
{
	assert(key_at(ctx, &pin->pk, SESSION_SEND) || key_at(ctx, &pin->pk, SESSION_OLD) ||
	       key_at(ctx, &pin->pk, SESSION_OLDEST));
	assert(pin->first_ns <= pin->last_ns);
}

static void on_pin_del(void *ctx, uint64_t net64)
{
	(void)ctx;
	(void)net64;
}

static void on_event(void *ctx, const struct session_event *event)
{
	(void)ctx;
	(void)number_of(&event->pk);
}

static const struct node *some_node(struct rd *r)
{
	return &nodes[1 + rd_u8(r) % (NODES - 1)];
}

static uint32_t some_index(const struct world *w, struct rd *r)
{
	return w->keys[rd_u8(r) % KEYS].index;
}

static void give(struct world *w, const struct node *n, uint8_t type, uint32_t index, struct rd bytes)
{
	struct session_packet p = {.type = type,
				   .src = n->address,
				   .dst = nodes[0].address,
				   .pk = n->pk,
				   .index = index,
				   .len = rd_left(&bytes)};
	uint8_t *copy = malloc(p.len ? p.len : 1); /* so that reading too far is seen */

	if (!copy)
		abort();
	if (p.len)
		memcpy(copy, bytes.p, p.len);
	p.bytes = copy;
	session_packet(w->c, &p, w->t);
	free(copy);
}

static void act_raw(struct world *w, struct rd *r)
{
	const struct node *n = some_node(r);
	const uint8_t type = rd_u8(r), key = rd_u8(r);
	const size_t want = rd_u8(r), len = want < rd_left(r) ? want : rd_left(r);

	give(w, n, type, key < KEYS ? w->keys[key].index : 0, rd_sub(r, len));
}

/* One bit, or none. */
static void spoil(uint8_t *body, size_t len, struct rd *r)
{
	const uint16_t bit = rd_be16(r);

	if (bit / 8 < len)
		body[bit / 8] ^= (uint8_t)(1 << bit % 8);
}

static void begin(struct handshake *hs, const struct node *from, const struct node *to, const uint8_t *init)
{
	uint8_t prologue[CARRIER_PROLOGUE_MAX_BYTES];
	struct wr pw = wr_init(prologue, sizeof(prologue));

	carrier_write_prologue(&pw, &from->address, &to->address, init, CARRIER_INIT_BYTES);
	handshake_begin(hs, prologue, wr_len(&pw), &to->pk);
}

static void act_init(struct world *w, struct rd *r)
{
	const struct node *n = some_node(r);
	const struct handshake_self self = {.sk = &n->sk, .pk = n->pk};
	struct carrier_init init = {.sender = rd_be16(r), .lowest = 1, .highest = rd_u8(r), .lanes = rd_u8(r)};
	struct handshake hs = {.e = {{1, 1}}, .rs = nodes[0].pk};
	uint8_t body[CARRIER_INIT_BYTES];
	struct wr bw = wr_init(body, sizeof(body)), sw = wr_init(init.stamp, sizeof(init.stamp));

	carrier_write_stamp(&sw, rd_be16(r));
	if (rd_u8(r) & 1)
		memcpy(init.cookie, w->cookie[n - nodes], sizeof(init.cookie));
	carrier_write_init(&bw, &init);
	begin(&hs, n, &nodes[0], body);
	if (handshake_write_init(&hs, &self, NULL, 0, body + CARRIER_INIT_HEAD_BYTES) != 0)
		abort();
	spoil(body, sizeof(body), r);
	give(w, n, SESSION_INIT, 0, rd_init(body, sizeof(body)));
}

static void act_resp(struct world *w, struct rd *r)
{
	static const struct session_psk psk;
	const struct node *n = some_node(r);
	const uint8_t *init = w->init[n - nodes];
	const struct handshake_self self = {.sk = &n->sk, .pk = n->pk};
	const struct carrier_choice choice = {.sender = rd_be16(r), .version = rd_u8(r), .lanes = rd_u8(r)};
	struct handshake hs = {0};
	uint8_t body[CARRIER_RESP_BYTES], payload[CARRIER_CHOICE_BYTES], none[1];
	struct wr cw = wr_init(payload, sizeof(payload));

	if (!w->has_init[n - nodes])
		return;
	begin(&hs, &nodes[0], n, init);
	if (handshake_read_init(&hs, &self, rd_init(init + CARRIER_INIT_HEAD_BYTES, HANDSHAKE_INIT_BYTES), none) != 0)
		abort();
	hs.e = (struct privkey){{2, 2}};
	carrier_write_choice(&cw, &choice);
	memcpy(body, init, 4);
	if (handshake_write_resp(&hs, &psk, payload, sizeof(payload), body + 4) != 0)
		abort();
	spoil(body, sizeof(body), r);
	give(w, n, SESSION_RESP, 0, rd_init(body, sizeof(body)));
}

/* COOKIE for the INIT said last, or HINT about a key. */
static void act_answer(struct world *w, struct rd *r)
{
	const struct node *n = some_node(r);
	uint8_t body[CARRIER_COOKIE_BODY_BYTES];

	memcpy(body, w->init[n - nodes], 4);
	memset(body + 4, rd_u8(r), CARRIER_COOKIE_BYTES);
	if (body[4] & 1) {
		const struct session_key *k = key_at(w, &n->pk, SESSION_SEND);
		struct wr hw = wr_init(body, CARRIER_HINT_BYTES);

		wr_be32(&hw, k ? k->far_index : 0);
		give(w, n, SESSION_HINT, 0, rd_init(body, CARRIER_HINT_BYTES));
	} else {
		give(w, n, SESSION_COOKIE, 0, rd_init(body, sizeof(body)));
	}
}

static void act_control(struct world *w, struct rd *r)
{
	const struct session_key *k = &w->keys[rd_u8(r) % KEYS];
	const uint8_t body[CARRIER_CONTROL_BYTES] = {rd_u8(r)};

	if (k->index)
		give(w, &nodes[number_of(&k->pk)], SESSION_CONTROL, k->index, rd_init(body, sizeof(body)));
}

static void act_confirm(struct world *w, struct rd *r)
{
	session_confirmed(w->c, some_index(w, r), w->t);
}

static void act_use(struct world *w, struct rd *r)
{
	struct session_use use = {.index = some_index(w, r)};
	const uint8_t form = rd_u8(r);

	use.bytes = form & 1 ? UINT64_MAX : form;
	use.lane_top = form & 2 ? UINT64_MAX : form;
	use.sealed.us = form & 4 ? w->t.now.us - form : 0;
	use.opened.us = form & 8 ? w->t.now.us + form - 100 : 0;
	session_use(w->c, &use, w->t);
}

static void act_traffic(struct world *w, struct rd *r)
{
	const struct node *n = some_node(r);
	const uint8_t form = rd_u8(r);

	if (form % 3 == 0)
		session_want(w->c, &n->pk, w->t);
	else if (form % 3 == 1)
		(void)session_static(w->c, &n->pk, form, w->t);
	else
		session_stray(w->c, &n->pk, form, form, w->t);
}

static void act_order(struct world *w, struct rd *r)
{
	const struct node *n = some_node(r);
	const uint8_t form = rd_u8(r);
	const struct session_setting s = {.has_mode = true, .mode = form / 8 % 3};

	switch (form % 8) {
	case 0:
		session_set_mode(w->c, form / 8 % 3, w->t);
		break;
	case 1:
		(void)session_release(w->c, &n->pk, w->t);
		break;
	case 2:
		(void)session_unpin(w->c, ip6_net64(&n->address), w->t);
		break;
	case 3:
		(void)session_set_peer(w->c, &n->pk, &s, w->t);
		break;
	case 4:
		(void)session_set_peer(w->c, &n->pk, NULL, w->t);
		break;
	case 5:
		session_keys_lost(w->c, w->t);
		break;
	case 6:
		session_key_lost(w->c, some_index(w, r), w->t);
		break;
	case 7:
		w->full = session_may_have(w->c, &n->pk, w->t) && form / 8 % 2;
		break;
	}
}

static void act_time(struct world *w, struct rd *r)
{
	const int64_t ms = (int64_t)rd_u8(r) * rd_u8(r) * 8;

	w->t.now = mono_add_ms(w->t.now, ms);
	w->t.real_ns += rd_u8(r) ? ms * 1000000 : -ms * 1000000000;
}

static void act(struct world *w, struct rd *r)
{
	static void (*const acts[])(struct world * w, struct rd * r) = {
		act_raw,     act_init, act_resp,    act_answer, act_control,
		act_confirm, act_use,  act_traffic, act_order,	act_time,
	};
	struct session_load load;

	acts[rd_u8(r) % (sizeof(acts) / sizeof(acts[0]))](w, r);
	assert(session_tick(w->c, w->t).us > w->t.now.us);
	load = session_load(w->c);
	assert(load.peers <= PEERS && load.pins <= PINS && load.pending <= PENDING && load.unconfirmed <= UNCONFIRMED);
}

static void make_nodes(void)
{
	if (sodium_init() < 0)
		abort();
	for (int i = 0; i < NODES; i++) {
		nodes[i].sk.b[1] = (uint8_t)(i + 1);
		if (crypto_scalarmult_base(nodes[i].pk.b, nodes[i].sk.b) != 0)
			abort();
		network200.address(&nodes[i].pk, &nodes[i].address);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct session_ops ops = {.send = on_send,
					       .random = on_random,
					       .key_add = on_key_add,
					       .key_move = on_key_move,
					       .key_del = on_key_del,
					       .has_room = on_has_room,
					       .policy = on_policy,
					       .pin_set = on_pin_set,
					       .pin_del = on_pin_del,
					       .event = on_event};
	const struct session_config config = {
		.network = &network200,
		.sk = &nodes[0].sk,
		.mode = SESSION_OPPORTUNISTIC,
		.lanes = 4,
		.limits = {.peers = PEERS, .pins = PINS, .pending = PENDING, .unconfirmed = UNCONFIRMED}};
	static struct world w;
	struct session_config named = config;
	struct rd r = rd_init(data, size);

	if (nodes[0].sk.b[1] == 0)
		make_nodes();
	named.pk = nodes[0].pk;
	w = (struct world){.t = {.now = {.us = 1000000}, .real_ns = INT64_C(1700000000000000000)}};
	w.c = session_new(&named, &ops, &w, w.t);
	while (rd_left(&r) > 0)
		act(&w, &r);
	session_free(w.c);
	return 0;
}
