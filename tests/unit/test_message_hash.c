/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums over bytes that were replaced: never computed as often as a stranger likes. */
#include "tests/unit/test_message.h"

enum { ID = 7 };

static uint8_t data[1000];

static bool is_ack(struct world *w, struct frame f)
{
	return is_acked(w, 2, &f);
}

static void not_stored(struct world *w)
{
	message_stored(w->m, w->in.token, false, w->now);
}

/* A message that is whole and right, but whose first chunk was another before. */
static void replaced(struct world *w)
{
	uint8_t wrong[sizeof(data)];

	memset(wrong, 0x55, sizeof(wrong));
	assert_true(is_ack(w, chunk_frame(ID, 0, 0, wrong, sizeof(wrong))));
	assert_true(is_ack(w, chunk_frame(ID, 0, 0, data, sizeof(data))));
}

/* It is offered: is it in the world's hands now? */
static bool is_offered(struct world *w)
{
	const size_t before = w->in_count;

	(void)is_ack(w, done_frame(ID, 1, data, sizeof(data)));
	return w->in_count > before;
}

/* A wrong checksum over replaced bytes is not computed anew with every packet. */
static void test_wrong(void **state)
{
	struct world *w = world_new(0);
	uint8_t wrong[sizeof(data)];

	(void)state;
	memset(wrong, 0x55, sizeof(wrong));
	assert_true(is_ack(w, init_frame(ID, sizeof(data), false, "")));
	assert_true(is_ack(w, chunk_frame(ID, 0, 0, data, sizeof(data))));
	assert_true(is_ack(w, chunk_frame(ID, 0, 0, wrong, sizeof(wrong))));
	assert_false(is_offered(w));
	assert_true(is_ack(w, chunk_frame(ID, 0, 0, data, sizeof(data))));
	assert_false(is_offered(w));
	pass_ms(w, 1000);
	assert_true(is_offered(w));
	world_free(w);
}

/* A right one that is not taken (the inbox is full, no key is known) stands until bytes change. */
static void test_right(void **state)
{
	struct world *w = world_new(0);

	(void)state;
	assert_true(is_ack(w, init_frame(ID, sizeof(data), false, "")));
	replaced(w);
	for (int i = 0; i < 3; i++) {
		assert_true(is_offered(w));
		not_stored(w);
	}
	replaced(w);
	assert_false(is_offered(w));
	pass_ms(w, 1000);
	assert_true(is_offered(w));
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_wrong), cmocka_unit_test(test_right)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
