/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/scenario.h"

#include "tests/sim/check.h"
#include "tests/sim/ref.h"
#include "tests/sim/trouble.h"
#include <stdio.h>
#include <time.h>

enum {
	NODES_MAX = 60,
	CLIQUE_MAX = 12,
	GENERATIONS = 4,
	START_MS = 1500,
	START_BIG_MS = 1, /* of a network of a given size, which costs by the second */
	SETTLE_MS = 60000,
	STEP_MS = 250,
	QUIET_MS = 3000,
	/* Reference nodes never raise their seqno: a route starves until it has expired and its feasibility distance,
	 * too, which is written up to that moment. Both clocks have a second's grain, and one route expires per second.
	 * The metric with which it comes back can make the next node starve. */
	STARVED_MS = 361000,
	STARVED_PER_NODE_MS = 1000,
	STARVED_IN_A_ROW = 3,
};

struct run {
	const struct scenario *scenario;
	struct world world;
	struct outcome outcome;
	bool mixed;
};

double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* After the last change: what was lost is asked for at the latest when the next table Update names it, the origin may
 * not raise its seqno again yet, and what it refuses is asked again after a wait that has doubled, so that the refusal
 * counts twice; an own Update may have been missed; request, answer and retraction travel at most three times through
 * all nodes. */
static int64_t bound_ms(const struct run *r)
{
	int64_t slowest_us = 0;

	for (int i = 0; i < r->world.edge_count; i++) {
		const struct edge *e = &r->world.edges[i];

		for (int side = 0; side < 2; side++)
			if (e->delay_us[side] + e->jitter_us > slowest_us)
				slowest_us = e->delay_us[side] + e->jitter_us;
	}
	return network200.table_update_ms + network200.own_update_ms + 2 * network200.seqno_bump_ms +
	       3 * r->world.node_count * slowest_us / 1000 + STEP_MS;
}

/* With reference nodes on the way, routes to our nodes starve once at most, those to reference nodes in a row. */
static int64_t mixed_bound_ms(const struct run *r, bool judged_only)
{
	const int64_t once = STARVED_MS + r->world.node_count * STARVED_PER_NODE_MS;

	return judged_only ? once : STARVED_IN_A_ROW * once;
}

static void on_start(struct world *w, void *object, uint32_t arg)
{
	(void)w;
	(void)arg;
	world_start(object);
}

static void draw_world(struct run *r)
{
	const struct scenario *s = r->scenario;
	struct rng rng = {.state = s->seed};
	const uint32_t wide = rng_below(&rng, 59) * rng_below(&rng, 59) / 58; /* small ones more often */
	enum topo_shape shape = (enum topo_shape)rng_below(&rng, TOPO_SHAPES);
	int count = s->nodes ? s->nodes : 2 + (int)wide;
	struct topo t;

	if (rng_percent(&rng, 40) || s->nodes)
		shape = TOPO_MESH;
	if (rng_percent(&rng, 4) && !s->nodes)
		count = NODES_MAX;
	if (shape == TOPO_CLIQUE && count > CLIQUE_MAX)
		count = CLIQUE_MAX;
	topo_init(&t, shape, count, s->nodes ? count / 20 : 1 + (int)rng_below(&rng, (uint32_t)count), &rng);
	world_init(&r->world, &t, rng_u64(&rng), s->nodes ? 1 : GENERATIONS);
	r->world.verbose = s->verbose;
	r->world.trace = s->trace;
	if (s->watched)
		r->world.watched = s->watched;
	trouble_draw_edges(&r->world);
	for (int i = 0; i < count; i++) {
		struct node *n = &r->world.nodes[i];
		const bool is_ref = s->ref_percent && (i == 0 || rng_percent(&r->world.rng, s->ref_percent));

		n->kind = is_ref ? &kind_ref : s->kind;
		n->options = is_ref ? REF_DEFECTS : s->options;
		n->judged = !is_ref;
		r->mixed = r->mixed || is_ref;
		queue_add(&r->world.queue,
			  mono_add_ms(r->world.now, rng_range(&r->world.rng, 0, s->nodes ? START_BIG_MS : START_MS)),
			  on_start, n, 0);
	}
	r->outcome.nodes = count;
	snprintf(r->outcome.what, sizeof(r->outcome.what), "%s of %d nodes and %d links%s", topo_name(shape), count,
		 t.edge_count, r->mixed ? ", some of the reference kind" : "");
	topo_fini(&t);
}

