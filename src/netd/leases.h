/* SPDX-License-Identifier: Apache-2.0 */
/* leases.h - what dnsmasq has written down of the addresses that it gave out.
 *
 * Names and identifiers in the file are the guests'; nothing but time, MAC and address is read.
 */
#pragma once
#include "addr.h"

#include <stddef.h>

struct lease {
    uint32_t ipv4;
    struct mac mac;
    uint64_t expires; /* seconds since 1970; 0: never */
};

struct leases {
    struct lease *list;
    size_t n;
};

/* Adds what the directory's lease file says; without one, nothing. The caller clears. */
void leases_read(int dirfd, struct leases *ret);
void leases_clear(struct leases *leases);
const struct lease *leases_find(const struct leases *leases, uint32_t ipv4); /* NULL: none */
