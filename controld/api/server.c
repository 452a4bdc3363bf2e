/* SPDX-License-Identifier: Apache-2.0 */
/* The API as a whole: made from its configuration, its one timer, and its end in steps: nobody new, who waits is
 * answered, what is being sent may finish until the time is over, then libwebsockets lets go of the loop. */
#define LOG_MODULE "api"
#include "controld/api/server_private.h"

#include "shared/base/log.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
	LINGER_MS = 2000,
	STOP_MS = 2000,
	BODIES = 32, /* so many largest bodies at one time */
	BODIES_BYTES_MIN = 64 * 1024 * 1024,
	BODIES_BYTES_MAX = 512 * 1024 * 1024,
	END_ROUNDS = 4, /* of the loop: libuv closes handles at the end of one, and theirs close more in the next */
};

struct post_time api_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (struct post_time){.mono = mono_now(), .real_s = t.tv_sec};
}

void server_wake(struct api *a, struct mono when)
{
	struct server *s = a->server;

	if (when.us >= s->armed.us)
		return;
	s->armed = when;
	loop_timer_at(s->timer, when);
}

/* The last of it; returns whether there is nothing left to be done. */
static bool end_step(struct api *a)
{
	struct server *s = a->server;

	if (s->sockets > 0) {
		s->rounds = 0;
		return false;
	}
	if (++s->rounds < END_ROUNDS)
		return false;
	server_lws_free(a);
	s->phase = SERVER_ENDED;
	return true;
}

static void stop_step(struct api *a, struct mono now)
{
	struct server *s = a->server;

	if (s->phase == SERVER_DRAINS && (s->slots_taken == 0 || mono_is_due(s->stop_at, now))) {
		s->phase = SERVER_ENDS;
		http_end_all(a);
		server_lws_end(a);
	}
	if (s->phase == SERVER_ENDS && end_step(a)) {
		s->done(s->done_ctx);
		return;
	}
	server_wake(a, s->phase == SERVER_ENDS ? now : s->stop_at);
}

static void on_timer(void *ctx, struct mono now)
{
	struct api *a = ctx;
	struct server *s = a->server;

	s->armed = MONO_NEVER;
	server_wake(a, http_tick(a, now));
	api_settled(a);
	if (s->phase != SERVER_RUNS)
		stop_step(a, now);
}

static struct api *make(struct loop *l, const struct api_config *c)
{
	struct api *a = calloc(1, sizeof(*a));
	struct server *s = calloc(1, sizeof(*s));

	if (!a || !s)
		abort();
	*a = (struct api){
		.loop = l,
		.network = c->network,
		.pk = c->pk,
		.address = c->address,
		.own = c->own,
		.max_body = c->max_body ? c->max_body : (size_t)LIMIT_API_BODY_BYTES_DEFAULT,
		.started = c->started,
		.started_s = c->started_s,
		.server = s,
	};
	a->limits = (struct api_limits){
		.connections = LIMIT_API_CONNECTIONS,
		.per_address = LIMIT_API_CONNECTIONS_PER_ADDRESS,
		.header_bytes = LIMIT_API_HEADER_BYTES,
		.bodies_bytes = BODIES * a->max_body,
		.header_ms = LIMIT_API_HEADER_MS,
		.body_ms = LIMIT_API_BODY_MS,
		.idle_ms = LIMIT_API_IDLE_MS,
		.linger_ms = LINGER_MS,
		.stop_ms = STOP_MS,
	};
	if (a->limits.bodies_bytes < BODIES_BYTES_MIN)
		a->limits.bodies_bytes = BODIES_BYTES_MIN;
	if (a->limits.bodies_bytes > BODIES_BYTES_MAX)
		a->limits.bodies_bytes = BODIES_BYTES_MAX;
	s->armed = MONO_NEVER;
	s->timer = loop_timer_new(l, on_timer, a);
	return a;
}

static void release(struct api *a)
{
	struct server *s = a->server;

	server_listen_end(a);
	loop_timer_free(s->timer);
	server_token_free(s->token);
	free(s->hosts);
	free(s);
	free(a);
}

/* Names that lead here by what they are: an address as Host can be no trick of DNS. */
static void set_guard(struct api *a, const struct api_config *c)
{
	struct server *s = a->server;

	s->hosts = calloc(c->host_count + 1, sizeof(*s->hosts));
	if (!s->hosts)
		abort();
	if (c->host_count)
		memcpy(s->hosts, c->hosts, c->host_count * sizeof(*s->hosts));
	s->hosts[c->host_count] = endpoint_print(&c->addr, s->own_host);
	a->guard = (struct guard_config){
		.port = endpoint_port(&c->addr),
		.hosts = s->hosts,
		.host_count = c->host_count + 1,
		.origins = c->origins,
		.origin_count = c->origin_count,
		.token = s->token,
		.any_host = c->insecure && !s->token && !server_is_loopback(&c->addr),
	};
}

static int check_exposure(const struct api_config *c, char error[API_ERROR_BYTES])
{
	char text[ENDPOINT_TEXT_BYTES];

	if (server_is_loopback(&c->addr) || c->token_file || c->insecure)
		return 0;
	snprintf(error, API_ERROR_BYTES,
		 "the API is not opened on %s without a token, because whoever reached it would rule this node: give "
		 "--api-token-file, or --api-insecure if that is meant",
		 endpoint_print(&c->addr, text));
	return -EPERM;
}

static int start(struct api *a, const struct api_config *c, char error[API_ERROR_BYTES])
{
	int result = check_exposure(c, error);

	if (result == 0 && c->token_file)
		result = server_token_read(c->token_file, &a->server->token, error);
	if (result < 0)
		return result;
	set_guard(a, c);
	result = server_listen(a, &c->addr, error);
	return result < 0 ? result : server_lws_new(a, error);
}

int api_new(struct loop *l, const struct api_config *c, const struct api_host *h, struct api **out,
	    char error[API_ERROR_BYTES])
{
	struct api *a = make(l, c);
	const int result = start(a, c, error);

	*out = NULL;
	if (result < 0) {
		release(a);
		return result;
	}
	a->node = h->node;
	a->post = h->post;
	a->keyring = h->keyring;
	a->ops = h->ops;
	a->ctx = h->ctx;
	*out = a;
	return 0;
}

void api_stop(struct api *a, void (*done)(void *ctx), void *ctx)
{
	struct server *s = a->server;

	assert(s->phase == SERVER_RUNS);
	a->stopping = true;
	s->done = done;
	s->done_ctx = ctx;
	s->stop_at = mono_add_ms(mono_now(), a->limits.stop_ms);
	server_listen_end(a);
	ws_close_all(a);
	http_stop(a);
	s->phase = SERVER_DRAINS;
	server_wake(a, s->slots_taken ? s->stop_at : mono_now());
}

void api_free(struct api *a)
{
	if (!a)
		return;
	assert(a->server->phase == SERVER_ENDED);
	release(a);
}
