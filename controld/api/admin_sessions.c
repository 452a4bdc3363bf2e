/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: what each peer is talked to with, and what the operator may change of it. A peer is named by any address of
 * its /64. As in the lists of routes only names are copied; what is told of a peer is looked up when it is written. */
#include "controld/api/admin.h"
#include "controld/api/http.h"
#include "controld/api/json.h"
#include "controld/api/list.h"

#include <assert.h>
#include <errno.h>

static const char *const mode_names[] = {
	[SESSION_OFF] = "off", [SESSION_OPPORTUNISTIC] = "opportunistic", [SESSION_REQUIRE] = "require"};

enum { MODES = sizeof(mode_names) / sizeof(mode_names[0]) };

static const char *state_name(const struct keyring_view *v)
{
	static const char *const names[] = {
		[SESSION_BY_STATIC] = "static", [SESSION_BY_KEY] = "session", [SESSION_BY_NONE] = "waiting"};

	return keyring_is_idle(v) ? "idle" : names[v->session.policy.way];
}

static void add_unix(cJSON *j, const char *name, bool any, int64_t s)
{
	if (any)
		admin_add_u64(j, name, s > 0 ? (uint64_t)s : 0);
	else
		cJSON_AddNullToObject(j, name);
}

static void add_times(cJSON *j, const struct keyring_view *v)
{
	const struct session_time t = api_session_now();
	const bool lives = v->known && v->since.us != MONO_NEVER.us, key = v->known && v->session.index[SESSION_SEND];
	const int64_t age_us = lives ? mono_since_us(t.now, v->since) : 0;

	add_unix(j, "since", lives, (t.real_ns / 1000 - age_us) / 1000000);
	admin_add_seconds(j, "ageSeconds", lives, age_us);
	admin_add_seconds(j, "keyAgeSeconds", key, key ? mono_since_us(t.now, v->session.made[SESSION_SEND]) : 0);
	admin_add_u64(j, "renewals", v->renewals);
}

static void add_traffic(cJSON *j, const struct keyring_view *v)
{
	admin_add_u64(j, "sealedPackets", v->sealed_packets);
	admin_add_u64(j, "sealedBytes", v->sealed_bytes);
	admin_add_u64(j, "openedPackets", v->opened_packets);
	admin_add_u64(j, "openedBytes", v->opened_bytes);
	admin_add_u64(j, "staticSealed", v->static_sealed);
	admin_add_u64(j, "staticOpened", v->static_opened);
	admin_add_u64(j, "refusedStatic", v->refused_static);
	admin_add_u64(j, "refusedSecondKeys", v->second_keys);
}

/* ctx: where the element is to be. */
static void make_element(void *ctx, const struct keyring_view *v)
{
	const struct session_view *s = &v->session;
	const bool pinned = v->known && s->pinned;
	char address[IP6_TEXT_BYTES], key[PUBKEY_TEXT_BYTES];
	cJSON **out = ctx, *j = cJSON_CreateObject();

	cJSON_AddStringToObject(j, "address", ip6_print(&s->address, address));
	cJSON_AddStringToObject(j, "publicKey", pubkey_print(&s->pk, key));
	cJSON_AddStringToObject(j, "state", state_name(v));
	cJSON_AddStringToObject(j, "mode", mode_names[s->mode]);
	cJSON_AddBoolToObject(j, "ownMode", v->has_mode);
	cJSON_AddBoolToObject(j, "pinned", pinned);
	add_unix(j, "pinnedUntil", pinned, v->pin_end_s);
	cJSON_AddBoolToObject(j, "handshake", v->known && s->waiting);
	add_times(j, v);
	add_traffic(j, v);
	cJSON_AddBoolToObject(j, "releasing", v->releasing);
	*out = j;
}

static cJSON *session_element(const struct api *a, const void *item)
{
	const uint64_t *net64 = item;
	cJSON *j = NULL;

	return keyring_find(a->keyring, *net64, api_session_now(), make_element, &j) ? j : NULL;
}

static void add_name(void *ctx, const struct keyring_view *v)
{
	uint64_t *net64 = list_add(ctx);

	if (net64)
		*net64 = ip6_net64(&v->session.address);
}

void admin_sessions(struct api *a, struct http_request *r)
{
	static const struct list_kind kind = {.item_bytes = sizeof(uint64_t), .element = session_element};
	struct list *l;
	size_t limit;

	if (!list_read_limit(r, &limit))
		return;
	l = list_new(a, r, &kind);
	if (!l)
		return;
	list_limit(l, limit);
	if (a->keyring && limit)
		keyring_each(a->keyring, api_session_now(), add_name, l);
	list_reply(l, r);
}

