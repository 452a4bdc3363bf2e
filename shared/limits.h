/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause */
/* Every cap and timeout that is ours to choose, in one place. What the network prescribes is in network200.c. */
#ifndef SHARED_LIMITS_H
#define SHARED_LIMITS_H

enum {
	/* Links. A link id names its slot: id % LIMIT_LINK_SLOTS. Full: refuse. */
	LIMIT_LINKS = 1024,
	LIMIT_LINKS_INBOUND = 960, /* of these; strangers cannot take the places of those that are dialled */
	LIMIT_LINK_SLOTS = 2048,
	LIMIT_UNPROVEN_PER_ADDRESS = 32, /* inbound links that have not yet sent a valid TLV */
	LIMIT_PEERS = 1024, /* configured and discovered endpoints. Full: refuse */
	LIMIT_DISCOVERED_PEERS = 256, /* of these, found by discovery. Full: the oldest that is not connected goes */

	/* Routing. */
	LIMIT_ROUTES_PER_LINK = 131072, /* half the table: one neighbour cannot fill it. Full: ignored, counted */
	LIMIT_PREFIXES = 262144, /* in the route table. Full: those without a route go; of none, ignored, counted */
	LIMIT_SOURCES = 262144, /* feasibility distances. Full: the oldest without a route goes */
	LIMIT_SEQNO_REQUESTS = 4096, /* remembered requests. Full: the oldest goes */
	LIMIT_PREFIXES_PER_NET64 = 16, /* longer prefixes below one /64. Full: ignored, counted */
	LIMIT_KNOWN_KEYS = 262144, /* /64 -> public key in controld. Full: one without a route goes */

	/* Keys in fastpath: slots of shared secrets. Full: the one used longest ago goes. */
	LIMIT_KEY_SLOTS = 16384,
	LIMIT_KEYS_PER_SECOND = 1000, /* X25519 computations */
	LIMIT_WANT_KEY_MS = 1000, /* fastpath asks once per /64 and this time */

	/* Workers. */
	LIMIT_WORKERS = 64,
	LIMIT_BATCH_FRAMES = 64,
	LIMIT_READ_BYTES = 256 * 1024, /* one wake-up reads so much from a stream */

	/* Pool of fastpath: a chunk holds the largest frame and its own header. */
	LIMIT_CHUNK_BYTES = 68 * 1024,
	LIMIT_POOL_CHUNKS = 3855, /* 256 MiB */

	/* Packets that wait for a key, of one worker. */
	LIMIT_WAIT_BYTES_PER_NET64 = 256 * 1024,
	LIMIT_WAIT_BYTES = 4 * 1024 * 1024, /* in all. Full: the oldest goes */
	LIMIT_WAIT_NET64S = 64,
	LIMIT_WAIT_MS = 2000,

	/* Packets that wait for a session, of one worker; they fill the same rooms. Full: the oldest goes. */
	LIMIT_HOLD_PACKETS_PER_NET64 = 64,
	LIMIT_HOLD_MS = 5000,

	/* A link's send queue: so much of its measured drain rate. Full: the oldest data frame goes. */
	LIMIT_SEND_QUEUE_MS = 100,
	LIMIT_SEND_QUEUE_MIN_BYTES = 64 * 1024,
	LIMIT_SEND_QUEUE_MAX_BYTES = 2 * 1024 * 1024,
	LIMIT_CONTROL_QUEUE_BYTES = 1024 * 1024, /* TLVs of one link. Full: the new one is dropped, counted */
	LIMIT_NOTSENT_LOWAT_BYTES = 128 * 1024,
	LIMIT_TCP_USER_TIMEOUT_MS = 10000,

	/* ctl. */
	LIMIT_CTL_DATAGRAM_BYTES = 64 * 1024,
	LIMIT_CTL_QUEUE_BYTES = 1024 * 1024,
	LIMIT_CTL_USER_BYTES = 4 * 1024 * 1024, /* user data in one queue. Full: dropped, counted */
	LIMIT_CTL_HANDSHAKE_BYTES = 512 * 1024, /* of them, on the way up, which only handshakes fill */
	LIMIT_HANDSHAKE_BYTES = 1000, /* longer ones are treated as messages there */
	LIMIT_CTL_PING_MS = 1000,
	LIMIT_CTL_DEAD_MS = 5000,
	LIMIT_GRACE_MS = 50000, /* fastpath forwards so long without controld */
	LIMIT_HELD_MS = 20000, /* routes found in a fastpath are kept so long unconfirmed */

