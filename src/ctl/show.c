/* SPDX-License-Identifier: Apache-2.0 */
#include "show.h"

#include "mem.h"

#include <stdarg.h>
#include <stdio.h>

const char *member_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

long long member_number(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

const char *or_dash(const char *text)
{
    return text && text[0] ? text : "-";
}

void print_clean(const char *fmt, ...)
{
    AUTO_FREE char *line = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&line, fmt, ap);
    va_end(ap);
    if (n < 0) {
        line = NULL;
        return;
    }
    for (char *c = line; *c; c++)
        putchar((unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c);
    putchar('\n');
}
