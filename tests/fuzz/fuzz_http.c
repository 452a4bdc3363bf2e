/* SPDX-License-Identifier: Apache-2.0 */
/* A request as it comes from the wire, through all that reads it before a handler: the head, the guard, the path, the
 * query, the body. The first byte says in which pieces it comes, which must make no difference. */
#include "controld/api/http_private.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_BODY = 300 };

struct result {
	size_t head, used;
	bool bad;
	int status;
	enum guard_verdict guard;
	int route;
	bool query;
	enum http_body_state state;
	size_t len;
	uint8_t body[MAX_BODY];
};

static size_t find_head(const char *bytes, size_t len, size_t piece, bool *bad)
{
	size_t seen = 0, end = 0;

	*bad = false;
	for (size_t have = piece; !end && !*bad; have += piece) {
		end = http_head_end(bytes, have < len ? have : len, &seen, bad);
		if (have >= len)
			break;
	}
	return end;
}

static enum guard_verdict judge(const struct http_head *h)
{
	static const char *const hosts[] = {"node.example", "vpn.example:443"}, *const origins[] = {
											"https://a.example"};
	const struct guard_config c = {.port = 8989,
				       .hosts = hosts,
				       .host_count = 2,
				       .origins = origins,
				       .origin_count = 1,
				       .token = "0123456789abcdef"};
	const struct guard_head g = {.host = h->host,
				     .origin = h->origin,
				     .sec_fetch_site = h->fetch_site,
				     .authorization = h->authorization,
				     .subprotocols = h->subprotocols,
				     .upgrade = h->wants_upgrade,
				     .repeated = h->guarded_twice};

	return guard_check(&c, &g);
}

static void read_body(const struct http_head *h, const char *bytes, size_t len, size_t piece, struct result *r)
{
	size_t in_use = 0;
	struct http_body b = {.max = MAX_BODY, .in_use = &in_use, .in_use_max = 1 << 20};

	http_body_init(&b, h);
	while (r->used < len && b.state == HTTP_BODY_MORE) {
		const size_t n = len - r->used < piece ? len - r->used : piece;
		const size_t used = http_body_feed(&b, bytes + r->used, n);

		assert(used == n || b.state != HTTP_BODY_MORE);
		r->used += used;
	}
	assert(b.len <= MAX_BODY && b.len <= b.cap);
	r->state = b.state;
	r->len = b.len;
	/* Where it grew too long, what is kept of the last piece depends on the pieces. */
	if (b.state == HTTP_BODY_LONG)
		r->len = r->used = 0;
	if (r->len)
		memcpy(r->body, b.bytes, r->len);
	http_body_fini(&b);
	assert(in_use == 0);
}

static void read_all(char *bytes, size_t len, size_t piece, struct result *r)
{
	struct http_target t = {0};
	struct http_head h;
	const char *why = "";
	char text[80] = "";

	r->head = find_head(bytes, len, piece, &r->bad);
	if (r->head == 0)
		return;
	r->status = http_head_read(&h, bytes, r->head, &why);
	if (r->status) {
		assert(r->status >= 400 && *why);
		return;
	}
	r->guard = judge(&h);
	/* A head that was taken has its framing settled. */
	assert(!h.framed_twice && !(h.length && h.coding));
	r->route = http_route_find(&t, h.method, h.path);
	assert((r->route == 0) == (t.route != NULL) && (r->route == 405) == (t.allow[0] != '\0'));
	r->query = http_query_read(&t, h.query, text, sizeof(text));
	assert(r->query == (text[0] == '\0'));
	read_body(&h, bytes + r->head, len - r->head, piece, r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result *whole, *pieces;
	char *a, *b;

	if (size < 2)
		return 0;
	whole = calloc(2, sizeof(*whole));
	a = malloc(size - 1);
	b = malloc(size - 1);
	assert(whole && a && b);
	pieces = whole + 1;
	memcpy(a, data + 1, size - 1);
	memcpy(b, data + 1, size - 1);
	read_all(a, size - 1, size, whole);
	read_all(b, size - 1, 1 + data[0] % 64, pieces);
	assert(memcmp(whole, pieces, sizeof(*whole)) == 0);
	free(whole);
	free(a);
	free(b);
	return 0;
}
