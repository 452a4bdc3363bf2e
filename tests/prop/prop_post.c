/* SPDX-License-Identifier: Apache-2.0 */
/* Two posts exchange messages in virtual time, through a network that loses, repeats and reorders, over stores that
 * fail and are slow, with clients of all kinds that go away, give back, acknowledge late and come again; and both crash
 * and start again from what was committed. Always: an accepted order ends, once; a message is with one client at a
 * time; it never comes under two rows; one that was acknowledged to its sender is in the inbox until a client says that
 * it has it; one that is said to be read was. */
#include "tests/prop/prop_post.h"
#include <time.h>

static uint64_t seed;

static int draw_seed(void **state)
{
	const char *text = getenv("SEED");

	(void)state;
	seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	printf("SEED=%llu\n", (unsigned long long)seed);
	return 0;
}

/* Sending */

struct sent_ctx {
	struct model *m;
	size_t number;
};
static struct sent_ctx sent_ctx[PLANS];

static void client_wait_for_reply(struct model *m, int office, const uint8_t *id, const struct ip6 *dst);

static void on_sent(void *ctx, int error, const uint8_t id[RECORD_ID_BYTES])
{
	const struct sent_ctx *s = ctx;
	struct plan *p = &s->m->plans[s->number];

	assert_true(error == 0 || error == -EIO);
	p->is_accepted = error == 0;
	if (!error && chance(s->m->w, 30))
		client_wait_for_reply(s->m, p->from, id, &p->dst);
}

static void send_message(struct model *m, int from, const struct ip6 *dst, const uint8_t *reply_id)
{
	static const char topics[3][2] = {"", "a", "b"};
	const size_t number = m->plan_count++, len = sizeof(number) + rnd(m->w) % (chance(m->w, 80) ? 300 : 6000);
	const char *topic = topics[rnd(m->w) % 3];
	struct post_letter l = {.dst = *dst,
				.reply = reply_id,
				.topic = (const uint8_t *)topic,
				.topic_len = (uint8_t)strlen(topic),
				.payload = malloc(len),
				.len = len};
	struct office *o = &m->w->offices[from];
	uint64_t ticket;

	assert_true(number < PLANS && l.payload);
	m->plans[number] = (struct plan){.from = from, .dst = *dst, .len = len};
	memcpy(l.payload, &number, sizeof(number));
	for (size_t i = sizeof(number); i < len; i++)
		l.payload[i] = payload_byte(number, i);
	if (reply_id)
		memcpy(l.id, reply_id, sizeof(l.id));
	sent_ctx[number] = (struct sent_ctx){.m = m, .number = number};
	ticket = post_send(o->post, &l, on_sent, &sent_ctx[number], now_of(m->w));
	if (chance(m->w, 5))
		post_send_forget(o->post, ticket);
}

/* Clients */

static void on_take(void *ctx, struct post_message *msg)
{
	struct client *c = ctx;

	c->taker = NULL;
	if (!msg || c->is_peek) {
		if (msg) {
			(void)check_message(c, msg);
			post_message_fini(msg);
		}
		client_clear(c);
		return;
	}
	hold(c, msg, 0);
	if (!c->m->is_ending && !msg->reply && chance(c->m->w, 30)) {
		send_message(c->m, c->office->number, &msg->src, msg->id);
		c->m->replies++;
	}
	post_message_fini(msg);
}

static struct post_filter some_filter(struct world *w)
{
	struct post_filter f = {.by_topic = chance(w, 30)};

	f.topic_len = (uint8_t)(rnd(w) % 2);
	f.topic[0] = (uint8_t)('a' + rnd(w) % 2);
	return f;
}

static void start_taker(struct client *c, const uint8_t *id, const struct ip6 *dst)
{
	struct world *w = c->m->w;
	struct post_take t = {.until = mono_add_ms(w->now, (int64_t)(rnd(w) % 2000)), .fn = on_take, .ctx = c};

	c->kind = CLIENT_TAKER;
	c->serial = ++c->m->serial;
	c->is_peek = chance(w, 20);
	t.peek = c->is_peek;
	if (!id)
		t.filter = some_filter(w);
	c->taker = id ? post_take_reply(c->office->post, id, dst, &t) : post_take(c->office->post, &t);
	assert_non_null(c->taker);
}

