/* SPDX-License-Identifier: Apache-2.0 */
/* The Noise machinery to the byte: HMAC and HKDF against an independent implementation (Python's hmac and hashlib), the
 * published vectors of IK and IKpsk2 (tests/vectors/noise-vectors.json), and our own handshake
 * (tests/vectors/vectors-session.json, made by tests/support/session_model.py). Runs from the root of the tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "controld/session/carrier.h"
#include "controld/session/handshake.h"
#include <cjson/cJSON.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES = 16 * 1024, TEXT_BYTES = 256 };

struct bytes {
	uint8_t b[TEXT_BYTES];
	size_t len;
};

static cJSON *load(const char *name)
{
	static char text[FILE_BYTES];
	FILE *f = fopen(name, "re");
	size_t len;
	cJSON *root;

	assert_non_null(f);
	len = fread(text, 1, sizeof(text), f);
	fclose(f);
	root = cJSON_ParseWithLength(text, len);
	assert_non_null(root);
	return root;
}

static struct bytes hex(const char *text)
{
	struct bytes out;

	assert_int_equal(sodium_hex2bin(out.b, sizeof(out.b), text, strlen(text), NULL, &out.len, NULL), 0);
	return out;
}

static struct bytes member(const cJSON *at, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(at, name);

	assert_true(cJSON_IsString(item));
	return hex(item->valuestring);
}

static void assert_hex(const uint8_t *got, size_t len, const char *want)
{
	const struct bytes b = hex(want);

	assert_int_equal(len, b.len);
	assert_memory_equal(got, b.b, len);
}

static struct privkey secret_of(const struct bytes *b)
{
	struct privkey sk;

	assert_int_equal(b->len, sizeof(sk.b));
	memcpy(sk.b, b->b, sizeof(sk.b));
	return sk;
}

static struct pubkey public_of(const struct privkey *sk)
{
	struct pubkey pk;

	assert_int_equal(crypto_scalarmult_base(pk.b, sk->b), 0);
	return pk;
}

static void test_hmac(void **state)
{
	uint8_t key[NOISE_HASH_BYTES], out[NOISE_HASH_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	noise_hmac(key, "Hi ", 3, "There", 5, out);
	assert_hex(out, sizeof(out),
		   "56d20134eaed2944e0783f2143ba8bac665fa23ba63c40da4bf5b46f0b042775"
		   "1f55a64e62eb4db35c7e202a8465f677d117cb08596c78b05df0747800596167");
}

/* The structure of RFC 5869 (extract, then expand with an empty info and counters 1, 2, 3) over BLAKE2b. */
static void test_hkdf(void **state)
{
	static const struct {
		int salt; /* 1: 0, 1, 2 ..; 0: zeros; -1: 63, 62 .. */
		size_t len;
		int material; /* -1: 0, 1, 2 .. */
		const char *out[NOISE_OUTPUTS];
	} cases[] = {
		{1,
		 22,
		 0x0b,
		 {"351669c054c4349d00abfaa0d9eeb89abb2ac562b061acd3d90a7a345341625b"
		  "c8bff0e8f99d22d6feedd55a98b80d6017196e74ff4caaa551808a8e0f105c66",
		  "addd7d00fb71b715dd1bc1babae38712ede4135c8cc5f014416bb0c2660a18f7"
		  "5fd4f5cd11e8b605f96b425ebea251be71872247648774e68e2781da6116c1ff",
		  "01ea01d9c02426fc842e4b9d603a726bd29dc67a006f17e8851b91590a2336c0"
		  "9732899d92c18dde944b30c9f69eaf02693a94bd0591f8b80216647b35e68030"}},
		{0,
		 0,
		 0,
		 {"5206a97d30367ecb2db33721e4a747360e940b2d430e3b51c384c11676d69fe6"
		  "9a9366b5a746e6c8996cbb70c1da57e4d6f73835d8730d9c458feb1c843d9433",
		  "ebd9b589fba37e730c5deaac3634bb62797bf3f2ea17439d7da2915e19fb8da9"
		  "20449a5dffe6d36c2d80538a8fdb5c663e783659b41d62e1f01b604be1de2e9e",
		  "56a817396ddbefbc8ec82f85eb54c257a3109e64adc11c6fd72cc68a24bb9731"
		  "f7326acf261372c85053991d34d0e9e53140f857749185a1679cccb365eb57f5"}},
		{-1,
		 300,
		 -1,
		 {"a41b72cc0b02091620f1ba1e7d173827410d2ab93e5e43991dca117a0c6c1e56"
		  "70935b2babca8800e52f415deb6277a21168c0be493ee8049cf4d934d60b9b25",
		  "f4d0c2934e68305534633920a71283d1791bfb9f3aab734823c31f0e6726c67c"
		  "7b9fedae442efcd13116f5c9622de4702c2013215b7c6e467d9b34bed21c8b6b",
		  "c1124ffb27c02e7a43b8492cc0b73bcea930c511374cad770ac10c709c0df9fe"
		  "42b0d3531c10b5c287b3dd74ed40d781113db5b534eb062f4e1e0413a5df9245"}},
	};

	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		uint8_t salt[NOISE_HASH_BYTES], material[300], out[NOISE_OUTPUTS][NOISE_HASH_BYTES];

		for (size_t i = 0; i < sizeof(salt); i++)
			salt[i] = (uint8_t)(cases[c].salt == 0 ? 0 : cases[c].salt > 0 ? i : sizeof(salt) - 1 - i);
		for (size_t i = 0; i < sizeof(material); i++)
			material[i] = (uint8_t)(cases[c].material < 0 ? (int)i : cases[c].material);
		for (int count = 1; count <= NOISE_OUTPUTS; count++) {
			noise_hkdf(salt, material, cases[c].len, count, out);
			for (int i = 0; i < count; i++)
				assert_hex(out[i], NOISE_HASH_BYTES, cases[c].out[i]);
		}
	}
}

