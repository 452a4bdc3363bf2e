/* SPDX-License-Identifier: Apache-2.0 */
/* Packets into frames and back: the known answer, nonces, and each check of what was opened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "fastpath/encap.h"
#include "tests/support/lanes_memory.h"
#include "tests/support/vectors.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { INNER_BYTES = 56, FRAME_BYTES = 128, ROOM = 70000 };

/* A sends to B; a is B's slot at A, b is A's slot at B. */
static struct {
	const struct aead *aead;
	struct ip6 a_address, b_address;
	struct keys *at_a, *at_b;
	struct key_slot *a, *b;
	uint8_t inner[4 + INNER_BYTES];
} n;

static struct lanes *lanes;

static struct key_slot *add(struct keys *k, const struct ip6 *peer, const struct pubkey *pk)
{
	struct aead_key secret;

	assert_int_equal(vectors_hex(secret.b, sizeof(secret.b), "shared_secrets/AB"), sizeof(secret.b));
	return keys_slot(k, keys_add(k, ip6_net64(peer), pk, &secret));
}

static int setup(void **state)
{
	struct pubkey a, b;
	const char *why;

	(void)state;
	n.aead = aead_choose(&why);
	if (!n.aead)
		return -1;
	vectors_hex(a.b, sizeof(a.b), "nodes/A/public_key");
	vectors_hex(b.b, sizeof(b.b), "nodes/B/public_key");
	vectors_hex(n.inner + 4, INNER_BYTES, "data_packet_l3/inputs/ipv6_packet");
	memcpy(&n.a_address, n.inner + 4 + 8, 16);
	memcpy(&n.b_address, n.inner + 4 + 24, 16);
	n.at_a = keys_new(n.aead, &a, 4);
	n.at_b = keys_new(n.aead, &b, 4);
	n.a = add(n.at_a, &n.b_address, &b);
	n.b = add(n.at_b, &n.a_address, &a);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	keys_free(n.at_a);
	keys_free(n.at_b);
	return 0;
}

static int fresh_lanes(void **state)
{
	(void)state;
	lanes = lanes_memory_new();
	return 0;
}

static int free_lanes(void **state)
{
	(void)state;
	lanes_memory_free(lanes);
	return 0;
}

/* Seals plain (4 bytes of room before it) as A for B. */
static size_t seal(struct nonce_lane *l, uint8_t type, uint8_t *plain, size_t len, uint8_t *out)
{
	const struct encap_packet p = {
		.plain = plain, .len = len, .type = type, .hop_limit = 64, .src = &n.a_address, .dst = &n.b_address};

	return encap_seal(n.aead, l, n.a, &p, out);
}

static void the_known_answer(void **state)
{
	uint8_t frame[FRAME_BYTES + 1], expected[FRAME_BYTES], nonce[12];
	struct encap_opened opened;
	struct nonce_lane l;

	(void)state;
	vectors_hex(nonce, sizeof(nonce), "data_packet_l3/inputs/nonce");
	vectors_hex(expected, sizeof(expected), "data_packet_l3/packet_as_sent_by_A");
	nonce_lane_init(&l, lanes);
	l.prefix = UINT64_C(0x20a1a2a3a4a5a6a7); /* the top bit of the nonce is the order of the keys: A before B */
	l.next = 0xa8a9aaab;
	frame[FRAME_BYTES] = 0x77;
	assert_int_equal(seal(&l, WIRE_USER_L3, n.inner + 4, INNER_BYTES, frame), FRAME_BYTES);
	assert_memory_equal(frame, expected, FRAME_BYTES);
	assert_int_equal(frame[FRAME_BYTES], 0x77);
	assert_memory_equal(n.inner, "\1\0\0\0", 4);

	vectors_hex(frame, FRAME_BYTES, "data_packet_l3/packet_after_one_transit_hop");
	assert_int_equal(encap_open(n.aead, n.b, frame, FRAME_BYTES, &opened), 0);
	assert_int_equal(opened.type, WIRE_USER_L3);
	assert_ptr_equal(opened.body, frame + 44);
	assert_int_equal(opened.len, INNER_BYTES);
	assert_int_equal(encap_check_l3(frame, n.b->net64, ip6_net64(&n.b_address), 63, &opened), 0);
	vectors_hex(expected, sizeof(expected), "data_packet_l3/delivered_to_tun_at_B_when_directly_connected");
	assert_int_equal(opened.len, INNER_BYTES);
	assert_memory_equal(opened.body, expected, INNER_BYTES);
}

