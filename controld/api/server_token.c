/* SPDX-License-Identifier: Apache-2.0 */
/* The token that clients must give. It lies in locked memory, which is wiped when freed. */
#include "controld/api/server_private.h"

#include "shared/base/secret.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TOKEN_BYTES_MIN = 16, LINE_BYTES = LIMIT_API_TOKEN_BYTES + 3 /* CR LF, and one to see too many */ };

__attribute__((format(printf, 3, 4))) static int fail(char error[API_ERROR_BYTES], int result, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, API_ERROR_BYTES, format, args);
	va_end(args);
	return result;
}

static int check_file(const char *path, int fd, char error[API_ERROR_BYTES])
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail(error, -errno, "the token file %s cannot be read: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(error, -EINVAL, "the token file %s is no file", path);
	if (st.st_mode & 077)
		return fail(error, -EPERM, "the token file %s can be used by others than its owner: chmod 600 %s", path,
			    path);
	return 0;
}

/* Length of the token at the beginning of line; 0: it is none. */
static size_t token_len(const char *line, size_t len)
{
	size_t n = 0;

	while (n < len && line[n] > ' ' && line[n] <= '~')
		n++;
	if (n < TOKEN_BYTES_MIN || n > LIMIT_API_TOKEN_BYTES)
		return 0;
	return n == len || line[n] == '\n' || (line[n] == '\r' && (n + 1 == len || line[n + 1] == '\n')) ? n : 0;
}

int server_token_read(const char *path, char **out, char error[API_ERROR_BYTES])
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char line[LINE_BYTES];
	ssize_t got = 0;
	size_t len = 0;
	int result;

	if (fd < 0)
		return fail(error, -errno, "the token file %s cannot be opened: %s", path, strerror(errno));
	result = check_file(path, fd, error);
	if (result == 0) {
		got = read(fd, line, sizeof(line));
		len = got > 0 ? token_len(line, (size_t)got) : 0;
		if (len == 0)
			result = fail(error, -EINVAL,
				      "the first line of the token file %s must be %d to %d printable characters "
				      "without spaces",
				      path, TOKEN_BYTES_MIN, LIMIT_API_TOKEN_BYTES);
	}
	close(fd);
	if (result == 0) {
		*out = sodium_init() < 0 ? NULL : sodium_malloc(len + 1);
		if (*out) {
			memcpy(*out, line, len);
			(*out)[len] = '\0';
		} else {
			result = fail(error, -ENOMEM, "no memory for the token can be locked");
		}
	}
	secret_wipe(line, sizeof(line));
	return result;
}

void server_token_free(char *token)
{
	sodium_free(token);
}
