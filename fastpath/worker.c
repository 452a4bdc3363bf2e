/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a worker and one turn of it: mail, what other workers gave, messages, the TUN, the links, time. */
#include "fastpath/worker.h"

#include "fastpath/worker_state.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
	MAIL_BYTES = LIMIT_CTL_QUEUE_BYTES,
	USER_MAIL_BYTES = LIMIT_CTL_USER_BYTES,
	READ_BUFFER_BYTES = LIMIT_READ_BYTES + STREAM_PACKET_MAX_BYTES,
	EVENTS = 64,
	TRIM_MS = 1000,
	/* Timers that are due within so much of one another fire together. */
	SLACK_US = 20000,
	PAUSE_MS = 10,
	UNMIXED_MS = 100,
};

static void arm(struct worker *w, struct mono at)
{
	const struct itimerspec t = {.it_value = {.tv_sec = at.us / 1000000, .tv_nsec = at.us % 1000000 * 1000}};
	static const struct itimerspec never;

	w->timer_at = at;
	/* Setting it also takes back that it has fired. */
	timerfd_settime(w->timer_fd, TFD_TIMER_ABSTIME, at.us == MONO_NEVER.us ? &never : &t, NULL);
}

void worker_due(struct worker *w, struct mono at)
{
	if (at.us < w->timer_at.us)
		arm(w, at);
}

struct key_slot *worker_key(const struct worker *w, const struct table_entry *e)
{
	struct key_slot *key;

	if (!e || !e->key)
		return NULL;
	key = keys_slot(w->f->keys, e->key);
	key_touch(w->f->keys, key, worker_now_s(w));
	return key;
}

void worker_tell(struct worker *w, enum ctl_type type, const void *body, size_t len)
{
	if (!mail_put(w->out, (uint16_t)type, body, len, NULL, 0))
		stat_inc(w->stats, STAT_drop_ctl_full);
}

void worker_want_key(struct worker *w, uint64_t net64, bool own)
{
	const struct ctl_want_key want = {.net64 = net64, .own = own};

	worker_due(w, mono_add_ms(w->now, LIMIT_WAIT_MS));
	if (wait_may_ask(&w->wait, net64, own, w->now))
		worker_tell(w, CTL_WANT_KEY, &want, sizeof(want));
}

void worker_flow_to(const struct worker *w, struct worker_flow *flow, uint32_t link)
{
	if (flow->link && link != flow->link)
		flow->mixed_at = w->now;
	flow->link = link;
}

bool worker_flow_pause(struct worker *w, struct worker_flow *flow)
{
	const struct link *l = links_find(w, flow->link);

	if (!l || !link_is_pressing(l) || mono_since_ms(w->now, flow->mixed_at) < UNMIXED_MS)
		return false;
	flow->paused = true;
	worker_due(w, mono_add_ms(w->now, PAUSE_MS));
	return true;
}

void worker_flow_resume(struct worker *w, uint32_t link)
{
	if (w->host.link == link)
		host_resume(w);
	if (w->user.link == link)
		w->user.paused = false;
}

static void replay_one(struct worker *w, struct wait_record *r)
{
	switch ((enum wait_kind)r->kind) {
	case WAIT_SEAL:
		host_packet(w, r->bytes, r->len);
		return;
	case WAIT_USER:
		user_packet(w, (struct ctl_user_down *)(void *)r->bytes, r->len);
		return;
	case WAIT_OPEN:
		local_frame(w, r->bytes, r->len, r->link);
		return;
	}
}

static void replay_chunk(struct worker *w, struct chunk *c)
{
	struct wait_record *r;

	while ((r = wait_record_next(c)))
		replay_one(w, r);
	/* Runs refer to the chunk. */
	gso_join_flush(&w->join);
	links_flush(w);
}

static void replay(struct worker *w, uint64_t net64, enum wait_reason reason, bool has_key)
{
	struct wait_list list;

	if (!wait_take(&w->wait, net64, reason, &list))
		return;
	if (!has_key) {
		wait_drop(&w->wait, &list);
		return;
	}
	while (list.head) {
		struct chunk *c = list.head;

		list.head = c->next;
		replay_chunk(w, c);
		pool_give(w->pool, c);
	}
}

void worker_replay(struct worker *w, uint64_t net64)
{
	struct key_slot *key = worker_key(w, table_find(w->f->table, net64));

	/* What is held is older than what waits for a key. If it is still held, it stays where it is, and ages. */
	if (wait_has(&w->wait, net64, WAIT_SESSION) && secure_data(w, key, 1) != SECURE_HELD)
		replay(w, net64, WAIT_SESSION, key != NULL);
	replay(w, net64, WAIT_KEY, key != NULL);
}

