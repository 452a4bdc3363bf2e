/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that arrive: open until they are whole, then being stored, then remembered as done. Only open and storing
 * ones hold bytes and count against the caps. A packet names its message by sender and id alone, so at most one of
 * these is open. */
#include "controld/message/core.h"

static struct incoming *find_state(const struct arrival *a, enum in_state state)
{
	for (struct incoming *in = a ? a->list : NULL; in; in = in->next)
		if (in->state == state)
			return in;
	return NULL;
}

static bool has_announcement(const struct incoming *in, bool reply, const struct frame_init *init)
{
	return in->reply == reply && in->length == init->length && topic_is(&in->topic, init->topic, init->topic_len);
}

static bool is_announced_alike(const struct incoming *a, const struct incoming *b)
{
	return a->reply == b->reply && a->length == b->length && topic_is(&a->topic, b->topic.bytes, b->topic.len);
}

static bool is_same(const struct incoming *a, const struct incoming *b)
{
	return is_announced_alike(a, b) && memcmp(a->checksum, b->checksum, sizeof(a->checksum)) == 0;
}

static void touch(struct message_core *m, struct incoming *in, struct mono now)
{
	timer_set(&m->timers, &in->timer, mono_add_ms(now, in->reopened ? REOPENED_IDLE_MS : LIMIT_MESSAGE_IDLE_MS));
}

static void acknowledge(struct message_core *m, const struct packet *p, enum frame_type type)
{
	struct frame f = *p->frame;

	f.type = type;
	core_send(m, p->dst, p->src, &f);
}

/* A completed one of that announcement, or NULL. */
static struct incoming *find_completed(const struct arrival *a, bool reply, const struct frame_init *init)
{
	for (struct incoming *in = a ? a->list : NULL; in; in = in->next)
		if (in->state != IN_OPEN && has_announcement(in, reply, init))
			return in;
	return NULL;
}

/* Its INIT came again: of those of its sender and id it is the one that next chunks belong to. */
static void mark_reopened(const struct arrival *a, struct incoming *done)
{
	for (struct incoming *in = a->list; in; in = in->next)
		in->reopened &= in->state != IN_DONE;
	done->reopened = true;
}

/* INIT of a completed message, while open is perhaps open. A reopened one was opened by mistake, then. */
static void on_init_again(struct message_core *m, const struct packet *p, struct incoming *completed,
			  struct incoming *open)
{
	if (completed->state == IN_DONE)
		mark_reopened(completed->arrival, completed);
	if (open && open->reopened)
		arrivals_forget(m, open);
	acknowledge(m, p, FRAME_INIT_ACK);
}

static void on_init(struct message_core *m, const struct packet *p)
{
	const struct frame *f = p->frame;
	const struct arrival *a = arrivals_find(m, p);
	struct incoming *in = find_state(a, IN_OPEN);

	if (!in || !has_announcement(in, f->reply, &f->init)) {
		struct incoming *completed = find_completed(a, f->reply, &f->init);

		if (completed) {
			on_init_again(m, p, completed, in);
			return;
		}
		if (in)
			arrivals_forget(m, in);
		in = arrivals_open(m, p, f->reply, &f->init);
	}
	if (!in)
		return;
	touch(m, in, p->now);
	acknowledge(m, p, FRAME_INIT_ACK);
}

/* A done one whose INIT came again is taken in again; not while another is being stored, which may yet come back. */
static struct incoming *reopen(struct message_core *m, const struct packet *p, struct arrival *a)
{
	struct frame_init init;
	struct incoming *done, *in;

	for (done = a ? a->list : NULL; done; done = done->next)
		if (done->state == IN_DONE && done->reopened)
			break;
	if (!done || find_state(a, IN_STORING))
		return NULL;
	init = (struct frame_init){.length = done->length, .topic = done->topic.bytes, .topic_len = done->topic.len};
	in = arrivals_open(m, p, done->reply, &init);
	if (in) {
		in->reopened = true;
		done->reopened = false;
	}
	return in;
}

/* By its form it is part of the newest message, a completed one. Chunks of older ones are not acknowledged: an ACK with
 * an index too high could kill the sender. */
