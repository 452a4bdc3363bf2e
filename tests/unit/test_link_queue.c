/* SPDX-License-Identifier: Apache-2.0 */
/* What goes out of a link and in which order, over a socket that takes it bit by bit: packets stay whole, control
 * packets overtake data, data keeps its order, the oldest frames are dropped, everything lost is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants some of the above first. */
#include "fastpath/link.h"
#include "fastpath/stats.h"
#include <cmocka.h>
#include <errno.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNKS = 64, FRAMES_BYTES = 1 << 20, READ_BYTES = 1 << 20 };

struct bench {
	struct link *l;
	struct pool *pool;
	struct lanes_stats stats;
	struct link_counters counters;
	struct link_buffers *buffers;
	int end;
	uint32_t next; /* number of the next frame */
	size_t used;
	uint8_t *frames, *in;
	size_t in_len;
	struct mono now;
};

static int setup_chunks(void **state, uint32_t chunks)
{
	static struct bench b;
	const int small = 4096;
	int pair[2];

	b = (struct bench){.now = {.us = 1000000}};
	b.l = calloc(1, sizeof(*b.l));
	b.pool = pool_new(chunks, 0);
	b.frames = malloc(FRAMES_BYTES);
	b.in = malloc(READ_BYTES);
	b.buffers = malloc(sizeof(*b.buffers));
	assert_true(b.l && b.buffers && b.pool && b.frames && b.in);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	b.end = pair[1];
	link_init(
		b.l, 5, pair[0],
		&(struct link_place){.pool = b.pool, .stats = &b.stats, .counters = &b.counters, .buffers = b.buffers},
		b.now);
	*state = &b;
	return 0;
}

static int setup(void **state)
{
	return setup_chunks(state, CHUNKS);
}

static int setup_poor(void **state)
{
	return setup_chunks(state, 1);
}

static int setup_scarce(void **state)
{
	return setup_chunks(state, 16);
}

static int teardown(void **state)
{
	struct bench *b = *state;

	link_close(b->l);
	assert_int_equal(pool_used(b->pool), 0);
	close(b->end);
	pool_free(b->pool);
	free(b->l);
	free(b->buffers);
	free(b->frames);
	free(b->in);
	return 0;
}

/* A numbered frame of that size in the run; gap: not right behind the one before. */
static void add(struct bench *b, size_t sealed, bool gap)
{
	const size_t size = WIRE_DATA_HEADER_BYTES + sealed;
	uint8_t *p = b->frames + b->used + gap;
	const uint8_t head[8] = {1, 0, 0, 0, (uint8_t)(sealed >> 8), (uint8_t)sealed, 0, 64};

	assert_true(b->used + gap + size <= FRAMES_BYTES);
	memset(p, 0, size);
	memcpy(p, head, sizeof(head));
	memcpy(p + 8, &b->next, sizeof(b->next));
	b->next++;
	b->used += gap + size;
	if (link_run_add(b->l, p, size))
		return;
	link_flush(b->l, b->now);
	assert_true(link_run_add(b->l, p, size));
}

static void flush(struct bench *b)
{
	link_flush(b->l, b->now);
	/* The buffer is used anew: what is queued must have been copied. */
	memset(b->frames, 0xee, b->used);
	b->used = 0;
}

static void writable(struct bench *b)
{
	b->l->blocked = false;
	link_flush(b->l, b->now);
}

/* Takes at most max bytes out of the socket. False: there are none. */
static bool take(struct bench *b, size_t max)
{
	const ssize_t n = recv(b->end, b->in + b->in_len, max, MSG_DONTWAIT);

	if (n > 0)
		b->in_len += (size_t)n;
	return n > 0;
}

