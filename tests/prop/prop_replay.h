/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of one session, sealed by A for B, captured on their way and offered to B again and again: what each gets is
 * compared with a list of what was opened. For the prop_replay programs. SEED= repeats a run. */
#ifndef TESTS_PROP_PROP_REPLAY_H
#define TESTS_PROP_PROP_REPLAY_H

#include "tests/sim/rng.h"
#include "tests/unit/skey_world.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	PACKETS = 1000000,
	LATER = 20000, /* sealed by others and in later lives */
	ROOM = PACKETS + LATER,
	BODY = 8,
	FRAME = WIRE_OVERHEAD_BYTES + BODY,
	NONCE_AT = FRAME - WIRE_NONCE_BYTES,
	LANE_AT = NONCE_AT + 4,
	RUN = 64,
	VERDICTS = SKEY_TYPE + 1,
};

struct tally {
	uint64_t offered, verdict[VERDICTS];
};

/* Everything that processes share. */
static struct shared {
	uint8_t frame[ROOM][FRAME];
	uint8_t accepted[ROOM];
	uint32_t order[PACKETS];
	/* What the list foretells: the greatest counter of each lane that was accepted. */
	uint64_t greatest[LANES];
	struct tally tally;
	uint64_t surprises; /* verdicts other than foretold; packets other than sealed; second acceptances */
	uint32_t count, position, under_way;
} * s;

static struct world w;
static struct rng rng;
static struct tally all;

static uint8_t lane_of(uint32_t id)
{
	return s->frame[id][LANE_AT];
}

static uint64_t counter_of(uint32_t id)
{
	uint64_t rest;

	memcpy(&rest, &s->frame[id][LANE_AT], sizeof(rest));
	return __builtin_bswap64(rest) & ((UINT64_C(1) << 56) - 1);
}

/* So many counters of a lane, of which only some are used, as a sender does that finds less to send than it thought. */
static inline void seal_run(struct skeys *keys, struct skey *key, uint32_t taken, uint32_t used)
{
	struct skey_run run;

	assert_int_equal(skey_seal_begin(&run, keys, key, rng_below(&rng, LANES), taken, w.now), SKEY_OK);
	for (uint32_t i = 0; i < used; i++) {
		uint8_t plain[WIRE_USER_HEADER_BYTES + BODY] = {0};
		const struct encap_packet p = {.plain = plain + WIRE_USER_HEADER_BYTES,
					       .len = BODY,
					       .hop_limit = 64,
					       .src = &w.a.address,
					       .dst = &w.b.address};

		memcpy(plain + WIRE_USER_HEADER_BYTES, &s->count, sizeof(s->count));
		assert_int_equal(skey_seal(&run, &p, s->frame[s->count++]), FRAME);
	}
	skey_seal_end(&run);
}

static inline void seal_up_to(struct skeys *keys, struct skey *key, uint32_t end)
{
	while (s->count < end) {
		const uint32_t taken = 1 + rng_below(&rng, RUN), used = 1 + rng_below(&rng, taken);

		seal_run(keys, key, taken, used < end - s->count ? used : end - s->count);
	}
}

/* What the list says of a packet that is offered as it was sealed. */
static inline enum skey_verdict foretell(uint32_t id)
{
	const uint64_t counter = counter_of(id);
	uint64_t *const greatest = &s->greatest[lane_of(id)];

	if (counter + LIMIT_SESSION_WINDOW <= *greatest)
		return SKEY_LATE;
	if (s->accepted[id])
		return SKEY_REPLAYED;
	if (counter > *greatest)
		*greatest = counter;
	return SKEY_OK;
}

