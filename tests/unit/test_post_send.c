/* SPDX-License-Identifier: Apache-2.0 */
/* Orders: stored before they leave, told when they do, ended in the store; and those of a former life. */
#include "tests/unit/test_post_catch.h"

struct told {
	unsigned count;
	int error;
	uint8_t id[RECORD_ID_BYTES];
};

static void on_sent(void *ctx, int error, const uint8_t id[RECORD_ID_BYTES])
{
	struct told *t = ctx;

	t->count++;
	t->error = error;
	memcpy(t->id, id, sizeof(t->id));
}

static enum message_state state_of(const struct office *o, const uint8_t *id)
{
	struct message_status s;

	assert_true(post_status(o->post, id, &s));
	return s.state;
}

static void test_stored_first(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	const struct ip6 dst = office_ip(1);
	struct message_status s;
	struct told t = {0};

	(void)state;
	a->held = true;
	assert_int_not_equal(send_to(a, &dst, "topic", 3000, on_sent, &t), 0);
	run_ms(w, 1000);
	assert_int_equal(w->packets_sent, 0);
	assert_int_equal(t.count, 0);
	a->held = false;
	run_ms(w, 0);
	assert_int_equal(t.count, 1);
	assert_int_equal(t.error, 0);
	assert_true(post_status(a->post, t.id, &s));
	assert_int_equal(s.created_s, NOW_S + 1);
	assert_int_equal(s.handle, a->orders->row);
	assert_memory_equal(a->orders->order.id, t.id, sizeof(t.id));
	assert_int_equal(a->orders->order.topic_len, 5);
	run_ms(w, 1000);
	assert_int_equal(state_of(a, t.id), MESSAGE_RECEIVED);
	assert_int_equal(a->orders->order.state, MESSAGE_RECEIVED);
	assert_int_equal(w->offices[1].messages->message.len, 3000);
	assert_memory_equal(w->offices[1].messages->message.id, t.id, sizeof(t.id));
	assert_int_equal(a->statuses[0].state, MESSAGE_SENDING);
	assert_int_equal(a->statuses[1].state, MESSAGE_RECEIVED);
	assert_int_equal(a->status_count, 2);
	assert_int_equal(a->ends, 1);
	world_free(w);
}

static void test_refusals(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	const struct ip6 dst = office_ip(1);
	struct post_letter l = {.dst = dst, .deadline_s = LIMIT_MESSAGE_DEADLINE_S + 1};
	struct told t = {0};

	(void)state;
	a->add_error = -ENOSPC;
	(void)send_to(a, &dst, "", 10, on_sent, &t);
	run_ms(w, 10);
	assert_int_equal(t.error, -ENOSPC);
	a->add_error = -EIO;
	(void)send_to(a, &dst, "", 10, on_sent, &t);
	run_ms(w, 10);
	assert_int_equal(t.error, -EIO);
	a->add_error = 0;
	(void)post_send(a->post, &l, on_sent, &t, now_of(w));
	assert_int_equal(t.count, 2); /* never from inside */
	run_ms(w, 0);
	assert_int_equal(t.error, -EINVAL);
	assert_int_equal(t.count, 3);
	assert_int_equal(w->packets_sent, 0);
	world_free(w);
}

/* A burst is bounded while it waits for the store; what the core then refuses is not stored either. */
static void test_burst(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	const struct ip6 dst = office_ip(1);
	struct told good = {0}, bad = {0};

	(void)state;
	a->held = true;
	for (int i = 0; i < LIMIT_MESSAGE_OUT; i++)
		(void)send_to(a, &dst, "", 1, i <= LIMIT_MESSAGE_OUT_PER_NET64 ? on_sent : NULL, &good);
	run_ms(w, 0);
	assert_int_equal(good.count, 0);
	(void)send_to(a, &dst, "", 1, on_sent, &bad);
	run_ms(w, 0);
	assert_int_equal(bad.count, 1);
	assert_int_equal(bad.error, -EAGAIN);
	while (a->requests && a->requests->kind == ADD_ORDER)
		store_step(a);
	run_ms(w, 0);
	assert_int_equal(good.count, LIMIT_MESSAGE_OUT_PER_NET64 + 1);
	assert_int_equal(good.error, -EAGAIN);
	while (a->requests && a->requests->kind == DEL_ORDER)
		store_step(a);
	assert_int_equal(a->orders->prev->row, LIMIT_MESSAGE_OUT_PER_NET64);
	assert_int_equal(post_load(a->post).message.out_count, LIMIT_MESSAGE_OUT_PER_NET64);
	world_free(w);
}

static void test_bytes_bound(void **state)
{
	enum { PIECE = 100 * 1024 * 1024 };
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	struct post_letter l = {.dst = office_ip(1), .len = PIECE};
	struct told t = {0};

	(void)state;
	a->held = true;
	for (int i = 0; i < LIMIT_MESSAGE_OUT_BYTES / PIECE + 1; i++) {
		l.payload = malloc(PIECE);
		(void)post_send(a->post, &l, on_sent, &t, now_of(w));
	}
	run_ms(w, 0);
	assert_int_equal(t.count, 1);
	assert_int_equal(t.error, -EAGAIN);
	l.payload = malloc(1);
	l.len = ((size_t)1 << 30) + 1;
	(void)post_send(a->post, &l, on_sent, &t, now_of(w));
	run_ms(w, 0);
	assert_int_equal(t.error, -EINVAL);
	world_free(w);
}

