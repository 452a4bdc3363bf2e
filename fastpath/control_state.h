/* SPDX-License-Identifier: Apache-2.0 */
/* What the control thread holds, shared by the control_*.c files and nobody else. Everything here belongs to that
 * thread; workers see `fastpath` and their mailboxes only. */
#ifndef FASTPATH_CONTROL_STATE_H
#define FASTPATH_CONTROL_STATE_H

#include "fastpath/worker.h"
#include "shared/base/ctlsock.h"
#include "shared/base/log.h"
#include "shared/base/mono.h"
#include "shared/ctl.h"
#include "shared/limits.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

struct control_times {
	int64_t fresh_ms; /* without a controld before START: so long */
	int64_t grace_ms; /* and after it */
};

enum { CONTROL_KEYS_GOING = 64, CONTROL_RECLAIM_MS = 20 /* memory or keys still in use by a worker */ };

struct control_route; /* control_routes.c */
struct control_letter; /* control_mail.c */
struct control_sessions; /* control_sessions.h */

/* A pair of mailboxes of a worker. */
struct control_mail {
	struct control_letter *first, *last; /* owned; what the mailbox did not take, in order */
	bool kick; /* something was put this turn */
	bool unread; /* the turn ended before its mail was read to the end */
};

struct control {
	const struct control_times *times; /* borrowed */
	int listen_fd, epoll_fd, signal_fd, timer_fd;
	struct mono now; /* of this turn of the loop */
	struct mono armed; /* what the timer is set to */
	struct mono alone_until; /* MONO_NEVER while a controld is connected */
	const char *done; /* why the loop ends, for the log; NULL: it goes on */
	int exit_code;

	struct ctlsock *ctl; /* owned; NULL: no controld */
	uint32_t ctl_events; /* what epoll watches it for */
	bool greeted; /* it said HELLO and got the dump: events go up */
	uint64_t refused; /* records, ever */
	struct log_limit refusals;

	/* Given by controld, kept for the next one. */
	bool has_config, has_node, running;
	struct ctl_config config;
	struct ctl_node node;
	struct ctl_memory memory;
	int memory_fd; /* owned; -1: none */
	struct ctl_tun tun[LIMIT_WORKERS];
	int tun_fd[LIMIT_WORKERS]; /* owned, the worker has a duplicate; -1: none */
	struct ctl_link_info *links; /* owned, [LIMIT_LINK_SLOTS]; adopt.link 0: free */
	unsigned link_count;
	struct control_route *routes; /* owned, hash by prefix */

	struct control_mail mail[LIMIT_WORKERS], user_mail[LIMIT_WORKERS];
	struct control_sessions *sessions; /* owned; NULL before START */

	/* Keys taken out of the table whose slots may still be held by a worker. */
	struct {
		uint32_t slot;
		uint64_t mark;
	} going[CONTROL_KEYS_GOING];
	unsigned going_count;

	struct fastpath f;
};

/* control.c */
/* control_run() with other times. */
int control_serve(int listen_fd, const struct control_times *times);
/* State of a control without descriptors or workers, and its end: everything owned is freed and closed. */
void control_init(struct control *c, int listen_fd, const struct control_times *times);
void control_fini(struct control *c);
/* Passes a record on, if a controld is there that got the dump. False: not sent. */
bool control_send(struct control *c, enum ctl_type type, const void *body, size_t len);
/* Counts a record that cannot be obeyed, and logs it at a rate. */
void control_refuse(struct control *c, const char *why);
/* Ends the loop after this turn; why is a constant text. */
void control_finish(struct control *c, int exit_code, const char *why);
/* Adds to what the loop waits for. 0 or -errno. */
MUST_CHECK int control_watch_worker(struct control *c, unsigned worker);

/* control_records.c: a record of controld (ctlsock_ops); a record of a worker, not user data */
void control_records_take(void *ctx, enum ctl_type type, const void *body, size_t len, int fd);
void control_records_event(struct control *c, enum ctl_type type, const void *body, size_t len);

