/* SPDX-License-Identifier: Apache-2.0 */
/* Data packets in a session: the known answer (tests/vectors/vectors-session.json), each verdict on a frame, both
 * implementations of the cipher against each other, and every changed bit refused. */
#include "tests/unit/skey_world.h"
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILE_BYTES = 16 * 1024, MAX_LEN = 1500, ANY_BYTES = WIRE_OVERHEAD_BYTES + 8 };

static const struct aead *implementations[2];
static struct world w;

static int find(void **state)
{
	(void)state;
	implementations[0] = aead_find("ipsec-mb");
	implementations[1] = aead_find("libsodium");
	return implementations[0] && implementations[1] ? 0 : -1;
}

static int fresh(void **state)
{
	(void)state;
	world_init(&w, implementations[0]);
	return 0;
}

static int forget(void **state)
{
	(void)state;
	world_fini(&w);
	return 0;
}

static void read_hex(const cJSON *root, const char *name, uint8_t *out, size_t len)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, name);
	size_t got;

	assert_true(cJSON_IsString(item));
	assert_int_equal(sodium_hex2bin(out, len, item->valuestring, strlen(item->valuestring), NULL, &got, NULL), 0);
	assert_int_equal(got, len);
}

static void the_known_answer(void **state)
{
	static const char name[] = "keepalive_initiator_to_responder_lane0_counter0";
	static const uint8_t keepalive[4] = {0};
	static char text[FILE_BYTES];
	FILE *f = fopen("tests/vectors/vectors-session.json", "re");
	uint8_t sealed[36], frame[WIRE_DATA_HEADER_BYTES + 36 + 1], plain[4 + 4] = {0};
	struct skey_opened opened;
	cJSON *root;

	(void)state;
	assert_non_null(f);
	root = cJSON_ParseWithLength(text, fread(text, 1, sizeof(text), f));
	fclose(f);
	read_hex(root, "initiator_address", w.a.address.b, 16);
	read_hex(root, "responder_address", w.b.address.b, 16);
	read_hex(root, "key_initiator_to_responder", w.a_to_b.b, 32);
	read_hex(root, "key_responder_to_initiator", w.b_to_a.b, 32);
	read_hex(root, name, sealed, sizeof(sealed));
	cJSON_Delete(root);
	for (int i = 0; i < 2; i++) {
		world_init_as(&w, implementations[i]);
		frame[sizeof(frame) - 1] = 0x77;
		assert_int_equal(world_seal(&w, 0, WIRE_USER_CONTROL, plain + 4, 4, frame), sizeof(frame) - 1);
		assert_memory_equal(frame, "\1\0\0\0\0\x24\0\x40", 8);
		assert_memory_equal(frame + 8, &w.a.address, 16);
		assert_memory_equal(frame + 24, &w.b.address, 16);
		assert_memory_equal(frame + WIRE_DATA_HEADER_BYTES, sealed, sizeof(sealed));
		assert_int_equal(frame[sizeof(frame) - 1], 0x77);
		frame[7]--; /* hop limit: not bound */
		assert_int_equal(world_open(&w, frame, sizeof(frame) - 1, &opened), SKEY_OK);
		assert_ptr_equal(opened.key, w.b.key);
		assert_int_equal(opened.user.type, WIRE_USER_CONTROL);
		assert_ptr_equal(opened.user.body, frame + 44);
		assert_int_equal(opened.user.len, 4);
		assert_memory_equal(opened.user.body, keepalive, 4);
		world_fini(&w);
	}
}

static void nonces_name_index_lane_and_counter(void **state)
{
	uint8_t frame[200];
	size_t size;

	(void)state;
	w.a.lanes->row[A_ROW].send[63].next = UINT64_C(0x0a0b0c0d0e0f10);
	size = world_seal_any(&w, 63, frame);
	assert_memory_equal(frame + size - 12, "\x55\x66\x77\x88\x3f\x0a\x0b\x0c\x0d\x0e\x0f\x10", 12);
	size = world_seal_any(&w, 0, frame);
	assert_memory_equal(frame + size - 12, "\x55\x66\x77\x88\0\0\0\0\0\0\0\0", 12);
}

