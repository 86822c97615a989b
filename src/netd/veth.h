/* SPDX-License-Identifier: Apache-2.0 */
/* veth.h - a cable between two namespaces: a link here, and its other end there from the
 * beginning, so that no half of it is ever seen here. The kernel deletes both when either goes. */
#pragma once
#include "link.h"

struct veth {
    const char *name, *peer;          /* here and there */
    const struct mac *mac, *peer_mac; /* NULL: the kernel's choice */
    int netns;                        /* where "there" is; borrowed */
    unsigned mtu;
};

/* Both ends are down. 0 or a negative errno. */
int veth_add(struct link_ctx *links, const struct veth *veth);
