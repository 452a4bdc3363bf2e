/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded ring of records for one writing and one reading thread, with an eventfd that wakes the reader. Lock-free.
 */
#ifndef FASTPATH_MAIL_H
#define FASTPATH_MAIL_H

#include "shared/base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mail;

/* cap_bytes: a power of two; address space, touched when used. NULL with errno. */
struct mail *mail_new(size_t cap_bytes);
void mail_free(struct mail *m);
/* Writer: appends a record of body and tail; false: no room now. The reader sees it after mail_kick(). */
bool mail_put(struct mail *m, uint16_t type, const void *body, size_t len, const void *tail, size_t tail_len);
/* Writer: so many bytes are free at least. */
size_t mail_room(const struct mail *m);
/* Writer: makes what was put visible and wakes the reader, with a system call only if it may be asleep. */
void mail_kick(struct mail *m);
/* Reader: the next record, borrowed until mail_next() is called again; false: empty. body is 8-byte aligned, and may be
 * written to. */
bool mail_next(struct mail *m, uint16_t *type, uint8_t **body, size_t *len);
/* Reader: about to sleep: empties the eventfd. Call, then drain with mail_next() once more, before waiting. */
void mail_doze(struct mail *m);
/* Descriptor to wait on. */
int mail_fd(const struct mail *m);

#endif
