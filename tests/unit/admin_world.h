/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers of routes without a server: a request that is one in memory, an API around the node of
 * tests/support/node_world.h, and a daemon and a keyring whose answers the test sets. */
#ifndef TESTS_UNIT_ADMIN_WORLD_H
#define TESTS_UNIT_ADMIN_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* After the four above, as it wants. */
#include "controld/api/http.h"
#include "controld/api/json.h"
#include "controld/api/private.h"
#include "tests/support/node_world.h"
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct http_request {
	const char *param, *query_name, *query, *body; /* what the client sent */
	cJSON *parsed;
	int status; /* 0: not answered yet */
	char *type, *text; /* of the answer; owned */
	size_t len;
	char headers[1024];
	struct http_source source; /* while the answer is not read whole */
	bool streaming;
};

struct keyring {
	struct keyring_view views[4];
	unsigned view_count;
	unsigned many; /* so many more, as admin_peer() makes them */
	struct keyring_totals totals;
	enum session_mode mode;
	bool network_key;
	/* Of the next change, and what the last one was: "release 200::/64", ... */
	int error;
	size_t released;
	char did[96];
};

struct admin_world {
	struct node_world *w;
	struct keyring keyring;
	struct api api;
	struct post_load load;
	struct http_request r;
	/* What the daemon says. */
	struct api_peer peers[4];
	unsigned peer_count;
	struct api_fastpath fastpath;
	const char *store_trouble, *tun_name, *not_ready, *why;
	bool state_is_lasting;
	int add_error, del_error;
	char endpoint[64]; /* of the last add or del */
	unsigned settled;
};

static struct admin_world *admin; /* the one of the running test */

static inline void answer(struct http_request *r, int status, const char *type)
{
	assert_int_equal(r->status, 0);
	r->status = status;
	r->type = type ? strdup(type) : NULL;
}

const char *http_param(const struct http_request *r, unsigned i)
{
	assert_int_equal(i, 0);
	return r->param;
}

const char *http_query(const struct http_request *r, const char *key)
{
	return r->query_name && strcmp(r->query_name, key) == 0 ? r->query : NULL;
}

const cJSON *http_json(struct http_request *r)
{
	enum json_verdict verdict;
	char error[JSON_ERROR_BYTES];

	r->parsed = json_parse(r->body, strlen(r->body), &verdict, error);
	if (!r->parsed)
		answer(r, 400, HTTP_TEXT);
	return r->parsed;
}

void http_header(struct http_request *r, const char *name, const char *value)
{
	const size_t len = strlen(r->headers);

	snprintf(r->headers + len, sizeof(r->headers) - len, "%s: %s\n", name, value);
}

void http_reply(struct http_request *r, int status, const char *type, const void *body, size_t len)
{
	answer(r, status, type);
	r->text = malloc(len + 1);
	assert_non_null(r->text);
	memcpy(r->text, body, len);
	r->text[len] = 0;
	r->len = len;
}

void http_reply_empty(struct http_request *r, int status)
{
	answer(r, status, NULL);
}

void http_reply_text(struct http_request *r, int status, const char *format, ...)
{
	va_list args;

	answer(r, status, HTTP_TEXT);
	va_start(args, format);
	assert_true(vasprintf(&r->text, format, args) >= 0);
	va_end(args);
	r->len = strlen(r->text);
}

void http_reply_json(struct http_request *r, int status, cJSON *j)
{
	answer(r, status, HTTP_JSON);
	r->text = cJSON_PrintUnformatted(j);
	r->len = strlen(r->text);
	cJSON_Delete(j);
}

void http_stream(struct http_request *r, int status, const char *type, size_t length, const struct http_source *s)
{
	assert_true(length == HTTP_CHUNKED);
	answer(r, status, type);
	r->source = *s;
	r->streaming = true;
}

