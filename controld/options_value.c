/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of option values: checked here, stored here, printed here. Nothing is resolved and no interface is asked
 * for: both may come later. */
#include "controld/options_value.h"

#include "shared/limits.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdlib.h>

enum {
	PATH_MAX_BYTES = 4096,
	HOST_MAX_BYTES = 253,
	LABEL_MAX_BYTES = 63,
	COUNT_MAX = 1000000,
	BODY_MIN_BYTES = 64 * 1024,
	LENGTH_MIN_BYTES = 1024,
	LENGTH_MAX_BYTES = 1024 * 1024 * 1024,
	SIZE_MIN_BYTES = 1024 * 1024,
};

static const uint64_t size_max_bytes = 1024ULL * 1024 * 1024 * 1024;

static const char *const session_modes[] = {
	[SESSION_OFF] = "off",
	[SESSION_OPPORTUNISTIC] = "opportunistic",
	[SESSION_REQUIRE] = "require",
};

const char *option_session_name(enum session_mode mode)
{
	return session_modes[mode];
}

char *options_copy(const char *text)
{
	char *s = strdup(text);

	assert(s);
	return s;
}

/* In the largest unit that divides it. */
static void print_bytes(uint64_t n, char out[24])
{
	static const char units[] = " KMG";
	int unit = 0;

	while (unit < 3 && n >= 1024 && n % 1024 == 0) {
		n /= 1024;
		unit++;
	}
	snprintf(out, 24, "%" PRIu64 "%.*s", n, unit != 0, units + unit);
}

static void clear_list(void *field)
{
	struct option_list *list = field;

	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct option_list){0};
}

static bool list_add(struct option_list *list, const char *text, char *why)
{
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->items[i], text) == 0)
			return true;
	}
	if (list->count == LIMIT_PEERS) {
		snprintf(why, OPTION_WHY_BYTES, "more than %d of them", LIMIT_PEERS);
		return false;
	}
	list->items = reallocarray(list->items, list->count + 1, sizeof(*list->items));
	assert(list->items);
	list->items[list->count++] = options_copy(text);
	return true;
}

static bool refuse(char *why, const char *reason)
{
	snprintf(why, OPTION_WHY_BYTES, "%s", reason);
	return false;
}

static bool parse_number(const char *text, unsigned int min, unsigned int max, unsigned int *out, char *why)
{
	const size_t len = strlen(text);
	const bool digits = len > 0 && len <= 9 && strspn(text, "0123456789") == len;

	*out = digits ? (unsigned int)strtoul(text, NULL, 10) : 0;
	if (digits && *out >= min && *out <= max)
		return true;
	snprintf(why, OPTION_WHY_BYTES, "not a number from %u to %u", min, max);
	return false;
}

static bool host_name_is_valid(const char *host, size_t len)
{
	size_t label = 0;

	if (len > HOST_MAX_BYTES)
		return false;
	for (size_t i = 0; i < len; i++) {
		const char c = host[i];

		if (c == '.') {
			if (!label)
				return false;
			label = 0;
			continue;
		}
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
		      c == '_'))
			return false;
		if (++label > LABEL_MAX_BYTES)
			return false;
	}
	return len > 0;
}

static bool ifname_is_valid(const char *name, size_t len)
{
	if (len < 1 || len >= IFNAMSIZ)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (strchr(" /:%]", name[i]))
			return false;
	}
	return !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

/* What stands between the brackets: address, or address%scope. Whether there is such an interface is not asked here: it
 * may appear later. */
static bool v6_is_valid(const char *text, size_t len)
{
	const char *percent = memchr(text, '%', len);
	const size_t address_len = percent ? (size_t)(percent - text) : len;
	const size_t scope_len = percent ? len - address_len - 1 : 0;
	char address[IP6_TEXT_BYTES];
	struct ip6 ip;

	if (address_len >= sizeof(address) || (percent && !ifname_is_valid(percent + 1, scope_len)))
		return false;
	memcpy(address, text, address_len);
	address[address_len] = '\0';
	return ip6_parse(address, &ip) == 0;
}

