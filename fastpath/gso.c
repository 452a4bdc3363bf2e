/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting and coalescing. From the source address on, an IPv6 packet without extension headers lies in memory as its
 * checksum wants it: addresses, transport header, payload; only length and next header are added. So one sum over
 * contiguous bytes does. */
#include "fastpath/gso.h"

#include "fastpath/csum.h"
#include <assert.h>

enum {
	IP6_HEADER_BYTES = 40,
	IP6_LENGTH = 4,
	IP6_NEXT = 6,
	IP6_SOURCE = 8,
	NEXT_TCP = 6,
	NEXT_UDP = 17,

	TCP_HEADER_MIN_BYTES = 20,
	/* From the start of the packet. */
	PORTS = IP6_HEADER_BYTES,
	PORTS_END = PORTS + 4,
	TCP_SEQ = 44,
	TCP_ACK = 48,
	TCP_OFFSET = 52,
	TCP_FLAGS = 53,
	TCP_WINDOW = 54,
	TCP_URGENT = 58,
	UDP_LENGTH = 44,
	UDP_CHECKSUM = 46,
	UDP_HEADERS_BYTES = 48,

	/* From the start of the transport header. */
	TCP_CSUM_OFFSET = 16,
	UDP_CSUM_OFFSET = 6,

	TCP_FIN = 0x01,
	TCP_PSH = 0x08,
	TCP_ACK_FLAG = 0x10,
	TCP_CWR = 0x80,

	/* struct virtio_net_hdr. */
	VNET_NEEDS_CSUM = 1,
	VNET_NONE = 0,
	VNET_TCPV6 = 4,
	VNET_UDP_L4 = 5,
	VNET_ECN = 0x80,
};

static uint16_t read_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void write_be16(uint8_t *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, sizeof(v));
}

static uint32_t read_be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

static void write_be32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof(v));
}

static size_t tcp_headers_len(const uint8_t *packet)
{
	return IP6_HEADER_BYTES + (size_t)(packet[TCP_OFFSET] >> 4) * 4;
}

/* Length and next header: the part of the pseudo-header that does not lie before the transport header. */
static uint64_t pseudo_rest(const uint8_t *packet, size_t len)
{
	return csum_add_be16(csum_add_be16(0, (uint16_t)(len - IP6_HEADER_BYTES)), packet[IP6_NEXT]);
}

/* The transport checksum is true. */
static bool checksum_is_valid(const uint8_t *packet, size_t len)
{
	return csum_fold(csum_add(pseudo_rest(packet, len), packet + IP6_SOURCE, len - IP6_SOURCE)) == UINT16_MAX;
}

/* Completes a checksum; a zero would say "none" in UDP (RFC 8200 8.1). */
static void write_checksum(uint8_t *field, uint64_t sum, bool udp)
{
	uint16_t value = (uint16_t)~csum_fold(sum);

	if (udp && value == 0)
		value = UINT16_MAX;
	memcpy(field, &value, sizeof(value));
}

/* Cutting. */

/* Lengths of a packet that is not to be cut; surplus bytes go. */
static bool init_whole(struct gso_cut *c, const struct gso_header *h)
{
	const size_t whole = IP6_HEADER_BYTES + (size_t)read_be16(c->packet + IP6_LENGTH);

	if (whole > c->len)
		return false;
	c->len = whole;
	return !c->needs_csum || (h->csum_start >= IP6_HEADER_BYTES &&
				  (size_t)h->csum_start + h->csum_offset + sizeof(uint16_t) <= c->len);
}

/* Header length of a super-packet by what it holds, not by what the TUN said; 0: neither TCP nor UDP as type tells. */
static size_t super_header_len(const uint8_t *packet, size_t len, uint8_t type)
{
	if (type == VNET_UDP_L4)
		return packet[IP6_NEXT] == NEXT_UDP ? UDP_HEADERS_BYTES : 0;
	if ((type & ~VNET_ECN) != VNET_TCPV6 || packet[IP6_NEXT] != NEXT_TCP)
		return 0;
	if (len < IP6_HEADER_BYTES + TCP_HEADER_MIN_BYTES)
		return 0;
	return tcp_headers_len(packet) >= IP6_HEADER_BYTES + TCP_HEADER_MIN_BYTES ? tcp_headers_len(packet) : 0;
}

