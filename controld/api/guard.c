/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask at all. A name that leads to us is not enough (DNS can be made to say anything), nor is coming from this
 * machine (a browser does, with any page's requests): so what counts is what the browser itself says of where a request
 * comes from, and the token. Whatever is not understood is refused. */
#include "controld/api/guard.h"

#include "shared/base/secret.h"
#include "shared/limits.h"
#include <assert.h>
#include <strings.h>

enum { PORT_HTTP = 80, PORT_HTTPS = 443, PORT_MAX = 65535, PORT_DIGITS = 5 };
enum { TOKEN_BASE64_BYTES = (LIMIT_API_TOKEN_BYTES + 2) / 3 * 4 + 1 };

/* The two halves of name:port. */
struct authority {
	const char *name;
	size_t len;
	unsigned port; /* 0: none given */
};

static bool read_port(const char *text, unsigned *out)
{
	unsigned value = 0, digits = 0;

	for (; *text >= '0' && *text <= '9' && digits < PORT_DIGITS; text++, digits++)
		value = value * 10 + (unsigned)(*text - '0');
	*out = value;
	return digits > 0 && *text == '\0' && value > 0 && value <= PORT_MAX;
}

static bool read_authority(const char *text, struct authority *out)
{
	const char *end = text[0] == '[' ? strchr(text, ']') : text + strcspn(text, ":");

	if (!end)
		return false;
	if (*end == ']')
		end++;
	*out = (struct authority){.name = text, .len = (size_t)(end - text)};
	if (out->len == 0)
		return false;
	return *end == '\0' || (*end == ':' && read_port(end + 1, &out->port));
}

static bool name_is(const struct authority *a, const char *name, size_t len)
{
	return a->len == len && strncasecmp(a->name, name, len) == 0;
}

static unsigned port_of(const struct authority *a)
{
	return a->port ? a->port : PORT_HTTP;
}

static bool is_configured(const struct guard_config *c, const struct authority *a)
{
	for (size_t i = 0; i < c->host_count; i++) {
		struct authority want;

		if (!read_authority(c->hosts[i], &want) || !name_is(a, want.name, want.len))
			continue;
		if (port_of(a) == (want.port ? want.port : c->port))
			return true;
		/* Behind a proxy with TLS the default port is another one, and is not said either. */
		if (a->port == 0 && want.port == PORT_HTTPS)
			return true;
	}
	return false;
}

static bool host_is_ours(const struct guard_config *c, const char *host)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
	struct authority a;

	if (!host || !read_authority(host, &a))
		return false;
	if (c->any_host)
		return true;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (name_is(&a, names[i], strlen(names[i])))
			return port_of(&a) == c->port;
	}
	return is_configured(c, &a);
}

/* Anybody can make the origin "null", so naming it would let all in. */
static bool origin_is_listed(const struct guard_config *c, const char *origin)
{
	if (strcmp(origin, "null") == 0)
		return false;
	for (size_t i = 0; i < c->origin_count; i++) {
		if (strcmp(c->origins[i], origin) == 0)
			return true;
	}
	return false;
}

static bool origin_is_own(const char *host, const char *origin)
{
	static const char scheme[] = "http://";

	return strncmp(origin, scheme, sizeof(scheme) - 1) == 0 && strcasecmp(origin + sizeof(scheme) - 1, host) == 0;
}

static enum guard_verdict check_origin(const struct guard_config *c, const struct guard_head *h)
{
	const char *site = h->sec_fetch_site;

	if (h->origin && origin_is_listed(c, h->origin))
		return GUARD_OK;
	if (h->origin && !origin_is_own(h->host, h->origin))
		return GUARD_ORIGIN;
	if (site && strcmp(site, "none") != 0 && strcmp(site, "same-origin") != 0)
		return GUARD_FETCH_SITE;
	return GUARD_OK;
}

/* In constant time but for the length. */
static bool equals(const char *given, size_t given_len, const char *want)
{
	const size_t len = strlen(want);

	return given_len == len && secret_eq(given, want, len);
}

static bool bearer_is_right(const char *authorization, const char *token)
{
	static const char scheme[] = "bearer ";
	const char *given = authorization;

	if (!given || strncasecmp(given, scheme, sizeof(scheme) - 1) != 0)
		return false;
	given += sizeof(scheme) - 1;
	given += strspn(given, " ");
	return equals(given, strlen(given), token);
}

/* One item of a list separated by commas, without the space around it; moves *list behind it. */
static const char *next_item(const char **list, size_t *len)
{
	const char *start = *list + strspn(*list, " \t,");
	const char *end = start + strcspn(start, ",");

	*list = end;
	while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*len = (size_t)(end - start);
	return *len ? start : NULL;
}

static bool subprotocol_is_right(const char *list, const char *token)
{
	static const char prefix[] = "bearer.";
	const size_t skip = sizeof(prefix) - 1;
	char want[TOKEN_BASE64_BYTES];
	const char *item;
	size_t len;
	bool right = false;

	assert(strlen(token) <= LIMIT_API_TOKEN_BYTES);
	sodium_bin2base64(want, sizeof(want), (const unsigned char *)token, strlen(token),
			  sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	while ((item = next_item(&list, &len))) {
		if (len > skip && strncmp(item, prefix, skip) == 0 && equals(item + skip, len - skip, want))
			right = true;
	}
	secret_wipe(want, sizeof(want));
	return right;
}

static bool token_is_right(const struct guard_config *c, const struct guard_head *h)
{
	if (!c->token || h->public_page || bearer_is_right(h->authorization, c->token))
		return true;
	return h->upgrade && h->subprotocols && subprotocol_is_right(h->subprotocols, c->token);
}

enum guard_verdict guard_check(const struct guard_config *c, const struct guard_head *h)
{
	enum guard_verdict origin;

	if (h->repeated)
		return GUARD_REPEATED;
	if (!host_is_ours(c, h->host))
		return GUARD_HOST;
	origin = check_origin(c, h);
	if (origin != GUARD_OK)
		return origin;
	return token_is_right(c, h) ? GUARD_OK : GUARD_TOKEN;
}

static const struct {
	int status;
	const char *sentence;
} verdicts[] = {
	[GUARD_OK] = {200, ""},
	[GUARD_HOST] = {403, "This Host is not served here: use localhost, 127.0.0.1 or [::1] with the port of the "
			     "API, or name yours with --api-host."},
	[GUARD_ORIGIN] = {403, "Pages of this origin may not use the API: name it with --api-origin if they shall."},
	[GUARD_FETCH_SITE] = {403, "Pages of other sites may not use the API: name their origin with --api-origin if "
				   "they shall."},
	[GUARD_TOKEN] = {401, "This API wants the token of its --api-token-file: send it as `Authorization: Bearer "
			      "TOKEN`."},
	[GUARD_REPEATED] = {400, "A header that may come once came twice."},
};

int guard_status(enum guard_verdict v)
{
	return verdicts[v].status;
}

const char *guard_sentence(enum guard_verdict v)
{
	return verdicts[v].sentence;
}
