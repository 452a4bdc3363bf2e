/* SPDX-License-Identifier: Apache-2.0 */
/* The beacon as bytes (wire-200 2.8): magic, TCP port, router id. Pure. */
#include "controld/links/beacon.h"

#include "controld/links/discover.h"
#include "shared/base/buf.h"
#include <arpa/inet.h>
#include <string.h>

static const uint8_t magic[8] = {'m', 'y', 'c', 'e', 'l', 'i', 'u', 'm'};

void beacon_write(const struct router_id *self, uint16_t tcp_port, struct wire_beacon *out)
{
	memcpy(out->magic, magic, sizeof(magic));
	out->port = htons(tcp_port);
	out->router_id = *self;
}

/* A longer datagram counts as well: other nodes cut it to 50 bytes and take it. */
bool discover_read(const struct router_id *self, const struct sockaddr_in6 *from, const uint8_t *bytes, size_t len,
		   struct endpoint *out, struct pubkey *pk)
{
	static const uint8_t link_local[8] = {0xfe, 0x80};
	struct rd r = rd_init(bytes, len);
	struct router_id sender;
	uint8_t start[sizeof(magic)];
	uint16_t port;

	rd_bytes(&r, start, sizeof(start));
	port = rd_be16(&r);
	rd_bytes(&r, &sender, sizeof(sender));
	if (r.bad || memcmp(start, magic, sizeof(magic)) != 0 || port == 0)
		return false;
	if (from->sin6_family != AF_INET6 || from->sin6_scope_id == 0 ||
	    memcmp(&from->sin6_addr, link_local, sizeof(link_local)) != 0)
		return false;
	if (memcmp(&sender, self, sizeof(sender)) == 0)
		return false;
	*out = (struct endpoint){
		.v6 = {.sin6_family = AF_INET6, .sin6_addr = from->sin6_addr, .sin6_scope_id = from->sin6_scope_id}};
	endpoint_set_port(out, port);
	memcpy(pk->b, sender.public_key, sizeof(pk->b));
	return true;
}
