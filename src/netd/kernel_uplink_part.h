/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_uplink_part.h - what the rooms of the kernel uplink share.
 *
 *   kernel_uplink.c        its life, when a round begins, and what comes of it
 *   kernel_uplink_make.c   the first half of a round: what is needed is planned, and made
 *   kernel_uplink_probe.c  the second half: do packets pass, and who drops them?
 *
 * kernel_uplink.c draws the phases.
 */
#pragma once
#include "kernel_uplink.h"

#define KERNEL_CABLE uplink_link(KERNEL_SLOT) /* its end in the namespace */

enum kernel_phase { STOPPED, PROBING, TRACING, HOST, KNOWN };

/* Of one family. */
struct kernel_state {
    enum kernel_way is;
    char why[NETD_WHY_SIZE - 16];
};

struct kernel_uplink {
    struct kernel_uplink_setup setup;
    sd_event_source *timer;
    enum kernel_phase phase;
    bool again;                /* the host has changed since this round began */
    bool in_host;              /* something of plan may be there */
    struct host_nat_plan plan; /* as it was written down */
    unsigned probes;           /* of this round */
    unsigned repairs;          /* in a row */
    uint64_t repaired;         /* when last; monotonic */
    int reach;                 /* what the router was told: bit 0 IPv4, bit 1 IPv6; -1: nothing */
    struct kernel_state four, six;
    char overlap[NETD_WHY_SIZE]; /* "": there is none */
    char host[NETD_WHY_SIZE];    /* what keeps guests from the host; "": nothing */
};

/* ---- kernel_uplink.c */

/* The end of a round. */
void kernel_uplink_conclude(struct kernel_uplink *k, const struct kernel_state *four,
                            const struct kernel_state *six);
/* The same, when it could not be done: err, which the hostside process has put in words. */
void kernel_uplink_fail(struct kernel_uplink *k, int err, const struct netd_why *why);
/* What keeps guests from the host; "": nothing that we know of. The very end. */
void kernel_uplink_conclude_host(struct kernel_uplink *k, const char *host);

/* ---- kernel_uplink_make.c */

/* What there is in the host, and the cable's end here, becomes what there must be. */
int kernel_uplink_make(struct kernel_uplink *k, struct netd_why *why);

/* ---- kernel_uplink_probe.c */

/* One of these begins; the end is kernel_uplink_conclude() ... */
void kernel_uplink_probe(struct kernel_uplink *k);
/* ... and here kernel_uplink_conclude_host(). */
void kernel_uplink_probe_host(struct kernel_uplink *k);
/* The time that probes were given has passed. */
void kernel_uplink_time_is_up(struct kernel_uplink *k);
/* The host need not look out for them any more. */
void kernel_uplink_end_probes(const struct kernel_uplink *k);
