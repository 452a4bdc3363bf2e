/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/packet.h"

#include <string.h>

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

/* 16-bit words in network order, an odd byte padded with zero, carried after each. */
static unsigned add(unsigned sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		sum += i % 2 ? p[i] : (unsigned)p[i] << 8;
		if (sum > 0xffff)
			sum -= 0xffff;
	}
	return sum;
}

static unsigned pseudo(const uint8_t *packet, size_t len)
{
	uint8_t rest[8] = {0};

	put32(rest, (uint32_t)(len - 40));
	rest[7] = packet[6];
	return add(add(0, packet + 8, 32), rest, sizeof(rest));
}

static uint8_t *field(uint8_t *packet)
{
	return packet + (packet[6] == 6 ? 56 : packet[6] == 17 ? 46 : 42);
}

bool packet_checksum_is_true(const uint8_t *packet, size_t len)
{
	return add(pseudo(packet, len), packet + 40, len - 40) == 0xffff;
}

void packet_set_checksum(uint8_t *packet, size_t len)
{
	unsigned sum;

	put16(field(packet), 0);
	sum = 0xffff - add(pseudo(packet, len), packet + 40, len - 40);
	put16(field(packet), sum == 0 && packet[6] == 17 ? 0xffff : sum);
}

void packet_set_partial_checksum(uint8_t *packet, size_t len)
{
	put16(field(packet), pseudo(packet, len));
}

static size_t finish(const struct packet *p, uint8_t *out, uint8_t next, size_t header_len)
{
	const size_t len = header_len + p->payload_len;

	put32(out, 6u << 28 | p->class_and_label);
	put16(out + 4, len - 40 > 0xffff ? 0 : (unsigned)(len - 40));
	out[6] = next;
	out[7] = p->hop_limit;
	memcpy(out + 8, &p->src, 16);
	memcpy(out + 24, &p->dst, 16);
	put16(out + 40, p->sport);
	put16(out + 42, p->dport);
	if (p->payload_len)
		memcpy(out + header_len, p->payload, p->payload_len);
	packet_set_checksum(out, len);
	return len;
}

size_t packet_tcp(const struct packet *p, uint8_t *out)
{
	const size_t header_len = 60 + p->options_len;

	memset(out, 0, header_len);
	put32(out + 44, p->seq);
	put32(out + 48, p->ack);
	out[52] = (uint8_t)((20 + p->options_len) / 4 << 4);
	out[53] = p->flags;
	put16(out + 54, p->window);
	put16(out + 58, p->urgent);
	if (p->options_len)
		memcpy(out + 60, p->options, p->options_len);
	return finish(p, out, 6, header_len);
}

size_t packet_udp(const struct packet *p, uint8_t *out)
{
	memset(out, 0, 48);
	put16(out + 44, (unsigned)(8 + p->payload_len) & 0xffff);
	return finish(p, out, 17, 48);
}
