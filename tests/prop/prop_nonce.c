/* SPDX-License-Identifier: Apache-2.0 */
/* Nonces never repeat: processes that share a memory and keys, two of them one lane, take counters as fast as they can
 * and are killed at any instant, while the generation is raised and the memory lost under them. Each range is written
 * down before it is used; the log is judged at the end. SEED= repeats the choices; NONCE_PACKETS=, NONCE_RESTARTS=: a
 * longer run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "fastpath/skey.h"
#include "shared/base/rows.h"
#include "tests/sim/rng.h"
#include "tests/support/lanes_memory.h"
#include "tests/support/nonce_check.h"
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	PACKETS = 10000000,
	RESTARTS = 50,
	SEALERS = 3, /* the first two seal in one lane */
	KEYS = 4,
	CAP = 3 * KEYS,
	ROW = 100,
	SHORT_RUN = 16,
	LONGEST_RUN = 64,
	SEAL_EVERY = 32, /* ranges, of which the first counter is used */
	CHECK_EVERY = 64, /* ranges between two looks at the generation, as between batches */
	WRAP_EVERY = 4096, /* ranges until the static counter wraps */
	REPORT_EVERY = 256,
	BODY = 8,
	PATIENCE_MS = 30000, /* with sealers that are stuck */
	MIN_MEAN_RUN = 6, /* the log has room for runs that are longer on average */
};

static struct {
	const struct aead *aead;
	struct rng rng;
	struct nonce_log *log;
	size_t log_bytes;
	uint64_t packets, restarts;
	struct lanes *lanes;
	struct skey_given given[KEYS];
	pid_t sealer[SEALERS];
	int progress; /* eventfd: ranges were taken */
	uint64_t taken; /* counters, in memories and rows that are no more */
	uint64_t kills, raised, memories;
} n;

static const struct mono now = {.us = 1};

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* What the sealers do, each in a process of its own. */
struct sealer {
	struct rng rng;
	struct skeys *keys;
	struct skey *key[KEYS];
	struct nonce_lane fixed;
	struct key_slot *fixed_key; /* owned */
	unsigned lane;
};

static void sealer_begin(struct sealer *s, unsigned number, uint64_t seed)
{
	const struct aead_key secret = {{9}};

	nonce_audit_begin(n.log, n.log_bytes);
	*s = (struct sealer){.rng = {seed}, .lane = number < 2 ? 0 : LIMIT_SESSION_FAR_LANES - 1};
	s->keys = skeys_new(n.aead, n.lanes, CAP);
	for (unsigned i = 0; i < KEYS; i++) {
		uint32_t slot;
		const int error = skeys_add(s->keys, &n.given[i], &slot);

		/* The generation may be raised before it has begun. */
		if (error)
			_exit(error == -ESTALE ? EXIT_SUCCESS : EXIT_FAILURE);
		s->key[i] = skeys_slot(s->keys, slot);
	}
	nonce_lane_init(&s->fixed, n.lanes);
	s->fixed_key = aligned_alloc(AEAD_ALIGN, sizeof(*s->fixed_key) + n.aead->key_bytes);
	if (!s->fixed_key)
		_exit(EXIT_FAILURE);
	memset(s->fixed_key, 0, sizeof(*s->fixed_key));
	n.aead->key_init(s->fixed_key + 1, &secret);
}

static struct encap_packet some_packet(uint8_t *plain)
{
	static const struct ip6 a = {{2, 1}}, b = {{2, 2}};

	return (struct encap_packet){
		.plain = plain + WIRE_USER_HEADER_BYTES, .len = BODY, .hop_limit = 64, .src = &a, .dst = &b};
}

/* The nonce on the wire is made of the counter that was written down. */
static void seal_first(struct skey_run *run)
{
	uint8_t plain[WIRE_USER_HEADER_BYTES + BODY] = {0}, frame[WIRE_OVERHEAD_BYTES + BODY];
	const struct encap_packet p = some_packet(plain);
	const uint64_t expected = (uint64_t)run->lane << 56 | run->next;
	uint64_t found;

	if (skey_seal(run, &p, frame) != sizeof(frame))
		_exit(EXIT_FAILURE);
	skey_seal_end(run);
	memcpy(&found, frame + sizeof(frame) - sizeof(found), sizeof(found));
	if (__builtin_bswap64(found) != expected)
		_exit(EXIT_FAILURE);
}

