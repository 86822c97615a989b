/* SPDX-License-Identifier: Apache-2.0 */
#include "xpc_json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void write_string(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < ' ')
            fprintf(out, "\\u%04x", c);
        else
            (void)fputc(c, out);
    }
    (void)fputc('"', out);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void write_dictionary(FILE *out, xpc_object_t value)
{
    size_t room = xpc_dictionary_get_count(value);
    const char **keys = calloc(room + 1, sizeof *keys);
    __block size_t n = 0;

    if (!keys) {
        (void)fputs("null", out);
        return;
    }
    (void)xpc_dictionary_apply(value, ^bool(const char *key, xpc_object_t unused) {
      (void)unused;
      keys[n++] = key;
      return n < room;
    });
    qsort(keys, n, sizeof *keys, by_name);
    (void)fputc('{', out);
    for (size_t i = 0; i < n; i++) {
        (void)fputs(i > 0 ? ", " : "", out);
        write_string(out, keys[i]);
        (void)fputs(": ", out);
        xpc_json_write(out, xpc_dictionary_get_value(value, keys[i]));
    }
    (void)fputc('}', out);
    free(keys);
}

static void write_array(FILE *out, xpc_object_t value)
{
    (void)fputc('[', out);
    for (size_t i = 0; i < xpc_array_get_count(value); i++) {
        (void)fputs(i > 0 ? ", " : "", out);
        xpc_json_write(out, xpc_array_get_value(value, i));
    }
    (void)fputc(']', out);
}

void xpc_json_write(FILE *out, xpc_object_t value)
{
    xpc_type_t type = xpc_get_type(value);
    if (type == XPC_TYPE_DICTIONARY)
        write_dictionary(out, value);
    else if (type == XPC_TYPE_ARRAY)
        write_array(out, value);
    else if (type == XPC_TYPE_STRING)
        write_string(out, xpc_string_get_string_ptr(value));
    else if (type == XPC_TYPE_INT64)
        fprintf(out, "%" PRId64, xpc_int64_get_value(value));
    else if (type == XPC_TYPE_UINT64)
        fprintf(out, "%" PRIu64, xpc_uint64_get_value(value));
    else if (type == XPC_TYPE_BOOL)
        (void)fputs(xpc_bool_get_value(value) ? "true" : "false", out);
    else
        (void)fputs("null", out);
}
