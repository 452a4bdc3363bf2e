/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator: hundreds of cores in one process under virtual time. Prints TAP. */
#include "shared/base/secret.h"
#include "tests/sim/mutant.h"
#include "tests/sim/scale.h"
#include "tests/sim/scenario.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	TOPOLOGIES = 200,
	MIXED_EVERY = 4, /* each fourth has reference nodes in it */
	MIXED_MIN_PERCENT = 20,
	MIXED_MAX_PERCENT = 40,
	SOAK_FIRST = 1001, /* number of the first network of a soak; --only knows them, too */
	MANY_NODES = 1000,
	MANY_ROUTES = 10000,
};

struct totals {
	int count, failed;
	uint64_t events, tlvs, loops_mixed, loops_sources;
	double cpu_s, virtual_s, worst_part, worst_s, worst_bound_s, worst_mixed_s;
};

struct options {
	uint64_t seed;
	int only;
	double soak_s;
	const char *mutant;
	int trace;
	bool verbose;
};

static const char help[] =
	"sim [--only N] [--soak SECONDS] [--mutant NAME] [--verbose] [--trace NODE]\n"
	"\n"
	"Runs networks of babel cores under virtual time and checks them after every event. Prints TAP.\n"
	"  --only N         run only test N of the list\n"
	"  --soak SECONDS   run random networks until the time is over\n"
	"  --mutant NAME    run networks of nodes with a known defect, which has to be found\n"
	"  --verbose        a line for every network and every violation\n"
	"  --trace NODE     with --only: a line for all that concerns the routes to a node\n"
	"SEED=number in the environment replays a run; without it the seed is drawn, and printed.\n";

static struct outcome run_topology(const struct options *o, uint64_t number)
{
	struct rng r = {.state = o->seed + number};
	const struct scenario s = {
		.seed = o->seed ^ number << 32,
		.kind = &kind_core,
		.ref_percent =
			number % MIXED_EVERY == 0 ? (uint32_t)rng_range(&r, MIXED_MIN_PERCENT, MIXED_MAX_PERCENT) : 0,
		.rounds = -1,
		.verbose = o->verbose,
		.trace = o->trace,
	};

	return scenario_run(&s);
}

static void add(struct totals *t, const struct outcome *o, bool mixed)
{
	t->count++;
	t->failed += !o->passed;
	t->events += o->events;
	t->tlvs += o->tlvs;
	t->loops_mixed += o->loops_mixed;
	t->loops_sources += o->loops_sources;
	t->cpu_s += o->cpu_s;
	t->virtual_s += o->virtual_s;
	if (mixed) {
		t->worst_mixed_s = o->converged_s > t->worst_mixed_s ? o->converged_s : t->worst_mixed_s;
	} else if (o->bound_s > 0 && o->converged_s / o->bound_s > t->worst_part) {
		t->worst_part = o->converged_s / o->bound_s;
		t->worst_s = o->converged_s;
		t->worst_bound_s = o->bound_s;
	}
}

static void print_totals(const struct totals *t)
{
	printf("# %d networks, %.0f s of virtual time, %llu events, %llu TLVs, %.1f s of CPU (%.2f us per TLV)\n",
	       t->count, t->virtual_s, (unsigned long long)t->events, (unsigned long long)t->tlvs, t->cpu_s,
	       t->tlvs ? t->cpu_s * 1e6 / (double)t->tlvs : 0);
	printf("# slowest convergence %.2f s (allowed there: %.2f s); with reference nodes %.1f s\n", t->worst_s,
	       t->worst_bound_s, t->worst_mixed_s);
	printf("# for information: %llu loops through reference nodes, %llu passing ones of routes of two lives of a "
	       "node\n",
	       (unsigned long long)t->loops_mixed, (unsigned long long)t->loops_sources);
}

static void print_outcome(const struct options *o, int test, const struct outcome *r)
{
	printf("%s %d - %s\n", r->passed ? "ok" : "not ok", test, r->what);
	if (!r->passed)
		printf("# %s\n# replay with: SEED=%llu sim --only %d --verbose\n", r->failure,
		       (unsigned long long)o->seed, test);
	if (o->verbose)
		printf("# %.0f s of virtual time, %llu events, %llu TLVs, CPU %.3f s, converged in %.2f s of %.2f s\n",
		       r->virtual_s, (unsigned long long)r->events, (unsigned long long)r->tlvs, r->cpu_s,
		       r->converged_s, r->bound_s);
}

static bool run_mutant(const struct options *o, const struct mutant *m, int test)
{
	char found[SIM_FAILURE_BYTES];
	const double before = cpu_s();
	const bool passed = mutant_run(m, o->seed, o->verbose, found);

	printf("%s %d - mutant %s: %s\n", passed ? "ok" : "not ok", test, m->name,
	       m->watched ? "is found" : "nothing is found");
	printf("# %s (CPU %.2f s)\n", found[0] ? found : "nothing found", cpu_s() - before);
	return passed;
}

