/* SPDX-License-Identifier: Apache-2.0 */
/* Records between the two processes: framing, every truncation, and the bounded queue. */
#include "tests/unit/test_ctlsock.h"

#include <errno.h>

#include "shared/limits.h"

static const struct {
	size_t len;
	enum ctl_type type;
	int fds;
} types[] = {
#define CTL(name, NAME, number, fds) {sizeof(struct ctl_##name), CTL_##NAME, fds},
#include "shared/ctl.def"
#undef CTL
};
enum { TYPES = sizeof(types) / sizeof(types[0]) };

static void test_every_type(void **state)
{
	struct pair *p = *state;
	uint8_t body[512], tail[7];

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)i;
	memset(tail, 0xee, sizeof(tail));
	for (size_t i = 0; i < TYPES; i++) {
		for (size_t t = 0; t <= sizeof(tail) && !types[i].fds; t++) {
			p->seen.count = 0;
			assert_true(ctlsock_put(p->a, types[i].type, body, types[i].len, tail, t));
			pump(p);
			assert_int_equal(p->seen.count, 1);
			assert_int_equal(p->seen.at[0].type, types[i].type);
			assert_int_equal(p->seen.at[0].len, types[i].len + t);
			assert_int_equal(p->seen.at[0].fd, -1);
			assert_memory_equal(p->seen.at[0].body, body, types[i].len);
			assert_memory_equal(p->seen.at[0].body + types[i].len, tail, t);
		}
	}
	assert_int_equal(ctlsock_malformed(p->b), 0);
	assert_int_equal(ctlsock_queued(p->a), 0);
}

static void test_gathers(void **state)
{
	struct pair *p = *state;
	static uint8_t datagram[LIMIT_CTL_DATAGRAM_BYTES + 1];
	const struct ctl_ping ping = {.number = 7};
	const struct ctl_tlv tlv = {.link = 3};
	ssize_t len;

	assert_false(ctlsock_wants_write(p->a));
	for (int i = 0; i < 3; i++) {
		assert_true(ctlsock_put(p->a, CTL_PING, &ping, sizeof(ping), NULL, 0));
		assert_true(ctlsock_put(p->a, CTL_TLV, &tlv, sizeof(tlv), "abc", 3));
	}
	assert_true(ctlsock_wants_write(p->a));
	assert_int_equal(ctlsock_queued(p->a), 3 * (16 + 16));
	assert_int_equal(ctlsock_flush(p->a), 0);
	len = recv(ctlsock_fd(p->b), datagram, sizeof(datagram), 0);
	assert_int_equal(len, 3 * (16 + 16));
	assert_int_equal(recv(ctlsock_fd(p->b), datagram, sizeof(datagram), 0), -1);
}

static void test_datagrams_are_bounded(void **state)
{
	struct pair *p = *state;
	static uint8_t datagram[LIMIT_CTL_DATAGRAM_BYTES + 1];
	const struct ctl_route route = {.link = 9};
	size_t total = 0;

	for (int i = 0; i < 2000; i++)
		assert_true(ctlsock_put(p->a, CTL_ROUTE, &route, sizeof(route), NULL, 0));
	assert_int_equal(ctlsock_flush(p->a), 0);
	for (ssize_t len; (len = recv(ctlsock_fd(p->b), datagram, sizeof(datagram), 0)) > 0;) {
		assert_true(len <= LIMIT_CTL_DATAGRAM_BYTES);
		assert_int_equal(len % CTL_ALIGN, 0);
		total += (size_t)len;
		assert_int_equal(ctlsock_flush(p->a), 0);
	}
	assert_true(total >= 2000 * sizeof(route));
	assert_int_equal(ctlsock_queued(p->a), 0);
}