	/* ICMP errors that this node causes, per second: to the host, to one /64, in all. */
	LIMIT_ICMP_LOCAL_PER_SECOND = 1000,
	LIMIT_ICMP_PER_PEER_PER_SECOND = 10,
	LIMIT_ICMP_PER_SECOND = 1000,

	/* Static nonces. */
	LIMIT_NONCE_PREFIXES = 4096, /* listed in the memfd. Full: the oldest goes */
	LIMIT_NONCE_QUOTE_WINDOW = 65536,

	/* Session keys: rows of counters and windows in the shared memory (address space, touched when used), and slots
	   in fastpath. Full: refused. */
	LIMIT_SESSION_ROWS = 16384,
	LIMIT_SESSION_LANES = 16, /* that we announce: the far side sends in lanes below */
	LIMIT_SESSION_FAR_LANES = 64, /* that anyone may announce */
	LIMIT_SESSION_WINDOW = 8192, /* so many counters up to the greatest of a lane are told apart */
	LIMIT_SESSION_FLAG_TRIES = 1000, /* for the flag of a window that another holds; then the packet is dropped */
	LIMIT_SESSION_HOLD = 16, /* packets in a row for which the flag is held */
	LIMIT_SESSION_AGE_S = 300, /* neither sealed nor opened with after that */
	LIMIT_SESSION_RUN = 16, /* counters taken at a time for packets that come one by one */
	LIMIT_SESSION_WANT_S = 5, /* fastpath says once per peer and this time that a session is wanted, */
	LIMIT_SESSION_TELL_S = 1, /* and what else it has to say of a peer */

	/* Handshakes of a second that one worker gives to controld: of one peer, in all. Full: dropped, counted. */
	LIMIT_HANDSHAKE_INITS = 64, /* later than all before */
	LIMIT_HANDSHAKE_STALE_INITS = 4, /* others; a replay cannot keep the later ones out */
	LIMIT_HANDSHAKE_ANSWERS = 16, /* RESP, COOKIE and HINT */
	LIMIT_HANDSHAKES = 4000,
	LIMIT_HANDSHAKE_SURE = 2, /* INITs that are no replay, and answers, of one peer pass even then: no crowd of
				     strangers keeps out a neighbour */

	/* Dialling. */
	LIMIT_DIAL_FIRST_MS = 50,
	LIMIT_DIAL_MAX_MS = 60000,
	LIMIT_DIAL_TIMEOUT_MS = 10000,
	LIMIT_BEACON_MS = 60000,

	/* Messages that arrive. A sender is a /64. Full: the INIT is not acknowledged, counted; its sender tries again.
	 */
	LIMIT_MESSAGE_OPEN_PER_SENDER = 128, /* announced and not yet stored */
	LIMIT_MESSAGE_OPEN = 4096,
	LIMIT_MESSAGE_BYTES_PER_SENDER = 40 * 1024 * 1024, /* reserved by what is open; at least one longest message */
	LIMIT_MESSAGE_BYTES = 320 * 1024 * 1024, /* at least four longest messages */
	LIMIT_MESSAGE_LENGTH_DEFAULT = 16 * 1024 * 1024, /* announced length */
	LIMIT_MESSAGE_IDLE_MS = 600 * 1000, /* an open message without a packet so long goes */
	LIMIT_MESSAGE_DONE_MS = 600 * 1000, /* completed ones are remembered so long, to tell a repetition */
	LIMIT_MESSAGE_DONE_PER_SENDER = 16384, /* full: the sender's oldest goes */
	LIMIT_MESSAGE_DONE = 131072, /* full: the oldest goes */
	LIMIT_MESSAGE_DONE_PER_ID = 8, /* full: the oldest of that sender and id goes */