static bool is_completed_chunk(const struct arrival *a, const struct frame_chunk *c)
{
	const struct incoming *in = a ? a->list : NULL;

	if (!in || (in->state == IN_DONE && in->reopened))
		return false;
	return c->index < in->count && c->offset <= in->length && c->data_len <= in->length - c->offset;
}

static void on_chunk(struct message_core *m, const struct packet *p)
{
	struct arrival *a = arrivals_find(m, p);
	struct incoming *in = find_state(a, IN_OPEN);

	if (!in)
		in = reopen(m, p, a);
	if (!in) {
		if (is_completed_chunk(a, &p->frame->chunk))
			acknowledge(m, p, FRAME_CHUNK_ACK);
		else
			m->counts[MESSAGE_PACKET_IGNORED]++;
		return;
	}
	touch(m, in, p->now);
	if (assemble_chunk(in, &p->frame->chunk) == ASSEMBLE_OK)
		acknowledge(m, p, FRAME_CHUNK_ACK);
	else
		m->counts[MESSAGE_CHUNK_REFUSED]++;
}

/* DONE for none that is open: a repetition, or one for a message that was taken for a repetition. */
static void on_done_again(struct message_core *m, const struct packet *p, const struct arrival *a)
{
	const struct frame_done *d = &p->frame->done;
	struct incoming *other = NULL;

	for (struct incoming *in = a ? a->list : NULL; in; in = in->next) {
		if (in->state == IN_OPEN || d->count != in->count)
			continue;
		if (memcmp(d->checksum, in->checksum, sizeof(in->checksum)) == 0) {
			if (in->state == IN_DONE)
				acknowledge(m, p, FRAME_DONE_ACK);
			return;
		}
		if (!other && in->state == IN_DONE)
			other = in;
	}
	if (other)
		mark_reopened(a, other);
	m->counts[MESSAGE_PACKET_IGNORED]++;
}

static void offer(struct message_core *m, struct incoming *in)
{
	struct message_in view = {.src = in->src,
				  .dst = in->dst,
				  .reply = in->reply,
				  .topic = in->topic.bytes,
				  .topic_len = in->topic.len,
				  .payload = in->local ? in->local->payload : in->payload,
				  .len = in->length,
				  .count = in->count,
				  .order = in->local ? in->local->handle : 0};

	in->state = IN_STORING;
	in->token = ++m->token;
	HASH_ADD(hh, m->storing, token, sizeof(in->token), in);
	timer_set(&m->timers, &in->timer, MONO_NEVER);
	view.token = in->token;
	memcpy(view.id, in->local ? in->local->id : in->arrival->key.id, sizeof(view.id));
	memcpy(view.public_key, in->public_key, sizeof(view.public_key));
	memcpy(view.checksum, in->checksum, sizeof(view.checksum));
	m->ops->received(m->ctx, &view);
}

/* in is whole and new, unless one like it is being stored: then that one's ACK will do. */
static void conclude(struct message_core *m, const struct packet *p, struct incoming *in)
{
	for (const struct incoming *other = in->arrival->list; other; other = other->next) {
		if (other->state != IN_STORING || !is_same(other, in))
			continue;
		m->counts[MESSAGE_REPEATED]++;
		arrivals_forget(m, in);
		return;
	}
	if (in->reply)
		outbox_replied(m, p->src, p->frame->id, p->now);
	offer(m, in);
}

/* The completed message whose DONE this is again, while another is open that it cannot belong to, or is a repetition.
 */
static const struct incoming *find_repeated(const struct incoming *open, const struct frame_done *d)
{
	for (const struct incoming *in = open->arrival->list; in; in = in->next)
		if (in->state == IN_DONE && memcmp(in->checksum, d->checksum, sizeof(in->checksum)) == 0 &&
		    (in->length != open->length || is_announced_alike(in, open)))
			return in;
	return NULL;
}

static void on_repeated(struct message_core *m, const struct packet *p, struct incoming *open,
			const struct incoming *done)
{
	m->counts[MESSAGE_REPEATED]++;
	acknowledge(m, p, FRAME_DONE_ACK);
	if (is_announced_alike(open, done))
		arrivals_forget(m, open);
}