static uint16_t csum_offset_of(const struct gso_cut *c)
{
	return c->tcp ? TCP_CSUM_OFFSET : UDP_CSUM_OFFSET;
}

/* Keeps the headers, and the sum of what does not change in them, so that only the rest and the payload are added for
 * each segment. */
static void init_header(struct gso_cut *c)
{
	uint8_t *transport = c->header + IP6_HEADER_BYTES;
	uint64_t sum;

	memcpy(c->header, c->packet, c->header_len);
	memset(transport + csum_offset_of(c), 0, sizeof(uint16_t));
	sum = csum_add(csum_add_be16(0, c->header[IP6_NEXT]), c->header + IP6_SOURCE, PORTS_END - IP6_SOURCE);
	if (c->tcp) /* without sequence, offset and flags; in UDP without length */
		sum = csum_add(csum_add(sum, c->header + TCP_ACK, TCP_OFFSET - TCP_ACK), c->header + TCP_WINDOW,
			       c->header_len - TCP_WINDOW);
	c->header_sum = sum;
}

static bool init_super(struct gso_cut *c, const struct gso_header *h)
{
	const size_t length = read_be16(c->packet + IP6_LENGTH);
	size_t segment;

	if (IP6_HEADER_BYTES + length > c->len)
		return false;
	if (length) /* the kernel leaves it out where 16 bits do not hold it */
		c->len = IP6_HEADER_BYTES + length;
	c->header_len = super_header_len(c->packet, c->len, h->type);
	if (!c->header_len || c->header_len >= c->len || !h->size)
		return false;
	c->tcp = c->packet[IP6_NEXT] == NEXT_TCP;
	if (c->needs_csum &&
	    (h->csum_start != IP6_HEADER_BYTES || h->csum_offset != (c->tcp ? TCP_CSUM_OFFSET : UDP_CSUM_OFFSET)))
		return false;
	c->size = h->size;
	segment = c->len - c->header_len < c->size ? c->len - c->header_len : c->size;
	if (c->header_len + segment - IP6_HEADER_BYTES > UINT16_MAX)
		return false;
	init_header(c);
	return true;
}

bool gso_cut_init(struct gso_cut *c, const struct gso_header *h, uint8_t *packet, size_t len)
{
	c->packet = packet;
	c->len = len;
	c->header_len = c->size = c->at = 0;
	c->tcp = c->done = false;
	c->needs_csum = h->flags & VNET_NEEDS_CSUM;
	c->csum_start = h->csum_start;
	c->csum_offset = h->csum_offset;
	if (len < IP6_HEADER_BYTES || packet[0] >> 4 != 6)
		return false;
	return h->type == VNET_NONE ? init_whole(c, h) : init_super(c, h);
}

/* The whole packet; the kernel left the pseudo-header's sum in the field. */
static uint8_t *next_whole(struct gso_cut *c, size_t *len)
{
	uint8_t *start = c->packet + c->csum_start;

	c->done = true;
	*len = c->len;
	if (c->needs_csum)
		write_checksum(start + c->csum_offset, csum_add(0, start, c->len - c->csum_start),
			       c->csum_offset == UDP_CSUM_OFFSET);
	return c->packet;
}

/* Completes the headers of the segment at c->at; sum: of all but the fields written here. */
static void write_tcp(const struct gso_cut *c, uint8_t *p, uint64_t sum)
{
	const uint32_t seq = read_be32(c->header + TCP_SEQ) + (uint32_t)c->at;
	uint8_t flags = c->header[TCP_FLAGS];

	if (!c->done)
		flags &= (uint8_t) ~(TCP_PSH | TCP_FIN);
	if (c->at)
		flags &= (uint8_t)~TCP_CWR;
	write_be32(p + TCP_SEQ, seq);
	p[TCP_FLAGS] = flags;
	sum = csum_add_be16(csum_add_be16(sum, (uint16_t)(seq >> 16)), (uint16_t)seq);
	sum = csum_add_be16(sum, (uint16_t)(c->header[TCP_OFFSET] << 8 | flags));
	write_checksum(p + IP6_HEADER_BYTES + TCP_CSUM_OFFSET, sum, false);
}