static bool host_is_valid(const char *host, size_t len, bool names, char *why)
{
	char address[INET_ADDRSTRLEN];
	struct in_addr ip;

	if (len && host[0] == '[') {
		if (host[len - 1] == ']' && v6_is_valid(host + 1, len - 2))
			return true;
		return refuse(why, "not an IPv6 address between the brackets");
	}
	if (memchr(host, ':', len))
		return refuse(why, "an IPv6 address stands in brackets before its port: [2001:db8::1]:9651");
	if (strspn(host, "0123456789.") >= len || !names) {
		snprintf(address, sizeof(address), "%.*s", (int)(len < sizeof(address) ? len : 0), host);
		return inet_pton(AF_INET, address, &ip) == 1 || refuse(why, "not an IP address");
	}
	return host_name_is_valid(host, len) || refuse(why, "neither an address nor a host name");
}

/* host:port; with names, the host may also be a name to be resolved. */
static bool host_port_is_valid(const char *text, bool names, char *why)
{
	const char *colon = strrchr(text, ':');
	unsigned int port;
	char reason[OPTION_WHY_BYTES];

	if (!colon || strchr(colon, ']'))
		return refuse(why, "has no port: write host:port");
	if (!parse_number(colon + 1, 1, UINT16_MAX, &port, reason)) {
		snprintf(why, OPTION_WHY_BYTES, "port %.40s", reason);
		return false;
	}
	return host_is_valid(text, (size_t)(colon - text), names, why);
}

/* The kinds: each parser checks a value and puts it into its field, or says why not. */

static bool parse_flag(void *field, const char *value, char *why)
{
	bool *flag = field;

	*flag = strcmp(value, "true") == 0 || strcmp(value, "yes") == 0;
	return *flag || strcmp(value, "false") == 0 || strcmp(value, "no") == 0 ||
	       refuse(why, "neither true nor false");
}

static bool parse_port(void *field, const char *value, char *why)
{
	unsigned int port;

	if (!parse_number(value, 1, UINT16_MAX, &port, why))
		return false;
	*(uint16_t *)field = (uint16_t)port;
	return true;
}

static bool parse_mtu(void *field, const char *value, char *why)
{
	return parse_number(value, LIMIT_TUN_MTU_MIN, LIMIT_TUN_MTU_MAX, (uint32_t *)field, why);
}

static bool parse_level(void *field, const char *value, char *why)
{
	return log_level_parse(value, field) || refuse(why, "none of error, warn, info, debug");
}

static bool parse_text(void *field, const char *value, char *why)
{
	char **text = field;

	if (strlen(value) >= PATH_MAX_BYTES)
		return refuse(why, "too long");
	free(*text);
	*text = options_copy(value);
	return true;
}

/* An address with its port, or none. */
static bool parse_address(void *field, const char *value, char *why)
{
	if (strcmp(value, "none") == 0)
		return parse_text(field, value, why);
	return host_port_is_valid(value, false, why) && parse_text(field, value, why);
}

static bool parse_ifname(void *field, const char *value, char *why)
{
	if (!ifname_is_valid(value, strlen(value)))
		return refuse(why, "not a name for an interface: 1 to 15 bytes, none of them blank or / : % ]");
	return parse_text(field, value, why);
}

static bool parse_peer(void *field, const char *value, char *why)
{
	static const char scheme[] = "tcp://";
	const char *peer = strncmp(value, scheme, strlen(scheme)) == 0 ? value + strlen(scheme) : value;

	if (strstr(peer, "://"))
		return refuse(why, "only tcp:// is known");
	return host_port_is_valid(peer, true, why) && list_add(field, peer, why);
}

