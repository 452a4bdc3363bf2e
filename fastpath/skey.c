/* SPDX-License-Identifier: Apache-2.0 */
/* Slots are found by chains of slot numbers, one for each value of the index's low bits; our side draws the indices at
 * random, so nobody else can make a chain long. A hidden slot keeps its link, so that a reader who stands on it goes
 * on. Loads and stores of the chains are sequentially consistent, as those of the table: a reader's must not pass its
 * worker's epoch store. */
#include "fastpath/skey.h"

#include "fastpath/arena.h"
#include "fastpath/replay.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { AAD_BYTES = 32, COUNTER_BITS = 56, AGE_US = LIMIT_SESSION_AGE_S * 1000000 };

struct skeys {
	const struct aead *aead; /* borrowed */
	struct lanes *lanes; /* borrowed */
	struct arena arena;
	uint32_t count; /* relaxed atomic */
	uint32_t mask;
	uint32_t *heads; /* owned, [mask + 1]; atomic: slot numbers */
	uint32_t *links; /* owned, [cap + 1]; atomic: the next slot of the chain */
};

struct skeys *skeys_new(const struct aead *aead, struct lanes *lanes, uint32_t cap)
{
	struct skeys *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->aead = aead;
	k->lanes = lanes;
	k->mask = 1;
	while (k->mask < 2 * cap)
		k->mask = 2 * k->mask + 1;
	k->heads = calloc((size_t)k->mask + 1, sizeof(*k->heads));
	k->links = calloc((size_t)cap + 1, sizeof(*k->links));
	if (!k->heads || !k->links || !arena_init(&k->arena, sizeof(struct skey) + 2 * aead->key_bytes, cap)) {
		const int error = errno;

		skeys_free(k);
		errno = error;
		return NULL;
	}
	return k;
}

void skeys_free(struct skeys *k)
{
	if (!k)
		return;
	arena_fini(&k->arena);
	free(k->heads);
	free(k->links);
	free(k);
}

static void *send_key(const struct skey *s)
{
	return (uint8_t *)(uintptr_t)(s + 1);
}

static void *receive_key(const struct skeys *k, const struct skey *s)
{
	return (uint8_t *)(uintptr_t)(s + 1) + k->aead->key_bytes;
}

struct skey *skeys_find(const struct skeys *k, uint32_t index)
{
	const uint32_t *link = &k->heads[index & k->mask];
	uint32_t slot;

	while ((slot = __atomic_load_n(link, __ATOMIC_SEQ_CST))) {
		struct skey *const s = arena_slot(&k->arena, slot);

		if (s->index == index)
			return s;
		link = &k->links[slot];
	}
	return NULL;
}

static int given_problem(const struct skeys *k, const struct skey_given *g)
{
	const struct lanes_header *h = &k->lanes->header;

	if (!g->index || g->state == SKEY_STATE_NONE || g->state > SKEY_STATE_OLD || !g->far_lanes || !g->our_lanes ||
	    g->far_lanes > LIMIT_SESSION_FAR_LANES || g->our_lanes > LIMIT_SESSION_LANES)
		return -EINVAL;
	if (memcmp(g->memory, h->id, sizeof(g->memory)) != 0 ||
	    g->generation != __atomic_load_n(&h->generation, __ATOMIC_ACQUIRE) || g->row >= LIMIT_SESSION_ROWS ||
	    __atomic_load_n(&k->lanes->row_index[g->row], __ATOMIC_ACQUIRE) != g->index)
		return -ESTALE;
	return skeys_find(k, g->index) ? -EEXIST : 0;
}

static void fill(const struct skeys *k, struct skey *s, const struct skey_given *g)
{
	s->net64 = g->net64;
	s->row = &k->lanes->row[g->row];
	s->generation = g->generation;
	s->made = g->made;
	s->index = g->index;
	s->far_index = g->far_index;
	s->row_number = g->row;
	s->far_lanes = g->far_lanes;
	s->our_lanes = g->our_lanes;
	s->state = (uint8_t)g->state;
	s->pk = g->pk;
	k->aead->key_init(send_key(s), &g->send);
	k->aead->key_init(receive_key(k, s), &g->receive);
}

int skeys_add(struct skeys *k, const struct skey_given *given, uint32_t *slot)
{
	const int problem = given_problem(k, given);
	uint32_t *head;
	uint32_t taken;

	if (problem)
		return problem;
	taken = arena_take(&k->arena);
	if (!taken)
		return -ENOSPC;
	fill(k, arena_slot(&k->arena, taken), given);
	head = &k->heads[given->index & k->mask];
	__atomic_store_n(&k->links[taken], *head, __ATOMIC_RELAXED);
	__atomic_store_n(head, taken, __ATOMIC_SEQ_CST);
	__atomic_store_n(&k->count, k->count + 1, __ATOMIC_RELAXED);
	*slot = taken;
	return 0;
}

