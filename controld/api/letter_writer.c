/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a message is three parts: what stands before the payload, the payload in base64, and "}. It is written
 * from any position, so that pieces of every size make the same text. */
#include "controld/api/letter.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "controld/api/base64.h"

/* The topic's member; the names and quotes of the others, two addresses, two keys and an id. */
enum { TOPIC_BYTES = 340 + 16, HEAD_BYTES = LETTER_BEFORE_BYTES + 96 + 2 * IP6_TEXT_BYTES + 2 * 64 + 16 + TOPIC_BYTES };

static const char tail[] = "\"}";

struct letter_writer {
	struct post_message m;
	size_t head_len, payload_len, at; /* of the text; at: written */
	char head[HEAD_BYTES];
};

/* "topic":"...", if there is one. */
static void print_topic(const struct post_message *m, char out[TOPIC_BYTES])
{
	static const char name[] = "\"topic\":\"", end[] = "\",";
	struct wr w = wr_init(out, TOPIC_BYTES);
	char *text;

	if (m->topic_len) {
		wr_bytes(&w, name, strlen(name));
		text = (char *)wr_room(&w, base64_length(m->topic_len));
		assert(text);
		base64_encode(m->topic, m->topic_len, text);
		wr_bytes(&w, end, strlen(end));
	}
	wr_u8(&w, '\0');
	assert(!w.bad);
}

static void print_head(struct letter_writer *w, const uint8_t own_key[32], const char *before)
{
	char id[LETTER_ID_TEXT_BYTES], src[IP6_TEXT_BYTES], dst[IP6_TEXT_BYTES], topic[TOPIC_BYTES];
	char src_key[65], dst_key[65];
	int len;

	letter_id_print(w->m.id, id);
	sodium_bin2hex(src_key, sizeof(src_key), w->m.public_key, 32);
	sodium_bin2hex(dst_key, sizeof(dst_key), own_key, 32);
	print_topic(&w->m, topic);
	len = snprintf(w->head, sizeof(w->head),
		       "{%s\"id\":\"%s\",\"srcIp\":\"%s\",\"srcPk\":\"%s\",\"dstIp\":\"%s\",\"dstPk\":\"%s\",%s"
		       "\"payload\":\"",
		       before, id, ip6_print(&w->m.src, src), src_key, ip6_print(&w->m.dst, dst), dst_key, topic);
	assert(len > 0 && (size_t)len < sizeof(w->head));
	w->head_len = (size_t)len;
}

struct letter_writer *letter_writer_new(struct post_message *m, const uint8_t own_key[32], const char *before)
{
	struct letter_writer *w = calloc(1, sizeof(*w));

	assert(strlen(before) <= LETTER_BEFORE_BYTES);
	if (!w)
		abort();
	w->m = *m;
	*m = (struct post_message){0};
	w->payload_len = base64_length(w->m.len);
	print_head(w, own_key, before);
	return w;
}

size_t letter_writer_length(const struct letter_writer *w)
{
	return w->head_len + w->payload_len + strlen(tail);
}

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Of text, from position at. */
static size_t copy_part(const char *text, size_t len, size_t at, char *out, size_t cap)
{
	const size_t part = min_size(len - at, cap);

	memcpy(out, text + at, part);
	return part;
}

/* The payload's text from position at: whole fours straight into out, or a part of one. */
static size_t write_payload(const struct letter_writer *w, size_t at, char *out, size_t cap)
{
	const uint8_t *bytes = w->m.payload + at / 4 * 3;
	const size_t left = w->m.len - at / 4 * 3;
	char four[4];

	if (at % 4 == 0 && cap >= 4) {
		const size_t part = min_size(left, cap / 4 * 3);

		base64_encode(bytes, part, out);
		return base64_length(part);
	}
	base64_encode(bytes, min_size(left, 3), four);
	return copy_part(four, sizeof(four), at % 4, out, cap);
}

/* At most one part's. */
static size_t write_some(const struct letter_writer *w, char *out, size_t cap)
{
	if (w->at < w->head_len)
		return copy_part(w->head, w->head_len, w->at, out, cap);
	if (w->at < w->head_len + w->payload_len)
		return write_payload(w, w->at - w->head_len, out, cap);
	return copy_part(tail, strlen(tail), w->at - w->head_len - w->payload_len, out, cap);
}

size_t letter_writer_next(struct letter_writer *w, char *out, size_t cap)
{
	const size_t len = letter_writer_length(w);
	size_t done = 0;

	while (done < cap && w->at < len) {
		const size_t part = write_some(w, out + done, cap - done);

		done += part;
		w->at += part;
	}
	return done;
}

void letter_writer_free(struct letter_writer *w)
{
	if (!w)
		return;
	post_message_fini(&w->m);
	free(w);
}
