/* SPDX-License-Identifier: Apache-2.0 */
/* Routes of the reference model: Updates, selection, peer death, expiry (wire-200 4.5, 4.6, 4.9, 4.10). */
#include "tests/sim/check.h"
#include "tests/sim/ref.h"
#include <assert.h>
#include <stdlib.h>

enum { EXPIRY_LATE_MS = 1000 };

struct ref_source *ref_source(const struct ref *r, int dest, uint32_t generation)
{
	return &r->sources[(size_t)dest * SIM_GENERATIONS + generation];
}

struct ref_entry *ref_selected(const struct ref *r, int dest)
{
	const struct ref_dest *d = &r->dests[dest];

	return d->count > 0 && d->entries[0].selected ? &d->entries[0] : NULL;
}

static struct ref_entry *entry_of(const struct ref *r, int dest, uint32_t link)
{
	for (int i = 0; i < r->dests[dest].count; i++)
		if (r->dests[dest].entries[i].link == link)
			return &r->dests[dest].entries[i];
	return NULL;
}

bool ref_is_feasible(const struct ref *r, int dest, const struct ref_entry *e)
{
	const struct ref_source *s = ref_source(r, dest, e->generation);

	if (!s->known || e->metric == WIRE_INFINITE || !mono_is_due(r->node->world->now, s->expires))
		return true;
	return seqno_newer(e->seqno, s->seqno) || (e->seqno == s->seqno && e->metric < s->metric);
}

static void restart_timer(const struct ref *r, struct ref_entry *e)
{
	const uint32_t ms = e->metric == WIRE_INFINITE ? network200.retracted_hold_ms : network200.route_hold_ms;

	e->expires = mono_add_ms(r->node->world->now, (int64_t)ms + EXPIRY_LATE_MS);
}

/* The best by 4.6, judged against current, which may be a stale copy; false if there is none. */
static bool choose(const struct ref *r, int dest, const struct ref_entry *current, struct ref_entry *out)
{
	const struct ref_entry *best = NULL;
	uint16_t best_cost = 0;

	for (int i = 0; i < r->dests[dest].count; i++) {
		const struct ref_entry *e = &r->dests[dest].entries[i];
		const uint16_t cost = ref_add(e->metric, ref_cost(r, e->link));

		if (!ref_is_feasible(r, dest, e))
			continue;
		if (e->metric == WIRE_INFINITE && !(r->defects & REF_KEEPS_INFINITE))
			continue;
		if (!best || cost < best_cost) {
			best = e;
			best_cost = cost;
		}
	}
	if (!best)
		return false;
	*out = *best;
	if (!current || (best->generation == current->generation && best->link == current->link))
		return true;
	if (best->metric != 0 && best->metric >= current->metric - (current->metric == WIRE_INFINITE ? 0 : 10))
		*out = *current;
	return true;
}

/* Makes the entry of that link the selected one, and the first; what it was before is passed on to the checks. */
static void mark(struct ref *r, int dest, const struct ref_entry *chosen)
{
	struct ref_dest *d = &r->dests[dest];

	for (int i = 0; i < d->count; i++) {
		struct ref_entry *e = &d->entries[i];

		e->selected = chosen && e->link == chosen->link;
		if (e->selected && i > 0) {
			const struct ref_entry first = d->entries[0];

			d->entries[0] = *e;
			*e = first;
		}
	}
	const struct ref_entry *s = ref_selected(r, dest);
	const struct node *n = &r->node->world->nodes[dest];

	if (!s || s->metric == WIRE_INFINITE || !world_end(r->node, s->link)) {
		check_selected(r->node, &n->own, NULL);
		return;
	}
	const struct babel_route route = {.prefix = n->own,
					  .router_id = n->ids[s->generation],
					  .link = s->link,
					  .seqno = s->seqno,
					  .metric = s->metric,
					  .selected = true};
	check_selected(r->node, &n->own, &route);
}

/* What selection compares with: the entry as it was, or with that defect off, as it is if it is still of use. */
static bool current_of(const struct ref *r, int dest, const struct ref_entry *old, struct ref_entry *out)
{
	const struct ref_entry *e = old ? entry_of(r, dest, old->link) : NULL;

	if (!old)
		return false;
	if (r->defects & REF_STALE_COPY) {
		*out = *old;
		return true;
	}
	if (!e || e->metric == WIRE_INFINITE || !ref_is_feasible(r, dest, e))
		return false;
	*out = *e;
	return true;
}

