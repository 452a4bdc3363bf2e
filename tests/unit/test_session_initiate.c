/* SPDX-License-Identifier: Apache-2.0 */
/* The initiator: what its INIT says, what a RESP must be (one test per check), cookies and hints. When INITs go out is
 * in test_session_timers.c. */
#include "tests/unit/test_session.h"

static void test_init(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	uint8_t stamp[HANDSHAKE_STAMP_BYTES];
	uint32_t index;

	(void)state;
	index = far_wanted_session(w, &f);
	assert_int_equal(f.init.lowest, 1);
	assert_int_equal(f.init.highest, 1);
	assert_int_equal(f.init.lanes, 16);
	assert_int_equal(f.init.capabilities, 1);
	assert_true(sodium_is_zero(f.init.cookie, sizeof(f.init.cookie)));
	memcpy(stamp, f.init.stamp, sizeof(stamp));
	stamp_at(&f, REAL_NS);
	assert_memory_equal(stamp, f.init.stamp, sizeof(stamp));
	/* It sends at once, beginning with a KEEPALIVE, and is pinned. */
	assert_int_equal(said_last(w, SESSION_CONTROL)->out.index, index);
	assert_int_equal(w->said[w->said_count - 1].bytes[0], CARRIER_KEEPALIVE);
	assert_int_equal(w->said[w->said_count - 1].out.len, CARRIER_CONTROL_BYTES);
	assert_true(held_find(w, index)->key.initiator);
	assert_int_equal(held_find(w, index)->key.far_lanes, 8);
	assert_int_equal(held_find(w, index)->key.capabilities, 1);
	assert_int_equal(w->pin_sets, 1);
	assert_true(was_told(w, SESSION_ESTABLISHED));
	assert_int_equal(w->policy.way, SESSION_BY_KEY);
	assert_true(pubkey_eq(&w->policy_pk, &f.n.pk));
	assert_int_equal(session_load(w->c).pending, 0);
	world_free(w);
}

/* Stamps rise though realtime goes back, for all peers together; every INIT is made anew. */
static void test_stamps(void **state)
{
	struct world *w = world_default();
	const struct node a = node_of(2), b = node_of(3);
	const struct said *s;

	(void)state;
	session_want(w->c, &a.pk, w->t);
	w->t.real_ns -= 365 * 86400 * NS_PER_S;
	session_want(w->c, &b.pk, w->t);
	pass_ms(w, 1000);
	(void)session_tick(w->c, w->t);
	w->t.real_ns = -5;
	pass_ms(w, 4000);
	(void)session_tick(w->c, w->t);
	assert_int_equal(w->said_count, 6);
	for (size_t i = 1; i < w->said_count; i++) {
		s = &w->said[i];
		assert_true(memcmp(s->bytes + 12, s[-1].bytes + 12, HANDSHAKE_STAMP_BYTES) > 0);
		assert_memory_not_equal(s->bytes, s[-1].bytes, 4);
		assert_memory_not_equal(s->bytes + 40, s[-1].bytes + 40, 32);
	}
	world_free(w);
}

/* An index is neither 0 nor one that is in use. */
static void test_index(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2), g = far_of(w, 3);
	const uint32_t used = far_session(w, &f);

	(void)state;
	w->fixed[0] = 0x1234;
	w->fixed[1] = used;
	w->fixed[2] = 0;
	w->fixed_count = 3;
	assert_int_equal(far_wanted_session(w, &g), 0x1234);
	world_free(w);
}

struct wrong {
	enum session_counter counter;
	void (*spoil)(struct world *w, struct far *f, struct session_packet *p);
};

static void spoil_key_kind(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	p->index = f->init.sender;
}

static void spoil_source(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)f;
	p->src.b[15] ^= 1;
}

static void spoil_destination(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)f;
	p->dst.b[15] ^= 1;
}

static void spoil_short(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)f;
	p->len--;
}

static void spoil_index(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)p;
	f->body[3] ^= 1;
}

static void spoil_peer(struct world *w, struct far *f, struct session_packet *p)
{
	const struct node other = node_of(3);

	(void)w;
	(void)f;
	p->src = other.address;
	p->pk = other.pk;
}

static void spoil_known_peer(struct world *w, struct far *f, struct session_packet *p)
{
	const struct node other = node_of(3);

	session_want(w->c, &other.pk, w->t); /* has a pending INIT of its own */
	spoil_peer(w, f, p);
}

static void spoil_time(struct world *w, struct far *f, struct session_packet *p)
{
	(void)f;
	(void)p;
	w->t.now.us += 20 * SECOND + 1;
}

static void spoil_low_order(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)p;
	memset(f->body + 4, 0, 32);
}

