/* SPDX-License-Identifier: Apache-2.0 */
/* Widths count characters, each as one column. */
#include "controld/cli/cli_table.h"

#include "controld/cli/cli_text.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { GAP = 2, CELL_BYTES_MAX = 1024, CELLS_FIRST = 64 };

struct cli_table {
	const struct cli_column *columns;
	unsigned column_count;
	char **cells; /* owned, row by row */
	size_t count, cap;
};

struct cli_table *cli_table_new(const struct cli_column *columns)
{
	struct cli_table *t = calloc(1, sizeof(*t));

	assert(t);
	t->columns = columns;
	while (columns[t->column_count].title)
		t->column_count++;
	assert(t->column_count && t->column_count <= CLI_TABLE_COLUMNS_MAX);
	return t;
}

void cli_table_free(struct cli_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->count; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

/* Harmless, and short enough to be counted. */
static char *make_cell(const char *text)
{
	char *cell = NULL;
	size_t len;
	FILE *f = open_memstream(&cell, &len);

	assert(f);
	cli_put_safe(f, text && *text ? text : "-", CELL_BYTES_MAX);
	fclose(f);
	assert(cell);
	return cell;
}

void cli_table_add(struct cli_table *t, const char *text)
{
	if (t->count == t->cap) {
		t->cap = t->cap ? 2 * t->cap : CELLS_FIRST;
		t->cells = reallocarray(t->cells, t->cap, sizeof(*t->cells));
		assert(t->cells);
	}
	t->cells[t->count++] = make_cell(text);
}

static unsigned width_of(const char *text)
{
	unsigned width = 0;

	for (; *text; text++)
		width += (*text & 0xc0) != 0x80;
	return width;
}

static void find_widths(const struct cli_table *t, unsigned widths[CLI_TABLE_COLUMNS_MAX])
{
	for (unsigned i = 0; i < t->column_count; i++)
		widths[i] = width_of(t->columns[i].title);
	for (size_t i = 0; i < t->count; i++) {
		const unsigned column = (unsigned)(i % t->column_count), width = width_of(t->cells[i]);

		if (width > widths[column])
			widths[column] = width;
	}
}

static unsigned room_of(const struct cli_table *t, unsigned column, const unsigned *widths)
{
	const unsigned least = t->columns[column].least;

	return least && widths[column] > least ? widths[column] - least : 0;
}

/* Of a whole line, with each column as narrow as it may be or as it is. */
static unsigned line_width(const struct cli_table *t, const unsigned *widths, bool narrow)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < t->column_count; i++) {
		if (widths[i])
			sum += widths[i] + GAP - (narrow ? room_of(t, i, widths) : 0);
	}
	return sum - GAP;
}

/* A column that is left out has no width. */
static void fit(const struct cli_table *t, unsigned columns, unsigned widths[CLI_TABLE_COLUMNS_MAX])
{
	for (unsigned i = t->column_count; i-- > 0 && line_width(t, widths, true) > columns;) {
		if (t->columns[i].optional)
			widths[i] = 0;
	}
	for (unsigned i = t->column_count; i-- > 0 && line_width(t, widths, false) > columns;) {
		const unsigned room = room_of(t, i, widths), excess = line_width(t, widths, false) - columns;

		widths[i] -= room < excess ? room : excess;
	}
}

/* Cut text ends with a tilde, so that it is not taken for the whole. */
static void put_cut(FILE *out, const char *text, unsigned width)
{
	const char *end = text;

	for (unsigned n = 0; *end && n + 1 < width; n++) {
		end++;
		while ((*end & 0xc0) == 0x80)
			end++;
	}
	fwrite(text, 1, (size_t)(end - text), out);
	fputc('~', out);
}

static void put_cell(const struct cli_column *column, const char *text, unsigned width, FILE *out)
{
	const unsigned own = width_of(text);
	const int pad = own < width ? (int)(width - own) : 0;

	if (column->right)
		fprintf(out, "%*s", pad, "");
	if (own > width)
		put_cut(out, text, width);
	else
		fputs(text, out);
	if (!column->right)
		fprintf(out, "%*s", pad, "");
}

/* The next row, of titles or of cells. */
static void put_row(const struct cli_table *t, char *const *cells, const unsigned *widths, FILE *out)
{
	char *line = NULL;
	size_t len;
	FILE *f = open_memstream(&line, &len);

	assert(f);
	for (unsigned i = 0; i < t->column_count; i++) {
		if (!widths[i])
			continue;
		put_cell(&t->columns[i], cells ? cells[i] : t->columns[i].title, widths[i], f);
		fprintf(f, "%*s", GAP, "");
	}
	fclose(f);
	while (len && line[len - 1] == ' ')
		len--;
	fprintf(out, "%.*s\n", (int)len, line);
	free(line);
}

static void print_plain(const struct cli_table *t, FILE *out)
{
	for (size_t i = 0; i < t->count; i++)
		fprintf(out, "%s%c", t->cells[i], (i + 1) % t->column_count ? '\t' : '\n');
}

void cli_table_print(const struct cli_table *t, const struct cli_config *c)
{
	unsigned widths[CLI_TABLE_COLUMNS_MAX];

	assert(t->count % t->column_count == 0);
	if (!c->terminal) {
		print_plain(t, c->out);
		return;
	}
	find_widths(t, widths);
	if (c->columns)
		fit(t, c->columns, widths);
	put_row(t, NULL, widths, c->out);
	for (size_t i = 0; i < t->count; i += t->column_count)
		put_row(t, t->cells + i, widths, c->out);
}