static void write_udp(uint8_t *p, uint16_t length, uint64_t sum)
{
	write_be16(p + UDP_LENGTH, length);
	write_checksum(p + IP6_HEADER_BYTES + UDP_CSUM_OFFSET, csum_add_be16(sum, length), true);
}

uint32_t gso_cut_count(const struct gso_cut *c)
{
	return c->size ? (uint32_t)((c->len - c->header_len + c->size - 1) / c->size) : 1;
}

uint8_t *gso_cut_next(struct gso_cut *c, size_t *len)
{
	uint8_t *p = c->packet + c->at;
	size_t payload = c->len - c->header_len - c->at;
	uint16_t length;
	uint64_t sum;

	if (c->done)
		return NULL;
	if (!c->size)
		return next_whole(c, len);
	c->done = payload <= c->size;
	if (!c->done)
		payload = c->size;
	*len = c->header_len + payload;
	length = (uint16_t)(*len - IP6_HEADER_BYTES);
	sum = csum_add(csum_add_be16(c->header_sum, length), p + c->header_len, payload);
	memcpy(p, c->header, c->header_len);
	write_be16(p + IP6_LENGTH, length);
	if (c->tcp)
		write_tcp(c, p, sum);
	else
		write_udp(p, length, sum);
	c->at += payload;
	return p;
}

/* Coalescing. */

/* What of a packet decides whether it may be coalesced. */
struct segment {
	size_t header_len, payload;
	uint32_t seq; /* TCP */
	bool tcp, last;
};

static bool parse_tcp(const uint8_t *p, size_t len, struct segment *s)
{
	if (len < IP6_HEADER_BYTES + TCP_HEADER_MIN_BYTES)
		return false;
	s->tcp = true;
	s->header_len = tcp_headers_len(p);
	s->seq = read_be32(p + TCP_SEQ);
	s->last = p[TCP_FLAGS] & (TCP_PSH | TCP_FIN);
	return s->header_len >= IP6_HEADER_BYTES + TCP_HEADER_MIN_BYTES &&
	       (p[TCP_FLAGS] & ~(TCP_PSH | TCP_FIN)) == TCP_ACK_FLAG;
}

static bool parse_udp(const uint8_t *p, size_t len, struct segment *s)
{
	s->tcp = s->last = false;
	s->header_len = UDP_HEADERS_BYTES;
	s->seq = 0;
	return len > UDP_HEADERS_BYTES && read_be16(p + UDP_LENGTH) == len - IP6_HEADER_BYTES &&
	       read_be16(p + UDP_CHECKSUM) != 0;
}

/* False: of a kind that is never coalesced. */
static bool parse_segment(const struct gso_join *j, const uint8_t *p, size_t len, struct segment *s)
{
	bool known = false;

	if (!j->enabled || read_be16(p + IP6_LENGTH) != len - IP6_HEADER_BYTES)
		return false;
	if (p[IP6_NEXT] == NEXT_TCP)
		known = parse_tcp(p, len, s);
	else if (p[IP6_NEXT] == NEXT_UDP && j->udp)
		known = parse_udp(p, len, s);
	if (!known || s->header_len >= len)
		return false;
	s->payload = len - s->header_len;
	return true;
}

/* Same flow and same header fields, all but length, sequence, PSH, FIN and checksum. */
static bool is_same_flow(const uint8_t *a, const uint8_t *b, const struct segment *s)
{
	if (memcmp(a, b, IP6_LENGTH) != 0 || memcmp(a + IP6_NEXT, b + IP6_NEXT, PORTS_END - IP6_NEXT) != 0)
		return false;
	if (!s->tcp)
		return true;
	return memcmp(a + TCP_ACK, b + TCP_ACK, TCP_FLAGS - TCP_ACK) == 0 &&
	       memcmp(a + TCP_WINDOW, b + TCP_WINDOW, sizeof(uint16_t)) == 0 &&
	       memcmp(a + TCP_URGENT, b + TCP_URGENT, s->header_len - TCP_URGENT) == 0;
}

