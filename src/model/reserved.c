/* SPDX-License-Identifier: Apache-2.0 */
#include "reserved.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void reserved_clear(struct reserved *reserved)
{
    free(reserved->list);
    *reserved = (struct reserved){ 0 };
}

void reserved_move(struct reserved *reserved, struct subnet4 subnet)
{
    size_t kept = 0;

    for (size_t i = 0; i < reserved->n; i++)
        if (subnet4_contains(subnet, reserved->list[i].ipv4))
            reserved->list[kept++] = reserved->list[i];
    reserved->n = kept;
}

int reserved_copy(struct reserved *reserved, const struct reservation *list, size_t n,
                  struct subnet4 subnet)
{
    struct reservation *copy = NULL;

    if (n > 0) {
        copy = calloc(n, sizeof *copy);
        if (!copy)
            return -ENOMEM;
        memcpy(copy, list, n * sizeof *copy);
    }
    reserved_clear(reserved);
    reserved->list = copy;
    reserved->n = n;
    reserved_move(reserved, subnet);
    return 0;
}

const struct reservation *reserved_mac(const struct reserved *reserved, struct mac mac)
{
    for (size_t i = 0; i < reserved->n; i++)
        if (mac_equal(reserved->list[i].mac, mac))
            return &reserved->list[i];
    return NULL;
}

const struct reservation *reserved_name(const struct reserved *reserved, const char *name)
{
    for (size_t i = 0; i < reserved->n; i++)
        if (reserved->list[i].name[0] != '\0' && strcmp(reserved->list[i].name, name) == 0)
            return &reserved->list[i];
    return NULL;
}

const struct reservation *reserved_ipv4(const struct reserved *reserved, uint32_t ipv4)
{
    for (size_t i = 0; i < reserved->n; i++)
        if (reserved->list[i].ipv4 == ipv4)
            return &reserved->list[i];
    return NULL;
}
