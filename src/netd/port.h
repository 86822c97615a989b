/* SPDX-License-Identifier: Apache-2.0 */
/* port.h - a VM's place on a network: a TAP, its filter elements, its address. */
#pragma once
#include "link.h"
#include "nft.h"
#include "why.h"

struct port {
    struct port *next;
    struct netd_interface interface;
    int ifindex; /* a name may be used again before we hear that it was free */
    /* Another MAC still has a DHCP lease of our address; zero: none. dnsmasq gives the
     * address away only if it is told that both are the same host. */
    struct mac heir_of;
    uint64_t dropped; /* frames, when the filter was last asked */
};

/* The TAP's device on the bridge: made, filtered and up, in this order, so that no
 * frame passes unfiltered. ret_fds: one a queue, the caller's. On error nothing is
 * left. index, bridge, group: those of the network `net`. */
int port_create(struct link_ctx *links, struct nft *nft, struct port *port, uint32_t index,
                const char *bridge, uint32_t group, const struct netd_network *net, int *ret_fds,
                struct netd_why *why);