/* Completes an address without port; false if it would not fit. */
static bool listen_complete(const char *text, uint16_t port, char out[ENDPOINT_TEXT_BYTES])
{
	const size_t len = strlen(text);
	const char *colon = strchr(text, ':');
	int n;

	if (len && text[0] == '[' && text[len - 1] == ']')
		n = snprintf(out, ENDPOINT_TEXT_BYTES, "%s:%u", text, port);
	else if (text[0] != '[' && colon && strchr(colon + 1, ':'))
		n = snprintf(out, ENDPOINT_TEXT_BYTES, "[%s]:%u", text, port);
	else if (!colon)
		n = snprintf(out, ENDPOINT_TEXT_BYTES, "%s:%u", text, port);
	else
		n = snprintf(out, ENDPOINT_TEXT_BYTES, "%s", text);
	return n < ENDPOINT_TEXT_BYTES;
}

static bool parse_listen(void *field, const char *value, char *why)
{
	char whole[ENDPOINT_TEXT_BYTES];

	if (strcmp(value, "none") == 0)
		return list_add(field, value, why);
	if (!listen_complete(value, 1, whole))
		return refuse(why, "not an IP address");
	return host_port_is_valid(whole, false, why) && list_add(field, value, why);
}

/* What a browser or a proxy may send: no blanks, nothing unprintable. */
static bool parse_name(void *field, const char *value, char *why)
{
	if (!*value || strlen(value) > HOST_MAX_BYTES)
		return refuse(why, "empty or too long");
	for (const char *c = value; *c; c++) {
		if (*c <= ' ' || *c > '~' || *c == ',' || *c == '"')
			return refuse(why, "no blank, comma, quote or unprintable character can be in it");
	}
	return list_add(field, value, why);
}

/* Digits, then nothing, K, M or G, in powers of 1024. */
static bool parse_bytes(const char *value, uint64_t min, uint64_t max, uint64_t *out, char *why)
{
	static const char units[] = "KMG";
	const size_t digits = strspn(value, "0123456789");
	const char *unit = value[digits] ? strchr(units, value[digits]) : NULL;
	uint64_t n = digits && digits <= 12 ? strtoull(value, NULL, 10) : 0;
	char low[24], high[24];

	if (unit)
		n <<= 10 * (unit - units + 1);
	*out = n;
	if (n >= min && n <= max && value[digits + (unit != NULL)] == '\0')
		return true;
	print_bytes(min, low);
	print_bytes(max, high);
	snprintf(why, OPTION_WHY_BYTES, "not a number of bytes from %s to %s: 65536, 64K, 2M, 1G", low, high);
	return false;
}

static bool parse_body(void *field, const char *value, char *why)
{
	return parse_bytes(value, BODY_MIN_BYTES, LIMIT_API_BODY_BYTES_MAX, field, why);
}

static bool parse_length(void *field, const char *value, char *why)
{
	return parse_bytes(value, LENGTH_MIN_BYTES, LENGTH_MAX_BYTES, field, why);
}

static bool parse_size(void *field, const char *value, char *why)
{
	return parse_bytes(value, SIZE_MIN_BYTES, size_max_bytes, field, why);
}

static bool parse_count(void *field, const char *value, char *why)
{
	return parse_number(value, 1, COUNT_MAX, (uint32_t *)field, why);
}

static bool parse_session(void *field, const char *value, char *why)
{
	enum session_mode *mode = field;

	for (size_t i = 0; i < sizeof(session_modes) / sizeof(session_modes[0]); i++) {
		if (strcmp(value, session_modes[i]) != 0)
			continue;
		*mode = (enum session_mode)i;
		return true;
	}
	return refuse(why, "none of off, opportunistic, require");
}

static bool parse_key_file(void *field, const char *value, char *why)
{
	struct option_list *list = field;

	if (strlen(value) >= PATH_MAX_BYTES)
		return refuse(why, "too long");
	if (!list_add(list, value, why))
		return false;
	return list->count <= SESSION_NETWORK_KEYS ||
	       refuse(why, "there can be two: the key in use, and the one that takes its place");
}

static void clear_text(void *field)
{
	char **text = field;

	free(*text);
	*text = NULL;
}

static void clear_nothing(void *field)
{
	(void)field;
}

