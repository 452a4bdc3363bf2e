/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and key files: the known answers, and one sentence for each thing that can be wrong with a file. */
#include "shared/base/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controld/cli/inspect.h"
#include "tests/support/vectors.h"

enum { TEXT_BYTES = 1024, NOBODY = 65534 };

static char folder[32];
static char path[64];
static char error[IDENTITY_ERROR_BYTES], warning[IDENTITY_ERROR_BYTES];

static int remove_one(const char *name, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(name);
}

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/test_identity.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/key", folder);
	umask(022);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void write_file(const void *bytes, size_t len, mode_t mode)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* The file's bytes; their number. */
static size_t read_file(uint8_t out[TEXT_BYTES])
{
	FILE *f = fopen(path, "re");
	size_t len;

	assert_non_null(f);
	len = fread(out, 1, TEXT_BYTES, f);
	fclose(f);
	return len;
}

static void test_nodes(void **state)
{
	(void)state;
	for (const char *node = "ABC"; *node; node++) {
		uint8_t sk[32], expected[32];
		char text[PREFIX_TEXT_BYTES], hex[PUBKEY_TEXT_BYTES], name[IDENTITY_ID_BYTES];
		struct identity id;

		assert_int_equal(vectors_hex(sk, sizeof(sk), "nodes/%c/secret_key_file", *node), 32);
		assert_int_equal(identity_from_bytes(&id, &network200, sk), 0);
		vectors_hex(expected, sizeof(expected), "nodes/%c/public_key", *node);
		assert_memory_equal(id.pk.b, expected, 32);
		assert_memory_equal(id.sk->b, sk, 32);
		assert_string_equal(ip6_print(&id.address, text), vectors_text("nodes/%c/address", *node));
		assert_string_equal(prefix_print(&id.own, text), vectors_text("nodes/%c/subnet", *node));
		assert_string_equal(pubkey_print(&id.pk, hex), vectors_text("nodes/%c/public_key", *node));
		assert_string_equal(identity_id(&id.pk, name), strndupa(hex, 16));
		identity_fini(&id);
		identity_fini(&id);
	}
}

static void test_shared_secrets(void **state)
{
	static const char pairs[][3] = {"AB", "BC", "AC"};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct identity id[2];
		struct aead_key expected, secret;

		vectors_hex(expected.b, sizeof(expected.b), "shared_secrets/%s", pairs[i]);
		for (int n = 0; n < 2; n++) {
			uint8_t sk[32];

			vectors_hex(sk, sizeof(sk), "nodes/%c/secret_key_file", pairs[i][n]);
			assert_int_equal(identity_from_bytes(&id[n], &network200, sk), 0);
		}
		for (int n = 0; n < 2; n++) {
			assert_int_equal(identity_shared_secret(&id[n], &id[!n].pk, &secret), 0);
			assert_true(secret_eq(&secret, &expected, sizeof(secret)));
		}
		identity_fini(&id[0]);
		identity_fini(&id[1]);
	}
}

static void test_low_order_keys(void **state)
{
	/* 0, 1 and p - 1. */
	static const struct pubkey low[] = {
		{{0}},
		{{1}},
		{{0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}},
	};
	static const struct aead_key zero;
	const uint8_t sk[32] = {1, 2, 3};
	struct aead_key secret;
	struct identity id;

	(void)state;
	assert_int_equal(identity_from_bytes(&id, &network200, sk), 0);
	for (size_t i = 0; i < sizeof(low) / sizeof(low[0]); i++) {
		memset(&secret, 0xaa, sizeof(secret));
		assert_int_equal(identity_shared_secret(&id, &low[i], &secret), -EINVAL);
		assert_true(secret_eq(&secret, &zero, sizeof(secret)));
	}
	identity_fini(&id);
}

static void test_pubkey_text(void **state)
{
	static const char good[] = "07A37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7C";
	char text[PUBKEY_TEXT_BYTES + 2];
	struct pubkey pk;

	(void)state;
	assert_int_equal(pubkey_parse(good, &pk), 0);
	assert_string_equal(pubkey_print(&pk, text),
			    "07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c");
	for (size_t len = 0; len < sizeof(good) - 1; len++) {
		memcpy(text, good, len);
		text[len] = '\0';
		assert_int_equal(pubkey_parse(text, &pk), -EINVAL);
	}
	for (size_t at = 0; at < sizeof(good) - 1; at++) {
		memcpy(text, good, sizeof(good));
		text[at] = "g :\xff"[at % 4];
		assert_int_equal(pubkey_parse(text, &pk), -EINVAL);
	}
	snprintf(text, sizeof(text), "%s0", good);
	assert_int_equal(pubkey_parse(text, &pk), -EINVAL);
}

static void test_zeroed(void **state)
{
	struct identity id = {0};

	(void)state;
	identity_fini(&id);
}

