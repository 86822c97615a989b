/* SPDX-License-Identifier: Apache-2.0 */
/* hostside_watch.c - somebody else works on the host, too: links deleted, addresses taken away,
 * `nft flush ruleset`.
 *
 * What the kernel tells is only a reason to look, for most of it is told of what we did
 * ourselves. Who looks finds out whether anything of ours is not as it must be, and mends it;
 * once a second at most, so that a quarrel with a program that will have it otherwise costs
 * little.
 */
#include "hostside_part.h"

#include "clock.h"
#include "fd.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <sys/socket.h>
#include <time.h>

#define LOOK_USEC  20000u   /* what comes together is looked at together */
#define NEXT_USEC  250000u  /* and between two looks, where rules change all the time */
#define PAUSE_USEC 1000000u /* after a repair */

/* ---- looking ------------------------------------------------------------------------- */

static void tell_lost(const struct host *host, struct host_link *link)
{
    struct hostside_news news = { .kind = HOSTSIDE_LOST, .index = link->net.index };

    link->ifindex = 0;
    if (send(host->news, &news, sizeof news, MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof news)
        (void)log_failure(-errno, "cannot tell that %s was deleted", link->name);
}

static bool look_at_link(struct host *host, struct host_link *link)
{
    struct netd_why why = { 0 };
    int r;

    if (link->ifindex == 0)
        return false;
    if (link_index(host->links, link->name) != link->ifindex) {
        log_warning("somebody has deleted or renamed the host's link %s: making another one",
                    link->name);
        tell_lost(host, link);
        return true;
    }
    r = host_link_mend(host, link, &why);
    if (r < 0)
        log_error("%s", why.why);
    else if (r > 0)
        log_warning("somebody has changed the host's link %s (up, addresses, MAC): set again",
                    link->name);
    return r != 0;
}

static bool look_at_table(struct host *host)
{
    bool ours = host->watch.unwritten;
    int r;

    if (host_table_is_ours(host))
        return false;
    r = host_table_write(host);
    if (ours && r == 0)
        log_info("nftables table " HOSTSIDE_TABLE " is as it must be at last");
    else if (ours)
        (void)log_failure(r, "nftables table " HOSTSIDE_TABLE " cannot be written; trying on");
    else if (r < 0)
        log_error("somebody has changed or removed nftables table " HOSTSIDE_TABLE
                  ", and it cannot be put back: %s",
                  nft_error(host->rules));
    else
        log_warning("somebody has changed or removed nftables table " HOSTSIDE_TABLE
                    ": put back as it was");
    return true;
}

static int on_look(sd_event_source *source, uint64_t usec, void *arg)
{
    struct host *host = arg;
    struct host_watch *w = &host->watch;
    bool links = w->links_touched, mended = false;

    (void)source;
    (void)usec;
    w->links_touched = false;
    if (w->rules_touched) {
        w->rules_touched = false; /* which a writing that fails sets again */
        mended = look_at_table(host);
    }
    if (links)
        FOREACH_HOST_LINK(link, host)
    mended |= look_at_link(host, link);
    w->looked = monotonic_usec();
    if (mended)
        w->repaired = w->looked;
    return 0;
}

static void look_soon(struct host *host)
{
    const struct host_watch *w = &host->watch;
    uint64_t next = monotonic_usec() + LOOK_USEC;
    int enabled = SD_EVENT_OFF;

    (void)sd_event_source_get_enabled(host->watch.look, &enabled);
    if (enabled != SD_EVENT_OFF)
        return;
    if (w->looked > 0 && next < w->looked + NEXT_USEC)
        next = w->looked + NEXT_USEC;
    if (w->repaired > 0 && next < w->repaired + PAUSE_USEC)
        next = w->repaired + PAUSE_USEC;
    (void)sd_event_source_set_time(host->watch.look, next);
    (void)sd_event_source_set_enabled(host->watch.look, SD_EVENT_ONESHOT);
}

void host_watch_rules(struct host *host)
{
    host->watch.rules_touched = true;
    if (host->watch.look)
        look_soon(host);
}

/* ---- hearing ------------------------------------------------------------------------- */

static bool is_our_link(const struct host *host, int ifindex)
{
    for (uint32_t i = 0; i < NETWORKS_MAX; i++)
        if (host->at[i].known && host->at[i].ifindex == ifindex)
            return true;
    return false;
}

static bool about_link(const struct host *host, const struct nlmsghdr *h)
{
    if (h->nlmsg_type == RTM_NEWLINK || h->nlmsg_type == RTM_DELLINK)
        return is_our_link(host, ((const struct ifinfomsg *)nlmsg_data(h))->ifi_index);
    if (h->nlmsg_type == RTM_DELADDR)
        return is_our_link(host, (int)((const struct ifaddrmsg *)nlmsg_data(h))->ifa_index);
    return false;
}

/* Whose rules they are stands deep inside; the library is quicker asked. */
static bool about_rules(const struct host *host, const struct nlmsghdr *h)
{
    (void)host;
    return NFNL_SUBSYS_ID(h->nlmsg_type) == NFNL_SUBSYS_NFTABLES;
}

static int on_rtnl(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct host *host = arg;

    (void)source;
    (void)events;
    if (!host_news_read(fd, host, about_link))
        return 0;
    host->watch.links_touched = true;
    look_soon(host);
    return 0;
}

static int on_nft(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct host *host = arg;

    (void)source;
    (void)events;
    if (host_news_read(fd, host, about_rules))
        host_watch_rules(host);
    return 0;
}

int host_watch_begin(struct host *host)
{
    static const int links[] = { RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR };
    static const int rules[] = { NFNLGRP_NFTABLES };
    struct host_watch *w = &host->watch;
    int r;

    w->nft = -1;
    r = w->rtnl = host_news_open(NETLINK_ROUTE, links, N_ELEMENTS(links));
    if (r >= 0)
        r = w->nft = host_news_open(NETLINK_NETFILTER, rules, N_ELEMENTS(rules));
    if (r >= 0)
        r = sd_event_add_io(host->event, &w->rtnl_source, w->rtnl, EPOLLIN, on_rtnl, host);
    if (r >= 0)
        r = sd_event_add_io(host->event, &w->nft_source, w->nft, EPOLLIN, on_nft, host);
    if (r >= 0)
        r = sd_event_add_time(host->event, &w->look, CLOCK_MONOTONIC, 0, 1, on_look, host);
    return r < 0 ? r : sd_event_source_set_enabled(w->look, SD_EVENT_OFF);
}
