/* SPDX-License-Identifier: Apache-2.0 */
/* The initiator: when an INIT goes out, and what becomes of the answers. */
#include "controld/session/core.h"
#include <errno.h>

enum {
	FIRST_GAP_US = SECOND_US,
	SECOND_GAP_US = 4 * SECOND_US, /* 5 s after the first INIT */
	THIRD_GAP_US = 25 * SECOND_US, /* first contact: 30 s */
	SLOW_GAP_US = 480 * SECOND_US, /* first contact: 600 s, a fifth less .. */
	SLOW_JITTER_US = 240 * SECOND_US, /* .. to a fifth more */
	URGENT_GAP_US = 5 * SECOND_US,
	URGENT_JITTER_US = SECOND_US,
	URGENT_FOR_US = 90 * SECOND_US,
	URGENT_SLOW_GAP_US = 30 * SECOND_US,
	FULL_GAP_US = SECOND_US, /* no room for a pending INIT */
};

/* There was a session: not a first contact. */
static bool is_urgent(const struct session_core *c, const struct session_peer *p, struct session_time t)
{
	return session_peer_is_live(p) || session_peer_is_pinned(c, p, t);
}

void session_init_reset(struct session_peer *p)
{
	p->step = 0;
	p->init_next = MONO_LONG_AGO;
	p->stale = false;
}

void session_init_drop(struct session_core *c, struct session_peer *p)
{
	struct pending *pending = p->pending;

	if (!pending)
		return;
	session_index_del(c, &pending->index);
	DL_DELETE(c->pending_used, pending);
	secret_wipe(pending, sizeof(*pending));
	DL_APPEND(c->pending_free, pending);
	c->pending_count--;
	p->pending = NULL;
}

/* Who only sends to us yields to whom we send to, and both to who was there before. */
static bool yields(const struct session_core *c, const struct session_peer *p, bool to_urgent, struct session_time t)
{
	return (to_urgent || !is_recent(p->asked, t.now)) && !is_urgent(c, p, t);
}

/* The oldest that yields to p makes room. */
static void displace(struct session_core *c, const struct session_peer *p, struct session_time t)
{
	const bool urgent = is_urgent(c, p, t);
	struct pending *oldest;

	if (!urgent && !is_recent(p->asked, t.now))
		return;
	DL_FOREACH (c->pending_used, oldest) {
		if (yields(c, oldest->index.peer, urgent, t)) {
			session_init_drop(c, oldest->index.peer);
			return;
		}
	}
}

/* A place among the pending ones, the newest. */
static struct pending *reserve(struct session_core *c, struct session_peer *p, struct session_time t)
{
	struct pending *pending;

	if (!session_keys_have_room(c, p, t)) {
		c->counts[SESSION_PENDING_FULL]++;
		return NULL;
	}
	session_init_drop(c, p);
	if (!c->pending_free)
		displace(c, p, t);
	pending = c->pending_free;
	if (!pending) {
		c->counts[SESSION_PENDING_FULL]++;
		return NULL;
	}
	DL_DELETE(c->pending_free, pending);
	DL_APPEND(c->pending_used, pending);
	c->pending_count++;
	p->pending = pending;
	return pending;
}

static void next_stamp(struct session_core *c, int64_t real_ns, uint8_t stamp[HANDSHAKE_STAMP_BYTES])
{
	struct wr w = wr_init(stamp, HANDSHAKE_STAMP_BYTES);

	c->stamp_ns = real_ns > c->stamp_ns ? real_ns : c->stamp_ns + 1;
	carrier_write_stamp(&w, c->stamp_ns);
}

/* Noise message 1 behind the head that body holds. */
static int write_message(struct session_core *c, const struct session_peer *p, struct handshake *hs,
			 const uint8_t *stamp, uint8_t body[CARRIER_INIT_BYTES])
{
	uint8_t prologue[CARRIER_PROLOGUE_MAX_BYTES], seed[HANDSHAKE_SEED_BYTES];
	struct wr w = wr_init(prologue, sizeof(prologue));

	carrier_write_prologue(&w, &c->address, &p->address, body, CARRIER_INIT_BYTES);
	handshake_begin(hs, prologue, wr_len(&w), &p->pk);
	hs->rs = p->pk;
	c->ops->random(c->ctx, seed, sizeof(seed));
	handshake_ephemeral(&c->self, seed, stamp, &p->pk, &hs->e);
	secret_wipe(seed, sizeof(seed));
	return handshake_write_init(hs, &c->self, NULL, 0, body + CARRIER_INIT_HEAD_BYTES);
}

