/* SPDX-License-Identifier: Apache-2.0 */
/* Two ends exchange messages in virtual time through a network that loses, repeats, reorders and delays, three packets
 * of ten each: our core at both, or at one with a model of the reference program at the other. Always: an order ends
 * once; received means delivered, exactly once and to the byte; aborted means delivered once at most; the model lives.
 */
#include "tests/prop/prop_message.h"
#include "shared/limits.h"
#include <stdio.h>
#include <time.h>

uint64_t random_state;

static int seed(void **state)
{
	const char *text = getenv("SEED");

	(void)state;
	random_state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	printf("SEED=%llu\n", (unsigned long long)random_state);
	return 0;
}

static bool on_key(void *ctx, const struct ip6 *src, uint8_t public_key[32])
{
	const struct end *e = ctx;

	memset(public_key, src->b[1], 32);
	return !chance(e->world->trouble / 3);
}

static void on_random(void *ctx, void *out, size_t len)
{
	(void)ctx;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)out)[i] = (uint8_t)rnd();
}

static void start(struct world *w, int from, size_t len, const uint8_t *reply_id)
{
	const size_t number = w->plan_count++;
	struct plan *p = &w->plans[number];
	struct end *e = &w->ends[from];

	assert_true(number < PLANS);
	*p = (struct plan){.from = from, .len = len, .reply = reply_id};
	if (reply_id)
		memcpy(p->id, reply_id, sizeof(p->id));
	if (e->core) {
		struct message_order o = {.handle = number + 1,
					  .has_id = reply_id,
					  .reply = reply_id,
					  .dst = ip_of(!from),
					  .topic = (const uint8_t *)&number,
					  .topic_len = sizeof(number),
					  .payload = payload_of(number, len),
					  .len = len};

		memcpy(o.id, p->id, sizeof(o.id));
		assert_int_equal(message_send(e->core, &o, w->now, NOW_S, p->id), 0);
	} else {
		struct reference_out o = {.reply = reply_id,
					  .dst = ip_of(!from),
					  .topic_len = sizeof(number),
					  .payload = payload_of(number, len),
					  .len = len};

		memcpy(o.topic, &number, sizeof(number));
		if (!reply_id)
			on_random(NULL, p->id, sizeof(p->id));
		memcpy(o.id, p->id, sizeof(o.id));
		(void)reference_send(&e->model, &o, w->now);
	}
}

/* It is a planned one, for that end, to the byte. */
static struct plan *check_delivery(struct world *w, int at, const uint8_t *topic, const uint8_t *payload, size_t len)
{
	struct plan *p;
	size_t number;

	memcpy(&number, topic, sizeof(number));
	assert_true(number < w->plan_count);
	p = &w->plans[number];
	assert_int_equal(p->from, !at);
	assert_int_equal(p->len, len);
	for (size_t i = 0; i < len; i++)
		if (payload[i] != payload_byte(number, i))
			fail_msg("message %zu: byte %zu is wrong", number, i);
	return p;
}

static void delivered(struct world *w, struct plan *p)
{
	p->delivered++;
	assert_int_equal(p->delivered, 1);
	/* The reference takes any late ACK of an id for one of its newest message: it replies on good networks only. */
	if (!w->ends[!p->from].core && w->trouble)
		return;
	if (w->plan_count + 3 < PLANS && chance(w->reply_chance) && p->replies++ == 0) {
		start(w, !p->from, rnd() % 4000, p->id);
		if (w->ends[!p->from].core && chance(50))
			start(w, !p->from, rnd() % 4000, p->id);
	}
}

/* The store answers later, and not always well; what it then has, it has. */
static void on_received(void *ctx, const struct message_in *in)
{
	struct end *e = ctx;
	struct event *done = new_event(e->world, e->number, (int64_t)(rnd() % 20000), sizeof(size_t));

	assert_int_equal(in->topic_len, sizeof(size_t));
	(void)check_delivery(e->world, e->number, in->topic, in->payload, in->len);
	memcpy(done->bytes, in->topic, sizeof(size_t));
	done->token = in->token;
	push(e->world, done);
}

static void on_stored(struct world *w, struct end *e, const struct event *done)
{
	const bool ok = !chance(w->trouble / 3);
	size_t number;

	memcpy(&number, done->bytes, sizeof(number));
	message_stored(e->core, done->token, ok, w->now);
	if (ok)
		delivered(w, &w->plans[number]);
}

static void on_model_received(void *ctx, const struct reference_in *in)
{
	struct end *e = ctx;

	assert_int_equal(in->topic_len, sizeof(size_t));
	delivered(e->world, check_delivery(e->world, e->number, in->topic, in->payload, in->len));
}

