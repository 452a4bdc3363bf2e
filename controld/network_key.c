/* SPDX-License-Identifier: Apache-2.0 */
/* Read whole or refused: a key that was cut or has something behind it is rather a mistake than a key, and would split
 * the network where nobody sees why. */
#include "controld/network_key.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	FILE_MAX_BYTES = 128,
	HEX_DIGITS = 64,
};
_Static_assert(HEX_DIGITS == 2 * sizeof(struct session_psk), "two digits a byte");

/* The path is cut in the sentence, so that the reason always fits. */
__attribute__((format(printf, 3, 4))) static int fail(char error[NETWORK_KEY_ERROR_BYTES], int result,
						      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, NETWORK_KEY_ERROR_BYTES, format, args);
	va_end(args);
	return result;
}

static int check_file(const char *path, int fd, char error[NETWORK_KEY_ERROR_BYTES])
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail(error, -errno, "cannot look at network key file %.300s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(error, -EINVAL, "network key file %.300s is not a regular file", path);
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return fail(error, -EPERM,
			    "others than its owner may use network key file %.300s (mode %04o): chmod 600 it", path,
			    st.st_mode & 07777U);
	if (st.st_size > FILE_MAX_BYTES)
		return fail(error, -EFBIG,
			    "network key file %.300s is longer than %d bytes: it holds one key and no more", path,
			    FILE_MAX_BYTES);
	return 0;
}

/* Up to size bytes; their number or -errno. */
static ssize_t read_whole(int fd, char *out, size_t size)
{
	size_t got = 0;
	ssize_t n;

	do {
		n = read(fd, out + got, size - got);
		if (n < 0 && errno != EINTR)
			return -errno;
		got += n > 0 ? (size_t)n : 0;
	} while (n != 0 && got < size);
	return (ssize_t)got;
}

static bool is_line_end(const char *text, size_t len)
{
	return len == 0 || (len == 1 && text[0] == '\n') || (len == 2 && memcmp(text, "\r\n", 2) == 0);
}

static int parse(const char *path, const char *text, size_t len, struct session_psk *out,
		 char error[NETWORK_KEY_ERROR_BYTES])
{
	size_t bytes;

	if (len < HEX_DIGITS || !is_line_end(text + HEX_DIGITS, len - HEX_DIGITS) ||
	    sodium_hex2bin(out->b, sizeof(out->b), text, HEX_DIGITS, NULL, &bytes, NULL) < 0 || bytes != sizeof(out->b))
		return fail(error, -EBADMSG, "network key file %.300s does not hold exactly %d hex digits", path,
			    HEX_DIGITS);
	/* It would be the same as none. */
	if (sodium_is_zero(out->b, sizeof(out->b)))
		return fail(error, -EBADMSG, "network key file %.300s holds only zeros: that is no key", path);
	return 0;
}

static int load(const char *path, int fd, struct session_psk *out, char error[NETWORK_KEY_ERROR_BYTES])
{
	char text[FILE_MAX_BYTES];
	ssize_t len;
	int r = check_file(path, fd, error);

	if (r < 0)
		return r;
	len = read_whole(fd, text, sizeof(text));
	r = len < 0 ? fail(error, (int)len, "cannot read network key file %.300s: %s", path, strerror((int)-len))
		    : parse(path, text, (size_t)len, out, error);
	secret_wipe(text, sizeof(text));
	return r;
}

int network_key_load(const char *path, struct session_psk *out, char error[NETWORK_KEY_ERROR_BYTES])
{
	/* Non-blocking, because a FIFO would hold us up here. */
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int r;

	error[0] = '\0';
	secret_wipe(out, sizeof(*out));
	if (fd < 0)
		return fail(error, -errno, "cannot open network key file %.300s: %s", path, strerror(errno));
	r = load(path, fd, out, error);
	close(fd);
	if (r < 0)
		secret_wipe(out, sizeof(*out));
	return r;
}

int network_key_load_all(char *const *paths, size_t count, struct session_psk *out, char error[NETWORK_KEY_ERROR_BYTES])
{
	int r = 0;

	_Static_assert(SESSION_NETWORK_KEYS == 2, "one comparison is enough");
	assert(count <= SESSION_NETWORK_KEYS);
	for (size_t i = 0; i < count && r == 0; i++)
		r = network_key_load(paths[i], &out[i], error);
	if (r == 0 && count == 2 && secret_eq(&out[0], &out[1], sizeof(out[0])))
		r = fail(error, -EEXIST, "network key files %.180s and %.180s hold the same key: name one of them",
			 paths[0], paths[1]);
	if (r < 0)
		secret_wipe(out, count * sizeof(*out));
	return r;
}