static void spoil_tag(struct world *w, struct far *f, struct session_packet *p)
{
	(void)w;
	(void)p;
	f->body[CARRIER_RESP_BYTES - 1] ^= 1;
}

static void spoil_retry(struct world *w, struct far *f, struct session_packet *p)
{
	(void)f;
	(void)p;
	pass_ms(w, 1000);
	(void)session_tick(w->c, w->t); /* the next INIT is pending instead */
}

static void test_resp_checks(void **state)
{
	static const struct wrong cases[] = {
		{SESSION_KEY_KIND, spoil_key_kind},
		{SESSION_ADDRESS, spoil_source},
		{SESSION_ADDRESS, spoil_destination},
		{SESSION_LENGTH, spoil_short},
		{SESSION_RESP_UNASKED, spoil_index},
		{SESSION_RESP_UNASKED, spoil_peer},
		{SESSION_RESP_UNASKED, spoil_known_peer},
		{SESSION_RESP_UNASKED, spoil_retry},
		{SESSION_RESP_LATE, spoil_time},
		{SESSION_RESP_BAD, spoil_low_order},
		{SESSION_RESP_BAD, spoil_tag},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_default();
		struct far f = far_of(w, 2);
		struct session_packet p;

		session_want(w->c, &f.n.pk, w->t);
		far_write_resp(w, &f, said_last(w, SESSION_INIT));
		p = packet_of(w, &f.n, SESSION_RESP, f.body, CARRIER_RESP_BYTES);
		cases[i].spoil(w, &f, &p);
		give_packet(w, &p);
		assert_int_equal(session_count(w->c, cases[i].counter), 1);
		assert_int_equal(w->key_count, 0);
		assert_int_equal(w->pin_sets, 0);
		assert_int_equal(said_since(w, 0, SESSION_CONTROL), 0);
		world_free(w);
	}
}

/* The choice in it. */
static void test_choice_checks(void **state)
{
	static const struct {
		enum session_counter counter;
		struct carrier_choice choice;
	} cases[] = {
		{SESSION_RESP_VERSION, {.sender = 5, .version = 0, .lanes = 1}},
		{SESSION_RESP_VERSION, {.sender = 5, .version = 2, .lanes = 1}},
		{SESSION_RESP_LANES, {.sender = 5, .version = 1, .lanes = 0}},
		{SESSION_RESP_LANES, {.sender = 5, .version = 1, .lanes = SESSION_LANES_MAX + 1}},
		{SESSION_RESP_INDEX, {.sender = 0, .version = 1, .lanes = 1}},
		{SESSION_COUNTERS, {.sender = 5, .version = 1, .lanes = SESSION_LANES_MAX}},
		{SESSION_COUNTERS, {.sender = 5, .version = 1, .lanes = 1, .capabilities = UINT32_MAX}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_default();
		struct far f = far_of(w, 2);

		f.choice = cases[i].choice;
		session_want(w->c, &f.n.pk, w->t);
		far_write_resp(w, &f, said_last(w, SESSION_INIT));
		far_give_resp(w, &f);
		if (cases[i].counter == SESSION_COUNTERS) {
			assert_int_equal(w->key_count, 1);
		} else {
			assert_int_equal(session_count(w->c, cases[i].counter), 1);
			assert_int_equal(w->key_count, 0);
			assert_int_equal(w->pin_sets, 0);
		}
		world_free(w);
	}
}

/* Another one is pending, and answered in f->body. */
static void next_init(struct world *w, struct far *f)
{
	const struct session_setting off = {.has_mode = true, .mode = SESSION_OFF};

	assert_int_equal(session_set_peer(w->c, &f->n.pk, &off, w->t), 0);
	assert_int_equal(session_set_peer(w->c, &f->n.pk, NULL, w->t), 0);
	far_write_resp(w, f, said_last(w, SESSION_INIT));
}

/* No bit may be wrong, nothing may be missing, none of that changes anything; 20 s are soon enough; a surplus does no
 * harm; and it works once. */
static void test_resp_bits(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);

	(void)state;
	session_want(w->c, &f.n.pk, w->t);
	far_write_resp(w, &f, said_last(w, SESSION_INIT));
	for (size_t i = 0; i < CARRIER_RESP_BYTES; i++) {
		if (i % 3 == 0)
			next_init(w, &f);
		f.body[i] ^= 4;
		far_give_resp(w, &f);
		f.body[i] ^= 4;
		give(w, &f.n, SESSION_RESP, f.body, i);
	}
	assert_int_equal(w->key_count, 0);
	w->t.now.us += 20 * SECOND;
	give(w, &f.n, SESSION_RESP, f.body, CARRIER_RESP_BYTES + 9);
	assert_int_equal(w->key_count, 1);
	far_give_resp(w, &f);
	assert_int_equal(w->key_count, 1);
	assert_int_equal(session_count(w->c, SESSION_RESP_UNASKED), 1 + 4);
	world_free(w);
}

