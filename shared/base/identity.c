/* SPDX-License-Identifier: Apache-2.0 */
/* The key file holds the 32 raw bytes as drawn: not clamped, and never rewritten. Surplus bytes are ignored. */
#include "shared/base/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(sizeof(struct privkey) == crypto_scalarmult_SCALARBYTES, "an X25519 scalar");
_Static_assert(sizeof(struct pubkey) == crypto_scalarmult_BYTES, "an X25519 point");
_Static_assert(PUBKEY_TEXT_BYTES == 2 * sizeof(struct pubkey) + 1, "hex and the final zero");

/* The error goes out as a sentence, the path cut so that the reason always fits. */
#define sentence(out, ...) snprintf((out), IDENTITY_ERROR_BYTES, __VA_ARGS__)

static struct privkey *privkey_new(void)
{
	/* Idempotent; without it sodium_malloc() has no canary. */
	if (sodium_init() < 0)
		return NULL;
	return sodium_malloc(sizeof(struct privkey));
}

/* From here on the key can be read only. */
static void derive(struct identity *id, const struct network *n, struct privkey *sk)
{
	sodium_mprotect_readonly(sk);
	id->sk = sk;
	crypto_scalarmult_base(id->pk.b, sk->b);
	n->address(&id->pk, &id->address);
	id->own = network_own_prefix(n, &id->pk);
}

int identity_from_bytes(struct identity *id, const struct network *n, const uint8_t sk[32])
{
	struct privkey *copy = privkey_new();

	if (!copy)
		return -ENOMEM;
	memcpy(copy->b, sk, sizeof(copy->b));
	derive(id, n, copy);
	return 0;
}

void identity_fini(struct identity *id)
{
	/* sodium_free() wipes. */
	sodium_free(id->sk);
	id->sk = NULL;
}