/* An INIT, made anew, with the cookie if there is one. False: no room for one more pending. */
static bool send_init(struct session_core *c, struct session_peer *p, const uint8_t *cookie, struct session_time t)
{
	struct pending *pending = reserve(c, p, t);
	uint8_t body[CARRIER_INIT_BYTES];
	struct wr w = wr_init(body, sizeof(body));
	struct carrier_init init = {.lowest = CARRIER_VERSION_LOWEST,
				    .highest = CARRIER_VERSION_HIGHEST,
				    .lanes = c->lanes,
				    .capabilities = c->capabilities};

	if (!pending)
		return false;
	session_index_draw(c, &pending->index, p);
	pending->sent = t.now;
	pending->echoed = cookie;
	pending->tries = 0;
	init.sender = pending->index.value;
	next_stamp(c, t.real_ns, init.stamp);
	if (cookie)
		memcpy(init.cookie, cookie, sizeof(init.cookie));
	carrier_write_init(&w, &init);
	if (write_message(c, p, &pending->hs, init.stamp, body) != 0) {
		session_init_drop(c, p); /* a key of low order: nobody has it */
		return true;
	}
	c->counts[SESSION_INITS_SENT]++;
	session_say(c, p, SESSION_INIT, body, sizeof(body));
	return true;
}

/* When the INIT after this one is due. */
static int64_t gap_us(struct session_core *c, const struct session_peer *p, struct session_time t)
{
	if (p->step == 1)
		return FIRST_GAP_US;
	if (p->step == 2)
		return SECOND_GAP_US;
	if (is_urgent(c, p, t) || p->releasing) {
		if (mono_since_us(t.now, p->series) < URGENT_FOR_US)
			return URGENT_GAP_US + session_jitter_us(c, URGENT_JITTER_US);
		return URGENT_SLOW_GAP_US;
	}
	return p->step == 3 ? THIRD_GAP_US : SLOW_GAP_US + session_jitter_us(c, SLOW_JITTER_US);
}

static void attempt(struct session_core *c, struct session_peer *p, struct session_time t)
{
	if (!send_init(c, p, NULL, t)) {
		p->init_next = mono_add_us(t.now, FULL_GAP_US);
		return;
	}
	if (p->step++ == 0)
		p->series = t.now;
	p->init_next = mono_add_us(t.now, gap_us(c, p, t));
}

static bool has_data(const struct session_peer *p, struct mono now)
{
	return is_recent(p->data_sent, now) || is_recent(p->data_got, now);
}

static bool key_is_worn(const struct key *k, struct mono now)
{
	return mono_is_due(k->rekey, now) || k->lane_top >= REKEY_LANE_TOP ||
	       k->bytes >= (k->initiator ? INITIATOR_REKEY_BYTES : RESPONDER_REKEY_BYTES);
}

static bool is_unanswered(const struct session_peer *p, struct mono now)
{
	return mono_is_due(mono_add_us(p->unanswered, UNANSWERED_US), now) && is_recent(p->data_sent, now);
}

/* Does this peer need an INIT? */
static bool is_wanted(const struct session_core *c, const struct session_peer *p, struct mono now)
{
	const struct key *k = p->keys[SESSION_SEND];

	if (p->releasing)
		return !k && p->releases == 0;
	if (session_peer_mode(c, p) == SESSION_OFF)
		return false;
	if (!k)
		return is_recent(p->wanted, now);
	return (key_is_worn(k, now) && has_data(p, now)) || is_unanswered(p, now) ||
	       (p->stale && (p->step == 0 || has_data(p, now)));
}

/* When it may come to need one though nothing happens. */
static struct mono next_wish(const struct session_peer *p, struct mono now)
{
	const struct key *k = p->keys[SESSION_SEND];
	struct mono wish = MONO_NEVER;

	if (!k || p->releasing)
		return wish;
	if (has_data(p, now) && !mono_is_due(k->rekey, now))
		wish = k->rekey;
	if (p->unanswered.us != MONO_NEVER.us && !is_unanswered(p, now) && is_recent(p->data_sent, now))
		wish = mono_min(wish, mono_add_us(p->unanswered, UNANSWERED_US));
	return wish;
}

static bool is_late(const struct pending *pending, struct mono now)
{
	return mono_since_us(now, pending->sent) > PENDING_LIFE_US;
}

struct mono session_init_run(struct session_core *c, struct session_peer *p, struct session_time t)
{
	struct mono due;

