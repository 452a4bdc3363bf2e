/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP/1.1 answer (RFC 9112), read in whatever pieces it comes. Pure. The server is a stranger: what is not plainly
 * right is an error with a sentence, and never more is kept than the limits say. Answers before the final one (1xx) are
 * skipped. */
#ifndef CONTROLD_CLI_CLI_ANSWER_H
#define CONTROLD_CLI_CLI_ANSWER_H

#include "shared/base/buf.h"
#include <stdbool.h>
#include <stddef.h>

enum {
	CLI_ANSWER_LINE_BYTES = 8 * 1024,
	CLI_ANSWER_HEAD_BYTES = 64 * 1024, /* all lines of heads and trailer together */
};

enum cli_answer_verdict { CLI_ANSWER_MORE, CLI_ANSWER_DONE, CLI_ANSWER_BAD };

enum cli_answer_state {
	CLI_ANSWER_STATUS,
	CLI_ANSWER_HEADERS,
	CLI_ANSWER_SIZED, /* body of a stated length, */
	CLI_ANSWER_UNSIZED, /* up to the end of the connection, */
	CLI_ANSWER_CHUNK_SIZE, /* or in chunks */
	CLI_ANSWER_CHUNK,
	CLI_ANSWER_CHUNK_END,
	CLI_ANSWER_TRAILER,
	CLI_ANSWER_ENDED,
	CLI_ANSWER_BROKEN,
};

struct cli_answer {
	int status; /* 200 to 599; 0: not yet known */
	char *body; /* owned; never NULL once done, and zero-terminated */
	size_t len;
	const char *error; /* static; what is wrong, if bad */

	enum cli_answer_state state;
	size_t cap, max; /* of the body */
	size_t left; /* of the body or of the chunk */
	size_t head_len; /* bytes of lines so far */
	size_t line_len;
	bool old, chunked, sized; /* HTTP/1.0; what the head said */
	char line[CLI_ANSWER_LINE_BYTES];
};

/* A body longer than max is an error. */
void cli_answer_init(struct cli_answer *a, size_t max);
void cli_answer_fini(struct cli_answer *a);
/* The next bytes. What comes after the answer is ignored. */
MUST_CHECK enum cli_answer_verdict cli_answer_feed(struct cli_answer *a, const void *bytes, size_t len);
/* The connection has ended. */
MUST_CHECK enum cli_answer_verdict cli_answer_end(struct cli_answer *a);
/* The head of the final answer is known. */
static inline bool cli_answer_has_head(const struct cli_answer *a)
{
	return a->state >= CLI_ANSWER_SIZED && a->state != CLI_ANSWER_BROKEN;
}

#endif
