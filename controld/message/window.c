/* SPDX-License-Identifier: Apache-2.0 */
/* The way to one destination: its round trip, how many chunks may be under way, and which of them are lost. A chunk is
 * lost when one sent after it was acknowledged and it is older than a round trip and the reordering allowed for; or
 * when nothing at all is acknowledged within the timeout, which then doubles until a round trip is measured again. Only
 * chunks sent once are measured. */
#include "controld/message/core.h"

static uint32_t max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static int64_t max_i64(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t min_i64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* In the order of sending; sequence numbers wrap. */
static bool is_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

struct target *target_get(struct message_core *m, const struct ip6 *dst)
{
	const uint64_t net64 = ip6_net64(dst);
	struct target *t;

	HASH_FIND(hh, m->targets, &net64, sizeof(net64), t);
	if (!t) {
		t = core_alloc(sizeof(*t));
		t->net64 = net64;
		t->timer.kind = TIMER_TARGET;
		t->window = FIRST_WINDOW * WINDOW_UNITS;
		t->threshold = LIMIT_MESSAGE_WINDOW * WINDOW_UNITS;
		t->seq = 1;
		HASH_ADD(hh, m->targets, net64, sizeof(t->net64), t);
	}
	t->refs++;
	return t;
}

void target_put(struct message_core *m, struct target *t)
{
	if (--t->refs)
		return;
	assert(!t->flying && !t->queued && !t->ready && !t->opening);
	timer_set(&m->timers, &t->timer, MONO_NEVER);
	HASH_DELETE(hh, m->targets, t);
	free(t);
}

void window_sample(struct target *t, int64_t rtt_us)
{
	rtt_us = max_i64(rtt_us, 1);
	if (t->srtt_us == 0) {
		t->srtt_us = rtt_us;
		t->var_us = rtt_us / 2;
	} else {
		const int64_t off = rtt_us - t->srtt_us;

		t->var_us += ((off < 0 ? -off : off) - t->var_us) / 4;
		t->srtt_us = max_i64(t->srtt_us + off / 8, 1);
	}
	t->backoff = 0;
}

int64_t window_rto_us(const struct target *t)
{
	if (t->srtt_us == 0)
		return FIRST_RTO_US;
	return min_i64(max_i64(t->srtt_us + 4 * t->var_us, MIN_RTO_US), MAX_RTO_US);
}

static int64_t reorder_wait_us(const struct target *t)
{
	return t->srtt_us + max_i64(max_i64(t->srtt_us / 4, t->var_us), MIN_REORDER_US);
}

static struct mono loss_time(const struct target *t, const struct chunk *c)
{
	const struct mono sent = {.us = c->sent_us};

	if (is_before(c->seq, t->acked_seq))
		return mono_add_us(sent, reorder_wait_us(t));
	return mono_add_us(sent, min_i64(window_rto_us(t) << t->backoff, MAX_RTO_US));
}

void window_sent(struct message_core *m, struct target *t, struct chunk *c, struct mono now)
{
	c->state = CHUNK_FLYING;
	c->seq = t->seq++;
	c->sent_us = now.us;
	if (c->tries < UINT8_MAX)
		c->tries++;
	if (c->tries > 1)
		m->counts[MESSAGE_RETRANSMITTED]++;
	DL_APPEND(t->flying, c);
	t->flying_count++;
}

void window_take(struct target *t, struct chunk *c)
{
	DL_DELETE(t->flying, c);
	t->flying_count--;
}

static void give_up(struct message_core *m, struct target *t, struct chunk *c, struct mono now)
{
	if (!is_before(c->seq, t->reduced_seq)) {
		t->window = max_u32(t->window / 10 * 7, MIN_WINDOW * WINDOW_UNITS);
		t->threshold = t->window;
		t->reduced_seq = t->seq;
	}
	window_take(t, c);
	chunks_lost(m, c, now);
}

/* Those overtaken and too late. The list is in the order of sending, so the first that is not ends it. */
static void find_lost(struct message_core *m, struct target *t, struct mono now)
{
	while (t->flying && is_before(t->flying->seq, t->acked_seq) && mono_is_due(loss_time(t, t->flying), now))
		give_up(m, t, t->flying, now);
}

void window_acked(struct message_core *m, struct target *t, struct chunk *c, struct mono now)
{
	window_take(t, c);
	if (c->tries == 1)
		window_sample(t, now.us - c->sent_us);
	if (is_before(t->acked_seq, c->seq))
		t->acked_seq = c->seq;
	if (t->window < t->threshold)
		t->window += WINDOW_UNITS;
	else
		t->window += max_u32(WINDOW_UNITS * WINDOW_UNITS / t->window, 1);
	if (t->window > LIMIT_MESSAGE_WINDOW * WINDOW_UNITS)
		t->window = LIMIT_MESSAGE_WINDOW * WINDOW_UNITS;
	find_lost(m, t, now);
}

static void arm(struct message_core *m, struct target *t)
{
	timer_set(&m->timers, &t->timer, t->flying ? loss_time(t, t->flying) : MONO_NEVER);
}

void window_pump(struct message_core *m, struct target *t, struct mono now)
{
	while (t->ready && t->flying_count < max_u32(t->window / WINDOW_UNITS, 1)) {
		struct outgoing *o = t->ready;

		outbox_list_del(m, o);
		if (chunks_send_next(m, o, now))
			outbox_list_add(o, OUT_READY);
	}
	arm(m, t);
}

/* How many messages have chunks to send, FEELERS at most. */
static uint32_t count_ready(const struct target *t)
{
	const struct outgoing *o;
	uint32_t n = 0;

	DL_FOREACH (t->ready, o) {
		if (++n == FEELERS)
			break;
	}
	return n;
}

/* Nothing came back: all that are so old are lost, and the next ones feel their way. Of each message one may: it may be
 * that the path is broken, or that the receiver has forgotten some of them, which must not hold up the others. */
static void time_out(struct message_core *m, struct target *t, struct mono now)
{
	const uint32_t halved = max_u32(t->window / 2, MIN_WINDOW * WINDOW_UNITS);

	while (t->flying && mono_is_due(loss_time(t, t->flying), now))
		give_up(m, t, t->flying, now);
	t->threshold = halved;
	t->window = max_u32(MIN_WINDOW * WINDOW_UNITS >> t->backoff, max_u32(count_ready(t), 1) * WINDOW_UNITS);
	if (t->backoff < MAX_BACKOFF)
		t->backoff++;
}

void window_due(struct message_core *m, struct target *t, struct mono now)
{
	find_lost(m, t, now);
	if (t->flying && mono_is_due(loss_time(t, t->flying), now))
		time_out(m, t, now);
	window_pump(m, t, now);
}