/* X25519 refuses every key of low order. */
static void test_low_order(void **state)
{
	static const char *const keys[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	const struct privkey sk = {{9, 8, 7}};

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const struct bytes b = hex(keys[i]);
		struct pubkey pk;
		struct aead_key out;

		memcpy(pk.b, b.b, sizeof(pk.b));
		assert_int_equal(noise_dh(&sk, &pk, &out), -EINVAL);
	}
}

/* Both sides of a transport message of a vector: as revision 34 has it, without associated data. */
static void assert_transport(const struct aead_key *k, uint8_t n, const struct bytes *plain, const struct bytes *sealed)
{
	const uint8_t nonce[crypto_aead_aes256gcm_NPUBBYTES] = {[11] = n};
	uint8_t out[TEXT_BYTES + 16];

	assert_int_equal(crypto_aead_aes256gcm_encrypt(out, NULL, plain->b, plain->len, NULL, 0, NULL, nonce, k->b), 0);
	assert_int_equal(sealed->len, plain->len + NOISE_TAG_BYTES);
	assert_memory_equal(out, sealed->b, sealed->len);
}

/* What a vector says. */
struct vector {
	const cJSON *json;
	struct handshake_self init, resp;
	struct privkey secrets[2], ephemerals[2];
	struct bytes prologue, plain[6], sealed[6];
	struct session_psk psk;
};