void skeys_hide(struct skeys *k, uint32_t slot)
{
	uint32_t *link = &k->heads[skeys_slot(k, slot)->index & k->mask];

	while (*link && *link != slot)
		link = &k->links[*link];
	if (*link)
		__atomic_store_n(link, k->links[slot], __ATOMIC_SEQ_CST);
}

void skeys_wipe(struct skeys *k, uint32_t slot)
{
	const struct skey *s = skeys_slot(k, slot);

	assert(s->state != SKEY_STATE_NONE && skeys_find(k, s->index) != s);
	arena_give(&k->arena, slot);
	__atomic_store_n(&k->count, k->count - 1, __ATOMIC_RELAXED);
}

void skeys_move(struct skeys *k, uint32_t slot, enum skey_state state)
{
	assert(state != SKEY_STATE_NONE);
	__atomic_store_n(&skeys_slot(k, slot)->state, (uint8_t)state, __ATOMIC_RELAXED);
}

uint32_t skeys_count(const struct skeys *k)
{
	return __atomic_load_n(&k->count, __ATOMIC_RELAXED);
}

struct skey *skeys_slot(const struct skeys *k, uint32_t slot)
{
	assert(slot >= 1 && slot <= arena_high(&k->arena));
	return arena_slot(&k->arena, slot);
}

uint32_t skeys_number(const struct skeys *k, const struct skey *s)
{
	return arena_number(&k->arena, s);
}

uint32_t skeys_next(const struct skeys *k, uint32_t slot)
{
	while (++slot <= arena_high(&k->arena))
		if (skeys_slot(k, slot)->state != SKEY_STATE_NONE)
			return slot;
	return 0;
}

static bool is_expired(const struct skeys *k, const struct skey *s, struct mono now)
{
	const uint64_t bytes = __atomic_load_n(&s->sealed.bytes, __ATOMIC_RELAXED) +
			       __atomic_load_n(&s->opened.bytes, __ATOMIC_RELAXED);

	return mono_since_us(now, s->made) >= AGE_US || bytes >= SKEY_BYTES_END ||
	       __atomic_load_n(&k->lanes->header.generation, __ATOMIC_ACQUIRE) != s->generation;
}

