/* SPDX-License-Identifier: Apache-2.0 */
/* Peers: those to be dialled and those that came, listed, added, removed. A peer is named by its endpoint. */
#include "controld/api/admin.h"
#include "controld/api/http.h"
#include "controld/api/json.h"
#include "controld/api/list.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* What is kept of a peer until its element is written. */
struct peer_item {
	struct api_peer peer; /* its texts are the two below */
	char *endpoint, *last_error; /* owned */
};

/* Without the scheme, as connections are named. */
static const char *socket_addr(const char *endpoint)
{
	static const char scheme[] = "tcp://";

	return strncmp(endpoint, scheme, sizeof(scheme) - 1) == 0 ? endpoint + sizeof(scheme) - 1 : endpoint;
}

static const char *type_name(uint32_t flags)
{
	if (flags & CTL_LINK_INBOUND)
		return "inbound";
	return flags & CTL_LINK_DISCOVERED ? "linkLocalDiscovery" : "static";
}

static const char *state_name(const struct api_peer *p)
{
	if (p->up)
		return "alive";
	return *p->last_error ? "dead" : "connecting";
}

static void add_link(cJSON *j, const struct api_peer *p, struct mono now)
{
	char local[ENDPOINT_TEXT_BYTES];

	admin_add_u64(j, "txBytes", p->up ? p->link.tx_bytes : 0);
	admin_add_u64(j, "rxBytes", p->up ? p->link.rx_bytes : 0);
	if (p->up && p->link.rtt_us)
		admin_add_u64(j, "rttMicroseconds", p->link.rtt_us);
	else
		cJSON_AddNullToObject(j, "rttMicroseconds");
	if (p->up) {
		admin_add_metric(j, "cost", p->cost);
		cJSON_AddStringToObject(j, "local", endpoint_print(&p->link.local, local));
	} else {
		cJSON_AddNullToObject(j, "cost");
		cJSON_AddNullToObject(j, "local");
	}
	admin_add_seconds(j, "upSeconds", p->up, p->up ? mono_since_us(now, p->link.up_since) : 0);
}

static void add_error(cJSON *j, const struct api_peer *p, struct mono now)
{
	cJSON *error;

	if (!*p->last_error) {
		cJSON_AddNullToObject(j, "lastError");
		return;
	}
	error = cJSON_AddObjectToObject(j, "lastError");
	cJSON_AddStringToObject(error, "text", p->last_error);
	admin_add_seconds(error, "ageSeconds", true, mono_since_us(now, p->last_error_at));
}

static cJSON *peer_element(const struct api *a, const void *item)
{
	const struct peer_item *i = item;
	const struct api_peer *p = &i->peer;
	const struct mono now = api_now().mono;
	cJSON *j = cJSON_CreateObject(), *endpoint = cJSON_AddObjectToObject(j, "endpoint");

	(void)a;
	cJSON_AddStringToObject(endpoint, "proto", "tcp");
	cJSON_AddStringToObject(endpoint, "socketAddr", socket_addr(p->endpoint));
	cJSON_AddStringToObject(j, "type", type_name(p->flags));
	cJSON_AddStringToObject(j, "connectionState", state_name(p));
	add_link(j, p, now);
	admin_add_seconds(j, "nextTrySeconds", !p->up && p->next_try.us != MONO_NEVER.us,
			  mono_since_us(p->next_try, now));
	add_error(j, p, now);
	return j;
}

static void peer_fini(void *item)
{
	struct peer_item *i = item;

	free(i->endpoint);
	free(i->last_error);
}

static void add_peer(void *ctx, const struct api_peer *p)
{
	struct peer_item *i = list_add(ctx);

	if (!i)
		return;
	i->endpoint = strdup(p->endpoint);
	i->last_error = strdup(p->last_error);
	assert(i->endpoint && i->last_error);
	i->peer = *p;
	i->peer.endpoint = i->endpoint;
	i->peer.last_error = i->last_error;
}

void admin_peers(struct api *a, struct http_request *r)
{
	static const struct list_kind kind = {
		.item_bytes = sizeof(struct peer_item), .element = peer_element, .fini = peer_fini};
	struct list *l = list_new(a, r, &kind);

	if (!l)
		return;
	a->ops->peers_each(a->ctx, add_peer, l);
	list_reply(l, r);
}

void admin_peer_add(struct api *a, struct http_request *r)
{
	const cJSON *j = http_json(r), *endpoint;
	const char *why = "";
	int error;

	if (!j)
		return;
	endpoint = json_get(j, "endpoint");
	if (!cJSON_IsString(endpoint)) {
		http_reply_text(r, 422,
				"Failed to deserialize the JSON body into the target type: "
				"an object with the string `endpoint` is wanted, such as tcp://203.0.113.5:9651");
		return;
	}
	error = a->ops->peer_add(a->ctx, endpoint->valuestring, &why);
	api_settled(a);
	switch (error) {
	case 0:
		http_reply_empty(r, 204);
		break;
	case -EEXIST:
		http_reply_text(r, 409, "this peer is there already");
		break;
	default:
		http_reply_text(r, 400, "%s", why);
	}
}

void admin_peer_del(struct api *a, struct http_request *r)
{
	const int error = a->ops->peer_del(a->ctx, http_param(r, 0));

	api_settled(a);
	switch (error) {
	case 0:
		http_reply_empty(r, 204);
		break;
	case -ENOENT:
		http_reply_text(r, 404, "there is no such peer");
		break;
	default:
		http_reply_text(r, 400,
				"what stands after /peers/ is no endpoint, such as tcp%%3A%%2F%%2F203.0.113.5%%3A9651");
	}
}
