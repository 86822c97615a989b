/* SPDX-License-Identifier: Apache-2.0 */
/* The host's resolv.conf, as the relay reads it. */
#include "fuzz.h"
#include "resolvers.h"

#include <string.h>

FUZZ(data, size)
{
    struct resolvers rs = { .n = 0 };
    char *text = malloc(size + 1);
    FILE *file;

    MUST(text);
    if (size > 0)
        memcpy(text, data, size);
    file = size > 0 ? fmemopen(text, size, "r") : NULL;
    resolvers_read(&rs, file, SERVERS_GLIBC);
    MUST(rs.n >= 1 && rs.n <= SERVERS_GLIBC);
    for (size_t i = 0; i < rs.n; i++)
        MUST(rs.server[i].len > 0 && rs.server[i].len <= sizeof rs.server[i].addr);
    if (file)
        (void)fclose(file);
    free(text);
}
