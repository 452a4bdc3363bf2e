/* SPDX-License-Identifier: Apache-2.0 */
/* Seqno requests (wire-200 4.8; RFC 8966 3.8), ours and others', remembered by what they ask for. A repeat of
 * one that was passed on is dropped, whoever sends it: a forwarder tries its other paths by itself. Ours are asked
 * again, ever more rarely, as long as something asks for them; only we ask every advertiser. */
#include "controld/babel/core.h"
#include <assert.h>

static struct request_key make_key(const struct prefix *p, const struct router_id *id, uint16_t seqno)
{
	return (struct request_key){.prefix = *p, .router_id = *id, .seqno = {(uint8_t)(seqno >> 8), (uint8_t)seqno}};
}

static uint16_t key_seqno(const struct request_key *key)
{
	return (uint16_t)(key->seqno[0] << 8 | key->seqno[1]);
}

static struct request *request_find(const struct babel *b, const struct request_key *key)
{
	struct request *q;

	HASH_FIND(hh, b->requests, key, sizeof(*key), q);
	return q;
}

static void retry_stop(struct babel *b, struct request *q)
{
	if (q->retrying)
		DL_DELETE(b->retries, q);
	q->retrying = false;
}

static void request_del_oldest(struct babel *b)
{
	struct request *q = b->requests;

	assert(!q->hh.prev);
	retry_stop(b, q);
	HASH_DEL(b->requests, q);
	free(q);
}

/* A full table forgets the oldest. */
static struct request *request_add(struct babel *b, const struct request_key *key, struct mono now)
{
	struct request *q = core_alloc(sizeof(*q));

	if (HASH_COUNT(b->requests) >= LIMIT_SEQNO_REQUESTS)
		request_del_oldest(b);
	q->key = *key;
	q->forget = mono_add_ms(now, REQUEST_HOLD_MS);
	HASH_ADD(hh, b->requests, key, sizeof(q->key), q);
	return q;
}

static void send_request(struct babel *b, const struct neigh *n, const struct request_key *key, uint8_t hop_count)
{
	const struct tlv t = {.type = TLV_SEQNO_REQUEST,
			      .seqno_request = {.ae = WIRE_AE_IPV6,
						.prefix_len = key->prefix.len,
						.hop_count = hop_count,
						.seqno = key_seqno(key),
						.router_id = key->router_id,
						.address = key->prefix.ip}};
	uint8_t bytes[TLV_MAX_BYTES];
	struct wr w = wr_init(bytes, sizeof(bytes));

	tlv_write(&w, &t);
	assert(!w.bad);
	b->counts[BABEL_REQUESTS_SENT]++;
	b->ops->send(b->ctx, n->link, bytes, wr_len(&w));
}

/* Asking keeps it in memory: to the end of the queue. */
static void request_renew(struct babel *b, struct request *q, struct mono now)
{
	q->forget = mono_add_ms(now, REQUEST_HOLD_MS);
	if (!q->hh.next)
		return;
	HASH_DELETE(hh, b->requests, q);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, b->requests, &q->key, sizeof(q->key), q->hh.hashv, q);
}

static uint32_t next_wait(uint32_t wait_ms, uint32_t first_ms, uint32_t max_ms)
{
	if (wait_ms == 0)
		return first_ms;
	return wait_ms * 2 < max_ms ? wait_ms * 2 : max_ms;
}

void request_want(struct babel *b, const struct source *s, struct mono now)
{
	const struct net *net = s->key.net;
	const struct request_key key = make_key(&net->prefix, &s->key.router_id, (uint16_t)(s->fd.seqno + 1));
	struct request *q = request_find(b, &key);

	if (q && q->ask_wait_ms && !mono_is_due(q->ask_next, now))
		return;
	if (q)
		request_renew(b, q, now);
	else
		q = request_add(b, &key, now);
	q->ask_wait_ms = next_wait(q->ask_wait_ms, REQUEST_RETRY_MS, REQUEST_RETRY_MAX_MS);
	q->ask_next = mono_add_ms(now, q->ask_wait_ms);
	for (const struct route *r = net->routes; r; r = r->next)
		if (route_is_finite(r))
			send_request(b, r->neigh, &key, WIRE_HOP_COUNT);
}

