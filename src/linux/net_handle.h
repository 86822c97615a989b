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
#include <systemd/sd-event.h>

/* One live interface, as status shows it. Owned by its network's handle. */
struct iface_entry {
    TAILQ_ENTRY(iface_entry) link;
    struct netd_interface spec; /* with .tap */
    struct netd_stats stats;
};

/* A port of the host that leads to a VM of this network, or is to. */
struct forward_entry {
    TAILQ_ENTRY(forward_entry) link;
    struct netd_forward spec; /* NETD_FORWARD_LIVE: netd listens for it */
    char why[NETD_WHY_SIZE];  /* why it does not; "": not known */
    unsigned serial;          /* no other one has it */
    bool wanted;              /* false: it is to go */
    bool present;             /* netd has it */
    bool asked;               /* netd has been asked to make or remove it */
    uint64_t not_before;      /* one that was refused is not tried again before */
    unsigned refusals;        /* one after the other */
    backend_forwarded done;   /* NULL: nobody waits */
    void *arg;
    sd_event_source *timer; /* whose patience ends */
};

struct net_handle {
    struct netd_network spec;
    unsigned host;      /* the host is on it, when netd was last asked: enum netd_family */
    const char *uplink; /* "none", or the backend's text: "checking", "ok", "failed: why" */
    TAILQ_HEAD(, iface_entry) interfaces;
    TAILQ_HEAD(, forward_entry) forwards;
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
