/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of the node of worker_world.h with its neighbours, and the neighbours' side of them by libsodium. */
#ifndef TESTS_UNIT_WORKER_SESSIONS_H
#define TESTS_UNIT_WORKER_SESSIONS_H

#include "tests/unit/worker_world.h"
/* worker_world.h knows in which order. */
#include "shared/base/rows.h"

enum { FAR_LANES = 2, OUR_LANES = 4, NEVER_S = 1000000 /* far ahead: nothing more is told */ };

struct session {
	const char *peer;
	uint32_t index, far_index, row;
	struct aead_key send, receive; /* ours */
	uint32_t slot;
	struct skey *key;
};

/* A key of our node with that peer. Its index tells all the rest. */
static inline struct session session_add_made(struct world *w, const char *peer, uint32_t index, enum skey_state state,
					      struct mono made)
{
	struct session s = {.peer = peer,
			    .index = index,
			    .far_index = ~index,
			    .row = index % LIMIT_SESSION_ROWS,
			    .send = {{1, (uint8_t)index, (uint8_t)(index >> 8)}},
			    .receive = {{2, (uint8_t)index, (uint8_t)(index >> 8)}}};
	const struct skey_given given = {.row = s.row,
					 .net64 = world_net64(peer),
					 .pk = world_public(peer),
					 .index = index,
					 .far_index = s.far_index,
					 .far_lanes = FAR_LANES,
					 .our_lanes = OUR_LANES,
					 .state = state,
					 .made = made,
					 .send = s.send,
					 .receive = s.receive};

	rows_begin(w->f.lanes, s.row, index);
	assert_int_equal(skeys_add(w->f.skeys, &given, &s.slot), 0);
	s.key = skeys_slot(w->f.skeys, s.slot);
	return s;
}

static inline struct session session_add(struct world *w, const char *peer, uint32_t index, enum skey_state state)
{
	return session_add_made(w, peer, index, state, mono_now());
}

/* The static key of the peer. */
static inline struct key_slot *session_peer(const struct world *w, const char *peer)
{
	const struct table_entry *e = table_find(w->f.table, world_net64(peer));

	assert_true(e && e->key);
	return keys_slot(w->f.keys, e->key);
}

static inline void session_look_again(struct world *w, const char *peer)
{
	const struct ctl_no_key look = {.net64 = world_net64(peer)};

	for (unsigned i = 0; i < w->f.worker_count; i++)
		world_mail(w, i, CTL_NO_KEY, &look, sizeof(look));
}

static inline void session_policy(struct world *w, const char *peer, enum ctl_way way, bool refuse_static)
{
	struct key_slot *key = session_peer(w, peer);

	__atomic_store_n(&key->way, (uint8_t)way, __ATOMIC_RELAXED);
	__atomic_store_n(&key->refuse_static, refuse_static, __ATOMIC_RELAXED);
	__atomic_store_n(&key->wanted_s, 0, __ATOMIC_RELAXED);
	session_look_again(w, peer);
}

/* The key seals from now on; NULL: none does. */
static inline void session_send(struct world *w, const char *peer, const struct session *s)
{
	struct key_slot *key = session_peer(w, peer);
	const uint32_t before = __atomic_load_n(&key->session, __ATOMIC_RELAXED);

	__atomic_store_n(&key->session_before, before, __ATOMIC_RELEASE);
	__atomic_store_n(&key->session, s ? s->slot : 0, __ATOMIC_RELEASE);
	session_look_again(w, peer);
}

struct session_nonce {
	uint32_t index;
	uint8_t lane;
	uint64_t counter;
};

static inline struct session_nonce session_nonce_of(const struct world_packet *frame)
{
	struct rd r = rd_init(frame->bytes + frame->len - WIRE_NONCE_BYTES, WIRE_NONCE_BYTES);
	struct session_nonce n = {.index = rd_be32(&r), .lane = rd_u8(&r)};

	n.counter = (uint64_t)rd_u8(&r) << 48;
	n.counter |= (uint64_t)rd_be16(&r) << 32;
	n.counter |= rd_be32(&r);
	return n;
}

