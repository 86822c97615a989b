/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"
#include "mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define GAP       2 /* between columns */
#define NARROWEST 6 /* below it nothing can be recognized any more */

struct row {
    char *cells[TABLE_COLUMNS_MAX];
};

struct table {
    size_t n_columns, n_rows;
    bool right[TABLE_COLUMNS_MAX];
    struct row *rows; /* the first has the headers */
};

/* Columns on a terminal: every byte but UTF-8's continuations. */
static size_t width(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static char *clean_copy(const char *text)
{
    char *copy = strdup(text && text[0] ? text : "-");
    for (char *c = copy; c && *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    return copy;
}

void table_add(struct table *table, const char *const *texts)
{
    if (!table)
        return;
    struct row *rows = realloc(table->rows, (table->n_rows + 1) * sizeof *rows);
    if (!rows)
        return;
    table->rows = rows;
    struct row *row = &rows[table->n_rows++];
    memset(row, 0, sizeof *row);
    for (size_t i = 0; i < table->n_columns; i++)
        row->cells[i] = clean_copy(texts[i]);
}

static void add_column(struct table *table, const char **headers, char *word)
{
    size_t len = strlen(word);
    if (len > 0 && word[len - 1] == '>') {
        word[len - 1] = '\0';
        table->right[table->n_columns] = true;
    }
    headers[table->n_columns++] = word;
}

struct table *table_new(const char *columns)
{
    AUTO_FREE char *words = strdup(columns);
    struct table *table = calloc(1, sizeof *table);
    if (!words || !table) {
        free(table);
        return NULL;
    }
    const char *headers[TABLE_COLUMNS_MAX];
    char *rest = NULL;
    for (char *w = strtok_r(words, " ", &rest); w && table->n_columns < TABLE_COLUMNS_MAX;
         w = strtok_r(NULL, " ", &rest))
        add_column(table, headers, w);
    table_add(table, headers);
    return table;
}

void table_free(struct table *table)
{
    if (!table)
        return;
    for (size_t r = 0; r < table->n_rows; r++)
        for (size_t i = 0; i < table->n_columns; i++)
            free(table->rows[r].cells[i]);
    free(table->rows);
    free(table);
}

static const char *cell(const struct table *table, size_t row, size_t column)
{
    const char *text = table->rows[row].cells[column];
    return text ? text : "?"; /* memory was short */
}

static size_t column_width(const struct table *table, size_t column)
{
    size_t most = 0;
    for (size_t r = 0; r < table->n_rows; r++) {
        size_t w = width(cell(table, r, column));
        most = w > most ? w : most;
    }
    return most;
}

/* Bytes of text that take at most this many columns. */
static int cut(const char *text, size_t columns)
{
    size_t i = 0;
    for (; text[i]; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80 && columns-- == 0)
            break;
    return (int)i;
}

static void print_padding(FILE *out, size_t n)
{
    fprintf(out, "%*s", (int)n, "");
}

/* What is cut ends in '+', as with ps(1). The last column has no blanks behind it. */
static void print_cell(const struct table *table, const char *text, size_t column, size_t room,
                       FILE *out)
{
    size_t taken = width(text);
    if (table->right[column])
        print_padding(out, room - taken);
    if (taken > room)
        fprintf(out, "%.*s+", cut(text, room - 1), text);
    else
        fputs(text, out);
    if (column + 1 == table->n_columns)
        return;
    if (!table->right[column] && taken < room)
        print_padding(out, room - taken);
    print_padding(out, GAP);
}

/* SIZE_MAX where nobody counts columns. */
static size_t terminal_width(FILE *out)
{
    const char *wanted = getenv("COLUMNS");
    struct winsize size;

    if (!isatty(fileno(out)))
        return SIZE_MAX;
    if (wanted && strtoul(wanted, NULL, 10) > 0)
        return strtoul(wanted, NULL, 10);
    if (ioctl(fileno(out), TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return SIZE_MAX;
    return size.ws_col;
}

/* The column that loses the least by being cut; n_columns: none may be. */
static size_t widest(const struct table *table, const size_t *widths)
{
    size_t most = table->n_columns;
    for (size_t i = 0; i < table->n_columns; i++)
        if (!table->right[i] && widths[i] > NARROWEST &&
            (most == table->n_columns || widths[i] >= widths[most]))
            most = i;
    return most;
}

static void fit(const struct table *table, size_t room, size_t *widths)
{
    size_t used = GAP * (table->n_columns - 1), i;
    for (i = 0; i < table->n_columns; i++)
        used += widths[i];
    while (used > room && (i = widest(table, widths)) < table->n_columns) {
        widths[i]--;
        used--;
    }
}

void table_print(const struct table *table, FILE *out, const char *indent)
{
    if (!table || table->n_columns == 0)
        return;
    size_t widths[TABLE_COLUMNS_MAX], margin = strlen(indent), room = terminal_width(out);
    for (size_t i = 0; i < table->n_columns; i++)
        widths[i] = column_width(table, i);
    fit(table, room > margin ? room - margin : 0, widths);
    for (size_t r = 0; r < table->n_rows; r++) {
        fputs(indent, out);
        for (size_t i = 0; i < table->n_columns; i++)
            print_cell(table, cell(table, r, i), i, widths[i], out);
        fputc('\n', out);
    }
}

const char *format_size(double bytes, char ret[static SIZE_TEXT])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    size_t unit = 0;
    while (bytes >= 1024 && unit + 1 < N_ELEMENTS(units)) {
        bytes /= 1024;
        unit++;
    }
    (void)snprintf(ret, SIZE_TEXT, unit > 0 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return ret;
}
