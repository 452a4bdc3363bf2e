/* SPDX-License-Identifier: Apache-2.0 */
/* A datagram on the discovery port: the first 16 bytes are the sender's address, the rest is what it sent. What is
 * accepted must be able to be dialled. */
#include "controld/links/discover.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct router_id self = {.public_key = {1}};
	struct sockaddr_in6 from = {.sin6_family = AF_INET6, .sin6_scope_id = 3};
	struct endpoint e = {.v6 = {0}};
	struct pubkey pk;

	if (size < sizeof(from.sin6_addr))
		return 0;
	memcpy(&from.sin6_addr, data, sizeof(from.sin6_addr));
	data += sizeof(from.sin6_addr);
	size -= sizeof(from.sin6_addr);
	if (!discover_read(&self, &from, data, size, &e, &pk))
		return 0;
	assert(size >= WIRE_BEACON_BYTES);
	assert(e.sa.sa_family == AF_INET6 && endpoint_port(&e) > 0 && e.v6.sin6_scope_id == 3);
	assert(memcmp(&e.v6.sin6_addr, &from.sin6_addr, sizeof(from.sin6_addr)) == 0);
	assert(memcmp(data + 10, &self, sizeof(self)) != 0);
	assert(memcmp(data + 10, pk.b, sizeof(pk.b)) == 0);
	return 0;
}
