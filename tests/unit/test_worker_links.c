/* SPDX-License-Identifier: Apache-2.0 */
/* The life of links in a real worker: Hello, IHU, round trip, TLVs both ways, blocked sockets, every way to die,
 * several workers. */
#include "tests/unit/worker_world.h"

enum { UPDATE_TLV_BYTES = 68 };

static int setup(void **state)
{
	static struct world w;

	world_start(&w, "B", 1, NULL);
	*state = &w;
	return 0;
}

/* Hellos every 40 ms; without IHUs dead after 200 ms, without Hellos after 400. */
static int setup_hasty(void **state)
{
	static struct network hasty;
	static struct world w;

	hasty = network200;
	hasty.hello_ms = 40;
	hasty.ihu_dead_ms = 200;
	hasty.hello_dead_ms = 400;
	world_start(&w, "B", 1, &hasty);
	*state = &w;
	return 0;
}

static int setup_three(void **state)
{
	static struct world w;

	world_start(&w, "B", 3, NULL);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	world_stop(*state);
	return 0;
}

static void send_vector(int fd, const char *name)
{
	uint8_t bytes[200];

	world_write(fd, bytes, vectors_hex(bytes, sizeof(bytes), "control_packets/%s/bytes", name));
}

static void expect_vector(const struct world_packet *p, const char *name)
{
	uint8_t bytes[200];
	const size_t len = vectors_hex(bytes, sizeof(bytes), "control_packets/%s/bytes", name);

	assert_int_equal(p->len, len);
	assert_memory_equal(p->bytes, bytes, len);
}

static void test_hello(void **state)
{
	struct world *w = *state;
	static struct world_packet p;
	struct ctl_link_rtt rtt;
	const int a = world_link(w, 7);

	/* At once, and to the byte. */
	world_next(a, &p);
	expect_vector(&p, "hello_seqno_0");
	send_vector(a, "hello_seqno_1");
	world_next(a, &p);
	expect_vector(&p, "ihu");
	send_vector(a, "ihu");
	assert_int_equal(world_event(w, 0, CTL_LINK_RTT, &rtt, sizeof(rtt)), sizeof(rtt));
	assert_int_equal(rtt.link, 7);
	assert_in_range(rtt.rtt_us, 1, 10000000);
	close(a);
}

/* Two Updates in one control packet, an unknown TLV between them, padding, a foreign magic: two records, and in step.
 */
static void test_tlvs_up(void **state)
{
	struct world *w = *state;
	static struct world_packet p;
	struct {
		struct ctl_tlv tlv;
		uint8_t bytes[300];
	} up;
	uint8_t update[100], body[300];
	const int a = world_link(w, 7);
	struct wr b = wr_init(body, sizeof(body));

	assert_int_equal(vectors_hex(update, sizeof(update), "control_packets/update_static_A/bytes"),
			 8 + UPDATE_TLV_BYTES);
	send_vector(a, "update_static_A");
	assert_int_equal(world_event(w, 0, CTL_TLV, &up, sizeof(up)), sizeof(up.tlv) + UPDATE_TLV_BYTES);
	assert_int_equal(up.tlv.link, 7);
	assert_memory_equal(up.bytes, update + 8, UPDATE_TLV_BYTES);

	wr_bytes(&b, (const uint8_t[]){1, 1, 0, 0, 43, 2, 0, 3, 9, 9, 9}, 11);
	wr_bytes(&b, (const uint8_t[]){1, 1, 0, 0, 42, 2, 0, 2 * UPDATE_TLV_BYTES + 10}, 8);
	wr_bytes(&b, (const uint8_t[]){9, 2, 0, 0, 0, 1, 2, 0, 0, 0}, 10);
	wr_bytes(&b, update + 8, UPDATE_TLV_BYTES);
	wr_bytes(&b, update + 8, UPDATE_TLV_BYTES);
	world_write(a, body, wr_len(&b));
	assert_int_equal(world_event(w, 0, CTL_TLV, &up, sizeof(up)), sizeof(up.tlv) + 2 * UPDATE_TLV_BYTES);
	assert_memory_equal(up.bytes, update + 8, UPDATE_TLV_BYTES);
	assert_memory_equal(up.bytes + UPDATE_TLV_BYTES, update + 8, UPDATE_TLV_BYTES);
	send_vector(a, "hello_seqno_1");
	world_next_tlv(a, STREAM_TLV_IHU, &p);
	assert_int_equal(world_stat(w, STAT_control_rx), 4);
	assert_int_equal(world_stat(w, STAT_control_skipped), 2);
	close(a);
}

