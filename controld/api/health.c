/* SPDX-License-Identifier: Apache-2.0 */
/* Health, for whoever watches over the process: /livez says whether it should be left alone, /readyz whether traffic
 * can pass. Neither depends on another node. */
#include "controld/api/http.h"
#include "controld/api/private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct health_check {
	const char *name;
	/* "" or a sentence; NULL: is not wanted here. */
	const char *(*trouble)(const struct api *a);
};

static const char *check_end(const struct api *a)
{
	return a->stopping ? "the node ends" : "";
}

static const char *check_node(const struct api *a)
{
	return a->ops->not_ready(a->ctx);
}

struct fastpath_state {
	bool running, wants_tun;
};

static void see_fastpath(void *ctx, const struct api_fastpath *f)
{
	struct fastpath_state *s = ctx;

	s->running |= f->pid != 0;
	s->wants_tun |= strcmp(f->mode, "tun") == 0;
}

static struct fastpath_state fastpath_state(const struct api *a)
{
	struct fastpath_state s = {0};

	a->ops->fastpaths_each(a->ctx, see_fastpath, &s);
	return s;
}

static const char *check_fastpath(const struct api *a)
{
	return fastpath_state(a).running ? "" : "no forwarder runs";
}

static const char *check_store(const struct api *a)
{
	return a->ops->store_trouble(a->ctx);
}

static const char *check_tun(const struct api *a)
{
	if (!fastpath_state(a).wants_tun)
		return NULL;
	return *a->ops->tun_name(a->ctx) ? "" : "there is no TUN interface";
}

static const struct health_check live_checks[] = {{"end", check_end}};
static const struct health_check ready_checks[] = {{"end", check_end},
						   {"node", check_node},
						   {"fastpath", check_fastpath},
						   {"store", check_store},
						   {"tun", check_tun}};

/* 200 or 503; what failed is listed in any case, all of it if the client says ?verbose. */
static void health_reply(const struct api *a, struct http_request *r, const struct health_check *checks, size_t count)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	bool good = true;

	assert(out);
	for (size_t i = 0; i < count; i++) {
		const char *trouble = checks[i].trouble(a);

		if (!trouble)
			continue;
		if (*trouble)
			fprintf(out, "[-]%s failed: %s\n", checks[i].name, trouble);
		else
			fprintf(out, "[+]%s ok\n", checks[i].name);
		good = good && !*trouble;
	}
	fclose(out);
	if (good && !http_query(r, "verbose"))
		http_reply_text(r, 200, "ok");
	else
		http_reply(r, good ? 200 : 503, HTTP_TEXT, text, len);
	free(text);
}

void health_live(struct api *a, struct http_request *r)
{
	health_reply(a, r, live_checks, sizeof(live_checks) / sizeof(live_checks[0]));
}

void health_ready(struct api *a, struct http_request *r)
{
	health_reply(a, r, ready_checks, sizeof(ready_checks) / sizeof(ready_checks[0]));
}
