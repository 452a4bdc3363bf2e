/* SPDX-License-Identifier: Apache-2.0 */
/* TLVs against the known answers, every truncation, and the arithmetic of metrics and seqnos. Runs from the root of the
 * tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include "controld/babel/metric.h"
#include "controld/babel/tlv.h"
#include "shared/base/ip.h"
#include "shared/base/network.h"
#include <cjson/cJSON.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

static cJSON *vectors;

static int load_vectors(void **state)
{
	FILE *f = fopen("tests/vectors/vectors-200.json", "r");
	static char text[256 * 1024];
	size_t len;

	(void)state;
	if (!f)
		return -1;
	len = fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	vectors = cJSON_ParseWithLength(text, len);
	return vectors ? 0 : -1;
}

static int free_vectors(void **state)
{
	(void)state;
	cJSON_Delete(vectors);
	return 0;
}

static size_t from_hex(const char *hex, uint8_t *out, size_t cap)
{
	const size_t len = strlen(hex) / 2;

	assert_true(len <= cap);
	for (size_t i = 0; i < len; i++) {
		const char digits[3] = {hex[2 * i], hex[2 * i + 1]};

		out[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	return len;
}

static uint32_t number(const cJSON *o, const char *name)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);

	if (cJSON_IsString(v))
		return (uint32_t)strtoul(v->valuestring, NULL, 16);
	return v ? (uint32_t)v->valuedouble : 0;
}

static const char *string(const cJSON *o, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));
}

/* Reads one TLV, writes it again, and wants the same bytes. */
static struct tlv round_trip(const uint8_t *bytes, size_t len)
{
	struct rd r = rd_init(bytes, len);
	uint8_t again[128];
	struct wr w = wr_init(again, sizeof(again));
	struct tlv t;

	assert_int_equal(tlv_read(&r, &t), TLV_OK);
	assert_int_equal(rd_left(&r), 0);
	tlv_write(&w, &t);
	assert_false(w.bad);
	assert_int_equal(wr_len(&w), len);
	return memcmp(again, bytes, len) == 0 ? t : (struct tlv){.type = TLV_PAD1};
}

static void assert_address(const struct tlv *t, const char *text)
{
	const struct ip6 *ip = t->type == TLV_IHU      ? &t->ihu.address
			       : t->type == TLV_UPDATE ? &t->update.address
						       : &t->seqno_request.address;
	struct ip6 want = {{0}};
	unsigned a, b, c, d;

	if (text && sscanf(text, "%u.%u.%u.%u", &a, &b, &c, &d) == 4)
		want = (struct ip6){{(uint8_t)a, (uint8_t)b, (uint8_t)c, (uint8_t)d}};
	else if (text)
		assert_int_equal(ip6_parse(text, &want), 0);
	assert_memory_equal(ip->b, want.b, 16);
}

static void assert_router_id(const struct router_id *id, const char *text)
{
	struct router_id want;

	if (strncmp(text, "nodes.A", 7) == 0)
		text = string(cJSON_GetObjectItem(cJSON_GetObjectItem(vectors, "nodes"), "A"), "router_id");
	assert_int_equal(from_hex(text, (uint8_t *)&want, sizeof(want)), sizeof(want));
	assert_memory_equal(id, &want, sizeof(want));
}

static void assert_fields(const struct tlv *t, const cJSON *in)
{
	switch (t->type) {
	case TLV_HELLO:
		assert_int_equal(t->hello.flags, number(in, "flags"));
		assert_int_equal(t->hello.seqno, number(in, "seqno"));
		assert_int_equal(t->hello.interval, number(in, "interval"));
		break;
	case TLV_IHU:
		assert_int_equal(t->ihu.ae, number(in, "ae"));
		assert_int_equal(t->ihu.rx_cost, number(in, "rx_cost"));
		assert_int_equal(t->ihu.interval, number(in, "interval"));
		if (t->ihu.ae != WIRE_AE_WILDCARD)
			assert_address(t, string(in, "address"));
		break;
	case TLV_UPDATE:
		assert_int_equal(t->update.ae, number(in, "ae"));
		assert_int_equal(t->update.prefix_len, number(in, "prefix_len"));
		assert_int_equal(t->update.interval, number(in, "interval"));
		if (cJSON_HasObjectItem(in, "seqno")) {
			assert_int_equal(t->update.seqno, number(in, "seqno"));
			assert_int_equal(t->update.metric, number(in, "metric"));
		}
		assert_address(t, t->update.ae == WIRE_AE_WILDCARD ? NULL : string(in, "prefix"));
		assert_router_id(&t->update.router_id, string(in, "router_id"));
		break;
	case TLV_SEQNO_REQUEST:
		assert_int_equal(t->seqno_request.ae, number(in, "ae"));
		assert_int_equal(t->seqno_request.prefix_len, number(in, "prefix_len"));
		assert_int_equal(t->seqno_request.seqno, number(in, "seqno"));
		assert_int_equal(t->seqno_request.hop_count, number(in, "hop_count"));
		assert_address(t, t->seqno_request.ae == WIRE_AE_WILDCARD ? NULL : string(in, "prefix"));
		assert_router_id(&t->seqno_request.router_id, string(in, "router_id"));
		break;
	case TLV_PAD1:
		fail();
	}
}

