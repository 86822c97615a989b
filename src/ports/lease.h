/* SPDX-License-Identifier: Apache-2.0 */
/* lease.h - who has which address of a network, and for how long: what `leases` shows. */
#pragma once
#include "addr.h"
#include "net_def.h"

#include <stdint.h>
#include <sys/types.h>

enum lease_kind {
    LEASE_LIVE,       /* an interface that exists has it */
    LEASE_REMEMBERED, /* it waits for whom it belongs to */
    LEASE_RESERVED,   /* so does this, by the network's definition */
    LEASE_OTHER,      /* dnsmasq gave it to a VM behind an interface */
    LEASE_KINDS
};

/* Plain values, all copied. */
struct lease_view {
    char network[NAME_SIZE];
    enum lease_kind kind;
    uint32_t ipv4;
    struct mac mac;
    char name[NAME_SIZE]; /* "": none */
    uid_t uid;            /* whose it is; (uid_t)-1: nobody's in particular */
    uint64_t expires;     /* seconds since 1970; 0: not given out by DHCP, or for ever */
};