static void on_status(void *ctx, const struct message_status *s)
{
	struct plan *p = &((struct end *)ctx)->world->plans[s->handle - 1];

	assert_true(s->state != p->state);
	assert_false(p->ends > 0);
	p->state = s->state;
	p->ends += s->state >= MESSAGE_RECEIVED;
}

static struct world *world_new(unsigned trouble, bool model)
{
	static const struct message_ops ops = {
		.send = on_send, .key = on_key, .received = on_received, .status = on_status, .random = on_random};
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->now.us = 1;
	w->trouble = trouble;
	for (int i = 0; i < ENDS; i++) {
		struct end *e = &w->ends[i];
		const struct ip6 self = ip_of(i);
		const struct message_config config = {.self = self, .own = prefix_make(&self, 64)};

		e->world = w;
		e->number = i;
		if (i == 1 && model)
			e->model = (struct reference){
				.self = self, .send = on_send, .received = on_model_received, .ctx = e};
		else
			e->core = message_new(&config, &ops, e);
	}
	return w;
}

static void world_free(struct world *w)
{
	while (w->events)
		free(pop(w));
	for (int i = 0; i < ENDS; i++) {
		message_free(w->ends[i].core);
		reference_fini(&w->ends[i].model);
	}
	free(w);
}

static void handle(struct world *w, const struct event *event)
{
	struct end *e = &w->ends[event->end];
	uint8_t *copy;

	if (event->token) {
		on_stored(w, e, event);
		return;
	}
	copy = malloc(event->len); /* so that reading too far is seen */
	assert_non_null(copy);
	memcpy(copy, event->bytes, event->len);
	if (e->core)
		message_packet(e->core, &event->src, &event->dst, copy, event->len, w->now);
	else
		reference_packet(&e->model, &event->src, &event->dst, copy, event->len);
	free(copy);
}

static struct mono tick(struct world *w)
{
	struct mono next = w->events ? w->heap[1]->due : MONO_NEVER;

	for (int i = 0; i < ENDS; i++) {
		struct end *e = &w->ends[i];

		next = mono_min(next, e->core ? message_tick(e->core, w->now) : reference_tick(&e->model, w->now));
		assert_null(e->model.dead);
	}
	/* Ticks send. */
	return w->events ? mono_min(next, w->heap[1]->due) : next;
}

static void run(struct world *w, int64_t seconds)
{
	const struct mono end = mono_add_ms(w->now, seconds * 1000);

	for (struct mono next = tick(w); mono_is_due(next, end); next = tick(w)) {
		assert_true(next.us >= w->now.us);
		w->now = next;
		while (w->events && mono_is_due(w->heap[1]->due, w->now)) {
			struct event *e = pop(w);

			handle(w, e);
			free(e);
		}
	}
	w->now = end;
}

static size_t some_length(void)
{
	static const size_t edges[] = {0, 1, 249, 250, 1299, 1300, 1301, 1549, 1550, 2600, 2601, 2850};

	if (chance(60))
		return edges[rnd() % (sizeof(edges) / sizeof(edges[0]))];
	return chance(80) ? rnd() % 5000 : rnd() % 100000;
}

/* All ended, truly; returns how many of those from one end were received. */
static size_t check_ends(const struct world *w, int from, size_t *count)
{
	size_t received = 0;

	*count = 0;
	for (size_t i = 0; i < w->plan_count; i++) {
		const struct plan *p = &w->plans[i];

		if (p->from != from)
			continue;
		++*count;
		assert_int_equal(p->ends, 1);
		if (p->state == MESSAGE_ABORTED)
			continue;
		assert_int_equal(p->delivered, 1);
		received++;
	}
	return received;
}

static void test_two_cores(void **state)
{
	size_t received = 0, all = 0;

	(void)state;
	for (int round = 0; round < 6; round++) {
		struct world *w = world_new(30, false);
		size_t count;

		w->reply_chance = 40;
		for (int i = 0; i < 60; i++) {
			start(w, (int)(rnd() % ENDS), some_length(), NULL);
			if (chance(50))
				run(w, (int64_t)(rnd() % 3));
		}
		if (round == 0)
			start(w, 0, BIG, NULL);
		run(w, 1000);
		for (int i = 0; i < ENDS; i++) {
			received += check_ends(w, i, &count);
			all += count;
			assert_int_equal(message_load(w->ends[i].core).in_count, 0);
			assert_int_equal(message_load(w->ends[i].core).out_count, 0);
		}
		world_free(w);
	}
	printf("two cores: %zu of %zu received\n", received, all);
	assert_true(received * 100 >= all * 99);
}

