/* SPDX-License-Identifier: Apache-2.0 */
/* A netlink answer: the first byte chooses whether an end is looked for (sequence number 1), the rest is the datagram.
 * What the parser gives keeps to its types. */
#include "controld/kernel/nlparse.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_link(void *ctx, const struct nl_link *l)
{
	(void)ctx;
	assert(l->ifindex > 0 && l->name[0] && memchr(l->name, '\0', sizeof(l->name)));
}

static void on_address(void *ctx, const struct nl_address *a)
{
	char text[IP6_TEXT_BYTES];

	(void)ctx;
	assert(a->ifindex > 0);
	ip6_print(&a->ip, text);
}

static void on_route(void *ctx, const struct nl_route *r)
{
	const struct prefix again = prefix_make(&r->dst.ip, r->dst.len);

	(void)ctx;
	assert(r->dst.len <= 128 && prefix_eq(&again, &r->dst));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct nl_ops ops = {.link = on_link, .address = on_address, .route = on_route};
	struct nl_verdict v;
	uint8_t *copy;

	if (size < 2)
		return 0;
	/* Aligned, and of exactly that size. */
	copy = malloc(size - 1);
	memcpy(copy, data + 1, size - 1);
	v = nl_read(copy, size - 1, data[0] & 1, &ops, NULL);
	assert(v.error <= 0 && (v.end || v.error == 0));
	assert((data[0] & 1) || !v.end);
	free(copy);
	return 0;
}
