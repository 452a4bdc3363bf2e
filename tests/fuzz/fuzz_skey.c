/* SPDX-License-Identifier: Apache-2.0 */
/* Data packets of a session: sealed, kept, changed, delivered late, twice or never, among bytes that nobody sealed.
 * What opens was sealed exactly so, and never opened before.
 * Input: steps, each a byte of choice and what it needs. */
#include "fastpath/skey.h"
#include "shared/base/rows.h"
#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
	INDEX = 0x55667788,
	ROW = 1,
	OWNER = 1,
	KEPT = 128,
	BODY_MAX = 255,
	FRAME_ROOM = WIRE_OVERHEAD_BYTES + BODY_MAX,
	RAW_ROOM = 2048,
	UNBOUND_BYTES = 8, /* of the header, before the addresses */
};

struct kept {
	uint8_t frame[FRAME_ROOM];
	size_t len;
	uint64_t counter;
	uint8_t lane, type;
	bool opened;
};

static struct {
	struct lanes *lanes;
	struct skeys *keys;
	struct skey *key;
	struct kept kept[KEPT];
	size_t count;
	uint64_t greatest[LIMIT_SESSION_LANES];
	uint64_t opened;
} f;

static const struct ip6 far_address = {{2, 1}}, our_address = {{2, 2}};
static const struct mono now = {.us = 1};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void begin(void)
{
	/* One key for both directions, and the far side's index is ours: what we seal we can open. */
	const struct skey_given g = {.row = ROW,
				     .net64 = ip6_net64(&far_address),
				     .index = INDEX,
				     .far_index = INDEX,
				     .far_lanes = LIMIT_SESSION_LANES,
				     .our_lanes = LIMIT_SESSION_LANES,
				     .state = SKEY_STATE_SEND,
				     .made = now};
	const char *why;
	uint32_t slot;
	int problem;

	f.lanes = mmap(NULL, sizeof(*f.lanes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	f.keys = skeys_new(aead_choose(&why), f.lanes, 2);
	assert(f.lanes != MAP_FAILED && f.keys);
	rows_begin(f.lanes, ROW, INDEX);
	problem = skeys_add(f.keys, &g, &slot);
	assert(!problem);
	f.key = skeys_slot(f.keys, slot);
}

static void seal(struct rd *r)
{
	struct kept *const k = &f.kept[f.count];
	uint8_t plain[WIRE_USER_HEADER_BYTES + BODY_MAX] = {0};
	struct encap_packet p = {
		.plain = plain + WIRE_USER_HEADER_BYTES, .hop_limit = 9, .src = &far_address, .dst = &our_address};
	struct skey_run run;
	enum skey_verdict verdict;

	if (f.count == KEPT)
		return;
	k->lane = rd_u8(r) % LIMIT_SESSION_LANES;
	k->type = p.type = rd_u8(r);
	p.len = rd_u8(r);
	f.lanes->row[ROW].send[k->lane].next += rd_be16(r);
	verdict = skey_seal_begin(&run, f.keys, f.key, k->lane, 1, now);
	assert(verdict == SKEY_OK);
	k->counter = run.next;
	k->len = skey_seal(&run, &p, k->frame);
	skey_seal_end(&run);
	k->opened = false;
	f.count++;
}

static enum skey_verdict open_one(uint8_t *frame, size_t len)
{
	enum skey_verdict verdict;
	struct skey_opened opened;
	struct skey_opener o;

	skey_open_begin(&o, f.keys, OWNER, now);
	verdict = skey_open(&o, frame, len, &opened);
	skey_open_end(&o);
	if (verdict == SKEY_OK)
		assert(opened.key == f.key && opened.user.body == frame + 44 &&
		       opened.user.len == len - WIRE_OVERHEAD_BYTES);
	f.opened += verdict == SKEY_OK || verdict == SKEY_VERSION || verdict == SKEY_TYPE;
	assert(f.key->opened.packets == f.opened);
	return verdict;
}

/* As an ICMP out of band quotes it. */
static bool opens_as_quote(const uint8_t *frame, size_t len)
{
	const size_t sealed_len = len - WIRE_DATA_HEADER_BYTES;
	uint8_t *sealed = malloc(sealed_len + 1);
	const struct skey_quote q = {.src = &far_address, .dst = &our_address, .sealed = sealed, .len = sealed_len};
	struct encap_opened o;
	bool opens;

	assert(sealed);
	memcpy(sealed, frame + WIRE_DATA_HEADER_BYTES, sealed_len);
	opens = skey_open_quote(f.keys, f.key, &q, now, &o);
	if (opens)
		assert(o.body == sealed + WIRE_USER_HEADER_BYTES && o.len == len - WIRE_OVERHEAD_BYTES);
	free(sealed);
	return opens;
}

static void deliver(struct kept *k)
{
	const bool is_late = k->counter + LIMIT_SESSION_WINDOW <= f.greatest[k->lane];
	const bool is_known = k->type <= WIRE_USER_ICMP || k->type == WIRE_USER_CONTROL;
	uint8_t frame[FRAME_ROOM];
	enum skey_verdict verdict;

	memcpy(frame, k->frame, k->len);
	assert(opens_as_quote(frame, k->len) ==
	       (f.lanes->row[ROW].send[k->lane].next - k->counter <= LIMIT_NONCE_QUOTE_WINDOW));
	verdict = open_one(frame, k->len);
	if (is_late)
		assert(verdict == SKEY_LATE);
	else if (k->opened)
		assert(verdict == SKEY_REPLAYED);
	else
		assert(verdict == (is_known ? SKEY_OK : SKEY_TYPE));
	k->opened |= !is_late;
	if (k->counter > f.greatest[k->lane])
		f.greatest[k->lane] = k->counter;
}

static void deliver_changed(struct kept *k, struct rd *r)
{
	const size_t at = UNBOUND_BYTES + rd_be16(r) % (k->len - UNBOUND_BYTES);
	const uint8_t change = rd_u8(r);
	uint8_t frame[FRAME_ROOM];

	memcpy(frame, k->frame, k->len);
	frame[at] ^= change ? change : 1;
	assert(at < WIRE_DATA_HEADER_BYTES || !opens_as_quote(frame, k->len));
	assert(open_one(frame, k->len) < SKEY_REPLAYED);
	assert(f.key->opened.packets == f.opened);
}

static void deliver_raw(struct rd *r)
{
	const size_t wanted = rd_be16(r) % RAW_ROOM, len = wanted < rd_left(r) ? wanted : rd_left(r);
	uint8_t *frame = malloc(len ? len : 1);
	enum skey_verdict verdict;

	assert(frame);
	rd_bytes(r, frame, len);
	assert(len < WIRE_DATA_HEADER_BYTES || !opens_as_quote(frame, len));
	verdict = open_one(frame, len);
	assert(verdict && verdict < SKEY_REPLAYED);
	free(frame);
}

static void step(struct rd *r)
{
	const uint8_t choice = rd_u8(r);
	struct kept *const k = f.count ? &f.kept[choice / 4 % f.count] : NULL;

	if (choice % 4 == 0 || (!k && choice % 4 < 3))
		seal(r);
	else if (choice % 4 == 1)
		deliver(k);
	else if (choice % 4 == 2)
		deliver_changed(k, r);
	else
		deliver_raw(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);

	if (!f.lanes)
		begin();
	f.count = 0;
	f.key->sealed.bytes = f.key->opened.bytes = 0;
	memset(f.greatest, 0, sizeof(f.greatest));
	memset(&f.lanes->row[ROW], 0, sizeof(f.lanes->row[ROW]));
	while (rd_left(&r))
		step(&r);
	return 0;
}
