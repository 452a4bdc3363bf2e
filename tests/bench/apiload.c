/* SPDX-License-Identifier: Apache-2.0 */
/* A client of the API that costs little beside the node, for the benchmarks: one connection, no library, one JSON line
 * on stdout. It stands in the namespace of the node, at 127.0.0.1:8989.
 *
 *   apiload livez N                    N times GET /livez on one keep-alive connection
 *   apiload post N BYTES DST           N messages by POST on one such connection; the time ends when the last is
 * received apiload stream N BYTES WINDOW DST  the same by one WebSocket, WINDOW of them not yet received at a time
 *   apiload drain N WINDOW             takes N messages from one stream and acknowledges them
 *   apiload wait N SECONDS             N clients that wait for a message, SECONDS long, from addresses of their own
 *   apiload loris N SECONDS            N connections that send a byte a second, and the latency of GET /livez beside
 * them */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 8989, HEAD_MAX = 65536, PER_ADDRESS = 32 };

struct client {
	int fd;
	size_t have, cap;
	char *in;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static struct client client_new(unsigned address)
{
	const struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001 + address)};
	const struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct client c = {.fd = socket(AF_INET, SOCK_STREAM, 0), .cap = HEAD_MAX};
	const int one = 1;

	setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c.in = malloc(c.cap);
	if (!c.in || bind(c.fd, (const struct sockaddr *)&from, sizeof(from)) < 0 ||
	    connect(c.fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		die("cannot connect: %s", strerror(errno));
	return c;
}

static void put(const struct client *c, const void *bytes, size_t len)
{
	for (const char *p = bytes; len;) {
		const ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			die("send: %s", strerror(errno));
		p += n;
		len -= (size_t)n;
	}
}

/* More bytes; a zero is kept behind them. */
static void more(struct client *c)
{
	ssize_t n;

	if (c->have + 65536 + 1 > c->cap) {
		c->cap = 2 * c->cap + 65536 + 1;
		c->in = realloc(c->in, c->cap);
		if (!c->in)
			die("out of memory");
	}
	n = recv(c->fd, c->in + c->have, c->cap - c->have - 1, 0);
	if (n <= 0)
		die("the node closed the connection: %s", n ? strerror(errno) : "end");
	c->have += (size_t)n;
	c->in[c->have] = '\0';
}

static void eat(struct client *c, size_t len)
{
	memmove(c->in, c->in + len, c->have - len + 1);
	c->have -= len;
}

/* One answer: its status; the body (up to size) into out. */
static int answer(struct client *c, char *out, size_t size)
{
	const char *end, *length;
	size_t head, body = 0;
	int status;

	if (!c->have)
		more(c);
	while (!(end = strstr(c->in, "\r\n\r\n")))
		more(c);
	head = (size_t)(end - c->in) + 4;
	status = atoi(c->in + 9);
	length = strcasestr(c->in, "\r\ncontent-length:");
	if (length && length < end)
		body = strtoul(length + 17, NULL, 10);
	while (c->have < head + body)
		more(c);
	if (out)
		snprintf(out, size, "%.*s", (int)(body < size ? body : size - 1), c->in + head);
	eat(c, head + body);
	return status;
}

static int get(struct client *c, const char *path, char *out, size_t size)
{
	char request[300];

	put(c, request,
	    (size_t)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: 127.0.0.1:8989\r\n\r\n", path));
	return answer(c, out, size);
}

/* base64 of len bytes of the letter x; owned by the caller. */
static char *payload(size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc(len / 3 * 4 + 8), *p = text;

	if (!text)
		die("out of memory");
	for (size_t i = 0; i < len; i += 3) {
		const size_t n = len - i < 3 ? len - i : 3;
		const uint32_t v = 0x780000 | (n > 1 ? 0x7800 : 0) | (n > 2 ? 0x78 : 0);

		p[0] = digits[v >> 18];
		p[1] = digits[v >> 12 & 63];
		p[2] = n > 1 ? digits[v >> 6 & 63] : '=';
		p[3] = n > 2 ? digits[v & 63] : '=';
		p += 4;
	}
	*p = '\0';
	return text;
}

static void say(const char *what, double seconds, long n)
{
	printf("{\"what\":\"%s\",\"count\":%ld,\"seconds\":%.6f,\"per_second\":%.1f}\n", what, n, seconds,
	       (double)n / seconds);
}

static void livez(long n)
{
	struct client c = client_new(0);
	double start = now();

	for (long i = 0; i < n; i++) {
		if (get(&c, "/livez", NULL, 0) != 200)
			die("not alive");
	}
	say("livez", now() - start, n);
}

static bool is_received(struct client *c, const char *id)
{
	char path[80], body[512] = "";

	snprintf(path, sizeof(path), "/api/v1/messages/status/%.16s", id);
	if (get(c, path, body, sizeof(body)) != 200 || strstr(body, "aborted"))
		die("status of %.16s: %s", id, body);
	return strstr(body, "\"received\"") || strstr(body, "\"read\"");
}

static void post(long n, size_t bytes, const char *dst)
{
	struct client c = client_new(0);
	char *data = payload(bytes), *ids = calloc((size_t)n, 16), *request = malloc(strlen(data) + 1000), body[64];
	const int json = snprintf(NULL, 0, "{\"dst\":{\"ip\":\"%s\"},\"payload\":\"%s\"}", dst, data);
	size_t len;
	double start, end = 0;

	if (!ids || !request)
		die("out of memory");
	len = (size_t)sprintf(
		request,
		"POST /api/v1/messages HTTP/1.1\r\nHost: 127.0.0.1:8989\r\nContent-Type: application/json\r\n"
		"Content-Length: %d\r\n\r\n{\"dst\":{\"ip\":\"%s\"},\"payload\":\"%s\"}",
		json, dst, data);
	start = now();
	for (long i = 0; i < n; i++) {
		put(&c, request, len);
		if (answer(&c, body, sizeof(body)) != 201)
			die("POST: %s", body);
		memcpy(ids + 16 * i, body + 7, 16);
	}
	/* Not so often that the asking is what takes the time. */
	while (!is_received(&c, ids + 16 * (n - 1)))
		usleep(200);
	for (long i = 0; i < n; i++) {
		while (!is_received(&c, ids + 16 * i))
			;
		if (i == 0)
			end = now();
	}
	say("post", end - start, n);
}

/* WebSocket (RFC 6455): text frames up to 64 KiB out, masked with zeros; frames in. */

static struct client upgrade(void)
{
	static const char request[] = "GET /api/v1/messages/stream HTTP/1.1\r\nHost: 127.0.0.1:8989\r\nUpgrade: "
				      "websocket\r\nConnection: Upgrade\r\n"
				      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
				      "Sec-WebSocket-Protocol: mycelium.msg.v1+json\r\n\r\n";
	struct client c = client_new(0);
	const char *end;

	put(&c, request, sizeof(request) - 1);
	more(&c);
	while (!(end = strstr(c.in, "\r\n\r\n")))
		more(&c);
	if (strncmp(c.in, "HTTP/1.1 101", 12) != 0)
		die("no upgrade: %.60s", c.in);
	eat(&c, (size_t)(end - c.in) + 4);
	return c;
}

static size_t frame(char *out, const char *text, size_t len)
{
	size_t head = len < 126 ? 6 : 8;

	out[0] = (char)0x81;
	out[1] = (char)(0x80 | (len < 126 ? len : 126));
	if (len >= 126) {
		out[2] = (char)(len >> 8);
		out[3] = (char)len;
	}
	memset(out + head - 4, 0, 4);
	memcpy(out + head, text, len);
	return head + len;
}

static void say_frame(const struct client *c, const char *text)
{
	char out[65536 + 8];

	put(c, out, frame(out, text, strlen(text)));
}

/* The next whole frame at *at, if there is one: its text, and *at moves behind it. Pings are let go: 45 s are enough.
 */
static const char *next_frame(const struct client *c, size_t *at, size_t *len)
{
	const uint8_t *p = (const uint8_t *)c->in + *at;
	const size_t left = c->have - *at;
	size_t head = 2;

	if (left < 2)
		return NULL;
	*len = p[1] & 127;
	if (*len == 126)
		head = 4;
	else if (*len == 127)
		head = 10;
	if (left < head)
		return NULL;
	for (size_t i = 2, n = 0; i < head; i++) {
		n = n << 8 | p[i];
		*len = n;
	}
	if (left < head + *len)
		return NULL;
	if ((p[0] & 15) == 8)
		die("closed with %d: %.*s", *len >= 2 ? p[head] << 8 | p[head + 1] : 0, (int)*len - 2,
		    (const char *)p + head + 2);
	*at += head + *len;
	return (const char *)p + head;
}

static bool has(const char *text, size_t len, const char *what)
{
	return memmem(text, len, what, strlen(what)) != NULL;
}

/* The messages that are on their way, by their ids. */
struct flight {
	char (*ids)[16];
	long count;
};

/* A frame of the node: true if one of them is received, or more (received may be passed over). */
static bool has_landed(struct flight *f, const char *text, size_t len)
{
	const char *id = memmem(text, len, "\"id\":\"", 6);

	if (!id)
		return false;
	if (has(text, len, "\"type\":\"sent\"")) {
		memcpy(f->ids[f->count++], id + 6, sizeof(f->ids[0]));
		return false;
	}
	if (!has(text, len, "\"state\":\"received\"") && !has(text, len, "\"state\":\"read\""))
		return false;
	for (long i = 0; i < f->count; i++) {
		if (memcmp(f->ids[i], id + 6, sizeof(f->ids[0])) != 0)
			continue;
		memcpy(f->ids[i], f->ids[--f->count], sizeof(f->ids[0]));
		return true;
	}
	return false;
}

static void stream(long n, size_t bytes, long window, const char *dst)
{
	struct client c = upgrade();
	char *data = payload(bytes), *text = malloc(strlen(data) + 300),
	     *out = malloc((strlen(data) + 300) * (size_t)window);
	struct flight flight = {.ids = calloc((size_t)window, sizeof(flight.ids[0]))};
	long sent = 0, received = 0;
	double start;

	if (!text || !out || !flight.ids || strlen(data) > 60000)
		die("out of memory, or too long");
	say_frame(&c, "{\"type\":\"init\",\"topic\":\"bm9uZQ==\"}");
	start = now();
	while (received < n) {
		size_t at = 0, len = 0, bulk = 0;

		for (; sent < n && sent - received < window; sent++) {
			const int l = sprintf(
				text, "{\"type\":\"send\",\"ref\":\"%ld\",\"dst\":{\"ip\":\"%s\"},\"payload\":\"%s\"}",
				sent, dst, data);

			bulk += frame(out + bulk, text, (size_t)l);
		}
		if (bulk)
			put(&c, out, bulk);
		more(&c);
		for (const char *f; (f = next_frame(&c, &at, &len));) {
			if (has(f, len, "\"error\"") || has(f, len, "\"aborted\""))
				die("%.*s", (int)len, f);
			received += has_landed(&flight, f, len);
		}
		eat(&c, at);
	}
	say("stream", now() - start, n);
}

static void drain(long n, long window)
{
	struct client c = upgrade();
	char text[100];
	long got = 0, acked = 0;
	double start;

	snprintf(text, sizeof(text), "{\"type\":\"init\",\"window\":%ld}", window);
	say_frame(&c, text);
	start = now();
	while (got < n) {
		size_t at = 0, len = 0;
		unsigned long offset = 0;

		more(&c);
		for (const char *f; (f = next_frame(&c, &at, &len));) {
			const char *o = memmem(f, len, "\"offset\":", 9);

			if (!o || !has(f, len < 40 ? len : 40, "\"msg\""))
				continue;
			if (!got)
				start = now();
			offset = strtoul(o + 9, NULL, 10);
			got++;
		}
		eat(&c, at);
		if (offset && (got - acked >= window / 4 || got >= n)) {
			snprintf(text, sizeof(text), "{\"type\":\"ack\",\"offset\":%lu}", offset);
			say_frame(&c, text);
			acked = got;
		}
	}
	say("drain", now() - start, n);
	/* The acknowledgement is taken before the connection ends. */
	say_frame(&c, "{\"type\":\"ping\"}");
	for (size_t at = 0, len = 0;;) {
		const char *f = next_frame(&c, &at, &len);

		if (f && has(f, len, "pong"))
			break;
		if (!f)
			more(&c);
	}
}

static void wait_many(unsigned n, unsigned seconds)
{
	for (unsigned i = 0; i < n; i++) {
		const struct client c = client_new(1 + i / PER_ADDRESS);
		char request[200];

		put(&c, request,
		    (size_t)snprintf(
			    request, sizeof(request),
			    "GET /api/v1/messages?timeout=%u&topic=bm9uZQ== HTTP/1.1\r\nHost: 127.0.0.1:8989\r\n\r\n",
			    seconds + 60));
	}
	puts("waiting");
	fflush(stdout);
	sleep(seconds);
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Refused and closed ones are opened again: the attack goes on. */
static void loris(unsigned n, unsigned seconds)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct client c = client_new(0xfffe);
	int *fd = calloc(n, sizeof(*fd));
	double *took = calloc(1000000, sizeof(*took)), end = now() + seconds;
	long count = 0;

	if (!fd || !took)
		die("out of memory");
	for (unsigned turn = 0; now() < end && count < 1000000; turn++) {
		/* A tenth of them in each turn of about 100 ms; each sends its byte once a second. */
		const double next = now() + 0.1;

		for (unsigned i = turn % 10; i < n; i += 10) {
			const struct sockaddr_in from = {.sin_family = AF_INET,
							 .sin_addr.s_addr = htonl(0x7f000101 + i / PER_ADDRESS)};

			if (fd[i] && send(fd[i], "G", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
				continue;
			if (fd[i])
				close(fd[i]);
			fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
			(void)bind(fd[i], (const struct sockaddr *)&from, sizeof(from));
			(void)connect(fd[i], (const struct sockaddr *)&to, sizeof(to));
		}
		while (now() < next && count < 1000000) {
			const double start = now();

			if (get(&c, "/livez", NULL, 0) != 200)
				die("not alive");
			took[count++] = now() - start;
			usleep(1000);
		}
	}
	qsort(took, (size_t)count, sizeof(*took), compare);
	printf("{\"what\":\"loris\",\"count\":%ld,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}\n", count,
	       took[count / 2] * 1e3, took[count * 99 / 100] * 1e3, took[count - 1] * 1e3);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	const long n = argc > 2 ? atol(argv[2]) : 0, second = argc > 3 ? atol(argv[3]) : 0;

	if (strcmp(what, "livez") == 0 && argc == 3)
		livez(n);
	else if (strcmp(what, "post") == 0 && argc == 5)
		post(n, (size_t)second, argv[4]);
	else if (strcmp(what, "stream") == 0 && argc == 6)
		stream(n, (size_t)second, atol(argv[4]), argv[5]);
	else if (strcmp(what, "drain") == 0 && argc == 4)
		drain(n, second);
	else if (strcmp(what, "wait") == 0 && argc == 4)
		wait_many((unsigned)n, (unsigned)second);
	else if (strcmp(what, "loris") == 0 && argc == 4)
		loris((unsigned)n, (unsigned)second);
	else
		die("see the head of apiload.c");
	return 0;
}
