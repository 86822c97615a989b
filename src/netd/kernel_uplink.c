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
#include "kernel_uplink.h"

#include "fd.h"
#include "knobs.h"
#include "log.h"
#include "mem.h"
#include "names.h"
#include "router.h"
#include "str.h"
#include "transit.h"
#include "way_out.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CABLE        uplink_link(KERNEL_SLOT)
#define MSEC         1000ull
#define PROBES       8u          /* a cable that was just made loses the first ones: 5 to 40 ms */
#define PROBE_WAIT   (10 * MSEC) /* a multiple after each */
#define TRACE_WAIT   (50 * MSEC) /* a busy machine's kernel tells late */
#define QUARREL      5u          /* repairs in a row ... */
#define QUARREL_TIME (30000 * MSEC) /* ... with less than this in between */

enum phase { STOPPED, PROBING, TRACING, HOST, KNOWN };

struct way {
    enum kernel_way is;
    char why[NETD_WHY_SIZE - 16];
};

struct kernel_uplink {
    struct kernel_uplink_setup setup;
    sd_event_source *timer;
    enum phase phase;
    bool again;                /* the host has changed since this round began */
    bool in_host;              /* something of plan may be there */
    struct host_nat_plan plan; /* as it was written down */
    unsigned probes;           /* of this round */
    unsigned repairs;          /* in a row */
    uint64_t repaired;         /* when last; monotonic */
    int reach;                 /* what the router was told: bit 0 IPv4, bit 1 IPv6; -1: nothing */
    struct way four, six;
    char overlap[NETD_WHY_SIZE]; /* "": there is none */
    char host[NETD_WHY_SIZE];    /* what keeps guests from the host; "": nothing */
};

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

static bool set_way(struct way *way, const char *family, enum kernel_way is, const char *why)
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
        (void)link_delete_addr4(k->setup.links, CABLE, transit_inside(k->plan.transit),
                                TRANSIT_PREFIX);
    else
        (void)link_delete_addr6(k->setup.links, CABLE, addr6, TRANSIT6_PREFIX);
}

static void arm_timer(const struct kernel_uplink *k, uint64_t usec)
{
    if (sd_event_source_set_time_relative(k->timer, usec) < 0 ||
        sd_event_source_set_enabled(k->timer, SD_EVENT_ONESHOT) < 0)
        log_warning("kernel uplink: cannot set a timer");
}

static void set_host(struct kernel_uplink *k, const char *host)
{
    if (strcmp(host, k->host) == 0)
        return;
    (void)str_copy(k->host, sizeof k->host, host);
    log_info("%s", *host ? host : "nothing that we know of keeps guests from the host any more");
    k->setup.changed(k->setup.arg);
}

/* As a guest would, and traced on its way. False: there is none. */
static bool send_host_probe(struct kernel_uplink *k)
{
    AUTO_FD sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in from, to;
    struct netd_why why = { 0 };

    if (sock < 0 || !k->setup.host_probe(k->setup.arg, &from, &to) ||
        bind(sock, (const struct sockaddr *)&from, sizeof from) < 0 ||
        hostside_nat_arm(k->setup.hostside, true, &why) < 0)
        return false;
    (void)sendto(sock, "", 0, 0, (const struct sockaddr *)&to, sizeof to);
    return true;
}

static void probe_host(struct kernel_uplink *k)
{
    if (!send_host_probe(k)) {
        set_host(k, "");
        return;
    }
    k->phase = HOST;
    arm_timer(k, TRACE_WAIT);
}

static void conclude_host(struct kernel_uplink *k, const struct nft_trace_end *end)
{
    char text[NFT_TRACE_TEXT], host[sizeof k->host] = "";

    k->phase = KNOWN;
    if (end->dropped && strcmp(end->table, "vmnet_broker_uplink") != 0)
        (void)snprintf(host, sizeof host,
                       "guests do not reach the host: its %s drops what they send",
                       nft_trace_text(end, text));
    set_host(k, host);
    if (k->again)
        kernel_uplink_look(k);
}

const char *kernel_uplink_host(const struct kernel_uplink *k)
{
    return k->host;
}

/* The end of a round. */
static void conclude(struct kernel_uplink *k, const struct way *four, const struct way *six)
{
    bool changed = set_way(&k->four, "IPv4", four->is, four->why);

    changed |= set_way(&k->six, "IPv6", six->is, six->why);
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
        probe_host(k);
}

static void conclude_failed(struct kernel_uplink *k, int err, const struct netd_why *why)
{
    struct way failed = { .is = KERNEL_BLOCKED };

    if (err == -EPIPE || err == -ECONNRESET) {
        k->phase = KNOWN; /* whom we asked has died: that is the next netd's to judge */
        return;
    }
    (void)str_copy(failed.why, sizeof failed.why, why->why);
    conclude(k, &failed, &failed);
}

/* ---- probes ---------------------------------------------------------------------------- */

/* By the cable, whatever the routes say. What becomes of it the host counts. */
static void send_probe(int family, const struct sockaddr *to, socklen_t len)
{
    AUTO_FD sock = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (sock >= 0 && setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, CABLE, strlen(CABLE) + 1) == 0)
        (void)sendto(sock, "", 0, 0, to, len);
}

static void send_probes(const struct kernel_uplink *k)
{
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(PROBE_PORT) };
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(PROBE_PORT) };

    (void)inet_pton(AF_INET, PROBE4, &four.sin_addr);
    (void)inet_pton(AF_INET6, PROBE6, &six.sin6_addr);
    if (k->plan.default4)
        send_probe(AF_INET, (const struct sockaddr *)&four, sizeof four);
    if (k->plan.default6 && k->plan.kernel6)
        send_probe(AF_INET6, (const struct sockaddr *)&six, sizeof six);
}