static void every_size_goes_through(void **state)
{
	static uint8_t plain[4 + ROOM], kept[ROOM], frame[ROOM];
	const size_t largest = WIRE_SEALED_MAX_BYTES - WIRE_SEALED_MIN_BYTES;
	const uint64_t sealed = n.a->sealed, opened = n.b->opened;
	struct encap_opened o;
	struct nonce_lane l;
	uint64_t count = 0;
	size_t size;

	(void)state;
	nonce_lane_init(&l, lanes);
	for (size_t i = 0; i < sizeof(kept); i++)
		kept[i] = (uint8_t)(i * 13);
	for (size_t len = 0; len <= largest; len += len < 1500 ? 1 : (largest - 1500) / 64) {
		const uint8_t type = (uint8_t)(count++ % 3);

		memcpy(plain + 4, kept, len);
		size = seal(&l, type, plain + 4, len, frame);
		assert_int_equal(size, len + WIRE_OVERHEAD_BYTES);
		assert_int_equal(frame[4] << 8 | frame[5], size - WIRE_DATA_HEADER_BYTES);
		assert_int_equal(encap_open(n.aead, n.b, frame, size, &o), 0);
		assert_int_equal(o.type, type);
		assert_int_equal(o.len, len);
		assert_memory_equal(o.body, kept, len);
	}
	size = seal(&l, WIRE_USER_L3, plain + 4, largest, frame);
	assert_int_equal(size, WIRE_FRAME_MAX_BYTES);
	assert_int_equal(encap_open(n.aead, n.b, frame, size, &o), 0);
	count++;
	assert_int_equal(n.a->sealed - sealed, count);
	assert_int_equal(n.b->opened - opened, count);
}

static void what_does_not_open(void **state)
{
	uint8_t frame[FRAME_BYTES], kept[FRAME_BYTES];
	struct encap_opened o = {0};
	struct nonce_lane l;

	(void)state;
	nonce_lane_init(&l, lanes);
	assert_int_equal(seal(&l, WIRE_USER_L3, n.inner + 4, INNER_BYTES, kept), FRAME_BYTES);
	for (size_t len = 0; len < FRAME_BYTES; len++) {
		uint8_t *exact = malloc(len + 1);
		const enum stat_id want = len < 72 ? STAT_drop_open_short : STAT_drop_open_failed;

		memcpy(exact + 1, kept, len);
		assert_int_equal(encap_open(n.aead, n.b, exact + 1, len, &o), want);
		free(exact);
	}
	for (size_t i = 40; i < FRAME_BYTES; i++) {
		memcpy(frame, kept, FRAME_BYTES);
		frame[i] ^= 0x10;
		assert_int_equal(encap_open(n.aead, n.b, frame, FRAME_BYTES, &o), STAT_drop_open_failed);
	}
	assert_null(o.body);
}

/* User data of any version and type, made with the AEAD alone. */
static enum stat_id open_user(uint8_t version, uint8_t type)
{
	uint8_t frame[WIRE_DATA_HEADER_BYTES + WIRE_SEALED_MIN_BYTES] = {0}, *user = frame + WIRE_DATA_HEADER_BYTES;
	const struct aead_job job = {.out = user, .in = user, .len = 4, .tag = user + 4, .nonce = user + 20};
	struct encap_opened o;

	user[0] = version;
	user[1] = type;
	n.aead->seal(key_slot_aead(n.a), &job);
	return encap_open(n.aead, n.b, frame, sizeof(frame), &o);
}

static void user_data_of_other_kinds(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 256; v++)
		assert_int_equal(open_user((uint8_t)v, 0), v == 1 ? 0 : STAT_drop_user_version);
	for (unsigned type = 0; type < 256; type++)
		assert_int_equal(open_user(1, (uint8_t)type),
				 type <= 2 || (type >= 0x40 && type <= 0x43) ? 0 : STAT_drop_user_type);
}

/* The checks of an opened L3 packet. */
struct opened {
	uint8_t frame[44 + INNER_BYTES + 10];
	struct encap_opened o;
	uint64_t own_net64;
	uint8_t hop_limit;
};

static void opened_init(struct opened *t)
{
	struct wire_data h = {.src = n.a_address, .dst = n.b_address};

	memset(t, 0xcc, sizeof(*t));
	memcpy(t->frame, &h, sizeof(h));
	memcpy(t->frame + 44, n.inner + 4, INNER_BYTES);
	t->o = (struct encap_opened){.body = t->frame + 44, .len = INNER_BYTES};
	t->own_net64 = ip6_net64(&n.b_address);
	t->hop_limit = 63;
}

static enum stat_id check(struct opened *t)
{
	return encap_check_l3(t->frame, n.b->net64, t->own_net64, t->hop_limit, &t->o);
}

