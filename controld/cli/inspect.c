/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/cli/inspect.h"

#include "shared/base/identity.h"
#include "shared/base/ip.h"
#include <errno.h>
#include <stdlib.h>

static int own_key(const struct network *n, const char *key_file, struct pubkey *out, FILE *err)
{
	char error[IDENTITY_ERROR_BYTES], warning[IDENTITY_ERROR_BYTES];
	struct identity id;
	const int r = identity_load(&id, n, key_file, error, warning);

	if (*warning)
		fprintf(err, "Warning: %s\n", warning);
	if (r < 0) {
		fprintf(err, "Error: %s\n", error);
		return r;
	}
	*out = id.pk;
	identity_fini(&id);
	return 0;
}

static int given_key(const char *text, struct pubkey *out, FILE *err)
{
	const int r = pubkey_parse(text, out);

	if (r < 0)
		fprintf(err, "Error: KEY is not a public key: it has 64 hexadecimal digits\n");
	return r;
}

int inspect_run(const struct network *n, const char *key_file, const char *key, bool json, FILE *out, FILE *err)
{
	char key_text[PUBKEY_TEXT_BYTES], address_text[IP6_TEXT_BYTES];
	struct pubkey pk;
	struct ip6 address;

	if ((key ? given_key(key, &pk, err) : own_key(n, key_file, &pk, err)) < 0)
		return EXIT_FAILURE;
	n->address(&pk, &address);
	pubkey_print(&pk, key_text);
	ip6_print(&address, address_text);
	if (json)
		fprintf(out, "{\n  \"publicKey\": \"%s\",\n  \"address\": \"%s\"\n}\n", key_text, address_text);
	else
		fprintf(out, "Public key: %s\nAddress: %s\n", key_text, address_text);
	if (fflush(out) == 0)
		return EXIT_SUCCESS;
	fprintf(err, "Error: cannot write: %s\n", strerror(errno));
	return EXIT_FAILURE;
}