static void test_control_packets(void **state)
{
	const cJSON *v;
	size_t count = 0;

	(void)state;
	cJSON_ArrayForEach(v, cJSON_GetObjectItem(vectors, "control_packets"))
	{
		uint8_t bytes[256];
		const size_t len = from_hex(string(v, "bytes"), bytes, sizeof(bytes));
		const struct tlv t = round_trip(bytes + WIRE_CONTROL_HEADER_BYTES, len - WIRE_CONTROL_HEADER_BYTES);

		assert_fields(&t, cJSON_GetObjectItem(v, "inputs"));
		count++;
	}
	assert_true(count >= 9);
}

static uint8_t type_of(const char *name)
{
	static const struct {
		const char *name;
		uint8_t type;
	} table[] = {
#define TLV(lower, UPPER, number) {#lower, number},
#include "controld/babel/tlv.def"
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(name, table[i].name) == 0)
			return table[i].type;
	fail_msg("no such TLV: %s", name);
	return 0;
}

static size_t body_vector(const cJSON *v, uint8_t *bytes, size_t cap)
{
	const size_t len = from_hex(string(v, "body"), bytes + 2, cap - 2);

	bytes[0] = type_of(string(v, "tlv"));
	bytes[1] = (uint8_t)len;
	return len + 2;
}

static void test_tlv_bodies(void **state)
{
	const cJSON *v;
	size_t count = 0;

	(void)state;
	cJSON_ArrayForEach(v, cJSON_GetObjectItem(vectors, "tlv_bodies"))
	{
		uint8_t bytes[256];
		const size_t len = body_vector(v, bytes, sizeof(bytes));
		const struct tlv t = round_trip(bytes, len);

		assert_fields(&t, cJSON_GetObjectItem(v, "inputs"));
		count++;
	}
	assert_true(count >= 11);
}

/* Cut by the packet, and cut by its own length byte: bad either way. Surplus bytes in the TLV are stepped over. */
static void check_truncations(uint8_t *bytes, size_t len)
{
	struct tlv t;
	struct rd r;

	for (size_t cut = 1; cut < len; cut++) {
		uint8_t *copy = malloc(cut); /* so that reading too far is seen */

		assert_non_null(copy);
		memcpy(copy, bytes, cut);
		r = rd_init(copy, cut);
		assert_int_equal(tlv_read(&r, &t), TLV_BAD);
		if (cut >= 2) {
			copy[1] = (uint8_t)(cut - 2);
			r = rd_init(copy, cut);
			assert_int_equal(tlv_read(&r, &t), TLV_BAD);
		}
		free(copy);
	}
	bytes[1] += 3;
	r = rd_init(bytes, len + 3);
	assert_int_equal(tlv_read(&r, &t), TLV_OK);
	assert_int_equal(rd_left(&r), 0);
	assert_int_equal(tlv_read(&r, &t), TLV_END);
}

static void test_truncations(void **state)
{
	const cJSON *v;

	(void)state;
	cJSON_ArrayForEach(v, cJSON_GetObjectItem(vectors, "tlv_bodies"))
	{
		uint8_t bytes[256] = {0};

		check_truncations(bytes, body_vector(v, bytes, 250));
	}
}