static void lengths_and_version_are_checked(void **state)
{
	struct opened t;

	(void)state;
	for (size_t len = 0; len < INNER_BYTES; len++) {
		opened_init(&t);
		t.o.len = len;
		assert_int_equal(check(&t), STAT_drop_inner_malformed);
		assert_int_equal(t.o.len, len);
	}
	for (unsigned v = 0; v < 16; v++) {
		opened_init(&t);
		t.o.body[0] = (uint8_t)(v << 4 | 5);
		assert_int_equal(check(&t), v == 6 ? 0 : STAT_drop_inner_malformed);
	}
	opened_init(&t);
	t.o.body[5]++;
	assert_int_equal(check(&t), STAT_drop_inner_malformed);
	opened_init(&t);
	t.o.body[4] = 0xff;
	assert_int_equal(check(&t), STAT_drop_inner_malformed);
	opened_init(&t);
	t.o.len += 10;
	assert_int_equal(check(&t), 0);
	assert_int_equal(t.o.len, INNER_BYTES);
	opened_init(&t);
	t.o.body[5] = 0;
	assert_int_equal(check(&t), 0);
	assert_int_equal(t.o.len, 40);
}

static void sources_are_checked(void **state)
{
	struct opened t;

	(void)state;
	for (size_t i = 0; i < 16; i++) {
		opened_init(&t);
		t.o.body[8 + i] ^= 1; /* differs from the outer one */
		assert_int_equal(check(&t), STAT_drop_inner_source);
		opened_init(&t);
		t.frame[8 + i] ^= 1;
		assert_int_equal(check(&t), STAT_drop_inner_source);
		opened_init(&t);
		t.frame[8 + i] ^= 1; /* the same outside and inside: may be any in the /64 of the key, none outside */
		t.o.body[8 + i] ^= 1;
		assert_int_equal(check(&t), i < 8 ? STAT_drop_inner_source : 0);
	}
}

static void destinations_are_checked(void **state)
{
	struct opened t;

	(void)state;
	for (size_t i = 0; i < 16; i++) {
		opened_init(&t);
		t.o.body[24 + i] ^= 1;
		assert_int_equal(check(&t), STAT_drop_inner_destination);
		opened_init(&t);
		t.frame[24 + i] ^= 1;
		assert_int_equal(check(&t), STAT_drop_inner_destination);
		opened_init(&t);
		t.frame[24 + i] ^= 1; /* any address of our /64 */
		t.o.body[24 + i] ^= 1;
		assert_int_equal(check(&t), i < 8 ? STAT_drop_inner_destination : 0);
	}
	opened_init(&t);
	t.own_net64++;
	assert_int_equal(check(&t), STAT_drop_inner_destination);
}

static void the_hop_limit_only_falls(void **state)
{
	static const uint8_t table[][3] = {{63, 64, 63}, {64, 64, 64}, {65, 64, 64},
					   {255, 1, 1},	 {0, 9, 0},    {1, 255, 1}};
	struct opened t;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		opened_init(&t);
		t.hop_limit = table[i][0];
		t.o.body[7] = table[i][1];
		assert_int_equal(check(&t), 0);
		assert_int_equal(t.o.body[7], table[i][2]);
	}
}

/* Nonces. */

static uint64_t prefix_of(const uint8_t *frame, size_t len)
{
	uint64_t v = 0;

	for (size_t i = 0; i < 8; i++)
		v = v << 8 | frame[len - 12 + i];
	return v;
}

static uint32_t counter_of(const uint8_t *frame, size_t len)
{
	return (uint32_t)frame[len - 4] << 24 | (uint32_t)frame[len - 3] << 16 | (uint32_t)frame[len - 2] << 8 |
	       frame[len - 1];
}

static void nonces_count_up(void **state)
{
	const uint64_t top = UINT64_C(1) << 63;
	uint8_t frame[FRAME_BYTES];
	struct nonce_lane l;
	uint64_t first;

	(void)state;
	nonce_lane_init(&l, lanes);
	first = l.prefix;
	assert_int_equal(lanes->header.prefix_count, 1);
	assert_true(lanes->prefixes[0].prefix == first && lanes->prefixes[0].next == 0 && first < top);
	for (uint32_t i = 0; i < 5; i++) {
		seal(&l, 0, n.inner + 4, INNER_BYTES, frame);
		assert_true(prefix_of(frame, FRAME_BYTES) == (first | top));
		assert_int_equal(counter_of(frame, FRAME_BYTES), i);
		assert_int_equal(lanes->prefixes[0].next, i + 1);
	}
	/* The other side's bit is clear. */
	encap_seal(n.aead, &l, n.b,
		   &(struct encap_packet){.plain = n.inner + 4, .src = &n.b_address, .dst = &n.a_address}, frame);
	assert_true(prefix_of(frame, 72) == first);
	assert_int_equal(counter_of(frame, 72), 5);
}