static struct vector vector_of(const cJSON *root, const char *name)
{
	static const char *const names[2][2] = {{"init_static", "init_ephemeral"}, {"resp_static", "resp_ephemeral"}};
	struct vector v = {0};
	const cJSON *item, *psks, *messages;

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(root, "vectors"))
	{
		if (strcmp(cJSON_GetObjectItemCaseSensitive(item, "protocol_name")->valuestring, name) == 0)
			v.json = item;
	}
	assert_non_null(v.json);
	for (int i = 0; i < 2; i++) {
		const struct bytes s = member(v.json, names[i][0]), e = member(v.json, names[i][1]);

		v.secrets[i] = secret_of(&s);
		v.ephemerals[i] = secret_of(&e);
	}
	v.prologue = member(v.json, "init_prologue");
	psks = cJSON_GetObjectItemCaseSensitive(v.json, "init_psks");
	if (psks) {
		const struct bytes psk = hex(cJSON_GetArrayItem(psks, 0)->valuestring);

		memcpy(v.psk.b, psk.b, sizeof(v.psk.b));
	}
	messages = cJSON_GetObjectItemCaseSensitive(v.json, "messages");
	assert_int_equal(cJSON_GetArraySize(messages), 6);
	for (int i = 0; i < 6; i++) {
		v.plain[i] = member(cJSON_GetArrayItem(messages, i), "payload");
		v.sealed[i] = member(cJSON_GetArrayItem(messages, i), "ciphertext");
	}
	return v;
}

static void name_selves(struct vector *v)
{
	v->init = (struct handshake_self){.sk = &v->secrets[0], .pk = public_of(&v->secrets[0])};
	v->resp = (struct handshake_self){.sk = &v->secrets[1], .pk = public_of(&v->secrets[1])};
	assert_memory_equal(member(v->json, "init_remote_static").b, v->resp.pk.b, sizeof(v->resp.pk.b));
}

/* The messages after the handshake alternate, the initiator's first; h is the handshake hash. */
static void assert_end(const struct vector *v, const struct noise *n)
{
	const struct bytes h = member(v->json, "handshake_hash");
	struct aead_key keys[2];

	assert_memory_equal(n->h, h.b, h.len);
	noise_split(n, &keys[0], &keys[1]);
	for (int i = 2; i < 6; i++)
		assert_transport(&keys[i % 2], (uint8_t)((i - 2) / 2), &v->plain[i], &v->sealed[i]);
}

static void test_ikpsk2(void **state)
{
	cJSON *root = load("tests/vectors/noise-vectors.json");
	struct vector v = vector_of(root, "Noise_IKpsk2_25519_AESGCM_BLAKE2b");
	const struct session_psk wrong = {{1}};
	const struct handshake_psks psks = {.psk = {&wrong, &v.psk}, .count = 2};
	struct handshake a = {0}, b = {0};
	uint8_t out[TEXT_BYTES], plain[TEXT_BYTES];

	(void)state;
	name_selves(&v);
	handshake_begin(&a, v.prologue.b, v.prologue.len, &v.resp.pk);
	handshake_begin(&b, v.prologue.b, v.prologue.len, &v.resp.pk);
	a.e = v.ephemerals[0];
	a.rs = v.resp.pk;
	b.e = v.ephemerals[1];
	assert_int_equal(handshake_write_init(&a, &v.init, v.plain[0].b, v.plain[0].len, out), 0);
	assert_memory_equal(out, v.sealed[0].b, v.sealed[0].len);
	assert_int_equal(handshake_read_init(&b, &v.resp, rd_init(out, v.sealed[0].len), plain), 0);
	assert_memory_equal(plain, v.plain[0].b, v.plain[0].len);
	assert_true(pubkey_eq(&b.rs, &v.init.pk));
	assert_int_equal(handshake_write_resp(&b, &v.psk, v.plain[1].b, v.plain[1].len, out), 0);
	assert_memory_equal(out, v.sealed[1].b, v.sealed[1].len);
	assert_int_equal(handshake_read_resp(&a, &v.init, &psks, rd_init(out, v.sealed[1].len), plain), 0);
	assert_memory_equal(plain, v.plain[1].b, v.plain[1].len);
	assert_end(&v, &a.noise);
	assert_end(&v, &b.noise);
	cJSON_Delete(root);
}

static void mix_dh(struct noise *n, const struct privkey *sk, const struct privkey *other)
{
	const struct pubkey pk = public_of(other);
	struct aead_key k;

	assert_int_equal(noise_dh(sk, &pk, &k), 0);
	noise_mix_key(n, k.b, sizeof(k.b));
}

