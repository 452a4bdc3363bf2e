/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, prefixes and endpoints as text and as values. Nothing here asks the resolver; an interface name as scope
 * is the one thing looked up in the kernel. */
#include "shared/base/ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>

_Static_assert(sizeof(struct ip6) == sizeof(struct in6_addr), "the address of a sockaddr_in6");
_Static_assert(IP6_TEXT_BYTES == INET6_ADDRSTRLEN, "room that inet_ntop wants");
_Static_assert(IP6_TEXT_BYTES + sizeof("[%4294967295]:65535") <= ENDPOINT_TEXT_BYTES, "the longest endpoint");

struct ip6 ip6_from_net64(uint64_t net64)
{
	const uint64_t v = __builtin_bswap64(net64);
	struct ip6 ip = {{0}};

	memcpy(ip.b, &v, sizeof(v));
	return ip;
}

const char *ip6_print(const struct ip6 *a, char *out)
{
	inet_ntop(AF_INET6, a->b, out, IP6_TEXT_BYTES);
	return out;
}

int ip6_parse(const char *text, struct ip6 *out)
{
	struct ip6 ip;

	if (inet_pton(AF_INET6, text, ip.b) != 1)
		return -EINVAL;
	*out = ip;
	return 0;
}

struct prefix prefix_make(const struct ip6 *ip, uint8_t len)
{
	struct prefix p = {.ip = *ip, .len = len > 128 ? 128 : len};

	if (p.len == 128)
		return p;
	p.ip.b[p.len / 8] &= (uint8_t)(0xff00 >> p.len % 8);
	for (size_t i = p.len / 8 + 1; i < sizeof(p.ip.b); i++)
		p.ip.b[i] = 0;
	return p;
}

/* The whole of text is a decimal number up to max, without sign or space. */
static int number_parse(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		v = v * 10 + (uint64_t)(*text - '0');
		if (v > max)
			return -EINVAL;
	}
	*out = v;
	return 0;
}

int prefix_parse(const char *text, struct prefix *out)
{
	const char *slash = strchr(text, '/');
	char address[IP6_TEXT_BYTES];
	struct ip6 ip;
	uint64_t len;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (ip6_parse(address, &ip) < 0 || number_parse(slash + 1, 128, &len) < 0)
		return -EINVAL;
	*out = prefix_make(&ip, (uint8_t)len);
	return 0;
}

const char *prefix_print(const struct prefix *p, char *out)
{
	char address[IP6_TEXT_BYTES];

	snprintf(out, PREFIX_TEXT_BYTES, "%s/%u", ip6_print(&p->ip, address), p->len);
	return out;
}

bool prefix_eq(const struct prefix *a, const struct prefix *b)
{
	return a->len == b->len && ip6_eq(&a->ip, &b->ip);
}

int prefix_cmp(const struct prefix *a, const struct prefix *b)
{
	const int order = memcmp(a->ip.b, b->ip.b, sizeof(a->ip.b));

	return order ? order : (int)a->len - (int)b->len;
}

bool prefix_has(const struct prefix *p, const struct ip6 *ip)
{
	const struct prefix masked = prefix_make(ip, p->len);

	return ip6_eq(&masked.ip, &p->ip);
}

bool prefix_covers(const struct prefix *outer, const struct prefix *inner)
{
	return inner->len >= outer->len && prefix_has(outer, &inner->ip);
}

socklen_t endpoint_len(const struct endpoint *e)
{
	return e->sa.sa_family == AF_INET ? sizeof(e->v4) : sizeof(e->v6);
}

bool endpoint_eq(const struct endpoint *a, const struct endpoint *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	return a->v6.sin6_port == b->v6.sin6_port && a->v6.sin6_scope_id == b->v6.sin6_scope_id &&
	       memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0;
}

uint16_t endpoint_port(const struct endpoint *e)
{
	return ntohs(e->sa.sa_family == AF_INET ? e->v4.sin_port : e->v6.sin6_port);
}

void endpoint_set_port(struct endpoint *e, uint16_t port)
{
	if (e->sa.sa_family == AF_INET)
		e->v4.sin_port = htons(port);
	else
		e->v6.sin6_port = htons(port);
}

const char *endpoint_print(const struct endpoint *e, char *out)
{
	char address[IP6_TEXT_BYTES], scope[12] = "";

	if (e->sa.sa_family == AF_INET) {
		inet_ntop(AF_INET, &e->v4.sin_addr, address, sizeof(address));
		snprintf(out, ENDPOINT_TEXT_BYTES, "%s:%u", address, endpoint_port(e));
		return out;
	}
	inet_ntop(AF_INET6, &e->v6.sin6_addr, address, sizeof(address));
	if (e->v6.sin6_scope_id)
		snprintf(scope, sizeof(scope), "%%%u", e->v6.sin6_scope_id);
	snprintf(out, ENDPOINT_TEXT_BYTES, "[%s%s]:%u", address, scope, endpoint_port(e));
	return out;
}

static int scope_parse(const char *text, uint32_t *out)
{
	uint64_t number;

	if (number_parse(text, UINT32_MAX, &number) < 0)
		number = if_nametoindex(text);
	*out = (uint32_t)number;
	return number ? 0 : -EINVAL;
}

/* address, or address%scope, as between the brackets. */
static int v6_parse(char *text, struct sockaddr_in6 *out)
{
	char *percent = strchr(text, '%');

	if (percent)
		*percent = '\0';
	if (percent && scope_parse(percent + 1, &out->sin6_scope_id) < 0)
		return -EINVAL;
	out->sin6_family = AF_INET6;
	return inet_pton(AF_INET6, text, &out->sin6_addr) == 1 ? 0 : -EINVAL;
}

int endpoint_parse(const char *text, struct endpoint *out)
{
	struct endpoint e = {.v6 = {0}};
	char copy[ENDPOINT_TEXT_BYTES];
	const size_t len = strlen(text);
	uint64_t port;
	char *colon;

	if (len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, len + 1);
	colon = strrchr(copy, ':');
	if (!colon || number_parse(colon + 1, UINT16_MAX, &port) < 0)
		return -EINVAL;
	*colon = '\0';
	if (copy[0] == '[') {
		if (colon < copy + 2 || colon[-1] != ']')
			return -EINVAL;
		colon[-1] = '\0';
		if (v6_parse(copy + 1, &e.v6) < 0)
			return -EINVAL;
	} else {
		e.v4.sin_family = AF_INET;
		if (inet_pton(AF_INET, copy, &e.v4.sin_addr) != 1)
			return -EINVAL;
	}
	endpoint_set_port(&e, (uint16_t)port);
	*out = e;
	return 0;
}

struct ip6 endpoint_ip6(const struct endpoint *e)
{
	struct ip6 ip = {{[10] = 0xff, [11] = 0xff}};

	if (e->sa.sa_family == AF_INET)
		memcpy(ip.b + 12, &e->v4.sin_addr, 4);
	else
		memcpy(ip.b, &e->v6.sin6_addr, sizeof(ip.b));
	return ip;
}
