/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of what arrives, and their caps: senders, arrivals, and the birth and death of incoming messages. */
#include "controld/message/core.h"

static size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

struct arrival *arrivals_find(const struct message_core *m, const struct packet *p)
{
	const struct pair_key key = pair_key(p->src, p->frame->id);
	struct arrival *a;

	HASH_FIND(hh, m->arrivals, &key, sizeof(key), a);
	return a;
}

static struct arrival *arrival_get(struct message_core *m, const struct pair_key *key)
{
	struct arrival *a;

	HASH_FIND(hh, m->arrivals, key, sizeof(*key), a);
	if (a)
		return a;
	a = core_alloc(sizeof(*a));
	a->key = *key;
	HASH_ADD(hh, m->arrivals, key, sizeof(a->key), a);
	return a;
}

static struct sender *sender_find(const struct message_core *m, uint64_t net64)
{
	struct sender *s;

	HASH_FIND(hh, m->senders, &net64, sizeof(net64), s);
	return s;
}

static struct sender *sender_get(struct message_core *m, uint64_t net64)
{
	struct sender *s = sender_find(m, net64);

	if (s)
		return s;
	s = core_alloc(sizeof(*s));
	s->net64 = net64;
	HASH_ADD(hh, m->senders, net64, sizeof(s->net64), s);
	return s;
}

static void sender_release(struct message_core *m, struct sender *s)
{
	if (s->open_count || s->done_count)
		return;
	HASH_DELETE(hh, m->senders, s);
	free(s);
}

void arrivals_give_back(struct message_core *m, struct incoming *in)
{
	const size_t cost = assemble_cost(in->length);

	assemble_fini(in);
	in->sender->open_count--;
	in->sender->bytes -= cost;
	m->in_count--;
	m->in_bytes -= cost;
}

void arrivals_forget(struct message_core *m, struct incoming *in)
{
	struct arrival *a = in->arrival;

	timer_set(&m->timers, &in->timer, MONO_NEVER);
	if (in->state == IN_DONE) {
		DL_DELETE2(in->sender->done, in, done_prev, done_next);
		DL_DELETE2(m->done, in, all_prev, all_next);
		in->sender->done_count--;
		m->done_count--;
	} else {
		if (in->state == IN_STORING)
			HASH_DELETE(hh, m->storing, in);
		arrivals_give_back(m, in);
	}
	LL_DELETE(a->list, in);
	if (!a->list) {
		HASH_DELETE(hh, m->arrivals, a);
		free(a);
	}
	sender_release(m, in->sender);
	topic_fini(&in->topic);
	free(in);
}

/* The oldest done one of the same sender and id goes if there are many. */
static void bound_arrival(struct message_core *m, struct arrival *a)
{
	struct incoming *oldest = NULL;
	unsigned count = 0;

	for (struct incoming *in = a->list; in; in = in->next) {
		if (in->state != IN_DONE)
			continue;
		count++;
		oldest = in;
	}
	if (count > LIMIT_MESSAGE_DONE_PER_ID)
		arrivals_forget(m, oldest);
}

void arrivals_remember(struct message_core *m, struct incoming *in, int64_t age_ms, struct mono now)
{
	struct sender *s = in->sender;

	in->state = IN_DONE;
	in->reopened = false;
	DL_APPEND2(s->done, in, done_prev, done_next);
	DL_APPEND2(m->done, in, all_prev, all_next);
	s->done_count++;
	m->done_count++;
	timer_set(&m->timers, &in->timer, mono_add_ms(now, LIMIT_MESSAGE_DONE_MS - age_ms));
	bound_arrival(m, in->arrival);
	if (s->done_count > LIMIT_MESSAGE_DONE_PER_SENDER)
		arrivals_forget(m, s->done);
	if (m->done_count > LIMIT_MESSAGE_DONE)
		arrivals_forget(m, m->done);
}

/* Room for a message of that length from there? Counted if not. */
static bool is_admitted(struct message_core *m, const struct ip6 *src, uint64_t length)
{
	const struct sender *s = sender_find(m, ip6_net64(src));
	size_t cost;

	if (length > m->max_length) {
		m->counts[MESSAGE_REFUSED_LENGTH]++;
		return false;
	}
	cost = assemble_cost(length);
	if (s && (s->open_count >= LIMIT_MESSAGE_OPEN_PER_SENDER ||
		  s->bytes + cost > max_size(LIMIT_MESSAGE_BYTES_PER_SENDER, assemble_cost(m->max_length)))) {
		m->counts[MESSAGE_REFUSED_SENDER]++;
		return false;
	}
	if (m->in_count >= LIMIT_MESSAGE_OPEN ||
	    m->in_bytes + cost > max_size(LIMIT_MESSAGE_BYTES, 4 * assemble_cost(m->max_length))) {
		m->counts[MESSAGE_REFUSED_FULL]++;
		return false;
	}
	return true;
}

struct incoming *arrivals_open(struct message_core *m, const struct packet *p, bool reply,
			       const struct frame_init *init)
{
	const struct pair_key key = pair_key(p->src, p->frame->id);
	struct incoming *in;
	size_t cost;

	if (!is_admitted(m, p->src, init->length))
		return NULL;
	in = core_alloc(sizeof(*in));
	in->length = init->length;
	if (!assemble_init(in)) {
		free(in);
		m->counts[MESSAGE_REFUSED_FULL]++;
		return NULL;
	}
	in->state = IN_OPEN;
	in->timer.kind = TIMER_INCOMING;
	in->reply = reply;
	in->src = *p->src;
	in->dst = *p->dst;
	in->topic = topic_copy(init->topic, init->topic_len);
	in->sender = sender_get(m, key.net64);
	in->arrival = arrival_get(m, &key);
	LL_PREPEND(in->arrival->list, in);
	cost = assemble_cost(in->length);
	in->sender->open_count++;
	in->sender->bytes += cost;
	m->in_count++;
	m->in_bytes += cost;
	return in;
}

void arrivals_add_done(struct message_core *m, const struct message_in *past, int64_t age_ms, struct mono now)
{
	const struct pair_key key = pair_key(&past->src, past->id);
	struct incoming *in = core_alloc(sizeof(*in));

	in->timer.kind = TIMER_INCOMING;
	in->reply = past->reply;
	in->src = past->src;
	in->dst = past->dst;
	in->topic = topic_copy(past->topic, past->topic_len);
	in->length = past->len;
	in->count = past->count;
	memcpy(in->checksum, past->checksum, sizeof(in->checksum));
	in->sender = sender_get(m, key.net64);
	in->arrival = arrival_get(m, &key);
	LL_PREPEND(in->arrival->list, in);
	arrivals_remember(m, in, age_ms, now);
}