static void test_tlv_down(void **state)
{
	struct world *w = *state;
	static struct world_packet p;
	struct {
		struct ctl_tlv tlv;
		uint8_t bytes[UPDATE_TLV_BYTES];
	} down = {.tlv = {.link = 7}};
	uint8_t update[100];
	const int a = world_link(w, 7);

	vectors_hex(update, sizeof(update), "control_packets/update_static_A/bytes");
	memcpy(down.bytes, update + 8, UPDATE_TLV_BYTES);
	/* Not exactly one TLV, or for no link: not sent. */
	world_mail(w, 0, CTL_TLV, &down, sizeof(down) - 1);
	down.tlv.link = 8;
	world_mail(w, 0, CTL_TLV, &down, sizeof(down));
	down.tlv.link = 7;
	world_mail(w, 0, CTL_TLV, &down, sizeof(down));
	world_next(a, &p);
	expect_vector(&p, "hello_seqno_0");
	world_next(a, &p);
	expect_vector(&p, "update_static_A");
	close(a);
}

/* Floods a link whose other end does not read until the queue overflows. Returns how many frames went in. */
static uint32_t flood(struct world *w, int in)
{
	static struct world_packet frame;
	uint8_t body[1000] = {0};
	uint32_t sent = 0;

	while (world_stat(w, STAT_drop_queue_full) < 10) {
		memcpy(body, &sent, sizeof(sent));
		world_seal(&(struct world_frame){.from = "A",
						 .to = "C",
						 .pair = "AC",
						 .hop_limit = 64,
						 .body = body,
						 .len = sizeof(body)},
			   &frame);
		world_write(in, frame.bytes, frame.len);
		sent++;
	}
	return sent;
}

/* The socket is full: a TLV overtakes all frames that are queued; of these the oldest were dropped, whole and counted,
 * and what comes out is in order and ends with the newest. */
static void test_blocked(void **state)
{
	struct world *w = *state;
	struct {
		struct ctl_tlv tlv;
		uint8_t bytes[UPDATE_TLV_BYTES];
	} down = {.tlv = {.link = 2}, .bytes = {STREAM_TLV_UPDATE, UPDATE_TLV_BYTES - 2}};
	static struct world_packet p, plain;
	uint32_t sent, got = 0, after = 0, number = 0, last = 0;
	const int a = world_link(w, 1), c = world_link(w, 2);
	bool tlv_seen = false;

	world_route(w, "C", 2);
	sent = flood(w, a);
	world_mail(w, 0, CTL_TLV, &down, sizeof(down));
	/* Its own turn of the worker: when the Hello is answered, the TLV is in the queue. */
	send_vector(a, "hello_seqno_1");
	world_next_tlv(a, STREAM_TLV_IHU, &p);
	while (number != sent - 1 || !got) {
		world_next(c, &p);
		if (p.bytes[1] == WIRE_CONTROL) {
			tlv_seen |= p.bytes[8] == STREAM_TLV_UPDATE;
			continue;
		}
		assert_true(world_open("AC", &p, &plain));
		memcpy(&number, plain.bytes + 4, sizeof(number));
		assert_true(!got || number > last);
		last = number;
		got++;
		after += tlv_seen;
	}
	assert_true(tlv_seen);
	assert_int_equal(got + world_stat(w, STAT_drop_queue_full), sent);
	/* The queue holds at least its least; the TLV went before all of it. */
	assert_in_range(after, LIMIT_SEND_QUEUE_MIN_BYTES / 1200, sent);
	close(a);
	close(c);
}

/* A blocked link is still read. */
static void test_reads_while_blocked(void **state)
{
	struct world *w = *state;
	uint8_t hello[100];
	const int a = world_link(w, 1), c = world_link(w, 2);
	struct ctl_link_rtt rtt;

	world_route(w, "C", 2);
	flood(w, a);
	world_write(c, hello, vectors_hex(hello, sizeof(hello), "control_packets/ihu/bytes"));
	world_event(w, 0, CTL_LINK_RTT, &rtt, sizeof(rtt));
	assert_int_equal(rtt.link, 2);
	close(a);
	close(c);
}