/* The last counter of a prefix, and the first of the next one. */
static void wrap(struct sealer *s)
{
	const uint64_t before = s->fixed.prefix;

	s->fixed.next = UINT32_MAX;
	for (unsigned i = 0; i < 2; i++) {
		uint8_t plain[WIRE_USER_HEADER_BYTES + BODY] = {0}, frame[WIRE_OVERHEAD_BYTES + BODY];
		const struct encap_packet p = some_packet(plain);

		encap_seal(n.aead, &s->fixed, s->fixed_key, &p, frame);
	}
	if (s->fixed.prefix == before)
		_exit(EXIT_FAILURE);
}

/* Until it is killed, or the generation is raised. */
static void seal_on(unsigned number, uint64_t seed)
{
	struct sealer s;

	sealer_begin(&s, number, seed);
	for (uint64_t i = 1;; i++) {
		const uint32_t most = rng_percent(&s.rng, 10) ? LONGEST_RUN : SHORT_RUN;
		struct skey_run run;

		if (skey_seal_begin(&run, s.keys, s.key[rng_below(&s.rng, KEYS)], s.lane, 1 + rng_below(&s.rng, most),
				    now) != SKEY_OK)
			_exit(EXIT_SUCCESS);
		if (i % SEAL_EVERY == 0)
			seal_first(&run);
		if (i % CHECK_EVERY == 0)
			nonce_lane_check(&s.fixed);
		if (i % WRAP_EVERY == 0)
			wrap(&s);
		if (i % REPORT_EVERY == 0 && write(n.progress, &(const uint64_t){1}, sizeof(uint64_t)) < 0)
			_exit(EXIT_FAILURE);
	}
}

/* What their controld does. */
static void start(unsigned number)
{
	const uint64_t seed = rng_u64(&n.rng);
	const pid_t parent = getpid();

	n.sealer[number] = fork();
	assert_true(n.sealer[number] >= 0);
	if (n.sealer[number])
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		seal_on(number, seed);
	_exit(EXIT_FAILURE);
}

static void end_of(unsigned number, bool killed)
{
	struct pollfd ended = {.fd = pidfd_open(n.sealer[number], 0), .events = POLLIN};
	int status;

	assert_int_equal(poll(&ended, 1, PATIENCE_MS), 1);
	close(ended.fd);
	assert_int_equal(waitpid(n.sealer[number], &status, 0), n.sealer[number]);
	assert_true(killed ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
			   : WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
}

static void kill_sealer(unsigned number)
{
	assert_int_equal(kill(n.sealer[number], SIGKILL), 0);
	end_of(number, true);
	n.kills++;
}

static uint64_t packets_recorded(void)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < n.log->processes; i++)
		sum += __atomic_load_n(&n.log->process[i].packets, __ATOMIC_RELAXED);
	return sum;
}

static void wait_for_packets(uint64_t goal)
{
	struct pollfd reported = {.fd = n.progress, .events = POLLIN};
	siginfo_t ended = {0};
	uint64_t reports;

	while (packets_recorded() < goal) {
		assert_int_equal(waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT), 0);
		assert_int_equal(ended.si_pid, 0);
		assert_int_equal(poll(&reported, 1, PATIENCE_MS), 1);
		assert_int_equal(read(n.progress, &reports, sizeof(reports)), sizeof(reports));
	}
}

static void new_keys(void)
{
	for (unsigned i = 0; i < KEYS; i++) {
		struct skey_given *g = &n.given[i];

		*g = (struct skey_given){.generation = n.lanes->header.generation,
					 .row = ROW + i,
					 .net64 = i,
					 .index = (uint32_t)rng_u64(&n.rng) | 1,
					 .far_index = (uint32_t)rng_u64(&n.rng) | 1,
					 .far_lanes = LIMIT_SESSION_FAR_LANES,
					 .our_lanes = LIMIT_SESSION_LANES,
					 .state = SKEY_STATE_SEND,
					 .made = now};
		memcpy(g->memory, n.lanes->header.id, sizeof(g->memory));
		rng_bytes(&n.rng, &g->send, sizeof(g->send));
		rng_bytes(&n.rng, &g->receive, sizeof(g->receive));
		rows_begin(n.lanes, g->row, g->index);
	}
}

