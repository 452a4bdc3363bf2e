/* SPDX-License-Identifier: Apache-2.0 */
/* Routing core: seqno requests, answered, forwarded, suppressed and our own (wire-200 4.8). */
#include "tests/unit/test_babel.h"

static void test_bump(void **state)
{
	struct world *w = world_with_links(2);
	struct tlv ask = make_request(SELF, ME_TAIL, 9, 64);

	(void)state;
	world_run(w, 10000); /* long after the start */
	world_forget(w);
	world_deliver(w, 1, &ask);
	assert_int_equal(w->seqnos, 1);
	assert_int_equal(w->seqno, 1); /* by one, not to the number asked for */
	assert_int_equal(world_count_updates(w, 1, SELF, true), 1);
	assert_int_equal(world_count_updates(w, 2, SELF, true), 1);
	assert_int_equal(world_last(w, 2, TLV_UPDATE)->update.seqno, 1);
	w->now = mono_add_ms(w->now, 4000);
	world_deliver(w, 2, &ask);
	assert_int_equal(w->seqno, 2);
	world_forget(w);
	ask.seqno_request.seqno = 2; /* we have that: the asker is told, nobody else */
	world_deliver(w, 2, &ask);
	assert_int_equal(w->seqnos, 2);
	assert_int_equal(w->sent_count, 1);
	assert_int_equal(world_last(w, 2, TLV_UPDATE)->update.seqno, 2);
	ask.seqno_request.seqno = 700;
	ask.seqno_request.router_id = node_id(SELF, 9); /* a former one of ours */
	world_deliver(w, 2, &ask);
	assert_int_equal(w->seqnos, 2);
	assert_int_equal(world_last(w, 2, TLV_UPDATE)->update.router_id.tail[7], ME_TAIL);
	world_free(w);
}

/* Too soon after the last one: remembered, however often it is asked for, and done once when the limit is over. */
static void test_bump_is_late(void **state)
{
	struct world *w = world_with_links(2);
	struct tlv ask = make_request(SELF, ME_TAIL, 1, 64);

	(void)state;
	world_deliver(w, 1, &ask);
	assert_int_equal(w->seqno, 1);
	ask.seqno_request.seqno = 2;
	for (int i = 0; i < 3; i++) {
		world_run(w, 1000);
		world_deliver(w, 2, &ask);
	}
	assert_int_equal(w->seqnos, 1);
	world_run(w, 999);
	assert_int_equal(w->seqnos, 1);
	world_forget(w);
	world_run(w, 1);
	assert_int_equal(w->seqnos, 2);
	assert_int_equal(w->seqno, 2);
	for (uint32_t link = 1; link <= 2; link++)
		assert_int_equal(world_last(w, link, TLV_UPDATE)->update.seqno, 2);
	world_run(w, 60000);
	assert_int_equal(w->seqnos, 2);
	assert_int_equal(babel_count(w->b, BABEL_REQUEST_IGNORED), 0);
	world_free(w);
}

static void test_bump_wraps(void **state)
{
	struct world *w = world_new(65535);
	const struct tlv ask = make_request(SELF, ME_TAIL, 0, 1);

	(void)state;
	assert_true(babel_link_up(w->b, 1, UINT32_MAX, w->now));
	world_deliver(w, 1, &ask);
	assert_int_equal(w->seqnos, 1);
	assert_int_equal(w->seqno, 0);
	world_free(w);
}

/* We have (seqno 5, metric 20) of node 1 over link 1; link 2 asks. */
static void test_answers(void **state)
{
	static const struct {
		uint32_t asker;
		uint8_t tail;
		uint16_t seqno;
		uint8_t hop_count;
		size_t answers, forwards;
	} table[] = {
		{2, 0, 5, 64, 1, 0},
		{2, 0, 4, 64, 1, 0},
		{2, 0, 6, 64, 0, 1}, /* would not satisfy */
		{2, 0, (uint16_t)(5 + 32768), 64, 0, 1}, /* neither older nor newer */
		{2, 9, 700, 64, 1, 0}, /* another process of the originator */
		{2, 0, 6, 2, 0, 1},
		{2, 0, 6, 1, 0, 0},
		{2, 0, 5, 1, 1, 0},
		{2, 0, 5, 0, 0, 0},
		{1, 0, 5, 64, 0, 0}, /* our next hop itself, and no other path */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct world *w = world_with_links(3);
		const struct tlv ask = make_request(1, table[i].tail, table[i].seqno, table[i].hop_count);

		babel_link_rtt(w->b, 2, 9000000, w->now); /* the asker's own cost plays no part */
		world_update(w, 1, 1, 5, 20);
		world_forget(w);
		world_deliver(w, table[i].asker, &ask);
		assert_int_equal(w->sent_count, table[i].answers + table[i].forwards);
		assert_int_equal(babel_count(w->b, BABEL_REQUEST_IGNORED), w->sent_count == 0);
		if (table[i].answers) {
			assert_int_equal(world_last(w, 2, TLV_UPDATE)->update.metric, 80);
			assert_int_equal(world_last(w, 2, TLV_UPDATE)->update.seqno, 5);
		}
		if (table[i].forwards) {
			const struct tlv_seqno_request *q = &world_last(w, 1, TLV_SEQNO_REQUEST)->seqno_request;

			assert_int_equal(q->hop_count, table[i].hop_count - 1);
			assert_int_equal(q->seqno, table[i].seqno);
			assert_int_equal(q->router_id.tail[7], table[i].tail);
			assert_int_equal(q->prefix_len, 64);
		}
		world_free(w);
	}
}

