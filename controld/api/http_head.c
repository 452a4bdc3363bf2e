/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a request (RFC 9112), strictly: what two readers could understand differently is refused. Strings are cut
 * in place. */
#include "controld/api/http_private.h"

#include <strings.h>

enum { LENGTH_DIGITS = 18 };

size_t http_head_end(const char *bytes, size_t len, size_t *seen, bool *bad)
{
	const char *line = bytes + *seen, *lf;

	*bad = false;
	while ((lf = memchr(line, '\n', len - (size_t)(line - bytes)))) {
		if (lf == bytes || lf[-1] != '\r') {
			*bad = true;
			return 0;
		}
		if (lf == line + 1 && line != bytes)
			return (size_t)(lf + 1 - bytes);
		line = lf + 1;
		*seen = (size_t)(line - bytes);
	}
	return 0;
}

/* The characters of methods and header names. */
static bool is_token(const char *text, size_t len)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < len; i++) {
		const char c = text[i], lower = (char)(c | 0x20);

		if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && (c == '\0' || !strchr(others, c)))
			return false;
	}
	return len > 0;
}

static bool is_printable(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	}
	return true;
}

static unsigned method_of(const char *name)
{
	static const char *const names[] = {
		[HTTP_GET] = "GET", [HTTP_HEAD] = "HEAD", [HTTP_POST] = "POST", [HTTP_DELETE] = "DELETE"};

	for (unsigned i = 0; i < HTTP_OTHER; i++) {
		if (strcmp(name, names[i]) == 0)
			return i;
	}
	return HTTP_OTHER;
}

static int read_version(struct http_head *h, const char *text, const char **why)
{
	if (strncmp(text, "HTTP/", 5) != 0 || strlen(text) != 8 || text[6] != '.') {
		*why = "The request line does not end with a version of HTTP.";
		return 400;
	}
	if (text[5] != '1' || text[7] < '0' || text[7] > '9') {
		*why = "This is a server of HTTP/1.1.";
		return 505;
	}
	h->old = text[7] == '0';
	return 0;
}

static int read_request_line(struct http_head *h, char *line, const char **why)
{
	char *target = strchr(line, ' ');
	char *version = target ? strchr(target + 1, ' ') : NULL;

	*why = "The request line is not one of HTTP/1.1.";
	if (!version || !is_token(line, (size_t)(target - line)))
		return 400;
	*target++ = '\0';
	*version++ = '\0';
	h->method = method_of(line);
	h->path = target;
	if (*target != '/' || !is_printable(target, strlen(target)) || strchr(target, '#')) {
		*why = "The target of a request must be a path, percent-encoded, that begins with a slash.";
		return 400;
	}
	h->query = strchr(target, '?');
	if (h->query)
		*h->query++ = '\0';
	return read_version(h, version, why);
}

enum field_care { CARE_NONE, CARE_GUARD, CARE_FRAME };

static const struct {
	const char *name;
	uint8_t len;
	uint8_t care; /* about one that comes twice; else the first one counts */
	uint16_t at;
} fields[] = {
#define FIELD(name, care, member) \
	{ \
		name, sizeof(name) - 1, care, offsetof(struct http_head, member) \
	}
	FIELD("host", CARE_GUARD, host),
	FIELD("origin", CARE_GUARD, origin),
	FIELD("sec-fetch-site", CARE_GUARD, fetch_site),
	FIELD("authorization", CARE_GUARD, authorization),
	FIELD("sec-websocket-protocol", CARE_GUARD, subprotocols),
	FIELD("sec-websocket-key", CARE_FRAME, key),
	FIELD("sec-websocket-version", CARE_FRAME, version),
	FIELD("content-type", CARE_FRAME, type),
	FIELD("content-length", CARE_FRAME, length),
	FIELD("transfer-encoding", CARE_FRAME, coding),
	FIELD("expect", CARE_FRAME, expect),
	FIELD("upgrade", CARE_FRAME, upgrade),
#undef FIELD
};

