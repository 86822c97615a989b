/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_uplink.h - the way out by the host's own kernel (system instance): netd's side.
 *
 * The host's side (host_nat.h) is made and mended by the hostside process; here it is decided
 * when, the cable's inner end is addressed, and probes are sent. What the host's firewall thinks
 * of us is never assumed: after every change of its rules, routes, links or forwarding, all is
 * mended first, and then probed.
 */
#pragma once
#include "hostside.h"
#include "journal.h"
#include "link.h"
#include "nft.h"

#include <netinet/in.h>
#include <systemd/sd-event.h>

struct kernel_uplink;

enum kernel_way {
    KERNEL_CHECKING,
    KERNEL_OPEN,    /* probes pass */
    KERNEL_BLOCKED, /* they do not: kernel_uplink_why() */
    KERNEL_NO_ROUTE /* the host has no way to everywhere in this family */
};

struct kernel_uplink_setup {
    sd_event *event; /* all borrowed */
    struct link_ctx *links;
    struct nft *nft;
    struct hostside *hostside;
    struct journal *journal;
    /* Whence and whither a probe of the host itself goes; false: no network has the host on it. */
    bool (*host_probe)(void *arg, struct sockaddr_in *from, struct sockaddr_in *to);
    /* A way has opened or closed. */
    void (*changed)(void *arg);
    void *arg;
};

/* left: what the journal says about an earlier netd's. */
int kernel_uplink_new(const struct kernel_uplink_setup *setup, const struct host_nat_plan *left,
                      struct kernel_uplink **ret);
/* Idempotent. Failures are this uplink's state, and tried again when the host changes. */
void kernel_uplink_start(struct kernel_uplink *kernel);
/* Nothing is left in the host. */
void kernel_uplink_stop(struct kernel_uplink *kernel);
/* Everything stays as it is, for the next netd. NULL is fine. */
void kernel_uplink_leave(struct kernel_uplink *kernel);

/* The host has changed. */
void kernel_uplink_look(struct kernel_uplink *kernel);

/* family: AF_INET, AF_INET6. */
enum kernel_way kernel_uplink_way(const struct kernel_uplink *kernel, int family);
/* "": nothing is wrong. Valid until the next change. */
const char *kernel_uplink_why(const struct kernel_uplink *kernel, int family);
/* What of the host's is where a network of ours is; "": nothing. */
const char *kernel_uplink_overlap(const struct kernel_uplink *kernel);
/* What keeps guests from reaching the host; "": nothing that we know of. */
const char *kernel_uplink_host(const struct kernel_uplink *kernel);
/* For the journal. */
const struct host_nat_plan *kernel_uplink_plan(const struct kernel_uplink *kernel);