static void on_done(struct message_core *m, const struct packet *p)
{
	const struct frame_done *d = &p->frame->done;
	const struct arrival *a = arrivals_find(m, p);
	struct incoming *in = find_state(a, IN_OPEN);
	const struct incoming *repeated;

	if (!in) {
		on_done_again(m, p, a);
		return;
	}
	touch(m, in, p->now);
	repeated = find_repeated(in, d);
	if (repeated) {
		on_repeated(m, p, in, repeated);
		return;
	}
	if (!assemble_is_complete(in, d, p->now) || !m->ops->key(m->ctx, p->src, in->public_key)) {
		m->counts[MESSAGE_DONE_REFUSED]++;
		return;
	}
	in->src = *p->src;
	in->dst = *p->dst;
	in->count = (uint32_t)d->count;
	memcpy(in->checksum, d->checksum, sizeof(in->checksum));
	conclude(m, p, in);
}

static void on_aborted(struct message_core *m, const struct packet *p)
{
	struct incoming *in = find_state(arrivals_find(m, p), IN_OPEN);

	if (in)
		arrivals_forget(m, in);
}

void inbox_packet(struct message_core *m, const struct packet *p)
{
	if (p->frame->type == FRAME_INIT)
		on_init(m, p);
	else if (p->frame->type == FRAME_CHUNK)
		on_chunk(m, p);
	else if (p->frame->type == FRAME_DONE)
		on_done(m, p);
	else
		on_aborted(m, p);
}

void inbox_due(struct message_core *m, struct incoming *in, struct mono now)
{
	(void)now;
	if (in->state == IN_OPEN)
		m->counts[MESSAGE_EXPIRED]++;
	arrivals_forget(m, in);
}

void inbox_local(struct message_core *m, struct outgoing *o)
{
	struct incoming *in = core_alloc(sizeof(*in));

	in->local = o;
	in->timer.kind = TIMER_INCOMING;
	in->reply = o->reply;
	in->src = m->self;
	in->dst = o->dst;
	in->topic = topic_copy(o->topic.bytes, o->topic.len);
	in->length = o->len;
	if (!m->ops->key(m->ctx, &m->self, in->public_key))
		memset(in->public_key, 0, sizeof(in->public_key));
	offer(m, in);
}

static void local_stored(struct message_core *m, struct incoming *in, bool ok, struct mono now)
{
	struct outgoing *o = in->local;

	HASH_DELETE(hh, m->storing, in);
	topic_fini(&in->topic);
	free(in);
	outbox_local_stored(m, o, ok, now);
}

/* It could not be stored: open again, unless another message has taken its place. */
static void unstored(struct message_core *m, struct incoming *in, struct mono now)
{
	const bool taken = find_state(in->arrival, IN_OPEN);

	m->counts[MESSAGE_UNSTORED]++;
	if (taken) {
		arrivals_forget(m, in);
		return;
	}
	HASH_DELETE(hh, m->storing, in);
	in->state = IN_OPEN;
	touch(m, in, now);
}

void message_stored(struct message_core *m, uint64_t token, bool ok, struct mono now)
{
	struct incoming *in;
	struct frame f = {.type = FRAME_DONE_ACK};

	HASH_FIND(hh, m->storing, &token, sizeof(token), in);
	if (!in)
		return;
	m->counts[MESSAGE_DELIVERED] += ok;
	if (in->local) {
		local_stored(m, in, ok, now);
		return;
	}
	if (!ok) {
		unstored(m, in, now);
		return;
	}
	memcpy(f.id, in->arrival->key.id, sizeof(f.id));
	f.done.count = in->count;
	memcpy(f.done.checksum, in->checksum, sizeof(f.done.checksum));
	core_send(m, &in->dst, &in->src, &f);
	HASH_DELETE(hh, m->storing, in);
	arrivals_give_back(m, in);
	arrivals_remember(m, in, 0, now);
}

void message_remember(struct message_core *m, const struct message_in *in, int64_t age_ms, struct mono now)
{
	if (age_ms >= 0 && age_ms < LIMIT_MESSAGE_DONE_MS)
		arrivals_add_done(m, in, age_ms, now);
}

void inbox_fini(struct message_core *m)
{
	struct incoming *local;

	while (m->arrivals)
		arrivals_forget(m, m->arrivals->list);
	local = m->storing; /* no others are left */
	HASH_CLEAR(hh, m->storing);
	while (local) {
		struct incoming *next = local->hh.next;

		topic_fini(&local->topic);
		free(local);
		local = next;
	}
}
