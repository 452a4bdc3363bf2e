/* SPDX-License-Identifier: Apache-2.0 */
/* One real worker, message packets: those of controld sealed, held back or dropped; those for this node opened and
 * given to controld. */
#include "tests/unit/worker_world.h"

enum { MANY = 2000, MANY_BYTES = 1300, LINKS = 8, LARGEST_BYTES = UINT16_MAX - sizeof(struct ctl_user_down) };

static int setup(void **state)
{
	static struct world w;

	world_start(&w, "B", 1, NULL);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	world_stop(*state);
	return 0;
}

static struct ctl_user_down down_to(const char *node)
{
	return (struct ctl_user_down){
		.src = world_address("B"), .dst = world_address(node), .type = WIRE_USER_MESSAGE, .hop_limit = 64};
}

static void put(struct world *w, const struct ctl_user_down *down, const void *bytes, size_t len)
{
	assert_true(mail_put(worker_user_in(w->f.workers[0]), CTL_USER_DOWN, down, sizeof(*down), bytes, len));
}

static void kick(struct world *w)
{
	mail_kick(worker_user_in(w->f.workers[0]));
}

/* A frame of ours to A: header and plaintext to the byte. */
static void expect_frame(const struct world_packet *frame, const struct ctl_user_down *down, const void *bytes,
			 size_t len)
{
	const size_t sealed = len + WIRE_SEALED_MIN_BYTES;
	const uint8_t head[] = {1, 0, 0, 0, (uint8_t)(sealed >> 8), (uint8_t)sealed, 0, down->hop_limit};
	static struct world_packet plain;

	assert_int_equal(frame->len, WIRE_DATA_HEADER_BYTES + sealed);
	assert_memory_equal(frame->bytes, head, sizeof(head));
	assert_memory_equal(frame->bytes + 8, down->src.b, 16);
	assert_memory_equal(frame->bytes + 24, down->dst.b, 16);
	assert_true(world_open("AB", frame, &plain));
	assert_int_equal(plain.len, WIRE_USER_HEADER_BYTES + len);
	assert_memory_equal(plain.bytes, ((const uint8_t[]){1, down->type, 0, 0}), WIRE_USER_HEADER_BYTES);
	assert_memory_equal(plain.bytes + WIRE_USER_HEADER_BYTES, bytes, len);
}

static void test_sealed(void **state)
{
	static const size_t lens[] = {0, 1, 12, 1300, 1360, 20000, LARGEST_BYTES};
	struct world *w = *state;
	static struct world_packet frame, plain, want;
	static uint8_t bytes[LARGEST_BYTES];
	struct ctl_user_down down = down_to("A");
	int a, c;

	world_neighbours(w, &a, &c);
	want.len = vectors_hex(want.bytes, sizeof(want.bytes), "messages/init_as_data_packet/plaintext");
	put(w, &down, want.bytes + WIRE_USER_HEADER_BYTES, want.len - WIRE_USER_HEADER_BYTES);
	kick(w);
	world_next_data(a, &frame);
	assert_true(world_open("AB", &frame, &plain));
	assert_int_equal(plain.len, want.len);
	assert_memory_equal(plain.bytes, want.bytes, want.len);

	memset(bytes, 0x5a, sizeof(bytes));
	/* Any host of the two /64s. */
	down.src.b[15] ^= 1;
	down.dst.b[9] ^= 0x80;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		down.hop_limit = (uint8_t)(255 - i);
		put(w, &down, bytes, lens[i]);
		kick(w);
		world_next_data(a, &frame);
		expect_frame(&frame, &down, bytes, lens[i]);
	}
	assert_int_equal(world_stat(w, STAT_user_sent), 1 + sizeof(lens) / sizeof(lens[0]));
	assert_int_equal(world_stat(w, STAT_sealed), world_stat(w, STAT_user_sent));
	close(a);
	close(c);
}

