/* SPDX-License-Identifier: Apache-2.0 */
/* The responder: what an INIT must be, one test per check; cookies; the extension; the answer. What it may cost is in
 * test_session_cost.c. */
#include "tests/unit/test_session.h"

/* Nothing but this counter moved: no answer, no key. */
static void assert_refused(struct world *w, size_t said, enum session_counter counter)
{
	assert_int_equal(w->said_count, said);
	assert_int_equal(w->key_count, 0);
	assert_int_equal(session_count(w->c, counter), 1);
	assert_int_equal(session_load(w->c).unconfirmed, 0);
	assert_int_equal(w->pin_sets, 0);
}

static void test_answer(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	uint32_t index;

	(void)state;
	index = far_shake(w, &f);
	assert_int_equal(f.choice.version, 1);
	assert_int_equal(f.choice.lanes, 16);
	assert_int_equal(f.choice.capabilities, 1);
	assert_int_equal(held_find(w, index)->key.far_lanes, 8);
	assert_int_equal(held_find(w, index)->key.capabilities, 1); /* of 3 and 1 */
	assert_false(held_find(w, index)->key.initiator);
	/* Nothing but the slot is changed by an INIT: no pin, no session. */
	assert_int_equal(w->pin_sets, 0);
	assert_int_equal(session_policy(w->c, &f.n.pk, w->t).way, SESSION_BY_STATIC);
	assert_int_equal(w->event_count, 0);
	session_confirmed(w->c, index, w->t);
	assert_int_equal(w->pin_sets, 1);
	assert_true(was_told(w, SESSION_ESTABLISHED));
	assert_int_equal(session_policy(w->c, &f.n.pk, w->t).way, SESSION_BY_KEY);
	world_free(w);
}

/* What is wrong with an INIT, and the counter that tells. */
struct wrong {
	enum session_counter counter;
	void (*spoil)(struct world *w, struct far *f, struct session_packet *p);
};

static void spoil_key_kind(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)f;
	p->index = 77;
}

static void spoil_source(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)f;
	p->src.b[15] ^= 1; /* still inside the /64 */
}

static void spoil_source_net(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)f;
	p->src.b[1] ^= 1;
}

static void spoil_destination(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)f;
	p->dst.b[15] ^= 1;
}

static void spoil_type(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)f;
	p->type = SESSION_CONTROL + 1;
}

static void spoil_short(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)f;
	p->len = CARRIER_INIT_BYTES - 1;
}

static void spoil_long(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)f;
	p->len = CARRIER_INIT_MAX_BYTES + 1;
}

static void spoil_mode(struct world *w, struct far *f, struct session_packet *p)
{
	(void)f;
	(void)p;
	session_set_mode(w->c, SESSION_OFF, w->t);
}

static void spoil_peer_mode(struct world *w, struct far *f, struct session_packet *p)
{
	const struct session_setting off = {.has_mode = true, .mode = SESSION_OFF};

	(void)p;
	assert_int_equal(session_set_peer(w->c, &f->n.pk, &off, w->t), 0);
}

/* The body is written after these. */
static void spoil_version_high(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)p;
	f->init.lowest = 2;
	f->init.highest = 9;
}

static void spoil_version_low(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)p;
	f->init.lowest = f->init.highest = 0;
}

static void spoil_version_crossed(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)p;
	f->init.lowest = 1;
	f->init.highest = 0;
}

static void spoil_no_lanes(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)p;
	f->init.lanes = 0;
}

static void spoil_many_lanes(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)p;
	f->init.lanes = SESSION_LANES_MAX + 1;
}

static void spoil_index(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)p;
	f->init.sender = 0;
}

static void spoil_claim(struct world *w, struct far *f, struct session_packet *p)
{
	static struct node other;

	(void)w;
	(void)p;
	other = node_of(9);
	f->claim = &other;
}

static void spoil_prologue_from(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)p;
	f->initiator.b[15] ^= 1;
}

static void spoil_prologue_to(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)p;
	f->responder.b[15] ^= 1;
}