/* The pattern without a presharedkey, spelled here token by token: the symmetric state alone is under test. */
static void test_ik(void **state)
{
	cJSON *root = load("tests/vectors/noise-vectors.json");
	struct vector v = vector_of(root, "Noise_IK_25519_AESGCM_BLAKE2b");
	const struct pubkey ie = public_of(&v.ephemerals[0]), re = public_of(&v.ephemerals[1]);
	struct noise n;
	uint8_t out[TEXT_BYTES];

	(void)state;
	name_selves(&v);
	noise_init(&n, "Noise_IK_25519_AESGCM_BLAKE2b", v.prologue.b, v.prologue.len);
	noise_mix_hash(&n, v.resp.pk.b, 32);
	noise_mix_hash(&n, ie.b, 32);
	mix_dh(&n, &v.ephemerals[0], &v.secrets[1]);
	noise_seal(&n, v.init.pk.b, 32, out);
	mix_dh(&n, &v.secrets[0], &v.secrets[1]);
	noise_seal(&n, v.plain[0].b, v.plain[0].len, out + 48);
	assert_memory_equal(v.sealed[0].b, ie.b, 32);
	assert_memory_equal(v.sealed[0].b + 32, out, v.sealed[0].len - 32);
	noise_mix_hash(&n, re.b, 32);
	mix_dh(&n, &v.ephemerals[1], &v.ephemerals[0]);
	mix_dh(&n, &v.ephemerals[1], &v.secrets[0]);
	noise_seal(&n, v.plain[1].b, v.plain[1].len, out);
	assert_memory_equal(v.sealed[1].b, re.b, 32);
	assert_memory_equal(v.sealed[1].b + 32, out, v.sealed[1].len - 32);
	assert_end(&v, &n);
	cJSON_Delete(root);
}

/* Every byte of both messages counts, and every truncation fails. */
static void test_tampering(void **state)
{
	cJSON *root = load("tests/vectors/noise-vectors.json");
	struct vector v = vector_of(root, "Noise_IKpsk2_25519_AESGCM_BLAKE2b");
	const struct session_psk wrong = {{1}};
	const struct handshake_psks psks = {.psk = {&v.psk}, .count = 1}, others = {.psk = {&wrong}, .count = 1};
	struct handshake a = {0}, b = {0}, copy;
	uint8_t init[HANDSHAKE_INIT_BYTES], resp[HANDSHAKE_RESP_BYTES], none[1];

	(void)state;
	name_selves(&v);
	handshake_begin(&a, NULL, 0, &v.resp.pk);
	handshake_begin(&b, NULL, 0, &v.resp.pk);
	a.e = v.ephemerals[0];
	a.rs = v.resp.pk;
	b.e = v.ephemerals[1];
	assert_int_equal(handshake_write_init(&a, &v.init, NULL, 0, init), 0);
	for (size_t i = 0; i < sizeof(init); i++) {
		copy = b;
		init[i] ^= 1;
		assert_int_not_equal(handshake_read_init(&copy, &v.resp, rd_init(init, sizeof(init)), none), 0);
		init[i] ^= 1;
		copy = b;
		assert_int_equal(handshake_read_init(&copy, &v.resp, rd_init(init, i), none), -EBADMSG);
	}
	assert_int_equal(handshake_read_init(&b, &v.resp, rd_init(init, sizeof(init)), none), 0);
	assert_int_equal(handshake_write_resp(&b, &v.psk, NULL, 0, resp), 0);
	for (size_t i = 0; i < sizeof(resp); i++) {
		copy = a;
		resp[i] ^= 1;
		assert_int_not_equal(handshake_read_resp(&copy, &v.init, &psks, rd_init(resp, sizeof(resp)), none), 0);
		resp[i] ^= 1;
		copy = a;
		assert_int_equal(handshake_read_resp(&copy, &v.init, &psks, rd_init(resp, i), none), -EBADMSG);
	}
	copy = a;
	assert_int_equal(handshake_read_resp(&copy, &v.init, &others, rd_init(resp, sizeof(resp)), none), -EBADMSG);
	assert_int_equal(handshake_read_resp(&a, &v.init, &psks, rd_init(resp, sizeof(resp)), none), 0);
	cJSON_Delete(root);
}