/* Offers a copy, counts the verdict, and remembers what was accepted. */
static inline enum skey_verdict offer(struct skey_opener *o, uint32_t id, const uint8_t *bytes)
{
	uint8_t copy[FRAME];
	struct skey_opened out;
	enum skey_verdict verdict;
	uint32_t said;

	memcpy(copy, bytes, FRAME);
	s->tally.offered++;
	verdict = skey_open(o, copy, FRAME, &out);
	s->tally.verdict[verdict]++;
	if (verdict == SKEY_OK) {
		memcpy(&said, out.user.body, sizeof(said));
		s->surprises += out.user.len != BODY || said != id || s->accepted[id];
		s->accepted[id]++;
	}
	return verdict;
}

/* The packets from..to of the order, or of the numbers where order is NULL, each by the list. */
static inline void replay_by_list(struct skeys *keys, uint32_t owner, const uint32_t *order, uint32_t from, uint32_t to)
{
	struct skey_opener o;

	skey_open_begin(&o, keys, owner, w.now);
	for (uint32_t i = from; i < to; i++) {
		const uint32_t id = order ? order[i] : i;
		const enum skey_verdict expected = foretell(id);

		s->surprises += offer(&o, id, s->frame[id]) != expected;
	}
	skey_open_end(&o);
}

static inline void shuffle(uint32_t reach)
{
	for (uint32_t i = 0; i < PACKETS; i++)
		s->order[i] = i;
	for (uint32_t i = 0; i + 1 < PACKETS; i++) {
		const uint32_t left = PACKETS - i;
		const uint32_t j = i + rng_below(&rng, reach < left ? reach : left), kept = s->order[i];

		s->order[i] = s->order[j];
		s->order[j] = kept;
	}
}

/* Nothing was unexpected, and each packet offered got one verdict, but for those whose opener was killed. Prints. */
static inline void settle(const char *what, uint64_t killed)
{
	const struct tally t = s->tally;
	uint64_t sum = 0;

	for (unsigned v = 0; v < VERDICTS; v++) {
		sum += t.verdict[v];
		all.verdict[v] += t.verdict[v];
	}
	all.offered += t.offered;
	printf("# %s: %llu offered, %llu opened, late %llu, again %llu, lane %llu, failed %llu, unknown %llu, expired "
	       "%llu\n",
	       what, (unsigned long long)t.offered, (unsigned long long)t.verdict[SKEY_OK],
	       (unsigned long long)t.verdict[SKEY_LATE], (unsigned long long)t.verdict[SKEY_REPLAYED],
	       (unsigned long long)t.verdict[SKEY_LANE], (unsigned long long)t.verdict[SKEY_FAILED],
	       (unsigned long long)t.verdict[SKEY_UNKNOWN], (unsigned long long)t.verdict[SKEY_EXPIRED]);
	assert_int_equal(s->surprises, 0);
	assert_int_equal(sum + killed, t.offered);
	memset(&s->tally, 0, sizeof(s->tally));
}

/* The key in a process that begins: the arena of its parent is wiped. */
static inline struct skeys *take_up(struct lanes *lanes, const struct skey_given *given, struct skey **key)
{
	const char *why;
	struct skeys *keys = skeys_new(aead_choose(&why), lanes, CAP);
	uint32_t slot;

	if (!keys || skeys_add(keys, given, &slot))
		_exit(EXIT_FAILURE);
	*key = skeys_slot(keys, slot);
	return keys;
}

/* Runs fn in a process of its own; true: it was killed. */
static inline bool in_a_child(void (*fn)(void))
{
	const pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		fn();
		_exit(EXIT_SUCCESS);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == EXIT_SUCCESS);
	return WIFSIGNALED(status);
}

static inline int begin(void **state)
{
	const char *text = getenv("SEED"), *why;
	const struct aead *aead = aead_choose(&why);

	(void)state;
	rng.state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	printf("SEED=%llu\n", (unsigned long long)rng.state);
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s == MAP_FAILED || !aead)
		return -1;
	world_init(&w, aead);
	return 0;
}

static inline int end(void **state)
{
	(void)state;
	world_fini(&w);
	munmap(s, sizeof(*s));
	return 0;
}

#endif
