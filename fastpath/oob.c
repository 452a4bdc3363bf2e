/* SPDX-License-Identifier: Apache-2.0 */
#include "fastpath/worker_state.h"

/* Reports come from the base address of a /64 (wire-200 5.5), hosts have another: none is made about a report. */
static bool is_from_base(const struct wire_data *frame)
{
	const struct ip6 base = ip6_from_net64(ip6_net64(&frame->src));

	return ip6_eq(&base, &frame->src);
}

void oob_send(struct worker *w, const struct icmp_error *e, const uint8_t *frame, size_t len)
{
	uint8_t plain[WIRE_USER_HEADER_BYTES + ICMP_OOB_MAX_BYTES];
	const struct ip6 base = ip6_from_net64(w->own_net64);
	const struct table_entry *entry;
	struct encap_packet p;
	struct key_slot *key;
	struct wire_data dropped;
	uint32_t link;
	uint8_t *out;

	memcpy(&dropped, frame, sizeof(dropped));
	entry = worker_find(w, &w->from, ip6_net64(&dropped.src));
	link = table_link(entry, &dropped.src);
	key = worker_key(w, entry);
	if (!key && worker_is_other(w, ip6_net64(&dropped.src)))
		worker_want_key(w, ip6_net64(&dropped.src), false);
	if (!link || !key || is_from_base(&dropped) || !icmp_rate_pass(&w->oob_rate, ip6_net64(&dropped.src), w->now)) {
		stat_inc(w->stats, STAT_icmp_suppressed);
		return;
	}
	p = (struct encap_packet){.plain = plain + WIRE_USER_HEADER_BYTES,
				  .type = WIRE_USER_ICMP,
				  .hop_limit = 64,
				  .src = &base,
				  .dst = &dropped.src};
	p.len = icmp_oob_build(e, &base, frame, len, p.plain);
	if (w->seal_used + p.len + WIRE_OVERHEAD_BYTES > WORKER_SEAL_BUFFER_BYTES)
		links_flush(w);
	out = w->seal_buffer + w->seal_used;
	links_send(w, link, out, secure_seal(w, secure_report(w, key), key, &p), 1);
	stat_inc(w->stats, STAT_icmp_sent);
}

/* Opens the quote of a packet that left statically. */
static bool open_static(struct worker *w, const struct key_slot *key, const struct icmp_oob *icmp,
			struct encap_opened *out)
{
	/* The report's own headers lie before the quote, so there is room for a frame's header. */
	return nonce_is_ours(w->f->lanes, icmp->quote + icmp->quote_len - WIRE_NONCE_BYTES) &&
	       !encap_open_quote(w->aead, key, icmp->quote - WIRE_DATA_HEADER_BYTES,
				 WIRE_DATA_HEADER_BYTES + icmp->quote_len, out);
}

static bool open_in_session(struct worker *w, const uint32_t *slot, const struct icmp_oob *icmp,
			    struct encap_opened *out)
{
	const struct skey_quote quote = {
		.src = &icmp->origin, .dst = &icmp->about, .sealed = icmp->quote, .len = icmp->quote_len};
	struct skey *s = secure_session(w, slot);

	return s && skey_open_quote(w->f->skeys, s, &quote, w->now, out);
}

/* Opens the quote, which is a packet of ours; false: it is none. */
static bool open_quote(struct worker *w, const struct icmp_oob *icmp, struct encap_opened *out)
{
	struct key_slot *key = worker_key(w, table_find(w->f->table, ip6_net64(&icmp->about)));

	return icmp->quote_len >= WIRE_SEALED_MIN_BYTES && key &&
	       (open_static(w, key, icmp, out) || open_in_session(w, &key->session, icmp, out) ||
		open_in_session(w, &key->session_before, icmp, out)) &&
	       out->type == WIRE_USER_L3;
}

void oob_receive(struct worker *w, const struct local_opened *o)
{
	uint8_t packet[ICMP_LOCAL_MAX_BYTES];
	struct encap_opened original;
	struct icmp_oob icmp;
	struct icmp_report report;
	struct wire_data header;
	enum stat_id drop = icmp_oob_parse(o->user.body, o->user.len, &icmp);
	size_t len = 0;

	if (!drop && !open_quote(w, &icmp, &original))
		drop = STAT_drop_icmp_quote;
	if (!drop) {
		memcpy(&header, o->frame, sizeof(header));
		report = (struct icmp_report){.from = &header.src,
					      .to = &header.dst,
					      .hop_limit = header.hop_limit,
					      .original = original.body,
					      .original_len = original.len};
		len = icmp_oob_deliver(&icmp, &report, packet);
		drop = len ? 0 : STAT_drop_icmp_quote;
	}
	if (drop) {
		stat_inc(w->stats, drop);
		return;
	}
	stat_inc(w->stats, STAT_icmp_delivered);
	host_write(w, packet, len);
}
