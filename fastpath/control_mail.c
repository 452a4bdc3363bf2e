/* SPDX-License-Identifier: Apache-2.0 */
/* Mail between the control thread and the workers. A mailbox that is full makes a queue here, in order; while there is
 * one, controld is not read, so the queue holds what one turn brought at most. */
#include "fastpath/control_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECORDS_PER_TURN = 4096, USER_RECORDS_PER_TURN = 1024 };

struct control_letter {
	struct control_letter *next;
	enum ctl_type type;
	size_t len;
	uint8_t body[];
};

static void letter_add(struct control_mail *m, enum ctl_type type, const void *body, size_t len)
{
	struct control_letter *l = malloc(sizeof(*l) + len);

	assert(l);
	l->next = NULL;
	l->type = type;
	l->len = len;
	memcpy(l->body, body, len);
	if (m->last)
		m->last->next = l;
	else
		m->first = l;
	m->last = l;
}

/* Forgets the first letter. */
static void letter_pop(struct control_mail *m)
{
	struct control_letter *l = m->first;

	m->first = l->next;
	if (!l->next)
		m->last = NULL;
	free(l);
}

static void put(struct control_mail *m, struct mail *in, enum ctl_type type, const void *body, size_t len)
{
	m->kick = true;
	if (m->first || !mail_put(in, (uint16_t)type, body, len, NULL, 0))
		letter_add(m, type, body, len);
}

void control_mail_put(struct control *c, unsigned worker, enum ctl_type type, const void *body, size_t len)
{
	put(&c->mail[worker], worker_in(c->f.workers[worker]), type, body, len);
}

void control_mail_put_user(struct control *c, unsigned worker, const struct ctl_user_down *down, size_t len)
{
	put(&c->user_mail[worker], worker_user_in(c->f.workers[worker]), CTL_USER_DOWN, down, len);
}

void control_mail_put_all(struct control *c, enum ctl_type type, const void *body, size_t len)
{
	for (unsigned i = 0; i < c->f.worker_count; i++)
		control_mail_put(c, i, type, body, len);
}

static void flush_one(struct control_mail *m, struct mail *in)
{
	if (!m->kick)
		return;
	while (m->first) {
		const struct control_letter *l = m->first;

		if (!mail_put(in, (uint16_t)l->type, l->body, l->len, NULL, 0))
			break;
		letter_pop(m);
	}
	mail_kick(in);
	m->kick = m->first != NULL;
}

void control_mail_flush(struct control *c)
{
	for (unsigned i = 0; i < c->f.worker_count; i++) {
		flush_one(&c->mail[i], worker_in(c->f.workers[i]));
		flush_one(&c->user_mail[i], worker_user_in(c->f.workers[i]));
	}
}

bool control_mail_is_blocked(const struct control *c)
{
	for (unsigned i = 0; i < c->f.worker_count; i++)
		if (c->mail[i].first || c->user_mail[i].first)
			return true;
	return false;
}

/* Closes the sockets in what is dropped: they end a record. */
void control_mail_drop(struct control *c, unsigned worker)
{
	struct control_mail *m = &c->mail[worker];

	while (m->first) {
		const struct control_letter *l = m->first;
		int fd;

		if (l->type == CTL_ADOPT) {
			memcpy(&fd, l->body + l->len - sizeof(fd), sizeof(fd));
			close(fd);
		}
		letter_pop(m);
	}
	while (c->user_mail[worker].first)
		letter_pop(&c->user_mail[worker]);
}

void control_mail_read(struct control *c, unsigned worker)
{
	struct mail *out = worker_out(c->f.workers[worker]);
	uint8_t *body;
	uint16_t type;
	size_t len;

	mail_doze(out);
	for (int i = 0; i < RECORDS_PER_TURN; i++) {
		c->mail[worker].unread = mail_next(out, &type, &body, &len);
		if (!c->mail[worker].unread)
			return;
		control_records_event(c, (enum ctl_type)type, body, len);
	}
}

void control_mail_read_user(struct control *c, unsigned worker)
{
	struct mail *out = worker_user_out(c->f.workers[worker]);
	uint8_t *body;
	uint16_t type;
	size_t len;

	mail_doze(out);
	for (int i = 0; i < USER_RECORDS_PER_TURN; i++) {
		c->user_mail[worker].unread = mail_next(out, &type, &body, &len);
		if (!c->user_mail[worker].unread)
			return;
		assert(type == CTL_USER_UP);
		control_user_up(c, body, len);
	}
}
