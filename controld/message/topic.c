/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/message/topic.h"
#include <stdlib.h>
#include <string.h>

struct topic topic_copy(const uint8_t *bytes, uint8_t len)
{
	struct topic t = {.len = len};

	if (len == 0)
		return t;
	t.bytes = malloc(len);
	if (!t.bytes)
		abort();
	memcpy(t.bytes, bytes, len);
	return t;
}

void topic_fini(struct topic *t)
{
	free(t->bytes);
	*t = (struct topic){0};
}

bool topic_is(const struct topic *t, const uint8_t *bytes, uint8_t len)
{
	return t->len == len && (len == 0 || memcmp(t->bytes, bytes, len) == 0);
}
