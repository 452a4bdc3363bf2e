/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker holds, shared by the files of the packet path and nobody else. Everything here belongs to the worker's
 * thread, but for the mailboxes, the rings that others write, and `wake`. */
#ifndef FASTPATH_WORKER_STATE_H
#define FASTPATH_WORKER_STATE_H

#include "fastpath/encap.h"
#include "fastpath/gso.h"
#include "fastpath/icmp.h"
#include "fastpath/link.h"
#include "fastpath/ring.h"
#include "fastpath/stats.h"
#include "fastpath/tunq.h"
#include "fastpath/wait.h"
#include "fastpath/worker.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	/* Frames sealed in one stage. Smaller than a read: what is sealed should still be in the cache when it is sent.
	 */
	WORKER_SEAL_BYTES = 128 * 1024,
	WORKER_SEAL_BUFFER_BYTES = WORKER_SEAL_BYTES + 128 * 1024,
	/* A stage that used more of a buffer than this makes the worker look after its memory a second later. */
	WORKER_BUSY_BYTES = 16 * 1024,
};

/* What epoll tells: these, and below them the slot of a link. */
enum worker_tag {
	WORKER_TAG_TUN = LIMIT_LINK_SLOTS,
	WORKER_TAG_MAIL,
	WORKER_TAG_USER,
	WORKER_TAG_WAKE,
	WORKER_TAG_TIMER
};

/* The last lookup of a stage; emptied when a batch begins. */
struct worker_memo {
	uint64_t net64;
	const struct table_entry *entry;
};

/* Frames on their way to another worker's links. */
struct worker_hand {
	struct chunk *open; /* being filled; owned */
	uint32_t outstanding; /* of our chunks, there now */
};

/* Own traffic from one source. While the link that all of it goes to is full, but not for long, it had better wait
 * where it comes from than be copied to the link's queue and push out others. Only while all of it goes to one link:
 * else the one would hold up the others, and losing its oldest frames is what slows it down. */
struct worker_flow {
	uint32_t link; /* that it went to last; while paused it waits for it */
	struct mono mixed_at; /* when it last changed its link */
	bool paused;
};

/* How a packet of ours leaves now. */
enum secure_how {
	SECURE_STATIC,
	SECURE_SESSION, /* under the key of worker.run, which has a counter for it */
	SECURE_HELD, /* not before there is a session */
	SECURE_NO_KEY, /* not before the static key is here */
};

struct worker {
	struct fastpath *f; /* borrowed */
	const struct aead *aead;
	struct lanes_stats *stats;
	struct pool *pool;
	struct mono now; /* of this turn */
	unsigned index;
	uint32_t mtu;
	uint64_t own_net64;
	struct nonce_lane lane;
	struct skey_run run; /* the session key that sealed last in this batch; key NULL: none */
	struct skey_opener opener; /* of this batch */
	struct worker_memo to, from;
	uint8_t *read_buffer, *seal_buffer; /* of their sizes; address space, touched when used */
	size_t seal_used;
	struct link *dirty; /* links to be written at the end of the stage */
	bool reap; /* some link failed */
	bool mourning; /* some link's end could not be told yet */
	bool stop, busy;
	struct tunq tun;
	struct gso_join join;
	struct worker_flow host, user;
	bool user_unread; /* the turn ended before the mail was read to the end */
	struct mono timer_at; /* what the timer is set to */
	struct mono trim_at;

	struct link *links; /* [LIMIT_LINK_SLOTS], zeroed address space; those of other workers stay unused */
	struct link_buffers *link_buffers; /* [LIMIT_LINK_SLOTS], address space, touched when used */
	unsigned active_count;
	uint16_t active[LIMIT_LINK_SLOTS]; /* slots in use */

	struct wait wait;
	struct icmp_rate oob_rate;
	struct mono local_second;
	uint32_t local_count;
	uint32_t carrier_s, carrier_count; /* handshakes given to controld in that second */
	uint32_t run_singles; /* so many counters of the run were taken last for packets that come one by one */

	struct worker_hand hand[LIMIT_WORKERS];
	struct ring *hand_in; /* [worker_count], from each */
	int wake_fd;
	bool wake_armed; /* atomic: others write wake_fd */

	struct mail *in, *out, *user_in, *user_out;
	int epoll_fd, timer_fd;
	pthread_t thread;
	bool started;
};

static inline uint32_t worker_now_s(const struct worker *w)
{
	return (uint32_t)(w->now.us / 1000000);
}

/* worker.c */
/* A record for control. */
void worker_tell(struct worker *w, enum ctl_type type, const void *body, size_t len);
/* Wakes the worker at that time at the latest. */
void worker_due(struct worker *w, struct mono at);
/* The entry of the /64, remembered in the memo. */
static inline const struct table_entry *worker_find(const struct worker *w, struct worker_memo *memo, uint64_t net64)
{
	if (memo->net64 != net64) {
		memo->entry = table_find(w->f->table, net64);
		memo->net64 = net64;
	}
	return memo->entry;
}
/* The key of the entry, marked as used; NULL: none. */
struct key_slot *worker_key(const struct worker *w, const struct table_entry *e);
/* Somebody else in the overlay: a key may be had. */
static inline bool worker_is_other(const struct worker *w, uint64_t net64)
{
	const struct ip6 ip = ip6_from_net64(net64);

	return net64 != w->own_net64 && prefix_has(&w->f->network->overlay, &ip);
}
/* Asks control for the key of a /64, at a rate. */
void worker_want_key(struct worker *w, uint64_t net64, bool own);
/* Something of the flow goes to the link. */
void worker_flow_to(const struct worker *w, struct worker_flow *flow, uint32_t link);
/* Pauses the flow if its link is full for a moment; true: it is paused. It goes on when the link has room, or a little
 * later. */