/* While a network key is rolled the responder may have mixed either. */
static void test_network_keys(void **state)
{
	static const struct session_psk network[2] = {{{11}}, {{12}}}, wrong = {{13}};
	const struct node other = node_of(7);

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct world *w = world_new();
		struct far f = far_of(w, 2);

		w->config.network_keys = network;
		w->config.network_key_count = 2;
		world_start(w);
		session_want(w->c, &f.n.pk, w->t);
		f.psk = i < 2 ? network[i] : wrong;
		far_write_resp(w, &f, said_last(w, SESSION_INIT));
		far_give_resp(w, &f);
		assert_int_equal(w->key_count, i < 2);
		assert_int_equal(was_told(w, SESSION_MISMATCH), i == 2);
		session_set_network_keys(w->c, network + 1, 1, w->t);
		assert_int_equal(session_policy(w->c, &other.pk, w->t).way, SESSION_BY_NONE);
		world_free(w);
	}
}

static void give_cookie(struct world *w, const struct node *n, uint32_t index)
{
	uint8_t body[CARRIER_COOKIE_BODY_BYTES];
	struct wr r = wr_init(body, sizeof(body));

	wr_be32(&r, index);
	memset(wr_room(&r, CARRIER_COOKIE_BYTES), 0xc0, CARRIER_COOKIE_BYTES);
	give(w, n, SESSION_COOKIE, body, sizeof(body));
}

static uint32_t last_index(const struct world *w)
{
	struct rd r = rd_init(said_last(w, SESSION_INIT)->bytes, 4);

	return rd_be32(&r);
}

/* It is echoed in one new INIT per attempt. */
static void test_cookie(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2), g = far_of(w, 3);
	uint8_t want[CARRIER_COOKIE_BYTES];
	uint32_t first;

	(void)state;
	memset(want, 0xc0, sizeof(want));
	session_want(w->c, &f.n.pk, w->t);
	first = last_index(w);
	give_cookie(w, &f.n, first ^ 1);
	give_cookie(w, &g.n, first);
	assert_int_equal(w->said_count, 1);
	give_cookie(w, &f.n, first);
	assert_int_equal(w->said_count, 2);
	assert_int_not_equal(last_index(w), first);
	assert_memory_equal(w->said[1].bytes + 24, want, sizeof(want));
	assert_true(memcmp(w->said[1].bytes + 12, w->said[0].bytes + 12, 12) > 0);
	give_cookie(w, &f.n, first); /* not pending any more */
	give_cookie(w, &f.n, last_index(w)); /* once per attempt */
	assert_int_equal(w->said_count, 2);
	assert_int_equal(session_count(w->c, SESSION_COOKIE_IGNORED), 4);
	assert_int_equal(session_load(w->c).pending, 1);
	pass_ms(w, 1000); /* the next attempt begins without one */
	(void)session_tick(w->c, w->t);
	assert_true(sodium_is_zero(w->said[2].bytes + 24, CARRIER_COOKIE_BYTES));
	give_cookie(w, &f.n, last_index(w));
	assert_int_equal(w->said_count, 4);
	(void)far_answer(w, &f);
	give_cookie(w, &f.n, f.init.sender);
	assert_int_equal(session_count(w->c, SESSION_COOKIE_IGNORED), 5);
	world_free(w);
}

static void test_cookie_late(void **state)
{
	struct world *w = world_default();
	const struct node n = node_of(2);

	(void)state;
	session_want(w->c, &n.pk, w->t);
	w->t.now.us += 20 * SECOND + 1;
	give_cookie(w, &n, last_index(w));
	assert_int_equal(w->said_count, 1);
	assert_int_equal(session_count(w->c, SESSION_COOKIE_IGNORED), 1);
	world_free(w);
}

static void give_hint(struct world *w, const struct node *n, uint32_t index)
{
	uint8_t body[CARRIER_HINT_BYTES];
	struct wr r = wr_init(body, sizeof(body));

	wr_be32(&r, index);
	give(w, n, SESSION_HINT, body, sizeof(body));
}