	/* Messages that leave. A destination is a /64. Full: refused, except for statuses. */
	LIMIT_MESSAGE_OUT_PER_NET64 = 4096, /* unfinished */
	LIMIT_MESSAGE_OUT = 16384,
	LIMIT_MESSAGE_OUT_BYTES_PER_NET64 = 256 * 1024 * 1024,
	LIMIT_MESSAGE_OUT_BYTES = 512 * 1024 * 1024,
	LIMIT_MESSAGE_STATUSES = 65536, /* finished ones that are still told. Full: the oldest goes */
	LIMIT_MESSAGE_STATUS_S = 300, /* told so long after the deadline */
	LIMIT_MESSAGE_DEADLINE_S = 86400,
	LIMIT_MESSAGE_DEADLINE_DEFAULT_S = 300,
	LIMIT_MESSAGE_OPENING = 64, /* INITs to one destination that wait for an answer; the others wait their turn */
	LIMIT_MESSAGE_WINDOW = 2048, /* chunks in flight to one destination */

	/* The inbox: complete messages that nobody has taken yet. Full: a message is not acknowledged, its sender tries
	   again. */
	LIMIT_INBOX_COUNT_DEFAULT = 10000,
	LIMIT_INBOX_BYTES_DEFAULT = 256 * 1024 * 1024,
	LIMIT_INBOX_SHARE = 4, /* a sender (a /64) has at most so many times what stays free, in messages and bytes */
	LIMIT_INBOX_CACHE_BYTES = 4 * 1024 * 1024, /* payloads kept in memory too, for those who wait or come soon */
	LIMIT_INBOX_LOADS = 64, /* payloads asked of the store at a time. Full: the others wait */
	LIMIT_INBOX_LOAD_BYTES = 64 * 1024 * 1024, /* of them; at least one */
	LIMIT_INBOX_RETRY_MS = 1000, /* one that could not be loaded is left alone so long */
	LIMIT_TAKERS = 1024, /* requests that wait for a message. Full: refused */
	LIMIT_STREAM_WINDOW = 1024, /* messages unacknowledged on one stream, at most */
	LIMIT_STREAM_AHEAD = 16, /* messages made ready for one stream before it gets them */
	LIMIT_STREAM_RESERVED_MS = 5000, /* after a cut its messages wait so long for the stream to come back */
	LIMIT_STREAM_MEMORY_MS = 600 * 1000, /* a stream can be resumed so long */
	LIMIT_STREAMS_REMEMBERED = 256, /* full: the one cut first is forgotten */

	/* The store. Requests that its thread has not taken yet, by their bytes. Full: refused as a full disk is. */
	LIMIT_STORE_QUEUE_BYTES = 512 * 1024 * 1024,
	LIMIT_STORE_ROW_BYTES = 64 * 1024, /* a payload lies in rows of so many bytes */

	/* The API. Full: refused with 503 or close code 4429. */
	LIMIT_API_CONNECTIONS = 256,
	LIMIT_API_CONNECTIONS_PER_ADDRESS = 32,
	LIMIT_API_HEADER_BYTES = 8 * 1024,
	LIMIT_API_HEADER_MS = 5000,
	LIMIT_API_BODY_BYTES_DEFAULT = 2 * 1024 * 1024,
	LIMIT_API_BODY_BYTES_MAX = 128 * 1024 * 1024,
	LIMIT_API_BODY_MS = 30000,
	LIMIT_API_IDLE_MS = 30000,
	LIMIT_API_JSON_DEPTH = 32,
	LIMIT_API_LISTS = 16, /* of peers or routes being read at one time: each holds a copy of the names */
	LIMIT_API_TOKEN_BYTES = 256,
	LIMIT_WS_CLIENTS = 64,
	LIMIT_WS_CLIENTS_PER_ADDRESS = 8,
	LIMIT_WS_INIT_MS = 5000,
	LIMIT_WS_FRAME_BYTES = 1024 * 1024, /* from a client; larger: close */
	LIMIT_WS_QUEUE_BYTES = 256 * 1024, /* behind the message being sent; more: close 4008 */
	LIMIT_WS_STALL_MS = 10000, /* nothing could be written so long: close 4008 */
	LIMIT_WS_PING_MS = 15000,
	LIMIT_WS_DEAD_MS = 45000, /* no pong so long: hung up */

	LIMIT_TUN_MTU_MIN = 1280,
	LIMIT_TUN_MTU_MAX = 65535 - 72,
	LIMIT_TUN_MTU_DEFAULT = 1400,
};

#endif