static void test_other_encodings_are_ignored(void **state)
{
	static const uint8_t others[] = {WIRE_AE_WILDCARD, WIRE_AE_IPV4, WIRE_AE_LINK_LOCAL};
	struct world *w = world_with_links(2);

	(void)state;
	world_update(w, 1, 1, 5, 20);
	world_forget(w);
	for (size_t i = 0; i < sizeof(others); i++) {
		struct tlv ask = make_request(1, 0, 5, 64);

		ask.seqno_request.ae = others[i];
		ask.seqno_request.prefix_len = 24;
		world_deliver(w, 2, &ask);
	}
	world_request(w, 2, 500, 1); /* a prefix we do not know */
	assert_int_equal(w->sent_count, 0);
	assert_int_equal(babel_count(w->b, BABEL_REQUEST_IGNORED), 4);
	world_free(w);
}

/* A request goes one way at a time, another way each second; its repeats go nowhere. */
static void test_suppression(void **state)
{
	struct world *w = world_with_links(4);

	(void)state;
	world_update(w, 1, 1, 5, 20);
	world_update(w, 2, 1, 5, 10);
	world_update(w, 3, 1, 5, 40);
	world_forget(w);
	world_request(w, 4, 1, 6);
	assert_int_equal(world_count_requests(w, 0), 1);
	assert_int_equal(world_count_requests(w, 2), 1); /* the cheapest feasible one */
	world_request(w, 4, 1, 6);
	world_request(w, 3, 1, 6);
	assert_int_equal(world_count_requests(w, 0), 1);
	assert_int_equal(babel_count(w->b, BABEL_REQUEST_IGNORED), 2);
	world_run(w, 999);
	assert_int_equal(world_count_requests(w, 0), 1);
	world_run(w, 1);
	assert_int_equal(world_count_requests(w, 1), 1);
	world_run(w, 1000);
	assert_int_equal(world_count_requests(w, 3), 1);
	world_request(w, 4, 1, 6);
	world_run(w, 20000);
	assert_int_equal(world_count_requests(w, 0), 3);
	assert_int_equal(world_count_requests(w, 4), 0);
	world_free(w);
}

/* One who asks every second starts a search at 0, 3, 7, 15 and 31 s, of one request to each advertiser. */
static void test_searches_get_rare(void **state)
{
	struct world *w = world_with_links(4);

	(void)state;
	for (int i = 0; i < 60; i++) {
		world_update(w, 1, 1, 5, 20);
		world_update(w, 2, 1, 5, 10);
		world_request(w, 4, 1, 6);
		world_request(w, 3, 1, 6);
		world_run(w, 1000);
	}
	assert_int_equal(world_count_requests(w, 1), 5);
	assert_int_equal(world_count_requests(w, 2), 5);
	assert_int_equal(world_count_requests(w, 0), 10);
	world_free(w);
}

/* A new advertiser is another path: it is asked at the next repeat. What we asked for ourselves does not count. */
static void test_new_path_is_tried(void **state)
{
	struct world *w = world_with_links(4);

	(void)state;
	world_update(w, 1, 1, 5, 20);
	world_update(w, 1, 1, 5, 500); /* we ask */
	assert_int_equal(world_count_requests(w, 1), 1);
	world_request(w, 4, 1, 6);
	assert_int_equal(world_count_requests(w, 1), 2);
	world_run(w, 1000);
	world_request(w, 4, 1, 6);
	assert_int_equal(world_count_requests(w, 0), 2);
	world_update(w, 2, 1, 5, 70);
	world_request(w, 4, 1, 6);
	assert_int_equal(world_count_requests(w, 2), 1);
	world_free(w);
}

