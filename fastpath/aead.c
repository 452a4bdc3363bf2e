/* SPDX-License-Identifier: Apache-2.0 */
/* libipsec-mb by its direct calls (one packet, no queue), and libsodium. Of the manager of libipsec-mb only the
 * functions that it picked for this CPU are kept. */
#include "fastpath/aead.h"

#include <intel-ipsec-mb.h>
#include <stdlib.h>

enum { MB_KEY_BYTES = (sizeof(struct gcm_key_data) + AEAD_ALIGN - 1) / AEAD_ALIGN * AEAD_ALIGN };
_Static_assert(sizeof(crypto_aead_aes256gcm_state) % AEAD_ALIGN == 0, "libsodium's key fills whole lines");

static struct {
	aes_gcm_pre_t pre;
	aes_gcm_enc_dec_t enc, dec;
} mb;

static void mb_key_init(void *key, const struct aead_key *secret)
{
	mb.pre(secret->b, key);
}

static void mb_seal(const void *key, const struct aead_job *j)
{
	struct gcm_context_data context;

	mb.enc(key, &context, j->out, j->in, j->len, j->nonce, j->aad, j->aad_len, j->tag, AEAD_TAG_BYTES);
}

static bool mb_open(const void *key, const struct aead_job *j)
{
	struct gcm_context_data context;
	uint8_t tag[AEAD_TAG_BYTES];

	mb.dec(key, &context, j->out, j->in, j->len, j->nonce, j->aad, j->aad_len, tag, AEAD_TAG_BYTES);
	return crypto_verify_16(tag, j->tag) == 0;
}

static void sodium_key_init(void *key, const struct aead_key *secret)
{
	(void)crypto_aead_aes256gcm_beforenm(key, secret->b);
}

static void sodium_seal(const void *key, const struct aead_job *j)
{
	(void)crypto_aead_aes256gcm_encrypt_detached_afternm(j->out, j->tag, NULL, j->in, j->len, j->aad, j->aad_len,
							     NULL, j->nonce, key);
}

static bool sodium_open(const void *key, const struct aead_job *j)
{
	return crypto_aead_aes256gcm_decrypt_detached_afternm(j->out, NULL, j->in, j->len, j->tag, j->aad, j->aad_len,
							      j->nonce, key) == 0;
}

static const struct aead aead_mb = {
	.name = "ipsec-mb", .key_bytes = MB_KEY_BYTES, .key_init = mb_key_init, .seal = mb_seal, .open = mb_open};
static const struct aead aead_sodium = {.name = "libsodium",
					.key_bytes = sizeof(crypto_aead_aes256gcm_state),
					.key_init = sodium_key_init,
					.seal = sodium_seal,
					.open = sodium_open};

/* Without AES instructions libipsec-mb falls back to an emulation that is slow: not taken. */
static bool mb_is_usable(void)
{
	const uint64_t need = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;
	IMB_MGR *m;
	bool usable;

	if (mb.pre)
		return true;
	m = alloc_mb_mgr(0);
	if (!m)
		return false;
	usable = (m->features & need) == need;
	if (usable) {
		init_mb_mgr_auto(m, NULL);
		usable = imb_get_errno(m) == 0;
	}
	if (usable) {
		mb.enc = m->gcm256_enc;
		mb.dec = m->gcm256_dec;
		mb.pre = m->gcm256_pre;
	}
	free_mb_mgr(m);
	return usable;
}

const struct aead *aead_find(const char *name)
{
	if (sodium_init() < 0)
		return NULL;
	if (strcmp(name, aead_mb.name) == 0)
		return mb_is_usable() ? &aead_mb : NULL;
	if (strcmp(name, aead_sodium.name) == 0)
		return crypto_aead_aes256gcm_is_available() ? &aead_sodium : NULL;
	return NULL;
}

const struct aead *aead_choose(const char **why)
{
	const struct aead *a = aead_find(aead_mb.name);

	if (!a)
		a = aead_find(aead_sodium.name);
	*why = a ? NULL
		 : "AES-256-GCM needs a CPU with AES and carry-less multiplication instructions; this one has none";
	return a;
}
