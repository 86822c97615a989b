/* SPDX-License-Identifier: Apache-2.0 */
/* hostside_nat.c - the kernel uplink among the host's requests, and the watch over what decides
 * about it: rules, routes, links and forwarding of the host.
 *
 * Of others' changes netd is told once in a while, and not of ours: the kernel says of rules
 * whose process changed them. Of the rest our own part ends after one more look, which finds
 * nothing to do.
 */
#include "hostside_part.h"

#include "fd.h"
#include "log.h"
#include "mem.h"
#include "transit.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>
#include <sys/socket.h>

#define QUIET_USEC 200000u /* Docker's start is a burst of some dozens of changes */

/* ---- the watch ----------------------------------------------------------------------- */

static int on_quiet(sd_event_source *source, uint64_t usec, void *arg)
{
    const struct host *host = arg;
    const struct hostside_news news = { .kind = HOSTSIDE_CHANGED };

    (void)source;
    (void)usec;
    if (send(host->news, &news, sizeof news, MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof news)
        (void)log_failure(-errno, "cannot tell that the host has changed");
    return 0;
}

/* Not pushed back by more: who changes something all the time must not hide that. */
static void tell_soon(struct host *host)
{
    sd_event_source *quiet = host->nat_watch.quiet;
    int enabled = SD_EVENT_OFF;

    (void)sd_event_source_get_enabled(quiet, &enabled);
    if (enabled == SD_EVENT_OFF && (sd_event_source_set_time_relative(quiet, QUIET_USEC) < 0 ||
                                    sd_event_source_set_enabled(quiet, SD_EVENT_ONESHOT) < 0))
        log_warning("cannot set a timer");
}

static bool is_any(const struct host *host, const struct nlmsghdr *h)
{
    (void)host;
    (void)h;
    return true;
}

/* Each transaction ends with one of these, which names the program. */
static bool is_others_rules(const struct host *host, const struct nlmsghdr *h)
{
    struct nlattr *attrs[NFTA_GEN_MAX + 1];

    (void)host;
    if (h->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN))
        return false;
    if (nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(struct nfgenmsg), attrs, NFTA_GEN_MAX,
                    NULL) < 0 ||
        !attrs[NFTA_GEN_PROC_NAME])
        return true;
    return nla_strcmp(attrs[NFTA_GEN_PROC_NAME], HOSTSIDE_NAME) != 0;
}

static int on_rtnl(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    (void)source;
    (void)events;
    if (host_news_read(fd, arg, is_any))
        tell_soon(arg);
    return 0;
}

static int on_nft(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    (void)source;
    (void)events;
    if (host_news_read(fd, arg, is_others_rules))
        tell_soon(arg);
    return 0;
}

static void watch_end(struct nat_watch *w)
{
    w->rtnl_source = sd_event_source_disable_unref(w->rtnl_source);
    w->nft_source = sd_event_source_disable_unref(w->nft_source);
    fd_closep(&w->rtnl);
    fd_closep(&w->nft);
    (void)sd_event_source_set_enabled(w->quiet, SD_EVENT_OFF);
}

/* Before the first look, so that nothing happens unseen in between. */
static int watch_begin(struct host *host)
{
    static const int routes[] = { RTNLGRP_LINK,         RTNLGRP_IPV4_ROUTE,  RTNLGRP_IPV6_ROUTE,
                                  RTNLGRP_IPV4_IFADDR,  RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE,
                                  RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF };
    static const int rules[] = { NFNLGRP_NFTABLES };
    struct nat_watch *w = &host->nat_watch;
    int r;

    if (w->rtnl >= 0)
        return 0;
    r = w->rtnl = host_news_open(NETLINK_ROUTE, routes, N_ELEMENTS(routes));
    if (r >= 0)
        r = w->nft = host_news_open(NETLINK_NETFILTER, rules, N_ELEMENTS(rules));
    if (r >= 0)
        r = sd_event_add_io(host->event, &w->rtnl_source, w->rtnl, EPOLLIN, on_rtnl, host);
    if (r >= 0)
        r = sd_event_add_io(host->event, &w->nft_source, w->nft, EPOLLIN, on_nft, host);
    if (r < 0)
        watch_end(w);
    return r < 0 ? r : 0;
}

int host_nat_begin(struct host *host)
{
    const struct host_nat_tools tools = { .links = host->links,
                                          .nft = host->rules,
                                          .netns = host->netns };
    int r;

    host->nat_watch = (struct nat_watch){ .rtnl = -1, .nft = -1 };
    r = sd_event_add_time(host->event, &host->nat_watch.quiet, CLOCK_MONOTONIC, 0, 1, on_quiet,
                          host);
    if (r >= 0)
        r = sd_event_source_set_enabled(host->nat_watch.quiet, SD_EVENT_OFF);
    return r < 0 ? r : host_nat_new(&tools, &host->nat);
}

/* ---- requests ------------------------------------------------------------------------ */

bool host_nat_may(const struct hostside_request *request)
{
    const struct host_nat_plan *plan = &request->body.plan;

    if (request->op == HOSTSIDE_NAT_LOOK || request->op == HOSTSIDE_NAT_REST)
        return true;
    if (request->op == HOSTSIDE_NAT_ARM)
        return request->body.trace <= 1;
    return (transit_valid(plan->transit) ||
            (plan->transit == 0 && request->op != HOSTSIDE_NAT_MAKE)) &&
           plan->kernel6 <= 1 && host_nat_names_ok(&plan->on4) && host_nat_names_ok(&plan->on6);
}

int serve_nat_plan(struct host *host, const struct hostside_request *request,
                   struct hostside_reply *reply)
{
    struct subnet4 ours[NETWORKS_MAX];
    size_t n = 0;
    int r = watch_begin(host);

    FOREACH_HOST_LINK(link, host)
    ours[n++] = (struct subnet4){ .base = link->net.ipv4_base, .prefix = link->net.ipv4_prefix };
    if (r == 0)
        r = host_nat_plan(host->nat, ours, n, &request->body.plan, &reply->body.plan);
    return r < 0 ? why_failed(&reply->why, r, "cannot read the host's routes") : 0;
}

int serve_nat_make(struct host *host, const struct hostside_request *request,
                   struct hostside_reply *reply)
{
    return host_nat_make(host->nat, &request->body.plan, &reply->body.mended, &reply->why);
}

int serve_nat_end(struct host *host, const struct hostside_request *request,
                  struct hostside_reply *reply)
{
    const struct host_nat_plan *plan = &request->body.plan;

    watch_end(&host->nat_watch);
    return host_nat_end(host->nat, &plan->on4, &plan->on6, &reply->why);
}

int serve_nat_arm(struct host *host, const struct hostside_request *request,
                  struct hostside_reply *reply)
{
    return host_nat_arm(host->nat, request->body.trace, &reply->why);
}

int serve_nat_look(struct host *host, const struct hostside_request *request,
                   struct hostside_reply *reply)
{
    (void)request;
    return host_nat_look(host->nat, &reply->body.verdict, &reply->why);
}

int serve_nat_rest(struct host *host, const struct hostside_request *request,
                   struct hostside_reply *reply)
{
    (void)request;
    (void)reply;
    host_nat_rest(host->nat);
    return 0;
}
