/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE3 against tests/vectors/blake3.json, made by an independent implementation: lengths around every block and chunk
 * edge up to 4 MiB; and the same digest however the input is cut. Everything with each number of lanes that this
 * machine has. Runs from the root of the tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "controld/message/blake3.h"
#include "tests/support/vectors.h"
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 4 * 1024 * 1024, TEXT_BYTES = 256 * 1024, CUTS = 200 };

static const enum blake3_lanes widths[] = {BLAKE3_ONE_LANE, BLAKE3_FOUR_LANES, BLAKE3_EIGHT_LANES};
enum { WIDTHS = sizeof(widths) / sizeof(widths[0]) };

static uint8_t pattern[LONGEST];

static void hex_of(const uint8_t digest[BLAKE3_BYTES], char out[2 * BLAKE3_BYTES + 1])
{
	for (size_t i = 0; i < BLAKE3_BYTES; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static void assert_digest(const uint8_t digest[BLAKE3_BYTES], const char *want)
{
	char hex[2 * BLAKE3_BYTES + 1];

	hex_of(digest, hex);
	assert_string_equal(hex, want);
}

/* In pieces of so many bytes, beginning with a shorter one. */
static void hash_pieces(enum blake3_lanes lanes, size_t len, size_t piece, uint8_t digest[BLAKE3_BYTES])
{
	size_t at = len < piece / 3 ? len : piece / 3;
	struct blake3 h;

	blake3_init_lanes(&h, lanes);
	blake3_update(&h, pattern, at);
	for (; at < len; at += piece)
		blake3_update(&h, pattern + at, len - at < piece ? len - at : piece);
	blake3_final(&h, digest);
}

static void assert_hash(const void *bytes, size_t len, const char *want)
{
	uint8_t digest[BLAKE3_BYTES];

	blake3_hash(bytes, len, digest);
	assert_digest(digest, want);
	for (int i = 0; i < WIDTHS; i++) {
		struct blake3 h;

		if (!blake3_can(widths[i]))
			continue;
		blake3_init_lanes(&h, widths[i]);
		blake3_update(&h, bytes, len);
		blake3_final(&h, digest);
		assert_digest(digest, want);
	}
}

/* Pieces as messages come in, and some that step over every edge of a group. */
static void assert_hash_in_pieces(size_t len, const char *want)
{
	static const size_t pieces[] = {1300, 8193, 70001};
	uint8_t digest[BLAKE3_BYTES];

	for (int i = 0; i < WIDTHS; i++) {
		for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]) && blake3_can(widths[i]); p++) {
			hash_pieces(widths[i], len, pieces[p], digest);
			assert_digest(digest, want);
		}
	}
}

static int fill(void **state)
{
	(void)state;
	for (size_t i = 0; i < LONGEST; i++)
		pattern[i] = (uint8_t)(i % 251);
	return 0;
}

static void test_edges(void **state)
{
	static char text[TEXT_BYTES];
	FILE *f = fopen("tests/vectors/blake3.json", "re");
	const cJSON *item;
	cJSON *root;
	size_t len, count = 0;

	(void)state;
	assert_non_null(f);
	len = fread(text, 1, sizeof(text), f);
	(void)fclose(f);
	root = cJSON_ParseWithLength(text, len);
	assert_non_null(root);
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(root, "hashes"))
	{
		const double length = cJSON_GetObjectItemCaseSensitive(item, "length")->valuedouble;
		const char *want = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "blake3"));

		assert_true(length <= LONGEST);
		assert_hash(pattern, (size_t)length, want);
		assert_hash_in_pieces((size_t)length, want);
		count++;
	}
	assert_true(count > 500);
	cJSON_Delete(root);
}

static void test_known(void **state)
{
	(void)state;
	/* The checksum is what ends the DONE of an empty message. */
	assert_hash("", 0, vectors_text("messages/empty_message_done") + (size_t)2 * 20);
	assert_hash("this is a message", 17, vectors_text("messages/inputs/blake3"));
	assert_hash("\xc6\xe5\x7e", 3, vectors_text("messages/blake3_of/c6e57e(base64 xuV+)"));
	assert_hash(pattern, 2600, vectors_text("messages/blake3_of/2600 bytes i%%251"));
}

/* Pieces of lengths that step over, onto and beyond every edge; a digest taken in between changes nothing. */
static void test_pieces(void **state)
{
	(void)state;
	/* The fallback is always there. */
	assert_true(blake3_can(BLAKE3_ONE_LANE));
	for (size_t cut = 1; cut < CUTS; cut++) {
		const size_t len = cut * 97;
		uint8_t want[BLAKE3_BYTES], digest[BLAKE3_BYTES];
		struct blake3 h;

		blake3_hash(pattern, len, want);
		blake3_init(&h);
		for (size_t at = 0; at < len; at += cut) {
			blake3_update(&h, pattern + at, len - at < cut ? len - at : cut);
			blake3_final(&h, digest);
		}
		assert_memory_equal(digest, want, BLAKE3_BYTES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_pieces),
	};

	return cmocka_run_group_tests(tests, fill, NULL);
}
