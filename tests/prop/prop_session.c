/* SPDX-License-Identifier: Apache-2.0 */
/* Two or three session cores in virtual time, through loss, repetition, reordering, restarts, clocks that are wrong by
 * years, and an attacker who drops, replays and reflects. Always: no confirmed key goes before its successor is
 * confirmed, no secret seals twice, no policy keeps an unpinned peer waiting, no pinned pair uses the static key, no
 * answer is longer than its question, caps hold. In the end, when the trouble is over: every pair has a session, keys
 * are renewed in time, and where no data passes all is silent. */
#include "tests/prop/prop_session.h"
#include <stdio.h>
#include <time.h>

uint64_t random_state;

static int seed(void **state)
{
	const char *text = getenv("SEED");

	(void)state;
	random_state = (text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL)) | 1;
	printf("SEED=%llu\n", (unsigned long long)random_state);
	return 0;
}

static void core_start(struct node *n, enum session_mode mode)
{
	static const struct session_ops ops = {.send = on_send,
					       .random = on_random,
					       .key_add = on_key_add,
					       .key_move = on_key_move,
					       .key_del = on_key_del,
					       .policy = on_policy,
					       .pin_set = on_pin_set,
					       .pin_del = on_pin_del,
					       .event = on_event};
	const struct session_config config = {.network = &network200,
					      .pk = n->pk,
					      .sk = &n->sk,
					      .mode = mode,
					      .lanes = (uint8_t)(1 + rnd() % SESSION_LANES_MAX),
					      .limits = {.pending = 2}};

	n->c = session_new(&config, &ops, n, time_of(n));
	memset(n->told, 0, sizeof(n->told));
	for (int i = 0; i < NODES; i++)
		if (n->pins[i].net64)
			assert_true(session_found_pin(n->c, &n->pins[i], time_of(n)));
	for (int i = 0; i < KEYS; i++) {
		if (n->slots[i].used && !session_found_key(n->c, &n->slots[i].key, time_of(n)))
			n->slots[i].used = false;
	}
}

/* Realtime is set by hand, to anything. */
static int64_t some_offset(void)
{
	return INT64_C(1700000000) * NS_PER_S + (int64_t)(rnd() % 600000000) * NS_PER_S - 300000000 * NS_PER_S;
}

static struct world *world_new(int count)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->now.us = 5 * SECOND;
	w->report = w->now;
	w->count = count;
	for (int i = 0; i < count; i++) {
		struct node *n = &w->nodes[i];

		n->world = w;
		n->number = (uint8_t)i;
		on_random(NULL, &n->sk, sizeof(n->sk));
		assert_int_equal(crypto_scalarmult_base(n->pk.b, n->sk.b), 0);
		network200.address(&n->pk, &n->address);
		n->real_offset_ns = some_offset();
		core_start(n, SESSION_OPPORTUNISTIC);
	}
	return w;
}

static uint64_t tally[SESSION_COUNTERS]; /* of all lives */

static void core_end(struct node *n)
{
	for (int i = 0; i < SESSION_COUNTERS; i++)
		tally[i] += session_count(n->c, (enum session_counter)i);
	session_free(n->c);
}

/* controld dies and comes back; sometimes fastpath with it, the state, or the right time. */
static void restart(struct node *n)
{
	core_end(n);
	if (chance(50))
		memset(n->slots, 0, sizeof(n->slots));
	if (chance(25))
		memset(n->pins, 0, sizeof(n->pins));
	if (chance(50))
		n->real_offset_ns = some_offset();
	core_start(n, SESSION_OPPORTUNISTIC);
}

static void world_free(struct world *w)
{
	for (int i = 0; i < w->count; i++)
		core_end(&w->nodes[i]);
	free(w);
}

static struct session_policy policy_of(struct node *n, int to)
{
	return n->told[to] ? n->policy[to] : session_policy(n->c, &n->world->nodes[to].pk, time_of(n));
}