static bool request_has_asked(const struct request *q, uint32_t link)
{
	for (size_t i = 0; i < q->asked_count; i++)
		if (q->asked[i] == link)
			return true;
	return link == q->asker;
}

/* A feasible one leads to the originator, and a cheap one sooner. */
static bool is_better_path(const struct babel *b, const struct route *r, const struct route *than)
{
	if (route_is_eligible(r) != route_is_eligible(than))
		return route_is_eligible(r);
	return route_cost(b, r) < route_cost(b, than);
}

/* The next advertiser to ask. */
static struct route *request_path(const struct babel *b, const struct request *q, const struct net *net)
{
	struct route *best = NULL;

	for (struct route *r = net->routes; r; r = r->next)
		if (route_is_finite(r) && !request_has_asked(q, r->neigh->link) &&
		    (!best || is_better_path(b, r, best)))
			best = r;
	return best;
}

static bool request_try(struct babel *b, struct request *q, const struct net *net, struct mono now)
{
	const struct route *r = q->asked_count < REQUEST_PATHS ? request_path(b, q, net) : NULL;

	if (!r)
		return false;
	q->asked[q->asked_count++] = r->neigh->link;
	q->retrying = true;
	q->retry_due = mono_add_ms(now, REQUEST_RETRY_MS);
	DL_APPEND(b->retries, q);
	send_request(b, r->neigh, &q->key, q->hop_count);
	return true;
}

static void search_begin(struct request *q, struct mono now)
{
	q->asked_count = 0;
	q->search_wait_ms = next_wait(q->search_wait_ms, REQUEST_SEARCH_MS, REQUEST_HOLD_MS);
	q->search_next = mono_add_ms(now, q->search_wait_ms);
}

/* A repeat is dropped, unless there is a path that was not tried. When all were, and some time has passed, they are
 * tried again, for requests get lost where links die; but ever more rarely. */
bool request_forward(struct babel *b, const struct neigh *from, const struct net *net,
		     const struct tlv_seqno_request *t, struct mono now)
{
	const struct request_key key = make_key(&net->prefix, &t->router_id, t->seqno);
	struct request *q = request_find(b, &key);

	if (q && q->retrying)
		return false;
	if (!q)
		q = request_add(b, &key, now);
	if (q->search_wait_ms == 0)
		search_begin(q, now); /* it is new, or only we have asked */
	q->asker = from->link;
	q->hop_count = t->hop_count - 1;
	if (request_try(b, q, net, now))
		return true;
	if (!mono_is_due(q->search_next, now))
		return false;
	search_begin(q, now);
	request_renew(b, q, now);
	return request_try(b, q, net, now);
}

static bool request_is_answered(const struct request *q, const struct net *net)
{
	const struct route *r = net->selected;

	return r && memcmp(&r->source->key.router_id, &q->key.router_id, sizeof(q->key.router_id)) == 0 &&
	       !seqno_lt(r->seqno, key_seqno(&q->key));
}

struct mono request_tick(struct babel *b, struct mono now)
{
	struct mono retry, forget;

	while (b->retries && mono_is_due(b->retries->retry_due, now)) {
		struct request *q = b->retries;
		const struct net *net = net_find(b, &q->key.prefix);

		retry_stop(b, q);
		if (net && !request_is_answered(q, net))
			request_try(b, q, net, now);
	}
	while (b->requests && mono_is_due(b->requests->forget, now))
		request_del_oldest(b);
	retry = due_of(b->retries, b->retries ? b->retries->retry_due : now);
	forget = due_of(b->requests, b->requests ? b->requests->forget : now);
	return mono_min(retry, forget);
}

void request_fini(struct babel *b)
{
	while (b->requests)
		request_del_oldest(b);
}