static void print_flag(const void *field, const char *key, int key_len, FILE *out)
{
	fprintf(out, "%.*s = %s\n", key_len, key, *(const bool *)field ? "true" : "false");
}

static void print_port(const void *field, const char *key, int key_len, FILE *out)
{
	fprintf(out, "%.*s = %u\n", key_len, key, *(const uint16_t *)field);
}

static void print_mtu(const void *field, const char *key, int key_len, FILE *out)
{
	fprintf(out, "%.*s = %u\n", key_len, key, *(const uint32_t *)field);
}

static void print_size(const void *field, const char *key, int key_len, FILE *out)
{
	char text[24];

	print_bytes(*(const uint64_t *)field, text);
	fprintf(out, "%.*s = %s\n", key_len, key, text);
}

static void print_session(const void *field, const char *key, int key_len, FILE *out)
{
	fprintf(out, "%.*s = %s\n", key_len, key, option_session_name(*(const enum session_mode *)field));
}

static void print_level(const void *field, const char *key, int key_len, FILE *out)
{
	fprintf(out, "%.*s = %s\n", key_len, key, log_level_name(*(const enum log_level *)field));
}

/* In quotes where a reader would cut blanks, or take a quote for the beginning of such a value. */
static void print_value(const char *value, const char *key, int key_len, FILE *out)
{
	const char *quote = value[0] == ' ' || value[0] == '"' || value[strlen(value) - 1] == ' ' ? "\"" : "";

	fprintf(out, "%.*s = %s%s%s\n", key_len, key, quote, value, quote);
}

static void print_text(const void *field, const char *key, int key_len, FILE *out)
{
	const char *value = *(char *const *)field;

	if (value)
		print_value(value, key, key_len, out);
}

static void print_list(const void *field, const char *key, int key_len, FILE *out)
{
	const struct option_list *list = field;

	for (size_t i = 0; i < list->count; i++)
		print_value(list->items[i], key, key_len, out);
}

const struct option_kind option_kinds[] = {
	[FLAG] = {NULL, parse_flag, print_flag, clear_nothing, false, false, true},
	[COMMAND] = {NULL, parse_flag, print_flag, clear_nothing, false, false, false},
	[PORT] = {"PORT", parse_port, print_port, clear_nothing, false, false, true},
	[MTU] = {"BYTES", parse_mtu, print_mtu, clear_nothing, false, false, true},
	[LEVEL] = {"LEVEL", parse_level, print_level, clear_nothing, false, false, true},
	[PATH] = {"PATH", parse_text, print_text, clear_text, false, false, true},
	[CONFIG] = {"FILE", parse_text, print_text, clear_text, false, false, false},
	[ADDRESS] = {"ADDR", parse_address, print_text, clear_text, false, false, true},
	[IFNAME] = {"NAME", parse_ifname, print_text, clear_text, false, false, true},
	[PEERS] = {"ADDR...", parse_peer, print_list, clear_list, true, true, true},
	[LISTEN] = {"ADDR", parse_listen, print_list, clear_list, true, true, true},
	[NAMES] = {"NAME", parse_name, print_list, clear_list, true, true, true},
	[BODY] = {"BYTES", parse_body, print_size, clear_nothing, false, false, true},
	[LENGTH] = {"BYTES", parse_length, print_size, clear_nothing, false, false, true},
	[SIZE] = {"BYTES", parse_size, print_size, clear_nothing, false, false, true},
	[COUNT] = {"N", parse_count, print_mtu, clear_nothing, false, false, true},
	[SESSION] = {"MODE", parse_session, print_session, clear_nothing, false, false, true},
	[KEYS] = {"FILE", parse_key_file, print_list, clear_list, true, false, true},
};

int options_listen(const struct options *o, size_t i, struct endpoint *out)
{
	char whole[ENDPOINT_TEXT_BYTES];

	return listen_complete(o->listen.items[i], o->port, whole) ? endpoint_parse(whole, out) : -EINVAL;
}