static void test_checks(void **state)
{
	static const struct wrong before[] = {
		{SESSION_INIT_VERSION, spoil_version_high},    {SESSION_INIT_VERSION, spoil_version_low},
		{SESSION_INIT_VERSION, spoil_version_crossed}, {SESSION_INIT_LANES, spoil_no_lanes},
		{SESSION_INIT_LANES, spoil_many_lanes},	       {SESSION_INIT_INDEX, spoil_index},
		{SESSION_INIT_FOREIGN, spoil_claim},	       {SESSION_INIT_BAD, spoil_prologue_from},
		{SESSION_INIT_BAD, spoil_prologue_to},
	};
	static const struct wrong after[] = {
		{SESSION_KEY_KIND, spoil_key_kind},  {SESSION_ADDRESS, spoil_source},
		{SESSION_ADDRESS, spoil_source_net}, {SESSION_ADDRESS, spoil_destination},
		{SESSION_TYPE_UNKNOWN, spoil_type},  {SESSION_LENGTH, spoil_short},
		{SESSION_LENGTH, spoil_long},	     {SESSION_INIT_OFF, spoil_mode},
		{SESSION_INIT_OFF, spoil_peer_mode},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		struct world *w = world_default();
		struct far f = far_of(w, 2);

		before[i].spoil(w, &f, NULL);
		far_give_init(w, &f);
		assert_refused(w, 0, before[i].counter);
		world_free(w);
	}
	for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
		struct world *w = world_default();
		struct far f = far_of(w, 2);
		struct session_packet p;

		far_write_init(w, &f);
		p = packet_of(w, &f.n, SESSION_INIT, f.body, f.len);
		after[i].spoil(w, &f, &p);
		give_packet(w, &p);
		assert_refused(w, 0, after[i].counter);
		world_free(w);
	}
}

/* Each bit of an INIT counts, and none of these changes anything: the right one is answered afterwards. */
static void test_bits(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);

	(void)state;
	f.len = CARRIER_INIT_BYTES + 3;
	far_write_init(w, &f);
	for (size_t i = 0; i < f.len; i++) {
		f.body[i] ^= 0x80;
		give(w, &f.n, SESSION_INIT, f.body, f.len);
		f.body[i] ^= 0x80;
		assert_int_equal(w->key_count, 0);
		pass_ms(w, 1000);
	}
	assert_int_equal(said_since(w, 0, SESSION_RESP), 0);
	for (size_t len = 0; len < f.len; len++)
		give(w, &f.n, SESSION_INIT, f.body, len);
	assert_int_equal(w->key_count, 0);
	pass_ms(w, 5000);
	give(w, &f.n, SESSION_INIT, f.body, f.len);
	assert_true(far_read_resp(w, &f));
	world_free(w);
}

/* Longer INITs are bound as a whole and otherwise ignored, up to the most. */
static void test_extension(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);

	(void)state;
	f.len = CARRIER_INIT_MAX_BYTES;
	(void)far_shake(w, &f);
	f = far_of(w, 3);
	f.init.lowest = 0;
	f.init.highest = 255;
	(void)far_shake(w, &f);
	assert_int_equal(f.choice.version, 1);
	f = far_of(w, 4);
	f.init.lanes = SESSION_LANES_MAX;
	(void)far_shake(w, &f);
	world_free(w);
}

/* A low-order ephemeral. */
static void test_low_order(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);

	(void)state;
	far_write_init(w, &f);
	memset(f.body + CARRIER_INIT_HEAD_BYTES, 0, 32);
	give(w, &f.n, SESSION_INIT, f.body, f.len);
	assert_refused(w, 0, SESSION_INIT_BAD);
	world_free(w);
}

/* Reads the COOKIE said last into the next INIT. */
static void take_cookie(struct world *w, struct far *f)
{
	const struct said *s = said_last(w, SESSION_COOKIE);
	struct rd r = rd_init(s->bytes, s->out.len);

	assert_int_equal(s->out.len, CARRIER_COOKIE_BODY_BYTES);
	assert_int_equal(s->out.index, 0);
	assert_int_equal(rd_be32(&r), f->init.sender);
	rd_bytes(&r, f->init.cookie, sizeof(f->init.cookie));
	assert_false(sodium_is_zero(f->init.cookie, sizeof(f->init.cookie)));
}

/* A stamp that is not greater is answered by a challenge; with it the same stamp is good, once. */
static void test_cookie(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);

	(void)state;
	(void)far_shake(w, &f);
	pass_ms(w, 1000);
	give(w, &f.n, SESSION_INIT, f.body, f.len); /* a replay */
	take_cookie(w, &f);
	assert_int_equal(session_count(w->c, SESSION_INIT_STALE), 1);
	assert_int_equal(w->key_count, 1);
	(void)far_shake(w, &f);
	pass_ms(w, 1000);
	give(w, &f.n, SESSION_INIT, f.body, f.len); /* its cookie is used up */
	assert_int_equal(said_last(w, SESSION_COOKIE)->out.len, CARRIER_COOKIE_BODY_BYTES);
	assert_int_equal(session_count(w->c, SESSION_RESPS_SENT), 2);
	world_free(w);
}