static struct ctl_link_down expect_down(const struct world *w, uint32_t link, enum ctl_down_reason reason,
					const char *text)
{
	struct ctl_link_down down;

	assert_int_equal(world_event(w, 0, CTL_LINK_DOWN, &down, sizeof(down)), sizeof(down));
	assert_int_equal(down.link, link);
	assert_int_equal(down.reason, reason);
	if (!strstr(down.text, text))
		fail_msg("\"%s\" does not say \"%s\"", down.text, text);
	return down;
}

static void expect_end(int fd)
{
	uint8_t bytes[4096];
	ssize_t n;

	do {
		world_readable(fd);
		n = read(fd, bytes, sizeof(bytes));
	} while (n > 0);
	close(fd);
}

static void test_down(void **state)
{
	static const struct {
		const char *bytes, *text;
		size_t len;
	} garbage[] = {
		{"GET / HTTP/1.1\r\n\r\n", "HTTP", 18},
		{"SSH-2.0-OpenSSH_9.2\r\n", "SSH", 21},
		{"\x16\x03\x01\x02\x00\x01", "TLS", 6},
		{"\x00\x0a\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "v0.1.3", 17},
		{"\x01\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", "v0.1.3", 17},
		{"\x01\x02\x00", "v0.1.3", 3},
		{"\xff\xff\xff\xff", "not this protocol", 4},
		{"\x01\x01\x00\x00\x2a\x02\x00\x02\x00\x00\x07", "out of step", 11},
	};
	struct world *w = *state;
	const struct ctl_link_close ask = {.link = 9, .reason = "carrier lost"};
	struct ctl_link_down down;
	int a = world_link(w, 9), b;

	shutdown(a, SHUT_WR);
	expect_down(w, 9, CTL_DOWN_CLOSED, "");
	expect_end(a);

	a = world_link(w, 9);
	world_write(a, "\x01\x00\x00", 3);
	shutdown(a, SHUT_WR);
	down = expect_down(w, 9, CTL_DOWN_CLOSED, "inside a packet");
	assert_int_equal(down.rx_bytes, 3);
	assert_int_equal(down.tx_bytes, 16);
	expect_end(a);

	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		a = world_link(w, 9);
		world_write(a, garbage[i].bytes, garbage[i].len);
		expect_down(w, 9, CTL_DOWN_GARBAGE, garbage[i].text);
		expect_end(a);
	}

	a = world_link(w, 9);
	b = world_link(w, 9 + LIMIT_LINK_SLOTS);
	expect_down(w, 9 + LIMIT_LINK_SLOTS, CTL_DOWN_REFUSED, "slot");
	expect_end(b);
	world_mail(w, 0, CTL_LINK_CLOSE, &ask, sizeof(ask));
	expect_down(w, 9, CTL_DOWN_ASKED, "carrier lost");
	expect_end(a);
}

/* An Update as generation 400 sends it: prefix of 8 bytes. */
static void test_newer(void **state)
{
	struct world *w = *state;
	uint8_t packet[8 + 60] = {1, 1, 0, 0, 42, 2, 0, 60, STREAM_TLV_UPDATE, 58, 2, 0, 64};
	const int a = world_link(w, 9);

	world_write(a, packet, sizeof(packet));
	expect_down(w, 9, CTL_DOWN_GARBAGE, "v0.3.0");
	expect_end(a);
}

/* Deaf and dumb: our Hellos are not answered. */
static void test_no_ihu(void **state)
{
	struct world *w = *state;
	const int a = world_link(w, 9);
	const struct ctl_link_down down = expect_down(w, 9, CTL_DOWN_IHU, "");

	assert_in_range(down.lived_us, 200000, 10000000);
	/* Several Hellos went out meanwhile: seqnos from 0. */
	for (uint8_t i = 0; i < 4; i++) {
		static struct world_packet p;

		world_next(a, &p);
		assert_int_equal(p.bytes[8], STREAM_TLV_HELLO);
		assert_int_equal(p.bytes[13], i);
	}
	expect_end(a);
}