static void test_verdicts(void **state)
{
	static const struct {
		const char *hex;
		enum tlv_verdict verdict;
	} table[] = {
		{"", TLV_END},
		{"00", TLV_UNKNOWN}, /* Pad1 */
		{"0100", TLV_UNKNOWN}, /* PadN */
		{"01020000", TLV_UNKNOWN},
		{"090400000000", TLV_UNKNOWN}, /* a Route Request of later versions */
		{"0905000000", TLV_BAD}, /* unknown, and too long */
		{"ff", TLV_BAD},
		{"0406800000010004", TLV_OK},
		{"04058000000100", TLV_BAD},
		{"05060400000000ff", TLV_OK}, /* IHU of an unknown AE: no address is known to follow */
		{"050500000000ff", TLV_BAD},
		{"0809040000000000000000", TLV_BAD}, /* Update of an unknown AE, too short */
		{"080a04000000000000000000", TLV_OK},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint8_t bytes[64];
		struct rd r = rd_init(bytes, from_hex(table[i].hex, bytes, sizeof(bytes)));
		struct tlv t;

		assert_int_equal(tlv_read(&r, &t), table[i].verdict);
		if (table[i].verdict != TLV_BAD)
			assert_int_equal(rd_left(&r), 0);
	}
}

static void test_prefix_lengths(void **state)
{
	static const struct {
		uint8_t ae, len;
		bool good;
	} table[] = {{0, 128, true},  {0, 129, false}, {1, 32, true},  {1, 33, false},	{2, 128, true},
		     {2, 129, false}, {2, 255, false}, {3, 128, true}, {3, 129, false}, {4, 255, true}};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint8_t update[2 + 66] = {8, 66, table[i].ae, 0, table[i].len};
		uint8_t request[2 + 62 + 16] = {10, 62 + 16, table[i].ae, table[i].len};
		struct rd u = rd_init(update, sizeof(update)), q = rd_init(request, sizeof(request));
		struct tlv t;

		assert_int_equal(tlv_read(&u, &t), table[i].good ? TLV_OK : TLV_BAD);
		assert_int_equal(tlv_read(&q, &t), table[i].good ? TLV_OK : TLV_BAD);
	}
}

static void test_write_without_room(void **state)
{
	const struct tlv t = {.type = TLV_UPDATE, .update = {.ae = WIRE_AE_IPV6}};

	(void)state;
	for (size_t room = 0; room <= TLV_UPDATE_BYTES; room++) {
		uint8_t bytes[TLV_UPDATE_BYTES];
		struct wr w = wr_init(bytes, room);

		tlv_write(&w, &t);
		assert_int_equal(w.bad, room < TLV_UPDATE_BYTES);
	}
}

static void test_seqno_compare(void **state)
{
	const cJSON *v;

	(void)state;
	cJSON_ArrayForEach(v, cJSON_GetObjectItem(vectors, "seqno_compare"))
	{
		const uint16_t a = (uint16_t)number(v, "a"), b = (uint16_t)number(v, "b");

		assert_int_equal(seqno_lt(a, b), cJSON_IsTrue(cJSON_GetObjectItem(v, "a_lt_b")));
		assert_int_equal(seqno_lt(b, a), cJSON_IsTrue(cJSON_GetObjectItem(v, "a_gt_b")));
	}
	assert_true(cJSON_GetArraySize(cJSON_GetObjectItem(vectors, "seqno_compare")) > 0);
}

static void test_metric_add(void **state)
{
	const cJSON *v;

	(void)state;
	cJSON_ArrayForEach(v, cJSON_GetObjectItem(vectors, "metric_add"))
	{
		assert_int_equal(metric_add((uint16_t)number(v, "a"), (uint16_t)number(v, "b")), number(v, "sum"));
	}
	assert_true(cJSON_GetArraySize(cJSON_GetObjectItem(vectors, "metric_add")) > 0);
	assert_int_equal(metric_diff(3, 10), 7);
	assert_int_equal(metric_diff(10, 3), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_control_packets), cmocka_unit_test(test_tlv_bodies),
		cmocka_unit_test(test_truncations),	cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_prefix_lengths),	cmocka_unit_test(test_write_without_room),
		cmocka_unit_test(test_seqno_compare),	cmocka_unit_test(test_metric_add),
	};

	return cmocka_run_group_tests(tests, load_vectors, free_vectors);
}
