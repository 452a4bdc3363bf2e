/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/vectors.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 256, FILE_MAX_BYTES = 4 * 1024 * 1024 };

static const char file_name[] = "tests/vectors/vectors-200.json";
static cJSON *root;

static void give_up(const char *what, const char *path)
{
	fprintf(stderr, "vectors: %s: %s\n", what, path);
	abort();
}

static void unload(void)
{
	cJSON_Delete(root);
}

static void load(void)
{
	FILE *f = fopen(file_name, "re");
	char *text = malloc(FILE_MAX_BYTES);
	size_t len;

	if (!f || !text)
		give_up("cannot open (run from the top of the tree)", file_name);
	len = fread(text, 1, FILE_MAX_BYTES, f);
	fclose(f);
	root = cJSON_ParseWithLength(text, len);
	free(text);
	if (!root)
		give_up("not JSON", file_name);
	atexit(unload);
}

static const cJSON *step(const cJSON *at, const char *name)
{
	char *end;
	const long place = strtol(name, &end, 10);
	const cJSON *item;

	if (!cJSON_IsArray(at))
		return cJSON_GetObjectItemCaseSensitive(at, name);
	if (!*end)
		return cJSON_GetArrayItem(at, (int)place);
	cJSON_ArrayForEach(item, at)
	{
		const cJSON *own = cJSON_GetObjectItemCaseSensitive(item, "name");

		if (cJSON_IsString(own) && strcmp(own->valuestring, name) == 0)
			return item;
	}
	return NULL;
}

/* Makes the path and goes there. */
__attribute__((format(printf, 2, 0))) static const cJSON *walk(char path[PATH_BYTES], const char *format, va_list args)
{
	char copy[PATH_BYTES], *rest;
	const cJSON *at;

	if (vsnprintf(path, PATH_BYTES, format, args) >= PATH_BYTES)
		give_up("path too long", format);
	if (!root)
		load();
	at = root;
	memcpy(copy, path, sizeof(copy));
	for (char *name = strtok_r(copy, "/", &rest); name && at; name = strtok_r(NULL, "/", &rest))
		at = step(at, name);
	return at;
}

/* Goes to the place that the arguments after format name, and gives up if it is not as wanted. */
#define GO(at, path, format, wanted) \
	do { \
		va_list args; \
\
		va_start(args, format); \
		(at) = walk((path), (format), args); \
		va_end(args); \
		if (!(wanted)) \
			give_up("not there as " #wanted, (path)); \
	} while (0)

const cJSON *vectors_find(const char *path, ...)
{
	char whole[PATH_BYTES];
	const cJSON *at;

	GO(at, whole, path, true);
	return at;
}

const cJSON *vectors_at(const char *path, ...)
{
	char whole[PATH_BYTES];
	const cJSON *at;

	GO(at, whole, path, at);
	return at;
}

size_t vectors_count(const char *path, ...)
{
	char whole[PATH_BYTES];
	const cJSON *at;

	GO(at, whole, path, cJSON_IsArray(at));
	return (size_t)cJSON_GetArraySize(at);
}

const char *vectors_text(const char *path, ...)
{
	char whole[PATH_BYTES];
	const cJSON *at;

	GO(at, whole, path, cJSON_IsString(at));
	return at->valuestring;
}

int64_t vectors_number(const char *path, ...)
{
	char whole[PATH_BYTES];
	const cJSON *at;

	GO(at, whole, path, cJSON_IsNumber(at));
	return (int64_t)at->valuedouble;
}

bool vectors_bool(const char *path, ...)
{
	char whole[PATH_BYTES];
	const cJSON *at;

	GO(at, whole, path, cJSON_IsBool(at));
	return cJSON_IsTrue(at);
}

size_t vectors_hex(uint8_t *out, size_t cap, const char *path, ...)
{
	char whole[PATH_BYTES];
	const char *end;
	const cJSON *at;
	size_t len;

	GO(at, whole, path, cJSON_IsString(at));
	if (sodium_hex2bin(out, cap, at->valuestring, strlen(at->valuestring), NULL, &len, &end) < 0 || *end)
		give_up("not hex, or longer than the room", whole);
	return len;
}
