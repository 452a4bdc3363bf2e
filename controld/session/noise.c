/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/session/noise.h"
#include <assert.h>
#include <errno.h>

_Static_assert(crypto_generichash_blake2b_BYTES_MAX == NOISE_HASH_BYTES, "the longest digest");
_Static_assert(crypto_aead_aes256gcm_ABYTES == NOISE_TAG_BYTES, "tag");
_Static_assert(crypto_aead_aes256gcm_KEYBYTES == sizeof(struct aead_key), "key");

enum { NONCE_BYTES = crypto_aead_aes256gcm_NPUBBYTES, INNER_PAD = 0x36, OUTER_PAD = 0x5c };

bool noise_is_available(void)
{
	return crypto_aead_aes256gcm_is_available();
}

struct part {
	const void *bytes;
	size_t len;
};

/* BLAKE2b-512 of the parts, one after the other, without a key. */
static void hash_parts(const struct part *parts, size_t count, uint8_t out[NOISE_HASH_BYTES])
{
	crypto_generichash_blake2b_state state;

	(void)crypto_generichash_blake2b_init(&state, NULL, 0, NOISE_HASH_BYTES);
	for (size_t i = 0; i < count; i++)
		(void)crypto_generichash_blake2b_update(&state, parts[i].bytes, parts[i].len);
	(void)crypto_generichash_blake2b_final(&state, out, NOISE_HASH_BYTES);
	secret_wipe(&state, sizeof(state));
}

/* The key is shorter than a block: padded with zeros. */
static void padded_key(const uint8_t key[NOISE_HASH_BYTES], uint8_t pad, uint8_t out[NOISE_BLOCK_BYTES])
{
	memset(out, 0, NOISE_BLOCK_BYTES);
	memcpy(out, key, NOISE_HASH_BYTES);
	for (size_t i = 0; i < NOISE_BLOCK_BYTES; i++)
		out[i] ^= pad;
}

void noise_hmac(const uint8_t key[NOISE_HASH_BYTES], const void *a, size_t a_len, const void *b, size_t b_len,
		uint8_t out[NOISE_HASH_BYTES])
{
	uint8_t block[NOISE_BLOCK_BYTES], inner[NOISE_HASH_BYTES];

	padded_key(key, INNER_PAD, block);
	hash_parts((const struct part[]){{block, sizeof(block)}, {a, a_len}, {b, b_len}}, 3, inner);
	padded_key(key, OUTER_PAD, block);
	hash_parts((const struct part[]){{block, sizeof(block)}, {inner, sizeof(inner)}}, 2, out);
	secret_wipe(block, sizeof(block));
	secret_wipe(inner, sizeof(inner));
}

void noise_hkdf(const uint8_t ck[NOISE_HASH_BYTES], const void *material, size_t len, int count,
		uint8_t out[NOISE_OUTPUTS][NOISE_HASH_BYTES])
{
	uint8_t temp[NOISE_HASH_BYTES];

	assert(count >= 1 && count <= NOISE_OUTPUTS);
	noise_hmac(ck, material, len, NULL, 0, temp);
	for (int i = 0; i < count; i++) {
		const uint8_t number = (uint8_t)(i + 1);

		noise_hmac(temp, i ? out[i - 1] : NULL, i ? NOISE_HASH_BYTES : 0, &number, 1, out[i]);
	}
	secret_wipe(temp, sizeof(temp));
}

void noise_mix_hash(struct noise *n, const void *bytes, size_t len)
{
	hash_parts((const struct part[]){{n->h, sizeof(n->h)}, {bytes, len}}, 2, n->h);
}

void noise_init(struct noise *n, const char *name, const void *prologue, size_t len)
{
	const size_t name_len = strlen(name);

	assert(name_len <= NOISE_HASH_BYTES);
	*n = (struct noise){0};
	memcpy(n->h, name, name_len);
	memcpy(n->ck, n->h, sizeof(n->ck));
	noise_mix_hash(n, prologue, len);
}

static void set_key(struct noise *n, const uint8_t output[NOISE_HASH_BYTES])
{
	memcpy(n->k.b, output, sizeof(n->k.b));
	n->n = 0;
}

void noise_mix_key(struct noise *n, const void *material, size_t len)
{
	uint8_t out[NOISE_OUTPUTS][NOISE_HASH_BYTES];

	noise_hkdf(n->ck, material, len, 2, out);
	memcpy(n->ck, out[0], sizeof(n->ck));
	set_key(n, out[1]);
	secret_wipe(out, sizeof(out));
}

void noise_mix_key_and_hash(struct noise *n, const void *material, size_t len)
{
	uint8_t out[NOISE_OUTPUTS][NOISE_HASH_BYTES];

	noise_hkdf(n->ck, material, len, 3, out);
	memcpy(n->ck, out[0], sizeof(n->ck));
	noise_mix_hash(n, out[1], NOISE_HASH_BYTES);
	set_key(n, out[2]);
	secret_wipe(out, sizeof(out));
}

static void next_nonce(struct noise *n, uint8_t nonce[NONCE_BYTES])
{
	struct wr w = wr_init(nonce, NONCE_BYTES);

	wr_be32(&w, 0);
	wr_be64(&w, n->n++);
	assert(!w.bad && wr_len(&w) == NONCE_BYTES);
}

void noise_seal(struct noise *n, const void *plain, size_t len, uint8_t *out)
{
	crypto_aead_aes256gcm_state state;
	uint8_t nonce[NONCE_BYTES];

	next_nonce(n, nonce);
	(void)crypto_aead_aes256gcm_beforenm(&state, n->k.b);
	(void)crypto_aead_aes256gcm_encrypt_afternm(out, NULL, plain, len, n->h, sizeof(n->h), NULL, nonce,
						    (const crypto_aead_aes256gcm_state *)&state);
	secret_wipe(&state, sizeof(state));
	noise_mix_hash(n, out, len + NOISE_TAG_BYTES);
}

int noise_open(struct noise *n, const uint8_t *bytes, size_t len, void *plain)
{
	crypto_aead_aes256gcm_state state;
	uint8_t nonce[NONCE_BYTES];
	int bad;

	next_nonce(n, nonce);
	(void)crypto_aead_aes256gcm_beforenm(&state, n->k.b);
	bad = crypto_aead_aes256gcm_decrypt_afternm(plain, NULL, NULL, bytes, len, n->h, sizeof(n->h), nonce,
						    (const crypto_aead_aes256gcm_state *)&state);
	secret_wipe(&state, sizeof(state));
	if (bad)
		return -EBADMSG;
	noise_mix_hash(n, bytes, len);
	return 0;
}

void noise_split(const struct noise *n, struct aead_key *first, struct aead_key *second)
{
	uint8_t out[NOISE_OUTPUTS][NOISE_HASH_BYTES];

	noise_hkdf(n->ck, NULL, 0, 2, out);
	memcpy(first->b, out[0], sizeof(first->b));
	memcpy(second->b, out[1], sizeof(second->b));
	secret_wipe(out, sizeof(out));
}

int noise_dh(const struct privkey *sk, const struct pubkey *pk, struct aead_key *out)
{
	/* Tells of an all-zero result by -1, in constant time. */
	if (crypto_scalarmult_curve25519(out->b, sk->b, pk->b) != 0) {
		secret_wipe(out, sizeof(*out));
		return -EINVAL;
	}
	return 0;
}
