/* SPDX-License-Identifier: Apache-2.0 */
/* The post's outside: life and death, packets in, the clock, and what others may read. Callbacks to consumers are made
 * here only, between matches, so that they may change every table. */
#include "controld/post_private.h"

/* As often as callbacks may cause further ones in one tick. */
enum { ROUNDS = 64, CALLS = 4096 };

static void on_send(void *ctx, const struct ip6 *src, const struct ip6 *dst, const uint8_t *bytes, size_t len)
{
	const struct post *p = ctx;

	p->ops.send(p->ctx, src, dst, bytes, len);
}

static bool on_key(void *ctx, const struct ip6 *src, uint8_t public_key[32])
{
	const struct post *p = ctx;

	return p->ops.key(p->ctx, src, public_key);
}

static void on_received(void *ctx, const struct message_in *in)
{
	post_inbox_received(ctx, in);
}

static void on_status(void *ctx, const struct message_status *s)
{
	post_send_status(ctx, s);
}

static void on_random(void *ctx, void *out, size_t len)
{
	const struct post *p = ctx;

	p->ops.random(p->ctx, out, len);
}

struct post *post_new(const struct post_config *c, const struct post_ops *ops, void *ctx)
{
	static const struct message_ops core_ops = {
		.send = on_send, .key = on_key, .received = on_received, .status = on_status, .random = on_random};
	const struct message_config core = {.self = c->self, .own = c->own, .max_length = c->max_length};
	const size_t longest = c->max_length ? c->max_length : LIMIT_MESSAGE_LENGTH_DEFAULT;
	struct post *p = post_alloc(sizeof(*p));

	p->ops = *ops;
	p->ctx = ctx;
	p->own = c->own;
	p->due = MONO_NEVER;
	p->cap_count = c->inbox_count ? c->inbox_count : LIMIT_INBOX_COUNT_DEFAULT;
	p->cap_bytes = c->inbox_bytes ? c->inbox_bytes : LIMIT_INBOX_BYTES_DEFAULT;
	if (p->cap_bytes < longest)
		p->cap_bytes = longest;
	p->core = message_new(&core, &core_ops, p);
	return p;
}

void post_free(struct post *p)
{
	if (!p)
		return;
	message_free(p->core);
	post_send_fini(p);
	post_taker_fini(p);
	post_stream_fini(p);
	post_inbox_fini(p);
	free(p);
}

void post_begin(struct post *p, const uint8_t epoch[RECORD_EPOCH_BYTES], uint64_t last_order, uint64_t last_message)
{
	memcpy(p->epoch, epoch, sizeof(p->epoch));
	p->last_order = last_order;
	p->last_message = last_message;
	p->begun = true;
}

void post_packet(struct post *p, const struct ip6 *src, const struct ip6 *dst, const uint8_t *bytes, size_t len,
		 struct post_time now)
{
	p->now = now;
	message_packet(p->core, src, dst, bytes, len, now.mono);
}

static struct mono run_core(struct post *p)
{
	struct mono next;

	do {
		post_inbox_tell_refused(p);
		next = message_tick(p->core, p->now.mono);
	} while (p->refused_count);
	return next;
}

/* Whoever waits gets what there is; whose time is over, after that, nothing. */
static void match(struct post *p)
{
	const struct mono now = p->now.mono;
	const bool is_due = mono_is_due(p->due, now);

	if (is_due) {
		p->due = MONO_NEVER;
		post_load_expire(p, now);
		post_stream_expire(p, now);
	}
	post_match(p);
	if (is_due)
		post_taker_expire(p, now);
	post_load_pump(p);
}

/* Makes callbacks; false if none was to be made. */
static bool tell(struct post *p)
{
	int calls = 0;

	while (calls < CALLS && (post_send_tell(p) || post_taker_tell(p) || post_stream_tell(p)))
		calls++;
	return calls > 0;
}

struct mono post_tick(struct post *p, struct post_time now)
{
	bool is_busy = true;
	struct mono next;

	assert(p->begun);
	p->now = now;
	post_send_found(p);
	(void)run_core(p);
	for (int round = 0; is_busy && round < ROUNDS; round++) {
		match(p);
		is_busy = tell(p);
	}
	next = run_core(p);
	return is_busy ? now.mono : mono_min(next, p->due);
}

bool post_status(const struct post *p, const uint8_t id[RECORD_ID_BYTES], struct message_status *out)
{
	return message_find_id(p->core, id, out);
}

struct post_load post_load(const struct post *p)
{
	return (struct post_load){.message = message_load(p->core),
				  .inbox_count = p->entry_count,
				  .takers = p->taker_count,
				  .streams = p->open_count,
				  .inbox_bytes = p->entry_bytes,
				  .inbox_cap = p->cap_count,
				  .inbox_cap_bytes = p->cap_bytes,
				  .refused_full = p->refused_full,
				  .unreadable = p->unreadable,
				  .lost = p->lost};
}

uint64_t post_count(const struct post *p, enum message_counter what)
{
	return message_count(p->core, what);
}
