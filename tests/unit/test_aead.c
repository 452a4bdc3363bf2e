/* SPDX-License-Identifier: Apache-2.0 */
/* AES-256-GCM: published known answers, the two implementations against each other, and every changed bit refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "fastpath/aead.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LEN = 1500, MAX_SHIFT = 64, MAX_AAD = 40 };

static const struct aead *implementations[2];

struct expanded {
	void *key[2]; /* one for each implementation */
};

static void expand(struct expanded *e, const struct aead_key *secret)
{
	for (int i = 0; i < 2; i++) {
		assert_int_equal(implementations[i]->key_bytes % AEAD_ALIGN, 0);
		e->key[i] = aligned_alloc(AEAD_ALIGN, implementations[i]->key_bytes);
		assert_non_null(e->key[i]);
		implementations[i]->key_init(e->key[i], secret);
	}
}

static void expand_free(struct expanded *e)
{
	for (int i = 0; i < 2; i++)
		free(e->key[i]);
}

static void fill(uint8_t *out, size_t len, unsigned start)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(start + i * 31 + (i >> 8));
}

static size_t unhex(uint8_t *out, const char *hex)
{
	const size_t len = strlen(hex) / 2;

	for (size_t i = 0; i < len; i++) {
		const char byte[3] = {hex[2 * i], hex[2 * i + 1], 0};

		out[i] = (uint8_t)strtoul(byte, NULL, 16);
	}
	return len;
}

