/* SPDX-License-Identifier: Apache-2.0 */
/* Files of network keys: what is taken, and what is refused with which sentence. */
#include "controld/network_key.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define OTHER "0123456789abcdefABCDEF0123456789abcdefABCDEF0123456789abcdefABCD"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

enum { PATH_BYTES = 96 };

static char dir[] = "/tmp/test_network_key-XXXXXX";

static char *path_of(const char *name, char out[PATH_BYTES])
{
	snprintf(out, PATH_BYTES, "%s/%s", dir, name);
	return out;
}

/* A file with these bytes and that mode, in the place of the old one. */
static void write_file(const char *name, const char *bytes, size_t len, mode_t mode)
{
	char path[PATH_BYTES];
	FILE *f;

	unlink(path_of(name, path));
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void assert_wiped(const struct session_psk *k)
{
	static const struct session_psk zeros;

	assert_memory_equal(k, &zeros, sizeof(zeros));
}

/* One sentence that names the file and says why, and shows nothing of what is in it. */
static void refused(const char *name, int result, const char *why)
{
	char path[PATH_BYTES], error[NETWORK_KEY_ERROR_BYTES] = "";
	struct session_psk k = {{7}};

	assert_int_equal(network_key_load(path_of(name, path), &k, error), result);
	assert_non_null(strstr(error, path));
	if (!strstr(error, why))
		fail_msg("\"%s\" is not in: %s", why, error);
	assert_null(strstr(error, "0102"));
	assert_null(strchr(error, '\n'));
	assert_wiped(&k);
}

static void test_taken(void **state)
{
	static const char *const ends[] = {"", "\n", "\r\n"};
	char path[PATH_BYTES], error[NETWORK_KEY_ERROR_BYTES], text[80];
	struct session_psk k;

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(text, sizeof(text), KEY "%s", ends[i]);
		write_file("key", text, strlen(text), i ? 0400 : 0600);
		assert_int_equal(network_key_load(path_of("key", path), &k, error), 0);
		assert_string_equal(error, "");
		for (unsigned b = 0; b < sizeof(k.b); b++)
			assert_int_equal(k.b[b], b);
	}
	write_file("key", OTHER, strlen(OTHER), 0600);
	assert_int_equal(network_key_load(path_of("key", path), &k, error), 0);
	assert_int_equal(k.b[0], 0x01);
	assert_int_equal(k.b[8], 0xAB);
	assert_int_equal(k.b[31], 0xCD);
}

static void test_contents_refused(void **state)
{
	static const char *const table[] = {
		"x" KEY,
		" " KEY,
		"\n" KEY,
		KEY "0",
		KEY " ",
		KEY "\r",
		KEY "\n\n",
		KEY "\n\r",
		KEY "\r\n\n",
		KEY "\n" KEY,
		"0x" KEY,
		"00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13:14:15",
		"g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1 ",
	};
	static const char zero_byte[] = KEY "\0";

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		write_file("bad", table[i], strlen(table[i]), 0600);
		refused("bad", strlen(table[i]) > 128 ? -EFBIG : -EBADMSG, strlen(table[i]) > 128 ? "128" : "64 hex");
	}
	write_file("bad", zero_byte, sizeof(zero_byte), 0600);
	refused("bad", -EBADMSG, "64 hex digits");
	write_file("bad", ZEROS, strlen(ZEROS), 0600);
	refused("bad", -EBADMSG, "only zeros");
}

static void test_every_truncation(void **state)
{
	(void)state;
	for (size_t len = 0; len < strlen(KEY); len++) {
		write_file("cut", KEY, len, 0600);
		refused("cut", -EBADMSG, "64 hex digits");
	}
}

static void test_long_file(void **state)
{
	char bytes[129];

	(void)state;
	memset(bytes, 'a', sizeof(bytes));
	write_file("long", bytes, 128, 0600);
	refused("long", -EBADMSG, "64 hex digits");
	write_file("long", bytes, 129, 0600);
	refused("long", -EFBIG, "longer than 128 bytes");
}

static void test_modes(void **state)
{
	static const mode_t open_ones[] = {0640, 0604, 0620, 0602, 0610, 0601, 0666};

	(void)state;
	for (size_t i = 0; i < sizeof(open_ones) / sizeof(open_ones[0]); i++) {
		write_file("open", KEY, strlen(KEY), open_ones[i]);
		refused("open", -EPERM, "chmod 600");
	}
}

static void test_no_regular_file(void **state)
{
	char path[PATH_BYTES];

	(void)state;
	refused("nothing", -ENOENT, "No such file");
	assert_int_equal(mkdir(path_of("folder", path), 0700), 0);
	refused("folder", -EINVAL, "not a regular file");
	assert_int_equal(rmdir(path), 0);
	/* Nobody writes into it: it must not be waited for. */
	assert_int_equal(mkfifo(path_of("fifo", path), 0600), 0);
	refused("fifo", -EINVAL, "not a regular file");
	assert_int_equal(unlink(path), 0);
}

static void test_all(void **state)
{
	char a[PATH_BYTES], b[PATH_BYTES], error[NETWORK_KEY_ERROR_BYTES];
	char *const paths[] = {path_of("a", a), path_of("b", b)};
	struct session_psk keys[SESSION_NETWORK_KEYS];

	(void)state;
	assert_int_equal(network_key_load_all(NULL, 0, keys, error), 0);
	write_file("a", KEY, strlen(KEY), 0600);
	write_file("b", OTHER, strlen(OTHER), 0600);
	assert_int_equal(network_key_load_all(paths, 1, keys, error), 0);
	assert_int_equal(network_key_load_all(paths, 2, keys, error), 0);
	assert_int_equal(keys[0].b[31], 0x1f);
	assert_int_equal(keys[1].b[31], 0xCD);
	/* The first is not left behind when the second is refused. */
	write_file("b", "", 0, 0600);
	assert_int_equal(network_key_load_all(paths, 2, keys, error), -EBADMSG);
	assert_non_null(strstr(error, b));
	assert_wiped(&keys[0]);
	assert_wiped(&keys[1]);
	write_file("b", KEY "\n", strlen(KEY) + 1, 0600);
	assert_int_equal(network_key_load_all(paths, 2, keys, error), -EEXIST);
	assert_non_null(strstr(error, a));
	assert_non_null(strstr(error, b));
	assert_non_null(strstr(error, "the same key"));
	assert_wiped(&keys[0]);
	assert_wiped(&keys[1]);
}

/* The sentence stays whole where the path is longer than it. */
static void test_long_path(void **state)
{
	char path[1024], error[NETWORK_KEY_ERROR_BYTES];
	struct session_psk k;

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(network_key_load(path, &k, error), -ENAMETOOLONG);
	assert_non_null(strstr(error, "File name too long"));
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	static const char *const names[] = {"key", "bad", "cut", "long", "open", "a", "b"};
	char path[PATH_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(path_of(names[i], path));
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_contents_refused),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_long_file),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_no_regular_file),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_long_path),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, make_dir, remove_dir);
}