static void client_wait_for_reply(struct model *m, int office, const uint8_t *id, const struct ip6 *dst)
{
	for (int i = 0; i < CLIENTS; i++)
		if (m->clients[office][i].kind == CLIENT_NONE) {
			start_taker(&m->clients[office][i], id, dst);
			return;
		}
}

static void on_stream(void *ctx, uint64_t offset, struct post_message *msg)
{
	const struct conn *conn = ctx;
	struct client *c = conn->client;

	assert_true(conn == &c->conns[c->conn] && !conn->is_over && !c->is_paused);
	assert_true(offset > c->offset && c->held_count < c->window);
	c->offset = offset;
	hold(c, msg, offset);
	post_message_fini(msg);
}

static void on_taken_over(void *ctx)
{
	struct conn *conn = ctx;

	assert_true(conn != &conn->client->conns[conn->client->conn]);
	conn->is_over = true;
}

/* All up to that offset is consumed. */
static void stream_got(struct client *c, uint64_t offset)
{
	while (c->held_count && c->held[0].offset <= offset)
		let_go(c, true, MONO_NEVER);
}

/* Anew, or where it was; then also while the old connection stands. */
static void connect_stream(struct client *c, bool resume)
{
	struct world *w = c->m->w;
	struct post_stream_open o = {.window = 1 + (uint32_t)(rnd(w) % HELD),
				     .resume = resume,
				     .id = c->id,
				     .offset = c->offset,
				     .message = on_stream,
				     .taken_over = on_taken_over};
	struct post_stream_opened opened;

	if (!resume) {
		c->kind = CLIENT_STREAM;
		c->serial = ++c->m->serial;
		o.filter = some_filter(w);
	}
	c->conn ^= 1;
	c->conns[c->conn] = (struct conn){.client = c};
	o.ctx = &c->conns[c->conn];
	if (resume && chance(w, 70) && c->held_count) /* the client lost some */
		o.offset = c->held[rnd(w) % c->held_count].offset;
	for (unsigned i = 0; i < c->held_count; i++)
		c->m->plans[c->held[i].number].is_consumed |= resume && c->held[i].offset <= o.offset;
	c->stream = post_stream_open(c->office->post, &o, &opened, now_of(w));
	assert_non_null(c->stream);
	c->m->resumed += resume;
	c->m->recovered += opened.recovered;
	if (resume && memcmp(&opened.id, &c->id, sizeof(c->id)) == 0)
		stream_got(c, o.offset);
	else
		c->serial = ++c->m->serial; /* what it held is others' */
	/* What it held and is its own still comes again. */
	for (unsigned i = 0; i < c->held_count; i++)
		if (c->m->plans[c->held[i].number].holder == c->serial)
			c->m->plans[c->held[i].number].free_at = MONO_NEVER;
	c->held_count = 0;
	c->id = opened.id;
	c->offset = opened.offset > c->offset ? opened.offset : c->offset;
	c->window = o.window;
	c->is_paused = false;
}

static void cut_stream(struct client *c)
{
	const struct mono free_at = mono_add_ms(c->m->w->now, LIMIT_STREAM_RESERVED_MS);

	post_stream_close(c->office->post, c->stream, now_of(c->m->w));
	c->stream = NULL;
	/* Also what is to come again, which the client does not hold. */
	for (size_t i = 0; i < c->m->plan_count; i++)
		if (c->m->plans[i].holder == c->serial)
			c->m->plans[i].free_at = mono_min(c->m->plans[i].free_at, free_at);
}

static void consume_held(struct client *c)
{
	const uint64_t row = c->held[0].row;

	let_go(c, true, MONO_NEVER);
	post_consumed(c->office->post, row, now_of(c->m->w));
}