bool worker_flow_pause(struct worker *w, struct worker_flow *flow);
/* The link has room: flows that wait for it go on. */
void worker_flow_resume(struct worker *w, uint32_t link);
/* Looks the /64 up again: what waits for its key, or for a session, goes on, or is dropped. */
void worker_replay(struct worker *w, uint64_t net64);
/* Memory was used, to be looked after. */
static inline void worker_used(struct worker *w, size_t bytes)
{
	w->busy |= bytes > WORKER_BUSY_BYTES;
}

/* links.c: the worker's links, from adoption to the end */
void links_adopt(struct worker *w, const struct ctl_adopt *adopt, int fd);
void links_ask_close(struct worker *w, const struct ctl_link_close *close);
void links_ask_tlv(struct worker *w, const uint8_t *body, size_t len);
/* Ours and up; else NULL. */
struct link *links_find(const struct worker *w, uint32_t id);
/* Appends whole frames that lie one behind the other to the link's run, or gives them to its worker. They must stay
 * where they are until links_flush(). */
void links_send(struct worker *w, uint32_t id, uint8_t *frames, size_t bytes, uint32_t count);
/* Writes every run. After it nothing refers to the buffers. */
void links_flush(struct worker *w);
/* epoll says that something happened to the link in the slot. */
void links_event(struct worker *w, unsigned slot, uint32_t events);
/* Hellos, and the end of the dead. Returns when to be called again. */
struct mono links_tick(struct worker *w);
/* Closes failed links and tells control. */
void links_reap(struct worker *w);
void links_fini(struct worker *w);
/* A control packet. ihus counts the IHUs that the link has been sent in this stage. */
void links_control(struct worker *w, struct link *l, const struct stream_packet *p, unsigned *ihus);

/* secure.c: which key seals what leaves */
/* Data to the owner of the key (NULL: not here), the first of so many packets that go there now. Says that a session is
 * wanted where it goes statically. */
MUST_CHECK enum secure_how secure_data(struct worker *w, struct key_slot *key, uint32_t count);
/* ICMP out of band: never held. */
MUST_CHECK enum secure_how secure_report(struct worker *w, struct key_slot *key);
/* CONTROL to the /64, in the session with the index. False: that is gone, or not confirmed. */
MUST_CHECK bool secure_control(struct worker *w, uint64_t net64, uint32_t index);
/* Seals into the seal buffer, behind what is there: the size of the frame. key: for SECURE_STATIC. */
size_t secure_seal(struct worker *w, enum secure_how how, struct key_slot *key, const struct encap_packet *p);
/* It waits for what it lacks, and that is asked for. key: for SECURE_HELD. */
void secure_wait(struct worker *w, enum secure_how how, struct key_slot *key, uint64_t net64, struct wait_packet *p);
/* The batch ends. */
void secure_end(struct worker *w);
/* The session key that sends to the owner of the static key, or that sent before it; NULL: none. */
static inline struct skey *secure_session(const struct worker *w, const uint32_t *slot)
{
	const uint32_t number = __atomic_load_n(slot, __ATOMIC_SEQ_CST);

	return number ? skeys_slot(w->f->skeys, number) : NULL;
}

/* forward.c: what comes in over links */
void forward_read(struct worker *w, struct link *l);

/* local.c: frames for this host */
/* One that came over the link, hop limit already decremented. */
void local_frame(struct worker *w, uint8_t *frame, size_t len, uint32_t link);
/* It is opened. */
struct local_opened {
	uint8_t *frame;
	uint32_t link;
	uint32_t session; /* index of the session key that opened it; 0: the static key */
	uint64_t net64; /* of the peer whose key opened it */
	const struct pubkey *pk; /* of that peer */
	struct encap_opened user;
};

/* carrier.c: the handshakes of a peer, and of all, that controld is given. Controls in a session are not bounded. */
/* 0, or why it is dropped. key: static, that opened it; NULL: a session key did. */
MUST_CHECK enum stat_id carrier_judge(struct worker *w, struct key_slot *key, const struct encap_opened *user);

/* host.c: what comes from the host and what goes to it */
void host_init(struct worker *w, int tun_fd);
void host_stage(struct worker *w);
/* One whole packet of the host, 4 writable bytes before it; they must stay until links_flush(). */
void host_packet(struct worker *w, uint8_t *packet, size_t len);
void host_write(struct worker *w, uint8_t *packet, size_t len);
/* One that was held, and for which no session came. */
void host_refuse(struct worker *w, const uint8_t *packet, size_t len);
/* Lets the host's traffic go on, if it waited. */
void host_resume(struct worker *w);

/* user.c: messages, and what makes sessions: of controld and to it */
void user_stage(struct worker *w);
/* One of controld: the record and the bytes after it, len in all; both must stay until links_flush(). */
void user_packet(struct worker *w, struct ctl_user_down *down, size_t len);
void user_receive(struct worker *w, const struct local_opened *o);

/* oob.c: ICMP out of band */
/* Reports a frame that goes no further to its origin, if that is possible and allowed. */
void oob_send(struct worker *w, const struct icmp_error *e, const uint8_t *frame, size_t len);
void oob_receive(struct worker *w, const struct local_opened *o);

/* handover.c: frames for links of other workers */
MUST_CHECK int handover_init(struct worker *w);
void handover_fini(struct worker *w);
void handover_send(struct worker *w, unsigned owner, uint32_t id, const uint8_t *frames, size_t bytes);
void handover_flush(struct worker *w);
/* Sends what other workers have given. */
void handover_receive(struct worker *w);
void handover_doze(struct worker *w);

#endif