/* Numbers of data frames that arrived, and for each control packet UINT32_MAX; everything must be whole. */
static size_t arrived(const struct bench *b, uint32_t *out, size_t cap)
{
	struct stream s = {.at = b->in, .end = b->in + b->in_len};
	struct stream_batch batch;
	enum stream_verdict verdict;
	size_t n = 0;

	do {
		verdict = stream_read(&s, &batch);
		for (unsigned i = 0; i < batch.count; i++) {
			assert_true(n < cap);
			out[n] = UINT32_MAX;
			if (!batch.packet[i].control)
				memcpy(&out[n], batch.packet[i].bytes + 8, sizeof(out[n]));
			n++;
		}
	} while (verdict == STREAM_FULL);
	assert_int_equal(verdict, STREAM_MORE);
	assert_ptr_equal(s.at, s.end);
	return n;
}

static void drain(struct bench *b)
{
	do {
		while (take(b, 4096))
			;
		writable(b);
	} while (take(b, 1));
}

static void test_in_order(void **state)
{
	struct bench *b = *state;
	static uint32_t seen[1000];
	size_t n;

	/* More pieces than a run holds, and far more bytes than the socket. */
	for (size_t i = 0; i < 400; i++)
		add(b, 100 + i % 700, i % 2);
	flush(b);
	assert_true(b->l->blocked && link_wants_write(b->l));
	drain(b);
	n = arrived(b, seen, 1000);
	assert_int_equal(n, 400);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(seen[i], i);
	assert_false(link_wants_write(b->l));
	assert_int_equal(stat_get(&b->stats, STAT_link_tx_bytes), b->in_len);
	assert_int_equal(b->counters.tx_bytes, b->in_len);
}

static void test_one_iovec(void **state)
{
	struct bench *b = *state;

	for (int i = 0; i < 50; i++)
		add(b, 100, false);
	assert_int_equal(b->l->run_count, 1);
	add(b, 100, true);
	assert_int_equal(b->l->run_count, 2);
	flush(b);
	drain(b);
}

/* A frame went out partly: first its rest, then the control packets, then the other frames. */
static void test_control_first(void **state)
{
	struct bench *b = *state;
	const uint8_t tlv[] = {4, 6, 0x80, 0, 0, 1, 0, 4};
	static uint32_t seen[100];
	size_t n, i = 0;

	for (int k = 0; k < 20; k++)
		add(b, 5000, false);
	flush(b);
	assert_true(b->l->rest_len > 0);
	assert_true(link_control(b->l, tlv, sizeof(tlv)));
	assert_true(link_control(b->l, tlv, sizeof(tlv)));
	flush(b);
	drain(b);
	n = arrived(b, seen, 100);
	assert_int_equal(n, 22);
	while (seen[i] != UINT32_MAX)
		i++;
	/* It overtook nearly all: the socket holds a few. */
	assert_in_range(i, 1, 10);
	assert_int_equal(seen[i + 1], UINT32_MAX);
	for (size_t k = i + 2; k < n; k++)
		assert_int_equal(seen[k], k - 2);
}

static void test_drop_oldest(void **state)
{
	struct bench *b = *state;
	static uint32_t seen[2000];
	size_t n, dropped, i = 0;

	b->l->data_limit = 100000;
	for (int k = 0; k < 600; k++)
		add(b, 960, false);
	flush(b);
	assert_in_range(b->l->data.bytes, 99000, 100000);
	dropped = stat_get(&b->stats, STAT_drop_queue_full);
	assert_in_range(dropped, 450, 499);
	drain(b);
	n = arrived(b, seen, 2000);
	assert_int_equal(n + dropped, 600);
	while (seen[i] == i)
		i++;
	for (; i < n; i++)
		assert_int_equal(seen[i], i + dropped);
}

/* A frame larger than the limit goes out all the same, alone. */
static void test_larger_than_limit(void **state)
{
	struct bench *b = *state;
	static uint32_t seen[10];

	b->l->data_limit = 1000;
	for (int k = 0; k < 3; k++)
		add(b, 65535, false);
	flush(b);
	drain(b);
	assert_int_equal(arrived(b, seen, 10), 2);
	assert_int_equal(seen[0], 0);
	assert_int_equal(seen[1], 2);
}

