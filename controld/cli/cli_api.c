/* SPDX-License-Identifier: Apache-2.0 */
/* The token is read from its file for each request and wiped after it. */
#include "controld/cli/cli_api.h"

#include "controld/cli/cli_text.h"
#include "controld/cli/http_client.h"
#include "shared/base/secret.h"
#include "shared/limits.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	TOKEN_FILE_BYTES = LIMIT_API_TOKEN_BYTES + 3, /* end of line, and one byte that is too many */
	SHOWN_CHARACTERS = 300,
};

static int read_file(const char *path, char *out, size_t size, size_t *len)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	*len = 0;
	if (fd < 0)
		return -errno;
	while (*len < size) {
		n = read(fd, out + *len, size - *len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		*len += (size_t)n;
	}
	if (n < 0)
		n = -errno;
	close(fd);
	return n < 0 ? (int)n : 0;
}

/* The first line of the file, without blanks at its end. */
static int read_token(const struct cli_config *c, char token[TOKEN_FILE_BYTES + 1])
{
	const char *why = NULL;
	size_t len;
	int r = read_file(c->token_file, token, TOKEN_FILE_BYTES, &len);

	token[len] = '\0';
	token[strcspn(token, "\n")] = '\0';
	len = strlen(token);
	while (len && strchr(" \t\r", token[len - 1]))
		token[--len] = '\0';
	if (r < 0)
		why = strerror(-r);
	else if (!len)
		why = "no token in its first line";
	else if (len > LIMIT_API_TOKEN_BYTES)
		why = "the token is too long";
	for (const char *p = token; !why && *p; p++) {
		if (*p <= ' ' || *p > '~')
			why = "the token holds a character that cannot be sent";
	}
	if (!why)
		return 0;
	fputs("Error: --api-token-file ", c->err);
	cli_put_safe(c->err, c->token_file, SHOWN_CHARACTERS);
	fprintf(c->err, ": %s\n", why);
	return r < 0 ? r : -EINVAL;
}

int cli_api_call(const struct cli_config *c, const struct cli_call *call, struct cli_answer *a)
{
	char token[TOKEN_FILE_BYTES + 1] = "", error[HTTP_CLIENT_ERROR_BYTES], where[ENDPOINT_TEXT_BYTES];
	const struct http_client_request request = {
		.to = &c->api,
		.method = call->method,
		.target = call->target,
		.token = c->token_file ? token : NULL,
		.body = call->body,
		.body_len = call->body_len,
		.wait_s = call->wait_s,
	};
	int r = c->token_file ? read_token(c, token) : 0;

	if (r < 0) {
		secret_wipe(token, sizeof(token));
		return r;
	}
	r = http_client_fetch(&request, a, error);
	secret_wipe(token, sizeof(token));
	endpoint_print(&c->api, where);
	if (r == -ENOTCONN)
		fprintf(c->err, "Error: no node answers at %s: %s; is it running, and is --api-addr the same?\n", where,
			error);
	else if (r < 0)
		fprintf(c->err, "Error: what answers at %s is of no use: %s\n", where, error);
	return r;
}

static const char *reason(const struct cli_config *c, int status)
{
	switch (status) {
	case 400:
		return "the node does not understand the request";
	case 401:
		return c->token_file ? "the token of --api-token-file is not the node's"
				     : "the node wants a token: give --api-token-file before the command";
	case 403:
		return "the node does not serve this client";
	case 404:
		return "the node knows nothing of it";
	case 409:
		return "the node refuses";
	case 413:
		return "this is more than the node takes: see its --api-max-body";
	case 503:
		return "the node is not ready, or busy";
	default:
		return "the node's answer is of no use";
	}
}

void cli_api_complain(const struct cli_config *c, const struct cli_answer *a)
{
	fprintf(c->err, "Error: %s (%d)", reason(c, a->status), a->status);
	if (a->len) {
		fputs(": ", c->err);
		cli_put_safe(c->err, a->body, SHOWN_CHARACTERS);
	}
	fputc('\n', c->err);
}

cJSON *cli_api_json(const struct cli_answer *a)
{
	const char *end = NULL;
	cJSON *j = cJSON_ParseWithLengthOpts(a->body, a->len + 1, &end, true);

	/* A zero byte ends a text for the parser. */
	if (j && memchr(a->body, '\0', a->len)) {
		cJSON_Delete(j);
		j = NULL;
	}
	return j;
}

int cli_api_get(const struct cli_config *c, const char *target, bool list, struct cli_answer *a, cJSON **out)
{
	const struct cli_call call = {.method = "GET", .target = target};
	const int r = cli_api_call(c, &call, a);

	if (r < 0)
		return r;
	*out = a->status == 200 ? cli_api_json(a) : NULL;
	if (*out && (cJSON_IsArray(*out) || !list))
		return 0;
	cJSON_Delete(*out);
	cli_api_complain(c, a);
	cli_answer_fini(a);
	return -EBADMSG;
}

int cli_api_do(const struct cli_config *c, const struct cli_call *call)
{
	struct cli_answer a;
	bool ok;

	if (cli_api_call(c, call, &a) < 0)
		return EXIT_FAILURE;
	ok = a.status < 300;
	if (!ok)
		cli_api_complain(c, &a);
	cli_answer_fini(&a);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

void cli_api_put_list(const struct cli_config *c, const char *name, const struct cli_answer *a)
{
	fprintf(c->out, "{\"schema\":1,\"%s\":", name);
	cli_put_json_text(c->out, a->body, a->len);
	fputs("}\n", c->out);
}

bool cli_api_target(const char *prefix, const char *text, char *out, size_t size)
{
	static const char plain[] = "-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	size_t len = (size_t)snprintf(out, size, "%s", prefix);

	for (; *text; text++) {
		if (len + 4 > size)
			return false;
		if (strchr(plain, *text))
			out[len++] = *text;
		else
			len += (size_t)snprintf(out + len, size - len, "%%%02X", (unsigned char)*text);
		out[len] = '\0';
	}
	return true;
}

const cJSON *cli_get(const cJSON *j, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(j, name);
}

const char *cli_get_text(const cJSON *j, const char *name)
{
	return cJSON_GetStringValue(cli_get(j, name));
}

bool cli_get_number(const cJSON *j, const char *name, double *out)
{
	const cJSON *n = cli_get(j, name);

	if (!cJSON_IsNumber(n))
		return false;
	*out = n->valuedouble;
	return true;
}