static void test_largest_record(void **state)
{
	struct pair *p = *state;
	static const uint8_t tail[UINT16_MAX];
	const size_t most = LIMIT_CTL_DATAGRAM_BYTES - sizeof(struct ctl_header) - sizeof(struct ctl_tlv);
	const struct ctl_tlv tlv = {.link = 3};

	assert_true(ctlsock_put(p->a, CTL_TLV, &tlv, sizeof(tlv), tail, most));
	assert_false(ctlsock_put(p->a, CTL_TLV, &tlv, sizeof(tlv), tail, most + 1));
	pump(p);
	assert_int_equal(p->seen.count, 1);
	assert_int_equal(p->seen.at[0].len, sizeof(tlv) + most);
}

static void test_full_queue(void **state)
{
	struct pair *p = *state;
	const struct ctl_link_rtt rtt = {.link = 1};
	const struct ctl_tlv tlv = {.link = 3};
	const struct ctl_ping ping = {.number = 1};
	size_t put = 0;
	uint8_t tail[500] = {0};

	while (ctlsock_put(p->a, CTL_TLV, &tlv, sizeof(tlv), tail, sizeof(tail)))
		put++;
	assert_true(ctlsock_queued(p->a) <= LIMIT_CTL_QUEUE_BYTES);
	assert_true(ctlsock_queued(p->a) > LIMIT_CTL_QUEUE_BYTES - 512);
	while (ctlsock_put(p->a, CTL_LINK_RTT, &rtt, sizeof(rtt), NULL, 0))
		put++;
	assert_int_equal(ctlsock_queued(p->a), LIMIT_CTL_QUEUE_BYTES);
	assert_true(ctlsock_put(p->a, CTL_PING, &ping, sizeof(ping), NULL, 0));
	assert_int_equal(ctlsock_flush(p->a), 0);
	assert_true(ctlsock_wants_write(p->a));
	pump(p);
	assert_int_equal(p->seen.count, put + 1);
	assert_int_equal(p->seen.at[put].type, CTL_PING);
	assert_true(ctlsock_put(p->a, CTL_TLV, &tlv, sizeof(tlv), tail, sizeof(tail)));
}

/* What strangers cause, or is told again, is dropped where the queue is full; the rest is not. */
static void test_what_is_dropped(void **state)
{
	static const enum ctl_type dropped[] = {CTL_TLV,	  CTL_LINK_RTT,	     CTL_WANT_KEY,
						CTL_SESSION_WANT, CTL_SESSION_STRAY, CTL_SESSION_REFUSED,
						CTL_SESSION_USE};
	static const uint8_t body[512];
	struct pair *p = *state;

	assert_false(ctlsock_is_full(p->a));
	while (!ctlsock_is_full(p->a))
		assert_true(ctlsock_put(p->a, CTL_PING, body, sizeof(body), NULL, 0));
	assert_true(ctlsock_queued(p->a) >= LIMIT_CTL_QUEUE_BYTES);
	for (size_t i = 0; i < TYPES; i++) {
		bool keep = true;

		for (size_t d = 0; d < sizeof(dropped) / sizeof(dropped[0]); d++)
			keep = keep && types[i].type != dropped[d];
		assert_int_equal(ctlsock_put(p->a, types[i].type, body, types[i].len, NULL, 0), keep);
	}
	pump(p);
	assert_false(ctlsock_is_full(p->a));
}