static void test_control_cap(void **state)
{
	struct bench *b = *state;
	uint8_t tlv[257] = {8, 255};
	const uint8_t hello[] = {4, 6, 0x80, 0, 0, 1, 0, 4};
	static uint32_t seen[8000];
	uint32_t put = 0, live = 0;

	add(b, 60000, false);
	flush(b);
	while (link_control(b->l, tlv, sizeof(tlv)))
		put++;
	assert_int_equal(put, LIMIT_CONTROL_QUEUE_BYTES / (8 + sizeof(tlv)));
	assert_int_equal(stat_get(&b->stats, STAT_drop_control_full), 1);
	/* Hellos and IHUs go in all the same, but not without end. */
	while (link_control(b->l, hello, sizeof(hello)))
		live++;
	assert_in_range(live, 16, 256);
	b->in = realloc(b->in, 2 * READ_BYTES);
	assert_non_null(b->in);
	drain(b);
	assert_int_equal(arrived(b, seen, 8000), put + live + 1);
	/* They overtake what was queued long before, but not the frame that was begun. */
	for (uint32_t i = 0, at = (uint32_t)stream_packet_size(b->in); i < live; i++, at += 16)
		assert_memory_equal(b->in + at + WIRE_CONTROL_HEADER_BYTES, hello, sizeof(hello));
}

/* Without chunks frames are lost, but the one that was begun is finished and the stream goes on. */
static void test_no_chunks(void **state)
{
	struct bench *b = *state;
	static uint32_t seen[100];
	size_t n;

	for (int k = 0; k < 10; k++)
		add(b, 50000, false);
	flush(b);
	assert_true(b->l->rest_len > 0);
	assert_true(stat_get(&b->stats, STAT_drop_pool_empty) > 0);
	drain(b);
	n = arrived(b, seen, 100);
	add(b, 10, false);
	flush(b);
	drain(b);
	assert_int_equal(arrived(b, seen, 100), n + 1);
	assert_int_equal(seen[n], 10);
}

/* Data of a link that nobody reads may not take the chunks that control packets need. */
static void test_chunks_for_control(void **state)
{
	struct bench *b = *state;
	const uint8_t tlv[] = {4, 6, 0x80, 0, 0, 1, 0, 4};

	b->l->data_limit = LIMIT_SEND_QUEUE_MAX_BYTES;
	for (int k = 0; k < 18; k++)
		add(b, 50000, false);
	flush(b);
	assert_true(stat_get(&b->stats, STAT_drop_pool_empty) > 0);
	assert_true(link_control(b->l, tlv, sizeof(tlv)));
	assert_int_equal(stat_get(&b->stats, STAT_drop_control_full), 0);
}

/* What had not gone out when the link is closed is counted. */
static void test_closed_with_data(void **state)
{
	struct bench *b = *state;
	size_t queued;

	for (int k = 0; k < 200; k++)
		add(b, 960, false);
	flush(b);
	queued = b->l->data.bytes / 1000;
	assert_true(queued > 100);
	for (int k = 0; k < 5; k++)
		add(b, 960, k % 2);
	link_close(b->l);
	assert_int_equal(stat_get(&b->stats, STAT_drop_link_gone), queued + 5);
	assert_int_equal(pool_used(b->pool), 0);
}

static void test_dead_socket(void **state)
{
	struct bench *b = *state;

	close(b->end);
	b->end = -1;
	add(b, 100, false);
	flush(b);
	assert_int_equal(b->l->state, LINK_FAILED);
	assert_int_equal(b->l->down.reason, CTL_DOWN_ERROR);
	assert_int_equal(b->l->down.error, EPIPE);
	/* Takes nothing more, and the first reason stands. */
	add(b, 100, false);
	flush(b);
	link_fail(b->l, CTL_DOWN_CLOSED, 0, "");
	assert_int_equal(b->l->down.reason, CTL_DOWN_ERROR);
	assert_int_equal(b->l->run_count, 0);
	assert_int_equal(stat_get(&b->stats, STAT_drop_link_gone), 1);
	link_close(b->l);
	assert_int_equal(stat_get(&b->stats, STAT_drop_link_gone), 2);
}

