/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/cli/cli_letter.h"

#include "controld/cli/cli_api.h"
#include "controld/cli/cli_text.h"
#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum {
	PIECE_BYTES = 3 * 4096,
	PIECE_TEXT_BYTES = PIECE_BYTES / 3 * 4 + 1,
};

static const char *const names[] = {"srcIp", "srcPk", "dstIp", "dstPk"};

static bool read_id(const char *text, char out[CLI_LETTER_ID_BYTES])
{
	static const char digits[] = "0123456789abcdefABCDEF";

	if (!text || strlen(text) != CLI_LETTER_ID_BYTES - 1 || text[strspn(text, digits)])
		return false;
	for (int i = 0; i < CLI_LETTER_ID_BYTES; i++)
		out[i] = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] - 'A' + 'a') : text[i];
	return true;
}

static bool read_base64(const char *text, uint8_t **out, size_t *len)
{
	const size_t text_len = strlen(text);
	const char *end;

	*out = malloc(text_len + 1);
	return *out &&
	       sodium_base642bin(*out, text_len + 1, text, text_len, NULL, len, &end, sodium_base64_VARIANT_ORIGINAL) ==
		       0 &&
	       *end == '\0';
}

static bool read_message(struct cli_letter *l, const cJSON *j)
{
	const char *topic = cli_get_text(j, "topic"), *payload = cli_get_text(j, "payload");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *text = cli_get_text(j, names[i]);

		if (!text)
			return false;
		l->texts[i] = strdup(text);
		assert(l->texts[i]);
	}
	l->has_topic = topic;
	return payload && read_base64(payload, &l->payload, &l->payload_len) &&
	       (!topic || read_base64(topic, &l->topic, &l->topic_len));
}

bool cli_letter_read(struct cli_letter *l, const struct cli_answer *a)
{
	cJSON *j = cli_api_json(a);
	bool ok;

	*l = (struct cli_letter){0};
	ok = read_id(cli_get_text(j, "id"), l->id);
	if (ok && cli_get(j, "payload"))
		ok = read_message(l, j);
	cJSON_Delete(j);
	return ok;
}

void cli_letter_fini(struct cli_letter *l)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		free(l->texts[i]);
	free(l->topic);
	free(l->payload);
}

void cli_letter_put_base64(FILE *out, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	char text[PIECE_TEXT_BYTES];

	for (size_t n; len; p += n, len -= n) {
		n = len < PIECE_BYTES ? len : PIECE_BYTES;
		fputs(sodium_bin2base64(text, sizeof(text), p, n, sodium_base64_VARIANT_ORIGINAL), out);
	}
}

/* The text itself if it is one; nothing tells the two forms apart. */
static void put_bytes(const struct cli_config *c, const char *name, const uint8_t *bytes, size_t len)
{
	fprintf(c->out, ",\"%s\":", name);
	if (cli_utf8_is_valid(bytes, len)) {
		cli_put_json_string(c->out, (const char *)bytes, len, c->terminal);
		return;
	}
	fputc('"', c->out);
	cli_letter_put_base64(c->out, bytes, len);
	fputc('"', c->out);
}

void cli_letter_print(const struct cli_config *c, const struct cli_letter *l, bool with_payload)
{
	fprintf(c->out, "{\"id\":\"%s\"", l->id);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && l->texts[i]; i++) {
		fprintf(c->out, ",\"%s\":", names[i]);
		cli_put_json_string(c->out, l->texts[i], strlen(l->texts[i]), c->terminal);
	}
	if (l->has_topic)
		put_bytes(c, "topic", l->topic, l->topic_len);
	if (cli_letter_is_message(l) && with_payload)
		put_bytes(c, "payload", l->payload, l->payload_len);
	fputs("}\n", c->out);
}