static void test_cookie_wrong(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2), g = far_of(w, 3);

	(void)state;
	memset(f.init.stamp, 0, sizeof(f.init.stamp));
	far_give_init(w, &f); /* no cookie, and no stamp is less than the first greatest */
	take_cookie(w, &f);
	f.init.cookie[15] ^= 1;
	far_give_init(w, &f);
	f.init.cookie[15] ^= 1;
	assert_int_equal(session_count(w->c, SESSION_RESPS_SENT), 0);
	/* Another peer's challenge is not one's own. */
	memset(g.init.stamp, 0, sizeof(g.init.stamp));
	far_give_init(w, &g);
	memcpy(g.init.cookie, f.init.cookie, sizeof(g.init.cookie));
	far_give_init(w, &g);
	assert_int_equal(session_count(w->c, SESSION_RESPS_SENT), 0);
	/* It lives 20 s. */
	pass_ms(w, 20000);
	(void)far_shake(w, &f);
	world_free(w);
}

static void test_cookie_late(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);

	(void)state;
	memset(f.init.stamp, 0, sizeof(f.init.stamp));
	far_give_init(w, &f);
	take_cookie(w, &f);
	w->t.now.us += 20 * SECOND + 1;
	far_give_init(w, &f);
	assert_int_equal(session_count(w->c, SESSION_RESPS_SENT), 0);
	assert_int_equal(said_since(w, 0, SESSION_COOKIE), 2);
	assert_memory_not_equal(w->said[0].bytes + 4, w->said[1].bytes + 4, CARRIER_COOKIE_BYTES);
	world_free(w);
}

/* Where no challenge is open none is met, not even by zeros in the first 20 s after boot. */
static void test_cookie_after_boot(void **state)
{
	struct world *w = world_new();
	struct far f;

	(void)state;
	w->t.now.us = 5 * SECOND;
	world_start(w);
	f = far_of(w, 2);
	(void)far_shake(w, &f);
	pass_ms(w, 2000);
	give(w, &f.n, SESSION_INIT, f.body, f.len); /* a replay; its cookie is zeros */
	(void)said_last(w, SESSION_COOKIE);
	assert_int_equal(session_count(w->c, SESSION_INIT_STALE), 1);
	assert_int_equal(session_count(w->c, SESSION_RESPS_SENT), 1);
	/* Nor of a peer that was never heard of. */
	f = far_of(w, 3);
	memset(f.init.stamp, 0, sizeof(f.init.stamp));
	far_give_init(w, &f);
	assert_int_equal(session_count(w->c, SESSION_INIT_STALE), 2);
	assert_int_equal(session_count(w->c, SESSION_RESPS_SENT), 1);
	world_free(w);
}

/* One COOKIE a second, repeating the open challenge; a challenge that is not open is not zeros. */
static void test_cookie_rate(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);

	(void)state;
	memset(f.init.stamp, 0, sizeof(f.init.stamp));
	for (int i = 0; i < 95; i++) {
		far_give_init(w, &f);
		pass_ms(w, 100);
	}
	assert_int_equal(w->said_count, 10);
	for (size_t i = 1; i < w->said_count; i++) {
		assert_int_equal(mono_since_ms(w->said[i].at, w->said[i - 1].at), 1000);
		assert_memory_equal(w->said[i].bytes, w->said[0].bytes, CARRIER_COOKIE_BODY_BYTES);
	}
	assert_int_equal(session_count(w->c, SESSION_RESPS_SENT), 0);
	world_free(w);
}

/* Stamps are compared as bytes, seconds first; only one that was answered counts. */
static void test_stamp(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);

	(void)state;
	stamp_at(&f, 5 * NS_PER_S + 7);
	(void)far_shake(w, &f);
	stamp_at(&f, 5 * NS_PER_S + 6);
	far_give_init(w, &f);
	(void)said_last(w, SESSION_COOKIE);
	stamp_at(&f, 9 * NS_PER_S);
	far_write_init(w, &f);
	f.body[60] ^= 1; /* fails later */
	give(w, &f.n, SESSION_INIT, f.body, f.len);
	assert_int_equal(session_count(w->c, SESSION_INIT_BAD), 1);
	stamp_at(&f, 5 * NS_PER_S + 8);
	(void)far_shake(w, &f);
	/* With a cookie an older one is good, and the greatest stays. */
	pass_ms(w, 10000);
	stamp_at(&f, 2 * NS_PER_S);
	far_give_init(w, &f);
	take_cookie(w, &f);
	(void)far_shake(w, &f);
	memset(f.init.cookie, 0, sizeof(f.init.cookie));
	pass_ms(w, 10000);
	stamp_at(&f, 5 * NS_PER_S + 8);
	far_give_init(w, &f);
	(void)said_last(w, SESSION_COOKIE);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_checks),
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_extension),
		cmocka_unit_test(test_low_order),
		cmocka_unit_test(test_cookie),
		cmocka_unit_test(test_cookie_wrong),
		cmocka_unit_test(test_cookie_late),
		cmocka_unit_test(test_cookie_rate),
		cmocka_unit_test(test_stamp),
		cmocka_unit_test(test_cookie_after_boot),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