/* A link to a /64 of its own, whose key is A's. */
static int many_link(struct world *w, uint32_t id, struct ctl_user_down *down)
{
	const struct pubkey pk = world_public("A");
	const struct aead_key secret = world_secret("AB");
	const int fd = world_link(w, id);
	struct prefix p;

	*down = down_to("A");
	down->dst.b[7] = (uint8_t)id;
	p = prefix_make(&down->dst, 64);
	assert_int_equal(table_set_route(w->f.table, &p, id), 0);
	table_set_key(w->f.table, ip6_net64(&down->dst), keys_add(w->f.keys, ip6_net64(&down->dst), &pk, &secret));
	return fd;
}

/* Everything in one go, more than a socket takes: what it does not take is queued, and all of it arrives. */
static void test_many_at_once(void **state)
{
	struct world *w = *state;
	static struct world_packet frame;
	struct ctl_user_down down[LINKS];
	uint8_t bytes[MANY_BYTES] = {0};
	int fd[LINKS];

	for (uint32_t i = 0; i < LINKS; i++)
		fd[i] = many_link(w, 1 + i, &down[i]);
	for (uint32_t i = 0; i < MANY; i++) {
		memcpy(bytes, &i, sizeof(i));
		put(w, &down[i % LINKS], bytes, sizeof(bytes));
	}
	kick(w);
	while (world_stat(w, STAT_user_sent) < MANY)
		poll(NULL, 0, 1);
	for (uint32_t i = 0; i < MANY; i++) {
		memcpy(bytes, &i, sizeof(i));
		world_next_data(fd[i % LINKS], &frame);
		expect_frame(&frame, &down[i % LINKS], bytes, sizeof(bytes));
	}
	assert_int_equal(world_stat(w, STAT_drop_queue_full), 0);
	for (uint32_t i = 0; i < LINKS; i++)
		close(fd[i]);
}

/* All of it to one link, which takes less than comes: in order, what is lost is counted, the last one arrives. */
static void test_one_link(void **state)
{
	struct world *w = *state;
	static struct world_packet frame, plain;
	struct ctl_user_down down = down_to("A");
	uint8_t bytes[MANY_BYTES] = {0};
	uint32_t number = 0, last = 0, got = 0;
	int a, c;

	world_neighbours(w, &a, &c);
	for (uint32_t i = 0; i < MANY; i++) {
		memcpy(bytes, &i, sizeof(i));
		put(w, &down, bytes, sizeof(bytes));
	}
	kick(w);
	while (number != MANY - 1) {
		world_next_data(a, &frame);
		assert_true(world_open("AB", &frame, &plain));
		memcpy(&number, plain.bytes + 4, sizeof(number));
		assert_true(!got || number > last);
		last = number;
		got++;
	}
	assert_int_equal(got + world_stat(w, STAT_drop_queue_full), MANY);
	print_message("%u of %u dropped\n", MANY - got, MANY);
	close(a);
	close(c);
}

/* Counted, and nothing is said to the host, which did not send it. */
static void test_no_route(void **state)
{
	struct world *w = *state;
	const struct ctl_user_down down = down_to("C");
	const int a = world_link(w, 1), c = world_link(w, 2);

	world_route(w, "A", 1);
	put(w, &down, "abc", 3);
	kick(w);
	while (world_stat(w, STAT_drop_no_route) < 1)
		poll(NULL, 0, 1);
	world_route(w, "C", 2);
	world_settle(a, c, "C");
	assert_int_equal(poll(&(struct pollfd){.fd = w->tun, .events = POLLIN}, 1, 0), 0);
	assert_int_equal(world_stat(w, STAT_icmp_local), 0);
	assert_int_equal(world_stat(w, STAT_user_sent), 0);
	assert_int_equal(world_stat(w, STAT_waited), 0);
	close(a);
	close(c);
}

