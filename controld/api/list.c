/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays in pieces: the items in one growing block, one element at a time as text. */
#include "controld/api/list.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { LIST_FIRST_ITEMS = 64 };

struct list {
	struct api *a;
	const struct list_kind *kind;
	uint8_t *items; /* owned */
	size_t count, cap, next, left; /* left: elements still to be made, at most */
	bool short_of_memory, begun, ended;
	char *text; /* owned: the element being written, of which `at` bytes have left */
	size_t len, at;
};

struct list *list_new(struct api *a, struct http_request *r, const struct list_kind *k)
{
	struct list *l;

	if (a->lists >= LIMIT_API_LISTS) {
		http_reply_text(r, 503, "%d lists are being read at this moment, which is the limit; try again",
				LIMIT_API_LISTS);
		return NULL;
	}
	l = calloc(1, sizeof(*l));
	assert(l);
	l->a = a;
	l->kind = k;
	l->left = SIZE_MAX;
	a->lists++;
	return l;
}

static void list_free(struct list *l)
{
	for (size_t i = 0; l->kind->fini && i < l->count; i++)
		l->kind->fini(l->items + i * l->kind->item_bytes);
	l->a->lists--;
	free(l->items);
	free(l->text);
	free(l);
}

static bool list_grow(struct list *l)
{
	const size_t cap = l->cap ? 2 * l->cap : LIST_FIRST_ITEMS;
	uint8_t *items = reallocarray(l->items, cap, l->kind->item_bytes);

	if (!items) {
		l->short_of_memory = true;
		return false;
	}
	l->items = items;
	l->cap = cap;
	return true;
}

void *list_add(struct list *l)
{
	uint8_t *item;

	if (l->short_of_memory || (l->count == l->cap && !list_grow(l)))
		return NULL;
	item = l->items + l->count++ * l->kind->item_bytes;
	memset(item, 0, l->kind->item_bytes);
	return item;
}

bool list_read_limit(struct http_request *r, size_t *limit)
{
	const char *text = http_query(r, "limit");
	char *end;

	*limit = SIZE_MAX;
	if (!text)
		return true;
	errno = 0;
	*limit = strtoul(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && !*end && !errno)
		return true;
	http_reply_text(r, 400, "Failed to deserialize query string: limit is not a number");
	return false;
}

void list_limit(struct list *l, size_t count)
{
	l->left = count;
}

/* The element of the next item that is still there, or NULL. */
static cJSON *list_element(struct list *l)
{
	cJSON *j = NULL;

	while (!j && l->left && l->next < l->count)
		j = l->kind->element(l->a, l->items + l->next++ * l->kind->item_bytes);
	return j;
}

/* Makes the next text to be written, with what stands before it; false: all is written. */
static bool list_refill(struct list *l)
{
	cJSON *j = l->ended ? NULL : list_element(l);
	char *element;

	if (l->ended)
		return false;
	if (j) {
		element = cJSON_PrintUnformatted(j);
		assert(element);
		l->len = (size_t)asprintf(&l->text, "%c%s", l->begun ? ',' : '[', element);
		l->left--;
		cJSON_free(element);
		cJSON_Delete(j);
	} else {
		l->len = (size_t)asprintf(&l->text, "%s", l->begun ? "]" : "[]");
		l->ended = true;
	}
	assert(l->len != (size_t)-1);
	l->begun = true;
	l->at = 0;
	return true;
}

static size_t list_next(void *ctx, char *out, size_t cap)
{
	struct list *l = ctx;
	size_t done = 0;

	while (done < cap && (l->text || list_refill(l))) {
		const size_t part = l->len - l->at < cap - done ? l->len - l->at : cap - done;

		memcpy(out + done, l->text + l->at, part);
		done += part;
		l->at += part;
		if (l->at < l->len)
			break;
		free(l->text);
		l->text = NULL;
	}
	return done;
}

static void list_end(void *ctx, bool whole)
{
	(void)whole;
	list_free(ctx);
}

void list_reply(struct list *l, struct http_request *r)
{
	if (l->short_of_memory) {
		list_free(l);
		http_reply_text(r, 503, "not enough memory to list so much");
		return;
	}
	http_stream(r, 200, HTTP_JSON, HTTP_CHUNKED,
		    &(const struct http_source){.next = list_next, .end = list_end, .ctx = l});
}