static void send_data(struct node *n, int to)
{
	const struct session_policy policy = policy_of(n, to);
	struct packet p = {.src = n->number,
			   .dst = (uint8_t)to,
			   .pair = {n->number, (uint8_t)to},
			   .data = true,
			   .len = DATA_BYTES};

	if (policy.way == SESSION_BY_KEY)
		seal_keyed(n, &p);
	else
		session_want(n->c, &n->world->nodes[to].pk, time_of(n));
	if (policy.way != SESSION_BY_NONE)
		launch(n->world, &p);
}

/* In a session: opens if the key is held, the addresses are those that were sealed, and the counter is new. */
static void open_keyed(struct node *n, const struct packet *p)
{
	struct slot *s = slot_find(n, p->index);
	const struct node *from = &n->world->nodes[p->src];
	struct session_packet in = {.type = p->type,
				    .src = from->address,
				    .dst = n->address,
				    .pk = from->pk,
				    .index = p->index,
				    .bytes = p->body,
				    .len = p->len};

	if (!s || !pubkey_eq(&s->key.pk, &from->pk)) {
		session_stray(n->c, &from->pk, p->index, p->len + WIRE_SEALED_MIN_BYTES, time_of(n));
		return;
	}
	if (memcmp(&s->secrets.receive, &p->key, sizeof(p->key)) != 0 || s->seen[p->counter])
		return;
	s->seen[p->counter] = true;
	if (s->key.slot == SESSION_NEXT) {
		session_confirmed(n->c, p->index, time_of(n));
		assert_int_equal(s->key.slot, SESSION_SEND);
	}
	if (p->data) {
		s->use.opened = n->world->now;
		s->traffic = true;
		n->got[p->src]++;
	} else {
		session_packet(n->c, &in, time_of(n));
	}
}

/* Under the static key: of either direction. */
static void open_static(struct node *n, const struct packet *p)
{
	const struct node *from = &n->world->nodes[p->src];
	const struct session_packet in = {.type = p->type,
					  .src = from->address,
					  .dst = n->address,
					  .pk = from->pk,
					  .bytes = p->body,
					  .len = p->len};

	if (p->pair[0] + p->pair[1] != p->src + n->number)
		return;
	if (!p->data)
		session_packet(n->c, &in, time_of(n));
	else if (session_static(n->c, &from->pk, p->len, time_of(n)))
		n->got[p->src]++;
	else
		assert_true(n->pins[p->src].net64 != 0);
}

static void deliver(struct world *w, size_t which)
{
	const struct packet p = w->flying[which];
	struct node *n = &w->nodes[p.dst];

	w->flying[which] = w->flying[--w->flying_count];
	w->answered_bytes = 0;
	if (p.keyed)
		open_keyed(n, &p);
	else
		open_static(n, &p);
	assert_true(w->answered_bytes <= p.len + WIRE_SEALED_MIN_BYTES);
}

/* The pin, computed here anew, holds. */
static bool is_pinned(const struct node *n, int peer)
{
	const struct session_pin *pin = &n->pins[peer];
	const int64_t hour = 3600 * NS_PER_S, lived = pin->last_ns - pin->first_ns;

	return pin->net64 && time_of(n).real_ns - pin->last_ns <= (lived < hour		? hour
								   : lived < 720 * hour ? lived
											: 720 * hour);
}

static void check(struct node *n)
{
	const struct session_load load = session_load(n->c);

	assert_true(load.pending <= 2);
	assert_true(load.peers < NODES);
	assert_true(load.pins < NODES);
	assert_true(load.unconfirmed < NODES);
	for (int i = 0; i < n->world->count; i++) {
		if (i == n->number)
			continue;
		if (is_pinned(n, i))
			assert_int_not_equal(policy_of(n, i).way, SESSION_BY_STATIC);
		else if (n->pins[i].net64 == 0)
			assert_int_not_equal(policy_of(n, i).way, SESSION_BY_NONE);
	}
}

