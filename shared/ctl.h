/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause */
/* Records between controld and fastpath: SOCK_SEQPACKET, one machine, host byte order, both programs of one build or
 * replaced by each other. A datagram holds whole records, at most 64 KiB; unknown types are skipped; a record shorter
 * than its struct is refused and counted, surplus bytes are ignored.
 *
 *   record    u16 type, u16 length of the body, body (padded to 8 bytes, the padding not counted in length)
 *
 * A conversation: controld connects and sends HELLO. fastpath answers HELLO and then what it holds: CONFIG, MEMORY,
 * TUN..., NODE, LINK_INFO..., ROUTE... (nothing where it was just started), and READY. Then controld sends what is
 * missing (MEMORY, CONFIG, TUN... to a fresh one), and START: workers run from there on. START carries nothing; a
 * fastpath that is already running ignores it. Every other record may come at any time after READY.
 *
 * Session keys: SESSION_KEY gives one, SESSION_MOVE changes its slot, SESSION_DEL ends it; SESSION_GONE answers when it
 * is wiped, and comes unasked for one that was refused or wiped here; from then on its row is free. Indices name keys:
 * what the far side writes into its nonces.
 *
 * Secrets: KEY and SESSION_KEY only. They never travel upwards. */
#ifndef SHARED_CTL_H
#define SHARED_CTL_H

#include "shared/wire.h"
#include <linux/types.h>

enum {
	CTL_VERSION = 2,
	CTL_FD = 3, /* the listening socket, at exec of fastpath */
	CTL_BUILD_BYTES = 32,
	CTL_IFNAME_BYTES = 16,
	CTL_AEAD_BYTES = 16,
	CTL_REASON_BYTES = 120,
	CTL_ALIGN = 8,
};

enum ctl_type {
#define CTL(name, NAME, number, fds) CTL_##NAME = number,
#include "shared/ctl.def"
#undef CTL
};

struct ctl_header {
	__u16 type, length;
};

struct ctl_hello {
	__u32 version;
	__u32 pid;
	char build[CTL_BUILD_BYTES]; /* zero-terminated */
};

struct ctl_ping {
	__u64 number;
};

struct ctl_pong {
	__u64 number; /* of the ping */
};

enum { CTL_CONFIG_NO_TUN = 1, CTL_CONFIG_NO_OFFLOAD = 2 };

struct ctl_config {
	__u32 network; /* 200 */
	__u32 flags; /* CTL_CONFIG_* */
	__u32 workers; /* 1..LIMIT_WORKERS; fixed by the first CONFIG */
	__u32 tun_mtu;
	__u32 log_level; /* enum log_level */
	__u32 pool_chunks;
	__u16 port; /* TCP listen port, for adoption only */
	__u16 reserved[3];
	__u8 public_key[32];
	struct ip6 address; /* ours; its /64 is ours */
};

struct ctl_memory {
	__u8 id[16];
};

struct ctl_tun {
	__u32 queue; /* 0.. : of worker number queue */
	__u32 ifindex;
	char name[CTL_IFNAME_BYTES];
};

/* What is known of a link; controld chooses the id: never 0, rising, its slot (id % LIMIT_LINK_SLOTS) free. */
enum { CTL_LINK_INBOUND = 1, CTL_LINK_DISCOVERED = 2, CTL_LINK_STATIC = 4 };

struct ctl_adopt {
	__u32 link;
	__u32 flags; /* CTL_LINK_* */
	__u8 local[28], remote[28]; /* sockaddr_in or sockaddr_in6 */
	__u64 peer; /* controld's own handle of the peer entry; given back, not looked at */
};

struct ctl_link_info {
	struct ctl_adopt adopt;
	__u64 up_since_us; /* CLOCK_BOOTTIME */
	__u64 rx_bytes, tx_bytes;
	__u32 rtt_us; /* last sample; 0: none */
	__u32 smoothed_cost; /* as last told by LINK_COST; UINT32_MAX: never */
};

