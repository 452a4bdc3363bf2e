/* SPDX-License-Identifier: Apache-2.0 */
/* sessions release: asks the node to tell its peers, and looks at its list until none is being told any more. Who did
 * not answer keeps its pin, and is named. */
#include "controld/cli/cli_api.h"
#include "controld/cli/cli_private.h"
#include "controld/cli/cli_text.h"

#include <stdlib.h>
#include <time.h>

enum { POLL_MS = 1000, POLL_LIMIT_MS = 120000, ADDRESS_CHARACTERS = 64 };

struct release {
	const struct cli_config *c;
	const char *address; /* NULL: all */
	uint64_t net64; /* of address */
	size_t told; /* so many are told, */
	size_t silent; /* and so many of them did not answer */
};

/* False: one line on err. */
static bool ask(struct release *r)
{
	char target[CLI_SESSIONS_TARGET_BYTES] = CLI_SESSIONS "/release";
	const struct cli_call call = {.method = "POST", .target = target};
	struct cli_answer a;
	double count = 1;
	struct ip6 ip;
	cJSON *j;
	bool ok;

	if (r->address && !cli_sessions_target(r->c, r->address, "/release", target))
		return false;
	if (cli_api_call(r->c, &call, &a) < 0)
		return false;
	j = r->address ? NULL : cli_api_json(&a);
	ok = a.status == 202;
	if (ok && r->address)
		ok = ip6_parse(r->address, &ip) == 0;
	else if (ok)
		ok = cli_get_number(j, "count", &count) && count >= 0 && count < 1e9;
	if (ok && r->address)
		r->net64 = ip6_net64(&ip);
	if (ok)
		r->told = (size_t)count;
	else
		cli_api_complain(r->c, &a);
	cJSON_Delete(j);
	cli_answer_fini(&a);
	return ok;
}

/* Is it one of those that are told? */
static bool is_meant(const struct release *r, const cJSON *session)
{
	const char *address = cli_get_text(session, "address");
	struct ip6 ip;

	if (!address || ip6_parse(address, &ip) < 0)
		return false;
	return !r->address || ip6_net64(&ip) == r->net64;
}

static bool is_releasing(const struct release *r, const cJSON *sessions)
{
	const cJSON *session;

	cJSON_ArrayForEach(session, sessions)
	{
		if (cJSON_IsTrue(cli_get(session, "releasing")) && is_meant(r, session))
			return true;
	}
	return false;
}

static void print_silent(struct release *r, const cJSON *sessions)
{
	const cJSON *session;

	cJSON_ArrayForEach(session, sessions)
	{
		const bool silent =
			cJSON_IsTrue(cli_get(session, "releasing")) || cJSON_IsTrue(cli_get(session, "pinned"));

		if (!silent || !is_meant(r, session))
			continue;
		r->silent++;
		fputs("no answer: ", r->c->out);
		cli_put_safe(r->c->out, cli_get_text(session, "address"), ADDRESS_CHARACTERS);
		fputc('\n', r->c->out);
	}
}

static void pause_ms(unsigned ms)
{
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	nanosleep(&t, NULL);
}

/* False: one line on err. */
static bool await(struct release *r)
{
	const unsigned poll_ms = r->c->poll_ms ? r->c->poll_ms : POLL_MS;
	const unsigned limit_ms = r->c->poll_limit_ms ? r->c->poll_limit_ms : POLL_LIMIT_MS;

	for (unsigned waited_ms = 0;; waited_ms += poll_ms) {
		struct cli_answer a;
		cJSON *sessions;
		bool done;

		if (cli_api_get(r->c, CLI_SESSIONS, true, &a, &sessions) < 0)
			return false;
		done = waited_ms >= limit_ms || !is_releasing(r, sessions);
		if (done)
			print_silent(r, sessions);
		cJSON_Delete(sessions);
		cli_answer_fini(&a);
		if (done)
			return true;
		pause_ms(poll_ms);
	}
}

int cli_release_run(const struct cli_config *c, const char *address)
{
	struct release r = {.c = c, .address = address};
	int exit_code;

	if (!ask(&r))
		return EXIT_FAILURE;
	if (c->terminal && r.told)
		fprintf(c->out, "%zu to be told; their answers are awaited, up to two minutes\n", r.told);
	(void)fflush(c->out); /* cli_finish() tells of errors */
	if (!await(&r))
		return EXIT_FAILURE;
	fprintf(c->out, "told: %zu of %zu\n", r.told > r.silent ? r.told - r.silent : 0, r.told);
	exit_code = cli_finish(c);
	if (!r.silent || exit_code != EXIT_SUCCESS)
		return exit_code;
	fprintf(c->err,
		"Error: %zu did not answer: there `mycelium sessions unpin` with this node's address will be needed\n",
		r.silent);
	return EXIT_FAILURE;
}
