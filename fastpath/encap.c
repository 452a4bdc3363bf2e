/* SPDX-License-Identifier: Apache-2.0 */
/* The hot path of own traffic: one pass over each packet. What is checked of an opened packet, and in which order, is
 * encap_check_l3(). */
#include "fastpath/encap.h"

#include <assert.h>

enum { IP6_HEADER_BYTES = 40 };

static const uint64_t COUNTER_END = UINT64_C(1) << 32;

static uint64_t read_be64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(v);
}

static uint32_t read_be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

#ifdef NONCE_AUDIT
void (*encap_audit)(uint64_t prefix);

static void audit(uint64_t prefix)
{
	if (encap_audit)
		encap_audit(prefix);
}
#else
static void audit(uint64_t prefix)
{
	(void)prefix;
}
#endif

/* A new prefix: listed before it is used. The slot's number of unused counters is zeroed first, so that a reader who
 * meets the old prefix or the new one finds nothing sealed under it. */
static void draw(struct nonce_lane *l)
{
	struct lanes_header *h = &l->lanes->header;

	l->generation = __atomic_load_n(&h->generation, __ATOMIC_ACQUIRE);
	randombytes_buf(&l->prefix, sizeof(l->prefix));
	l->prefix >>= 1;
	l->next = 0;
	audit(l->prefix);
	l->slot = &l->lanes->prefixes[__atomic_fetch_add(&h->prefix_count, 1, __ATOMIC_RELAXED) % LIMIT_NONCE_PREFIXES];
	__atomic_store_n(&l->slot->next, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&l->slot->prefix, l->prefix, __ATOMIC_RELEASE);
}

void nonce_lane_init(struct nonce_lane *l, struct lanes *lanes)
{
	*l = (struct nonce_lane){.lanes = lanes};
	draw(l);
}

void nonce_lane_check(struct nonce_lane *l)
{
	if (__atomic_load_n(&l->lanes->header.generation, __ATOMIC_ACQUIRE) != l->generation)
		draw(l);
}

bool nonce_is_ours(const struct lanes *lanes, const uint8_t nonce[WIRE_NONCE_BYTES])
{
	const uint64_t drawn = __atomic_load_n(&lanes->header.prefix_count, __ATOMIC_RELAXED);
	const uint64_t listed = drawn < LIMIT_NONCE_PREFIXES ? drawn : LIMIT_NONCE_PREFIXES;
	const uint64_t prefix = read_be64(nonce) & (UINT64_MAX >> 1);
	const uint32_t counter = read_be32(nonce + 8);

	for (uint64_t i = 0; i < listed; i++) {
		const struct lanes_prefix *p = &lanes->prefixes[i];
		uint64_t next;

		if (__atomic_load_n(&p->prefix, __ATOMIC_ACQUIRE) != prefix)
			continue;
		next = __atomic_load_n(&p->next, __ATOMIC_RELAXED);
		if (counter < next && next - counter <= LIMIT_NONCE_QUOTE_WINDOW)
			return true;
	}
	return false;
}

/* The next nonce of the lane for this key, written big-endian. */
static void take_nonce(struct nonce_lane *l, const struct key_slot *key, uint8_t *out)
{
	uint64_t prefix;
	uint32_t counter;

	if (l->next == COUNTER_END)
		draw(l);
	prefix = __builtin_bswap64(l->prefix | (uint64_t)key->nonce_bit << 63);
	counter = __builtin_bswap32((uint32_t)l->next);
	l->next++;
	__atomic_store_n(&l->slot->next, l->next, __ATOMIC_RELAXED);
	memcpy(out, &prefix, sizeof(prefix));
	memcpy(out + sizeof(prefix), &counter, sizeof(counter));
}

