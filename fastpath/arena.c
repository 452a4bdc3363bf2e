/* SPDX-License-Identifier: Apache-2.0 */
/* Free slots form a list through their first word. */
#include "fastpath/arena.h"

#include "shared/base/secret.h"
#include <assert.h>
#include <sys/mman.h>

/* Locks the arena at least up to end. */
static bool lock_up_to(struct arena *a, size_t end)
{
	while (a->locked_bytes < end) {
		if (mlock(a->base + a->locked_bytes, ARENA_STEP_BYTES))
			return false;
		a->locked_bytes += ARENA_STEP_BYTES;
	}
	return true;
}

bool arena_init(struct arena *a, size_t slot_bytes, uint32_t cap)
{
	void *p;

	assert(cap > 0 && slot_bytes >= sizeof(a->free) && slot_bytes <= ARENA_STEP_BYTES);
	*a = (struct arena){.slot_bytes = slot_bytes, .cap = cap};
	a->bytes = (cap * slot_bytes + ARENA_STEP_BYTES - 1) / ARENA_STEP_BYTES * ARENA_STEP_BYTES;
	p = mmap(NULL, a->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return false;
	a->base = p;
	return madvise(p, a->bytes, MADV_DONTDUMP) == 0 && madvise(p, a->bytes, MADV_WIPEONFORK) == 0 &&
	       lock_up_to(a, slot_bytes);
}

void arena_fini(struct arena *a)
{
	if (!a->base)
		return;
	secret_wipe(a->base, a->high * a->slot_bytes);
	munmap(a->base, a->bytes);
	a->base = NULL;
}

uint32_t arena_take(struct arena *a)
{
	const uint32_t slot = a->free;

	if (slot) {
		uint32_t *const link = arena_slot(a, slot);

		a->free = *link;
		*link = 0;
		return slot;
	}
	if (a->high == a->cap || !lock_up_to(a, (a->high + 1) * a->slot_bytes))
		return 0;
	return __atomic_add_fetch(&a->high, 1, __ATOMIC_RELAXED);
}

void arena_give(struct arena *a, uint32_t slot)
{
	uint32_t *const link = arena_slot(a, slot);

	secret_wipe(link, a->slot_bytes);
	*link = a->free;
	a->free = slot;
}
