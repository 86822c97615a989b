/* SPDX-License-Identifier: Apache-2.0 */
/* host_nat.h - the host's side of the kernel uplink: a cable into the namespace, some links that
 * forward, and a table (host_nat_rules.h). The host's kernel then does what an engine does
 * otherwise.
 *
 * Used by the hostside process alone. It is told what an earlier one has switched on, and says
 * what it would switch on, before it does: so that netd can write it down.
 */
#pragma once
#include "host_nat_rules.h"
#include "host_view.h"
#include "link.h"
#include "nft.h"
#include "nft_trace.h"
#include "why.h"

struct host_nat;

struct host_nat_tools {
    struct link_ctx *links; /* all borrowed, and of the host */
    struct nft *nft;
    int netns; /* where the cable's other end is */
};

int host_nat_new(const struct host_nat_tools *tools, struct host_nat **ret);
/* Everything stays as it is. NULL is fine. */
void host_nat_free(struct host_nat *nat);

/* What there is to be made, as the host is now. `on`: what has been switched on by us, now or in
 * an earlier life. */
struct host_nat_plan {
    uint32_t transit;            /* transit.h; 0: not one is free */
    uint32_t default4, default6; /* 0 or 1: the host has a way to everywhere */
    uint32_t kernel6;            /* 0 or 1: IPv6 can be forwarded without harm */
    struct host_overlap overlap; /* what stands in the way of a network of ours */
    struct link_names on4, on6;  /* whose forwarding is our doing */
};

/* ours: the subnets of networks. now: what the last plan said; all zero: nothing was ever planned.
 * ret may be the same. */
int host_nat_plan(struct host_nat *nat, const struct subnet4 *ours, size_t n_ours,
                  const struct host_nat_plan *now, struct host_nat_plan *ret);

/* Makes it so, and mends what somebody has changed. ret_mended: how much of what had been there
 * was not. On error there are words, and end() is due sooner or later. */
int host_nat_make(struct host_nat *nat, const struct host_nat_plan *plan, unsigned *ret_mended,
                  struct netd_why *why);
/* All of it goes, and these links forward no longer. Every step is tried. */
int host_nat_end(struct host_nat *nat, const struct link_names *on4, const struct link_names *on6,
                 struct netd_why *why);

/* Probes are about to come by the cable, until rest(). trace: it shall be told who drops them. */
int host_nat_arm(struct host_nat *nat, bool trace, struct netd_why *why);

/* How they fared since. */
struct host_nat_verdict {
    uint32_t passed4, passed6;                    /* 0 or 1 */
    uint32_t strict4;                             /* 0 or 1: rp_filter, which IPv6 has not */
    struct nft_trace_end end[NFT_TRACE_FAMILIES]; /* of those that did not, when it was traced */
};
int host_nat_look(struct host_nat *nat, struct host_nat_verdict *ret, struct netd_why *why);
/* No more of them. Where somebody has taken our table away, that is make()'s to mend. */
void host_nat_rest(struct host_nat *nat);
