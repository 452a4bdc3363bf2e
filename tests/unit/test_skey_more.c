/* SPDX-License-Identifier: Apache-2.0 */
/* Session keys: a row behind the last one is none, whatever lies there; a quote is of our version. */
#include "tests/unit/skey_world.h"
#include <errno.h>
#include <sodium.h>

/* Behind the owners of rows lies the first counter: it looks like one. */
static void a_row_behind_the_last(void **state)
{
	const char *why;
	struct skey_given g;
	struct world w;
	uint32_t slot;

	(void)state;
	_Static_assert(offsetof(struct lanes, row) ==
			       offsetof(struct lanes, row_index) + LIMIT_SESSION_ROWS * sizeof(uint32_t),
		       "the rows follow their owners");
	world_init(&w, aead_choose(&why));
	g = world_given_b(&w);
	g.index = 77;
	g.row = LIMIT_SESSION_ROWS;
	w.b.lanes->row[0].send[0].next = g.index;
	assert_int_equal(skeys_add(w.b.keys, &g, &slot), -ESTALE);
	g.row = 0;
	rows_begin(w.b.lanes, g.row, g.index);
	assert_int_equal(skeys_add(w.b.keys, &g, &slot), 0);
	world_fini(&w);
}

/* Sealed under our key and with a nonce of ours, but not by this program. */
static bool opens(struct world *w, uint8_t version)
{
	const uint8_t plain[WIRE_USER_HEADER_BYTES + 8] = {version, WIRE_USER_L3};
	uint8_t frame[200], *const sealed = frame + WIRE_DATA_HEADER_BYTES, *const tag = sealed + sizeof(plain);
	const size_t len = world_seal_any(w, 0, frame);
	const struct skey_quote q = {
		.src = &w->a.address, .dst = &w->b.address, .sealed = sealed, .len = len - WIRE_DATA_HEADER_BYTES};
	struct encap_opened out;

	assert_int_equal(q.len, sizeof(plain) + WIRE_SEAL_BYTES);
	assert_int_equal(crypto_aead_aes256gcm_encrypt(sealed, NULL, plain, sizeof(plain),
						       frame + offsetof(struct wire_data, src), 2 * sizeof(struct ip6),
						       NULL, tag + WIRE_TAG_BYTES, w->a_to_b.b),
			 0);
	return skey_open_quote(w->a.keys, w->a.key, &q, w->now, &out);
}

static void a_quote_of_another_version(void **state)
{
	const char *why;
	struct world w;

	(void)state;
	if (!crypto_aead_aes256gcm_is_available())
		skip();
	world_init(&w, aead_choose(&why));
	assert_true(opens(&w, WIRE_USER_VERSION));
	assert_false(opens(&w, WIRE_USER_VERSION + 1));
	assert_false(opens(&w, 0));
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_behind_the_last),
		cmocka_unit_test(a_quote_of_another_version),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