/* Waits with its type, hop limit and addresses, between packets of the host. */
static void test_key_comes(void **state)
{
	struct world *w = *state;
	static struct world_packet packet, frame, plain;
	struct ctl_user_down down = down_to("A");
	struct ctl_want_key want;
	const int a = world_link(w, 1);

	world_route(w, "A", 1);
	down.src.b[15] ^= 1;
	for (uint8_t i = 0; i < 3; i++) {
		down.hop_limit = (uint8_t)(60 + i);
		put(w, &down, (const uint8_t[]){i, 1, 2}, 3);
		kick(w);
		while (world_stat(w, STAT_waited) < 2U * i + 1)
			poll(NULL, 0, 1);
		world_udp("B", "A", i, 100, &packet);
		world_tun_send(w, NULL, packet.bytes, packet.len);
		while (world_stat(w, STAT_waited) < 2U * i + 2)
			poll(NULL, 0, 1);
	}
	world_event(w, 0, CTL_WANT_KEY, &want, sizeof(want));
	assert_int_equal(want.net64, world_net64("A"));
	assert_int_equal(want.own, 1);
	world_key(w, "A", "AB");
	for (uint8_t i = 0; i < 3; i++) {
		down.hop_limit = (uint8_t)(60 + i);
		world_next_data(a, &frame);
		expect_frame(&frame, &down, (const uint8_t[]){i, 1, 2}, 3);
		world_next_data(a, &frame);
		assert_true(world_open("AB", &frame, &plain));
		assert_int_equal(plain.bytes[1], WIRE_USER_L3);
		assert_int_equal(plain.bytes[4 + 48], i);
	}
	assert_int_equal(world_stat(w, STAT_user_sent), 3);
	assert_int_equal(world_stat(w, STAT_sealed), 6);
	close(a);
}

static void test_key_does_not_come(void **state)
{
	struct world *w = *state;
	const struct ctl_no_key none = {.net64 = world_net64("A")};
	const struct ctl_user_down down = down_to("A");
	struct ctl_want_key want;
	const int a = world_link(w, 1);

	world_route(w, "A", 1);
	put(w, &down, "abc", 3);
	put(w, &down, "def", 3);
	kick(w);
	world_event(w, 0, CTL_WANT_KEY, &want, sizeof(want));
	while (world_stat(w, STAT_waited) < 2)
		poll(NULL, 0, 1);
	world_mail(w, 0, CTL_NO_KEY, &none, sizeof(none));
	while (world_stat(w, STAT_drop_no_key) < 2)
		poll(NULL, 0, 1);
	assert_int_equal(world_stat(w, STAT_user_sent), 0);
	close(a);
}

/* The next record that goes up. */
static size_t next_up(struct world *w, struct ctl_user_up *up, uint8_t *bytes, size_t cap)
{
	struct mail *m = worker_user_out(w->f.workers[0]);
	uint16_t type;
	uint8_t *body;
	size_t len;

	while (!mail_next(m, &type, &body, &len)) {
		mail_doze(m);
		if (mail_next(m, &type, &body, &len))
			break;
		world_readable(mail_fd(m));
	}
	assert_int_equal(type, CTL_USER_UP);
	assert_in_range(len, sizeof(*up), sizeof(*up) + cap);
	memcpy(up, body, sizeof(*up));
	memcpy(bytes, body + sizeof(*up), len - sizeof(*up));
	return len - sizeof(*up);
}

static bool has_up(struct world *w)
{
	uint16_t type;
	uint8_t *body;
	size_t len;

	return mail_next(worker_user_out(w->f.workers[0]), &type, &body, &len);
}