/* Every second: data where there is talk, fastpath's report, and a look at everything. */
static void each_second(struct world *w)
{
	for (int i = 0; i < w->count; i++) {
		struct node *n = &w->nodes[i];

		for (int k = 0; k < w->count; k++)
			if (k != i && n->talks[k])
				send_data(n, k);
		for (int k = 0; k < KEYS; k++) {
			struct slot *s = &n->slots[k];

			if (!s->used || !s->traffic)
				continue;
			s->traffic = false;
			session_use(n->c, &s->use, time_of(n));
		}
		check(n);
	}
	if (chance(w->attack))
		for (int i = 0; i < 8; i++)
			strike(w);
	w->report = mono_add_us(w->report, SECOND);
}

/* One thing happens. */
static void step(struct world *w)
{
	struct mono next = w->report;
	size_t first = w->flying_count;

	for (size_t i = 0; i < w->flying_count; i++) {
		if (w->flying[i].due.us < next.us) {
			next = w->flying[i].due;
			first = i;
		}
	}
	for (int i = 0; i < w->count; i++) {
		const struct mono due = session_tick(w->nodes[i].c, time_of(&w->nodes[i]));

		assert_true(due.us > w->now.us);
		if (due.us < next.us) {
			next = due;
			first = SIZE_MAX;
		}
	}
	w->now = next.us > w->now.us ? next : w->now;
	if (first == SIZE_MAX)
		return;
	if (first < w->flying_count)
		deliver(w, first);
	else
		each_second(w);
}

static void run(struct world *w, int64_t seconds)
{
	const struct mono end = mono_add_us(w->now, seconds * SECOND);

	while (w->now.us < end.us)
		step(w);
}

static void trouble(struct world *w, int seconds)
{
	w->loss = (unsigned)(rnd() % 60);
	w->repeat = (unsigned)(rnd() % 30);
	w->attack = chance(70) ? 30 : 0;
	for (int s = 0; s < seconds; s += 5) {
		struct node *n = &w->nodes[rnd() % (unsigned)w->count];

		n->talks[rnd() % (unsigned)w->count] = chance(70);
		if (chance(4))
			restart(n);
		run(w, 5);
	}
}

static void set_talk(struct world *w, bool talk)
{
	for (int i = 0; i < w->count; i++)
		for (int k = 0; k < w->count; k++)
			w->nodes[i].talks[k] = talk;
	w->loss = w->repeat = w->attack = 0;
}

/* All pairs seal by keys that the other side holds; none is older than it may be. */
static void assert_sessions(struct world *w)
{
	for (int i = 0; i < w->count; i++) {
		for (int k = 0; k < w->count; k++) {
			struct slot *s;

			if (k == i)
				continue;
			assert_int_equal(policy_of(&w->nodes[i], k).way, SESSION_BY_KEY);
			s = slot_at(&w->nodes[i], &w->nodes[k].pk, SESSION_SEND);
			assert_non_null(s);
			/* After crossing handshakes no side is the initiator of what it sends with. */
			assert_true(mono_since_us(w->now, s->key.made) < 182 * (int64_t)SECOND);
			assert_non_null(slot_find(&w->nodes[k], s->key.far_index));
		}
	}
}

/* Whatever happened before: with data and without trouble sessions come up, and data flows. */
static void heal(struct world *w, int within_s)
{
	uint32_t got[NODES][NODES] = {{0}};

	set_talk(w, true);
	run(w, within_s);
	for (int s = 0; s < 300; s += 10) {
		assert_sessions(w);
		for (int i = 0; i < w->count; i++)
			memcpy(got[i], w->nodes[i].got, sizeof(got[i]));
		run(w, 10);
		for (int i = 0; i < w->count; i++)
			for (int k = 0; k < w->count; k++)
				assert_true(k == i || w->nodes[i].got[k] >= got[i][k] + 9);
	}
}

