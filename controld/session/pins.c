/* SPDX-License-Identifier: Apache-2.0 */
/* Pins: the peers that have shaken hands and must not fall back. A pin holds after its last packet for as long as it
 * lived before, between an hour and thirty days. Those that ended are not removed before room is needed, for realtime
 * may be wrong; and where it is before what a former life stored, perhaps not set yet, that is left as it is. */
#include "controld/session/core.h"

#define NS_PER_S INT64_C(1000000000)
#define PIN_SHORTEST_NS (3600 * NS_PER_S)
#define PIN_LONGEST_NS (30 * 86400 * NS_PER_S)
#define PIN_STORE_NS (300 * NS_PER_S) /* the store learns of so much more life */

static int64_t life_ns(const struct session_pin *pin)
{
	return pin->last_ns > pin->first_ns ? pin->last_ns - pin->first_ns : 0;
}

int64_t session_pin_end_ns(const struct session_pin *pin)
{
	const int64_t life = life_ns(pin);

	if (life < PIN_SHORTEST_NS)
		return pin->last_ns + PIN_SHORTEST_NS;
	return pin->last_ns + (life < PIN_LONGEST_NS ? life : PIN_LONGEST_NS);
}

bool pins_holds(const struct session_pin *pin, int64_t real_ns)
{
	return real_ns <= session_pin_end_ns(pin);
}

static struct pin *find(const struct session_core *c, uint64_t net64)
{
	struct pin *p;

	HASH_FIND(hh, c->pins, &net64, sizeof(net64), p);
	return p;
}

const struct session_pin *pins_find(const struct session_core *c, uint64_t net64)
{
	const struct pin *p = find(c, net64);

	return p ? &p->pin : NULL;
}

static void file(struct session_core *c, struct pin *p)
{
	heap_set(&c->pins_by_life, &p->life, life_ns(&p->pin));
	heap_set(&c->pins_by_end, &p->end, session_pin_end_ns(&p->pin));
}

static void drop(struct session_core *c, struct pin *p)
{
	heap_del(&c->pins_by_life, &p->life);
	heap_del(&c->pins_by_end, &p->end);
	HASH_DEL(c->pins, p);
	free(p);
}

#define PIN_OF(n, member) ((struct pin *)(void *)((char *)(n)-offsetof(struct pin, member)))

/* Room for one that has lived so long. */
static bool make_room(struct session_core *c, int64_t life, int64_t real_ns)
{
	struct pin *p;

	if (HASH_COUNT(c->pins) < c->limits.pins)
		return true;
	p = PIN_OF(heap_first(&c->pins_by_end), end);
	if (pins_holds(&p->pin, real_ns)) {
		p = PIN_OF(heap_first(&c->pins_by_life), life);
		if (life_ns(&p->pin) > life) {
			c->counts[SESSION_PINS_FULL]++;
			return false;
		}
	}
	c->ops->pin_del(c->ctx, p->pin.net64);
	drop(c, p);
	return true;
}

static struct pin *add(struct session_core *c, const struct session_pin *pin)
{
	struct pin *p = core_alloc(sizeof(*p));

	p->pin = *pin;
	p->is_ours = true;
	HASH_ADD(hh, c->pins, pin.net64, sizeof(p->pin.net64), p);
	file(c, p);
	return p;
}

static void store(struct session_core *c, struct pin *p)
{
	p->stored_ns = p->pin.last_ns;
	c->ops->pin_set(c->ctx, &p->pin);
}

/* The clock was set back in our life: the pin has lived as long as before. */
static void go_back(struct session_pin *pin, int64_t real_ns)
{
	const int64_t first = real_ns - life_ns(pin);

	pin->first_ns = first > 0 ? first : 0;
	pin->last_ns = real_ns;
}

/* It holds, and lives on. */
static void extend(struct session_core *c, struct pin *p, int64_t real_ns)
{
	if (real_ns < p->pin.last_ns && !p->is_ours)
		return;
	if (real_ns < p->pin.last_ns)
		go_back(&p->pin, real_ns);
	p->pin.last_ns = real_ns;
	p->is_ours = true;
	file(c, p);
	if (llabs(real_ns - p->stored_ns) >= PIN_STORE_NS)
		store(c, p);
}

void pins_touch(struct session_core *c, struct session_peer *p, struct session_time t)
{
	struct session_pin fresh = {.pk = p->pk, .net64 = p->net64, .first_ns = p->first_ns, .last_ns = t.real_ns};
	struct pin *old = find(c, p->net64);
	const bool had = old;

	if (old && pubkey_eq(&old->pin.pk, &p->pk) && pins_holds(&old->pin, t.real_ns)) {
		extend(c, old, t.real_ns);
		return;
	}
	if (old)
		drop(c, old); /* it ended; the new one takes its row in the store */
	if (fresh.first_ns > fresh.last_ns)
		fresh.first_ns = fresh.last_ns;
	if (make_room(c, life_ns(&fresh), t.real_ns))
		store(c, add(c, &fresh));
	else if (had)
		c->ops->pin_del(c->ctx, p->net64);
}

bool pins_load(struct session_core *c, const struct session_pin *pin, int64_t real_ns)
{
	struct pin *p;

	if (pin->first_ns < 0 || pin->last_ns < pin->first_ns || pin->last_ns > INT64_MAX - PIN_LONGEST_NS)
		return false;
	if (find(c, pin->net64) || !make_room(c, life_ns(pin), real_ns))
		return false;
	p = add(c, pin);
	p->stored_ns = pin->last_ns;
	p->is_ours = false;
	return true;
}

void pins_del(struct session_core *c, uint64_t net64)
{
	struct pin *p = find(c, net64);

	if (!p)
		return;
	c->ops->pin_del(c->ctx, net64);
	drop(c, p);
}

void pins_fini(struct session_core *c)
{
	struct pin *p, *next;

	HASH_ITER (hh, c->pins, p, next)
		drop(c, p);
	heap_fini(&c->pins_by_life);
	heap_fini(&c->pins_by_end);
}