static void act_taker(struct client *c)
{
	struct world *w = c->m->w;

	if (c->taker) {
		if (!chance(w, 10))
			return;
		post_take_cancel(c->office->post, c->taker);
	} else if (chance(w, 75)) {
		consume_held(c);
	} else {
		post_give_back(c->office->post, c->held[0].row);
		let_go(c, false, w->now);
		c->m->given_back++;
	}
	client_clear(c);
}

static void act_stream(struct client *c)
{
	struct world *w = c->m->w;
	const unsigned what = (unsigned)(rnd(w) % 100);

	if (!c->stream) {
		if (what < 10)
			client_clear(c); /* never comes back */
		else if (what < 20)
			connect_stream(c, true);
	} else if (what < 35) {
		const uint64_t upto = c->held_count ? c->held[rnd(w) % c->held_count].offset : c->offset;

		stream_got(c, upto);
		assert_true(post_stream_ack(c->office->post, c->stream, upto, now_of(w)));
	} else if (what < 65) {
		c->is_paused = !c->is_paused;
		post_stream_pause(c->office->post, c->stream, c->is_paused);
	} else if (what < 90) {
		cut_stream(c);
	} else if (what < 94) {
		connect_stream(c, true);
	} else {
		assert_false(post_stream_ack(c->office->post, c->stream, UINT64_MAX, now_of(w)));
	}
}

static void act(struct client *c)
{
	if (c->kind == CLIENT_TAKER)
		act_taker(c);
	else if (c->kind == CLIENT_STREAM)
		act_stream(c);
	else if (chance(c->m->w, 97))
		start_taker(c, NULL, NULL);
	else
		connect_stream(c, false);
}

static void crash(struct model *m, int number)
{
	office_crash(&m->w->offices[number]);
	m->crashes++;
	for (int i = 0; i < CLIENTS; i++)
		client_clear(&m->clients[number][i]);
	for (size_t i = 0; i < m->plan_count; i++)
		if (m->plans[i].dst.b[1] == number + 1)
			m->plans[i].free_at = m->w->now;
}

/* One that was to be given again, and could not be read, is free. */
static void on_load_error(struct office *o, uint64_t row)
{
	struct model *m = o->w->model;

	for (size_t i = 0; i < m->plan_count; i++)
		if (m->plans[i].row == row && m->plans[i].dst.b[1] == o->number + 1)
			m->plans[i].free_at = m->w->now;
}

/* READ names its message by the id alone: of several replies it may be any. */
static bool is_read(const struct model *m, const struct office *o, const struct record_order *order)
{
	const struct row *r;

	DL_FOREACH (o->orders, r)
		if (memcmp(r->order.id, order->id, sizeof(order->id)) == 0 &&
		    m->plans[number_of(m, r->payload, r->order.len)].is_consumed)
			return true;
	return false;
}

/* Received: it is there. Read: a client has it. */
static void on_status(struct office *o, const struct message_status *s)
{
	const struct model *m = o->w->model;
	const struct row *order = row_find(o->orders, s->handle), *r;
	size_t number;

	assert_non_null(order);
	if (s->state != MESSAGE_RECEIVED && s->state != MESSAGE_READ)
		return;
	number = number_of(m, order->payload, order->order.len);
	assert_true(s->state == MESSAGE_RECEIVED || is_read(m, o, &order->order));
	DL_FOREACH (o->w->offices[m->plans[number].dst.b[1] - 1].messages, r)
		if (number_of(m, r->payload, r->message.len) == number)
			return;
	fail_msg("message %zu is said to be received", number);
}