void admin_add_sessions(const struct api *a, cJSON *object)
{
	struct keyring_totals t;
	cJSON *j;

	if (!a->keyring) {
		cJSON_AddNullToObject(object, "sessions");
		return;
	}
	t = keyring_totals(a->keyring, api_session_now());
	j = cJSON_AddObjectToObject(object, "sessions");
	cJSON_AddStringToObject(j, "mode", mode_names[keyring_mode(a->keyring)]);
	cJSON_AddBoolToObject(j, "networkKey", keyring_has_network_key(a->keyring));
	cJSON_AddBoolToObject(j, "stateLasting", !a->ops->state_is_lasting || a->ops->state_is_lasting(a->ctx));
	admin_add_u64(j, "session", t.live);
	admin_add_u64(j, "static", t.static_only);
	admin_add_u64(j, "waiting", t.held - t.idle);
	admin_add_u64(j, "idle", t.idle);
	admin_add_u64(j, "pinned", t.pins);
	admin_add_u64(j, "handshakes", t.waiting);
	admin_add_u64(j, "refusedStatic", t.refused_static);
	admin_add_u64(j, "refusedSecondKeys", t.second_keys);
}

/* False: there are no sessions here, and r is answered. */
static bool is_possible(const struct api *a, struct http_request *r)
{
	if (a->keyring)
		return true;
	http_reply_text(r, 503, "this machine cannot make sessions: its processor lacks AES");
	return false;
}

/* The /64 that the path names. False: r is answered. */
static bool read_peer(const struct api *a, struct http_request *r, uint64_t *net64)
{
	char overlay[PREFIX_TEXT_BYTES];
	struct ip6 ip;

	if (ip6_parse(http_param(r, 0), &ip) < 0) {
		http_reply_text(r, 400, "what stands after /sessions/ is not an IPv6 address");
		return false;
	}
	if (!prefix_has(&a->network->overlay, &ip)) {
		http_reply_text(r, 400, "this address lies outside the overlay, %s",
				prefix_print(&a->network->overlay, overlay));
		return false;
	}
	*net64 = ip6_net64(&ip);
	return is_possible(a, r);
}

/* status: if it went well. unknown: the sentence of a 404. */
static void reply_done(struct api *a, struct http_request *r, int error, int status, const char *unknown)
{
	api_settled(a);
	switch (error) {
	case 0:
		http_reply_empty(r, status);
		break;
	case -ENOENT:
		http_reply_text(r, 404, "%s", unknown);
		break;
	case -EEXIST:
		http_reply_text(r, 409, "another public key has the /64 of this address");
		break;
	case -EPERM:
		http_reply_text(r, 409, "this is a private network (--network-key): its peers must keep sessions");
		break;
	default:
		http_reply_text(r, 503, "there is no room for one more peer");
	}
}

/* Whoever has a network key takes nothing but sessions: there is nothing to go back to. */
static bool may_release(const struct api *a)
{
	return !keyring_has_network_key(a->keyring);
}

void admin_sessions_release(struct api *a, struct http_request *r)
{
	size_t count;
	cJSON *j;

	if (!is_possible(a, r))
		return;
	if (!may_release(a)) {
		reply_done(a, r, -EPERM, 202, "");
		return;
	}
	count = keyring_release_all(a->keyring, api_session_now());
	api_settled(a);
	j = cJSON_CreateObject();
	admin_add_u64(j, "count", count);
	http_reply_json(r, 202, j);
}

void admin_session_release(struct api *a, struct http_request *r)
{
	uint64_t net64;
	int error;

	if (!read_peer(a, r, &net64))
		return;
	error = may_release(a) ? keyring_release(a->keyring, net64, api_session_now()) : -EPERM;
	reply_done(a, r, error, 202, "there is neither a session nor a pin for this address");
}

void admin_session_unpin(struct api *a, struct http_request *r)
{
	uint64_t net64;

	if (!read_peer(a, r, &net64))
		return;
	reply_done(a, r, keyring_unpin(a->keyring, net64, api_session_now()), 204, "there is no pin for this address");
}

/* What the body says; *own: it is a mode of its own. False: r is answered. */
static bool read_mode(struct http_request *r, enum session_mode *mode, bool *own)
{
	const cJSON *j = http_json(r), *name;

	if (!j)
		return false;
	name = json_get(j, "mode");
	for (int i = 0; cJSON_IsString(name) && i < MODES; i++) {
		*mode = (enum session_mode)i;
		*own = true;
		if (strcmp(name->valuestring, mode_names[i]) == 0)
			return true;
	}
	*own = false;
	if (cJSON_IsString(name) && strcmp(name->valuestring, "default") == 0)
		return true;
	http_reply_text(r, 422,
			"Failed to deserialize the JSON body into the target type: "
			"an object with the string `mode` is wanted: off, opportunistic, require or default");
	return false;
}

void admin_session_mode(struct api *a, struct http_request *r)
{
	enum session_mode mode;
	uint64_t net64;
	bool own;

	if (!read_peer(a, r, &net64) || !read_mode(r, &mode, &own))
		return;
	reply_done(a, r, keyring_set_mode(a->keyring, net64, own ? &mode : NULL, api_session_now()), 204,
		   "no node has announced this address");
}