/* The keys there were are refused, even where a row is named for them again. */
static void old_keys_are_refused(void)
{
	struct skeys *keys = skeys_new(n.aead, n.lanes, CAP);
	uint32_t slot;

	assert_non_null(keys);
	for (unsigned i = 0; i < KEYS; i++) {
		if (!n.lanes->row_index[n.given[i].row])
			rows_begin(n.lanes, n.given[i].row, n.given[i].index);
		assert_int_equal(skeys_add(keys, &n.given[i], &slot), -ESTALE);
	}
	skeys_free(keys);
}

/* The rows of keys that are wiped everywhere. */
static void end_rows(void)
{
	for (unsigned i = 0; i < KEYS; i++) {
		for (unsigned lane = 0; lane < LIMIT_SESSION_FAR_LANES; lane++)
			n.taken += n.lanes->row[n.given[i].row].send[lane].next;
		rows_end(n.lanes, n.given[i].row);
	}
}

/* By its generation alone no memory is told from another. */
static void new_memory(void)
{
	n.lanes = lanes_memory_new();
	n.lanes->header.id[0] = (uint8_t)++n.memories;
	n.lanes->header.generation = n.raised;
}

/* All die, and their memory with them. */
static void lose_memory(void)
{
	for (unsigned i = 0; i < SEALERS; i++)
		kill_sealer(i);
	end_rows();
	lanes_memory_free(n.lanes);
	new_memory();
	old_keys_are_refused();
	for (unsigned i = 0; i < KEYS; i++)
		rows_end(n.lanes, n.given[i].row);
	new_keys();
	for (unsigned i = 0; i < SEALERS; i++)
		start(i);
}

/* All end by themselves, at the next range. */
static void raise_generation(void)
{
	__atomic_add_fetch(&n.lanes->header.generation, 1, __ATOMIC_RELEASE);
	n.raised++;
	for (unsigned i = 0; i < SEALERS; i++)
		end_of(i, false);
	old_keys_are_refused();
	end_rows();
	new_keys();
	for (unsigned i = 0; i < SEALERS; i++)
		start(i);
}

static void restart_one(void)
{
	const unsigned number = rng_below(&n.rng, SEALERS);

	kill_sealer(number);
	start(number);
}

static void report(const struct nonce_found *f)
{
	printf("# %llu packets in %llu ranges of %llu keys, %llu lanes, %llu of them shared; %llu static prefixes; "
	       "%llu lives of processes, %llu kills, %llu generations, %llu memories; "
	       "%llu counters lost by kills, %llu ranges unfinished\n",
	       (unsigned long long)f->packets, (unsigned long long)f->ranges, (unsigned long long)f->keys,
	       (unsigned long long)f->lanes, (unsigned long long)f->shared, (unsigned long long)f->prefixes,
	       (unsigned long long)n.log->processes, (unsigned long long)n.kills, (unsigned long long)n.raised,
	       (unsigned long long)n.memories, (unsigned long long)(n.taken - f->packets),
	       (unsigned long long)f->unfinished);
}

static void no_counter_is_taken_twice(void **state)
{
	struct nonce_found found;

	(void)state;
	new_memory();
	new_keys();
	for (unsigned i = 0; i < SEALERS; i++)
		start(i);
	for (uint64_t restart = 0; restart < n.restarts; restart++) {
		wait_for_packets(n.packets / (n.restarts + 1) * (restart + 1));
		if (restart % 10 == 4)
			raise_generation();
		else if (restart % 10 == 9)
			lose_memory();
		else
			restart_one();
	}
	wait_for_packets(n.packets);
	for (unsigned i = 0; i < SEALERS; i++)
		kill_sealer(i);
	end_rows();
	found = nonce_check(n.log, n.log_bytes);
	report(&found);
	assert_int_equal(found.overlaps, 0);
	assert_int_equal(found.repeated, 0);
	assert_int_equal(found.lost, 0);
	assert_true(found.packets >= n.packets);
	assert_int_equal(found.keys, KEYS * (n.memories + n.raised));
	assert_true(found.shared >= found.keys / 2);
	/* Each counter that the memories have given out is in the log, but for one range of each that was killed. */
	assert_in_range(n.taken, found.packets, found.packets + n.kills * LONGEST_RUN);
}

