/* SPDX-License-Identifier: Apache-2.0 */
/* IPv6 addresses, prefixes and underlay endpoints: parse, print (RFC 5952), compare, mask. A struct prefix always has
 * its host bits zero: the only makers are prefix_make() and prefix_parse(). */
#ifndef SHARED_BASE_IP_H
#define SHARED_BASE_IP_H

#include "shared/base/buf.h"
#include "shared/wire.h"
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

enum {
	IP6_TEXT_BYTES = 46, /* with the final zero, as INET6_ADDRSTRLEN */
	PREFIX_TEXT_BYTES = 50, /* address/128 */
	ENDPOINT_TEXT_BYTES = 80, /* [address%scope]:port */
};

struct prefix {
	struct ip6 ip;
	uint8_t len; /* bits, 0..128 */
};

/* An underlay socket address, IPv4 or IPv6. */
struct endpoint {
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
};

static inline bool ip6_eq(const struct ip6 *a, const struct ip6 *b)
{
	return memcmp(a->b, b->b, 16) == 0;
}

/* The upper 64 bits as a number in host order: the name of a /64 in tables. */
static inline uint64_t ip6_net64(const struct ip6 *a)
{
	uint64_t v;

	memcpy(&v, a->b, 8);
	return __builtin_bswap64(v);
}

/* The base address (host part zero) of a /64 named by ip6_net64(). */
struct ip6 ip6_from_net64(uint64_t net64);

/* RFC 5952 text into out[IP6_TEXT_BYTES]; returns out. */
const char *ip6_print(const struct ip6 *a, char *out);

/* Reads an IPv6 address in any legal form, the whole of text; 0 or -EINVAL. */
MUST_CHECK int ip6_parse(const char *text, struct ip6 *out);

/* ip with the bits after len zeroed; len is at most 128. */
struct prefix prefix_make(const struct ip6 *ip, uint8_t len);

/* Reads address/len; 0 or -EINVAL. Host bits are masked. */
MUST_CHECK int prefix_parse(const char *text, struct prefix *out);

/* address/len into out[PREFIX_TEXT_BYTES]; returns out. */
const char *prefix_print(const struct prefix *p, char *out);

bool prefix_eq(const struct prefix *a, const struct prefix *b);
/* Order by address, then length; as memcmp. */
int prefix_cmp(const struct prefix *a, const struct prefix *b);
bool prefix_has(const struct prefix *p, const struct ip6 *ip);
/* inner lies wholly within outer (or equals it). */
bool prefix_covers(const struct prefix *outer, const struct prefix *inner);

socklen_t endpoint_len(const struct endpoint *e);
bool endpoint_eq(const struct endpoint *a, const struct endpoint *b);
uint16_t endpoint_port(const struct endpoint *e);
void endpoint_set_port(struct endpoint *e, uint16_t port);
/* a.b.c.d:p, [v6]:p, [fe80::x%3]:p (numeric scope) into out[ENDPOINT_TEXT_BYTES]; returns out. */
const char *endpoint_print(const struct endpoint *e, char *out);
/* Reads that form; the scope may be a number or an interface name; 0 or -EINVAL. */
MUST_CHECK int endpoint_parse(const char *text, struct endpoint *out);
/* The address as IPv6, IPv4 mapped (::ffff:a.b.c.d). */
struct ip6 endpoint_ip6(const struct endpoint *e);

#endif
