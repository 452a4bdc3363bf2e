/* SPDX-License-Identifier: Apache-2.0 */
/* Orders: accepted, begun in turn, announced by INIT, and ended. What happens between INIT ACK and DONE ACK is in
 * chunks.c, its birth in orders.c. An order is unfinished (its exchange's active one, or waiting for that) or finished
 * (its status is kept).
 */
#include "controld/message/core.h"

static bool is_finished(const struct outgoing *o)
{
	return o->state >= MESSAGE_RECEIVED;
}

static bool is_local(const struct message_core *m, const struct outgoing *o)
{
	return prefix_has(&m->own, &o->dst);
}

static struct outgoing **list_head(struct message_core *m, const struct outgoing *o)
{
	switch (o->list) {
	case OUT_WAITING:
		return &o->exchange->waiting;
	case OUT_QUEUED:
		return &o->exchange->target->queued;
	case OUT_READY:
		return &o->exchange->target->ready;
	case OUT_FINISHED:
		return &m->finished;
	case OUT_NONE:
		break;
	}
	return NULL;
}

void outbox_list_del(struct message_core *m, struct outgoing *o)
{
	struct outgoing **head = list_head(m, o);

	if (head)
		DL_DELETE(*head, o);
	o->list = OUT_NONE;
}

/* Not for OUT_FINISHED, whose head is the core's. */
void outbox_list_add(struct outgoing *o, enum out_list list)
{
	struct outgoing **head;

	assert(o->list == OUT_NONE && list != OUT_FINISHED);
	o->list = list;
	head = list_head(NULL, o);
	DL_APPEND(*head, o);
}

void outbox_status(const struct outgoing *o, struct message_status *out)
{
	*out = (struct message_status){.handle = o->handle,
				       .reply = o->reply,
				       .state = o->state,
				       .dst = o->dst,
				       .len = o->len,
				       .created_s = o->created_s,
				       .deadline_s = o->deadline_s};
	memcpy(out->id, o->id, sizeof(out->id));
	if (o->state != MESSAGE_SENDING)
		return;
	out->pending = o->count - o->fresh;
	out->acked = o->acked;
	out->sent = o->fresh - o->acked;
}

static void tell(struct message_core *m, const struct outgoing *o)
{
	struct message_status s;

	outbox_status(o, &s);
	m->ops->status(m->ctx, &s);
}

static struct exchange *exchange_find(const struct message_core *m, const struct ip6 *dst, const uint8_t *id)
{
	const struct pair_key key = pair_key(dst, id);
	struct exchange *x;

	HASH_FIND(hh, m->exchanges, &key, sizeof(key), x);
	return x;
}

struct exchange *outbox_exchange(struct message_core *m, const struct ip6 *dst, const uint8_t *id)
{
	struct exchange *x = exchange_find(m, dst, id);

	if (!x) {
		x = core_alloc(sizeof(*x));
		x->key = pair_key(dst, id);
		x->target = target_get(m, dst);
		HASH_ADD(hh, m->exchanges, key, sizeof(x->key), x);
	}
	x->refs++;
	return x;
}

static void exchange_put(struct message_core *m, struct exchange *x)
{
	if (--x->refs)
		return;
	assert(!x->active && !x->waiting && !x->last);
	target_put(m, x->target);
	HASH_DELETE(hh, m->exchanges, x);
	free(x);
}

static void send_plain(struct message_core *m, const struct outgoing *o, enum frame_type type)
{
	struct frame f = {.type = type};

	memcpy(f.id, o->id, sizeof(f.id));
	if (type == FRAME_INIT) {
		f.reply = o->reply;
		f.init = (struct frame_init){.length = o->len, .topic = o->topic.bytes, .topic_len = o->topic.len};
	}
	core_send(m, &m->self, &o->dst, &f);
}

static void announce(struct message_core *m, struct outgoing *o, struct mono now)
{
	const uint32_t doublings = o->tries < MAX_BACKOFF ? o->tries : MAX_BACKOFF;
	int64_t wait = window_rto_us(o->exchange->target) << doublings;

	if (wait > MAX_RTO_US)
		wait = MAX_RTO_US;
	o->opening = true;
	o->exchange->target->opening++;
	o->tries++;
	o->sent = now;
	timer_set(&m->timers, &o->timer, mono_min(o->deadline, mono_add_us(now, wait)));
	send_plain(m, o, FRAME_INIT);
}

/* As many INITs as may be unanswered. */
static void announce_next(struct message_core *m, struct target *t, struct mono now)
{
	while (t->queued && t->opening < LIMIT_MESSAGE_OPENING) {
		struct outgoing *o = t->queued;

		outbox_list_del(m, o);
		announce(m, o, now);
	}
}

static void leave_opening(struct outgoing *o)
{
	if (o->opening)
		o->exchange->target->opening--;
	o->opening = false;
}

