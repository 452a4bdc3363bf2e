/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/cli/cli_text.h"

#include <string.h>

enum { SURROGATE_FIRST = 0xd800, SURROGATE_LAST = 0xdfff, CODE_MAX = 0x10ffff };

/* The length of a character by its first byte; 0: it begins none. */
static size_t length_of(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc0 || first >= 0xf8)
		return 0;
	if (first < 0xe0)
		return 2;
	return first < 0xf0 ? 3 : 4;
}

size_t cli_utf8_take(const char *p, size_t len, uint32_t *code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const uint8_t *u = (const uint8_t *)p;
	const size_t n = length_of(u[0]);

	if (!n || n > len)
		return 0;
	*code = n == 1 ? u[0] : u[0] & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (u[i] & 0x3f);
	}
	if (*code < least[n] || *code > CODE_MAX || (*code >= SURROGATE_FIRST && *code <= SURROGATE_LAST))
		return 0;
	return n;
}

bool cli_utf8_is_valid(const void *bytes, size_t len)
{
	const char *p = bytes;
	uint32_t code;

	for (size_t n; len; p += n, len -= n) {
		n = cli_utf8_take(p, len, &code);
		if (!n)
			return false;
	}
	return true;
}

bool cli_is_dangerous(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069) || code == 0x200e || code == 0x200f || code == 0x61c;
}

void cli_put_safe(FILE *out, const char *text, size_t max)
{
	size_t left = strlen(text);

	for (size_t i = 0; left; i++) {
		uint32_t code;
		const size_t n = cli_utf8_take(text, left, &code), used = n ? n : 1;

		if (i == max) {
			fputs("...", out);
			return;
		}
		if (n && strchr("\n\r\t", *text))
			fputc(' ', out);
		else if (!n || cli_is_dangerous(code))
			fputc('?', out);
		else
			fwrite(text, 1, n, out);
		text += used;
		left -= used;
	}
}

/* As \uXXXX, in two halves beyond 16 bits. */
static void put_escaped(FILE *out, uint32_t code)
{
	static const char named[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
	const char *name = code && code < 0x80 ? strchr(named, (int)code) : NULL;

	if (name)
		fprintf(out, "\\%c", letters[name - named]);
	else
		fprintf(out, "\\u%04x", code);
}

void cli_put_json_string(FILE *out, const char *text, size_t len, bool strict)
{
	uint32_t code = 0;

	fputc('"', out);
	for (size_t n; len; text += n, len -= n) {
		n = cli_utf8_take(text, len, &code);
		if (!n) {
			n = 1;
			fputs("\\ufffd", out);
		} else if (code < 0x20 || code == '"' || code == '\\' || (strict && cli_is_dangerous(code))) {
			put_escaped(out, code);
		} else {
			fwrite(text, 1, n, out);
		}
	}
	fputc('"', out);
}

/* The length of an escape sequence; 0: it is none. The parser lets more pass than JSON allows. */
static size_t escape_len(const char *p, size_t len)
{
	static const char hex[] = "0123456789abcdefABCDEF";

	if (len < 2 || !p[1] || !strchr("\"\\/bfnrtu", p[1]))
		return 0;
	if (p[1] != 'u')
		return 2;
	for (size_t i = 2; i < 6; i++) {
		if (i >= len || !p[i] || !strchr(hex, p[i]))
			return 0;
	}
	return 6;
}

/* The next piece of JSON text that is safe to copy; 0: the character at p is not. */
static size_t copy_len(const char *p, size_t len, bool in_string, uint32_t *code)
{
	const size_t n = cli_utf8_take(p, len, code);

	if (!n)
		*code = 0xfffd;
	if (n && in_string && *code == '\\') {
		*code = 0xfffd;
		return escape_len(p, len);
	}
	return n && !cli_is_dangerous(*code) ? n : 0;
}

/* In parsed JSON whatever is dangerous stands in a string, but for the white space between values. */
void cli_put_json_text(FILE *out, const char *text, size_t len)
{
	bool in_string = false;
	uint32_t code = 0;

	while (len) {
		size_t n = copy_len(text, len, in_string, &code);

		if (n) {
			in_string ^= code == '"';
			fwrite(text, 1, n, out);
		} else {
			n = cli_utf8_take(text, len, &(uint32_t){0});
			n = n ? n : 1;
			if (in_string)
				put_escaped(out, code);
			else
				fputc(' ', out);
		}
		text += n;
		len -= n;
	}
}

const char *cli_duration(double seconds, char out[CLI_DURATION_BYTES])
{
	const unsigned long long s = seconds > 0 && seconds < 1e15 ? (unsigned long long)seconds : 0;

	if (s < 60)
		snprintf(out, CLI_DURATION_BYTES, "%llus", s);
	else if (s < 3600)
		snprintf(out, CLI_DURATION_BYTES, "%llum%llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, CLI_DURATION_BYTES, "%lluh%llum", s / 3600, s % 3600 / 60);
	else
		snprintf(out, CLI_DURATION_BYTES, "%llud%lluh", s / 86400, s % 86400 / 3600);
	return out;
}

const char *cli_size(double bytes, char out[CLI_SIZE_BYTES])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	size_t unit = 0;

	if (!(bytes >= 0 && bytes < 1e18))
		bytes = 0;
	for (; bytes >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		bytes /= 1024;
	snprintf(out, CLI_SIZE_BYTES, unit ? "%.1f%s" : "%.0f%s", bytes, units[unit]);
	return out;
}