static void add_traffic(struct skey_traffic *t, uint64_t packets, uint64_t bytes, uint64_t lane_end)
{
	uint64_t end = __atomic_load_n(&t->lane_end, __ATOMIC_RELAXED);

	__atomic_fetch_add(&t->packets, packets, __ATOMIC_RELAXED);
	__atomic_fetch_add(&t->bytes, bytes, __ATOMIC_RELAXED);
	while (end < lane_end &&
	       !__atomic_compare_exchange_n(&t->lane_end, &end, lane_end, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

#ifdef NONCE_AUDIT
void (*skey_audit)(const struct skey *s, unsigned lane, uint64_t first, uint32_t count);

static void audit(const struct skey *s, unsigned lane, uint64_t first, uint32_t count)
{
	if (skey_audit)
		skey_audit(s, lane, first, count);
}
#else
static void audit(const struct skey *s, unsigned lane, uint64_t first, uint32_t count)
{
	(void)s;
	(void)lane;
	(void)first;
	(void)count;
}
#endif

enum skey_verdict skey_seal_begin(struct skey_run *r, const struct skeys *k, struct skey *s, unsigned lane,
				  uint32_t count, struct mono now)
{
	uint64_t first;

	assert(count && lane < s->far_lanes);
	assert(__atomic_load_n(&s->state, __ATOMIC_RELAXED) != SKEY_STATE_NEXT);
	*r = (struct skey_run){.keys = k, .key = s, .now = now, .lane = (uint8_t)lane};
	if (is_expired(k, s, now))
		return SKEY_EXPIRED;
	first = __atomic_fetch_add(&s->row->send[lane].next, count, __ATOMIC_RELAXED);
	if (first + count > SKEY_COUNTER_END)
		return SKEY_EXPIRED;
	audit(s, lane, first, count);
	r->next = first;
	r->end = first + count;
	return SKEY_OK;
}

static void write_nonce(uint8_t *nonce, uint32_t index, uint8_t lane, uint64_t counter)
{
	const uint32_t first = __builtin_bswap32(index);
	const uint64_t rest = __builtin_bswap64((uint64_t)lane << COUNTER_BITS | counter);

	memcpy(nonce, &first, sizeof(first));
	memcpy(nonce + sizeof(first), &rest, sizeof(rest));
}

size_t skey_seal(struct skey_run *r, const struct encap_packet *p, uint8_t *out)
{
	const size_t plain_len = WIRE_USER_HEADER_BYTES + p->len;
	const uint16_t sealed_len = (uint16_t)(plain_len + WIRE_SEAL_BYTES);
	const struct wire_data header = {.version = WIRE_VERSION,
					 .type = WIRE_DATA,
					 .length = __builtin_bswap16(sealed_len),
					 .hop_limit = p->hop_limit,
					 .src = *p->src,
					 .dst = *p->dst};
	const uint8_t user[WIRE_USER_HEADER_BYTES] = {WIRE_USER_VERSION, p->type, 0, 0};
	uint8_t *body = out + WIRE_DATA_HEADER_BYTES, *tag = body + plain_len, *nonce = tag + WIRE_TAG_BYTES;
	const struct aead_job job = {.out = body,
				     .in = p->plain - WIRE_USER_HEADER_BYTES,
				     .len = plain_len,
				     .nonce = nonce,
				     .aad = out + offsetof(struct wire_data, src),
				     .aad_len = AAD_BYTES,
				     .tag = tag};

	assert(p->len <= WIRE_SEALED_MAX_BYTES - WIRE_SEALED_MIN_BYTES && r->next < r->end);
	memcpy(out, &header, sizeof(header));
	memcpy(p->plain - WIRE_USER_HEADER_BYTES, user, sizeof(user));
	write_nonce(nonce, r->key->far_index, r->lane, r->next++);
	r->keys->aead->seal(send_key(r->key), &job);
	r->packets++;
	r->bytes += sealed_len;
	r->data |= p->type != WIRE_USER_CONTROL;
	return WIRE_DATA_HEADER_BYTES + (size_t)sealed_len;
}

void skey_seal_end(struct skey_run *r)
{
	if (!r->packets)
		return;
	add_traffic(&r->key->sealed, r->packets, r->bytes, r->end);
	if (r->data)
		__atomic_store_n(&r->key->sealed.data_us, r->now.us, __ATOMIC_RELAXED);
	r->packets = 0;
}

void skey_open_begin(struct skey_opener *o, const struct skeys *k, uint32_t owner, struct mono now)
{
	assert(owner);
	*o = (struct skey_opener){.keys = k, .owner = owner, .now = now};
}

void skey_open_end(struct skey_opener *o)
{
	skey_open_release(o);
	if (!o->packets)
		return;
	add_traffic(&o->key->opened, o->packets, o->bytes, o->lane_end);
	if (o->data)
		__atomic_store_n(&o->key->opened.data_us, o->now.us, __ATOMIC_RELAXED);
	o->packets = o->bytes = o->lane_end = 0;
	o->data = false;
}

/* What a nonce says. */
struct nonce {
	uint32_t index;
	uint8_t lane;
	uint64_t counter;
};

static struct nonce read_nonce(const uint8_t *p)
{
	uint32_t index;
	uint64_t rest;

	memcpy(&index, p, sizeof(index));
	memcpy(&rest, p + sizeof(index), sizeof(rest));
	rest = __builtin_bswap64(rest);
	return (struct nonce){.index = __builtin_bswap32(index),
			      .lane = (uint8_t)(rest >> COUNTER_BITS),
			      .counter = rest & ((UINT64_C(1) << COUNTER_BITS) - 1)};
}

/* Where a packet comes from. */
struct origin {
	struct skey *key;
	uint64_t counter;
	uint8_t lane;
};

static void take_key(struct skey_opener *o, struct skey *s)
{
	if (o->key == s)
		return;
	skey_open_end(o);
	o->key = s;
	o->expired = is_expired(o->keys, s, o->now);
}

/* All that can be judged of a frame before it is opened. */
static enum skey_verdict judge(struct skey_opener *o, const uint8_t *frame, size_t len, struct origin *from)
{
	const struct nonce nonce = read_nonce(frame + len - WIRE_NONCE_BYTES);
	struct skey *const s = o->key && o->key->index == nonce.index ? o->key : skeys_find(o->keys, nonce.index);
	uint64_t net64;

	memcpy(&net64, frame + offsetof(struct wire_data, src), sizeof(net64));
	if (!s)
		return SKEY_UNKNOWN;
	if (__builtin_bswap64(net64) != s->net64)
		return SKEY_FOREIGN;
	*from = (struct origin){.key = s, .lane = nonce.lane, .counter = nonce.counter};
	take_key(o, s);
	if (o->expired || from->counter >= SKEY_COUNTER_END)
		return SKEY_EXPIRED;
	if (from->lane >= s->our_lanes)
		return SKEY_LANE;
	return replay_is_old(&s->row->receive[from->lane], from->counter) ? SKEY_LATE : SKEY_OK;
}

static bool hold(struct skey_opener *o, struct lanes_window *w)
{
	if (o->held == w && o->held_packets++ < LIMIT_SESSION_HOLD)
		return true;
	skey_open_release(o);
	if (!replay_hold(w, o->owner))
		return false;
	o->held = w;
	o->held_packets = 1;
	return true;
}

static enum skey_verdict accept_counter(struct skey_opener *o, const struct origin *from)
{
	struct lanes_window *const w = &from->key->row->receive[from->lane];

	switch (hold(o, w) ? replay_mark(w, from->counter) : REPLAY_BUSY) {
	case REPLAY_NEW:
		return SKEY_OK;
	case REPLAY_OLD:
	case REPLAY_SEEN:
		return SKEY_REPLAYED;
	case REPLAY_BUSY:
		break;
	}
	return SKEY_BUSY;
}

static bool confirms(struct skey *s)
{
	/* Looked at first: until controld moves the key each packet comes here. */
	return __atomic_load_n(&s->state, __ATOMIC_RELAXED) == SKEY_STATE_NEXT &&
	       !__atomic_load_n(&s->confirmed, __ATOMIC_RELAXED) &&
	       !__atomic_exchange_n(&s->confirmed, true, __ATOMIC_RELAXED);
}

/* An opened packet, for the first time: counted, and its user-data header looked at. */
static enum skey_verdict take_in(struct skey_opener *o, const struct origin *from, uint8_t *plain, size_t len,
				 struct skey_opened *out)
{
	const uint8_t type = plain[1];

	o->packets++;
	o->bytes += len + WIRE_SEAL_BYTES;
	if (from->counter >= o->lane_end)
		o->lane_end = from->counter + 1;
	*out = (struct skey_opened){.key = from->key, .confirms = confirms(from->key)};
	if (plain[0] != WIRE_USER_VERSION)
		return SKEY_VERSION;
	if (type > WIRE_USER_ICMP && type != WIRE_USER_CONTROL)
		return SKEY_TYPE;
	o->data |= type != WIRE_USER_CONTROL;
	out->user = (struct encap_opened){
		.body = plain + WIRE_USER_HEADER_BYTES, .len = len - WIRE_USER_HEADER_BYTES, .type = type};
	return SKEY_OK;
}

enum skey_verdict skey_open(struct skey_opener *o, uint8_t *frame, size_t len, struct skey_opened *out)
{
	uint8_t *const plain = frame + WIRE_DATA_HEADER_BYTES;
	struct aead_job job = {
		.out = plain, .in = plain, .aad = frame + offsetof(struct wire_data, src), .aad_len = AAD_BYTES};
	enum skey_verdict verdict;
	struct origin from;

	if (len < WIRE_DATA_HEADER_BYTES + WIRE_SEALED_MIN_BYTES)
		return SKEY_SHORT;
	verdict = judge(o, frame, len, &from);
	if (verdict)
		return verdict;
	job.len = len - WIRE_DATA_HEADER_BYTES - WIRE_SEAL_BYTES;
	job.tag = plain + job.len;
	job.nonce = job.tag + WIRE_TAG_BYTES;
	if (!o->keys->aead->open(receive_key(o->keys, from.key), &job))
		return SKEY_FAILED;
	verdict = accept_counter(o, &from);
	return verdict ? verdict : take_in(o, &from, plain, job.len, out);
}

/* The nonce is one that we used not long ago. */
static bool is_recent(const struct skey *s, const uint8_t *bytes)
{
	const struct nonce nonce = read_nonce(bytes);
	uint64_t next;

	if (nonce.index != s->far_index || nonce.lane >= s->far_lanes)
		return false;
	next = __atomic_load_n(&s->row->send[nonce.lane].next, __ATOMIC_RELAXED);
	return nonce.counter < next && next - nonce.counter <= LIMIT_NONCE_QUOTE_WINDOW;
}

bool skey_open_quote(const struct skeys *k, struct skey *s, const struct skey_quote *q, struct mono now,
		     struct encap_opened *out)
{
	struct ip6 aad[] = {*q->src, *q->dst};
	struct aead_job job = {.out = q->sealed, .in = q->sealed, .aad = (uint8_t *)aad, .aad_len = sizeof(aad)};

	_Static_assert(sizeof(aad) == AAD_BYTES, "both addresses");
	if (q->len < WIRE_SEALED_MIN_BYTES || is_expired(k, s, now))
		return false;
	job.len = q->len - WIRE_SEAL_BYTES;
	job.tag = q->sealed + job.len;
	job.nonce = job.tag + WIRE_TAG_BYTES;
	if (!is_recent(s, job.nonce) || !k->aead->open(send_key(s), &job) || q->sealed[0] != WIRE_USER_VERSION)
		return false;
	*out = (struct encap_opened){.body = q->sealed + WIRE_USER_HEADER_BYTES,
				     .len = job.len - WIRE_USER_HEADER_BYTES,
				     .type = q->sealed[1]};
	return true;
}
