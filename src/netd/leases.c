/* SPDX-License-Identifier: Apache-2.0 */
/* leases.c - see leases.h. */
#include "leases.h"

#include "file.h"
#include "mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LEASES_MAX (1u << 20)

/* A line of the lease file: "1700000000 52:54:00:12:34:56 192.168.64.2 web *". */
static bool parse_lease(const char *line, struct lease *ret)
{
    char mac[MAC_TEXT], address[ADDR4_TEXT];

    return sscanf(line, "%" SCNu64 " %17s %15s", &ret->expires, mac, address) == 3 &&
           addr4_parse(address, &ret->ipv4) == 0 && mac_parse(mac, &ret->mac) == 0;
}

void leases_read(int dirfd, struct leases *ret)
{
    AUTO_FREE char *text = NULL;
    char *save = NULL;
    struct lease lease;
    size_t len;

    if (file_read(dirfd, "leases", LEASES_MAX, &text, &len) < 0)
        return;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        struct lease *more;

        if (!parse_lease(line, &lease))
            continue;
        more = reallocarray(ret->list, ret->n + 1, sizeof *more);
        if (!more)
            return;
        ret->list = more;
        ret->list[ret->n++] = lease;
    }
}

const struct lease *leases_find(const struct leases *leases, uint32_t ipv4)
{
    for (size_t i = 0; i < leases->n; i++)
        if (leases->list[i].ipv4 == ipv4)
            return &leases->list[i];
    return NULL;
}

void leases_clear(struct leases *leases)
{
    free(leases->list);
    *leases = (struct leases){ 0 };
}