/* Each fills its own queue; what is not user data goes first, and leaves user data in order. */
static void test_user_data_apart(void **state)
{
	struct pair *p = *state;
	static const uint8_t tail[1360 - sizeof(struct ctl_header) - sizeof(struct ctl_user_down)];
	const struct ctl_want_key want = {.net64 = 1};
	const struct ctl_tlv tlv = {.link = 3};
	struct ctl_user_down down = {.hop_limit = 64};
	struct ctl_user_up up = {.link = 1};
	size_t user = 0, other = 0;

	for (;; user++) {
		memcpy(down.dst.b, &user, sizeof(user));
		if (!ctlsock_put(p->a, CTL_USER_DOWN, &down, sizeof(down), tail, sizeof(tail)))
			break;
	}
	assert_int_equal(user, LIMIT_CTL_USER_BYTES / 1360);
	assert_int_equal(ctlsock_user_room(p->a), LIMIT_CTL_USER_BYTES % 1360);
	assert_false(ctlsock_put(p->a, CTL_USER_UP, &up, sizeof(up), tail, sizeof(tail)));
	while (ctlsock_put(p->a, CTL_TLV, &tlv, sizeof(tlv), tail, sizeof(tail)))
		other++;
	assert_int_equal(other, LIMIT_CTL_QUEUE_BYTES / (1360 - sizeof(down) + 8));
	while (ctlsock_put(p->a, CTL_WANT_KEY, &want, sizeof(want), NULL, 0))
		other++;
	assert_true(ctlsock_put(p->a, CTL_PING, &(const struct ctl_ping){1}, sizeof(struct ctl_ping), NULL, 0));
	other++;
	pump(p);
	assert_int_equal(p->seen.count, other + user);
	assert_int_equal(p->seen.at[other - 1].type, CTL_PING);
	for (size_t i = 0; i < user; i++) {
		assert_int_equal(p->seen.at[other + i].type, CTL_USER_DOWN);
		assert_int_equal(p->seen.at[other + i].len, sizeof(down) + sizeof(tail));
		memcpy(&down, p->seen.at[other + i].body, sizeof(down));
		assert_memory_equal(down.dst.b, &i, sizeof(i));
	}
	assert_int_equal(ctlsock_queued(p->a), 0);
	assert_int_equal(ctlsock_user_room(p->a), LIMIT_CTL_USER_BYTES);
}

static void test_reads_sixteen(void **state)
{
	struct pair *p = *state;
	uint8_t bytes[16];
	const size_t len = record(bytes, CTL_PING, sizeof(struct ctl_ping));

	for (int i = 0; i < 20; i++)
		send_raw(p->raw, bytes, len, 0);
	assert_int_equal(ctlsock_read(p->b), 0);
	assert_int_equal(p->seen.count, 16);
	assert_int_equal(ctlsock_read(p->b), 0);
	assert_int_equal(p->seen.count, 20);
}

static void test_every_truncation(void **state)
{
	struct pair *p = *state;
	const size_t one = 16, two = one + 8 + 100;
	uint8_t whole[128] = {0};

	record(whole, CTL_PING, sizeof(struct ctl_ping));
	record(whole + one, CTL_TLV, two - one - sizeof(struct ctl_header));
	for (size_t len = 1; len <= two; len++) {
		const uint64_t before = ctlsock_malformed(p->b);
		const size_t expected = len < 12 ? 0 : len < two ? 1 : 2;

		p->seen.count = 0;
		send_raw(p->raw, whole, len, 0);
		assert_int_equal(ctlsock_read(p->b), 0);
		assert_int_equal(p->seen.count, expected);
		/* Cut between the records, or in the padding between them, nothing is wrong. */
		assert_int_equal(ctlsock_malformed(p->b) - before, (len >= 12 && len <= one) || len == two ? 0 : 1);
	}
}

static void test_every_short_body(void **state)
{
	struct pair *p = *state;
	uint8_t bytes[512] = {0};

	for (size_t i = 0; i < TYPES; i++) {
		for (size_t len = 0; len < types[i].len; len++) {
			const uint64_t before = ctlsock_malformed(p->b);
			const size_t fds = open_fds();

			send_raw(p->raw, bytes, record(bytes, types[i].type, len), (size_t)types[i].fds);
			assert_int_equal(ctlsock_read(p->b), 0);
			assert_int_equal(p->seen.count, 0);
			assert_int_equal(ctlsock_malformed(p->b), before + 1);
			assert_int_equal(open_fds(), fds);
		}
	}
}

