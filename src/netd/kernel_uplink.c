/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_uplink.c - see kernel_uplink.h.
 *
 *            plan, write down, make, address            counted            (both families)
 *    STOPPED -----------------------------> PROBING ----------------------------> KNOWN
 *                                             | not in time                        |
 *                                             v                                    |
 *                                          TRACING --- who drops them is known --> |
 *                       ^                                                          |
 *                       +------------------ the host has changed ------------------+
 *
 * One round does everything, whatever has changed: a plan from what the host has now, the
 * difference to what there is, a probe. So a flushed table, forwarding that somebody switched
 * off and addresses that somebody else took are mended on the way, before anything is judged.
 * While a round lasts the last verdict stands.
 *
 * After it, HOST: another probe is traced on its way to the host itself, only to tell what guests
 * can expect. What the host's input drops stays dropped.
 */
#include "kernel_uplink_part.h"

#include "log.h"
#include "names.h"
#include "router.h"
#include "str.h"
#include "transit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- what is known --------------------------------------------------------------------- */

enum kernel_way kernel_uplink_way(const struct kernel_uplink *k, int family)
{
    return family == AF_INET ? k->four.is : k->six.is;
}

const char *kernel_uplink_why(const struct kernel_uplink *k, int family)
{
    return family == AF_INET ? k->four.why : k->six.why;
}

const struct host_nat_plan *kernel_uplink_plan(const struct kernel_uplink *k)
{
    return &k->plan;
}

const char *kernel_uplink_overlap(const struct kernel_uplink *k)
{
    return k->overlap;
}

const char *kernel_uplink_host(const struct kernel_uplink *k)
{
    return k->host;
}

/* ---- a verdict ------------------------------------------------------------------------- */

static bool set_way(struct kernel_state *way, const char *family, enum kernel_way is,
                    const char *why)
{
    if (way->is == is && strcmp(way->why, why) == 0)
        return false;
    way->is = is;
    (void)str_copy(way->why, sizeof way->why, why);
    if (is == KERNEL_OPEN)
        log_info("kernel uplink: %s passes through the host", family);
    else if (is == KERNEL_BLOCKED)
        log_warning("kernel uplink: %s does not pass through the host: %s", family, why);
    else if (is == KERNEL_NO_ROUTE)
        log_info("kernel uplink: the host has no default route for %s", family);
    return true;
}

/* Who stays on a way that is closed hears so at once. */
static void set_reach(struct kernel_uplink *k)
{
    bool four = k->four.is == KERNEL_OPEN || k->four.is == KERNEL_CHECKING;
    bool six = k->six.is == KERNEL_OPEN || k->six.is == KERNEL_CHECKING;
    int reach = four | six << 1;

    if (reach == k->reach)
        return;
    if (router_set_reach(k->setup.nft, KERNEL_SLOT, four, six) < 0)
        log_warning("kernel uplink: cannot change the router's rules: %s", nft_error(k->setup.nft));
    else
        k->reach = reach;
}

/* What was masqueraded as an address that goes is forgotten, and begins anew elsewhere. */
static void forget_flows(const struct kernel_uplink *k, int family)
{
    uint8_t addr6[16];

    transit6_inside(addr6);
    if (family == AF_INET)
        (void)link_delete_addr4(k->setup.links, KERNEL_CABLE, transit_inside(k->plan.transit),
                                TRANSIT_PREFIX);
    else
        (void)link_delete_addr6(k->setup.links, KERNEL_CABLE, addr6, TRANSIT6_PREFIX);
}

void kernel_uplink_conclude_host(struct kernel_uplink *k, const char *host)
{
    kernel_uplink_end_probes(k);
    k->phase = KNOWN;
    if (strcmp(host, k->host) != 0) {
        (void)str_copy(k->host, sizeof k->host, host);
        log_info("%s",
                 *host ? host : "nothing that we know of keeps guests from the host any more");
        k->setup.changed(k->setup.arg);
    }
    if (k->again)
        kernel_uplink_look(k);
}