/* All clients go, orders come to their ends, and the inboxes are emptied. */
static void wind_up(struct model *m)
{
	struct world *w = m->w;

	w->loss = 0;
	m->is_ending = true;
	for (int i = 0; i < OFFICES; i++) {
		w->offices[i].trouble = 0;
		for (int k = 0; k < CLIENTS; k++) {
			struct client *c = &m->clients[i][k];

			if (c->stream)
				cut_stream(c);
			while (c->kind == CLIENT_TAKER)
				act_taker(c);
			client_clear(c);
		}
	}
	run_ms(w, 400 * 1000);
	for (int i = 0; i < OFFICES; i++) {
		struct client *c = &m->clients[i][0];
		struct post_take t = {.fn = on_take, .ctx = c};

		while (post_load(w->offices[i].post).inbox_count > 0) {
			c->kind = CLIENT_TAKER;
			c->serial = ++m->serial;
			c->taker = post_take(w->offices[i].post, &t);
			run_ms(w, 10);
			assert_int_equal(c->held_count, 1);
			consume_held(c);
			client_clear(c);
			run_ms(w, 300);
		}
	}
	run_ms(w, 400 * 1000);
}

static void check_inbox(const struct model *m, const struct office *o, uint64_t *rows)
{
	const struct post_load load = post_load(o->post);
	const struct row *r;

	assert_int_equal(load.inbox_count + load.takers + load.streams + load.inbox_bytes, 0);
	assert_int_equal(load.message.out_count, 0);
	DL_FOREACH (o->messages, r) {
		const size_t number = number_of(m, r->payload, r->message.len);

		assert_false(r->is_there);
		assert_int_equal(rows[number], 0); /* once for ever */
		rows[number] = r->row;
		assert_true(m->plans[number].is_consumed);
		assert_int_equal(m->plans[number].row, r->row);
	}
}

/* Returns how many orders were received. */
static size_t check_orders(const struct model *m, const struct office *o, const uint64_t *rows, bool *is_stored)
{
	const struct row *r;
	size_t received = 0;

	DL_FOREACH (o->orders, r) {
		const size_t number = number_of(m, r->payload, r->order.len);

		is_stored[number] = true;
		assert_true(r->order.state >= MESSAGE_RECEIVED);
		if (r->order.state == MESSAGE_ABORTED)
			continue;
		received++;
		assert_true(rows[number] != 0);
	}
	return received;
}

static void test_two_posts(void **state)
{
	static uint64_t rows[PLANS];
	static bool is_stored[PLANS];
	size_t received = 0, all = 0;

	(void)state;
	for (unsigned round = 0; round < 4; round++) {
		struct model *m = model_new(seed + round);
		struct world *w = m->w;

		w->model = m;
		w->loss = 20;
		for (int i = 0; i < OFFICES; i++) {
			w->offices[i].trouble = 10;
			w->offices[i].on_load_error = on_load_error;
			w->offices[i].on_status = on_status;
		}
		for (int i = 0; i < 3000; i++) {
			const int from = (int)(rnd(w) % OFFICES);
			const struct ip6 dst = office_ip(chance(w, 20) ? from : !from);

			if (chance(w, 10))
				send_message(m, from, &dst, NULL);
			act(&m->clients[from][rnd(w) % CLIENTS]);
			if (rnd(w) % 300 == 0)
				crash(m, from);
			run_ms(w, (int64_t)(rnd(w) % (chance(w, 5) ? 3000 : 20)));
		}
		wind_up(m);
		memset(rows, 0, sizeof(rows));
		memset(is_stored, 0, sizeof(is_stored));
		for (int i = 0; i < OFFICES; i++)
			check_inbox(m, &w->offices[i], rows);
		for (int i = 0; i < OFFICES; i++)
			received += check_orders(m, &w->offices[i], rows, is_stored);
		for (size_t i = 0; i < m->plan_count; i++)
			assert_true(is_stored[i] || !m->plans[i].is_accepted);
		all += m->plan_count;
		printf("%u crashes, %u resumed (%u recovered), %u given back, %u replies\n", m->crashes, m->resumed,
		       m->recovered, m->given_back, m->replies);
		model_free(m);
	}
	printf("%zu of %zu received\n", received, all);
	assert_true(received * 100 > all * 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_two_posts)};

	return cmocka_run_group_tests(tests, draw_seed, NULL);
}