const char *http_list_next(const char **list, size_t *len)
{
	const char *start = *list + strspn(*list, " \t,");
	const char *end = start + strcspn(start, ",");

	*list = end;
	while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*len = (size_t)(end - start);
	return *len ? start : NULL;
}

static bool item_is(const char *item, size_t len, const char *name)
{
	return len == strlen(name) && strncasecmp(item, name, len) == 0;
}

static void read_connection(struct http_head *h, const char *list)
{
	const char *item;
	size_t len;

	while ((item = http_list_next(&list, &len))) {
		h->close |= item_is(item, len, "close");
		h->keep_alive |= item_is(item, len, "keep-alive");
		h->wants_upgrade |= item_is(item, len, "upgrade");
	}
}

static void keep_field(struct http_head *h, const char *name, size_t len, char *value)
{
	if (item_is(name, len, "connection")) {
		read_connection(h, value);
		return;
	}
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		char **member = (char **)(void *)((uint8_t *)h + fields[i].at);

		if (fields[i].len != len || strncasecmp(fields[i].name, name, len) != 0)
			continue;
		if (*member) {
			h->guarded_twice |= fields[i].care == CARE_GUARD;
			h->framed_twice |= fields[i].care == CARE_FRAME;
		} else {
			*member = value;
		}
		return;
	}
}

static bool has_control_bytes(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (((uint8_t)text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f)
			return true;
	}
	return false;
}

/* line: without its CR LF, zero-terminated. */
static bool read_field(struct http_head *h, char *line, size_t len)
{
	char *colon = memchr(line, ':', len), *value, *end = line + len;

	if (!colon || !is_token(line, (size_t)(colon - line)))
		return false;
	value = colon + 1;
	if (has_control_bytes(value, (size_t)(end - value)))
		return false;
	value += strspn(value, " \t");
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = '\0';
	keep_field(h, line, (size_t)(colon - line), value);
	return true;
}

static bool read_length(const char *text, uint64_t *out)
{
	const size_t len = strlen(text);

	*out = 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		*out = *out * 10 + (uint64_t)(text[i] - '0');
	}
	return len > 0 && len <= LENGTH_DIGITS;
}

/* How the body is delimited (RFC 9112, 6). */
static int read_framing(struct http_head *h, const char **why)
{
	*why = "A header that may come once came twice.";
	if (h->framed_twice)
		return 400;
	*why = "Content-Length and Transfer-Encoding exclude each other.";
	if (h->length && h->coding)
		return 400;
	*why = "Content-Length is not a number of bytes.";
	if (h->length && !read_length(h->length, &h->body_bytes))
		return 400;
	*why = "HTTP/1.0 knows no Transfer-Encoding.";
	if (h->coding && h->old)
		return 400;
	*why = "The only Transfer-Encoding known here is chunked.";
	if (h->coding && strcasecmp(h->coding, "chunked") != 0)
		return 501;
	h->chunked = h->coding != NULL;
	h->has_body = h->chunked || h->body_bytes > 0;
	*why = "The only expectation known here is 100-continue.";
	if (h->expect && strcasecmp(h->expect, "100-continue") != 0)
		return 417;
	h->wants_continue = h->expect && !h->old && h->has_body;
	return 0;
}

int http_head_read(struct http_head *h, char *bytes, size_t len, const char **why)
{
	char *const end = bytes + len - 2; /* its empty line */
	char *line = bytes;
	int status = 0;

	*h = (struct http_head){.method = HTTP_OTHER};
	while (line < end && status == 0) {
		char *cr = (char *)memchr(line, '\n', (size_t)(end - line)) - 1;

		*cr = '\0';
		if (line == bytes) {
			*why = "The request line is not one of HTTP/1.1.";
			status = strlen(line) == (size_t)(cr - line) ? read_request_line(h, line, why) : 400;
		} else if (!read_field(h, line, (size_t)(cr - line))) {
			*why = "A header line is not one of HTTP/1.1.";
			status = 400;
		}
		line = cr + 2;
	}
	return status ? status : read_framing(h, why);
}