/* The judge sees what it must. */
static struct nonce_range range_of(enum nonce_kind kind, uint64_t key, uint8_t lane, uint64_t first, uint32_t count)
{
	return (struct nonce_range){.kind = (uint8_t)kind,
				    .key = key,
				    .far_index = (uint32_t)key,
				    .lane = lane,
				    .first = first,
				    .count = count};
}

static void the_judge_sees_faults(void **state)
{
	const struct nonce_range ranges[] = {
		range_of(NONCE_SESSION, 1, 0, 0, 10),  range_of(NONCE_SESSION, 1, 0, 10, 5),
		range_of(NONCE_SESSION, 1, 1, 0, 10),  range_of(NONCE_SESSION, 2, 0, 0, 10),
		range_of(NONCE_SESSION, 1, 0, 14, 1), /* the last of another */
		range_of(NONCE_SESSION, 3, 0, 0, 100), range_of(NONCE_SESSION, 3, 0, 10, 10),
		range_of(NONCE_SESSION, 3, 0, 50, 50), /* two inside one */
		range_of(NONCE_PREFIX, 7, 0, 0, 0),    range_of(NONCE_PREFIX, 8, 0, 0, 0),
		range_of(NONCE_PREFIX, 7, 0, 0, 0),    range_of(NONCE_UNFINISHED, 1, 0, 0, 10),
	};
	const uint64_t count = sizeof(ranges) / sizeof(ranges[0]);
	const size_t bytes = sizeof(struct nonce_log) + sizeof(ranges);
	struct nonce_seen seen[] = {
		{1, {0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 14}},   {1, {0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0}},
		{2, {0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0}},    {1, {0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 10}}, /* behind */
		{1, {0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0}}, /* another lane */
		{1, {0x80, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 3}}, {1, {0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 3}},
		{1, {0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3}}, /* no such prefix */
		{1, {0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 14}}, /* again */
	};
	struct nonce_log *log = calloc(1, bytes);
	struct nonce_found found;
	struct nonce_wire wire;

	(void)state;
	assert_non_null(log);
	memcpy(log->range, ranges, sizeof(ranges));
	log->ranges = count + 2;
	found = nonce_check(log, bytes);
	assert_int_equal(found.overlaps, 3);
	assert_int_equal(found.repeated, 1);
	assert_int_equal(found.ranges, 8);
	assert_int_equal(found.packets, 196);
	assert_int_equal(found.keys, 3);
	assert_int_equal(found.lanes, 4);
	assert_int_equal(found.prefixes, 3);
	assert_int_equal(found.unfinished, 1);
	assert_int_equal(found.lost, 2);
	wire = nonce_check_wire(log, bytes, seen, sizeof(seen) / sizeof(seen[0]));
	assert_int_equal(wire.repeated, 1);
	assert_int_equal(wire.unrecorded, 3);
	assert_int_equal(wire.session, 4);
	assert_int_equal(wire.fixed, 2);
	free(log);
}

static int begin(void **state)
{
	const char *why;

	(void)state;
	n.rng.state = number_from("SEED", (uint64_t)time(NULL));
	printf("SEED=%llu\n", (unsigned long long)n.rng.state);
	n.packets = number_from("NONCE_PACKETS", PACKETS);
	n.restarts = number_from("NONCE_RESTARTS", RESTARTS);
	n.log_bytes = sizeof(*n.log) + n.packets / MIN_MEAN_RUN * sizeof(n.log->range[0]);
	n.log = mmap(NULL, n.log_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	n.progress = eventfd(0, EFD_CLOEXEC);
	n.aead = aead_choose(&why);
	return n.log == MAP_FAILED || n.progress < 0 || !n.aead ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_judge_sees_faults),
		cmocka_unit_test(no_counter_is_taken_twice),
	};

	return cmocka_run_group_tests_name("nonces over restarts", tests, begin, NULL);
}