static bool settle(struct run *r)
{
	struct world *w = &r->world;
	const struct mono until = mono_add_ms(w->now, SETTLE_MS);
	int i = 0;

	while (w->failures == 0 && i < w->edge_count) {
		if (edge_is_settled(&w->edges[i])) {
			i++;
			continue;
		}
		if (mono_is_due(until, w->now)) {
			world_fail(w, BROKEN_REST, "a fault of the simulator: edge %d does not settle", i);
			return false;
		}
		world_run(w, mono_add_ms(w->now, STEP_MS));
		i = 0;
	}
	return w->failures == 0;
}

/* At rest only the periods speak: no request and no Update may go round. */
static void quiet(struct run *r)
{
	struct world *w = &r->world;
	const uint64_t before = w->tlvs_sent;
	char why[SIM_FAILURE_BYTES];
	uint64_t most = 0;

	for (int i = 0; i < w->edge_count; i++)
		if (edge_is_open(&w->edges[i]))
			most += 2 * (uint64_t)w->node_count;
	most *= 2 * (QUIET_MS / network200.table_update_ms + 1);
	world_run(w, mono_add_ms(w->now, QUIET_MS));
	if (w->failures == 0 && w->tlvs_sent - before > most)
		world_fail(w, BROKEN_REST, "at rest %llu TLVs are sent, not %llu at most",
			   (unsigned long long)(w->tlvs_sent - before), (unsigned long long)most);
	if (w->failures == 0 && !r->mixed && !check_converged(w, false, why))
		world_fail(w, BROKEN_REST, "no longer converged at rest: %s", why);
}

/* Runs until converged; the time it took since the last change, 0 if it was there already when first looked at; -1 if
 * it did not in time. */
static int64_t converge(struct run *r, bool judged_only, int64_t bound, char why[SIM_FAILURE_BYTES])
{
	struct world *w = &r->world;
	int64_t took = 0;

	while (!check_converged(w, judged_only, why)) {
		if (mono_since_ms(w->now, w->last_change) > bound)
			return -1;
		world_run(w, mono_add_ms(w->now, STEP_MS));
		if (w->failures)
			return 0;
		took = mono_since_ms(w->now, w->last_change);
	}
	return took;
}

static void converge_in_time(struct run *r, bool judged_only, int64_t bound)
{
	struct world *w = &r->world;
	char why[SIM_FAILURE_BYTES];
	const int64_t took = converge(r, judged_only, bound, why);

	if (took < 0)
		world_fail(w, BROKEN_REST, "not converged %.1f s after the last change: %s",
			   (double)mono_since_ms(w->now, w->last_change) / 1e3, why);
	if ((double)took / 1e3 > r->outcome.converged_s) {
		r->outcome.converged_s = (double)took / 1e3;
		r->outcome.bound_s = (double)bound / 1e3;
	}
}

static void rest(struct run *r)
{
	if (!settle(r))
		return;
	converge_in_time(r, true, r->mixed ? mixed_bound_ms(r, true) : bound_ms(r));
	if (r->mixed && r->world.failures == 0)
		converge_in_time(r, false, mixed_bound_ms(r, false));
	if (r->world.failures == 0 && !r->scenario->nodes)
		quiet(r);
	check_rest(&r->world);
}

static void run_rounds(struct run *r)
{
	struct world *w = &r->world;
	int rounds = r->scenario->rounds;

	if (rounds < 0)
		rounds = 1 + (int)rng_below(&w->rng, 3);
	world_run(w, mono_add_ms(w->now, (r->scenario->nodes ? START_BIG_MS : START_MS) + 1));
	rest(r);
	for (int i = 0; i < rounds && w->failures == 0; i++) {
		struct mono over;

		trouble_heal(w);
		over = trouble_begin(w, GENERATIONS);
		world_run(w, mono_add_us(over, 1));
		rest(r);
	}
}

struct outcome scenario_run(const struct scenario *s)
{
	struct run r = {.scenario = s};
	const double before = cpu_s();
	struct check_totals totals;
	struct mono began;

	draw_world(&r);
	began = r.world.now;
	run_rounds(&r);
	totals = check_totals(&r.world);
	r.outcome.passed = r.world.failures == 0;
	memcpy(r.outcome.failure, r.world.failure, sizeof(r.outcome.failure));
	r.outcome.cpu_s = cpu_s() - before;
	r.outcome.virtual_s = (double)mono_since_us(r.world.now, began) / 1e6;
	r.outcome.events = r.world.events;
	r.outcome.tlvs = r.world.tlvs_taken;
	r.outcome.loops_mixed = totals.loops_mixed;
	r.outcome.loops_sources = totals.loops_sources;
	world_fini(&r.world);
	return r.outcome;
}
