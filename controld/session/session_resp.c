/* SPDX-License-Identifier: Apache-2.0 */
/* The responder: the checks of an INIT in their order, cheap ones first, and the answer. */
#include "controld/session/core.h"

/* 1. What the clear fields say; SESSION_COUNTERS: nothing against it. */
static enum session_counter judge_fields(const struct session_core *c, const struct session_peer *p,
					 const struct carrier_init *init)
{
	if (session_peer_mode(c, p) == SESSION_OFF || (p && p->releasing))
		return SESSION_INIT_OFF;
	if (init->lowest > CARRIER_VERSION_HIGHEST || init->highest < CARRIER_VERSION_LOWEST ||
	    init->lowest > init->highest)
		return SESSION_INIT_VERSION;
	if (init->lanes < 1 || init->lanes > SESSION_LANES_MAX)
		return SESSION_INIT_LANES;
	if (init->sender == 0)
		return SESSION_INIT_INDEX;
	return SESSION_COUNTERS;
}

/* 2. Perhaps a replay: who sent it shall prove that it hears us. */
static void ask_again(struct session_core *c, struct session_peer *p, const struct carrier_init *init,
		      struct session_time t)
{
	uint8_t body[CARRIER_COOKIE_BODY_BYTES];
	struct wr w = wr_init(body, sizeof(body));

	c->counts[SESSION_INIT_STALE]++;
	wr_be32(&w, init->sender);
	if (!cookie_challenge(c, p, t.now, wr_room(&w, CARRIER_COOKIE_BYTES)))
		return;
	c->counts[SESSION_COOKIES_SENT]++;
	session_say(c, p, SESSION_COOKIE, body, sizeof(body));
}

/* 3. May it cost us something? SESSION_COUNTERS: yes, and it is paid. */
static enum session_counter pay(struct session_core *c, struct session_peer *p, struct session_time t)
{
	const bool pinned = session_peer_is_pinned(c, p, t);
	struct bucket *all = pinned ? &c->pinned_tokens : &c->other_tokens;
	const size_t room = pinned ? c->limits.unconfirmed : c->limits.unconfirmed - c->limits.unconfirmed / 4;

	if (!bucket_has(&p->tokens, t.now))
		return SESSION_INIT_PEER_RATE;
	if (!bucket_has(all, t.now))
		return SESSION_INIT_RATE;
	if ((!p->keys[SESSION_NEXT] && c->unconfirmed >= room) || !session_keys_have_room(c, p, t))
		return SESSION_INIT_FULL;
	bucket_take(&p->tokens);
	bucket_take(all);
	return SESSION_COUNTERS;
}

/* 4. Noise message 1, into hs. */
static enum session_counter read_message(const struct session_core *c, const struct session_packet *in,
					 struct handshake *hs)
{
	uint8_t prologue[CARRIER_PROLOGUE_MAX_BYTES], nothing[1];
	struct wr w = wr_init(prologue, sizeof(prologue));

	carrier_write_prologue(&w, &in->src, &in->dst, in->bytes, in->len);
	handshake_begin(hs, prologue, wr_len(&w), &c->self.pk);
	if (handshake_read_init(hs, &c->self, rd_init(in->bytes + CARRIER_INIT_HEAD_BYTES, HANDSHAKE_INIT_BYTES),
				nothing) != 0)
		return SESSION_INIT_BAD;
	return secret_eq(hs->rs.b, in->pk.b, sizeof(in->pk.b)) ? SESSION_COUNTERS : SESSION_INIT_FOREIGN;
}

/* RESP for a key under this index, into body. */
static int write_message(struct session_core *c, const struct session_peer *p, struct handshake *hs,
			 const struct carrier_init *init, uint32_t index, uint8_t body[CARRIER_RESP_BYTES])
{
	const struct carrier_choice choice = {
		.sender = index,
		.version = init->highest < CARRIER_VERSION_HIGHEST ? init->highest : CARRIER_VERSION_HIGHEST,
		.lanes = c->lanes,
		.capabilities = c->capabilities};
	uint8_t payload[CARRIER_CHOICE_BYTES], seed[HANDSHAKE_SEED_BYTES];
	struct wr w = wr_init(body, CARRIER_RESP_BYTES), pw = wr_init(payload, sizeof(payload));

	wr_be32(&w, init->sender);
	carrier_write_choice(&pw, &choice);
	c->ops->random(c->ctx, seed, sizeof(seed));
	handshake_ephemeral(&c->self, seed, init->stamp, &p->pk, &hs->e);
	secret_wipe(seed, sizeof(seed));
	return handshake_write_resp(hs, session_peer_psks(c, p).psk[0], payload, sizeof(payload),
				    wr_room(&w, CARRIER_RESP_BYTES - 4));
}

/* 5. Now it changes what we know. */
static void answer(struct session_core *c, struct session_peer *p, struct handshake *hs,
		   const struct carrier_init *init, struct session_time t)
{
	const struct carrier_choice far = {
		.sender = init->sender, .lanes = init->lanes, .capabilities = init->capabilities};
	struct key *k = session_keys_make(c, false, &far, t);
	uint8_t body[CARRIER_RESP_BYTES];
	struct session_secrets s;

	session_index_draw(c, &k->index, p);
	if (write_message(c, p, hs, init, k->index.value, body) != 0) {
		session_index_del(c, &k->index);
		free(k);
		c->counts[SESSION_INIT_BAD]++;
		return;
	}
	cookie_accept(p, init->stamp);
	noise_split(&hs->noise, &s.receive, &s.send);
	session_keys_offer(c, p, k, &s);
	secret_wipe(&s, sizeof(s));
	c->counts[SESSION_RESPS_SENT]++;
	session_say(c, p, SESSION_RESP, body, sizeof(body));
}

/* Steps 2 to 5, of a peer that has a place. */
static void respond(struct session_core *c, struct session_peer *p, const struct session_packet *in,
		    const struct carrier_init *init, struct session_time t)
{
	enum session_counter wrong;
	struct handshake hs;

	if (!cookie_is_fresh(p, init, t.now)) {
		ask_again(c, p, init, t);
		return;
	}
	wrong = pay(c, p, t);
	if (wrong == SESSION_COUNTERS) {
		wrong = read_message(c, in, &hs);
		if (wrong == SESSION_COUNTERS)
			answer(c, p, &hs, init, t);
		secret_wipe(&hs, sizeof(hs));
	}
	if (wrong != SESSION_COUNTERS)
		c->counts[wrong]++;
}

void session_resp_init(struct session_core *c, const struct session_packet *in, struct session_time t)
{
	struct carrier_init init;
	enum session_counter wrong;
	struct session_peer *p;

	carrier_read_init(in->bytes, &init);
	wrong = judge_fields(c, session_peer_find(c, &in->pk), &init);
	if (wrong != SESSION_COUNTERS) {
		c->counts[wrong]++;
		return;
	}
	p = session_peer_get(c, &in->pk, t);
	if (!p)
		return;
	respond(c, p, in, &init, t);
	session_peer_run(c, p, t);
}
