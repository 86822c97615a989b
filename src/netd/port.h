/* SPDX-License-Identifier: Apache-2.0 */
/* port.h - a VM's place on a network: a TAP, its filter elements, its address. The
 * calls are in network.h. */
#pragma once
#include "addr.h"
#include "netd_msg.h"

struct tap_hold;

struct port {
    struct port *next;
    struct network *net;
    struct netd_interface interface;
    int ifindex;           /* a name may be used again before we hear that it was free */
    struct tap_hold *hold; /* NULL: not by name, or nobody holds that any more */
    /* Another MAC still has a DHCP lease of our address; zero: none. dnsmasq gives the
     * address away only if it is told that both are the same host. */
    struct mac heir_of;
    bool heir_known;    /* it was looked up */
    uint64_t dropped;   /* frames, when the filter was last asked */
    uint64_t denied[2]; /* packets, likewise the router: by enum router_denied */
};
