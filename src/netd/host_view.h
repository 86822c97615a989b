/* SPDX-License-Identifier: Apache-2.0 */
/* host_view.h - what of the host decides about the kernel uplink: by which links it reaches
 * anything, whether it has a way to everywhere, and which addresses are taken.
 *
 * Read afresh whenever something has changed; the answer takes 0.1 ms on an ordinary host.
 */
#pragma once
#include "host_nat_rules.h"
#include "link.h"
#include "subnet.h"
#include "transit.h"

#include <stdbool.h>

/* A route or address of the host's that overlaps a network of ours: what is sent there goes to
 * one of the two. prefix 0: there is none. */
struct host_overlap {
    uint32_t base, prefix; /* host order */
    char link[IFNAMSIZ];
};

struct host_view {
    bool default4, default6; /* by any route to half of the world or more */
    struct link_names links4, links6;
    struct host_overlap overlap; /* the first */
    struct transit_map transits; /* what is taken by others than our cable */
};

/* ours: the subnets of networks. 0 or a negative errno. */
int host_view_read(struct link_ctx *links, const struct subnet4 *ours, size_t n_ours,
                   struct host_view *ret);