/* The records after a bad one, or an unknown one, still arrive. */
static void test_steps_over(void **state)
{
	struct pair *p = *state;
	uint8_t bytes[128] = {0};

	record(bytes, UNKNOWN_TYPE, 5);
	record(bytes + 16, 0, 3);
	record(bytes + 24, CTL_ROUTE, 3);
	record(bytes + 32, CTL_PING, sizeof(struct ctl_ping));
	send_raw(p->raw, bytes, 48, 0);
	assert_int_equal(ctlsock_read(p->b), 0);
	assert_int_equal(p->seen.count, 1);
	assert_int_equal(p->seen.at[0].type, CTL_PING);
	assert_int_equal(ctlsock_malformed(p->b), 1);
}

static void test_datagram_too_long(void **state)
{
	struct pair *p = *state;
	static uint8_t bytes[LIMIT_CTL_DATAGRAM_BYTES + 8];

	for (size_t at = 0; at < sizeof(bytes); at += 16)
		record(bytes + at, CTL_PING, at + 16 <= sizeof(bytes) ? sizeof(struct ctl_ping) : 0);
	send_raw(p->raw, bytes, sizeof(bytes), 1);
	assert_int_equal(ctlsock_read(p->b), 0);
	assert_int_equal(p->seen.count, 0);
	assert_int_equal(ctlsock_malformed(p->b), 1);
}

static void test_end(void **state)
{
	struct pair *p = *state;
	const struct ctl_ping ping = {.number = 1};

	assert_true(ctlsock_put(p->a, CTL_PING, &ping, sizeof(ping), NULL, 0));
	assert_int_equal(ctlsock_flush(p->a), 0);
	ctlsock_free(p->a);
	p->a = NULL;
	close(p->raw);
	p->raw = -1;
	/* What was sent before the end is still read. */
	assert_int_equal(ctlsock_read(p->b), -EPIPE);
	assert_int_equal(p->seen.count, 1);
	assert_true(ctlsock_put(p->b, CTL_PING, &ping, sizeof(ping), NULL, 0));
	assert_int_equal(ctlsock_flush(p->b), -EPIPE);
	ctlsock_free(NULL);
}

static void on_ping(void *ctx, enum ctl_type type, const void *body, size_t len, int fd)
{
	struct ctlsock **s = ctx;

	assert_int_equal(type, CTL_PING);
	assert_int_equal(fd, -1);
	assert_true(ctlsock_put(*s, CTL_PONG, body, len, NULL, 0));
}

static void test_answer_in_callback(void **state)
{
	static const struct ctlsock_ops answering = {.record = on_ping};
	struct pair *p = *state;
	struct ctlsock *s;
	const struct ctl_ping ping = {.number = 77};
	const int fd = fcntl(ctlsock_fd(p->b), F_DUPFD_CLOEXEC, 0);

	s = ctlsock_new(fd, &answering, &s);
	assert_true(ctlsock_put(p->a, CTL_PING, &ping, sizeof(ping), NULL, 0));
	assert_int_equal(ctlsock_flush(p->a), 0);
	assert_int_equal(ctlsock_read(s), 0);
	assert_int_equal(ctlsock_flush(s), 0);
	assert_int_equal(ctlsock_read(p->a), 0);
	assert_int_equal(p->seen.count, 1);
	assert_int_equal(p->seen.at[0].type, CTL_PONG);
	assert_memory_equal(p->seen.at[0].body, &ping, sizeof(ping));
	ctlsock_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(test_every_type),
		pair_test(test_gathers),
		pair_test(test_datagrams_are_bounded),
		pair_test(test_largest_record),
		pair_test(test_full_queue),
		pair_test(test_what_is_dropped),
		pair_test(test_user_data_apart),
		pair_test(test_reads_sixteen),
		pair_test(test_every_truncation),
		pair_test(test_every_short_body),
		pair_test(test_steps_over),
		pair_test(test_datagram_too_long),
		pair_test(test_end),
		pair_test(test_answer_in_callback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