	if (p->pending && is_late(p->pending, t.now))
		session_init_drop(c, p);
	if (is_wanted(c, p, t.now)) {
		if (mono_is_due(p->init_next, t.now))
			attempt(c, p, t);
		due = p->init_next;
	} else {
		/* A known peer begins a new series when there is data again; an old node is not asked more often. */
		if (p->step && mono_is_due(p->init_next, t.now) && is_urgent(c, p, t))
			session_init_reset(p);
		due = next_wish(p, t.now);
	}
	return p->pending ? mono_min(due, mono_add_us(p->pending->sent, PENDING_LIFE_US + 1)) : due;
}

/* The INIT of ours to this very peer that a body answers; NULL if it is none. */
static struct pending *asked(const struct session_peer *p, const struct session_packet *in)
{
	struct rd r = rd_init(in->bytes, in->len);
	const uint32_t index = rd_be32(&r);

	return p && p->pending && p->pending->index.value == index ? p->pending : NULL;
}

void session_init_cookie(struct session_core *c, struct session_peer *p, const struct session_packet *in,
			 struct session_time t)
{
	const struct pending *pending = asked(p, in);

	if (!pending || is_late(pending, t.now) || pending->echoed) {
		c->counts[SESSION_COOKIE_IGNORED]++;
		return;
	}
	(void)send_init(c, p, in->bytes + 4, t);
	session_peer_run(c, p, t);
}

/* What is wrong with this RESP; SESSION_COUNTERS: nothing. hs is a copy. */
static enum session_counter judge(const struct session_core *c, const struct session_peer *p, struct handshake *hs,
				  const struct session_packet *in, struct carrier_choice *choice)
{
	const struct handshake_psks psks = session_peer_psks(c, p);
	uint8_t payload[CARRIER_CHOICE_BYTES];

	if (handshake_read_resp(hs, &c->self, &psks, rd_init(in->bytes + 4, CARRIER_RESP_BYTES - 4), payload) != 0)
		return SESSION_RESP_BAD;
	carrier_read_choice(payload, choice);
	if (choice->version < CARRIER_VERSION_LOWEST || choice->version > CARRIER_VERSION_HIGHEST)
		return SESSION_RESP_VERSION;
	if (choice->lanes < 1 || choice->lanes > SESSION_LANES_MAX)
		return SESSION_RESP_LANES;
	if (choice->sender == 0)
		return SESSION_RESP_INDEX;
	return SESSION_COUNTERS;
}

/* The pending INIT becomes a key under its index. */
static void take_resp(struct session_core *c, struct session_peer *p, const struct handshake *hs,
		      const struct carrier_choice *choice, struct session_time t)
{
	struct key *k = session_keys_make(c, true, choice, t);
	const uint32_t index = p->pending->index.value;
	struct session_secrets s;

	session_init_drop(c, p);
	session_index_set(c, &k->index, index, p);
	noise_split(&hs->noise, &s.send, &s.receive);
	session_keys_read(c, p, k, &s, t);
	secret_wipe(&s, sizeof(s));
	session_keys_control(c, p, CARRIER_KEEPALIVE, t);
}

void session_init_resp(struct session_core *c, struct session_peer *p, const struct session_packet *in,
		       struct session_time t)
{
	struct pending *pending = asked(p, in);
	struct carrier_choice choice;
	enum session_counter wrong;
	struct handshake hs;

	if (!pending || is_late(pending, t.now)) {
		c->counts[pending ? SESSION_RESP_LATE : SESSION_RESP_UNASKED]++;
		return;
	}
	if (pending->tries == PENDING_TRIES) {
		c->counts[SESSION_RESP_BAD]++;
		return;
	}
	pending->tries++;
	hs = pending->hs;
	wrong = judge(c, p, &hs, in, &choice);
	if (wrong == SESSION_COUNTERS)
		take_resp(c, p, &hs, &choice, t);
	else
		c->counts[wrong]++;
	if (wrong == SESSION_RESP_BAD && pending->tries == 1)
		session_tell(c, SESSION_MISMATCH, &p->pk, &p->address);
	secret_wipe(&hs, sizeof(hs));
	session_peer_run(c, p, t);
}

void session_init_hint(struct session_core *c, struct session_peer *p, const struct session_packet *in,
		       struct session_time t)
{
	struct rd r = rd_init(in->bytes, in->len);
	const uint32_t index = rd_be32(&r);
	const struct key *k = p ? p->keys[SESSION_SEND] : NULL;

	if (!k || k->far_index != index || mono_since_us(t.now, k->made) <= HINT_AGE_US || p->pending ||
	    session_peer_mode(c, p) == SESSION_OFF) {
		c->counts[SESSION_HINT_IGNORED]++;
		return;
	}
	session_init_reset(p);
	p->stale = true;
	session_peer_run(c, p, t);
}