static void begin_probes(struct kernel_uplink *k, bool trace)
{
    struct netd_why why = { 0 };
    int r = hostside_nat_arm(k->setup.hostside, trace, &why);

    if (r < 0) {
        conclude_failed(k, r, &why);
        return;
    }
    k->phase = trace ? TRACING : PROBING;
    k->probes = 0;
    send_probes(k);
    arm_timer(k, trace ? TRACE_WAIT : PROBE_WAIT);
}

static struct way judge(bool passed, const struct nft_trace_end *end)
{
    struct way way = { .is = passed ? KERNEL_OPEN : KERNEL_BLOCKED };
    char text[NFT_TRACE_TEXT];

    if (passed)
        return way;
    if (end->dropped)
        (void)snprintf(way.why, sizeof way.why, "the host's %s drops what it should forward",
                       nft_trace_text(end, text));
    else
        (void)str_copy(way.why, sizeof way.why,
                       "the host does not forward, and no nftables rule is why (iptables-legacy? "
                       "rp_filter? eBPF?)");
    return way;
}

static void conclude_probes(struct kernel_uplink *k, const struct host_nat_verdict *v)
{
    static const struct way no_route = { .is = KERNEL_NO_ROUTE };
    static const struct way no_switch = {
        .is = KERNEL_BLOCKED,
        .why = "this kernel has no net.ipv6.conf.*.force_forwarding (Linux 6.17), and "
               "net.ipv6.conf.all.forwarding is off"
    };
    struct way four = no_route, six = no_route;

    if (k->plan.default4)
        four = judge(v->passed4, &v->end[NFT_TRACE_IPV4]);
    if (k->plan.default6)
        six = k->plan.kernel6 ? judge(v->passed6, &v->end[NFT_TRACE_IPV6]) : no_switch;
    conclude(k, &four, &six);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
    struct kernel_uplink *k = arg;
    struct host_nat_verdict verdict = { 0 };
    struct netd_why why = { 0 };
    int r = hostside_nat_look(k->setup.hostside, &verdict, &why);

    (void)source;
    (void)usec;
    if (k->phase == HOST) {
        conclude_host(k, &verdict.end[NFT_TRACE_IPV4]);
    } else if (r < 0) {
        conclude_failed(k, r, &why);
    } else if (k->phase == TRACING ||
               ((verdict.passed4 || !k->plan.default4) &&
                (verdict.passed6 || !k->plan.default6 || !k->plan.kernel6))) {
        conclude_probes(k, &verdict);
    } else if (++k->probes >= PROBES) {
        begin_probes(k, true);
    } else {
        send_probes(k);
        arm_timer(k, PROBE_WAIT * k->probes);
    }
    return 0;
}

/* ---- a round --------------------------------------------------------------------------- */

static int route_cable(const struct kernel_uplink *k)
{
    uint8_t host6[16];
    int r;

    transit6_host(host6);
    r = link_made(link_add_default4(k->setup.links, CABLE, transit_host(k->plan.transit),
                                    uplink_table(KERNEL_SLOT)));
    if (r == 0)
        r = link_made(link_add_default6(k->setup.links, CABLE, host6, uplink_table(KERNEL_SLOT)));
    return r == 0 ? way_out_add_bound(k->setup.links, KERNEL_SLOT) : r;
}

/* The cable's end in the namespace. */
static int address_cable(const struct kernel_uplink *k, struct netd_why *why)
{
    static const struct knob knobs[] = {
        { "ipv6/conf/", "/accept_ra", "0" },    { "ipv6/conf/", "/accept_dad", "0" },
        { "ipv6/conf/", "/disable_ipv6", "0" }, { "ipv4/conf/", "/forwarding", "1" },
        { "ipv4/conf/", "/rp_filter", "0" },
    };
    struct link_ctx *links = k->setup.links;
    uint8_t addr6[16];
    int r = knobs_set(knobs, N_ELEMENTS(knobs), CABLE, why);

    if (r < 0)
        return r;
    (void)sysctl_set("ipv4/conf/all/rp_filter", "0"); /* the main table does not lead there */
    (void)sysctl_set("ipv6/conf/all/forwarding", "1");
    transit6_inside(addr6);
    r = link_made(link_add_addr4(links, CABLE, transit_inside(k->plan.transit), TRANSIT_PREFIX));
    if (r == 0)
        r = link_made(link_add_addr6(links, CABLE, addr6, TRANSIT6_PREFIX));
    if (r == 0)
        r = link_set_up(links, CABLE);
    if (r == 0)
        r = route_cable(k);
    return r < 0 ? why_failed(why, r, "cannot address '%s' in the namespace", CABLE) : 0;
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

const char *kernel_uplink_overlap(const struct kernel_uplink *k)
{
    return k->overlap;
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

static int make(struct kernel_uplink *k, struct netd_why *why)
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
    r = make(k, &why);
    if (r < 0)
        conclude_failed(k, r, &why);
    else if (!k->plan.default4 && (!k->plan.default6 || !k->plan.kernel6))
        conclude_probes(k, &(struct host_nat_verdict){ 0 });
    else
        begin_probes(k, false);
}

/* ---- life ------------------------------------------------------------------------------ */

void kernel_uplink_start(struct kernel_uplink *k)
{
    if (k->phase != STOPPED)
        return;
    k->phase = KNOWN;
    k->four = k->six = (struct way){ .is = KERNEL_CHECKING };
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
    k->four = k->six = (struct way){ .is = KERNEL_CHECKING };
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