void kernel_uplink_conclude(struct kernel_uplink *k, const struct kernel_state *four,
                            const struct kernel_state *six)
{
    bool changed = set_way(&k->four, "IPv4", four->is, four->why);

    changed |= set_way(&k->six, "IPv6", six->is, six->why);
    kernel_uplink_end_probes(k);
    k->phase = KNOWN;
    set_reach(k);
    if (k->in_host && four->is == KERNEL_BLOCKED)
        forget_flows(k, AF_INET);
    if (k->in_host && six->is == KERNEL_BLOCKED)
        forget_flows(k, AF_INET6);
    if (changed)
        k->setup.changed(k->setup.arg);
    if (k->again)
        kernel_uplink_look(k);
    else if (k->in_host)
        kernel_uplink_probe_host(k);
}

void kernel_uplink_fail(struct kernel_uplink *k, int err, const struct netd_why *why)
{
    struct kernel_state failed = { .is = KERNEL_BLOCKED };

    if (err == -EPIPE || err == -ECONNRESET) {
        k->phase = KNOWN; /* whom we asked has died: that is the next netd's to judge */
        return;
    }
    (void)str_copy(failed.why, sizeof failed.why, why->why);
    kernel_uplink_conclude(k, &failed, &failed);
}

/* ---- a round --------------------------------------------------------------------------- */

void kernel_uplink_look(struct kernel_uplink *k)
{
    struct netd_why why = { 0 };
    int r;

    if (k->phase != KNOWN && k->phase != STOPPED) {
        k->again = true;
        return;
    }
    if (k->phase == STOPPED)
        return;
    k->again = false;
    r = kernel_uplink_make(k, &why);
    if (r < 0)
        kernel_uplink_fail(k, r, &why);
    else
        kernel_uplink_probe(k);
}

/* ---- life ------------------------------------------------------------------------------ */

void kernel_uplink_start(struct kernel_uplink *k)
{
    if (k->phase != STOPPED)
        return;
    k->phase = KNOWN;
    k->four = k->six = (struct kernel_state){ .is = KERNEL_CHECKING };
    kernel_uplink_look(k);
}

static void end_in_host(struct kernel_uplink *k)
{
    struct netd_why why = { 0 };

    if (hostside_nat_end(k->setup.hostside, &k->plan, &why) < 0) {
        log_error("kernel uplink: %s", why.why); /* the journal still says so */
        return;
    }
    k->plan = (struct host_nat_plan){ .transit = 0 };
    k->in_host = false;
    (void)journal_host_nat(k->setup.journal, &k->plan);
}

/* Nobody is concerned any more. Who comes next is warned of what there is then. */
static void forget_warnings(struct kernel_uplink *k)
{
    k->plan.overlap = (struct host_overlap){ .prefix = 0 };
    k->overlap[0] = k->host[0] = '\0';
}

void kernel_uplink_stop(struct kernel_uplink *k)
{
    if (k->phase == STOPPED && !k->in_host)
        return;
    (void)sd_event_source_set_enabled(k->timer, SD_EVENT_OFF);
    k->phase = STOPPED;
    k->again = false;
    k->four = k->six = (struct kernel_state){ .is = KERNEL_CHECKING };
    forget_warnings(k);
    end_in_host(k);
}

void kernel_uplink_leave(struct kernel_uplink *k)
{
    if (!k)
        return;
    sd_event_source_disable_unref(k->timer);
    free(k);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
    (void)source;
    (void)usec;
    kernel_uplink_time_is_up(arg);
    return 0;
}

int kernel_uplink_new(const struct kernel_uplink_setup *setup, const struct host_nat_plan *left,
                      struct kernel_uplink **ret)
{
    struct kernel_uplink *k = calloc(1, sizeof *k);
    int r;

    if (!k)
        return -ENOMEM;
    k->setup = *setup;
    k->plan = *left;
    k->in_host = left->transit != 0;
    k->reach = -1;
    r = sd_event_add_time_relative(setup->event, &k->timer, CLOCK_BOOTTIME, 0, 1, on_timer, k);
    if (r >= 0)
        r = sd_event_source_set_enabled(k->timer, SD_EVENT_OFF);
    if (r < 0) {
        kernel_uplink_leave(k);
        return r;
    }
    *ret = k;
    return 0;
}