/* Its limit follows what the socket took while it was full, between floor and cap. */
static void test_drain_rate(void **state)
{
	struct bench *b = *state;
	size_t before;

	for (int k = 0; k < 400; k++)
		add(b, 1000, false);
	flush(b);
	before = b->l->data.bytes;
	/* 2 MB/s: what was taken out of the socket took so long. */
	for (int k = 0; k < 30; k++) {
		const size_t had = b->in_len;

		while (take(b, 4096))
			;
		b->now = mono_add_us(b->now, (int64_t)(b->in_len - had) / 2);
		writable(b);
	}
	assert_true(b->l->data.bytes < before);
	assert_in_range(b->l->drain.bytes_per_second, 1000000, 4000000);
	assert_in_range(b->l->data_limit, 100000, 400000);
	/* Nearly nothing: the floor. */
	for (int k = 0; k < 20; k++) {
		take(b, 4096);
		b->now = mono_add_ms(b->now, 1000);
		writable(b);
	}
	assert_int_equal(b->l->data_limit, LIMIT_SEND_QUEUE_MIN_BYTES);
	drain(b);
}

/* Full, with enough behind it: pressing while the rate is unknown or high, not on a slow link. */
static void test_pressing(void **state)
{
	struct bench *b = *state;

	for (int k = 0; k < 100; k++)
		add(b, 1000, false);
	flush(b);
	assert_true(b->l->blocked);
	assert_false(link_is_pressing(b->l));
	for (int k = 0; k < 100; k++)
		add(b, 1000, false);
	flush(b);
	assert_true(link_is_pressing(b->l));
	b->l->drain.bytes_per_second = 125000000;
	assert_true(link_is_pressing(b->l));
	b->l->drain.bytes_per_second = 1250000;
	assert_false(link_is_pressing(b->l));
	b->l->drain.bytes_per_second = 0;
	drain(b);
	assert_false(link_is_pressing(b->l));
}

/* Random sizes, gaps, reads and TLVs: whole packets, data in order, nothing lost below the limit. */
static void test_random(void **state)
{
	struct bench *b = *state;
	const uint8_t tlv[] = {5, 6, 0, 0, 0, 0, 0, 12};
	const char *seed_text = getenv("SEED");
	const unsigned seed = seed_text ? (unsigned)strtoul(seed_text, NULL, 0) : (unsigned)time(NULL);
	static uint32_t seen[5000];
	uint32_t next = 0, controls = 0, tlvs = 0;
	size_t n;

	print_message("SEED=%u\n", seed);
	srandom(seed);
	b->l->data_limit = LIMIT_SEND_QUEUE_MAX_BYTES;
	for (int turn = 0; turn < 300; turn++) {
		for (long k = random() % 5; k > 0; k--)
			add(b, (size_t)random() % (random() % 10 ? 1500 : 20000), random() % 2);
		for (long k = random() % 4 - 2; k > 0; k--)
			tlvs += link_control(b->l, tlv, sizeof(tlv));
		flush(b);
		if (random() % 2 && b->in_len < READ_BYTES - 30000) {
			take(b, 1 + (size_t)random() % 8000);
			writable(b);
		}
	}
	b->in = realloc(b->in, 8 * READ_BYTES);
	assert_non_null(b->in);
	drain(b);
	n = arrived(b, seen, 5000);
	for (size_t i = 0; i < n; i++) {
		controls += seen[i] == UINT32_MAX;
		if (seen[i] != UINT32_MAX)
			assert_int_equal(seen[i], next++);
	}
	assert_int_equal(next, b->next);
	assert_int_equal(controls, tlvs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_iovec, setup, teardown),
		cmocka_unit_test_setup_teardown(test_control_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drop_oldest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_larger_than_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_control_cap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_chunks, setup_poor, teardown),
		cmocka_unit_test_setup_teardown(test_chunks_for_control, setup_scarce, teardown),
		cmocka_unit_test_setup_teardown(test_closed_with_data, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead_socket, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drain_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pressing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
