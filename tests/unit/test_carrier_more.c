/* SPDX-License-Identifier: Apache-2.0 */
/* What makes sessions and does not go up is nothing that the others have to make room for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "fastpath/worker_state.h"
#include <cmocka.h>
#include <stdlib.h>

enum { HINT_BYTES = 4 };

static void a_flood_of_one(void **state)
{
	struct worker *w = calloc(1, sizeof(*w));
	struct key_slot loud = {.net64 = 1}, other = {.net64 = 2};
	uint8_t body[HINT_BYTES] = {0};
	const struct encap_opened o = {.body = body, .len = sizeof(body), .type = WIRE_USER_HINT};

	(void)state;
	assert_non_null(w);
	w->now.us = 5000000;
	for (uint32_t i = 0; i < 2 * LIMIT_HANDSHAKES; i++)
		assert_int_equal(carrier_judge(w, &loud, &o) == 0, i < LIMIT_HANDSHAKE_ANSWERS);
	for (uint32_t i = 0; i < LIMIT_HANDSHAKE_ANSWERS; i++)
		assert_int_equal(carrier_judge(w, &other, &o), 0);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flood_of_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
