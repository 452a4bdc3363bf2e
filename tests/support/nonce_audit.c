/* SPDX-License-Identifier: Apache-2.0 */
/* The hooks of skey.c and encap.c, which are built with NONCE_AUDIT wherever this file is linked. Where the environment
 * names a log, it is mapped before main(): later the process may no longer open files. */
#include "tests/support/nonce_audit.h"

#include "fastpath/skey.h"
#include <assert.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct nonce_log *log_memory;
static uint64_t room;
static uint16_t process;

/* An expanded key begins with the secret itself: the first two round keys of AES-256. So a key is known again whatever
 * index or row it has. */
static uint64_t key_name(const struct skey *s)
{
	uint8_t name[crypto_generichash_BYTES_MIN];
	uint64_t first;

	crypto_generichash(name, sizeof(name), (const uint8_t *)(s + 1), sizeof(struct aead_key), NULL, 0);
	memcpy(&first, name, sizeof(first));
	return first;
}

static void put(const struct nonce_range *r, enum nonce_kind kind)
{
	const uint64_t n = __atomic_fetch_add(&log_memory->ranges, 1, __ATOMIC_RELAXED);

	if (n >= room)
		return;
	log_memory->range[n] = *r;
	log_memory->range[n].process = process;
	__atomic_store_n(&log_memory->range[n].kind, (uint8_t)kind, __ATOMIC_RELEASE);
}

static void on_range(const struct skey *s, unsigned lane, uint64_t first, uint32_t count)
{
	struct nonce_process *const p = &log_memory->process[process];

	put(&(const struct nonce_range){.key = key_name(s),
					.first = first,
					.count = count,
					.index = s->index,
					.far_index = s->far_index,
					.row = s->row_number,
					.lane = (uint8_t)lane},
	    NONCE_SESSION);
	__atomic_fetch_add(&p->ranges, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&p->packets, count, __ATOMIC_RELAXED);
}

static void on_prefix(uint64_t prefix)
{
	put(&(const struct nonce_range){.key = prefix}, NONCE_PREFIX);
	__atomic_fetch_add(&log_memory->process[process].prefixes, 1, __ATOMIC_RELAXED);
}

void nonce_audit_begin(struct nonce_log *log, size_t bytes)
{
	const uint64_t n = __atomic_fetch_add(&log->processes, 1, __ATOMIC_RELAXED);

	assert(n < NONCE_PROCESSES);
	log_memory = log;
	room = nonce_log_room(bytes);
	process = (uint16_t)n;
	__atomic_store_n(&log->process[n].pid, (uint32_t)getpid(), __ATOMIC_RELEASE);
	skey_audit = on_range;
	encap_audit = on_prefix;
}

static __attribute__((constructor)) void begin_with_file(void)
{
	const char *path = getenv(NONCE_AUDIT_FILE);
	struct stat s;
	void *p;
	int fd;

	if (!path)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &s) < 0 || s.st_size < (off_t)sizeof(struct nonce_log)) {
		fprintf(stderr, "%s: not a log of nonces\n", path);
		_exit(EXIT_FAILURE);
	}
	p = mmap(NULL, (size_t)s.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		_exit(EXIT_FAILURE);
	nonce_audit_begin(p, (size_t)s.st_size);
}
