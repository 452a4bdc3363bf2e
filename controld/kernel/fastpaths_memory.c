/* SPDX-License-Identifier: Apache-2.0 */
/* The memory shared by controld and all fastpaths of a node (lanes.h): sealed in its size, so that no one can make
 * another fault. */
#include "controld/kernel/fastpaths_private.h"

#include "shared/lanes.h"

#include <assert.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

static struct lanes *map(int fd)
{
	void *m = mmap(NULL, sizeof(struct lanes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return m == MAP_FAILED ? NULL : m;
}

void fastpaths_memory_make(struct fastpaths *f)
{
	struct lanes_header *h;
	ssize_t got;

	if (f->lanes)
		return;
	f->memfd = fastpaths_memfd_new(sizeof(struct lanes));
	if (f->memfd >= 0)
		f->lanes = map(f->memfd);
	/* A few pages: without them nothing else works either. */
	assert(f->lanes);
	h = &f->lanes->header;
	got = getrandom(f->memory.id, sizeof(f->memory.id), 0);
	assert(got == sizeof(f->memory.id));
	h->magic = LANES_MAGIC;
	h->version = LANES_VERSION;
	h->bytes = sizeof(struct lanes);
	memcpy(h->id, f->memory.id, sizeof(h->id));
}

static bool is_ours(const struct ctl_memory *m, const struct lanes *lanes)
{
	const struct lanes_header *h = &lanes->header;

	return h->magic == LANES_MAGIC && h->version == LANES_VERSION && h->bytes == sizeof(*lanes) &&
	       memcmp(h->id, m->id, sizeof(h->id)) == 0;
}

bool fastpaths_memory_take(struct fastpaths *f, const struct ctl_memory *m, int fd)
{
	struct lanes *lanes = NULL;

	if (!f->lanes && fastpaths_memfd_is_sealed(fd, sizeof(struct lanes)))
		lanes = map(fd);
	if (lanes && is_ours(m, lanes)) {
		f->memfd = fd;
		f->memory = *m;
		f->lanes = lanes;
		return true;
	}
	if (lanes)
		munmap(lanes, sizeof(*lanes));
	close(fd);
	return false;
}

void fastpaths_memory_fini(struct fastpaths *f)
{
	if (f->lanes)
		munmap(f->lanes, sizeof(*f->lanes));
	if (f->memfd >= 0)
		close(f->memfd);
	f->lanes = NULL;
	f->memfd = -1;
}

struct lanes *fastpaths_lanes(const struct fastpaths *f)
{
	return f->lanes;
}