static void test_forget(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	const struct ip6 dst = office_ip(1);
	struct told t = {0};
	uint64_t ticket = send_to(a, &dst, "", 10, on_sent, &t);

	(void)state;
	post_send_forget(a->post, ticket);
	post_send_forget(a->post, ticket + 1);
	run_ms(w, 1000);
	post_send_forget(a->post, ticket);
	assert_int_equal(t.count, 0);
	assert_int_equal(inbox_of(&w->offices[1]), 1);
	/* After it was stored, before it was told. */
	ticket = send_to(a, &dst, "", 10, on_sent, &t);
	store_step(a);
	post_send_forget(a->post, ticket);
	run_ms(w, 1000);
	assert_int_equal(t.count, 0);
	assert_int_equal(inbox_of(&w->offices[1]), 2);
	world_free(w);
}

/* A reply carries the id it is given; READ comes when a consumer says so, and ends the order once more. */
static void test_reply_and_read(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0], *b = &w->offices[1];
	struct post_letter l = {.dst = office_ip(1), .reply = true, .id = "12345678"};
	struct catch c = {.o = b};
	struct told t = {0};

	(void)state;
	(void)post_send(a->post, &l, on_sent, &t, now_of(w));
	run_ms(w, 1000);
	assert_memory_equal(t.id, "12345678", sizeof(t.id));
	assert_non_null(take(&c, NULL, false, 0));
	run_ms(w, 100);
	assert_int_equal(c.count, 1);
	assert_true(c.last.reply);
	assert_int_equal(c.last.arrived_s, NOW_S + 1);
	assert_memory_equal(c.last.id, t.id, sizeof(t.id));
	assert_int_equal(a->orders->order.state, MESSAGE_RECEIVED);
	consume(b, c.last.row);
	run_ms(w, 100);
	assert_int_equal(a->orders->order.state, MESSAGE_READ);
	assert_int_equal(state_of(a, t.id), MESSAGE_READ);
	assert_int_equal(a->ends, 2);
	consume(b, c.last.row);
	consume(b, 77);
	assert_int_equal(b->dels, 1);
	world_free(w);
}

/* Unfinished ones go on, ended ones are only told of, one whose time is over ends, as does one without its payload. */
static void test_former_life(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	const struct ip6 dst = office_ip(1);
	struct told t[2] = {0};
	struct row *r;

	(void)state;
	(void)send_to(a, &dst, "x", 100, on_sent, &t[0]);
	run_ms(w, 1000);
	(void)send_to(a, &dst, "y", 2000, on_sent, &t[1]);
	store_step(a);
	(void)world_tick(w);
	r = row_add(&a->orders, 10, NULL, 0);
	r->order = (struct record_order){.row = 10, .id = "overdue", .dst = dst, .created_s = NOW_S - 400};
	r = row_add(&a->orders, 11, NULL, 0);
	r->order = (struct record_order){.row = 11, .id = "cut off", .dst = dst, .len = 5, .created_s = NOW_S};
	a->last_order = 11;
	office_crash(a);
	run_ms(w, 1000);
	assert_int_equal(state_of(a, t[0].id), MESSAGE_RECEIVED);
	assert_int_equal(state_of(a, t[1].id), MESSAGE_RECEIVED);
	assert_int_equal(state_of(a, (const uint8_t *)"overdue"), MESSAGE_ABORTED);
	assert_int_equal(state_of(a, (const uint8_t *)"cut off"), MESSAGE_ABORTED);
	assert_int_equal(row_find(a->orders, 10)->order.state, MESSAGE_ABORTED);
	assert_int_equal(row_find(a->orders, 11)->order.state, MESSAGE_ABORTED);
	assert_int_equal(inbox_of(&w->offices[1]), 2);
	(void)send_to(a, &dst, "z", 1, NULL, NULL);
	assert_int_equal(a->requests->row, 12);
	world_free(w);
}

/* To ourselves: stored, but the end of the order was not: it is not delivered again. */
static void test_local_crash(void **state)
{
	struct world *w = world_new(1);
	struct office *a = &w->offices[0];
	const struct ip6 self = office_ip(0);

	(void)state;
	(void)send_to(a, &self, "", 100, NULL, NULL);
	store_step(a); /* the order */
	store_step(a); /* the message */
	assert_int_equal(a->requests->kind, END_ORDER);
	office_crash(a);
	run_ms(w, 1000);
	assert_int_equal(a->orders->order.state, MESSAGE_RECEIVED);
	assert_int_equal(inbox_of(a), 1);
	/* Not even the message: it is sent again. */
	(void)send_to(a, &self, "", 100, NULL, NULL);
	store_step(a);
	office_crash(a);
	run_ms(w, 1000);
	assert_int_equal(a->orders->next->order.state, MESSAGE_RECEIVED);
	assert_int_equal(inbox_of(a), 2);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stored_first), cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_burst),	     cmocka_unit_test(test_bytes_bound),
		cmocka_unit_test(test_forget),	     cmocka_unit_test(test_reply_and_read),
		cmocka_unit_test(test_former_life),  cmocka_unit_test(test_local_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
