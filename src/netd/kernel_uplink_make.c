/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_uplink_make.c - the first half of a round: a plan from what the host has now, written down
 * before anything of it is touched, then made by the hostside process; and the cable's end in the
 * namespace, which is ours to address.
 *
 * Made again, everything is left as it is where it is as it should be. So whatever has changed,
 * this is what mends it.
 */
#include "kernel_uplink_part.h"

#include "cable.h"
#include "knobs.h"
#include "log.h"
#include "mem.h"
#include "names.h"
#include "str.h"
#include "transit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define QUARREL      5u                    /* repairs in a row ... */
#define QUARREL_TIME (30ull * 1000 * 1000) /* ... with less than this in between */

static int route_cable(const struct kernel_uplink *k)
{
    uint8_t host6[16];
    int r;

    transit6_host(host6);
    r = link_made(link_add_default4(k->setup.links, KERNEL_CABLE, transit_host(k->plan.transit),
                                    RT_TABLE_MAIN));
    return r < 0 ? r
                 : link_made(link_add_default6(k->setup.links, KERNEL_CABLE, host6, RT_TABLE_MAIN));
}

/* The cable's end in the namespace. */
static int address_cable(const struct kernel_uplink *k, struct netd_why *why)
{
    /* accept_local: the host lets nobody pass with an address of ours, so that the kernel need not
     * ask its routes once more for each packet. */
    static const struct knob knobs[] = {
        { "ipv6/conf/", "/accept_ra", "0" },    { "ipv6/conf/", "/accept_dad", "0" },
        { "ipv6/conf/", "/disable_ipv6", "0" }, { "ipv4/conf/", "/forwarding", "1" },
        { "ipv4/conf/", "/rp_filter", "0" },    { "ipv4/conf/", "/accept_local", "1" },
    };
    int r = knobs_set(knobs, N_ELEMENTS(knobs), KERNEL_CABLE, why);

    if (r < 0)
        return r;
    (void)sysctl_set("ipv4/conf/all/rp_filter", "0"); /* as the host has it, else */
    (void)sysctl_set("ipv6/conf/all/forwarding", "1");
    r = link_set_group(k->setup.links, KERNEL_CABLE, uplink_group(KERNEL_SLOT));
    if (r == 0)
        r = cable_connect(k->setup.links, KERNEL_CABLE, CABLE_INSIDE, k->plan.transit);
    if (r >= 0)
        r = route_cable(k);
    return r < 0 ? why_failed(why, r, "cannot address '%s' in the namespace", KERNEL_CABLE) : 0;
}

/* Somebody who switches off again whatever we switch on shall have his way in the end. */
static int note_repairs(struct kernel_uplink *k, unsigned mended, struct netd_why *why)
{
    uint64_t now = 0;

    (void)sd_event_now(k->setup.event, CLOCK_MONOTONIC, &now);
    if (k->repaired != 0 && now - k->repaired > QUARREL_TIME)
        k->repairs = 0;
    if (mended > 0) {
        log_info("kernel uplink: somebody has changed what it needs of the host: mended");
        k->repaired = now;
        k->repairs++;
    }
    if (k->repairs <= QUARREL)
        return 0;
    return why_refused(why, -EBUSY,
                       "some program of the host's takes away its rules, link or forwarding again "
                       "and again");
}

static bool same_facts(const struct host_nat_plan *a, const struct host_nat_plan *b)
{
    return a->transit == b->transit && memcmp(&a->on4, &b->on4, sizeof a->on4) == 0 &&
           memcmp(&a->on6, &b->on6, sizeof a->on6) == 0;
}

/* What the host has is other than it was; before anything of it is touched. */
static int write_down(struct kernel_uplink *k, const struct host_nat_plan *plan,
                      struct netd_why *why)
{
    int r = journal_host_nat(k->setup.journal, plan);

    if (r < 0)
        return why_failed(why, r, "cannot write down what is to be made in the host");
    k->in_host = true;
    return 0;
}

/* Said once, and aloud; addresses that VMs have are never changed under them. */
static void warn_of_overlap(struct kernel_uplink *k, const struct host_overlap *overlap)
{
    const struct subnet4 range = { .base = overlap->base, .prefix = overlap->prefix };
    char text[SUBNET4_TEXT];

    if (memcmp(overlap, &k->plan.overlap, sizeof *overlap) == 0)
        return;
    k->plan.overlap = *overlap;
    *k->overlap = '\0';
    if (overlap->prefix != 0) {
        (void)snprintf(k->overlap, sizeof k->overlap,
                       "the host's route %s dev %s overlaps a network's subnet: VMs keep their "
                       "addresses and cannot reach what is behind it; stop them, or take it away",
                       subnet4_format(range, text), overlap->link);
        log_warning("%s", k->overlap);
    } else {
        log_info("nothing of the host's overlaps a network's subnet any more");
    }
    k->setup.changed(k->setup.arg);
}

static int plan_anew(struct kernel_uplink *k, struct host_nat_plan *ret, struct netd_why *why)
{
    int r = hostside_nat_plan(k->setup.hostside, &k->plan, ret, why);

    if (r < 0)
        return r;
    warn_of_overlap(k, &ret->overlap);
    if (ret->transit == 0)
        return why_refused(why, -EADDRNOTAVAIL,
                           "the host has routes to all of 169.254.255.0/24 and 169.254.0.0/24");
    return 0;
}

int kernel_uplink_make(struct kernel_uplink *k, struct netd_why *why)
{
    struct host_nat_plan plan;
    unsigned mended = 0;
    bool other;
    int r = plan_anew(k, &plan, why);

    if (r == 0 && k->in_host && plan.transit != k->plan.transit) {
        log_warning("kernel uplink: somebody of the host's has come to have our cable's addresses");
        r = hostside_nat_end(k->setup.hostside, &k->plan, why);
        if (r == 0)
            r = plan_anew(k, &plan, why);
    }
    if (r < 0)
        return r;
    other = !k->in_host || !same_facts(&plan, &k->plan);
    r = other ? write_down(k, &plan, why) : 0;
    if (r < 0)
        return r;
    k->plan = plan;
    r = hostside_nat_make(k->setup.hostside, &plan, &mended, why);
    if (r == 0)
        r = address_cable(k, why);
    return r < 0 ? r : note_repairs(k, other ? 0 : mended, why);
}