/* A changed packet or world, and what B then says. */
struct trouble {
	const char *what;
	void (*make)(uint8_t *frame);
	enum skey_verdict verdict;
};

static uint8_t *nonce_of(uint8_t *frame)
{
	return frame + ANY_BYTES - WIRE_NONCE_BYTES;
}

static void nothing(uint8_t *frame)
{
	(void)frame;
}

static void other_index(uint8_t *frame)
{
	nonce_of(frame)[3]++;
}

static void key_hidden(uint8_t *frame)
{
	(void)frame;
	skeys_hide(w.b.keys, skeys_number(w.b.keys, w.b.key));
}

static void other_net(uint8_t *frame)
{
	frame[8 + 7] ^= 1;
}

static void other_host(uint8_t *frame)
{
	frame[8 + 15] ^= 1;
}

static void other_destination(uint8_t *frame)
{
	frame[24 + 15] ^= 1;
}

static void lane_too_high(uint8_t *frame)
{
	nonce_of(frame)[4] = LANES;
}

static void lane_of_255(uint8_t *frame)
{
	nonce_of(frame)[4] = 255;
}

static void other_lane(uint8_t *frame)
{
	nonce_of(frame)[4] = LANES - 1;
}

static void few_lanes(uint8_t *frame)
{
	(void)frame;
	w.b.key->our_lanes = 1;
}

static void window_moved(uint8_t *frame)
{
	(void)frame;
	w.b.lanes->row[B_ROW].receive[1].greatest = LIMIT_SESSION_WINDOW;
}

static void window_nearly_moved(uint8_t *frame)
{
	(void)frame;
	w.b.lanes->row[B_ROW].receive[1].greatest = LIMIT_SESSION_WINDOW - 1;
}

static void seen_before(uint8_t *frame)
{
	(void)frame;
	w.b.lanes->row[B_ROW].receive[1].block[0] = 1;
}

static void flag_held(uint8_t *frame)
{
	(void)frame;
	w.b.lanes->row[B_ROW].receive[1].flag = OWNER + 1;
}

static void old_age(uint8_t *frame)
{
	(void)frame;
	w.now = mono_add_ms(made, LIMIT_SESSION_AGE_S * 1000);
}

static void nearly_old_age(uint8_t *frame)
{
	(void)frame;
	w.now.us = made.us + INT64_C(1000000) * LIMIT_SESSION_AGE_S - 1;
}

static void many_bytes(uint8_t *frame)
{
	(void)frame;
	w.b.key->sealed.bytes = SKEY_BYTES_END;
}

static void cloned(uint8_t *frame)
{
	(void)frame;
	w.b.lanes->header.generation = 1;
}

static void last_counter(uint8_t *frame)
{
	memcpy(nonce_of(frame) + 5, "\xff\xff\xff\xff\xff\0\0", 7);
}

static void last_good_counter(uint8_t *frame)
{
	memcpy(nonce_of(frame) + 5, "\xff\xff\xff\xff\xfe\xff\xff", 7);
}

static void tag_changed(uint8_t *frame)
{
	nonce_of(frame)[-1] ^= 1;
}

static const struct trouble troubles[] = {
	{"nothing", nothing, SKEY_OK},
	{"index", other_index, SKEY_UNKNOWN},
	{"key hidden", key_hidden, SKEY_UNKNOWN},
	{"source of another /64", other_net, SKEY_FOREIGN},
	{"source inside the /64", other_host, SKEY_FAILED},
	{"destination", other_destination, SKEY_FAILED},
	{"lane too high", lane_too_high, SKEY_LANE},
	{"lane 255", lane_of_255, SKEY_LANE},
	{"another lane of ours", other_lane, SKEY_FAILED},
	{"we announced one lane", few_lanes, SKEY_LANE},
	{"older than the window", window_moved, SKEY_LATE},
	{"at the window's end", window_nearly_moved, SKEY_OK},
	{"seen before", seen_before, SKEY_REPLAYED},
	{"flag held", flag_held, SKEY_BUSY},
	{"age", old_age, SKEY_EXPIRED},
	{"nearly that age", nearly_old_age, SKEY_OK},
	{"bytes", many_bytes, SKEY_EXPIRED},
	{"generation", cloned, SKEY_EXPIRED},
	{"counter 2^56 - 2^16", last_counter, SKEY_EXPIRED},
	{"the one below, not authentic", last_good_counter, SKEY_FAILED},
	{"tag", tag_changed, SKEY_FAILED},
};