/* A low-order ephemeral fails either message at once. */
static void test_low_ephemeral(void **state)
{
	const struct privkey sk = {{1, 2, 3}};
	const struct handshake_self self = {.sk = &sk, .pk = public_of(&sk)};
	const struct session_psk psk = {{0}};
	const struct handshake_psks psks = {.psk = {&psk}, .count = 1};
	const uint8_t zeros[HANDSHAKE_INIT_BYTES] = {0};
	struct handshake hs = {.e = {{5}}};
	uint8_t out[HANDSHAKE_INIT_BYTES];

	(void)state;
	handshake_begin(&hs, NULL, 0, &self.pk);
	assert_int_equal(handshake_read_init(&hs, &self, rd_init(zeros, sizeof(zeros)), out), -EINVAL);
	assert_int_equal(handshake_read_resp(&hs, &self, &psks, rd_init(zeros, HANDSHAKE_RESP_BYTES), out), -EINVAL);
	assert_int_equal(handshake_write_init(&hs, &self, NULL, 0, out), -EINVAL); /* rs is zeros */
	hs.rs = self.pk;
	assert_int_equal(handshake_write_resp(&hs, &psk, NULL, 0, out), -EINVAL); /* re is zeros */
}

static void test_ephemeral(void **state)
{
	struct privkey sk, out;
	uint8_t seed[HANDSHAKE_SEED_BYTES], stamp[HANDSHAKE_STAMP_BYTES];
	struct pubkey peer;

	(void)state;
	for (size_t i = 0; i < 32; i++) {
		sk.b[i] = (uint8_t)i;
		seed[i] = (uint8_t)(i + 32);
		peer.b[i] = 7;
	}
	for (size_t i = 0; i < sizeof(stamp); i++)
		stamp[i] = (uint8_t)i;
	handshake_ephemeral(&(struct handshake_self){.sk = &sk}, seed, stamp, &peer, &out);
	assert_hex(out.b, sizeof(out.b), "2e7b651c743f82c92726ef8f137ac7f3bf85922608bf01b303ef21c8154dca99");
}

/* Body and prologue of the known INIT. */
static void write_known_init(const cJSON *root, uint8_t init[CARRIER_INIT_HEAD_BYTES], struct wr *prologue)
{
	const struct bytes ia = member(root, "initiator_address"), ra = member(root, "responder_address");
	struct carrier_init fields = {.sender = 0x11223344, .lowest = 1, .highest = 1, .lanes = 16, .capabilities = 1};
	struct wr w = wr_init(init, CARRIER_INIT_HEAD_BYTES);
	struct wr stamp = wr_init(fields.stamp, sizeof(fields.stamp));
	struct ip6 from, to;

	carrier_write_stamp(&stamp, INT64_C(1700000000123456789));
	carrier_write_init(&w, &fields);
	assert_int_equal(wr_len(&w), CARRIER_INIT_HEAD_BYTES);
	memcpy(from.b, ia.b, 16);
	memcpy(to.b, ra.b, 16);
	carrier_write_prologue(prologue, &from, &to, init, CARRIER_INIT_HEAD_BYTES);
}

static void assert_keepalive(const cJSON *root, const struct aead_key *k)
{
	const struct bytes want = member(root, "keepalive_initiator_to_responder_lane0_counter0");
	const struct bytes ia = member(root, "initiator_address"), ra = member(root, "responder_address");
	const uint8_t plain[8] = {1, SESSION_CONTROL, [4] = CARRIER_KEEPALIVE};
	const uint8_t nonce[12] = {0x55, 0x66, 0x77, 0x88};
	uint8_t aad[32], out[36];

	memcpy(aad, ia.b, 16);
	memcpy(aad + 16, ra.b, 16);
	assert_int_equal(crypto_aead_aes256gcm_encrypt(out, NULL, plain, 8, aad, 32, NULL, nonce, k->b), 0);
	memcpy(out + 24, nonce, 12);
	assert_int_equal(want.len, sizeof(out));
	assert_memory_equal(out, want.b, sizeof(out));
}