static inline void session_write_nonce(struct world_packet *frame, const struct session_nonce *n)
{
	struct wr w = wr_init(frame->bytes + frame->len - WIRE_NONCE_BYTES, WIRE_NONCE_BYTES);

	wr_be32(&w, n->index);
	wr_be64(&w, (uint64_t)n->lane << 56 | n->counter);
}

/* The neighbour opens a frame of ours. False: it is not one of the session. */
static inline bool session_open(const struct session *s, const struct world_packet *frame, struct world_packet *plain)
{
	const uint8_t *body = frame->bytes + WIRE_DATA_HEADER_BYTES;
	const size_t sealed = frame->len - WIRE_DATA_HEADER_BYTES - WIRE_NONCE_BYTES;
	unsigned long long len = 0;

	if (session_nonce_of(frame).index != s->far_index ||
	    crypto_aead_aes256gcm_decrypt(plain->bytes, &len, NULL, body, sealed, frame->bytes + 8, 32, body + sealed,
					  s->send.b) != 0)
		return false;
	plain->len = (size_t)len;
	return true;
}

/* Sealed by libsodium: with the nonce, under the key, and the addresses as AAD or not. */
static inline void session_seal_as(const struct aead_key *k, bool aad, const struct session_nonce *n,
				   const struct world_frame *f, struct world_packet *out)
{
	uint8_t *const body = out->bytes + WIRE_DATA_HEADER_BYTES;
	static struct world_packet plain;

	/* For the header. */
	world_seal(f, out);
	memcpy(plain.bytes, (const uint8_t[]){WIRE_USER_VERSION, f->type, 0, 0}, 4);
	if (f->len)
		memcpy(plain.bytes + 4, f->body, f->len);
	session_write_nonce(out, n);
	assert_int_equal(crypto_aead_aes256gcm_encrypt(body, NULL, plain.bytes, 4 + f->len, out->bytes + 8,
						       aad ? 32 : 0, NULL, out->bytes + out->len - WIRE_NONCE_BYTES,
						       k->b),
			 0);
}

/* The neighbour seals in the session; f->pair is any. */
static inline void session_seal(const struct session *s, uint8_t lane, uint64_t counter, const struct world_frame *f,
				struct world_packet *out)
{
	const struct session_nonce n = {.index = s->index, .lane = lane, .counter = counter};

	session_seal_as(&s->receive, true, &n, f, out);
}

/* The next record that goes up; its body's length. */
static inline size_t session_up(const struct world *w, struct ctl_user_up *up, struct world_packet *body)
{
	struct mail *m = worker_user_out(w->f.workers[0]);
	uint16_t type;
	uint8_t *bytes;
	size_t len;

	while (!mail_next(m, &type, &bytes, &len)) {
		mail_doze(m);
		if (mail_next(m, &type, &bytes, &len))
			break;
		world_readable(mail_fd(m));
	}
	assert_int_equal(type, CTL_USER_UP);
	assert_in_range(len, sizeof(*up), sizeof(*up) + sizeof(body->bytes));
	memcpy(up, bytes, sizeof(*up));
	body->len = len - sizeof(*up);
	memcpy(body->bytes, bytes + sizeof(*up), body->len);
	return body->len;
}

/* A record of that type for control is there. Call it when the worker is settled. */
static inline bool session_told(const struct world *w, enum ctl_type wanted)
{
	uint16_t type;
	uint8_t *body;
	size_t len;

	while (mail_next(worker_out(w->f.workers[0]), &type, &body, &len))
		if (type == wanted)
			return true;
	return false;
}

/* For cmocka: our node is B, with one worker or two. */
static inline int world_setup(void **state)
{
	static struct world w;

	world_start(&w, "B", 1, NULL);
	*state = &w;
	return 0;
}

static inline int world_setup_two(void **state)
{
	static struct world w;

	world_start(&w, "B", 2, NULL);
	*state = &w;
	return 0;
}

static inline int world_teardown(void **state)
{
	world_stop(*state);
	return 0;
}

/* Twice: what the worker counts at the end of its turn is seen. */
static inline void world_settle_twice(int a, int c)
{
	world_settle(a, c, "C");
	world_settle(a, c, "C");
}

#endif