static void test_made_once(void **state)
{
	uint8_t first[TEXT_BYTES], second[TEXT_BYTES];
	struct identity a, b;
	struct stat st;

	(void)state;
	umask(0);
	assert_int_equal(identity_load(&a, &network200, path, error, warning), 0);
	assert_string_equal(error, "");
	assert_string_equal(warning, "");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(read_file(first), 32);
	assert_memory_equal(first, a.sk->b, 32);
	assert_int_equal(identity_load(&b, &network200, path, error, warning), 0);
	assert_true(pubkey_eq(&a.pk, &b.pk));
	assert_int_equal(read_file(second), 32);
	assert_memory_equal(first, second, 32);
	identity_fini(&a);
	identity_fini(&b);
}

/* All ones: clamping would change four of its bits, and so would not survive. */
static void test_unclamped_bytes_stay(void **state)
{
	uint8_t ones[33], after[TEXT_BYTES];
	struct identity id;

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	write_file(ones, sizeof(ones), 0600);
	assert_int_equal(identity_load(&id, &network200, path, error, warning), 0);
	assert_memory_equal(id.sk->b, ones, 32);
	assert_int_equal(read_file(after), sizeof(ones));
	assert_memory_equal(after, ones, sizeof(ones));
	identity_fini(&id);
}

static void test_every_short_file(void **state)
{
	const uint8_t bytes[32] = {7};
	uint8_t after[TEXT_BYTES];
	struct identity id;

	(void)state;
	for (size_t len = 0; len < sizeof(bytes); len++) {
		write_file(bytes, len, 0600);
		assert_int_equal(identity_load(&id, &network200, path, error, warning), -EBADMSG);
		assert_non_null(strstr(error, "too short"));
		assert_non_null(strstr(error, path));
		assert_null(id.sk);
		assert_int_equal(read_file(after), len);
	}
}

static void test_readable_by_others(void **state)
{
	static const mode_t modes[] = {0640, 0604, 0644, 0660, 0601};
	const uint8_t bytes[32] = {7};
	struct identity id;

	(void)state;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		write_file(bytes, sizeof(bytes), modes[i]);
		assert_int_equal(identity_load(&id, &network200, path, error, warning), 0);
		assert_non_null(strstr(warning, "chmod 600"));
		identity_fini(&id);
	}
	write_file(bytes, sizeof(bytes), 0400);
	assert_int_equal(identity_load(&id, &network200, path, error, warning), 0);
	assert_string_equal(warning, "");
	identity_fini(&id);
}

static size_t count_files(void)
{
	char pattern[64];
	size_t count;
	glob_t g = {0};

	snprintf(pattern, sizeof(pattern), "%s/*", folder);
	count = glob(pattern, 0, NULL, &g) == 0 ? g.gl_pathc : 0;
	globfree(&g);
	return count;
}

/* How a process ends that prepares itself and then loads the key. */
static int load_elsewhere(bool (*prepare)(void))
{
	const pid_t child = fork();
	struct identity id;
	int status;

	assert_true(child >= 0);
	if (child == 0)
		_exit(!prepare() || identity_load(&id, &network200, path, error, warning) < 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static bool limit_files(void)
{
	const struct rlimit little = {.rlim_cur = 16, .rlim_max = 16};

	return setrlimit(RLIMIT_FSIZE, &little) == 0;
}

/* Killed with half of it written: no short key stands in the way of the next start. */
static void test_killed_while_writing(void **state)
{
	const int status = load_elsewhere(limit_files);

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
	assert_int_equal(access(path, F_OK), -1);
}

static bool limit_files_softly(void)
{
	return signal(SIGXFSZ, SIG_IGN) != SIG_ERR && limit_files();
}

/* Where it cannot be written whole nothing is left; else nothing but the key. */
static void test_no_leftovers(void **state)
{
	struct identity id;

	(void)state;
	assert_int_not_equal(load_elsewhere(limit_files_softly), 0);
	assert_int_equal(count_files(), 0);
	assert_int_equal(identity_load(&id, &network200, path, error, warning), 0);
	assert_int_equal(count_files(), 1);
	identity_fini(&id);
}

static bool forbid_links(void)
{
	scmp_filter_ctx c = seccomp_init(SCMP_ACT_ALLOW);
	const bool ok = c && seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(link), 0) == 0 &&
			seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(linkat), 0) == 0 && seccomp_load(c) == 0;

	seccomp_release(c);
	return ok;
}

/* As on a FAT file system. */
static void test_without_hard_links(void **state)
{
	(void)state;
	assert_int_equal(load_elsewhere(forbid_links), 0);
	assert_int_equal(count_files(), 1);
}

static void refused(const char *name, int expected, const char *word)
{
	struct identity id;

	assert_int_equal(identity_load(&id, &network200, name, error, warning), expected);
	assert_non_null(strstr(error, word));
	assert_null(strchr(error, '\n'));
	assert_null(id.sk);
}

