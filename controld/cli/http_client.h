/* SPDX-License-Identifier: Apache-2.0 */
/* A small blocking HTTP/1.1 client: one connection, one request, one answer. No redirects, no proxies, no TLS: it talks
 * to the API of a node. A server that is silent, slow or hostile costs time within the limits below and an error. */
#ifndef CONTROLD_CLI_HTTP_CLIENT_H
#define CONTROLD_CLI_HTTP_CLIENT_H

#include "controld/cli/cli_answer.h"
#include "shared/base/ip.h"

enum {
	HTTP_CLIENT_CONNECT_MS = 10000,
	HTTP_CLIENT_GRACE_MS = 30000, /* for the head, beyond wait_s; and between two pieces */
	HTTP_CLIENT_BODY_BYTES_MAX = 256 * 1024 * 1024,
	HTTP_CLIENT_ERROR_BYTES = 200,
};

struct http_client_request {
	const struct endpoint *to;
	const char *method;
	const char *target; /* path and query, percent-encoded */
	const char *token; /* of Authorization: Bearer; NULL: none */
	const char *body; /* JSON; NULL: none */
	size_t body_len;
	uint64_t wait_s; /* the server may take so long to answer */
	size_t max_body; /* of the answer; 0: HTTP_CLIENT_BODY_BYTES_MAX */
};

/* 0: a whole answer, of whatever status; cli_answer_fini() it. -errno: one sentence in error, nothing to free:
 * -ENOTCONN if no connection came about. */
MUST_CHECK int http_client_fetch(const struct http_client_request *r, struct cli_answer *a,
				 char error[HTTP_CLIENT_ERROR_BYTES]);

#endif
