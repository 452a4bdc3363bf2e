/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/cli/cli_field.h"

#include "controld/cli/cli_text.h"

static void print_for_people(double n, enum cli_field kind, char out[CLI_FIELD_BYTES_MAX])
{
	switch (kind) {
	case CLI_FIELD_MICROSECONDS:
		snprintf(out, CLI_FIELD_BYTES_MAX, "%.*fms", n < 10000 ? 2 : 0, n / 1000);
		break;
	case CLI_FIELD_SECONDS:
		(void)cli_duration(n, out);
		break;
	case CLI_FIELD_BYTES:
		(void)cli_size(n, out);
		break;
	default:
		snprintf(out, CLI_FIELD_BYTES_MAX, "%.0f", n);
	}
}

const char *cli_field_text(const struct cli_config *c, const cJSON *j, const char *name, enum cli_field kind,
			   char out[CLI_FIELD_BYTES_MAX])
{
	const char *text = cli_get_text(j, name);
	double n;

	if (!cli_get_number(j, name, &n))
		snprintf(out, CLI_FIELD_BYTES_MAX, "%s", text ? text : "-");
	else if (!(n > -1e18 && n < 1e19))
		snprintf(out, CLI_FIELD_BYTES_MAX, "-");
	else if (c->terminal)
		print_for_people(n, kind, out);
	else
		snprintf(out, CLI_FIELD_BYTES_MAX, "%.0f", n);
	return out;
}

void cli_field_add(const struct cli_config *c, struct cli_table *t, const cJSON *j, const char *name,
		   enum cli_field kind)
{
	char text[CLI_FIELD_BYTES_MAX];

	cli_table_add(t, cli_field_text(c, j, name, kind, text));
}