struct ctl_link_close {
	__u32 link;
	__u32 reserved;
	char reason[CTL_REASON_BYTES]; /* for the log, zero-terminated; comes back in LINK_DOWN */
};

struct ctl_link_cost {
	__u32 link;
	__u32 smoothed_cost;
};

/* Identity of this run of the node: kept across restarts of controld. */
struct ctl_node {
	struct router_id router_id;
	__u16 seqno;
	__u16 reserved[3];
};

/* A selected route. The fields after link are for adoption: they make the next controld announce it unchanged. */
struct ctl_route {
	struct ip6 prefix;
	__u8 prefix_len;
	__u8 reserved;
	__u16 metric; /* as received */
	__u32 link;
	__u16 seqno;
	__u16 fd_seqno, fd_metric; /* feasibility distance; fd_metric 65535: none */
	__u16 reserved2;
	struct router_id router_id;
};

struct ctl_route_del {
	struct ip6 prefix;
	__u8 prefix_len;
	__u8 reserved[7];
};

/* How packets of own traffic leave to a peer. */
enum ctl_way {
	CTL_WAY_STATIC, /* under the static key */
	CTL_WAY_SESSION, /* under the session key that sends; while there is none, as CTL_WAY_HOLD */
	CTL_WAY_HOLD, /* they wait for a session */
};

/* The secret shared with the owner of a /64, and how to talk with it (session.md, interop and downgrade). */
struct ctl_key {
	__u64 net64; /* ip6_net64() */
	__u8 public_key[32];
	__u32 session; /* index of the key that sends; 0: none */
	__u8 way; /* enum ctl_way */
	__u8 refuse_static; /* 1: L3 packets and messages that open statically are dropped */
	__u8 reserved[2];
	__u8 secret[32];
};

/* The same for a key that may be there already; without it nothing happens. */
struct ctl_policy {
	__u64 net64;
	__u8 public_key[32];
	__u8 way, refuse_static;
	__u8 reserved[6];
};

enum ctl_session_slot { CTL_SESSION_SEND = 1, CTL_SESSION_NEXT, CTL_SESSION_OLD, CTL_SESSION_OLDEST };

/* A session key without its secrets: what fastpath holds, for adoption. */
struct ctl_session_info {
	__u8 memory[16]; /* id of the shared memory that its row is in */
	__u64 generation; /* of that memory when the key was made */
	__u64 net64;
	__u8 public_key[32];
	__s64 made_us; /* CLOCK_BOOTTIME */
	__u32 row;
	__u32 index, far_index;
	__u32 capabilities;
	__u8 far_lanes, our_lanes;
	__u8 slot; /* enum ctl_session_slot; upwards also 0: it is being wiped */
	__u8 initiator;
	__u8 confirmed; /* upwards: a packet opened while in CTL_SESSION_NEXT */
	__u8 reserved[3];
};

struct ctl_session_key {
	struct ctl_session_info info;
	__u8 send[32], receive[32];
};

struct ctl_session_move {
	__u32 index;
	__u8 slot; /* enum ctl_session_slot */
	__u8 reserved[3];
};

struct ctl_session_del {
	__u32 index;
	__u32 reserved;
};

struct ctl_session_gone {
	__u32 index;
	__s32 error; /* 0: as asked, or by age; else -errno of its refusal, -ESTALE also for a raised generation */
};

/* The first packet opened under a key in CTL_SESSION_NEXT. Said again each second until the key is moved. */
struct ctl_session_confirmed {
	__u32 index;
	__u32 reserved;
};

/* Of a key with traffic since it was told last; at most each second. */
struct ctl_session_use {
	__u32 index;
	__u32 reserved;
	__u64 sealed_packets, sealed_bytes, opened_packets, opened_bytes;
	__u64 lane_end; /* one above the highest counter of any lane that we send in */
	__s64 sealed_us, opened_us; /* the last user data but CONTROL, CLOCK_BOOTTIME; 0: never */
};