/* control_setup.c: what comes before START, START itself, and the end of the workers */
void control_setup_config(struct control *c, const struct ctl_config *config);
void control_setup_memory(struct control *c, const struct ctl_memory *memory, int fd);
void control_setup_tun(struct control *c, const struct ctl_tun *tun, int fd);
void control_setup_start(struct control *c);
void control_setup_stop(struct control *c);

/* control_dump.c: HELLO, all that is held, READY */
void control_dump(struct control *c);

/* control_routes.c */
void control_routes_set(struct control *c, const struct ctl_route *route);
void control_routes_del(struct control *c, const struct ctl_route_del *del);
void control_routes_each(const struct control *c, void (*give)(void *ctx, const struct ctl_route *route), void *ctx);
void control_routes_free(struct control *c);

/* control_links.c */
void control_links_adopt(struct control *c, const struct ctl_adopt *adopt, int fd);
void control_links_close(struct control *c, const struct ctl_link_close *close);
void control_links_cost(struct control *c, const struct ctl_link_cost *cost);
void control_links_tlv(struct control *c, const struct ctl_tlv *tlv, size_t len);
bool control_links_has(const struct control *c, uint32_t link);
/* The worker that has the link. */
unsigned control_links_owner(const struct control *c, uint32_t link);
/* What a worker said of its link. */
void control_links_down(struct control *c, const struct ctl_link_down *down);
void control_links_rtt(const struct control *c, const struct ctl_link_rtt *rtt);

/* control_user.c: messages, and what makes sessions */
void control_user_down(struct control *c, const struct ctl_user_down *down, size_t len);
/* A record of a worker. */
void control_user_up(struct control *c, const void *body, size_t len);

/* control_keys.c */
void control_keys_add(struct control *c, const struct ctl_key *key);
void control_keys_none(struct control *c, const struct ctl_no_key *none);
/* Wipes slots that no worker holds any more. True if some still wait. */
bool control_keys_reap(struct control *c);

/* control_sessions.c: session keys, and the policies that belong to them. Before the workers are made: cap is the most
 * keys (LIMIT_SESSION_ROWS); flags that an earlier process held are freed. 0 or -errno. */
MUST_CHECK int control_sessions_init(struct control *c, const struct aead *aead, uint32_t cap);
/* After the workers ended: wipes all. */
void control_sessions_fini(struct control *c);
void control_sessions_add(struct control *c, const struct ctl_session_key *key);
void control_sessions_move(struct control *c, const struct ctl_session_move *move);
void control_sessions_del(struct control *c, const struct ctl_session_del *del);
void control_sessions_policy(struct control *c, const struct ctl_policy *policy);
/* Of the static key in the slot, which may be new: its policy, and the session that it names. */
void control_sessions_link(struct control *c, uint32_t slot, const struct ctl_key *key);
/* For the dump: all that are not yet wiped. A new controld is told their use from the start. */
void control_sessions_each(struct control *c, void (*give)(void *ctx, const struct ctl_session_info *info), void *ctx);

/* control_report.c: what is told of keys upwards, and the end of those too old. For the dump: all static keys. */
void control_report_each_key(struct control *c, void (*give)(void *ctx, const struct ctl_key_info *info), void *ctx);
/* After each turn. Returns when to be called again at the latest. */
struct mono control_report_run(struct control *c);

/* control_mail.c: to and from the workers' mailboxes */
void control_mail_put(struct control *c, unsigned worker, enum ctl_type type, const void *body, size_t len);
void control_mail_put_user(struct control *c, unsigned worker, const struct ctl_user_down *down, size_t len);
void control_mail_put_all(struct control *c, enum ctl_type type, const void *body, size_t len);
/* Tries again what did not fit, and wakes those who got something. */
void control_mail_flush(struct control *c);
/* Something did not fit: nothing more may be read from controld. */
bool control_mail_is_blocked(const struct control *c);
void control_mail_drop(struct control *c, unsigned worker);
/* Reads what a worker wrote. */
void control_mail_read(struct control *c, unsigned worker);
void control_mail_read_user(struct control *c, unsigned worker);

#endif
