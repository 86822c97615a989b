/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_uplink_probe.c - the second half of a round: do packets pass through the host, and who
 * drops those that do not?
 *
 * Nobody is asked. What becomes of a probe the host's last rule counts, which is ours (host_nat.h);
 * so silence means nothing until it has been given time, and a few of them. When none was counted,
 * one more is traced on its way.
 */
#include "kernel_uplink_part.h"

#include "fd.h"
#include "log.h"
#include "names.h"
#include "str.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define MSEC       1000ull
#define PROBES     8u          /* a cable that was just made loses the first ones: 5 to 40 ms */
#define PROBE_WAIT (10 * MSEC) /* a multiple after each */
#define TRACE_WAIT (50 * MSEC) /* a busy machine's kernel tells late */

static void arm_timer(const struct kernel_uplink *k, uint64_t usec)
{
    if (sd_event_source_set_time_relative(k->timer, usec) < 0 ||
        sd_event_source_set_enabled(k->timer, SD_EVENT_ONESHOT) < 0)
        log_warning("kernel uplink: cannot set a timer");
}

/* ---- sending ----------------------------------------------------------------------------- */

/* By the cable, whatever the routes say. */
static void send_probe(int family, const struct sockaddr *to, socklen_t len)
{
    AUTO_FD sock = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const char *cable = KERNEL_CABLE;

    if (sock >= 0 && setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, cable, strlen(cable) + 1) == 0)
        (void)sendto(sock, "", 0, 0, to, len);
}

static bool probes6(const struct kernel_uplink *k)
{
    return k->plan.default6 && k->plan.kernel6;
}

static void send_probes(const struct kernel_uplink *k)
{
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(PROBE_PORT) };
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(PROBE_PORT) };

    (void)inet_pton(AF_INET, PROBE4, &four.sin_addr);
    (void)inet_pton(AF_INET6, PROBE6, &six.sin6_addr);
    if (k->plan.default4)
        send_probe(AF_INET, (const struct sockaddr *)&four, sizeof four);
    if (probes6(k))
        send_probe(AF_INET6, (const struct sockaddr *)&six, sizeof six);
}

static void begin_probes(struct kernel_uplink *k, bool trace)
{
    struct netd_why why = { 0 };
    int r = hostside_nat_arm(k->setup.hostside, trace, &why);

    if (r < 0) {
        kernel_uplink_fail(k, r, &why);
        return;
    }
    k->phase = trace ? TRACING : PROBING;
    k->probes = 0;
    send_probes(k);
    arm_timer(k, trace ? TRACE_WAIT : PROBE_WAIT);
}

void kernel_uplink_end_probes(const struct kernel_uplink *k)
{
    if (k->phase != KNOWN)
        hostside_nat_rest(k->setup.hostside);
}

/* ---- judging ----------------------------------------------------------------------------- */

/* Which tables of iptables-legacy there are is told to root only, and none of us is root. */
#define UNSEEN "the host does not forward, and no nftables rule is why: "

static const char unseen4[] = UNSEEN "look at iptables-legacy -vL FORWARD, or for eBPF";
static const char strict4[] = UNSEEN "look at iptables-legacy -vL FORWARD, for eBPF, or, since "
                                     "rp_filter is 1, at ip rule";
static const char unseen6[] = UNSEEN "look at ip6tables-legacy -vL FORWARD, or for eBPF";

/* unseen: what to say when nobody is known to have dropped it. */
static struct kernel_state judge(bool passed, const struct nft_trace_end *end, const char *unseen)
{
    struct kernel_state way = { .is = passed ? KERNEL_OPEN : KERNEL_BLOCKED };
    char text[NFT_TRACE_TEXT];

    if (passed)
        return way;
    if (end->dropped)
        (void)snprintf(way.why, sizeof way.why, "the host's %s drops what it should forward",
                       nft_trace_text(end, text));
    else
        (void)str_copy(way.why, sizeof way.why, unseen);
    return way;
}

static void conclude_probes(struct kernel_uplink *k, const struct host_nat_verdict *v)
{
    static const struct kernel_state no_route = { .is = KERNEL_NO_ROUTE };
    static const struct kernel_state no_switch = {
        .is = KERNEL_BLOCKED,
        .why = "this kernel has no net.ipv6.conf.*.force_forwarding (Linux 6.17), and "
               "net.ipv6.conf.all.forwarding is off"
    };
    struct kernel_state four = no_route, six = no_route;

    if (k->plan.default4)
        four = judge(v->passed4, &v->end[NFT_TRACE_IPV4], v->strict4 ? strict4 : unseen4);
    if (k->plan.default6)
        six = k->plan.kernel6 ? judge(v->passed6, &v->end[NFT_TRACE_IPV6], unseen6) : no_switch;
    kernel_uplink_conclude(k, &four, &six);
}

void kernel_uplink_probe(struct kernel_uplink *k)
{
    if (!k->plan.default4 && !probes6(k))
        conclude_probes(k, &(struct host_nat_verdict){ 0 });
    else
        begin_probes(k, false);
}

/* ---- the host itself --------------------------------------------------------------------- */

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

void kernel_uplink_probe_host(struct kernel_uplink *k)
{
    if (!send_host_probe(k)) {
        kernel_uplink_conclude_host(k, "");
        return;
    }
    k->phase = HOST;
    arm_timer(k, TRACE_WAIT);
}

static void conclude_host(struct kernel_uplink *k, const struct nft_trace_end *end)
{
    char text[NFT_TRACE_TEXT], host[sizeof k->host] = "";

    if (end->dropped && strcmp(end->table, "vmnet_broker_uplink") != 0)
        (void)snprintf(host, sizeof host,
                       "guests do not reach the host: its %s drops what they send",
                       nft_trace_text(end, text));
    kernel_uplink_conclude_host(k, host);
}

void kernel_uplink_time_is_up(struct kernel_uplink *k)
{
    struct host_nat_verdict verdict = { 0 };
    struct netd_why why = { 0 };
    int r = hostside_nat_look(k->setup.hostside, &verdict, &why);

    if (k->phase == HOST) {
        conclude_host(k, &verdict.end[NFT_TRACE_IPV4]);
    } else if (r < 0) {
        kernel_uplink_fail(k, r, &why);
    } else if (k->phase == TRACING ||
               ((verdict.passed4 || !k->plan.default4) && (verdict.passed6 || !probes6(k)))) {
        conclude_probes(k, &verdict);
    } else if (++k->probes >= PROBES) {
        begin_probes(k, true);
    } else {
        send_probes(k);
        arm_timer(k, PROBE_WAIT * k->probes);
    }
}