static void test_wrong_places(void **state)
{
	char name[128], longest[5000];

	(void)state;
	refused(folder, -EISDIR, "is a directory");
	snprintf(name, sizeof(name), "%s/no/key", folder);
	refused(name, -ENOENT, "directory does not exist");
	write_file("", 0, 0600);
	snprintf(name, sizeof(name), "%s/key", path);
	refused(name, -ENOTDIR, "not a directory");
	snprintf(name, sizeof(name), "%s/link", folder);
	assert_int_equal(symlink("nothing", name), 0);
	refused(name, -EEXIST, "symbolic link that leads to nothing");
	snprintf(name, sizeof(name), "%s/fifo", folder);
	assert_int_equal(mkfifo(name, 0600), 0);
	refused(name, -EINVAL, "not a regular file");
	refused("/dev/full", -EINVAL, "not a regular file");
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	refused(longest, -ENAMETOOLONG, "File name too long");
}

static void test_link_to_a_key(void **state)
{
	const uint8_t bytes[32] = {7};
	struct identity id;
	char name[128];

	(void)state;
	write_file(bytes, sizeof(bytes), 0600);
	snprintf(name, sizeof(name), "%s/link", folder);
	assert_int_equal(symlink("key", name), 0);
	assert_int_equal(identity_load(&id, &network200, name, error, warning), 0);
	assert_memory_equal(id.sk->b, bytes, sizeof(bytes));
	identity_fini(&id);
}

/* Root may read everything, so an ordinary user looks. The exit code tells what was found. */
static int as_nobody(const char *name)
{
	const pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		struct identity id;
		int r;

		if (geteuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
			_exit(100);
		r = identity_load(&id, &network200, name, error, warning);
		_exit(r == -EACCES ? strstr(error, "may not be read") ? 1 : strstr(error, "cannot create") ? 2 : 3 : 4);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_no_permission(void **state)
{
	const uint8_t bytes[32] = {7};
	char name[128];

	(void)state;
	write_file(bytes, sizeof(bytes), 0000);
	assert_int_equal(chmod(folder, 0555), 0);
	assert_int_equal(as_nobody(path), 1);
	snprintf(name, sizeof(name), "%s/new", folder);
	assert_int_equal(as_nobody(name), 2);
	assert_int_equal(chmod(folder, 0700), 0);
}

/* inspect over one key; returns its exit code, out and err hold what it printed. */
static int inspect(const char *key_file, const char *key, bool json, char out[TEXT_BYTES], char err[TEXT_BYTES])
{
	FILE *o = fmemopen(out, TEXT_BYTES, "w"), *e = fmemopen(err, TEXT_BYTES, "w");
	int code;

	assert_true(o && e);
	memset(out, 0, TEXT_BYTES);
	memset(err, 0, TEXT_BYTES);
	code = inspect_run(&network200, key_file, key, json, o, e);
	fclose(o);
	fclose(e);
	return code;
}

static const char plain[] = "Public key: 07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c\n"
			    "Address: 2f8:66e2:b504:c1c9:2f34:38ee:464c:916d\n";
static const char json[] = "{\n  \"publicKey\": \"07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c\",\n"
			   "  \"address\": \"2f8:66e2:b504:c1c9:2f34:38ee:464c:916d\"\n}\n";

static void test_inspect_key(void **state)
{
	static const char key[] = "07A37CBC142093C8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c";
	char out[TEXT_BYTES], err[TEXT_BYTES];

	(void)state;
	assert_int_equal(inspect(path, key, false, out, err), 0);
	assert_string_equal(out, plain);
	assert_int_equal(inspect(path, key, true, out, err), 0);
	assert_string_equal(out, json);
	assert_string_equal(err, "");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(inspect(path, key + 1 + i, i, out, err), 1);
		assert_string_equal(out, "");
		assert_memory_equal(err, "Error: ", 7);
		assert_ptr_equal(strchr(err, '\n'), err + strlen(err) - 1);
	}
	assert_int_equal(access(path, F_OK), -1);
}

static void test_inspect_own(void **state)
{
	char out[TEXT_BYTES], again[TEXT_BYTES], err[TEXT_BYTES];
	uint8_t sk[32];

	(void)state;
	assert_int_equal(inspect(path, NULL, false, out, err), 0);
	assert_int_equal(inspect(path, NULL, false, again, err), 0);
	assert_string_equal(out, again);
	vectors_hex(sk, sizeof(sk), "nodes/A/secret_key_file");
	write_file(sk, sizeof(sk), 0644);
	assert_int_equal(inspect(path, NULL, true, out, err), 0);
	assert_string_equal(out, json);
	assert_memory_equal(err, "Warning: ", 9);
	assert_int_equal(inspect(folder, NULL, false, out, err), 1);
	assert_string_equal(out, "");
	assert_memory_equal(err, "Error: ", 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_shared_secrets),
		cmocka_unit_test(test_low_order_keys),
		cmocka_unit_test(test_pubkey_text),
		cmocka_unit_test(test_zeroed),
		cmocka_unit_test_setup_teardown(test_made_once, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_unclamped_bytes_stay, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_every_short_file, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_readable_by_others, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_no_leftovers, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_killed_while_writing, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_without_hard_links, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_wrong_places, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_link_to_a_key, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_no_permission, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_inspect_key, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_inspect_own, make_folder, remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