/* Reads up to len bytes; their number or -errno. */
static ssize_t read_whole(int fd, uint8_t *out, size_t len)
{
	size_t got = 0;

	while (got < len) {
		const ssize_t n = read(fd, out + got, len - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

static int write_whole(int fd, const uint8_t *bytes, size_t len)
{
	while (len) {
		const ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

static int key_read(int fd, const char *path, struct privkey *sk, char *error, char *warning)
{
	struct stat st;
	ssize_t len;

	if (fstat(fd, &st) < 0) {
		const int err = errno;

		sentence(error, "cannot look at key file %.300s: %s", path, strerror(err));
		return -err;
	}
	if (S_ISDIR(st.st_mode)) {
		sentence(error, "key file %.300s is a directory: name a file in it", path);
		return -EISDIR;
	}
	if (!S_ISREG(st.st_mode)) {
		sentence(error, "key file %.300s is not a regular file", path);
		return -EINVAL;
	}
	len = read_whole(fd, sk->b, sizeof(sk->b));
	if (len < 0) {
		sentence(error, "cannot read key file %.300s: %s", path, strerror((int)-len));
		return (int)len;
	}
	if (len < (ssize_t)sizeof(sk->b)) {
		sentence(error,
			 "key file %.300s is too short: %zd bytes of 32; restore it, or remove it to get a new key and "
			 "address",
			 path, len);
		return -EBADMSG;
	}
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		sentence(warning,
			 "others than its owner may use key file %.300s (mode %04o), and with it your address: chmod "
			 "600 it",
			 path, st.st_mode & 07777U);
	return 0;
}

/* A new name is on the disk only when its directory is. */
static int directory_sync(const char *path)
{
	char copy[PATH_MAX];
	int fd, r = 0;

	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
		return -ENAMETOOLONG;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* A directory that we may write but not read cannot be synced by us; the key is good all the same. */
	if (fd < 0)
		return errno == EACCES ? 0 : -errno;
	/* Some file systems cannot sync a directory, and say EINVAL. */
	if (fsync(fd) < 0 && errno != EINVAL)
		r = -errno;
	close(fd);
	return r;
}

static int key_fill(int fd, struct privkey *sk)
{
	int r;

	randombytes_buf(sk->b, sizeof(sk->b));
	r = write_whole(fd, sk->b, sizeof(sk->b));
	return r == 0 && fsync(fd) < 0 ? -errno : r;
}

/* The written file gets its name, unless something has it. Some file systems know no second name. */
static int key_name(const char *temporary, const char *path)
{
	if (link(temporary, path) == 0)
		return 0;
	if (errno != EPERM && errno != EOPNOTSUPP)
		return -errno;
	return renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) < 0 ? -errno : 0;
}

static void creation_error(const char *path, int err, char *error)
{
	switch (err) {
	case ENOENT:
		sentence(error, "cannot create key file %.300s: its directory does not exist; create it first", path);
		break;
	case ENOTDIR:
		sentence(error, "cannot create key file %.300s: a part of its path is not a directory", path);
		break;
	case EEXIST:
		sentence(error, "key file %.300s is a symbolic link that leads to nothing", path);
		break;
	default:
		sentence(error, "cannot create key file %.300s: %s", path, strerror(err));
	}
}

/* Written under another name, so that a crash never leaves a short key, which would be refused for ever after. */
static int key_create(const char *path, struct privkey *sk, char *error)
{
	char temporary[PATH_MAX];
	int fd, r;

	if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary)) {
		creation_error(path, ENAMETOOLONG, error);
		return -ENAMETOOLONG;
	}
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		const int err = errno;

		creation_error(path, err, error);
		return -err;
	}
	r = key_fill(fd, sk);
	close(fd);
	if (r == 0)
		r = key_name(temporary, path);
	unlink(temporary);
	if (r == 0)
		r = directory_sync(path);
	if (r < 0)
		creation_error(path, -r, error);
	return r;
}

static int key_open(const char *path, char *error)
{
	/* Non-blocking, because a FIFO would hold us up here. */
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	const int err = errno;

	if (fd >= 0)
		return fd;
	if (err == ENOENT)
		sentence(error, "there is no key file %.300s", path);
	else if (err == ENOTDIR)
		sentence(error, "key file %.300s: a part of its path is not a directory", path);
	else if (err == EACCES)
		sentence(error, "key file %.300s may not be read by this user (uid %u): permission denied", path,
			 geteuid());
	else
		sentence(error, "cannot open key file %.300s: %s", path, strerror(err));
	return -err;
}

static int key_load(const char *path, struct privkey *sk, char *error, char *warning)
{
	int fd = key_open(path, error), r;

	if (fd == -ENOENT) {
		r = key_create(path, sk, error);
		if (r != -EEXIST)
			return r;
		/* Another process was quicker, or it is a link to nothing: then the sentence stays. */
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (fd < 0)
			return r;
	}
	if (fd < 0)
		return fd;
	r = key_read(fd, path, sk, error, warning);
	close(fd);
	return r;
}

int identity_load(struct identity *id, const struct network *n, const char *path, char error[IDENTITY_ERROR_BYTES],
		  char warning[IDENTITY_ERROR_BYTES])
{
	struct privkey *sk = privkey_new();
	int r;

	id->sk = NULL;
	error[0] = warning[0] = '\0';
	if (!sk) {
		sentence(error, "no memory for the private key");
		return -ENOMEM;
	}
	r = key_load(path, sk, error, warning);
	if (r < 0) {
		sodium_free(sk);
		return r;
	}
	error[0] = '\0';
	derive(id, n, sk);
	return 0;
}

int identity_shared_secret(const struct identity *id, const struct pubkey *pk, struct aead_key *out)
{
	if (crypto_scalarmult(out->b, id->sk->b, pk->b) == 0)
		return 0;
	secret_wipe(out, sizeof(*out));
	return -EINVAL;
}

const char *identity_id(const struct pubkey *pk, char out[IDENTITY_ID_BYTES])
{
	sodium_bin2hex(out, IDENTITY_ID_BYTES, pk->b, (IDENTITY_ID_BYTES - 1) / 2);
	return out;
}

const char *pubkey_print(const struct pubkey *pk, char out[PUBKEY_TEXT_BYTES])
{
	sodium_bin2hex(out, PUBKEY_TEXT_BYTES, pk->b, sizeof(pk->b));
	return out;
}

int pubkey_parse(const char *text, struct pubkey *out)
{
	struct pubkey pk;
	size_t len;

	if (strlen(text) != PUBKEY_TEXT_BYTES - 1 ||
	    sodium_hex2bin(pk.b, sizeof(pk.b), text, PUBKEY_TEXT_BYTES - 1, NULL, &len, NULL) < 0 ||
	    len != sizeof(pk.b))
		return -EINVAL;
	*out = pk;
	return 0;
}