/* Steps 7 to 9. old: the selected entry as it was. */
static void reselect(struct ref *r, int dest, const struct ref_entry *old, uint32_t cause, bool announce)
{
	struct ref_entry current, chosen;
	const bool has_current = current_of(r, dest, old, &current);
	const bool has = choose(r, dest, has_current ? &current : NULL, &chosen);

	mark(r, dest, has ? &chosen : NULL);
	if (!has && !old)
		return;
	if (!has && !(r->defects & REF_NEVER_ASKS))
		ref_ask_all(r, dest, old->generation);
	if (announce || !has || !old || chosen.generation != old->generation || seqno_newer(chosen.seqno, old->seqno) ||
	    abs((int)chosen.metric - (int)old->metric) > network200.metric_big_change)
		ref_announce(r, dest, cause);
}

static void insert(struct ref *r, int dest, const struct ref_entry *e)
{
	struct ref_dest *d = &r->dests[dest];

	if (d->count == d->cap) {
		d->cap = d->cap ? 2 * d->cap : 2;
		d->entries = realloc(d->entries, (size_t)d->cap * sizeof(*d->entries));
		assert(d->entries);
	}
	d->entries[d->count] = *e;
	restart_timer(r, &d->entries[d->count++]);
}

void ref_on_update(struct ref *r, uint32_t link, const struct codec_tlv *u)
{
	struct ref_entry fresh = {.link = link, .generation = u->generation, .seqno = u->seqno, .metric = u->metric};
	const struct ref_entry *selected;
	struct ref_entry old, *e;
	bool feasible;

	if (u->dest == r->node->index)
		return;
	feasible = ref_is_feasible(r, u->dest, &fresh);
	selected = ref_selected(r, u->dest);
	if (selected)
		old = *selected;
	e = entry_of(r, u->dest, link);
	if (!feasible && !selected && !(r->defects & REF_NEVER_ASKS))
		ref_ask(r, link, u->dest, u->generation);
	if (!e) {
		if (u->metric == WIRE_INFINITE || !feasible)
			return;
		insert(r, u->dest, &fresh);
	} else {
		if (e->selected && !feasible && e->generation == u->generation) {
			ref_ask(r, link, u->dest, u->generation);
			return;
		}
		if (e->metric == WIRE_INFINITE && u->metric == WIRE_INFINITE)
			return;
		fresh.selected = e->selected && feasible;
		*e = fresh;
		restart_timer(r, e);
	}
	reselect(r, u->dest, selected ? &old : NULL, u->generation, false);
}

void ref_on_peer_death(struct ref *r, uint32_t link)
{
	for (int dest = 0; dest < r->node->world->node_count; dest++) {
		struct ref_entry *e = entry_of(r, dest, link), old, chosen;

		if (!e)
			continue;
		old = *e;
		e->metric = WIRE_INFINITE;
		restart_timer(r, e);
		if (!old.selected)
			continue;
		if (!(r->defects & REF_SILENT_DEATH)) {
			reselect(r, dest, &old, old.generation, false);
			continue;
		}
		old.metric = WIRE_INFINITE;
		if (!choose(r, dest, &old, &chosen))
			chosen = old;
		mark(r, dest, &chosen);
		if (chosen.link != link)
			ref_announce(r, dest, chosen.generation);
	}
}

static void expire(struct ref *r, int dest, int i)
{
	struct ref_dest *d = &r->dests[dest];
	const struct ref_entry old = d->entries[i];
	struct ref_entry chosen;

	if (old.metric != WIRE_INFINITE) {
		d->entries[i].metric = WIRE_INFINITE;
		restart_timer(r, &d->entries[i]);
		if (!old.selected)
			return;
		reselect(r, dest, &old, old.generation, true);
		return;
	}
	d->entries[i] = d->entries[--d->count];
	if (!old.selected)
		return;
	const bool has = choose(r, dest, NULL, &chosen);

	mark(r, dest, has ? &chosen : NULL);
}

void ref_expire(struct ref *r)
{
	const struct mono now = r->node->world->now;
	struct mono first = MONO_NEVER;
	int dest = -1, entry = 0;

	for (int i = 0; i < r->node->world->node_count; i++) {
		for (int j = 0; j < r->dests[i].count; j++) {
			if (r->dests[i].entries[j].expires.us >= first.us)
				continue;
			first = r->dests[i].entries[j].expires;
			dest = i;
			entry = j;
		}
	}
	if (mono_is_due(first, now))
		expire(r, dest, entry);
}