/* A late ACK of a could be taken for one of b. */
static bool is_confusable(const struct outgoing *a, const struct outgoing *b)
{
	return a->len == b->len && (a->reply != b->reply || !topic_is(&a->topic, b->topic.bytes, b->topic.len));
}

static void go(struct message_core *m, struct outgoing *o, struct mono now)
{
	if (is_local(m, o)) {
		o->storing = true;
		timer_set(&m->timers, &o->timer, MONO_NEVER);
		inbox_local(m, o);
		return;
	}
	outbox_list_add(o, OUT_QUEUED);
	announce_next(m, o->exchange->target, now);
}

/* The next order of an exchange becomes active. */
void outbox_begin_next(struct message_core *m, struct exchange *x, struct mono now)
{
	struct outgoing *o = x->waiting;
	const struct mono clear = mono_add_ms(x->last_end, FOLLOW_MS);

	if (x->active || !o)
		return;
	outbox_list_del(m, o);
	x->active = o;
	if (x->last && is_confusable(x->last, o) && !mono_is_due(clear, now))
		timer_set(&m->timers, &o->timer, mono_min(o->deadline, clear));
	else
		go(m, o, now);
}

static void forget(struct message_core *m, struct outgoing *o)
{
	struct exchange *x = o->exchange;

	m->finished_count -= o->list == OUT_FINISHED;
	outbox_list_del(m, o);
	timer_set(&m->timers, &o->timer, MONO_NEVER);
	if (x->last == o)
		x->last = NULL;
	if (x->target->witness == o)
		x->target->witness = NULL;
	HASH_DELETE(hh, m->orders, o);
	if (o->by_id)
		HASH_DELETE(hh_id, m->newest, o);
	topic_fini(&o->topic);
	free(o);
	exchange_put(m, x);
}

/* It becomes a mere status; of one whose time was over before we lived, it is told all the same. */
void outbox_keep_status(struct message_core *m, struct outgoing *o, struct mono now)
{
	const struct mono from = mono_is_due(o->deadline, now) ? now : o->deadline;

	o->exchange->last = o;
	o->exchange->last_end = now;
	o->list = OUT_FINISHED;
	DL_APPEND(m->finished, o);
	m->finished_count++;
	timer_set(&m->timers, &o->timer, mono_add_ms(from, (int64_t)LIMIT_MESSAGE_STATUS_S * 1000));
	if (m->finished_count > LIMIT_MESSAGE_STATUSES)
		forget(m, m->finished);
}

static void finish(struct message_core *m, struct outgoing *o, enum message_state state, struct mono now)
{
	struct exchange *x = o->exchange;

	outbox_list_del(m, o);
	leave_opening(o);
	chunks_fini(m, o);
	free(o->payload);
	o->payload = NULL;
	m->out_count--;
	m->out_bytes -= o->len;
	x->target->open_count--;
	x->target->open_bytes -= o->len;
	if (x->active == o)
		x->active = NULL;
	o->state = state;
	if (state != MESSAGE_ABORTED && !is_local(m, o))
		x->target->witness = o;
	m->counts[state == MESSAGE_ABORTED ? MESSAGE_GIVEN_UP : MESSAGE_SENT]++;
	outbox_keep_status(m, o, now);
	tell(m, o);
	outbox_begin_next(m, x, now);
	announce_next(m, x->target, now);
	window_pump(m, x->target, now);
}

/* ABORTED goes out once, and only for what the receiver may know of. */
static void give_up(struct message_core *m, struct outgoing *o, struct mono now)
{
	if (o->tries > 0 || o->state == MESSAGE_SENDING)
		send_plain(m, o, FRAME_ABORTED);
	finish(m, o, MESSAGE_ABORTED, now);
}

/* It is announced again, and all is sent again. */
static void start_over(struct message_core *m, struct outgoing *o, struct mono now)
{
	outbox_list_del(m, o);
	chunks_fini(m, o);
	o->state = MESSAGE_PENDING;
	o->probing = false;
	o->tries = 0;
	o->rounds = 0;
	o->acked = 0;
	timer_set(&m->timers, &o->timer, o->deadline);
	tell(m, o);
	go(m, o, now);
	window_pump(m, o->exchange->target, now);
}

/* No answer for a while. A receiver that was restarted has forgotten the message, so it must be announced again. That
 * may be done only to one that keeps the identity of what it has completed, through its restart too: to another it
 * could come twice, and wire-200 6.5 forbids it. Whoever acknowledges the DONE of an earlier message once more is such
 * a one; the reference program is not. */
static void on_silence(struct message_core *m, struct outgoing *o, struct mono now)
{
	struct target *t = o->exchange->target;
	const bool long_silent = mono_since_ms(now, o->heard) >= FORGOTTEN_MS;

	if (long_silent && t->vouched.us > o->heard.us) {
		start_over(m, o, now);
		return;
	}
	if (long_silent && t->witness && mono_since_ms(now, t->asked) >= ASK_MS) {
		t->asked = now;
		chunks_done_again(m, t->witness);
	}
	if (o->tries > 0)
		chunks_done(m, o, now);
	else
		timer_set(&m->timers, &o->timer, mono_min(o->deadline, mono_add_ms(now, ASK_MS)));
}

