/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/scale.h"

#include "controld/babel/babel.h"
#include "tests/sim/rng.h"
#include "tests/sim/scenario.h"
#include <assert.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

/*   feeder ---+            +--- sink
 *             +--- core ---+
 *   second ---+            +--- late   */
enum { FEEDER, SECOND, SINK, LATE, LINKS };

enum {
	UPDATE_BYTES = 68,
	GAP_US = 5, /* between two Updates of a feeder */
	STEADY_S = 9,
	REFRESH_S = 3,
	HANDOVER_MAX_MS = 500,
	ROUTE_MAX_BYTES = 838, /* 8 MB for 10,000 */
};

struct scale {
	struct babel *babel; /* owned */
	struct mono now, next;
	struct rng rng;
	int routes, selected;
	uint8_t (*updates)[UPDATE_BYTES]; /* owned; metrics are written in as they are sent */
	uint64_t finite[LINKS], retracted[LINKS]; /* sent, without the own prefix */
	struct prefix own;
};

static void on_send(void *ctx, uint32_t link, const uint8_t *tlv, size_t len)
{
	struct scale *s = ctx;

	if (len != UPDATE_BYTES || memcmp(tlv + 12, s->own.ip.b, 16) == 0)
		return;
	if (tlv[10] == 0xff && tlv[11] == 0xff)
		s->retracted[link]++;
	else
		s->finite[link]++;
}

static void on_selected(void *ctx, const struct prefix *p, const struct babel_route *route)
{
	(void)ctx;
	(void)p;
	(void)route;
}

static void on_key(void *ctx, const struct prefix *net64, const uint8_t public_key[32])
{
	(void)ctx;
	(void)net64;
	(void)public_key;
}

static void on_key_elsewhere(void *ctx, uint32_t link, const struct router_id *other)
{
	(void)ctx;
	(void)link;
	(void)other;
}

static void on_swept(void *ctx, uint32_t count)
{
	(void)ctx;
	(void)count;
}

static void on_seqno(void *ctx, uint16_t seqno)
{
	(void)ctx;
	(void)seqno;
}

static void on_random(void *ctx, void *out, size_t len)
{
	struct scale *s = ctx;

	rng_bytes(&s->rng, out, len);
}

static void draw_update(struct scale *s, uint8_t *u)
{
	struct pubkey pk;
	struct prefix p;

	rng_bytes(&s->rng, pk.b, sizeof(pk.b));
	p = network_own_prefix(&network200, &pk);
	memset(u, 0, UPDATE_BYTES);
	u[0] = 8;
	u[1] = UPDATE_BYTES - WIRE_TLV_HEADER_BYTES;
	u[2] = WIRE_AE_IPV6;
	u[4] = p.len;
	u[7] = (uint8_t)network200.update_interval;
	memcpy(u + 12, p.ip.b, 16);
	memcpy(u + 28, pk.b, 32);
	rng_bytes(&s->rng, u + 62, 6);
}

static void init(struct scale *s, uint64_t seed, int routes)
{
	static const struct babel_ops ops = {
		.send = on_send,
		.selected = on_selected,
		.key = on_key,
		.key_elsewhere = on_key_elsewhere,
		.seqno = on_seqno,
		.swept = on_swept,
		.random = on_random,
	};
	struct babel_config config = {.network = &network200};
	struct pubkey pk;

	*s = (struct scale){.now = {.us = 1000000}, .rng = {.state = seed}, .routes = routes};
	s->updates = malloc((size_t)routes * sizeof(*s->updates));
	assert(s->updates);
	for (int i = 0; i < routes; i++)
		draw_update(s, s->updates[i]);
	rng_bytes(&s->rng, pk.b, sizeof(pk.b));
	memcpy(config.self.public_key, pk.b, sizeof(pk.b));
	rng_bytes(&s->rng, config.self.tail + 2, 6);
	config.own = s->own = network_own_prefix(&network200, &pk);
	s->babel = babel_new(&config, &ops, s, s->now);
	s->next = babel_tick(s->babel, s->now);
}

static void advance(struct scale *s, struct mono until)
{
	while (mono_is_due(s->next, until)) {
		s->now = s->next;
		s->next = babel_tick(s->babel, s->now);
	}
	s->now = until;
}

static bool link_up(struct scale *s, uint32_t link)
{
	const bool up = babel_link_up(s->babel, link, UINT32_MAX, s->now);

	s->next = babel_tick(s->babel, s->now);
	return up;
}

static void link_down(struct scale *s, uint32_t link)
{
	babel_link_down(s->babel, link, s->now);
	s->next = babel_tick(s->babel, s->now);
}

/* All routes from one link; returns the CPU time of an Update in us, of what it makes the core send included. */
static double feed(struct scale *s, uint32_t link, uint16_t metric)
{
	const double before = cpu_s();

	for (int i = 0; i < s->routes; i++) {
		s->updates[i][10] = (uint8_t)(metric >> 8);
		s->updates[i][11] = (uint8_t)metric;
		advance(s, mono_add_us(s->now, GAP_US));
		babel_tlvs(s->babel, link, s->updates[i], UPDATE_BYTES, s->now);
		s->next = babel_tick(s->babel, s->now);
	}
	return (cpu_s() - before) * 1e6 / s->routes;
}

