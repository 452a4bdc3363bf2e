/* SPDX-License-Identifier: Apache-2.0 */
/* The mailbox by one thread: records of all sizes through the end of the ring, a full one, and who is woken when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first. */
#include "fastpath/mail.h"
#include <cmocka.h>
#include <poll.h>

enum { CAP = 4096 };

static bool is_awake(const struct mail *m)
{
	struct pollfd p = {.fd = mail_fd(m), .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void expect(struct mail *m, uint16_t type, const uint8_t *bytes, size_t len)
{
	uint8_t *body;
	uint16_t got;
	size_t got_len;

	assert_true(mail_next(m, &got, &body, &got_len));
	assert_int_equal(got, type);
	assert_int_equal(got_len, len);
	assert_int_equal((uintptr_t)body % 8, 0);
	assert_memory_equal(body, bytes, len);
}

static void expect_empty(struct mail *m)
{
	uint8_t *body;
	uint16_t type;
	size_t len;

	assert_false(mail_next(m, &type, &body, &len));
}

static void test_order(void **state)
{
	struct mail *m = mail_new(CAP);

	(void)state;
	assert_non_null(m);
	expect_empty(m);
	assert_true(mail_put(m, 7, "abc", 3, "defg", 4));
	assert_true(mail_put(m, 8, NULL, 0, NULL, 0));
	/* Not before the kick. */
	expect_empty(m);
	mail_kick(m);
	expect(m, 7, (const uint8_t *)"abcdefg", 7);
	expect(m, 8, (const uint8_t *)"", 0);
	expect_empty(m);
	mail_free(m);
	mail_free(NULL);
}

/* All sizes, so that the end of the ring falls on every place of a record. */
static void test_sizes(void **state)
{
	struct mail *m = mail_new(CAP);
	uint8_t bytes[CAP];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	for (size_t step = 0; step < 50; step++)
		for (size_t len = 0; len <= CAP / 2 - 16; len += 1 + step) {
			assert_true(mail_put(m, (uint16_t)len, bytes, len / 2, bytes + len / 2, len - len / 2));
			mail_kick(m);
			expect(m, (uint16_t)len, bytes, len);
			expect_empty(m);
		}
	mail_free(m);
}

/* Full means refused, never overwritten; room comes back when a record has been let go. */
static void test_full(void **state)
{
	struct mail *m = mail_new(CAP);
	uint8_t bytes[112] = {0};
	unsigned put = 0, taken = 0;

	(void)state;
	for (unsigned round = 0; round < 100; round++) {
		const size_t len = 8 + round;

		for (;;) {
			memcpy(bytes, &put, sizeof(put));
			if (!mail_put(m, 1, bytes, len, NULL, 0))
				break;
			put++;
		}
		mail_kick(m);
		assert_true(put - taken >= CAP / 2 / (len + 24));
		while (taken < put - round % 3) {
			uint8_t *body;
			uint16_t type;
			size_t got;

			assert_true(mail_next(m, &type, &body, &got));
			assert_memory_equal(body, &taken, sizeof(taken));
			taken++;
		}
	}
	assert_false(mail_put(m, 1, bytes, SIZE_MAX - 100, NULL, 0));
	assert_false(mail_put(m, 1, NULL, 0, bytes, CAP + 1));
	mail_free(m);
}

/* Wherever in the ring it begins, a burst has the room that the ring's size promises. */
static void test_burst(void **state)
{
	enum { BIG = 1024 * 1024, BURST = 10000 };
	static const uint8_t update[72];
	struct mail *m = mail_new(BIG);
	uint8_t *body;
	uint16_t type;
	size_t len;

	(void)state;
	for (int begin = 0; begin < 40; begin++) {
		for (int i = 0; i < BURST; i++)
			assert_true(mail_put(m, (uint16_t)i, update, sizeof(update), NULL, 0));
		mail_kick(m);
		for (int i = 0; i < BURST; i++) {
			assert_true(mail_next(m, &type, &body, &len));
			assert_int_equal(type, i);
			assert_memory_equal(body, update, sizeof(update));
		}
		assert_false(mail_next(m, &type, &body, &len));
	}
	mail_free(m);
}

/* A large ring that is always full: what the reader gives back is not yet written again. */
static void test_full_large(void **state)
{
	enum { BIG = 1024 * 1024, READ = 20000, BYTES = 1000 };
	struct mail *m = mail_new(BIG);
	uint8_t bytes[BYTES] = {0};
	uint32_t put = 0;

	(void)state;
	for (uint32_t taken = 0; taken < READ; taken++) {
		memcpy(bytes, &put, sizeof(put));
		while (mail_put(m, 1, bytes, sizeof(bytes), NULL, 0)) {
			put++;
			memcpy(bytes, &put, sizeof(put));
		}
		mail_kick(m);
		memcpy(bytes, &taken, sizeof(taken));
		expect(m, 1, bytes, sizeof(bytes));
	}
	mail_free(m);
}

static void test_wake(void **state)
{
	struct mail *m = mail_new(CAP);

	(void)state;
	mail_doze(m);
	assert_false(is_awake(m));
	mail_kick(m); /* nothing was put */
	assert_false(is_awake(m));
	assert_true(mail_put(m, 1, "x", 1, NULL, 0));
	assert_false(is_awake(m));
	mail_kick(m);
	assert_true(is_awake(m));
	mail_doze(m);
	assert_false(is_awake(m));
	expect(m, 1, (const uint8_t *)"x", 1);
	expect_empty(m);
	/* Asleep again: the next one wakes. */
	assert_true(mail_put(m, 2, "y", 1, NULL, 0));
	mail_kick(m);
	assert_true(is_awake(m));
	mail_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_order),      cmocka_unit_test(test_sizes),
					   cmocka_unit_test(test_full),	      cmocka_unit_test(test_burst),
					   cmocka_unit_test(test_full_large), cmocka_unit_test(test_wake)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