/* Takes so many bytes at a time until the end, or until it has so many. */
static inline void admin_read(struct http_request *r, size_t piece, size_t until)
{
	char *buf = malloc(piece);
	size_t n = 1;

	assert_non_null(buf);
	while (r->len < until && (n = r->source.next(r->source.ctx, buf, piece))) {
		assert_true(n <= piece);
		r->text = realloc(r->text, r->len + n + 1);
		assert_non_null(r->text);
		memcpy(r->text + r->len, buf, n);
		r->len += n;
		r->text[r->len] = 0;
	}
	free(buf);
	if (n)
		return;
	r->streaming = false;
	r->source.end(r->source.ctx, true);
}

struct post_time api_now(void)
{
	return (struct post_time){.mono = admin->w->now, .real_s = 1700000000};
}

struct post_load post_load(const struct post *p)
{
	(void)p;
	return admin->load;
}

uint64_t post_count(const struct post *p, enum message_counter what)
{
	(void)p;
	return 100 + what;
}

/* A peer that nobody has: its number. */
static inline struct keyring_view admin_peer(unsigned i)
{
	struct keyring_view v = {.known = true, .since = MONO_NEVER};

	v.session.mode = SESSION_OPPORTUNISTIC;
	v.session.address = ip6_from_net64(UINT64_C(0x0200) << 48 | i);
	return v;
}

void keyring_each(struct keyring *k, struct session_time t, void (*fn)(void *ctx, const struct keyring_view *v),
		  void *ctx)
{
	(void)t;
	for (unsigned i = 0; i < k->view_count; i++)
		fn(ctx, &k->views[i]);
	for (unsigned i = 0; i < k->many; i++) {
		const struct keyring_view v = admin_peer(i);

		fn(ctx, &v);
	}
}

bool keyring_find(struct keyring *k, uint64_t net64, struct session_time t,
		  void (*fn)(void *ctx, const struct keyring_view *v), void *ctx)
{
	const struct keyring_view many = admin_peer((unsigned)net64), *v = NULL;

	assert_true(t.now.us == admin->w->now.us && t.real_ns == 1700000000 * INT64_C(1000000000));
	for (unsigned i = 0; i < k->view_count; i++) {
		if (ip6_net64(&k->views[i].session.address) == net64)
			v = &k->views[i];
	}
	if (!v && (unsigned)net64 < k->many && ip6_net64(&many.session.address) == net64)
		v = &many;
	if (v)
		fn(ctx, v);
	return v;
}

struct keyring_totals keyring_totals(struct keyring *k, struct session_time t)
{
	(void)t;
	return k->totals;
}

uint64_t keyring_count(const struct keyring *k, enum session_counter what)
{
	(void)k;
	return 500 + what;
}

enum session_mode keyring_mode(const struct keyring *k)
{
	return k->mode;
}

bool keyring_has_network_key(const struct keyring *k)
{
	return k->network_key;
}

/* The change that was asked for, and its error. */
static inline int keyring_did(struct keyring *k, const char *what, uint64_t net64, const char *more)
{
	const struct ip6 ip = ip6_from_net64(net64);
	char text[IP6_TEXT_BYTES];

	snprintf(k->did, sizeof(k->did), "%s %s%s", what, ip6_print(&ip, text), more);
	return k->error;
}

size_t keyring_release_all(struct keyring *k, struct session_time t)
{
	(void)t;
	snprintf(k->did, sizeof(k->did), "release all");
	return k->released;
}

int keyring_release(struct keyring *k, uint64_t net64, struct session_time t)
{
	(void)t;
	return keyring_did(k, "release", net64, "");
}

int keyring_unpin(struct keyring *k, uint64_t net64, struct session_time t)
{
	(void)t;
	return keyring_did(k, "unpin", net64, "");
}

int keyring_set_mode(struct keyring *k, uint64_t net64, const enum session_mode *mode, struct session_time t)
{
	static const char *const names[] = {" off", " opportunistic", " require"};

	(void)t;
	return keyring_did(k, "mode", net64, mode ? names[*mode] : " default");
}