/* Answers, but never says Hello. */
static void test_no_hello(void **state)
{
	struct world *w = *state;
	const int a = world_link(w, 9);
	struct ctl_link_down down;
	uint8_t ihu[16], bytes[16];

	assert_int_equal(vectors_hex(ihu, sizeof(ihu), "control_packets/ihu/bytes"), sizeof(ihu));
	for (;;) {
		world_readable(a);
		if (read(a, bytes, sizeof(bytes)) <= 0 || send(a, ihu, sizeof(ihu), MSG_NOSIGNAL) < 0)
			break;
	}
	down = expect_down(w, 9, CTL_DOWN_HELLO, "");
	assert_in_range(down.lived_us, 400000, 10000000);
	close(a);
}

/* Frames cross from the link of one worker to that of another, whole and in order. */
static void test_handover(void **state)
{
	struct world *w = *state;
	enum { COUNT = 2000 };
	static struct world_packet frame, seen, plain;
	uint8_t body[200] = {0};
	const int a = world_link(w, 1), c = world_link(w, 5);

	world_route(w, "C", 5);
	for (uint32_t i = 0; i < COUNT; i++) {
		memcpy(body, &i, sizeof(i));
		world_seal(&(struct world_frame){.from = "A",
						 .to = "C",
						 .pair = "AC",
						 .hop_limit = 64,
						 .body = body,
						 .len = sizeof(body)},
			   &frame);
		world_write(a, frame.bytes, frame.len);
		world_next_data(c, &seen);
		assert_int_equal(seen.bytes[7], 63);
		assert_true(world_open("AC", &seen, &plain));
		assert_memory_equal(plain.bytes + 4, &i, sizeof(i));
	}
	assert_int_equal(world_stat(w, STAT_link_tx_frames), COUNT);
	assert_int_equal(world_stat(w, STAT_drop_ring_full), 0);
	close(a);
	close(c);
}

/* Every malformed input of the vectors: afterwards the link answers Hellos, or is closed; the worker lives. */
static void test_verdicts(void **state)
{
	struct world *w = *state;
	static struct world_packet p;
	const size_t count = vectors_count("reference_verdicts");
	unsigned answers = 0, closed = 0;
	static uint8_t bytes[70000];

	assert_int_equal(count, 41);
	for (size_t i = 0; i < count; i++) {
		const int a = world_link(w, 100 + (uint32_t)i);
		struct pollfd poll_fd = {.fd = a, .events = POLLIN};
		bool answered = false, ended = false;

		world_next(a, &p);
		for (size_t piece = 0; piece < vectors_count("reference_verdicts/%zu/pieces", i); piece++) {
			const size_t len =
				vectors_hex(bytes, sizeof(bytes), "reference_verdicts/%zu/pieces/%zu", i, piece);

			send(a, bytes, len, MSG_NOSIGNAL);
		}
		/* A body that has not ended takes Hellos in until it has: give it as many as it can want. */
		for (int hello = 0; hello < 4200 && !answered && !ended; hello++) {
			vectors_hex(bytes, sizeof(bytes), "control_packets/hello_seqno_1/bytes");
			ended = send(a, bytes, 16, MSG_NOSIGNAL) < 0;
			while (!ended && !answered && poll(&poll_fd, 1, hello < 4000 ? 0 : WORLD_PATIENCE_MS) == 1) {
				const ssize_t n = recv(a, p.bytes, 16, MSG_WAITALL);

				ended = n < 16;
				answered = !ended && p.bytes[8] == STREAM_TLV_IHU;
			}
		}
		if (!answered && !ended)
			fail_msg("%s: neither answered nor closed", vectors_text("reference_verdicts/%zu/name", i));
		answers += answered;
		closed += ended;
		close(a);
	}
	print_message("%u answered, %u closed\n", answers, closed);
	assert_true(answers > closed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_hello, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tlvs_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tlv_down, setup, teardown),
		cmocka_unit_test_setup_teardown(test_blocked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reads_while_blocked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_down, setup, teardown),
		cmocka_unit_test_setup_teardown(test_newer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_ihu, setup_hasty, teardown),
		cmocka_unit_test_setup_teardown(test_no_hello, setup_hasty, teardown),
		cmocka_unit_test_setup_teardown(test_handover, setup_three, teardown),
		cmocka_unit_test_setup_teardown(test_verdicts, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