/* A HINT counts if it names the far index of `send`, which is older than 5 s; and it only asks for an INIT. */
static void test_hint(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2), g = far_of(w, 3);
	const uint32_t index = far_session(w, &f);
	struct session_packet p;
	uint8_t body[CARRIER_HINT_BYTES + 1];
	struct wr r = wr_init(body, sizeof(body));

	(void)state;
	(void)far_session(w, &g);
	w->said_count = 0;
	pass_ms(w, 5000);
	give_hint(w, &f.n, f.init.sender); /* too young */
	assert_int_equal(session_count(w->c, SESSION_HINT_IGNORED), 1);
	w->t.now.us++;
	give_hint(w, &f.n, f.init.sender ^ 1);
	give_hint(w, &f.n, index); /* ours */
	give_hint(w, &g.n, f.init.sender); /* another peer's */
	assert_int_equal(session_count(w->c, SESSION_HINT_IGNORED), 4);
	wr_be32(&r, f.init.sender);
	p = packet_of(w, &f.n, SESSION_HINT, body, CARRIER_HINT_BYTES);
	p.index = index; /* not statically */
	give_packet(w, &p);
	p.index = 0;
	p.src.b[15] ^= 1;
	give_packet(w, &p);
	give(w, &f.n, SESSION_HINT, body, CARRIER_HINT_BYTES - 1);
	assert_int_equal(session_count(w->c, SESSION_LENGTH), 1);
	assert_int_equal(w->said_count, 0);
	give_hint(w, &f.n, f.init.sender);
	assert_int_equal(said_since(w, 0, SESSION_INIT), 1);
	assert_int_equal(held_find(w, index)->key.slot, SESSION_SEND);
	give_hint(w, &f.n, f.init.sender); /* one is pending */
	assert_int_equal(w->said_count, 1);
	pass_ms(w, 10000); /* and without data it is not repeated */
	assert_int_equal(w->said_count, 1);
	assert_true(session_policy(w->c, &f.n.pk, w->t).way == SESSION_BY_KEY);
	world_free(w);
}

/* The far index of a key that does not send means nothing. */
static void test_hint_old(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2);
	uint32_t old;

	(void)state;
	(void)far_session(w, &f);
	old = f.init.sender;
	pass_ms(w, 1000);
	f.init.sender = 0x999;
	stamp_at(&f, w->t.real_ns);
	(void)far_session(w, &f);
	pass_ms(w, 6000);
	w->said_count = 0;
	give_hint(w, &f.n, old);
	assert_int_equal(w->said_count, 0);
	session_set_mode(w->c, SESSION_OFF, w->t);
	give_hint(w, &f.n, 0x999);
	assert_int_equal(w->said_count, 0);
	session_set_mode(w->c, SESSION_REQUIRE, w->t);
	assert_int_equal(w->said_count, 0);
	give_hint(w, &f.n, 0x999);
	assert_int_equal(said_since(w, 0, SESSION_INIT), 1);
	world_free(w);
}

/* CONTROL travels in a session of its very peer only. */
static void test_control_kind(void **state)
{
	struct world *w = world_default();
	struct far f = far_of(w, 2), g = far_of(w, 3);
	const uint32_t index = far_session(w, &f), other = far_session(w, &g);
	const uint8_t body[CARRIER_CONTROL_BYTES] = {CARRIER_RELEASE};
	struct session_packet p = packet_of(w, &f.n, SESSION_CONTROL, body, sizeof(body));

	(void)state;
	give_control(w, &f.n, 0, CARRIER_RELEASE);
	give_control(w, &f.n, other, CARRIER_RELEASE);
	give_control(w, &f.n, index ^ 1, CARRIER_RELEASE);
	assert_int_equal(session_count(w->c, SESSION_KEY_KIND), 3);
	p.index = index;
	p.src.b[15] ^= 1;
	give_packet(w, &p);
	assert_int_equal(session_count(w->c, SESSION_ADDRESS), 1);
	p.src.b[15] ^= 1;
	p.len--;
	give_packet(w, &p);
	assert_int_equal(session_count(w->c, SESSION_LENGTH), 1);
	give_control(w, &f.n, index, 77); /* unknown kinds are ignored */
	give_control(w, &f.n, index, CARRIER_LINK_OFFER);
	assert_int_equal(session_load(w->c).live, 2);
	assert_int_equal(w->pin_dels, 0);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init),	      cmocka_unit_test(test_stamps),
		cmocka_unit_test(test_index),	      cmocka_unit_test(test_resp_checks),
		cmocka_unit_test(test_choice_checks), cmocka_unit_test(test_resp_bits),
		cmocka_unit_test(test_network_keys),  cmocka_unit_test(test_cookie),
		cmocka_unit_test(test_cookie_late),   cmocka_unit_test(test_hint),
		cmocka_unit_test(test_hint_old),      cmocka_unit_test(test_control_kind),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