/* The answer ends the search, is passed on at once, and later copies of the request are answered, not forwarded. */
static void test_answer_ends_search(void **state)
{
	struct world *w = world_with_links(3);

	(void)state;
	world_update(w, 1, 1, 5, 20);
	world_update(w, 2, 1, 5, 30);
	world_request(w, 3, 1, 6);
	world_update(w, 1, 1, 6, 20);
	assert_int_equal(world_last(w, 3, TLV_UPDATE)->update.seqno, 6);
	world_forget(w);
	world_run(w, 2000);
	assert_int_equal(world_count_requests(w, 0), 0);
	world_forget(w);
	world_request(w, 3, 1, 6);
	assert_int_equal(world_count_requests(w, 0), 0);
	assert_int_equal(world_count_updates(w, 3, 1, true), 1);
	world_free(w);
}

/* The selected route is lost, and only unfeasible ones are left: every advertiser is asked, ever more rarely. */
static void test_asks_when_lost(void **state)
{
	struct world *w = world_with_links(3);
	size_t at_once;

	(void)state;
	world_update(w, 1, 1, 5, 20);
	world_update(w, 2, 1, 5, 200); /* unfeasible, and no loss for us */
	world_update(w, 3, 1, 5, 300);
	assert_int_equal(world_count_requests(w, 0), 0);
	world_forget(w);
	babel_link_down(w->b, 1, w->now);
	assert_false(world_has_route(w, 1));
	assert_int_equal(world_count_requests(w, 2), 1);
	assert_int_equal(world_count_requests(w, 3), 1);
	assert_int_equal(world_last(w, 2, TLV_SEQNO_REQUEST)->seqno_request.seqno, 6);
	assert_int_equal(world_last(w, 2, TLV_SEQNO_REQUEST)->seqno_request.hop_count, 64);
	for (int i = 0; i < 1000; i++)
		world_update(w, 2, 1, 5, 200);
	at_once = world_count_requests(w, 2);
	assert_int_equal(at_once, 1);
	for (int i = 0; i < 64; i++) {
		world_run(w, 1000);
		world_update(w, 2, 1, 5, 200);
		world_update(w, 3, 1, 5, 300);
	}
	assert_int_equal(world_count_requests(w, 2), 7); /* 0, 1, 3, 7, 15, 31, 63 s */
	world_update(w, 2, 1, 6, 200);
	assert_int_equal(world_route(w, 1).metric, 200);
	world_free(w);
}

/* An unfeasible Update of the selected route: its neighbour and the others are asked; the route stays as it was. */
static void test_asks_when_selected_is_unfeasible(void **state)
{
	struct world *w = world_with_links(2);

	(void)state;
	world_update(w, 1, 1, 5, 20);
	world_update(w, 2, 1, 5, 30);
	world_forget(w);
	world_update(w, 1, 1, 5, 500);
	assert_int_equal(world_count_requests(w, 1), 1);
	assert_int_equal(world_count_requests(w, 2), 1);
	assert_int_equal(world_route(w, 1).metric, 20);
	world_update(w, 1, 1, 5, 500);
	assert_int_equal(world_count_requests(w, 0), 2);
	world_free(w);
}

/* A first Update that is unfeasible is worth a question too, and so is one that would be much better. */
static void test_asks_for_unfeasible_first(void **state)
{
	struct world *w = world_with_links(2);

	(void)state;
	world_update(w, 1, 1, 5, 20);
	world_update(w, 1, 1, 5, WIRE_INFINITE);
	world_forget(w);
	world_update(w, 2, 1, 5, 90);
	assert_int_equal(world_count_requests(w, 2), 1);
	world_update(w, 2, 1, 6, 90);
	assert_int_equal(world_route(w, 1).link, 2);
	world_free(w);
}

static void test_table_is_bounded(void **state)
{
	struct world *w = world_with_links(3);

	(void)state;
	world_update(w, 1, 1, 5, 20);
	world_forget(w);
	for (uint32_t seqno = 6; seqno < 6 + LIMIT_SEQNO_REQUESTS + 1; seqno++)
		world_request(w, 2, 1, (uint16_t)seqno);
	assert_int_equal(world_count_requests(w, 1), LIMIT_SEQNO_REQUESTS + 1);
	world_request(w, 2, 1, 7); /* remembered */
	assert_int_equal(world_count_requests(w, 1), LIMIT_SEQNO_REQUESTS + 1);
	world_request(w, 2, 1, 6); /* the oldest went */
	assert_int_equal(world_count_requests(w, 1), LIMIT_SEQNO_REQUESTS + 2);
	world_run(w, 100000);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bump),
		cmocka_unit_test(test_bump_is_late),
		cmocka_unit_test(test_bump_wraps),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_other_encodings_are_ignored),
		cmocka_unit_test(test_suppression),
		cmocka_unit_test(test_searches_get_rare),
		cmocka_unit_test(test_new_path_is_tried),
		cmocka_unit_test(test_answer_ends_search),
		cmocka_unit_test(test_asks_when_lost),
		cmocka_unit_test(test_asks_when_selected_is_unfeasible),
		cmocka_unit_test(test_asks_for_unfeasible_first),
		cmocka_unit_test(test_table_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