static void adopt(struct worker *w, const uint8_t *body, size_t len)
{
	struct ctl_adopt a;
	int fd;

	if (len < sizeof(a) + sizeof(fd))
		return;
	memcpy(&a, body, sizeof(a));
	memcpy(&fd, body + sizeof(a), sizeof(fd));
	links_adopt(w, &a, fd);
}

/* Mail comes from this very program: a record is as long as its struct. */
static void record(struct worker *w, uint16_t type, const uint8_t *body, size_t len)
{
	switch (type) {
	case CTL_ADOPT:
		adopt(w, body, len);
		return;
	case CTL_LINK_CLOSE:
		links_ask_close(w, (const struct ctl_link_close *)(const void *)body);
		return;
	case CTL_TLV:
		links_ask_tlv(w, body, len);
		return;
	case CTL_NO_KEY:
		worker_replay(w, ((const struct ctl_no_key *)(const void *)body)->net64);
		return;
	case CTL_CONFIG:
		w->mtu = ((const struct ctl_config *)(const void *)body)->tun_mtu;
		return;
	case CTL_STOP:
		w->stop = true;
		return;
	default:
		return;
	}
}

static void read_mail(struct worker *w)
{
	uint8_t *body;
	uint16_t type;
	size_t len;

	mail_doze(w->in);
	while (mail_next(w->in, &type, &body, &len))
		record(w, type, body, len);
	links_flush(w);
}

/* A second after memory was used, and again until it was not: what lies idle goes back. */
static void trim(struct worker *w)
{
	if (!mono_is_due(w->trim_at, w->now))
		return;
	pool_trim(w->pool);
	if (w->busy) {
		w->trim_at = mono_add_ms(w->now, TRIM_MS);
	} else {
		w->trim_at = MONO_NEVER;
		madvise(w->read_buffer, READ_BUFFER_BYTES, MADV_DONTNEED);
		madvise(w->seal_buffer, WORKER_SEAL_BUFFER_BYTES, MADV_DONTNEED);
		madvise(w->tun.buffer, TUNQ_BUFFER_BYTES, MADV_DONTNEED);
	}
	w->busy = false;
}

static void not_held_longer(void *ctx, struct wait_record *r)
{
	if (r->kind == WAIT_SEAL)
		host_refuse(ctx, r->bytes, r->len);
}

static void tick(struct worker *w)
{
	struct mono due = links_tick(w);

	links_flush(w);
	host_resume(w);
	w->user.paused = false;
	wait_expire(&w->wait, w->now, not_held_longer, w);
	trim(w);
	due = mono_min(due, mono_min(wait_due(&w->wait), w->trim_at));
	if (due.us != MONO_NEVER.us)
		due.us += SLACK_US - due.us % SLACK_US;
	arm(w, due);
}

static void turn(struct worker *w, const struct epoll_event *events, int count)
{
	bool mail = false, host = false, user = false;

	for (int i = 0; i < count; i++) {
		mail |= events[i].data.u64 == WORKER_TAG_MAIL;
		host |= events[i].data.u64 == WORKER_TAG_TUN;
		user |= events[i].data.u64 == WORKER_TAG_USER;
		if (events[i].data.u64 == WORKER_TAG_WAKE)
			handover_doze(w);
	}
	if (mail)
		read_mail(w);
	handover_receive(w);
	if (user)
		mail_doze(w->user_in);
	w->user_unread |= user;
	if (w->user_unread && !w->user.paused)
		user_stage(w);
	if (host)
		host_stage(w);
	for (int i = 0; i < count; i++) {
		if (events[i].data.u64 < LIMIT_LINK_SLOTS)
			links_event(w, (unsigned)events[i].data.u64, events[i].events);
	}
	if (w->busy && w->trim_at.us == MONO_NEVER.us) {
		w->trim_at = mono_add_ms(w->now, TRIM_MS);
		worker_due(w, w->trim_at);
	}
	if (mono_is_due(w->timer_at, w->now))
		tick(w);
	links_reap(w);
	mail_kick(w->out);
	mail_kick(w->user_out);
}

static void batch_begin(struct worker *w)
{
	epoch_enter(&w->f->epoch, w->index);
	w->now = mono_now();
	w->to = w->from = (struct worker_memo){0};
	nonce_lane_check(&w->lane);
	skey_open_begin(&w->opener, w->f->skeys, w->f->number, w->now);
}

/* Nothing of what was found in tables is held after it. */
static void batch_end(struct worker *w)
{
	secure_end(w);
	skey_open_end(&w->opener);
	epoch_leave(&w->f->epoch, w->index);
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct epoll_event events[EVENTS];
	char name[16];

	snprintf(name, sizeof(name), "worker%u", w->index);
	pthread_setname_np(pthread_self(), name);
	while (!w->stop) {
		const int count = epoll_wait(w->epoll_fd, events, EVENTS, w->user_unread && !w->user.paused ? 0 : -1);

		batch_begin(w);
		turn(w, events, count);
		batch_end(w);
	}
	return NULL;
}