/* Test cases 13 to 16 of the GCM specification submitted to NIST. */
static const struct {
	const char *key, *nonce, *aad, *plain, *cipher, *tag;
} answers[] = {
	{"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "", "", "",
	 "530f8afbc74536b9a963b4f1c4cb738b"},
	{"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "",
	 "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
	{"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "",
	 "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	 "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
	 "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	 "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
	 "b094dac5d93471bdec1a502270e3cc6c"},
	{"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
	 "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	 "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	 "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	 "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	 "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
	 "76fc6ece0f4e1768cddf8853bb2d551b"},
};

static void known_answers(void **state)
{
	(void)state;
	for (size_t n = 0; n < 2 * sizeof(answers) / sizeof(answers[0]); n++) {
		const int i = n % 2;
		uint8_t nonce[12], aad[MAX_AAD], plain[64], cipher[64], tag[16], out[64], made[16];
		struct aead_job job = {.out = out, .in = plain, .nonce = nonce, .aad = aad, .tag = made};
		struct aead_key secret;
		struct expanded e;

		unhex(secret.b, answers[n / 2].key);
		unhex(nonce, answers[n / 2].nonce);
		job.aad_len = unhex(aad, answers[n / 2].aad);
		job.len = unhex(plain, answers[n / 2].plain);
		assert_int_equal(unhex(cipher, answers[n / 2].cipher), job.len);
		unhex(tag, answers[n / 2].tag);
		expand(&e, &secret);
		implementations[i]->seal(e.key[i], &job);
		assert_memory_equal(out, cipher, job.len);
		assert_memory_equal(made, tag, sizeof(tag));
		job.in = cipher;
		assert_true(implementations[i]->open(e.key[i], &job));
		assert_memory_equal(out, plain, job.len);
		expand_free(&e);
	}
}

static void both_agree(void **state)
{
	static uint8_t plain[MAX_LEN], out[2][MAX_LEN], back[MAX_LEN];
	const struct aead_key secret = {{1, 2, 3}};
	uint8_t aad[MAX_AAD], nonce[12], tag[2][16];
	struct expanded e;

	(void)state;
	fill(plain, sizeof(plain), 5);
	fill(aad, sizeof(aad), 9);
	expand(&e, &secret);
	for (size_t len = 0; len <= MAX_LEN; len++) {
		struct aead_job job = {.nonce = nonce, .len = len};

		fill(nonce, sizeof(nonce), (unsigned)len * 3);
		job.aad_len = len % 3 ? 0 : len % (MAX_AAD + 1);
		job.aad = job.aad_len ? aad : NULL;
		for (int i = 0; i < 2; i++) {
			job.out = out[i];
			job.in = plain;
			job.tag = tag[i];
			implementations[i]->seal(e.key[i], &job);
		}
		assert_memory_equal(out[0], out[1], len);
		assert_memory_equal(tag[0], tag[1], 16);
		for (int i = 0; i < 2; i++) {
			job.out = back;
			job.in = out[!i];
			job.tag = tag[!i];
			assert_true(implementations[i]->open(e.key[i], &job));
			assert_memory_equal(back, plain, len);
		}
	}
	expand_free(&e);
}

struct sealed {
	size_t len;
	uint8_t bytes[400], aad[32], nonce[12], tag[16];
};

/* Each bit of some bytes of a sealed packet changed: none opens. */
static void refuse_changes(const struct aead *a, const void *key, struct sealed *s, uint8_t *bytes, size_t len)
{
	uint8_t out[400];
	const struct aead_job job = {.out = out,
				     .in = s->bytes,
				     .len = s->len,
				     .nonce = s->nonce,
				     .aad = s->aad,
				     .aad_len = sizeof(s->aad),
				     .tag = s->tag};

	assert_true(a->open(key, &job));
	for (size_t bit = 0; bit < len * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(a->open(key, &job));
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void every_bit_counts(void **state)
{
	static const size_t lengths[] = {0, 1, 4, 15, 16, 17, 60, 127, 128, 129, 300, 400};
	const struct aead_key secret = {{7}};
	struct expanded e;

	(void)state;
	expand(&e, &secret);
	for (size_t n = 0; n < 2 * sizeof(lengths) / sizeof(lengths[0]); n++) {
		const struct aead *a = implementations[n % 2];
		const void *key = e.key[n % 2];
		struct sealed s = {.len = lengths[n / 2]};
		const struct aead_job job = {.out = s.bytes,
					     .in = s.bytes,
					     .len = s.len,
					     .nonce = s.nonce,
					     .aad = s.aad,
					     .aad_len = sizeof(s.aad),
					     .tag = s.tag};

		fill(s.bytes, sizeof(s.bytes), 1);
		a->seal(key, &job);
		refuse_changes(a, key, &s, s.bytes, s.len);
		refuse_changes(a, key, &s, s.tag, sizeof(s.tag));
		refuse_changes(a, key, &s, s.nonce, sizeof(s.nonce));
		refuse_changes(a, key, &s, s.aad, sizeof(s.aad));
	}
	expand_free(&e);
}

/* In place, and with out before in by any distance, both ways. */
static void out_may_lie_before_in(void **state)
{
	static const size_t lengths[] = {1, 16, 60, 127, 129, 256, 257, 511, 777, 1024, 1404, MAX_LEN};
	static uint8_t plain[MAX_LEN], cipher[MAX_LEN], room[MAX_SHIFT + MAX_LEN];
	const struct aead_key secret = {{9, 9}};
	uint8_t nonce[12] = {1}, tag[16], made[16];
	struct expanded e;

	(void)state;
	fill(plain, sizeof(plain), 77);
	expand(&e, &secret);
	for (size_t n = 0; n < 2 * sizeof(lengths) / sizeof(lengths[0]); n++) {
		const struct aead *a = implementations[n % 2];
		const void *key = e.key[n % 2];
		struct aead_job job = {.out = cipher, .in = plain, .len = lengths[n / 2], .nonce = nonce, .tag = tag};

		a->seal(key, &job);
		job.out = room;
		for (size_t shift = 0; shift <= MAX_SHIFT; shift++) {
			job.in = room + shift;
			memcpy(room + shift, plain, job.len);
			job.tag = made;
			a->seal(key, &job);
			assert_memory_equal(room, cipher, job.len);
			assert_memory_equal(made, tag, sizeof(tag));
			memmove(room + shift, room, job.len);
			job.tag = tag;
			assert_true(a->open(key, &job));
			assert_memory_equal(room, plain, job.len);
		}
	}
	expand_free(&e);
}

static void the_first_usable_is_chosen(void **state)
{
	const char *why = "";

	(void)state;
	assert_ptr_equal(aead_choose(&why), implementations[0]);
	assert_null(why);
	assert_string_equal(implementations[0]->name, "ipsec-mb");
	assert_string_equal(implementations[1]->name, "libsodium");
	assert_null(aead_find("openssl"));
	assert_null(aead_find(""));
}

static int find(void **state)
{
	(void)state;
	implementations[0] = aead_find("ipsec-mb");
	implementations[1] = aead_find("libsodium");
	return implementations[0] && implementations[1] ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_answers),
		cmocka_unit_test(both_agree),
		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(out_may_lie_before_in),
		cmocka_unit_test(the_first_usable_is_chosen),
	};

	return cmocka_run_group_tests_name("AES-256-GCM", tests, find, NULL);
}
