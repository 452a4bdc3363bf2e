/* SPDX-License-Identifier: Apache-2.0 */
/* Reading of peers as the user writes them; see target.h. */
#include "controld/links/target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>

static const char scheme[] = "tcp://";
const char target_why_overlay[] =
	"its address lies inside the overlay, so the tunnel would run through itself; give an address of the "
	"network underneath";

/* Decimal digits, 1 to 65535. */
static bool port_parse(const char *text, uint16_t *out)
{
	const size_t len = strspn(text, "0123456789");
	unsigned long v;

	if (len == 0 || len > 5 || text[len])
		return false;
	v = strtoul(text, NULL, 10);
	*out = (uint16_t)v;
	return v > 0 && v <= UINT16_MAX;
}

static bool copy(char *out, size_t cap, const char *text, size_t len)
{
	if (len == 0 || len >= cap)
		return false;
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

/* Labels of letters, digits, hyphens and underscores. A last label of digits only would be an address in a form of old
 * that resolvers still take (10.1 for 10.0.0.1). */
static bool is_name(const char *host)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	bool numeric = true;

	for (;;) {
		const size_t len = strspn(host, "-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

		if (len == 0 || len > 63 || host[0] == '-')
			return false;
		numeric = strcspn(host, letters) >= len;
		host += len;
		if (host[0] == '.' && host[1]) {
			host++;
			continue;
		}
		return !numeric && (host[0] == '\0' || host[0] == '.');
	}
}

/* What stands between the brackets. */
static bool v6_host(struct target *t, const char *text, size_t len, const char **why)
{
	const char *percent = memchr(text, '%', len);
	const size_t address_len = percent ? (size_t)(percent - text) : len;
	struct in6_addr address;

	*why = "what stands in the brackets is not an IPv6 address";
	if (!copy(t->host, INET6_ADDRSTRLEN, text, address_len) || inet_pton(AF_INET6, t->host, &address) != 1)
		return false;
	if (percent &&
	    (!copy(t->scope, sizeof(t->scope), percent + 1, len - address_len - 1) || strpbrk(t->scope, "/% "))) {
		*why = "what stands after % is not the name of an interface";
		return false;
	}
	if (IN6_IS_ADDR_LINKLOCAL(&address) && !percent) {
		*why = "a link-local address needs its interface, as in [fe80::1%eth0]:9651";
		return false;
	}
	t->literal = true;
	return true;
}

static bool plain_host(struct target *t, const char *text, size_t len, const char **why)
{
	struct in_addr address;

	*why = "it is neither an address nor a host name, as in 203.0.113.5:9651, [2001:db8::1]:9651 or "
	       "host.example:9651";
	if (!copy(t->host, sizeof(t->host), text, len))
		return false;
	t->literal = inet_pton(AF_INET, t->host, &address) == 1;
	return t->literal || is_name(t->host);
}

static bool read_text(const char *text, struct target *t, const char **why)
{
	const bool with_scheme = strncmp(text, scheme, sizeof(scheme) - 1) == 0;
	const char *host = with_scheme ? text + sizeof(scheme) - 1 : text;
	const char *end;

	if (host[0] == '[') {
		end = strchr(host, ']');
		*why = "a bracket is not closed";
		if (!end || !v6_host(t, host + 1, (size_t)(end - host - 1), why))
			return false;
		end++;
	} else {
		end = host + strcspn(host, ":");
		if (strchr(host, ':') != strrchr(host, ':')) {
			*why = "an IPv6 address goes into brackets, as in [2001:db8::1]:9651";
			return false;
		}
		if (!plain_host(t, host, (size_t)(end - host), why))
			return false;
	}
	*why = "its port is missing, as in 203.0.113.5:9651";
	if (*end == '\0')
		return with_scheme;
	*why = "its port is not a number from 1 to 65535";
	return *end == ':' && port_parse(end + 1, &t->port);
}

bool target_in_overlay(const struct endpoint *e, const struct prefix *overlay)
{
	const struct ip6 ip = endpoint_ip6(e);

	return overlay && prefix_has(overlay, &ip);
}

bool target_parse(const char *text, const struct prefix *overlay, struct target *out, const char **why)
{
	struct target t = {.port = 0};
	struct endpoint e;

	if (!read_text(text, &t, why))
		return false;
	if (t.literal && target_endpoint(&t, &e) == 0 && target_in_overlay(&e, overlay)) {
		*why = target_why_overlay;
		return false;
	}
	*out = t;
	*why = "";
	return true;
}

static uint32_t scope_index(const char *scope)
{
	const uint32_t index = if_nametoindex(scope);

	if (index || scope[strspn(scope, "0123456789")])
		return index;
	return (uint32_t)strtoul(scope, NULL, 10);
}

int target_endpoint(const struct target *t, struct endpoint *out)
{
	struct endpoint e = {.v6 = {0}};

	if (inet_pton(AF_INET, t->host, &e.v4.sin_addr) == 1) {
		e.v4.sin_family = AF_INET;
	} else {
		e.v6.sin6_family = AF_INET6;
		inet_pton(AF_INET6, t->host, &e.v6.sin6_addr);
	}
	if (t->scope[0]) {
		e.v6.sin6_scope_id = scope_index(t->scope);
		if (!e.v6.sin6_scope_id)
			return -ENODEV;
	}
	endpoint_set_port(&e, t->port);
	*out = e;
	return 0;
}