static void test_session_vectors(void **state)
{
	cJSON *root = load("tests/vectors/vectors-session.json");
	const struct bytes init_want = member(root, "init_body"), resp_want = member(root, "resp_body");
	const struct bytes is = member(root, "initiator_secret"), rs = member(root, "responder_secret");
	const struct bytes ie = member(root, "initiator_ephemeral"), re = member(root, "responder_ephemeral");
	const struct privkey isk = secret_of(&is), rsk = secret_of(&rs);
	const struct handshake_self self = {.sk = &isk, .pk = public_of(&isk)},
				    far = {.sk = &rsk, .pk = public_of(&rsk)};
	const struct session_psk psk = {{0}};
	const struct handshake_psks psks = {.psk = {&psk}, .count = 1};
	const struct carrier_choice choice = {.sender = 0x55667788, .version = 1, .lanes = 16, .capabilities = 1};
	uint8_t init[CARRIER_INIT_BYTES], resp[CARRIER_RESP_BYTES], prologue[CARRIER_PROLOGUE_MAX_BYTES];
	uint8_t payload[CARRIER_CHOICE_BYTES], got[CARRIER_CHOICE_BYTES];
	struct wr pw = wr_init(prologue, sizeof(prologue)), cw = wr_init(payload, sizeof(payload));
	struct handshake a = {.e = secret_of(&ie), .rs = far.pk}, b = {.e = secret_of(&re)};
	struct aead_key k[4];

	(void)state;
	write_known_init(root, init, &pw);
	handshake_begin(&a, prologue, wr_len(&pw), &far.pk);
	handshake_begin(&b, prologue, wr_len(&pw), &far.pk);
	assert_int_equal(handshake_write_init(&a, &self, NULL, 0, init + CARRIER_INIT_HEAD_BYTES), 0);
	assert_int_equal(init_want.len, sizeof(init));
	assert_memory_equal(init, init_want.b, sizeof(init));
	assert_int_equal(handshake_read_init(&b, &far, rd_init(init + 40, HANDSHAKE_INIT_BYTES), got), 0);
	carrier_write_choice(&cw, &choice);
	memcpy(resp, init, 4);
	assert_int_equal(handshake_write_resp(&b, &psk, payload, sizeof(payload), resp + 4), 0);
	assert_int_equal(resp_want.len, sizeof(resp));
	assert_memory_equal(resp, resp_want.b, sizeof(resp));
	assert_int_equal(handshake_read_resp(&a, &self, &psks, rd_init(resp + 4, sizeof(resp) - 4), got), 0);
	assert_memory_equal(got, payload, sizeof(got));
	assert_memory_equal(a.noise.h, member(root, "handshake_hash").b, NOISE_HASH_BYTES);
	noise_split(&a.noise, &k[0], &k[1]);
	noise_split(&b.noise, &k[2], &k[3]);
	assert_memory_equal(k[0].b, member(root, "key_initiator_to_responder").b, 32);
	assert_memory_equal(k[1].b, member(root, "key_responder_to_initiator").b, 32);
	assert_memory_equal(k, &k[2], sizeof(k) / 2);
	assert_keepalive(root, &k[0]);
	cJSON_Delete(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_hkdf),
		cmocka_unit_test(test_low_order),
		cmocka_unit_test(test_ikpsk2),
		cmocka_unit_test(test_ik),
		cmocka_unit_test(test_tampering),
		cmocka_unit_test(test_ephemeral),
		cmocka_unit_test(test_low_ephemeral),
		cmocka_unit_test(test_session_vectors),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