static void count(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

size_t encap_seal(const struct aead *a, struct nonce_lane *lane, struct key_slot *key, const struct encap_packet *p,
		  uint8_t *out)
{
	const size_t plain_len = WIRE_USER_HEADER_BYTES + p->len;
	const uint16_t sealed_len = (uint16_t)(plain_len + WIRE_SEAL_BYTES);
	const struct wire_data header = {.version = WIRE_VERSION,
					 .type = WIRE_DATA,
					 .length = __builtin_bswap16(sealed_len),
					 .hop_limit = p->hop_limit,
					 .src = *p->src,
					 .dst = *p->dst};
	const uint8_t user[WIRE_USER_HEADER_BYTES] = {WIRE_USER_VERSION, p->type, 0, 0};
	uint8_t *body = out + WIRE_DATA_HEADER_BYTES, *tag = body + plain_len, *nonce = tag + WIRE_TAG_BYTES;
	const struct aead_job job = {
		.out = body, .in = p->plain - WIRE_USER_HEADER_BYTES, .len = plain_len, .nonce = nonce, .tag = tag};

	assert(p->len <= WIRE_SEALED_MAX_BYTES - WIRE_SEALED_MIN_BYTES);
	memcpy(out, &header, sizeof(header));
	memcpy(p->plain - WIRE_USER_HEADER_BYTES, user, sizeof(user));
	take_nonce(lane, key, nonce);
	a->seal(key_slot_aead(key), &job);
	count(&key->sealed);
	return WIRE_DATA_HEADER_BYTES + (size_t)sealed_len;
}

/* CONTROL is for sessions. */
static bool is_static_type(uint8_t type)
{
	return type <= WIRE_USER_ICMP || (type >= WIRE_USER_INIT && type <= WIRE_USER_HINT);
}

enum stat_id encap_open_quote(const struct aead *a, const struct key_slot *key, uint8_t *frame, size_t len,
			      struct encap_opened *out)
{
	uint8_t *const plain = frame + WIRE_DATA_HEADER_BYTES;
	struct aead_job job = {.out = plain, .in = plain};

	if (len < WIRE_DATA_HEADER_BYTES + WIRE_SEALED_MIN_BYTES)
		return STAT_drop_open_short;
	job.len = len - WIRE_DATA_HEADER_BYTES - WIRE_SEAL_BYTES;
	job.tag = plain + job.len;
	job.nonce = job.tag + WIRE_TAG_BYTES;
	if (!a->open(key_slot_aead(key), &job))
		return STAT_drop_open_failed;
	if (plain[0] != WIRE_USER_VERSION)
		return STAT_drop_user_version;
	if (!is_static_type(plain[1]))
		return STAT_drop_user_type;
	*out = (struct encap_opened){
		.body = plain + WIRE_USER_HEADER_BYTES, .len = job.len - WIRE_USER_HEADER_BYTES, .type = plain[1]};
	return 0;
}

enum stat_id encap_open(const struct aead *a, struct key_slot *key, uint8_t *frame, size_t len,
			struct encap_opened *out)
{
	const enum stat_id drop = encap_open_quote(a, key, frame, len, out);

	if (drop != STAT_drop_open_short && drop != STAT_drop_open_failed)
		count(&key->opened);
	return drop;
}

enum stat_id encap_check_l3(const uint8_t *frame, uint64_t key_net64, uint64_t own_net64, uint8_t hop_limit,
			    struct encap_opened *p)
{
	struct wire_data outer;
	struct ip6 src, dst;
	size_t whole;

	if (p->len < IP6_HEADER_BYTES || p->body[0] >> 4 != 6)
		return STAT_drop_inner_malformed;
	whole = IP6_HEADER_BYTES + (size_t)(p->body[4] << 8 | p->body[5]);
	if (whole > p->len)
		return STAT_drop_inner_malformed;
	memcpy(&outer, frame, sizeof(outer));
	memcpy(&src, p->body + 8, sizeof(src));
	memcpy(&dst, p->body + 24, sizeof(dst));
	if (!ip6_eq(&src, &outer.src) || ip6_net64(&src) != key_net64)
		return STAT_drop_inner_source;
	if (!ip6_eq(&dst, &outer.dst) || ip6_net64(&dst) != own_net64)
		return STAT_drop_inner_destination;
	p->len = whole;
	if (hop_limit < p->body[7])
		p->body[7] = hop_limit;
	return 0;
}
