/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of a session that come back quoted: those that we sent, and no others. */
#include "tests/unit/skey_world.h"
#include <stdlib.h>

static const char *const implementations[] = {"libsodium", "ipsec-mb"};

/* A's packet as A finds it in a report: the sealed payload, in memory of exactly its length. */
static bool open_quote(struct world *w, const uint8_t *frame, size_t sealed_len, struct encap_opened *out)
{
	uint8_t *exact = malloc(sealed_len + 1);
	const struct skey_quote q = {
		.src = &w->a.address, .dst = &w->b.address, .sealed = exact + 1, .len = sealed_len};
	bool opens;

	assert_non_null(exact);
	memcpy(exact + 1, frame + WIRE_DATA_HEADER_BYTES, sealed_len);
	opens = skey_open_quote(w->a.keys, w->a.key, &q, w->now, out);
	if (opens) {
		assert_ptr_equal(out->body, exact + 1 + WIRE_USER_HEADER_BYTES);
		assert_int_equal(out->len, sealed_len - WIRE_SEALED_MIN_BYTES);
		assert_memory_equal(out->body, "\1\2\3\4\5\6\7\10", out->len);
	}
	free(exact);
	return opens;
}

static void what_we_sent_opens(void **state)
{
	uint8_t frame[200];
	struct encap_opened o;
	struct world w;

	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct aead *aead = aead_find(implementations[i]);
		uint64_t packets;
		size_t sealed;

		if (!aead)
			continue;
		world_init(&w, aead);
		sealed = world_seal_any(&w, 3, frame) - WIRE_DATA_HEADER_BYTES;
		packets = w.a.key->opened.packets;
		assert_true(open_quote(&w, frame, sealed, &o));
		assert_int_equal(o.type, WIRE_USER_L3);
		assert_true(open_quote(&w, frame, sealed, &o)); /* as often as it is quoted */
		assert_int_equal(w.a.key->opened.packets, packets);
		for (size_t len = 0; len < sealed; len++)
			assert_false(open_quote(&w, frame, len, &o));
		for (size_t at = WIRE_DATA_HEADER_BYTES; at < WIRE_DATA_HEADER_BYTES + sealed; at++) {
			frame[at] ^= 0x40;
			assert_false(open_quote(&w, frame, sealed, &o));
			frame[at] ^= 0x40;
		}
		assert_true(open_quote(&w, frame, sealed, &o));
		w.b.address.b[15] ^= 1; /* sent to somebody else */
		assert_false(open_quote(&w, frame, sealed, &o));
		world_fini(&w);
	}
}

/* Sent by the other side, under the key for the other direction. */
static void what_came_does_not(void **state)
{
	uint8_t frame[200], own[200], plain[12] = {0};
	struct encap_opened o;
	struct skey_run run;
	struct world w;
	const char *why;
	size_t len;

	(void)state;
	world_init(&w, aead_choose(&why));
	assert_int_equal(skey_seal_begin(&run, w.b.keys, w.b.key, 0, 1, w.now), SKEY_OK);
	len = skey_seal(
		&run,
		&(struct encap_packet){
			.plain = plain + 4, .len = 8, .hop_limit = 64, .src = &w.a.address, .dst = &w.b.address},
		frame);
	skey_seal_end(&run);
	/* With the index, and a counter, of one that we sent. */
	assert_int_equal(world_seal_any(&w, 0, own), len);
	memcpy(frame + len - WIRE_NONCE_BYTES, own + len - WIRE_NONCE_BYTES, WIRE_NONCE_BYTES);
	assert_false(open_quote(&w, frame, len - WIRE_DATA_HEADER_BYTES, &o));
	world_fini(&w);
}

static void only_lately(void **state)
{
	uint8_t frame[200];
	struct encap_opened o;
	struct world w;
	const char *why;
	size_t sealed;
	__u64 *next;

	(void)state;
	world_init(&w, aead_choose(&why));
	sealed = world_seal_any(&w, 1, frame) - WIRE_DATA_HEADER_BYTES;
	next = &w.a.key->row->send[1].next;
	*next = 0; /* as if it had not been sent yet */
	assert_false(open_quote(&w, frame, sealed, &o));
	*next = LIMIT_NONCE_QUOTE_WINDOW;
	assert_true(open_quote(&w, frame, sealed, &o));
	*next = LIMIT_NONCE_QUOTE_WINDOW + 1;
	assert_false(open_quote(&w, frame, sealed, &o));
	*next = 1;
	w.a.key->far_lanes = 1; /* the lane is none of the far side's */
	assert_false(open_quote(&w, frame, sealed, &o));
	w.a.key->far_lanes = LIMIT_SESSION_FAR_LANES;
	assert_true(open_quote(&w, frame, sealed, &o));
	w.now.us = made.us + INT64_C(1000000) * LIMIT_SESSION_AGE_S;
	assert_false(open_quote(&w, frame, sealed, &o));
	w.now = made;
	w.a.lanes->header.generation++;
	assert_false(open_quote(&w, frame, sealed, &o));
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_we_sent_opens),
		cmocka_unit_test(what_came_does_not),
		cmocka_unit_test(only_lately),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
