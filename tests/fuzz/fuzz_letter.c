/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a client's message, as base64, and as a message that is printed: what is read was said, base64 that is
 * taken is the one that we would print, and pieces of any size make a text that reads back. */
#include "controld/api/letter.h"

#include <stdio.h>
#include <stdlib.h>

#include "controld/api/base64.h"
#include "controld/api/json.h"
#include "shared/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

/* text stands for exactly these bytes. */
static void check_base64(const char *text, const uint8_t *bytes, size_t len)
{
	char *printed = malloc(base64_length(len) + 1);

	must(printed, "memory");
	base64_encode(bytes, len, printed);
	must(strlen(text) == base64_length(len) && memcmp(text, printed, base64_length(len)) == 0, "one base64 only");
	free(printed);
}

static void try_base64(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	uint8_t *bytes;
	size_t len;

	must(text, "memory");
	if (letter_base64(text, &bytes, &len))
		check_base64(text, bytes, len);
	else
		must(!bytes && !len, "nothing where it is refused");
	free(bytes);
	free(text);
}

static void check_letter(const cJSON *j, const struct post_letter *l)
{
	const cJSON *topic = json_get(j, "topic");

	must(json_has(j, "dst"), "there is a destination");
	must(l->deadline_s <= LIMIT_MESSAGE_DEADLINE_S, "the deadline is within its limit");
	check_base64(json_get(j, "payload")->valuestring, l->payload, l->len);
	if (l->topic_len)
		check_base64(topic->valuestring, l->topic, l->topic_len);
	else
		must(l->reply || !topic || cJSON_IsNull(topic) || !*topic->valuestring, "no topic is lost");
}

static void check_refused(int status, const struct post_letter *l, const char *error)
{
	must(status == 400 || status == 422, "a status");
	must(*error || status == 400, "a sentence");
	must(!l->topic && !l->payload && !l->len, "nothing is left");
	for (const char *c = error; *c; c++)
		must(*c >= 0x20 && *c < 0x7f, "printable");
}

static void try_body(const uint8_t *data, size_t size)
{
	static const uint8_t id[RECORD_ID_BYTES] = {1};
	char error[JSON_ERROR_BYTES + LETTER_ERROR_BYTES];
	enum json_verdict verdict;
	cJSON *j = json_parse((const char *)data, size, &verdict, error);

	if (!j)
		return;
	for (int reply = 0; reply < 2; reply++) {
		struct post_letter l;
		const int status = reply ? letter_read_reply(j, &network200, id, &l, error)
					 : letter_read(j, &network200, &l, error);

		if (status)
			check_refused(status, &l, error);
		else
			check_letter(j, &l);
		letter_fini(&l);
	}
	cJSON_Delete(j);
}

/* The first byte: how long pieces are; the second: the topic. The rest is the payload. */
static struct letter_writer *writer_of(const uint8_t *data, size_t size)
{
	static const uint8_t own_key[32] = {1};
	struct post_message m = {.topic_len = data[1]};

	memset(m.topic, data[1], sizeof(m.topic));
	memcpy(m.id, data, 2);
	memset(m.src.b, data[0], 16);
	m.len = size - 2;
	m.payload = malloc(m.len + 1);
	must(m.payload, "memory");
	memcpy(m.payload, data + 2, m.len);
	return letter_writer_new(&m, own_key, "");
}

static void try_writer(const uint8_t *data, size_t size)
{
	struct letter_writer *w = writer_of(data, size);
	const size_t len = letter_writer_length(w);
	char error[JSON_ERROR_BYTES], *text = malloc(len);
	enum json_verdict verdict;
	size_t at = 0, n;
	cJSON *j;

	must(text, "memory");
	while ((n = letter_writer_next(w, text + at, len - at < data[0] + 1u ? len - at : data[0] + 1u)) > 0)
		at += n;
	must(at == len, "as long as told");
	j = json_parse(text, len, &verdict, error);
	must(j, "what is printed can be read");
	check_base64(json_get(j, "payload")->valuestring, data + 2, size - 2);
	must(json_has(j, "topic") == (data[1] != 0), "a topic where there is one");
	cJSON_Delete(j);
	free(text);
	letter_writer_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 4096)
		return 0;
	try_base64(data, size);
	try_body(data, size);
	if (size >= 2)
		try_writer(data, size);
	return 0;
}