static void each_verdict(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(troubles) / sizeof(troubles[0]); i++) {
		uint8_t frame[ANY_BYTES], before[ANY_BYTES];
		const struct lanes_window empty = {0};
		struct skey_opened opened;
		enum skey_verdict verdict;

		world_init(&w, implementations[i % 2]);
		assert_int_equal(world_seal_any(&w, 1, frame), ANY_BYTES);
		troubles[i].make(frame);
		memcpy(before, frame, sizeof(frame));
		verdict = world_open(&w, frame, sizeof(frame), &opened);
		if (verdict != troubles[i].verdict)
			fail_msg("%s: %d", troubles[i].what, verdict);
		if (verdict && verdict < SKEY_FAILED)
			assert_memory_equal(frame, before, sizeof(frame));
		if (verdict == SKEY_FAILED)
			assert_memory_equal(&w.b.lanes->row[B_ROW].receive[1], &empty, sizeof(empty));
		assert_int_equal(w.b.key->opened.packets, verdict == SKEY_OK);
		world_fini(&w);
	}
}

static void what_is_inside(void **state)
{
	static const struct {
		uint8_t version, type;
		enum skey_verdict verdict;
	} cases[] = {
		{1, 0, SKEY_OK},	 {1, 1, SKEY_OK},      {1, 2, SKEY_OK},	     {1, 0x44, SKEY_OK},
		{1, 3, SKEY_TYPE},	 {1, 0x40, SKEY_TYPE}, {1, 0x41, SKEY_TYPE}, {1, 0x42, SKEY_TYPE},
		{1, 0x43, SKEY_TYPE},	 {1, 0x45, SKEY_TYPE}, {1, 255, SKEY_TYPE},  {0, 0, SKEY_VERSION},
		{2, 0x44, SKEY_VERSION},
	};
	struct skey_opened opened;
	uint8_t frame[200];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t plain[4] = {cases[i].version, cases[i].type}, nonce[12] = {0x55, 0x66, 0x77, 0x88, 3};
		uint8_t *const body = frame + WIRE_DATA_HEADER_BYTES;
		const struct aead_job job = {.out = body,
					     .in = plain,
					     .len = 4,
					     .nonce = nonce,
					     .aad = frame + 8,
					     .aad_len = 32,
					     .tag = body + 4};

		memcpy(frame + 8, &w.a.address, 16);
		memcpy(frame + 24, &w.b.address, 16);
		nonce[11] = (uint8_t)i;
		implementations[0]->seal(w.a.key + 1, &job);
		memcpy(body + 20, nonce, sizeof(nonce));
		assert_int_equal(world_open(&w, frame, WIRE_DATA_HEADER_BYTES + 32, &opened), cases[i].verdict);
		assert_ptr_equal(opened.key, w.b.key);
	}
	assert_int_equal(w.b.key->opened.packets, sizeof(cases) / sizeof(cases[0]));
}

/* Of a good frame each shorter length, taken for its own. */
static void cut_frames(void **state)
{
	struct skey_opened opened;

	(void)state;
	for (size_t len = 0; len < ANY_BYTES; len++) {
		/* A copy of its own, so that a sanitizer sees a step too far. */
		uint8_t whole[ANY_BYTES], *frame = malloc(len ? len : 1);
		enum skey_verdict verdict;

		assert_non_null(frame);
		world_seal_any(&w, 0, whole);
		memcpy(frame, whole, len);
		verdict = world_open(&w, frame, len, &opened);
		assert_int_equal(verdict, len < WIRE_OVERHEAD_BYTES ? SKEY_SHORT : SKEY_UNKNOWN);
		free(frame);
	}
}

