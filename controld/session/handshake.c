/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/session/handshake.h"
#include <assert.h>
#include <errno.h>

static const char protocol_name[] = "Noise_IKpsk2_25519_AESGCM_BLAKE2b";

_Static_assert(sizeof(protocol_name) - 1 == 33, "padded to a digest, not hashed");

void handshake_ephemeral(const struct handshake_self *self, const uint8_t seed[HANDSHAKE_SEED_BYTES],
			 const uint8_t stamp[HANDSHAKE_STAMP_BYTES], const struct pubkey *peer, struct privkey *out)
{
	crypto_generichash_blake2b_state state;

	(void)crypto_generichash_blake2b_init(&state, self->sk->b, sizeof(self->sk->b), sizeof(out->b));
	(void)crypto_generichash_blake2b_update(&state, seed, HANDSHAKE_SEED_BYTES);
	(void)crypto_generichash_blake2b_update(&state, stamp, HANDSHAKE_STAMP_BYTES);
	(void)crypto_generichash_blake2b_update(&state, peer->b, sizeof(peer->b));
	(void)crypto_generichash_blake2b_final(&state, out->b, sizeof(out->b));
	secret_wipe(&state, sizeof(state));
}

void handshake_begin(struct handshake *hs, const void *prologue, size_t len, const struct pubkey *responder)
{
	noise_init(&hs->noise, protocol_name, prologue, len);
	/* <- s */
	noise_mix_hash(&hs->noise, responder->b, sizeof(responder->b));
}

static int mix_dh(struct noise *n, const struct privkey *sk, const struct pubkey *pk)
{
	struct aead_key shared;

	if (noise_dh(sk, pk, &shared) != 0)
		return -EINVAL;
	noise_mix_key(n, shared.b, sizeof(shared.b));
	secret_wipe(&shared, sizeof(shared));
	return 0;
}

/* With a presharedkey in the pattern, e goes into the key as well. */
static void mix_e(struct noise *n, const uint8_t e[32])
{
	noise_mix_hash(n, e, 32);
	noise_mix_key(n, e, 32);
}

static void write_e(struct handshake *hs, uint8_t *out)
{
	(void)crypto_scalarmult_curve25519_base(out, hs->e.b);
	mix_e(&hs->noise, out);
}

static void read_e(struct handshake *hs, struct rd *in)
{
	rd_bytes(in, hs->re.b, sizeof(hs->re.b));
	mix_e(&hs->noise, hs->re.b);
}

int handshake_write_init(struct handshake *hs, const struct handshake_self *self, const void *payload, size_t len,
			 uint8_t *out)
{
	/* -> e */
	write_e(hs, out);
	out += 32;
	/* -> es */
	if (mix_dh(&hs->noise, &hs->e, &hs->rs) != 0)
		return -EINVAL;
	/* -> s */
	noise_seal(&hs->noise, self->pk.b, sizeof(self->pk.b), out);
	out += sizeof(self->pk.b) + NOISE_TAG_BYTES;
	/* -> ss */
	if (mix_dh(&hs->noise, self->sk, &hs->rs) != 0)
		return -EINVAL;
	noise_seal(&hs->noise, payload, len, out);
	return 0;
}

int handshake_read_init(struct handshake *hs, const struct handshake_self *self, struct rd in, void *payload)
{
	const uint8_t *s;

	if (rd_left(&in) < HANDSHAKE_INIT_BYTES)
		return -EBADMSG;
	/* -> e */
	read_e(hs, &in);
	/* -> es */
	if (mix_dh(&hs->noise, self->sk, &hs->re) != 0)
		return -EINVAL;
	/* -> s */
	s = rd_take(&in, sizeof(hs->rs.b) + NOISE_TAG_BYTES);
	if (noise_open(&hs->noise, s, sizeof(hs->rs.b) + NOISE_TAG_BYTES, hs->rs.b) != 0)
		return -EBADMSG;
	/* -> ss */
	if (mix_dh(&hs->noise, self->sk, &hs->rs) != 0)
		return -EINVAL;
	return noise_open(&hs->noise, in.p, rd_left(&in), payload);
}

int handshake_write_resp(struct handshake *hs, const struct session_psk *psk, const void *payload, size_t len,
			 uint8_t *out)
{
	/* <- e */
	write_e(hs, out);
	out += 32;
	/* <- ee */
	if (mix_dh(&hs->noise, &hs->e, &hs->re) != 0)
		return -EINVAL;
	/* <- se */
	if (mix_dh(&hs->noise, &hs->e, &hs->rs) != 0)
		return -EINVAL;
	/* <- psk */
	noise_mix_key_and_hash(&hs->noise, psk->b, sizeof(psk->b));
	noise_seal(&hs->noise, payload, len, out);
	return 0;
}

/* The rest of message 2, with one of the presharedkeys. */
static int open_resp(struct noise *n, const struct session_psk *psk, const struct rd *in, void *payload)
{
	/* <- psk */
	noise_mix_key_and_hash(n, psk->b, sizeof(psk->b));
	return noise_open(n, in->p, rd_left(in), payload);
}

int handshake_read_resp(struct handshake *hs, const struct handshake_self *self, const struct handshake_psks *psks,
			struct rd in, void *payload)
{
	int bad = -EBADMSG;

	assert(psks->count >= 1 && psks->count <= SESSION_NETWORK_KEYS);
	if (rd_left(&in) < HANDSHAKE_RESP_BYTES)
		return -EBADMSG;
	/* <- e */
	read_e(hs, &in);
	/* <- ee */
	if (mix_dh(&hs->noise, &hs->e, &hs->re) != 0)
		return -EINVAL;
	/* <- se */
	if (mix_dh(&hs->noise, self->sk, &hs->re) != 0)
		return -EINVAL;
	for (uint8_t i = 0; i < psks->count && bad; i++) {
		struct noise n = hs->noise;

		bad = open_resp(&n, psks->psk[i], &in, payload);
		if (!bad)
			hs->noise = n;
		secret_wipe(&n, sizeof(n));
	}
	return bad;
}