static inline void on_peers_each(void *ctx, void (*fn)(void *fn_ctx, const struct api_peer *p), void *fn_ctx)
{
	const struct admin_world *w = ctx;

	for (unsigned i = 0; i < w->peer_count; i++)
		fn(fn_ctx, &w->peers[i]);
}

static inline int on_peer_add(void *ctx, const char *endpoint, const char **why)
{
	struct admin_world *w = ctx;

	snprintf(w->endpoint, sizeof(w->endpoint), "%s", endpoint);
	if (w->add_error)
		*why = w->why;
	return w->add_error;
}

static inline int on_peer_del(void *ctx, const char *endpoint)
{
	struct admin_world *w = ctx;

	snprintf(w->endpoint, sizeof(w->endpoint), "%s", endpoint);
	return w->del_error;
}

static inline void on_fastpaths_each(void *ctx, void (*fn)(void *fn_ctx, const struct api_fastpath *f), void *fn_ctx)
{
	const struct admin_world *w = ctx;

	fn(fn_ctx, &w->fastpath);
}

static inline uint64_t on_stat(void *ctx, enum stat_id which)
{
	(void)ctx;
	return 1000 + which;
}

static inline const char *on_store_trouble(void *ctx)
{
	const struct admin_world *w = ctx;

	return w->store_trouble;
}

static inline uint64_t on_store_bytes(void *ctx)
{
	(void)ctx;
	return 1ULL << 60;
}

static inline const char *on_tun_name(void *ctx)
{
	const struct admin_world *w = ctx;

	return w->tun_name;
}

static inline bool on_state_is_lasting(void *ctx)
{
	const struct admin_world *w = ctx;

	return w->state_is_lasting;
}

static inline const char *on_not_ready(void *ctx)
{
	const struct admin_world *w = ctx;

	return w->not_ready;
}

static inline void on_settled(void *ctx)
{
	struct admin_world *w = ctx;

	w->settled++;
}

static const struct api_ops admin_ops = {
	.peers_each = on_peers_each,
	.peer_add = on_peer_add,
	.peer_del = on_peer_del,
	.fastpaths_each = on_fastpaths_each,
	.stat = on_stat,
	.store_trouble = on_store_trouble,
	.store_bytes = on_store_bytes,
	.tun_name = on_tun_name,
	.state_is_lasting = on_state_is_lasting,
	.not_ready = on_not_ready,
	.settled = on_settled,
};

static inline int admin_begin(void **state)
{
	struct admin_world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->w = node_world_started();
	w->api = (struct api){.node = w->w->n,
			      .keyring = &w->keyring,
			      .ops = &admin_ops,
			      .ctx = w,
			      .network = &network200,
			      .pk = w->w->id.pk,
			      .address = w->w->id.address,
			      .own = w->w->id.own,
			      .started = mono_add_ms(w->w->now, -93784500),
			      .started_s = 1699906216};
	w->fastpath = (struct api_fastpath){
		.pid = 4242, .mode = "tun", .aead = "ipsec-mb", .since = mono_add_ms(w->w->now, -2000)};
	w->store_trouble = w->not_ready = w->why = "";
	w->tun_name = "tun0";
	w->state_is_lasting = true;
	admin = w;
	*state = w;
	return 0;
}

/* Ready for another request. */
static inline void admin_forget(struct admin_world *w)
{
	if (w->r.streaming)
		w->r.source.end(w->r.source.ctx, false);
	cJSON_Delete(w->r.parsed);
	free(w->r.type);
	free(w->r.text);
	w->r = (struct http_request){0};
}

static inline int admin_end(void **state)
{
	struct admin_world *w = *state;

	admin_forget(w);
	assert_int_equal(w->api.lists, 0);
	node_world_free(w->w);
	free(w);
	return 0;
}

/* The whole answer to a GET. */
static inline const char *admin_ask(struct admin_world *w, http_handler *handler, int status)
{
	handler(&w->api, &w->r);
	assert_int_equal(w->r.status, status);
	if (w->r.streaming)
		admin_read(&w->r, 4096, SIZE_MAX);
	return w->r.text ? w->r.text : "";
}

#endif