static bool run_many_nodes(const struct options *o, int test)
{
	const struct scenario s = {
		.seed = o->seed, .kind = &kind_core, .nodes = MANY_NODES, .verbose = o->verbose, .trace = o->trace};
	const struct outcome r = scenario_run(&s);

	print_outcome(o, test, &r);
	printf("# %d nodes: %llu TLVs in %.1f s of virtual time, CPU %.1f s (%.2f us per TLV, simulator included), "
	       "converged in %.2f s of %.2f s\n",
	       MANY_NODES, (unsigned long long)r.tlvs, r.virtual_s, r.cpu_s, r.cpu_s * 1e6 / (double)r.tlvs,
	       r.converged_s, r.bound_s);
	return r.passed;
}

static bool run_many_routes(const struct options *o, int test)
{
	char why[SIM_FAILURE_BYTES] = "";
	const bool passed = scale_routes(o->seed, MANY_ROUTES, why, sizeof(why));

	printf("%s %d - %d routes through one core\n", passed ? "ok" : "not ok", test, MANY_ROUTES);
	if (!passed)
		printf("# %s\n", why);
	return passed;
}

static int run_all(const struct options *o)
{
	const int last = TOPOLOGIES + mutant_count + 2;
	struct totals t = {0};
	int failed = 0;

	printf("1..%d\n", o->only ? 1 : last);
	for (int test = o->only ? o->only : 1; test <= (o->only ? o->only : last); test++) {
		if (test <= TOPOLOGIES || test >= SOAK_FIRST) {
			const struct outcome r = run_topology(o, (uint64_t)test);

			add(&t, &r, test % MIXED_EVERY == 0);
			print_outcome(o, test, &r);
			failed += !r.passed;
		} else if (test <= TOPOLOGIES + mutant_count) {
			failed += !run_mutant(o, &mutants[test - TOPOLOGIES - 1], test);
		} else if (test == last - 1) {
			failed += !run_many_nodes(o, test);
		} else {
			failed += !run_many_routes(o, test);
		}
		fflush(stdout);
	}
	if (t.count)
		print_totals(&t);
	printf("# SEED=%llu: %d failed, %.1f s of CPU\n", (unsigned long long)o->seed, failed, cpu_s());
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_soak(const struct options *o)
{
	const struct mono until = mono_add_us(mono_now(), (int64_t)(o->soak_s * 1e6));
	struct totals t = {0};

	for (int number = SOAK_FIRST; !mono_is_due(until, mono_now()); number++) {
		const struct outcome r = run_topology(o, (uint64_t)number);

		add(&t, &r, number % MIXED_EVERY == 0);
		if (!r.passed || o->verbose)
			print_outcome(o, number, &r);
		fflush(stdout);
	}
	print_totals(&t);
	printf("1..1\n%s 1 - soak: %d of %d networks failed, SEED=%llu\n", t.failed ? "not ok" : "ok", t.failed,
	       t.count, (unsigned long long)o->seed);
	return t.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_named_mutant(const struct options *o)
{
	for (int i = 0; i < mutant_count; i++) {
		if (strcmp(mutants[i].name, o->mutant) != 0)
			continue;
		printf("1..1\n");
		return run_mutant(o, &mutants[i], 1) ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	fprintf(stderr, "sim: no mutant %s; there are:", o->mutant);
	for (int i = 0; i < mutant_count; i++)
		fprintf(stderr, " %s", mutants[i].name);
	fprintf(stderr, "\n");
	return 2;
}

static bool parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"help", no_argument, NULL, 'h'},
		{"only", required_argument, NULL, 'o'},
		{"soak", required_argument, NULL, 's'},
		{"mutant", required_argument, NULL, 'm'},
		{"verbose", no_argument, NULL, 'v'},
		{"trace", required_argument, NULL, 't'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'o':
			o->only = atoi(optarg);
			if (o->only <= 0)
				return false;
			break;
		case 's':
			o->soak_s = atof(optarg);
			if (!(o->soak_s > 0))
				return false;
			break;
		case 'm':
			o->mutant = optarg;
			break;
		case 't':
			o->trace = atoi(optarg);
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'h':
			fputs(help, stdout);
			exit(EXIT_SUCCESS);
		default:
			return false;
		}
	}
	return optind == argc;
}

int main(int argc, char **argv)
{
	const char *seed = getenv("SEED");
	struct options o = {.trace = -1};

	if (sodium_init() < 0 || !parse(argc, argv, &o)) {
		fputs(help, stderr);
		return 2;
	}
	o.seed = seed ? strtoull(seed, NULL, 0) : randombytes_random();
	printf("# SEED=%llu\n", (unsigned long long)o.seed);
	if (o.mutant)
		return run_named_mutant(&o);
	return o.soak_s > 0 ? run_soak(&o) : run_all(&o);
}
