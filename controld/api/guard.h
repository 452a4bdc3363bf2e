/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps strangers out (RFC 9110 Host, Fetch metadata, RFC 6750 bearer tokens): judges the head of a request or of
 * an upgrade before anything else is looked at. Pure. */
#ifndef CONTROLD_API_GUARD_H
#define CONTROLD_API_GUARD_H

#include "shared/base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guard_config {
	uint16_t port; /* ours */
	const char *const *hosts, *const *origins; /* configured ones, borrowed */
	size_t host_count, origin_count;
	const char *token; /* NULL: none wanted; borrowed */
	bool any_host; /* --api-insecure on an outside address: Host is not checked against names */
};

/* What the client sent; NULL: header absent. A header sent more than once counts as a refused value: the caller says so
 * in `repeated`. */
struct guard_head {
	const char *host, *origin, *sec_fetch_site, *authorization;
	const char *subprotocols; /* Sec-WebSocket-Protocol of an upgrade, else NULL */
	bool upgrade;
	bool repeated; /* one of those that are looked at came twice */
	bool public_page; /* the page's own files, which carry no secret and ask for the token: no token needed */
};

enum guard_verdict { GUARD_OK, GUARD_HOST, GUARD_ORIGIN, GUARD_FETCH_SITE, GUARD_TOKEN, GUARD_REPEATED };

MUST_CHECK enum guard_verdict guard_check(const struct guard_config *c, const struct guard_head *h);
/* 400, 401 or 403; and a sentence that says what to do about it. */
int guard_status(enum guard_verdict v);
const char *guard_sentence(enum guard_verdict v);

#endif
