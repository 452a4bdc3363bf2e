/* SPDX-License-Identifier: Apache-2.0 */
/* The host's side: super-packets of the TUN are judged once, cut, and each packet sealed one behind the other, so that
 * what goes to one link is one run; what cannot go is answered by ICMPv6. Towards the host: runs of gso.c, and ICMP. */
#include "fastpath/worker_state.h"
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
	OFFSET_HOP_LIMIT = 7,
	OFFSET_SRC = 8,
	OFFSET_DST = 24,
	STAGE_READS = 1024, /* what is dropped or waits fills no buffer */
};

/* What becomes of a packet of the host. */
struct judgement {
	enum stat_id drop; /* 0: it goes */
	bool report; /* dropped with this error */
	struct icmp_error error;
	uint32_t link;
	struct key_slot *key; /* NULL: it waits for one */
	uint64_t net64; /* of the destination */
};

static void write_join(void *ctx, const struct iovec *iov, int iov_count, uint32_t count)
{
	struct worker *w = ctx;

	skey_open_release(&w->opener);
	/* Kernels before 6.2 know no coalesced UDP. */
	if (!tunq_write(&w->tun, iov, iov_count, count))
		w->join.udp = false;
}

void host_init(struct worker *w, int tun_fd)
{
	w->tun.fd = tun_fd;
	w->tun.stats = w->stats;
	if (tun_fd >= 0)
		fcntl(tun_fd, F_SETFL, fcntl(tun_fd, F_GETFL) | O_NONBLOCK);
	gso_join_init(&w->join, write_join, w);
	w->join.enabled = !(w->f->config.flags & CTL_CONFIG_NO_OFFLOAD);
	w->join.udp = w->join.enabled;
}

void host_write(struct worker *w, uint8_t *packet, size_t len)
{
	struct gso_header header = {0};
	const struct iovec iov[] = {{.iov_base = &header, .iov_len = sizeof(header)},
				    {.iov_base = packet, .iov_len = len}};

	skey_open_release(&w->opener);
	tunq_write(&w->tun, iov, 2, 1);
}

/* So many errors a second to the own host. */
static bool local_rate_pass(struct worker *w)
{
	if (mono_since_ms(w->now, w->local_second) >= 1000) {
		w->local_second = w->now;
		w->local_count = 0;
	}
	return w->local_count < LIMIT_ICMP_LOCAL_PER_SECOND && ++w->local_count;
}

static void report(struct worker *w, const struct icmp_error *e, const uint8_t *packet, size_t len)
{
	uint8_t icmp[ICMP_LOCAL_MAX_BYTES];

	if (icmp_is_forbidden_about(packet, len) || !local_rate_pass(w)) {
		stat_inc(w->stats, STAT_icmp_suppressed);
		return;
	}
	stat_inc(w->stats, STAT_icmp_local);
	host_write(w, icmp, icmp_local(e, &w->f->own_address, packet, len, icmp));
}

static void drop_reported(struct worker *w, const struct judgement *j, const uint8_t *packet, size_t len)
{
	stat_inc(w->stats, j->drop);
	if (j->report)
		report(w, &j->error, packet, len);
}

void host_refuse(struct worker *w, const uint8_t *packet, size_t len)
{
	static const struct icmp_error no_session = {.type = ICMP_UNREACHABLE, .code = ICMP_NO_ROUTE};

	report(w, &no_session, packet, len);
}

static struct judgement refusal(enum stat_id drop, uint8_t type, uint8_t code)
{
	return (struct judgement){.drop = drop, .report = true, .error = {.type = type, .code = code}};
}

static struct judgement judge(struct worker *w, const uint8_t *packet)
{
	struct judgement j = {0};
	const struct table_entry *e;
	struct ip6 src, dst;

	memcpy(&src, packet + OFFSET_SRC, sizeof(src));
	memcpy(&dst, packet + OFFSET_DST, sizeof(dst));
	j.net64 = ip6_net64(&dst);
	if (!prefix_has(&w->f->network->overlay, &dst)) {
		j.drop = STAT_drop_tun_outside;
		return j;
	}
	if (ip6_net64(&src) != w->own_net64)
		return refusal(STAT_drop_tun_source, ICMP_UNREACHABLE, ICMP_SOURCE_POLICY);
	if (j.net64 == w->own_net64)
		return refusal(STAT_drop_tun_own, ICMP_UNREACHABLE, ICMP_ADDRESS);
	e = worker_find(w, &w->to, j.net64);
	j.link = table_link(e, &dst);
	if (!j.link)
		return refusal(STAT_drop_no_route, ICMP_UNREACHABLE, ICMP_NO_ROUTE);
	if (!packet[OFFSET_HOP_LIMIT])
		return refusal(STAT_drop_hop_limit, ICMP_TIME_EXCEEDED, 0);
	j.key = worker_key(w, e);
	return j;
}

static void wait_for(struct worker *w, enum secure_how how, const struct judgement *j, const uint8_t *packet,
		     size_t len)
{
	struct wait_packet waiting = {.kind = WAIT_SEAL, .bytes = packet, .len = len};

	secure_wait(w, how, j->key, j->net64, &waiting);
}

