/* SPDX-License-Identifier: Apache-2.0 */
/* One growing array of bytes holds all names, one open-addressed table finds them. Both grow by factors, so that the
 * whole is linear in the text; their sizes are the client's choice, so memory that is not there is an answer, not an
 * abort. */
#include "controld/api/json_names.h"

#include <stdlib.h>

#include "shared/base/siphash.h"

enum { FIRST_SLOTS = 64, FIRST_BYTES = 1024 };

void json_names_fini(struct json_names *n)
{
	free(n->bytes);
	free(n->slots);
	*n = (struct json_names){0};
}

void json_names_put(struct json_names *n, const void *bytes, size_t len)
{
	if (n->full || len == 0)
		return;
	if (n->cap - n->len < len) {
		const size_t cap = 2 * (n->cap + len) + FIRST_BYTES;
		uint8_t *more = realloc(n->bytes, cap);

		if (!more) {
			n->full = true;
			return;
		}
		n->bytes = more;
		n->cap = cap;
	}
	memcpy(n->bytes + n->len, bytes, len);
	n->len += len;
}

void json_names_begin(struct json_names *n, uint32_t object)
{
	n->begun = n->len;
	json_names_put(n, &object, sizeof(object));
}

/* The slot of that name, or the free one where it belongs. There is always a free one. */
static struct json_name *slot_of(const struct json_names *n, const struct json_name *name)
{
	size_t i = name->hash & (n->slot_count - 1);

	for (;; i = (i + 1) & (n->slot_count - 1)) {
		struct json_name *s = &n->slots[i];

		if (s->len == 0)
			return s;
		if (s->hash == name->hash && s->len == name->len &&
		    memcmp(n->bytes + s->at, n->bytes + name->at, name->len) == 0)
			return s;
	}
}

static void grow_slots(struct json_names *n)
{
	const size_t old_count = n->slot_count;
	struct json_name *old = n->slots;

	n->slot_count = old_count ? 4 * old_count : FIRST_SLOTS;
	n->slots = calloc(n->slot_count, sizeof(*n->slots));
	if (!n->slots) {
		n->slots = old;
		n->slot_count = old_count;
		n->full = true;
		return;
	}
	for (size_t i = 0; i < old_count; i++)
		if (old[i].len)
			*slot_of(n, &old[i]) = old[i];
	free(old);
}

bool json_names_end(struct json_names *n)
{
	struct json_name name = {.at = n->begun, .len = (uint32_t)(n->len - n->begun)};
	struct json_name *s;

	if (2 * n->count >= n->slot_count)
		grow_slots(n);
	if (n->full)
		return true;
	name.hash = siphash(n->bytes + name.at, name.len);
	s = slot_of(n, &name);
	if (s->len)
		return false;
	*s = name;
	n->count++;
	return true;
}
