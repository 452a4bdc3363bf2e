/* SPDX-License-Identifier: Apache-2.0 */
/* Session keys used by several at once: counters taken by threads, fastpaths and their successors never overlap (each
 * range taken is recorded: the source is compiled in with its audit), a packet opens once whoever gets it, and readers
 * find whole keys while others come and go. Made to be run under ThreadSanitizer too. */
#define NONCE_AUDIT
#include "fastpath/epoch.h"
#include "tests/unit/skey_world.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fastpath/skey.c"

enum {
	THREADS = 4,
	RUNS = 100000,
	LONGEST_RUN = 64,
	LIVES = 30, /* of fastpaths that are killed */
	RUNS_MAX = LIVES * 200,
	FRAMES = 20000,
	KEYS = 16,
	CHANGES = 2000,
};

static const struct aead *aead;
static pthread_barrier_t all_ready;

static int find(void **state)
{
	const char *why;

	(void)state;
	aead = aead_choose(&why);
	return aead ? 0 : -1;
}

/* cmocka's assertions are for the test's own thread. */
static void must(bool truth)
{
	if (!truth)
		abort();
}

struct range {
	uint64_t first;
	uint32_t count, lane;
};

static int range_cmp(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	if (x->lane != y->lane)
		return x->lane < y->lane ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

static void assert_none_overlap(struct range *r, size_t count)
{
	qsort(r, count, sizeof(*r), range_cmp);
	for (size_t i = 1; i < count; i++)
		if (r[i].lane == r[i - 1].lane && r[i].first < r[i - 1].first + r[i - 1].count)
			fail_msg("lane %u: %llu was taken twice", r[i].lane, (unsigned long long)r[i].first);
}

/* Where this thread's ranges go. */
static __thread struct range *record;
static __thread size_t recorded;

static void note(const struct skey *s, unsigned lane, uint64_t first, uint32_t count)
{
	(void)s;
	record[recorded++] = (struct range){.first = first, .count = count, .lane = lane};
}

/* One more fastpath with A's key, on A's memory. */
static struct skeys *another_fastpath(const struct world *w, struct skey **key)
{
	const struct skey_given g = world_given_a(w);
	struct skeys *k = skeys_new(aead, w->a.lanes, CAP);
	uint32_t slot = 0;

	must(k && skeys_add(k, &g, &slot) == 0);
	*key = skeys_slot(k, slot);
	return k;
}

struct sealer {
	struct skeys *keys;
	struct skey *key;
	struct range *ranges;
	unsigned number;
	pthread_t thread;
};

static void *take_runs(void *arg)
{
	struct sealer *s = arg;

	record = s->ranges;
	pthread_barrier_wait(&all_ready);
	for (unsigned i = 0; i < RUNS; i++) {
		struct skey_run run;

		must(skey_seal_begin(&run, s->keys, s->key, i % 2, 1 + (i * 7 + s->number) % LONGEST_RUN, made) ==
		     SKEY_OK);
		must(run.next == record[i].first && run.end - run.next == record[i].count);
	}
	must(recorded == RUNS);
	return NULL;
}

/* Two fastpaths with two workers each, in two lanes. */
static void no_counter_is_taken_twice(void **state)
{
	static struct range ranges[THREADS * RUNS];
	struct sealer s[THREADS];
	struct skeys *second;
	struct skey *key;
	struct world w;
	uint64_t sum = 0;

	(void)state;
	world_init(&w, aead);
	second = another_fastpath(&w, &key);
	skey_audit = note;
	pthread_barrier_init(&all_ready, NULL, THREADS);
	for (unsigned i = 0; i < THREADS; i++) {
		s[i] = (struct sealer){.keys = i % 2 ? second : w.a.keys,
				       .key = i % 2 ? key : w.a.key,
				       .ranges = ranges + (size_t)i * RUNS,
				       .number = i};
		assert_int_equal(pthread_create(&s[i].thread, NULL, take_runs, &s[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(s[i].thread, NULL);
	pthread_barrier_destroy(&all_ready);
	skey_audit = NULL;
	for (size_t i = 0; i < (size_t)THREADS * RUNS; i++)
		sum += ranges[i].count;
	assert_none_overlap(ranges, (size_t)THREADS * RUNS);
	assert_int_equal(w.a.lanes->row[A_ROW].send[0].next + w.a.lanes->row[A_ROW].send[1].next, sum);
	skeys_free(second);
	world_fini(&w);
}

/* What fastpaths leave to the test when they die. */
struct estate {
	struct range ranges[RUNS_MAX];
	size_t count;
	size_t die_at;
};
static struct estate *estate;

static void note_and_die(const struct skey *s, unsigned lane, uint64_t first, uint32_t count)
{
	(void)s;
	estate->ranges[estate->count++] = (struct range){.first = first, .count = count, .lane = lane};
	if (estate->count == estate->die_at)
		kill(getpid(), SIGKILL);
}

static void live_and_die(const struct world *w, unsigned life)
{
	static uint8_t plain[4 + 8], frame[200];
	const struct encap_packet p = {
		.plain = plain + 4, .len = 8, .src = &w->a.address, .dst = &w->b.address, .hop_limit = 64};
	struct skey *key;
	struct skeys *k = another_fastpath(w, &key);

	skey_audit = note_and_die;
	for (;;) {
		struct skey_run run;

		must(skey_seal_begin(&run, k, key, life % 3, LONGEST_RUN, made) == SKEY_OK);
		for (unsigned i = 0; i < life % LONGEST_RUN; i++)
			must(skey_seal(&run, &p, frame) == WIRE_OVERHEAD_BYTES + 8);
		skey_seal_end(&run);
	}
}

static void successors_take_none_again(void **state)
{
	struct world w;

	(void)state;
	estate = mmap(NULL, sizeof(*estate), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(estate != MAP_FAILED);
	world_init(&w, aead);
	for (unsigned life = 0; life < LIVES; life++) {
		int status;
		pid_t child;

		estate->die_at = estate->count + 1 + life * 17 % 150;
		child = fork();
		assert_true(child >= 0);
		if (child == 0)
			live_and_die(&w, life);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		assert_int_equal(estate->count, estate->die_at);
	}
	assert_none_overlap(estate->ranges, estate->count);
	munmap(estate, sizeof(*estate));
	world_fini(&w);
}

/* B's packets reach two fastpaths of A; or so it is played: both open each frame. */
struct receiver {
	const struct skeys *keys;
	const uint8_t *frames;
	uint8_t *delivered; /* atomic */
	uint32_t owner;
	uint64_t verdicts[SKEY_TYPE + 1];
	pthread_t thread;
};

enum { FRAME_BYTES = WIRE_OVERHEAD_BYTES + 8 };

static void *open_all(void *arg)
{
	struct receiver *r = arg;

	pthread_barrier_wait(&all_ready);
	for (uint32_t i = 0; i < FRAMES; i++) {
		uint8_t frame[FRAME_BYTES];
		struct skey_opened opened;
		struct skey_opener o;
		enum skey_verdict v;

		memcpy(frame, r->frames + (size_t)i * FRAME_BYTES, FRAME_BYTES);
		skey_open_begin(&o, r->keys, r->owner, made);
		v = skey_open(&o, frame, FRAME_BYTES, &opened);
		skey_open_end(&o);
		r->verdicts[v]++;
		if (v == SKEY_OK)
			__atomic_add_fetch(&r->delivered[i], 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void a_packet_opens_once(void **state)
{
	static uint8_t frames[FRAMES][FRAME_BYTES], delivered[FRAMES];
	struct skey_given g;
	struct receiver r[2] = {0};
	struct skeys *second;
	struct world w;
	uint32_t slot;

	(void)state;
	world_init(&w, aead);
	g = world_given_b(&w);
	second = skeys_new(aead, w.b.lanes, CAP);
	assert_non_null(second);
	assert_int_equal(skeys_add(second, &g, &slot), 0);
	for (uint32_t i = 0; i < FRAMES; i++)
		world_seal_any(&w, i % 3, frames[i]);
	pthread_barrier_init(&all_ready, NULL, 2);
	for (unsigned i = 0; i < 2; i++) {
		r[i].keys = i ? second : w.b.keys;
		r[i].frames = frames[0];
		r[i].delivered = delivered;
		r[i].owner = i + 1;
		assert_int_equal(pthread_create(&r[i].thread, NULL, open_all, &r[i]), 0);
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(r[i].thread, NULL);
	pthread_barrier_destroy(&all_ready);
	for (uint32_t i = 0; i < FRAMES; i++)
		assert_in_range(delivered[i], 0, 1);
	assert_int_equal(r[0].verdicts[SKEY_OK] + r[1].verdicts[SKEY_OK] + r[0].verdicts[SKEY_REPLAYED] +
				 r[1].verdicts[SKEY_REPLAYED] + r[0].verdicts[SKEY_BUSY] + r[1].verdicts[SKEY_BUSY] +
				 r[0].verdicts[SKEY_LATE] + r[1].verdicts[SKEY_LATE],
			 2 * FRAMES);
	assert_int_equal(w.b.key->opened.packets + skeys_slot(second, slot)->opened.packets,
			 r[0].verdicts[SKEY_OK] + r[1].verdicts[SKEY_OK]);
	skeys_free(second);
	world_fini(&w);
}

/* A reader beside the control thread. A key's far index and peer say which index it has. */
struct reader {
	struct skeys *keys;
	struct epoch *epoch;
	bool *done; /* atomic */
	uint64_t found; /* atomic */
	pthread_t thread;
};

static uint32_t index_of(uint32_t n)
{
	return 1 + (n << 16) + n % 4; /* four chains */
}

static void *find_along(void *arg)
{
	struct reader *r = arg;

	while (!__atomic_load_n(r->done, __ATOMIC_ACQUIRE)) {
		epoch_enter(r->epoch, 0);
		for (uint32_t n = 0; n < KEYS; n++) {
			const struct skey *s = skeys_find(r->keys, index_of(n));

			if (!s)
				continue;
			must(s->index == index_of(n) && s->far_index == ~s->index && s->net64 == n);
			must(s->pk.b[0] == n && s->row_number == n);
			__atomic_add_fetch(&r->found, 1, __ATOMIC_RELAXED);
		}
		epoch_leave(r->epoch, 0);
	}
	return NULL;
}

static uint32_t add(const struct world *w, struct skeys *k, uint32_t n)
{
	struct skey_given g = world_given_b(w);
	uint32_t slot;

	g.row = n;
	g.index = index_of(n);
	g.far_index = ~g.index;
	g.net64 = n;
	g.pk.b[0] = (uint8_t)n;
	assert_int_equal(skeys_add(k, &g, &slot), 0);
	return slot;
}

static void readers_find_whole_keys(void **state)
{
	static struct epoch epoch = {.now = 1};
	static bool done;
	uint32_t slot[KEYS] = {0};
	struct reader r;
	struct world w;

	(void)state;
	world_init(&w, aead);
	for (uint32_t n = 0; n < KEYS; n++)
		rows_begin(w.b.lanes, n, index_of(n));
	r = (struct reader){.keys = w.b.keys, .epoch = &epoch, .done = &done};
	assert_int_equal(pthread_create(&r.thread, NULL, find_along, &r), 0);
	for (uint32_t i = 0; i < CHANGES || !__atomic_load_n(&r.found, __ATOMIC_RELAXED); i++) {
		const uint32_t n = i * 7 % KEYS ^ i / 64 % KEYS;

		if (slot[n]) {
			uint64_t retired;

			skeys_hide(w.b.keys, slot[n]);
			retired = epoch_retire(&epoch);
			while (!epoch_is_past(&epoch, 1, retired))
				sched_yield();
			skeys_wipe(w.b.keys, slot[n]);
			slot[n] = 0;
		} else {
			slot[n] = add(&w, w.b.keys, n);
		}
	}
	__atomic_store_n(&done, true, __ATOMIC_RELEASE);
	pthread_join(r.thread, NULL);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_counter_is_taken_twice),
		cmocka_unit_test(successors_take_none_again),
		cmocka_unit_test(a_packet_opens_once),
		cmocka_unit_test(readers_find_whole_keys),
	};

	return cmocka_run_group_tests_name("session keys used at once", tests, find, NULL);
}
