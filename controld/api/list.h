/* SPDX-License-Identifier: Apache-2.0 */
/* A JSON array as an answer, however long: what it is about is copied first, small and at one moment, and each element
 * is made when the client can take it, from what is known by then. So a change meanwhile neither skips nor doubles, and
 * the text is never there whole. */
#ifndef CONTROLD_API_LIST_H
#define CONTROLD_API_LIST_H

#include "controld/api/http.h"
#include "controld/api/private.h"

struct list;

struct list_kind {
	size_t item_bytes;
	/* The element of an item; NULL: it has gone meanwhile. */
	cJSON *(*element)(const struct api *a, const void *item);
	void (*fini)(void *item); /* of what an item owns; NULL: nothing */
};

/* NULL: too many are being read, and r is answered. */
struct list *list_new(struct api *a, struct http_request *r, const struct list_kind *k);
/* Room for one more item, zeroed; NULL: out of memory, and list_reply() will say so. */
void *list_add(struct list *l);
/* ?limit=N of r; SIZE_MAX if it is not given. False: not a number, and r is answered. */
MUST_CHECK bool list_read_limit(struct http_request *r, size_t *limit);
/* At most so many elements, whatever was added. */
void list_limit(struct list *l, size_t count);
/* Answers r with it; the list is taken. */
void list_reply(struct list *l, struct http_request *r);

#endif
