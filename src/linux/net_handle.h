/* SPDX-License-Identifier: Apache-2.0 */
/* net_handle.h - what backend_netd.c makes and transport_varlink.c serializes.
 *
 * The two Linux ports agree on these behind the core's back: to the core they
 * are opaque (ports/backend.h).
 */
#pragma once
#include "addr.h"
#include "backend.h"
#include "netd_msg.h"

#include <sys/queue.h>

/* One live interface, as status shows it. Owned by its network's handle. */
struct iface_entry {
    TAILQ_ENTRY(iface_entry) link;
    struct netd_interface spec; /* with .tap */
    struct netd_stats stats;
};

struct net_handle {
    struct netd_network spec;
    const char *uplink; /* "none", or the backend's text: "checking", "ok", "failed: why" */
    TAILQ_HEAD(, iface_entry) interfaces;
};

/* The answer to StartInterface. Owns its descriptors; ended by iface_handle_free(),
 * which closes them on a thread of their own: closing the last descriptor of a TAP
 * takes 20 ms (docs/performance.md). */
struct iface_handle {
    struct netd_interface spec;
    unsigned mtu;
    int fds[IFACE_QUEUES_MAX];
    unsigned n_fds;
};

void iface_handle_free(struct iface_handle *handle); /* NULL is fine */
