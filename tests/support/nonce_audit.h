/* SPDX-License-Identifier: Apache-2.0 */
/* Log of everything that nonces are made of: each range of counters that a session key takes, and each static prefix
 * that is drawn, written before it is used. Lies in memory that processes share, or in a file, so it outlives whoever
 * is killed. A process that dies between taking a range and writing it down has used none of it. */
#ifndef TESTS_SUPPORT_NONCE_AUDIT_H
#define TESTS_SUPPORT_NONCE_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Names the file in the environment of a program that is built with nonce_audit.c; its size is the log's. */
#define NONCE_AUDIT_FILE "NONCE_AUDIT_FILE"

enum { NONCE_PROCESSES = 1024 };

enum nonce_kind {
	NONCE_UNFINISHED, /* reserved, and its writer was killed: not used */
	NONCE_SESSION,
	NONCE_PREFIX,
};

struct nonce_range {
	uint64_t key; /* hash of the secret that seals; of a prefix: itself */
	uint64_t first;
	uint32_t count;
	uint32_t index, far_index, row;
	uint16_t process;
	uint8_t lane;
	uint8_t kind; /* enum nonce_kind; written last */
	uint32_t reserved;
};
_Static_assert(sizeof(struct nonce_range) == 40, "read by audit.py too");

/* One for each life of a process. Relaxed atomics. */
struct nonce_process {
	uint32_t pid, prefixes;
	uint64_t ranges, packets; /* of sessions */
};
_Static_assert(sizeof(struct nonce_process) == 24, "read by audit.py too");

struct nonce_log {
	uint64_t ranges; /* ever reserved, also those that found no room */
	uint64_t processes;
	struct nonce_process process[NONCE_PROCESSES];
	struct nonce_range range[];
};

/* How many ranges fit a log of so many bytes. */
static inline uint64_t nonce_log_room(size_t bytes)
{
	return (bytes - sizeof(struct nonce_log)) / sizeof(struct nonce_range);
}

/* From here on this process writes to this log (of bytes; zeros at first). Once in each process, after fork too. */
void nonce_audit_begin(struct nonce_log *log, size_t bytes);

#endif