void outbox_due(struct message_core *m, struct outgoing *o, struct mono now)
{
	if (is_finished(o)) {
		forget(m, o);
	} else if (mono_is_due(o->deadline, now)) {
		give_up(m, o, now);
	} else if (o->state == MESSAGE_SENDING) {
		on_silence(m, o, now);
	} else {
		leave_opening(o);
		timer_set(&m->timers, &o->timer, o->deadline);
		go(m, o, now);
	}
}

void outbox_local_stored(struct message_core *m, struct outgoing *o, bool ok, struct mono now)
{
	o->storing = false;
	if (ok)
		finish(m, o, MESSAGE_RECEIVED, now);
	else
		timer_set(&m->timers, &o->timer, mono_min(o->deadline, mono_add_ms(now, LOCAL_RETRY_MS)));
}

/* A DONE was sent for it. */
static bool is_concluded(const struct outgoing *o)
{
	return o->state == MESSAGE_SENDING && (o->rounds > 0 || (o->acked == o->count && o->tries > 0));
}

static void on_init_ack(struct message_core *m, struct outgoing *o, const struct packet *p)
{
	const struct frame *f = p->frame;

	if (o->state != MESSAGE_PENDING || o->tries == 0 || f->reply != o->reply ||
	    (!f->cut && (f->init.length != o->len || f->init.topic_len != o->topic.len))) {
		m->counts[MESSAGE_PACKET_IGNORED]++;
		return;
	}
	if (o->tries == 1)
		window_sample(o->exchange->target, mono_since_us(p->now, o->sent));
	outbox_list_del(m, o);
	leave_opening(o);
	chunks_begin(m, o, p->now);
	tell(m, o);
	announce_next(m, o->exchange->target, p->now);
	window_pump(m, o->exchange->target, p->now);
}

static void on_done_ack(struct message_core *m, struct outgoing *o, const struct packet *p)
{
	const struct frame *f = p->frame;

	if (is_concluded(o) &&
	    (f->cut || (f->done.count == o->count && memcmp(f->done.checksum, o->checksum, sizeof(o->checksum)) == 0)))
		finish(m, o, MESSAGE_RECEIVED, p->now);
	else
		m->counts[MESSAGE_PACKET_IGNORED]++;
}

/* The DONE of the witness is acknowledged once more. */
static bool vouches(const struct exchange *x, const struct packet *p)
{
	const struct outgoing *o = x ? x->target->witness : NULL;
	const struct frame *f = p->frame;

	return o && o->exchange == x && !x->active && f->type == FRAME_DONE_ACK && !f->cut &&
	       f->done.count == o->count && memcmp(f->done.checksum, o->checksum, sizeof(o->checksum)) == 0;
}

void outbox_ack(struct message_core *m, const struct packet *p)
{
	const struct exchange *x = exchange_find(m, p->src, p->frame->id);
	struct outgoing *o = x ? x->active : NULL;

	if (vouches(x, p))
		x->target->vouched = p->now;
	else if (!o || is_local(m, o))
		m->counts[MESSAGE_PACKET_IGNORED]++;
	else if (p->frame->type == FRAME_INIT_ACK)
		on_init_ack(m, o, p);
	else if (p->frame->type == FRAME_DONE_ACK)
		on_done_ack(m, o, p);
	else if (o->state == MESSAGE_SENDING)
		chunks_acked(m, o, p);
	else
		m->counts[MESSAGE_PACKET_IGNORED]++;
}

void outbox_read(struct message_core *m, const struct ip6 *from, const uint8_t id[FRAME_ID_BYTES], struct mono now)
{
	const struct exchange *x = exchange_find(m, from, id);

	if (x && x->last && x->last->state == MESSAGE_RECEIVED) {
		x->last->state = MESSAGE_READ;
		tell(m, x->last);
	} else if (x && x->active && !x->last && is_concluded(x->active)) {
		finish(m, x->active, MESSAGE_READ, now);
	} else {
		m->counts[MESSAGE_PACKET_IGNORED]++;
	}
}

void outbox_replied(struct message_core *m, const struct ip6 *from, const uint8_t id[FRAME_ID_BYTES], struct mono now)
{
	const struct exchange *x = exchange_find(m, from, id);

	if (x && x->active && !x->active->reply && is_concluded(x->active))
		finish(m, x->active, MESSAGE_RECEIVED, now);
}

void outbox_fini(struct message_core *m)
{
	struct outgoing *o, *next;

	HASH_ITER (hh, m->orders, o, next) {
		leave_opening(o);
		chunks_fini(m, o);
		if (o->exchange->active == o)
			o->exchange->active = NULL;
		free(o->payload);
		forget(m, o);
	}
}