/* Seals into the buffer, behind what is there: the size of the frame. */
static size_t seal(struct worker *w, enum secure_how how, const struct judgement *j, uint8_t *packet, size_t len)
{
	struct ip6 src, dst;
	const struct encap_packet p = {.plain = packet,
				       .len = len,
				       .type = WIRE_USER_L3,
				       .hop_limit = packet[OFFSET_HOP_LIMIT],
				       .src = &src,
				       .dst = &dst};

	memcpy(&src, packet + OFFSET_SRC, sizeof(src));
	memcpy(&dst, packet + OFFSET_DST, sizeof(dst));
	return secure_seal(w, how, j->key, &p);
}

static bool leaves(enum secure_how how)
{
	return how == SECURE_STATIC || how == SECURE_SESSION;
}

/* Cuts and seals all packets of a super-packet that was judged good. */
static void send_cut(struct worker *w, struct gso_cut *cut, const struct judgement *j)
{
	struct judgement too_big = {
		.drop = STAT_drop_tun_size, .report = true, .error = {.type = ICMP_TOO_BIG, .parameter = w->mtu}};
	uint8_t *run = w->seal_buffer + w->seal_used, *packet;
	uint32_t left = gso_cut_count(cut), count = 0;
	enum secure_how how;
	size_t len, bytes = 0;

	stat_add(w->stats, STAT_tun_rx_packets, left);
	for (; (packet = gso_cut_next(cut, &len)); left--) {
		if (len > w->mtu) {
			drop_reported(w, &too_big, packet, len);
			too_big.report = false;
			continue;
		}
		how = secure_data(w, j->key, left);
		if (!leaves(how)) {
			wait_for(w, how, j, packet, len);
			continue;
		}
		if (w->seal_used + len + WIRE_OVERHEAD_BYTES > WORKER_SEAL_BUFFER_BYTES) {
			links_send(w, j->link, run, bytes, count);
			links_flush(w);
			run = w->seal_buffer;
			bytes = count = 0;
		}
		bytes += seal(w, how, j, packet, len);
		count++;
	}
	worker_flow_to(w, &w->host, j->link);
	if (count)
		links_send(w, j->link, run, bytes, count);
}

static void super_packet(struct worker *w, const struct tunq_packet *p)
{
	struct gso_cut cut;
	struct judgement j;
	size_t len;

	stat_add(w->stats, STAT_tun_rx_bytes, p->len);
	if (!gso_cut_init(&cut, &p->header, p->bytes, p->len)) {
		stat_inc(w->stats, STAT_tun_rx_packets);
		stat_inc(w->stats, p->header.type ? STAT_drop_tun_gso : STAT_drop_tun_malformed);
		return;
	}
	j = judge(w, p->bytes);
	if (!j.drop) {
		send_cut(w, &cut, &j);
		return;
	}
	/* The error quotes the first of its packets; all of them are dropped. */
	for (uint8_t *packet; (packet = gso_cut_next(&cut, &len)); j.report = false) {
		stat_inc(w->stats, STAT_tun_rx_packets);
		drop_reported(w, &j, packet, len);
	}
}

void host_packet(struct worker *w, uint8_t *packet, size_t len)
{
	const struct judgement j = judge(w, packet);
	enum secure_how how;
	uint8_t *frame;

	if (j.drop) {
		drop_reported(w, &j, packet, len);
		return;
	}
	how = secure_data(w, j.key, 1);
	if (!leaves(how)) {
		wait_for(w, how, &j, packet, len);
		return;
	}
	if (w->seal_used + len + WIRE_OVERHEAD_BYTES > WORKER_SEAL_BUFFER_BYTES)
		links_flush(w);
	frame = w->seal_buffer + w->seal_used;
	links_send(w, j.link, frame, seal(w, how, &j, packet, len), 1);
}

static void watch(struct worker *w, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.u64 = WORKER_TAG_TUN};

	epoll_ctl(w->epoll_fd, EPOLL_CTL_MOD, w->tun.fd, &e);
}

void host_resume(struct worker *w)
{
	if (!w->host.paused)
		return;
	w->host.paused = false;
	if (w->tun.fd >= 0)
		watch(w, EPOLLIN);
}

void host_stage(struct worker *w)
{
	struct tunq_packet p;

	for (int i = 0; i < STAGE_READS && w->seal_used < WORKER_SEAL_BYTES; i++) {
		if (tunq_read(&w->tun, &p) != TUNQ_PACKET)
			break;
		super_packet(w, &p);
		worker_used(w, p.len);
	}
	worker_used(w, w->seal_used);
	links_flush(w);
	if (w->tun.gone) {
		epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, w->tun.fd, NULL);
		close(w->tun.fd);
		w->tun.fd = -1;
		return;
	}
	/* In the TUN's own queue its senders see that it waits. */
	if (worker_flow_pause(w, &w->host))
		watch(w, 0);
}