static void test_opened(void **state)
{
	struct world *w = *state;
	static struct world_packet frame, got;
	struct ctl_user_up want = {.src = world_address("A"),
				   .dst = world_address("B"),
				   .link = 1,
				   .type = WIRE_USER_MESSAGE},
			   up;
	const struct pubkey pk = world_public("A");
	uint8_t body[100];
	size_t len;
	int a, c;

	memcpy(want.public_key, pk.b, sizeof(want.public_key));

	world_neighbours(w, &a, &c);
	frame.len = vectors_hex(frame.bytes, sizeof(frame.bytes), "messages/init_as_data_packet/packet");
	len = vectors_hex(body, sizeof(body), "messages/message_bytes_without_user_data_header/init");
	world_write(a, frame.bytes, frame.len);
	assert_int_equal(next_up(w, &up, got.bytes, sizeof(got.bytes)), len);
	assert_memory_equal(&up, &want, sizeof(want));
	assert_memory_equal(got.bytes, body, len);

	/* Over the other link, empty, between other hosts of the same two /64s. */
	world_seal(
		&(struct world_frame){
			.from = "A", .to = "B", .pair = "AB", .type = WIRE_USER_MESSAGE, .hop_limit = 2, .body = body},
		&frame);
	want.link = 2;
	want.src.b[15] ^= 1;
	want.dst.b[9] ^= 0x80;
	memcpy(frame.bytes + 8, want.src.b, 16);
	memcpy(frame.bytes + 24, want.dst.b, 16);
	world_write(c, frame.bytes, frame.len);
	assert_int_equal(next_up(w, &up, got.bytes, sizeof(got.bytes)), 0);
	assert_memory_equal(&up, &want, sizeof(want));
	assert_int_equal(world_stat(w, STAT_opened), 2);
	close(a);
	close(c);
}

/* Every truncation of a good frame, a foreign key, other versions and types: nothing goes up. */
static void test_opened_nonsense(void **state)
{
	struct world *w = *state;
	static struct world_packet whole, frame;
	uint8_t body[3] = {1, 2, 3};
	struct world_frame f = {
		.from = "A", .to = "B", .pair = "AB", .hop_limit = 64, .type = WIRE_USER_MESSAGE, .body = body};
	uint64_t cut = 0;
	int a, c;

	world_neighbours(w, &a, &c);
	whole.len = vectors_hex(whole.bytes, sizeof(whole.bytes), "messages/init_as_data_packet/packet");
	for (; WIRE_DATA_HEADER_BYTES + cut < whole.len; cut++) {
		frame = whole;
		frame.bytes[4] = 0;
		frame.bytes[5] = (uint8_t)cut;
		world_write(a, frame.bytes, WIRE_DATA_HEADER_BYTES + cut);
	}
	f.len = sizeof(body);
	f.pair = "AC";
	world_seal(&f, &frame);
	world_write(a, frame.bytes, frame.len);
	/* A's address, but opened by C's key, were it believed. */
	f.pair = "BC";
	world_seal(&f, &frame);
	world_write(a, frame.bytes, frame.len);
	f.pair = "AB";
	for (unsigned type = WIRE_USER_ICMP + 1; type <= UINT8_MAX; type++) {
		f.type = (uint8_t)type;
		world_seal(&f, &frame);
		world_write(a, frame.bytes, frame.len);
	}
	world_settle(a, c, "C");
	assert_int_equal(world_stat(w, STAT_drop_open_short), WIRE_SEALED_MIN_BYTES);
	assert_int_equal(world_stat(w, STAT_drop_open_failed), cut - WIRE_SEALED_MIN_BYTES + 2);
	/* Handshakes, which have a length, are among them. */
	assert_int_equal(world_stat(w, STAT_drop_inner_malformed), WIRE_USER_HINT - WIRE_USER_INIT + 1);
	assert_int_equal(world_stat(w, STAT_drop_user_type),
			 UINT8_MAX - WIRE_USER_ICMP - (WIRE_USER_HINT - WIRE_USER_INIT + 1));
	assert_false(has_up(w));
	close(a);
	close(c);
}

