/* SPDX-License-Identifier: Apache-2.0 */
/* table.h - aligned columns for people.
 *
 * Every text is copied, and cleaned: what other processes and guests call themselves
 * must not reach a terminal as control sequences. On a terminal the widest columns are cut
 * until a row fits into a line, in a pipe nothing is. Numbers, which are those aligned to the
 * right, are never cut. */
#pragma once
#include <stdbool.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 12

struct table;

/* columns: headers separated by blanks; one ending in '>' is aligned to the right.
 * NULL without memory, which the other functions take for an empty table. */
struct table *table_new(const char *columns);
void table_free(struct table *table);
/* One text a column; NULL or "" is shown as "-". */
void table_add(struct table *table, const char *const *texts);
void table_print(const struct table *table, FILE *out, const char *indent);

/* "12.3 MiB", into ret. */
#define SIZE_TEXT 24
const char *format_size(double bytes, char ret[static SIZE_TEXT]);