static bool is_next(const struct gso_join *j, const uint8_t *p, const struct segment *s)
{
	return j->count && j->count < GSO_MAX_SEGMENTS && !j->closed && s->payload <= j->size &&
	       s->header_len == j->header_len && j->total + s->payload <= GSO_SUPER_MAX_BYTES &&
	       is_same_flow(p, j->first, s) && (!s->tcp || s->seq == j->next_seq);
}

/* The first of the run is looked at when it is known not to stay alone. */
static bool first_is_valid(struct gso_join *j)
{
	if (!j->verified)
		j->verified = checksum_is_valid(j->first, j->total);
	return j->verified;
}

static void begin(struct gso_join *j, uint8_t *packet, size_t len, const struct segment *s)
{
	j->first = packet;
	j->header_len = s->header_len;
	j->size = s->payload;
	j->total = len;
	j->count = 1;
	j->next_seq = s->seq + (uint32_t)s->payload;
	j->closed = s->last;
	j->verified = false;
	j->iov[1] = (struct iovec){packet, len};
}

static void append(struct gso_join *j, uint8_t *packet, const struct segment *s)
{
	j->count++;
	j->iov[j->count] = (struct iovec){packet + s->header_len, s->payload};
	j->total += s->payload;
	j->next_seq += (uint32_t)s->payload;
	j->closed = s->last || s->payload < j->size;
	if (s->last)
		j->first[TCP_FLAGS] |= packet[TCP_FLAGS] & (TCP_PSH | TCP_FIN);
}

/* Makes the first packet's header that of the super-packet. */
static void finish_super(struct gso_join *j)
{
	const bool tcp = j->first[IP6_NEXT] == NEXT_TCP;
	const uint16_t csum_offset = tcp ? TCP_CSUM_OFFSET : UDP_CSUM_OFFSET;
	const uint16_t length = (uint16_t)(j->total - IP6_HEADER_BYTES);
	uint16_t pseudo;

	j->header = (struct gso_header){.flags = VNET_NEEDS_CSUM,
					.type = tcp ? VNET_TCPV6 : VNET_UDP_L4,
					.header_len = (uint16_t)j->header_len,
					.size = (uint16_t)j->size,
					.csum_start = IP6_HEADER_BYTES,
					.csum_offset = csum_offset};
	write_be16(j->first + IP6_LENGTH, length);
	if (!tcp)
		write_be16(j->first + UDP_LENGTH, length);
	pseudo = csum_fold(csum_add(pseudo_rest(j->first, j->total), j->first + IP6_SOURCE, PORTS - IP6_SOURCE));
	memcpy(j->first + IP6_HEADER_BYTES + csum_offset, &pseudo, sizeof(pseudo));
}

void gso_join_init(struct gso_join *j, void (*write)(void *, const struct iovec *, int, uint32_t), void *ctx)
{
	*j = (struct gso_join){.write = write, .ctx = ctx, .enabled = true};
}

void gso_join_flush(struct gso_join *j)
{
	const uint32_t count = j->count;

	if (!count)
		return;
	j->count = 0;
	j->header = (struct gso_header){0};
	if (count > 1)
		finish_super(j);
	j->iov[0] = (struct iovec){&j->header, sizeof(j->header)};
	j->write(j->ctx, j->iov, (int)count + 1, count);
}

void gso_join_add(struct gso_join *j, uint8_t *packet, size_t len)
{
	struct segment s;

	assert(len >= IP6_HEADER_BYTES);
	if (!parse_segment(j, packet, len, &s)) {
		gso_join_flush(j);
		begin(j, packet, len, &(struct segment){.last = true});
		gso_join_flush(j);
		return;
	}
	if (is_next(j, packet, &s) && first_is_valid(j) && checksum_is_valid(packet, len)) {
		append(j, packet, &s);
		return;
	}
	gso_join_flush(j);
	begin(j, packet, len, &s);
}
