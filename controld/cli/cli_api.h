/* SPDX-License-Identifier: Apache-2.0 */
/* A request to the node, with the token; and what to say when its answer is none that was hoped for. */
#ifndef CONTROLD_CLI_API_H
#define CONTROLD_CLI_API_H

#include "controld/cli/cli.h"
#include "controld/cli/cli_answer.h"
#include <cjson/cJSON.h>
#include <stdint.h>

struct cli_call {
	const char *method, *target;
	const char *body; /* JSON; NULL: none */
	size_t body_len;
	uint64_t wait_s; /* the node may take so long */
};

/* 0: an answer of whatever status; cli_answer_fini() it. -errno: one line on err was printed. */
MUST_CHECK int cli_api_call(const struct cli_config *c, const struct cli_call *call, struct cli_answer *a);
/* One line on err about an answer that is of no use. */
void cli_api_complain(const struct cli_config *c, const struct cli_answer *a);
/* The answer's body as a value; NULL: it is no JSON. Free it with cJSON_Delete(). */
cJSON *cli_api_json(const struct cli_answer *a);
/* GET of a target that must be 200 and JSON, an array if list: 0, the answer and its value; -errno and one line on err.
 */
MUST_CHECK int cli_api_get(const struct cli_config *c, const char *target, bool list, struct cli_answer *a,
			   cJSON **out);
/* A request that is answered without a body: the exit code. */
int cli_api_do(const struct cli_config *c, const struct cli_call *call);
/* A whole list, {"schema":1,"<name>":<body>}. */
void cli_api_put_list(const struct cli_config *c, const char *name, const struct cli_answer *a);

/* out := prefix, text percent-encoded as one segment of a path. False: longer than size. */
bool cli_api_target(const char *prefix, const char *text, char *out, size_t size);

/* Members that may be missing. */
const cJSON *cli_get(const cJSON *j, const char *name);
/* NULL if it is no string. */
const char *cli_get_text(const cJSON *j, const char *name);
bool cli_get_number(const cJSON *j, const char *name, double *out);

#endif
