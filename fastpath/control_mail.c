/* SPDX-License-Identifier: Apache-2.0 */
/* Mail between the control thread and the workers. A mailbox that is full makes a queue here, in order; while there is
 * one, controld is not read, so the queue holds what one turn brought at most. */
#include "fastpath/control_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECORDS_PER_TURN = 4096 };

struct control_letter {
	struct control_letter *next;
	enum ctl_type type;
	size_t len;
	uint8_t body[];
};

static void letter_add(struct control *c, unsigned worker, enum ctl_type type, const void *body, size_t len)
{
	struct control_letter *l = malloc(sizeof(*l) + len);

	assert(l);
	l->next = NULL;
	l->type = type;
	l->len = len;
	memcpy(l->body, body, len);
	if (c->mail[worker].last)
		c->mail[worker].last->next = l;
	else
		c->mail[worker].first = l;
	c->mail[worker].last = l;
}

/* Forgets the first letter. */
static void letter_pop(struct control *c, unsigned worker)
{
	struct control_letter *l = c->mail[worker].first;

	c->mail[worker].first = l->next;
	if (!l->next)
		c->mail[worker].last = NULL;
	free(l);
}

void control_mail_put(struct control *c, unsigned worker, enum ctl_type type, const void *body, size_t len)
{
	c->mail[worker].kick = true;
	if (c->mail[worker].first || !mail_put(worker_in(c->f.workers[worker]), (uint16_t)type, body, len, NULL, 0))
		letter_add(c, worker, type, body, len);
}

void control_mail_put_all(struct control *c, enum ctl_type type, const void *body, size_t len)
{
	for (unsigned i = 0; i < c->f.worker_count; i++)
		control_mail_put(c, i, type, body, len);
}

static void flush_one(struct control *c, unsigned worker)
{
	struct mail *in = worker_in(c->f.workers[worker]);

	while (c->mail[worker].first) {
		const struct control_letter *l = c->mail[worker].first;

		if (!mail_put(in, (uint16_t)l->type, l->body, l->len, NULL, 0))
			break;
		letter_pop(c, worker);
	}
	mail_kick(in);
	c->mail[worker].kick = c->mail[worker].first != NULL;
}

void control_mail_flush(struct control *c)
{
	for (unsigned i = 0; i < c->f.worker_count; i++)
		if (c->mail[i].kick)
			flush_one(c, i);
}

bool control_mail_is_blocked(const struct control *c)
{
	for (unsigned i = 0; i < c->f.worker_count; i++)
		if (c->mail[i].first)
			return true;
	return false;
}

/* Closes the sockets in what is dropped: they end a record. */
void control_mail_drop(struct control *c, unsigned worker)
{
	while (c->mail[worker].first) {
		const struct control_letter *l = c->mail[worker].first;
		int fd;

		if (l->type == CTL_ADOPT) {
			memcpy(&fd, l->body + l->len - sizeof(fd), sizeof(fd));
			close(fd);
		}
		letter_pop(c, worker);
	}
}

void control_mail_read(struct control *c, unsigned worker)
{
	struct mail *out = worker_out(c->f.workers[worker]);
	const uint8_t *body;
	uint16_t type;
	size_t len;

	mail_doze(out);
	for (int i = 0; i < RECORDS_PER_TURN; i++) {
		if (!mail_next(out, &type, &body, &len)) {
			c->mail[worker].unread = false;
			return;
		}
		control_links_event(c, (enum ctl_type)type, body, len);
	}
	c->mail[worker].unread = true;
}
