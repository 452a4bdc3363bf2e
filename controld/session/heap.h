/* SPDX-License-Identifier: Apache-2.0 */
/* A binary heap of nodes embedded in what they belong to, the smallest value first. One node lies in one heap at most.
 */
#ifndef CONTROLD_SESSION_HEAP_H
#define CONTROLD_SESSION_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_node {
	int64_t value;
	size_t place; /* from 1; 0: in no heap */
};

struct heap {
	struct heap_node **nodes; /* [0] is not used */
	size_t count, room;
};

/* Puts it in, or to its new place if it is in. */
void heap_set(struct heap *h, struct heap_node *n, int64_t value);
/* Takes it out; nothing if it is not in. */
void heap_del(struct heap *h, struct heap_node *n);
/* The smallest; NULL if there is none. */
struct heap_node *heap_first(const struct heap *h);
void heap_fini(struct heap *h);

#endif