/* A stranger's message waits for the key and still knows the link that it came over. */
static void test_opened_later(void **state)
{
	struct world *w = *state;
	static struct world_packet frame, got;
	struct ctl_want_key want;
	struct ctl_user_up up;
	const int a = world_link(w, 5);

	frame.len = vectors_hex(frame.bytes, sizeof(frame.bytes), "messages/init_as_data_packet/packet");
	world_write(a, frame.bytes, frame.len);
	world_event(w, 0, CTL_WANT_KEY, &want, sizeof(want));
	assert_int_equal(want.own, 0);
	world_key(w, "A", "AB");
	next_up(w, &up, got.bytes, sizeof(got.bytes));
	assert_int_equal(up.link, 5);
	assert_int_equal(up.type, WIRE_USER_MESSAGE);
	close(a);
}

/* Nobody reads what goes up: dropped and counted, and TLVs still go up. */
static void test_mail_full(void **state)
{
	enum { BYTES = 60000, COUNT = LIMIT_CTL_USER_BYTES / BYTES + 20 };
	struct world *w = *state;
	static struct world_packet frame;
	static uint8_t body[BYTES];
	uint8_t update[100];
	struct {
		struct ctl_tlv tlv;
		uint8_t bytes[100];
	} up;
	uint64_t given = 0;
	int a, c;

	world_neighbours(w, &a, &c);
	world_seal(&(struct world_frame){.from = "A",
					 .to = "B",
					 .pair = "AB",
					 .type = WIRE_USER_MESSAGE,
					 .hop_limit = 64,
					 .body = body,
					 .len = sizeof(body)},
		   &frame);
	for (int i = 0; i < COUNT; i++)
		world_write(a, frame.bytes, frame.len);
	world_write(a, update, vectors_hex(update, sizeof(update), "control_packets/update_static_A/bytes"));
	world_event(w, 0, CTL_TLV, &up, sizeof(up));
	assert_int_equal(up.tlv.link, 1);
	while (has_up(w))
		given++;
	assert_in_range(given, (LIMIT_CTL_USER_BYTES - LIMIT_CTL_HANDSHAKE_BYTES) / BYTES - 2,
			LIMIT_CTL_USER_BYTES / BYTES);
	assert_int_equal(world_stat(w, STAT_drop_ctl_full), COUNT - given);
	close(a);
	close(c);
}

/* Messages leave room for handshakes. */
static void test_mail_full_of_messages(void **state)
{
	static const struct {
		size_t len;
		int count;
	} messages[] = {{60000, LIMIT_CTL_USER_BYTES / 60000 + 10}, {1000, 100}, {8, 1000}};
	struct world *w = *state;
	static struct world_packet frame;
	static uint8_t body[60000];
	struct world_frame f = {
		.from = "A", .to = "B", .pair = "AB", .type = WIRE_USER_MESSAGE, .hop_limit = 64, .body = body};
	struct ctl_user_up up;
	uint64_t dropped;
	int a, c;

	world_neighbours(w, &a, &c);
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		f.len = messages[i].len;
		world_seal(&f, &frame);
		for (int n = 0; n < messages[i].count; n++)
			world_write(a, frame.bytes, frame.len);
	}
	world_settle(a, c, "C");
	dropped = world_stat(w, STAT_drop_ctl_full);
	assert_int_not_equal(dropped, 0);
	f.type = WIRE_USER_INIT;
	f.len = 136;
	world_seal(&f, &frame);
	world_write(a, frame.bytes, frame.len);
	world_settle(a, c, "C");
	world_settle(a, c, "C");
	assert_int_equal(world_stat(w, STAT_drop_ctl_full), dropped);
	do
		next_up(w, &up, body, sizeof(body));
	while (up.type == WIRE_USER_MESSAGE);
	assert_int_equal(up.type, WIRE_USER_INIT);
	assert_false(has_up(w));
	close(a);
	close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sealed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_link, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_route, setup, teardown),
		cmocka_unit_test_setup_teardown(test_key_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_key_does_not_come, setup, teardown),
		cmocka_unit_test_setup_teardown(test_opened, setup, teardown),
		cmocka_unit_test_setup_teardown(test_opened_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(test_opened_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mail_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mail_full_of_messages, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
