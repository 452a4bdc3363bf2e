/* SPDX-License-Identifier: Apache-2.0 */
/* Out-of-band ICMP: the body of a report (its length first, u16), then the original that its quote opened to. What
 * reaches the host is a whole packet with a true checksum; what is built from the same bytes parses. */
#include "fastpath/icmp.h"
#include "tests/support/packet.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *copy(const uint8_t *bytes, size_t len)
{
	uint8_t *p = malloc(len + 1);

	assert(p);
	if (len)
		memcpy(p, bytes, len);
	return p;
}

static void check_packet(const uint8_t *out, size_t len)
{
	assert(len >= 48 && len <= ICMP_LOCAL_MAX_BYTES);
	assert(len == 40u + (unsigned)(out[4] << 8 | out[5]));
	assert(packet_checksum_is_true(out, len));
}

/* As if a report of it had come: to where it came from, about where it went. */
static void deliver(struct icmp_oob *icmp, const uint8_t *original, size_t len)
{
	uint8_t out[ICMP_LOCAL_MAX_BYTES];
	struct ip6 from = {{3}}, to = {{2}};
	const struct icmp_report r = {&from, &to, 63, original, len};
	size_t made;

	if (len >= 40) {
		memcpy(&to, original + 8, sizeof(to));
		memcpy(&icmp->about, original + 24, sizeof(icmp->about));
	}
	made = icmp_oob_deliver(icmp, &r, out);
	assert((made == 0) == icmp_is_forbidden_about(original, len));
	if (made)
		check_packet(out, made);
}

static void build(const uint8_t *original, size_t len)
{
	const struct icmp_error e = {ICMP_TOO_BIG, 0, 1280};
	const struct ip6 own = {{2}};
	uint8_t out[ICMP_OOB_MAX_BYTES];
	struct icmp_oob icmp;
	size_t made;

	if (len < 40)
		return;
	check_packet(out, icmp_local(&e, &own, original, len, out));
	made = icmp_oob_build(&e, &own, original, len, out);
	assert(made <= ICMP_OOB_MAX_BYTES);
	check_packet(out + 16, made - 16);
	assert(icmp_oob_parse(out, made, &icmp) == (made < 64 + 32 ? STAT_drop_icmp_quote : 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	const size_t wanted = rd_be16(&r), body_len = wanted < rd_left(&r) ? wanted : rd_left(&r);
	const size_t original_len = rd_left(&r) - body_len;
	uint8_t *body = copy(r.p, body_len), *original = copy(r.p + body_len, original_len);
	struct icmp_oob icmp = {.type = ICMP_UNREACHABLE};

	if (icmp_oob_parse(body, body_len, &icmp) == 0) {
		assert(icmp.quote >= body && icmp.quote_len >= WIRE_SEALED_MIN_BYTES);
		assert(icmp.quote + icmp.quote_len == body + body_len);
	}
	deliver(&icmp, original, original_len);
	build(original, original_len);
	free(body);
	free(original);
	return 0;
}