static void a_worn_prefix_is_replaced(void **state)
{
	uint8_t frame[FRAME_BYTES];
	struct nonce_lane l;
	uint64_t first;

	(void)state;
	nonce_lane_init(&l, lanes);
	first = l.prefix;
	l.next = UINT32_MAX;
	seal(&l, 0, n.inner + 4, INNER_BYTES, frame);
	assert_int_equal(counter_of(frame, FRAME_BYTES), UINT32_MAX);
	assert_true(lanes->prefixes[0].next == UINT64_C(1) << 32 && l.prefix == first);
	seal(&l, 0, n.inner + 4, INNER_BYTES, frame);
	assert_int_equal(counter_of(frame, FRAME_BYTES), 0);
	assert_true(l.prefix != first && lanes->prefixes[1].prefix == l.prefix && lanes->prefixes[1].next == 1);
}

static void a_new_generation_draws_anew(void **state)
{
	struct nonce_lane l;
	uint64_t first;

	(void)state;
	lanes->header.generation = 5;
	nonce_lane_init(&l, lanes);
	first = l.prefix;
	l.next = 77;
	nonce_lane_check(&l);
	assert_true(l.prefix == first && l.next == 77 && lanes->header.prefix_count == 1);
	lanes->header.generation = 6;
	nonce_lane_check(&l);
	assert_true(l.prefix != first && l.next == 0 && lanes->header.prefix_count == 2);
	nonce_lane_check(&l);
	assert_int_equal(lanes->header.prefix_count, 2);
}

static void nonce_make(uint64_t prefix, uint64_t counter, uint8_t *out)
{
	struct wr w = wr_init(out, WIRE_NONCE_BYTES);

	wr_be64(&w, prefix);
	wr_be32(&w, (uint32_t)counter);
}

static bool is_ours(uint64_t prefix, uint64_t counter)
{
	uint8_t nonce[WIRE_NONCE_BYTES];

	nonce_make(prefix, counter, nonce);
	return nonce_is_ours(lanes, nonce);
}

static void quotes_must_be_ours(void **state)
{
	const uint64_t top = UINT64_C(1) << 63;
	struct nonce_lane a, b;

	(void)state;
	assert_false(is_ours(0, 0));
	nonce_lane_init(&a, lanes);
	nonce_lane_init(&b, lanes);
	assert_false(is_ours(a.prefix, 0));
	a.slot->next = 200000;
	b.slot->next = 1;
	assert_true(is_ours(a.prefix, 199999));
	assert_true(is_ours(a.prefix | top, 199999));
	assert_false(is_ours(a.prefix, 200000));
	assert_false(is_ours(a.prefix, UINT32_MAX));
	assert_true(is_ours(a.prefix, 200000 - LIMIT_NONCE_QUOTE_WINDOW));
	assert_false(is_ours(a.prefix, 200000 - LIMIT_NONCE_QUOTE_WINDOW - 1));
	assert_true(is_ours(b.prefix, 0));
	assert_false(is_ours(b.prefix, 1));
	assert_false(is_ours(a.prefix ^ 1, 199999));
	b.slot->next = UINT64_C(1) << 32;
	assert_true(is_ours(b.prefix, UINT32_MAX));
}

static void the_list_of_prefixes_goes_round(void **state)
{
	struct nonce_lane l;
	uint64_t first, second;

	(void)state;
	nonce_lane_init(&l, lanes);
	first = l.prefix;
	l.slot->next = 1;
	nonce_lane_init(&l, lanes);
	second = l.prefix;
	l.slot->next = 1;
	for (unsigned i = 2; i < LIMIT_NONCE_PREFIXES; i++)
		nonce_lane_init(&l, lanes);
	assert_true(is_ours(first, 0));
	nonce_lane_init(&l, lanes);
	assert_false(is_ours(first, 0));
	assert_true(is_ours(second, 0));
	assert_ptr_equal(l.slot, &lanes->prefixes[0]);
	l.slot->next = 1;
	assert_true(is_ours(l.prefix, 0));
}

#define WITH_LANES(f) cmocka_unit_test_setup_teardown(f, fresh_lanes, free_lanes)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_LANES(the_known_answer),
		WITH_LANES(every_size_goes_through),
		WITH_LANES(what_does_not_open),
		cmocka_unit_test(user_data_of_other_kinds),
		cmocka_unit_test(lengths_and_version_are_checked),
		cmocka_unit_test(sources_are_checked),
		cmocka_unit_test(destinations_are_checked),
		cmocka_unit_test(the_hop_limit_only_falls),
		WITH_LANES(nonces_count_up),
		WITH_LANES(a_worn_prefix_is_replaced),
		WITH_LANES(a_new_generation_draws_anew),
		WITH_LANES(quotes_must_be_ours),
		WITH_LANES(the_list_of_prefixes_goes_round),
	};

	return cmocka_run_group_tests_name("frames", tests, setup, teardown);
}
