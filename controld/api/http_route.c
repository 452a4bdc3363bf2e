/* SPDX-License-Identifier: Apache-2.0 */
/* Whose a request is: routes.def as a table. A path is cut at its slashes before it is decoded, so that an encoded one
 * stays a part of its segment. */
#include "controld/api/http_private.h"

#include <assert.h>

#define GET HTTP_GET
#define POST HTTP_POST
#define DELETE HTTP_DELETE
static const struct http_route routes[] = {
#define ROUTE(method, path, handler, body) {path, handler, method, body},
#include "controld/api/routes.def"
#undef ROUTE
};
#undef GET
#undef POST
#undef DELETE

static const char *const keys[HTTP_QUERY_KEYS] = {"peek", "timeout", "topic", "reply_timeout", "verbose", "limit"};

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Length of the character of UTF-8 at p, which a zero ends; 0: it is none (RFC 3629). */
static size_t utf8_len(const uint8_t *p)
{
	const uint8_t c = p[0];
	const size_t len = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	/* Too long a form, a surrogate, above the last. */
	if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) || (c == 0xf0 && p[1] < 0x90) ||
	    (c == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

static bool is_utf8(const char *text)
{
	const uint8_t *p = (const uint8_t *)text;

	while (*p) {
		const size_t len = utf8_len(p);

		if (len == 0)
			return false;
		p += len;
	}
	return true;
}

bool http_decode(char *text, bool plus_is_space)
{
	char *out = text;

	for (const char *p = text; *p; p++) {
		char c = *p;

		if (c == '%') {
			const int high = hex_of(p[1]), low = high < 0 ? -1 : hex_of(p[2]);

			if (low < 0 || (high | low) == 0)
				return false;
			c = (char)(high << 4 | low);
			p += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		*out++ = c;
	}
	*out = '\0';
	return is_utf8(text);
}

/* How many segments; 0: more than any of ours has. */
static unsigned cut(char *path, char *segments[HTTP_SEGMENTS])
{
	unsigned count = 0;

	assert(*path == '/');
	while (path) {
		if (count == HTTP_SEGMENTS)
			return 0;
		*path++ = '\0';
		segments[count++] = path;
		path = strchr(path, '/');
	}
	return count;
}

/* Does the path of a route say the same? Then params are those of it. */
static bool fits(const char *pattern, char *const segments[], unsigned count, const char *params[HTTP_PARAMS])
{
	unsigned param = 0;

	for (unsigned i = 0; i < count; i++) {
		const size_t len = strcspn(++pattern, "/");

		if (*pattern == '{') {
			if (segments[i][0] == '\0')
				return false;
			assert(param < HTTP_PARAMS);
			params[param++] = segments[i];
		} else if (strlen(segments[i]) != len || memcmp(segments[i], pattern, len) != 0) {
			return false;
		}
		pattern += len;
		if (i + 1 < count && *pattern != '/')
			return false;
	}
	return *pattern == '\0';
}

static void allow(struct http_target *t, unsigned method)
{
	static const char *const names[] = {[HTTP_GET] = "GET,HEAD", [HTTP_POST] = "POST", [HTTP_DELETE] = "DELETE"};
	const size_t used = strlen(t->allow), cap = sizeof(t->allow) - used;
	const int len = snprintf(t->allow + used, cap, "%s%s", used ? "," : "", names[method]);

	assert(len > 0 && (size_t)len < cap);
}

int http_route_find(struct http_target *t, unsigned method, char *path)
{
	const unsigned wanted = method == HTTP_HEAD ? (unsigned)HTTP_GET : method;
	char *segments[HTTP_SEGMENTS];
	const unsigned count = cut(path, segments);

	for (unsigned i = 0; i < count; i++) {
		if (!http_decode(segments[i], false))
			return 400;
	}
	for (size_t i = 0; count && i < sizeof(routes) / sizeof(routes[0]); i++) {
		const char *params[HTTP_PARAMS] = {NULL};

		if (!fits(routes[i].path, segments, count, params))
			continue;
		if (routes[i].method == wanted) {
			t->route = &routes[i];
			t->allow[0] = '\0';
			memcpy(t->params, params, sizeof(params));
			return 0;
		}
		allow(t, routes[i].method);
	}
	return t->allow[0] ? 405 : 404;
}

static int key_index(const char *name)
{
	for (int i = 0; i < HTTP_QUERY_KEYS; i++) {
		if (strcmp(name, keys[i]) == 0)
			return i;
	}
	return -1;
}

/* One name=value. */
static bool read_pair(struct http_target *t, char *pair, char *why, size_t why_bytes)
{
	char *value = strchr(pair, '=');
	int key;

	if (value)
		*value++ = '\0';
	if (!http_decode(pair, true) || (value && !http_decode(value, true))) {
		snprintf(why, why_bytes, "not percent-encoded UTF-8 without zero bytes");
		return false;
	}
	key = key_index(pair);
	if (key < 0)
		return true;
	if (t->query[key]) {
		snprintf(why, why_bytes, "duplicate field `%s`", keys[key]);
		return false;
	}
	t->query[key] = value ? value : "";
	return true;
}

bool http_query_read(struct http_target *t, char *query, char *why, size_t why_bytes)
{
	char *pair = query;

	while (pair) {
		char *next = strchr(pair, '&');

		if (next)
			*next++ = '\0';
		if (*pair && !read_pair(t, pair, why, why_bytes))
			return false;
		pair = next;
	}
	return true;
}

const char *http_query(const struct http_request *r, const char *key)
{
	const int i = key_index(key);

	assert(i >= 0);
	return r->target.query[i];
}

const char *http_param(const struct http_request *r, unsigned i)
{
	assert(i < HTTP_PARAMS && r->target.params[i]);
	return r->target.params[i];
}

bool http_is_page(const char *path)
{
	return strcmp(path, "/") == 0 || strcmp(path, "/page.js") == 0 || strcmp(path, "/page.css") == 0;
}
