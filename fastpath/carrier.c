/* SPDX-License-Identifier: Apache-2.0 */
/* What makes sessions goes up to controld, where it costs far more than here: so its lengths are looked at, and so much
 * a second is let through. An INIT that was seen before, sent again by whoever recorded it, does not use up the room of
 * a peer's new one: that has a later stamp than all before it. Nor does a crowd of peers, each within its own rate, use
 * up the room of one more. Workers share the counts of a peer without a lock: where two of them meet one more may pass.
 */
#include "fastpath/worker_state.h"
#include <assert.h>

enum { INIT_STAMP = 12, STAMP_BYTES = 12 };

/* From WIRE_USER_INIT on. */
static const struct {
	uint32_t least, most;
} lengths[WIRE_USER_CONTROL - WIRE_USER_INIT + 1] = {
	{136, 1000}, /* INIT */
	{64, UINT16_MAX}, /* RESP */
	{20, UINT16_MAX}, /* COOKIE */
	{4, UINT16_MAX}, /* HINT */
	{4, UINT16_MAX}, /* CONTROL */
};

/* A new second: whoever sees it first begins it. */
static void begin_second(struct key_slot *key, uint32_t now_s)
{
	uint32_t second = __atomic_load_n(&key->carrier_s, __ATOMIC_RELAXED);

	if ((int32_t)(now_s - second) <= 0 ||
	    !__atomic_compare_exchange_n(&key->carrier_s, &second, now_s, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	__atomic_store_n(&key->carrier_inits, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&key->carrier_stale, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&key->carrier_answers, 0, __ATOMIC_RELAXED);
}

static bool pass(uint16_t *count, uint16_t most)
{
	/* Looked at first, so that it does not run over. */
	return __atomic_load_n(count, __ATOMIC_RELAXED) < most && __atomic_fetch_add(count, 1, __ATOMIC_RELAXED) < most;
}

/* crowded: all peers together have used up what they may. */
static bool init_passes(struct key_slot *key, const uint8_t *body, bool crowded)
{
	struct rd r = rd_init(body + INIT_STAMP, STAMP_BYTES);
	const uint64_t s = rd_be64(&r), greatest_s = __atomic_load_n(&key->init_s, __ATOMIC_RELAXED);
	const uint32_t ns = rd_be32(&r), greatest_ns = __atomic_load_n(&key->init_ns, __ATOMIC_RELAXED);

	if (s < greatest_s || (s == greatest_s && ns <= greatest_ns))
		return !crowded && pass(&key->carrier_stale, LIMIT_HANDSHAKE_STALE_INITS);
	if (!pass(&key->carrier_inits, crowded ? LIMIT_HANDSHAKE_SURE : LIMIT_HANDSHAKE_INITS))
		return false;
	__atomic_store_n(&key->init_s, s, __ATOMIC_RELAXED);
	__atomic_store_n(&key->init_ns, ns, __ATOMIC_RELAXED);
	return true;
}

static bool is_crowded(struct worker *w)
{
	if (w->carrier_s != worker_now_s(w)) {
		w->carrier_s = worker_now_s(w);
		w->carrier_count = 0;
	}
	return w->carrier_count >= LIMIT_HANDSHAKES;
}

enum stat_id carrier_judge(struct worker *w, struct key_slot *key, const struct encap_opened *user)
{
	bool crowded, passes;

	assert(user->type >= WIRE_USER_INIT && user->type <= WIRE_USER_CONTROL);
	assert((user->type == WIRE_USER_CONTROL) == !key);
	if (user->len < lengths[user->type - WIRE_USER_INIT].least ||
	    user->len > lengths[user->type - WIRE_USER_INIT].most)
		return STAT_drop_inner_malformed;
	if (!key)
		return 0;
	crowded = is_crowded(w);
	begin_second(key, worker_now_s(w));
	if (user->type == WIRE_USER_INIT)
		passes = init_passes(key, user->body, crowded);
	else
		passes = pass(&key->carrier_answers, crowded ? LIMIT_HANDSHAKE_SURE : LIMIT_HANDSHAKE_ANSWERS);
	w->carrier_count += passes;
	return passes ? 0 : STAT_drop_handshake_rate;
}
