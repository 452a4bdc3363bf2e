/* SPDX-License-Identifier: Apache-2.0 */
/* What the node says of itself, and whose an address is. */
#include "controld/api/admin.h"
#include "controld/api/http.h"
#include "controld/api/private.h"

#include <inttypes.h>

void admin_add_u64(cJSON *object, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	cJSON_AddRawToObject(object, name, text);
}

void admin_add_metric(cJSON *object, const char *name, uint16_t metric)
{
	if (metric == WIRE_INFINITE)
		cJSON_AddStringToObject(object, name, "infinite");
	else
		cJSON_AddNumberToObject(object, name, metric);
}

void admin_add_seconds(cJSON *object, const char *name, bool any, int64_t us)
{
	if (any)
		admin_add_u64(object, name, us > 0 ? (uint64_t)us / 1000000 : 0);
	else
		cJSON_AddNullToObject(object, name);
}

struct fastpath_list {
	cJSON *array;
	struct mono now;
};

static void add_fastpath(void *ctx, const struct api_fastpath *f)
{
	const struct fastpath_list *l = ctx;
	cJSON *j;

	if (!f->pid)
		return;
	j = cJSON_CreateObject();
	cJSON_AddNumberToObject(j, "pid", f->pid);
	cJSON_AddStringToObject(j, "mode", f->mode);
	cJSON_AddStringToObject(j, "aead", f->aead);
	admin_add_u64(j, "sinceSeconds", (uint64_t)mono_since_us(l->now, f->since) / 1000000);
	cJSON_AddItemToArray(l->array, j);
}

static void add_store(const struct api *a, cJSON *j)
{
	cJSON *store = cJSON_AddObjectToObject(j, "store");
	const char *trouble = a->ops->store_trouble(a->ctx);

	cJSON_AddBoolToObject(store, "ok", !*trouble);
	cJSON_AddStringToObject(store, "trouble", trouble);
	admin_add_u64(store, "bytes", a->ops->store_bytes(a->ctx));
}

static void count_link(void *ctx, const struct node_link *l)
{
	uint64_t *count = ctx;

	(void)l;
	(*count)++;
}

static void add_counts(const struct api *a, cJSON *j)
{
	cJSON *counts = cJSON_AddObjectToObject(j, "counts");
	const struct babel *b = node_babel(a->node);
	const struct babel_size size = b ? babel_size(b) : (struct babel_size){0};
	uint64_t links = 0;

	node_each_link(a->node, count_link, &links);
	admin_add_u64(counts, "links", links);
	admin_add_u64(counts, "routes", size.routes);
	admin_add_u64(counts, "routesSelected", size.selected);
	admin_add_u64(counts, "messages", post_load(a->post).inbox_count);
}

void admin_get(struct api *a, struct http_request *r)
{
	const struct mono now = api_now().mono;
	char subnet[PREFIX_TEXT_BYTES], key[PUBKEY_TEXT_BYTES], address[IP6_TEXT_BYTES];
	cJSON *j = cJSON_CreateObject();
	struct fastpath_list list = {.now = now};

	cJSON_AddStringToObject(j, "nodeSubnet", prefix_print(&a->own, subnet));
	cJSON_AddStringToObject(j, "nodePubkey", pubkey_print(&a->pk, key));
	cJSON_AddStringToObject(j, "address", ip6_print(&a->address, address));
	cJSON_AddStringToObject(j, "version", VERSION);
	cJSON_AddStringToObject(j, "build", BUILD);
	cJSON_AddNumberToObject(j, "network", a->network->number);
	admin_add_u64(j, "startTime", (uint64_t)a->started_s);
	admin_add_u64(j, "uptimeSeconds", (uint64_t)mono_since_us(now, a->started) / 1000000);
	cJSON_AddStringToObject(j, "tunName", a->ops->tun_name(a->ctx));
	list.array = cJSON_AddArrayToObject(j, "fastpaths");
	a->ops->fastpaths_each(a->ctx, add_fastpath, &list);
	add_store(a, j);
	add_counts(a, j);
	admin_add_sessions(a, j);
	http_reply_json(r, 200, j);
}

void admin_pubkey(struct api *a, struct http_request *r)
{
	const char *text = http_param(r, 0);
	char printed[PUBKEY_TEXT_BYTES];
	struct pubkey pk = a->pk;
	struct ip6 ip;
	cJSON *j;

	if (ip6_parse(text, &ip) < 0) {
		http_reply_text(r, 400, "what stands after /pubkey/ is not an IPv6 address");
		return;
	}
	if (!prefix_has(&a->network->overlay, &ip)) {
		char overlay[PREFIX_TEXT_BYTES];

		http_reply_text(r, 400, "this address lies outside the overlay, %s",
				prefix_print(&a->network->overlay, overlay));
		return;
	}
	if (!prefix_has(&a->own, &ip) && !node_key_of(a->node, ip6_net64(&ip), &pk)) {
		http_reply_text(r, 404, "no node has announced this address");
		return;
	}
	j = cJSON_CreateObject();
	cJSON_AddStringToObject(j, "publicKey", pubkey_print(&pk, printed));
	http_reply_json(r, 200, j);
}