static void *reserve(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int watch(struct worker *w, int fd, enum worker_tag tag)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = tag};

	if (fd < 0 || (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0))
		return -errno;
	return 0;
}

static int make_memory(struct worker *w)
{
	const uint32_t chunks = w->f->config.pool_chunks ? w->f->config.pool_chunks : LIMIT_POOL_CHUNKS;

	w->pool = pool_new(chunks / w->f->worker_count + 1, (uint16_t)w->index);
	w->read_buffer = reserve(READ_BUFFER_BYTES);
	w->seal_buffer = reserve(WORKER_SEAL_BUFFER_BYTES);
	w->tun.buffer = reserve(TUNQ_BUFFER_BYTES);
	w->links = reserve(LIMIT_LINK_SLOTS * sizeof(w->links[0]));
	w->link_buffers = reserve(LIMIT_LINK_SLOTS * sizeof(w->link_buffers[0]));
	w->in = mail_new(MAIL_BYTES);
	w->out = mail_new(MAIL_BYTES);
	w->user_in = mail_new(USER_MAIL_BYTES);
	w->user_out = mail_new(USER_MAIL_BYTES);
	if (!w->pool || !w->read_buffer || !w->seal_buffer || !w->tun.buffer || !w->links || !w->link_buffers ||
	    !w->in || !w->out || !w->user_in || !w->user_out)
		return -errno;
	wait_init(&w->wait, w->pool, w->stats);
	return handover_init(w);
}

static int make_descriptors(struct worker *w)
{
	int error;

	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (w->epoll_fd < 0)
		return -errno;
	error = watch(w, w->timer_fd, WORKER_TAG_TIMER);
	if (!error)
		error = watch(w, mail_fd(w->in), WORKER_TAG_MAIL);
	if (!error)
		error = watch(w, mail_fd(w->user_in), WORKER_TAG_USER);
	if (!error)
		error = watch(w, w->wake_fd, WORKER_TAG_WAKE);
	if (!error && w->tun.fd >= 0)
		error = watch(w, w->tun.fd, WORKER_TAG_TUN);
	return error;
}

struct worker *worker_new(struct fastpath *f, unsigned index, int tun_fd)
{
	struct worker *w = calloc(1, sizeof(*w));
	int error;

	if (!w)
		return NULL;
	w->f = f;
	w->index = index;
	w->aead = keys_aead(f->keys);
	w->stats = &f->lanes->stats[index + 1];
	w->own_net64 = f->own_net64;
	w->mtu = f->config.tun_mtu;
	w->epoll_fd = w->timer_fd = w->wake_fd = -1;
	w->timer_at = w->trim_at = MONO_NEVER;
	w->now = mono_now();
	host_init(w, tun_fd);
	nonce_lane_init(&w->lane, f->lanes);
	error = make_memory(w);
	if (!error)
		error = make_descriptors(w);
	if (!error)
		return w;
	worker_join_free(w);
	errno = -error;
	return NULL;
}

int worker_start(struct worker *w)
{
	sigset_t all, old;
	int error;

	/* Signals are the control thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&w->thread, NULL, run, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error)
		return -error;
	w->started = true;
	return 0;
}

struct mail *worker_in(struct worker *w)
{
	return w->in;
}

struct mail *worker_out(struct worker *w)
{
	return w->out;
}

struct mail *worker_user_in(struct worker *w)
{
	return w->user_in;
}

struct mail *worker_user_out(struct worker *w)
{
	return w->user_out;
}

static void release(void *memory, size_t bytes)
{
	if (memory)
		munmap(memory, bytes);
}

/* A worker's chunks may be in the hands of another one: nothing is freed before all threads have ended. */
static void join_all(const struct fastpath *f)
{
	for (unsigned i = 0; i < f->worker_count; i++) {
		struct worker *w = f->workers[i];

		if (w && w->started)
			pthread_join(w->thread, NULL);
		if (w)
			w->started = false;
	}
}

void worker_join_free(struct worker *w)
{
	const int fds[] = {w->tun.fd, w->timer_fd, w->epoll_fd};

	join_all(w->f);
	links_fini(w);
	handover_fini(w);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	mail_free(w->in);
	mail_free(w->out);
	mail_free(w->user_in);
	mail_free(w->user_out);
	pool_free(w->pool);
	release(w->read_buffer, READ_BUFFER_BYTES);
	release(w->seal_buffer, WORKER_SEAL_BUFFER_BYTES);
	release(w->tun.buffer, TUNQ_BUFFER_BYTES);
	release(w->links, LIMIT_LINK_SLOTS * sizeof(w->links[0]));
	release(w->link_buffers, LIMIT_LINK_SLOTS * sizeof(w->link_buffers[0]));
	if (w->f->workers[w->index] == w)
		w->f->workers[w->index] = NULL;
	free(w);
}