/* Keys have a direction: what A sealed does not come back to it. */
static void reflected(void **state)
{
	uint8_t frame[ANY_BYTES];
	struct skey_opened opened;
	struct skey_opener o;

	(void)state;
	w.a.key->far_index = A_INDEX;
	w.a.key->net64 = ip6_net64(&w.a.address);
	world_seal_any(&w, 0, frame);
	skey_open_begin(&o, w.a.keys, OWNER, w.now);
	assert_int_equal(skey_open(&o, frame, sizeof(frame), &opened), SKEY_FAILED);
}

/* Each seals with one implementation what the other opens; both seal the same bytes. */
static void both_agree(void **state)
{
	static uint8_t plain[4 + MAX_LEN], frames[2][MAX_LEN + WIRE_OVERHEAD_BYTES];
	struct world other;

	(void)state;
	world_init(&other, implementations[1]);
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i * 7 + (i >> 8));
	for (size_t len = 0; len <= MAX_LEN; len++) {
		const unsigned lane = (unsigned)len % LANES;
		const uint8_t type = (uint8_t)(len % 3);
		const size_t size = world_seal(&w, lane, type, plain + 4, len, frames[0]);
		struct skey_opened opened;

		assert_int_equal(size, len + WIRE_OVERHEAD_BYTES);
		assert_int_equal(world_seal(&other, lane, type, plain + 4, len, frames[1]), size);
		assert_memory_equal(frames[0], frames[1], size);
		assert_int_equal(world_open(&other, frames[0], size, &opened), SKEY_OK);
		assert_true(opened.user.len == len && opened.user.type == type);
		assert_memory_equal(opened.user.body, plain + 4, len);
		assert_int_equal(world_open(&w, frames[1], size, &opened), SKEY_OK);
		assert_memory_equal(opened.user.body, plain + 4, len);
	}
	world_fini(&other);
}

/* Each bit of addresses, ciphertext, tag and nonce; the packet itself still opens afterwards, once. */
static void every_bit_counts(void **state)
{
	static const size_t lengths[] = {0, 1, 15, 16, 60, 128, 300};
	static uint8_t plain[4 + 300], frame[300 + WIRE_OVERHEAD_BYTES], changed[sizeof(frame)];

	(void)state;
	for (size_t n = 0; n < 2 * sizeof(lengths) / sizeof(lengths[0]); n++) {
		struct skey_opened opened;
		size_t size;

		world_fini(&w);
		world_init(&w, implementations[n % 2]);
		size = world_seal(&w, 1, WIRE_USER_L3, plain + 4, lengths[n / 2], frame);
		for (size_t bit = 64; bit < size * 8; bit++) {
			memcpy(changed, frame, size);
			changed[bit / 8] ^= (uint8_t)(1u << bit % 8);
			if (world_open(&w, changed, size, &opened) == SKEY_OK)
				fail_msg("bit %zu of a packet of %zu", bit, size);
		}
		assert_int_equal(w.b.key->opened.packets, 0);
		memcpy(changed, frame, size);
		assert_int_equal(world_open(&w, changed, size, &opened), SKEY_OK);
		assert_int_equal(world_open(&w, frame, size, &opened), SKEY_REPLAYED);
	}
}

static void the_largest(void **state)
{
	enum { LARGEST = WIRE_SEALED_MAX_BYTES - WIRE_SEALED_MIN_BYTES };
	static uint8_t plain[4 + LARGEST], frame[WIRE_FRAME_MAX_BYTES];
	struct skey_opened opened;

	(void)state;
	plain[4 + LARGEST - 1] = 9;
	assert_int_equal(world_seal(&w, 0, WIRE_USER_L3, plain + 4, LARGEST, frame), sizeof(frame));
	assert_memory_equal(frame + 4, "\xff\xff", 2);
	assert_int_equal(world_open(&w, frame, sizeof(frame), &opened), SKEY_OK);
	assert_int_equal(opened.user.len, LARGEST);
	assert_int_equal(opened.user.body[LARGEST - 1], 9);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, fresh, forget)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_known_answer),
		CASE(nonces_name_index_lane_and_counter),
		cmocka_unit_test(each_verdict),
		CASE(what_is_inside),
		CASE(cut_frames),
		CASE(reflected),
		CASE(both_agree),
		CASE(every_bit_counts),
		CASE(the_largest),
	};

	return cmocka_run_group_tests_name("packets in a session", tests, find, NULL);
}