struct tally {
	uint32_t link;
	int selected;
};

static void on_route(void *ctx, const struct babel_route *r)
{
	struct tally *t = ctx;

	t->selected += r->selected && r->link == t->link;
}

static int selected_over(const struct scale *s, uint32_t link)
{
	struct tally t = {.link = link};

	babel_each_route(s->babel, on_route, &t);
	return t.selected;
}

static bool judge(bool good, const char *what, char *why, size_t cap)
{
	if (!good && why[0] == '\0')
		snprintf(why, cap, "%s", what);
	return good;
}

static bool learn(struct scale *s, char *why, size_t cap)
{
	const size_t before = mallinfo2().uordblks;
	const double learned_us = feed(s, FEEDER, 100);
	const size_t bytes = mallinfo2().uordblks - before;
	double again_us;
	bool good;

	advance(s, mono_add_ms(s->now, 1000));
	again_us = feed(s, FEEDER, 100);
	printf("# %d routes: %.2f us of CPU per new Update and %.2f us per repeated one, ticks and sending included\n",
	       s->routes, learned_us, again_us);
	printf("# memory: %zu bytes per route\n", bytes / (size_t)s->routes);
	good = judge(selected_over(s, FEEDER) == s->routes, "not all routes are selected", why, cap);
	good &= judge(s->finite[SINK] >= (uint64_t)s->routes, "not all routes are announced within a second", why, cap);
	return good & judge(bytes / (size_t)s->routes <= ROUTE_MAX_BYTES, "a route takes too much memory", why, cap);
}

static bool hand_over(struct scale *s, char *why, size_t cap)
{
	const struct mono began = s->now;
	const double before = cpu_s();

	if (!judge(link_up(s, LATE), "a link is refused", why, cap))
		return false;
	while (s->finite[LATE] < (uint64_t)s->routes && mono_since_ms(s->now, began) < 10 * HANDOVER_MAX_MS)
		advance(s, mono_add_ms(s->now, 1));
	printf("# to a new link: %llu Updates in %lld ms, CPU %.1f ms\n", (unsigned long long)s->finite[LATE],
	       (long long)mono_since_ms(s->now, began), (cpu_s() - before) * 1e3);
	return judge(mono_since_ms(s->now, began) <= HANDOVER_MAX_MS, "a new link waits too long for the routes", why,
		     cap);
}

static void steady(struct scale *s)
{
	const double before = cpu_s();
	const uint64_t sent = s->finite[SINK] + s->finite[LATE] + s->finite[SECOND];
	const struct mono began = s->now;

	for (int second = 0; second < STEADY_S; second += REFRESH_S) {
		feed(s, FEEDER, 100);
		feed(s, SECOND, 90);
		advance(s, mono_add_ms(began, (second + REFRESH_S) * 1000));
	}
	printf("# steady: two neighbours with all routes and two without, CPU %.1f ms per second, %llu Updates sent "
	       "per second\n",
	       (cpu_s() - before) * 1e3 / STEADY_S,
	       (unsigned long long)(s->finite[SINK] + s->finite[LATE] + s->finite[SECOND] - sent) / STEADY_S);
}

static bool lose(struct scale *s, char *why, size_t cap)
{
	const uint32_t first = selected_over(s, FEEDER) > 0 ? FEEDER : SECOND;
	const uint32_t other = first == FEEDER ? SECOND : FEEDER;
	double before = cpu_s();
	bool good;

	link_down(s, first);
	printf("# one of two feeders lost: %.1f ms of CPU until all routes lead to the other\n",
	       (cpu_s() - before) * 1e3);
	good = judge(selected_over(s, other) == s->routes, "routes do not move to the other link at once", why, cap);
	advance(s, mono_add_ms(s->now, 1000));
	good &= judge(s->retracted[SINK] == 0, "routes are retracted that live", why, cap);
	before = cpu_s();
	link_down(s, other);
	good &= judge(selected_over(s, other) == 0, "routes over a dead link stay selected", why, cap);
	advance(s, mono_add_ms(s->now, 1000));
	printf("# the last feeder lost: %llu retractions on each link within 1 s, CPU %.1f ms\n",
	       (unsigned long long)s->retracted[SINK], (cpu_s() - before) * 1e3);
	return good & judge(s->retracted[SINK] >= (uint64_t)s->routes, "not all lost routes are retracted", why, cap);
}

bool scale_routes(uint64_t seed, int routes, char *why, size_t cap)
{
	struct scale s;
	bool good;

	init(&s, seed, routes);
	good = judge(link_up(&s, FEEDER) && link_up(&s, SECOND) && link_up(&s, SINK), "a link is refused", why, cap);
	good = good && learn(&s, why, cap) && hand_over(&s, why, cap);
	if (good) {
		steady(&s);
		good = lose(&s, why, cap);
	}
	babel_free(s.babel);
	free(s.updates);
	return good;
}
