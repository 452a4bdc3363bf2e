/* SPDX-License-Identifier: Apache-2.0 */
/* What threads share without a lock, used by real threads: mailboxes, rings of chunks, the table that one publishes and
 * others read. Made to be run under ThreadSanitizer; without it the contents are checked all the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first. */
#include "fastpath/mail.h"
#include "fastpath/ring.h"
#include "fastpath/table.h"
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>

enum {
	RECORDS = 100000,
	MAIL_BYTES = 4096,
	ROUNDS = 20000,
	READERS = 3,
	NETS = 300,
	CHANGES = 20000,
};

/* cmocka's assertions are for the test's own thread. */
static void must(bool truth)
{
	if (!truth)
		abort();
}

static void *write_mail(void *arg)
{
	struct mail *m = arg;
	uint8_t bytes[300];

	for (uint32_t i = 0; i < RECORDS; i++) {
		const size_t len = sizeof(i) + i % 256;

		memset(bytes, (int)i, sizeof(bytes));
		memcpy(bytes, &i, sizeof(i));
		while (!mail_put(m, (uint16_t)i, bytes, len, NULL, 0)) {
			mail_kick(m);
			sched_yield();
		}
		if (i % 5 == 0)
			mail_kick(m);
	}
	mail_kick(m);
	return NULL;
}

static void mail_check(uint32_t i, uint16_t type, const uint8_t *body, size_t len)
{
	must(type == (uint16_t)i);
	must(len == sizeof(i) + i % 256);
	must(memcmp(body, &i, sizeof(i)) == 0);
	for (size_t k = sizeof(i); k < len; k++)
		must(body[k] == (uint8_t)i);
}

/* The reader sleeps whenever there is nothing: a wake-up that is lost would hang it. */
static void test_mail(void **state)
{
	struct mail *m = mail_new(MAIL_BYTES);
	uint8_t *body;
	pthread_t writer;
	uint32_t next = 0;
	uint16_t type;
	size_t len;

	(void)state;
	assert_non_null(m);
	assert_int_equal(pthread_create(&writer, NULL, write_mail, m), 0);
	while (next < RECORDS) {
		struct pollfd p = {.fd = mail_fd(m), .events = POLLIN};

		mail_doze(m);
		while (mail_next(m, &type, &body, &len))
			mail_check(next++, type, body, len);
		if (next < RECORDS)
			assert_int_equal(poll(&p, 1, 20000), 1);
	}
	pthread_join(writer, NULL);
	mail_free(m);
}

/* Two workers that give each other chunks and get them back. */
struct side {
	struct pool *pool;
	struct ring *out, *in;
	uint16_t number;
};

/* Takes what is there: own chunks home, others' are checked and sent back. Returns how many of its own are still away.
 */
static unsigned side_take(struct side *s, unsigned away, uint32_t *seen)
{
	struct chunk *c;

	while ((c = ring_take(s->in))) {
		if (c->worker == s->number) {
			must(c->mark == 77);
			pool_give(s->pool, c);
			away--;
			continue;
		}
		must(memcmp(c->data, seen, sizeof(*seen)) == 0);
		++*seen;
		c->mark = 77;
		ring_put(s->out, c);
	}
	return away;
}

static void *side_run(void *arg)
{
	struct side *s = arg;
	uint32_t sent = 0, seen = 0;
	unsigned away = 0;

	while (sent < ROUNDS || seen < ROUNDS || away) {
		if (sent < ROUNDS && away < RING_OUT_CHUNKS) {
			struct chunk *c = pool_take(s->pool);

			must(c != NULL);
			memcpy(c->data, &sent, sizeof(sent));
			sent++;
			away++;
			ring_put(s->out, c);
		} else {
			sched_yield();
		}
		away = side_take(s, away, &seen);
	}
	return NULL;
}

static void test_ring(void **state)
{
	static struct ring rings[2];
	struct side sides[2];
	pthread_t threads[2];

	(void)state;
	for (uint16_t i = 0; i < 2; i++) {
		sides[i] = (struct side){
			.pool = pool_new(RING_OUT_CHUNKS, i), .out = &rings[i], .in = &rings[1 - i], .number = i};
		assert_non_null(sides[i].pool);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, side_run, &sides[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pool_used(sides[i].pool), 0);
		pool_free(sides[i].pool);
	}
}

struct readers {
	struct epoch epoch;
	struct table *table;
	bool stop; /* atomic */
	uint64_t found[READERS]; /* atomic */
};

struct reader {
	struct readers *all;
	unsigned number;
};

/* Whatever it meets is whole: the link says which /64 it belongs to. */
static void *read_table(void *arg)
{
	const struct reader *r = arg;
	struct readers *all = r->all;
	uint32_t at = r->number;

	while (!__atomic_load_n(&all->stop, __ATOMIC_RELAXED)) {
		epoch_enter(&all->epoch, r->number);
		for (int i = 0; i < 64; i++) {
			const uint64_t net64 = UINT64_C(0x0200000000000000) + at++ % NETS;
			const struct table_entry *e = table_find(all->table, net64);
			struct ip6 dst = ip6_from_net64(net64);
			uint32_t link;

			dst.b[15] = 1;
			link = table_link(e, &dst);
			must(!e || e->net64 == net64);
			must(!link || link % NETS == (net64 & 0xffff));
			if (link)
				__atomic_add_fetch(&all->found[r->number], 1, __ATOMIC_RELAXED);
		}
		epoch_leave(&all->epoch, r->number);
	}
	return NULL;
}

static void test_table(void **state)
{
	static struct readers all;
	struct reader readers[READERS];
	pthread_t threads[READERS];

	(void)state;
	all = (struct readers){.epoch.now = 1};
	all.table = table_new(&all.epoch, READERS);
	assert_non_null(all.table);
	for (unsigned i = 0; i < READERS; i++) {
		readers[i] = (struct reader){.all = &all, .number = i};
		assert_int_equal(pthread_create(&threads[i], NULL, read_table, &readers[i]), 0);
	}
	for (uint32_t i = 0; i < CHANGES; i++) {
		const uint64_t net = (uint64_t)(i * 7) % NETS;
		const struct ip6 ip = ip6_from_net64(UINT64_C(0x0200000000000000) + net);
		const struct prefix p = prefix_make(&ip, i % 3 ? 64 : 96);

		assert_int_equal(table_set_route(all.table, &p, i % 11 ? (uint32_t)(net + NETS * (1 + i % 5)) : 0), 0);
		table_set_key(all.table, UINT64_C(0x0200000000000000) + net, i % 4);
		table_reclaim(all.table);
	}
	/* Readers may have been starved so far: go on until each has found something. */
	for (unsigned i = 0; i < READERS; i++)
		while (!__atomic_load_n(&all.found[i], __ATOMIC_RELAXED))
			sched_yield();
	__atomic_store_n(&all.stop, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	assert_false(table_reclaim(all.table));
	table_free(all.table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mail),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
