/* SPDX-License-Identifier: Apache-2.0 */
/* IPv6 packets for tests, made and checksummed the slow and obvious way, independent of the code under test. */
#ifndef TESTS_SUPPORT_PACKET_H
#define TESTS_SUPPORT_PACKET_H

#include "shared/wire.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PACKET_FIN = 1,
	PACKET_SYN = 2,
	PACKET_RST = 4,
	PACKET_PSH = 8,
	PACKET_ACK = 16,
	PACKET_URG = 32,
	PACKET_CWR = 128
};

struct packet {
	struct ip6 src, dst;
	uint32_t class_and_label; /* traffic class and flow label: 28 bits */
	uint8_t hop_limit;
	uint8_t flags;
	uint16_t sport, dport, window, urgent;
	uint32_t seq, ack;
	const uint8_t *options; /* of TCP; a multiple of 4 bytes */
	size_t options_len;
	const uint8_t *payload;
	size_t payload_len;
};

/* Whole packets with true checksums; their length. Where 16 bits do not hold the payload length it is 0. */
size_t packet_tcp(const struct packet *p, uint8_t *out);
size_t packet_udp(const struct packet *p, uint8_t *out);
/* TCP, UDP or ICMPv6 right behind the IPv6 header. */
bool packet_checksum_is_true(const uint8_t *packet, size_t len);
/* Makes the checksum true. */
void packet_set_checksum(uint8_t *packet, size_t len);
/* The sum of the pseudo-header in the field, as a host leaves it to its network card. */
void packet_set_partial_checksum(uint8_t *packet, size_t len);

#endif