static uint64_t inits_of(const struct world *w)
{
	uint64_t sum = 0;

	for (int i = 0; i < w->count; i++)
		sum += w->nodes[i].inits;
	return sum;
}

/* Where no data passes, nothing is said. */
static void fall_silent(struct world *w)
{
	uint64_t before;
	size_t taped;

	set_talk(w, false);
	run(w, 60);
	before = inits_of(w);
	taped = w->taped;
	run(w, 900);
	assert_int_equal(inits_of(w), before);
	assert_int_equal(w->taped, taped);
	for (int i = 0; i < w->count; i++)
		assert_int_equal(session_load(w->nodes[i].c).live, 0);
}

static void print_tally(void)
{
	static const struct {
		enum session_counter counter;
		const char *name;
	} lines[] = {{SESSION_KEYS_MADE, "keys"},
		     {SESSION_INITS_SENT, "INITs"},
		     {SESSION_RESPS_SENT, "RESPs"},
		     {SESSION_COOKIES_SENT, "COOKIEs"},
		     {SESSION_HINTS_SENT, "HINTs"},
		     {SESSION_KEEPALIVES_SENT, "KEEPALIVEs"},
		     {SESSION_STATIC_REFUSED, "static packets refused"},
		     {SESSION_INIT_BAD, "INITs that did not open"},
		     {SESSION_RESP_UNASKED, "RESPs that nobody asked for"}};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		printf("%llu %s\n", (unsigned long long)tally[lines[i].counter], lines[i].name);
		assert_true(tally[lines[i].counter] > 0);
	}
}

static void test_trouble(void **state)
{
	(void)state;
	memset(tally, 0, sizeof(tally));
	for (int round = 0; round < 12; round++) {
		struct world *w = world_new(2 + round % 2);

		trouble(w, 600);
		/* An old acquaintance may have been asked last 720 s ago at the most. */
		heal(w, 760);
		if (round % 3 == 0)
			fall_silent(w);
		world_free(w);
	}
	print_tally();
}

/* Without trouble: the first packets bring a session within seconds; pinned ones come back as fast. */
static void test_quick(void **state)
{
	struct world *w = world_new(3);

	(void)state;
	heal(w, 3);
	for (int i = 0; i < 6; i++) {
		restart(&w->nodes[i % 3]);
		heal(w, 40);
	}
	fall_silent(w);
	world_free(w);
}

/* Both sides begin in the same instant, many times, over a slow way. */
static void test_crossing(void **state)
{
	(void)state;
	for (int round = 0; round < 60; round++) {
		struct world *w = world_new(2);

		w->loss = (unsigned)(rnd() % 50);
		w->repeat = 20;
		w->nodes[0].talks[1] = w->nodes[1].talks[0] = true;
		run(w, (int64_t)(rnd() % 20));
		heal(w, 40);
		world_free(w);
	}
}

/* The attacker has everything that ever passed: no old packet is taken for data, whatever else it makes us do. */
static void test_replay(void **state)
{
	struct world *w = world_new(2);
	uint32_t got[2];

	(void)state;
	heal(w, 3);
	set_talk(w, false);
	run(w, 20);
	got[0] = w->nodes[0].got[1];
	got[1] = w->nodes[1].got[0];
	for (int i = 0; i < 3000; i++) {
		strike(w);
		if (i % 20 == 0)
			run(w, 1);
		if (i == 2000) { /* keys lost, and nothing else */
			w->nodes[1].losing = true;
			session_keys_lost(w->nodes[1].c, time_of(&w->nodes[1]));
			w->nodes[1].losing = false;
		}
	}
	assert_int_equal(w->nodes[0].got[1], got[0]);
	assert_int_equal(w->nodes[1].got[0], got[1]);
	heal(w, 40);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trouble),
		cmocka_unit_test(test_quick),
		cmocka_unit_test(test_crossing),
		cmocka_unit_test(test_replay),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, seed, NULL);
}