/* A good network: a big message needs no timeouts. */
static void test_quick(void **state)
{
	struct world *w = world_new(0, false);
	size_t count;

	(void)state;
	for (int i = 0; i < 100; i++)
		start(w, 0, some_length(), NULL);
	start(w, 1, BIG, NULL);
	run(w, 2);
	assert_int_equal(check_ends(w, 0, &count), 100);
	assert_int_equal(check_ends(w, 1, &count), 1);
	assert_int_equal(message_count(w->ends[1].core, MESSAGE_RETRANSMITTED), 0);
	world_free(w);
}

/* To the model. Where its DONE ACK is lost we may never know; all else is received. */
static void test_to_reference(void **state)
{
	size_t received = 0, all = 0, delivered_count = 0;

	(void)state;
	for (int round = 0; round < 6; round++) {
		struct world *w = world_new(round ? 30 : 0, true);
		size_t count, got;

		for (int i = 0; i < 60; i++) {
			start(w, 0, some_length(), NULL);
			if (chance(50))
				run(w, (int64_t)(rnd() % 3));
		}
		if (round < 2)
			start(w, 0, BIG / 4, NULL);
		run(w, 1000);
		got = check_ends(w, 0, &count);
		if (round == 0)
			assert_int_equal(got, count);
		received += got;
		all += count;
		for (size_t i = 0; i < w->plan_count; i++)
			delivered_count += w->plans[i].delivered;
		world_free(w);
	}
	printf("to the reference: %zu of %zu delivered, %zu known to be\n", delivered_count, all, received);
	assert_true(delivered_count * 100 >= all * 97);
	assert_true(received * 100 >= all * 45);
}

/* From the model, short last chunks included; and our replies to it, which also tell it nothing wrong. */
static void test_from_reference(void **state)
{
	size_t received = 0, all = 0;

	(void)state;
	for (int round = 0; round < 6; round++) {
		struct world *w = world_new(round ? 30 : 0, true);
		size_t count;

		for (int i = 0; i < 40; i++) {
			start(w, 1, some_length(), NULL);
			run(w, (int64_t)(rnd() % 3));
		}
		w->reply_chance = round ? 20 : 100;
		run(w, 1000);
		(void)check_ends(w, 0, &count);
		for (const struct reference_out *o = w->ends[1].model.out; o; o = o->next) {
			size_t number;

			memcpy(&number, o->topic, sizeof(number));
			assert_true(o->state == REFERENCE_RECEIVED || o->state == REFERENCE_ABORTED);
			if (o->state == REFERENCE_RECEIVED)
				assert_int_equal(w->plans[number].delivered, 1);
			received += o->state == REFERENCE_RECEIVED;
			all++;
		}
		world_free(w);
	}
	printf("from the reference: %zu of %zu received\n", received, all);
	assert_true(received * 100 >= all * 99);
}

/* Whatever a stranger opens, others come through, and the bytes stay within the cap. */
static void test_hostile_sender(void **state)
{
	struct world *w = world_new(5, false);
	const struct ip6 stranger = ip_of(STRANGER), self = ip_of(1);
	size_t count;

	(void)state;
	for (int i = 0; i < 100; i++) {
		for (int k = 0; k < STRANGER_MESSAGES; k++) {
			struct frame f = {.type = FRAME_INIT};
			uint8_t bytes[FRAME_MAX_BYTES];
			struct wr wr = wr_init(bytes, sizeof(bytes));

			on_random(NULL, f.id, sizeof(f.id));
			f.init.length = chance(50) ? (uint64_t)LIMIT_MESSAGE_LENGTH_DEFAULT : rnd() >> rnd() % 64;
			frame_write(&wr, &f);
			message_packet(w->ends[1].core, &stranger, &self, bytes, wr_len(&wr), w->now);
		}
		assert_true(message_load(w->ends[1].core).in_bytes <= LIMIT_MESSAGE_BYTES);
		start(w, 0, some_length(), NULL);
		run(w, 1);
	}
	assert_true(message_load(w->ends[1].core).in_count <= LIMIT_MESSAGE_OPEN_PER_SENDER + 100);
	run(w, 700);
	assert_int_equal(check_ends(w, 0, &count), 100);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_cores),      cmocka_unit_test(test_quick),
		cmocka_unit_test(test_to_reference),   cmocka_unit_test(test_from_reference),
		cmocka_unit_test(test_hostile_sender),
	};

	return cmocka_run_group_tests(tests, seed, NULL);
}