/* Data to the owner of a /64 left statically, or is held: perhaps time for a session. Every some seconds of it. */
struct ctl_session_want {
	__u64 net64;
	__u8 public_key[32];
};

/* A packet named a session key that is not here, and nothing opened it. At most one a second per peer. */
struct ctl_session_stray {
	__u64 net64;
	__u8 public_key[32];
	__u32 index;
	__u32 sealed_bytes;
};

/* L3 packets or messages that opened statically were dropped, because of refuse_static. At most one a second per
 * peer. */
struct ctl_session_refused {
	__u64 net64;
	__u8 public_key[32];
	__u32 bytes; /* of the last one, after the user-data header */
	__u32 reserved;
};

/* A static key that fastpath holds: for adoption, and each second where it was used since it was told last. */
struct ctl_key_info {
	__u64 net64;
	__u8 public_key[32];
	__u8 way, refuse_static;
	__u8 reserved[6];
	__u64 sealed, opened; /* packets since it came here */
};

struct ctl_no_key {
	__u64 net64;
};

struct ctl_want_key {
	__u64 net64;
	__u32 own; /* 1: to seal own traffic; 0: to open */
	__u32 reserved;
};

struct ctl_stop {
	__u64 reserved;
};

struct ctl_start {
	__u64 reserved;
};

struct ctl_ready {
	__u32 running; /* 1: workers run, its tables hold; 0: just started */
	__u32 reserved;
	char aead[CTL_AEAD_BYTES]; /* implementation in use, zero-terminated; empty: none for this CPU */
};

/* One or more TLVs (type, length, value) of one control packet, after the header: neither HELLO nor IHU upwards;
 * downwards exactly one, which becomes one control packet. */
struct ctl_tlv {
	__u32 link;
};

/* User data that is not the host's: messages, and what makes sessions; the bytes after the user-data header follow.
 * Down: to be sealed and sent; src lies in our /64, dst outside of it; messages as the policy says, INIT to HINT under
 * the static key, CONTROL under the session key that is named. Up: opened; src lies in the /64 of the key it was opened
 * with, dst in ours. Dropped and counted where the other side does not keep up. */
struct ctl_user_down {
	struct ip6 src, dst;
	__u32 session; /* of CONTROL: index of the key; else 0 */
	__u8 type; /* WIRE_USER_* */
	__u8 hop_limit;
	__u8 reserved[10]; /* the last four are used as headroom */
};

struct ctl_user_up {
	struct ip6 src, dst;
	__u8 public_key[32]; /* of the peer whose key opened it */
	__u32 session; /* index of the session key that opened it; 0: the static key */
	__u32 link; /* it came over */
	__u8 type;
	__u8 reserved[7];
};

enum ctl_down_reason {
	CTL_DOWN_CLOSED, /* end of stream */
	CTL_DOWN_ERROR, /* socket error: error is the errno */
	CTL_DOWN_IHU, /* our Hellos were not answered */
	CTL_DOWN_HELLO, /* no Hello came */
	CTL_DOWN_GARBAGE, /* undecodable: text says what it looks like */
	CTL_DOWN_ASKED, /* LINK_CLOSE */
	CTL_DOWN_REFUSED, /* table full */
};

struct ctl_link_down {
	__u32 link;
	__u32 reason; /* enum ctl_down_reason */
	__s32 error;
	__u32 reserved;
	__u64 lived_us;
	__u64 rx_bytes, tx_bytes;
	char text[CTL_REASON_BYTES];
};

struct ctl_link_rtt {
	__u32 link;
	__u32 rtt_us;
	__u64 rx_bytes, tx_bytes; /* so far */
};

/* fastpath ends by itself (SIGTERM). */
struct ctl_leaving {
	__u64 reserved;
};

#endif
