/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as the commands read and print them (wire-200 8.3 to 8.5), to the byte. */
#ifndef CONTROLD_CLI_LETTER_H
#define CONTROLD_CLI_LETTER_H

#include "controld/cli/cli.h"
#include "controld/cli/cli_answer.h"

enum {
	CLI_LETTER_TOPIC_BYTES_MAX = 255,
	CLI_LETTER_ID_BYTES = 17, /* 16 hexadecimal digits and a zero */
	/* Wait for ever, as the reference does. */
	CLI_LETTER_WAIT_S = 31536000,
};

struct cli_letter {
	char id[CLI_LETTER_ID_BYTES];
	char *texts[4]; /* owned: srcIp, srcPk, dstIp, dstPk; all NULL: the id alone was sent */
	uint8_t *topic, *payload; /* owned */
	size_t topic_len, payload_len;
	bool has_topic;
};

/* An answer that is {"id":...} or a message; false: neither. Fini in either case. */
bool cli_letter_read(struct cli_letter *l, const struct cli_answer *a);
void cli_letter_fini(struct cli_letter *l);
static inline bool cli_letter_is_message(const struct cli_letter *l)
{
	return l->texts[0];
}
/* The CLI message JSON, or {"id":...}; and a newline. */
void cli_letter_print(const struct cli_config *c, const struct cli_letter *l, bool with_payload);
/* Standard base64 of bytes. */
void cli_letter_put_base64(FILE *out, const void *bytes, size_t len);

#endif
